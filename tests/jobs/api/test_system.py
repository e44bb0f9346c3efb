"""engine.system: what needs somebody, and how the parts are, also when they are away."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from jobs import dispatch, outcomes
from jobs.api import Engine
from jobs.keys import Keys
from jobs.settings import Connection, Settings
from jobs.store import reading_costs, reading_system
from jobs.views.costs import CallFilter
from tests.jobs.ledger import DAWN, FAULTS, Ledger

AWAY = "redis://127.0.0.1:1/0"


def _settings(folder: Path, **rest: Any) -> Settings:
    return Settings(home=folder / "home", prompts=folder / "prompts", **{"redis_url": AWAY} | rest)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return _settings(tmp_path)


def test_an_overview(engine: Engine, db: Database) -> None:
    """Runs that go on, runs that are stuck, letters that wait, and the money of the last day."""
    ledger = Ledger(db)
    dataset = ledger.dataset(40)
    parent = ledger.run(dataset, ledger.version(), dead=10, faults=FAULTS[:3])
    ledger.replay(parent, ledger.version(number=2), fixed=2, same=1, waiting=2)
    ledger.discard(parent, ledger.dead(parent)[-1:])
    stuck = ledger.run(
        dataset, ledger.version(prompt="company"), rows=5, due=3, state="paused", paused_by="provider", price=None
    )
    ledger.run(dataset, ledger.version(number=3), rows=5, due=3, state="paused", paused_by="person")
    ledger.run(dataset, ledger.version(number=4), rows=5, due=3, kind="try")
    now = ledger.now + 1
    found = engine.system.overview(now)
    assert [run.kind for run in found.active_runs] == ["replay"]
    assert [run.id for run in found.stuck_runs] == [stuck]
    assert [run.id for run in found.recent_runs] == sorted((run.id for run in found.recent_runs), reverse=True)
    assert {run.kind for run in found.recent_runs} == {"run", "replay"}
    assert found.open_letters == engine.letters.list()[1] == 4 + 1
    assert (found.replaying_letters, found.resolved_24h) == (2, 3)
    assert found.new_letters_24h == engine.letters.list(resolution=None)[1]
    calls = db.execute("SELECT COUNT(*), SUM(cost), SUM(cost IS NULL) FROM calls").fetchone()
    assert (found.calls_24h, found.unpriced_calls_24h) == (calls[0], calls[2])
    assert found.spend_24h == pytest.approx(calls[1])
    assert found.unpriced_calls_24h == 2
    assert (found.datasets, found.prompts) == (1, 2)


def test_the_last_day_is_the_last_day(engine: Engine, db: Database) -> None:
    """Two days later nothing is new, resolved or spent, and open letters still wait."""
    ledger = Ledger(db)
    run = ledger.run(ledger.dataset(20), ledger.version(), dead=4)
    ledger.discard(run, ledger.dead(run)[:1])
    found = engine.system.overview(ledger.now + 2 * 24 * 3600)
    assert (found.open_letters, found.new_letters_24h, found.resolved_24h, found.calls_24h, found.spend_24h) == (
        3,
        0,
        0,
        0,
        0.0,
    )


def test_an_empty_home(engine: Engine) -> None:
    """Nothing is nothing, and no error."""
    found = engine.system.overview(DAWN)
    assert (found.active_runs, found.open_letters, found.calls_24h, found.spend_24h) == ((), 0, 0, 0.0)


def test_a_redis_that_is_away(engine: Engine) -> None:
    """The look says that it is not alive, and there are no live replies; nothing raises."""
    found = engine.system.look()
    assert not found.redis_alive and found.redis_version is None
    assert (found.lanes, found.workers, found.calls_waiting) == ((), (), 0)
    assert engine.system.live(1) == []
    assert found.versions["sqlite"] and found.versions["redis"] and found.database_bytes > 0


def test_a_redis_that_is_there(tmp_path: Path, redis_address: str) -> None:
    """The look tells the server's version and what waits; live replies can be printed whatever is in them."""
    settings = _settings(tmp_path, redis_url=redis_address)
    keys = Keys(settings.home_id)
    dispatch.Tray(dispatch.connect(redis_address), keys).open()

    async def show() -> None:
        async with dispatch.connect_async(redis_address) as redis:
            await outcomes.show_live(redis, keys, run=7, ordinal=2, text='{"a": "\ud83d', done=False)
            await outcomes.show_live(redis, keys, run=7, ordinal=1, text="{}", done=True)

    asyncio.run(show())
    with Engine(settings) as engine:
        found = engine.system.look()
        assert found.redis_alive and found.redis_version
        assert (found.calls_waiting, found.outcomes_waiting) == (0, 0)
        live = engine.system.live(7)
        assert [(one.ordinal, one.text, one.done) for one in live] == [(1, "{}", True), (2, '{"a": "\ufffd', False)]
        assert engine.system.live(8) == []


