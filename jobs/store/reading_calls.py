"""Pages of calls: those behind a figure, each with the row that it was about.

How many there are, and which stretch of time holds a page of them, is known from the tallies; so the last page of a million is
found as fast as the first one, and no call outside that stretch is looked at.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from sqlite_utils import Database

from jobs import views
from jobs.store.reading_letters import reference
from jobs.store.reading_tallies import Buckets, latencies, runs
from jobs.store.tallies import MINUTE

Which = Literal["all", "accepted", "wasted", "rejected", "failed", "throttled", "slow"]

#: the calls that are meant among all, and how many they are among a minute's figures
_WHICH: dict[Which, tuple[str, str]] = {
    "all": ("1", "calls"),
    "accepted": ("c.wasted = 0", "calls - wasted_calls"),
    "wasted": ("c.wasted = 1", "wasted_calls"),
    "rejected": ("c.outcome = 'replied' AND c.wasted = 1", "wasted_calls - throttles - transport_failures"),
    "failed": ("c.outcome NOT IN ('replied', 'throttled')", "transport_failures"),
    "throttled": ("c.outcome = 'throttled'", "throttles"),
    "slow": ("c.outcome = 'replied' AND c.seconds IS NOT NULL", "length(latencies) / 8"),
}
_NEWEST, _SLOWEST = "c.sent_at DESC, c.id DESC", "c.seconds DESC, c.id DESC"


def calls(
    db: Database,
    among: views.CallFilter,
    *,
    which: Which,
    limit: int,
    offset: int,
    seconds: tuple[float, float] | None = None,
) -> tuple[list[views.CallRow], int]:
    """A page of calls, the newest first, and how many there are.

    ``accepted`` are those that brought a value and ``wasted`` the others, of which ``rejected`` have a reply and ``failed`` are
    without one for another cause than a throttle; ``slow`` are all that were replied to, the slowest first. ``seconds`` is a
    span of latency, its end left out. A call about several rows names the first of them.
    """
    page = _Page(db, among, which, limit, offset)
    if which == "slow":
        return page.slowest(seconds)
    return page.newest() if seconds is None else page.newest_of(seconds)


class _Page:
    """One page of calls, found in one of three ways."""

    def __init__(self, db: Database, among: views.CallFilter, which: Which, limit: int, offset: int) -> None:
        self._db, self._limit, self._offset = db, limit, offset
        self._window = Buckets(among.since, among.until)
        self._which, self._counted = _WHICH[which]
        self._chosen = runs(db, among)
        self._runs = json.dumps(list(self._chosen))

    def newest(self) -> tuple[list[views.CallRow], int]:
        """From the minutes that hold the page."""
        total = before = 0
        held: list[tuple[float, float]] = []
        for since, until, n in self._stretches():
            if n and total < self._offset + self._limit and total + n > self._offset:
                before = before if held else total
                held.append((since, until))
            total += n
        if not held:
            return [], total
        source = f"{_SENT} AND {self._which}"
        return self._rows(source, [self._runs, held[-1][0], held[0][1]], _NEWEST, self._offset - before), total

    def _stretches(self) -> list[tuple[float, float, int]]:
        """(begin, end, how many of the calls) along the window, the newest first."""
        source = f"{_SENT} AND {self._which}"
        edges = [(begin, end) for _, begin, end in self._window.edges]
        found = [(*edge, self._count(source, [self._runs, *edge])) for edge in edges]
        for begin, end in self._window.minutes:
            minutes = self._db.execute(
                f"""
                SELECT minute, sum({self._counted}) FROM tallies
                WHERE run IN (SELECT value FROM json_each(?)) AND minute >= ? AND minute < ? GROUP BY minute
                """,
                [self._runs, begin, end],
            )
            found += [(float(minute * MINUTE), float((minute + 1) * MINUTE), n) for minute, n in minutes]
        return sorted(found, reverse=True)

    def newest_of(self, seconds: tuple[float, float]) -> tuple[list[views.CallRow], int]:
        """Those of a span of latency, from the whole window."""
        source = f"{_SENT} AND {self._which} AND c.seconds >= ? AND c.seconds < ?"
        values = [self._runs, self._window.since, self._window.until, *seconds]
        return self._rows(source, values, _NEWEST, self._offset), self._count(source, values)

    def slowest(self, seconds: tuple[float, float] | None) -> tuple[list[views.CallRow], int]:
        """From the minutes that hold the latencies which the page begins and ends with, and those between."""
        places, packed = [], []
        for run, begin, end, found in latencies(self._db, self._chosen, self._window):
            places.append((run, begin, end))
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
        source = f"{_IN_PLACES} WHERE {self._which} AND c.seconds >= ? AND c.seconds <= ?"
        values = [json.dumps([places[one] for one in held]), fastest, slowest]
        return self._rows(source, values, _SLOWEST, self._offset - slower), len(every)

    def _count(self, source: str, values: Sequence[object]) -> int:
        return int(self._db.execute(f"SELECT count(*) FROM {source}", list(values)).fetchone()[0])

    def _rows(self, source: str, values: Sequence[object], order: str, offset: int) -> list[views.CallRow]:
        found = self._db.execute(
            f"""
            WITH page AS MATERIALIZED (SELECT c.id FROM {source} ORDER BY {order} LIMIT ? OFFSET ?)
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
            [*values, self._limit, offset],
        )
        return [_call(row) for row in found]


_SENT = "calls c WHERE c.run IN (SELECT value FROM json_each(?)) AND c.sent_at >= ? AND c.sent_at < ?"
#: of stretches of single runs: JSON lists of [run, begin, end]
_IN_PLACES = """
    json_each(?) place CROSS JOIN calls c ON c.run = json_extract(place.value, '$[0]')
        AND c.sent_at >= json_extract(place.value, '$[1]') AND c.sent_at < json_extract(place.value, '$[2]')
"""


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
