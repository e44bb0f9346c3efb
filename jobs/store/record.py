"""Writes about what came back: each outcome becomes a call, its attempts, and what follows for each row.

One transaction holds hundreds of outcomes. Everything is settled by natural keys, so an outcome that arrives twice, or after
its lane was given up, changes no row twice: the first recorded verdict decides a row, later ones are kept as superseded.
``tries`` says whose outcomes are believed, ``calls`` keeps what was sent and paid, ``fates`` what becomes of a row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlite_utils import Database

from jobs import signature
from jobs.ladder import CHECKED, DOUBTED, STRIKES_BELOW
from jobs.lifecycle import ENDS, OF_ONE_ROW, Next, RunState, Trouble, after_failure, raised_max_tokens
from jobs.messages import Outcome, RowVerdict
from jobs.outcomes import Received
from jobs.store import runs
from jobs.store.batch import Batch
from jobs.store.calls import Calls, is_lost
from jobs.store.fates import Fates
from jobs.store.rows import Reused
from jobs.store.runs import RunRecord, set_state
from jobs.store.tries import Row, Tries, Try
from jobs.values import Failure, FailureKind, Problem, Verdict
from jobs.views.runs import Why

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
    #: rows that went on a rung higher
    climbed: int = 0
    paused: list[tuple[int, str]] = field(default_factory=list)
    #: what happened to single rows that did not go well
    mishaps: list[Mishap] = field(default_factory=list)
    #: (run, try id) of outcomes that answer nothing that was asked; they have changed nothing
    strangers: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: Recorded) -> None:
        """Count another batch in."""
        for name in ("accepted", "dead", "strikes", "throttled", "superseded", "returned", "climbed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.paused += other.paused
        self.mishaps += other.mishaps
        self.strangers += other.strangers


@dataclass(frozen=True, kw_only=True)
class Mishap:
    """One row's strike, failure or death, for the log."""

    run: int
    row: int
    action: str
    #: the failure's kind, or the signature
    kind: str
    seconds: float


class _End(NamedTuple):
    """An outcome on its way into the books."""

    record: RunRecord
    tried: Try
    outcome: Outcome
    #: the number of its call; None where nothing was sent
    call: int | None
    #: rows that a call about those may hold which this one has not answered
    together: int | None


