"""Whose calls are meant, and what they come to in each bucket of a window: from the tallies, exact to the call.

A window is cut into buckets of equal length. Whole minutes come from their tallies; only the minutes that a bucket's edge
falls into are looked at call by call, so the figures are exact wherever the edges are.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from sqlite_utils import Database

from jobs import views
from jobs.store.reading_letters import reference
from jobs.store.sums import FIGURES, Cell, Sum
from jobs.store.tallies import MINUTE

#: the slice that everything is in
TOTAL = ("total", "all calls")


@dataclass(frozen=True)
class Run:
    """A run whose calls are meant, with the names of the slices that they belong to."""

    id: int
    version: str
    model: str
    connection: str

    def slice(self, by: views.By) -> tuple[str, str]:
        """The key and the label of its slice."""
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
                return TOTAL


def runs(db: Database, among: views.CallFilter) -> dict[int, Run]:
    """The runs that pass and may have calls in the window."""
    parts = ["r.created_at < ?"]
    values: list[float | str] = [among.until]
    for column, value in (
        ("r.id", among.run),
        ("r.prompt", among.prompt),
        ("r.model", among.model),
        ("r.connection", among.connection),
    ):
        if value is not None:
            parts.append(f"{column} = ?")
            values.append(value)
    found = db.execute(
        f"""
        SELECT r.id, v.prompt, v.number, r.model, r.connection
        FROM runs r JOIN versions v ON v.id = r.version WHERE {" AND ".join(parts)}
        """,
        values,
    )
    return {
        run: Run(run, reference(prompt, number), model, connection)
        for run, prompt, number, model, connection in found
        if among.version is None or among.version == reference(prompt, number)
    }


@dataclass(frozen=True)
class Buckets:
    """A window in buckets of equal length."""

    since: float
    until: float
    n: int = 1

    @property
    def width(self) -> float:
        """Seconds of a bucket."""
        return (self.until - self.since) / self.n

    def start(self, bucket: int) -> float:
        """When a bucket begins."""
        return self.since + bucket * self.width

    @cached_property
    def _borders(self) -> list[float]:
        return [*(self.start(bucket) for bucket in range(self.n)), self.until]

    @cached_property
    def edges(self) -> list[tuple[int, float, float]]:
        """(bucket, begin, end), in the order of time, of what a border cuts off from a whole minute."""
        cut = {border // MINUTE for border in self._borders if border % MINUTE}
        found = []
        for bucket, (begin, end) in enumerate(pairwise(self._borders)):
            inside = {begin // MINUTE, end // MINUTE} & cut
            pieces = ((max(minute * MINUTE, begin), min((minute + 1) * MINUTE, end)) for minute in sorted(inside))
            found += [(bucket, first, last) for first, last in pieces if first < last]
        return found

    @cached_property
    def minutes(self) -> list[tuple[int, int]]:
        """The stretches between the edges: the first minute of each, and the one after its last."""
        borders = [self.since, *(moment for _, *edge in self.edges for moment in edge), self.until]
        stretches = zip(borders[::2], borders[1::2], strict=True)
        return [(int(begin // MINUTE), int(end // MINUTE)) for begin, end in stretches if begin < end]


def cells(db: Database, chosen: dict[int, Run], buckets: Buckets) -> Iterator[tuple[int, int, Cell]]:
    """What each run's calls come to in each bucket: (run, bucket, cell), one or several to be added."""
    named: dict[str, object] = {
        "runs": json.dumps(list(chosen)), "since": buckets.since, "width": buckets.width, "last": buckets.n - 1,
    }  # fmt: skip
    for first, last in buckets.minutes:
        yield from _tallied(db, named | {"begin": first, "end": last})
    for bucket, begin, end in buckets.edges:
        for run, cell in _by_the_call(db, named | {"begin": begin, "end": end}):
            yield run, bucket, cell


def latencies(db: Database, chosen: dict[int, Run], window: Buckets) -> Iterator[tuple[int, float, float, bytes]]:
    """The seconds of replied calls as float64 values, packed: (run, begin, end, values) of each stretch of a minute or less."""
    named: dict[str, object] = {"runs": json.dumps(list(chosen))}
    for first, last in window.minutes:
        query = f"SELECT run, minute, latencies {_MINUTES}"
        for run, minute, packed in db.execute(query, named | {"begin": first, "end": last}):
            yield run, minute * MINUTE, (minute + 1) * MINUTE, packed
    for _, begin, end in window.edges:
        for run, packed in _seconds(db, named | {"begin": begin, "end": end}):
            yield run, begin, end, packed


