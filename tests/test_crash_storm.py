"""What kill after kill in one run leaves: the same as a single one, whoever dies in whatever order.

What the provider's own books say is held against the ledger.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from jobs import processes
from jobs.settings import Settings
from jobs.store.database import open_reader
from jobs.testing import StubProvider, marked
from tests.crashes import GOOD, IN_FLIGHT, House, at_home, held
from tests.house import assert_whole, lanes_of, wait_until
from workbench import local_valkey, ownership

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with StubProvider(answer=GOOD, latency=0.1) as stub:
        yield stub


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
        assert_whole(home.engine, home.ended(run), stub, paid_again=2 * IN_FLIGHT)
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
