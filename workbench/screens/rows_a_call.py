"""How many rows a call: every size tried on the same rows, what it costs, how it goes, and how far it agrees with one row a call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from jobs import errors
from jobs.api.launch import Launch
from jobs.api.trials import SAMPLE, SIZES
from jobs.options import RunOptions
from jobs.settings import Connection
from jobs.views.datasets import Dataset
from jobs.views.prompts import Version
from jobs.views.trials import Trial
from workbench import parts, session, wording
from workbench.screens.running import echoing

#: seconds between two looks while a size is at work
GLANCE = 2.0
_SIZES = ", ".join(map(str, SIZES[:-1])) + f" and {SIZES[-1]}"


def page() -> None:
    parts.header(
        "How many rows a call?",
        subtitle=f"{_SIZES} rows a call on the same {SAMPLE} rows, before all of them are asked about",
    )
    runs = session.ints_param("runs")
    if runs:
        _compared(runs)
        return
    engine = session.engine()
    reference, identity, name = session.param("prompt"), session.param("dataset"), session.param("connection")
    if reference is None or identity is None or name is None:
        parts.empty(
            "Nothing to try", "Choose a dataset, a prompt and a connection for a run, and open this page from there."
        )
        session.link("Launch a run", "launch")
        return
    version, dataset = engine.prompts.resolve(reference), engine.datasets.get(identity)
    connection = next((one for one in engine.system.connections() if one.name == name), None)
    if connection is None:
        raise errors.InputError(f"there is no connection {name!r}")
    _before(version, dataset, connection, session.param("model"))


def _before(version: Version, dataset: Dataset, connection: Connection, model: str | None) -> None:
    """What it will take, and the button."""
    engine = session.engine()
    chosen = engine.runs.model_of(Launch(version=version, dataset=dataset, connection=connection, model=model))
    rows = min(SAMPLE, dataset.row_count)
    echo, _ = echoing.proposed(version, dataset.columns)
    launch = Launch(
        version=version,
        dataset=dataset,
        connection=connection,
        model=chosen,
        options=RunOptions(echo=echo),
        kind="try",
    )
    one = engine.runs.forecast(replace(launch, limit=rows))
    calls = sum(-(-rows // size) for size in SIZES if size <= rows)
    parts.facts(
        {
            "Prompt": version.reference,
            "Dataset": f"{dataset.name}: {wording.count(rows, 'row')}, spread over it",
            "Model": f"{chosen} at {connection.name}",
            "Calls": f"{calls} at least",
            "Cost": f"first answers at most {wording.money(one.cost_ceiling * len(SIZES))}"
            if one.cost_ceiling
            else wording.money(one.cost_ceiling),
        }
    )
    st.caption(wording.escaped(echoing.catches(version.content, dataset.columns, echo)))
    st.caption("Each size is a try of its own: in the ledger and in the costs, and nothing is reused.")
    action = f"trial:{version.id}:{dataset.id}"
    key = session.button(f"Try {_SIZES} rows a call", action=action, type="primary")
    if key is None:
        return
    made = parts.perform(action, lambda: engine.trials.start(launch, key=key))
    if made is not None:
        session.put(runs=",".join(map(str, made)))
        st.rerun()


def _compared(runs: Sequence[int]) -> None:
    trials = session.engine().trials.compare(runs)
    run = trials[0].run
    parts.facts(
        {
            "Prompt": run.version,
            "Dataset": f"{run.dataset_name}: {wording.count(run.counts.rows, 'row')} of it",
            "Model": f"{run.model} at {run.connection}",
        }
    )
    session.hop(
        "Try again …",
        "rows_a_call",
        key="trials:again",
        prompt=run.version,
        dataset=run.dataset,
        connection=run.connection,
        model=run.model,
        echo=echoing.address(run.options.echo),
    )

    def look() -> str:
        now = session.engine().trials.compare(runs)
        _table(now)
        return str(_at_work(now))

    parts.watch(look, standing=str(_at_work(trials)), every=GLANCE if _at_work(trials) else None)
    _fields(trials)


def _at_work(trials: Sequence[Trial]) -> bool:
    return any(trial.run.ended_at is None and trial.run.state != "paused" for trial in trials)


_COLUMNS = (
    parts.Column(key="size", label="Rows a call", kind="strong"),
    parts.Column(key="state", label="State"),
    parts.Column(key="accepted", label="Accepted", kind="number", help="rows that got a value in the end"),
    parts.Column(key="calls", label="Calls", kind="number", help="with those that asked again"),
    parts.Column(
        key="cost", label="Cost a row", kind="number", help="US dollars for each accepted row, failures in it"
    ),
    parts.Column(key="tokens", label="Tokens a row", kind="number", help="in and out, for each accepted row"),
    parts.Column(key="once", label="Answered at once", kind="number", help="rows that their first call gave a value"),
    parts.Column(
        key="salvaged", label="Salvaged", kind="number", help="values from a reply that was not as it was asked for"
    ),
    parts.Column(key="seconds", label="A call takes", kind="number", help="half of the replies took no longer"),
    parts.Column(key="agree", label="Agrees", kind="number", help="fields that say the same as with one row a call"),
)


def _table(trials: Sequence[Trial]) -> None:
    picked = parts.table(
        _COLUMNS,
        [parts.Row(str(trial.run.options.rows_per_call), _row(trial)) for trial in trials],
        key="trials",
        opens=True,
        label="rows a call",
    ).opened
    st.caption("A click takes that number to the launch form.")
    if picked:
        run = trials[0].run
        echo = echoing.address(run.options.echo)
        session.go("launch", prompt=run.version, dataset=run.dataset, rows_a_call=picked, echo=echo)


def _row(trial: Trial) -> dict[str, str | parts.Cell]:
    run, counts = trial.run, trial.run.counts
    agree, n = sum(one.agree for one in trial.fields), sum(one.n for one in trial.fields)
    tokens = run.prompt_tokens + run.completion_tokens
    replies = f"n = {wording.count(run.calls, 'call')}"
    return {
        "size": wording.number(run.options.rows_per_call),
        "state": parts.state_cell(run.state),
        "accepted": parts.Cell(f"{counts.accepted:,} of {counts.rows:,}", f"{counts.dead:,} died"),
        "calls": wording.number(run.calls),
        "cost": parts.Cell(
            wording.NOTHING if not counts.accepted else wording.money(None if run.cost is None else run.cost / counts.accepted),
            f"n = {wording.count(counts.accepted, 'accepted row')}",
        ),
        "tokens": wording.number(round(tokens / counts.accepted)) if counts.accepted else wording.NOTHING,
        "once": parts.Cell(wording.percent(trial.answered_at_once, counts.rows), f"n = {wording.count(counts.rows, 'row')}"),
        "salvaged": wording.number(trial.salvaged),
        "seconds": parts.Cell(
            wording.NOTHING if trial.median_seconds is None else wording.duration(trial.median_seconds), replies
        ),
        "agree": parts.Cell("is the measure" if run.options.rows_per_call == 1 else _share(agree, n), f"n = {n:,} fields"),
    }  # fmt: skip


def _share(agree: int, n: int) -> str:
    return wording.percent(agree, n) if n else wording.NOTHING


def _fields(trials: Sequence[Trial]) -> None:
    """The agreement of each field; a field in which the model is free to word it will rarely be the same."""
    names = list(dict.fromkeys(one.path for trial in trials for one in trial.fields))
    if not names:
        return
    parts.section(
        "Agreement with one row a call",
        note="rows that both gave a value; free text is rarely worded the same twice, by one row a call neither",
    )
    several = [trial for trial in trials if trial.fields]
    columns = [
        parts.Column(key="field", label="Field", kind="strong"),
        *(
            parts.Column(key=str(trial.run.id), label=f"{trial.run.options.rows_per_call} rows a call", kind="number")
            for trial in several
        ),
    ]
    rows = []
    for name in names:
        cells: dict[str, str | parts.Cell] = {"field": parts.text_cell(name, 60)}
        for trial in several:
            found = next((one for one in trial.fields if one.path == name), None)
            if found is not None:
                cells[str(trial.run.id)] = parts.Cell(f"{_share(found.agree, found.n)} of n = {found.n}")
        rows.append(parts.Row(name, cells))
    parts.table(columns, rows, key="fields", label="agreement by field")


page()
