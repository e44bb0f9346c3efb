"""Money, tokens and time of the calls in a window, from the calls themselves: no sum is kept that could go its own way.

A call belongs to the window in which it was sent, and what became of its rows goes with it, however much later that was
decided. Sums are made run by run, since the index holds every figure in that order and no stored reply is touched; slices by
version, model or connection, and time buckets, are made of those. Percentiles are nearest-rank over the raw seconds of
replied calls: always a latency that was measured, never an average of averages.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

from sqlite_utils import Database

from jobs import views
from jobs.store.reading_letters import reference
from jobs.store.sums import Kept, Sum

By = Literal["run", "version", "model", "connection", "total"]
Which = Literal["all", "accepted", "wasted", "rejected", "failed", "throttled", "slow"]

#: the longest list of latencies that is handed out
MOST_LATENCIES = 50_000

#: a reply that gave its row a value, and was not beaten to it by another
_BROUGHT_A_VALUE = (
    "EXISTS (SELECT 1 FROM attempts a WHERE a.call = c.id AND a.verdict = 'accepted' AND a.superseded = 0)"
)
_WINDOW = "c.run IN (SELECT value FROM json_each(?)) AND c.sent_at >= ? AND c.sent_at < ?"


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Whose calls are meant; None is no condition. ``model`` is the one that was asked, not the one that says it answered."""

    run: int | None = None
    prompt: str | None = None
    #: as a slice by version is named
    version: str | None = None
    model: str | None = None
    connection: str | None = None


@dataclass(frozen=True)
class _Run:
    """A run, and when its first and last call were sent."""

    id: int
    version: str
    model: str
    connection: str
    first: float | None
    last: float | None
    #: whether all its rows have an end, and how many calls it has in all
    ended: bool
    calls: int

    def overlaps(self, since: float, until: float) -> bool:
        """Whether it can have calls there."""
        return self.first is not None and self.last is not None and self.first < until and self.last >= since

    def within(self, since: float, until: float) -> bool:
        """Whether it has ended and all its calls are there."""
        return (
            self.ended
            and self.first is not None
            and self.last is not None
            and since <= self.first
            and self.last < until
        )

    def slice(self, by: By) -> tuple[str, str]:
        """The key and the label of the slice that its calls belong to."""
        match by:
            case "run":
                return str(self.id), f"run {self.id}"
            case "version":
                return self.version, self.version
            case "model":
                return self.model, self.model
            case "connection":
                return self.connection, self.connection
            case "total":
                return "total", "all calls"


#: bucket, run -> the sum that they go to
_Into = Callable[[int, int], Sum]


def slices(db: Database, chosen: Chosen, kept: Kept, *, since: float, until: float, by: By) -> list[views.Spending]:
    """The window's calls by slice, the dearest first; ``total`` is there even where nothing was sent."""
    runs = _runs(db, chosen, until=until)
    sums: dict[tuple[str, str], Sum] = {_TOTAL: Sum()} if by == "total" else {}
    _gather(db, runs, kept, since, until, 1, lambda _, run: sums.setdefault(runs[run].slice(by), Sum()))
    found = [one.spending(*slice_) for slice_, one in sums.items()]
    return sorted(found, key=lambda spending: (-spending.cost, -spending.calls, spending.key))


@dataclass(frozen=True)
class Spent:
    """The money of a window and how much of it is known."""

    calls: int
    cost: float
    unpriced_calls: int


def spent(db: Database, *, since: float, until: float) -> Spent:
    """What all calls of the window cost, without looking further."""
    runs = _runs(db, Chosen(), until=until).values()
    there = [run.id for run in runs if run.overlaps(since, until)]
    found = db.execute(
        f"SELECT COUNT(*), COALESCE(SUM(c.cost), 0), COUNT(*) - COUNT(c.cost) FROM calls c WHERE {_WINDOW}",
        [json.dumps(there), since, until],
    ).fetchone()
    return Spent(*found)


