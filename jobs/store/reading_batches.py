"""A run's batches as they are now, for people."""

from __future__ import annotations

from dataclasses import fields

from sqlite_utils import Database

from jobs.views.runs import Batch

_COLUMNS = ", ".join(field.name for field in fields(Batch))


def of_run(db: Database, run: int) -> list[Batch]:
    """The batches of a run, the oldest first."""
    return [Batch(**row) for row in db.query(f"SELECT {_COLUMNS} FROM batches WHERE run = ? ORDER BY id", [run])]
