"""Stop 8: the one process that owns the state of runs.

``step`` does everything once: take requests, receive outcomes, lay out rows, dispatch, reap, reconcile, end. It can be killed
between any two statements: what is committed is so, what is not is found again from the ledger and the two streams. It never
renders a template.
"""

from __future__ import annotations

import fcntl
import logging
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from redis.exceptions import RedisError
from sqlite_utils import Database

from jobs import dispatch, errors, homes, judge, plan
from jobs.keys import Keys
from jobs.limits import LEASE_SECONDS, KeeperLimits
from jobs.messages import Ask, Brief, Control, RowAsk
from jobs.outcomes import Inbox, Received
from jobs.prices import ceiling
from jobs.settings import Settings
from jobs.store import applying, rows, runs
from jobs.store.database import open_writer
from jobs.store.record import UNRECORDABLE, Recorded, Recorder
from jobs.store.runs import RunRecord, transaction

logger = logging.getLogger(__name__)

#: outcomes recorded, rows laid out, and calls dispatched in one transaction
RECORD_MOST, LAY_OUT_MOST, DISPATCH_MOST = 500, 2_000, 500
#: seconds between two looks for calls of dead lanes, and for calls that are on no stream
REAP_SECONDS, RECONCILE_SECONDS = 1.0, 5.0
#: a dispatched call younger than this is not missed yet
MISSED_AFTER = 2.0
#: in place of the server's run id while it does not answer
AWAY = "away"
#: a step that takes longer has waited for a server that stood still, seconds
STALL_SECONDS = 2.0
#: seconds between two looks whether it is still the same server
MEET_SECONDS = 0.5
#: the least time from one step to the next while there is work, so that it comes in groups; and while there is none
PACE_SECONDS, REST_SECONDS = 0.02, 0.03
#: seconds to try for the home's lock
LOCK_SECONDS = 0.5


@dataclass
class _Progress:
    """What a step did, so that the loop knows whether to go on at once."""

    busy: bool = False
    changed: set[int] = field(default_factory=set)


