"""A home at work inside a test: a real Valkey, a real SQLite file, a real keeper and lanes, and the stub as the provider.

``Home`` runs the keeper step by step in the test's own thread and its lanes in another, so that a test says when what happens
and waits for a state, never for a time. ``Processes`` runs the same parts as real processes, for tests that kill them.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from jobs import processes
from jobs import settings as settings_module
from jobs.api import Engine
from jobs.api.launch import Launch
from jobs.keeper import Keeper
from jobs.lane import Lane
from jobs.messages import LaneArguments
from jobs.options import RunOptions
from jobs.settings import Settings
from jobs.testing import StubProvider
from jobs.values import VersionContent
from jobs.views.datasets import Dataset
from jobs.views.prompts import Version
from jobs.views.runs import Run
from workbench import local_valkey

#: no test waits longer than this for a state
PATIENCE = 60.0
#: calls in flight of a ``Place``'s runs
PLACE_IN_FLIGHT = 10

CONTRACT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "sentiment": {"type": "string", "enum": ["good", "bad"]},
        "words": {"type": "integer", "minimum": 0},
    },
    "required": ["sentiment", "words"],
    "additionalProperties": False,
}
TEMPLATE = "system:\nAnswer with one JSON object.\n\nuser:\n{{ text }}\n"
CONTENT = VersionContent(template=TEMPLATE, contract=CONTRACT, response_format="json_schema", max_tokens=100)


def wait_until(ready: Callable[[], bool], *, patience: float = PATIENCE) -> None:
    """Come back when it is so; fail when it never is."""
    end = time.monotonic() + patience
    while not ready():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


@contextmanager
def valkey(home: Path) -> Iterator[str]:
    """A real server with its data in a folder; its address."""
    here = Settings(home=home, prompts=home)
    process = subprocess.Popen(local_valkey.prepare(here), stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: _answers(here.redis_address))
        yield here.redis_address
    finally:
        process.kill()
        process.wait()


def _answers(address: str) -> bool:
    try:
        with Redis.from_url(address) as redis:
            return bool(redis.ping())
    except (RedisError, OSError):
        return False


def table(rows: Sequence[str]) -> str:
    """A CSV with the columns id and text."""
    return "id,text\n" + "".join(f'{number},"{text}"\n' for number, text in enumerate(rows, 1))


class Home:
    """One home with everything that it needs, in this process."""

    def __init__(
        self,
        folder: Path,
        redis_address: str,
        stub: StubProvider,
        *,
        lanes: int = 1,
        in_flight: int = 8,
        key_env: str | None = None,
        of_stub: str = "",
        more: str = "",
        now: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.folder, self.stub = folder, stub
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "connections.toml").write_text(
            f'[stub]\nbase_url = "{stub.base_url}"\nmodels = ["stub-model"]\nin_flight = {in_flight}\n'
            + (f'key_env = "{key_env}"\n' if key_env else "")
            + of_stub
            + '[stub.prices."*"]\ninput = 1.0\noutput = 2.0\n'
            + more
        )
        environ = {"REDIS_URL": redis_address}
        self.settings = settings_module.load(folder, folder / "prompts", environ)
        os.environ["REDIS_URL"] = redis_address
        self.engine = Engine(self.settings)
        self.keeper = Keeper(self.settings, now=now, chance=chance)
        self.keeper.step()
        self._lanes = [_LaneThread(self.settings) for _ in range(lanes)]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        self.keeper.run(self._stop.is_set)

    def close(self) -> None:
        for lane in self._lanes:
            lane.stop()
        self._stop.set()
        self._thread.join()
        self.keeper.close()
        self.engine.close()

    def dataset(self, rows: Sequence[str], name: str = "t.csv") -> Dataset:
        file = self.folder / name
        file.write_text(table(rows), "utf-8")
        return self.engine.datasets.add(file)

    def version(self, content: VersionContent = CONTENT, name: str = "task") -> Version:
        return self.engine.prompts.save(name, content, note="for a test")

    def start(self, rows: Sequence[str] | Dataset, *, version: Version | None = None, **rest: Any) -> int:
        dataset = rows if isinstance(rows, Dataset) else self.dataset(rows)
        key = rest.pop("key", os.urandom(8).hex())
        launch = Launch(
            version=version or self.version(),
            dataset=dataset,
            connection=self.settings.connection("stub"),
            **{"options": RunOptions(), **rest},
        )
        return self.engine.runs.start(launch, key=key)

    def ended(self, run: int) -> Run:
        """The run, when it has ended."""
        wait_until(lambda: self.engine.runs.get(run).ended_at is not None)
        return self.engine.runs.get(run)

    def until(self, run: int, ready: Callable[[Run], bool]) -> Run:
        """The run, when it is so."""
        wait_until(lambda: ready(self.engine.runs.get(run)))
        return self.engine.runs.get(run)

    def went(self, rows: Sequence[str], **rest: Any) -> Run:
        """A run over these rows, ended."""
        return self.ended(self.start(rows, **rest))


class _LaneThread:
    """A lane in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(settings)), daemon=True)
        self._thread.start()
        self._ready.wait()

    async def _main(self, settings: Settings) -> None:
        self._loop = asyncio.get_running_loop()
        self._lane = Lane(settings, LaneArguments(home=settings.home_id))
        self._ready.set()
        await self._lane.run()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._lane.stop)
        self._thread.join(timeout=20)


