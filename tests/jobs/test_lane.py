"""A lane at work: what it begins, what it leaves, and what it keeps when Redis is away."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import dispatch
from jobs.keys import Keys
from jobs.lane import Lane
from jobs.limits import LEASE_SECONDS, KeeperLimits
from jobs.messages import LaneArguments
from jobs.options import RunOptions
from jobs.settings import load
from jobs.testing import Act, Ask, StubProvider
from tests.house import Home, valkey, wait_until

ROWS = [f"message number {number}" for number in range(60)]


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with StubProvider(latency=0.05) as provider:
        yield provider


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "kv").mkdir()
    with valkey(tmp_path / "kv") as address:
        yield address


def test_two_lanes_share_a_run_and_keep_to_its_places(tmp_path: Path, redis: str, stub: StubProvider) -> None:
    """Both make calls, and together never more at once than the run may have."""
    home = Home(tmp_path / "home", redis, stub, lanes=2)
    try:
        run = home.went(ROWS, options=RunOptions(in_flight=6))
        lanes = {entry for (entry,) in home.keeper._db.conn.execute("SELECT DISTINCT lane FROM calls")}
    finally:
        home.close()

    assert run.counts.accepted == 60 and len(lanes) == 2
    assert 4 <= stub.ledger.summary()["max_in_flight"] <= 6


def test_a_server_that_was_emptied_lets_no_more_be_in_flight_and_pays_for_nothing_more(
    tmp_path: Path, redis: str
) -> None:
    """Each lane tells again of what is running, and hands back what it had not begun, since that will be asked of another."""
    with StubProvider(latency=2.0) as stub:
        home = Home(tmp_path / "home", redis, stub, lanes=2)
        try:
            with dispatch.connect(redis) as connection:
                wait_until(lambda: connection.zcard(Keys(home.settings.home_id).leases) == 2)
                run = home.start([f"message number {number}" for number in range(24)], options=RunOptions(in_flight=8))
                home.until(run, lambda seen: seen.counts.accepted >= 8)
                wait_until(lambda: stub.ledger.in_flight == 8)
                connection.flushall()
            ended, asked = home.ended(run), stub.ledger.calls
        finally:
            home.close()

    assert ended.counts.accepted == 24
    assert stub.ledger.max_in_flight <= 8 and asked - 24 <= 8


def test_a_lane_takes_the_places_that_others_leave_free(tmp_path: Path, redis: str, stub: StubProvider) -> None:
    """Where another lane has no calls, as at the end of a run, a lane begins all that it has taken, and not only its half."""
    home = Home(tmp_path / "home", redis, stub, lanes=1, in_flight=16)
    try:
        with dispatch.connect(redis) as connection:
            leases = Keys(home.settings.home_id).leases
            connection.zadd(leases, {"idle": time.time() + LEASE_SECONDS})
            run = home.went(ROWS, options=RunOptions(in_flight=16))
            assert connection.zscore(leases, "idle") > time.time(), "the other lane has lived all the time"
    finally:
        home.close()

    assert run.counts.accepted == 60
    assert 8 < stub.ledger.summary()["max_in_flight"] <= 16


def test_two_runs_at_one_connection_share_its_places(tmp_path: Path, redis: str, stub: StubProvider) -> None:
    """Calls at once are a connection's: a second run takes its half, and does not add as many again."""
    home = Home(tmp_path / "home", redis, stub, lanes=2, in_flight=6)
    try:
        version = home.version()
        first = home.start(ROWS, version=version, options=RunOptions(in_flight=6, reuse=False))
        home.until(first, lambda run: run.counts.accepted > 0)
        stub.ledger.clear()
        second = home.start(
            home.dataset(ROWS[:20], "u.csv"), version=version, options=RunOptions(in_flight=6, reuse=False)
        )
        done = home.ended(second)
        home.ended(first)
    finally:
        home.close()

    assert done.counts.accepted == 20
    # The first keeps what it had in flight when the second came; those calls end by themselves. Never both in full.
    assert stub.ledger.summary()["max_in_flight"] < 6 + 6


