"""How many rows a call: the same rows in every size, what each has cost and how far it agrees with one row a call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import errors
from jobs.api.trials import agreement
from jobs.options import RunOptions
from jobs.testing import StubProvider
from tests.house import CONTENT, Home


@pytest.fixture
def home(tmp_path: Path, redis_address: str) -> Iterator[Home]:
    with StubProvider(answer={"sentiment": "good", "words": 2}) as stub:
        home = Home(tmp_path / "home", redis_address, stub, chance=lambda: 0.0)
        yield home
        home.close()


def test_each_size_is_tried_on_the_same_rows(home: Home) -> None:
    """As runs of their own that reuse nothing; calls, money and answers are counted for each."""
    dataset = home.dataset([f"row {number}" for number in range(60)])
    long = "system:\n" + "Judge the mood of what follows. " * 60 + "\nuser:\n{{ text }}\n"
    version = home.version(CONTENT.model_copy(update={"template": long}))
    runs = home.engine.trials.start(
        version=version, dataset=dataset, connection=home.settings.connection("stub"), options=RunOptions(), key="t"
    )
    for run in runs:
        home.ended(run)
    trials = home.engine.trials.compare(runs)
    rows = {tuple(ordinal for ordinal, *_ in _answers(home, run)) for run in runs}

    assert [trial.run.options.rows_per_call for trial in trials] == [1, 2, 5, 10, 20]
    assert [trial.run.calls for trial in trials] == [20, 10, 4, 2, 1]
    assert len(rows) == 1 and {trial.run.kind for trial in trials} == {"try"}
    assert [trial.answered_at_once for trial in trials] == [20] * 5
    assert trials[0].fields == () and [(one.n, one.agree) for one in trials[4].fields] == [(20, 20)] * 2
    costs = [trial.run.cost or 0.0 for trial in trials]
    assert costs == sorted(costs, reverse=True) and costs[4] > 0


def test_the_same_click_twice_tries_once(home: Home) -> None:
    """The key names the whole of it."""
    wish = {
        "version": home.version(),
        "dataset": home.dataset(["a", "b", "c"]),
        "connection": home.settings.connection("stub"),
        "options": RunOptions(),
    }

    assert home.engine.trials.start(**wish, key="k") == home.engine.trials.start(**wish, key="k")


def test_what_cannot_be_tried_is_said_before_anything_is_asked(home: Home) -> None:
    """A template whose other messages depend on the row, and a table of one row."""
    fixed = home.version(CONTENT.model_copy(update={"template": "system:\n{{ text }}\nuser:\nGo.\n"}), "other")
    for version, rows, words in ((fixed, ["a", "b"], "last user message"), (home.version(), ["a"], "too few rows")):
        with pytest.raises(errors.InputError, match=words):
            home.engine.trials.start(
                version=version,
                dataset=home.dataset(rows, f"{len(rows)}.csv"),
                connection=home.settings.connection("stub"),
                options=RunOptions(),
                key=words,
            )
    assert home.engine.runs.list()[1] == 0


def test_agreement_is_by_field_over_rows_that_both_answered() -> None:
    """A field that one of them leaves out is a difference; a row that one of them lacks is not counted."""
    singly = {1: {"a": 1, "b": "x"}, 2: {"a": 2}, 3: {"a": 3}}
    together = {1: {"a": 1.0, "b": "y"}, 2: {"a": 2, "b": "z"}}

    found = {one.path: (one.agree, one.n) for one in agreement(singly, together)}

    assert found == {"a": (2, 2), "b": (0, 2)}


def _answers(home: Home, run: int) -> list[tuple[int]]:
    query = "SELECT ordinal FROM run_rows WHERE run = ? ORDER BY ordinal"
    return list(home.engine._house.read().execute(query, [run]).fetchall())
