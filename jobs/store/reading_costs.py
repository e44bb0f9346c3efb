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

from jobs import views
from jobs.store.reading_tallies import TOTAL, Buckets, cells, runs
from jobs.store.sums import Cell, Sum, spending, together

#: the longest list of latencies that is handed out
MOST_LATENCIES = 50_000


def slices(db: Database, among: views.CallFilter, by: views.By) -> list[views.Spending]:
    """The calls by slice, the dearest first; ``total`` is there even where nothing was sent."""
    found = {slice_: parts[0] for slice_, parts in _gathered(db, among, 1, by).items()}
    if by == "total":
        found.setdefault(TOTAL, Cell())
    return _dearest_first(cell.spending(*slice_) for slice_, cell in found.items())


def report(db: Database, among: views.CallFilter, *, buckets: int, by: views.By) -> views.CostReport:
    """The calls whole, by slice, by bucket and by both, of one moment."""
    parts = _gathered(db, among, buckets, by)
    starts = [repr(Buckets(among.since, among.until, buckets).start(bucket)) for bucket in range(buckets)]
    along = [together(part[bucket] for part in parts.values()) for bucket in range(buckets)]
    total = together(along)
    latencies = np.sort(total.latencies())
    every = max(1, math.ceil(len(latencies) / MOST_LATENCIES))
    return views.CostReport(
        total=spending(*TOTAL, total.sum, latencies),
        slices=tuple(_dearest_first(together(part).spending(*slice_) for slice_, part in parts.items())),
        buckets=tuple(one.spending(start, TOTAL[1]) for start, one in zip(starts, along, strict=True)),
        series=tuple(
            parts[slice_][bucket].spending(start, slice_[1])
            for bucket, start in enumerate(starts)
            for slice_ in sorted(parts)
        ),
        latencies=tuple(latencies[every // 2 :: every].tolist()),
    )


def order(db: Database, by: views.By) -> list[str]:
    """Every slice's key, in the order in which the first run of each was begun."""
    found = runs(db, views.CallFilter(since=0.0, until=math.inf))
    return list(dict.fromkeys(found[run].slice(by)[0] for run in sorted(found)))


def whole(db: Database, among: views.CallFilter) -> Sum:
    """What the calls come to together."""
    found = Sum()
    for *_, cell in cells(db, runs(db, among), Buckets(among.since, among.until)):
        found.add(cell.sum)
    return found


def _gathered(db: Database, among: views.CallFilter, buckets: int, by: views.By) -> dict[tuple[str, str], list[Cell]]:
    """Slice -> its cell in each bucket."""
    chosen = runs(db, among)
    found: dict[tuple[str, str], list[Cell]] = {}
    for run, bucket, cell in cells(db, chosen, Buckets(among.since, among.until, buckets)):
        slice_ = chosen[run].slice(by)
        if slice_ not in found:
            found[slice_] = [Cell() for _ in range(buckets)]
        found[slice_][bucket].add(cell)
    return found


def _dearest_first(found: Iterable[views.Spending]) -> list[views.Spending]:
    return sorted(found, key=lambda one: (-one.cost, -one.calls, one.key))
