"""Where the money of each call went and what it saved: by hand, and over anything that may happen."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from jobs.messages import Outcome
from jobs.options import Climb, Ladder, RunOptions
from jobs.settings import Price
from jobs.store import reading_costs, tallies
from jobs.store.runs import transaction
from jobs.values import FailureKind, Usage, Verdict
from jobs.views.costs import CallFilter, Way
from tests.jobs.store.book import BAD, COST, DEAR, GOOD, UNSURE, Book
from tests.jobs.store.test_tallies import marked, tallied

LADDER = Ladder(climbs=(Climb(model="dear", connection="far"),))
EVER = CallFilter(since=0, until=1e9)


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return climbing(tmp_path)


def climbing(folder: Path, *, n: int = 6, price: bool = True, dear: Price | None = DEAR.price) -> Book:
    """A book whose rows climb from its model to one at ten times the price."""
    upper = DEAR.model_copy(update={"price": dear})
    return Book(folder, n=n, price=price, options=RunOptions(strikes=2, ladder=LADDER), upper=(upper,))


def told(book: Book, among: CallFilter = EVER) -> dict[str, tuple[float, int, int]]:
    """Way -> its money, n and unknown."""
    found = reading_costs.ways(book.db, among)
    every: list[Way] = [*found.went, *found.saved, *([found.open] if found.open else [])]
    return {one.name: (pytest.approx(one.money), one.n, one.unknown) for one in every}


def asked(book: Book, try_id: str, ordinal: int, verdict: Verdict, *, n: int = 1) -> None:
    book.send(try_id, ordinal)
    book.come(try_id, ordinal, verdict, asked=n)


def test_an_answer_of_the_cheap_model_is_a_first_answer_and_saves_the_dear_ones(book: Book) -> None:
    """$1 spent where $10 would have been."""
    asked(book, "t1", 1, GOOD)

    assert told(book) == {"first": (1.0, 1, 0), "ladder": (9.0, 1, 0)}


def test_a_doubted_reply_was_paid_for_nothing(book: Book) -> None:
    """It is a way of its own, and a loss of the ladder; the dear answer behind it is a first one and saves nothing."""
    asked(book, "t1", 1, UNSURE)
    asked(book, "t2", 1, GOOD)

    assert told(book) == {"first": (10.0, 1, 0), "doubted": (1.0, 1, 0), "ladder": (-1.0, 1, 0)}


def test_a_strike_is_a_rejected_reply_and_a_value_after_it_a_re_ask(book: Book) -> None:
    """Of the ladder: one call for nothing, one that saved the dear one."""
    asked(book, "t1", 1, BAD)
    asked(book, "t2", 1, GOOD, n=2)

    assert told(book) == {"again": (1.0, 1, 0), "rejected": (1.0, 1, 0), "ladder": (9.0 - 1.0, 2, 0)}


def test_a_call_without_a_reply_has_failed_or_is_set_aside(book: Book) -> None:
    """A refusal costs nothing; of what broke off nobody knows, so it is in no sum of what was spent."""
    book.send("t1", 1)
    book.send("t2", 2)
    book.fail("t1", 1, FailureKind.THROTTLED)
    book.fail("t2", 2, FailureKind.TRANSIENT)

    assert told(book) == {"failed": (0.0, 1, 0), "open": (0.5, 1, 0)}


def test_a_late_reply_moves_its_call_out_of_what_is_set_aside(book: Book) -> None:
    """Behind another one's value it is superseded; what it cost is spent."""
    book.send("t1", 1)
    late = book.reply("t1", 1, GOOD)
    book.lose("t1")
    assert told(book) == {"open": (0.5, 1, 0)}
    asked(book, "t2", 1, GOOD)
    book.take(late)

    assert told(book) == {"first": (1.0, 1, 0), "superseded": (1.0, 1, 0), "ladder": (9.0 - 1.0, 2, 0)}


def test_a_call_that_was_never_sent_has_failed_for_nothing(book: Book) -> None:
    """What was set aside for it is free."""
    book.send("t1", 1)
    book.lose("t1")
    book.fail("t1", 1, FailureKind.TRANSIENT, sent=False)

    assert told(book) == {"failed": (0.0, 1, 0)}


def test_a_call_about_several_rows_saves_by_the_share_that_has_its_value(book: Book) -> None:
    """Three of four: $7.50 of the dear model's $10 are not needed, and the whole $1 was paid."""
    book.send("t1", 1, 2, 3, 4)
    one = book.reply_about("t1", {1: GOOD, 2: GOOD, 3: UNSURE, 4: GOOD})
    book.take(one.model_copy(update={"singly": Usage(prompt=2_500_000)}))

    assert told(book) == {"first": (1.0, 1, 0), "ladder": (6.5, 1, 0), "rows": (1.5, 1, 0)}


