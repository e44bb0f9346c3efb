"""The limits that all lanes share, each against the real server."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from jobs import dispatch
from jobs.keys import Keys
from jobs.limits import LEASE_SECONDS, Beat, KeeperLimits, LaneLimits, Report
from jobs.messages import Control

T = TypeVar("T")
Scene = Callable[[Callable[[str], LaneLimits]], Awaitable[T]]


@pytest.fixture
def play(redis_address: str) -> Callable[[Scene[T]], T]:
    """Runs a scene that is given lanes by name, all of one home."""
    keys = Keys(os.urandom(4).hex())

    def run(scene: Scene[T]) -> T:
        async def main() -> T:
            redis = dispatch.connect_async(redis_address)
            try:
                return await scene(lambda name: LaneLimits(redis, keys, name))
            finally:
                await redis.aclose()

        return asyncio.run(main())

    return run


def test_places_never_pass_the_limit_over_all_lanes(play: Callable[[Scene[list[int]]], list[int]]) -> None:
    """A lane gets what the others leave."""

    async def scene(lane: Callable[[str], LaneLimits]) -> list[int]:
        a, b = lane("a"), lane("b")
        await a.beat()
        await b.beat()
        return [
            (await a.places(1, limit=5, share=5, wanted=4, running=0)).held,
            (await b.places(1, limit=5, share=5, wanted=4, running=0)).held,
            (await a.places(1, limit=5, share=5, wanted=2, running=1)).held,
            (await b.places(1, limit=5, share=5, wanted=4, running=1)).held,
        ]

    assert play(scene) == [4, 1, 2, 3]


def test_what_runs_is_never_taken_away(play: Callable[[Scene[int]], int]) -> None:
    """A lowered limit waits for the calls that are under way."""

    async def scene(lane: Callable[[str], LaneLimits]) -> int:
        a = lane("a")
        await a.beat()
        await a.places(1, limit=5, share=5, wanted=5, running=0)
        return (await a.places(1, limit=2, share=2, wanted=5, running=4)).held

    assert play(scene) == 4


def test_a_lane_holds_more_than_its_share_until_another_wants_its_own(
    play: Callable[[Scene[list[int]]], list[int]],
) -> None:
    """Nothing stays free while there are calls for it, and nobody waits longer for his share than a call takes."""

    async def scene(lane: Callable[[str], LaneLimits]) -> list[int]:
        a, b = lane("a"), lane("b")
        await a.beat()
        await b.beat()
        return [
            (await a.places(1, limit=6, share=3, wanted=9, running=0)).held,
            (await b.places(1, limit=6, share=3, wanted=9, running=0)).held,
            (await a.places(1, limit=6, share=3, wanted=9, running=4)).held,
            (await b.places(1, limit=6, share=3, wanted=9, running=0)).held,
            (await a.places(1, limit=6, share=3, wanted=9, running=3)).held,
            (await b.places(1, limit=6, share=3, wanted=1, running=1)).held,
            (await a.places(1, limit=6, share=3, wanted=9, running=3)).held,
        ]

    assert play(scene) == [6, 0, 4, 2, 3, 1, 5]


def test_a_lane_without_a_lease_holds_no_places(play: Callable[[Scene[int]], int]) -> None:
    """What a dead lane held is free for the others."""

    async def scene(lane: Callable[[str], LaneLimits]) -> int:
        gone, here = lane("gone"), lane("here")
        await gone.beat()
        await here.beat()
        await gone.places(1, limit=5, share=5, wanted=5, running=0)
        await gone.leave()
        return (await here.places(1, limit=5, share=5, wanted=5, running=0)).held

    assert play(scene) == 5


def test_a_lane_that_is_short_sees_when_asking_again_may_help(play: Callable[[Scene[list[int]]], list[int]]) -> None:
    """Each change of what a lane of the run holds or wants is a move; the same question again is none."""

    async def scene(lane: Callable[[str], LaneLimits]) -> list[int]:
        a, b = lane("a"), lane("b")
        await a.beat()
        await b.beat()
        first = await a.places(1, limit=4, share=2, wanted=4, running=4)
        short = await b.places(1, limit=4, share=2, wanted=2, running=0)
        again = await b.places(1, limit=4, share=2, wanted=2, running=0)
        given = await a.places(1, limit=4, share=2, wanted=4, running=3)
        return [first.moves, short.held, short.moves, again.moves, given.moves, *await b.moves([(2, 0), (1, 0)])]

    assert play(scene) == [1, 0, 2, 2, 3, 0, 3]


def test_the_keeper_sees_the_places_that_live_lanes_hold(redis_address: str) -> None:
    """Over all of them; what a dead lane held, or somebody else has put there, is none."""
    keys = Keys(os.urandom(4).hex())

    async def hold() -> None:
        redis = dispatch.connect_async(redis_address)
        a, b = LaneLimits(redis, keys, "a"), LaneLimits(redis, keys, "b")
        await a.beat()
        await b.beat()
        await a.places(1, limit=9, share=5, wanted=4, running=0)
        await b.places(1, limit=9, share=5, wanted=3, running=0)
        await redis.aclose()

    asyncio.run(hold())
    with dispatch.connect(redis_address) as redis:
        redis.hset(keys.places(1), mapping={b"gone": b"5 5", b"\xff": b"7 7"})
        keeper = KeeperLimits(redis, keys)
        held = keeper.held([(1, 0), (2, 0)])
        redis.hset(keys.places(1), "b", "nonsense")
        assert (held, keeper.held([(1, 0)])) == ({(1, 0): 7, (2, 0): 0}, {(1, 0): 4})


def test_a_lease_outlives_no_clock_that_is_set_back(redis_address: str) -> None:
    """A lane that died before Redis' clock went back an hour is not taken to live until the hour has come again."""
    keys = Keys(os.urandom(4).hex())

    async def scene() -> None:
        redis = dispatch.connect_async(redis_address)
        try:
            here = LaneLimits(redis, keys, "here")
            await redis.zadd(keys.leases, {"gone": time.time() + 3600})
            await here.beat()
        finally:
            await redis.aclose()

    asyncio.run(scene())

    with dispatch.connect(redis_address) as redis:
        left = KeeperLimits(redis, keys).live_lanes()
    assert set(left) == {"gone", "here"} and max(left.values()) <= LEASE_SECONDS


