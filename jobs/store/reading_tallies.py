"""Whose calls are meant, and what they come to in each bucket of a window: from the tallies, exact to the call.

A window is cut into buckets of equal length. Whole minutes come from their tallies; only the minutes that a bucket's edge
falls into are looked at call by call, so the figures are exact wherever the edges are.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from sqlite_utils import Database

from jobs.options import MOST_RUNGS, Rung
from jobs.store.reading_letters import reference
from jobs.store.rungs import rungs
from jobs.store.sums import FIGURES, Cell, Sum
from jobs.store.tallies import MINUTE, Way
from jobs.views.costs import OPEN, SAVED, WENT, By, CallFilter

#: the slice that everything is in
TOTAL = ("total", "all calls")


@dataclass(frozen=True)
class Place:
    """A rung of a run whose calls are meant, with the names of the slices that they belong to."""

    run: int
    rung: int
    version: str
    model: str
    connection: str

    def slice(self, by: By) -> tuple[str, str]:
        """The key and the label of its slice."""
        match by:
            case "run":
                return str(self.run), f"run {self.run}"
            case "version":
                return self.version, self.version
            case "model":
                return self.model, self.model
            case "connection":
                return self.connection, self.connection
            case "total":
                return TOTAL


@dataclass(frozen=True)
class Chosen:
    """The rungs of runs whose calls are meant: (run, rung) -> its place."""

    places: dict[tuple[int, int], Place]
    #: of some of the runs not every rung is meant
    narrowed: bool

    @property
    def named(self) -> dict[str, object]:
        """The values of ``of``."""
        found: dict[str, object] = {"runs": json.dumps(list(dict.fromkeys(run for run, _ in self.places)))}
        if self.narrowed:
            found["places"] = json.dumps([run * MOST_RUNGS + rung for run, rung in self.places])
        return found

    def of(self, run: str, rung: str) -> str:
        """The condition that a call, or a minute of calls, is one of these."""
        found = f"{run} IN (SELECT value FROM json_each(:runs))"
        if self.narrowed:
            found += f" AND {run} * {MOST_RUNGS} + {rung} IN (SELECT value FROM json_each(:places))"
        return found


def chosen(db: Database, among: CallFilter) -> Chosen:
    """What passes and may have calls in the window."""
    parts = ["r.created_at < ?"]
    values: list[float | str] = [among.until]
    for column, value in (("r.id", among.run), ("r.prompt", among.prompt)):
        if value is not None:
            parts.append(f"{column} = ?")
            values.append(value)
    found = db.execute(
        f"""
        SELECT r.id, v.prompt, v.number, r.connection, r.base_url, r.model, r.price, r.upper
        FROM runs r JOIN versions v ON v.id = r.version WHERE {" AND ".join(parts)}
        """,
        values,
    )
    places, narrowed = dict[tuple[int, int], Place](), False
    for run, prompt, number, *frozen in found:
        version, every = reference(prompt, number), rungs(*frozen)
        if among.version is not None and among.version != version:
            continue
        passing = [(n, one) for n, one in enumerate(every) if _passes(one, among)]
        narrowed |= 0 < len(passing) < len(every)
        places |= {(run, n): Place(run, n, version, one.model, one.connection) for n, one in passing}
    return Chosen(places, narrowed)


def _passes(one: Rung, among: CallFilter) -> bool:
    return among.model in (None, one.model) and among.connection in (None, one.connection)


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


def cells(db: Database, among: Chosen, buckets: Buckets) -> Iterator[tuple[Place, int, Cell]]:
    """What the calls of each place come to in each bucket: (place, bucket, cell), one or several to be added."""
    named = among.named | {"since": buckets.since, "width": buckets.width, "last": buckets.n - 1}
    for first, last in buckets.minutes:
        yield from _tallied(db, among, named | {"begin": first, "end": last})
    for bucket, begin, end in buckets.edges:
        for place, cell in _by_the_call(db, among, named | {"begin": begin, "end": end}):
            yield place, bucket, cell


def latencies(db: Database, among: Chosen, window: Buckets) -> Iterator[tuple[int, int, float, float, bytes]]:
    """The seconds of replied calls as float64 values, packed: (run, rung, begin, end, values) of stretches of a minute or less."""
    named = among.named
    for first, last in window.minutes:
        query = f"SELECT run, rung, minute, latencies {_minutes(among)}"
        for run, rung, minute, packed in db.execute(query, named | {"begin": first, "end": last}):
            yield run, rung, minute * MINUTE, (minute + 1) * MINUTE, packed
    for _, begin, end in window.edges:
        for (run, rung), packed in _seconds(db, among, named | {"begin": begin, "end": end}):
            yield run, rung, begin, end, packed


def ways(db: Database, among: Chosen, window: Buckets) -> dict[str, Way]:
    """Where the money of the calls went and what was saved, by way."""
    found: dict[str, Way] = {}
    for first, last in window.minutes:
        named = among.named | {"begin": first, "end": last}
        for way in (*WENT, OPEN, *SAVED):  # one by one: a grouping would sort all of them first
            _take(found, db.execute(_WAYS.format(among.of("run", "rung")), named | {"way": way}))
    for _, begin, end in window.edges:
        for query in _CALLS_WAYS:
            _take(found, db.execute(at(query, among), among.named | {"begin": begin, "end": end}))
    return found


def _take(found: dict[str, Way], more: Iterable[tuple[str, float, int, int]]) -> None:
    for way, money, n, unknown in more:
        found.setdefault(way, Way()).add(money, n, unknown)


_SUMS = ", ".join(f"sum({name})" for name in FIGURES)
# The middle of a minute is in its bucket, however the borders are rounded.
_BUCKET = f"min(CAST((minute * {MINUTE} + {MINUTE // 2} - :since) / :width AS INTEGER), :last)"
_WAYS = """
    SELECT :way, total(money), coalesce(sum(n), 0), coalesce(sum(unknown), 0) FROM ways
    WHERE way = :way AND {} AND minute >= :begin AND minute < :end