class Recorder:
    """Records a batch inside a transaction that its caller holds."""

    def __init__(self, db: Database, *, now: float, chance: Callable[[], float]) -> None:
        self._db, self._now, self._chance = db, now, chance
        self._batch = Batch(db)
        self._tries = Tries(db, self._batch)
        self._calls = Calls(db, self._batch, now=now)
        self._fates = Fates(db, self._batch, now=now)
        self._runs: dict[int, RunRecord | None] = {}
        self.done = Recorded()

    def record(self, received: Sequence[Received]) -> None:
        """Outcomes, in the order in which they came; one that answers nothing that was asked changes nothing."""
        self._tries.expect([one.outcome.try_id for one in received])
        for one in received:
            tried = self._tries.of(one.outcome)
            record = self._run(one.outcome.run)
            if tried is None or record is None:
                self.done.strangers.append((one.outcome.run, one.outcome.try_id))
            elif not tried.ended:
                self._enter(one, record, tried)
        self._write()

    def lose(self, try_ids: Sequence[str], *, why: str = "the lane that made this call died or was cut off") -> None:
        """Calls of which nothing came back: whether they were answered is unknown, so their money stays spent."""
        failure = Failure(kind=FailureKind.LOST, message=why)
        self._tries.expect(try_ids)
        for try_id in try_ids:
            tried = self._tries.under_way(try_id)
            record = None if tried is None else self._run(tried.run)
            if tried is None or record is None:
                continue
            outcome = Outcome(
                run=tried.run,
                try_id=try_id,
                lane="",
                kind="failed",
                ordinals=tuple(sorted(tried.ordinals)),
                failure=failure,
                sent_at=self._now,
                rung=tried.rung,
                batch=tried.batch,
            )
            self._enter(Received(place="", outcome=outcome, raw=None, request=None), record, tried)
        self._write()

    def accept_reused(self, record: RunRecord, reused: Sequence[Reused]) -> None:
        """Give rows the attempts that ``rows.reuse`` made for them."""
        for one in reused:
            self._fates.accept(record, self._tries.row(record.id, one.ordinal), one.attempt, reused=True)
        self._calls.reused(record.id, reused)
        self.done.accepted += len(reused)
        self._write()

    def _run(self, number: int) -> RunRecord | None:
        """A run as it was when the transaction began."""
        if number not in self._runs:
            self._runs[number] = runs.run(self._db, number)
        return self._runs[number]

    def _write(self) -> None:
        self._calls.close()
        self._batch.write()
        self._fates.close()

    # -- one outcome ---------------------------------------------------------------------------------------------------

    def _enter(self, received: Received, record: RunRecord, tried: Try) -> None:
        outcome, call = received.outcome, None
        if outcome.sent:
            call = self._calls.enter(received, record, tried)
            self._tries.entered(tried, call, lane=outcome.lane, ended=not is_lost(outcome))
        else:
            self._calls.release(record, tried)
            self._tries.forget(tried)
            if not tried.under_way:
                self._fates.paid(record.id, tried.ordinals)
                return
        end = _End(record=record, tried=tried, outcome=outcome, call=call, together=_fewer(outcome))
        accepted, strikes, dead = self.done.accepted, self.done.strikes, self.done.dead
        told: set[int] = set()
        if outcome.kind == "failed" and outcome.failure is not None:
            told = set(outcome.ordinals)
            for ordinal in told:
                self._failed(end, ordinal, outcome.failure)
        elif outcome.kind == "replied":
            told = {one.ordinal for one in outcome.verdicts}
            for one in outcome.verdicts:
                self._judged(end, one)
        if tried.under_way:
            for ordinal in tried.ordinals - told:
                self._untold(end, ordinal)
        self._calls.ended(
            record.id,
            tried,
            call,
            accepted=self.done.accepted - accepted,
            strikes=self.done.strikes - strikes,
            dead=self.done.dead - dead,
        )

    def _untold(self, end: _End, ordinal: int) -> None:
        """A call that came back without a word about a row leaves it as it was before."""
        row = self._tries.row(end.record.id, ordinal)
        if row.state in ENDS:
            self._fates.over(row, end.tried)
        elif row.try_id == end.tried.try_id:
            self._fates.again(end.record, row, trouble=row.trouble)
            self.done.returned += 1

    def _judged(self, end: _End, one: RowVerdict) -> None:
        row, verdict, record = self._tries.row(end.record.id, one.ordinal), one.verdict, end.record
        other_call = row.try_id is not None and row.try_id != end.tried.try_id
        # What comes late of a rung that the row has left would stand in the books as an answer of the rung that it is on.
        left = end.outcome.rung != row.rung
        superseded = row.state in ENDS or left or (other_call and verdict.kind == "rejected")
        doubted = verdict.kind == "rejected" and verdict.value is not None
        strike = verdict.kind == "rejected" and not superseded and one.own and not doubted
        attempt = self._calls.attempt(
            row,
            end.tried,
            end.call,
            verdict=verdict.kind,
            asked=one.asked,
            strike=strike,
            superseded=superseded,
            value=verdict,
            confidence=one.confidence,
        )
        if superseded:
            self._fates.over(row, end.tried)
            self.done.superseded += 1
            return
        if verdict.kind == "accepted":
            self._fates.accept(record, row, attempt, under_way=row.try_id if other_call else None)
            self.done.accepted += 1
            return
        if not one.own:
            self._fates.again(record, row, trouble=Trouble(), together=end.together)
            return
        if verdict.problems and verdict.problems[0].rule == DOUBTED and row.rung < record.top:
            why: Why = "checked" if verdict.problems[0].expected == CHECKED else "unsure"
            self._climb(record, row, attempt, why)
            return
        self._struck(end, row, verdict, attempt)

    def _climb(self, record: RunRecord, row: Row, attempt: int, why: Why) -> None:
        self._fates.climb(record, row, attempt=attempt, why=why)
        self.done.climbed += 1

    def _struck(self, end: _End, row: Row, verdict: Verdict, attempt: int) -> None:
        record, strikes = end.record, row.strikes + 1
        self.done.strikes += 1
        self._mishap(row, "row_struck", verdict.signature or "", end.outcome.seconds)
        if row.rung < record.top and strikes >= min(record.options.strikes, STRIKES_BELOW):
            self._climb(record, row, attempt, "contract")
            return
        if strikes >= record.options.strikes:
            self._die(record, row, attempt, verdict.signature or signature.signature(verdict.problems), strikes=strikes)
            return
        asked_with, cut = row.max_tokens or record.content.max_tokens, end.outcome.finish_reason == "length"
        self._fates.again(
            record,
            row,
            trouble=Trouble(),
            attempt=attempt,
            strikes=strikes,
            max_tokens=raised_max_tokens(asked_with, record.content.max_tokens) if cut else None,
        )

    def _failed(self, end: _End, ordinal: int, failure: Failure) -> None:
        row, record = self._tries.row(end.record.id, ordinal), end.record
        if row.state in ENDS or row.try_id != end.tried.try_id:
            if end.call is not None:
                self._calls.attempt(row, end.tried, end.call, verdict="failed", asked=row.strikes + 1, superseded=True)
            self._fates.over(row, end.tried)
            return
        what = after_failure(failure, row.trouble, seconds=end.outcome.seconds, chance=self._chance())
        if len(end.tried.ordinals) > 1 and failure.kind in OF_ONE_ROW:
            what = Next(trouble=row.trouble)
        problem = Problem(
            path="$", rule=what.dead or failure.kind.value, expected="a reply to judge", got=failure.message[:300]
        )
        named = signature.failure_signature(what.dead, _detail(failure)) if what.dead else None
        attempt = self._calls.attempt(
            row,
            end.tried,
            end.call,
            verdict="failed",
            asked=row.strikes + 1,
            value=Verdict(kind="rejected", problems=(problem,), signature=named),
            failure=failure if end.call is None else None,
        )
        self._mishap(row, "call_failed", failure.kind.value, end.outcome.seconds)
        if what.pause:
            self._pause(end, failure)
        if named and row.rung < record.top:
            self._climb(record, row, attempt, "failed")
        elif named:
            self._die(record, row, attempt, named, strikes=row.strikes)
        else:
            self._fates.again(record, row, trouble=what.trouble, after=what.after, together=end.together)

    def _die(self, record: RunRecord, row: Row, attempt: int, named: str, *, strikes: int) -> None:
        self._fates.die(record, row, attempt, named, strikes=strikes)
        self.done.dead += 1
        self._mishap(row, "row_dead", named, 0.0)

    def _mishap(self, row: Row, action: str, kind: str, seconds: float) -> None:
        self.done.mishaps.append(
            Mishap(run=row.run, row=row.ordinal, action=action, kind=kind, seconds=round(seconds, 4))
        )

    def _pause(self, end: _End, failure: Failure) -> None:
        record, reason = end.record, failure.message
        if record.top:
            rung = record.rungs[end.outcome.rung]
            reason = f"{rung.model} at connection {rung.connection!r}: {reason}"
        state = self._db.conn.execute("SELECT state FROM runs WHERE id = ?", [record.id]).fetchone()[0]
        if state == RunState.RUNNING:
            set_state(self._db, record.id, RunState.PAUSED, now=self._now, paused_by="provider", reason=reason)
            self.done.paused.append((record.id, reason))


def _fewer(outcome: Outcome) -> int | None:
    """How many rows a call may hold that asks again what this one has not answered: half of them."""
    if len(outcome.ordinals) == 1:
        return None
    failed = outcome.failure is not None and outcome.failure.kind in (*OF_ONE_ROW, FailureKind.TRANSIENT)
    rest = len(outcome.ordinals) if failed else sum(not one.own for one in outcome.verdicts)
    return max(1, (rest + 1) // 2) if rest else None


def _detail(failure: Failure) -> str:
    return failure.code or (str(failure.status) if failure.status else failure.message[:60])
