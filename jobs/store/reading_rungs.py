"""What each rung of a run's ladder has done: rows, calls and money, and why rows went on to the next one.

What stands above the lowest rung is few; the lowest rung is what is left of the run's sums.
"""

from __future__ import annotations

from typing import cast

from sqlite_utils import Database

from jobs import views
from jobs.ladder import CHECKED

_ROWS = "SELECT rung, state, count(*) FROM run_rows WHERE run = ? AND rung > 0 GROUP BY rung, state"
_CALLS = "SELECT rung, total(calls), total(cost) FROM tallies WHERE run = ? AND rung > 0 GROUP BY rung"
#: of each row and rung below its own, what the last attempt there came to
_LEFT = """
    SELECT rung, why, count(*) FROM (
        SELECT c.rung AS rung, max(a.id),
               CASE WHEN a.verdict <> 'rejected' THEN 'failed' WHEN a.value IS NULL THEN 'contract'
                    WHEN json_extract(a.problems, '$[0].expected') = :checked THEN 'checked' ELSE 'unsure' END AS why
        FROM run_rows r CROSS JOIN attempts a ON a.run = r.run AND a.ordinal = r.ordinal CROSS JOIN calls c ON c.id = a.call
        WHERE r.run = :run AND r.rung > 0 AND c.rung < r.rung AND NOT a.superseded
        GROUP BY a.ordinal, c.rung
    ) GROUP BY rung, why
"""
#: rows above the lowest rung that nobody asked below
_STRAIGHT = """
    SELECT r.rung, count(*) FROM run_rows r WHERE r.run = :run AND r.rung > 0 AND NOT EXISTS (
        SELECT 1 FROM attempts a JOIN calls c ON c.id = a.call
        WHERE a.run = r.run AND a.ordinal = r.ordinal AND c.rung < r.rung
    ) GROUP BY r.rung
"""
_REUSED = """
    SELECT r.rung, count(*) FROM attempts a CROSS JOIN run_rows r ON r.run = a.run AND r.ordinal = a.ordinal
    WHERE a.run = ? AND a.call IS NULL AND a.verdict = 'accepted' GROUP BY r.rung
"""


def rungs(db: Database, run: views.Run) -> list[views.RungTally]:
    """What each of them has done, the lowest first; of a run without a ladder the one that it has."""
    names = [(run.model, run.connection), *((one.model, one.connection) for one in run.upper)]
    rows = [dict[str, int]() for _ in names]
    for rung, state, count in db.execute(_ROWS, [run.id]).fetchall():
        rows[rung][state] = count
    counts = run.counts
    for state, count in (("accepted", counts.accepted), ("dead", counts.dead), ("rows", counts.rows)):
        above = rows[1:]
        rows[0][state] = count - sum(sum(one.values()) if state == "rows" else one.get(state, 0) for one in above)
    climbed = [dict[views.Why, int]() for _ in names]
    for rung, why, count in db.execute(_LEFT, {"run": run.id, "checked": CHECKED}).fetchall():
        climbed[rung][cast(views.Why, why)] = count
    calls = {rung: (int(count), cost) for rung, count, cost in db.execute(_CALLS, [run.id]).fetchall()}
    many, money = sum(count for count, _ in calls.values()), sum(cost for _, cost in calls.values())
    calls[0] = run.calls - many, max(0.0, (run.cost or 0.0) - money)
    straight = dict(db.execute(_STRAIGHT, {"run": run.id}).fetchall())
    reused = dict(db.execute(_REUSED, [run.id]).fetchall())
    return [
        views.RungTally(
            model=model,
            connection=connection,
            rows=rows[place]["rows"] if place == 0 else sum(rows[place].values()),
            accepted=rows[place].get("accepted", 0),
            dead=rows[place].get("dead", 0),
            reused=reused.get(place, 0),
            calls=calls.get(place, (0, 0.0))[0],
            climbed=climbed[place],
            straight=straight.get(place, 0),
            cost=None if run.cost is None else calls.get(place, (0, 0.0))[1],
        )
        for place, (model, connection) in enumerate(names)
    ]
