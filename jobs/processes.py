"""Children that end with their parent, and processes of a home that are ours to end.

A child inherits the reading end of a pipe whose only writing end its parent holds: however the parent goes, ``kill -9``
included, the pipe closes and the child knows. A process counts as one of a home's children only by its command line, which
carries the home; a number alone proves nothing, since numbers are used again. Linux and macOS.
"""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
#: the server programs that may hold a home's data; see ``valkey_config``
SERVERS = ("valkey-server", "redis-server")
#: new objects before the garbage collector looks at them, and looks before it looks at older ones
RARELY = (20_000, 20, 100)


@dataclass(frozen=True)
class Process:
    """A running process of this user."""

    pid: int
    parent: int
    command: str


def end_with_parent(fd: int, stop: Callable[[], None], *, within: float = 6.0) -> threading.Thread:
    """Call ``stop`` when the parent's end of the pipe ``fd`` closes; a process still there ``within`` seconds later ends at once.

    It runs in a thread, which a fork does not carry over: a forked child that should end as well calls this again.
    """
    os.set_inheritable(fd, False)

    def wait() -> None:
        while os.read(fd, 512):
            pass
        timer = threading.Timer(within, os._exit, (1,))
        timer.daemon = True
        timer.start()
        stop()

    thread = threading.Thread(target=wait, name="end-with-parent", daemon=True)
    thread.start()
    return thread


def stop_by_signal() -> None:
    """Ask this process to stop as its operator would; the usual ``stop`` of a child."""
    os.kill(os.getpid(), signal.SIGTERM)


def valkey_config(home: Path) -> Path:
    """The configuration file of a home's embedded server; it stands in the server's command line, so that it is known by it."""
    return home / "valkey" / "valkey.conf"


def family(home: Path) -> list[Process]:
    """The children of whichever starter runs, or ran, in this home; not the starters themselves."""
    mark = f"--home {home} "
    config = str(valkey_config(home))
    return [
        process
        for process in table()
        if (mark in process.command and " --parent-fd " in process.command)
        or (config in process.command and any(server in process.command for server in SERVERS))
    ]


def is_ours(pid: int, home: Path) -> bool:
    """Whether this number still belongs to a child of the home."""
    return any(process.pid == pid for process in family(home))


def strays(home: Path, kept: Collection[int]) -> list[Process]:
    """The home's children that do not descend from one of the processes ``kept``."""
    everyone = {process.pid: process for process in table()}

    def belongs(process: Process | None) -> bool:
        seen: set[int] = set()
        while process is not None and process.pid not in seen:
            if process.pid in kept:
                return True
            seen.add(process.pid)
            process = everyone.get(process.parent)
        return False

    return [process for process in family(home) if not belongs(process)]


def end(found: Iterable[Process], *, grace: float) -> list[Process]:
    """Ask these to stop, wait up to ``grace`` seconds, then kill what is left; returns those that were there."""
    there = _remaining(found)
    for process in there:
        _signal(process, signal.SIGTERM)
    left, deadline = there, time.monotonic() + grace
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = _remaining(left)
    for process in left:
        _signal(process, signal.SIGKILL)
    return there


def table() -> list[Process]:
    """Every process of this user that has a command line; one that has ended and waits to be reaped has none."""
    return _from_proc() if sys.platform == "linux" and PROC.is_dir() else _from_ps()


def _remaining(found: Iterable[Process]) -> list[Process]:
    # the command must still be the same: the number may have gone to another process
    now = {(process.pid, process.command) for process in table()}
    return [process for process in found if (process.pid, process.command) in now]


def _signal(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(process.pid, number)


def _from_proc() -> list[Process]:
    found = []
    user = os.getuid()
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if folder.stat().st_uid != user:
                continue
            command = os.fsdecode((folder / "cmdline").read_bytes()).rstrip("\0").replace("\0", " ")
            # the name in the second field may hold spaces and brackets; the fields after its last bracket do not
            parent = int((folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue  # it ended while we looked
        if command:
            found.append(Process(int(folder.name), parent, command))
    return found


def _from_ps() -> list[Process]:
    listed = subprocess.run(
        ["ps", "-axww", "-U", str(os.getuid()), "-o", "pid=,ppid=,command="],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
    )
    matches = (re.match(r"\s*(\d+)\s+(\d+)\s+(\S.*?)\s*$", line) for line in listed.stdout.splitlines())
    return [
        Process(int(match[1]), int(match[2]), match[3])
        for match in matches
        if match and not match[3].startswith(("(", "<defunct>")) and not match[3].endswith("<defunct>")
    ]


def settle() -> None:
    """Spare the garbage collector what a process has made for its whole life; it then looks at what is new, and seldom.

    A lane makes a hundred short-lived objects a call and hardly a cycle; looking through everything cost 5 % of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*RARELY)
