"""engine.runs.forecast: what is asked, what it costs, what that is founded on, and what is said beforehand."""

from __future__ import annotations

from typing import Any

import pytest

from jobs import plan
from jobs.api import Engine
from jobs.api.launch import Launch
from jobs.estimates import Estimate
from jobs.options import RunOptions
from jobs.prices import price_of
from jobs.settings import Connection
from jobs.views.forecast import Forecast
from tests.jobs.ledger import TEMPLATE, Ledger


def _forecast(engine: Engine, dataset: str, version: int, **changes: Any) -> Forecast:
    given: dict[str, Any] = {
        "connection": engine.settings.connection("openai"), "model": "gpt-4o-mini", "options": RunOptions(), **changes,
    }  # fmt: skip
    return engine.runs.forecast(
        Launch(version=engine.prompts.get(version), dataset=engine.datasets.get(dataset), **given)
    )


@pytest.mark.parametrize(
    ("changes", "rows", "asked"),
    [
        ({}, 50, 40),
        ({"options": RunOptions(reuse=False)}, 50, 50),
        ({"limit": 20}, 20, 20),
        ({"limit": 45}, 45, 40),
        ({"limit": 9_000}, 50, 40),
        ({"ordinals": (1, 2, 41, 42)}, 4, 2),
    ],
)
def test_equal_rows_are_asked_once(
    engine: Engine, ledger: Ledger, changes: dict[str, Any], rows: int, asked: int
) -> None:
    """Rows that agree in the columns of the template are one question; the others that are chosen are one each."""
    found = _forecast(engine, ledger.dataset(50, repeats=10), ledger.version(), **changes)
    assert (found.rows, found.asked, found.reused) == (rows, asked, rows - asked)


def test_answers_that_are_there_are_not_asked_again(engine: Engine, ledger: Ledger) -> None:
    """Rows that an earlier run of the version has values for cost nothing; dead ones, and another model's, do."""
    dataset, version = ledger.dataset(50), ledger.version()
    ledger.run(dataset, version, rows=30, dead=6)
    assert _forecast(engine, dataset, version).asked == 50 - 24
    assert _forecast(engine, dataset, version, model="gpt-4o").asked == 50
    assert _forecast(engine, dataset, ledger.version(number=2)).asked == 50


def test_a_large_run_is_sampled(engine: Engine, ledger: Ledger) -> None:
    """Beyond the rows that are looked up one by one the figures come close, and equal rows are still told exactly."""
    dataset, version = ledger.dataset(6_000, repeats=1_000, id_column=None), ledger.version()
    assert _forecast(engine, dataset, version).asked == 5_000
    ledger.run(dataset, version, rows=3_000)
    assert _forecast(engine, dataset, version).asked == pytest.approx(2_000, rel=0.15)


def test_without_a_past_the_prompt_is_measured(engine: Engine, ledger: Ledger) -> None:
    """Tokens come from rendered rows, n says so, no figure has a range, and no time is promised."""
    found = _forecast(engine, ledger.dataset(40), ledger.version())
    assert (found.n, found.seconds) == (0, None)
    assert found.prompt_tokens / found.asked == pytest.approx(70, abs=25)
    assert 10 < found.completion_tokens / found.asked <= 128
    assert found.calls == Estimate(about=40) and found.warnings == ()
    assert found.tokens == Estimate(about=found.prompt_tokens + found.completion_tokens)
    assert found.cost is not None and found.cost.low is None and found.cost.high is None


def test_several_rows_a_call_are_measured_as_they_are_packed(engine: Engine, ledger: Ledger) -> None:
    """Fewer calls, which say what all rows share once, and a little more for each answer's id."""
    dataset, version = ledger.dataset(40), ledger.version()
    singly = _forecast(engine, dataset, version)
    together = _forecast(engine, dataset, version, options=RunOptions(rows_per_call=20))
    assert together.calls == Estimate(about=2)
    assert together.completion_tokens == singly.completion_tokens + 40 * plan.ID_TOKENS
    longer = ledger.version(number=2, template=TEMPLATE.replace("Answer with JSON.", "Answer with JSON. " * 200))
    assert (
        _forecast(engine, dataset, longer, options=RunOptions(rows_per_call=20)).prompt_tokens * 5
        < _forecast(engine, dataset, longer).prompt_tokens
    )