"""


def _minutes(among: Chosen) -> str:
    return f"FROM tallies WHERE {among.of('run', 'rung')} AND minute >= :begin AND minute < :end"


def _tallied(db: Database, among: Chosen, named: dict[str, object]) -> Iterator[tuple[Place, int, Cell]]:
    sums = db.execute(f"SELECT run, rung, {_BUCKET}, {_SUMS} {_minutes(among)} GROUP BY 1, 2, 3", named)
    found = {(run, rung, bucket): Cell(Sum(*figures)) for run, rung, bucket, *figures in sums}
    for run, rung, bucket, packed in db.execute(f"SELECT run, rung, {_BUCKET}, latencies {_minutes(among)}", named):
        found[run, rung, bucket].packed.append(packed)
    for (run, rung, bucket), cell in found.items():
        yield among.places[run, rung], bucket, cell


def _by_the_call(db: Database, among: Chosen, named: dict[str, object]) -> Iterator[tuple[Place, Cell]]:
    for names, query in _FIGURES.items():
        for run, rung, *figures in db.execute(at(query, among), named):
            yield among.places[run, rung], Cell(Sum(**dict(zip(names, figures, strict=True))))
    for place, packed in _seconds(db, among, named):
        yield among.places[place], Cell(packed=[packed])


def _seconds(db: Database, among: Chosen, named: dict[str, object]) -> Iterator[tuple[tuple[int, int], bytes]]:
    found: dict[tuple[int, int], array[float]] = {}
    for run, rung, seconds in db.execute(at(_SECONDS, among), named):
        found.setdefault((run, rung), array("d")).append(seconds)
    for place, one in found.items():
        yield place, one.tobytes()


def at(query: str, among: Chosen) -> str:
    """A query about single calls, or what stands without one, of a stretch of time."""
    return query.format(
        sent=f"{among.of('c.run', 'c.rung')} AND c.sent_at >= :begin AND c.sent_at < :end",
        died=f"{among.of('+d.run', ROW_RUNG.format('d'))} AND d.died_at >= :begin AND d.died_at < :end",
        reused=f"{among.of('a.run', ROW_RUNG.format('a'))} AND a.recorded_at >= :begin AND a.recorded_at < :end",
    )


#: where a row stands that got its end without a call
ROW_RUNG = "(SELECT rung FROM run_rows r WHERE r.run = {0}.run AND r.ordinal = {0}.ordinal)"
#: the figures that follow a run and a rung, and where they are found; several walks along one stretch of the index are cheaper
#: than one that does it all
_FIGURES: dict[tuple[str, ...], str] = {
    (
        "calls", "throttles", "transport_failures", "cost", "unpriced_calls", "wasted", "wasted_calls", "prompt_tokens",
        "completion_tokens", "cached_tokens",
    ): """
        SELECT c.run, c.rung, count(*), sum(c.outcome = 'throttled'), sum(c.outcome NOT IN ('replied', 'throttled')),
               total(c.cost), sum(c.cost IS NULL), total(c.cost * c.wasted), sum(c.wasted), coalesce(sum(c.prompt_tokens), 0),
               coalesce(sum(c.completion_tokens), 0), coalesce(sum(c.cached_tokens), 0)
        FROM calls c WHERE {sent} GROUP BY c.run, c.rung
    """,
    ("open_calls", "set_aside"): """
        SELECT c.run, c.rung, count(*), total(c.reserved) FROM calls c INDEXED BY calls_open
        WHERE c.settled = 0 AND c.price IS NOT NULL AND c.cost IS NULL AND {sent} GROUP BY c.run, c.rung
    """,
    ("accepted", "strikes"): """
        SELECT c.run, c.rung, sum(a.verdict = 'accepted' AND a.superseded = 0), sum(a.strike)
        FROM calls c JOIN attempts a ON a.call = c.id WHERE {sent} GROUP BY c.run, c.rung
    """,
    # of a call's last word about a row, or else by when that was recorded
    ("dead",): f"""
        SELECT c.run, c.rung, count(*)
        FROM calls c CROSS JOIN attempts a INDEXED BY attempts_call ON a.call = c.id AND a.verdict != 'accepted'
        CROSS JOIN dead_letters d ON d.run = a.run AND d.ordinal = a.ordinal AND d.attempt = a.id
        WHERE {{sent}} GROUP BY c.run, c.rung
        UNION ALL
        SELECT d.run, {ROW_RUNG.format("d")}, count(*) FROM dead_letters d CROSS JOIN attempts a ON a.id = d.attempt
        WHERE a.call IS NULL AND {{died}} GROUP BY 1, 2
    """,
    ("reused", "saved", "unpriced_reused"): f"""
        SELECT a.run, {ROW_RUNG.format("a")}, count(*), total(a.saved), sum(a.saved IS NULL)
        FROM attempts a INDEXED BY attempts_reused
        WHERE a.call IS NULL AND a.verdict = 'accepted' AND {{reused}} GROUP BY 1, 2
    """,
}  # fmt: skip
_SECONDS = """
    SELECT c.run, c.rung, c.seconds FROM calls c WHERE {sent} AND c.outcome = 'replied' AND c.seconds IS NOT NULL
