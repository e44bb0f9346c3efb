import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jobs import processes

SLEEPER = """
import signal, sys, threading
from jobs import processes
fd = int(sys.argv[sys.argv.index("--parent-fd") + 1])
mode = sys.argv[1]
if mode == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
stop = (lambda: None) if mode == "deaf" else processes.stop_by_signal
processes.end_with_parent(fd, stop, within=0.3)
print("ready", flush=True)
threading.Event().wait()
"""


class Children:
    """Starts children as a starter does; all of them end with the test."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe()
        self.started: list[subprocess.Popen[str]] = []

    def start(self, home: Path, mode: str = "plain") -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", SLEEPER, mode, "--home", str(home), "--parent-fd", str(self.read)],
            pass_fds=(self.read,),
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        return child

    def leave(self) -> None:
        """As if the starter were gone."""
        os.close(self.write)
        self.write = -1

    def close(self) -> None:
        for child in self.started:
            if child.poll() is None:
                child.kill()
            child.wait()
            if child.stdout:
                child.stdout.close()
        for fd in (self.read, self.write):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def children() -> Iterator[Children]:
    with ExitStack() as stack:
        made = Children()
        stack.callback(made.close)
        yield made


@pytest.mark.parametrize("mode", ["plain", "deaf"])
def test_end_with_parent(mode: str, children: Children, tmp_path: Path) -> None:
    """A child ends when its parent's end of the pipe closes, even one that does not heed a request to stop."""
    child = children.start(tmp_path, mode)

    children.leave()

    assert child.wait(5) != 0


def test_end_with_parent_waits(children: Children, tmp_path: Path) -> None:
    """Nothing happens while the parent is there, whatever it writes."""
    child = children.start(tmp_path)

    os.write(children.write, b"a word is not an end")

    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.3)


def test_family_knows_its_home(children: Children, tmp_path: Path) -> None:
    """Only children that carry exactly this home count, not those of a home whose path begins alike."""
    home, other = tmp_path / "home", tmp_path / "home2"
    mine, theirs = children.start(home), children.start(other)

    assert [process.pid for process in processes.family(home)] == [mine.pid]
    assert processes.is_ours(mine.pid, home)
    assert not processes.is_ours(theirs.pid, home)
    assert not processes.is_ours(os.getpid(), home)


def test_family_leaves_what_a_person_started(tmp_path: Path) -> None:
    """A process that names the home but was not made to end with a starter is nobody's child."""
    own = subprocess.Popen([sys.executable, "-c", "input()", "--home", str(tmp_path), "x"], stdin=subprocess.PIPE)
    try:
        assert processes.family(tmp_path) == []
    finally:
        own.communicate(b"\n")


def test_strays_are_not_descendants(children: Children, tmp_path: Path) -> None:
    """What descends from a process that is kept is no stray."""
    kept, stray = children.start(tmp_path), children.start(tmp_path)

    assert [process.pid for process in processes.strays(tmp_path, {kept.pid})] == [stray.pid]
    assert processes.strays(tmp_path, {os.getpid()}) == []


def test_end_asks_then_kills(children: Children, tmp_path: Path) -> None:
    """Those that heed get SIGTERM only; one that does not is killed after the grace time."""
    heeds, deaf = children.start(tmp_path), children.start(tmp_path, "deaf")

    ended = processes.end(processes.family(tmp_path), grace=0.5)

    assert {process.pid for process in ended} == {heeds.pid, deaf.pid}
    assert heeds.wait(5) == -signal.SIGTERM
    assert deaf.wait(5) == -signal.SIGKILL


def test_end_spares_a_number_used_again(children: Children, tmp_path: Path) -> None:
    """A process whose number now belongs to another command is not touched."""
    child = children.start(tmp_path)

    ended = processes.end([processes.Process(child.pid, 1, "something else")], grace=0.1)

    assert ended == []
    assert child.poll() is None


@pytest.mark.timeout(60)
def test_a_zombie_is_gone(children: Children, tmp_path: Path) -> None:
    """A process that has ended and waits to be reaped does not hold anybody up."""
    child = children.start(tmp_path)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    processes.end(processes.family(tmp_path), grace=600.0)

    assert child.wait(5) == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere ps is the only way")
def test_ps_says_the_same(children: Children, tmp_path: Path) -> None:
    """The way of systems without /proc finds the same children."""
    child = children.start(tmp_path)
    try:
        listed = {process.pid: process for process in processes._from_ps()}
    except FileNotFoundError:
        pytest.skip("no ps here")

    assert f"--home {tmp_path} --parent-fd" in listed[child.pid].command.replace("\n", " ")
    assert listed[child.pid].parent == os.getpid()


def test_a_settled_process_spares_the_collector_what_it_was_made_of() -> None:
    """What is there by then is looked at no more; what comes later is still collected."""
    code = (
        "import gc, weakref\n"
        "from jobs import processes\n"
        "processes.settle()\n"
        "assert gc.get_freeze_count() > 10_000\n"
        "class Ring: pass\n"
        "one = Ring(); one.me = one; ring = weakref.ref(one); del one\n"
        "gc.collect(); assert ring() is None\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
