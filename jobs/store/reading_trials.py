"""What a try of several rows a call tells: how many rows its first calls have answered, and how long a call takes."""

from __future__ import annotations

from typing import NamedTuple

from sqlite_utils import Database


class AtOnce(NamedTuple):
    """What the first call about each row has brought."""

    #: rows that it gave their value
    answered: int
    #: of all values, those that stood in a reply which was not as it was asked for
    salvaged: int


def at_once(db: Database, run: int) -> AtOnce:
    """Of the rows of a run."""
    answered, salvaged = db.execute(
        """
            SELECT total(verdict = 'accepted' AND id IN (SELECT min(id) FROM attempts WHERE run = :run GROUP BY ordinal)),
                   total(verdict = 'accepted' AND json_extract(receipt, '$.how') = 'salvaged')
            FROM attempts WHERE run = :run AND superseded = 0
            """,
        {"run": run},
    ).fetchone()
    return AtOnce(int(answered), int(salvaged))


def median_seconds(db: Database, run: int) -> float | None:
    """Of its replied calls; None without one."""
    found = [
        seconds
        for (seconds,) in db.execute(
            "SELECT seconds FROM calls WHERE run = ? AND outcome = 'replied' AND seconds IS NOT NULL ORDER BY seconds",
            [run],
        )
    ]
    return found[(len(found) - 1) // 2] if found else None


def confidences(db: Database, run: int) -> dict[int, float]:
    """How sure the model was of each row's value, as far as that is told."""
    found = db.execute(
        """
        SELECT r.ordinal, a.confidence FROM run_rows r JOIN attempts a ON a.id = r.attempt
        WHERE r.run = ? AND r.state = 'accepted' AND a.confidence IS NOT NULL
        """,
        [run],
    )
    return dict(found.fetchall())
