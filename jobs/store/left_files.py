"""Writes about the files that batches have left at their provider: they hold rows and answers, and are to be deleted there."""

from __future__ import annotations

from dataclasses import dataclass

from sqlite_utils import Database

from jobs.messages import Remote
from jobs.store.batches import BatchRecord


@dataclass(frozen=True, kw_only=True)
class LeftFiles:
    """What one batch has left."""

    token: str
    batch: int
    run: int
    rung: int
    remote: Remote | None
    #: how often a lane was asked to delete it
    tries: int


def leave(db: Database, batch: BatchRecord, remote: Remote | None, *, now: float) -> None:
    """Nothing at the provider is needed of a batch any more; inside the transaction that says so."""
    told = remote.model_dump_json() if remote is not None else None
    db.conn.execute(
        "INSERT OR IGNORE INTO left_files (token, batch, run, rung, remote, next_at) VALUES (?, ?, ?, ?, ?, ?)",
        [batch.token, batch.id, batch.run, batch.rung, told, now],
    )


def due(db: Database, *, now: float, most: int) -> list[LeftFiles]:
    """What a lane is to be asked to delete, the longest due first."""
    query = "SELECT token, batch, run, rung, remote, tries FROM left_files WHERE next_at <= ? ORDER BY next_at LIMIT ?"
    return [
        LeftFiles(**{**found, "remote": Remote.model_validate_json(found["remote"]) if found["remote"] else None})
        for found in db.query(query, [now, most])
    ]


def handed(db: Database, token: str, *, next_at: float) -> None:
    """A lane is about to be asked; again at that time, unless it is done by then."""
    db.conn.execute("UPDATE left_files SET tries = tries + 1, next_at = ? WHERE token = ?", [next_at, token])


def forget(db: Database, token: str) -> None:
    """They are deleted, or nobody tries any more."""
    db.conn.execute("DELETE FROM left_files WHERE token = ?", [token])
