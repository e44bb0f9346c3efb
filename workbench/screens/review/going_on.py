"""After a decision about one letter: on to the next open one, which says what was decided and takes it back at a press."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from jobs.views.letters import Inspection
from workbench import parts, session, wording
from workbench.screens.review.chosen import Filter, LetterId

DONE = {"correct": "is corrected by hand", "discard": "is discarded"}
Leave = Callable[[Filter, LetterId], None]


@dataclass(frozen=True, kw_only=True)
class Done:
    """What was decided last, and the letter that the person was led to."""

    decision: int
    kind: str
    letter: LetterId
    row_id: str
    at: LetterId


def go_on(seen: Inspection, filter_: Filter, kind: str, decision: int, leave: Leave) -> None:
    """Leave for the next open letter behind the filter, or the one before it; stay where there is none."""
    row_id = wording.head(seen.row_id, 60)
    session.notify(wording.escaped(f"Row {row_id} {DONE[kind]}"))
    before, after = session.engine().letters.neighbours(
        seen.run.id,
        seen.ordinal,
        signature=filter_.signature,
        prompt=filter_.prompt,
        resolution="open",
        within_run=filter_.run is not None,
    )
    place = after or before
    if place is None:
        return
    letter = (seen.run.id, seen.ordinal)
    st.session_state["done"] = Done(decision=decision, kind=kind, letter=letter, row_id=row_id, at=place)
    leave(filter_, place)


def offer(place: LetterId, filter_: Filter, leave: Leave) -> None:
    """Draw what was decided before this letter was shown, with the way back; it is gone when the person goes on."""
    done: Done | None = st.session_state.get("done")
    if done is None or done.at != place:
        st.session_state.pop("done", None)
        return
    action = f"undo:{done.decision}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.text(f"Row {done.row_id} {DONE[done.kind]}.", width="content")
        key = session.button("Undo", action=action, shortcut="Z", help="Takes it back, and shows that row again")
    if key is None:
        return
    undone = parts.perform(action, lambda: session.engine().letters.undo(done.decision, key=key))
    if undone is not None:
        session.notify(wording.escaped(f"Decision {done.decision} is undone: row {done.row_id}"))
        leave(filter_, done.letter)
