"""Writes about calls and attempts: what was sent, what came back, what it did for each row, and what that did to the money.

A call stands here if and only if its request went out, or may have, so that ``runs.calls`` is their number and
``runs.cost`` the sum of what is known of their price. Money is set aside for a call when it is dispatched, and stays aside until
it is known what the call has cost. Of one that was lost, or that broke off without a whole answer, nobody knows whether it is
charged: its cost is unknown and never 0, and its reservation stays spent. A late reply puts the real cost in its place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter

from sqlite_utils import Database

from jobs.messages import Outcome
from jobs.outcomes import Received
from jobs.prices import cost, is_free
from jobs.settings import Price
from jobs.store import tallies, ways
from jobs.store.batch import Batch
from jobs.store.rows import Reused
from jobs.store.runs import RunRecord
from jobs.store.tries import Row, Try
from jobs.values import UNSENT, Failure, FailureKind, Verdict

#: statuses from here on refuse a request, and nobody charges for that
_REFUSES = 400
_COLUMNS = (
    "try_id", "run", "lane", "outcome", "sent_at", "seconds", "queue_seconds", "status", "failure", "model", "finish_reason",
    "request_id", "prompt_tokens", "completion_tokens", "cached_tokens", "estimated", "cost", "price", "reserved", "settled",
    "request", "raw", "recorded_at", "rung", "batch", "singly_prompt", "singly_completion", *ways.DERIVED,
)  # fmt: skip
#: of a call's columns, those that its ``Facts`` begin with
_DECIDING = itemgetter(
    *(
        _COLUMNS.index(name)
        for name in (
            "outcome", "settled", "price", "cost", "prompt_tokens", "completion_tokens", "cached_tokens", "singly_prompt",
            "singly_completion", "batch", "rung",
        )
    )
)  # fmt: skip
_TALLIED = itemgetter(*(_COLUMNS.index(name) for name in tallies.COLUMNS))
_INSERT = f"INSERT INTO calls (id, {', '.join(_COLUMNS)}) VALUES (?{', ?' * len(_COLUMNS)})"
_UPDATE = f"UPDATE calls SET {', '.join(f'{name} = ?' for name in _COLUMNS)} WHERE id = ?"
_ATTEMPT = """
    INSERT INTO attempts (id, call, run, ordinal, verdict, strike, asked, value, receipt, problems, signature, superseded,
                          failure, confidence, recorded_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_LATE_ATTEMPT = """
    UPDATE attempts SET verdict = ?, strike = ?, asked = ?, value = ?, receipt = ?, problems = ?, signature = ?, superseded = ?,
           failure = ?, confidence = ?, recorded_at = ?
    WHERE call = ? AND ordinal = ? RETURNING id
"""
#: made once, since ``json.dumps`` makes another for every text that is not plain ASCII
_JSON = json.JSONEncoder(ensure_ascii=False).encode


@dataclass
class _Sum:
    """What a batch adds to a run."""

    calls: int = 0
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    cost: float = 0.0
    #: money that is set aside no longer
    released: float = 0.0
    throttles: int = 0


@dataclass
class _Entered:
    """A call on its way into the books, and what it has done for its rows."""

    record: RunRecord
    #: of its columns, but for those that follow from them and from what it has done
    values: tuple[object, ...]
    rows: int = 0
    accepted: int = 0
    asked: int = 1
    rejected: int = 0
    doubted: int = 0

    def add(self, verdict: str, asked: int, value: object, *, superseded: bool) -> None:
        """Count what it did for one of its rows."""
        self.rows += 1
        if superseded:
            return
        if verdict == "accepted":
            self.accepted += 1
            self.asked = max(self.asked, asked)
        elif verdict == "rejected":
            self.rejected += value is None
            self.doubted += value is not None

    def whole(self) -> tuple[object, ...]:
        """All of its columns."""
        told = (max(1, self.rows), self.accepted, self.asked, self.rejected, self.doubted)
        facts = ways.Facts._make((*_DECIDING(self.values), *told))
        return *self.values, *facts.derived(self.record.rungs)


class Calls:
    """The books of calls, attempts and money, for one batch inside a transaction that its caller holds."""

    def __init__(self, db: Database, batch: Batch, *, now: float) -> None:
        self._db, self._batch, self._now = db, batch, now
        self._sums: dict[int, _Sum] = {}
        self._of_batches: dict[int, Price | None] = {}
        self._last: dict[str, int] = {}
        self._tally = tallies.Tally()
        #: calls of which it is not said yet what they brought
        self._open: dict[int, _Entered] = {}

    def enter(self, received: Received, record: RunRecord, tried: Try) -> int:
        """Write down what came of a call whose request went out, or may have; its number."""
        outcome = received.outcome
        price = self._price(record, outcome)
        money = _money(outcome, price)
        if tried.call is not None:
            self._tally.take_back(tallies.of_call(self._db, tried.call))
        call = tried.call or self._next("calls")
        self._open[call] = _Entered(record, self._values(received, record, tried, price=price, money=money))
        total, usage = self._sum(record.id), outcome.usage
        total.calls += tried.call is None
        if usage is not None:
            total.prompt += usage.prompt
            total.completion += usage.completion
            total.cached += usage.cached
        total.cost += money or 0.0
        if not is_open(outcome):
            total.released += tried.reserved
        total.throttles += outcome.failure is not None and outcome.failure.kind is FailureKind.THROTTLED
        return call

    def attempt(
        self,
        row: Row,
        tried: Try,
        call: int | None,
        *,
        verdict: str,
        asked: int,
        strike: bool = False,
        superseded: bool = False,
        value: Verdict | None = None,
        failure: Failure | None = None,
        confidence: float | None = None,
    ) -> int:
        """Write down what a call did for a row; its number. What comes late of a lost call takes the place of the loss.

        ``failure`` is that of a call that was not sent: any other stands with its call.
        """
        judged = value or Verdict(kind="rejected")
        problems = [problem.model_dump() for problem in judged.problems]
        values: Sequence[object] = (
            verdict,
            int(strike),
            asked,
            _JSON(judged.value) if judged.value is not None else None,
            judged.receipt.model_dump_json() if judged.receipt else None,
            _JSON(problems) if problems else None,
            judged.signature,
            int(superseded),
            failure.model_dump_json() if failure else None,
            confidence,
            self._now,
        )
        if call is not None:
            self._open[call].add(verdict, asked, judged.value, superseded=superseded)
        if tried.call is not None:
            return int(self._db.conn.execute(_LATE_ATTEMPT, [*values, tried.call, row.ordinal]).fetchone()[0])
        number = self._next("attempts")
        self._batch.add(_ATTEMPT, (number, call, row.run, row.ordinal, *values))
        return number

    def release(self, record: RunRecord, tried: Try) -> None:
        """A call turns out not to have been sent: its money is free, also where it had been given up as lost."""
        self._sum(record.id).released += tried.reserved
        if tried.call is not None:
            known = None if record.rungs[tried.rung].price is None else 0.0
            self._tally.take_back(tallies.of_call(self._db, tried.call))
            self._db.conn.execute("UPDATE calls SET settled = 1, cost = ? WHERE id = ?", [known, tried.call])
            ways.derive_call(self._db, tried.call)
            self._tally.add(tallies.of_call(self._db, tried.call))

    def ended(self, run: int, tried: Try, call: int | None, *, accepted: int, strikes: int, dead: int) -> None:
        """Count what a call has brought its rows: values, strikes, deaths; ``call`` None: it was not sent."""
        if call is None:
            self._tally.dead(run, tried.rung, self._now, dead)
            return
        values = self._open.pop(call).whole()
        if tried.call is None:
            self._batch.add(_INSERT, (call, *values))
            self._tally.add(tallies.Call._make((*_TALLIED(values), accepted, strikes, dead)))
            return
        # Of its rows, those that the late reply says nothing about keep what they had: only the ledger knows them all.
        self._db.conn.execute(_UPDATE, [*values, call])
        ways.derive_call(self._db, call)
        self._tally.add(tallies.of_call(self._db, call))

    def reused(self, run: int, rows: Iterable[Reused]) -> None:
        """Count rows that got an answer of earlier."""
        for one in rows:
            self._tally.reused(run, one.rung, self._now, one.saved)

    def close(self) -> None:
        """Add what the batch came to to its runs and minutes."""
        self._tally.write(self._db)
        self._db.conn.executemany(
            """
            UPDATE runs SET calls = calls + ?, prompt_tokens = prompt_tokens + ?, completion_tokens = completion_tokens + ?,
                cached_tokens = cached_tokens + ?, cost = cost + ?, reserved = max(0, reserved - ?), throttles = throttles + ?
            WHERE id = ?
            """,
            [
                (one.calls, one.prompt, one.completion, one.cached, one.cost, one.released, one.throttles, run)
                for run, one in self._sums.items()
            ],
        )
        self._sums.clear()

    def _sum(self, run: int) -> _Sum:
        return self._sums.setdefault(run, _Sum())

    def _next(self, table: str) -> int:
        """The number of a new call or attempt; nobody else makes any inside this transaction."""
        if table not in self._last:
            self._last[table] = self._db.conn.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()[0]
        self._last[table] += 1
        return self._last[table]

    def _price(self, record: RunRecord, outcome: Outcome) -> Price | None:
        """What is charged for a call: its rung's price, or that of its batch."""
        if outcome.batch is None:
            return record.rungs[outcome.rung].price
        if outcome.batch not in self._of_batches:
            query = "SELECT price FROM batches WHERE id = ? AND run = ?"
            found = self._db.conn.execute(query, [outcome.batch, record.id]).fetchone()
            if found is None:
                raise LookupError(f"run {record.id} has no batch {outcome.batch}")
            self._of_batches[outcome.batch] = Price.model_validate_json(found[0]) if found[0] else None
        return self._of_batches[outcome.batch]

    def _values(
        self, received: Received, record: RunRecord, tried: Try, *, price: Price | None, money: float | None
    ) -> tuple[object, ...]:
        """What to write, in the order of the columns, without those that are derived."""
        outcome, usage, failure = received.outcome, received.outcome.usage, received.outcome.failure
        lost = is_lost(outcome)
        return (
            tried.try_id,
            record.id,
            outcome.lane,
            failure.kind.value if failure else "replied",
            outcome.sent_at,
            # A line of a batch has waited for others, and is no measure of an endpoint's haste.
            None if lost or outcome.batch is not None else outcome.seconds,
            outcome.queue_seconds,
            outcome.status,
            failure.model_dump_json() if failure else None,
            outcome.model,
            outcome.finish_reason,
            outcome.request_id,
            usage.prompt if usage else None,
            usage.completion if usage else None,
            usage.cached if usage else None,
            int(usage.estimated) if usage else 0,
            money,
            _written(price),
            tried.reserved,
            int(not is_open(outcome)),
            received.request,
            received.raw,
            self._now,
            outcome.rung,
            outcome.batch,
            outcome.singly.prompt if outcome.singly else None,
            outcome.singly.completion if outcome.singly else None,
        )


@lru_cache(maxsize=256)
def _written(price: Price | None) -> str | None:
    return None if price is None else price.model_dump_json()


def is_lost(outcome: Outcome) -> bool:
    """Whether the end of the call is unknown, and may still come."""
    return outcome.failure is not None and outcome.failure.kind is FailureKind.LOST


def is_open(outcome: Outcome) -> bool:
    """Whether nobody knows if the call is charged: it went out, or may have, and no whole answer came of it.

    A refusal with a status is an answer, and so is the usage that stands beside a failure.
    """
    failure = outcome.failure
    if failure is None or outcome.usage is not None or failure.kind is FailureKind.BLOCKED:
        return False
    return (failure.status or 0) < _REFUSES and failure.code not in UNSENT


def _money(outcome: Outcome, price: Price | None) -> float | None:
    """What a call has cost; None where nobody knows."""
    if price is None:
        return None
    if is_open(outcome):
        return 0.0 if is_free(price) else None
    if outcome.usage is not None:
        return cost(outcome.usage, price)
    return 0.0 if outcome.kind == "failed" else None
