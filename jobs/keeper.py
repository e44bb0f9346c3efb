"""Stop 8: the one process that owns the state of runs.

``step`` does everything once: take requests, receive outcomes, lay out rows, dispatch, reap, reconcile, end. It can be killed
between any two statements: what is committed is so, what is not is found again from the ledger and the two streams. It never
renders a template.
"""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from redis.exceptions import RedisError

from jobs import dispatch, errors, homes, journal, plan, trouble
from jobs.asking import Asking
from jobs.gathering import Gathering
from jobs.keys import Keys
from jobs.limits import KeeperLimits
from jobs.messages import WIRE, Brief
from jobs.outcomes import Foreign, Inbox, Received
from jobs.owner import apply_requests
from jobs.purse import Purse
from jobs.settings import Settings
from jobs.shares import Need, Shares
from jobs.store import rows, runs
from jobs.store.database import FAILING, NEWER, is_newer, open_writer, why_failing
from jobs.store.record import UNRECORDABLE, Recorded, Recorder
from jobs.store.runs import RunRecord, transaction
from jobs.strays import Strays

logger = logging.getLogger(__name__)

#: outcomes recorded, rows laid out, and calls dispatched in one transaction
RECORD_MOST, LAY_OUT_MOST, DISPATCH_MOST = 500, 2_000, 500
#: in place of the server's run id while it does not answer
AWAY = "away"
#: a step that takes longer has waited for a server that stood still, seconds
STALL_SECONDS = 2.0
#: seconds between two looks whether it is still the same server
MEET_SECONDS = 0.5
#: the least time from one step to the next while there is work, so that it comes in groups; and while there is none
PACE_SECONDS, REST_SECONDS = 0.02, 0.03
#: seconds to wait for another program that holds the file; then people are told, and it is tried again
FILE_SECONDS = 3.0
#: seconds that the clock may go back without having been set back
SET_BACK_SECONDS = 1.0


