"""Several machines: each has a folder, an environment and a wire of its own, and shares nothing with the others but Redis.

The wires are cut without a word, as a network does it. What the provider's own books say is held against the ledger.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from redis import Redis

from jobs import processes
from jobs import settings as settings_module
from jobs.api import Engine
from jobs.api.launch import Launch
from jobs.limits import LEASE_SECONDS
from jobs.options import RunOptions
from jobs.testing import StubProvider
from tests.house import CONTENT, Processes, assert_whole, table, valkey, wait_until
from tests.wire import Wire, certificate

pytestmark = [pytest.mark.crash, pytest.mark.timeout(170)]
IN_FLIGHT, PASSWORD = 16, "a-password-of-redis"
#: seconds that the provider takes while others start or a lease runs out, so that the run lasts; and when nobody waits any more
SLOW, QUICK = 0.7, 0.02


class Main:
    """The machine with the store: a keeper and a worker, at one end of a wire to Redis."""

    def __init__(self, folder: Path, port: int, stub: StubProvider) -> None:
        folder.mkdir()
        write_connections(folder, stub)
        self.redis = f"redis://:{PASSWORD}@127.0.0.1:{port}"
        self.settings = settings_module.load(folder, folder / "prompts", {"REDIS_URL": self.redis})
        self.parts = Processes(self.settings, self.redis, workers=1)
        self.engine = Engine(self.settings, patience=60)

    def start(self, rows: int) -> int:
        file = self.settings.home / "t.csv"
        file.write_text(table([f"row {number}" for number in range(rows)]))
        return self.engine.runs.start(
            Launch(
                version=self.engine.prompts.save("task", CONTENT, note="n"),
                dataset=self.engine.datasets.add(file),
                connection=self.settings.connection("stub"),
                options=RunOptions(in_flight=IN_FLIGHT),
            ),
            key="run",
        )

    def lanes(self) -> set[str]:
        return {str(lane["name"]) for lane in self.engine.system.look().lanes}

    def accepted(self, run: int) -> int:
        return self.engine.runs.get(run).counts.accepted

    def close(self) -> None:
        self.engine.close()
        self.parts.close()


def write_connections(folder: Path, stub: StubProvider) -> None:
    (folder / "connections.toml").write_text(f'[stub]\nbase_url = "{stub.base_url}"\nmodels = ["m"]\n')


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with StubProvider(latency=0.1) as stub:
        yield stub


@pytest.fixture
def socket(tmp_path: Path) -> Iterator[str]:
    """Redis, as its machine reaches it; with a password."""
    (tmp_path / "kv").mkdir()
    with valkey(tmp_path / "kv") as address:
        with Redis.from_url(address) as redis:
            redis.config_set("requirepass", PASSWORD)
        yield address.removeprefix("unix://")


def worker_at(folder: Path, redis: str, stub: StubProvider) -> subprocess.Popen[bytes]:
    """`redrive worker` on a machine that has nothing but the program and its own connections."""
    folder.mkdir()
    write_connections(folder, stub)
    command = [sys.executable, "-m", "workbench.cli", "worker", "--redis", redis, "--home", str(folder)]
    return subprocess.Popen(command, env={**os.environ, "REDRIVE_HOME": str(folder / "unused")})


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command to make a certificate with")
def test_a_worker_elsewhere_joins_is_cut_off_and_comes_back(tmp_path: Path, socket: str, stub: StubProvider) -> None:
    """It needs only the address of Redis, by TLS; cut off for longer than its lease and back, nothing is lost or applied twice."""
    tls = certificate(tmp_path)
    with Wire(socket) as near, Wire(socket, tls=tls) as far:
        main = Main(tmp_path / "main", near.port, stub)
        url = f"rediss://:{PASSWORD}@127.0.0.1:{far.port}?ssl_ca_certs={quote(str(tls[0]))}"
        elsewhere: subprocess.Popen[bytes] | None = None
        try:
            stub.latency = SLOW
            run = main.start(900)
            wait_until(lambda: main.accepted(run) > IN_FLIGHT)
            (own,) = main.lanes()
            elsewhere = worker_at(tmp_path / "elsewhere", url, stub)
            wait_until(lambda: len(main.lanes()) == 2)
            (guest,) = main.lanes() - {own}
            wait_until(lambda: calls_of(main, guest) > IN_FLIGHT)

            far.cut()
            wait_until(lambda: main.lanes() == {own})
            before = main.accepted(run)
            wait_until(lambda: main.accepted(run) > before + IN_FLIGHT)
            far.mend()
            wait_until(lambda: guest in main.lanes())
            counted = calls_of(main, guest)
            wait_until(lambda: calls_of(main, guest) > counted + IN_FLIGHT)
            stub.latency = QUICK

            wait_until(lambda: main.engine.runs.get(run).ended_at is not None)
            assert_whole(main.engine, main.engine.runs.get(run), stub, paid_again=IN_FLIGHT)
            assert PASSWORD not in commands_of(elsewhere.pid)
            assert not list((tmp_path / "elsewhere").glob("*.db*"))
        finally:
            if elsewhere is not None:
                elsewhere.terminate()
                elsewhere.wait(timeout=30)
            main.close()


def test_redis_stands_still_for_longer_than_a_lease(tmp_path: Path, socket: str, stub: StubProvider) -> None:
    """Everybody waits, what was under way is kept, and when it goes on nothing is asked again."""
    with Wire(socket) as near:
        main = Main(tmp_path / "main", near.port, stub)
        server = next(
            one.pid for one in processes.table() if str(tmp_path / "kv") in one.command and "valkey.conf" in one.command
        )
        try:
            run = main.start(250)
            wait_until(lambda: main.accepted(run) > 50)

            os.kill(server, signal.SIGSTOP)
            pause = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({LEASE_SECONDS + 1.5})"])
            pause.wait()
            os.kill(server, signal.SIGCONT)

            wait_until(lambda: main.engine.runs.get(run).ended_at is not None)
            assert_whole(main.engine, main.engine.runs.get(run), stub, paid_again=0)
        finally:
            os.kill(server, signal.SIGCONT)
            main.close()


def calls_of(main: Main, lane: str) -> int:
    return int(main.engine._house.read().execute("SELECT count(*) FROM calls WHERE lane = ?", [lane]).fetchone()[0])


def commands_of(pid: int) -> str:
    """The command lines of a process and its children, as anybody on its machine can read them."""
    return " ".join(one.command for one in processes.table() if pid in (one.pid, one.parent))
