"""An engine on a home of its own, a ledger to write its past with, and a keeper that only applies requests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlite_utils import Database

from jobs.api import Engine
from jobs.owner import apply_requests
from jobs.settings import Connection, Settings
from jobs.store.database import open_writer
from tests.jobs.ledger import DAWN, Ledger


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    connections = [
        Connection(name="openai", key_env="OPENAI_API_KEY", models=("gpt-4o-mini",)),
        Connection(name="vllm", base_url="https://vllm.example/v1"),
    ]
    return Settings(
        home=tmp_path / "home", prompts=tmp_path / "prompts", connections={one.name: one for one in connections}
    )


@pytest.fixture
def db(settings: Settings) -> Iterator[Database]:
    opened = open_writer(settings.database)
    yield opened
    opened.close()


@pytest.fixture
def ledger(db: Database) -> Ledger:
    return Ledger(db)


@pytest.fixture
def engine(settings: Settings, db: Database) -> Iterator[Engine]:
    with Engine(settings, patience=5.0) as opened:
        yield opened


@pytest.fixture
def keeper(settings: Settings) -> Iterator[None]:
    """Applies every request as the keeper does, and does nothing else."""
    stopped = threading.Event()

    def apply() -> None:
        db = open_writer(settings.database)
        while not stopped.wait(0.005):
            apply_requests(db, now=DAWN)
        db.close()

    thread = threading.Thread(target=apply)
    thread.start()
    yield
    stopped.set()
    thread.join()
