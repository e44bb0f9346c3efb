"""What came back, recorded: once, whenever it comes, and whatever had been thought of its lane meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from jobs import prompts
from jobs.lifecycle import RowState
from jobs.messages import Ask, Outcome, RowAsk, RowVerdict
from jobs.options import RunOptions
from jobs.outcomes import Received
from jobs.requests import Cancel, Start
from jobs.settings import Price
from jobs.store import applying, rows, runs
from jobs.store.database import open_writer
from jobs.store.record import Recorder
from jobs.store.runs import transaction
from jobs.values import Failure, FailureKind, Problem, Receipt, Usage, Verdict
from tests.house import CONTENT

GOOD = Verdict(kind="accepted", value={"sentiment": "good", "words": 1}, receipt=Receipt(how="strict"))
BAD = Verdict(
    kind="rejected",
    problems=(Problem(path="$.words", rule="required", expected="words", got="missing"),),
    signature="s1|required|$.words|",
)


class Book:
    """A store with one run of three rows, and a hand that dispatches and records."""

    def __init__(self, folder: Path) -> None:
        self.db: Database = open_writer(folder / "a.db")
        self.now = 100.0
        with transaction(self.db):
            self.db.conn.execute(
                "INSERT INTO datasets VALUES ('d', 's', 'n', '{}', '[\"text\"]', 3, NULL, NULL, 'ready', 1.0)"
            )
            self.db.conn.executemany(
                "INSERT INTO rows VALUES ('d', ?, ?)", [(n, json.dumps([f"row {n}"])) for n in (1, 2, 3)]
            )
            self.db.conn.execute(
                "INSERT INTO versions (id, prompt, number, hash, content, created_at) VALUES (1, 'p', 1, ?, ?, 1.0)",
                [prompts.content_hash(CONTENT), CONTENT.model_dump_json()],
            )
            start = Start(
                dataset="d",
                version=1,
                connection="c",
                base_url="http://a",
                model="m",
                price=Price(input=1.0, output=2.0),
                columns=("text",),
                options=RunOptions(strikes=2),
            )
            self.run = applying.apply(self.db, start, now=self.now)["run"]
            runs.lay_out(self.db, self.record, most=10)

    @property
    def record(self) -> runs.RunRecord:
        found = runs.run(self.db, self.run)
        assert found is not None
        return found

    def send(self, try_id: str, ordinal: int, *, reserved: float = 0.5) -> None:
        ask = Ask(
            run=self.run,
            try_id=try_id,
            rows=(RowAsk(ordinal=ordinal, cells={"text": "x"}),),
            max_tokens=10,
            dispatched_at=self.now,
        )
        with transaction(self.db):
            rows.mark_dispatched(self.db, self.record, [ask], {try_id: reserved})

    def come(self, try_id: str, ordinal: int, verdict: Verdict, *, asked: int = 1) -> None:
        self._record(
            Outcome(
                run=self.run,
                try_id=try_id,
                lane="l",
                kind="replied",
                ordinals=(ordinal,),
                verdicts=(RowVerdict(ordinal=ordinal, asked=asked, verdict=verdict),),
                usage=Usage(prompt=1_000_000, completion=0),
                sent_at=self.now,
                seconds=1.0,
            )
        )

    def fail(self, try_id: str, ordinal: int, kind: FailureKind) -> None:
        failure = Failure(kind=kind, message="why")
        self._record(
            Outcome(run=self.run, try_id=try_id, lane="l", kind="failed", ordinals=(ordinal,), failure=failure)
        )

    def return_(self, try_id: str, ordinal: int) -> None:
        self._record(Outcome(run=self.run, try_id=try_id, lane="l", kind="returned", ordinals=(ordinal,)))

    def lose(self, try_id: str, ordinal: int) -> None:
        with transaction(self.db):
            Recorder(self.db, now=self.now, chance=lambda: 0.0).lost(try_id, self.record, [ordinal])

    def _record(self, outcome: Outcome) -> None:
        received = Received(place="1", outcome=outcome, raw=b"{}", request=None)
        with transaction(self.db):
            Recorder(self.db, now=self.now, chance=lambda: 0.0).record(received, self.record)

    def row(self, ordinal: int) -> dict[str, Any]:
        return next(self.db.query("SELECT * FROM run_rows WHERE run = ? AND ordinal = ?", [self.run, ordinal]))

    def attempts(self, ordinal: int) -> list[tuple[str, int, int]]:
        query = "SELECT verdict, strike, superseded FROM attempts WHERE run = ? AND ordinal = ? ORDER BY id"
        return self.db.conn.execute(query, [self.run, ordinal]).fetchall()


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


def test_the_same_outcome_twice_is_recorded_once(book: Book) -> None:
    """A hand-back that was repeated changes nothing, neither the row nor the money."""
    book.send("t", 1)
    book.come("t", 1, GOOD)
    book.come("t", 1, GOOD)

    assert book.attempts(1) == [("accepted", 0, 0)]
    assert (book.record.cost, book.record.reserved) == (1.0, 0.0)


def test_a_lost_call_stays_spent_at_its_reservation_until_it_is_known(book: Book) -> None:
    """Its row is due again with no strike; when the reply comes late after all, it is settled and decides the row."""
    book.send("t", 1)
    book.lose("t", 1)
    assert book.row(1)["state"] == RowState.DUE and book.row(1)["strikes"] == 0
    assert book.record.reserved == 0.5

    book.come("t", 1, GOOD)
    assert book.row(1)["state"] == RowState.ACCEPTED
    assert (book.record.cost, book.record.reserved) == (1.0, 0.0)
    assert book.attempts(1) == [("accepted", 0, 0)]


def test_the_first_recorded_verdict_decides_and_a_late_one_is_kept(book: Book) -> None:
    """A row that was lost and asked again takes the late answer of the first call; the second is superseded, and both are paid."""
    book.send("old", 1)
    book.lose("old", 1)
    book.send("new", 1)
    book.come("old", 1, GOOD)
    book.come("new", 1, BAD)

    assert book.row(1)["state"] == RowState.ACCEPTED
    assert book.attempts(1) == [("accepted", 0, 0), ("rejected", 0, 1)]
    assert book.record.cost == 2.0


def test_a_late_rejection_is_no_strike_while_another_call_is_under_way(book: Book) -> None:
    """The call that is on its way will say."""
    book.send("old", 1)
    book.lose("old", 1)
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
