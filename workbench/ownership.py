"""Who has a home: one starter at a time, told by a lock that the system frees however its holder ends.

``up.json`` says who and where, for people and for a second command; it is believed only while the lock is held.
"""

from __future__ import annotations

import fcntl
import os
import time
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from jobs import errors
from jobs.settings import Settings
from jobs.values import Value


class Running(Value):
    """The starter that has a home now."""

    pid: int
    since: datetime
    #: where the browser finds it; None while it is starting, or if it serves no browser
    address: str | None = None
    #: whether it serves a browser, or will
    web: bool
    #: what it has started, by name
    parts: dict[str, int] = {}

    @property
    def sentence(self) -> str:
        """The same for a person."""
        if self.address:
            return f"Redrive is running at {self.address} (process {self.pid})"
        if self.web:
            return f"Redrive is starting (process {self.pid})"
        return f"a command without a browser has this home (process {self.pid})"


class Ownership:
    """A held lock on a home; forget it to let go."""

    def __init__(self, home: Path) -> None:
        self._file = home / "up.json"
        self._lock = home / "up.lock"
        self._fd: int | None = None

    def take(self) -> None:
        """Take the home.

        Raises:
            HomeBusy: another starter has it.
        """
        fd = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        for attempt in range(10):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # it may be somebody who only looks, and is gone in a moment
                if attempt < 9:
                    time.sleep(0.03)
            else:
                self._fd = fd
                return
        os.close(fd)
        raise errors.HomeBusy(f"another starter has {self._lock.parent}")

    def say(self, running: Running) -> None:
        """Write down who has it and where."""
        write_private(self._file, running.model_dump_json())

    def let_go(self) -> None:
        """Leave the home free."""
        if self._fd is not None:
            self._file.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = None


def running(settings: Settings) -> Running | None:
    """Who has the home, or None."""
    return _read(settings.home / "up.json") if is_held(settings.home / "up.lock") else None


def is_held(lock: Path) -> bool:
    """Whether some process holds this lock."""
    try:
        fd = os.open(lock, os.O_RDWR)
    except OSError:  # it is not there, or not for us to hold
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def _read(file: Path) -> Running | None:
    for _ in range(50):  # the lock is taken a moment before the file is there
        try:
            return Running.model_validate_json(file.read_bytes())
        except (FileNotFoundError, ValidationError):
            time.sleep(0.02)
    return Running(pid=0, since=datetime.now(UTC), web=True)


def write_private(file: Path, text: str) -> None:
    """Write a small file whole or not at all, for its owner's eyes only."""
    new = file.with_name(f".{file.name}.{os.getpid()}")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(fd, "w") as out:
            out.write(text)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    new.replace(file)
