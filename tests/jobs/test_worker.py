"""The queue's door: lanes go through it and nothing else does, and nothing that lies before it stops a worker."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Callback, Queue, Repeat, Retry
from rq.job import Job

from jobs import dispatch, worker
from jobs.dispatch import LANE_FUNCTION, Tray
from jobs.keys import Keys
from jobs.limits import KeeperLimits
from jobs.messages import WIRE, LaneArguments
from jobs.settings import Settings
from jobs.worker import LaneWorker
from tests.house import wait_until

#: changes a hash of RQ's until it is no lane's any more
Spoil = Callable[[Redis, str], Any]


@pytest.fixture
def keys() -> Keys:
    return Keys(os.urandom(4).hex())


@pytest.fixture
def redis(redis_address: str) -> Iterator[Redis]:
    with dispatch.connect(redis_address) as redis:
        yield redis


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file to which each lane that is entered in this process, or in one forked from it, adds its home."""
    entered = tmp_path / "lanes"
    entered.touch()

    def lane(arguments: LaneArguments) -> None:
        with entered.open("a") as file:
            file.write(f"{arguments.home}\n")

    monkeypatch.setattr(worker._ENTRANCE, "lane", lane)
    return entered


def lane_job(redis: Redis, keys: Keys, function: Any = LANE_FUNCTION, *args: Any, **rest: Any) -> Job:
    queue = Queue(keys.queue, connection=redis, serializer="json")
    given = args or (LaneArguments(home=keys.home).model_dump(),)
    return queue.enqueue(function, *given, **{"job_timeout": -1, **rest})


def why(redis: Redis, job: Job, keys: Keys) -> str:
    return worker.why_refused(redis, job.id.encode(), keys.home) or ""


def burst(redis: Redis, keys: Keys) -> None:
    """A worker's work until the queue is empty."""
    LaneWorker(keys.home, redis).work(burst=True, logging_level="CRITICAL")


def test_the_keepers_own_job_is_taken(redis: Redis, keys: Keys, lanes: Path) -> None:
    """What the keeper enqueues is exactly what a worker runs, and nothing of it stays in Redis."""
    Tray(redis, keys).ensure_spare_lane()
    (job,) = Queue(keys.queue, connection=redis, serializer="json").jobs
    assert worker.why_refused(redis, job.id.encode(), keys.home) is None
    burst(redis, keys)

    assert lanes.read_text() == f"{keys.home}\n"
    assert [key for key in redis.scan_iter("rq:*") if job.id.encode() in key] == []


@pytest.mark.parametrize(
    ("function", "args", "rest", "reason"),
    [
        ("os.system", ("touch {marker}",), {}, "it names 'os.system'"),
        ("subprocess.check_call", (["touch", "{marker}"],), {}, "it names"),
        (LANE_FUNCTION, ({"wire": WIRE, "home": "somebody-else"},), {}, "another home"),
        (LANE_FUNCTION, ({"wire": WIRE, "home": "x", "extra": 1},), {}, "cannot be read"),
        (LANE_FUNCTION, ({"wire": 99, "home": "{home}", "extra": 1},), {}, "another version of Redrive (messages 99"),
        (LANE_FUNCTION, ("not arguments",), {}, "cannot be read"),
        (LANE_FUNCTION, (), {"on_failure": Callback("os.system")}, "a callback"),
        (LANE_FUNCTION, (), {"on_success": Callback("os.system")}, "a callback"),
        (LANE_FUNCTION, (), {"on_stopped": Callback("os.system")}, "a callback"),
        (LANE_FUNCTION, (), {"retry": Retry(max=3)}, "a retry"),
        (LANE_FUNCTION, (), {"repeat": Repeat(times=3)}, "a repeat"),
        (LANE_FUNCTION, (), {"job_timeout": 60}, "a time limit"),
    ],
)
def test_a_job_that_is_no_lane_is_refused_unrun(
    redis: Redis,
    keys: Keys,
    lanes: Path,
    tmp_path: Path,
    function: str,
    args: tuple[Any, ...],
    rest: dict[str, Any],
    reason: str,
) -> None:
    """A worker says why, deletes the job, runs nothing of it, and runs the lane behind it."""
    marker = tmp_path / "marker"
    given = [str(arg).format(marker=marker) if isinstance(arg, str) else arg for arg in args]
    job = lane_job(redis, keys, function, *given, **rest)
    refused = why(redis, job, keys)
    lane_job(redis, keys)
    burst(redis, keys)

    assert reason in refused
    assert not marker.exists()
    assert not Job.exists(job.id, connection=redis)
    assert lanes.read_text() == f"{keys.home}\n"


