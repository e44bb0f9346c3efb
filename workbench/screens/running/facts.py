"""What was frozen with a run, where it comes from, and what has come of it."""

from __future__ import annotations

import time

import streamlit as st

from jobs.views.letters import ReplayOutcome
from jobs.views.runs import Run
from workbench import parts, session, wording
from workbench.screens.running import laddering, overnight

#: replays that a run's page names
REPLAYS = 50


def settings(run: Run) -> None:
    """Draw how the run is made."""
    options = run.options
    zone = session.zone()
    pairs = {
        "Version": run.version,
        "Dataset": run.dataset_name,
        "Model": run.model,
        "Connection": f"{run.connection}, {run.base_url}",
        **laddering.facts(run),
        "Price": "known, stored with each call" if run.price_known else wording.UNKNOWN,
        "Row id": run.id_column or "the row's number",
        "Calls in flight": wording.number(options.in_flight),
        "Rows a call": wording.number(options.rows_per_call),
        **overnight.facts(run),
        "Strikes": wording.count(options.strikes, "strike"),
        "Budget": wording.money(options.budget) if options.budget is not None else "no limit",
        "Rate": _rate(options.rpm, options.tpm),
        "Timeout": wording.duration(options.timeout),
        "Equal rows and earlier answers": "reused" if options.reuse else "asked again",
        "Started": wording.exact(run.created_at, zone),
        "Ended": wording.exact(run.ended_at, zone),
    }
    if options.echo and options.rows_per_call > 1:
        pairs["Echo"] = ", ".join(f"{field} repeats {column}" for field, column in options.echo.items())
    if run.note:
        pairs["Note"] = run.note
    parts.facts(pairs)


def _rate(rpm: int | None, tpm: int | None) -> str:
    told = [f"{rpm:,} requests a minute"] if rpm else []
    told += [f"{tpm:,} tokens a minute"] if tpm else []
    return ", ".join(told) or "the connection's limits"


def fixed(outcome: ReplayOutcome) -> parts.Cell:
    """How many letters a replay has fixed, as they stand now: what was taken back is not among them."""
    back = f" ({outcome.taken_back:,} taken back)" if outcome.taken_back else ""
    return parts.Cell(f"{outcome.fixed:,}{back}", tone="accepted" if outcome.fixed else None)


def lineage(run: Run) -> None:
    """Draw where the run comes from, and the replays of its dead letters."""
    engine = session.engine()
    with st.container(horizontal=True, vertical_alignment="center"):
        if run.parent is not None:
            parent = engine.runs.get(run.parent)
            st.text(f"{wording.KINDS.get(run.kind, 'run').capitalize()} of dead letters of")
            session.hop(f"run {parent.id}", "replay" if parent.kind == "replay" else "run", key="parent", id=parent.id)
            if run.root != run.parent:
                st.text("; its values go to")
                session.hop(f"run {run.root}", "run", key="root", id=run.root)
        else:
            st.text(
                "Launched by a person."
                if run.kind == "run"
                else f"Launched as {wording.KINDS.get(run.kind, run.kind)}."
            )
        session.link("Its dataset", "dataset", id=run.dataset)
        session.link("Its prompt", "prompt", name=run.prompt, dataset=run.dataset)
    taken = [one for one in engine.letters.decisions(run=run.id, limit=500) if one.kind == "replay" and one.replay]
    if not taken:
        return
    parts.section("Replays of its dead letters", note=f"{len(taken):,}")
    now = time.time()
    rows = []
    for one in taken[:REPLAYS]:
        replay = engine.runs.get(int(one.replay or 0))
        rows.append(
            parts.Row(
                str(replay.id),
                {
                    "id": str(replay.id),
                    "version": replay.version,
                    "rows": wording.number(replay.counts.rows),
                    "fixed": fixed(engine.letters.outcome(replay.id)),
                    "state": parts.state_cell(replay.state),
                    "note": parts.text_cell(one.reason),
                    "when": parts.time_cell(one.made_at, now),
                },
            )
        )
    columns = [
        parts.Column(key="id", label="Replay", kind="strong"),
        parts.Column(key="version", label="Version"),
        parts.Column(key="rows", label="Rows", kind="number"),
        parts.Column(key="fixed", label="Fixed", kind="number"),
        parts.Column(key="state", label="State"),
        parts.Column(key="note", label="Note", kind="wide"),
        parts.Column(key="when", label="When"),
    ]
    opened = parts.table(columns, rows, key=f"replays-of:{run.id}", opens=True, label="replays of the run").opened
    if opened:
        session.go("replay", id=opened)
