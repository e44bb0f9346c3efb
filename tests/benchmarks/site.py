"""What the benchmarks of the engine share: a home of real processes beside a stub that has a process of its own, and their use."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs import processes
from jobs import settings as settings_module
from jobs.api import Engine
from jobs.api.launch import Launch
from jobs.limits import BEAT_SECONDS
from jobs.options import RunOptions
from jobs.settings import Settings
from jobs.views.datasets import Dataset
from jobs.views.prompts import Version
from jobs.views.runs import Run
from tests.house import CONTENT, Processes, table, valkey, wait_until

TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Use:
    """What a process and its children have used: CPU seconds, the most memory and the memory of now, in MB."""

    cpu: float
    peak: float
    now: float


def use_of(pid: int) -> Use:
    cpu, peak, now = 0.0, 0.0, 0.0
    for one in [pid, *(process.pid for process in processes.table() if process.parent == pid)]:
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            status = Path(f"/proc/{one}/status").read_text()
        except FileNotFoundError:
            continue
        cpu += (int(fields[11]) + int(fields[12])) / TICK
        peak = max(peak, int(status.split("VmHWM:")[1].split()[0]) / 1024)
        now = max(now, int(status.split("VmRSS:")[1].split()[0]) / 1024)
    return Use(cpu, peak, now)


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


class Site:
    """A home at work."""

    def __init__(self, home: Path, redis: str, stub: str, *, workers: int) -> None:
        self.home, self.redis, self.stub = home, redis, stub
        self.settings: Settings = settings_module.load(home, home / "prompts", {"REDIS_URL": redis})
        self.parts = Processes(self.settings, redis, workers=workers)
        self.engine = Engine(self.settings, patience=60)
        began = time.monotonic()
        wait_until(lambda: len(self.engine.system.look().lanes) == workers)
        self.startup = time.monotonic() - began
        # a lane hears of the others at its next beat, and takes all there is before
        time.sleep(2 * BEAT_SECONDS)

    def close(self) -> None:
        self.engine.close()
        self.parts.close()

    # -- work --------------------------------------------------------------------------------------------------------------

    def dataset(self, rows: Sequence[str], name: str = "rows.csv") -> Dataset:
        file = self.home / name
        file.write_text(table(rows), "utf-8")
        return self.engine.datasets.add(file)

    def version(self) -> Version:
        return self.engine.prompts.save("bench", CONTENT, note="benchmark")

    def start(self, rows: Sequence[str] | Dataset, options: RunOptions, *, name: str = "rows.csv") -> int:
        return self.engine.runs.start(
            Launch(
                version=self.version(),
                dataset=rows if isinstance(rows, Dataset) else self.dataset(rows, name),
                connection=self.settings.connection("stub"),
                options=options,
            ),
            key=os.urandom(8).hex(),
        )

    def ended(self, run: int, *, within: float = 600.0) -> Run:
        wait_until(
            lambda: self.engine.runs.get(run).ended_at is not None or time.sleep(0.2) is not None, patience=within
        )
        return self.engine.runs.get(run)

    def span(self, run: int) -> Span:
        """From the books themselves."""
        with closing(sqlite3.connect(self.settings.database)) as db:
            first, last, mean = db.execute(
                "SELECT min(sent_at), max(sent_at + seconds), avg(seconds) FROM calls WHERE run = ?", [run]
            ).fetchone()
            created, ended = db.execute("SELECT created_at, ended_at FROM runs WHERE id = ?", [run]).fetchone()
        return Span(first - created, last - first, ended - last, mean)

    # -- looks -------------------------------------------------------------------------------------------------------------

    def pids(self) -> dict[str, int]:
        found = {"keeper": self.parts.keeper.pid}
        found |= {f"worker {number}": worker.pid for number, worker in enumerate(self.parts.workers, 1)}
        mark = str(self.home.parent / "kv")
        servers = [
            process.pid for process in processes.table() if "valkey.conf" in process.command and mark in process.command
        ]
        return found | ({"valkey": servers[0]} if servers else {})

    def uses(self) -> dict[str, Use]:
        return {name: use_of(pid) for name, pid in self.pids().items()}

    def books(self, *, entries: bool = False) -> dict[str, Any]:
        """The stub's own ledger."""
        address = self.stub.rsplit("/", 1)[0] + "/_ledger" + ("?entries=1" if entries else "")
        with urllib.request.urlopen(address, timeout=60) as reply:
            return dict(json.load(reply))

    def tell_stub(self, **told: Any) -> None:
        """Change the stub while it runs."""
        request = urllib.request.Request(
            self.stub.rsplit("/", 1)[0] + "/_control", data=json.dumps(told).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=60):
            pass


@contextmanager
def stub_process(*arguments: str) -> Iterator[str]:
    """A stub provider in a process of its own; its base URL."""
    command = [sys.executable, "-m", "jobs.testing", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait()


@contextmanager
def site(stub: str, *, workers: int = 2, limits: str = "") -> Iterator[Site]:
    """A fresh home with a server, a keeper and workers; ``limits`` are lines of the connection's table."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        (Path(folder) / "kv").mkdir()
        (home / "connections.toml").write_text(f'[stub]\nbase_url = "{stub}"\nmodels = ["stub-model"]\n{limits}\n')
        with valkey(Path(folder) / "kv") as redis:
            here = Site(home, redis, stub, workers=workers)
            try:
                yield here
            finally:
                here.close()


def messages(count: int) -> list[str]:
    """Rows that all differ."""
    return [f"message number {number}" for number in range(count)]


def say(name: str, words: str, *, ok: bool) -> int:
    """Print a benchmark's one line; its exit code."""
    sys.stdout.write(f"{name}: {words}: {'ok' if ok else 'NOT GOOD ENOUGH'}\n")
    sys.stdout.flush()
    return 0 if ok else 1
