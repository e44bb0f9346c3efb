"""The runs of this home, the newest first."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from jobs.views.runs import Run
from workbench import parts, session, wording
from workbench.screens import archiving
from workbench.screens.running import sums

#: seconds between two looks while one of the shown runs is at work
GLANCE = 4.0
KINDS = ("run", "replay", "evaluation", "try")
STATES = ("any", "running", "paused", "finished", "cancelled")
EVERY = "every prompt"


def page() -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        parts.header("Runs", subtitle="A run asks a model about the rows of a dataset, with one version of a prompt.")
        session.link("**Launch a run**", "launch")
    archiving.asked()
    kinds, prompt, state, archived = _filters()

    def fetch(offset: int, limit: int) -> tuple[list[Run], int]:
        return session.engine().runs.list(
            offset=offset, limit=limit, kinds=kinds, prompt=prompt, state=state, archived=archived
        )

    found, total = parts.shown("page", fetch)
    if not total and not session.engine().runs.list(kinds=["run"], archived=None, limit=0)[1] and kinds == ["run"]:
        _nothing()
        return
    busy = _at_work(found)

    def look() -> str:
        bar = st.container(horizontal=True)
        shown, _ = parts.paged("page", fetch, noun="run")
        if shown:
            ticked = _table(list(shown))
            with bar:
                archiving.ticked("run", ticked, archived=archived, watched=True)
        else:
            st.caption("No run is like that.")
        return str(_at_work(shown))

    parts.watch(look, standing=str(busy), every=GLANCE if busy else None)


def _at_work(shown: Sequence[Run]) -> bool:
    return any(run.ended_at is None and run.state != "paused" for run in shown)


def _filters() -> tuple[list[str], str | None, str | None, bool]:
    names = [EVERY, *(prompt.name for prompt in archiving.prompts(session.param("prompt")))]
    with st.container(horizontal=True, vertical_alignment="center"):
        kinds = st.pills(
            "Kind",
            KINDS,
            selection_mode="multi",
            default=["run"],
            key="kind",
            bind="query-params",
            label_visibility="collapsed",
        )
        state = parts.filters.segments("state", STATES, default="any")
        prompt = parts.filters.select("prompt", names, default=EVERY)
        archived = archiving.shown("run")
    return kinds or list(KINDS), None if prompt == EVERY else prompt, None if state == "any" else state, archived


def _nothing() -> None:
    parts.empty(
        "No run yet",
        "A run takes a dataset and a version of a prompt, and asks the model about every row in the background. It goes on "
        "when the browser is closed; its page shows what was accepted, what died and why, and what it cost.",
    )
    session.link("**Launch the first run**", "launch")


def _table(runs: list[Run]) -> list[str]:
    """Draw them; those that are ticked."""
    now = time.time()
    columns = [
        parts.Column(key="id", label="Run", kind="strong"),
        parts.Column(key="kind", label="Kind"),
        parts.Column(key="state", label="State"),
        parts.Column(key="version", label="Version"),
        parts.Column(key="dataset", label="Dataset"),
        parts.Column(key="model", label="Model"),
        parts.Column(key="rows", label="Rows", kind="number"),
        parts.Column(key="accepted", label="Accepted", kind="number"),
        parts.Column(key="dead", label="Dead", kind="number"),
        parts.Column(key="waiting", label="Waiting", kind="number"),
        parts.Column(key="cost", label="Cost", kind="number"),
        parts.Column(key="took", label="Took", kind="number", help="time at work, without pauses"),
        parts.Column(key="when", label="Started"),
    ]
    opened, chosen = parts.table(
        columns,
        [parts.Row(str(run.id), _row(run, now)) for run in runs],
        key="runs",
        opens=True,
        choose=True,
        label="runs",
    )
    if opened:
        kinds = {str(run.id): run.kind for run in runs}
        session.go("replay" if kinds[opened] == "replay" else "run", id=opened)
    return chosen


def _row(run: Run, now: float) -> dict[str, str | parts.Cell]:
    counts = run.counts
    by = f"paused by {'you' if run.paused_by == 'person' else run.paused_by}" if run.state == "paused" else None
    return {
        "id": str(run.id),
        "kind": wording.KINDS.get(run.kind, run.kind) + ("" if run.options.batch == "no" else ", batch"),
        "state": parts.state_cell(run.state, words=by),
        "version": parts.text_cell(run.version, 30),
        "dataset": parts.text_cell(run.dataset_name, 26),
        "model": parts.text_cell(run.model, 24),
        "rows": wording.number(counts.rows),
        "accepted": sums.accepted(run),
        "dead": sums.dead(run),
        "waiting": wording.number(counts.waiting),
        "cost": wording.money(run.cost),
        "took": wording.duration(run.seconds),
        "when": parts.time_cell(run.created_at, now),
    }


page()
