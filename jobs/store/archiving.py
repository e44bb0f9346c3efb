"""Putting things out of sight and bringing them back, as a person asked for it; nothing is deleted.

Each archiving is kept with its times. A thing that is archived already is archived once, and one that is in sight stays there.
The letters of a run that speak for their row, ``latest = 1``, are at ``latest = 2`` while it is archived.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlite_utils import Database

from jobs import errors
from jobs.lifecycle import RunState
from jobs.values import Thing


def archive(db: Database, things: Sequence[Thing], *, now: float) -> dict[str, int]:
    """Put things out of sight; how many.

    Raises:
        Refused: one is a run that goes on, or a dataset whose rows are not all there.
        NotFound: one is not there.
    """
    for thing in things:
        _must_rest(db, thing)
    done = db.conn.executemany(
        "INSERT OR IGNORE INTO archivings (kind, name, archived_at) VALUES (?, ?, ?)",
        [(thing.kind, thing.name, now) for thing in things],
    )
    _move_letters(db, things, 1, 2)
    return {"archived": max(0, done.rowcount)}


def restore(db: Database, things: Sequence[Thing], *, now: float) -> dict[str, int]:
    """Bring things back; how many."""
    done = db.conn.executemany(
        "UPDATE archivings SET restored_at = ? WHERE kind = ? AND name = ? AND restored_at IS NULL",
        [(now, thing.kind, thing.name) for thing in things],
    )
    _move_letters(db, things, 2, 1)
    return {"restored": max(0, done.rowcount)}


def _move_letters(db: Database, things: Sequence[Thing], before: int, after: int) -> None:
    db.conn.executemany(
        "UPDATE dead_letters SET latest = ? WHERE run = ? AND latest = ?",
        [(after, int(thing.name), before) for thing in things if thing.kind == "run"],
    )


def must_be_in_sight(db: Database, run: int) -> None:
    """Refuse to go on with a run that is archived; raises Refused."""
    query = "SELECT 1 FROM archivings WHERE kind = 'run' AND name = ? AND restored_at IS NULL"
    if db.conn.execute(query, [str(run)]).fetchone() is not None:
        raise errors.Refused(f"run {run} is archived: bring it back first (`redrive restore --run {run}`)")


def _must_rest(db: Database, thing: Thing) -> None:
    # a prompt may be a folder alone, of which the store knows nothing
    if thing.kind == "prompt":
        return
    table = {"dataset": "datasets", "run": "runs"}[thing.kind]
    found = db.conn.execute(f"SELECT state FROM {table} WHERE id = ?", [thing.name]).fetchone()
    if found is None:
        raise errors.NotFound(f"there is no {thing.kind} {thing.name}")
    if found[0] == RunState.RUNNING:
        raise errors.Refused(f"run {thing.name} is running: pause or cancel it first, then it can be archived")
    if found[0] == "loading":
        raise errors.Refused(
            f"dataset {thing.name} is still being loaded: it can be archived when all its rows are there"
        )
