"""Writes about what came back: each outcome becomes a call, its attempts, and what follows for each row.

One transaction holds hundreds of outcomes. Everything is settled by natural keys, so an outcome that arrives twice, or after
its lane was given up, changes no row twice: the first recorded verdict decides a row, later ones are kept as superseded.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlite_utils import Database

from jobs import signature
from jobs.lifecycle import ENDS, RowState, RunState, Trouble, after_failure, raised_max_tokens
from jobs.messages import Outcome, RowVerdict
from jobs.outcomes import Received
from jobs.prices import cost
from jobs.store import rows, runs
from jobs.store.runs import RunRecord, set_state
from jobs.values import Failure, FailureKind, Problem, Usage, Verdict

#: a dead letter of these kinds of run stays with its run and asks nobody for anything
QUIET_KINDS = ("try", "evaluation")
#: what an outcome raises that cannot be recorded: a row that is not there, a figure that no column can hold
UNRECORDABLE = (sqlite3.IntegrityError, sqlite3.DataError, ValueError, TypeError, LookupError, OverflowError)


@dataclass
class Recorded:
    """What a batch did, for logs and for the keeper's next step."""

    accepted: int = 0
    dead: int = 0
    strikes: int = 0
    throttled: int = 0
    superseded: int = 0
    returned: int = 0
    paused: list[tuple[int, str]] = field(default_factory=list)
    runs: set[int] = field(default_factory=set)
    #: what happened to single rows that did not go well
    mishaps: list[Mishap] = field(default_factory=list)

    def add(self, other: Recorded) -> None:
        """Count another batch in."""
        for name in ("accepted", "dead", "strikes", "throttled", "superseded", "returned"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.paused += other.paused
        self.runs |= other.runs
        self.mishaps += other.mishaps


@dataclass(frozen=True, kw_only=True)
class Mishap:
    """One row's strike, failure or death, for the log."""

    run: int
    row: int
    action: str
    #: the failure's kind, or the signature
    kind: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class _Row:
    run: int
    ordinal: int
    row_id: str
    state: str
    reuse_key: bytes | None
    strikes: int
    trouble: Trouble
    try_id: str | None
    reserved: float
    max_tokens: int | None
    root: int


class Recorder:
    """Records outcomes inside a transaction that its caller holds."""

    def __init__(self, db: Database, *, now: float, chance: Callable[[], float]) -> None:
        self._db, self._now, self._chance = db, now, chance
        self._runs: dict[int, RunRecord | None] = {}
        self.done = Recorded()

    def record(self, received: Received, record: RunRecord) -> None:
        """One outcome of a run."""
        outcome = received.outcome
        self.done.runs.add(record.id)
        if outcome.kind == "returned":
            self.done.returned += rows.give_back(self._db, [outcome.try_id], now=self._now)
            return
        call = self._call(received, record)
        if call is None:
            return
        if outcome.kind == "failed" and outcome.failure is not None:
            for ordinal in outcome.ordinals:
                self._failed(record, outcome, call, ordinal, outcome.failure)
        else:
            for one in outcome.verdicts:
                self._judged(record, outcome, call, one)

    def lost(self, try_id: str, record: RunRecord, ordinals: Sequence[int]) -> None:
        """A call whose lane is gone: whether it was answered is unknown, so its money stays spent."""
        failure = Failure(kind=FailureKind.LOST, message="the lane that made this call died or was cut off")
        outcome = Outcome(
            run=record.id,
            try_id=try_id,
            lane="",
            kind="failed",
            ordinals=tuple(ordinals),
            failure=failure,
            sent_at=self._now,
        )
        self.record(Received(place="", outcome=outcome, raw=None, request=None), record)

    # -- the call ------------------------------------------------------------------------------------------------------

    def _call(self, received: Received, record: RunRecord) -> int | None:
        """The number of the call's row; None where this very outcome was recorded before."""
        outcome, price = received.outcome, record.price
        lost = outcome.failure is not None and outcome.failure.kind is FailureKind.LOST
        usage = outcome.usage
        money = None if lost or usage is None else cost(usage, price)
        if outcome.kind == "failed" and not lost and usage is None:
            money = 0.0 if price else None
        known = self._db.conn.execute(
            "SELECT id, settled, reserved FROM calls WHERE try_id = ?", [outcome.try_id]
        ).fetchone()
        reserved = known[2] if known else self._reserved(outcome.try_id)
        if known is not None and (known[1] or lost):
            return None
        values = self._call_values(received, record, money=money, settled=not lost, reserved=reserved)
        if known is not None:
            names = ", ".join(f"{name} = ?" for name in values)
            self._db.conn.execute(f"UPDATE calls SET {names} WHERE id = ?", [*values.values(), known[0]])
            call = int(known[0])
        else:
            names, marks = ", ".join(values), ", ".join("?" * len(values))
            call = int(
                self._db.conn.execute(f"INSERT INTO calls ({names}) VALUES ({marks})", [*values.values()]).lastrowid
                or 0
            )
        self._sums(
            record, outcome, usage or Usage(), money=money, released=0.0 if lost else reserved, first=known is None
        )
        return call

    def _call_values(
        self, received: Received, record: RunRecord, *, money: float | None, settled: bool, reserved: float
    ) -> dict[str, object]:
        outcome, usage = received.outcome, received.outcome.usage
        return {
            "try_id": outcome.try_id,
            "run": record.id,
            "lane": outcome.lane,
            "outcome": outcome.failure.kind.value if outcome.failure else "replied",
            "sent_at": outcome.sent_at,
            "seconds": outcome.seconds if settled else None,
            "queue_seconds": outcome.queue_seconds,
            "status": outcome.status,
            "failure": outcome.failure.model_dump_json() if outcome.failure else None,
            "model": outcome.model,
            "finish_reason": outcome.finish_reason,
            "request_id": outcome.request_id,
            "prompt_tokens": usage.prompt if usage else None,
            "completion_tokens": usage.completion if usage else None,
            "cached_tokens": usage.cached if usage else None,
            "estimated": int(usage.estimated) if usage else 0,
            "cost": money,
            "price": record.price.model_dump_json() if record.price else None,
            "reserved": reserved,
            "settled": int(settled),
            "request": received.request,
            "raw": received.raw,
            "recorded_at": self._now,
        }

    def _reserved(self, try_id: str) -> float:
        found = self._db.conn.execute(
            "SELECT coalesce(sum(reserved), 0) FROM run_rows WHERE try_id = ?", [try_id]
        ).fetchone()
        return float(found[0])

    def _sums(
        self, record: RunRecord, outcome: Outcome, usage: Usage, *, money: float | None, released: float, first: bool
    ) -> None:
        throttled = int(outcome.failure is not None and outcome.failure.kind is FailureKind.THROTTLED)
        self.done.throttled += throttled
        self._db.conn.execute(
            """
            UPDATE runs SET calls = calls + ?, prompt_tokens = prompt_tokens + ?, completion_tokens = completion_tokens + ?,
                cached_tokens = cached_tokens + ?, cost = cost + ?, reserved = max(0, reserved - ?), throttles = throttles + ?
            WHERE id = ?
            """,
            [int(first), usage.prompt, usage.completion, usage.cached, money or 0.0, released, throttled, record.id],
        )

    # -- the rows ------------------------------------------------------------------------------------------------------

    def _row(self, record: RunRecord, ordinal: int) -> _Row:
        found = self._db.conn.execute(
            """
            SELECT row_id, state, reuse_key, strikes, tries, faults, waits, trouble_at, try_id, reserved, max_tokens
            FROM run_rows WHERE run = ? AND ordinal = ?
            """,
            [record.id, ordinal],
        ).fetchone()
        if found is None:
            raise LookupError(f"run {record.id} has no row {ordinal}")
        row_id, state, key, strikes, tries, faults, waits, since, try_id, reserved, max_tokens = found
        return _Row(
            run=record.id,
            ordinal=ordinal,
            row_id=row_id,
            state=state,
            reuse_key=key,
            strikes=strikes,
            trouble=Trouble(tries=tries, faults=faults, waits=waits, since=since),
            try_id=try_id,
            reserved=reserved,
            max_tokens=max_tokens,
            root=record.root,
        )

    def _attempt(
        self,
        row: _Row,
        call: int | None,
        *,
        verdict: str,
        asked: int,
        strike: bool = False,
        superseded: bool = False,
        value: Verdict | None = None,
    ) -> int:
        """Insert an attempt; one that stood for a lost call takes the verdict that came late."""
        judged = value or Verdict(kind="rejected")
        cursor = self._db.conn.execute(
            """
            INSERT INTO attempts (call, run, ordinal, verdict, strike, asked, value, receipt, problems, signature,
                                  superseded, recorded_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (call, ordinal) DO UPDATE SET verdict = excluded.verdict, strike = excluded.strike,
                value = excluded.value, receipt = excluded.receipt, problems = excluded.problems,
                signature = excluded.signature, superseded = excluded.superseded, recorded_at = excluded.recorded_at
            RETURNING id
            """,
            [
                call,
                row.run,
                row.ordinal,
                verdict,
                int(strike),
                asked,
                json.dumps(judged.value, ensure_ascii=False) if judged.value is not None else None,
                judged.receipt.model_dump_json() if judged.receipt else None,
                json.dumps([problem.model_dump() for problem in judged.problems], ensure_ascii=False)
                if judged.problems
                else None,
                judged.signature,
                int(superseded),
                self._now,
            ],
        )
        return int(cursor.fetchone()[0])

    def _judged(self, record: RunRecord, outcome: Outcome, call: int, one: RowVerdict) -> None:
        row, verdict = self._row(record, one.ordinal), one.verdict
        ended = row.state in ENDS
        other_call = row.state == RowState.DISPATCHED and row.try_id != outcome.try_id
        if ended or (other_call and verdict.kind == "rejected"):
            self._attempt(row, call, verdict=verdict.kind, asked=one.asked, superseded=True, value=verdict)
            self.done.superseded += 1
            return
        if verdict.kind == "accepted":
            if other_call and row.reserved:
                self._db.conn.execute(
                    "UPDATE runs SET reserved = max(0, reserved - ?) WHERE id = ?", [row.reserved, record.id]
                )
            self.accept(record, row, self._attempt(row, call, verdict="accepted", asked=one.asked, value=verdict))
            return
        attempt = self._attempt(row, call, verdict="rejected", asked=one.asked, strike=True, value=verdict)
        self.done.strikes += 1
        self._mishap(row, "row_struck", verdict.signature or "", outcome.seconds)
        strikes = row.strikes + 1
        if strikes >= record.options.strikes:
            self._die(record, row, attempt, verdict.signature or signature.signature(verdict.problems), strikes=strikes)
            return
        cut = outcome.finish_reason == "length"
        asked_with = row.max_tokens or record.content.max_tokens
        self._again(
            record,
            row,
            attempt=attempt,
            strikes=strikes,
            trouble=Trouble(),
            due_at=self._now,
            max_tokens=raised_max_tokens(asked_with, record.content.max_tokens) if cut else row.max_tokens,
        )

    def _failed(self, record: RunRecord, outcome: Outcome, call: int, ordinal: int, failure: Failure) -> None:
        row = self._row(record, ordinal)
        if row.state in ENDS or row.try_id != outcome.try_id:
            self._attempt(row, call, verdict="failed", asked=row.strikes + 1, superseded=True)
            return
        what = after_failure(failure, row.trouble, now=self._now, chance=self._chance())
        problem = Problem(
            path="$", rule=what.dead or failure.kind.value, expected="a reply to judge", got=failure.message[:300]
        )
        named = signature.failure_signature(what.dead, _detail(failure)) if what.dead else None
        verdict = Verdict(kind="rejected", problems=(problem,), signature=named)
        attempt = self._attempt(row, call, verdict="failed", asked=row.strikes + 1, value=verdict)
        self._mishap(row, "call_failed", failure.kind.value, outcome.seconds)
        if what.pause:
            self._pause(record, failure)
        if what.dead and named:
            self._die(record, row, attempt, named, strikes=row.strikes)
        else:
            self._again(
                record,
                row,
                attempt=None,
                strikes=row.strikes,
                trouble=what.trouble,
                due_at=self._now + what.after,
                max_tokens=row.max_tokens,
            )

    def _mishap(self, row: _Row, action: str, kind: str, seconds: float) -> None:
        self.done.mishaps.append(
            Mishap(run=row.run, row=row.ordinal, action=action, kind=kind, seconds=round(seconds, 4))
        )

    def _pause(self, record: RunRecord, failure: Failure) -> None:
        changed = self._db.conn.execute("SELECT state FROM runs WHERE id = ?", [record.id]).fetchone()[0]
        if changed == RunState.RUNNING:
            set_state(self._db, record.id, RunState.PAUSED, paused_by="provider", reason=failure.message)
            self.done.paused.append((record.id, failure.message))

    def accept(self, record: RunRecord, row: _Row, attempt: int) -> None:
        """Give a row its value and move the result of the root run to it."""
        self._end(row, RowState.ACCEPTED, attempt=attempt, signature_=None)
        self.done.accepted += 1
        if record.kind in QUIET_KINDS:
            return
        pointer = [record.root, row.ordinal, record.id, attempt]
        self._db.conn.execute(
            """
            INSERT INTO results (root, ordinal, run, attempt) VALUES (?, ?, ?, ?)
            ON CONFLICT (root, ordinal) DO UPDATE SET run = excluded.run, attempt = excluded.attempt, decision = NULL
            """,
            pointer,
        )
        if record.kind == "replay":
            self._db.conn.execute(
                "INSERT INTO result_moves (root, ordinal, run, attempt, made_at) VALUES (?, ?, ?, ?, ?)",
                [*pointer, self._now],
            )
            self._db.conn.execute(
                """
                UPDATE dead_letters SET resolution = 'fixed', resolved_at = ?, replay = ?
                WHERE root = ? AND ordinal = ? AND resolution IN ('open', 'replaying')
                """,
                [self._now, record.id, record.root, row.ordinal],
            )
        if row.reuse_key is not None:
            self._db.conn.execute("INSERT OR IGNORE INTO reuse (key, attempt) VALUES (?, ?)", [row.reuse_key, attempt])
            self._free(row.reuse_key)

    def accept_reused(self, record: RunRecord, pairs: Sequence[tuple[int, int]]) -> None:
        """Give rows the attempts that ``rows.reuse`` made for them."""
        for ordinal, attempt in pairs:
            self.accept(record, self._row(record, ordinal), attempt)

    def _die(self, record: RunRecord, row: _Row, attempt: int, named: str, *, strikes: int) -> None:
        self._end(row, RowState.DEAD, attempt=attempt, signature_=named, strikes=strikes)
        self.done.dead += 1
        self._mishap(row, "row_dead", named, 0.0)
        quiet = record.kind in QUIET_KINDS
        self._db.conn.execute(
            "INSERT OR IGNORE INTO signatures (signature, title) VALUES (?, ?)", [named, signature.title(named)]
        )
        if not quiet:
            self._db.conn.execute(
                "UPDATE dead_letters SET latest = 0 WHERE root = ? AND ordinal = ? AND run != ?",
                [record.root, row.ordinal, record.id],
            )
            self.reopen(record, row.ordinal)
        self._db.conn.execute(
            """
            INSERT INTO dead_letters (run, ordinal, root, row_id, signature, attempt, died_at, latest)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [record.id, row.ordinal, record.root, row.row_id, named, attempt, self._now, int(not quiet)],
        )
        self._free(row.reuse_key)

    def reopen(self, record: RunRecord, ordinal: int) -> None:
        """A replay of a row has ended without a value: its letters need a person again."""
        self._db.conn.execute(
            """
            UPDATE dead_letters SET resolution = 'open', replay = NULL
            WHERE root = ? AND ordinal = ? AND resolution = 'replaying' AND replay = ?
            """,
            [record.root, ordinal, record.id],
        )

    def _end(
        self, row: _Row, state: RowState, *, attempt: int | None, signature_: str | None, strikes: int | None = None
    ) -> None:
        self._db.conn.execute(
            """
            UPDATE run_rows SET state = ?, attempt = coalesce(?, attempt), signature = ?, strikes = ?, ended_at = ?,
                   try_id = NULL, reserved = 0
            WHERE run = ? AND ordinal = ?
            """,
            [
                state.value,
                attempt,
                signature_,
                row.strikes if strikes is None else strikes,
                self._now,
                row.run,
                row.ordinal,
            ],
        )

    def _again(
        self,
        record: RunRecord,
        row: _Row,
        *,
        attempt: int | None,
        strikes: int,
        trouble: Trouble,
        due_at: float,
        max_tokens: int | None,
    ) -> None:
        if self._cancelled(record):
            self._end(row, RowState.CANCELLED, attempt=attempt, signature_=None, strikes=strikes)
            self.reopen(record, row.ordinal)
            self._free(row.reuse_key)
            return
        self._db.conn.execute(
            """
            UPDATE run_rows SET state = 'due', attempt = coalesce(?, attempt), strikes = ?, tries = ?, faults = ?, waits = ?,
                   trouble_at = ?, due_at = ?, max_tokens = ?, try_id = NULL, reserved = 0
            WHERE run = ? AND ordinal = ?
            """,
            [
                attempt,
                strikes,
                trouble.tries,
                trouble.faults,
                trouble.waits,
                trouble.since,
                due_at,
                max_tokens,
                row.run,
                row.ordinal,
            ],
        )

    def _cancelled(self, record: RunRecord) -> bool:
        found = self._db.conn.execute("SELECT state FROM runs WHERE id = ?", [record.id]).fetchone()
        return bool(found[0] == RunState.CANCELLED)

    def _free(self, key: bytes | None) -> None:
        if key is not None:
            runs.free_questions(self._db, [key], now=self._now)


def _detail(failure: Failure) -> str:
    return failure.code or (str(failure.status) if failure.status else failure.message[:60])
