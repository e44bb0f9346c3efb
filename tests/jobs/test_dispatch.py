"""The keeper's side of the streams, and one spare lane on the queue."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from redis import Redis
from rq import Queue

from jobs import dispatch
from jobs.dispatch import Tray
from jobs.keys import GROUP, Keys
from jobs.messages import Ask, RowAsk


@pytest.fixture
def keys() -> Keys:
    return Keys(os.urandom(4).hex())


@pytest.fixture
def redis(redis_address: str) -> Iterator[Redis]:
    with dispatch.connect(redis_address) as redis:
        yield redis


@pytest.fixture
def tray(redis: Redis, keys: Keys) -> Tray:
    tray = Tray(redis, keys)
    tray.open()
    return tray


def ask(try_id: str) -> Ask:
    return Ask(run=1, try_id=try_id, rows=(RowAsk(ordinal=1, cells={"text": "x"}),), max_tokens=10, dispatched_at=0.0)


def test_one_spare_lane_waits_and_not_two(tray: Tray, redis: Redis, keys: Keys) -> None:
    """A worker that appears finds one lane to take; asking again adds none."""
    assert tray.ensure_spare_lane() is True
    assert tray.ensure_spare_lane() is False
    assert Queue(keys.queue, connection=redis, serializer="json").count == 1


def test_calls_of_a_dead_lane_are_found_by_its_lease(tray: Tray, redis: Redis, keys: Keys) -> None:
    """A call is an orphan when its lane's lease is gone, however young it is; a live lane's call never is."""
    tray.put([ask("one"), ask("two")])
    seconds, _ = redis.time()
    redis.zadd(keys.leases, {"alive": seconds + 60, "dead": seconds - 1})
    redis.xreadgroup(GROUP, "alive", {keys.calls: ">"}, count=1)
    redis.xreadgroup(GROUP, "dead", {keys.calls: ">"}, count=1)

    orphans = tray.orphans()
    assert list(orphans.values()) == ["two"]
    tray.drop(orphans)
    assert tray.try_ids() == {"one"} and tray.waiting() == 1


def test_every_call_on_the_stream_is_counted_taken_or_not(tray: Tray) -> None:
    """The window is read whole, over more than one page."""
    tray.put([ask(f"t{number}") for number in range(1201)])

    assert len(tray.try_ids()) == 1201


def test_a_look_says_that_redis_is_away(keys: Keys) -> None:
    """Nobody there is an error of its own with the cause in words."""
    with dispatch.connect("unix:///nowhere/kv.sock") as away, pytest.raises(dispatch.errors.EngineDown, match="Redis"):
        dispatch.look(away, keys.home)
