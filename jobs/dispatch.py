"""Stop 3: calls onto the stream, lanes onto RQ. Only this file and ``worker`` know rq.

All runs of a home share one stream of calls, which is a short window and never the table. RQ starts lanes and nothing else:
one spare lane job always waits on the queue, so that a worker that appears takes it up at once. Whoever reaches Redis must not
be able to run code: jobs are JSON, and a worker runs only the lane.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, cast

from pydantic import ValidationError
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError, ResponseError
from rq import Queue

from jobs import errors, streams
from jobs.keys import GROUP, Keys
from jobs.limits import KeeperLimits
from jobs.messages import WIRE, Ask, Brief, LaneArguments, wire_of

#: the one function that a worker runs
LANE_FUNCTION = "jobs.worker.run_lane"
#: what RQ's entry about a worker holds beside RQ's own: the version of its messages
WIRE_FIELD = "redrive_wire"
#: seconds that a brief outlives its last use
BRIEF_SECONDS = 7 * 24 * 3600
#: workers that are looked at
MOST_WORKERS = 1000

logger = logging.getLogger(__name__)


def connect(address: str, *, timeout: float | None = None) -> Redis:
    """A client of the server at a ``redis://``, ``rediss://`` or ``unix://`` address."""
    return Redis.from_url(address, socket_timeout=timeout, socket_connect_timeout=5, health_check_interval=15)


def connect_async(address: str) -> AsyncRedis:
    """The same for a lane's event loop."""
    return AsyncRedis.from_url(address, socket_timeout=30, socket_connect_timeout=5)


class Tray:
    """The keeper's side of the calls stream."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys

    def open(self) -> None:
        """Make the stream and its group where they are missing."""
        try:
            self._redis.xgroup_create(self._keys.calls, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def brief(self, brief: Brief) -> None:
        """Say what lanes must know of a run; before its first call."""
        self._redis.set(self._keys.brief(brief.run), brief.model_dump_json(), ex=BRIEF_SECONDS)

    def put(self, asks: Iterable[Ask]) -> None:
        """Put calls on the stream."""
        pipe = self._redis.pipeline(transaction=False)
        for ask in asks:
            pipe.xadd(self._keys.calls, {"ask": ask.model_dump_json()})
        pipe.execute()

    def try_ids(self) -> set[str]:
        """The tries whose call is on the stream, taken or not.

        What is no call of this version is taken off: nobody else puts calls there, so a keeper of another version did, or
        somebody with no business here, and lanes would hand it round for ever.
        """
        found: set[str] = set()
        foreign: list[str] = []
        for page in streams.pages(self._redis, self._keys.calls):
            for entry, fields in page:
                try_id = _try_id(fields)
                if try_id is None:
                    foreign.append(entry.decode())
                else:
                    found.add(try_id)
        if foreign:
            self.drop(foreign)
            logger.error("%s calls of another version dropped", len(foreign), extra={"action": "calls_foreign"})
        return found

    def orphans(self) -> dict[str, str]:
        """Calls taken by lanes whose lease has run out: stream entry -> try id."""
        alive = KeeperLimits(self._redis, self._keys).live_lanes()
        found: dict[str, str] = {}
        for consumer in self._redis.xinfo_consumers(self._keys.calls, GROUP):
            name = consumer["name"].decode()
            if name in alive:
                continue
            if consumer["pending"] == 0:
                self._redis.xgroup_delconsumer(self._keys.calls, GROUP, name)
                continue
            found |= self._pending(name)
        return found

    def _pending(self, consumer: str) -> dict[str, str]:
        found: dict[str, str] = {}
        pending = cast(
            "list[dict[str, Any]]",
            self._redis.xpending_range(self._keys.calls, GROUP, min="-", max="+", count=10_000, consumername=consumer),
        )
        for one in pending:
            entry = one["message_id"].decode()
            entries = cast(
                "list[tuple[bytes, dict[bytes, bytes]]]", self._redis.xrange(self._keys.calls, min=entry, max=entry)
            )
            found[entry] = (_try_id(entries[0][1]) or "") if entries else ""
        return found

    def drop(self, entries: Iterable[str]) -> None:
        """Take calls off the stream, whoever had them."""
        ids = list(entries)
        if ids:
            pipe = self._redis.pipeline(transaction=True)
            pipe.xack(self._keys.calls, GROUP, *ids)
            pipe.xdel(self._keys.calls, *ids)
            pipe.execute()

    def waiting(self) -> int:
        """Calls on the stream, taken or not."""
        return int(self._redis.xlen(self._keys.calls))

    def ensure_spare_lane(self) -> bool:
        """See to it that a lane job waits for whichever worker comes next; whether one was added."""
        queue = Queue(self._keys.queue, connection=self._redis, serializer="json")
        if queue.count:
            return False
        queue.enqueue(
            LANE_FUNCTION,
            LaneArguments(home=self._keys.home).model_dump(),
            job_timeout=-1,
            result_ttl=0,
            failure_ttl=3600,
            description="lane",
        )
        return True


def _try_id(fields: dict[bytes, bytes]) -> str | None:
    ask = _ask(fields)
    return None if ask is None else ask.try_id


def _ask(fields: dict[bytes, bytes]) -> Ask | None:
    """The call, if it is one of this version."""
    try:
        ask = Ask.model_validate_json(fields.get(b"ask", b""))
    except ValidationError:
        return None
    return ask if ask.wire == WIRE else None


# -- the lane's side ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A call that this worker cannot read."""

    #: the version of messages that it names; None where it names none
    wire: int | None
    fields: dict[bytes, bytes]


