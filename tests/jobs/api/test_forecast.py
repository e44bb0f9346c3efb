"""engine.runs.forecast: what is asked, what it costs, what that is founded on, and what is said beforehand."""

from __future__ import annotations

from typing import Any

import pytest

from jobs import views
from jobs.api import Engine
from jobs.options import RunOptions
from jobs.prices import price_of
from tests.jobs.ledger import TEMPLATE, Ledger


def _forecast(engine: Engine, dataset: str, version: int, **changes: Any) -> views.Forecast:
    given: dict[str, Any] = {
        "connection": engine.settings.connection("openai"), "model": "gpt-4o-mini", "options": RunOptions(), **changes,
    }  # fmt: skip
    return engine.runs.forecast(version=engine.prompts.get(version), dataset=engine.datasets.get(dataset), **given)


@pytest.mark.parametrize(
    ("changes", "rows", "calls"),
    [
        ({}, 50, 40),
        ({"options": RunOptions(reuse=False)}, 50, 50),
        ({"limit": 20}, 20, 20),
        ({"limit": 45}, 45, 40),
        ({"limit": 9_000}, 50, 40),
        ({"ordinals": [1, 2, 41, 42]}, 4, 2),
    ],
)
def test_equal_rows_are_asked_once(
    engine: Engine, ledger: Ledger, changes: dict[str, Any], rows: int, calls: int
) -> None:
    """Rows that agree in the columns of the template are one question; the others that are chosen are one each."""
    found = _forecast(engine, ledger.dataset(50, repeats=10), ledger.version(), **changes)
    assert (found.rows, found.calls, found.reused) == (rows, calls, rows - calls)


def test_answers_that_are_there_are_not_asked_again(engine: Engine, ledger: Ledger) -> None:
    """Rows that an earlier run of the version has values for cost nothing; dead ones, and another model's, do."""
    dataset, version = ledger.dataset(50), ledger.version()
    ledger.run(dataset, version, rows=30, dead=6)
    assert _forecast(engine, dataset, version).calls == 50 - 24
    assert _forecast(engine, dataset, version, model="gpt-4o").calls == 50
    assert _forecast(engine, dataset, ledger.version(number=2)).calls == 50


def test_a_large_run_is_sampled(engine: Engine, ledger: Ledger) -> None:
    """Beyond the rows that are looked up one by one the figures come close, and equal rows are still told exactly."""
    dataset, version = ledger.dataset(6_000, repeats=1_000, id_column=None), ledger.version()
    assert _forecast(engine, dataset, version).calls == 5_000
    ledger.run(dataset, version, rows=3_000)
    assert _forecast(engine, dataset, version).calls == pytest.approx(2_000, rel=0.15)


def test_without_a_past_the_prompt_is_measured(engine: Engine, ledger: Ledger) -> None:
    """Tokens come from rendered rows, n says so, and no time is promised."""
    found = _forecast(engine, ledger.dataset(40), ledger.version())
    assert (found.n, found.seconds) == (0, None)
    assert found.prompt_tokens / found.calls == pytest.approx(70, abs=25)
    assert 10 < found.completion_tokens / found.calls <= 128
    assert found.warnings == ()


def test_a_past_is_believed_from_twenty_replies_on(engine: Engine, ledger: Ledger) -> None:
    """Its means are used and its n is told; fewer replies, or another model's, are not enough."""
    dataset, version, few = ledger.dataset(200), ledger.version(), ledger.version(number=2)
    ledger.run(dataset, version, rows=30)
    ledger.run(dataset, few, rows=19)
    found = _forecast(engine, dataset, version, options=RunOptions(in_flight=4))
    tokens = engine.runs.get(1)
    assert found.n == 30 and found.calls == 170
    assert found.prompt_tokens == pytest.approx(tokens.prompt_tokens / 30 * 170, abs=1)
    assert found.completion_tokens == pytest.approx(tokens.completion_tokens / 30 * 170, abs=1)
    assert found.seconds is not None and 170 * 0.3 / 4 < found.seconds < 170 * 1.3 / 4
    slow = _forecast(engine, dataset, version, options=RunOptions(rpm=10))
    assert slow.seconds == pytest.approx(170 / 10 * 60)
    assert _forecast(engine, dataset, few).n == 0
    assert _forecast(engine, dataset, version, model="gpt-4o").n == 0


def test_cost_and_its_ceiling(engine: Engine, ledger: Ledger) -> None:
    """The cost is that of the tokens, and the ceiling covers max_tokens on every call."""
    found = _forecast(engine, ledger.dataset(40), ledger.version())
    price = price_of("gpt-4o-mini", engine.settings.connection("openai"))
    assert price is not None and found.cost is not None and found.cost_ceiling is not None
    assert found.cost == pytest.approx(
        (found.prompt_tokens * price.input + found.completion_tokens * price.output) / 1e6
    )
    assert found.cost_ceiling > max(found.cost, 40 * 128 * price.output / 1e6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "own-7b"}, ["the price of own-7b at connection openai is unknown"]),
        ({"model": ""}, ["no model is chosen"]),
        ({"options": RunOptions(budget=1e-9)}, ["does not cover one call"]),
        ({"options": RunOptions(budget=0.0005)}, ["less than the forecast"]),
        ({"options": RunOptions(budget=100)}, []),
        ({"model": "own-7b", "options": RunOptions(budget=1)}, ["the price of own-7b", "a budget needs a price"]),
    ],
)
def test_warnings(engine: Engine, ledger: Ledger, changes: dict[str, Any], said: list[str]) -> None:
    """What launching would refuse, or what a person would regret, is said beforehand."""
    found = _forecast(engine, ledger.dataset(40), ledger.version(), **changes)
    assert len(found.warnings) == len(said)
    assert all(part in whole for part, whole in zip(said, found.warnings, strict=True)), found.warnings
    assert (found.cost is None) == (changes.get("model") in ("own-7b", ""))


def test_a_template_that_does_not_fit_is_warned_of(engine: Engine, ledger: Ledger) -> None:
    """A missing column is named with what was probably meant."""
    found = _forecast(engine, ledger.dataset(5), ledger.version(template=TEMPLATE.replace("customer", "custmer")))
    assert "'custmer', which tickets.csv lacks; did you mean customer?" in found.warnings[0]


def test_earlier_re_asks_are_warned_of(engine: Engine, ledger: Ledger) -> None:
    """A version that has needed several calls a row says how many."""
    dataset, version = ledger.dataset(100), ledger.version()
    ledger.run(dataset, version, rows=40, dead=20)
    assert any("calls for each row" in warning for warning in _forecast(engine, dataset, version).warnings)