def test_a_run_that_has_few_rows_left_keeps_no_place_from_another(tmp_path: Path, redis: str) -> None:
    """One row that hangs holds one place of its connection; the other run has all the rest, and no more."""

    def hanging(ask: Ask) -> Act | None:
        return Act(delay=5.0 if "lonely" in ask.user else 0.5)

    with StubProvider(hanging) as stub:
        home = Home(tmp_path / "home", redis, stub, lanes=2, in_flight=20)
        try:
            version, options = home.version(), RunOptions(in_flight=20, reuse=False)
            lonely = home.start(home.dataset(["lonely"], "lonely.csv"), version=version, options=options)
            wait_until(lambda: stub.ledger.in_flight == 1)
            second = home.start([f"row {n}" for n in range(120)], version=version, options=options)
            wait_until(lambda: stub.ledger.in_flight == 20, patience=10)
            home.until(second, lambda run: run.counts.accepted >= 40)
            still = home.engine.runs.get(lonely).counts.in_flight
            most = stub.ledger.summary()["max_in_flight"]
        finally:
            home.close()

    assert (still, most) == (1, 20)


def test_calls_that_a_paused_run_has_in_flight_keep_their_places(tmp_path: Path, redis: str) -> None:
    """Another run begins with what they leave, and has all the places when they have ended; the provider sees no more at once."""

    def slow(ask: Ask) -> Act | None:
        return Act(delay=3.0 if "slow" in ask.user else 0.3)

    with StubProvider(slow) as stub:
        home = Home(tmp_path / "home", redis, stub, lanes=2, in_flight=20)
        try:
            version, options = home.version(), RunOptions(in_flight=20, reuse=False)
            slow_rows = home.dataset([f"slow {n}" for n in range(100)], "slow.csv")
            first = home.start(slow_rows, version=version, options=options)
            wait_until(lambda: stub.ledger.in_flight == 20)
            home.engine.runs.pause(first)
            home.until(first, lambda run: run.state == "paused")
            second = home.start([f"row {n}" for n in range(300)], version=version, options=options)
            home.until(second, lambda run: run.counts.accepted > 0)
            meanwhile = home.engine.runs.get(first).counts.in_flight
            home.until(first, lambda run: run.counts.in_flight == 0)
            wait_until(lambda: stub.ledger.in_flight == 20, patience=10)
            most = stub.ledger.summary()["max_in_flight"]
        finally:
            home.close()

    # Each has one place at least.
    assert meanwhile > 0 and most <= 21


def test_a_small_run_does_not_wait_for_the_calls_of_a_slow_one(tmp_path: Path, redis: str) -> None:
    """What a lane has taken of a run that its provider holds up keeps no place from the rows of another."""

    def slow(ask: Ask) -> Act | None:
        return Act(delay=3.0) if "slow" in ask.user else None

    with StubProvider(slow) as stub:
        home = Home(tmp_path / "home", redis, stub, in_flight=40)
        try:
            version = home.version()
            first = home.start(
                [f"slow {n}" for n in range(400)], version=version, options=RunOptions(in_flight=40, reuse=False)
            )
            wait_until(lambda: stub.ledger.in_flight == 40)
            small = home.dataset([f"small {n}" for n in range(5)], "small.csv")
            second = home.start(small, version=version, options=RunOptions(in_flight=5, reuse=False))
            done, waited = home.ended(second), stub.ledger.of("slow")
            home.engine.runs.cancel(first)
        finally:
            home.close()

    assert (done.counts.accepted, waited) == (5, [])


