"""How many rows a call: the same rows in every size, what each has cost and how far it agrees with one row a call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import errors
from jobs.api.launch import Launch
from jobs.api.rivals import Weighed
from jobs.api.trials import agreement
from jobs.options import Check, RunOptions
from jobs.settings import Price
from jobs.testing import StubProvider, marked
from jobs.testing.script import Act, Ask
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
        Launch(version=version, dataset=dataset, connection=home.settings.connection("stub"), options=RunOptions()),
        key="t",
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
    launch = Launch(
        version=home.version(),
        dataset=home.dataset(["a", "b", "c"]),
        connection=home.settings.connection("stub"),
        options=RunOptions(),
    )

    assert home.engine.trials.start(launch, key="k") == home.engine.trials.start(launch, key="k")


def test_what_cannot_be_tried_is_said_before_anything_is_asked(home: Home) -> None:
    """A template whose other messages depend on the row, and a table of one row."""
    fixed = home.version(CONTENT.model_copy(update={"template": "system:\n{{ text }}\nuser:\nGo.\n"}), "other")
    for version, rows, words in ((fixed, ["a", "b"], "last user message"), (home.version(), ["a"], "too few rows")):
        with pytest.raises(errors.InputError, match=words):
            home.engine.trials.start(
                Launch(
                    version=version,
                    dataset=home.dataset(rows, f"{len(rows)}.csv"),
                    connection=home.settings.connection("stub"),
                    options=RunOptions(),
                ),
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


@pytest.fixture
def rivals(tmp_path: Path, redis_address: str) -> Iterator[Home]:
    """A home with two models: the cheap one is wrong on hard rows, and knows it."""

    def cheap(ask: Ask) -> Act | None:
        wrong = json.dumps({"sentiment": "bad", "words": 2})
        if ask.model != "dear" and "broken" in ask.user:
            return Act(content='{"sentiment": "so-so"}')
        return Act(content=wrong) if ask.model != "dear" and "hard" in ask.user else None

    prices = {"dear": Price(input=10.0, output=20.0)}
    with StubProvider(cheap, marked, answer={"sentiment": "good", "words": 2}, prices=prices) as stub:
        stub.confidence = lambda row, path: 0.6 if "hard" in row else 0.99
        more = "[stub.prices.dear]\ninput = 10.0\noutput = 20.0\n"
        home = Home(tmp_path / "home", redis_address, stub, chance=lambda: 0.0, more=more)
        yield home
        home.close()


def _weighed(home: Home, rows: list[str], target: float = 0.9, file: Path | None = None) -> Weighed:
    here = home.settings.connection("stub")
    runs = home.engine.trials.rivals(
        version=home.version(),
        dataset=home.engine.datasets.add(file) if file else home.dataset(rows),
        cheap=(here, "stub-model"),
        dear=(here, "dear"),
        key="rivals",
    )
    for run in runs:
        assert home.ended(run).kind == "try"
    return home.engine.trials.weigh(runs, target=target)


def test_two_models_are_compared_and_a_threshold_is_proposed(rivals: Home) -> None:
    """Between the confidences of the wrong and the right; what climbs and what is saved has its n."""
    found = _weighed(rivals, [f"{'hard' if n % 5 == 0 else 'easy'} {n}" for n in range(100)])

    assert (found.n, found.broken, found.untold, found.fields) == (100, 0, 0, ("sentiment", "words"))
    assert [(one.path, one.n, one.agree) for one in found.agreement] == [("sentiment", 100, 80), ("words", 100, 100)]
    assert found.proposal.threshold is not None and found.proposal.threshold <= 0.99
    assert found.saving is not None and found.saving.saving is not None
    assert found.saving.climbs.n == 100 and found.saving.climbs.about in (0.0, 0.2)
    assert [(str(one.check), one.n, one.disagree) for one in found.disputed] == [("sentiment=bad", 20, 20)]
    assert found.dear_cost == pytest.approx(10 * (found.cheap_cost or 0.0))


def test_too_few_rows_say_how_many_it_would_take(rivals: Home) -> None:
    """Nothing is proposed on a hunch."""
    found = _weighed(rivals, [f"easy {n}" for n in range(20)], target=0.98)

    assert (found.proposal.threshold, found.proposal.reason) == (None, "too few to know")
    assert found.proposal.needed is not None and found.proposal.needed > 100


def test_without_probabilities_only_what_climbs_anyway_is_reckoned(rivals: Home) -> None:
    """Contract failures climb; the rest is kept with the agreement that it has."""
    rivals.stub.confidence = None
    found = _weighed(rivals, ["broken", *(f"easy {n}" for n in range(39))])

    assert (found.proposal.reason, found.untold) == ("no case has a confidence", found.n - found.broken)
    assert found.saving is not None and found.saving.climbs.about == found.broken / found.n


def test_golden_rows_judge_both(rivals: Home, tmp_path: Path) -> None:
    """The dear model is not right by definition then."""
    file = tmp_path / "golden.csv"
    file.write_text("id,text,expected.sentiment\n1,easy,good\n2,hard,good\n3,easy too,bad\n")
    found = _weighed(rivals, [], file=file)
    ((cheap, dear),) = found.right

    assert (cheap.n, cheap.agree, dear.agree) == (3, 1, 2)


@pytest.mark.parametrize("tells", [True, False])
def test_values_that_are_always_checked_climb_in_the_figures(rivals: Home, tells: bool) -> None:
    """Then nothing that is kept is wrong, and no confidence is needed; whether or not the endpoint tells one."""
    if not tells:
        rivals.stub.confidence = None
    before = _weighed(rivals, [f"{'hard' if n % 5 == 0 else 'easy'} {n}" for n in range(100)], target=0.95)
    runs = [before.cheap.id, before.dear.id]
    found = rivals.engine.trials.weigh(runs, target=0.95, checks=[Check(field="sentiment", value="bad")])

    assert found.saving is not None and (found.saving.climbs.about, found.saving.table.about) == (0.2, 1.0)
    assert found.disputed == before.disputed
    if tells:
        assert found.proposal.threshold == 0.0 and (before.proposal.threshold or 0.0) > 0.6
    else:
        assert before.saving is not None and before.saving.climbs.about == 0.0


def test_only_two_runs_of_the_same_are_weighed(rivals: Home) -> None:
    """Anything else compares nothing."""
    run = rivals.went(["a"])
    with pytest.raises(errors.InputError, match="two runs of one version"):
        rivals.engine.trials.weigh([run.id], target=0.9)
