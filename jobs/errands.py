"""The lane's side of batches: it takes a step, does it at the provider's batch endpoint, and reports.

A lane does one step at a time, beside its calls. A step can be done again after any death: a batch is found by its token, a
file that was read before is read once more, and what was recorded of it is not recorded twice. Only a creation must not happen
twice, so right before it, and once more behind it, the lane looks whether the step is still its own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from jobs import dispatch, errors, llm, outcomes, steps
from jobs.batches import is_full
from jobs.call import Caller
from jobs.keys import Keys
from jobs.llm import batches
from jobs.messages import Ask, Brief, Outcome, Remote, Step, StepReport
from jobs.outbox import Outbox
from jobs.outcomes import Handed
from jobs.settings import Settings
from jobs.values import Failure, FailureKind

logger = logging.getLogger(__name__)

#: milliseconds to wait for a step; a lane that is told to stop waits them out
WAIT_MS = 100
#: seconds to wait after Redis did not answer, and between two looks whether the keeper has recorded what lies there
AWAY_SECONDS, FULL_SECONDS = 0.5, 0.05
#: outcomes that may wait for the keeper while a batch is read, and lines between two looks
MOST_WAITING, AT_ONCE = 1_000, 100
#: seconds in which the files of a batch are deleted, or are not for now
CLEAR_SECONDS = 30.0
#: statuses of what a provider does not have any more
GONE = (404, 410)
#: why a step ended that is another lane's by now
_TAKEN = "the step was given to another worker"


@dataclass(frozen=True)
class _Came:
    """What came of a step, for its report."""

    result: str = "done"
    remote: Remote | None = None
    lines: int = 0
    missing: int = 0
    words: str = ""
    retry_after: float | None = None


class Errands:
    """What a lane does about batches."""

    def __init__(
        self, settings: Settings, redis: Redis, keys: Keys, lane: str, *, has_lease: Callable[[], bool]
    ) -> None:
        self._settings, self._redis, self._keys, self._lane = settings, redis, keys, lane
        self._has_lease = has_lease

    async def run_until(self, stopping: asyncio.Event) -> None:
        """Do steps until told to stop; one that is under way is then left to another lane, where it takes long."""
        while not stopping.is_set():
            try:
                if not self._has_lease():
                    await asyncio.sleep(AWAY_SECONDS / 10)
                    continue
                taken = await steps.take(self._redis, self._keys, self._lane, wait_ms=WAIT_MS)
            except RedisError as error:
                logger.warning("steps not taken: %s", error, extra={"action": "step_not_taken", "lane": self._lane})
                await asyncio.sleep(AWAY_SECONDS)
                continue
            if taken is not None:
                await self._do(*taken)

    async def _do(self, entry: str, step: Step) -> None:
        about = {"action": f"step_{step.kind}", "run": step.run, "lane": self._lane}
        try:
            came = await self._come_of(entry, step)
        except batches.RequestFailed as error:
            came = _of_failure(step, error.failure)
        except errors.RedriveError as error:
            came = _Came("refused" if step.first else "blocked", words=error.message)
        except batches.Overtaken:
            # Where the step is this lane's after all, the keeper asks again; where it is not, nobody heeds this.
            logger.warning("batch %s: %s", step.batch, _TAKEN, extra=about)
            came = _Came("again", words=_TAKEN)
        except (RedisError, OSError) as error:
            came = _Came("again", words=f"a worker could not go on: {type(error).__name__}")
        except Exception as error:
            # The border around one step: it is tried again, and people see why.
            logger.exception("a step failed inside", extra=about)
            came = _Came("again", words=f"a fault of Redrive's, see the worker's log: {type(error).__name__}")
        told = StepReport.model_validate(
            {
                "kind": step.kind,
                "batch": step.batch,
                "run": step.run,
                "token": step.token,
                "entry": entry,
                "result": came.result,
                "remote": came.remote,
                "lines": came.lines,
                "missing": came.missing,
                "words": _text(came.words),
                "retry_after": came.retry_after,
            }
        )
        await self._patiently(lambda: outcomes.report(self._redis, self._keys, told))
        logger.info("batch %s: %s, %s", step.batch, step.kind, came.result, extra=about)

    async def _come_of(self, entry: str, step: Step) -> _Came:
        brief = await dispatch.briefing(self._redis, self._keys, step.run)
        if brief is None or step.rung >= len(brief.rungs):
            return _Came("again", words="this worker knows nothing of the run yet")
        caller = await asyncio.to_thread(Caller, brief, self._settings, rung=step.rung)
        try:
            if step.kind == "clear":
                return await self._clear(step, caller)
            if step.kind == "submit":
                return await self._submit(entry, step, caller)
            if step.kind == "find":
                return await self._find(step, caller)
            if step.remote is None:
                return _Came("gone", words="nobody knows the provider's name of the batch")
            if step.kind == "look":
                return _Came(remote=_remote(await batches.look(caller.endpoint, step.remote.id)))
            if step.kind == "cancel":
                return _Came(remote=_remote(await batches.cancel(caller.endpoint, step.remote.id)))
            return await self._read(step, step.remote, brief, caller)
        finally:
            await caller.close()

    # -- submitting ----------------------------------------------------------------------------------------------------

    async def _submit(self, entry: str, step: Step, caller: Caller) -> _Came:
        asks = await steps.asks(self._redis, self._keys, step.batch)
        if asks is None:
            return _Came("again", words="the calls of the batch are not there")
        hand, place = tempfile.mkstemp(prefix="redrive-", suffix=".jsonl")
        os.close(hand)
        file = Path(place)
        try:
            count = await self._write(file, step, asks, caller)
            if not count:
                return _Came("nothing", words="none of its rows can be asked about")
            made = await batches.submit(
                caller.endpoint,
                step.token,
                file,
                count=count,
                first=step.first,
                settle=min(batches.SETTLE, caller.connection.batch_poll),
                still=lambda: self._is_ours(entry),
            )
        finally:
            file.unlink(missing_ok=True)
        return _Came(remote=_remote(made))

    async def _is_ours(self, entry: str) -> bool:
        """Whether the step is this lane's. Where it was frozen, or Redis has lost the step, another lane may be at it."""
        return self._has_lease() and await steps.has(self._redis, self._keys, self._lane, entry)

    async def _write(self, file: Path, step: Step, asks: list[Ask], caller: Caller) -> int:
        """The lines of the batch's file; a row that cannot be asked about is handed back, and the others go."""
        outbox, count = self._outbox(step), 0
        with file.open("wb") as out:
            for ask in asks:
                line = await self._line(ask, step, caller, outbox)
                if line is not None:
                    out.write(line)
                    count += 1
                if count % AT_ONCE == 0:
                    await asyncio.sleep(0)
        await self._patiently(outbox.post)
        return count

    async def _line(self, ask: Ask, step: Step, caller: Caller, outbox: Outbox) -> bytes | None:
        try:
            return batches.line(_custom_id(ask), await caller.body(ask))
        except (errors.RedriveError, ValueError) as error:
            words = error.message if isinstance(error, errors.RedriveError) else str(error)
            failure = Failure(kind=FailureKind.INTERNAL, message=words, code=type(error).__name__)
            outbox.put(Handed(entry=None, outcome=_unsent(ask, step, failure)))
            return None

    async def _find(self, step: Step, caller: Caller) -> _Came:
        found = await batches.find(caller.endpoint, step.token)
        return _Came(remote=_remote(batches.best(found))) if found else _Came("nothing")

    # -- reading -------------------------------------------------------------------------------------------------------

    async def _read(self, step: Step, remote: Remote, brief: Brief, caller: Caller) -> _Came:
        asks = await steps.asks(self._redis, self._keys, step.batch)
        if asks is None:
            return _Came("again", words="the calls of the batch are not there", remote=remote)
        if _is_short(remote):
            remote = _remote(await batches.look(caller.endpoint, remote.id))
        if _is_short(remote):
            return _Came(
                "gone", words=f"the provider says that it answered {remote.answered:,} lines, and names no file"
            )
        waiting = {_custom_id(ask): ask for ask in asks}
        bodies = {name: await self._body(ask, caller) for name, ask in waiting.items()}
        outbox, lines, gone = self._outbox(step), 0, ""

        def sent(name: str) -> bytes:
            return zlib.decompress(bodies[name]) if name in bodies else b""

        for file in (remote.output_file, remote.error_file):
            if file is None:
                continue
            try:
                async for one in batches.lines(caller.endpoint, file, sent=sent):
                    lines += _was_run(one.answer)
                    ask = waiting.pop(one.custom_id, None) if _was_run(one.answer) else None
                    if ask is None:
                        continue
                    await self._hand_back(ask, step, one.answer, caller, outbox)
                    if len(outbox) >= AT_ONCE:
                        await self._patiently(outbox.post)
                        await self._wait_for_room()
            except batches.RequestFailed as error:
                if error.failure.status not in GONE:
                    raise
                gone = f"{file} cannot be had: {error.failure.message}"
        await self._patiently(outbox.post)
        if gone:
            return _Came("gone", remote=remote, lines=lines, missing=len(waiting), words=gone)
        return _Came(remote=remote, lines=lines, missing=len(waiting))

    async def _body(self, ask: Ask, caller: Caller) -> bytes:
        """What was asked, made once more and compressed: the same rows and the same template give the same bytes."""
        await asyncio.sleep(0)
        try:
            return zlib.compress(llm.encode(await caller.body(ask)), 1)
        except (errors.RedriveError, ValueError):
            return zlib.compress(b"")

    async def _hand_back(self, ask: Ask, step: Step, answer: llm.Answer, caller: Caller, outbox: Outbox) -> None:
        called = await caller.judged(ask, _lane(step), answer)
        outcome = called.outcome.model_copy(
            update={
                "batch": step.batch,
                "sent_at": step.submitted_at or ask.dispatched_at,
                "queue_seconds": max(0.0, step.submitted_at - ask.dispatched_at),
            }
        )
        outbox.put(Handed(entry=None, outcome=outcome, raw=called.raw, request=called.request))
        await asyncio.sleep(0)

    async def _wait_for_room(self) -> None:
        """Redis holds a window and never the table, also where the keeper is away."""
        while await self._redis.xlen(self._keys.outcomes) > MOST_WAITING:
            await asyncio.sleep(FULL_SECONDS)

    async def _clear(self, step: Step, caller: Caller) -> _Came:
        """The files of a batch that is over go from the provider; a provider that is slow holds up no other step for long."""
        remote = step.remote
        files = (remote.input_file, remote.output_file, remote.error_file) if remote is not None else ()
        async with asyncio.timeout(CLEAR_SECONDS):
            await batches.clear(caller.endpoint, step.token, [file for file in files if file is not None])
        return _Came()

    # -- handing back --------------------------------------------------------------------------------------------------

    def _outbox(self, step: Step) -> Outbox:
        return Outbox(self._redis, self._keys, _lane(step))

    async def _patiently(self, say: Callable[[], object]) -> None:
        """Until Redis has it: what was paid for is not let go of."""
        while True:
            try:
                await say()  # type: ignore[misc]
            except RedisError as error:
                logger.warning("batch kept back: %s", error, extra={"action": "step_kept_back", "lane": self._lane})
                await asyncio.sleep(AWAY_SECONDS)
            else:
                return