def test_a_past_is_believed_from_twenty_replies_on(engine: Engine, ledger: Ledger) -> None:
    """Its means are used and its n is told; fewer replies, or another model's, are not enough."""
    dataset, version, few = ledger.dataset(200), ledger.version(), ledger.version(number=2)
    ledger.run(dataset, version, rows=30)
    ledger.run(dataset, few, rows=19)
    found = _forecast(engine, dataset, version, options=RunOptions(in_flight=4))
    tokens = engine.runs.get(1)
    assert found.n == found.tokens.n == 30 and found.asked == 170
    assert found.prompt_tokens == pytest.approx(tokens.prompt_tokens / 30 * 170, abs=1)
    assert found.completion_tokens == pytest.approx(tokens.completion_tokens / 30 * 170, abs=1)
    assert found.tokens.about == pytest.approx(found.prompt_tokens + found.completion_tokens, abs=1)
    assert found.seconds is not None and 170 * 0.3 / 4 < found.seconds.about < 170 * 1.3 / 4
    assert _forecast(engine, dataset, few).n == 0
    assert _forecast(engine, dataset, version, model="gpt-4o").n == 0


def test_a_past_gives_ranges(engine: Engine, ledger: Ledger) -> None:
    """Calls, tokens, money and time each stand in a range; no row takes less than one call."""
    dataset, version = ledger.dataset(200), ledger.version()
    ledger.run(dataset, version, rows=40, reasked=8)
    found = _forecast(engine, dataset, version)
    for figure in (found.calls, found.tokens, found.cost, found.seconds):
        assert figure is not None and figure.low is not None and figure.high is not None
        assert figure.low < figure.about < figure.high < 2 * figure.about
    assert found.calls.about == pytest.approx(160 * 48 / 40)
    assert found.calls.low is not None and found.calls.low >= 160


@pytest.mark.parametrize(
    ("limits", "of_connection", "seconds"),
    [({"rpm": 10}, {}, 17 * 60), ({}, {"rpm": 20}, 8.5 * 60), ({"rpm": 10}, {"rpm": 20}, 17 * 60)],
)
def test_limits_make_it_slower(
    engine: Engine, ledger: Ledger, limits: dict[str, int], of_connection: dict[str, int], seconds: float
) -> None:
    """Requests a minute of the run, and of its connection, bound the time from below; the tighter ones decide."""
    dataset, version = ledger.dataset(200), ledger.version()
    ledger.run(dataset, version, rows=30)
    connection = engine.settings.connection("openai").model_copy(update=of_connection)
    found = _forecast(engine, dataset, version, options=RunOptions(**limits), connection=connection).seconds
    assert found is not None and found.low is not None and found.high is not None
    assert found.about == pytest.approx(seconds) and seconds <= found.low <= found.high < 1.1 * seconds


def test_tokens_a_minute_make_it_slower_too(engine: Engine, ledger: Ledger) -> None:
    """As many minutes as the tokens need."""
    dataset, version = ledger.dataset(200), ledger.version()
    ledger.run(dataset, version, rows=30)
    found = _forecast(engine, dataset, version, options=RunOptions(tpm=1000))
    assert found.seconds is not None and found.seconds.about == pytest.approx(found.tokens.about / 1000 * 60)


def test_rows_that_have_died_before_are_no_others(engine: Engine, ledger: Ledger) -> None:
    """What replays took counts for replays alone; before the first one, other rows give a figure and no range."""
    dataset, version = ledger.dataset(200), ledger.version()
    run = ledger.run(dataset, version, rows=60, dead=30)
    plain = _forecast(engine, dataset, version)
    first = _forecast(engine, dataset, version, ordinals=tuple(ledger.dead(run)))
    assert first.n == plain.n and first.cost is not None and first.seconds is not None
    assert [one.low for one in (first.calls, first.tokens, first.cost, first.seconds)] == [None] * 4
    ledger.replay(run, version, same=30)
    assert _forecast(engine, dataset, version).calls == plain.calls
    again = _forecast(engine, dataset, version, ordinals=tuple(ledger.dead(run)))
    assert again.calls.low is not None and again.calls.about > 1.1 * first.calls.about


def test_what_strikes_out_sooner_is_no_past(engine: Engine, ledger: Ledger) -> None:
    """A try asks about a row once, a run up to three times: only evaluations with as many strikes tell of it too."""
    dataset, version = ledger.dataset(200), ledger.version()
    ledger.run(dataset, version, rows=40, dead=40, options={"strikes": 3})
    before = _forecast(engine, dataset, version)
    ledger.run(dataset, version, kind="try", rows=60, options={"strikes": 1})
    ledger.run(dataset, version, kind="evaluation", rows=60, options={"strikes": 1})
    found = _forecast(engine, dataset, version)
    assert before.n == found.n > 40
    assert found.calls.about / found.asked == pytest.approx(before.calls.about / before.asked)
    ledger.run(dataset, version, kind="evaluation", rows=25)
    assert _forecast(engine, dataset, version).n == found.n + 25
    other = ledger.version(number=2)
    ledger.run(dataset, other, kind="try", rows=60)
    assert _forecast(engine, dataset, other).n == 0


