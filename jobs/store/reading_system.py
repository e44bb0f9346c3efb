"""Figures about the whole home: what waits for a person, what was resolved lately, how large the file is."""

from __future__ import annotations

from dataclasses import dataclass

from sqlite_utils import Database

from jobs.store.reading_archive import since


@dataclass(frozen=True, kw_only=True)
class Letters:
    """Dead letters that speak for their row, by what has become of them; without those of archived runs."""

    open: int
    replaying: int
    #: died since then, whatever has become of them
    new: int
    #: fixed, corrected or discarded since then
    resolved: int


def letters(db: Database, *, since: float) -> Letters:
    """How many dead letters wait, and how many came and went since a time."""
    found = db.execute(
        """
        SELECT
            (SELECT COUNT(*) FROM dead_letters WHERE latest = 1 AND resolution = 'open'),
            (SELECT COUNT(*) FROM dead_letters WHERE latest = 1 AND resolution = 'replaying'),
            (SELECT COUNT(*) FROM dead_letters WHERE died_at >= :since AND latest = 1),
            (SELECT COUNT(*) FROM dead_letters
             WHERE resolved_at >= :since AND latest = 1 AND resolution IN ('fixed', 'corrected', 'discarded'))
        """,
        {"since": since},
    ).fetchone()
    return Letters(open=found[0], replaying=found[1], new=found[2], resolved=found[3])


def datasets(db: Database) -> int:
    """How many datasets are ready and in sight."""
    query = f"SELECT COUNT(*) FROM datasets WHERE state = 'ready' AND {since('dataset', 'datasets.id')} IS NULL"
    return int(db.execute(query).fetchone()[0])


def size(db: Database) -> int:
    """Bytes of the file, without what is still in its write-ahead log."""
    found = db.execute("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()").fetchone()
    return int(found[0])


def sqlite_version(db: Database) -> str:
    """The version of SQLite."""
    return str(db.execute("SELECT sqlite_version()").fetchone()[0])
