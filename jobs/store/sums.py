"""Figures of calls while they are added up, and those of finished runs, kept so that a page need not add them up again.

What a finished run has spent can change in one way only: a call whose lane was lost may still come back with an answer. So the
sum of a run is kept when the run has ended, all its calls are in it and none of them is lost; it is then good for ever.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from jobs import views

#: latencies that are kept at most, of all runs together: 8 bytes and an object each
MOST_KEPT = 1_000_000


@dataclass
class Sum:
    """What adds up; a slice's figures while they are gathered."""

    calls: int = 0
    accepted: int = 0
    dead: int = 0
    strikes: int = 0
    throttles: int = 0
    transport_failures: int = 0
    reused: int = 0
    cost: float = 0.0
    unpriced_calls: int = 0
    wasted: float = 0.0
    wasted_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    #: calls whose end may still become known; all others never change again
    lost: int = 0
    latencies: list[float] = field(default_factory=list)

    def add(self, other: Sum) -> None:
        """Take another sum's figures in."""
        for name in _ADDING:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.latencies.extend(other.latencies)

    def spending(self, key: str, label: str) -> views.Spending:
        """The slice as a reader gets it."""
        self.latencies.sort()
        return views.Spending(
            key=key,
            label=label,
            calls=self.calls,
            accepted=self.accepted,
            dead=self.dead,
            strikes=self.strikes,
            throttles=self.throttles,
            transport_failures=self.transport_failures,
            reused=self.reused,
            judged=self.accepted + self.strikes,
            cost=self.cost,
            unpriced_calls=self.unpriced_calls,
            wasted=self.wasted,
            wasted_calls=self.wasted_calls,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cached_tokens=self.cached_tokens,
            p50=percentile(self.latencies, 50),
            p95=percentile(self.latencies, 95),
            p99=percentile(self.latencies, 99),
            latency_n=len(self.latencies),
        )


_ADDING = tuple(one.name for one in fields(Sum) if one.name != "latencies")


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile of values in ascending order; None of none."""
    return ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)] if ordered else None


class Kept:
    """The sums of finished runs; safe to share between threads, since a sum in it is never changed."""

    def __init__(self) -> None:
        self._sums: dict[int, Sum] = {}
        self._latencies = 0

    def get(self, run: int, *, calls: int) -> Sum | None:
        """The sum of a run that has so many calls now."""
        found = self._sums.get(run)
        return found if found is not None and found.calls == calls else None

    def put(self, run: int, one: Sum, *, calls: int) -> None:
        """Keep the sum of an ended run if it holds all its calls and none of them can change."""
        if one.lost or one.calls != calls:
            return
        if self._latencies > MOST_KEPT:
            self._sums.clear()
            self._latencies = 0
        one.latencies.sort()
        self._sums[run] = one
        self._latencies += len(one.latencies)
