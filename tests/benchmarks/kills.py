"""What dies comes back: ``python -m tests.benchmarks.kills``.

Twenty kills with -9 at random moments of one run: a worker, the keeper, Valkey, in turn and two at once. What was killed is
started again at once, as a supervisor does. Nothing may be lost or applied twice, no more calls may be paid again than were in
flight at the kills, and the full rate must be back within ten seconds of each.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress

from jobs import processes
from jobs.options import RunOptions
from jobs.settings import Settings
from tests.benchmarks.site import Site, messages, say, site, stub_process
from workbench import local_valkey

LATENCY, IN_FLIGHT = 0.3, 60
FULL, BACK_WITHIN = 0.9, 10.0
VICTIMS = (("worker",), ("keeper",), ("valkey",), ("worker", "keeper"), ("worker", "valkey"), ("keeper", "valkey"))


class Killer:
    """Kills parts of a site and starts them again."""

    def __init__(self, here: Site, chance: random.Random) -> None:
        self._here, self._chance = here, chance
        self._servers: list[subprocess.Popen[bytes]] = []

    def strike(self, victims: tuple[str, ...]) -> None:
        for act in [self._act(victim) for victim in victims]:
            act()

    def _act(self, victim: str) -> Callable[[], None]:
        """Kill it now; what starts it again."""
        parts = self._here.parts
        if victim == "keeper":
            parts.keeper.kill()
            parts.keeper.wait()
            return lambda: setattr(parts, "keeper", parts.start("keeper"))
        if victim == "worker":
            place = self._chance.randrange(len(parts.workers))
            worker = parts.workers[place]
            for pid in [worker.pid, *(each.pid for each in processes.table() if each.parent == worker.pid)]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            worker.wait()
            return lambda: parts.workers.__setitem__(place, parts.start("worker"))
        os.kill(self._here.pids()["valkey"], signal.SIGKILL)
        folder = self._here.home.parent / "kv"
        return lambda: self._servers.append(
            subprocess.Popen(local_valkey.prepare(Settings(home=folder, prompts=folder)), stdout=subprocess.DEVNULL)
        )

    def close(self) -> None:
        for server in self._servers:
            server.kill()
            server.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    with stub_process("--latency", str(LATENCY)) as stub, site(stub, workers=2) as here:
        return measure(here, given)


def measure(here: Site, given: argparse.Namespace) -> int:
    chance = random.Random(given.seed)
    killer = Killer(here, chance)
    rows = int(given.kills * 11 * IN_FLIGHT / LATENCY * 0.8)
    run = here.start(messages(rows), RunOptions(in_flight=IN_FLIGHT, reuse=False))
    in_flight, slowest, killed = 0, 0.0, 0
    try:
        back(here, time.monotonic())
        for number in range(given.kills):
            if here.engine.runs.get(run).counts.waiting < 5 * IN_FLIGHT / LATENCY:
                break
            time.sleep(chance.uniform(0.2, 1.5))
            in_flight += here.books()["in_flight"]
            killer.strike(VICTIMS[number % len(VICTIMS)])
            killed += 1
            slowest = max(slowest, back(here, time.monotonic()))
        done = here.ended(run)
    finally:
        killer.close()
    with closing(sqlite3.connect(here.settings.database)) as db:
        (twice,) = db.execute(
            "SELECT count(*) FROM (SELECT 1 FROM attempts WHERE verdict = 'accepted' AND NOT superseded "
            "GROUP BY run, ordinal HAVING count(*) > 1)"
        ).fetchone()
        (known,) = db.execute("SELECT count(DISTINCT ordinal) FROM run_rows WHERE run = ?", [run]).fetchone()
    books = here.books()
    again = books["calls"] - rows
    ok = (
        done.counts.accepted == rows == known
        and not twice
        and again <= in_flight
        and slowest <= BACK_WITHIN
        and killed == given.kills
    )
    return say(
        "kills",
        f"{killed} kills with -9 (seed {given.seed}): {done.counts.accepted} of {rows} rows accepted, {rows - known} lost, {twice} applied "
        f"twice, {again} calls paid again of {in_flight} in flight at the kills, full rate back after {slowest:.1f} s at the "
        f"longest (limit {BACK_WITHIN:.0f} s)",
        ok=ok,
    )


def back(here: Site, since: float) -> float:
    """Seconds until the provider sees the full rate again, over a second."""
    full = FULL * IN_FLIGHT / LATENCY
    seen = [(time.monotonic(), here.books()["calls"])]
    while time.monotonic() < since + 60:
        time.sleep(0.1)
        now, calls = time.monotonic(), here.books()["calls"]
        seen.append((now, calls))
        seen = [each for each in seen if each[0] >= now - 1.1]
        if now - since >= 1.0 and (calls - seen[0][1]) / (now - seen[0][0]) >= full:
            return now - since - 1.0
    return 60.0


if __name__ == "__main__":
    sys.exit(main())
