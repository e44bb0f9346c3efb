"""Stop 3, the worker's side: the queue's door, which lets lanes in and nothing else. Beside ``dispatch`` the one file that knows rq.

Whoever reaches Redis must neither run code here nor stop a worker. Of an entry only what decides is read, piece by piece and
never more than a lane's job holds; what is let in is run as a job that is made here, with nothing of the entry but its id.
What is no lane is deleted with a line in the log, and the worker goes on to the next entry.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import time
import uuid
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from types import FrameType
from typing import Any, cast

from pydantic import ValidationError
from redis import Redis
from redis.exceptions import RedisError, ResponseError
from rq import Queue, Worker
from rq.executions import Execution
from rq.job import Job
from rq.worker import WorkerStatus

from jobs import errors
from jobs.dispatch import LANE_FUNCTION, WIRE_FIELD, connect
from jobs.keys import Keys
from jobs.messages import WIRE, LaneArguments

#: bytes that a lane's data may have, packed and unpacked
MOST_DATA = 4096
#: seconds before a worker that RQ has ended begins again
AGAIN_SECONDS = 1.0
#: seconds for which RQ takes a worker that says nothing for alive
WORKER_TTL = 60
#: seconds that a worker of another version than the keeper's leaves the queue to the others, after it has refused a lane
ESTRANGED_SECONDS = 2.0

#: what an entry must not carry, and the fields of its hash that would
_EXTRAS = {
    "a callback": ("success_callback_name", "failure_callback_name", "stopped_callback_name"),
    "a webhook": ("webhooks",),
    "a dependency": ("dependency_ids", "dependency_id"),
    "a retry": ("retries_left",),
    "a repeat": ("repeats_left",),
    "a group": ("group_id",),
    "a rate limit": ("rate_limit_key",),
}
_MOMENTS = ("created_at", "enqueued_at")
OTHER_VERSION = "it is of a keeper of another version of Redrive"
_JOB_ID = re.compile(rb"[A-Za-z0-9_-]{1,100}")

logger = logging.getLogger(__name__)


@dataclass
class _Entrance:
    """What ``run_lane`` enters in this process; set before the worker forks."""

    lane: Callable[[LaneArguments], None] | None = None


_ENTRANCE = _Entrance()


def run_lane(arguments: dict[str, Any]) -> None:
    """The RQ job: be a lane until told to stop."""
    if _ENTRANCE.lane is None:
        raise errors.Refused("a lane runs only inside a worker started by `redrive worker`")
    _ENTRANCE.lane(LaneArguments.model_validate(arguments))


# -- the door ----------------------------------------------------------------------------------------------------------


def why_refused(redis: Redis, entry: bytes, home: str) -> str | None:
    """Why this entry of the queue must not run here; None for a lane of this home as the keeper enqueues it."""
    if not _JOB_ID.fullmatch(entry):
        return "its id is none that RQ gives"
    key = _key_of(entry)
    names = ("data", "timeout", *_MOMENTS, *(name for names in _EXTRAS.values() for name in names))
    pipe = redis.pipeline(transaction=False)
    for name in names:
        pipe.hstrlen(key, name)
    sizes = dict(zip(names, pipe.execute(raise_on_error=False), strict=True))
    if any(isinstance(size, ResponseError) for size in sizes.values()):
        return "it is no job: its key holds something else"
    if not sizes["data"]:
        return "there is no such job" if not redis.exists(key) else "it holds no data"
    for what, fields in _EXTRAS.items():
        if any(sizes[name] for name in fields):
            return f"it carries {what}"
    if sizes["data"] > MOST_DATA or any(sizes[name] > 40 for name in ("timeout", *_MOMENTS)):
        return "it is larger than a lane's job is"
    data, timeout, *moments = cast("list[bytes | None]", redis.hmget(key, ["data", "timeout", *_MOMENTS]))
    return _why_refused_data(data or b"", home) or _why_refused_times(timeout, moments)


def _why_refused_data(data: bytes, home: str) -> str | None:
    try:
        with suppress(zlib.error):  # RQ reads data that is not packed as well
            data = zlib.decompressobj().decompress(data, MOST_DATA)
        function, instance, args, kwargs = json.loads(data)
        if function != LANE_FUNCTION or instance is not None or kwargs or len(args) != 1:
            return f"it names {str(function)[:80]!r}, and a worker runs only {LANE_FUNCTION}"
        wire = args[0].get("wire") if isinstance(args[0], dict) else None
        if isinstance(wire, int) and wire != WIRE:
            return f"{OTHER_VERSION} (messages {wire}, this worker's are {WIRE}): start this worker with that version"
        if LaneArguments.model_validate(args[0]).home != home:
            return "it is a lane of another home"
    except (ValidationError, ValueError, TypeError, RecursionError) as error:
        return f"its data cannot be read: {type(error).__name__}"
    return None


def _why_refused_times(timeout: bytes | None, moments: Iterable[bytes | None]) -> str | None:
    if timeout != b"-1":
        return "it has a time limit"
    for moment in moments:
        try:
            datetime.fromisoformat((moment or b"").decode("ascii"))
        except ValueError:
            return "the time at which it was made cannot be read"
    return None


class LaneQueue(Queue):
    """The queue of a home as its workers see it: what is taken from it is a lane."""

    def __init__(self, home: str, redis: Redis) -> None:
        super().__init__(Keys(home).queue, connection=redis, serializer="json")
        self.home = home

    @classmethod
    def dequeue_any(cls, queues: Iterable[Queue], timeout: int | None, connection: Redis, *_: Any, **__: Any) -> Any:
        """The next lane's job with its queue; refuses and deletes what comes before it."""
        (queue,) = queues
        assert isinstance(queue, LaneQueue)
        while (entry := queue._pop(timeout)) is not None:
            reason = why_refused(connection, entry, queue.home)
            connection.delete(_key_of(entry))  # not RQ's own way, which trusts what a job says of itself
            if reason is None:
                return queue._job(entry), queue
            shown = entry[:80].decode("ascii", "backslashreplace")
            extra = {"action": "job_refused", "reason": reason, "job": shown}
            logger.error("refused job %s: %s", shown, reason, extra=extra)
            if reason.startswith(OTHER_VERSION) and not connection.llen(queue.key):
                time.sleep(ESTRANGED_SECONDS)  # the keeper lays another one there; a signal wakes us
        return None

    def _pop(self, timeout: int | None) -> bytes | None:
        # A plain pop, not RQ's list between: a lane that gets lost on the way is simply put up again by the keeper.
        while True:
            try:
                found = self.lpop([self.key], timeout, connection=self.connection)
            except ResponseError as error:
                if "WRONGTYPE" not in str(error):
                    raise
                logger.error("the queue was no list; it begins anew", extra={"action": "queue_foreign"})
                self.connection.delete(self.key)
            else:
                return None if found is None else bytes(found[1])

    def _job(self, entry: bytes) -> Job:
        return Job.create(
            LANE_FUNCTION,
            args=[LaneArguments(home=self.home).model_dump()],
            connection=self.connection,
            serializer="json",
            id=entry.decode("ascii"),
            origin=self.name,
            description="lane",
            timeout=-1,
            result_ttl=0,
        )