def test_a_reply_about_several_rows_that_answers_none_is_rejected(book: Book) -> None:
    """No row has a strike of it, and it has saved less than nothing."""
    book.send("t1", 1, 2)
    one = book.reply_about("t1", {1: BAD, 2: BAD}, own=False)
    book.take(one.model_copy(update={"singly": Usage()}))

    assert told(book) == {"rejected": (1.0, 1, 0), "ladder": (-1.0, 1, 0), "rows": (-1.0, 1, 0)}


def test_cached_tokens_save_what_the_provider_takes_less_for_them(tmp_path: Path) -> None:
    """400,000 of a million: $0.70 was spent and $0.30 saved."""
    book = Book(tmp_path)
    book.send("t1", 1)
    usage = Usage(prompt=1_000_000, cached=400_000)
    book.take(book.reply("t1", 1, GOOD).model_copy(update={"usage": usage}))

    assert told(book) == {"first": (0.7, 1, 0), "cache": (0.3, 1, 0)}


def test_a_batch_saves_what_is_not_charged_of_the_full_price(tmp_path: Path) -> None:
    """Half of $0.70 here; what the provider had cached is counted at the full price, so that no dollar is saved twice."""
    book = Book(tmp_path)
    book.send("t1", 1)
    usage = Usage(prompt=1_000_000, cached=400_000)
    book.take(book.reply("t1", 1, GOOD).model_copy(update={"usage": usage}))
    half = Price(input=0.5, output=1.0, cached=0.125).model_dump_json()
    with transaction(book.db):
        book.db.execute("UPDATE calls SET batch = 1, cost = 0.35, price = ?", [half])
        tallies.recount(book.db)

    assert told(book) == {"first": (0.35, 1, 0), "batch": (0.35, 1, 0), "cache": (0.3, 1, 0)}


def test_reused_rows_save_what_their_answer_had_cost(tmp_path: Path) -> None:
    """Rows, and no calls."""
    book = Book(tmp_path, n=4)
    asked(book, "t1", 1, GOOD)
    book.reuse((2, 1), (3, 1))

    assert told(book) == {"first": (COST, 1, 0), "reuse": (2 * COST, 2, 0)}


@pytest.mark.parametrize(
    ("price", "dear", "wanted"),
    [
        (False, DEAR.price, {"first": (0.0, 1, 1), "rows": (0.0, 1, 1), "ladder": (0.0, 1, 1), "cache": (0.0, 1, 1)}),
        (True, None, {"first": (0.75, 1, 0), "rows": (-0.75, 1, 0), "ladder": (0.0, 1, 1), "cache": (0.25, 1, 0)}),
    ],
)  # fmt: skip
def test_what_has_no_price_is_counted_as_unknown(
    tmp_path: Path, price: bool, dear: Price | None, wanted: dict[str, tuple[float, int, int]]
) -> None:
    """Of a ladder either price; it is never 0 by itself."""
    book = climbing(tmp_path, price=price, dear=dear)
    book.send("t1", 1, 2)
    usage = Usage(prompt=1_000_000, cached=333_333)
    one = book.reply_about("t1", {1: GOOD, 2: GOOD})
    book.take(one.model_copy(update={"usage": usage, "singly": Usage()}))

    assert told(book) == {way: (pytest.approx(money, abs=1e-3), *rest) for way, (money, *rest) in wanted.items()}


