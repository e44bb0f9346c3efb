"""Replays: every time that dead letters were asked again, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from jobs.views.runs import Run
from workbench import parts, session, wording
from workbench.screens import archiving
from workbench.screens.running import facts

#: seconds between two looks while one of the shown replays is at work
GLANCE = 4.0
#: replays a page
SHOWN = 25


def page() -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        parts.header(
            "Replays",
            subtitle="A replay asks dead letters again, as a run of its own. The run that they died in stays as it was.",
        )
        archived = archiving.shown("run", noun="replay")
    archiving.asked()

    def fetch(offset: int, limit: int) -> tuple[list[Run], int]:
        return session.engine().runs.list(offset=offset, limit=limit, kinds=["replay"], archived=archived)

    found, total = parts.shown("page", fetch, size=SHOWN)
    if not total and session.engine().runs.list(kinds=["replay"], archived=None, limit=0)[1]:
        st.caption("No replay is archived." if archived else "Every replay is archived.")
        return
    if not total:
        parts.empty(
            "No replay yet",
            "Open a group of dead letters, tweak its prompt or leave it as it is, and replay: afterwards this page shows what "
            "was fixed, what failed in the same way, and what failed in a new one.",
        )
        session.link("Look at the dead letters", "dead_letters")
        return
    busy = _at_work(found)

    def look() -> str:
        bar = st.container(horizontal=True)
        shown, _ = parts.paged("page", fetch, size=SHOWN, noun="replay")
        ticked = _table(list(shown))
        with bar:
            archiving.ticked("run", ticked, archived=archived, watched=True)
        return str(_at_work(shown))

    parts.watch(look, standing=str(busy), every=GLANCE if busy else None)


def _at_work(shown: Sequence[Run]) -> bool:
    return any(run.ended_at is None and run.state != "paused" for run in shown)


def _table(runs: list[Run]) -> list[str]:
    """Draw them; those that are ticked."""
    now = time.time()
    columns = [
        parts.Column(key="id", label="Replay", kind="strong"),
        parts.Column(key="of", label="Of run", kind="number"),
        parts.Column(key="state", label="State"),
        parts.Column(key="version", label="Version"),
        parts.Column(key="rows", label="Letters", kind="number"),
        parts.Column(key="fixed", label="Fixed", kind="number"),
        parts.Column(key="share", label="Share", kind="number", help="fixed, of the letters it took"),
        parts.Column(key="same", label="Same failure", kind="number"),
        parts.Column(key="new", label="New failure", kind="number"),
        parts.Column(key="waiting", label="Waiting", kind="number"),
        parts.Column(key="cost", label="Cost", kind="number"),
        parts.Column(key="note", label="Note", kind="wide"),
        parts.Column(key="when", label="Started"),
    ]
    rows = [parts.Row(str(run.id), _row(run, now)) for run in runs]
    opened, chosen = parts.table(columns, rows, key="replays", opens=True, choose=True, label="replays")
    if opened:
        session.go("replay", id=opened)
    return chosen


def _row(run: Run, now: float) -> dict[str, str | parts.Cell]:
    outcome = session.engine().letters.outcome(run.id)
    by = f"paused by {'you' if run.paused_by == 'person' else run.paused_by}" if run.state == "paused" else None
    return {
        "id": str(run.id),
        "of": str(run.parent or wording.NOTHING),
        "state": parts.state_cell(run.state, words=by),
        "version": parts.Cell(wording.head(run.version, 30), f"{run.version} · {run.model} at {run.connection}"),
        "rows": wording.number(run.counts.rows),
        "fixed": facts.fixed(outcome),
        "share": wording.percent(outcome.fixed, run.counts.rows),
        "same": parts.Cell(wording.number(outcome.same_failure), tone="dead" if outcome.same_failure else None),
        "new": parts.Cell(wording.number(outcome.new_failure), tone="dead" if outcome.new_failure else None),
        "waiting": wording.number(outcome.waiting),
        "cost": wording.money(run.cost),
        "note": parts.text_cell(run.note, 80),
        "when": parts.time_cell(run.created_at, now),
    }


page()
