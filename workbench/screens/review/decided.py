"""What persons have decided, and the way back: a decision that is undone stays in the list."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from jobs.views.letters import Decision
from workbench import parts, session, wording

SHOWN = 50
KINDS = {"replay": "replay", "correct": "correction", "discard": "discard"}


def table(
    *,
    run: int | None = None,
    prompt: str | None = None,
    decisions: tuple[Decision, ...] | None = None,
    key: str = "decisions",
) -> None:
    """Draw decisions: of all runs, about rows of one, about one prompt's runs, or those given; a row offers to undo it."""
    engine = session.engine().letters
    found = list(engine.decisions(rows_of=run, prompt=prompt, limit=SHOWN) if decisions is None else decisions)
    if not found:
        about = f"about the rows of run {run} " if run is not None else ""
        st.caption(f"Nothing is decided {about}yet. Replays, corrections and discards stand here, and can be undone.")
        return
    now = time.time()
    columns = [
        parts.Column(key="id", label="Decision", kind="number"),
        parts.Column(key="kind", label="What", kind="strong"),
        parts.Column(key="count", label="Rows", kind="number"),
        parts.Column(key="rows", label="Which"),
        parts.Column(key="run", label="Of run", kind="number"),
        parts.Column(key="replay", label="Replay", kind="number"),
        parts.Column(key="reason", label="Reason or note", kind="wide"),
        parts.Column(key="state", label="Stands"),
        parts.Column(key="when", label="When"),
    ]
    lines = [parts.Row(str(one.id), _row(one, now)) for one in found]
    opened = parts.table(columns, lines, key=key, opens=True, height=420, label="decisions").opened
    st.caption("A click on a decision offers to undo it.")
    if opened:
        one = next(one for one in found if str(one.id) == opened)
        if one.undone_at is not None:
            session.notify(f"Decision {one.id} was undone {wording.ago(one.undone_at, now)}")
            st.rerun()
        undo(one)


def _row(one: Decision, now: float) -> dict[str, str | parts.Cell]:
    stands = "yes" if one.undone_at is None else f"undone {wording.ago(one.undone_at, now)}"
    return {
        "id": str(one.id),
        "kind": told(one),
        "count": wording.number(len(one.ordinals)),
        "rows": parts.text_cell(rows(one.row_ids, len(one.ordinals)), 90),
        "run": str(one.run),
        "replay": str(one.replay) if one.replay else wording.NOTHING,
        "reason": parts.text_cell(one.reason, 160),
        "state": parts.Cell(stands, wording.exact(one.undone_at), "cancelled" if one.undone_at else None),
        "when": parts.time_cell(one.made_at, now),
    }


def told(one: Decision) -> str:
    """What was decided; of a replay also with what."""
    if one.kind != "replay":
        return KINDS.get(one.kind, one.kind)
    edited = f", {wording.count(one.edited, 'edited row')}" if one.edited else ""
    return f"replay with {wording.head(one.version or wording.UNKNOWN, 40)}{edited}"


def rows(row_ids: Sequence[str], many: int) -> str:
    """``R-1, R-2, R-3 and 12 more``; hostile text on one line."""
    named = ", ".join(wording.head(row_id, 24 if many > 1 else 60) for row_id in row_ids)
    return f"{named} and {many - len(row_ids):,} more" if many > len(row_ids) else named


def counted(row_ids: Sequence[str], many: int) -> str:
    """``row R-1``, or ``15 rows (R-1, R-2, R-3 and 12 more)``; hostile text on one line."""
    named = rows(row_ids, many)
    return f"row {named}" if many == 1 else f"{wording.count(many, 'row')} ({named})"


def undo(one: Decision) -> None:
    """Open the dialog that takes a decision back."""
    back = counted(one.row_ids, len(one.ordinals))
    if one.replay is not None:
        fixed, many = session.engine().letters.before_after(one.replay, outcome="fixed", limit=len(one.row_ids))
        back = counted([pair.row_id for pair in fixed], many) if many else "no row"

    def work(key: str, reason: str) -> str:
        session.engine().letters.undo(one.id, key=key)
        return wording.escaped(f"Decision {one.id} is undone: {back}")

    what = KINDS.get(one.kind, one.kind)
    says = [
        f"{what.capitalize()} of {counted(one.row_ids, len(one.ordinals))} of run {one.run}, made at "
        f"{wording.exact(one.made_at, session.zone())}.",
        *([f"Reason or note: {one.reason}"] if one.reason else []),
        {
            "replay": f"It fixed {back}: what it brought will stand no more, and the letter of each such row will be open "
            "again. Its attempts stay.",
            "correct": "The value given by hand will stand no more, and the letter will be open again.",
        }.get(one.kind, f"The {'letter' if len(one.ordinals) == 1 else 'letters'} will be open again."),
        "Nothing is deleted; money that was spent stays spent.",
    ]
    parts.confirm(f"undo:{one.id}", work, title=f"Undo decision {one.id}", says=says, button="Undo it")
