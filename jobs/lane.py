"""Stop 4: the worker's loop: take a call, render, ask, judge, hand back.

A lane decides nothing: it knows no database, counts no strikes and waits for no retry. It can die at any point, since a call
it took is still pending on the stream until its outcome is there. It works for all runs of its home at once, holds a lease,
and takes only about as many calls as it may have in flight, so that lanes share the work. A place that becomes free is taken
by the next call in the same moment; what needs Redis for that (places, rates) is asked for ahead.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
import traceback
import uuid
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from redis.exceptions import RedisError

from jobs import dispatch, errors, live
from jobs.allowance import AHEAD, Allowance, Reserved
from jobs.call import Called, Caller
from jobs.dispatch import Unreadable
from jobs.errands import Errands
from jobs.holding import Holding
from jobs.keys import Keys
from jobs.limits import BEAT_SECONDS, LEASE_SECONDS, LaneLimits
from jobs.messages import WIRE, Ask, Control, LaneArguments
from jobs.outbox import Outbox
from jobs.outcomes import Handed
from jobs.settings import Settings
from jobs.values import Failure, FailureKind
from jobs.work import Begun, Line, Work

logger = logging.getLogger(__name__)

#: seconds between two looks at what Redis grants
TICK_SECONDS = 0.01
#: milliseconds to wait for a call; a lane that is told to stop waits them out, since a read that is cut short may lose what it read
WAIT_MS = 100
#: seconds that calls in flight get to finish after a stop flag
GRACE_SECONDS = 9.0
#: seconds after which a finished run's things are put away
IDLE_SECONDS = 60.0
#: seconds in which a lane begins no call of a run that a provider has just blocked, unless the keeper has spoken
BLOCKED_SECONDS = 3.0
#: seconds in which a lane whose lease was gone takes no place beyond its running calls, so that the others can tell of theirs
LAPSED_SECONDS = 3 * BEAT_SECONDS
#: seconds in which a lane that has met a call of another version takes none, so that the others get them
ESTRANGED_SECONDS = 2.0


class Lane:
    """One worker's lane; ``run`` returns when it has been told to stop and has handed everything back."""

    def __init__(self, settings: Settings, arguments: LaneArguments, *, name: str | None = None) -> None:
        self._settings = settings
        self._keys = Keys(arguments.home)
        self.name = name or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._redis = dispatch.connect_async(settings.redis_address)
        self._limits = LaneLimits(self._redis, self._keys, self.name)
        self._outbox = Outbox(self._redis, self._keys, self.name)
        self._errands = Errands(
            settings, self._redis, self._keys, self.name, has_lease=lambda: self._has_lease(time.monotonic())
        )
        self._work: dict[int, Work] = {}
        self._control: dict[int, Control] = {}
        self._lanes = 1
        self._lease_until = self._estranged_until = self._lapsed_until = 0.0
        self._calls: set[asyncio.Task[None]] = set()
        #: there were fewer calls to take than this lane wanted
        self._is_dry = False
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._wake = asyncio.Event()

    def stop(self) -> None:
        """Take no new calls; finish those in flight."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Be a lane until stopped.

        Raises whatever one of its tasks has ended with: a lane that lives on with the others would hold calls for ever.
        """
        logger.info("lane begins", extra={"action": "lane_begins", "lane": self.name})
        beat = asyncio.create_task(self._beat_until_ended())
        post = asyncio.create_task(self._outbox.post_until(self._ended))
        ask = asyncio.create_task(self._ask_until_stopped())
        take = asyncio.create_task(self._take_until_stopped())
        errands = asyncio.create_task(self._errands.run_until(self._stopping))
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({stopped, beat, post, ask, take, errands}, return_when=asyncio.FIRST_COMPLETED)
        self.stop()
        # Neither is cut short: calls that the server has handed over meanwhile would be pending with nobody.
        ends = [*await asyncio.gather(take, ask, return_exceptions=True)]
        for work in self._work.values():
            self._return_backlog(work, "this worker is stopping")
        under_way = {*self._calls, errands}
        if under_way:
            _, late = await asyncio.wait(under_way, timeout=GRACE_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)
        # Not cancelled either: a cancellation inside a Redis command can be lost, and the loop would live on.
        self._ended.set()
        ends += await asyncio.gather(post, beat, return_exceptions=True)
        ends += [] if errands.cancelled() or not errands.done() else [errands.exception()]
        with suppress(RedisError):
            await self._outbox.post()
            await self._limits.leave()
        for work in self._work.values():
            await work.close()
        await self._redis.aclose()
        logger.info("lane ends", extra={"action": "lane_ends", "lane": self.name})
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    # -- the lease -----------------------------------------------------------------------------------------------------

    async def _beat_until_ended(self) -> None:
        while not self._ended.is_set():
            try:
                began = time.monotonic()
                told = await self._limits.beat()
                self._control = told.control
                # On either clock: a server that has come back empty knows of no lease, however young.
                if self._lease_until and (began > self._lease_until or not told.kept):
                    self._resign()
                self._lanes = max(1, len(told.lanes))
                self._lease_until = began + LEASE_SECONDS
                self._wake.set()
            except (RedisError, ValueError) as error:
                logger.warning("lease not renewed: %s", error, extra={"action": "lease_not_renewed", "lane": self.name})
            await self._put_away()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), BEAT_SECONDS)

    def _resign(self) -> None:
        """It was frozen or cut off: others have its places, and were asked for what it had not begun, which would be paid for twice."""
        left = sum(work.busy - work.running for work in self._work.values())
        logger.warning("the lease had run out", extra={"action": "lease_lapsed", "lane": self.name, "calls": left})
        for work in self._work.values():
            self._return_backlog(work, "the lease of this worker had run out")
            work.lapse()
        self._lapsed_until = time.monotonic() + LAPSED_SECONDS

    def _has_lease(self, now: float) -> bool:
        return now < self._lease_until - 1.0

    async def _put_away(self) -> None:
        """Close what belongs to runs that have gone."""
        now = time.monotonic()
        for run, work in list(self._work.items()):
            if run not in self._control and not work.busy and now - work.used_at > IDLE_SECONDS:
                del self._work[run]
                await work.close()

    # -- taking --------------------------------------------------------------------------------------------------------

    def _share(self, in_flight: int) -> int:
        return -(-in_flight // self._lanes)

    def _allowed(self, run: int, work: Work) -> Control:
        """What the keeper allows of a run; before it has spoken, what the run itself says."""
        return self._control.get(run) or Control(state="go", in_flight=work.brief.in_flight)

    async def _take_until_stopped(self) -> None:
        while not self._stopping.is_set():
            try:
                now = time.monotonic()
                wanted = self._wanted() if self._has_lease(now) and now >= self._estranged_until else 0
                if wanted <= 0:
                    self._wake.clear()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), 0.05)
                    continue
                self._is_dry = True
                calls = await dispatch.take(self._redis, self._keys, self.name, most=wanted, wait_ms=WAIT_MS)
                self._is_dry = len(calls) < wanted
                for entry, ask in calls:
                    await self._accept(entry, ask)
            except RedisError as error:
                logger.warning("calls not taken: %s", error, extra={"action": "take_failed", "lane": self.name})
                await asyncio.sleep(0.5)

    def _wanted(self) -> int:
        """Calls to take now: what each run lacks of the lane's share and of half as many ahead; for a few it is not asked.

        What a run has beyond that, since its provider holds it up, keeps no place from another run or another rung.
        """
        runs = {run: control for run, control in self._control.items() if control.state == "go"}
        runs |= {
            run: self._allowed(run, work) for run, work in self._work.items() if run not in self._control and work.busy
        }
        if not runs:
            return max(0, 4 - sum(work.busy for work in self._work.values()))
        lacking = few = 0
        is_short = False
        for run, control in runs.items():
            lines = self._work[run].lines.items() if run in self._work else ()
            for rung, busy in [(rung, line.busy) for rung, line in lines] or [(0, 0)]:
                share = self._share(control.most(rung))
                lacking += max(0, share + max(1, share // 2) - busy)
                few += share // 4
                is_short |= 2 * busy < share
        return lacking if is_short or lacking > few else 0

    async def _accept(self, entry: str, ask: Ask | Unreadable) -> None:
        if isinstance(ask, Unreadable):
            await self._refuse(entry, ask)
            return
        work = self._work.get(ask.run)
        if work is None or ask.rung not in work.lines:
            work = await self._open(ask, entry)
        if work is not None:
            work.lines[ask.rung].backlog.append((entry, ask))
            work.used_at = time.monotonic()
            self._begin_what_may(ask.run, work)

    async def _refuse(self, entry: str, call: Unreadable) -> None:
        """Leave a call of another version to the others, and take no more for a while; what is no call at all goes."""
        about = {"action": "call_unreadable", "lane": self.name}
        if call.wire in (None, WIRE):
            logger.error("what is no call was dropped", extra=about)
            await dispatch.leave(self._redis, self._keys, entry)
            return
        if time.monotonic() >= self._estranged_until:
            logger.error(
                "a call of another version of Redrive (messages %s, this worker's are %s) was left to other workers: start this "
                "worker with the version of `redrive up`",
                call.wire,
                WIRE,
                extra=about,
            )
        self._estranged_until = time.monotonic() + ESTRANGED_SECONDS
        await dispatch.pass_on(self._redis, self._keys, entry, call.fields)

    async def _open(self, ask: Ask, entry: str) -> Work | None:
        """Get ready for a run, or a rung of one, that this lane has not seen."""
        brief = await dispatch.briefing(self._redis, self._keys, ask.run)
        if brief is None or ask.rung >= len(brief.rungs):
            self._outbox.give_back(entry, ask, "this worker knows nothing of the run yet")
            return None
        try:
            # In a thread: a long template or contract takes a second to compile, and the loop has others' calls to make.
            caller = await asyncio.to_thread(Caller, brief, self._settings, rung=ask.rung)
        except errors.RedriveError as error:
            failure = Failure(kind=FailureKind.BLOCKED, message=error.message, code="worker")
            self._outbox.fail(entry, ask, failure, sent=False)
            return None
        except Exception as error:  # noqa: BLE001  see _fault
            self._fault(entry, ask, error, sent=False)
            return None
        work = self._work.setdefault(ask.run, Work(brief, Holding(self._limits, ask.run)))
        holding = Holding(self._limits, ask.run, ask.rung) if ask.rung else None
        lines = work.lines | {ask.rung: Line(caller, Allowance(brief, caller.connection), holding)}
        work.lines = dict(sorted(lines.items(), reverse=True))
        return work

    # -- places and rates ----------------------------------------------------------------------------------------------

    async def _ask_until_stopped(self) -> None:
        """Ask Redis, a hundred times a second, for what the calls that wait will need."""
        first = 0
        while not self._stopping.is_set():
            try:
                await self._heed_moves()
                # In turns: whoever asks a pool first gets what there is.
                runs = list(self._work.items())
                first = (first + 1) % max(1, len(runs))
                for run, work in [*runs[first:], *runs[:first]]:
                    await self._hold_and_ask(run, work)
                    self._begin_what_may(run, work)
            except RedisError as error:
                logger.warning("calls not begun: %s", error, extra={"action": "start_failed", "lane": self.name})
                await asyncio.sleep(0.2)
            await asyncio.sleep(TICK_SECONDS)

    async def _hold_and_ask(self, run: int, work: Work) -> None:
        control, now = self._allowed(run, work), time.monotonic()
        if control.state == "stop":
            self._return_backlog(work, "the run does not go on for now")
        # No more for an upper rung than it may have, so that its calls keep no place from another lane's.
        busy = sum(min(line.busy, control.most(rung)) for rung, line in work.lines.items())
        await self._hold(work.holding, control.in_flight, busy, work.running)
        for rung, line in list(work.lines.items()):
            if line.holding is not None:
                # Only what the run has a place for: else two lanes could wait for each other's.
                busy = min(line.busy, line.running + work.free)
                await self._hold(line.holding, control.most(rung), busy, line.running)
        # A few more than there are places for: the next ones to become free need not wait for an answer from Redis.
        room = work.free + work.running // AHEAD if control.state == "go" else 0
        for line in list(work.lines.values()):
            own = work.places(line) + line.running // AHEAD
            ready = max(0, min(len(line.backlog), room, own)) if now >= line.blocked_until else 0
            if line.allowance.wants(ready, now=now):
                await self._ask_for(run, line, ready)
            # What a rung may not begin for now leaves its room to the others.
            room -= min(ready, max(0, line.allowance.room(line.running, now=now)))

    async def _heed_moves(self) -> None:
        """Look, for all runs whose places are short at once, whether a lane has given any up."""
        waiting = [one for work in self._work.values() for one in work.holdings if one.waits]
        if waiting:
            for holding, moves in zip(waiting, await self._limits.moves([one.stand for one in waiting]), strict=True):
                holding.heed(moves)

    async def _hold(self, holding: Holding, most: int, busy: int, running: int) -> None:
        now = time.monotonic()
        await holding.hold(
            limit=most,
            share=self._share(most),
            busy=busy if now >= self._lapsed_until else running,
            running=running,
            is_dry=self._is_dry,
            now=now,
        )

    async def _ask_for(self, run: int, line: Line, ready: int) -> None:
        """Ask the run's own limits, if it has any, then those of the rung's pool."""
        allowance, rung = line.allowance, line.caller.rung
        if allowance.has_run_limits:
            grant = await self._limits.ask_run(run, allowance.run_report(ready))
            pool = await self._limits.ask_pool(rung.connection, rung.model, allowance.report(grant.calls))
            allowance.take_of_run(grant, pool.calls, now=time.monotonic())
        else:
            pool = await self._limits.ask_pool(rung.connection, rung.model, allowance.report(ready))
        allowance.take(pool, now=time.monotonic())

    # -- one call ------------------------------------------------------------------------------------------------------

    def _begin_what_may(self, run: int, work: Work) -> None:
        for line in work.lines.values():
            self._begin(run, work, line, self._may_begin(run, work, line))

    def _begin(self, run: int, work: Work, line: Line, calls: Sequence[Begun]) -> None:
        for begun in calls:
            task = asyncio.create_task(self._keep_calling(run, work, line, begun))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    def _may_begin(self, run: int, work: Work, line: Line) -> list[Begun]:
        """The calls of a line that have a place and an allowance now, which are taken with them."""
        now = time.monotonic()
        if not line.backlog or now < line.blocked_until or self._stopping.is_set() or not self._has_lease(now):
            return []
        if self._allowed(run, work).state == "stop":
            return []
        most = max(0, min(work.places(line), line.allowance.room(line.running, now=now), len(line.backlog)))
        work.running += most
        line.running += most
        return [Begun(*line.backlog.popleft(), line.allowance.begin(now=now)) for _ in range(most)]

    async def _keep_calling(self, run: int, work: Work, line: Line, begun: Begun) -> None:
        """Make a call; its place is taken by the next one in the same stroke, since many replies may wait to be read."""
        while True:
            called: Called | None = None
            try:
                called = await self._call(line, begun.entry, begun.ask)
            finally:
                work.running -= 1
                line.running -= 1
                self._settle(work, line, called, begun.reserved)
            self._wake.set()
            if len(work.lines) > 1:
                # The place may be another rung's.
                self._begin_what_may(run, work)
                return
            more = self._may_begin(run, work, line)
            self._begin(run, work, line, more[1:])
            if not more:
                return
            begun = more[0]

    async def _call(self, line: Line, entry: str, ask: Ask) -> Called | None:
        """Make one call and hand back what came of it; None where that is a fault of ours."""
        try:
            streamer = partial(live.shown, self._redis, self._keys) if line.caller.brief.kind == "try" else None
            called = await line.caller.call(ask, self.name, streamer=streamer)
        except errors.RedriveError as error:
            failure = Failure(kind=FailureKind.INTERNAL, message=error.message, code=type(error).__name__)
            self._outbox.fail(entry, ask, failure, sent=False)
            return None
        except Exception as error:  # noqa: BLE001  see _fault
            self._fault(entry, ask, error, sent=True)
            return None
        self._outbox.put(Handed(entry=entry, outcome=called.outcome, raw=called.raw, request=called.request))
        return called

    def _fault(self, entry: str, ask: Ask, error: Exception, *, sent: bool) -> None:
        """The border around one row: whatever we did wrong costs this row a fault and nobody else anything."""
        trace = "".join(traceback.format_exception(error))
        about = {"action": "call_internal", "run": ask.run, "try_id": ask.try_id}
        logger.error("a call failed inside", exc_info=error, extra=about)
        failure = Failure(kind=FailureKind.INTERNAL, message=trace[-2000:], code=type(error).__name__)
        self._outbox.fail(entry, ask, failure, sent=sent)

    def _settle(self, work: Work, line: Line, called: Called | None, reserved: Reserved) -> None:
        now = time.monotonic()
        work.used_at = now
        if called is None:
            return
        line.allowance.settle(reserved, usage=called.usage, failure=called.failure, rates=called.rates, now=now)
        if called.failure is not None and called.failure.kind is FailureKind.BLOCKED:
            line.blocked_until = now + BLOCKED_SECONDS

    def _return_backlog(self, work: Work, note: str) -> None:
        for line in work.lines.values():
            while line.backlog:
                self._outbox.give_back(*line.backlog.popleft(), note)
