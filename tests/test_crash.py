"""What a kill leaves: every row accounted for, no accepted value lost, no row applied twice, and nearly nothing paid again.

Real processes are ended with SIGKILL in the middle of a run and started again. What the provider's own books say is held
against the ledger.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from redis import Redis

from jobs import processes
from jobs import settings as settings_module
from jobs.api import Engine
from jobs.api.launch import Launch
from jobs.keys import GROUP, Keys
from jobs.options import RunOptions
from jobs.settings import Settings
from jobs.store.database import open_reader
from jobs.testing import StubProvider, marked
from jobs.views.runs import Run
from tests.house import CONTENT, Processes, table, valkey, wait_until
from workbench import local_valkey, ownership

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]

ROWS, IN_FLIGHT = 400, 20
PLAIN = [f"row {number}" for number in range(ROWS)]
GOOD = {"sentiment": "good", "words": 2}


def at_home(folder: Path, stub: StubProvider, redis_address: str | None = None) -> Settings:
    (folder / "connections.toml").write_text(f'[stub]\nbase_url = "{stub.base_url}"\nmodels = ["m"]\n')
    return settings_module.load(folder, folder / "prompts", {"REDIS_URL": redis_address} if redis_address else {})


class House:
    """A home with a run to start; its parts are processes of ours, where an address is given."""

    def __init__(
        self, settings: Settings, stub: StubProvider, redis_address: str | None = None, *, workers: int = 2
    ) -> None:
        self.settings, self.stub = settings, stub
        self.engine = Engine(self.settings, patience=60)
        self.parts = Processes(self.settings, redis_address, workers=workers) if redis_address else Processes.none()

    def start(self, rows: Sequence[str] = PLAIN, *, in_flight: int = IN_FLIGHT) -> int:
        """A run, as soon as every worker has its lane."""
        wait_until(lambda: all(lanes_of(worker.pid) for worker in self.parts.workers))
        file = self.settings.home / "t.csv"
        file.write_text(table(rows))
        return self.engine.runs.start(
            Launch(
                version=self.engine.prompts.save("task", CONTENT, note="n"),
                dataset=self.engine.datasets.add(file),
                connection=self.settings.connection("stub"),
                options=RunOptions(in_flight=in_flight),
            ),
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


def lanes_of(worker: int) -> list[int]:
    """The processes of a worker's lanes."""
    return [process.pid for process in processes.table() if process.parent == worker]


def held(settings: Settings, lanes: Sequence[int] | None = None) -> int:
    """Calls that these lanes, or all, have taken and not handed back; what a dead lane held stays its own until its lease is over."""
    with Redis.from_url(settings.redis_address) as redis:
        found = redis.xinfo_consumers(Keys(settings.home_id).calls, GROUP)
    return sum(one["pending"] for one in found if lanes is None or int(one["name"].decode().split("-")[-2]) in lanes)


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
    lanes = lanes_of(worker.pid)
    for pid in (worker.pid, *lanes):
        os.kill(pid, signal.SIGKILL)
    lost = held(house.settings, lanes)
    worker.wait()
    house.parts.workers[0] = house.parts.start("worker")

    hold(house, house.ended(run), paid_again=lost)


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
    lanes = [lane for part in parts for lane in lanes_of(part.pid)]
    for pid in [*lanes, *(part.pid for part in parts)]:
        os.kill(pid, signal.SIGKILL)
    lost = held(house.settings)
    for part in parts:
        part.wait()

    assert house.engine.runs.get(run).counts.accepted >= before
    house.parts = Processes(house.settings, house.settings.redis_address)
    hold(house, house.ended(run), paid_again=lost)


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
    lanes = lanes_of(worker.pid)
    worker.kill()
    worker.wait()
    house.parts.workers[0] = house.parts.start("worker")

    hold(house, house.ended(run), paid_again=0)
    wait_until(lambda: not any(process.pid in lanes for process in processes.table()), patience=20)


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


