"""Where the money went and what was saved, through the whole engine: equal to the provider's own books to the cent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from jobs.options import Check, Climb, Ladder, RunOptions
from jobs.prices import cost
from jobs.settings import Price
from jobs.testing import StubProvider, marked
from jobs.testing.ledger import Entry
from jobs.testing.script import Act, Ask
from jobs.values import Usage
from jobs.views.costs import CallFilter, Ways
from tests.house import Home

GOOD, BAD = {"sentiment": "good", "words": 2}, {"sentiment": "bad", "words": 1}
PRICES = {
    "stub-model": Price(input=1.0, output=2.0, cached=0.25),
    "dear": Price(input=10.0, output=20.0, cached=2.5),
}
#: the same in a connection's file
FILE = "".join(
    f'[stub.prices."{model}"]\ninput = {price.input}\noutput = {price.output}\ncached = {price.cached}\n'
    for model, price in PRICES.items()
)
CLIMBING = Ladder(climbs=(Climb(model="dear"),), checks=(Check(field="sentiment", value="bad"),))


def of_the_cheap(ask: Ask) -> Act | None:
    if ask.model == "dear" or ask.records[0].id:
        return None
    if "hard" in ask.user:
        return Act(kind="invalid", content='{"sentiment": "so-so"}')
    return Act(kind="unsure", content=json.dumps(BAD)) if "unsure" in ask.user else None


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with StubProvider(of_the_cheap, marked, answer=GOOD, prices=PRICES, cached_share=0.5) as provider:
        yield provider


@pytest.fixture
def home(tmp_path: Path, redis_address: str, stub: StubProvider) -> Iterator[Home]:
    home = Home(tmp_path / "home", redis_address, stub, chance=lambda: 0.0, more=FILE)
    yield home
    home.close()


def ways(home: Home, run: int) -> Ways:
    return home.engine.costs.ways(CallFilter(since=0, until=4e9, run=run))


def figures(found: Ways) -> dict[str, tuple[float, int, int]]:
    return {one.name: (one.money, one.n, one.unknown) for one in (*found.went, *found.saved)}


def money(entries: Iterable[Entry], model: str | None = None) -> float:
    """What these tokens cost, at another model's price if one is given."""
    return sum(
        cost(Usage(prompt=one.prompt, completion=one.completion, cached=one.cached), PRICES[model or one.model]) or 0.0
        for one in entries
    )


def test_every_way_is_what_the_providers_own_books_say(home: Home) -> None:
    """Of a run with equal rows, a ladder and cached tokens: each dollar in one way, each saving by its formula."""
    books = home.stub.ledger
    run = home.went(["easy", "easy", "other", "hard", "unsure"], options=RunOptions(ladder=CLIMBING))
    cheap = {
        part: [one for one in books.of(part) if one.model == "stub-model"]
        for part in ("easy", "other", "hard", "unsure")
    }
    dear = [one for one in books.entries if one.model == "dear"]
    values, nothing = [*cheap["easy"], *cheap["other"]], [*cheap["hard"], *cheap["unsure"]]
    found = figures(ways(home, run.id))

    assert found == {
        "first": (pytest.approx(money([*values, *dear]), abs=1e-12), 4, 0),
        "rejected": (pytest.approx(money(cheap["hard"]), abs=1e-12), 2, 0),
        "doubted": (pytest.approx(money(cheap["unsure"]), abs=1e-12), 1, 0),
        "reuse": (pytest.approx(money(cheap["easy"]), abs=1e-12), 1, 0),
        "cache": (
            pytest.approx(sum(one.cached * (PRICES[one.model].input * 0.75) for one in books.entries) / 1e6, abs=1e-12), 7, 0,
        ),
        "ladder": (pytest.approx(money(values, "dear") - money([*values, *nothing]), abs=1e-12), 5, 0),
    }  # fmt: skip
    assert sum(one.money for one in ways(home, run.id).went) == pytest.approx(books.money, abs=1e-12)


def test_what_several_rows_a_call_have_saved_is_about_what_single_calls_cost(home: Home) -> None:
    """The estimate is held against a run that really asks them one by one: within a tenth of what that cost."""
    rows = [f"row {number}: a message of some length, as people write them" for number in range(12)]
    together = home.went(rows, options=RunOptions(rows_per_call=4, reuse=False))
    packed = home.stub.ledger.money
    home.stub.ledger.clear()
    singly = home.went(rows, options=RunOptions(reuse=False))
    (saved,) = [one for one in ways(home, together.id).saved if one.name == "rows"]

    assert (saved.n, saved.unknown) == (together.calls, 0)
    assert saved.money == pytest.approx((singly.cost or 0.0) - packed, abs=0.1 * (singly.cost or 0.0))
    assert not [one for one in ways(home, singly.id).saved if one.name == "rows"]


def test_a_reply_that_answers_half_its_rows_has_replaced_half_the_calls(home: Home) -> None:
    """Rows that are asked again count with the call that answers them."""
    home.stub.scripts = (marked,)
    rows = [*(f"row {number}" for number in range(3)), "left out [[missing]]"]
    run = home.went(rows, options=RunOptions(rows_per_call=4))
    query = "SELECT singly_prompt, singly_completion, prompt_tokens, rows, way FROM calls ORDER BY id"
    first, second = home.engine._house.read().execute(query).fetchall()

    assert run.counts.accepted == 4 and (first[3:], second[3:]) == ((4, "first"), (1, "first"))
    assert second[:2] == (None, None) and first[0] < 3 * second[2]


def test_rows_behind_reuse_are_listed_with_what_each_saved(home: Home) -> None:
    """The newest first, each with the attempt that its answer came from."""
    run = home.went(["same", "same", "same"])
    found, total = home.engine.costs.reused(CallFilter(since=0, until=4e9, run=run.id))

    assert (total, [one.ordinal for one in found], {one.source for one in found}) == (2, [3, 2], {1})
    assert sum(one.saved or 0.0 for one in found) == pytest.approx(2 * (run.cost or 0.0))


@pytest.fixture
def patient(tmp_path: Path, redis_address: str, stub: StubProvider) -> Iterator[Home]:
    """A home whose batches are looked at without waiting."""
    home = Home(tmp_path / "home", redis_address, stub, chance=lambda: 0.0, more=FILE, of_stub="batch_poll = 0.02\n")
    yield home
    home.close()


def test_a_batch_saves_as_much_as_it_costs(patient: Home) -> None:
    """At half the price; what was cached is counted at the full one, and several rows a call at the half."""
    books = patient.stub.ledger
    options = RunOptions(batch="all", rows_per_call=4, ladder=Ladder(climbs=(Climb(model="dear"),)))
    run = patient.went([f"row {number}: a message of some length" for number in range(12)], options=options)
    found = figures(ways(patient, run.id))
    entries = [one for one in books.entries if one.prompt]
    full = money(entries)

    assert books.money == pytest.approx(full / 2) and found["first"] == (pytest.approx(books.money, abs=1e-12), 3, 0)
    assert found["batch"] == (pytest.approx(full / 2, abs=1e-12), 3, 0)
    assert found["cache"] == (pytest.approx(sum(one.cached for one in entries) * 0.75 / 1e6, abs=1e-12), 3, 0)
    assert found["ladder"] == (pytest.approx(money(entries, "dear") - full, abs=1e-12), 3, 0)
    assert found["rows"][1:] == (3, 0)
