"""Figures of calls while they are added up, and exact percentiles of as many raw latencies as there are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from jobs.views.costs import Spending

Latencies = NDArray[np.float64]


@dataclass(slots=True)
class Sum:
    """What adds up of the calls of a slice, a bucket or a minute; the columns of ``tallies`` have the same names."""

    calls: int = 0
    accepted: int = 0
    dead: int = 0
    strikes: int = 0
    throttles: int = 0
    transport_failures: int = 0
    reused: int = 0
    saved: float = 0.0
    unpriced_reused: int = 0
    cost: float = 0.0
    unpriced_calls: int = 0
    open_calls: int = 0
    set_aside: float = 0.0
    wasted: float = 0.0
    wasted_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    def add(self, other: Sum, *, times: int = 1) -> None:
        """Take another sum's figures in; with ``times=-1`` out."""
        for name in FIGURES:
            setattr(self, name, getattr(self, name) + times * getattr(other, name))


FIGURES = tuple(one.name for one in fields(Sum))


@dataclass
class Cell:
    """The figures of a slice in a bucket, and the seconds of its replied calls as they were measured, in no order."""

    sum: Sum = field(default_factory=Sum)
    #: float64 values, packed
    packed: list[bytes] = field(default_factory=list)

    def add(self, other: Cell) -> None:
        """Take everything of another cell in."""
        self.sum.add(other.sum)
        self.packed += other.packed

    @property
    def is_empty(self) -> bool:
        """Whether nothing was sent, and no row got an end without it."""
        return not (self.sum.calls or self.sum.reused or self.sum.dead)

    def latencies(self) -> Latencies:
        """All seconds, in no order."""
        return np.frombuffer(b"".join(self.packed), dtype=np.float64)

    def spending(self, key: str, label: str) -> Spending:
        """The cell as a reader gets it."""
        return spending(key, label, self.sum, self.latencies())


def together(cells: Iterable[Cell]) -> Cell:
    """One cell with everything of those."""
    whole = Cell()
    for cell in cells:
        if not cell.is_empty:  # of many runs in many buckets, most are
            whole.add(cell)
    return whole


def spending(key: str, label: str, one: Sum, latencies: Latencies) -> Spending:
    """A slice as a reader gets it; ``latencies`` in any order."""
    p50, p95, p99 = percentiles(latencies, (50, 95, 99))
    return Spending(
        key=key,
        label=label,
        calls=one.calls,
        accepted=one.accepted,
        dead=one.dead,
        strikes=one.strikes,
        throttles=one.throttles,
        transport_failures=one.transport_failures,
        reused=one.reused,
        saved=one.saved,
        unpriced_reused=one.unpriced_reused,
        judged=one.accepted + one.strikes,
        cost=one.cost,
        unpriced_calls=one.unpriced_calls,
        open_calls=one.open_calls,
        set_aside=one.set_aside,
        wasted=one.wasted,
        wasted_calls=one.wasted_calls,
        prompt_tokens=one.prompt_tokens,
        completion_tokens=one.completion_tokens,
        cached_tokens=one.cached_tokens,
        p50=p50,
        p95=p95,
        p99=p99,
        latency_n=len(latencies),
    )


def percentiles(values: Latencies, shares: Sequence[float]) -> list[float | None]:
    """Nearest-rank percentiles of values in any order: each is one of the values; None of none."""
    if not len(values):
        return [None] * len(shares)
    ranks = [max(0, math.ceil(share / 100 * len(values)) - 1) for share in shares]
    found = np.partition(values, ranks)
    return [float(found[rank]) for rank in ranks]
