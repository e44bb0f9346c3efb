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


def open_writer(path: Path) -> Database:
    """A connection that may write, to a file that has all its tables; makes both where they are missing.

    Raises:
        EngineDown: the file cannot be opened as a database of ours.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # SQLite gives the files beside it the same mode; a changed umask would be every thread's
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        db = Database(_connect(path, read_only=False))
        # two processes may open a blank home at once; neither a change of the journal nor the steps wait for each other
        with _alone(path):
            db.execute("PRAGMA journal_mode = WAL")
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


def _connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    mode = "ro" if read_only else "rwc"
    connection = sqlite3.connect(
        f"file:{_quoted(path)}?mode={mode}", uri=True, timeout=BUSY_SECONDS, check_same_thread=False
    )
    connection.execute("PRAGMA cache_size = -32000")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