def _key_of(entry: bytes) -> bytes:
    return b"rq:job:" + entry


# -- the worker --------------------------------------------------------------------------------------------------------


class LaneWorker(Worker):
    """An RQ worker that runs lanes and nothing else.

    It takes no commands over pub/sub, cannot be suspended, and leaves RQ's registries, results and clean-up alone: each of
    them would let whoever reaches Redis act here, down to running a callback of their own, or keep a worker from working,
    or put the trace of an error into Redis. A first SIGTERM is passed on to the lane as its stop flag.
    """

    def __init__(self, home: str, redis: Redis) -> None:
        super().__init__(
            [LaneQueue(home, redis)],
            connection=redis,
            queue_class=LaneQueue,
            serializer="json",
            worker_ttl=WORKER_TTL,
        )

    @property
    def is_leaving(self) -> bool:
        """Whether it was asked to stop."""
        return self._shutdown_requested_date is not None

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Be a lane in a work-horse, and wait for its end."""
        execution = Execution(id=uuid.uuid4().hex, job_id=job.id, connection=self.connection, worker_name=self.name)
        self.executions[execution.id] = execution
        self.set_state(WorkerStatus.BUSY)
        self.fork_work_horse(job, queue)
        self.monitor_work_horse(job, queue, execution)
        self.set_state(WorkerStatus.IDLE)

    def perform_job(self, job: Job, queue: Queue, execution: Execution) -> bool:
        """In the work-horse: run the lane, and nothing before or after it."""
        try:
            run_lane(*job.args)
        except Exception:
            logger.exception("a lane ended by an error", extra={"action": "lane_failed"})
            return False
        return True

    def wait_for_horse(self) -> tuple[int | None, int | None, Any]:
        """Wait for the work-horse; one that did not end by itself is told of."""
        pid, status, usage = super().wait_for_horse()
        if status:
            code = os.waitstatus_to_exitcode(status)
            logger.error("the lane's process ended with %s", code, extra={"action": "lane_died", "code": code})
        return pid, status, usage

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        """Say that the worker is alive; a server that is away for a while must not end it beside its lane."""
        try:
            self.heartbeat(self.job_monitoring_interval + WORKER_TTL)
        except RedisError as error:
            logger.warning("heartbeat not kept: %s", error, extra={"action": "heartbeat_not_kept"})

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Say that it is alive, and to a server that has lost all its data who it is as well."""
        if not self.connection.hexists(self.key, WIRE_FIELD):
            self.connection.delete(self.key)
            self.register_birth()
            self.set_state(self._state)
        super().heartbeat(timeout, pipeline)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Ask the lane to finish what is in flight, then leave."""
        if self.horse_pid:
            with suppress(ProcessLookupError):
                os.kill(self.horse_pid, signal.SIGTERM)
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def set_shutdown_requested_date(self) -> None:
        """Note in Redis that it is leaving; without Redis it leaves in the same order."""
        with suppress(RedisError):
            super().set_shutdown_requested_date()  # type: ignore[no-untyped-call]

    def register_birth(self) -> None:
        """Let people see it; registers that are none, by somebody's hand, are no reason not to work."""
        with suppress(ResponseError):
            super().register_birth()  # type: ignore[no-untyped-call]
        with suppress(ResponseError):
            self.connection.hset(self.key, WIRE_FIELD, WIRE)

    def register_death(self) -> None:
        """Sign off, if there is anybody to sign off with."""
        with suppress(RedisError):
            super().register_death()  # type: ignore[no-untyped-call]

    def subscribe(self) -> None:
        """Listen to no commands."""

    def unsubscribe(self) -> None:
        """Nothing was subscribed to."""

    def check_for_suspension(self, burst: bool) -> None:
        """Never suspended: one key in Redis would keep every worker idle."""

    @property
    def should_run_maintenance_tasks(self) -> bool:
        """Never: RQ's clean-up runs callbacks that a job names."""
        return False