def lanes_of(worker: int) -> list[int]:
    """The processes of a worker's lanes."""
    return [process.pid for process in processes.table() if process.parent == worker]


class Processes:
    """The keeper and workers of a home as real processes, to be killed and started again."""

    def __init__(self, settings: Settings, redis_address: str, *, workers: int = 2) -> None:
        self._settings = settings
        self._environ = {**os.environ, "REDIS_URL": redis_address}
        self.keeper = self.start("keeper")
        self.workers = [self.start("worker") for _ in range(workers)]

    @classmethod
    def none(cls) -> Processes:
        """No processes, where somebody else runs them."""
        nobody = cls.__new__(cls)
        nobody.workers = []
        return nobody

    def start(self, part: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "jobs", part, "--home", str(self._settings.home)]
        return subprocess.Popen(command, env=self._environ)

    def close(self) -> None:
        parts = [part for part in (getattr(self, "keeper", None), *self.workers) if part is not None]
        for part in parts:
            part.terminate()
        for part in parts:
            part.wait(timeout=30)


class Place:
    """A home whose keeper and worker are processes, with a Redis of its own that can be taken away."""

    def __init__(self, folder: Path, stub: StubProvider, *, of_stub: str = "") -> None:
        self.kv = Settings(home=folder / "kv", prompts=folder)
        home = folder / "home"
        home.mkdir(parents=True)
        self.kv.home.mkdir()
        (home / "connections.toml").write_text(f'[stub]\nbase_url = "{stub.base_url}"\nmodels = ["m"]\n{of_stub}')
        self.settings = settings_module.load(home, home / "prompts", {"REDIS_URL": self.kv.redis_address})
        self.stub = stub
        self.server: subprocess.Popen[bytes] | None = None
        self.parts = Processes(self.settings, self.kv.redis_address, workers=0)
        self.engine = Engine(self.settings, patience=60)

    def serve(self) -> None:
        """Start Redis with what is in its folder."""
        self.server = subprocess.Popen(local_valkey.prepare(self.kv), stdout=subprocess.DEVNULL)
        wait_until(lambda: local_valkey.answers(self.kv.redis_socket))

    def work(self) -> None:
        """Start a worker, as a starter does that keeps Redis up as well."""
        read, self._pipe = os.pipe()
        command = [sys.executable, "-m", "jobs", "worker", "--home", str(self.settings.home), "--parent-fd", str(read)]
        environ = {**os.environ, "REDIS_URL": self.kv.redis_address}
        self.parts.workers.append(subprocess.Popen(command, env=environ, pass_fds=(read,)))
        os.close(read)

    def start(self, rows: int | Sequence[str], *, options: RunOptions | None = None, key: str = "run") -> int:
        file = self.settings.home / "t.csv"
        file.write_text(table([f"row {number}" for number in range(rows)] if isinstance(rows, int) else rows))
        return self.engine.runs.start(
            Launch(
                version=self.engine.prompts.save("task", CONTENT, note="n"),
                dataset=self.engine.datasets.add(file),
                connection=self.settings.connection("stub"),
                options=options or RunOptions(in_flight=PLACE_IN_FLIGHT),
            ),
            key=key,
        )

    def at(self, run: int, accepted: int) -> None:
        wait_until(lambda: self.engine.runs.get(run).counts.accepted >= accepted)

    def ended(self, run: int) -> Run:
        wait_until(lambda: self.engine.runs.get(run).ended_at is not None)
        return self.engine.runs.get(run)

    def ails(self) -> str:
        """What keeps the keeper from its work: its kind."""
        trouble = self.engine.system.trouble()
        return trouble.kind if trouble is not None else ""

    def log(self, part: str) -> str:
        file = self.settings.logs / f"{part}.jsonl"
        return file.read_text() if file.exists() else ""

    def said(self, action: str) -> int:
        """How often the keeper's log has said that."""
        return self.log("keeper").count(f'"action": "{action}"')

    def close(self) -> None:
        self.engine.close()
        self.parts.close()
        os.close(self._pipe)
        if self.server is not None:
            self.server.kill()
            self.server.wait()


def assert_whole(engine: Engine, run: Run, stub: StubProvider, *, paid_again: int) -> None:
    """Every row has one value, and no more was paid than may be."""
    assert (run.state, run.counts.accepted) == ("finished", run.counts.rows)
    applied = engine._house.read().execute(
        "SELECT count(*), count(DISTINCT ordinal) FROM attempts WHERE run = ? AND verdict = 'accepted' AND NOT superseded",
        [run.id],
    )
    assert applied.fetchone() == (run.counts.rows, run.counts.rows)
    asked = Counter(entry.user for entry in stub.ledger.entries)
    assert sum(asked.values()) - len(asked) <= paid_again, "more was paid again than may be"
