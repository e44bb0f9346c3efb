"""Texts that are shown as they are: a diff, the messages of a prompt, a row's cells, what came before and after, a value as JSON."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from jobs.values import Message
from workbench import wording
from workbench.parts import look

#: characters of one text that are sent to the browser; of one side of a pair, and of a cell
MOST, SIDE, CELL = 60_000, 4_000, 6_000


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What was, and what is now: each side a heading and a text; ``head`` is HTML of ours."""

    head: str
    before: str
    before_text: str
    after: str
    after_text: str
    #: tone of the after side's heading
    tone: wording.Tone = "plain"
    #: HTML of ours between the head and the sides
    about: str = ""


def diff(pieces: Sequence[tuple[str, str]], *, same: str = "No difference.") -> None:
    """Draw ``engine.prompts.diff``'s pieces: a name and a unified diff each; ``same`` when there is none."""
    changed = [(name, text) for name, text in pieces if text.strip()]
    if not changed:
        st.caption(same)
    for name, text in changed:
        st.html(f'<div class="rd-sub">{look.safe(name)}</div><pre class="rd-diff">{_lines(text)}</pre>')


def changes(name: str, before: str, after: str) -> tuple[str, str]:
    """A piece for ``diff``: what was taken out of a text and what was put in, line by line."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2)
    return name, "\n".join(lines)


def cells(row: Mapping[str, str], *, original: Mapping[str, str] | None = None) -> None:
    """Draw a row's cells, line breaks kept; where ``original`` differs, what the cell was stands beside it."""
    st.html(cells_html(row, original=original))


def edited(row: Mapping[str, str], original: Mapping[str, str] | None) -> set[str]:
    """The columns whose cells differ from the original's."""
    return {name for name, cell in row.items() if original is not None and original.get(name) != cell}


def row_html(row: Mapping[str, str], *, original: Mapping[str, str] | None = None) -> str:
    """A row's head on one line, which opens to its cells; an edited row is open, the original beside the edit."""
    changed = len(edited(row, original))
    told = f" ✎ {wording.count(changed, 'cell')} edited" if changed else ""
    head = wording.head(" · ".join(cell for cell in row.values() if cell), 160)
    return (
        f'<details class="rd-row"{" open" if changed else ""}><summary>{look.safe(head or "an empty row")}'
        f"<b>{told}</b></summary>{cells_html(row, original=original)}</details>"
    )


def cells_html(row: Mapping[str, str], *, original: Mapping[str, str] | None = None) -> str:
    """The cells as HTML, for pieces that are HTML themselves."""
    changed = edited(row, original)
    heads = "<b></b><b>as it is in the dataset</b><b>as it was edited</b>" if changed else ""
    lines = []
    for name, cell in row.items():
        label = f"<span class=name>{look.safe(name)}{' ✎' if name in changed else ''}</span>"
        if name in changed and original is not None:
            sides = f"<span class=was>{_cell(original.get(name, ''))}</span><span class=is>{_cell(cell)}</span>"
        else:
            sides = f"<span{' class=both' if changed else ''}>{_cell(cell)}</span>"
        lines.append(label + sides)
    return f'<div class="rd-cells{" edited" if changed else ""}">{heads}{"".join(lines)}</div>'


def _cell(text: str) -> str:
    if not text:
        return "<i>empty</i>"
    cut = text if len(text) <= CELL else f"{text[:CELL]}… {len(text) - CELL:,} characters not shown"
    return look.safe(cut)


def pairs(items: Sequence[Pair]) -> None:
    """Draw what was and what is now, side by side, one pair below the other."""
    st.html("".join(_pair(item) for item in items))


def _pair(item: Pair) -> str:
    sides = "".join(
        f'<div><div class="title" style="color:{look.tone(tone)}">{look.safe(title)}</div><pre>{look.safe(text[:SIDE])}'
        f"{'…' if len(text) > SIDE else ''}</pre></div>"
        for title, text, tone in ((item.before, item.before_text, "dead"), (item.after, item.after_text, item.tone))
    )
    return f'<div class="rd-pair"><div class="head">{item.head}</div>{item.about}<div class="sides">{sides}</div></div>'


def chat(messages: Sequence[Message]) -> None:
    """Draw the messages of a prompt as they are sent."""
    for message in messages:
        st.caption(f"{message.role} · {wording.count(len(message.content), 'character')}")
        st.code(_shown(message.content), language=None, wrap_lines=True)


def as_json(value: Any) -> None:
    """Draw a value as indented JSON."""
    st.code(_shown(json.dumps(value, ensure_ascii=False, indent=2, default=str)), language="json", wrap_lines=True)


def plain(text: str) -> None:
    """Draw a hostile text, monospaced."""
    st.code(_shown(text), language=None, wrap_lines=True)


def _lines(text: str) -> str:
    cut = text if len(text) <= MOST else f"{text[:MOST]}\n… {len(text) - MOST:,} characters not shown"
    kinds = {"+": "new", "-": "old", "@": "at"}
    lines = [line for line in cut.split("\n") if not line.startswith(("--- ", "+++ "))]
    return "".join(f'<span class="{kinds.get(line[:1], "same")}">{look.safe(line)}\n</span>' for line in lines)


def _shown(text: str) -> str:
    if len(text) <= MOST:
        return wording.visible(text)
    return f"{wording.visible(text[:MOST])}\n… {len(text) - MOST:,} characters not shown"
