"""Opening the file: who may write, how long to wait for another writer, and that the tables are there."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from jobs import errors
from jobs.store.migrations import MIGRATIONS

#: seconds to wait for another process's transaction; each is short
BUSY_SECONDS = 15.0
#: the SQLite that this Python runs
SQLITE_VERSION = sqlite3.sqlite_version
#: whatever the file raises
FAILING = sqlite3.Error
_HELD = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_IO = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
#: what is said of a file that a newer Redrive has changed, and what to do
NEWER = (
    "was brought up to date by a newer version of Redrive",
    "stop what runs here, install that version, and start again",
)
_STEPS = {step.name for step in MIGRATIONS.pending(Database(memory=True))}
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def why_failing(error: BaseException, path: Path) -> tuple[str, str] | None:
    """What is the matter with the file and what to do, in words for a person; None where it is not the file's fault."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return f"the disk of {path.parent} is full", "Free some space there."
    if code in _HELD:
        return f"another program holds {path} locked", "End it (a backup, a database browser), or wait for it."
    if code in _IO:
        return f"{path} cannot be written or read ({error})", "See that its disk has room and is well."
    if code == sqlite3.SQLITE_READONLY:
        return f"{path} may not be written", "Make it and its folder writable for this user."
    if code in _DAMAGED:
        return f"{path} is damaged ({error})", "Stop Redrive, keep a copy of the folder, and go back to a backup."
    return None


def is_newer(db: Database) -> bool:
    """Whether a newer Redrive has brought the tables up to date, so that this one must not write to them."""
    return not {step.name for step in MIGRATIONS.applied(db)} <= _STEPS


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Whatever the file cannot do inside becomes one sentence for a person.

    Raises:
        StoreDown: the disk is full, another program holds the file, or it is not well.
    """
    try:
        yield
    except sqlite3.Error as error:
        found = why_failing(error, path)
        if found is None:
            raise
        raise errors.StoreDown(f"{found[0]}. {found[1]}") from error


def open_writer(path: Path, *, patience: float = BUSY_SECONDS) -> Database:
    """A connection that may write, to a file that has all its tables; makes both where they are missing.

    Args:
        path: the file.
        patience: seconds to wait for another process's transaction.

    Raises:
        EngineDown: the file cannot be opened as a database of ours.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # SQLite gives the files beside it the same mode; a changed umask would be every thread's
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        db = Database(_connect(path, read_only=False, patience=patience))
        # two processes may open a blank home at once; neither a change of the journal nor the steps wait for each other
        with _alone(path):
            db.execute("PRAGMA journal_mode = WAL")
            if is_newer(db):
                raise errors.EngineDown(f"{path} {NEWER[0]}: {NEWER[1]}")
            if MIGRATIONS.pending(db):
                MIGRATIONS.apply(db)
        db.execute("PRAGMA synchronous = FULL")
    except (sqlite3.DatabaseError, OSError) as error:
        foreign = getattr(error, "sqlite_errorname", "") == "SQLITE_NOTADB"
        advice = "; move it away, or name another home" if foreign else ""
        raise errors.EngineDown(f"{path} cannot be opened as Redrive's database: {error}{advice}") from error
    return db


def open_reader(path: Path) -> Database:
    """A connection that can only read; the file must have been made by a writer.

    Raises:
        EngineDown: there is no such file.
    """
    if not path.exists():
        raise errors.EngineDown(f"{path} does not exist yet: start the home once with `redrive up` or `redrive run`")
    return Database(_connect(path, read_only=True))


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the file's opening lock; it goes with its process, however that ends."""
    lock = os.open(path.with_name(f"{path.name}-opening"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _connect(path: Path, *, read_only: bool, patience: float = BUSY_SECONDS) -> sqlite3.Connection:
    mode = "ro" if read_only else "rwc"
    connection = sqlite3.connect(
        f"file:{_quoted(path)}?mode={mode}", uri=True, timeout=patience, check_same_thread=False
    )
    connection.execute("PRAGMA cache_size = -32000")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
