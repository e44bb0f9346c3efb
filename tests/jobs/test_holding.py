"""The places that a lane holds, against the real server: when it asks for them, and when it has no need to."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest

from jobs import dispatch
from jobs.holding import AGAIN_SECONDS, MORE_SECONDS, Holding
from jobs.keys import Keys
from jobs.limits import LaneLimits, Places

RUN = 1


class Asked(LaneLimits):
    """The limits, with a count of the questions."""

    questions = 0

    async def places(self, run: int, *, rung: int = 0, limit: int, share: int, wanted: int, running: int) -> Places:
        self.questions += 1
        return await super().places(run, rung=rung, limit=limit, share=share, wanted=wanted, running=running)


class Lane:
    """One of two lanes of a run that may have four calls in flight, on a clock of its own."""

    def __init__(self, limits: Asked) -> None:
        self.limits, self.holding, self.now = limits, Holding(limits, RUN), 1000.0

    async def tick(self, *, busy: int, running: int, after: float = 0.01) -> int:
        """One look later; the places it holds then."""
        self.now += after
        if self.holding.waits:
            self.holding.heed(*await self.limits.moves([self.holding.stand]))
        await self.holding.hold(limit=4, share=2, busy=busy, running=running, is_dry=False, now=self.now)
        return self.holding.held


@pytest.fixture
def play(redis_address: str) -> Callable[[Callable[[Lane, Lane], Awaitable[None]]], None]:
    """Runs a scene with two lanes."""
    keys = Keys(os.urandom(4).hex())

    def run(scene: Callable[[Lane, Lane], Awaitable[None]]) -> None:
        async def main() -> None:
            redis = dispatch.connect_async(redis_address)
            try:
                lanes = [Lane(Asked(redis, keys, name)) for name in "ab"]
                for lane in lanes:
                    await lane.limits.beat()
                await scene(*lanes)
            finally:
                await redis.aclose()

        asyncio.run(main())

    return run


Play = Callable[[Callable[[Lane, Lane], Awaitable[None]]], None]


def test_a_lane_that_is_short_asks_once_and_again_when_a_place_is_given_up(play: Play) -> None:
    """A hundred looks are no hundred questions; the look after a place has become free takes it."""

    async def scene(a: Lane, b: Lane) -> None:
        assert [await a.tick(busy=9, running=0), await a.tick(busy=9, running=2)] == [2, 4]
        assert await b.tick(busy=3, running=0) == 0
        for _ in range(50):
            assert await b.tick(busy=3, running=0) == 0
        assert b.limits.questions == 1
        assert await a.tick(busy=9, running=3, after=MORE_SECONDS) == 3
        assert await b.tick(busy=3, running=0) == 1

    play(scene)


def test_a_lane_beyond_its_share_gives_back_what_another_wants_and_asks_no_more_than_that(play: Play) -> None:
    """It hears of the other's wish within a look, and keeps what is running."""

    async def scene(a: Lane, b: Lane) -> None:
        await a.tick(busy=9, running=0)
        assert await a.tick(busy=9, running=2) == 4
        asked = a.limits.questions
        for _ in range(30):
            assert await a.tick(busy=9, running=3) == 4
        assert a.limits.questions == asked + 1, "one for the call that has begun, and none while nothing moves"
        await b.tick(busy=1, running=0)
        assert await a.tick(busy=9, running=3) == 3
        assert await b.tick(busy=1, running=0) == 1

    play(scene)


def test_a_question_is_asked_again_now_and_then_though_nothing_has_moved(play: Play) -> None:
    """A lane that dies gives nothing up, and its places are free when its lease has run out."""

    async def scene(a: Lane, b: Lane) -> None:
        await a.tick(busy=9, running=0)
        await a.tick(busy=9, running=2)
        assert await b.tick(busy=3, running=0) == 0
        await a.limits.leave()
        assert await b.tick(busy=3, running=0) == 0
        assert await b.tick(busy=3, running=0, after=AGAIN_SECONDS) == 2

    play(scene)


def test_a_wish_that_has_gone_holds_nobody_to_his_share(play: Play) -> None:
    """A lane that was short and has no call left says so, and the other has all places."""

    async def scene(a: Lane, b: Lane) -> None:
        assert await a.tick(busy=2, running=0) == 2
        assert await b.tick(busy=2, running=0) == 2
        assert await a.tick(busy=4, running=2) == 2
        assert await a.tick(busy=4, running=2) == 2
        await b.tick(busy=0, running=0)
        assert await a.tick(busy=4, running=2) == 4
        assert await b.tick(busy=2, running=0) == 0
        assert await a.tick(busy=4, running=3, after=MORE_SECONDS) == 3
        assert await a.tick(busy=4, running=3) == 3
        assert await b.tick(busy=0, running=0) == 0
        assert await a.tick(busy=4, running=3) == 4

    play(scene)


def test_places_of_a_lease_that_has_lapsed_are_told_of_again_and_no_more_are_taken(play: Play) -> None:
    """A lane that was frozen comes back to what is running; what it held beside that is another's by now."""

    async def scene(a: Lane, b: Lane) -> None:
        assert await a.tick(busy=2, running=1) == 2
        await a.limits.leave()
        assert [await b.tick(busy=9, running=0), await b.tick(busy=9, running=2)] == [2, 4]
        assert not (await a.limits.beat()).kept
        a.holding.lapse(1)
        assert await a.tick(busy=1, running=1) == 1
        assert await b.tick(busy=9, running=3, after=MORE_SECONDS) == 3
        assert await b.tick(busy=9, running=3, after=AGAIN_SECONDS) == 3

    play(scene)


def test_a_lane_whose_lease_is_gone_is_given_nothing_before_it_has_one(play: Play) -> None:
    """An emptied server knows neither what is held nor who lives: whoever asks first would have it all."""

    async def scene(a: Lane, b: Lane) -> None:
        assert [await a.tick(busy=2, running=0), await b.tick(busy=2, running=0)] == [2, 2]
        await a.limits.leave()
        await b.limits.leave()
        assert [await a.tick(busy=9, running=2), await a.tick(busy=9, running=2, after=AGAIN_SECONDS)] == [2, 2]
        assert not (await a.limits.beat()).kept
        assert (await a.limits.beat()).kept

    play(scene)
