"""The connections behind the engine, and asking the keeper."""

from __future__ import annotations

import gc
import threading

import pytest
from sqlite_utils import Database

from jobs import errors
from jobs.api import Engine
from jobs.api.room import House
from jobs.requests import Pause
from jobs.settings import Settings
from jobs.store import drawer
from tests.jobs.ledger import Ledger


def test_a_request_without_a_keeper_is_kept_and_says_what_to_do(settings: Settings) -> None:
    """Nobody applies it, so the caller hears how to start the keeper, and the request is still there for it."""
    with Engine(settings, patience=0.05) as engine:
        with pytest.raises(errors.EngineDown, match="redrive up"):
            engine.runs.submit(Pause(run=1), "a-key")
        assert engine.runs.read().execute("SELECT key, applied_at FROM requests").fetchall() == [("a-key", None)]


@pytest.mark.usefixtures("keeper")
def test_the_keepers_refusal_is_raised(engine: Engine) -> None:
    """What the keeper says of a request it cannot apply reaches whoever asked."""
    with pytest.raises(errors.Refused, match="there is no run 7"):
        engine.runs.submit(Pause(run=7), "a-key")


@pytest.mark.usefixtures("keeper")
def test_a_key_is_one_request(engine: Engine, ledger: Ledger) -> None:
    """The second request of a key is the first one: it is not applied again, and gives the first one's result."""
    run = ledger.run(ledger.dataset(5), ledger.version(), due=2)
    first = engine.runs.submit(Pause(run=run), "a-key")
    assert engine.runs.submit(Pause(run=run), "a-key") == first == {"run": run, "state": "paused"}


def test_a_write_is_whole_or_not_there(settings: Settings) -> None:
    """A block that fails leaves nothing, and one inside another is part of it."""
    house = House(settings)
    with pytest.raises(ZeroDivisionError), house.write() as db:
        db.execute("INSERT INTO drafts VALUES ('a', '{}', 0)")
        with house.write() as inner:
            inner.execute("INSERT INTO drafts VALUES ('b', '{}', 0)")
        raise ZeroDivisionError
    assert house.read().execute("SELECT count(*) FROM drafts").fetchone() == (0,)
    house.close()


def test_a_snapshot_sees_one_moment(settings: Settings) -> None:
    """What is written while a snapshot is open is not in it, and is there after it."""
    house = House(settings)
    count = "SELECT count(*) FROM drafts"
    with house.snapshot() as db:
        before = db.execute(count).fetchone()
        with house.write() as writer:
            writer.execute("INSERT INTO drafts VALUES ('a', '{}', 0)")
        assert db.execute(count).fetchone() == before
    assert house.read().execute(count).fetchone() == (1,)
    house.close()


def test_reading_cannot_write(engine: Engine) -> None:
    """The connection that screens read through refuses every write."""
    with pytest.raises(Exception, match="readonly"):
        engine.runs.read().execute("DELETE FROM runs")


def test_a_thread_that_ends_leaves_its_connection_to_the_next(settings: Settings) -> None:
    """Each living thread has a connection of its own; a hundred short ones after each other need no more than one."""
    house = House(settings)
    seen: set[Database] = {house.read()}

    def look() -> None:
        seen.add(house.read())

    for _ in range(100):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        gc.collect(0)
    assert len(seen) == 2
    house.close()


def test_a_commit_that_a_full_disk_refuses_leaves_nothing_open(settings: Settings) -> None:
    """The write is refused in words, the next one is a transaction of its own, and no lock stays behind."""
    house = House(settings)
    pages = house._writer.execute("PRAGMA page_count").fetchone()[0]
    house._writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(errors.StoreDown, match="is full. Free some space"), house.write() as db:
        db.execute("INSERT INTO drafts VALUES ('a', ?, 0)", ("x" * 100_000,))
    house._writer.execute("PRAGMA max_page_count = 1000000")
    with house.write() as db:
        db.execute("INSERT INTO drafts VALUES ('b', '{}', 0)")

    assert [row[0] for row in house.read().execute("SELECT * FROM drafts")] == ["b"]
    house.close()


def test_a_commit_that_fails_at_its_very_end_leaves_nothing_open(settings: Settings) -> None:
    """A constraint that is looked at only then takes the whole transaction back."""
    house = House(settings)
    house._writer.execute("PRAGMA foreign_keys = ON")
    house._writer.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    house._writer.execute("CREATE TABLE child (of INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
    house._writer.conn.commit()
    with pytest.raises(Exception, match="FOREIGN KEY"), house.write() as db:
        db.execute("INSERT INTO child VALUES (7)")

    assert not house._writer.conn.in_transaction
    house.close()


def test_a_key_that_is_seen_again_with_another_request_is_refused(engine: Engine) -> None:
    """Its answer would be that of the first one: a run of 50 rows for whoever has asked for 3."""
    house = engine.runs._house
    with house.write() as db:
        drawer.put_request(db, Pause(run=1), key="k", now=1.0)
        drawer.put_request(db, Pause(run=1), key="k", now=2.0)
    with pytest.raises(errors.Refused, match="another form: what was asked for first is kept until the keeper"):
        house.submit(Pause(run=2), "k")
    assert [tuple(one) for one in engine.runs.read().execute("SELECT body FROM requests")] == [
        (Pause(run=1).model_dump_json(),)
    ]
