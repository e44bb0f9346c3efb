"""Money, tokens and time of the calls in a window: whole, by slice, along time.

A call belongs to the window in which it was sent, and what became of its rows goes with it, however much later that was
decided. Percentiles are nearest-rank over the raw seconds of replied calls: always a latency that was measured, never an
average of averages.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from sqlite_utils import Database

from jobs.store import reading_tallies
from jobs.store.reading_tallies import TOTAL, Buckets, Chosen, cells, chosen
from jobs.store.sums import Cell, Sum, spending, together
from jobs.views.costs import OPEN, SAVED, WENT, By, CallFilter, CostReport, Spending, Way, Ways

#: the longest list of latencies that is handed out
MOST_LATENCIES = 50_000


def slices(db: Database, among: CallFilter, by: By) -> list[Spending]:
    """The calls by slice, the dearest first; ``total`` is there even where nothing was sent."""
    found = {
        slice_: parts[0]
        for slice_, parts in _gathered(db, chosen(db, among), Buckets(among.since, among.until), by).items()
    }
    if by == "total":
        found.setdefault(TOTAL, Cell())
    return _dearest_first(cell.spending(*slice_) for slice_, cell in found.items())


def report(db: Database, among: CallFilter, *, buckets: int, by: By) -> CostReport:
    """The calls whole, by slice, by bucket and by both, of one moment."""
    meant = chosen(db, among)
    parts = _gathered(db, meant, Buckets(among.since, among.until, buckets), by)
    starts = [repr(Buckets(among.since, among.until, buckets).start(bucket)) for bucket in range(buckets)]
    along = [together(part[bucket] for part in parts.values()) for bucket in range(buckets)]
    total = together(along)
    latencies = np.sort(total.latencies())
    every = max(1, math.ceil(len(latencies) / MOST_LATENCIES))
    return CostReport(
        total=spending(*TOTAL, total.sum, latencies),
        slices=tuple(_dearest_first(together(part).spending(*slice_) for slice_, part in parts.items())),
        buckets=tuple(one.spending(start, TOTAL[1]) for start, one in zip(starts, along, strict=True)),
        series=tuple(
            parts[slice_][bucket].spending(start, slice_[1])
            for bucket, start in enumerate(starts)
            for slice_ in sorted(parts)
        ),
        latencies=tuple(latencies[every // 2 :: every].tolist()),
        ways=_ways(db, meant, Buckets(among.since, among.until)),
    )


def ways(db: Database, among: CallFilter) -> Ways:
    """Where the money of the calls went and what was saved."""
    return _ways(db, chosen(db, among), Buckets(among.since, among.until))


def _ways(db: Database, meant: Chosen, window: Buckets) -> Ways:
    found = reading_tallies.ways(db, meant, window)
    told = {
        way: Way(name=way, money=one.money, n=one.n, unknown=one.unknown)
        for way in (*WENT, OPEN, *SAVED)
        if (one := found.get(way)) is not None and one.n
    }
    return Ways(
        went=tuple(told[way] for way in WENT if way in told),
        saved=tuple(told[way] for way in SAVED if way in told),
        open=told.get(OPEN),
    )


def order(db: Database, by: By) -> list[str]:
    """Every slice's key, in the order in which the first run of each was begun."""
    places = chosen(db, CallFilter(since=0.0, until=math.inf)).places
    return list(dict.fromkeys(places[place].slice(by)[0] for place in sorted(places)))


def whole(db: Database, among: CallFilter) -> Sum:
    """What the calls come to together."""
    found = Sum()
    for *_, cell in cells(db, chosen(db, among), Buckets(among.since, among.until)):
        found.add(cell.sum)
    return found


def _gathered(db: Database, meant: Chosen, buckets: Buckets, by: By) -> dict[tuple[str, str], list[Cell]]:
    """Slice -> its cell in each bucket."""
    found: dict[tuple[str, str], list[Cell]] = {}
    for place, bucket, cell in cells(db, meant, buckets):
        slice_ = place.slice(by)
        if slice_ not in found:
            found[slice_] = [Cell() for _ in range(buckets.n)]
        found[slice_][bucket].add(cell)
    return found


def _dearest_first(found: Iterable[Spending]) -> list[Spending]:
    return sorted(found, key=lambda one: (-one.cost, -one.calls, one.key))
