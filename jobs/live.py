"""A reply that streams in, shown to screens while it comes; no oftener than Redis can take it in."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from redis.asyncio import Redis
from redis.exceptions import RedisError

from jobs import llm, outcomes
from jobs.keys import Keys

#: characters between two looks that screens get at it
STEP = 16


async def shown(
    redis: Redis, keys: Keys, endpoint: llm.Endpoint, body: dict[str, object], run: int, ordinal: int
) -> llm.Answer:
    """Ask with a stream, and let screens see the text as it comes."""
    live = _Live(redis, keys, run, ordinal)
    viewer = asyncio.create_task(live.follow())
    try:
        return await endpoint.stream(body, on_delta=live.add)
    finally:
        live.end()
        await viewer


class _Live:
    def __init__(self, redis: Redis, keys: Keys, run: int, ordinal: int) -> None:
        self._redis, self._keys, self._run, self._ordinal = redis, keys, run, ordinal
        self._text, self._ended = "", asyncio.Event()

    def add(self, delta: str) -> None:
        self._text += delta

    def end(self) -> None:
        self._ended.set()

    async def follow(self) -> None:
        seen = -1
        with suppress(RedisError):
            while not self._ended.is_set():
                if len(self._text) - seen >= STEP or seen < 0:
                    seen = len(self._text)
                    await self._show(done=False)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ended.wait(), 0.1)
            await self._show(done=True)

    async def _show(self, *, done: bool) -> None:
        await outcomes.show_live(
            self._redis, self._keys, run=self._run, ordinal=self._ordinal, text=self._text, done=done
        )