def test_whether_the_keeper_is_alive(engine: Engine, settings: Settings) -> None:
    """It is while somebody holds the home's lock; looking takes the lock from nobody."""
    assert not engine.system.keeper_alive()
    descriptor = os.open(settings.home / "keeper.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        assert not engine.system.keeper_alive()
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert engine.system.keeper_alive()
        assert engine.system.look().keeper_alive
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        assert not engine.system.keeper_alive()
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)


OPENAI = Connection(name="openai", models=("gpt-4o-mini",), key_env="OPENAI_API_KEY")
VLLM = Connection(name="vllm", base_url="http://10.0.0.5:8000/v1")


@pytest.mark.parametrize(
    ("connections", "words"),
    [
        ([OPENAI, VLLM], "gpt-4o-mini at api.openai.com (connection openai)"),
        ([VLLM], "the model that is chosen with a run at 10.0.0.5:8000 (connection vllm)"),
        ([], "no model is connected: set OPENAI_API_KEY"),
    ],
)
def test_which_model_answers(tmp_path: Path, connections: list[Connection], words: str) -> None:
    """The first connection's first model, or what to do to have one."""
    settings = _settings(tmp_path, connections={one.name: one for one in connections})
    with Engine(settings) as engine:
        assert engine.system.model_in_words().startswith(words)
        assert [one.name for one in engine.system.connections()] == [one.name for one in connections]


def test_the_embedded_model_is_named_while_it_is_up(tmp_path: Path) -> None:
    """Without any connection the embedded model appears as soon as its server does, without a restart."""
    settings = _settings(tmp_path)
    with Engine(settings) as engine:
        assert engine.system.connections() == []
        (settings.home / "model.json").write_text(
            f'{{"address": "http://127.0.0.1:9/v1", "model": "SmolLM2-135M", "pid": 1, "starter": {os.getpid()}}}'
        )
        assert engine.system.model_in_words() == "SmolLM2-135M, served on this machine"
        assert [one.is_embedded for one in engine.system.connections()] == [True]


def test_a_connection_without_its_key_says_so(tmp_path: Path) -> None:
    """The variable is named, its value never."""
    with Engine(_settings(tmp_path, connections={"openai": OPENAI})) as engine:
        (found,) = engine.system.look().connections
    assert "OPENAI_API_KEY" in found["problem"]
    assert found["name"] == "openai"
    assert found["prices"]["gpt-4o-mini"].output > 0


def test_queries_use_the_indexes(db: Database) -> None:
    """The overview's figures never walk a whole table of letters or calls."""
    Ledger(db).run(Ledger(db).dataset(20), Ledger(db).version(), dead=4)
    asked: list[tuple[str, Any]] = []
    with db.tracer(lambda sql, params: asked.append((sql, params))):
        reading_system.letters(db, since=DAWN)
        reading_costs.whole(db, CallFilter(since=DAWN, until=DAWN + 190))
    for sql, params in asked:
        plan = [row[3] for row in db.conn.execute(f"EXPLAIN QUERY PLAN {sql}", params or [])]
        walks = ("SCAN dead_letters", "SCAN calls", "SCAN tallies", "SCAN a", "SCAN c", "SCAN d")
        assert not [step for step in plan if step.startswith(walks)], (plan, sql)
