"""Pages of calls: those behind a figure, each with the row that it was about.

How many there are, and which stretch of time holds a page of them, is known from the tallies; so the last page of a million is
found as fast as the first one, and no call outside that stretch is looked at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from sqlite_utils import Database

from jobs.store.reading_tallies import ROW_RUNG, SAVING, Buckets, Chosen, at, chosen, latencies
from jobs.store.tallies import MINUTE
from jobs.views.costs import CallFilter, CallRow, ReusedRow

#: ``went-`` and a way that money goes, ``saved-`` and one that it is saved in by a call
Which = Literal[
    "all", "accepted", "wasted", "rejected", "failed", "throttled", "slow",
    "went-first", "went-again", "went-rejected", "went-doubted", "went-failed", "went-superseded", "went-open",
    "saved-cache", "saved-batch", "saved-rows", "saved-ladder",
]  # fmt: skip

#: the calls that are meant among all, and how many they are in the figures of a minute
_WHICH: dict[Which, tuple[str, str]] = {
    "all": ("1", "calls"),
    "accepted": ("c.wasted = 0", "calls - wasted_calls"),
    "wasted": ("c.wasted = 1", "wasted_calls"),
    "rejected": ("c.outcome = 'replied' AND c.wasted = 1", "wasted_calls - throttles - transport_failures"),
    "failed": ("c.outcome NOT IN ('replied', 'throttled')", "transport_failures"),
    "throttled": ("c.outcome = 'throttled'", "throttles"),
    "slow": ("c.outcome = 'replied' AND c.seconds IS NOT NULL", "length(latencies) / 8"),
}


def _meant(which: Which) -> tuple[str, str]:
    """The condition on calls, and what counts them by the minute: (minute, n)."""
    if which in _WHICH:
        condition, counted = _WHICH[which]
        return condition, f"SELECT minute, sum({counted}) FROM tallies WHERE"
    kind, _, way = which.partition("-")
    condition = f"c.way = '{way}'" if kind == "went" else SAVING[way]
    return condition, f"SELECT minute, sum(n) FROM ways WHERE way = '{way}' AND"


_NEWEST, _SLOWEST = "c.sent_at DESC, c.id DESC", "c.seconds DESC, c.id DESC"


def calls(
    db: Database,
    among: CallFilter,
    *,
    which: Which,
    limit: int,
    offset: int,
    seconds: tuple[float, float] | None = None,
) -> tuple[list[CallRow], int]:
    """A page of calls, the newest first, and how many there are.

    ``accepted`` are those that brought a value and ``wasted`` the others, of which ``rejected`` have a reply and ``failed`` are
    without one for another cause than a throttle; ``slow`` are all that were replied to, the slowest first. ``seconds`` is a
    span of latency, its end left out. A call about several rows names the first of them.
    """
    page = _Page(db, among, which, limit, offset)
    if which == "slow":
        return page.slowest(seconds)
    return page.newest() if seconds is None else page.newest_of(seconds)


def reused(db: Database, among: CallFilter, *, limit: int, offset: int) -> tuple[list[ReusedRow], int]:
    """A page of the rows that were given an answer of earlier, the newest first, and how many there are."""
    meant = chosen(db, among)
    stretch = at("{reused} AND a.call IS NULL AND a.verdict = 'accepted'", meant)
    source = f"attempts a INDEXED BY attempts_reused WHERE {stretch}"
    counted = "SELECT minute, sum(n) FROM ways WHERE way = 'reuse' AND"
    begin, end, before, total = _held(db, meant, among, source, counted, limit=limit, offset=offset)
    if begin is None:
        return [], total
    found = db.execute(
        f"""
        SELECT a.run, {ROW_RUNG.format("a")}, a.ordinal, rr.row_id, a.saved, a.recorded_at, json_extract(a.receipt, '$.source')
        FROM {source.replace("WHERE", "LEFT JOIN run_rows rr ON rr.run = a.run AND rr.ordinal = a.ordinal WHERE")}
        ORDER BY a.recorded_at DESC, a.id DESC LIMIT :limit OFFSET :offset
        """,
        meant.named | {"begin": begin, "end": end, "limit": limit, "offset": offset - before},
    )
    rows = []
    for run, rung, ordinal, row_id, saved, recorded_at, source_id in found:
        place = meant.places[run, rung]
        rows.append(
            ReusedRow(
                run=run,
                ordinal=ordinal,
                row_id=row_id or "",
                version=place.version,
                model=place.model,
                connection=place.connection,
                saved=saved,
                recorded_at=recorded_at,
                source=source_id,
            )
        )
    return rows, total


def _held(
    db: Database, meant: Chosen, among: CallFilter, source: str, counted: str, *, limit: int, offset: int
) -> tuple[float | None, float, int, int]:
    """The stretch of time that holds a page: (begin, end, how many are newer than it, how many there are); begin None: empty."""
    window = Buckets(among.since, among.until)
    found = []
    for _, begin, end in window.edges:
        query = f"SELECT count(*) FROM {source}"
        found.append((begin, end, db.execute(query, meant.named | {"begin": begin, "end": end}).fetchone()[0]))
    for first, last in window.minutes:
        query = f"{counted} {meant.of('run', 'rung')} AND minute >= :begin AND minute < :end GROUP BY minute"
        for minute, n in db.execute(query, meant.named | {"begin": first, "end": last}):
            found.append((float(minute * MINUTE), float((minute + 1) * MINUTE), n))
    total = before = 0
    held: list[tuple[float, float]] = []
    for begin, end, n in sorted(found, reverse=True):
        if n and total < offset + limit and total + n > offset:
            before = before if held else total
            held.append((begin, end))
        total += n
    return (held[-1][0], held[0][1], before, total) if held else (None, 0.0, 0, total)


class _Page:
    """One page of calls, found in one of three ways."""

    def __init__(self, db: Database, among: CallFilter, which: Which, limit: int, offset: int) -> None:
        self._db, self._among, self._limit, self._offset = db, among, limit, offset
        self._which, self._counted = _meant(which)
        self._chosen = chosen(db, among)
        self._source = f"calls c WHERE {at('{sent}', self._chosen)} AND {self._which}"

    def newest(self) -> tuple[list[CallRow], int]:
        """From the minutes that hold the page."""
        begin, end, before, total = _held(
            self._db, self._chosen, self._among, self._source, self._counted, limit=self._limit, offset=self._offset
        )
        if begin is None:
            return [], total
        named = self._chosen.named | {"begin": begin, "end": end}
        return self._rows(self._source, named, _NEWEST, self._offset - before), total

    def newest_of(self, seconds: tuple[float, float]) -> tuple[list[CallRow], int]:
        """Those of a span of latency, from the whole window."""
        source = f"{self._source} AND c.seconds >= :low AND c.seconds < :high"
        named = self._chosen.named | {"begin": self._among.since, "end": self._among.until}
        named |= {"low": seconds[0], "high": seconds[1]}
        total = int(self._db.execute(f"SELECT count(*) FROM {source}", named).fetchone()[0])
        return self._rows(source, named, _NEWEST, self._offset), total

    def slowest(self, seconds: tuple[float, float] | None) -> tuple[list[CallRow], int]:
        """From the minutes that hold the latencies which the page begins and ends with, and those between."""
        places, packed = [], []
        window = Buckets(self._among.since, self._among.until)
        for run, rung, begin, end, found in latencies(self._db, self._chosen, window):
            places.append((run, rung, begin, end))
            packed.append(found)
        every = np.frombuffer(b"".join(packed), dtype=np.float64)
        owners = np.repeat(np.arange(len(places)), [len(one) // every.itemsize for one in packed])
        if seconds is not None:
            inside = (every >= seconds[0]) & (every < seconds[1])
            every, owners = every[inside], owners[inside]
        last = len(every) - 1 - self._offset
        first = max(0, last + 1 - self._limit)
        if not 0 <= first <= last:
            return [], len(every)
        ordered = np.partition(every, [first, last])
        fastest, slowest = float(ordered[first]), float(ordered[last])
        held = np.unique(owners[(every >= fastest) & (every <= slowest)])
        slower = int(np.count_nonzero(every > slowest))
        source = f"{_IN_PLACES} WHERE {self._which} AND c.seconds >= :low AND c.seconds <= :high"
        named = {"held": json.dumps([places[one] for one in held]), "low": fastest, "high": slowest}
        return self._rows(source, named, _SLOWEST, self._offset - slower), len(every)

    def _rows(self, source: str, named: Mapping[str, object], order: str, offset: int) -> list[CallRow]:
        found = self._db.execute(
            f"""
            WITH page AS MATERIALIZED (SELECT c.id FROM {source} ORDER BY {order} LIMIT :limit OFFSET :offset)
            SELECT c.try_id, c.run, c.rung, COALESCE(a.ordinal, 0), COALESCE(rr.row_id, ''), c.rows, c.outcome, a.verdict,
                   c.sent_at, c.seconds, c.prompt_tokens, c.completion_tokens, c.cached_tokens, c.cost, c.status, c.way
            FROM page
            JOIN calls c ON c.id = page.id
            LEFT JOIN attempts a ON a.id = (
                SELECT id FROM attempts WHERE call = c.id ORDER BY superseded, ordinal LIMIT 1
            )
            LEFT JOIN run_rows rr ON rr.run = a.run AND rr.ordinal = a.ordinal
            ORDER BY {order}
            """,
            {**named, "limit": self._limit, "offset": offset},
        )
        return [self._call(row) for row in found]

    def _call(self, row: Sequence[Any]) -> CallRow:
        (
            try_id, run, rung, ordinal, row_id, rows, outcome, verdict, sent_at, seconds, prompt_tokens, completion_tokens,
            cached_tokens, cost, status, way,
        ) = row  # fmt: skip
        place = self._chosen.places[run, rung]
        return CallRow(
            try_id=try_id,
            run=run,
            ordinal=ordinal,
            row_id=row_id,
            rows=rows,
            version=place.version,
            model=place.model,
            connection=place.connection,
            outcome=outcome,
            verdict=verdict,
            sent_at=sent_at,
            seconds=seconds,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            cached_tokens=cached_tokens,
            cost=cost,
            status=status,
            way=way,
        )


#: of stretches of single rungs: JSON lists of [run, rung, begin, end]
_IN_PLACES = """
    json_each(:held) place CROSS JOIN calls c ON c.run = json_extract(place.value, '$[0]')
        AND c.sent_at >= json_extract(place.value, '$[2]') AND c.sent_at < json_extract(place.value, '$[3]')
        AND c.rung = json_extract(place.value, '$[1]')
"""
