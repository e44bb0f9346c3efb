"""A reply of a try while it streams in: its text so far, below the contract's fields as far as they have come.

Nothing of it is a value yet, and it says so in words: at its head, and in the state of every field. Both parts keep their height,
so that nothing moves while a reply grows.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from jobs.partial import Begun, begun
from jobs.views.system import LiveReply
from workbench import parts, wording

#: characters of the text, from its end, and fields that the contract does not have, that are shown
TAIL, STRANGERS = 4_000, 8
#: pixels of the text, and of the table at most; characters of a field's name
TEXT, TABLE, NAME = 150, 380, 24

_COLUMNS = [
    parts.Column(key="name", label="Field", kind="strong"),
    parts.Column(key="text", label="So far", kind="rest"),
    parts.Column(key="state", label="State"),
]
_NOT_BEGUN, _BEGUN = parts.Cell("– not begun", tone="cancelled"), parts.Cell("▸ still coming", tone="running")
_COMPLETE, _TWICE = parts.Cell("○ complete, not yet judged", tone="waiting"), parts.Cell("≠ given twice", tone="paused")
_STRANGE = parts.Cell("≠ not in the contract", tone="paused")
_MISSING, _BROKEN = parts.Cell("– did not come", tone="cancelled"), parts.Cell("≠ not complete", tone="paused")


def draw(reply: LiveReply | None, names: Sequence[str], *, key: str) -> None:
    """Draw what has come of a reply; None where nothing has.

    Args:
        reply: as far as it has come, or ended and not judged yet.
        names: the contract's fields, in its order.
        key: unique on the screen.
    """
    text, has_ended = (reply.text, reply.done) if reply is not None else ("", False)
    when = "the reply has ended and is being judged" if has_ended else "judged when the reply has ended"
    st.caption(f"**Not yet valid:** {when}")
    rows = lines(begun(text), names, has_ended=has_ended)
    parts.table(_COLUMNS, rows, key=key, height=TABLE, label="fields so far, not yet valid")
    st.caption(f"Raw reply so far · {wording.count(len(text), 'character')}" if text else "Raw reply so far")
    shown = parts.safe(f"…{text[-TAIL:]}" if len(text) > TAIL else text) or "waiting for the reply"
    st.html(
        f'<div class="rd-live" role="region" aria-label="raw reply so far" style="height:{TEXT}px"><pre>{shown}</pre></div>'
    )


def lines(come: Sequence[Begun], names: Sequence[str], *, has_ended: bool) -> list[parts.Row]:
    """The contract's fields in its order, each with what has come and how it stands; then those that it does not have."""
    by_name: dict[str, list[Begun]] = {}
    for field in come:
        by_name.setdefault(field.name, []).append(field)
    rows = [_line(f"field:{name}", name, by_name.pop(name, []), has_ended=has_ended) for name in names]
    for place, (name, fields) in enumerate(list(by_name.items())[:STRANGERS]):
        rows.append(parts.Row(f"other:{place}", {"name": _name(name), "text": _text(fields[-1]), "state": _STRANGE}))
    if len(by_name) > STRANGERS:
        more = wording.count(len(by_name) - STRANGERS, "more field")
        rows.append(parts.Row("others", {"name": more, "text": "", "state": _STRANGE}))
    return rows


def _line(identity: str, name: str, fields: Sequence[Begun], *, has_ended: bool) -> parts.Row:
    text = _text(fields[-1]) if fields else ""
    return parts.Row(identity, {"name": _name(name), "text": text, "state": _state(fields, has_ended=has_ended)})


def _state(fields: Sequence[Begun], *, has_ended: bool) -> parts.Cell:
    if not fields:
        return _MISSING if has_ended else _NOT_BEGUN
    if len(fields) > 1:
        return _TWICE
    if fields[0].is_closed:
        return _COMPLETE
    return _BROKEN if has_ended else _BEGUN


def _name(name: str) -> parts.Cell:
    return parts.text_cell(name, NAME)


def _text(field: Begun) -> parts.Cell:
    return parts.text_cell(field.text if field.is_closed or not field.text else f"{field.text}…", 300)