_SUMS = ", ".join(f"sum({name})" for name in FIGURES)
_MINUTES = "FROM tallies WHERE run IN (SELECT value FROM json_each(:runs)) AND minute >= :begin AND minute < :end"
# The middle of a minute is in its bucket, however the borders are rounded.
_BUCKET = f"min(CAST((minute * {MINUTE} + {MINUTE // 2} - :since) / :width AS INTEGER), :last)"


def _tallied(db: Database, named: dict[str, object]) -> Iterator[tuple[int, int, Cell]]:
    sums = db.execute(f"SELECT run, {_BUCKET}, {_SUMS} {_MINUTES} GROUP BY 1, 2", named)
    found = {(run, bucket): Cell(Sum(*figures)) for run, bucket, *figures in sums}
    for run, bucket, packed in db.execute(f"SELECT run, {_BUCKET}, latencies {_MINUTES}", named):
        found[run, bucket].packed.append(packed)
    for (run, bucket), cell in found.items():
        yield run, bucket, cell


def _by_the_call(db: Database, named: dict[str, object]) -> Iterator[tuple[int, Cell]]:
    for names, query in _FIGURES.items():
        for run, *figures in db.execute(query, named):
            yield run, Cell(Sum(**dict(zip(names, figures, strict=True))))
    for run, packed in _seconds(db, named):
        yield run, Cell(packed=[packed])


def _seconds(db: Database, named: dict[str, object]) -> Iterator[tuple[int, bytes]]:
    found: dict[int, array[float]] = {}
    for run, seconds in db.execute(_SECONDS, named):
        found.setdefault(run, array("d")).append(seconds)
    for run, one in found.items():
        yield run, one.tobytes()


def _at(run: str, moment: str) -> str:
    return f"{run} IN (SELECT value FROM json_each(:runs)) AND {moment} >= :begin AND {moment} < :end"


_SENT = _at("c.run", "c.sent_at")
#: the figures that follow a run, and where they are found; several walks along one stretch of the index are cheaper than one
#: that does it all
_FIGURES: dict[tuple[str, ...], str] = {
    (
        "calls", "throttles", "transport_failures", "cost", "unpriced_calls", "wasted", "wasted_calls", "prompt_tokens",
        "completion_tokens", "cached_tokens",
    ): f"""
        SELECT c.run, count(*), sum(c.outcome = 'throttled'), sum(c.outcome NOT IN ('replied', 'throttled')), total(c.cost),
               sum(c.cost IS NULL), total(c.cost * c.wasted), sum(c.wasted), coalesce(sum(c.prompt_tokens), 0),
               coalesce(sum(c.completion_tokens), 0), coalesce(sum(c.cached_tokens), 0)
        FROM calls c WHERE {_SENT} GROUP BY c.run
    """,
    ("open_calls", "set_aside"): f"""
        SELECT c.run, count(*), total(c.reserved) FROM calls c INDEXED BY calls_open
        WHERE c.settled = 0 AND c.price IS NOT NULL AND {_SENT} GROUP BY c.run
    """,
    ("accepted", "strikes"): f"""
        SELECT c.run, sum(a.verdict = 'accepted' AND a.superseded = 0), sum(a.strike)
        FROM calls c JOIN attempts a ON a.call = c.id WHERE {_SENT} GROUP BY c.run
    """,
    # of a call's last word about a row, or else by when that was recorded
    ("dead",): f"""
        SELECT c.run, count(*)
        FROM calls c CROSS JOIN attempts a INDEXED BY attempts_call ON a.call = c.id AND a.verdict != 'accepted'
        CROSS JOIN dead_letters d ON d.run = a.run AND d.ordinal = a.ordinal AND d.attempt = a.id
        WHERE {_SENT} GROUP BY c.run
        UNION ALL
        SELECT d.run, count(*) FROM dead_letters d CROSS JOIN attempts a ON a.id = d.attempt
        WHERE a.call IS NULL AND {_at("+d.run", "d.died_at")} GROUP BY d.run
    """,
    ("reused", "saved", "unpriced_reused"): f"""
        SELECT a.run, count(*), total(a.saved), sum(a.saved IS NULL) FROM attempts a INDEXED BY attempts_reused
        WHERE a.call IS NULL AND a.verdict = 'accepted' AND {_at("a.run", "a.recorded_at")} GROUP BY a.run
    """,
}  # fmt: skip
_SECONDS = f"SELECT c.run, c.seconds FROM calls c WHERE {_SENT} AND c.outcome = 'replied' AND c.seconds IS NOT NULL"
