"""What goes wrong around a run, and what is kept: Redis, the disk, the file, the clock, and programs of another version.

The parts are real, and so are the mishaps. The README's table "What goes wrong" names these tests.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from redis import Redis

from jobs import errors, processes
from jobs import settings as settings_module
from jobs.api import Engine
from jobs.keys import Keys
from jobs.messages import WIRE
from jobs.testing import StubProvider, marked
from tests.house import CONTENT, CONTRACT, PLACE_IN_FLIGHT, Home, Place, assert_whole, table, valkey, wait_until

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]

GOOD = {"sentiment": "good", "words": 2}
ROOT = Path(__file__).parent.parent


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with StubProvider(marked, answer=GOOD, latency=0.05) as stub:
        yield stub


@pytest.fixture
def place(tmp_path: Path, stub: StubProvider) -> Iterator[Place]:
    place = Place(tmp_path, stub)
    yield place
    place.close()


# -- Redis -------------------------------------------------------------------------------------------------------------


def test_a_dead_redis_is_said_in_one_sentence(tmp_path: Path) -> None:
    """A command that finds no Redis at its address says so, exits with 1, and leaves no run and no process behind."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers there
        url = f"redis://127.0.0.1:{taken.getsockname()[1]}"
        (tmp_path / "t.csv").write_text(table(["a", "b"]))
        prompts = tmp_path / "prompts" / "task"
        prompts.mkdir(parents=True)
        (prompts / "prompt.md").write_text("{{ text }}\n")
        (prompts / "schema.json").write_text(json.dumps(CONTRACT))
        home = tmp_path / "home"
        words = ["run", str(tmp_path / "t.csv"), "--prompt", "task", "--prompts", str(prompts.parent)]
        done = redrive(*words, "--home", str(home), "--json", REDIS_URL=url, OPENAI_API_KEY="none-of-yours")

    assert (done.returncode, done.stdout) == (1, "")
    (sentence,) = done.stderr.strip().splitlines()
    assert sentence.startswith(f"redrive: REDIS_URL ({url}) is of no use")
    assert processes.family(home) == []
    with Engine(settings_module.load(home, prompts.parent, {})) as engine:
        assert engine.runs.list() == ([], 0)


def test_who_is_there_before_redis_waits_for_it(place: Place) -> None:
    """The keeper says what it waits for, where people look and once in its log; when Redis comes, the run goes to its end."""
    place.work()
    wait_until(lambda: place.ails() == "redis" and "redis_away" in place.log("worker"))
    place.serve()
    run = place.ended(place.start(20))

    assert_whole(place.engine, run, place.stub, paid_again=0)
    assert place.ails() == ""
    assert (place.said("redis_fails"), place.said("redis_works")) == (1, 1)


def test_a_redis_that_comes_back_empty_loses_no_row(place: Place) -> None:
    """Emptied under way, then killed and started without its data: the run ends with every row, none applied twice."""
    place.serve()
    place.work()
    run = place.start(240)
    place.at(run, 40)
    with Redis.from_url(place.kv.redis_address) as redis:
        redis.flushall()
    place.at(run, 110)
    assert place.server is not None
    place.server.kill()
    place.server.wait()
    shutil.rmtree(place.kv.home / "valkey")
    place.serve()

    # what was under way, and what had come back and was not recorded yet, both times
    assert_whole(place.engine, place.ended(run), place.stub, paid_again=4 * PLACE_IN_FLIGHT)


def test_a_redis_that_has_no_room(tmp_path: Path, stub: StubProvider) -> None:
    """It refuses whatever would make it grow: replies stay with their lanes, people read its words, and nothing is paid again."""
    (tmp_path / "kv").mkdir()
    with valkey(tmp_path / "kv") as address, Redis.from_url(address) as redis:
        home = Home(tmp_path / "home", address, stub)
        try:
            run = home.start([f"row {number}" for number in range(100)])
            home.until(run, lambda seen: seen.counts.accepted >= 20)
            redis.config_set("maxmemory", 1)
            wait_until(lambda: home.keeper._note.trouble is not None)
            trouble = home.keeper._note.trouble
            redis.config_set("maxmemory", 0)
            assert_whole(home.engine, home.ended(run), stub, paid_again=0)
        finally:
            home.close()

    assert trouble is not None and trouble.kind == "redis" and "maxmemory" in trouble.words


# -- the disk ----------------------------------------------------------------------------------------------------------


@contextmanager
def full_disk(process: int, *, room: int = 5_000) -> Iterator[None]:
    """No file that this process writes can grow beyond ``room`` bytes while inside: what a full disk is to it."""
    before = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.prlimit(process, resource.RLIMIT_FSIZE, before)


