"""The limits that all lanes share: leases, places in flight, requests and tokens a minute. Each is one script on the server's clock.

A lane that stops renewing its lease loses its places with it. Buckets are one second deep, so that a limit of 600 a minute is
10 a second and never 600 at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, cast

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from jobs.keys import Keys
from jobs.messages import Control

#: seconds that a lease lasts, and between renewals
LEASE_SECONDS, BEAT_SECONDS = 6.0, 0.5

_NOW = "local t = redis.call('TIME'); local now = t[1] + t[2] / 1000000; "

_BEAT = (
    _NOW
    + """
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 86400)
return {redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf'), redis.call('HGETALL', KEYS[2])}
"""
)

_PLACES = (
    _NOW
    + """
local lane, limit, wanted, running = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local others = 0
local held = redis.call('HGETALL', KEYS[1])
for i = 1, #held, 2 do
  if held[i] ~= lane then
    local lease = redis.call('ZSCORE', KEYS[2], held[i])
    if lease and tonumber(lease) >= now then others = others + tonumber(held[i + 1])
    else redis.call('HDEL', KEYS[1], held[i]) end
  end
end
local grant = math.max(running, math.min(wanted, limit - others))
if grant > 0 then redis.call('HSET', KEYS[1], lane, grant) else redis.call('HDEL', KEYS[1], lane) end
redis.call('EXPIRE', KEYS[1], 3600)
return grant
"""
)

_RESERVE = (
    _NOW
    + """
local wanted, tokens = tonumber(ARGV[1]), tonumber(ARGV[2])
local rates = {tonumber(ARGV[3]) / 60, tonumber(ARGV[4]) / 60}
local costs, names = {1, tokens}, {'requests', 'tokens'}
local state = redis.call('HMGET', KEYS[1], 'requests', 'tokens', 'at', 'cool')
local passed = math.max(0, now - tonumber(state[3] or now))
local cool = tonumber(state[4] or 0)
if cool > now then return {0, math.ceil((cool - now) * 1000)} end
local granted, wait = wanted, 0
local left = {}
for i = 1, 2 do
  if rates[i] > 0 then
    local depth = math.max(rates[i], costs[i])
    left[i] = math.min(depth, tonumber(state[i] or depth) + passed * rates[i])
    granted = math.min(granted, math.floor(left[i] / costs[i] + 0.000001))
  end
end
for i = 1, 2 do
  if rates[i] > 0 then
    left[i] = left[i] - granted * costs[i]
    if granted < wanted then wait = math.max(wait, (costs[i] - left[i]) / rates[i]) end
    redis.call('HSET', KEYS[1], names[i], tostring(left[i]))
  end
end
redis.call('HSET', KEYS[1], 'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], 3600)
return {granted, math.ceil(wait * 1000)}
"""
)

_SETTLE = """
local left = redis.call('HGET', KEYS[1], 'tokens')
if left then redis.call('HSET', KEYS[1], 'tokens', tostring(tonumber(left) + tonumber(ARGV[1]))) end
return 1
"""

_COOL = (
    _NOW
    + """
local till = now + tonumber(ARGV[1])
if till > tonumber(redis.call('HGET', KEYS[1], 'cool') or 0) then
  redis.call('HSET', KEYS[1], 'cool', string.format('%.6f', till))
end
redis.call('EXPIRE', KEYS[1], 3600)
return 1
"""
)


class LaneLimits:
    """A lane's side of the shared limits."""

    def __init__(self, redis: AsyncRedis, keys: Keys, lane: str) -> None:
        self._keys, self._lane, self._redis = keys, lane, redis
        self._beat = redis.register_script(_BEAT)
        self._places = redis.register_script(_PLACES)
        self._reserve = redis.register_script(_RESERVE)
        self._settle = redis.register_script(_SETTLE)
        self._cool = redis.register_script(_COOL)

    async def beat(self) -> tuple[list[str], dict[int, Control]]:
        """Renew the lease; the lanes that live, and what each run's lanes may do."""
        lanes, flat = cast(
            "tuple[list[bytes], Any]",
            await self._beat(keys=[self._keys.leases, self._keys.control], args=[self._lane, LEASE_SECONDS]),
        )
        pairs = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
        return [lane.decode() for lane in lanes], _readable(pairs)

    async def leave(self) -> None:
        """Give the lease back at once."""
        await self._redis.zrem(self._keys.leases, self._lane)

    async def places(self, run: int, *, limit: int, wanted: int, running: int) -> int:
        """Hold so many places of a run as are wanted and free, and never fewer than are running."""
        args: list[str | int] = [self._lane, limit, wanted, running]
        return int(await self._places(keys=[self._keys.places(run), self._keys.leases], args=args))

    async def reserve(
        self, connection: str, model: str, *, wanted: int, tokens: int, rpm: int | None, tpm: int | None
    ) -> tuple[int, float]:
        """Take so many requests, of so many tokens each, from the bucket; how many were granted, and seconds to wait for more."""
        granted, wait = await self._reserve(
            keys=[self._keys.bucket(connection, model)], args=[wanted, max(1, tokens), rpm or 0, tpm or 0]
        )
        return int(granted), int(wait) / 1000

    async def settle(self, connection: str, model: str, *, reserved: int, used: int) -> None:
        """Put back what was reserved beyond what was used, or take what was used beyond it."""
        await self._settle(keys=[self._keys.bucket(connection, model)], args=[reserved - used])

    async def cool_down(self, connection: str, model: str, seconds: float) -> None:
        """Nobody asks this model for so many seconds: the provider has said that nothing remains."""
        await self._cool(keys=[self._keys.bucket(connection, model)], args=[seconds])


class KeeperLimits:
    """The keeper's side: what lanes may do, and which of them live."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys

    def allow(self, run: int, control: Control) -> None:
        """Tell the lanes what they may do with a run."""
        self._redis.hset(self._keys.control, str(run), control.model_dump_json())

    def forget(self, run: int) -> None:
        """Take an ended run off the lanes' list."""
        self._redis.hdel(self._keys.control, str(run))
        self._redis.delete(self._keys.places(run), self._keys.brief(run))

    def allowed(self) -> dict[int, Control]:
        """What the lanes have been told."""
        flat = cast("dict[bytes, bytes]", self._redis.hgetall(self._keys.control))
        return _readable(flat.items())

    def live_lanes(self) -> dict[str, float]:
        """Lanes whose lease has not run out, with the seconds that are left of it."""
        seconds, micros = self._redis.time()
        now = seconds + micros / 1_000_000
        pairs = cast(
            "list[tuple[bytes, float]]", self._redis.zrangebyscore(self._keys.leases, now, "+inf", withscores=True)
        )
        return {lane.decode(): until - now for lane, until in pairs}


def _readable(pairs: Iterable[tuple[bytes, bytes]]) -> dict[int, Control]:
    """The entries that are ours; whatever else stands in the hash stops nobody."""
    found: dict[int, Control] = {}
    for run, text in pairs:
        with suppress(ValueError):
            found[int(run)] = Control.model_validate_json(text)
    return found
