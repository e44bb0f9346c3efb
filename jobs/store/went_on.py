"""How many rows left each rung of a run's ladder and why, and how many came to one straight: kept by those who move the rows.

A run's page tells it at every glance, and must not look at a hundred thousand attempts for that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sqlite_utils import Database

from jobs.ladder import CHECKED
from jobs.store.rungs import NO_UPPER

#: values: run, rung, why, rows. Why rows left the rung, in the words of ``views.Why``; or ``STRAIGHT``, and they came to it
COUNT = """
    INSERT INTO went_on (run, rung, why, rows) VALUES (?, ?, ?, ?)
    ON CONFLICT (run, rung, why) DO UPDATE SET rows = rows + excluded.rows
"""
#: by a rule, or as an equal row had climbed or been answered
STRAIGHT = "straight"
#: of each row and rung below its own, what the last attempt there came to
_LEFT = """
    INSERT INTO went_on SELECT :run, rung, why, count(*) FROM (
        SELECT c.rung AS rung, max(a.id),
               CASE WHEN a.verdict <> 'rejected' THEN 'failed' WHEN a.value IS NULL THEN 'contract'
                    WHEN json_extract(a.problems, '$[0].expected') = :checked THEN 'checked' ELSE 'unsure' END AS why
        FROM run_rows r CROSS JOIN attempts a ON a.run = r.run AND a.ordinal = r.ordinal CROSS JOIN calls c ON c.id = a.call
        WHERE r.run = :run AND r.rung > 0 AND c.rung < r.rung AND NOT a.superseded
        GROUP BY a.ordinal, c.rung
    ) GROUP BY rung, why
"""
#: rows above the lowest rung that nobody asked on the one below
_STRAIGHT = """
    INSERT INTO went_on SELECT :run, r.rung, :straight, count(*) FROM run_rows r WHERE r.run = :run AND r.rung > 0 AND NOT EXISTS (
        SELECT 1 FROM attempts a JOIN calls c ON c.id = a.call
        WHERE a.run = r.run AND a.ordinal = r.ordinal AND c.rung = r.rung - 1 AND NOT a.superseded
    ) GROUP BY r.rung
"""


def straight(db: Database, run: int, rungs: Iterable[int], *, left: Iterable[int] = ()) -> None:
    """Count rows that came to these rungs straight, a rung for each row, and take off those that went on before they were asked.

    The lowest rung is nothing to come to.
    """
    counted = Counter(rungs)
    counted.subtract(left)
    db.conn.executemany(COUNT, [(run, rung, STRAIGHT, count) for rung, count in counted.items() if rung])


def recount(db: Database, runs: Iterable[int] | None = None) -> None:
    """Make the counts of some runs, or of all, anew from the ledger; of rows that came straight, those that are still there."""
    if runs is None:
        runs = [run for (run,) in db.execute("SELECT id FROM runs WHERE upper <> ?", [NO_UPPER]).fetchall()]
    for run in runs:
        db.execute("DELETE FROM went_on WHERE run = ?", [run])
        db.execute(_LEFT, {"run": run, "checked": CHECKED})
        db.execute(_STRAIGHT, {"run": run, "straight": STRAIGHT})
