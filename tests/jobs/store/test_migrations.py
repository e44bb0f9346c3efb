"""The tables come from numbered steps, each whole or not at all, from a blank file."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from jobs import errors
from jobs.api import Engine
from jobs.settings import Settings
from jobs.store.database import open_reader, open_writer
from jobs.store.migrations import MIGRATIONS
from tests.jobs.ledger import Ledger


def test_a_blank_file_gets_all_steps_in_order(tmp_path: Path) -> None:
    """Every step is recorded, numbered without a gap, and applied once."""
    db = open_writer(tmp_path / "a.db")
    names = [one.name for one in MIGRATIONS.applied(db)]

    assert [name[:4] for name in names] == [f"m{number:03}" for number in range(1, len(names) + 1)]
    assert MIGRATIONS.pending(db) == []
    db.close()
    again = open_writer(tmp_path / "a.db")
    assert [one.name for one in MIGRATIONS.applied(again)] == names


def test_each_step_can_be_the_last_one_that_a_file_has(tmp_path: Path) -> None:
    """A home of any age is brought up to date, and what it held is still there."""
    names = [one.name for one in MIGRATIONS.pending(Database(memory=True))]
    for name in names[1:]:
        file = tmp_path / f"{name}.db"
        old = Database(file)
        MIGRATIONS.apply(old, stop_before=name)
        old.execute("INSERT INTO datasets VALUES ('d', 's', 'n', '{}', '[]', 0, NULL, NULL, 'ready', 1.0)")
        old.close()
        db = open_writer(file)
        assert MIGRATIONS.pending(db) == [] and db["datasets"].count == 1
        db.close()


def test_letters_of_replays_of_tries_ask_nobody_any_more(tmp_path: Path) -> None:
    """Such replays were made before they were refused, and their letters stood among those that wait for a person."""
    old = open_writer(tmp_path / "a.db")
    ledger = Ledger(old)
    dataset, version = ledger.dataset(5), ledger.version()
    tried, real = (ledger.run(dataset, version, kind=kind, dead=2) for kind in ("try", "run"))
    ledger.replay(tried, version, same=2)
    old.execute("DELETE FROM _sqlite_migrations WHERE name = 'm012_letters_of_tries'")
    old.conn.commit()
    old.close()
    with closing(open_writer(tmp_path / "a.db")) as db:
        assert db.execute("SELECT DISTINCT run FROM dead_letters WHERE latest = 1").fetchall() == [(real,)]


def test_what_an_older_home_holds_is_in_sight(tmp_path: Path) -> None:
    """Nothing of it was ever archived."""
    settings = Settings(home=tmp_path, prompts=tmp_path / "prompts")
    old = Database(settings.database)
    MIGRATIONS.apply(old, stop_before="m024_archivings")
    ledger = Ledger(old)
    dataset, version = ledger.dataset(5), ledger.version()
    run = ledger.run(dataset, version, dead=2)
    old.close()
    with Engine(settings) as engine:
        assert [one.archived_at for one in engine.datasets.list()] == [None]
        assert [one.archived_at for one in engine.prompts.list()] == [None]
        assert [(one.id, one.archived_at) for one in engine.runs.list()[0]] == [(run, None)]
        assert engine.letters.standing().open == 2 and engine.archive.look() == []


def test_a_step_that_fails_leaves_nothing_behind() -> None:
    """A step and its record are one transaction."""
    broken = Migrations("broken")

    @broken()
    def m001(db: Database) -> None:
        db.execute("CREATE TABLE half (id INTEGER)")
        raise RuntimeError("stop")

    db = Database(memory=True)
    with pytest.raises(RuntimeError):
        broken.apply(db)
    assert not db["half"].exists() and [one.name for one in broken.pending(db)] == ["m001"]


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Nobody else on the machine can read what people's tables hold."""
    open_writer(tmp_path / "home" / "a.db").close()

    assert (tmp_path / "home" / "a.db").stat().st_mode & 0o077 == 0


def test_a_reader_cannot_write_and_does_not_make_a_file(tmp_path: Path) -> None:
    """Screens read through a connection that can do no harm."""
    with pytest.raises(errors.EngineDown, match="does not exist yet"):
        open_reader(tmp_path / "none.db")
    open_writer(tmp_path / "a.db").close()
    with pytest.raises(Exception, match="readonly"):
        open_reader(tmp_path / "a.db").execute("DELETE FROM runs")


def test_a_file_that_is_no_database_is_said_so(tmp_path: Path) -> None:
    """The path is in the message."""
    (tmp_path / "a.db").write_text("not a database, but long enough to look at it properly " * 20)
    with pytest.raises(errors.EngineDown, match=r"a\.db"):
        open_writer(tmp_path / "a.db")
