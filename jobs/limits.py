"""The limits that all lanes share: leases, places in flight, and what a provider allows. Each is one script on the server's clock.

A lane that stops renewing its lease loses its places with it. What a provider allows is counted for a *pool*, one model at one
connection, over all runs and lanes: requests, tokens, input and output, from a person's settings, from the provider's
headers, or found by evidence. Buckets are one second deep, so that a limit of 600 a minute is 10 a second and never 600 at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from jobs import errors, scripts
from jobs.keys import Keys
from jobs.messages import Control

#: seconds that a lease lasts, and between renewals
LEASE_SECONDS, BEAT_SECONDS = 5.0, 0.4
#: what providers limit, in the order of every list of four here
DIMENSIONS = ("requests", "tokens", "input", "output")
NONE = (0.0, 0.0, 0.0, 0.0)
#: no provider is believed to want everybody quiet for longer, seconds
LONGEST_COOL = 60.0


@dataclass(frozen=True, kw_only=True)
class Told:
    """A limit a minute that a provider tells: its place in ``DIMENSIONS``, what is left of it and seconds until all of it is back."""

    dimension: int
    limit: float
    remaining: float
    reset: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a lane tells a pool: what it wants, and what came of what it had."""

    wanted: int
    #: of one call: requests (always 1), tokens, input, output
    cost: Sequence[float] = (1.0, 0.0, 0.0, 0.0)
    #: reserved and not used; negative where more was used
    back: Sequence[float] = NONE
    #: the window that the next two are about: evidence is weighed a window at a time
    window: int = 1
    #: calls begun in it without asking, since the last report
    sent: int = 0
    #: calls begun in it that were throttled since then
    refused: int = 0
    #: seconds in which nobody should ask, since the provider says that nothing remains
    cool: float = 0.0
    #: a person's limits a minute; 0 for none
    limits: Sequence[float] = NONE
    told: Sequence[Told] = ()

    def words(self) -> str:
        """The same as the script takes it."""
        told = [[one.dimension + 1, one.limit, one.remaining, one.reset] for one in self.told]
        return json.dumps(
            {
                "wanted": self.wanted,
                "cost": list(self.cost),
                "back": list(self.back),
                "window": self.window,
                "sent": self.sent,
                "refused": self.refused,
                "cool": self.cool,
                "set": list(self.limits),
                "told": told,
            }
        )


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a pool answers."""

    calls: int
    #: seconds until there may be more
    wait: float = 0.0
    #: nothing limits the pool now
    free: bool = False
    #: what was short: one of ``DIMENSIONS``, ``cool``, or nothing
    short: str = ""
    #: of the calls that are begun with it
    window: int = 1

    @classmethod
    def of(cls, granted: int, wait: int, free: int, short: bytes, window: int) -> Grant:
        """From what the script gives."""
        return cls(calls=int(granted), wait=int(wait) / 1000, free=bool(free), short=short.decode(), window=int(window))


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a pool is, for a person who asks why something waits."""

    connection: str
    model: str
    #: calls or tokens a second by dimension; only what is limited
    rates: dict[str, float]
    #: calls a second that were found out, None where nothing had to be
    found: float | None
    #: seconds that the cool-down still lasts
    cool: float
    #: what was short last, and seconds since
    short: str
    short_ago: float | None


class Beat(NamedTuple):
    """What a lane hears when it renews its lease."""

    lanes: list[str]
    control: dict[int, Control]
    #: the lease was still there; where it was not, others may have what the lane held
    kept: bool


class Places(NamedTuple):
    """Places that a lane holds of a run, and how often they have changed hands among its lanes."""

    held: int
    moves: int


class LaneLimits:
    """A lane's side of the shared limits."""

    def __init__(self, redis: AsyncRedis, keys: Keys, lane: str) -> None:
        self._keys, self._lane, self._redis = keys, lane, redis
        self._beat = redis.register_script(scripts.BEAT)
        self._places = redis.register_script(scripts.PLACES)
        self._exchange = redis.register_script(scripts.EXCHANGE)

    async def beat(self) -> Beat:
        """Renew the lease; the lanes that live, and what each run's lanes may do."""
        lanes, flat, kept = cast(
            "tuple[list[bytes], Any, int]",
            await self._beat(keys=[self._keys.leases, self._keys.control], args=[self._lane, LEASE_SECONDS]),
        )
        pairs = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
        return Beat([lane.decode() for lane in lanes], _readable(pairs), bool(kept))

    async def leave(self) -> None:
        """Give the lease back at once."""
        await self._redis.zrem(self._keys.leases, self._lane)

    async def places(self, run: int, *, rung: int = 0, limit: int, share: int, wanted: int, running: int) -> Places:
        """Hold so many places of a run, or of an upper rung of it, as are wanted and free, and never fewer than are running.

        More than the lane's share only as long as no other lane wants it.
        """
        args: list[str | int] = [self._lane, limit, wanted, running, share, _stand(run, rung)]
        keys = [self._keys.places(run, rung), self._keys.leases, self._keys.moves]
        held, moves = await self._places(keys=keys, args=args)
        return Places(int(held), int(moves))

    async def moves(self, stands: Sequence[tuple[int, int]]) -> list[int]:
        """How often the places of each of these, a run and its rung, have changed hands, or the wish for them."""
        names = [_stand(run, rung) for run, rung in stands]
        return [int(count or 0) for count in await self._redis.hmget(self._keys.moves, names)]

    async def ask_pool(self, connection: str, model: str, report: Report) -> Grant:
        """Tell a pool what came of what was sent, and take what it grants."""
        return await self._ask(self._keys.pool(connection, model), report)

    async def ask_run(self, run: int, report: Report) -> Grant:
        """The same of a run's own limits, over all lanes."""
        return await self._ask(self._keys.run_bucket(run), report)

    async def _ask(self, key: str, report: Report) -> Grant:
        granted, wait, free, short, window = await self._exchange(keys=[key], args=[report.words()])
        return Grant.of(granted, wait, free, short, window)


