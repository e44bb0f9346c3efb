"""The queue's door: lanes go through it and nothing else does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Callback, Queue
from rq.job import Job

from jobs import dispatch
from jobs.dispatch import LANE_FUNCTION, LaneWorker, Tray
from jobs.keys import GROUP, Keys
from jobs.messages import Ask, LaneArguments, RowAsk


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


def lane_job(redis: Redis, keys: Keys, function: Any = LANE_FUNCTION, *args: Any, **rest: Any) -> Job:
    queue = Queue(keys.queue, connection=redis, serializer="json")
    given = args or (LaneArguments(home=keys.home).model_dump(),)
    return queue.enqueue(function, *given, **{"job_timeout": -1, **rest})


def test_the_keepers_own_job_is_taken(redis: Redis, keys: Keys) -> None:
    """What the keeper enqueues is exactly what a worker runs."""
    Tray(redis, keys).ensure_spare_lane()
    (job,) = Queue(keys.queue, connection=redis, serializer="json").jobs

    assert dispatch.why_refused(job, keys.home) is None


def test_one_spare_lane_waits_and_not_two(tray: Tray, redis: Redis, keys: Keys) -> None:
    """A worker that appears finds one lane to take; asking again adds none."""
    assert tray.ensure_spare_lane() is True
    assert tray.ensure_spare_lane() is False
    assert Queue(keys.queue, connection=redis, serializer="json").count == 1


@pytest.mark.parametrize(
    ("function", "args", "rest", "reason"),
    [
        ("os.system", ("touch {marker}",), {}, "it names 'os.system'"),
        ("subprocess.check_call", (["touch", "{marker}"],), {}, "it names"),
        (LANE_FUNCTION, ({"wire": 1, "home": "somebody-else"},), {}, "another home"),
        (LANE_FUNCTION, ({"wire": 1, "home": "x", "extra": 1},), {}, "cannot be read"),
        (LANE_FUNCTION, ("not arguments",), {}, "cannot be read"),
        (LANE_FUNCTION, (), {"on_failure": Callback("os.system")}, "a callback"),
        (LANE_FUNCTION, (), {"on_success": Callback("os.system")}, "a callback"),
        (LANE_FUNCTION, (), {"on_stopped": Callback("os.system")}, "a callback"),
        (LANE_FUNCTION, (), {"job_timeout": 60}, "a time limit"),
    ],
)
def test_a_job_that_is_no_lane_is_refused_unrun(
    redis: Redis, keys: Keys, tmp_path: Path, function: str, args: tuple[Any, ...], rest: dict[str, Any], reason: str
) -> None:
    """A worker says why, deletes the job and runs nothing of it."""
    marker = tmp_path / "marker"
    given = [str(arg).format(marker=marker) if isinstance(arg, str) else arg for arg in args]
    job = lane_job(redis, keys, function, *given, **rest)
    why = dispatch.why_refused(job, keys.home)
    queue = Queue(keys.queue, connection=redis, serializer="json")
    worker = LaneWorker([queue], connection=redis, serializer="json", home=keys.home)
    worker.work(burst=True, logging_level="CRITICAL")

    assert why is not None and reason in why
    assert not marker.exists()
    assert not Job.exists(job.id, connection=redis)


def test_a_job_with_pickled_data_is_refused(redis: Redis, keys: Keys) -> None:
    """Pickle is never read: data that is no JSON is a reason to refuse."""
    job = lane_job(redis, keys)
    redis.hset(job.key, "data", b"\x80\x04\x95pickle")
    fetched = Job.fetch(job.id, connection=redis, serializer="json")

    assert "cannot be read" in (dispatch.why_refused(fetched, keys.home) or "")


def test_a_job_that_waits_for_another_is_refused(redis: Redis, keys: Keys) -> None:
    """A dependency would be a way to have something else follow."""
    first = lane_job(redis, keys)
    second = lane_job(redis, keys, depends_on=first)

    assert "a dependency" in (dispatch.why_refused(second, keys.home) or "")


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
