"""Whose outcomes are believed: those of tries that are under way, lost or missed, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.lifecycle import RowState
from jobs.messages import Outcome, RowVerdict
from jobs.store import rows
from jobs.values import FailureKind
from tests.jobs.store.book import BAD, GOOD, Book


@pytest.fixture
def book(tmp_path: Path) -> Book:
    book = Book(tmp_path)
    book.send("t", 1)
    return book


STRANGE: dict[str, Callable[[Book], Outcome]] = {
    "a try that nobody made": lambda book: book.reply("forged", 1, GOOD),
    "a try that nobody made, of a row that is due": lambda book: book.reply("forged", 2, BAD),
    "a failure that would pause the run": lambda book: book.failure("forged", 1, FailureKind.BLOCKED),
    "one that says it was not sent": lambda book: book.failure("forged", 1, FailureKind.BLOCKED, sent=False),
    "a return of nothing": lambda book: Outcome(run=book.run, try_id="x", lane="l", kind="returned", ordinals=(1,)),
    "another run": lambda book: book.reply("t", 1, GOOD).model_copy(update={"run": book.run + 1}),
    "another row": lambda book: book.reply("t", 2, GOOD),
    "a verdict about another row": lambda book: book.reply("t", 1, GOOD).model_copy(
        update={"verdicts": (RowVerdict(ordinal=2, asked=1, verdict=GOOD),)}
    ),
}


@pytest.mark.parametrize("name", STRANGE)
def test_an_outcome_that_answers_nothing_that_was_asked_changes_nothing(book: Book, name: str) -> None:
    """It is named, so that the keeper can say so, and the run goes on as if it had never come."""
    before, outcome = book.everything(), STRANGE[name](book)
    done = book.take(outcome)

    assert book.everything() == before
    assert done.strangers == [(outcome.run, outcome.try_id)]
    book.come("t", 1, GOOD)
    assert book.row(1)["state"] == RowState.ACCEPTED


def test_a_paid_reply_to_a_call_that_was_missed_is_accepted(book: Book) -> None:
    """The server lost the call, a lane had sent it: its row was due again and is not asked a second time."""
    book.miss("t")
    assert (book.row(1)["state"], book.sums()) == ("due", (0, 0.0, 0.0))
    book.come("t", 1, GOOD)

    assert (book.row(1)["state"], book.attempts(1)) == (RowState.ACCEPTED, [("accepted", 0, 0)])
    assert book.sums() == book.rebuilt() == (1, 1.0, 0.0)


def test_a_paid_reply_to_a_call_that_was_missed_and_asked_again_is_kept(book: Book) -> None:
    """The second call has decided the row by then; both were paid, and both are counted."""
    book.miss("t")
    book.send("again", 1)
    book.come("again", 1, GOOD)
    book.come("t", 1, BAD)
    book.come("t", 1, BAD)

    assert book.attempts(1) == [("accepted", 0, 0), ("rejected", 0, 1)]
    assert book.sums() == book.rebuilt() == (2, 2.0, 0.0)


def test_a_missed_call_that_was_never_sent_after_all_changes_nothing(book: Book) -> None:
    """Its row has been due for long."""
    book.miss("t")
    book.send("again", 1)
    before = book.everything()
    book.return_("t", 1)

    assert book.everything() == before


def test_a_call_can_be_missed_of_a_row_that_a_late_reply_has_ended(book: Book) -> None:
    """The row keeps its end, the money is free, and what the call brings later is kept."""
    book.lose("t")
    book.send("new", 1)
    book.come("t", 1, GOOD)
    assert book.row(1)["try_id"] == "new" and book.sums() == book.rebuilt() == (1, 1.0, 0.5)
    book.miss("new")
    assert book.row(1)["state"] == RowState.ACCEPTED and book.sums() == book.rebuilt() == (1, 1.0, 0.0)
    book.come("new", 1, GOOD)

    assert book.attempts(1) == [("accepted", 0, 0), ("accepted", 0, 1)]
    assert book.sums() == book.rebuilt() == (2, 2.0, 0.0)


def test_missed_calls_are_not_remembered_for_ever(book: Book) -> None:
    """After a week a reply to one is a stranger."""
    book.miss("t")
    book.now += rows.MISSED_SECONDS + 1.0
    book.miss("another")

    assert book.db["missed"].count == 0
    assert book.take(book.reply("t", 1, GOOD)).strangers == [(book.run, "t")]


def test_one_call_that_two_lanes_have_sent_is_paid_twice_and_kept_twice(book: Book) -> None:
    """A server that forgot its last moments gave it out again: the second reply is superseded, its repeat is not."""
    book.come("t", 1, GOOD)
    for _ in range(2):
        book.take(book.reply("t", 1, GOOD, lane="other"))

    assert book.attempts(1) == [("accepted", 0, 0), ("accepted", 0, 1)]
    assert book.sums() == book.rebuilt() == (2, 2.0, 0.0)
