"""What one kill leaves: every row accounted for, no accepted value lost, no row applied twice, and nearly nothing paid again.

Real processes are ended with SIGKILL in the middle of a run and started again. What the provider's own books say is held
against the ledger.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from jobs import processes
from jobs.settings import Settings
from jobs.testing import StubProvider
from tests.crashes import GOOD, IN_FLIGHT, House, at_home, held
from tests.house import Processes, assert_whole, lanes_of, valkey, wait_until
from workbench import local_valkey

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with StubProvider(answer=GOOD, latency=0.1) as stub:
        yield stub


@pytest.fixture
def house(tmp_path: Path, redis_address: str, stub: StubProvider) -> Iterator[House]:
    house = House(at_home(tmp_path, stub, redis_address), stub, redis_address)
    yield house
    house.close()


def test_a_killed_worker_costs_only_what_it_had_in_flight(house: House, stub: StubProvider) -> None:
    """A worker and its lane die with SIGKILL; another takes over, and the row that was in flight is asked once more."""
    run = house.start()
    house.at(run, 60)
    worker = house.parts.workers[0]
    lanes = lanes_of(worker.pid)
    for pid in (worker.pid, *lanes):
        os.kill(pid, signal.SIGKILL)
    lost = held(house.settings, lanes)
    worker.wait()
    house.parts.workers[0] = house.parts.start("worker")

    assert_whole(house.engine, house.ended(run), stub, paid_again=lost)


def test_a_killed_keeper_loses_nothing(house: House, stub: StubProvider) -> None:
    """Outcomes wait on the stream while nobody owns the runs; nothing is paid again."""
    run = house.start()
    house.at(run, 60)
    house.parts.keeper.kill()
    house.parts.keeper.wait()
    house.parts.keeper = house.parts.start("keeper")

    assert_whole(house.engine, house.ended(run), stub, paid_again=0)


def test_everything_killed_at_once_comes_back_from_the_file(house: House, stub: StubProvider) -> None:
    """Keeper and workers all die; what is committed stands, and the run goes on by itself after the start."""
    run = house.start()
    house.at(run, 100)
    before = house.engine.runs.get(run).counts.accepted
    parts = [house.parts.keeper, *house.parts.workers]
    lanes = [lane for part in parts for lane in lanes_of(part.pid)]
    for pid in [*lanes, *(part.pid for part in parts)]:
        os.kill(pid, signal.SIGKILL)
    lost = held(house.settings)
    for part in parts:
        part.wait()

    assert house.engine.runs.get(run).counts.accepted >= before
    house.parts = Processes(house.settings, house.settings.redis_address)
    assert_whole(house.engine, house.ended(run), stub, paid_again=lost)


def test_a_killed_valkey_is_found_again_with_its_streams(tmp_path: Path, stub: StubProvider) -> None:
    """The server dies and starts from its append-only file; lanes keep their paid answers meanwhile."""
    kv = tmp_path / "kv"
    kv.mkdir()
    home = tmp_path / "home"
    home.mkdir()
    with valkey(kv) as address:
        house = House(at_home(home, stub, address), stub, address)
        run = house.start()
        house.at(run, 60)
        here = Settings(home=kv, prompts=kv)
        with Redis.from_url(address) as redis:
            os.kill(int(redis.info("server")["process_id"]), signal.SIGKILL)
        again = subprocess.Popen(local_valkey.prepare(here), stdout=subprocess.DEVNULL)
        try:
            assert_whole(house.engine, house.ended(run), stub, paid_again=IN_FLIGHT)
        finally:
            house.close()
            again.kill()
            again.wait()


def test_an_orphaned_lane_hands_back_and_ends(house: House, stub: StubProvider) -> None:
    """When only the worker process dies, its lane finishes what is in flight; nothing is paid again."""
    run = house.start()
    house.at(run, 60)
    worker = house.parts.workers[0]
    lanes = lanes_of(worker.pid)
    worker.kill()
    worker.wait()
    house.parts.workers[0] = house.parts.start("worker")

    assert_whole(house.engine, house.ended(run), stub, paid_again=0)
    wait_until(lambda: not any(process.pid in lanes for process in processes.table()), patience=20)