def test_a_refused_key_is_tried_once_by_each_lane_at_the_most(
    tmp_path: Path, redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run pauses at the first 401; no lane goes on asking until the keeper has heard of it."""
    monkeypatch.setenv("A_KEY", "wrong-key-123456")
    with StubProvider(keys=["right-key-123456"], latency=0.02) as stub:
        home = Home(tmp_path / "home", redis, stub, lanes=1, key_env="A_KEY")
        try:
            number = home.start(ROWS, options=RunOptions(in_flight=1))
            run = home.until(number, lambda run: run.state == "paused")
            wait_until(lambda: home.engine.runs.get(number).counts.in_flight == 0)
            calls = home.engine.runs.get(number).calls
        finally:
            home.close()

    assert run.paused_by == "provider" and calls == 1


def test_a_pause_holds_back_what_has_not_begun(tmp_path: Path, redis: str, stub: StubProvider) -> None:
    """Calls in flight are kept, no other begins, and the rest goes on after the resume."""
    stub.latency = 0.5
    home = Home(tmp_path / "home", redis, stub)
    try:
        number = home.start(ROWS * 2, options=RunOptions(in_flight=4, reuse=False))
        home.until(number, lambda run: run.counts.accepted > 4)
        home.engine.runs.pause(number, key=os.urandom(8).hex())
        home.until(number, lambda run: run.state == "paused" and run.counts.in_flight == 0)
        asked = home.engine.runs.get(number).calls
        stub.latency = 0.0
        home.engine.runs.resume(number, key=os.urandom(8).hex())
        run = home.ended(number)
    finally:
        home.close()

    # all of them are asked for in 15 seconds
    assert 4 < asked < len(ROWS)
    assert run.counts.accepted == len(ROWS) * 2 == run.calls


def test_the_rate_of_a_connection_holds_for_all_its_runs(tmp_path: Path, redis: str) -> None:
    """What connections.toml says is heeded without a word from the run."""
    with StubProvider(rpm=1200, burst=1.0) as stub:
        home = Home(tmp_path / "home", redis, stub, lanes=2)
        try:
            file = tmp_path / "home" / "connections.toml"
            file.write_text(file.read_text().replace("in_flight", "rpm = 1200\nin_flight"))
            run = home.went(ROWS, options=RunOptions(in_flight=20))
        finally:
            home.close()
        refused = stub.ledger.summary()["statuses"].get("429", 0)

    assert run.counts.accepted == 60 and refused == 0
    assert run.seconds >= 2.0  # 20 a second, beginning with a few


def test_a_lane_that_was_cut_off_does_not_begin_what_others_were_asked_for(
    tmp_path: Path, redis: str, stub: StubProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """After its lease has run out it hands back what it had not begun, instead of paying for it a second time."""
    home = Home(tmp_path / "home", redis, stub, lanes=1)
    lane = home._lanes[0]._lane
    try:
        number = home.start(ROWS, options=RunOptions(in_flight=1))
        home.until(number, lambda run: run.counts.accepted > 2)
        wait_until(lambda: any(work.busy > work.running for work in lane._work.values()))
        lane._lease_until = time.monotonic() - 1.0  # as if it had been frozen
        run = home.ended(number)
    finally:
        home.close()

    (lapsed,) = [one for one in caplog.records if getattr(one, "action", "") == "lease_lapsed"]
    assert getattr(lapsed, "calls", 0) >= 1
    assert run.counts.accepted == run.calls == len(ROWS)


def test_connections_that_cannot_be_read_pause_the_run(tmp_path: Path, redis: str, stub: StubProvider) -> None:
    """A lane that cannot open a run says why and hands its calls back; mended, the run goes on."""
    home = Home(tmp_path / "home", redis, stub)
    file = home.folder / "connections.toml"
    text = file.read_text()
    try:
        version, dataset = home.version(), home.dataset(ROWS[:3])
        file.unlink()
        file.mkdir()
        run = home.start(dataset, version=version)
        paused = home.until(run, lambda seen: seen.state == "paused" and not seen.counts.in_flight)
        file.rmdir()
        file.write_text(text)
        home.engine.runs.resume(run)
        done = home.ended(run)
    finally:
        home.close()

    assert "cannot be read" in (paused.reason or "") and paused.calls == 0
    assert done.counts.accepted == 3


def test_a_lane_one_of_whose_tasks_fails_ends_and_gives_its_lease_back(
    tmp_path: Path, redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not live on with the others: nobody would get the calls that it holds."""

    async def take(*_: object, **__: object) -> None:
        raise KeyError("a fault of ours")

    monkeypatch.setattr(dispatch, "take", take)
    settings = load(tmp_path, tmp_path, {"REDIS_URL": redis})
    with pytest.raises(KeyError, match="a fault of ours"):
        asyncio.run(asyncio.wait_for(Lane(settings, LaneArguments(home=settings.home_id)).run(), timeout=15))

    with dispatch.connect(redis) as connection:
        assert KeeperLimits(connection, Keys(settings.home_id)).live_lanes() == {}
