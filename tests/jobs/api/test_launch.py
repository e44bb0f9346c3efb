"""What a person leaves out of a launch is the same wherever it is asked: in the forecast and in the run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs import errors
from jobs.api import Engine
from jobs.api.launch import Launch
from jobs.options import RunOptions
from tests.jobs.ledger import Ledger


@pytest.fixture
def launch(engine: Engine, ledger: Ledger) -> Launch:
    return Launch(
        version=engine.prompts.get(ledger.version()),
        dataset=engine.datasets.get(ledger.dataset(40)),
        connection=engine.settings.connection("openai"),
    )


def test_what_is_left_out_is_forecast_as_it_would_be_started(engine: Engine, launch: Launch) -> None:
    """The model, the options and the id column that a run would be given are those of its forecast."""
    asked = engine.runs.prepared(launch)
    said = replace(launch, model=asked.model, options=asked.options, id_column=asked.id_column)

    assert engine.runs.forecast(launch) == engine.runs.forecast(said)
    assert engine.runs.prepared(said) == asked


def test_what_a_launch_asks_is_what_was_said_before_what_is_usual(launch: Launch) -> None:
    """Said by the person, else by the version, else by the connection."""
    fixed = replace(launch.version, content=launch.version.content.model_copy(update={"model": "own-7b"}))
    free = replace(launch.version, content=launch.version.content.model_copy(update={"model": None}))
    nobody = launch.connection.model_copy(update={"models": ()})

    assert replace(launch, version=fixed, model="own-13b").asks == "own-13b"
    assert replace(launch, version=fixed).asks == "own-7b"
    assert replace(launch, version=free).asks == launch.connection.models[0]
    assert replace(launch, version=free, connection=nobody).asks == ""


def test_run_defaults_that_cannot_be_used_are_refused_only_where_they_are_needed(
    engine: Engine, launch: Launch
) -> None:
    """Options that somebody gives take their place."""
    broken = replace(launch, version=replace(launch.version, defaults={"strikes": "many"}))

    with pytest.raises(errors.InputError, match=r"run default 'strikes' of triage@1"):
        engine.runs.prepared(broken)
    assert engine.runs.prepared(replace(broken, options=RunOptions(strikes=2))).options.strikes == 2


def test_a_sample_is_spread_over_the_rows_of_the_launch(launch: Launch) -> None:
    """Over the first rows, or over those that were chosen, and never more than there are."""
    assert launch.spread(4) == (1, 11, 21, 31)
    assert replace(launch, limit=8).spread(4) == (1, 3, 5, 7)
    assert replace(launch, ordinals=(5, 9, 12)).spread(10) == (5, 9, 12)