class KeeperLimits:
    """The keeper's side: what lanes may do, and which of them live."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys

    def allow(self, run: int, control: Control) -> None:
        """Tell the lanes what they may do with a run."""
        self._redis.hset(self._keys.control, str(run), control.model_dump_json())

    def forget(self, run: int, *, upper: int = 0) -> None:
        """Take an ended run, with so many rungs above its lowest, off the lanes' list."""
        rungs = range(upper + 1)
        self._redis.hdel(self._keys.control, str(run))
        self._redis.hdel(self._keys.moves, *(_stand(run, rung) for rung in rungs))
        places = [self._keys.places(run, rung) for rung in rungs]
        self._redis.delete(*places, self._keys.brief(run), self._keys.run_bucket(run))

    def allowed(self) -> dict[int, Control]:
        """What the lanes have been told."""
        flat = cast("dict[bytes, bytes]", self._redis.hgetall(self._keys.control))
        return _readable(flat.items())

    def held(self, stands: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
        """Places that lanes which live hold of each of these, a run and its rung; rung 0 is the whole run."""
        lanes = self.live_lanes()
        pipe = self._redis.pipeline(transaction=False)
        for run, rung in stands:
            pipe.hgetall(self._keys.places(run, rung))
        return {
            stand: sum(_places(told) for lane, told in places.items() if lane.decode("utf-8", "replace") in lanes)
            for stand, places in zip(stands, cast("list[dict[bytes, bytes]]", pipe.execute()), strict=True)
        }

    def live_lanes(self) -> dict[str, float]:
        """Lanes whose lease has not run out, with the seconds that are left of it."""
        now = self._now()
        pairs = cast(
            "list[tuple[bytes, float]]", self._redis.zrangebyscore(self._keys.leases, now, "+inf", withscores=True)
        )
        return {lane.decode(): until - now for lane, until in pairs}

    def standing(self, connection: str, model: str) -> Standing | None:
        """How a pool is; None where nobody has used it within the hour.

        Raises:
            EngineDown: Redis does not answer.
        """
        try:
            raw = cast("dict[bytes, bytes]", self._redis.hgetall(self._keys.pool(connection, model)))
            now = self._now()
        except RedisError as error:
            raise errors.EngineDown(f"Redis does not answer: {error}") from error
        if not raw:
            return None
        told = {name.decode(): text.decode() for name, text in raw.items()}
        at = _number(told, "why_at")
        return Standing(
            connection=connection,
            model=model,
            rates={name: rate for name in DIMENSIONS if (rate := _number(told, f"{name}_rate")) is not None},
            found=_number(told, "found"),
            cool=max(0.0, (_number(told, "cool") or 0.0) - now),
            short=told.get("why", ""),
            short_ago=None if at is None else max(0.0, now - at),
        )

    def _now(self) -> float:
        seconds, micros = self._redis.time()
        return seconds + micros / 1_000_000


def _stand(run: int, rung: int) -> str:
    return f"{run}:{rung}" if rung else str(run)


def _number(told: dict[str, str], name: str) -> float | None:
    try:
        return float(told[name])
    except (KeyError, ValueError):
        return None


def _places(told: bytes) -> int:
    """The places that a lane has noted; none where something else stands there."""
    held, _, wanted = told.partition(b" ")
    return int(held) if held.isdigit() and wanted.isdigit() else 0


def _readable(pairs: Iterable[tuple[bytes, bytes]]) -> dict[int, Control]:
    """The entries that are ours; whatever else stands in the hash stops nobody."""
    found: dict[int, Control] = {}
    for run, text in pairs:
        with suppress(ValueError):
            found[int(run)] = Control.model_validate_json(text)
    return found
