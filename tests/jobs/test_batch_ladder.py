"""A ladder of models through a batch endpoint: which way each rung's calls go, and what they cost by the provider's own books."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.options import Check, Climb, Ladder, Route, RunOptions
from jobs.settings import Price
from jobs.testing import StubProvider, marked
from jobs.testing.script import Act, Ask
from jobs.views.runs import Run
from tests.house import Home
from tests.jobs.nights import GOOD, QUICK, assert_paid, found, overnight

BAD = {"sentiment": "bad", "words": 1}
DEAR = Price(input=10.0, output=20.0)
#: six rows: two that the cheap model answers, two that it breaks the contract on, one that is checked, one that goes straight up
ROWS = ["easy 1", "easy 2", "hard a", "hard b", "unsure c", "a very long message d"]


def of_the_cheap(ask: Ask) -> Act | None:
    """The cheap model breaks the contract on hard rows, and calls unsure ones bad."""
    if ask.model == "dear":
        return None
    if "hard" in ask.user:
        return Act(kind="invalid", content='{"sentiment": "so-so"}')
    return Act(kind="unsure", content=json.dumps(BAD)) if "unsure" in ask.user else None


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with StubProvider(of_the_cheap, marked, answer=GOOD, prices={"dear": DEAR}) as provider:
        yield provider


@pytest.fixture
def home(tmp_path: Path, redis_address: str, stub: StubProvider) -> Iterator[Home]:
    dear = "[stub.prices.dear]\ninput = 10.0\noutput = 20.0\n"
    home = Home(tmp_path / "home", redis_address, stub, chance=lambda: 0.0, of_stub=QUICK, more=dear)
    yield home
    home.close()


def up(**rest: object) -> RunOptions:
    ladder = Ladder(
        climbs=(Climb(model="dear"),),
        checks=(Check(field="sentiment", value="bad"),),
        routes=(Route(column="text", rule="matches", value="^a very"),),
    )
    return overnight(ladder=ladder, **rest)


def ways(home: Home, run: Run) -> dict[tuple[int, bool], int]:
    """How many calls went to each rung, in a batch or not."""
    query = "SELECT rung, batch IS NOT NULL, count(*) FROM calls WHERE run = ? GROUP BY 1, 2"
    return {(rung, bool(batch)): calls for rung, batch, calls in home.engine._house.read().execute(query, [run.id])}


def assert_booked(home: Home, run: Run) -> None:
    """Each rung, and each batch, cost what the provider's own books say of its model, in them and beside them."""
    assert_paid(home, run)
    entries, rungs = home.stub.ledger.entries, home.engine.runs.rungs(run.id)
    for rung in rungs:
        asked = [entry for entry in entries if entry.model == rung.model]
        assert (rung.calls, rung.cost) == (len(asked), pytest.approx(sum(entry.money for entry in asked), abs=1e-12))
    assert sum(rung.rows for rung in rungs) == run.counts.rows
    query = "SELECT remote, sum(cost) FROM calls LEFT JOIN batches ON batches.id = batch WHERE calls.run = ? GROUP BY 1"
    booked = dict(home.engine._house.read().execute(query, [run.id]).fetchall())
    paid: dict[str | None, float] = {}
    for entry in entries:
        paid[entry.batch or None] = paid.get(entry.batch or None, 0.0) + entry.money
    assert booked == {name: pytest.approx(money, abs=1e-12) for name, money in paid.items()}


def test_what_climbs_out_of_a_batch_goes_on_by_ordinary_calls(home: Home) -> None:
    """First questions of each rung that a row begins on are in a batch of that rung; what comes after is asked at once."""
    run = home.went(ROWS, options=up())

    assert (run.counts.accepted, run.calls) == (6, 11)
    # Below: five first questions, two re-asks; above: the row that a rule sent there, then the three that climbed.
    assert ways(home, run) == {(0, True): 5, (0, False): 2, (1, True): 1, (1, False): 3}
    assert [(batch["rung"], batch["calls"]) for batch in found(home, run)] == [(1, 1), (0, 5)]
    assert_booked(home, run)


def test_what_climbs_goes_into_a_batch_of_its_rung_where_all_calls_do(home: Home) -> None:
    """No call costs the full price of either model, and no batch holds lines for two of them."""
    run = home.went(ROWS, options=up(batch="all"))

    assert (run.counts.accepted, run.calls) == (6, 11)
    assert ways(home, run) == {(0, True): 7, (1, True): 4}
    asked = {batch.id: {line["body"]["model"] for line in batch.lines} for batch in home.stub.batches.all.values()}
    assert all(len(models) == 1 for models in asked.values())
    assert_booked(home, run)


def test_several_rows_a_line_climb_each_for_itself(home: Home) -> None:
    """A line about five rows is paid once, and those of them that climb are asked above."""
    run = home.went(ROWS, options=up(rows_per_call=5))

    assert run.counts.accepted == 6
    assert ways(home, run)[0, True] == 1
    assert_booked(home, run)


def test_an_expired_batch_climbs_with_what_it_has_answered(home: Home) -> None:
    """What was not run is asked by ordinary calls of the same rung, and nothing is booked for it."""
    home.stub.batches.expire_after = 3
    run = home.went(["easy 1", "hard a", "unsure c", "easy 2", "hard b"], options=up())

    assert (run.counts.accepted, ways(home, run)) == (5, {(0, True): 3, (0, False): 4, (1, False): 3})
    assert_booked(home, run)


def test_what_the_batch_and_the_ladder_save_are_two_sums(home: Home) -> None:
    """The batch saves half of the full price of every line; the ladder is counted between the full prices of its models."""
    run = home.went(ROWS, options=up(batch="all"))
    query = "SELECT way, total(money) FROM ways WHERE run = ? AND way IN ('batch', 'ladder') GROUP BY way"
    saved = dict(home.engine._house.read().execute(query, [run.id]).fetchall())
    below = [(2 * entry.money, "easy" in entry.user) for entry in home.stub.ledger.entries if entry.model != "dear"]

    assert saved["batch"] == pytest.approx(home.stub.ledger.money, abs=1e-12)
    # The dear model costs ten times as much: what it need not answer saves nine, and what it answers after all is a loss.
    assert saved["ladder"] == pytest.approx(sum(9 * full if took else -full for full, took in below), abs=1e-12)