def work(address: str, home: str, lane: Callable[[LaneArguments], None], *, patient: bool = False) -> None:
    """Be a worker: take the spare lane of a home and run it, again and again, until told to stop.

    RQ's loop ends at whatever it did not expect, so it is begun anew as long as nobody has asked it to stop.

    Args:
        address: of Redis.
        home: that it works for.
        lane: what its lanes do.
        patient: wait for a Redis that does not answer at the start, as one does that a starter keeps up.

    Raises:
        EngineDown: Redis does not answer at the start, and is not waited for.
    """
    _ENTRANCE.lane = lane
    redis = connect(address)
    told = False
    while (reason := _why_silent(redis)) is not None:
        if not patient:
            raise errors.EngineDown(f"Redis does not answer: {reason}")
        if not told:
            logger.warning("waits for Redis: %s", reason, extra={"action": "redis_away"})
        told = True
        time.sleep(AGAIN_SECONDS)
    while not _worked(home, redis):
        logger.error("the worker's loop ended unasked; it begins anew", extra={"action": "worker_again"})
        time.sleep(AGAIN_SECONDS)


def _why_silent(redis: Redis) -> str | None:
    try:
        redis.ping()
    except RedisError as error:
        return str(error)
    return None


def _worked(home: str, redis: Redis) -> bool:
    """Whether a worker worked until it was asked to stop; False where RQ gave up."""
    try:
        worker = LaneWorker(home, redis)
        worker.work(logging_level="WARNING")
    except RedisError as error:
        logger.warning("Redis does not answer: %s", error, extra={"action": "redis_away"})
        return False
    finally:
        # Until the next one has its own handlers there is nothing to finish, so a signal ends the process.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if worker.horse_pid:
        worker.kill_horse(signal.SIGTERM)
        worker.wait_for_horse()
    return worker.is_leaving
