import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs import errors, processes
from workbench.supervisor import Part, Supervisor

CHILD = """
import os, signal, subprocess, sys, threading, time
from pathlib import Path
from jobs import processes
name, mode, home, fd = sys.argv[1], sys.argv[2], Path(sys.argv[4]), int(sys.argv[6])
leave = threading.Event()
if mode == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: leave.set())
processes.end_with_parent(fd, processes.stop_by_signal, within=1.0)
if mode == "broken":
    sys.exit(f"{name}: there is no such thing")
if mode == "parent" and os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    (home / "grandchild").write_text(str(os.getpid()))
    threading.Event().wait()
(home / f"{name}.ready").write_text(str(os.getpid()))
leave.wait()
with (home / "left").open("a") as out:
    out.write(name + " ")
"""


class House:
    """A supervisor of small stand-ins, and what it said."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.said: list[str] = []
        self.news = threading.Condition()
        self.supervisor = Supervisor(home, output=home / "logs", say=self.say)
        self.watcher: threading.Thread | None = None
        self.failure: errors.EngineDown | None = None

    def say(self, line: str) -> None:
        with self.news:
            self.said.append(line)
            self.news.notify_all()

    def part(self, name: str, mode: str = "plain", *, grace: float = 5.0, needed: bool = True) -> Part:
        ready = self.home / f"{name}.ready"

        def command(fd: int) -> list[str]:
            ready.unlink(missing_ok=True)
            return [sys.executable, "-c", CHILD, name, mode, "--home", str(self.home), "--parent-fd", str(fd), "."]

        return Part(name=name, command=command, ready=ready.exists, grace=grace, needed=needed)

    def watch(self) -> None:
        def keep() -> None:
            try:
                self.supervisor.watch()
            except errors.EngineDown as error:
                self.failure = error
                self.say(error.message)

        self.watcher = threading.Thread(target=keep)
        self.watcher.start()

    def heard(self, words: str, *, times: int = 1, within: float = 20.0) -> None:
        with self.news:
            assert self.news.wait_for(lambda: sum(words in line for line in self.said) >= times, within), self.said

    def kill(self, name: str) -> int:
        pid = self.supervisor.pids()[name]
        os.kill(pid, signal.SIGKILL)
        return pid

    def close(self) -> None:
        self.supervisor.stop()
        if self.watcher is not None:
            self.watcher.join(10)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()
    assert processes.family(tmp_path) == []


def until(true: Callable[[], object], within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def test_stops_in_reverse(house: House) -> None:
    """What was started last ends first."""
    for name in ("one", "two", "three"):
        house.supervisor.start(house.part(name))

    house.supervisor.stop()

    assert (house.home / "left").read_text().split() == ["three", "two", "one"]
    assert house.supervisor.pids() == {}


def test_restarts(house: House) -> None:
    """A part that is killed comes back, at once the first time, with a notice that says how it ended."""
    house.supervisor.start(house.part("one"))
    house.supervisor.start(house.part("two"))
    house.watch()
    before = house.supervisor.pids()

    house.kill("one")
    house.heard("one is up again")

    after = house.supervisor.pids()
    assert house.said[0] == "one ended (killed by SIGKILL); starting it again"
    assert after["one"] != before["one"]
    assert after["two"] == before["two"]


def test_gives_up(house: House) -> None:
    """A needed part that ends five times within a minute ends the watch, with its last words and where to read more."""
    house.supervisor.start(house.part("one"))
    house.watch()
    for times in range(1, 6):
        until(lambda: house.supervisor.pids().get("one"))
        house.kill("one")
        house.heard("one ended", times=times)

    house.heard("one ended 5 times within 60 s, last killed by SIGKILL")
    assert house.failure is not None


def test_goes_on_without(house: House) -> None:
    """A part that is not needed is given up and the others stay."""
    house.supervisor.start(house.part("one"))
    house.supervisor.start(house.part("extra", needed=False))
    house.watch()
    for times in range(1, 6):
        until(lambda: house.supervisor.pids().get("extra"))
        house.kill("extra")
        house.heard("extra ended", times=times)

    house.heard("going on without it")
    assert house.failure is None
    assert list(house.supervisor.pids()) == ["one"]


def test_false_start(house: House) -> None:
    """A part that cannot start says why, in its own last words."""
    with pytest.raises(
        errors.EngineDown, match=r"one did not start: exit code 1: one: there is no such thing\nmore in .*one.out"
    ):
        house.supervisor.start(house.part("one", "broken"))


def test_missing_program(house: House) -> None:
    """A command that does not exist is told as such."""
    with pytest.raises(errors.EngineDown, match="FileNotFoundError"):
        house.supervisor.start(Part(name="one", command=lambda fd: ["/nowhere/at-all", str(fd)]))


def test_never_answers(house: House) -> None:
    """A part that lives and never answers is given up after its time."""
    part = Part(name="one", command=house.part("one").command, ready=lambda: False, start_within=0.5)

    with pytest.raises(errors.EngineDown, match="one did not answer within 0.5 s"):
        house.supervisor.start(part)


@pytest.mark.timeout(60)
def test_deaf_part_is_killed(house: House) -> None:
    """A part that does not heed SIGTERM is killed after its grace time."""
    house.supervisor.start(house.part("one", "deaf", grace=0.3))

    began = time.monotonic()
    house.supervisor.stop()

    assert time.monotonic() - began >= 0.3
    assert house.supervisor.pids() == {}


def test_hurry(house: House) -> None:
    """In a hurry nothing waits for a grace time."""
    house.supervisor.start(house.part("one", "deaf", grace=600.0))
    stopping = threading.Thread(target=house.supervisor.stop)
    stopping.start()

    house.supervisor.hurry()
    stopping.join(60)

    assert not stopping.is_alive()


def test_what_a_killed_part_left(house: House) -> None:
    """Before a part starts again, what its last process left behind is ended."""
    house.supervisor.start(house.part("one", "parent"))
    grandchild = house.home / "grandchild"
    until(lambda: grandchild.exists() and grandchild.read_text())
    house.watch()
    left = int(grandchild.read_text())
    assert processes.is_ours(left, house.home)

    house.kill("one")
    house.heard("one is up again")

    assert not processes.is_ours(left, house.home)


def test_output_is_kept_apart(house: House) -> None:
    """What a part prints goes to a file that only the owner reads, turned over when it has grown."""
    file = house.home / "logs" / "one.out"
    file.parent.mkdir()
    file.write_bytes(b"x" * 2_100_000)

    house.supervisor.start(house.part("one"))

    assert file.stat().st_size == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.with_suffix(".out.1").exists()


STARTER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_supervisor import House
house = House(Path(sys.argv[1]))
house.supervisor.start(house.part("one"), house.part("two", "deaf"))
print("up", flush=True)
house.supervisor.watch()
"""


@pytest.mark.crash
def test_killed_starter_leaves_nothing(tmp_path: Path) -> None:
    """However the starter goes, its children end by themselves."""
    here = str(Path(__file__).parent)
    with subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path), here], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"up\n"
        assert len(processes.family(tmp_path)) == 2

        starter.kill()

    until(lambda: processes.family(tmp_path) == [])
