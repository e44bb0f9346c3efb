"""Starts the processes of a home in order, keeps them running, and stops them in reverse.

Each part has a thread that starts it, asks whether it answers and waits for its end; the decisions are made in one place, by
whoever calls ``start`` or ``watch``. All children hold the reading end of one pipe, so however this process goes they end.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from jobs import errors, processes

#: how a module of ours is run; -P: a ``jobs`` folder where the person happens to stand is not ours
PYTHON = (sys.executable, "-P", "-m")
#: a part that ends this often within so many seconds is given up
DEATHS, WINDOW = 5, 60.0
#: a part that ends this often before it first answers is not started again
FALSE_STARTS = 2
#: bytes of a child's output after which the next start begins a new file
OUTPUT_TURN_AT = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Part:
    """One process to run, and how to tell that it does."""

    name: str
    #: the command for a start, given the pipe's reading end; asked anew at each start, since a port may have been taken
    command: Callable[[int], Sequence[str]]
    #: whether it answers; None where being there is enough
    ready: Callable[[], bool] | None = None
    #: called with its process id each time that it has come to answer
    on_ready: Callable[[int], None] | None = None
    #: seconds that it may take to answer at the first start, and to end when asked to
    start_within: float = 20.0
    grace: float = 5.0
    #: whether the house cannot stand without it
    needed: bool = True


class _Event(NamedTuple):
    kind: Literal["ready", "ended", "close"]
    slot: _Slot | None = None
    error: str = ""


@dataclass(eq=False)
class _Slot:
    """A part's place: its process now, and how it fared."""

    part: Part
    popen: subprocess.Popen[bytes] | None = None
    #: set while no process of it runs or is being started
    over: threading.Event = field(default_factory=threading.Event)
    deaths: deque[float] = field(default_factory=deque)
    answered: bool = False
    #: when to start it again, on the monotonic clock
    due: float | None = None


