"""What a lane has to hand back: in groups that Redis can take."""

from __future__ import annotations

import asyncio
import os

from jobs import dispatch
from jobs.keys import Keys
from jobs.messages import Ask, Outcome, RowAsk
from jobs.outbox import GROUP_BYTES, Outbox
from jobs.outcomes import Handed, Inbox
from jobs.values import Failure, FailureKind


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


def test_what_fails_inside_or_cannot_be_written_stays_a_call_of_its_rung(redis_address: str) -> None:
    """It is booked with the model that was asked, at its price."""
    keys, sent = Keys(os.urandom(4).hex()), Failure(kind=FailureKind.INTERNAL, message="a fault")

    async def post() -> None:
        redis = dispatch.connect_async(redis_address)
        outbox = Outbox(redis, keys, "l")
        asks = [
            Ask(run=1, try_id=f"t{n}", rows=(RowAsk(ordinal=n, cells={}),), max_tokens=9, rung=1, dispatched_at=0.0)
            for n in range(2)
        ]
        outbox.fail("0-1", asks[0], sent, sent=True)
        outbox.give_back("0-1", asks[1], "later")
        odd = Outcome(run=1, try_id="t2", lane="l", kind="replied", ordinals=(2,), rung=1, model="\ud800")
        outbox.put(Handed(entry="0-1", outcome=odd, raw=b"x"))
        ended = asyncio.Event()
        task = asyncio.create_task(outbox.post_until(ended))
        while len(outbox):
            await asyncio.sleep(0.01)
        ended.set()
        await task
        await redis.aclose()

    asyncio.run(post())
    with dispatch.connect(redis_address) as redis:
        received = Inbox(redis, keys).receive(9)[0]
    assert [one.outcome.rung for one in received] == [1, 1, 1]
