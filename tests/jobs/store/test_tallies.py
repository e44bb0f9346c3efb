"""The sums of each minute: whatever comes, however late, they are what the ledger itself adds up to."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from jobs.options import RunOptions
from jobs.prices import FREE
from jobs.settings import Price
from jobs.store import reading_costs, tallies
from jobs.store.database import open_writer
from jobs.store.migrations import MIGRATIONS
from jobs.store.runs import transaction
from jobs.store.sums import FIGURES
from jobs.store.ways import DERIVED
from jobs.values import FailureKind
from jobs.views.costs import CallFilter
from tests.jobs.store.book import BAD, COST, GOOD, Book


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path, n=6)


def tallied(db: Database) -> dict[tuple[int, int], tuple[Any, ...]]:
    """(run, minute) -> its figures, its ways and its latencies; minutes whose figures were all taken back are left out."""
    found: dict[tuple[int, int], tuple[Any, ...]] = {}
    sums = ", ".join(f"sum({name})" for name in FIGURES)
    for run, minute, *figures in db.execute(f"SELECT run, minute, {sums} FROM tallies GROUP BY 1, 2"):
        latencies = array("d")
        for (packed,) in db.execute("SELECT latencies FROM tallies WHERE run = ? AND minute = ?", [run, minute]):
            latencies.frombytes(packed)
        if any(figures):
            told = (*(pytest.approx(one) for one in figures), ways(db, run, minute), sorted(latencies))
            found[run, minute] = told
    return found


def ways(db: Database, run: int, minute: int) -> dict[tuple[int, str], tuple[Any, ...]]:
    """(rung, way) -> its money, n and unknown, where there is any."""
    query = "SELECT rung, way, money, n, unknown FROM ways WHERE run = ? AND minute = ? AND n != 0"
    found = db.execute(query, [run, minute])
    return {(rung, way): (pytest.approx(money), n, unknown) for rung, way, money, n, unknown in found}


def counted_again(db: Database) -> dict[tuple[int, int], tuple[Any, ...]]:
    """The same, made anew from the ledger."""
    with transaction(db):
        tallies.recount(db)
    return tallied(db)


def marked(db: Database) -> list[tuple[Any, ...]]:
    """What follows from each call."""
    return db.execute(f"SELECT try_id, {', '.join(DERIVED)} FROM calls ORDER BY id").fetchall()


def wasted(db: Database) -> list[tuple[str, int]]:
    return db.execute("SELECT try_id, wasted FROM calls ORDER BY id").fetchall()


def _values_and_strikes(book: Book) -> None:
    for n in (1, 2, 3):
        book.send(f"t{n}", n)
    book.take(book.reply("t1", 1, GOOD), book.reply("t2", 2, BAD), book.failure("t3", 3, FailureKind.THROTTLED))
    book.now += 61
    book.send("t4", 2)
    book.come("t4", 2, BAD, asked=2)


def _no_reply(book: Book) -> None:
    for n, kind in enumerate((FailureKind.TRANSIENT, FailureKind.TOO_LONG, FailureKind.BLOCKED), 1):
        book.send(f"t{n}", n)
        book.fail(f"t{n}", n, kind)


def _lost_and_broken_off(book: Book) -> None:
    book.send("t1", 1)
    late = book.failure("t1", 1, FailureKind.TRANSIENT)
    book.now += 130
    book.lose("t1")
    book.send("t2", 1)
    book.take(late)
    book.fail("t2", 1, FailureKind.TRANSIENT)


def _dead_before_it_was_sent(book: Book) -> None:
    book.send("t1", 1)
    book.fail("t1", 1, FailureKind.TOO_LONG, sent=False)


def _lost_and_late(book: Book) -> None:
    book.send("t1", 1)
    late = book.reply("t1", 1, GOOD)
    book.now += 130
    book.lose("t1")
    book.now += 10
    book.take(late)


def _lost_and_never_sent(book: Book) -> None:
    book.send("t1", 1)
    book.lose("t1")
    book.now += 100
    book.fail("t1", 1, FailureKind.TRANSIENT, sent=False)


def _late_behind_another(book: Book) -> None:
    book.send("t1", 1)
    late = book.reply("t1", 1, GOOD)
    book.lose("t1")
    book.send("t2", 1)
    book.come("t2", 1, GOOD)
    book.take(late)


def _dead_of_losses_and_late(book: Book) -> None:
    replies = []
    for n in range(4):
        book.send(f"t{n}", 1)
        replies.append(book.reply(f"t{n}", 1, GOOD))
        book.now += 70
        book.lose(f"t{n}")
    book.take(*reversed(replies))


def _reused(book: Book) -> None:
    book.send("t1", 1)
    book.come("t1", 1, GOOD)
    book.now += 61
    (attempt,) = book.db.execute("SELECT id FROM attempts").fetchone()
    book.reuse((2, attempt), (3, attempt))


def _several_rows_a_call(book: Book) -> None:
    book.send("t1", 1, 2, 3)
    one = book.reply("t1", 1, GOOD)
    verdicts = [one.verdicts[0].model_copy(update={"ordinal": n}) for n in (1, 2)]
    verdicts.append(one.verdicts[0].model_copy(update={"ordinal": 3, "verdict": BAD}))
    book.take(one.model_copy(update={"ordinals": (1, 2, 3), "verdicts": tuple(verdicts)}))


@pytest.mark.parametrize(
    "happens",
    [
        _values_and_strikes,
        _no_reply,
        _dead_before_it_was_sent,
        _lost_and_late,
        _lost_and_broken_off,
        _lost_and_never_sent,
        _late_behind_another,
        _dead_of_losses_and_late,
        _several_rows_a_call,
        _reused,
    ],
)
def test_a_tally_is_what_the_ledger_adds_up_to(book: Book, happens: Callable[[Book], None]) -> None:
    """What was counted while it came is what is counted afterwards, and so is which calls brought no value."""
    happens(book)
    kept, follows = tallied(book.db), marked(book.db)
    assert kept
    assert kept == counted_again(book.db)
    assert follows == marked(book.db)


def test_a_reply_moves_from_the_loss_to_its_own_minute(book: Book) -> None:
    """A call that was given up stands where it was given up; when its reply comes, it stands where it was sent."""
    book.send("t", 1)
    late, sent_in = book.reply("t", 1, GOOD), (book.run, int(book.now // 60))
    book.now += 130
    book.lose("t")
    assert list(tallied(book.db)) == [(book.run, int(book.now // 60))]
    book.take(late)
    found = tallied(book.db)
    assert list(found) == [sent_in]
    figures = dict(zip(FIGURES, found[sent_in], strict=False))
    assert (figures["calls"], figures["accepted"], figures["wasted_calls"], figures["cost"]) == (1, 1, 0, COST)
    assert found[sent_in][-1] == [1.0]


@pytest.mark.parametrize(
    ("price", "told", "way"),
    [(True, (1, 1, 0.5, COST), "open"), (False, (2, 0, 0.0, 0.0), "failed"), (FREE, (0, 0, 0.0, 0.0), "failed")],
)
def test_calls_that_broke_off_are_told_apart_from_those_without_a_price(
    tmp_path: Path, price: bool | Price, told: tuple[float, ...], way: str
) -> None:
    """Neither is in a sum of money; of the first it is said how much they may cost at most. What is free has cost nothing."""
    book = Book(tmp_path, n=4, price=price)
    reserved = 0.5 if price is True else 0.0
    book.send("t1", 1, reserved=reserved)
    book.send("t2", 2, reserved=reserved)
    book.take(book.failure("t1", 1, FailureKind.TRANSIENT), book.reply("t2", 2, GOOD))
    figures = dict(zip(FIGURES, tallied(book.db)[book.run, int(book.now // 60)], strict=False))
    found = (figures["unpriced_calls"], figures["open_calls"], figures["set_aside"], figures["cost"])
    assert found == told
    assert tallied(book.db) == counted_again(book.db)
    assert way in {one["way"] for one in book.db.query("SELECT way FROM calls WHERE outcome != 'replied'")}
    # the whole minute is read from its sums, a part of it call by call
    for since in (60, book.now - 1):
        among = CallFilter(since=since, until=book.now + 60)
        (total,) = reading_costs.slices(book.db, among, "total")
        assert (total.unpriced_calls, total.open_calls, total.set_aside, total.cost) == told
        assert (reading_costs.ways(book.db, among).open is not None) == (way == "open")


def test_a_value_that_came_too_late_is_wasted(book: Book) -> None:
    """Of two calls that each brought a value for one row, the second is money for nothing."""
    _late_behind_another(book)
    assert wasted(book.db) == [("t1", 1), ("t2", 0)]


@pytest.mark.parametrize(("price", "saved", "unpriced"), [(True, 2 * COST, 0), (False, 0.0, 2)])
def test_reused_rows_are_counted_when_they_are_recorded(
    tmp_path: Path, price: bool, saved: float, unpriced: int
) -> None:
    """An answer of earlier costs no call, saves what that had cost, and stands in the minute in which its row got it."""
    book = Book(tmp_path, n=4, price=price)
    _reused(book)
    figures = dict(zip(FIGURES, tallied(book.db)[book.run, int(book.now // 60)], strict=False))
    assert (figures["calls"], figures["reused"], figures["unpriced_reused"]) == (0, 2, unpriced)
    assert figures["saved"] == saved


def test_every_latency_of_a_full_minute_is_kept(tmp_path: Path) -> None:
    """A minute has as many records as its latencies need, none larger than its page, and loses none of them."""
    rows = 3 * tallies.MOST_LATENCIES + 5
    book = Book(tmp_path, n=rows, options=RunOptions(strikes=2, reuse=False))
    for n in range(1, rows + 1):
        book.send(f"t{n}", n)
    outcomes = [book.reply(f"t{n}", n, GOOD).model_copy(update={"seconds": n / 7}) for n in range(1, rows + 1)]
    book.take(*outcomes[:1])
    book.take(*outcomes[1:70])
    book.take(*outcomes[70:250])
    book.take(*outcomes[250:])
    ((*_, latencies),) = tallied(book.db).values()
    assert latencies == [n / 7 for n in range(1, rows + 1)]
    longest = book.db.execute("SELECT count(*), max(length(latencies)) FROM tallies").fetchone()
    assert longest == (4, 8 * tallies.MOST_LATENCIES)


@pytest.mark.parametrize("happens", [_values_and_strikes, _late_behind_another, _dead_before_it_was_sent, _reused])
def test_what_an_older_file_holds_is_counted(tmp_path: Path, happens: Callable[[Book], None]) -> None:
    """The step that makes the tallies counts what was recorded before there were any."""
    book = Book(tmp_path)
    happens(book)
    wanted, follows = tallied(book.db), marked(book.db)
    old = Database(tmp_path / "old.db")
    MIGRATIONS.apply(old, stop_before="m008_tallies")
    old.execute("ATTACH ? AS book", [str(tmp_path / "a.db")])
    for table in ("runs", "calls", "attempts", "dead_letters"):
        names = ", ".join(old[table].columns_dict)
        old.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM book.{table}")
    old.close()
    opened = open_writer(tmp_path / "old.db")
    assert (tallied(opened), marked(opened)) == (wanted, follows)
