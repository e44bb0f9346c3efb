"""What came back, recorded: once, whenever it comes, and whatever had been thought of its lane meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.lifecycle import MOST_INTERNAL, MOST_LOST, RowState
from jobs.requests import Cancel, Pause, Resume
from jobs.store import applying, runs
from jobs.store.runs import transaction
from jobs.values import FailureKind, Verdict
from tests.jobs.store.book import BAD, GOOD, Book


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


@pytest.mark.parametrize("verdict", [GOOD, BAD])
@pytest.mark.parametrize("together", [True, False])
def test_the_same_outcome_twice_is_recorded_once(book: Book, verdict: Verdict, together: bool) -> None:
    """A hand-back that was repeated changes nothing, neither the row nor the money, in the same batch or a later one."""
    outcome = book.reply("t", 1, verdict)
    book.send("t", 1)
    book.take(outcome, outcome) if together else book.take(outcome)
    once = book.everything()
    done = book.take(outcome)

    assert book.everything() == once
    assert len(book.attempts(1)) == 1 and book.row(1)["strikes"] == (verdict is BAD)
    assert book.sums() == (1, 1.0, 0.0)
    assert done.strangers == [], "what has come twice is nothing to warn of"


def test_a_failure_twice_is_one_try(book: Book) -> None:
    """Neither the count of tries nor that of throttles goes up for a repeat."""
    book.send("t", 1)
    for _ in range(3):
        book.fail("t", 1, FailureKind.TRANSIENT)

    assert (book.row(1)["tries"], book.attempts(1), book.sums()[0]) == (1, [("failed", 0, 0)], 1)


def test_a_lost_call_leaves_its_row_due_and_its_late_reply_decides_it(book: Book) -> None:
    """It costs no strike, and what was thought of it is replaced by what came."""
    book.send("t", 1)
    book.lose("t")
    assert book.row(1)["state"] == RowState.DUE and book.row(1)["strikes"] == 0

    book.come("t", 1, GOOD)
    assert book.row(1)["state"] == RowState.ACCEPTED
    assert book.attempts(1) == [("accepted", 0, 0)]


def test_the_first_recorded_verdict_decides_and_a_late_one_is_kept(book: Book) -> None:
    """A row that was lost and asked again takes the late answer of the first call; the second is superseded, and both are paid."""
    book.send("old", 1)
    book.lose("old")
    book.send("new", 1)
    book.come("old", 1, GOOD)
    accepted = book.row(1)["attempt"]
    book.come("new", 1, BAD)

    assert (book.row(1)["state"], book.row(1)["attempt"]) == (RowState.ACCEPTED, accepted)
    assert book.attempts(1) == [("accepted", 0, 0), ("rejected", 0, 1)]
    assert book.record.cost == 2.0


def test_a_late_rejection_is_no_strike_while_another_call_is_under_way(book: Book) -> None:
    """The call that is on its way will say."""
    book.send("old", 1)
    book.lose("old")
    book.send("new", 1)
    book.come("old", 1, BAD)

    assert book.row(1)["state"] == RowState.DISPATCHED and book.row(1)["strikes"] == 0
    assert book.attempts(1) == [("rejected", 0, 1)]


def test_a_returned_call_costs_nothing_and_is_due_at_once(book: Book) -> None:
    """It was not sent: no attempt, no call, and the reserved money is free."""
    book.send("t", 1)
    book.return_("t", 1)

    assert book.row(1)["state"] == RowState.DUE and book.attempts(1) == []
    assert book.record.reserved == 0.0
    assert book.db["calls"].count == 0


def test_what_comes_back_to_a_cancelled_run_is_kept_or_cancelled(book: Book) -> None:
    """An answer is kept, a rejection is not asked again, an unsent call is cancelled; then the run can end."""
    for ordinal in (1, 2, 3):
        book.send(f"t{ordinal}", ordinal)
    with transaction(book.db):
        applying.apply(book.db, Cancel(run=book.run), now=book.now)
    book.come("t1", 1, GOOD)
    book.come("t2", 2, BAD)
    book.return_("t3", 3)

    assert [book.row(n)["state"] for n in (1, 2, 3)] == ["accepted", "cancelled", "cancelled"]
    assert runs.done(book.db) == [book.run]
    assert book.db["asking"].count == 0


def test_strikes_make_a_letter_with_its_group(book: Book) -> None:
    """At the second of two strikes the row is dead, with its signature, its title and its attempt."""
    for asked in (1, 2):
        book.send(f"t{asked}", 1)
        book.come(f"t{asked}", 1, BAD, asked=asked)

    (letter,) = book.db.query("SELECT * FROM dead_letters JOIN signatures USING (signature)")
    assert book.row(1)["state"] == RowState.DEAD
    assert (letter["signature"], letter["resolution"], letter["latest"]) == (BAD.signature, "open", 1)
    assert "words" in letter["title"]


def test_throttles_between_strikes_leave_the_count_alone(book: Book) -> None:
    """Only a verdict that blames the row is a strike."""
    book.send("a", 1)
    book.come("a", 1, BAD)
    for number in range(20):
        book.send(f"b{number}", 1)
        book.fail(f"b{number}", 1, FailureKind.THROTTLED)
    assert (book.row(1)["state"], book.row(1)["strikes"], book.row(1)["waits"]) == ("due", 1, 20)
    assert book.record.reserved == 0.0


def test_a_reply_ends_a_series_of_troubles(book: Book) -> None:
    """Five timeouts, a rejected reply, five timeouts: the row is still asked."""
    for series in ("a", "b"):
        for number in range(5):
            book.send(f"{series}{number}", 1)
            book.fail(f"{series}{number}", 1, FailureKind.TRANSIENT)
        if series == "a":
            book.send("reply", 1)
            book.come("reply", 1, BAD)
    assert book.row(1)["state"] == RowState.DUE and book.row(1)["tries"] == 5


def test_a_row_that_lost_its_lanes_has_both_its_errors_of_ours_left(book: Book) -> None:
    """Losses and errors are counted each for itself."""
    for number in range(MOST_LOST - 1):
        book.send(f"lost{number}", 1)
        book.lose(f"lost{number}")
    book.send("error", 1)
    book.fail("error", 1, FailureKind.INTERNAL)

    row = book.row(1)
    assert (row["state"], row["losses"], row["faults"]) == ("due", MOST_LOST - 1, MOST_INTERNAL - 1)
    book.send("again", 1)
    book.fail("again", 1, FailureKind.INTERNAL)
    assert book.row(1)["state"] == RowState.DEAD


def test_an_hour_in_which_nobody_tried_counts_against_no_row(book: Book) -> None:
    """A run that was paused after a server error, or had no worker, goes on where it was: the next error kills nothing."""
    book.send("a", 1)
    book.fail("a", 1, FailureKind.TRANSIENT)
    for request in (Pause(run=book.run), Resume(run=book.run)):
        with transaction(book.db):
            applying.apply(book.db, request, now=book.now)
        book.now += 3_600.0
    book.send("b", 1)
    book.fail("b", 1, FailureKind.TRANSIENT)

    assert (book.row(1)["state"], book.row(1)["tries"]) == ("due", 2)


def test_tries_that_take_a_quarter_of_an_hour_end_a_row(book: Book) -> None:
    """Four requests of five minutes each are enough, though six are allowed."""
    for number in range(4):
        book.send(f"t{number}", 1)
        book.fail(f"t{number}", 1, FailureKind.TRANSIENT, seconds=300.0)

    assert book.row(1)["state"] == RowState.DEAD and book.row(1)["signature"].startswith("s1|unreachable")


def test_what_a_worker_refuses_unsent_pauses_the_run_with_its_words(book: Book) -> None:
    """The row stays due, and its attempt says what the matter was, though nothing was sent."""
    book.send("t", 1)
    done = book.take(book.failure("t", 1, FailureKind.BLOCKED, sent=False))

    (attempt,) = book.db.query("SELECT * FROM attempts")
    assert (book.record.state, book.record.paused_by, done.paused) == ("paused", "provider", [(book.run, "why")])
    assert (book.row(1)["state"], attempt["call"]) == ("due", None)
    assert '"why"' in attempt["failure"] and '"blocked"' in attempt["failure"]


def test_a_row_can_die_of_what_was_never_sent(book: Book) -> None:
    """A template that cannot be rendered for it is an error of ours: once more, then a letter, and no call."""
    for number in (1, 2):
        book.send(f"t{number}", 1)
        book.fail(f"t{number}", 1, FailureKind.INTERNAL, sent=False)

    (letter,) = book.db.query("SELECT * FROM dead_letters")
    assert letter["attempt"] == book.row(1)["attempt"]
    assert book.sums() == (0, 0.0, 0.0)


def test_a_reply_about_one_of_two_rows_leaves_the_other_due(book: Book) -> None:
    """No row waits for a call that has come back."""
    book.send("t", 1, 2)
    outcome = book.reply("t", 1, GOOD).model_copy(update={"ordinals": (1, 2)})
    book.take(outcome)

    assert [book.row(n)["state"] for n in (1, 2)] == ["accepted", "due"]
    assert book.sums() == book.rebuilt() == (1, 1.0, 0.0)


def test_two_calls_about_one_row_in_one_batch_are_recorded_one_after_the_other(book: Book) -> None:
    """The second finds the row as the first has left it."""
    book.send("old", 1)
    book.lose("old")
    book.send("new", 1)
    book.take(book.reply("old", 1, GOOD), book.reply("new", 1, GOOD), book.reply("new", 1, GOOD))

    assert book.attempts(1) == [("accepted", 0, 0), ("accepted", 0, 1)]
    assert book.sums() == book.rebuilt() == (2, 2.0, 0.0)
