"""Logs as JSON lines, one file a process name, without a key in any of them.

Each line is written with one call to a file opened for appending, and the file is turned over under a lock, so that a
worker and the work-horses forked from it can share a file. Secrets are taken out of the finished texts, traces and unknown
extras included, because they get into a log by ways that nobody thought of: those of the environment and of the settings at
the start, and each key at the moment that somebody reads it (``conceal``).
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from jobs import settings
from jobs.redaction import Secrets, hide_shapes

#: bytes after which a file is turned over, and how many older ones are kept
TURN_AT, KEPT = 5_000_000, 3
#: what a record may carry in ``extra``, in the order of the line
EXTRAS = ("action", "run", "row", "try_id", "lane", "class", "seconds")
#: the loggers whose level is set; other libraries' speak from WARNING up
OURS = ("jobs", "workbench")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_REDACTED = "[redacted]"
#: what ``conceal`` was told; replaced whole, never changed, since any thread may log
_CONCEALED: frozenset[str] = frozenset()


def configure(
    folder: Path,
    name: str,
    level: int | str = logging.INFO,
    *,
    key_variables: Iterable[str] = (),
    secrets: Iterable[str] = (),
) -> logging.Handler:
    """Send this process's logs, warnings and uncaught exceptions to ``folder/name.jsonl``; a second call replaces the first.

    Args:
        folder: where the file is.
        name: what it is called.
        level: from which on our own loggers speak.
        key_variables: variables that hold keys beside those whose own name says so (``Settings.key_variables``).
        secrets: what stands in the settings themselves (``Settings.secrets``).
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handler = LinesHandler(folder / f"{name}.jsonl")
    redact = redactor([*settings.secret_values(key_variables), *secrets])
    handler.setFormatter(JsonFormatter(redact))
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, LinesHandler)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    for ours in OURS:
        logging.getLogger(ours).setLevel(level)
    logging.captureWarnings(True)
    sys.excepthook = partial(_uncaught, redact)
    threading.excepthook = partial(_uncaught_in_thread, redact)
    return handler


def conceal(secrets: Iterable[str]) -> None:
    """Keep these out of every line that this process writes from now on, in whatever file."""
    global _CONCEALED
    _CONCEALED = _CONCEALED | frozenset(secrets)


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """A function that takes these texts, what was concealed, and all that looks like a key out of a text."""
    given = frozenset(secrets)
    known = given | _CONCEALED
    hidden = Secrets(known, mark=_REDACTED)

    def redact(text: str) -> str:
        nonlocal known, hidden
        if not known >= _CONCEALED:
            known = given | _CONCEALED
            hidden = Secrets(known, mark=_REDACTED)
        return hide_shapes(hidden.hide(text), mark=_REDACTED)

    return redact


class JsonFormatter(logging.Formatter):
    """One JSON object a record: time (UTC), level, logger, message, the known extras, then any others, then the trace."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, without its line break."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        extras = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        line |= {key: extras.pop(key) for key in EXTRAS if extras.get(key) is not None}
        line |= {key: value for key, value in extras.items() if key not in EXTRAS}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        elif record.exc_text:
            line["trace"] = record.exc_text
        return json.dumps(self._clean(line), ensure_ascii=True, allow_nan=False)

    def _clean(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return round(value, 6) if abs(value) < float("inf") else str(value)
        if isinstance(value, dict):
            return {self._redact(str(key)): self._clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(item) for item in value]
        return self._redact(str(value))


class LinesHandler(logging.Handler):
    """Appends lines to a file that other processes may append to and turn over as well."""

    def __init__(self, path: Path, *, turn_at: int = TURN_AT, kept: int = KEPT) -> None:
        super().__init__()
        self.path = path
        self._turn_at, self._kept = turn_at, kept
        self._fd: int | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's line."""
        try:
            self._write((self.format(record) + "\n").encode("ascii"))
        except Exception as error:  # noqa: BLE001 - a log that cannot be written must not stop what it tells of
            # not handleError: it would print the record's arguments, keys and all; and where a disk is full for the log,
            # it is full for what is said of that too
            with suppress(OSError, ValueError):
                sys.stderr.write(f"a log line of {record.name} was lost: {type(error).__name__}\n")

    def close(self) -> None:
        """Close the file; it opens again at the next record."""
        with self.lock or threading.Lock():
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None
        super().close()

    def _write(self, line: bytes) -> None:
        fd = self._current()
        if os.fstat(fd).st_size + len(line) > self._turn_at:
            fd = self._turned(len(line))
        os.write(fd, line)

    def _current(self) -> int:
        """The file that bears the name now: another process may have turned it over."""
        if self._fd is not None:
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._fd), self.path.stat()):
                    return self._fd
            os.close(self._fd)
            self._fd = None
        self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return self._fd

    def _turned(self, more: int) -> int:
        with self._turning():
            fd = self._current()
            size = os.fstat(fd).st_size
            if size and size + more > self._turn_at:  # nobody else has turned it meanwhile
                for number in range(self._kept, 0, -1):
                    older = self.path.with_name(f"{self.path.name}.{number - 1}") if number > 1 else self.path
                    with suppress(FileNotFoundError):
                        older.replace(self.path.with_name(f"{self.path.name}.{number}"))
            return self._current()

    @contextmanager
    def _turning(self) -> Iterator[None]:
        fd = os.open(self.path.with_name(f".{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def _uncaught(
    redact: Callable[[str], str], kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("jobs").critical(
        "ended by %s", kind.__name__, exc_info=(kind, error, trace), extra={"action": "crash"}
    )
    sys.stderr.write(redact(f"{kind.__name__}: {error}\n"))


def _uncaught_in_thread(redact: Callable[[str], str], arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None and not isinstance(arguments.exc_value, SystemExit):
        _uncaught(redact, arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