"""
#: the calls that may have saved something in a way, as ``tallies`` counts them
SAVING: dict[str, str] = {
    "cache": "c.cached_tokens > 0",
    "batch": "c.batch IS NOT NULL AND c.prompt_tokens IS NOT NULL",
    "rows": "c.rows > 1 AND c.prompt_tokens IS NOT NULL",
    "ladder": "c.above > 0 AND c.prompt_tokens IS NOT NULL",
}
#: (way, money, n, unknown) of single calls, and of rows that reused an answer
_CALLS_WAYS = (
    f"""
    SELECT c.way, total(c.cost), count(*), sum(c.cost IS NULL) FROM calls c
    WHERE {{sent}} AND c.way != '{OPEN}' GROUP BY c.way
    """,
    f"""
    SELECT '{OPEN}', total(c.reserved), count(*), 0 FROM calls c INDEXED BY calls_open
    WHERE c.settled = 0 AND c.price IS NOT NULL AND c.cost IS NULL AND {{sent}}
    """,
    """
    SELECT 'reuse', total(a.saved), count(*), coalesce(sum(a.saved IS NULL), 0) FROM attempts a INDEXED BY attempts_reused
    WHERE a.call IS NULL AND a.verdict = 'accepted' AND {reused}
    """,
    *(
        f"""
        SELECT '{way}', total(c.saved_{way}), count(*), coalesce(sum(c.saved_{way} IS NULL), 0) FROM calls c
        WHERE {{sent}} AND {condition}
        """
        for way, condition in SAVING.items()
    ),
)
