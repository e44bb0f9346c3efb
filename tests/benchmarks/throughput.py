"""How near a run comes to what the provider allows: ``python -m tests.benchmarks.throughput``.

The stub answers every call after a fixed time, so that rows x seconds / calls in flight is the least that a run can take. The
run is made by real processes: a Valkey, a keeper, two workers with a lane each, and the stub in a process of its own, all
on this machine. Start-up is shown apart. The line says the ratio to the ideal, CPU seconds per 1,000 rows, and peak memory.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from jobs import processes
from jobs import settings as settings_module
from jobs.api import Engine
from jobs.options import RunOptions
from tests.house import CONTENT, Processes, table, valkey, wait_until

#: shares of the ideal rate, while calls are made and with everything, and CPU seconds per 1,000 rows
CALLING, WHOLE, CPU = 0.95, 0.85, 1.5
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Use:
    """What a process and its children have used."""

    cpu: float
    peak_mb: float


def use_of(pid: int) -> Use:
    cpu, peak = 0.0, 0.0
    for one in [pid, *(process.pid for process in processes.table() if process.parent == pid)]:
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            status = Path(f"/proc/{one}/status").read_text()
        except FileNotFoundError:
            continue
        cpu += (int(fields[11]) + int(fields[12])) / TICK
        peak = max(peak, int(status.split("VmHWM:")[1].split()[0]) / 1024)
    return Use(cpu, peak)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--latency", type=float, default=0.3)
    parser.add_argument("--in-flight", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder), given)


def measure(folder: Path, given: argparse.Namespace) -> int:
    stub = subprocess.Popen(
        [sys.executable, "-m", "jobs.testing", "--port", "0", "--latency", str(given.latency)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert stub.stdout is not None
    address = stub.stdout.readline().split()[-1]
    home = folder / "home"
    home.mkdir()
    (folder / "kv").mkdir()
    (home / "connections.toml").write_text(f'[stub]\nbase_url = "{address}"\nmodels = ["stub-model"]\n')
    try:
        with valkey(folder / "kv") as redis:
            return run(home, redis, given)
    finally:
        stub.terminate()
        stub.wait()


def run(home: Path, redis: str, given: argparse.Namespace) -> int:
    settings = settings_module.load(home, home / "prompts", {"REDIS_URL": redis})
    parts = Processes(settings, redis, workers=given.workers)
    names = {"keeper": parts.keeper.pid} | {f"worker {n}": p.pid for n, p in enumerate(parts.workers, 1)}
    names["valkey"] = next(
        p.pid for p in processes.table() if "valkey.conf" in p.command and str(home.parent) in p.command
    )
    try:
        with Engine(settings, patience=60) as engine:
            file = home / "rows.csv"
            file.write_text(table([f"message number {number}" for number in range(given.rows)]))
            dataset = engine.datasets.add(file)
            version = engine.prompts.save("bench", CONTENT, note="benchmark")
            began = time.monotonic()
            wait_until(lambda: len(engine.system.look().lanes) == given.workers)
            startup = time.monotonic() - began
            before = {name: use_of(pid) for name, pid in names.items()}
            number = engine.runs.start(
                version=version,
                dataset=dataset,
                connection=settings.connection("stub"),
                options=RunOptions(in_flight=given.in_flight, reuse=False),
                key="bench",
            )
            while engine.runs.get(number).ended_at is None:
                time.sleep(0.2)
            done = engine.runs.get(number)
            span = span_of(settings.database, number)
            after = {name: use_of(pid) for name, pid in names.items()}
    finally:
        parts.close()
    return report(given, span, startup, before, after, accepted=done.counts.accepted)


@dataclass(frozen=True)
class Span:
    """When things happened in a run, in seconds."""

    #: from the start to the first request, over the requests, and from the last reply to the end
    before: float
    calling: float
    after: float
    #: mean time from a request to its reply
    latency: float

    @property
    def whole(self) -> float:
        return self.before + self.calling + self.after


def span_of(database: Path, run: int) -> Span:
    """From the ledger itself."""
    with closing(sqlite3.connect(database)) as db:
        first, last, mean = db.execute(
            "SELECT min(sent_at), max(sent_at + seconds), avg(seconds) FROM calls WHERE run = ?", [run]
        ).fetchone()
        created, ended = db.execute("SELECT created_at, ended_at FROM runs WHERE id = ?", [run]).fetchone()
    return Span(first - created, last - first, ended - last, mean)


def report(
    given: argparse.Namespace,
    span: Span,
    startup: float,
    before: dict[str, Use],
    after: dict[str, Use],
    *,
    accepted: int,
) -> int:
    ideal = given.rows * given.latency / given.in_flight
    thousands = given.rows / 1000
    cpu = {name: (after[name].cpu - before[name].cpu) / thousands for name in after}
    peak = max(use.peak_mb for use in after.values())
    detail = ", ".join(f"{name} {seconds:.2f}" for name, seconds in cpu.items())
    ok = accepted == given.rows and sum(cpu.values()) <= CPU and ideal / span.calling >= CALLING and ideal / span.whole >= WHOLE
    sys.stdout.write(
        f"throughput: {given.rows} rows, {given.latency * 1000:.0f} ms, {given.in_flight} in flight, {given.workers} workers: "
        f"{ideal / span.calling:.1%} of the ideal rate while calls are made (floor {CALLING:.0%}), "
        f"{ideal / span.whole:.1%} over the whole run (floor {WHOLE:.0%}): {span.before:.2f} + {span.calling:.2f} + {span.after:.2f} s "
        f"for {ideal:.2f}, a reply after {span.latency * 1000:.0f} ms; {accepted} accepted; "
        f"{sum(cpu.values()):.2f} CPU s per 1,000 rows ({detail}; limit {CPU}), peak {peak:.0f} MB in one process, "
        f"start-up {startup:.1f} s apart: {'ok' if ok else 'TOO SLOW'}\n"
    )
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