needs_prlimit = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="no way to fill a disk for one process")


@needs_prlimit
def test_a_full_disk_loses_nothing(place: Place) -> None:
    """Outcomes wait in Redis, people are told although not even a log can be written, and with room it goes on by itself."""
    place.serve()
    place.work()
    run = place.start(150)
    place.at(run, 30)
    with full_disk(place.parts.keeper.pid):
        wait_until(lambda: place.ails() == "store")
        wait_until(lambda: place.engine.system.look().outcomes_waiting > 0)
        before = place.engine.runs.get(run).counts.accepted
        assert place.parts.keeper.poll() is None
    done = place.ended(run)

    assert 30 <= before < 150
    assert_whole(place.engine, done, place.stub, paid_again=0)
    assert place.ails() == "" and place.said("store_works") == 1


@needs_prlimit
def test_an_import_that_meets_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """It is refused in one sentence, nothing of the table can be seen, and with room the same file is taken in whole."""
    file, home = tmp_path / "t.csv", tmp_path / "home"
    file.write_text(table([f"row {number} " + "x" * 200 for number in range(20_000)]))
    prompts = tmp_path / "prompts" / "task"
    prompts.mkdir(parents=True)
    (prompts / "prompt.md").write_text("{{ text }}\n")
    (prompts / "schema.json").write_text(json.dumps(CONTRACT))
    words = ["run", str(file), "--prompt", "task", "--prompts", str(prompts.parent), "--home", str(home)]
    done = redrive(*words, OPENAI_API_KEY="none-of-yours", room=1_500_000)

    assert done.returncode == 1
    (sentence,) = done.stderr.strip().splitlines()
    assert "t.csv" in sentence and str(home) in sentence and "room" in sentence
    with Engine(settings_module.load(home, prompts.parent, {})) as engine:
        assert [one for one in engine.datasets.list() if one.state == "ready"] == []
        other = tmp_path / "u.csv"
        other.write_text(table(["a"]))
        engine.datasets.add(other)
        assert [one.name for one in engine.datasets.list()] == ["u.csv"], "the next intake clears what was left"
        assert engine.datasets.add(file).row_count == 20_000


@needs_prlimit
def test_a_start_on_a_full_disk(tmp_path: Path) -> None:
    """The starter says in one sentence what it cannot write, exits with 1, and leaves nothing running."""
    done = redrive("up", "--no-web", "--home", str(tmp_path / "home"), "--json", room=0)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip().splitlines()[-1].startswith(f"redrive: {tmp_path / 'home'} cannot be")
    assert processes.family(tmp_path / "home") == []


# -- the file ----------------------------------------------------------------------------------------------------------

HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_file_that_another_program_holds(tmp_path: Path, redis_address: str, stub: StubProvider) -> None:
    """The keeper says who keeps it waiting, reading goes on, a write is refused in words, and nothing is lost or paid again."""
    home = Home(tmp_path / "home", redis_address, stub)
    try:
        run = home.start([f"row {number}" for number in range(120)])
        home.until(run, lambda seen: seen.counts.accepted >= 20)
        command = [sys.executable, "-c", HOLD, str(home.settings.database)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None and other.stdin is not None
            other.stdout.readline()
            wait_until(lambda: home.keeper._note.trouble is not None)
            trouble = home.keeper._note.trouble
            home.engine._house._writer.execute("PRAGMA busy_timeout = 50")
            with pytest.raises(errors.StoreDown, match="another program holds"):
                home.engine.prompts.save("another", CONTENT, note="n")
            seen = home.engine.runs.get(run)
            overview = home.engine.system.overview(time.time())
            other.stdin.close()
        home.engine.prompts.save("another", CONTENT, note="n")
        assert_whole(home.engine, home.ended(run), stub, paid_again=0)
    finally:
        home.close()

    assert trouble is not None and "another program holds" in trouble.words
    assert 20 <= seen.counts.accepted < 120 and overview.active_runs


def test_a_store_that_a_newer_version_changes_under_the_keeper(
    tmp_path: Path, redis_address: str, stub: StubProvider
) -> None:
    """It says what has happened and what to do; replies wait until a keeper that knows the tables is there."""
    home = Home(tmp_path / "home", redis_address, stub)
    try:
        run = home.start([f"row {number}" for number in range(120)])
        home.until(run, lambda seen: seen.counts.accepted >= 20)
        with closing(sqlite3.connect(home.settings.database, timeout=30)) as newer:
            newer.execute("BEGIN IMMEDIATE")  # else a step between the two meets tables that nobody's version has
            newer.execute("ALTER TABLE calls RENAME COLUMN wasted TO squandered")
            newer.execute(
                "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('redrive', 'm999', '')"
            )
            newer.commit()
            wait_until(lambda: home.keeper._note.trouble is not None)
            trouble = home.keeper._note.trouble
            newer.execute("DELETE FROM _sqlite_migrations WHERE name = 'm999'")
            newer.execute("ALTER TABLE calls RENAME COLUMN squandered TO wasted")
            newer.commit()
        assert_whole(home.engine, home.ended(run), stub, paid_again=0)
    finally:
        home.close()

    assert trouble is not None and trouble.kind == "store" and "newer version of Redrive" in trouble.words


# -- the clock ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_jumps(tmp_path: Path, redis_address: str, stub: StubProvider, hours: int) -> None:
    """Rows that wait for their time do not wait for the hour, none dies, and no time is below zero."""
    jumped = 0.0
    stub.latency = 0.2
    home = Home(tmp_path / "home", redis_address, stub, now=lambda: time.time() + jumped)
    try:
        run = home.start([f"row {number} {'[[429 1]]' if number % 3 == 0 else ''}" for number in range(60)])
        home.until(run, lambda seen: seen.counts.accepted >= 10)
        wait_until(lambda: waiting(home, run) > 0)
        jumped = hours * 3600.0
        done = home.ended(run)
        times = home.engine._house.read().execute("SELECT min(seconds), min(queue_seconds) FROM calls").fetchone()
    finally:
        home.close()

    assert (done.state, done.counts.accepted, done.counts.dead) == ("finished", 60, 0)
    assert min(times) >= 0 and done.seconds >= 0
    assert done.calls == 60 + 20 == len(stub.ledger.entries)


def waiting(home: Home, run: int) -> int:
    """Rows that wait for a time."""
    query = "SELECT count(*) FROM run_rows WHERE run = ? AND state = 'due' AND due_at > 0"
    return int(home.engine._house.read().execute(query, [run]).fetchone()[0])


# -- another version ---------------------------------------------------------------------------------------------------


def test_a_worker_of_another_version_leaves_calls_to_the_others(
    tmp_path: Path, redis_address: str, stub: StubProvider
) -> None:
    """It takes nothing, says so in its log and on the page of the system, and with a right lane there all rows end."""
    other = tmp_path / "other"
    shutil.copytree(ROOT / "jobs", other / "jobs", ignore=shutil.ignore_patterns("__pycache__"))
    messages = other / "jobs" / "messages.py"
    messages.write_text(messages.read_text().replace(f"\nWIRE = {WIRE}\n", f"\nWIRE = {WIRE + 1}\n"))
    home = Home(tmp_path / "home", redis_address, stub)
    command = [sys.executable, "-m", "jobs", "worker", "--home", str(home.settings.home)]
    worker = subprocess.Popen(command, env={**os.environ, "REDIS_URL": redis_address}, cwd=other)
    log = home.settings.logs / "worker.jsonl"
    try:
        wait_until(lambda: log.exists() and "keeper of another version" in log.read_text())
        (strange,) = home.engine.system.look().workers
        run = home.went([f"row {number}" for number in range(60)])
        assert_whole(home.engine, run, stub, paid_again=0)
        lanes = home.engine._house.read().execute("SELECT count(DISTINCT lane) FROM calls").fetchone()
    finally:
        worker.terminate()
        worker.wait(timeout=30)
        home.close()

    assert (strange["pid"], strange["fits"], lanes) == (worker.pid, False, (1,))


def test_calls_of_another_version(
    tmp_path: Path, redis_address: str, stub: StubProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """A lane hands them on as they are and says so; the keeper clears away what it has not put there, and the run ends whole."""
    home = Home(tmp_path / "home", redis_address, stub)
    try:
        run = home.start([f"row {number}" for number in range(40)])
        home.until(run, lambda seen: seen.counts.accepted >= 4)
        calls = Keys(home.settings.home_id).calls
        with Redis.from_url(redis_address) as redis:
            redis.xadd(calls, {"ask": json.dumps({"wire": WIRE + 1, "run": run, "try_id": "t", "something": "new"})})
            redis.xadd(calls, {"ask": "nonsense"})
            assert_whole(home.engine, home.ended(run), stub, paid_again=0)
            home.keeper._tray.try_ids()
            assert redis.xlen(calls) == 0
    finally:
        home.close()

    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert any("left to other workers: start this worker with the version" in words for words in said)


# -- shared ------------------------------------------------------------------------------------------------------------


def redrive(*words: str, room: int | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own; with ``room``, no file that it writes can grow beyond so many bytes."""

    def limit() -> None:
        if room is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    return subprocess.run(
        [sys.executable, "-m", "workbench.cli", *words],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=limit,
        check=False,
    )
