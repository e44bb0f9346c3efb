"""The books of calls and money: what is counted, what is set aside, and that both always add up to the ledger."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from jobs.lifecycle import ENDS
from jobs.messages import Outcome
from jobs.values import Failure, FailureKind, Usage
from tests.jobs.store.book import BAD, COST, GOOD, Book


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


@pytest.mark.parametrize("kind", [FailureKind.BLOCKED, FailureKind.INTERNAL])
def test_what_was_refused_unsent_is_no_call(book: Book, kind: FailureKind) -> None:
    """Calls are requests sent, failed ones too; money that was set aside for what was not sent is free."""
    book.send("t", 1)
    book.fail("t", 1, kind, sent=False)
    assert (book.sums(), book.db["calls"].count) == ((0, 0.0, 0.0), 0)


@pytest.mark.parametrize("status", [401, 429, 500, 504])
def test_a_refusal_costs_nothing(book: Book, status: int) -> None:
    """Whoever answers with such a status has charged nothing: the money is free again."""
    book.send("t", 1)
    one = book.failure("t", 1, FailureKind.TRANSIENT)
    book.take(one.model_copy(update={"failure": Failure(kind=FailureKind.TRANSIENT, message="no", status=status)}))

    assert book.db.conn.execute("SELECT settled, cost FROM calls").fetchall() == [(1, 0.0)]
    assert book.sums() == book.rebuilt() == (1, 0.0, 0.0)


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        (FailureKind.TRANSIENT, "timeout", None),
        (FailureKind.TRANSIENT, "reset", None),
        (FailureKind.TRANSIENT, "cut", None),
        (FailureKind.TRANSIENT, "no_choices", 200),
        (FailureKind.INTERNAL, "ValueError", None),
    ],
)
def test_a_call_that_broke_off_stays_spent_at_its_reservation(
    book: Book, kind: FailureKind, code: str, status: int | None
) -> None:
    """It went out, and no whole answer came: nobody knows whether it is charged, which is never 0. It does not come twice."""
    book.send("t", 1)
    failure = Failure(kind=kind, message="why", code=code, status=status)
    broken = book.failure("t", 1, kind).model_copy(update={"failure": failure})
    book.take(broken)
    after = book.everything()
    book.take(broken)

    assert book.everything() == after
    (call,) = book.db.query("SELECT * FROM calls")
    assert (call["settled"], call["cost"], call["reserved"], call["seconds"]) == (0, None, 0.5, 1.0)
    assert book.sums() == book.rebuilt() == (1, 0.0, 0.5)
    assert book.row(1)["state"] == "due"


def test_what_never_reached_the_endpoint_costs_nothing(book: Book) -> None:
    """A connection that cannot be made carries no request."""
    book.send("t", 1)
    failure = Failure(kind=FailureKind.TRANSIENT, message="refused", code="connect")
    book.take(book.failure("t", 1, FailureKind.TRANSIENT).model_copy(update={"failure": failure}))

    assert book.sums() == book.rebuilt() == (1, 0.0, 0.0)


def test_usage_beside_a_failure_is_booked_at_its_price(book: Book) -> None:
    """A body without a choice that says what it has used: that is known, so nothing stays set aside."""
    book.send("t", 1)
    failure = Failure(kind=FailureKind.TRANSIENT, message="why", code="no_choices", status=200)
    usage = Usage(prompt=1_000_000, completion=0)
    book.take(book.failure("t", 1, failure.kind).model_copy(update={"failure": failure, "usage": usage}))

    assert book.db.conn.execute("SELECT settled, cost, prompt_tokens FROM calls").fetchall() == [(1, COST, 1_000_000)]
    assert book.sums() == book.rebuilt() == (1, COST, 0.0)


def test_a_late_reply_that_broke_off_leaves_the_reservation(book: Book) -> None:
    """What was lost and then comes as a timeout is as unknown as before."""
    book.send("t", 1)
    book.lose("t")
    book.fail("t", 1, FailureKind.TRANSIENT)

    assert book.db.conn.execute("SELECT outcome, settled, cost FROM calls").fetchall() == [("transient", 0, None)]
    assert book.sums() == book.rebuilt() == (1, 0.0, 0.5)


def test_a_lost_call_stays_spent_at_its_reservation(book: Book) -> None:
    """Nobody knows whether it is paid: it is a call, unsettled, and its money is not there for another."""
    book.send("t", 1)
    book.lose("t")
    book.lose("t")

    (call,) = book.db.query("SELECT * FROM calls")
    assert (call["settled"], call["cost"], call["reserved"], call["seconds"]) == (0, None, 0.5, None)
    assert book.sums() == book.rebuilt() == (1, 0.0, 0.5)


def test_money_under_a_lost_and_a_second_call_is_set_aside_for_both(book: Book) -> None:
    """The row is asked again at the price of another reservation."""
    book.send("old", 1)
    book.lose("old")
    book.send("new", 1, reserved=0.25)
    assert book.sums() == book.rebuilt() == (1, 0.0, 0.75)

    book.come("new", 1, GOOD)
    assert book.sums() == book.rebuilt() == (2, COST, 0.5)


def test_a_late_reply_puts_its_cost_in_the_place_of_the_reservation(book: Book) -> None:
    """The rest is free, and the call is counted once."""
    book.send("t", 1)
    book.lose("t")
    book.come("t", 1, GOOD)

    (call,) = book.db.query("SELECT * FROM calls")
    assert (call["settled"], call["cost"], call["lane"], call["outcome"]) == (1, COST, "l", "replied")
    assert book.sums() == book.rebuilt() == (1, COST, 0.0)


def test_a_late_reply_leaves_the_money_of_the_call_that_is_under_way(book: Book) -> None:
    """Its row has an end, but the second call will be paid all the same: a budget must still see it."""
    book.send("old", 1)
    book.lose("old")
    book.send("new", 1, reserved=0.25)
    book.come("old", 1, GOOD)
    assert book.sums() == book.rebuilt() == (1, COST, 0.25)

    book.come("new", 1, GOOD)
    assert book.sums() == book.rebuilt() == (2, 2 * COST, 0.0)
    assert book.row(1)["try_id"] is None


def test_a_lost_call_that_comes_back_unsent_was_not_paid(book: Book) -> None:
    """A lane that was cut off hands it back after all: it is settled at nothing, and its row stays as it is."""
    book.send("t", 1)
    book.lose("t")
    book.return_("t", 1)

    (call,) = book.db.query("SELECT * FROM calls")
    assert (call["settled"], call["cost"]) == (1, 0.0)
    assert book.sums() == book.rebuilt() == (1, 0.0, 0.0)
    assert (book.row(1)["state"], book.row(1)["losses"]) == ("due", 1)


def test_where_the_price_is_unknown_no_cost_is_made_up(tmp_path: Path) -> None:
    """Neither of a reply nor of a failure."""
    book = Book(tmp_path, price=False)
    book.send("t", 1, reserved=0.0)
    book.come("t", 1, GOOD)
    book.send("u", 2, reserved=0.0)
    book.fail("u", 2, FailureKind.TRANSIENT)

    assert book.db.conn.execute("SELECT cost, price FROM calls").fetchall() == [(None, None)] * 2


class Walk:
    """Whatever can happen to calls, in any order."""

    def __init__(self, book: Book, seed: int) -> None:
        self.book, self.chance = book, random.Random(seed)
        #: money that each call may cost
        self.most: dict[str, float] = {}
        self.under_way: dict[str, int] = {}
        #: lost or missed, and never heard of since
        self.astray: dict[str, int] = {}
        self.lost: set[str] = set()
        #: broke off: nobody will ever know
        self.broken: dict[str, float] = {}
        self.heard: list[Outcome] = []
        self.paid: set[str] = set()

    def step(self) -> None:
        due = [row["ordinal"] for row in self.book.db.query("SELECT * FROM run_rows WHERE state = 'due'")]
        if due and self.chance.random() < 0.5:
            try_id = f"t{len(self.most)}"
            self.under_way[try_id], self.most[try_id] = self.chance.choice(due), self.chance.choice((0.25, 0.5))
            self.book.send(try_id, self.under_way[try_id], reserved=self.most[try_id])
            return
        self.book.now += 1.0
        act = self.chance.choice((self.come, self.come, self.come, self.lose, self.miss, self.give_back, self.repeat))
        act()

    def come(self) -> None:
        """One or several calls end, the late ones among them."""
        there = [*self.under_way.items(), *self.astray.items()]
        chosen = self.chance.sample(there, min(len(there), self.chance.randint(1, 3)))
        outcomes = [self.outcome(try_id, ordinal) for try_id, ordinal in chosen]
        self.heard += outcomes
        self.paid |= {one.try_id for one in outcomes if one.kind == "replied"}
        for one in outcomes:
            if one.failure is not None and one.failure.kind is FailureKind.TRANSIENT:
                # What was on no stream has its money back already.
                aside = one.try_id in self.lost or one.try_id in self.under_way
                self.broken[one.try_id] = self.most[one.try_id] if aside else 0.0
            self.lost.discard(one.try_id)
            self.under_way.pop(one.try_id, None)
            self.astray.pop(one.try_id, None)
        assert self.book.take(*outcomes).strangers == []

    def outcome(self, try_id: str, ordinal: int) -> Outcome:
        kind = self.chance.choice((GOOD, BAD, BAD, FailureKind.THROTTLED, FailureKind.TRANSIENT))
        if isinstance(kind, FailureKind):
            return self.book.failure(try_id, ordinal, kind)
        return self.book.reply(try_id, ordinal, kind)

    def lose(self) -> None:
        for try_id in self.some():
            self.lost.add(try_id)
            self.book.lose(try_id)

    def miss(self) -> None:
        for try_id in self.some():
            self.book.miss(try_id)

    def give_back(self) -> None:
        for try_id, ordinal in list(self.under_way.items())[:1]:
            del self.under_way[try_id]
            self.book.return_(try_id, ordinal)

    def repeat(self) -> None:
        if self.heard:
            before = self.book.everything()
            self.book.take(self.chance.choice(self.heard))
            assert self.book.everything() == before

    def some(self) -> list[str]:
        chosen = [try_id for try_id in self.under_way if self.chance.random() < 0.5]
        self.astray |= {try_id: self.under_way.pop(try_id) for try_id in chosen}
        return chosen

    def hold(self) -> None:
        """What is so at any moment."""
        assert self.book.sums() == pytest.approx(self.book.rebuilt())
        aside = sum(self.most[try_id] for try_id in [*self.under_way, *self.lost]) + sum(self.broken.values())
        assert self.book.sums()[1:] == pytest.approx((COST * len(self.paid), aside))
        query = """
            SELECT state, (SELECT group_concat(id) FROM attempts a WHERE a.run = r.run AND a.ordinal = r.ordinal
                           AND a.verdict = 'accepted' AND a.superseded = 0), attempt FROM run_rows r
        """
        for state, accepted, attempt in self.book.db.conn.execute(query):
            assert accepted == (str(attempt) if state == "accepted" else None)


@pytest.mark.parametrize("seed", range(25))
def test_whatever_happens_the_sums_of_a_run_are_those_of_its_calls(tmp_path: Path, seed: int) -> None:
    """After every step calls, cost and reserved money equal what the ledger adds up to; all that was paid is there, once."""
    book = Book(tmp_path, n=12)
    book.db.execute("PRAGMA synchronous = OFF")
    walk = Walk(book, seed)
    for _ in range(120):
        walk.step()
        walk.hold()
    for try_id, ordinal in {**walk.under_way, **walk.astray}.items():
        walk.paid.add(try_id)
        book.come(try_id, ordinal, GOOD)

    assert len(walk.most) > 20 and len(walk.paid) > 10
    aside = pytest.approx(sum(walk.broken.values()))
    assert book.sums()[2] == aside, "nothing is under way, so nothing is set aside but for what broke off"
    assert all(row["try_id"] is None for row in book.db.query("SELECT * FROM run_rows"))
    assert any(row["state"] in ENDS for row in book.db.query("SELECT * FROM run_rows"))