def series(
    db: Database, chosen: Chosen, kept: Kept, *, since: float, until: float, buckets: int, by: By
) -> list[views.Spending]:
    """Every slice that occurs in every bucket, in the order of time; its key is the bucket's start, epoch seconds as text."""
    runs = _runs(db, chosen, until=until)
    sums: dict[tuple[str, str], list[Sum]] = {_TOTAL: [Sum() for _ in range(buckets)]} if by == "total" else {}

    def into(bucket: int, run: int) -> Sum:
        slice_ = runs[run].slice(by)
        if slice_ not in sums:
            sums[slice_] = [Sum() for _ in range(buckets)]
        return sums[slice_][bucket]

    _gather(db, runs, kept, since, until, buckets, into)
    width = (until - since) / buckets
    return [
        sums[slice_][bucket].spending(repr(since + bucket * width), slice_[1])
        for bucket in range(buckets)
        for slice_ in sorted(sums)
    ]


def report(
    db: Database, chosen: Chosen, kept: Kept, *, since: float, until: float, buckets: int, by: By
) -> views.CostReport:
    """The window whole, by slice, by bucket and by both, added up in one walk."""
    runs = _runs(db, chosen, until=until)
    sums: dict[tuple[str, str], list[Sum]] = {}
    _gather(
        db, runs, kept, since, until, buckets,
        lambda bucket, run: sums.setdefault(runs[run].slice(by), [Sum() for _ in range(buckets)])[bucket],
    )  # fmt: skip
    starts = [repr(since + bucket * (until - since) / buckets) for bucket in range(buckets)]
    whole = [_together(parts[bucket] for parts in sums.values()) for bucket in range(buckets)]
    total = _together(whole)
    slices_ = [_together(parts).spending(*slice_) for slice_, parts in sums.items()]
    every = max(1, math.ceil(len(total.latencies) / MOST_LATENCIES))
    return views.CostReport(
        total=total.spending(*_TOTAL),  # sorts the latencies
        slices=tuple(sorted(slices_, key=lambda spending: (-spending.cost, -spending.calls, spending.key))),
        buckets=tuple(one.spending(start, _TOTAL[1]) for start, one in zip(starts, whole, strict=True)),
        series=tuple(
            sums[slice_][n].spending(start, slice_[1]) for n, start in enumerate(starts) for slice_ in sorted(sums)
        ),
        latencies=tuple(total.latencies[every // 2 :: every]),
    )


def _together(parts: Iterable[Sum]) -> Sum:
    whole = Sum()
    for part in parts:
        whole.add(part)
    return whole


def latencies(db: Database, chosen: Chosen, *, since: float, until: float) -> list[float]:
    """Seconds of the window's replied calls; of more than ``MOST_LATENCIES``, evenly every second, third ... one."""
    runs = [run.id for run in _runs(db, chosen, until=until).values() if run.overlaps(since, until)]
    values = [json.dumps(runs), since, until]
    condition = f"{_WINDOW} AND c.outcome = 'replied' AND c.seconds IS NOT NULL"
    n = db.execute(f"SELECT COUNT(*) FROM calls c WHERE {condition}", values).fetchone()[0]
    every = max(1, math.ceil(n / MOST_LATENCIES))
    found = db.execute(f"SELECT c.seconds FROM calls c WHERE {condition} AND c.id % ? = 0", [*values, every])
    return [seconds for (seconds,) in found][:MOST_LATENCIES]


def calls(
    db: Database,
    chosen: Chosen,
    *,
    since: float,
    until: float,
    which: Which,
    limit: int,
    offset: int,
    seconds: tuple[float, float] | None = None,
) -> tuple[list[views.CallRow], int]:
    """A page of the window's calls, the newest first, and how many there are.

    ``accepted`` are those that brought a value and ``wasted`` the others, of which ``rejected`` have a reply and ``failed`` are
    without one for another cause than a throttle; ``slow`` are all that were replied to, the slowest first. ``seconds`` is a
    span of latency, its end left out. A call about several rows names the first of them.
    """
    runs = [run.id for run in _runs(db, chosen, until=until).values() if run.overlaps(since, until)]
    condition = f"{_WINDOW} AND {_WHICH[which]}"
    values = [json.dumps(runs), since, until]
    if seconds is not None:
        condition += " AND c.seconds >= ? AND c.seconds < ?"
        values += seconds
    total = db.execute(f"SELECT COUNT(*) FROM calls c WHERE {condition}", values).fetchone()[0]
    order = "c.seconds DESC, c.id DESC" if which == "slow" else "c.sent_at DESC, c.id DESC"
    found = db.execute(
        f"""
        WITH page AS MATERIALIZED (
            SELECT c.id FROM calls c WHERE {condition} ORDER BY {order} LIMIT ? OFFSET ?
        )
        SELECT c.try_id, c.run, COALESCE(a.ordinal, 0), COALESCE(rr.row_id, ''), v.prompt, v.number, runs.model,
               runs.connection, c.outcome, a.verdict, c.sent_at, c.seconds, c.prompt_tokens, c.completion_tokens,
               c.cached_tokens, c.cost, c.status
        FROM page
        JOIN calls c ON c.id = page.id
        JOIN runs ON runs.id = c.run
        JOIN versions v ON v.id = runs.version
        LEFT JOIN attempts a ON a.id = (
            SELECT id FROM attempts WHERE call = c.id ORDER BY superseded, ordinal LIMIT 1
        )
        LEFT JOIN run_rows rr ON rr.run = a.run AND rr.ordinal = a.ordinal
        ORDER BY {order}
        """,
        [*values, limit, offset],
    )
    return [_call(row) for row in found], int(total)


_TOTAL = ("total", "all calls")
_WHICH: dict[Which, str] = {
    "all": "1",
    "accepted": _BROUGHT_A_VALUE,
    "wasted": f"NOT {_BROUGHT_A_VALUE}",
    "rejected": f"c.outcome = 'replied' AND NOT {_BROUGHT_A_VALUE}",
    "failed": "c.outcome NOT IN ('replied', 'throttled')",
    "throttled": "c.outcome = 'throttled'",
    "slow": "c.outcome = 'replied' AND c.seconds IS NOT NULL",
}


def _call(row: Sequence[Any]) -> views.CallRow:
    (
        try_id, run, ordinal, row_id, prompt, number, model, connection, outcome, verdict, sent_at, seconds,
        prompt_tokens, completion_tokens, cached_tokens, cost, status,
    ) = row  # fmt: skip
    return views.CallRow(
        try_id=try_id,
        run=run,
        ordinal=ordinal,
        row_id=row_id,
        version=reference(prompt, number),
        model=model,
        connection=connection,
        outcome=outcome,
        verdict=verdict,
        sent_at=sent_at,
        seconds=seconds,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        cached_tokens=cached_tokens,
        cost=cost,
        status=status,
    )


def _runs(db: Database, chosen: Chosen, *, until: float) -> dict[int, _Run]:
    """The runs that pass and have calls in or around the window: two steps into the index for each."""
    parts = ["r.created_at < ?"]
    values: list[float | str] = [until]
    for column, value in (
        ("r.id", chosen.run),
        ("r.prompt", chosen.prompt),
        ("r.model", chosen.model),
        ("r.connection", chosen.connection),
    ):
        if value is not None:
            parts.append(f"{column} = ?")
            values.append(value)
    end = "(SELECT {which}(sent_at) FROM calls WHERE run = r.id)"
    found = db.execute(
        f"""
        SELECT r.id, v.prompt, v.number, r.model, r.connection, {end.format(which="MIN")}, {end.format(which="MAX")},
               r.ended_at IS NOT NULL, r.calls
        FROM runs r JOIN versions v ON v.id = r.version WHERE {" AND ".join(parts)}
        """,
        values,
    )
    return {
        run: _Run(run, reference(prompt, number), model, connection, first, last, bool(ended), calls)
        for run, prompt, number, model, connection, first, last, ended, calls in found
        if chosen.version is None or chosen.version == reference(prompt, number)
    }


def _gather(
    db: Database, runs: dict[int, _Run], kept: Kept, since: float, until: float, buckets: int, into: _Into
) -> None:
    """Add everything of the window to its run's sums in its bucket."""
    width = (until - since) / buckets
    for bucket in range(buckets):
        start = since + bucket * width
        end = until if bucket == buckets - 1 else since + (bucket + 1) * width
        for run, one in _of_calls(db, [run for run in runs.values() if run.overlaps(start, end)], kept, start, end):
            into(bucket, run).add(one)
    for run, bucket, dead in _by_bucket(db, _DEAD, runs, since, until, width):
        into(min(bucket, buckets - 1), run).dead += dead
    for run, bucket, reused in _by_bucket(db, _REUSED, runs, since, until, width):
        into(min(bucket, buckets - 1), run).reused += reused


def _of_calls(db: Database, runs: Sequence[_Run], kept: Kept, since: float, until: float) -> Iterable[tuple[int, Sum]]:
    """What each run's calls in a window come to; runs without one are left out."""
    known = {run.id: kept.get(run.id, calls=run.calls) for run in runs if run.within(since, until)}
    fresh = _added_up(db, [run.id for run in runs if known.get(run.id) is None], since, until)
    for run in runs:
        if run.id in known and run.id in fresh:
            kept.put(run.id, fresh[run.id], calls=run.calls)
        one = known.get(run.id) or fresh.get(run.id)
        if one is not None:
            yield run.id, one


def _added_up(db: Database, runs: Sequence[int], since: float, until: float) -> dict[int, Sum]:
    """Several walks along the same stretch of the index; together they are cheaper than one that does it all."""
    if not runs:
        return {}
    values = [json.dumps(runs), since, until]
    sums = {
        row[0]: Sum(
            calls=row[1],
            throttles=row[2],
            lost=row[3],
            transport_failures=row[4],
            cost=row[5],
            unpriced_calls=row[6],
            prompt_tokens=row[7],
            completion_tokens=row[8],
            cached_tokens=row[9],
        )
        for row in db.execute(
            f"""
            SELECT c.run, COUNT(*), SUM(c.outcome = 'throttled'), SUM(c.outcome = 'lost'),
                   SUM(c.outcome NOT IN ('replied', 'throttled')), COALESCE(SUM(c.cost), 0), SUM(c.cost IS NULL),
                   COALESCE(SUM(c.prompt_tokens), 0), COALESCE(SUM(c.completion_tokens), 0),
                   COALESCE(SUM(c.cached_tokens), 0)
            FROM calls c WHERE {_WINDOW} GROUP BY c.run
            """,
            values,
        )
    }
    for run, accepted, strikes in db.execute(
        f"""
        SELECT c.run, SUM(a.verdict = 'accepted' AND a.superseded = 0), SUM(a.strike)
        FROM calls c JOIN attempts a ON a.call = c.id WHERE {_WINDOW} GROUP BY c.run
        """,
        values,
    ):
        sums[run].accepted, sums[run].strikes = accepted, strikes
    for run, wasted, wasted_calls in db.execute(
        f"SELECT c.run, SUM(c.cost), COUNT(*) FROM calls c WHERE {_WINDOW} AND NOT {_BROUGHT_A_VALUE} GROUP BY c.run",
        values,
    ):
        sums[run].wasted, sums[run].wasted_calls = wasted or 0.0, wasted_calls
    for run, one in sums.items():
        one.latencies = list(chain.from_iterable(db.execute(_LATENCIES, [run, since, until])))
    return sums


_LATENCIES = """
    SELECT c.seconds FROM calls c
    WHERE c.run = ? AND c.sent_at >= ? AND c.sent_at < ? AND c.outcome = 'replied' AND c.seconds IS NOT NULL
"""
#: a dead letter belongs to the bucket of the call that decided it; where nothing was sent, to that of its record
_DEAD = """
    SELECT run, CAST((at - :since) / :width AS INTEGER), COUNT(*) FROM (
        SELECT d.run, COALESCE(c.sent_at, a.recorded_at) AS at
        FROM dead_letters d JOIN attempts a ON a.id = d.attempt LEFT JOIN calls c ON c.id = a.call
        WHERE d.run IN (SELECT value FROM json_each(:runs))
    ) WHERE at >= :since AND at < :until GROUP BY 1, 2
"""
#: nothing was sent for a reused value, so it belongs to the bucket in which it was recorded
_REUSED = """
    SELECT a.run, CAST((a.recorded_at - :since) / :width AS INTEGER), COUNT(*)
    FROM attempts a INDEXED BY attempts_reused -- else SQLite takes all that nothing was sent for, of whatever time
    WHERE a.call IS NULL AND a.verdict = 'accepted' AND a.recorded_at >= :since AND a.recorded_at < :until
      AND a.run IN (SELECT value FROM json_each(:runs)) GROUP BY 1, 2
"""


def _by_bucket(
    db: Database, query: str, runs: Iterable[int], since: float, until: float, width: float
) -> list[tuple[int, int, int]]:
    named = {"runs": json.dumps(list(runs)), "since": since, "until": until, "width": width}
    return list(db.execute(query, named))