def _happen(book: Book, chance: random.Random, late: list[Outcome], turn: int) -> None:
    """One thing that may happen to a run, at random."""
    due = {one["ordinal"]: one["rung"] for one in book.db.query("SELECT * FROM run_rows WHERE state = 'due'")}
    if late and chance.random() < 0.3:
        book.take(late.pop(chance.randrange(len(late))))
        return
    if not due:
        return
    rung = chance.choice(list(due.values()))
    same = [ordinal for ordinal, one in due.items() if one == rung]
    chosen = sorted(chance.sample(same, min(len(same), chance.choice((1, 1, 2, 4)))))
    name = f"t{turn}"
    book.send(name, *chosen, reserved=chance.random())
    book.now += chance.random() * 90
    verdicts = {ordinal: chance.choice((GOOD, GOOD, BAD, UNSURE if rung == 0 else BAD)) for ordinal in chosen}
    one = book.reply_about(name, verdicts, own=chance.random() < 0.7)
    prompt = chance.randrange(1, 10**6)
    usage = Usage(prompt=prompt, completion=chance.randrange(10**5), cached=chance.choice((0, prompt // 3)))
    singly = Usage(prompt=chance.randrange(10**6), completion=9) if len(chosen) > 1 else None
    strikes = {ordinal: book.row(ordinal)["strikes"] + 1 for ordinal in chosen}
    verdicts_asked = tuple(each.model_copy(update={"asked": strikes[each.ordinal]}) for each in one.verdicts)
    one = one.model_copy(update={"usage": usage, "singly": singly, "verdicts": verdicts_asked})
    match chance.choice(("reply", "reply", "reply", "fail", "lose", "unsent")):
        case "reply":
            book.take(one)
        case "lose":
            book.lose(name)
            late.append(one)
        case _ as what:
            kind = chance.choice((FailureKind.THROTTLED, FailureKind.TRANSIENT, FailureKind.TOO_LONG))
            failed = book.failure(name, chosen[0], kind, sent=what == "fail")
            book.take(failed.model_copy(update={"ordinals": tuple(chosen)}))


@pytest.mark.parametrize("seed", range(12))
def test_the_ways_add_up_to_the_spend_whatever_happens(tmp_path: Path, seed: int) -> None:
    """In the whole, in any window and on any rung; and what was counted as it came is what is counted afterwards."""
    chance, book = random.Random(seed), climbing(tmp_path, n=30)
    late: list[Outcome] = []
    for turn in range(120):
        _happen(book, chance, late, turn)
    for since, until in ((0.0, 1e9), *(sorted(chance.uniform(100, book.now) for _ in range(2)) for _ in range(6))):
        for model in (None, "m", "dear"):
            _must_add_up(book, CallFilter(since=since, until=until, model=model))
    kept, follows = tallied(book.db), marked(book.db)
    with transaction(book.db):
        tallies.recount(book.db)

    assert (kept, follows) == (tallied(book.db), marked(book.db))
    assert {way for (way,) in book.db.execute("SELECT DISTINCT way FROM calls")} >= {"first", "rejected", "doubted"}


def _must_add_up(book: Book, among: CallFilter) -> None:
    (total,) = reading_costs.slices(book.db, among, "total")
    found = reading_costs.ways(book.db, among)
    assert sum(one.money for one in found.went) == pytest.approx(total.cost)
    assert sum(one.n for one in found.went) + (found.open.n if found.open else 0) == total.calls
    assert (found.open.money if found.open else 0.0) == pytest.approx(total.set_aside)
    rung = {None: "1", "m": "rung = 0", "dear": "rung = 1"}[among.model]
    for way in ("cache", "rows", "ladder"):
        query = f"SELECT total(saved_{way}) FROM calls WHERE sent_at >= ? AND sent_at < ? AND {rung}"
        (wanted,) = book.db.execute(query, [among.since, among.until]).fetchone()
        assert sum(one.money for one in found.saved if one.name == way) == pytest.approx(wanted), way


@pytest.mark.parametrize("by", ["model", "connection"])
def test_what_a_run_asked_of_two_models_is_told_apart(book: Book, by: str) -> None:
    """Each slice has the calls of its own rung, and so has a filter; together they are all of them."""
    for n, verdict in enumerate((GOOD, UNSURE, UNSURE, BAD), 1):
        asked(book, f"t{n}", n, verdict)
    asked(book, "u2", 2, GOOD)
    asked(book, "u3", 3, BAD)
    book.now += 61
    found = {one.key: one for one in reading_costs.slices(book.db, EVER, by)}  # type: ignore[arg-type]
    low, high = {"model": ("m", "dear"), "connection": ("c", "far")}[by]

    assert {key: (one.calls, one.cost) for key, one in found.items()} == {low: (4, 4.0), high: (2, 20.0)}
    for key in (low, high):
        among = CallFilter(since=0, until=1e9, **{by: key})
        (alone,) = reading_costs.slices(book.db, among, "total")
        assert (alone.calls, alone.cost, alone.latency_n) == (found[key].calls, found[key].cost, found[key].latency_n)


def test_a_reused_row_belongs_to_the_model_that_it_would_have_asked(book: Book) -> None:
    """Nobody was asked; its row stands on the lowest rung."""
    asked(book, "t1", 1, GOOD)
    book.reuse((2, 1))
    (low,) = reading_costs.slices(book.db, CallFilter(since=0, until=1e9, model="m"), "total")
    (high,) = reading_costs.slices(book.db, CallFilter(since=0, until=1e9, model="dear"), "total")

    assert (low.reused, high.reused) == (1, 0)
