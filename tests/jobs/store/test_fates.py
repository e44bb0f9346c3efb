"""What becomes of rows: here, what a dead one has cost, whatever comes of it and whenever."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlite_utils import Database

from jobs.store import archiving
from jobs.store.database import open_writer
from jobs.store.migrations import MIGRATIONS
from jobs.store.runs import transaction
from jobs.values import FailureKind, Thing
from tests.jobs.store.book import BAD, COST, GOOD, Book


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


def costs(db: Database) -> dict[int, float | None]:
    """What each dead row has cost."""
    return dict(db.execute("SELECT ordinal, cost FROM dead_letters").fetchall())


def _strikes_out(book: Book) -> None:
    for n in (1, 2):
        book.send(f"t{n}", 1)
        book.come(f"t{n}", 1, BAD, asked=n)


def test_a_dead_row_has_cost_what_all_its_calls_cost(book: Book) -> None:
    """Two strikes are two replies that were paid for; what was never sent costs nothing."""
    _strikes_out(book)
    book.send("t3", 2)
    book.fail("t3", 2, FailureKind.TOO_LONG, sent=False)
    assert costs(book.db) == {1: 2 * COST, 2: 0.0}


def test_an_unknown_price_stays_unknown(tmp_path: Path) -> None:
    """It is never 0."""
    book = Book(tmp_path, price=False)
    _strikes_out(book)
    assert costs(book.db) == {1: None}


def test_a_reply_that_comes_after_the_death_is_in_its_cost(book: Book) -> None:
    """A row that died of lost calls has an unknown cost until each of them has come back, or turns out never to have been sent."""
    late = []
    for n in range(4):
        book.send(f"t{n}", 1)
        late.append(book.reply(f"t{n}", 1, GOOD))
        book.lose(f"t{n}")
    assert costs(book.db) == {1: None}
    book.take(*late[:3])
    assert costs(book.db) == {1: None}
    book.fail("t3", 1, FailureKind.TRANSIENT, sent=False)
    assert costs(book.db) == {1: 3 * COST}


def test_a_call_about_several_rows_is_shared_out(book: Book) -> None:
    """Each dead row has its part, and all of them together have cost the call once."""
    for n in (1, 2):
        book.send(f"t{n}", 1, 2)
        one = book.reply(f"t{n}", 1, BAD, asked=n)
        verdicts = tuple(one.verdicts[0].model_copy(update={"ordinal": ordinal}) for ordinal in (1, 2))
        book.take(one.model_copy(update={"ordinals": (1, 2), "verdicts": verdicts}))
    assert costs(book.db) == {1: COST, 2: COST}


def test_the_dead_of_an_older_file_get_their_cost(tmp_path: Path, book: Book) -> None:
    """The step that keeps costs reckons those of the letters that are there."""
    _strikes_out(book)
    wanted = costs(book.db)
    old = Database(tmp_path / "old.db")
    MIGRATIONS.apply(old, stop_before="m009_letter_costs")
    old.execute("ATTACH ? AS book", [str(tmp_path / "a.db")])
    for table in ("runs", "calls", "attempts", "dead_letters"):
        names = ", ".join(old[table].columns_dict)
        old.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM book.{table}")
    old.close()
    assert costs(open_writer(tmp_path / "old.db")) == wanted


def test_a_row_that_dies_in_an_archived_run_asks_nobody_until_that_is_brought_back(book: Book) -> None:
    """A run can be archived while it is paused, with calls out that come back."""
    run = Thing(kind="run", name=str(book.run))
    book.send("t1", 1)
    book.send("t2", 2)
    with transaction(book.db):
        book.db.execute("UPDATE runs SET state = 'paused'")
        archiving.archive(book.db, [run], now=1.0)
    book.fail("t1", 1, FailureKind.TOO_LONG)
    assert book.db.execute("SELECT count(*) FROM dead_letters WHERE latest = 1").fetchone() == (0,)
    with transaction(book.db):
        archiving.restore(book.db, [run], now=2.0)
    book.fail("t2", 2, FailureKind.TOO_LONG)
    assert book.db.execute("SELECT count(*) FROM dead_letters WHERE latest = 1").fetchone() == (2,)
