"""Evaluating a saved version on the golden rows of its folder, as ``redrive eval`` does: by which model, and what it will take."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from jobs import errors
from jobs.api.launch import Launch
from jobs.options import RunOptions
from jobs.settings import Connection
from jobs.views.prompts import Version
from workbench import parts, session, wording
from workbench.screens.running import numbers, wish


def golden(name: str) -> Path | None:
    """The golden rows of a prompt's folder, if it has any."""
    file = session.engine().settings.prompts / name / "golden.csv"
    return file if file.is_file() else None


@st.dialog("Evaluate on golden rows", width="large")
def dialog(version: Version, file: Path) -> None:
    """Choose who answers, say what it will take, and start the evaluation once; its page shows the agreement."""
    engine = session.engine()
    st.text(
        f"{version.reference} is asked about every row of {file.parent.name}/{file.name}; earlier answers are not used again. "
        "The page of the evaluation shows how far each field agrees, and which rows do not."
    )
    connections = {one.name: one for one in engine.system.connections()}
    if not connections:
        parts.panel(
            engine.system.model_in_words(), title="No model is connected", hint="redrive doctor says what to do."
        )
        return
    try:
        dataset = engine.evaluations.table(version, file)
    except errors.InputError as error:
        parts.error(error, title="It cannot be evaluated")
        return
    connection, model, options, wrong = _choose(version, connections)
    launch = Launch(
        version=version, dataset=dataset, connection=connection, model=model, options=options, kind="evaluation"
    )
    chosen = wish.Wish(launch=launch, limit=None, troubles=tuple(wrong))
    troubles, warnings = wish.forecast(chosen)
    action = f"evaluate:{version.id}"
    # not disabled while it cannot be started: the press that leaves a field may bring what was lacking
    key = session.button(
        f"Evaluate {wording.count(launch.rows, 'golden row')}",
        action=action,
        type="secondary" if troubles else "primary",
        help="Starts the evaluation once, however often it is pressed",
        form=chosen.asked,
    )
    # below the button, which must not move under a press that also hands over what was typed
    if troubles:
        parts.panel("\n".join(troubles), title="It cannot be evaluated like this", tone="dead")
    elif warnings:
        parts.panel("\n".join(warnings), title="To know before", tone="paused")
    if key is None or troubles:
        return
    run = parts.perform(action, lambda: engine.runs.start(launch, key=key))
    if run is not None:
        session.notify(f"Evaluation {run} is launched")
        session.go("run", id=run)


def _choose(version: Version, connections: dict[str, Connection]) -> tuple[Connection, str, RunOptions, list[str]]:
    """Draw who answers and how, and what is wrong with it; the rest is as the version's runs begin."""
    usual, of = wish.usual_options(version), version.id
    troubles: list[str] = []
    with st.container(horizontal=True, vertical_alignment="bottom"):
        connection = connections[
            st.selectbox(
                "Connection",
                list(connections),
                format_func=lambda one: wording.head(one, 40),
                key=f"evaluate:connection:{of}",
            )
        ]
        model = wish.choose_model(connection, version.content.model, key=f"evaluate:model:{of}")
        in_flight = numbers.whole(
            "Calls in flight",
            usual.in_flight if "in_flight" in version.defaults else connection.in_flight,
            f"evaluate:in_flight:{of}:{connection.name}",
            troubles,
            most=2000,
            help="over all workers",
        )
        budget = numbers.money("Budget, $", usual.budget, f"evaluate:budget:{of}", troubles)
    ladder = usual.ladder
    if ladder is not None:
        names = ", then ".join([model, *map(str, ladder.climbs)])
        if not st.checkbox(
            wording.escaped(wording.head(f"With the ladder of the prompt's runs: {names}", 160)),
            True,
            key=f"evaluate:ladder:{of}",
            help="Without it the model above alone answers every row, so that the agreement is that model's.",
        ):
            ladder = None
    options = usual.model_copy(update={"in_flight": in_flight, "budget": budget, "ladder": ladder})
    return connection, model, options, troubles
