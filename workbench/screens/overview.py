"""What needs somebody now: runs that cannot go on, dead letters that wait for a decision, and what is at work."""

from __future__ import annotations

import time

import streamlit as st

from jobs.views.runs import Run
from jobs.views.system import Overview
from workbench import parts, session, wording
from workbench.screens.running import sums

#: seconds between two looks while something runs
GLANCE = 3
#: runs at work whose time left is said; each takes a look at its newest calls
OUTLOOKS = 5


def page() -> None:
    parts.header("Overview")
    found = session.engine().system.overview(time.time())
    busy = bool(found.active_runs)
    parts.watch(_body, standing=str(busy), every=GLANCE if busy else None)


def _body() -> str:
    now = time.time()
    found = session.engine().system.overview(now)
    _figures(found)
    if not found.recent_runs and not found.active_runs:
        _first_steps(found)
    for run in found.stuck_runs:
        _stuck(run)
    if found.open_letters:
        _letters(found)
    if found.active_runs:
        parts.section("At work", note="updates while it runs")
        for place, run in enumerate(found.active_runs):
            _active(run, tells=place < OUTLOOKS)
    if found.recent_runs:
        parts.section("Latest runs")
        _recent(found.recent_runs, now)
    return str(bool(found.active_runs))


def _figures(found: Overview) -> None:
    parts.figures(
        [
            parts.Figure(
                label="Dead letters open",
                value=wording.number(found.open_letters),
                note=f"{found.new_letters_24h:,} new in 24 h",
                tone="dead" if found.open_letters else "plain",
                help="rows that struck out or are hopeless, and wait for a decision",
            ),
            parts.Figure(label="Being replayed", value=wording.number(found.replaying_letters), note="dead letters"),
            parts.Figure(label="Resolved", value=wording.number(found.resolved_24h), note="dead letters, last 24 h"),
            parts.Figure(
                label="Runs at work",
                value=wording.number(len(found.active_runs)),
                note=f"{len(found.stuck_runs):,} paused for a cause" if found.stuck_runs else "none is stuck",
                tone="paused" if found.stuck_runs else "plain",
            ),
            parts.Figure(
                label="Spend",
                value=wording.spent(found.spend_24h, found.unpriced_calls_24h, found.open_calls_24h),
                note=f"last 24 h, n = {wording.count(found.calls_24h, 'call')}",
            ),
        ]
    )


def _first_steps(found: Overview) -> None:
    parts.empty(
        "Nothing has run yet",
        "A run takes a dataset and a version of a prompt, asks the model about every row, and holds every reply to the "
        "prompt's contract. What fails three times becomes a dead letter, with its raw reply beside its problems.",
    )
    with st.container(horizontal=True):
        session.link(f"1. Upload a table ({found.datasets} so far)", "datasets")
        session.link(f"2. Choose or write a prompt ({found.prompts} so far)", "prompts")
        session.link("3. Launch a run", "launch")


def _stuck(run: Run) -> None:
    parts.panel(
        run.reason or "no reason was recorded",
        title=f"Run {run.id} is paused by the {run.paused_by or 'engine'}: {run.version} on {run.dataset_name}",
        hint=f"{wording.count(run.counts.waiting, 'row')} waiting. Resume it once the cause is gone; nothing is lost meanwhile.",
    )
    session.link(f"Open run {run.id}", "run", id=run.id)


def _letters(found: Overview) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{wording.count(found.open_letters, 'dead letter')}** wait for a decision.", width="content")
        session.link("Review them by cause", "dead_letters")


def _active(run: Run, *, tells: bool) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            session.link(
                f"{wording.KINDS.get(run.kind, run.kind).capitalize()} {run.id}",
                "replay" if run.kind == "replay" else "run",
                id=run.id,
            )
            parts.badge(run.state, words="paused by you" if run.paused_by == "person" else None)
            st.text(
                wording.head(
                    f"{run.version} on {run.dataset_name} · {run.model} · {wording.pace(run.rows_a_minute)}"
                    f" · {wording.money(run.cost)}{_left(run) if tells else ''}"
                )
            )
        parts.counts_bar(run.counts)


def _left(run: Run) -> str:
    """How long it will take, as its own page says it; nothing while too few replies have come to say."""
    outlook = session.engine().runs.outlook(run.id)
    if outlook is None or outlook.seconds is None:
        return ""
    return f" · {wording.about(outlook.seconds, wording.duration)} left, n = {outlook.n:,}"


def _recent(runs: tuple[Run, ...], now: float) -> None:
    columns = [
        parts.Column(key="id", label="Run", kind="strong"),
        parts.Column(key="state", label="State"),
        parts.Column(key="version", label="Version"),
        parts.Column(key="dataset", label="Dataset", kind="wide"),
        parts.Column(key="rows", label="Rows", kind="number"),
        parts.Column(key="accepted", label="Accepted", kind="number"),
        parts.Column(key="dead", label="Dead", kind="number"),
        parts.Column(key="cost", label="Money", kind="number"),
        parts.Column(key="when", label="Started"),
    ]
    rows = [
        parts.Row(
            str(run.id),
            {
                "id": f"{run.id}" if run.kind == "run" else f"{run.id} · {wording.KINDS.get(run.kind, run.kind)}",
                "state": parts.state_cell(run.state),
                "version": run.version,
                "dataset": run.dataset_name,
                "rows": wording.number(run.counts.rows),
                "accepted": sums.accepted(run, share=True),
                "dead": sums.dead(run),
                "cost": wording.money(run.cost),
                "when": parts.time_cell(run.created_at, now),
            },
        )
        for run in runs
    ]
    opened = parts.table(columns, rows, key="recent", opens=True, label="latest runs").opened
    if opened:
        kinds = {str(run.id): run.kind for run in runs}
        session.go("replay" if kinds[opened] == "replay" else "run", id=opened)


page()