async def take(
    redis: AsyncRedis, keys: Keys, lane: str, *, most: int, wait_ms: int
) -> list[tuple[str, Ask | Unreadable]]:
    """New calls for a lane, with their stream entries."""
    found: Any = await redis.xreadgroup(GROUP, lane, {keys.calls: ">"}, count=most, block=wait_ms)
    if not found:
        return []
    taken: list[tuple[str, Ask | Unreadable]] = []
    for _, entries in found.items() if isinstance(found, dict) else found:
        rows = entries[0] if entries and isinstance(entries[0], list) else entries
        for entry, fields in rows:
            ask = _ask(fields)
            taken.append((entry.decode(), ask or Unreadable(wire=wire_of(fields.get(b"ask", b"")), fields=fields)))
    return taken


async def leave(redis: AsyncRedis, keys: Keys, entry: str) -> None:
    """Take a call off the stream without an answer; the keeper will miss it and put it up again."""
    await _off(redis, keys, entry, None)


async def pass_on(redis: AsyncRedis, keys: Keys, entry: str, fields: dict[bytes, bytes]) -> None:
    """Leave a call as it is to whichever lane reads it next."""
    await _off(redis, keys, entry, fields)


async def _off(redis: AsyncRedis, keys: Keys, entry: str, again: dict[bytes, bytes] | None) -> None:
    async with redis.pipeline(transaction=True) as pipe:
        pipe.xack(keys.calls, GROUP, entry)
        pipe.xdel(keys.calls, entry)
        if again:
            pipe.xadd(keys.calls, cast("dict[Any, Any]", again))
        await pipe.execute()


async def briefing(redis: AsyncRedis, keys: Keys, run: int) -> Brief | None:
    """What to know of a run; None where it is gone or from another version of Redrive."""
    text = await redis.get(keys.brief(run))
    try:
        return Brief.model_validate_json(text) if text else None
    except ValidationError:
        return None


# -- a look for people -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Look:
    """How the queue side is."""

    redis_version: str | None
    calls_waiting: int
    outcomes_waiting: int
    #: each {"name", "seconds_left", "running"}
    lanes: tuple[dict[str, Any], ...] = field(default=())
    #: each {"name", "state", "pid", "fits"}: whether it is of the version that looks
    workers: tuple[dict[str, Any], ...] = field(default=())


def look(redis: Redis, home: str) -> Look:
    """What an operator wants to know of Redis, the lanes and the workers of a home.

    Raises:
        EngineDown: Redis does not answer.
    """
    keys = Keys(home)
    try:
        info = redis.info("server")
        pending: dict[str, int] = {}
        with suppress(ResponseError):
            for consumer in redis.xinfo_consumers(keys.calls, GROUP):
                pending[consumer["name"].decode()] = consumer["pending"]
        leases = KeeperLimits(redis, keys).live_lanes()
        return Look(
            redis_version=info.get("valkey_version") or info.get("redis_version"),
            calls_waiting=int(redis.xlen(keys.calls)),
            outcomes_waiting=int(redis.xlen(keys.outcomes)),
            lanes=tuple(
                {"name": lane, "seconds_left": round(left, 1), "running": pending.get(lane, 0)}
                for lane, left in sorted(leases.items())
            ),
            workers=tuple(_registered(redis, keys)),
        )
    except RedisError as error:
        raise errors.EngineDown(f"Redis does not answer: {error}") from error


def _registered(redis: Redis, keys: Keys) -> list[dict[str, Any]]:
    """The workers that RQ's register holds and that say something; what else lies in it is passed over."""
    found = []
    with suppress(ResponseError):
        for key in sorted(islice(redis.sscan_iter(f"rq:workers:{keys.queue}"), MOST_WORKERS)):
            name = key.removeprefix(b"rq:worker:")
            with suppress(ResponseError, ValueError):
                state, pid, wire = cast("list[bytes | None]", redis.hmget(key, ["state", "pid", WIRE_FIELD]))
                if state is not None and name != key:
                    about = {"name": name.decode("ascii"), "state": state[:20].decode("ascii"), "pid": int(pid or 0)}
                    found.append({**about, "fits": wire == str(WIRE).encode()})
    return found
