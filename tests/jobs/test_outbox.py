"""What a lane has to hand back: in groups that Redis can take."""

from __future__ import annotations

import asyncio
import os

from jobs import dispatch
from jobs.keys import Keys
from jobs.messages import Outcome
from jobs.outbox import GROUP_BYTES, Outbox
from jobs.outcomes import Handed, Inbox


def handed(number: int, raw: bytes) -> Handed:
    outcome = Outcome(run=1, try_id=f"t{number}", lane="l", kind="replied", ordinals=(number,))
    return Handed(entry="0-1", outcome=outcome, raw=raw)


def test_replies_of_megabytes_are_handed_back_a_few_at_a_time(redis_address: str) -> None:
    """A group ends where it is large enough, the keeper reads no more at once, and nothing is lost or comes twice."""
    keys = Keys(os.urandom(4).hex())

    async def post() -> int:
        redis = dispatch.connect_async(redis_address)
        outbox = Outbox(redis, keys, "l")
        for number in range(10):
            outbox.put(handed(number, b"x" * (GROUP_BYTES // 4 + 1)))
        first = len(outbox._group())
        await outbox.post()
        await redis.aclose()
        return first

    first = asyncio.run(post())
    with dispatch.connect(redis_address) as redis:
        inbox, seen = Inbox(redis, keys), list[str]()
        while received := inbox.receive(500)[0]:
            assert len(received) <= 8
            seen += [one.outcome.try_id for one in received]
            inbox.delete([one.place for one in received])

    assert first == 4 and seen == [f"t{number}" for number in range(10)]
