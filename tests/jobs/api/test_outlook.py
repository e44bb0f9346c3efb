"""engine.runs.outlook: what a run that goes on will come to, from its own calls, with its budget, its pauses and its limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs import errors
from jobs.api import Engine
from jobs.api.launch import Launch
from jobs.estimates import Estimate
from jobs.options import RunOptions
from jobs.testing import StubProvider
from jobs.views.forecast import Outlook, Stop
from tests.house import Home
from tests.jobs.ledger import DAWN, Ledger


def outlook(engine: Engine, run: int) -> Outlook:
    found = engine.runs.outlook(run)
    assert found is not None
    return found


def ends(figure: Estimate | None) -> tuple[float, float]:
    assert figure is not None and figure.low is not None and figure.high is not None
    return figure.low, figure.high


def half(ledger: Ledger, **changes: Any) -> int:
    """A paused run of 400 rows, half of them ended."""
    given: dict[str, Any] = {"due": 200, "dead": 10, "reasked": 20, "state": "paused", "paused_by": "person", **changes}
    return ledger.run(ledger.dataset(400), ledger.version(), **given)


# -- figures ---------------------------------------------------------------------------------------------------------


def test_what_is_spent_is_known_and_the_rest_is_a_range(engine: Engine, ledger: Ledger) -> None:
    """Half of the rows has ended: the whole takes about twice as much, and never less than what was spent."""
    run = engine.runs.get(half(ledger))
    found = outlook(engine, run.id)
    assert run.cost is not None and found.cost is not None and found.calls is not None and found.tokens is not None
    assert (found.asked, found.out) == (200, 0)
    assert found.cost.about == pytest.approx(2 * run.cost)
    assert found.calls.about == pytest.approx(2 * run.calls)
    assert found.tokens.about == pytest.approx(2 * (run.prompt_tokens + run.completion_tokens))
    assert run.cost < ends(found.cost)[0] < found.cost.about < ends(found.cost)[1] < 3 * run.cost
    assert found.cost.n == found.n <= run.calls


@pytest.mark.parametrize(
    ("fates", "why"),
    [
        ({"due": 395, "dead": 0, "reasked": 0}, "five replies"),
        ({"due": 200, "dispatched": 100, "options": {"in_flight": 100}}, "half of the calls are out"),
    ],
)
def test_too_little_is_said_to_be_too_little(engine: Engine, ledger: Ledger, fates: dict[str, Any], why: str) -> None:
    """No figure stands where few replies have come, or most of those that are under way have not."""
    found = outlook(engine, half(ledger, **fates))
    assert (found.calls, found.tokens, found.cost, found.seconds, found.stop) == (None,) * 5, why
    assert found.n > 0


def test_an_unknown_price_is_unknown_to_the_end(engine: Engine, ledger: Ledger) -> None:
    """Calls and time are told, money is not."""
    found = outlook(engine, half(ledger, price=None))
    assert found.cost is None and found.calls is not None and found.seconds is not None


def test_nobody_knows_how_long_a_provider_takes_for_a_batch(engine: Engine, ledger: Ledger) -> None:
    """Calls and money are told, time is not, neither until the end nor until the budget stops it."""
    found = outlook(engine, half(ledger, options={"batch": "first", "budget": 0.005}))
    assert found.calls is not None and found.cost is not None and found.seconds is None
    assert found.stop is not None and found.stop.seconds is None


@pytest.mark.parametrize("changes", [{"due": 0}, {"due": 0, "cancelled": 200, "state": "cancelled"}])
def test_a_run_that_does_not_go_on_has_no_outlook(engine: Engine, ledger: Ledger, changes: dict[str, Any]) -> None:
    """What has ended, or was cancelled, is what it is."""
    assert engine.runs.outlook(half(ledger, **changes)) is None


def test_an_unknown_run_is_not_found(engine: Engine) -> None:
    """It is said that there is none."""
    with pytest.raises(errors.NotFound, match="no run 9"):
        engine.runs.outlook(9)


def test_rows_that_need_no_call_cost_nothing(engine: Engine, ledger: Ledger) -> None:
    """Of the rows that wait, equal ones are asked once, and answered ones not at all, unless answers are not used again."""
    dataset, version = ledger.dataset(400, repeats=150), ledger.version()
    fates: dict[int, Any] = {n: "accepted" if n <= 200 else "due" for n in range(1, 401)}
    run = ledger.run(dataset, version, fates=fates, state="paused")
    assert engine.runs.get(run).counts.waiting == 200
    assert outlook(engine, run).asked == 50
    all_asked = ledger.run(dataset, version, fates=fates, state="paused", options={"reuse": False})
    assert outlook(engine, all_asked).asked == 200


def test_a_large_run_is_sampled(engine: Engine, ledger: Ledger) -> None:
    """Beyond the rows that are looked up one by one, the share that is answered already comes close; rows not laid out count."""
    dataset, version = ledger.dataset(9_000, repeats=3_000), ledger.version()
    fates: dict[int, Any] = {n: "accepted" if n <= 3_000 else "due" for n in range(1, 9_001)}
    run = ledger.run(dataset, version, fates=fates, state="paused")
    assert outlook(engine, run).asked == pytest.approx(3_000, rel=0.1)
    other = ledger.run(dataset, ledger.version(number=2), due=4_000, not_laid_out=4_900, state="paused")
    assert outlook(engine, other).asked == 8_900


# -- the budget ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "sure", "rows"),
    [(1.5, True, 300), (1.9, True, 380), (1.0, True, 200), (2.02, False, None), (3.0, None, None)],
)
def test_a_budget_that_will_not_last_is_foretold(
    engine: Engine, ledger: Ledger, times: float, sure: bool | None, rows: int | None
) -> None:
    """With so many times what half of the rows cost: surely met, and after how many rows; perhaps met near the end; or not."""
    found = outlook(engine, with_budget(engine, ledger, times, paused_by="person"))
    if sure is None:
        assert found.stop is None
        return
    assert found.stop is not None and found.seconds is not None
    assert (found.stop.sure, found.stop.rows) == (sure, rows if rows is None else pytest.approx(rows, abs=8))
    if rows is not None:
        assert found.stop.seconds == pytest.approx((rows - 200) / 200 * found.seconds.about, rel=0.1, abs=1)


def test_a_budget_that_is_met_has_stopped_it(engine: Engine, ledger: Ledger) -> None:
    """With less left than the next call may cost, no row more ends; what the run needs to its end stands beside it."""
    found = outlook(engine, with_budget(engine, ledger, 1.02, paused_by="budget"))
    assert found.stop == Stop(sure=True, rows=200, seconds=0.0)
    assert found.cost is not None and found.seconds is not None


def with_budget(engine: Engine, ledger: Ledger, times: float, *, paused_by: str) -> int:
    """Half of a run, with a budget of so many times what that has cost."""
    spent = engine.runs.get(half(ledger)).cost
    assert spent is not None
    dataset, version = ledger.dataset(400, name="again.csv"), ledger.version(number=2)
    return ledger.run(
        dataset,
        version,
        due=200,
        dead=10,
        reasked=20,
        state="paused",
        paused_by=paused_by,
        options={"budget": times * spent},
    )


# -- time ------------------------------------------------------------------------------------------------------------


def test_time_follows_the_run_s_own_pace(engine: Engine, ledger: Ledger) -> None:
    """Two hundred rows have ended in a thousand seconds, so two hundred more take about as many."""
    found = outlook(engine, half(ledger, pace=2.5, reasked=0, dead=0, options={"in_flight": 4}))
    assert found.seconds is not None and found.seconds.about == pytest.approx(1000, rel=0.03)
    assert ends(found.seconds)[0] < 1000 < ends(found.seconds)[1] < 1200


def test_a_pause_is_no_time_at_work(engine: Engine, ledger: Ledger) -> None:
    """The seconds until a person lets the run go on do not count; as many that nobody asked for do."""
    run = half(ledger, pace=1.0, reasked=0, dead=0, due=200, options={"in_flight": 1})
    away = "UPDATE calls SET sent_at = sent_at + 200 WHERE run = ? AND sent_at > ?"
    with ledger.db.atomic():
        ledger.db.execute(away, [run, DAWN + 200.0])
    slowed = outlook(engine, run).seconds
    with ledger.db.atomic():
        ledger.db.execute(
            "INSERT INTO requests (key, kind, body, created_at, applied_at) VALUES ('r', 'resume', ?, ?, ?)",
            [f'{{"kind": "resume", "run": {run}}}', DAWN + 300, DAWN + 300],
        )
    found = outlook(engine, run).seconds
    assert slowed is not None and found is not None
    assert found.about == pytest.approx(400, rel=0.05) and slowed.about > 1.3 * found.about


def test_limits_bound_the_time(engine: Engine, ledger: Ledger) -> None:
    """However fast the first calls went, requests a minute hold for the rest."""
    found = outlook(engine, half(ledger, pace=0.01, reasked=0, dead=0, options={"rpm": 10}))
    assert found.seconds is not None and found.seconds.about == pytest.approx(200 / 10 * 60)


# -- a real run ------------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, redis_address: str) -> Iterator[Home]:
    with StubProvider(latency=0.01) as stub:
        opened = Home(tmp_path / "real", redis_address, stub, in_flight=4)
        yield opened
        opened.close()


def test_a_run_comes_to_what_it_was_said_to(home: Home) -> None:
    """While it runs, and while it is paused, the range holds what the provider bills in the end, and narrows."""
    rows = [
        f"{'[[malformed]] ' if n % 9 == 0 else ''}message {n}: {'so it went on, ' * (n % 7 * 6)}" for n in range(480)
    ]
    run = home.start(rows, options=RunOptions(in_flight=4))
    home.until(run, lambda now: now.counts.accepted + now.counts.dead >= 48)
    early = outlook(home.engine, run)
    home.until(run, lambda now: now.counts.accepted + now.counts.dead >= 240)
    home.engine.runs.pause(run)
    home.until(run, lambda now: not now.counts.in_flight)
    paused = outlook(home.engine, run)
    home.engine.runs.resume(run)
    ended = home.ended(run)
    billed = home.stub.ledger.money
    assert ended.counts.accepted == 480 and ended.cost == pytest.approx(billed)
    for found in (early, paused):
        assert ends(found.cost)[0] <= billed <= ends(found.cost)[1]
        assert ends(found.calls)[0] <= len(home.stub.ledger.entries) <= ends(found.calls)[1]
    assert ends(paused.cost)[1] - ends(paused.cost)[0] < ends(early.cost)[1] - ends(early.cost)[0]
    assert ends(early.cost)[1] < 1.5 * billed
    after = home.engine.runs.forecast(
        Launch(
            version=home.version(),
            dataset=home.dataset([f"another {row}" for row in rows], "u.csv"),
            connection=home.settings.connection("stub"),
            model="stub-model",
            options=RunOptions(in_flight=4),
        )
    )
    again = home.went([f"another {row}" for row in rows], options=RunOptions(in_flight=4))
    assert again.cost is not None and after.n > 480
    assert ends(after.cost)[0] <= again.cost <= ends(after.cost)[1] < 1.2 * again.cost
