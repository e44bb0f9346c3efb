"""The rows of a ledger's run: what the keeper would have written for each fate, in every table that it touches.

A fate is one of ``FATES``, or a ``Fault`` that the row dies of.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlite_utils import Database

from jobs.prices import cost
from jobs.settings import Price
from jobs.values import Usage

#: fate -> the state that it leaves a row in
FATES = {
    "accepted": "accepted", "reused": "accepted", "reasked": "accepted", "throttled": "accepted", "climbed": "accepted",
    "cancelled": "cancelled", "dispatched": "dispatched", "due": "due", "backing_off": "due", "struck": "due",
}  # fmt: skip
#: requests of a run that are packed at most: packing 100,000 would take longer than everything else
PACKED = 2_000
#: what the answer of a reused row had cost, where there is a price
SAVED = 0.001


@dataclass(frozen=True)
class Fault:
    """One way of dying: its signature, its title, its leading problem and a raw reply that shows it."""

    signature: str
    title: str
    problem: dict[str, Any] | None
    raw: str | None
    finish_reason: str | None = "stop"


def problem(
    path: str, rule: str, expected: str, got: str, start: int | None = None, end: int | None = None
) -> dict[str, Any]:
    """A problem as it is stored."""
    return {"path": path, "rule": rule, "expected": expected, "got": got, "start": start, "end": end}


FAULTS = (
    Fault(
        "1:required:$.sentiment",
        "`sentiment` is missing",
        problem("$.sentiment", "required", "one of positive, neutral, negative", "nothing", 0, 41),
        '{"urgency": 3, "summary": "Wants refund"}',
    ),
    Fault(
        "1:not_json:prose",
        "reply is not JSON: prose",
        problem("$", "not_json", "one JSON object", "prose", 0, 38),
        "The customer is unhappy about the fee.",
    ),
    Fault(
        "1:enum:$.sentiment",
        "`sentiment` is not one of the allowed values",
        problem("$.sentiment", "enum", "one of positive, neutral, negative", '"angry"', 14, 21),
        '{"sentiment": "angry", "urgency": 5, "summary": "Late parcel"}',
    ),
    Fault(
        "1:type:$.urgency:string",
        "`urgency` is text, not a whole number",
        problem("$.urgency", "type", "integer", '"high"', 37, 43),
        '{"sentiment": "neutral", "urgency": "high", "summary": "Asks for help"}',
    ),
    Fault(
        "1:cut",
        "reply was cut off at max_tokens",
        problem("$", "cut", "a whole answer", "a reply that ends in the middle", 40, 52),
        '{"sentiment": "negative", "urgency": 4, "summary": "The c',
        "length",
    ),
    Fault("1:unreachable", "the endpoint could not be reached", None, None, None),
)


@dataclass(frozen=True, kw_only=True)
class Head:
    """What is known of a row before it meets its fate."""

    ordinal: int
    row_id: str
    #: JSON of the cells, where a person edited them
    edited: str | None
    key: bytes
    cells: dict[str, str]
    #: when it ends
    at: float


@dataclass(kw_only=True)
class RunWriter:
    """Writes the rows of one run; ``put`` brings them into the file."""

    run: int
    root: int
    model: str
    price: dict[str, float] | None
    next_call: int
    next_attempt: int
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    attempts: list[tuple[Any, ...]] = field(default_factory=list)
    letters: list[tuple[Any, ...]] = field(default_factory=list)
    results: list[tuple[Any, ...]] = field(default_factory=list)
    moves: list[tuple[Any, ...]] = field(default_factory=list)
    reuse: list[tuple[Any, ...]] = field(default_factory=list)
    packed: dict[str, bytes] = field(default_factory=dict)
    #: of the rung above the run's own model, if there is one
    upper: dict[str, float] | None = None
    #: the share of its prompt tokens that a call finds cached
    cached: float = 0.0
    #: the prices as they are stored with each call, by rung
    priced: dict[int, str | None] = field(default_factory=dict)

    def row(self, head: Head, fate: str | Fault) -> None:
        """Let a row meet its fate."""
        state = "dead" if isinstance(fate, Fault) else FATES[fate]
        last: int | None = None
        strikes = tries = waits = 0
        if isinstance(fate, Fault):
            last = self._died(head, fate)
            strikes, tries = (0, 6) if fate.raw is None else (3, 0)
        elif fate in ("reasked", "struck"):
            strikes, last = 1, self._strike(head, FAULTS[0], asked=1, at=head.at - 1)
        elif fate == "climbed":
            self._doubt(head, at=head.at - 1)
        elif fate in ("throttled", "backing_off"):
            waits = 1
            self._refused(head, "throttled", at=head.at - 1, status=429)
        if state == "accepted":
            last = self._accepted(head, str(fate))
        ended = head.at if state in ("accepted", "dead", "cancelled") else None
        due = head.at + 3600 * 24 * 3650 if fate == "backing_off" else 0.0
        try_id = f"t-{self.run}-{head.ordinal}" if state == "dispatched" else None
        signature = fate.signature if isinstance(fate, Fault) else None
        self.rows.append(
            (self.run, head.ordinal, head.row_id, state, head.key, head.edited, strikes, tries, waits, due, try_id,
             head.at if try_id else None, last, signature, ended, int(fate == "climbed"))
        )  # fmt: skip

    def _died(self, head: Head, fault: Fault) -> int:
        if fault.raw is None:
            for n in range(5):
                self._refused(head, "transient", at=head.at - 6 + n)
            last = self._refused(head, "transient", at=head.at - 1, rule="unreachable", signature=fault.signature)
        else:
            *_, last = [self._strike(head, fault, asked=n, at=head.at - 4 + n) for n in (1, 2, 3)]
        self.letters.append((self.run, head.ordinal, self.root, head.row_id, fault.signature, last, head.at))
        return last

    def _strike(self, head: Head, fault: Fault, *, asked: int, at: float) -> int:
        call = self._call(head, at, raw=fault.raw, finish=fault.finish_reason, way="rejected")
        return self._attempt(
            call, head, "rejected", at, strike=1, asked=asked, problems=[fault.problem], signature=fault.signature
        )

    def _doubt(self, head: Head, *, at: float) -> None:
        """A valid answer of the lower rung that is not left at that."""
        value = answer(head.ordinal)
        call = self._call(head, at, raw=value, way="doubted")
        why = problem("$.sentiment", "doubted", "a probability of 0.9 or more", "a probability of 0.610")
        self._attempt(call, head, "rejected", at, value=value, problems=[why], signature="1:doubted:$.sentiment")

    def _refused(
        self,
        head: Head,
        kind: str,
        *,
        at: float,
        status: int | None = None,
        rule: str | None = None,
        signature: str | None = None,
    ) -> int:
        """A request that brought no reply."""
        message = "slow down" if kind == "throttled" else "connection reset"
        failure = {"kind": kind, "message": message, "status": status, "code": None, "retry_after": None}
        call = self._call(head, at, outcome=kind, failure=failure, status=status, way="failed")
        problems = [problem("$", rule or kind, "a reply to judge", message)]
        return self._attempt(call, head, "failed", at, problems=problems, signature=signature)

    def _accepted(self, head: Head, fate: str) -> int:
        asked, value = (2 if fate == "reasked" else 1), answer(head.ordinal)
        way = "first" if asked == 1 else "again"
        call = None if fate == "reused" else self._call(head, head.at, raw=value, way=way, rung=int(fate == "climbed"))
        receipt = _receipt(None if fate == "reused" else asked)
        attempt = self._attempt(call, head, "accepted", head.at, asked=asked, value=value, receipt=receipt)
        self.results.append((self.root, head.ordinal, self.run, attempt))
        if self.run != self.root:
            self.moves.append((self.root, head.ordinal, self.run, attempt, head.at))
        if fate != "reused":
            self.reuse.append((head.key, attempt))
        return attempt

    def _call(
        self,
        head: Head,
        at: float,
        *,
        raw: str | None = None,
        finish: str | None = "stop",
        outcome: str = "replied",
        failure: dict[str, Any] | None = None,
        status: int | None = 200,
        way: str,
        rung: int = 0,
    ) -> int:
        call, self.next_call = self.next_call, self.next_call + 1
        price, replied = self.upper if rung else self.price, outcome == "replied"
        if rung not in self.priced:
            self.priced[rung] = json.dumps(price) if price else None
        asked, answered = 80 + len(head.cells.get("message", "")) // 4, len(raw or "") // 4
        cached = int(asked * self.cached)
        tokens = Usage(prompt=asked, completion=answered, cached=cached)
        spent = None if price is None else (cost(tokens, Price.model_validate(price)) or 0.0) * replied
        self.calls.append(
            (call, f"try-{call}", self.run, f"lane-{call % 2}", outcome, at, seconds(call), 0.01, status,
             json.dumps(failure) if failure else None, self.model if replied else None, finish if replied else None,
             f"req-{call}" if replied else None, asked if replied else None, answered if replied else None,
             cached if replied else None, spent, self.priced[rung], self._request(head.cells),
             raw.encode("utf-8", "surrogatepass") if raw is not None else None, at + 0.5, way, int(way not in ("first", "again")), rung)
        )  # fmt: skip
        return call

    def _request(self, cells: dict[str, str]) -> bytes:
        text = cells.get("message", "")
        if text not in self.packed:
            if len(self.packed) >= PACKED:
                return next(iter(self.packed.values()))
            body = {
                "model": self.model,
                "messages": [
                    {"role": "system", "content": "You sort support messages. Answer with JSON."},
                    {"role": "user", "content": f"From {cells.get('customer', '')}:\n{text}"},
                ],
                "max_tokens": 128,
            }
            self.packed[text] = zlib.compress(json.dumps(body).encode(), 1)
        return self.packed[text]

    def _attempt(
        self,
        call: int | None,
        head: Head,
        verdict: str,
        at: float,
        *,
        strike: int = 0,
        asked: int = 1,
        value: str | None = None,
        receipt: str | None = None,
        problems: list[Any] | None = None,
        signature: str | None = None,
    ) -> int:
        attempt, self.next_attempt = self.next_attempt, self.next_attempt + 1
        self.attempts.append(
            (attempt, call, self.run, head.ordinal, verdict, strike, asked, value, receipt,
             json.dumps(problems) if problems else None, signature, SAVED if call is None and self.price else None, at + 0.5)
        )  # fmt: skip
        return attempt

    def put(self, db: Database) -> None:
        """Bring what was written since the last time into the file."""
        for table, columns, rows, verb in self._tables():
            marks = ", ".join("?" * len(columns.split(",")))
            db.conn.executemany(f"INSERT {verb} INTO {table} ({columns}) VALUES ({marks})", rows)
            rows.clear()

    def _tables(self) -> Iterator[tuple[str, str, list[tuple[Any, ...]], str]]:
        yield (
            "run_rows",
            "run, ordinal, row_id, state, reuse_key, cells, strikes, tries, waits, due_at, try_id, dispatched_at, attempt, "
            "signature, ended_at, rung",
            self.rows,
            "",
        )
        yield (
            "calls",
            "id, try_id, run, lane, outcome, sent_at, seconds, queue_seconds, status, failure, model, finish_reason, request_id, "
            "prompt_tokens, completion_tokens, cached_tokens, cost, price, request, raw, recorded_at, way, wasted, rung",
            self.calls,
            "",
        )
        yield (
            "attempts",
            "id, call, run, ordinal, verdict, strike, asked, value, receipt, problems, signature, saved, recorded_at",
            self.attempts,
            "",
        )
        yield "dead_letters", "run, ordinal, root, row_id, signature, attempt, died_at", self.letters, ""
        yield "results", "root, ordinal, run, attempt", self.results, "OR REPLACE"
        yield "result_moves", "root, ordinal, run, attempt, made_at", self.moves, ""
        yield "reuse", "key, attempt", self.reuse, "OR IGNORE"


@cache
def _receipt(asked: int | None) -> str:
    """Of a value that was asked for, or else reused."""
    return json.dumps({"how": "reused", "source": 1} if asked is None else {"how": "strict", "asked": asked})


def seconds(call: int) -> float:
    """How long a call took: from 0.3 to 1.3, no two the same, and few of them long."""
    return 0.3 + (call * 2_654_435_761 % 2**32 / 2**32) ** 3


def ticket(subject: int, ordinal: int) -> tuple[str, ...]:
    """A row of the usual dataset: what it says depends on the subject, its id on the ordinal."""
    words = ("parcel", "invoice", "login", "refund", "cable", "delivery", "password", "colour")
    about = words[subject % len(words)]
    message = (
        f"Hello, this is about my {about}. I wrote to you {subject} days ago and nobody has answered. "
        f"The number on it is {subject * 7919 % 100_003}, and I would like to know what happens next. Thank you."
    )
    return f"T-{ordinal:06d}", f"Customer {subject % 5003}", f"My {about}", message


def answer(ordinal: int) -> str:
    """The reply that a row is accepted with."""
    mood = ("positive", "neutral", "negative")[ordinal % 3]
    return f'{{"sentiment": "{mood}", "urgency": {1 + ordinal % 5}, "summary": "Asks about number {ordinal}."}}'
