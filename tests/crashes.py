"""A home whose parts are real processes that a test ends with SIGKILL in the middle of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from redis import Redis

from jobs import settings as settings_module
from jobs.api import Engine
from jobs.api.launch import Launch
from jobs.keys import GROUP, Keys
from jobs.options import RunOptions
from jobs.settings import Settings
from jobs.testing import StubProvider
from jobs.views.runs import Run
from tests.house import CONTENT, Processes, lanes_of, table, wait_until

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


def held(settings: Settings, lanes: Sequence[int] | None = None) -> int:
    """Calls that these lanes, or all, have taken and not handed back; what a dead lane held stays its own until its lease is over."""
    with Redis.from_url(settings.redis_address) as redis:
        found = redis.xinfo_consumers(Keys(settings.home_id).calls, GROUP)
    return sum(one["pending"] for one in found if lanes is None or int(one["name"].decode().split("-")[-2]) in lanes)
