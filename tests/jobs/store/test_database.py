"""Opening the home's file."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlite_utils import Database

from jobs import errors
from jobs.store.database import open_reader, open_writer


def test_a_blank_home_may_be_opened_by_many_at_once(tmp_path: Path) -> None:
    """The tables are made once, nobody finds them half made, and the files are for their owner alone."""
    path, together = tmp_path / "home" / "redrive.db", threading.Barrier(8)
    opened: list[Database] = []

    def open_one() -> None:
        together.wait()
        db = open_writer(path)
        db.execute("INSERT INTO drafts VALUES (hex(randomblob(8)), '{}', 0)")
        opened.append(db)

    threads = [threading.Thread(target=open_one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert open_reader(path).execute("SELECT count(*) FROM drafts").fetchone() == (8,)
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    for db in opened:
        db.close()


def test_a_home_that_was_never_started_says_so(tmp_path: Path) -> None:
    """A reader makes nothing."""
    with pytest.raises(errors.EngineDown, match="redrive up"):
        open_reader(tmp_path / "redrive.db")
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_database_says_so(tmp_path: Path) -> None:
    """Somebody else's file is neither used nor changed."""
    path = tmp_path / "redrive.db"
    path.write_bytes(b"not a database, but long enough to be looked at as one" * 100)
    before = path.read_bytes()
    with pytest.raises(errors.EngineDown, match="cannot be opened"):
        open_writer(path)
    assert path.read_bytes() == before


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    """An older program would write what the newer tables do not take; it says what to do."""
    path = tmp_path / "redrive.db"
    with_next = open_writer(path)
    with_next["_sqlite_migrations"].insert({"migration_set": "redrive", "name": "m999_next", "applied_at": "then"})
    with_next.close()

    with pytest.raises(errors.EngineDown, match="newer version of Redrive: stop what runs here, install that version"):
        open_writer(path)
