"""The limits that all lanes share, each against the real server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from jobs import dispatch
from jobs.keys import Keys
from jobs.limits import KeeperLimits, LaneLimits
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
            await a.places(1, limit=5, wanted=4, running=0),
            await b.places(1, limit=5, wanted=4, running=0),
            await a.places(1, limit=5, wanted=2, running=1),
            await b.places(1, limit=5, wanted=4, running=1),
        ]

    assert play(scene) == [4, 1, 2, 3]


def test_what_runs_is_never_taken_away(play: Callable[[Scene[int]], int]) -> None:
    """A lowered limit waits for the calls that are under way."""

    async def scene(lane: Callable[[str], LaneLimits]) -> int:
        a = lane("a")
        await a.beat()
        await a.places(1, limit=5, wanted=5, running=0)
        return await a.places(1, limit=2, wanted=5, running=4)

    assert play(scene) == 4


def test_a_lane_without_a_lease_holds_no_places(play: Callable[[Scene[int]], int]) -> None:
    """What a dead lane held is free for the others."""

    async def scene(lane: Callable[[str], LaneLimits]) -> int:
        gone, here = lane("gone"), lane("here")
        await gone.beat()
        await here.beat()
        await gone.places(1, limit=5, wanted=5, running=0)
        await gone.leave()
        return await here.places(1, limit=5, wanted=5, running=0)

    assert play(scene) == 5


def test_a_bucket_is_one_second_deep_and_not_a_minute(
    play: Callable[[Scene[tuple[int, int, float]]], tuple[int, int, float]],
) -> None:
    """600 a minute let 10 go at once, whoever asks, and then say how long to wait."""

    async def scene(lane: Callable[[str], LaneLimits]) -> tuple[int, int, float]:
        first, _ = await lane("a").reserve("c", "m", wanted=100, tokens=1, rpm=600, tpm=None)
        second, wait = await lane("b").reserve("c", "m", wanted=5, tokens=1, rpm=600, tpm=None)
        return first, second, wait

    first, second, wait = play(scene)
    assert first == 10 and second <= 1 and 0 < wait <= 0.11


def test_tokens_are_counted_and_settled(play: Callable[[Scene[list[int]]], list[int]]) -> None:
    """A request reserves its tokens; what it did not use comes back at once."""

    async def scene(lane: Callable[[str], LaneLimits]) -> list[int]:
        a = lane("a")
        first, _ = await a.reserve("c", "m", wanted=3, tokens=100, rpm=None, tpm=6000)
        none, _ = await a.reserve("c", "m", wanted=1, tokens=90, rpm=None, tpm=6000)
        await a.settle("c", "m", reserved=100, used=5)
        after, _ = await a.reserve("c", "m", wanted=1, tokens=90, rpm=None, tpm=6000)
        return [first, none, after]

    assert play(scene) == [1, 0, 1]


def test_one_connections_bucket_is_not_anothers(play: Callable[[Scene[list[int]]], list[int]]) -> None:
    """Limits are a connection's and a model's."""

    async def scene(lane: Callable[[str], LaneLimits]) -> list[int]:
        a = lane("a")
        return [
            (await a.reserve("c", "m", wanted=50, tokens=1, rpm=60, tpm=None))[0],
            (await a.reserve("d", "m", wanted=50, tokens=1, rpm=60, tpm=None))[0],
            (await a.reserve("c", "n", wanted=50, tokens=1, rpm=60, tpm=None))[0],
        ]

    assert play(scene) == [1, 1, 1]


def test_a_cool_down_holds_everybody(play: Callable[[Scene[tuple[int, float]]], tuple[int, float]]) -> None:
    """After the provider has said that nothing remains, no lane gets a request, even without a limit of our own."""

    async def scene(lane: Callable[[str], LaneLimits]) -> tuple[int, float]:
        await lane("a").cool_down("c", "m", 5.0)
        await lane("a").cool_down("c", "m", 1.0)
        return await lane("b").reserve("c", "m", wanted=1, tokens=1, rpm=None, tpm=None)

    granted, wait = play(scene)
    assert granted == 0 and 4 < wait <= 5


def test_lanes_learn_what_they_may_do(redis_address: str) -> None:
    """The keeper's word reaches every lane with its next beat, and is gone when the run is."""
    keys = Keys(os.urandom(4).hex())
    with dispatch.connect(redis_address) as redis:
        keeper = KeeperLimits(redis, keys)
        keeper.allow(7, Control(state="stop", in_flight=3))

        async def beat() -> tuple[list[str], dict[int, Control]]:
            redis = dispatch.connect_async(redis_address)
            try:
                return await LaneLimits(redis, keys, "a").beat()
            finally:
                await redis.aclose()

        lanes, control = asyncio.run(beat())
        assert lanes == ["a"] and control == {7: Control(state="stop", in_flight=3)}
        assert list(keeper.live_lanes()) == ["a"]
        keeper.forget(7)
        assert keeper.allowed() == {}