def _lane(step: Step) -> str:
    """One name for all who read a batch, so that what two have read is the same outcome."""
    return f"batch-{step.batch}"


def _custom_id(ask: Ask) -> str:
    """Names a line; how many rows it is about belongs to it, since their ids in the prompt go by their number."""
    return f"{ask.try_id}-{len(ask.rows)}"


def _is_short(remote: Remote) -> bool:
    """Whether answers are charged that stand in no file; some count the lines of the error file among those answered."""
    return remote.output_file is None and remote.answered > (remote.failed if remote.error_file else 0)


def _was_run(answer: llm.Answer) -> bool:
    """Whether the provider came to this line before the batch ended; one that it did not come to is as if it were not there."""
    return answer.failure is None or answer.failure.code not in batches.UNRUN


def _unsent(ask: Ask, step: Step, failure: Failure) -> Outcome:
    return Outcome(
        run=ask.run,
        try_id=ask.try_id,
        lane=_lane(step),
        kind="failed",
        ordinals=tuple(row.ordinal for row in ask.rows),
        failure=failure,
        rung=ask.rung,
        batch=step.batch,
    )


def _remote(remote: batches.RemoteBatch) -> Remote:
    told = f"{remote.code}: {remote.words}" if remote.code and remote.code not in remote.words else remote.words
    return Remote(
        id=remote.id,
        status=remote.status,
        input_file=remote.input_file,
        output_file=remote.output_file,
        error_file=remote.error_file,
        answered=remote.completed,
        failed=remote.failed,
        expires_at=remote.expires_at,
        words=_text(told),
    )


def _of_failure(step: Step, failure: Failure) -> _Came:
    """What a request that failed makes of a step."""
    words, wait = failure.message, failure.retry_after
    if failure.kind is FailureKind.THROTTLED or failure.kind is FailureKind.TRANSIENT:
        full = is_full(f"{failure.code} {words}") and step.kind == "submit"
        return _Came("full" if full else "again", words=words, retry_after=wait)
    if failure.kind is FailureKind.LOST:
        return _Came("again", words=words, retry_after=wait) if wait else _Came("gone", words=words)
    if step.kind == "submit" and is_full(f"{failure.code} {words}"):
        return _Came("full", words=words)
    if step.kind == "submit" and (step.first or failure.code == "no_batches"):
        return _Came("refused", words=words)
    return _Came("gone" if failure.status in GONE or failure.code == "no_batches" else "blocked", words=words)


def _text(said: str) -> str:
    return said[:1_000].encode("utf-8", "replace").decode("utf-8")