def test_a_run_that_has_just_begun_is_no_past(engine: Engine, ledger: Ledger) -> None:
    """While most of its calls are out, only its quick ones are back."""
    dataset, version = ledger.dataset(200), ledger.version()
    ledger.run(dataset, version, rows=60, dispatched=30, options={"in_flight": 30})
    assert _forecast(engine, dataset, version).n == 0
    ledger.run(dataset, version, ordinals=list(range(61, 160)), dispatched=8)
    assert _forecast(engine, dataset, version).n == 91


def test_cost_and_its_ceiling(engine: Engine, ledger: Ledger) -> None:
    """The cost is that of the tokens at the price of now, and the ceiling covers max_tokens on every call."""
    dataset, version = ledger.dataset(80), ledger.version()
    price = price_of("gpt-4o-mini", engine.settings.connection("openai"))
    guessed = _forecast(engine, dataset, version)
    ledger.run(dataset, version, rows=40, price=None)
    for found in (guessed, _forecast(engine, dataset, version)):
        assert price is not None and found.cost is not None and found.cost_ceiling is not None
        money = (found.prompt_tokens * price.input + found.completion_tokens * price.output) / 1e6
        assert found.cost.about == pytest.approx(money, rel=1e-3)
        assert found.cost_ceiling > max(found.cost.about, found.asked * 128 * price.output / 1e6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"model": "own-7b"},
            ["none of the models that connection openai lists", "the price of own-7b at connection openai is unknown"],
        ),
        ({"options": RunOptions(budget=1e-9)}, ["does not cover one call"]),
        ({"options": RunOptions(budget=0.0005)}, ["less than the forecast"]),
        ({"options": RunOptions(budget=100)}, []),
        (
            {"model": "own-7b", "options": RunOptions(budget=1)},
            ["none of the models", "the price of own-7b", "a budget needs a price"],
        ),
    ],
)
def test_warnings(engine: Engine, ledger: Ledger, changes: dict[str, Any], said: list[str]) -> None:
    """What launching would refuse, or what a person would regret, is said beforehand."""
    found = _forecast(engine, ledger.dataset(40), ledger.version(), **changes)
    assert len(found.warnings) == len(said)
    assert all(part in whole for part, whole in zip(said, found.warnings, strict=True)), found.warnings
    assert (found.cost is None) == (changes.get("model") in ("own-7b", ""))


def test_that_nobody_names_a_model_is_said(engine: Engine, ledger: Ledger) -> None:
    """Neither the person, nor the version, nor the connection."""
    found = _forecast(
        engine, ledger.dataset(5), ledger.version(model=None), model=None, connection=Connection(name="bare")
    )
    assert found.cost is None and [words[:18] for words in found.warnings] == ["no model is chosen"]


def test_a_template_that_does_not_fit_is_warned_of(engine: Engine, ledger: Ledger) -> None:
    """A missing column is named with what was probably meant."""
    found = _forecast(engine, ledger.dataset(5), ledger.version(template=TEMPLATE.replace("customer", "custmer")))
    assert "'custmer', which tickets.csv lacks; did you mean customer?" in found.warnings[0]


def test_a_budget_that_may_not_suffice_is_warned_of(engine: Engine, ledger: Ledger) -> None:
    """One inside the range may stop the run, one below what is likely will, and one above the range says nothing."""
    dataset, version = ledger.dataset(100), ledger.version()
    ledger.run(dataset, version, rows=40, reasked=10)
    cost = _forecast(engine, dataset, version).cost
    assert cost is not None and cost.high is not None
    said = [
        _forecast(engine, dataset, version, options=RunOptions(budget=budget)).warnings
        for budget in (cost.about * 0.95, (cost.about + cost.high) / 2, cost.high * 1.01)
    ]
    budgets = [[warning for warning in found if "the budget of" in warning] for found in said]
    assert [len(found) for found in budgets] == [1, 1, 0]
    assert "is less than the forecast" in budgets[0][0] and "may not suffice" in budgets[1][0]


def test_earlier_re_asks_are_told(engine: Engine, ledger: Ledger) -> None:
    """A version that has needed several calls a row says how many, and they are in the figures."""
    dataset, version = ledger.dataset(100), ledger.version()
    ledger.run(dataset, version, rows=40, dead=20)
    found = _forecast(engine, dataset, version)
    assert any("calls for each row" in warning and "in this forecast" in warning for warning in found.warnings)
    assert found.calls.about > 1.2 * found.asked