class Storm:
    """Kills whatever is there, at moments that a seed chooses, and knows the most that each kill may have cost."""

    #: rows, calls in flight, workers; each twentieth row fails once, each fiftieth always
    ROWS, IN_FLIGHT, WORKERS = 360, 8, 2
    #: no row can lose more lanes than it may see
    KILLS = ("worker", "worker", "lane", "keeper", "keeper", "valkey")

    def __init__(self, folder: Path, stub: StubProvider, seed: int) -> None:
        self.chance = random.Random(seed)
        self.kv = Settings(home=folder / "kv", prompts=folder)
        self.kv.home.mkdir()
        self.valkey = subprocess.Popen(local_valkey.prepare(self.kv), stdout=subprocess.DEVNULL)
        wait_until(lambda: local_valkey.answers(self.kv.redis_socket))
        (folder / "home").mkdir()
        settings = at_home(folder / "home", stub, self.kv.redis_address)
        self.house = House(settings, stub, self.kv.redis_address, workers=self.WORKERS)
        self.run = self.house.start([text_of(number) for number in range(self.ROWS)], in_flight=self.IN_FLIGHT)
        #: calls that were taken and not handed back by what has been killed
        self.in_flight = 0

    def close(self) -> None:
        self.house.close()
        self.valkey.kill()
        self.valkey.wait()

    def kill(self, part: str) -> None:
        parts = self.house.parts
        if part == "valkey":
            self.in_flight += held(self.house.settings)
            with Redis.from_url(self.kv.redis_address) as redis:
                os.kill(int(redis.info("server")["process_id"]), signal.SIGKILL)
            self.valkey.wait()
            self.valkey = subprocess.Popen(local_valkey.prepare(self.kv), stdout=subprocess.DEVNULL)
        elif part == "keeper":
            parts.keeper.kill()
            parts.keeper.wait()
            parts.keeper = parts.start("keeper")
        else:
            place = self.chance.randrange(self.WORKERS)
            worker = parts.workers[place]
            lanes = lanes_of(worker.pid)
            for pid in [*lanes, *([worker.pid] if part == "worker" else [])]:
                os.kill(pid, signal.SIGKILL)
            self.in_flight += held(self.house.settings, lanes)
            if part == "worker":
                worker.wait()
                parts.workers[place] = parts.start("worker")

    def accepted(self) -> set[int]:
        """The rows that have a value; on the way, that the books add up."""
        db = open_reader(self.house.settings.database).conn
        db.execute("BEGIN")  # everything as of one moment
        states = db.execute("SELECT state, count(*) FROM run_rows GROUP BY 1").fetchall()
        rows = db.execute("SELECT ordinal FROM run_rows WHERE state = 'accepted' ORDER BY ordinal").fetchall()
        values = db.execute(
            "SELECT ordinal FROM attempts WHERE verdict = 'accepted' AND superseded = 0 ORDER BY ordinal"
        ).fetchall()
        results = db.execute("SELECT ordinal FROM results ORDER BY ordinal").fetchall()
        calls, counted = db.execute("SELECT calls, (SELECT count(*) FROM calls) FROM runs").fetchone()
        db.close()
        assert sum(count for _, count in states) == self.ROWS
        assert rows == values == results, "a row was accepted twice, or has no value"
        assert calls == counted
        return {ordinal for (ordinal,) in rows}


def text_of(number: int) -> str:
    fault = "[[invalid always]]" if number % 50 == 7 else "[[invalid]]" if number % 20 == 3 else ""
    return f"row {number} {fault}".strip()


@pytest.mark.parametrize("seed", [11])
def test_a_storm_of_kills_loses_no_row_and_pays_only_for_what_was_in_flight(tmp_path: Path, seed: int) -> None:
    """Workers, lanes, keeper and server die at random moments of one run; after each of them and at the end the books add up."""
    with StubProvider(marked, answer=GOOD, latency=0.05) as stub:
        storm = Storm(tmp_path, stub, seed)
        order = storm.chance.sample(storm.KILLS, len(storm.KILLS))
        moments = sorted(storm.chance.sample(range(15, storm.ROWS - 60), len(order)))
        before: set[int] = set()
        for part, moment in zip(order, moments, strict=True):
            storm.house.at(storm.run, moment)
            storm.kill(part)
            now = storm.accepted()
            assert now >= before, f"a value was lost with the {part}"
            before = now
        ended = storm.house.ended(storm.run)
        wait_until(lambda: storm.house.stub.ledger.in_flight == 0)
        storm.accepted()
        storm.close()

    needed = {
        text_of(n): 3 if "always" in text_of(n) else 2 if "invalid" in text_of(n) else 1 for n in range(storm.ROWS)
    }
    dead = sum("always" in text for text in needed)
    counts = ended.counts
    assert (counts.accepted, counts.dead, counts.cancelled, counts.waiting) == (storm.ROWS - dead, dead, 0, 0)
    assert stub.ledger.asked.keys() == needed.keys()
    beyond = sum(asked - needed[text] for text, asked in stub.ledger.asked.items() if asked > needed[text])
    assert beyond <= storm.in_flight, "more was paid again than was in flight"


def parts_of(settings: Settings) -> dict[str, int]:
    owner = ownership.running(settings)
    return owner.parts if owner else {}