def test_one_pool_is_shared_by_all_lanes_and_is_not_anothers(play: Callable[[Scene[list[int]]], list[int]]) -> None:
    """Limits are a connection's and a model's: what one lane takes is gone for the other, and only there."""

    async def scene(lane: Callable[[str], LaneLimits]) -> list[int]:
        wish = Report(wanted=50, limits=(60, 0, 0, 0))
        return [
            (await lane("a").ask_pool("c", "m", wish)).calls,
            (await lane("b").ask_pool("c", "m", wish)).calls,
            (await lane("b").ask_pool("d", "m", wish)).calls,
            (await lane("b").ask_pool("c", "n", wish)).calls,
            (await lane("b").ask_run(1, wish)).calls,
        ]

    assert play(scene) == [1, 0, 1, 1, 1]


def test_a_person_can_see_why_a_pool_waits(redis_address: str) -> None:
    """Its rates, what was short last, and how long a cool-down lasts; nothing of a pool that nobody has used."""
    keys = Keys(os.urandom(4).hex())

    async def use() -> None:
        redis = dispatch.connect_async(redis_address)
        try:
            lane = LaneLimits(redis, keys, "a")
            await lane.ask_pool("c", "m", Report(wanted=50, limits=(60, 0, 0, 0)))
            await lane.ask_pool("c", "cooled", Report(wanted=1, cool=30.0))
        finally:
            await redis.aclose()

    asyncio.run(use())
    with dispatch.connect(redis_address) as redis:
        limits = KeeperLimits(redis, keys)
        short, cooled, unused = (limits.standing("c", model) for model in ("m", "cooled", "unused"))

    assert short is not None and short.rates == {"requests": 1.0} and short.short == "requests" and short.cool == 0
    assert short.short_ago is not None and short.short_ago < 30
    assert cooled is not None and 25 < cooled.cool <= 30 and cooled.short == "cool" and cooled.found is None
    assert unused is None


def test_lanes_learn_what_they_may_do(redis_address: str) -> None:
    """The keeper's word reaches every lane with its next beat, and is gone when the run is."""
    keys = Keys(os.urandom(4).hex())
    with dispatch.connect(redis_address) as redis:
        keeper = KeeperLimits(redis, keys)
        keeper.allow(7, Control(state="stop", in_flight=3))

        async def beat() -> Beat:
            redis = dispatch.connect_async(redis_address)
            try:
                return await LaneLimits(redis, keys, "a").beat()
            finally:
                await redis.aclose()

        told = asyncio.run(beat())
        assert told == (["a"], {7: Control(state="stop", in_flight=3)}, False)
        assert list(keeper.live_lanes()) == ["a"]
        keeper.forget(7)
        assert keeper.allowed() == {}
