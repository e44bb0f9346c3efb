"""What persons have decided, and the way back: a decision that is undone stays in the list."""

from __future__ import annotations

import time

import streamlit as st

from jobs.views import Decision
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
        parts.Column(key="rows", label="Rows", kind="number"),
        parts.Column(key="run", label="Of run", kind="number"),
        parts.Column(key="replay", label="Replay", kind="number"),
        parts.Column(key="reason", label="Reason or note", kind="wide"),
        parts.Column(key="state", label="Stands"),
        parts.Column(key="when", label="When"),
    ]
    rows = [parts.Row(str(one.id), _row(one, now)) for one in found]
    opened = parts.table(columns, rows, key=key, opens=True, height=420, label="decisions").opened
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
        "rows": wording.number(len(one.ordinals)),
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


def undo(one: Decision) -> None:
    """Open the dialog that takes a decision back."""

    def work(key: str, reason: str) -> str:
        undone = session.engine().letters.undo(one.id, key=key)
        return f"Decision {one.id} is undone: {wording.count(undone, 'row')}"

    what = KINDS.get(one.kind, one.kind)
    says = [
        f"{what.capitalize()} of {wording.count(len(one.ordinals), 'row')} of run {one.run}, made at "
        f"{wording.exact(one.made_at, session.zone())}.",
        *([f"Reason or note: {one.reason}"] if one.reason else []),
        {
            "replay": "The values that this replay brought stand no more, and its letters are open again. Its attempts stay.",
            "correct": "The value given by hand stands no more, and the letter is open again.",
        }.get(one.kind, "The letters are open again."),
        "Nothing is deleted; money that was spent stays spent.",
    ]
    parts.confirm(f"undo:{one.id}", work, title=f"Undo decision {one.id}", says=says, button="Undo it")
