"""What each rung of a run's ladder has done: rows, calls and money, and why rows went on to the next one.

What stands above the lowest rung has an index of its own; the lowest rung is what is left of the run's sums. All else was
counted when it was recorded, so that a page costs the same however many rows have climbed.
"""

from __future__ import annotations

from typing import cast

from sqlite_utils import Database

from jobs.store.went_on import STRAIGHT
from jobs.views.runs import Run, RungTally, Why

_ROWS = "SELECT rung, state, count(*) FROM run_rows WHERE run = ? AND rung > 0 GROUP BY rung, state"
_CALLS = "SELECT rung, total(calls), total(cost), total(reused) FROM tallies WHERE run = ? GROUP BY rung"
_WENT_ON = "SELECT rung, why, rows FROM went_on WHERE run = ?"


def rungs(db: Database, run: Run) -> list[RungTally]:
    """What each of them has done, the lowest first; of a run without a ladder the one that it has."""
    names = [(run.model, run.connection), *((one.model, one.connection) for one in run.upper)]
    rows = [dict[str, int]() for _ in names]
    for rung, state, count in db.execute(_ROWS, [run.id]).fetchall():
        rows[rung][state] = count
    counts = run.counts
    for state, count in (("accepted", counts.accepted), ("dead", counts.dead), ("rows", counts.rows)):
        above = rows[1:]
        rows[0][state] = count - sum(sum(one.values()) if state == "rows" else one.get(state, 0) for one in above)
    climbed, straight = [dict[Why, int]() for _ in names], [0] * len(names)
    for rung, why, count in db.execute(_WENT_ON, [run.id]).fetchall():
        if why == STRAIGHT:
            straight[rung] = count
        else:
            climbed[rung][cast(Why, why)] = count
    found = db.execute(_CALLS, [run.id]).fetchall()
    calls = {rung: (int(count), cost) for rung, count, cost, _ in found if rung > 0}
    reused = {rung: int(count) for rung, *_, count in found}
    many, money = sum(count for count, _ in calls.values()), sum(cost for _, cost in calls.values())
    calls[0] = run.calls - many, max(0.0, (run.cost or 0.0) - money)
    return [
        RungTally(
            model=model,
            connection=connection,
            rows=rows[place]["rows"] if place == 0 else sum(rows[place].values()),
            accepted=rows[place].get("accepted", 0),
            dead=rows[place].get("dead", 0),
            reused=reused.get(place, 0),
            calls=calls.get(place, (0, 0.0))[0],
            climbed=climbed[place],
            straight=straight[place],
            cost=None if run.cost is None else calls.get(place, (0, 0.0))[1],
        )
        for place, (model, connection) in enumerate(names)
    ]