class Keeper:
    """Owns the home's runs while it lives; a second one on the same home is refused."""

    def __init__(
        self,
        settings: Settings,
        *,
        now: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._settings, self._now, self._chance, self._new_id = settings, now, chance, new_id
        self._db = open_writer(settings.database)
        self._redis = dispatch.connect(settings.redis_address, timeout=10)
        self._keys = Keys(settings.home_id)
        self._tray = dispatch.Tray(self._redis, self._keys)
        self._inbox = Inbox(self._redis, self._keys)
        self._limits = KeeperLimits(self._redis, self._keys)
        self._told: dict[int, Control] = {}
        #: calls in flight that each running run may have now
        self._in_flight: dict[int, int] = {}
        self._briefed: set[int] = set()
        self._reap_at = self._reconcile_at = 0.0
        self._meet_at = 0.0
        self._server = ""

    def close(self) -> None:
        """Let go of the file and of Redis."""
        self._db.close()
        self._redis.close()

    def run(self, stopped: Callable[[], bool]) -> None:
        """Step until stopped; a step that fails is logged and tried again."""
        logger.info("keeper begins", extra={"action": "keeper_begins"})
        while not stopped():
            began = time.monotonic()
            try:
                busy = self.step()
            except (RedisError, errors.EngineDown) as error:
                if self._server != AWAY:
                    logger.warning("Redis is away: %s", error, extra={"action": "redis_away"})
                self._server = AWAY
                busy = False
                time.sleep(0.3)
            except Exception:
                # The border around one step: what it had not committed is undone, and the next step finds it again.
                logger.exception("step failed", extra={"action": "step_failed"})
                self._db.conn.rollback()
                busy = False
                time.sleep(0.5)
            pace = PACE_SECONDS if busy else REST_SECONDS
            time.sleep(max(0.0, began + pace - time.monotonic()))
        logger.info("keeper ends", extra={"action": "keeper_ends"})

    def step(self) -> bool:
        """Everything once; whether there may be more to do at once."""
        began = time.monotonic()
        self._meet_server()
        progress = _Progress()
        self._apply_requests(progress)
        self._receive(progress)
        open_runs = runs.open_runs(self._db)
        self._lay_out(open_runs, progress)
        if progress.busy:
            open_runs = runs.open_runs(self._db)
        self._tell(open_runs)
        self._dispatch([run for run in open_runs if run.state == "running"], progress)
        self._stop_asking([run for run in open_runs if run.state != "running"])
        if time.monotonic() - began > STALL_SECONDS:
            self._spare_the_lanes()
        self._reap(progress)
        self._reconcile(progress)
        self._end(open_runs)
        return progress.busy

    def _meet_server(self) -> None:
        """After a start, ours or the server's, say everything again that it may not know."""
        if time.monotonic() < self._meet_at and self._server != AWAY:
            return
        self._meet_at = time.monotonic() + MEET_SECONDS
        server = str(self._redis.info("server")["run_id"])
        if server == self._server:
            self._tray.ensure_spare_lane()
            return
        if self._server == AWAY:
            self._spare_the_lanes()
        self._tray.open()
        homes.announce(self._redis, self._settings.home_id, self._settings.home)
        self._told.clear()
        self._briefed.clear()
        self._reconcile_at = 0.0
        for run in self._limits.allowed().keys() - {one.id for one in runs.open_runs(self._db)}:
            self._limits.forget(run)
        self._tray.ensure_spare_lane()
        self._server = server

    def _spare_the_lanes(self) -> None:
        """Redis was away or stood still, and leases ran out meanwhile: the lanes get the time of one to say that they live."""
        self._reap_at = self._now() + LEASE_SECONDS

    # -- requests ------------------------------------------------------------------------------------------------------

    def _apply_requests(self, progress: _Progress) -> None:
        progress.busy = bool(apply_requests(self._db, now=self._now()))

    # -- receiving -----------------------------------------------------------------------------------------------------

    def _receive(self, progress: _Progress) -> None:
        received, foreign = self._inbox.receive(RECORD_MOST)
        if foreign:
            logger.error("%s foreign outcomes dropped", len(foreign), extra={"action": "outcomes_foreign"})
        if received:
            began = time.monotonic()
            try:
                done = self._record(received)
            except UNRECORDABLE:
                done = self._record_singly(received)
            progress.changed |= done.runs
            progress.busy = True
            _log(done, len(received), time.monotonic() - began)
        self._inbox.delete([one.place for one in received] + foreign)

    def _record(self, received: Sequence[Received]) -> Recorded:
        with transaction(self._db):
            recorder = Recorder(self._db, now=self._now(), chance=self._chance)
            recorder.record(received)
        return recorder.done

    def _record_singly(self, received: Sequence[Received]) -> Recorded:
        """The same for a batch with an outcome that cannot be recorded: that one counts as lost, the others are kept."""
        done = Recorded()
        for one in received:
            try:
                done.add(self._record([one]))
            except UNRECORDABLE:
                about = {"action": "outcome_unusable", "run": one.outcome.run, "try_id": one.outcome.try_id}
                logger.exception("an outcome cannot be recorded", extra=about)
                self._lose([one.outcome.try_id])
        return done

    # -- laying out ----------------------------------------------------------------------------------------------------

    def _lay_out(self, open_runs: Sequence[RunRecord], progress: _Progress) -> None:
        for record in open_runs:
            if record.laid_out < record.row_count:
                with transaction(self._db):
                    runs.lay_out(self._db, record, most=LAY_OUT_MOST)
                    if record.state == "cancelled":
                        runs.cancel_waiting(self._db, record.id, now=self._now())
                progress.busy = True
                progress.changed.add(record.id)

    # -- dispatching ---------------------------------------------------------------------------------------------------

    def _tell(self, open_runs: Sequence[RunRecord]) -> None:
        """Tell the lanes which runs go on, and how many calls of each may be in flight."""
        running = [record for record in open_runs if record.state == "running"]
        self._in_flight = plan.in_flight(
            [
                plan.Pooled(run=record.id, pool=(record.connection, record.model), in_flight=record.options.in_flight)
                for record in running
            ],
            {name: connection.in_flight for name, connection in self._settings.connections.items()},
        )
        for record in open_runs:
            state: Control = Control(
                state="go" if record.state == "running" else "stop",
                in_flight=self._in_flight.get(record.id, record.options.in_flight),
            )
            if self._told.get(record.id) != state:
                self._limits.allow(record.id, state)
                self._told[record.id] = state

    def _dispatch(self, running: Sequence[RunRecord], progress: _Progress) -> None:
        now = self._now()
        by_id = {record.id: record for record in running}
        wishes = []
        for record in running:
            due, under_way, left = rows.wishes(self._db, record, now=now)
            room = plan.window(self._in_flight[record.id]) - under_way
            if due and room > 0:
                wishes.append(plan.Wish(run=record.id, left=left, room=min(room, due)))
        for run, most in plan.shares(wishes, DISPATCH_MOST).items():
            if most:
                self._dispatch_run(by_id[run], most, progress)

    def _dispatch_run(self, record: RunRecord, most: int, progress: _Progress) -> None:
        now = self._now()
        if record.id not in self._briefed:
            self._tray.brief(_brief(record, self._in_flight[record.id]))
            self._briefed.add(record.id)
        with transaction(self._db):
            due = rows.due(self._db, record, most=most, now=now)
            known = rows.answered(self._db, [row.reuse_key for row in due if row.reuse_key is not None])
            pairs = [(row, known[row.reuse_key]) for row in due if row.reuse_key in known and not row.strikes]
            recorder = Recorder(self._db, now=now, chance=self._chance)
            recorder.accept_reused(record, rows.reuse(self._db, record, pairs, now=now))
            served = {row.ordinal for row, _ in pairs}
            asked = rows.claim(self._db, record, [row for row in due if row.ordinal not in served])
            asks, reserved = self._within_budget(record, self._asks(record, asked, now=now))
            rows.mark_dispatched(self._db, record, asks, reserved)
        self._tray.put(asks)
        if due:
            progress.busy = progress.busy or bool(asks or pairs)
            progress.changed.add(record.id)

    def _asks(self, record: RunRecord, due: Sequence[rows.DueRow], *, now: float) -> list[Ask]:
        struck = rows.rejected(self._db, [row.attempt for row in due if row.strikes and row.attempt is not None])
        asks = []
        for row in due:
            before = struck.get(row.attempt) if row.strikes and row.attempt is not None else None
            complaint = None
            if before is not None:
                words = judge.complaint(before.problems)
                complaint = plan.complaint(
                    words, raw=before.raw, finish_reason=before.finish_reason, problems=before.problems
                )
            asks.append(
                Ask(
                    run=record.id,
                    try_id=self._new_id(),
                    rows=(RowAsk(ordinal=row.ordinal, cells=row.cells, asked=row.strikes + 1, complaint=complaint),),
                    max_tokens=row.max_tokens or record.content.max_tokens,
                    dispatched_at=now,
                )
            )
        return asks

    def _within_budget(self, record: RunRecord, asks: list[Ask]) -> tuple[list[Ask], dict[str, float]]:
        """The calls that the budget has room for, with the most that each can cost; pauses a run that is at its end."""
        if record.price is None:
            return asks, {}
        fresh = runs.run(self._db, record.id) or record
        left = None if fresh.options.budget is None else fresh.options.budget - fresh.cost - fresh.reserved
        reserved: dict[str, float] = {}
        for place, ask in enumerate(asks):
            tokens = sum(plan.reserved_tokens(record.content, row.cells, row.complaint) for row in ask.rows)
            most = ceiling(tokens, ask.max_tokens, price=record.price) or 0.0
            if left is not None and most > left:
                if not reserved and not rows.wishes(self._db, record, now=self._now())[1]:
                    runs.pause_for_budget(self._db, fresh, next_call=most)
                return asks[:place], reserved
            reserved[ask.try_id] = most
            left = None if left is None else left - most
        return asks, reserved

    def _stop_asking(self, at_rest: Sequence[RunRecord]) -> None:
        """Runs that do not go on let others ask what they were about to ask."""
        for record in at_rest:
            if runs.asks(self._db, record.id):
                with transaction(self._db):
                    runs.stop_asking(self._db, record.id, now=self._now())

    # -- what has gone astray ------------------------------------------------------------------------------------------

    def _reap(self, progress: _Progress) -> None:
        """Calls of lanes whose lease is gone: whether they were answered is unknown, so their rows are asked again."""
        if self._now() < self._reap_at:
            return
        self._reap_at = self._now() + REAP_SECONDS
        orphans = self._tray.orphans()
        if not orphans:
            return
        # A lane that has handed back since has taken its call off the stream in the same moment.
        still = self._tray.try_ids()
        self._lose([try_id for try_id in orphans.values() if try_id and try_id in still])
        self._tray.drop(orphans)
        progress.busy = True
        logger.warning("%s calls of dead lanes reclaimed", len(orphans), extra={"action": "calls_reclaimed"})

    def _reconcile(self, progress: _Progress) -> None:
        """Calls that are neither on the calls stream nor among the outcomes are due again; read in this order."""
        if self._now() < self._reconcile_at:
            return
        first = self._reconcile_at == 0.0
        self._reconcile_at = self._now() + RECONCILE_SECONDS
        noted = rows.dispatched(self._db, before=self._now() - (0.0 if first else MISSED_AFTER))
        if not noted:
            return
        missing = noted.keys() - self._tray.try_ids() - self._inbox.try_ids()
        if missing:
            with transaction(self._db):
                rows.give_back(self._db, missing, now=self._now())
            progress.busy = True
            logger.warning("%s calls were on no stream", len(missing), extra={"action": "calls_missed"})

    def _lose(self, try_ids: Sequence[str]) -> None:
        with transaction(self._db):
            Recorder(self._db, now=self._now(), chance=self._chance).lose(try_ids)

    def _end(self, open_runs: Sequence[RunRecord]) -> None:
        for run in runs.done(self._db) if open_runs else ():
            with transaction(self._db):
                runs.end(self._db, run, now=self._now())
            self._limits.forget(run)
            self._told.pop(run, None)
            self._briefed.discard(run)
            logger.info("run ended", extra={"action": "run_ended", "run": run})


def _brief(record: RunRecord, in_flight: int) -> Brief:
    return Brief.model_validate(
        {
            "run": record.id,
            "kind": record.kind,
            "content": record.content,
            "connection": record.connection,
            "base_url": record.base_url,
            "model": record.model,
            "timeout": record.options.timeout,
            "in_flight": in_flight,
            "rpm": record.options.rpm,
            "tpm": record.options.tpm,
        }
    )


def _log(done: Recorded, outcomes: int, seconds: float) -> None:
    for one in done.mishaps:
        about = {"action": one.action, "run": one.run, "row": one.row, "class": one.kind, "seconds": one.seconds}
        logger.info("run %s, row %s: %s", one.run, one.row, one.kind, extra=about)
    for run, try_id in done.strangers:
        about = {"action": "outcome_strange", "run": run, "try_id": try_id}
        logger.warning("an outcome that answers nothing that was asked was dropped", extra=about)
    for run, reason in done.paused:
        logger.error("run paused: %s", reason, extra={"action": "run_paused", "run": run})
    logger.info(
        "recorded %s outcomes",
        outcomes,
        extra={
            "action": "recorded",
            "seconds": round(seconds, 4),
            "accepted": done.accepted,
            "dead": done.dead,
            "strikes": done.strikes,
            "throttled": done.throttled,
        },
    )


def apply_requests(db: Database, *, now: float) -> int:
    """Apply what people have asked for, each in a transaction of its own; how many."""
    waiting = runs.open_requests(db)
    for number, request in waiting:
        with transaction(db):
            try:
                if request is None:
                    raise errors.InputError("this request cannot be read: it is of another version of Redrive")
                runs.mark_applied(db, number, now=now, result=applying.apply(db, request, now=now))
            except errors.RedriveError as error:
                runs.mark_applied(db, number, now=now, error=error.message)
            except (OverflowError, ValueError, LookupError) as error:
                logger.exception("request %s cannot be applied", number, extra={"action": "request_unusable"})
                runs.mark_applied(db, number, now=now, error=f"this request cannot be applied: {error}")
        logger.info("applied request %s", number, extra={"action": "request_applied"})
    return len(waiting)


@contextmanager
def sole_owner(home: Path) -> Iterator[None]:
    """Be the only keeper of a home while inside.

    Raises:
        HomeBusy: another one is.
    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(home / "keeper.lock", os.O_RDWR | os.O_CREAT, 0o600)
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= end:
                os.close(descriptor)
                raise errors.HomeBusy(f"another keeper owns {home}") from None
            time.sleep(0.02)  # somebody who only looks whether a keeper lives holds the lock for a moment
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def standing_in(settings: Settings) -> Iterator[None]:
    """While inside, requests are applied even though no keeper runs: for a person who steers a home that is down.

    Raises:
        HomeBusy: a keeper runs, and does that itself.
    """
    stop = threading.Event()

    def serve() -> None:
        db = open_writer(settings.database)
        try:
            while not stop.is_set():
                apply_requests(db, now=time.time())
                stop.wait(0.02)
        finally:
            db.close()

    with sole_owner(settings.home):
        thread = threading.Thread(target=serve, name="stand-in", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
