"""Stop 4: the worker's loop: take a call, render, ask, judge, hand back.

A lane decides nothing: it knows no database, counts no strikes and waits for no retry. It can die at any point, since a call
it took is still pending on the stream until its outcome is there. It works for all runs of its home at once, holds a lease,
and takes only about as many calls as it may have in flight, so that lanes share the work.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
import traceback
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from redis.asyncio import Redis
from redis.exceptions import RedisError

from jobs import dispatch, errors, llm, outcomes
from jobs.call import Caller
from jobs.keys import Keys
from jobs.limits import BEAT_SECONDS, LEASE_SECONDS, LaneLimits
from jobs.messages import WIRE, Ask, Brief, Control, LaneArguments, Outcome
from jobs.outcomes import Handed
from jobs.settings import Settings
from jobs.values import Failure, FailureKind, Usage

logger = logging.getLogger(__name__)

#: seconds between two looks at what can be started; a free place waits as long
START_SECONDS = 0.003
#: seconds between two groups handed back
POST_SECONDS = 0.01
#: seconds that a go-ahead without a limit holds before the shared bucket is asked again, for a cool-down
FREE_SECONDS = 0.05
#: outcomes handed back in one group
GROUP_MOST = 200
#: seconds that calls in flight get to finish after a stop flag
GRACE_SECONDS = 9.0
#: seconds after which a finished run's things are put away
IDLE_SECONDS = 60.0
#: characters of a try's reply between two looks that screens get at it
LIVE_STEP = 16


@dataclass
class _Work:
    """What a lane has of a run: its caller, and the calls that it has taken."""

    caller: Caller
    backlog: deque[tuple[str, Ask]] = field(default_factory=deque)
    running: int = 0
    #: places in flight that the lane holds
    held: int = 0
    used_at: float = 0.0
    #: no start before this, on the loop's clock: the bucket is empty
    not_before: float = 0.0
    #: until then no bucket need be asked: there is no limit, and nobody has called for a cool-down
    free_until: float = 0.0
    #: tokens of a request, learned from replies, for reserving
    tokens: float = 0.0

    @property
    def brief(self) -> Brief:
        """What the run is."""
        return self.caller.brief


class Lane:
    """One worker's lane; ``run`` returns when it has been told to stop and has handed everything back."""

    def __init__(self, settings: Settings, arguments: LaneArguments, *, name: str | None = None) -> None:
        self._settings = settings
        self._keys = Keys(arguments.home)
        self.name = name or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._redis = dispatch.connect_async(settings.redis_address)
        self._limits = LaneLimits(self._redis, self._keys, self.name)
        self._work: dict[int, _Work] = {}
        self._control: dict[int, Control] = {}
        self._lanes = 1
        self._lease_until = 0.0
        self._outbox: deque[Handed] = deque()
        self._calls: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._wake = asyncio.Event()

    def stop(self) -> None:
        """Take no new calls; finish those in flight."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Be a lane until stopped."""
        logger.info("lane begins", extra={"action": "lane_begins", "lane": self.name})
        beat = asyncio.create_task(self._beat_until_ended())
        post = asyncio.create_task(self._post_until_ended())
        start = asyncio.create_task(self._start_until_stopped())
        take = asyncio.create_task(self._take_until_stopped())
        await self._stopping.wait()
        # Neither is cut short: calls that the server has handed over meanwhile would be pending with nobody.
        await asyncio.gather(take, start)
        self._return_backlog()
        if self._calls:
            _, late = await asyncio.wait(self._calls, timeout=GRACE_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)
        # Not cancelled either: a cancellation inside a Redis command can be lost, and the loop would live on.
        self._ended.set()
        await asyncio.gather(post, beat)
        with suppress(RedisError):
            await self._post()
            await self._limits.leave()
        for work in self._work.values():
            await work.caller.close()
        await self._redis.aclose()
        logger.info("lane ends", extra={"action": "lane_ends", "lane": self.name})

    # -- the lease -----------------------------------------------------------------------------------------------------

    async def _beat_until_ended(self) -> None:
        while not self._ended.is_set():
            try:
                began = time.monotonic()
                lanes, self._control = await self._limits.beat()
                self._lanes = max(1, len(lanes))
                self._lease_until = began + LEASE_SECONDS
            except (RedisError, ValueError) as error:
                logger.warning("lease not renewed: %s", error, extra={"action": "lease_not_renewed", "lane": self.name})
            await self._put_away()
            await asyncio.sleep(BEAT_SECONDS)

    def _has_lease(self) -> bool:
        return time.monotonic() < self._lease_until - 1.0

    async def _put_away(self) -> None:
        """Close what belongs to runs that have gone."""
        now = time.monotonic()
        for run, work in list(self._work.items()):
            if run not in self._control and not work.running and not work.backlog and now - work.used_at > IDLE_SECONDS:
                del self._work[run]
                await work.caller.close()

    # -- taking --------------------------------------------------------------------------------------------------------

    def _share(self, in_flight: int) -> int:
        return -(-in_flight // self._lanes)

    async def _take_until_stopped(self) -> None:
        while not self._stopping.is_set():
            try:
                wanted = self._wanted() if self._has_lease() else 0
                if wanted <= 0:
                    self._wake.clear()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), 0.05)
                    continue
                for entry, ask in await dispatch.take(self._redis, self._keys, self.name, most=wanted, wait_ms=500):
                    await self._accept(entry, ask)
            except RedisError as error:
                logger.warning("calls not taken: %s", error, extra={"action": "take_failed", "lane": self.name})
                await asyncio.sleep(0.5)

    def _wanted(self) -> int:
        """Calls to take now: enough to fill the lane's share of every run, and a few ahead."""
        share = sum(self._share(control.in_flight) for control in self._control.values() if control.state == "go")
        busy = sum(work.running + len(work.backlog) for work in self._work.values())
        return share + max(1, share // 4) - busy if share else max(0, 4 - busy)

    async def _accept(self, entry: str, ask: Ask | None) -> None:
        if ask is None or ask.wire != WIRE:
            # The keeper finds it missing after some seconds and puts it up again, for a worker of its own version.
            logger.error("a call of another version was left", extra={"action": "call_unreadable", "lane": self.name})
            await dispatch.leave(self._redis, self._keys, entry)
            return
        work = self._work.get(ask.run) or await self._open(ask, entry)
        if work is not None:
            work.backlog.append((entry, ask))
            work.used_at = time.monotonic()

    async def _open(self, ask: Ask, entry: str) -> _Work | None:
        """Get ready for a run that this lane has not seen."""
        brief = await dispatch.briefing(self._redis, self._keys, ask.run)
        if brief is None:
            self._return(entry, ask, "this worker knows nothing of the run yet")
            return None
        try:
            work = _Work(caller=Caller(brief, self._settings))
        except errors.RedriveError as error:
            self._fail(entry, ask, Failure(kind=FailureKind.BLOCKED, message=error.message, code="worker"))
            return None
        self._work[ask.run] = work
        return work

    # -- starting ------------------------------------------------------------------------------------------------------

    async def _start_until_stopped(self) -> None:
        while not self._stopping.is_set():
            try:
                for run, work in list(self._work.items()):
                    await self._start(run, work)
            except RedisError as error:
                logger.warning("calls not started: %s", error, extra={"action": "start_failed", "lane": self.name})
                await asyncio.sleep(0.2)
            await asyncio.sleep(START_SECONDS)

    async def _start(self, run: int, work: _Work) -> None:
        control = self._control.get(run)
        if work.backlog and (control is None or control.state == "stop"):
            if control is not None:
                while work.backlog:
                    self._return(*work.backlog.popleft(), "the run does not go on for now")
            return
        limit = control.in_flight if control else work.brief.in_flight
        wanted = min(self._share(limit), work.running + len(work.backlog))
        if wanted != work.held:
            work.held = await self._limits.places(run, limit=limit, wanted=wanted, running=work.running)
        ready = min(len(work.backlog), work.held - work.running)
        if ready > 0 and self._has_lease():
            for _ in range(await self._rate(work, ready)):
                self._begin(work, *work.backlog.popleft())

    async def _rate(self, work: _Work, ready: int) -> int:
        """How many of the calls that are ready the shared rate lets go now."""
        now = time.monotonic()
        if now < work.not_before:
            return 0
        if now < work.free_until:
            return ready
        brief = work.brief
        granted, wait = await self._limits.reserve(
            brief.connection,
            brief.model,
            wanted=ready,
            tokens=self._reserved_tokens(work),
            rpm=brief.rpm,
            tpm=brief.tpm,
        )
        if granted < ready:
            work.not_before = now + min(max(wait, START_SECONDS), 1.0)
        elif brief.rpm is None and brief.tpm is None:
            work.free_until = now + FREE_SECONDS
        return granted

    def _reserved_tokens(self, work: _Work) -> int:
        return int(work.tokens) or len(work.brief.content.template) // 3 + work.brief.content.max_tokens // 2

    def _begin(self, work: _Work, entry: str, ask: Ask) -> None:
        work.running += 1
        task = asyncio.create_task(self._call(work, entry, ask))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    # -- one call ------------------------------------------------------------------------------------------------------

    async def _call(self, work: _Work, entry: str, ask: Ask) -> None:
        try:
            await self._ask_and_judge(work, entry, ask)
        except asyncio.CancelledError:
            raise
        except errors.RedriveError as error:
            self._fail(entry, ask, Failure(kind=FailureKind.INTERNAL, message=error.message, code=type(error).__name__))
        except Exception as error:
            trace = "".join(traceback.format_exception(error))
            logger.exception(
                "a call failed inside", extra={"action": "call_internal", "run": ask.run, "try_id": ask.try_id}
            )
            self._fail(entry, ask, Failure(kind=FailureKind.INTERNAL, message=trace[-2000:], code=type(error).__name__))
        finally:
            work.running -= 1
            work.used_at = time.monotonic()
            self._wake.set()

    async def _ask_and_judge(self, work: _Work, entry: str, ask: Ask) -> None:
        called = await work.caller.call(ask, self.name, streamer=self._streamed if work.brief.kind == "try" else None)
        self._outbox.append(Handed(entry=entry, outcome=called.outcome, raw=called.raw, request=called.request))
        if called.failure is not None and called.failure.kind is FailureKind.THROTTLED:
            await self._cool_down(work.brief, called.rates)
        if called.usage is not None:
            await self._learn(work, called.usage)

    async def _streamed(self, endpoint: llm.Endpoint, body: dict[str, object], run: int, ordinal: int) -> llm.Answer:
        """Ask with a stream, and let screens see the text as it comes."""
        shown = _Live(self._redis, self._keys, run, ordinal)
        viewer = asyncio.create_task(shown.follow())
        try:
            return await endpoint.stream(body, on_delta=shown.add)
        finally:
            shown.end()
            await viewer

    async def _cool_down(self, brief: Brief, rates: llm.Rates) -> None:
        """Stop everybody for a moment only where the provider says that nothing remains."""
        for window in (rates.requests, rates.tokens, rates.input_tokens, rates.output_tokens):
            if window.remaining == 0 and window.reset:
                for work in self._work.values():
                    work.free_until = 0.0
                with suppress(RedisError):
                    await self._limits.cool_down(brief.connection, brief.model, min(window.reset, 60.0))

    async def _learn(self, work: _Work, usage: Usage) -> None:
        used = usage.prompt + usage.completion
        if work.brief.tpm:
            with suppress(RedisError):
                await self._limits.settle(
                    work.brief.connection, work.brief.model, reserved=self._reserved_tokens(work), used=used
                )
        work.tokens = used if not work.tokens else work.tokens * 0.95 + used * 0.05

    # -- handing back --------------------------------------------------------------------------------------------------

    def _return_backlog(self) -> None:
        for work in self._work.values():
            while work.backlog:
                self._return(*work.backlog.popleft(), "this worker is stopping")

    def _return(self, entry: str, ask: Ask, note: str) -> None:
        ordinals = tuple(row.ordinal for row in ask.rows)
        outcome = Outcome(run=ask.run, try_id=ask.try_id, lane=self.name, kind="returned", ordinals=ordinals, note=note)
        self._outbox.append(Handed(entry=entry, outcome=outcome))

    def _fail(self, entry: str, ask: Ask, failure: Failure) -> None:
        ordinals = tuple(row.ordinal for row in ask.rows)
        outcome = Outcome(
            run=ask.run,
            try_id=ask.try_id,
            lane=self.name,
            kind="failed",
            ordinals=ordinals,
            failure=failure,
            sent_at=time.time(),
        )
        self._outbox.append(Handed(entry=entry, outcome=outcome))

    async def _post_until_ended(self) -> None:
        while not self._ended.is_set():
            try:
                await self._post()
            except RedisError as error:
                logger.warning("outcomes kept back: %s", error, extra={"action": "post_failed", "lane": self.name})
                await asyncio.sleep(0.3)
            except ValueError:
                # One that cannot be written down must not keep the others: its row comes back as an error of ours.
                logger.exception("an outcome cannot be written", extra={"action": "outcome_unwritable"})
                self._outbox = deque(_writable(handed) for handed in self._outbox)
            await asyncio.sleep(POST_SECONDS)

    async def _post(self) -> None:
        """Hand back what is ready. What cannot be handed back stays in the outbox; a repeat is settled by the ledger."""
        while self._outbox:
            group = [self._outbox[place] for place in range(min(GROUP_MOST, len(self._outbox)))]
            await outcomes.hand_back(self._redis, self._keys, group)
            for _ in group:
                self._outbox.popleft()


def _writable(handed: Handed) -> Handed:
    try:
        handed.outcome.model_dump_json()
    except ValueError as error:
        failure = Failure(
            kind=FailureKind.INTERNAL, message=f"the outcome cannot be written down: {type(error).__name__}"
        )
        plain = Outcome(
            run=handed.outcome.run,
            try_id=handed.outcome.try_id,
            lane=handed.outcome.lane,
            kind="failed",
            ordinals=handed.outcome.ordinals,
            failure=failure,
            sent_at=handed.outcome.sent_at,
        )
        return Handed(entry=handed.entry, outcome=plain, raw=handed.raw, request=handed.request)
    return handed


class _Live:
    """Shows a reply that streams in, no oftener than Redis can take it in."""

    def __init__(self, redis: Redis, keys: Keys, run: int, ordinal: int) -> None:
        self._redis, self._keys, self._run, self._ordinal = redis, keys, run, ordinal
        self._text, self._ended = "", asyncio.Event()

    def add(self, delta: str) -> None:
        self._text += delta

    def end(self) -> None:
        self._ended.set()

    async def follow(self) -> None:
        shown = -1
        with suppress(RedisError):
            while not self._ended.is_set():
                if len(self._text) - shown >= LIVE_STEP or shown < 0:
                    shown = len(self._text)
                    await self._show(done=False)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ended.wait(), 0.1)
            await self._show(done=True)

    async def _show(self, *, done: bool) -> None:
        await outcomes.show_live(
            self._redis, self._keys, run=self._run, ordinal=self._ordinal, text=self._text, done=done
        )


def enter(settings: Settings) -> Callable[[LaneArguments], None]:
    """What a worker's job runs in its work-horse: a lane that SIGTERM, or its worker's death, asks to stop."""

    def lane(arguments: LaneArguments) -> None:
        asyncio.run(_main(settings, arguments))

    return lane


async def _main(settings: Settings, arguments: LaneArguments) -> None:
    lane = Lane(settings, arguments)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lane.stop)
    parent = os.getppid()

    async def stop_with_parent() -> None:
        while os.getppid() == parent:
            await asyncio.sleep(0.5)
        lane.stop()

    watch = asyncio.create_task(stop_with_parent())
    await lane.run()
    watch.cancel()
