"""What a kill leaves: every row accounted for, no accepted value lost, no row applied twice, and nearly nothing paid again.

Real processes are ended with SIGKILL in the middle of a run and started again. What the provider's own books say is held
against the ledger.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from jobs import processes
from jobs import settings as settings_module
from jobs.api import Engine
from jobs.options import RunOptions
from jobs.settings import Settings
from jobs.testing import StubProvider
from jobs.views import Run
from tests.house import CONTENT, Processes, table, valkey, wait_until
from workbench import local_valkey, ownership

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]

ROWS, IN_FLIGHT = 400, 20
GOOD = {"sentiment": "good", "words": 2}


def at_home(folder: Path, stub: StubProvider, redis_address: str | None = None) -> Settings:
    (folder / "connections.toml").write_text(f'[stub]\nbase_url = "{stub.base_url}"\nmodels = ["m"]\n')
    return settings_module.load(folder, folder / "prompts", {"REDIS_URL": redis_address} if redis_address else {})


class House:
    """A home with a run of ``ROWS`` rows to start; its parts are processes of ours, where an address is given."""

    def __init__(self, settings: Settings, stub: StubProvider, redis_address: str | None = None) -> None:
        self.settings, self.stub = settings, stub
        self.engine = Engine(self.settings, patience=60)
        self.parts = Processes(self.settings, redis_address, workers=2) if redis_address else Processes.none()

    def start(self) -> int:
        file = self.settings.home / "t.csv"
        file.write_text(table([f"row {number}" for number in range(ROWS)]))
        return self.engine.runs.start(
            version=self.engine.prompts.save("task", CONTENT, note="n"),
            dataset=self.engine.datasets.add(file),
            connection=self.settings.connection("stub"),
            options=RunOptions(in_flight=IN_FLIGHT),
            key="run",
        )

    def at(self, run: int, accepted: int) -> None:
        """Come back in the middle of a run."""
        wait_until(lambda: self.engine.runs.get(run).counts.accepted >= accepted)

    def ended(self, run: int) -> Run:
        wait_until(lambda: self.engine.runs.get(run).ended_at is not None)
        return self.engine.runs.get(run)

    def close(self) -> None:
        self.parts.close()
        self.engine.close()


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with StubProvider(answer=GOOD, latency=0.1) as stub:
        yield stub


@pytest.fixture
def house(tmp_path: Path, redis_address: str, stub: StubProvider) -> Iterator[House]:
    house = House(at_home(tmp_path, stub, redis_address), stub, redis_address)
    yield house
    house.close()


def hold(house: House, run: Run, *, paid_again: int) -> None:
    """All that must be so after any kill."""
    counts = run.counts
    assert run.state == "finished"
    assert (counts.accepted, counts.dead, counts.cancelled, counts.waiting) == (ROWS, 0, 0, 0)
    db = house.engine._house.read()
    applied = db.conn.execute(
        "SELECT ordinal, count(*) FROM attempts WHERE run = ? AND verdict = 'accepted' AND superseded = 0 GROUP BY 1",
        [run.id],
    ).fetchall()
    assert len(applied) == ROWS and all(count == 1 for _, count in applied), "a row was applied twice, or never"
    asked = Counter(entry.user for entry in house.stub.ledger.entries)
    assert len(asked) == ROWS
    assert sum(asked.values()) - ROWS <= paid_again, "more was paid again than was in flight"


def test_a_killed_worker_costs_only_what_it_had_in_flight(house: House) -> None:
    """A worker and its lane die with SIGKILL; another takes over, and the row that was in flight is asked once more."""
    run = house.start()
    house.at(run, 60)
    worker = house.parts.workers[0]
    horses = [process.pid for process in processes.table() if process.parent == worker.pid]
    for pid in (worker.pid, *horses):
        os.kill(pid, signal.SIGKILL)
    worker.wait()
    house.parts.workers[0] = house.parts.start("worker")

    assert horses, "the worker had no lane"
    hold(house, house.ended(run), paid_again=IN_FLIGHT)


def test_a_killed_keeper_loses_nothing(house: House) -> None:
    """Outcomes wait on the stream while nobody owns the runs; nothing is paid again."""
    run = house.start()
    house.at(run, 60)
    house.parts.keeper.kill()
    house.parts.keeper.wait()
    house.parts.keeper = house.parts.start("keeper")

    hold(house, house.ended(run), paid_again=0)


def test_everything_killed_at_once_comes_back_from_the_file(house: House) -> None:
    """Keeper and workers all die; what is committed stands, and the run goes on by itself after the start."""
    run = house.start()
    house.at(run, 100)
    before = house.engine.runs.get(run).counts.accepted
    parts = [house.parts.keeper, *house.parts.workers]
    horses = [p.pid for p in processes.table() if p.parent in {part.pid for part in parts}]
    for pid in [*horses, *(part.pid for part in parts)]:
        os.kill(pid, signal.SIGKILL)
    for part in parts:
        part.wait()

    assert house.engine.runs.get(run).counts.accepted >= before
    house.parts = Processes(house.settings, house.settings.redis_address)
    hold(house, house.ended(run), paid_again=IN_FLIGHT)


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
            hold(house, house.ended(run), paid_again=IN_FLIGHT)
        finally:
            house.close()
            again.kill()
            again.wait()


def test_an_orphaned_lane_hands_back_and_ends(house: House) -> None:
    """When only the worker process dies, its lane finishes what is in flight; nothing is paid again."""
    run = house.start()
    house.at(run, 60)
    worker = house.parts.workers[0]
    horses = [process.pid for process in processes.table() if process.parent == worker.pid]
    worker.kill()
    worker.wait()
    house.parts.workers[0] = house.parts.start("worker")

    hold(house, house.ended(run), paid_again=0)
    wait_until(lambda: not any(process.pid in horses for process in processes.table()), patience=20)


def test_whatever_of_a_home_that_is_up_dies_is_started_again(tmp_path: Path, stub: StubProvider) -> None:
    """``redrive up`` loses web, worker, keeper and Valkey in the middle of a run, one by one, and the run ends whole."""
    settings = at_home(tmp_path, stub)
    command = [sys.executable, "-m", "workbench.cli", "up", "--home", str(tmp_path), "--port", "8790"]
    with (tmp_path / "said.txt").open("w") as said, subprocess.Popen(command, stdout=said, stderr=said) as starter:
        wait_until(lambda: "Redrive is up" in (tmp_path / "said.txt").read_text())
        home = House(settings, stub)
        run = home.start()
        for accepted, part in ((40, "web"), (90, "worker-1"), (140, "keeper"), (190, "valkey")):
            home.at(run, accepted)
            before = parts_of(settings)[part]
            os.kill(before, signal.SIGKILL)
            wait_until(lambda before=before, part=part: parts_of(settings).get(part, before) != before)  # type: ignore[misc]
        hold(home, home.ended(run), paid_again=2 * IN_FLIGHT)
        home.close()
        starter.send_signal(signal.SIGINT)
        assert starter.wait(timeout=60) == 0
    assert processes.family(tmp_path) == [], "something was left running"


def parts_of(settings: Settings) -> dict[str, int]:
    owner = ownership.running(settings)
    return owner.parts if owner else {}
