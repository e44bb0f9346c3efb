"""Stop 7: the stream back. A lane hands back in groups and atomically; the keeper reads, commits, and only then deletes.

Whatever dies in between, an outcome is on exactly one side: still pending as a call, or on the outcomes stream. A hand-back
that is repeated because its answer was lost makes a duplicate, which the ledger's (try id, row) settles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import ValidationError
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from jobs import errors, streams
from jobs.keys import GROUP, Keys
from jobs.messages import WIRE, Outcome, StepReport, read_loosely, wire_of

#: seconds that the live text of a try is kept
LIVE_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Handed:
    """An outcome with the bytes that travel beside it."""

    #: the entry of the calls stream that it answers; None for a line of a batch, which had none
    entry: str | None
    outcome: Outcome
    #: the reply byte for byte; None where nothing came
    raw: bytes | None = None
    #: zlib of the exact JSON that was sent; None where nothing was
    request: bytes | None = None

    @property
    def size(self) -> int:
        """The bytes that travel beside it."""
        return len(self.raw or b"") + len(self.request or b"")


@dataclass(frozen=True, kw_only=True)
class Received:
    """An outcome as the keeper finds it, with its place on the stream."""

    place: str
    outcome: Outcome
    raw: bytes | None
    request: bytes | None


@dataclass(frozen=True, kw_only=True)
class Reported:
    """What a lane says of a batch, with its place on the stream: behind all outcomes that it is about."""

    place: str
    report: StepReport


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """An entry among the outcomes that cannot be read as one: another version's, or nobody's."""

    place: str
    #: the try that it names, if it does
    try_id: str | None
    #: the version of messages that it names, if it does
    wire: int | None
    #: the step that it is about, if it is about one
    step: str | None = None


async def hand_back(redis: AsyncRedis, keys: Keys, group: Sequence[Handed]) -> None:
    """Put outcomes on the stream and take their calls off the other, all or none."""
    if not group:
        return
    async with redis.pipeline(transaction=True) as pipe:
        entries = [handed.entry for handed in group if handed.entry is not None]
        if entries:
            pipe.xack(keys.calls, GROUP, *entries)
            pipe.xdel(keys.calls, *entries)
        for handed in group:
            fields: dict[Any, Any] = {"outcome": handed.outcome.model_dump_json()}
            if handed.raw is not None:
                fields["raw"] = handed.raw
            if handed.request is not None:
                fields["request"] = handed.request
            pipe.xadd(keys.outcomes, fields)
        await pipe.execute()


async def report(redis: AsyncRedis, keys: Keys, told: StepReport) -> None:
    """Put what came of a step on the stream, and take the step from this lane; the keeper takes it off its own stream."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.xack(keys.steps, GROUP, told.entry)
        pipe.xadd(keys.outcomes, {"report": told.model_dump_json()})
        await pipe.execute()


async def show_live(redis: AsyncRedis, keys: Keys, *, run: int, ordinal: int, text: str, done: bool) -> None:
    """Let screens see a reply of a try while it streams in."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.hset(keys.live(run), str(ordinal), ("1" if done else "0").encode() + text.encode("utf-8", "surrogatepass"))
        pipe.expire(keys.live(run), LIVE_SECONDS)
        await pipe.execute()


def live(redis: Redis, home: str, run: int) -> list[tuple[int, str, bool]]:
    """(ordinal, text so far, done) of each reply of a try that is streaming or has.

    Raises:
        EngineDown: Redis does not answer.
    """
    try:
        found = cast("dict[bytes, bytes]", redis.hgetall(Keys(home).live(run)))
    except RedisError as error:
        raise errors.EngineDown(f"Redis does not answer: {error}") from error
    shown = [
        (int(ordinal), blob[1:].decode("utf-8", "surrogatepass"), blob[:1] == b"1") for ordinal, blob in found.items()
    ]
    return sorted(shown)


class Inbox:
    """The keeper's side: it alone reads outcomes."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys

    def receive(self, most: int) -> tuple[list[Received], list[Reported], list[Foreign]]:
        """About so many of the oldest outcomes that are not deleted yet, fewer where they are large, and what is none of ours."""
        received: list[Received] = []
        reported: list[Reported] = []
        foreign: list[Foreign] = []
        held = 0
        for page in streams.pages(self._redis, self._keys.outcomes):
            for entry in page:
                held += streams.size(entry)
                found = _read(entry)
                if isinstance(found, Received):
                    received.append(found)
                elif isinstance(found, Reported):
                    reported.append(found)
                else:
                    foreign.append(found)
            if len(received) + len(reported) + len(foreign) >= most or held >= streams.PAGE_BYTES:
                break
        return received, reported, foreign

    def delete(self, places: Sequence[str]) -> None:
        """Forget outcomes that are committed."""
        if places:
            self._redis.xdel(self._keys.outcomes, *places)

    def try_ids(self) -> set[str]:
        """The tries whose outcome is on the stream."""
        found = (_read(entry) for page in streams.pages(self._redis, self._keys.outcomes) for entry in page)
        return {one.outcome.try_id for one in found if isinstance(one, Received)}

    def waiting(self) -> int:
        """How many outcomes are on the stream."""
        return int(self._redis.xlen(self._keys.outcomes))


def _read(entry: streams.Entry) -> Received | Reported | Foreign:
    place, fields = entry[0].decode(), entry[1]
    if b"report" in fields:
        return _read_report(place, fields[b"report"])
    text = fields.get(b"outcome", b"")
    try:
        outcome = Outcome.model_validate_json(text)
    except ValidationError:
        outcome = None
    if outcome is not None and outcome.wire == WIRE:
        return Received(place=place, outcome=outcome, raw=fields.get(b"raw"), request=fields.get(b"request"))
    try_id = read_loosely(text).get("try_id")
    return Foreign(place=place, try_id=try_id if isinstance(try_id, str) else None, wire=wire_of(text))


def _read_report(place: str, text: bytes) -> Reported | Foreign:
    try:
        told = StepReport.model_validate_json(text)
    except ValidationError:
        told = None
    if told is not None and told.wire == WIRE:
        return Reported(place=place, report=told)
    step = read_loosely(text).get("entry")
    return Foreign(place=place, try_id=None, wire=wire_of(text), step=step if isinstance(step, str) else None)
