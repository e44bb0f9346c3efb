"""What a lane has to hand back: kept until Redis has it, in groups, whatever happens to the connection.

A group that cannot be handed over stays, and is handed over again; a repeat is settled by the ledger.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from itertools import islice

from redis.asyncio import Redis
from redis.exceptions import RedisError

from jobs import outcomes
from jobs.keys import Keys
from jobs.messages import Ask, Outcome
from jobs.outcomes import Handed
from jobs.values import Failure, FailureKind

logger = logging.getLogger(__name__)

#: seconds between two groups, and after one that could not be handed over
POST_SECONDS, AWAY_SECONDS = 0.02, 0.3
#: outcomes in one group, and bytes after which it takes no more: a reply may be megabytes long
GROUP_MOST, GROUP_BYTES = 200, 16_000_000


class Outbox:
    """A lane's outcomes on their way to the keeper."""

    def __init__(self, redis: Redis, keys: Keys, lane: str) -> None:
        self._redis, self._keys, self._lane = redis, keys, lane
        self._waiting: deque[Handed] = deque()

    def __len__(self) -> int:
        """Outcomes that Redis does not have yet."""
        return len(self._waiting)

    def put(self, handed: Handed) -> None:
        """Hand this back with the next group."""
        self._waiting.append(handed)

    def give_back(self, entry: str, ask: Ask, note: str) -> None:
        """Hand a call back unsent and unpaid."""
        outcome = Outcome(
            run=ask.run,
            try_id=ask.try_id,
            lane=self._lane,
            kind="returned",
            ordinals=_ordinals(ask),
            note=note,
            rung=ask.rung,
        )
        self.put(Handed(entry=entry, outcome=outcome))

    def fail(self, entry: str, ask: Ask, failure: Failure, *, sent: bool) -> None:
        """Hand a call back that a failure of our own has ended, before it was sent or after."""
        outcome = Outcome(
            run=ask.run,
            try_id=ask.try_id,
            lane=self._lane,
            kind="failed",
            ordinals=_ordinals(ask),
            failure=failure,
            sent_at=time.time() if sent else 0.0,
            rung=ask.rung,
        )
        self.put(Handed(entry=entry, outcome=outcome))

    async def post_until(self, ended: asyncio.Event) -> None:
        """Hand back as things come, until told that nothing more will."""
        while not ended.is_set():
            pause = POST_SECONDS
            try:
                await self.post()
            except RedisError as error:
                logger.warning("outcomes kept back: %s", error, extra={"action": "post_failed", "lane": self._lane})
                pause = AWAY_SECONDS
            except ValueError:
                # One that cannot be written down must not keep the others: its row comes back as an error of ours.
                logger.exception("an outcome cannot be written", extra={"action": "outcome_unwritable"})
                self._waiting = deque(_writable(handed) for handed in self._waiting)
            await asyncio.sleep(pause)

    async def post(self) -> None:
        """Hand back all that waits.

        Raises:
            RedisError: Redis did not take it; it is kept.
        """
        while self._waiting:
            group = self._group()
            await outcomes.hand_back(self._redis, self._keys, group)
            for _ in group:
                self._waiting.popleft()

    def _group(self) -> list[Handed]:
        group: list[Handed] = []
        size = 0
        for handed in islice(self._waiting, GROUP_MOST):
            group.append(handed)
            size += handed.size
            if size >= GROUP_BYTES:
                break
        return group


def _ordinals(ask: Ask) -> tuple[int, ...]:
    return tuple(row.ordinal for row in ask.rows)


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
            rung=handed.outcome.rung,
            batch=handed.outcome.batch,
        )
        return Handed(entry=handed.entry, outcome=plain, raw=handed.raw, request=handed.request)
    return handed
