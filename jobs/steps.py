"""The stream of steps: what lanes are to do about batches, for only they have keys and render templates.

A step is taken by one lane, and is that lane's until its lease is gone. It stays on the stream until the keeper has
recorded what came of it, so that whatever dies, the keeper sees that a step is under way or that nobody has it. A lane looks
here once more before it does what must not be done twice.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

from pydantic import ValidationError
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ResponseError

from jobs.keys import GROUP, Keys
from jobs.limits import KeeperLimits
from jobs.messages import WIRE, Ask, Step

#: seconds that the calls of a batch lie beside its step
ASKS_SECONDS = 24 * 3600
#: steps that are looked at; a run has no more batches open than a few
MOST_STEPS = 10_000

logger = logging.getLogger(__name__)


class StepTray:
    """The keeper's side."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys

    def open(self) -> None:
        """Make the stream and its group where they are missing."""
        try:
            self._redis.xgroup_create(self._keys.steps, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def put(self, step: Step, asks: Sequence[Ask] | None) -> None:
        """Ask the lanes for a step; with the batch's calls where it needs them."""
        pipe = self._redis.pipeline(transaction=True)
        if asks is not None:
            packed = zlib.compress(json.dumps([ask.model_dump_json() for ask in asks]).encode(), 1)
            pipe.set(self._keys.batch(step.batch), packed, ex=ASKS_SECONDS)
        pipe.xadd(self._keys.steps, {"step": step.model_dump_json()})
        pipe.execute()

    def done(self, entry: str, batch: int | None = None) -> None:
        """A step is recorded, or cannot be: take it and its calls away."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.xack(self._keys.steps, GROUP, entry)
        pipe.xdel(self._keys.steps, entry)
        if batch is not None:
            pipe.delete(self._keys.batch(batch))
        pipe.execute()

    def holds(self, entry: str) -> bool:
        """Whether a step is still wanted: one whose lane was given up is another lane's by now."""
        return bool(self._redis.xrange(self._keys.steps, min=entry, max=entry, count=1))

    def under_way(self) -> set[int]:
        """The batches that a lane has a step of, or will take one, or has reported one; what a dead lane had is taken away.

        What is to be deleted at a provider is none of these: the batch is over, or is another by now.
        """
        orphans = self._orphans()
        found: set[int] = set()
        strange: list[str] = []
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self._redis.xrange(self._keys.steps, count=MOST_STEPS))
        for entry, fields in entries:
            step = _step(fields)
            if step is None or entry.decode() in orphans:
                strange.append(entry.decode())
            elif step.kind != "clear":
                found.add(step.batch)
        if strange:
            self._redis.xack(self._keys.steps, GROUP, *strange)
            self._redis.xdel(self._keys.steps, *strange)
            logger.warning("%s steps of dead lanes reclaimed", len(strange), extra={"action": "steps_reclaimed"})
        return found

    def _orphans(self) -> set[str]:
        alive = KeeperLimits(self._redis, self._keys).live_lanes()
        found: set[str] = set()
        for consumer in self._redis.xinfo_consumers(self._keys.steps, GROUP):
            name = consumer["name"].decode()
            if name in alive:
                continue
            if consumer["pending"] == 0:
                self._redis.xgroup_delconsumer(self._keys.steps, GROUP, name)
                continue
            pending = cast(
                "list[dict[str, Any]]",
                self._redis.xpending_range(
                    self._keys.steps, GROUP, min="-", max="+", count=MOST_STEPS, consumername=name
                ),
            )
            found |= {one["message_id"].decode() for one in pending}
        return found


def _step(fields: dict[bytes, bytes]) -> Step | None:
    """The step, if it is one of this version."""
    with suppress(ValidationError):
        step = Step.model_validate_json(fields.get(b"step", b""))
        return step if step.wire == WIRE else None
    return None


# -- the lane's side ---------------------------------------------------------------------------------------------------


async def take(redis: AsyncRedis, keys: Keys, lane: str, *, wait_ms: int) -> tuple[str, Step] | None:
    """The next step for a lane, with its place; what is none of this version is left to nobody, and the keeper asks again."""
    found: Any = await redis.xreadgroup(GROUP, lane, {keys.steps: ">"}, count=1, block=wait_ms)
    if not found:
        return None
    for _, entries in found.items() if isinstance(found, dict) else found:
        rows = entries[0] if entries and isinstance(entries[0], list) else entries
        for entry, fields in rows:
            step = _step(fields)
            if step is not None:
                return entry.decode(), step
            await redis.xack(keys.steps, GROUP, entry)
            await redis.xdel(keys.steps, entry)
    return None


async def has(redis: AsyncRedis, keys: Keys, lane: str, entry: str) -> bool:
    """Whether a step is still this lane's: Redis may have lost it, and the keeper asked another lane."""
    pending = await redis.xpending_range(keys.steps, GROUP, min=entry, max=entry, count=1, consumername=lane)
    return bool(pending)


async def asks(redis: AsyncRedis, keys: Keys, batch: int) -> list[Ask] | None:
    """The calls of a batch; None where they are not there."""
    packed = cast("bytes | None", await redis.get(keys.batch(batch)))
    if packed is None:
        return None
    return [Ask.model_validate_json(text) for text in json.loads(zlib.decompress(packed))]
