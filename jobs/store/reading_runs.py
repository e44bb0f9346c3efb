"""Runs as they are now: what was frozen with each, its sums, and counts that always add up to its rows.

The counts of a run come from one index and need no look at a row. Those of a run that has ended never change again (a
run's row states are its own history), so whoever asks often may keep them: see ``Ended``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlite_utils import Database

from jobs.lifecycle import RunState
from jobs.options import RunOptions
from jobs.store.reading_archive import among, since
from jobs.store.reading_letters import Filter, groups, reference
from jobs.store.rungs import UPPER
from jobs.views.letters import Group
from jobs.views.runs import Counts, Run

#: seconds over which the rate of a run is taken
WINDOW = 60.0
#: counts of ended runs that are kept at most
KEPT = 5_000

_RUN = f"""
    SELECT r.id, r.kind, r.root, r.parent, r.dataset, d.name AS dataset_name, r.prompt, r.version AS version_id, v.number,
           r.connection, r.base_url, r.model, r.upper, r.options, r.id_column, r.row_count,
           r.price IS NOT NULL AND NOT EXISTS (
               SELECT 1 FROM json_each(r.upper) WHERE json_extract(value, '$.price') IS NULL
           ) AS price_known,
           r.state, r.paused_by, r.reason, r.note, r.calls, r.prompt_tokens, r.completion_tokens, r.cached_tokens, r.cost,
           r.reserved, r.throttles, r.created_at, r.ended_at, r.paused_at,
           r.paused_seconds, {since("run", "r.id")} AS archived_at
    FROM runs r JOIN versions v ON v.id = r.version JOIN datasets d ON d.id = r.dataset
