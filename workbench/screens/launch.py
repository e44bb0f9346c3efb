"""Launching a run: what it is of, how it is made, and what it is likely to take, before the click."""

from __future__ import annotations

import streamlit as st

from jobs import errors
from jobs.views.datasets import Dataset
from workbench import parts, session, wording
from workbench.screens import archiving
from workbench.screens.running import wish


def page() -> None:
    parts.header("Launch a run", subtitle="It works in the background: closing the browser changes nothing.")
    ready = archiving.datasets(session.param("dataset"))
    if _missing(ready):
        return
    left, right = st.columns([3, 2], gap="medium")
    with left:
        chosen = wish.choose(ready)
    if chosen is None:
        return
    with right:
        troubles, warnings = wish.forecast(chosen)
        _launch(chosen, troubles)
        # below the button, which must not move under a press that also hands over what was typed
        if warnings:
            parts.panel("\n".join(warnings), title="To know before", tone="paused")


def _missing(ready: list[Dataset]) -> bool:
    """Say what is needed first, if something is."""
    engine = session.engine()
    needed = []
    if not ready:
        needed.append("a dataset (upload a table, or load a sample)")
    prompts = [prompt for prompt in archiving.prompts(session.param("prompt")) if prompt.latest or prompt.in_folder]
    if not prompts:
        needed.append("a prompt (write one, or put a folder into the prompts folder)")
    connected = bool(engine.system.connections())
    if not connected:
        parts.panel(
            engine.system.model_in_words(), title="No model is connected", hint="redrive doctor says what to do."
        )
    if needed:
        parts.empty("Before a run can be launched", f"A run needs {' and '.join(needed)}.")
        with st.container(horizontal=True):
            if not ready:
                session.link("**Upload a table**", "datasets")
            if not prompts:
                session.link("**Write a prompt**", "prompts")
    return bool(needed) or not connected


def _launch(chosen: wish.Wish, troubles: list[str]) -> None:
    rows = chosen.launch.rows
    # not disabled while it cannot be launched: the press that leaves a field may bring what was lacking
    key = session.button(
        "Launch" if troubles else f"Launch {wording.count(rows, 'row')}",
        action="launch",
        type="secondary" if troubles else "primary",
        help="Starts the run once, however often it is pressed",
        form=chosen.asked,
    )
    if troubles:
        title = "It cannot be launched like this" if key is None else "Nothing was launched: it cannot be like this"
        parts.panel("\n".join(troubles), title=title, tone="dead")
    if key is None or troubles:
        return
    run = parts.perform("launch", lambda: _start(chosen, key))
    if run is not None:
        session.notify(f"Run {run} is launched")
        session.go("run", id=run)


def _start(chosen: wish.Wish, key: str) -> int:
    if not chosen.launch.model:
        raise errors.InputError("choose a model")
    return session.engine().runs.start(chosen.launch, key=key)


page()