@dataclass
class _Progress:
    """What a step did, so that the loop knows whether to go on at once."""

    busy: bool = False


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
        self._db = open_writer(settings.database, patience=FILE_SECONDS)
        self._redis = dispatch.connect(settings.redis_address, timeout=10)
        self._keys = Keys(settings.home_id)
        self._lease = homes.Lease(self._redis, settings)
        self._tray = dispatch.Tray(self._redis, self._keys)
        self._inbox = Inbox(self._redis, self._keys)
        self._purse = Purse(self._db, now=now)
        self._shares = Shares(KeeperLimits(self._redis, self._keys), settings.connections, now=now)
        self._briefed: set[int] = set()
        self._asking = Asking(self._db, self._purse, now=now, chance=chance, new_id=new_id)
        self._gathering = Gathering(
            self._db,
            self._redis,
            settings,
            self._asking,
            brief=lambda record: self._tray.brief(_brief(record, record.options.in_flight)),
            now=now,
            chance=chance,
            new_id=new_id,
        )
        self._strays = Strays(self._db, self._tray, self._inbox, now=now, chance=chance)
        self._meet_at = 0.0
        self._server = ""
        #: the latest moment that this keeper, or the one before it, has known
        self._seen_at = max(rows.last_moment(self._db) or 0.0, now())
        self._note = trouble.Note(settings.home)

    def close(self) -> None:
        """Let go of the file and of Redis."""
        self._note.close()
        self._db.close()
        if self._server not in ("", AWAY):
            self._lease.end()
        self._redis.close()

    def run(self, stopped: Callable[[], bool]) -> None:
        """Step until stopped; a step that fails is told of once and tried again until it does not.

        Raises:
            HomeBusy: a keeper in another folder, or on another machine, has a home of the same name.
        """
        logger.info("keeper begins", extra={"action": "keeper_begins"})
        while not stopped():
            began = time.monotonic()
            busy = self._stepped()
            pace = PACE_SECONDS if busy else REST_SECONDS
            time.sleep(max(0.0, began + pace - time.monotonic()))
        logger.info("keeper ends", extra={"action": "keeper_ends"})

    def _stepped(self) -> bool:
        """One step; whether there may be more to do at once. What keeps it from its end is undone and told."""
        try:
            busy = self.step()
        except errors.HomeBusy:
            raise
        except (RedisError, errors.EngineDown) as error:
            self._server = AWAY
            words = f"Redis at {self._settings.redis_label} does not do what the keeper asks: {error}"
            self._ail("redis", words, "See that it runs and has room: redrive doctor.", wait=0.3)
        except Exception as error:
            # The border around one step: what it had not committed is undone, and the next step finds it again.
            if (found := why_failing(error, self._settings.database)) is not None:
                self._ail("store", *found, wait=0.5)
            elif is_newer(self._db):
                words, todo = NEWER
                self._ail("store", f"{self._settings.database} {words}", f"{todo.capitalize()}.", wait=0.5)
            else:
                if self._note.trouble is None:
                    logger.exception("step failed", extra={"action": "step_failed"})
                words = f"a step of the keeper fails ({type(error).__name__}: {error})"
                self._ail(
                    "fault", words, f"It is a fault of Redrive: see {self._settings.logs / 'keeper.jsonl'}.", wait=0.5
                )
        else:
            self._note.end()
            return busy
        return False

    def _ail(self, kind: trouble.Kind, words: str, todo: str, *, wait: float) -> None:
        with suppress(FAILING):
            self._db.conn.rollback()
        self._note.begin(kind, self._settings.hide(words), todo)
        time.sleep(wait)

    def step(self) -> bool:
        """Everything once; whether there may be more to do at once."""
        began = time.monotonic()
        self._meet_clock()
        self._meet_server()
        progress = _Progress()
        self._apply_requests(progress)
        self._receive(progress)
        open_runs = runs.open_runs(self._db)
        progress.busy |= self._purse.stop_overspent(open_runs)
        self._lay_out(open_runs, progress)
        if progress.busy:
            open_runs = runs.open_runs(self._db)
        running = [run for run in open_runs if run.state == "running"]
        needs = self._look_for_needs(running, progress)
        self._shares.share(open_runs, needs)
        self._shares.tell(open_runs)
        self._dispatch(running, needs, progress)
        at_rest = [run for run in open_runs if run.state != "running"]
        for run in at_rest:
            progress.busy |= self._gathering.dissolve(run)
        progress.busy |= self._gathering.hand_out()
        self._stop_asking(at_rest)
        if time.monotonic() - began > STALL_SECONDS:
            self._strays.spare_the_lanes()
        progress.busy |= self._strays.reap()
        progress.busy |= self._strays.reconcile()
        self._end(open_runs)
        return progress.busy

    def _meet_clock(self) -> None:
        """A clock that jumps keeps nothing waiting: what is to happen at a time moves back with it."""
        now, before = self._now(), self._seen_at
        back = before - now
        if back > SET_BACK_SECONDS:
            moved = rows.set_back(self._db, by=back, now=now)
            self._strays.set_back(back)
            about = {"action": "clock_set_back", "seconds": round(back, 1)}
            logger.warning("the clock went back by %.0f s; %s rows that wait go with it", back, moved, extra=about)
        if not -STALL_SECONDS < back < SET_BACK_SECONDS:
            # Redis may share the clock, and leases would seem to have run out.
            self._strays.spare_the_lanes()
        self._seen_at = now if back > SET_BACK_SECONDS else max(now, before)

    def _meet_server(self) -> None:
        """After a start, ours or the server's, say everything again that it may not know."""
        if time.monotonic() < self._meet_at and self._server != AWAY:
            return
        self._meet_at = time.monotonic() + MEET_SECONDS
        server = str(self._redis.info("server")["run_id"])
        self._lease.hold(now=server != self._server)
        if server == self._server:
            self._tray.ensure_spare_lane()
            return
        if self._server == AWAY:
            self._strays.spare_the_lanes()
        self._tray.open()
        self._gathering.open()
        homes.announce(self._redis, self._settings.home_id, self._settings.home)
        self._shares.tell_again({one.id for one in runs.open_runs(self._db)})
        self._briefed.clear()
        self._strays.reconcile_at_once()
        self._tray.ensure_spare_lane()
        self._server = server

    # -- requests ------------------------------------------------------------------------------------------------------

    def _apply_requests(self, progress: _Progress) -> None:
        progress.busy = bool(apply_requests(self._db, now=self._now()))

    # -- receiving -----------------------------------------------------------------------------------------------------

    def _receive(self, progress: _Progress) -> None:
        received, reported, foreign = self._inbox.receive(RECORD_MOST)
        if foreign:
            self._set_aside(foreign)
        if received:
            began = time.monotonic()
            try:
                done = self._record(received)
            except UNRECORDABLE:
                done = self._record_singly(received)
            progress.busy = True
            self._purse.heed(received)
            self._shares.time(received)
            journal.recorded(done, len(received), seconds=time.monotonic() - began)
        if reported:
            self._gathering.heed(reported)
            progress.busy = True
        places = [one.place for one in received] + [one.place for one in reported] + [one.place for one in foreign]
        self._inbox.delete(places)

    def _set_aside(self, foreign: Sequence[Foreign]) -> None:
        """What cannot be read may have been paid for: its call counts as lost, so its money stays spent, and its row is asked again."""
        self._strays.lose([one.try_id for one in foreign if one.try_id is not None])
        for one in foreign:
            if one.step is not None:
                self._gathering.forget(one.step)
        wires = sorted({one.wire for one in foreign if one.wire is not None} - {WIRE})
        of = f" of another version of Redrive (messages {wires}, the keeper's are {WIRE})" if wires else ""
        logger.error("%s outcomes%s cannot be read", len(foreign), of, extra={"action": "outcomes_foreign"})

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
                self._strays.lose([one.outcome.try_id])
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

    # -- dispatching ---------------------------------------------------------------------------------------------------

    def _look_for_needs(self, running: Sequence[RunRecord], progress: _Progress) -> dict[int, Need]:
        """What each running run could be asked about singly now, after batches have had theirs."""
        now = self._now()
        for record in running:
            progress.busy |= self._gathering.gather(record)
        return {
            record.id: Need(*rows.wishes(self._db, record, now=now), rows.on_upper_rungs(self._db, record))
            for record in running
        }

    def _dispatch(self, running: Sequence[RunRecord], needs: Mapping[int, Need], progress: _Progress) -> None:
        now = self._now()
        by_id = {record.id: record for record in running}
        asking, full = [], dict[int, list[int]]()
        for record in running:
            due, under_way, left, _ = needs[record.id]
            windows = self._shares.windows(record, now)
            free = windows[0] - under_way
            if record.top:
                # A rung that its provider holds up keeps no place from the others.
                stand = rows.under_way(self._db, record)
                left_of = {rung: max(0, window - stand.get(rung, 0)) for rung, window in enumerate(windows)}
                free = sum(left_of.values())
                full[record.id] = [rung for rung, room in left_of.items() if not room]
            room = free * record.options.rows_per_call
            if due and room > 0:
                asking.append(plan.Due(run=record.id, left=left, room=min(room, due)))
        for run, most in plan.shares(asking, DISPATCH_MOST).items():
            if most:
                self._dispatch_run(by_id[run], most, progress, full=full.get(run, ()))

    def _dispatch_run(self, record: RunRecord, most: int, progress: _Progress, *, full: Sequence[int] = ()) -> None:
        if record.id not in self._briefed:
            self._tray.brief(_brief(record, self._shares.of(record)))
            self._briefed.add(record.id)
        with transaction(self._db):
            taken = self._asking.take(record, most=most, which=rows.singly(record) or "all", full=full)
            rows.mark_dispatched(self._db, record, taken.asks, taken.reserved)
        self._tray.put(taken.asks)
        progress.busy |= taken.moved

    def _stop_asking(self, at_rest: Sequence[RunRecord]) -> None:
        """Runs that do not go on let others ask what they were about to ask."""
        for record in at_rest:
            if runs.asks(self._db, record.id):
                with transaction(self._db):
                    runs.stop_asking(self._db, record.id, now=self._now())

    def _end(self, open_runs: Sequence[RunRecord]) -> None:
        for run in runs.done(self._db) if open_runs else ():
            with transaction(self._db):
                runs.end(self._db, run, now=self._now())
            self._shares.forget(run)
            self._briefed.discard(run)
            self._purse.forget(run)
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
            "upper": record.rungs[1:],
            "ladder": record.options.ladder,
            "confidence": record.options.confidence,
            "echo": record.options.echo,
            "timeout": record.options.timeout,
            "in_flight": in_flight,
            "rpm": record.options.rpm,
            "tpm": record.options.tpm,
        }
    )