class Supervisor:
    """The running parts of one home.

    ``start`` and ``watch`` belong to one thread at a time; ``stop`` and ``hurry`` may be called from any.
    """

    def __init__(
        self, home: Path, *, output: Path, say: Callable[[str], None], changed: Callable[[], None] = lambda: None
    ) -> None:
        self._home, self._output, self._say, self._changed = home, output, say, changed
        self._read, self._write = os.pipe()
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._groups: list[list[_Slot]] = []
        self._lock = threading.RLock()
        self._stopping = False
        self._hurry = threading.Event()
        self._closed = False

    def pids(self) -> dict[str, int]:
        """The process id of each part that runs."""
        slots = [slot for group in self._groups for slot in group]
        return {s.part.name: s.popen.pid for s in slots if s.popen is not None and s.popen.returncode is None}

    def start(self, *parts: Part) -> float:
        """Start these together and wait until all answer; returns the seconds it took. They are one group when stopping.

        Raises:
            EngineDown: one of them ended before it answered, or took too long; its last words are in the message.
        """
        began = time.monotonic()
        slots = [_Slot(part) for part in parts]
        self._groups.append(slots)
        for slot in slots:
            self._launch(slot)
        while waiting := [slot for slot in slots if not slot.answered]:
            late = [slot for slot in waiting if time.monotonic() > began + slot.part.start_within]
            if late:
                part = late[0].part
                raise errors.EngineDown(f"{part.name} did not answer within {part.start_within:g} s{self._words(part)}")
            self._turn(min(began + slot.part.start_within for slot in waiting))
        return time.monotonic() - began

    def watch(self) -> None:
        """Start again what ends, with a notice, until ``stop`` is called.

        Raises:
            EngineDown: a part that is needed ended too often.
        """
        while not self._stopping:
            self._turn(None)

    def drop(self, name: str) -> None:
        """Stop a part that is not needed and forget it."""
        with self._lock:
            gone = [slot for group in self._groups for slot in group if slot.part.name == name]
            self._groups = [[slot for slot in group if slot not in gone] for group in self._groups]
        self._end(gone)

    def hurry(self) -> None:
        """Have ``stop`` kill instead of ask."""
        self._hurry.set()

    def stop(self) -> None:
        """Stop everything, last started first, within each part's grace time; then nothing of it is left."""
        with self._lock:
            self._stopping = True
        self._events.put(_Event("close"))
        for group in reversed(self._groups):
            self._end(group)
        if not self._closed:
            self._closed = True
            os.close(self._write)
            os.close(self._read)
        # what a killed part left: a work-horse, a server whose guard is gone
        processes.end(processes.strays(self._home, ()), grace=1.0 if self._hurry.is_set() else 5.0)

    # -- decisions ---------------------------------------------------------------------------------------------------------

    def _turn(self, until: float | None) -> None:
        """Take one event, or start what is due; returns at ``until`` at the latest."""
        due = [slot for group in self._groups for slot in group if slot.due is not None]
        now = time.monotonic()
        for slot in [slot for slot in due if slot.due is not None and slot.due <= now]:
            slot.due = None
            self._launch(slot)
            return
        moments = [slot.due for slot in due if slot.due is not None] + ([until] if until is not None else [])
        try:
            event = self._events.get(timeout=max(0.01, min(moments) - now) if moments else None)
        except queue.Empty:
            return
        if event.slot is None or self._stopping or not any(event.slot in group for group in self._groups):
            return
        if event.kind == "ready":
            self._answers(event.slot)
        else:
            self._ended(event.slot, event.error)

    def _answers(self, slot: _Slot) -> None:
        if slot.part.on_ready is not None and slot.popen is not None:
            slot.part.on_ready(slot.popen.pid)
        if slot.answered:
            self._say(f"{slot.part.name} is up again")
        slot.answered = True
        self._changed()

    def _ended(self, slot: _Slot, error: str) -> None:
        now = time.monotonic()
        slot.deaths.append(now)
        while slot.deaths[0] < now - WINDOW:
            slot.deaths.popleft()
        times = len(slot.deaths)
        how = error or _how(slot.popen.returncode if slot.popen else None)
        if not slot.answered and times >= FALSE_STARTS:
            raise errors.EngineDown(f"{slot.part.name} did not start: {how}{self._words(slot.part)}")
        if times >= DEATHS:
            text = f"{slot.part.name} ended {times} times within {WINDOW:g} s, last {how}{self._words(slot.part)}"
            if slot.part.needed:
                raise errors.EngineDown(text)
            self._say(f"{text}\ngoing on without it")
            return
        wait = 0.0 if times == 1 else 0.5 * 2.0 ** (times - 2)
        slot.due = now + wait
        self._say(f"{slot.part.name} ended ({how}); starting it again" + (f" in {wait:g} s" if wait else ""))

    # -- processes ---------------------------------------------------------------------------------------------------------

    def _launch(self, slot: _Slot) -> None:
        slot.over.clear()
        threading.Thread(target=self._live, args=(slot,), name=f"part-{slot.part.name}", daemon=True).start()

    def _live(self, slot: _Slot) -> None:
        """A part's life from its start to its end."""
        error = ""
        try:
            self._clear(slot)
            popen = self._spawn(slot)
            if popen is not None:
                self._await_answer(slot, popen)
                popen.wait()
        except (OSError, ValueError, errors.RedriveError) as problem:
            error = f"{type(problem).__name__}: {problem}"
        finally:
            slot.over.set()
            self._events.put(_Event("ended", slot, error))

    def _clear(self, slot: _Slot) -> None:
        """End what the part's last process left, before another one gets at the same data."""
        if not slot.deaths:
            return
        with self._lock:
            left = processes.strays(self._home, set(self.pids().values()))
        processes.end(left, grace=slot.part.grace)

    def _spawn(self, slot: _Slot) -> subprocess.Popen[bytes] | None:
        # under the lock, so that no other thread takes a process for a stray that is started but not yet known
        with self._lock:
            if self._stopping:
                return None
            command = list(slot.part.command(self._read))
            with self._output_file(slot.part).open("ab") as output:
                slot.popen = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(self._read,),
                    start_new_session=True,  # a Ctrl-C at the terminal is for us to pass on, in order
                    umask=0o077,
                )
            return slot.popen

    def _await_answer(self, slot: _Slot, popen: subprocess.Popen[bytes]) -> None:
        while slot.part.ready is not None and not slot.part.ready():
            with suppress(subprocess.TimeoutExpired):
                popen.wait(0.05)
                return
        self._events.put(_Event("ready", slot))

    def _end(self, group: Sequence[_Slot]) -> None:
        for slot in group:
            if slot.popen is not None:
                with suppress(ProcessLookupError):
                    slot.popen.terminate()
        began = time.monotonic()
        for slot in group:
            while not slot.over.wait(0.05) and slot.popen is not None:
                if self._hurry.is_set() or time.monotonic() > began + slot.part.grace:
                    with suppress(ProcessLookupError):
                        slot.popen.kill()

    def _output_file(self, part: Part) -> Path:
        self._output.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._output / f"{part.name}.out"
        with suppress(FileNotFoundError):
            if file.stat().st_size > OUTPUT_TURN_AT:
                file.replace(file.with_suffix(".out.1"))
        file.touch(mode=0o600)
        return file

    def _words(self, part: Part) -> str:
        """The last that a part has said, and where the rest is."""
        file = self._output / f"{part.name}.out"
        with suppress(OSError), file.open("rb") as output:
            output.seek(max(0, file.stat().st_size - 4000))
            lines = [line.strip() for line in output.read().decode("utf-8", "replace").splitlines()]
            said = [line for line in lines if line]
            if said:
                return f": {said[-1][:300]}\nmore in {file}"
        return f"\nit has said nothing; see {self._output}"


def _how(code: int | None) -> str:
    """How a process ended, in words; a shell's and the guard's 128 + n is a signal as well."""
    number = -code if code is not None and code < 0 else (code or 0) - 128
    with suppress(ValueError):
        return f"killed by {signal.Signals(number).name}"
    return f"exit code {code}"