"""

Counted = tuple[Counts, float | None]


class Ended:
    """Counts and last ends of runs that have ended; safe to share between threads."""

    def __init__(self) -> None:
        self._kept: dict[int, Counted] = {}

    def get(self, run: int) -> Counted | None:
        """What was kept of that run."""
        return self._kept.get(run)

    def put(self, run: int, counted: Counted) -> None:
        """Keep what cannot change any more."""
        if len(self._kept) >= KEPT:
            self._kept.clear()
        self._kept[run] = counted


def run(db: Database, run_id: int, *, now: float, ended: Ended) -> Run | None:
    """The run of that number."""
    found = list(db.query(f"{_RUN} WHERE r.id = ?", [run_id]))
    return _view(db, found[0], resolutions(db, run_id), now=now, ended=ended) if found else None


def runs(
    db: Database,
    *,
    now: float,
    ended: Ended,
    offset: int,
    limit: int,
    kinds: Sequence[str] | None = None,
    prompt: str | None = None,
    state: str | None = None,
    archived: bool | None = False,
) -> tuple[list[Run], int]:
    """A page of the runs that pass, the newest first, and how many there are."""
    parts, values = [among(archived)], list[Any]()
    if kinds is not None:
        parts.append("r.kind IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(list(kinds)))
    if prompt is not None:
        parts.append("r.prompt = ?")
        values.append(prompt)
    if state is not None:
        parts.append("r.state = ?")
        values.append(state)
    where = " AND ".join(parts)
    total = db.execute(f"SELECT count(*) FROM runs r WHERE {where}", values).fetchone()[0]
    found = list(db.query(f"{_RUN} WHERE {where} ORDER BY r.id DESC LIMIT ? OFFSET ?", [*values, limit, offset]))
    letters = _letters(db, [row["id"] for row in found])
    return [_view(db, row, letters.get(row["id"], {}), now=now, ended=ended) for row in found], int(total)


def _letters(db: Database, runs: Sequence[int]) -> dict[int, dict[str, int]]:
    """The dead letters of all these runs by what has become of them."""
    found: dict[int, dict[str, int]] = {}
    counted = db.execute(
        """
        SELECT run, resolution, count(*) FROM dead_letters
        WHERE run IN (SELECT value FROM json_each(?)) GROUP BY run, resolution
        """,
        [json.dumps(list(runs))],
    )
    for run, resolution, count in counted.fetchall():
        found.setdefault(run, {})[resolution] = count
    return found


def _view(db: Database, row: dict[str, Any], letters: dict[str, int], *, now: float, ended: Ended) -> Run:
    options = RunOptions.model_validate_json(row["options"])
    counts, last = _counted(db, row, options, now=now, ended=ended)
    return Run(
        **{name: row[name] for name in _AS_STORED},
        version=reference(row["prompt"], row["number"]),
        options=options,
        price_known=bool(row["price_known"]),
        counts=counts,
        cost=row["cost"] if row["price_known"] or not row["calls"] else None,
        seconds=_at_work(row, now),
        rows_a_minute=_rate(db, row, last=last, now=now),
        letters=letters,
        upper=UPPER.validate_json(row["upper"]),
    )


def _at_work(row: dict[str, Any], now: float) -> float:
    """Seconds in which the run could go on: up to its end, its present pause, or now, without the pauses before."""
    until = next(one for one in (row["ended_at"], row["paused_at"], now) if one is not None)
    return max(0.0, float(until - row["created_at"] - row["paused_seconds"]))


_AS_STORED = (
    "id", "kind", "root", "parent", "dataset", "dataset_name", "prompt", "version_id", "connection", "base_url", "model",
    "id_column", "state", "paused_by", "reason", "note", "calls", "prompt_tokens", "completion_tokens", "cached_tokens",
    "reserved", "throttles", "created_at", "ended_at", "archived_at",
)  # fmt: skip


def _counted(db: Database, row: dict[str, Any], options: RunOptions, *, now: float, ended: Ended) -> Counted:
    """The counts of a run, and when the last of its rows ended."""
    if row["ended_at"] is not None and (kept := ended.get(row["id"])) is not None:
        return kept
    counted = _counts(db, row["id"], options, rows=row["row_count"], now=now), _last_end(db, row["id"])
    if row["ended_at"] is not None:
        ended.put(row["id"], counted)
    return counted


def _counts(db: Database, run_id: int, options: RunOptions, *, rows: int, now: float) -> Counts:
    """Each part from an index that covers it; rows that are not laid out yet are waiting.

    More calls are dispatched than may be out, so that no worker waits for the keeper; which of them are out only the workers
    know, but as long as there are enough, it is as many as may be.
    """
    # a count for each state is three times as fast as one grouped by state, which compares texts
    counts = "SELECT count(*) FROM run_rows WHERE run = :run AND state ="
    accepted, dead, cancelled, dispatched, backing_off, struck, reused = db.execute(
        f"""
        SELECT ({counts} 'accepted'), ({counts} 'dead'), ({counts} 'cancelled'), ({counts} 'dispatched'),
               ({counts} 'due' AND due_at > :now),
               (SELECT count(*) FROM run_rows INDEXED BY run_rows_struck
                WHERE run = :run AND strikes > 0 AND state IN ('due', 'held', 'dispatched')),
               (SELECT count(*) FROM attempts WHERE run = :run AND verdict = 'accepted' AND call IS NULL)
        """,
        {"run": run_id, "now": now},
    ).fetchone()
    in_batches = 0
    if options.batch != "no" and dispatched:
        (in_batches,) = db.execute(f"{counts} 'dispatched' AND batch IS NOT NULL", {"run": run_id}).fetchone()
    calls = singly = dispatched - in_batches
    if options.rows_per_call > 1 and singly:
        calls = db.execute(
            "SELECT count(DISTINCT try_id) FROM run_rows WHERE run = ? AND state = 'dispatched' AND batch IS NULL",
            [run_id],
        ).fetchone()[0]
    out = min(calls, options.in_flight)
    return Counts(
        rows=rows,
        accepted=accepted,
        dead=dead,
        cancelled=cancelled,
        waiting=rows - accepted - dead - cancelled,
        dispatched=dispatched,
        in_batches=in_batches,
        in_flight=round(singly * out / calls) if calls else 0,
        calls_out=out,
        backing_off=backing_off,
        struck=struck,
        reused=reused,
    )


def _last_end(db: Database, run_id: int) -> float | None:
    found = db.execute(
        "SELECT max(ended_at) FROM run_rows WHERE run = ? AND ended_at IS NOT NULL", [run_id]
    ).fetchone()[0]
    return None if found is None else float(found)


def _rate(db: Database, row: dict[str, Any], *, last: float | None, now: float) -> float | None:
    """Rows that got an end, a minute: of a running run up to now, else up to the last end."""
    if last is None:
        return None
    until = max(now, last) if row["state"] == RunState.RUNNING else last
    since = max(until - WINDOW, float(row["created_at"]))
    ended = db.execute(
        "SELECT count(*) FROM run_rows WHERE run = ? AND ended_at IS NOT NULL AND ended_at > ?", [row["id"], since]
    ).fetchone()[0]
    return float(ended * 60) / max(until - since, 1.0)


def top_groups(db: Database, run_id: int, *, limit: int) -> list[Group]:
    """The most frequent causes of death of a run's rows so far."""
    return groups(db, Filter(run=run_id, resolution=None), limit=limit)[0]


def resolutions(db: Database, run_id: int) -> dict[str, int]:
    """How many dead letters of a run have each resolution now."""
    return _letters(db, [run_id]).get(run_id, {})