SPOILS: dict[str, tuple[Spoil, str]] = {
    "created_at": (lambda redis, key: redis.hset(key, "created_at", "yesterday"), "the time"),
    "enqueued_at": (lambda redis, key: redis.hset(key, "enqueued_at", b"\xff\xfe"), "the time"),
    "no created_at": (lambda redis, key: redis.hdel(key, "created_at"), "the time"),
    "timeout": (lambda redis, key: redis.hset(key, "timeout", "for ever"), "a time limit"),
    "no timeout": (lambda redis, key: redis.hdel(key, "timeout"), "a time limit"),
    "no data": (lambda redis, key: redis.hdel(key, "data"), "no data"),
    "pickled": (lambda redis, key: redis.hset(key, "data", b"\x80\x04\x95pickle"), "cannot be read"),
    "a number": (lambda redis, key: redis.hset(key, "data", "7"), "cannot be read"),
    "deep": (lambda redis, key: redis.hset(key, "data", "[" * 4000), "cannot be read"),
    "huge": (lambda redis, key: redis.hset(key, "data", b"x" * 50_000_000), "larger"),
    "huge time": (lambda redis, key: redis.hset(key, "created_at", b"2" * 5_000_000), "larger"),
    "webhook": (lambda redis, key: redis.hset(key, "webhooks", "[]"), "a webhook"),
    "group": (lambda redis, key: redis.hset(key, "group_id", "g"), "a group"),
    "rate limit": (lambda redis, key: redis.hset(key, "rate_limit_key", "k"), "a rate limit"),
    "gone": (lambda redis, key: redis.delete(key), "no such job"),
    "a string": (lambda redis, key: redis.set(key, "x"), "no job"),
    "a list": (lambda redis, key: (redis.delete(key), redis.rpush(key, "x")), "no job"),
}


@pytest.mark.parametrize("name", SPOILS)
def test_a_job_that_nobody_can_read_is_refused_and_the_next_lane_runs(
    redis: Redis, keys: Keys, lanes: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """A wrong time, a wrong type, no data or too much of it: a line in the log, the entry gone, the worker alive."""
    spoil, reason = SPOILS[name]
    job = lane_job(redis, keys)
    spoil(redis, job.key)
    lane_job(redis, keys)
    with caplog.at_level(logging.ERROR, "jobs.worker"):
        burst(redis, keys)

    (record,) = [record for record in caplog.records if record.name == "jobs.worker"]
    assert reason in record.getMessage() and job.id in record.getMessage()
    assert not Job.exists(job.id, connection=redis)
    assert lanes.read_text() == f"{keys.home}\n"


@pytest.mark.parametrize("entry", [b"", b"\xff\xfe", b"a:b", b"../x", b"x" * 10_000_000, b"never-there"])
def test_an_id_that_is_none_is_dropped_and_the_next_lane_runs(
    redis: Redis, keys: Keys, lanes: Path, entry: bytes
) -> None:
    """What lies on the queue need not be an id of anything, nor text at all."""
    redis.rpush(f"rq:queue:{keys.queue}", entry)
    lane_job(redis, keys)
    burst(redis, keys)

    assert lanes.read_text() == f"{keys.home}\n"


def test_a_job_that_waits_for_another_is_refused(redis: Redis, keys: Keys) -> None:
    """A dependency would be a way to have something else follow."""
    first = lane_job(redis, keys)
    second = lane_job(redis, keys, depends_on=first)

    assert "a dependency" in why(redis, second, keys)


@pytest.mark.parametrize("name", ["rq:queue:{}", "rq:wip:{}", "rq:workers:{}", "rq:failed:{}", "rq:finished:{}"])
def test_registers_full_of_rubbish_keep_no_worker_from_its_lane(
    redis: Redis, keys: Keys, lanes: Path, name: str
) -> None:
    """A register of RQ's that is of another type than RQ thinks is made anew or passed over."""
    at_work = LaneWorker(keys.home, redis)
    redis.set(name.format(keys.queue), "rubbish")
    at_work.work(burst=True, logging_level="CRITICAL")
    lane_job(redis, keys)
    LaneWorker(keys.home, redis).work(burst=True, logging_level="CRITICAL")

    assert lanes.read_text() == f"{keys.home}\n"


def test_nobody_suspends_a_worker(redis: Redis, keys: Keys, lanes: Path) -> None:
    """RQ's key that sends all workers to sleep means nothing here."""
    lane_job(redis, keys)
    redis.set("rq:suspended", 1)
    try:
        burst(redis, keys)
    finally:
        redis.delete("rq:suspended")

    assert lanes.read_text() == f"{keys.home}\n"


def test_the_trace_of_a_lane_stays_out_of_redis(redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """RQ would keep it as the job's result; what it holds is nobody's business but the log's."""

    def lane(arguments: LaneArguments) -> None:
        raise RuntimeError("the trace with the words-of-the-trace")

    monkeypatch.setattr(worker._ENTRANCE, "lane", lane)
    job = lane_job(redis, keys)
    burst(redis, keys)

    left = [redis.dump(key) or b"" for key in redis.scan_iter("*")]
    assert not Job.exists(job.id, connection=redis)
    assert not any(b"words-of-the-trace" in blob for blob in left)


# -- a real process ----------------------------------------------------------------------------------------------------


class Process:
    """``python -m jobs worker`` on a home of its own."""

    def __init__(self, folder: Path, redis_address: str) -> None:
        self.settings = Settings(home=folder, prompts=folder, redis_url=redis_address)
        self.keys = Keys(self.settings.home_id)
        command = [sys.executable, "-m", "jobs", "worker", "--home", str(folder)]
        self.popen = subprocess.Popen(command, env={**os.environ, "REDIS_URL": redis_address})

    def workers(self, redis: Redis) -> list[dict[str, Any]]:
        return list(dispatch.look(redis, self.keys.home).workers)

    def has_lane(self, redis: Redis) -> bool:
        return bool(KeeperLimits(redis, self.keys).live_lanes())

    def lines(self, action: str) -> list[dict[str, Any]]:
        file = self.settings.logs / "worker.jsonl"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [line for line in lines if line.get("action") == action]


@pytest.fixture
def process(tmp_path: Path, redis_address: str) -> Iterator[Process]:
    running = Process(tmp_path / "home", redis_address)
    yield running
    if running.popen.poll() is None:
        running.popen.terminate()
    running.popen.wait(timeout=30)


def test_an_idle_worker_outlives_whatever_is_laid_before_it(redis: Redis, process: Process) -> None:
    """One process meets every foreign entry at once, refuses each with a line, and then runs the keeper's lane."""
    wait_until(lambda: bool(process.workers(redis)))
    (before,) = process.workers(redis)
    for spoil, _ in SPOILS.values():
        job = Queue(process.keys.queue, connection=redis, serializer="json").create_job(
            LANE_FUNCTION, args=(LaneArguments(home=process.keys.home).model_dump(),), timeout=-1
        )
        job.save()
        spoil(redis, job.key)
        redis.rpush(f"rq:queue:{process.keys.queue}", job.id)
    redis.rpush(f"rq:queue:{process.keys.queue}", b"\xff\xfe", b"")
    wait_until(lambda: len(process.lines("job_refused")) == len(SPOILS) + 2)
    Tray(redis, process.keys).ensure_spare_lane()
    wait_until(lambda: process.has_lane(redis))

    assert [one["pid"] for one in process.workers(redis)] == [before["pid"]] == [process.popen.pid]
    assert process.lines("worker_again") == []


def test_a_worker_whose_own_entry_is_spoiled_begins_anew(redis: Redis, process: Process) -> None:
    """RQ's loop ends at what it did not expect; the process does not, and stops when it is asked to."""
    wait_until(lambda: bool(process.workers(redis)))
    (before,) = process.workers(redis)
    redis.set(f"rq:worker:{before['name']}", "rubbish")
    Tray(redis, process.keys).ensure_spare_lane()
    wait_until(lambda: bool(process.lines("worker_again")))
    Tray(redis, process.keys).ensure_spare_lane()
    wait_until(lambda: process.has_lane(redis))
    process.popen.send_signal(signal.SIGTERM)

    assert process.popen.wait(timeout=30) == 0


def test_a_killed_lane_is_told_of_and_followed_by_another(redis: Redis, process: Process) -> None:
    """The worker notes that its lane is gone and takes the next one up."""
    Tray(redis, process.keys).ensure_spare_lane()
    wait_until(lambda: process.has_lane(redis))
    first = next(iter(KeeperLimits(redis, process.keys).live_lanes()))
    Tray(redis, process.keys).ensure_spare_lane()
    os.kill(int(first.rsplit("-", 2)[1]), signal.SIGKILL)
    wait_until(lambda: bool(KeeperLimits(redis, process.keys).live_lanes().keys() - {first}))

    assert [line["code"] for line in process.lines("lane_died")] == [-signal.SIGKILL]


def test_a_look_passes_over_what_is_no_worker(redis: Redis, keys: Keys) -> None:
    """Rubbish in RQ's register of workers keeps nobody from seeing the others."""
    register, name = f"rq:workers:{keys.queue}", f"rq:worker:{keys.home}"
    redis.sadd(register, b"\xff", "rq:worker:gone", name, f"{name}-2", f"{name}-3")
    redis.hset(name, mapping={"state": "idle", "pid": "7"})
    redis.hset(f"{name}-2", mapping={"state": b"\xff\xfe", "pid": "8"})
    redis.set(f"{name}-3", "rubbish")

    (seen,) = dispatch.look(redis, keys.home).workers
    assert seen == {"name": keys.home, "state": "idle", "pid": 7, "fits": False}, "it says no version of its messages"
    redis.delete(register)
    redis.set(register, "rubbish")
    assert dispatch.look(redis, keys.home).workers == ()


def test_redis_that_is_away_at_the_start_is_an_error_in_words(tmp_path: Path) -> None:
    """A worker that can reach nobody says so and ends."""
    with pytest.raises(worker.errors.EngineDown, match="Redis does not answer"):
        worker.work("unix:///nowhere/kv.sock", "home", lambda arguments: None)


def test_a_server_that_has_lost_its_data_is_told_anew_who_works(redis: Redis, keys: Keys) -> None:
    """A worker is seen again with its next sign of life, with its process, its state and its version."""
    one = LaneWorker(keys.home, redis)
    one.register_birth()
    one.set_state("busy")
    before = dispatch.look(redis, keys.home).workers
    redis.delete(one.key, f"rq:workers:{keys.queue}")
    assert dispatch.look(redis, keys.home).workers == ()
    one.heartbeat()

    assert dispatch.look(redis, keys.home).workers == before
    assert [(seen["state"], seen["pid"], seen["fits"]) for seen in before] == [("busy", os.getpid(), True)]
    one.register_death()
