"""engine.costs: money, tokens and latency of the calls in a window, as sums, over time, and call by call.

Percentiles are nearest-rank over raw seconds. A call of unknown price is counted and never added as 0.
"""

from __future__ import annotations

from jobs import errors
from jobs.api.room import Room
from jobs.store import reading_calls, reading_costs
from jobs.store.reading_calls import Which
from jobs.views.costs import By, CallFilter, CallRow, CostReport, ReusedRow, Spending, Ways

#: time buckets at most; a chart has no room for more
MOST_BUCKETS = 500


class Costs(Room):
    """What calls have cost and how long they took."""

    def slices(self, among: CallFilter, *, by: By) -> list[Spending]:
        """The calls by slice, the dearest first."""
        with self.snapshot() as db:
            return reading_costs.slices(db, among, by)

    def report(self, among: CallFilter, *, buckets: int, by: By) -> CostReport:
        """The calls whole, by slice, by bucket of equal length and by both: what a page shows, of one moment."""
        if not 1 <= buckets <= MOST_BUCKETS:
            raise errors.InputError(f"a window has 1 to {MOST_BUCKETS} buckets, not {buckets}")
        with self.snapshot() as db:
            return reading_costs.report(db, among, buckets=buckets, by=by)

    def order(self, *, by: By) -> list[str]:
        """The key of every slice that there is, in an order that no window and no later run changes."""
        with self.snapshot() as db:
            return reading_costs.order(db, by)

    def ways(self, among: CallFilter) -> Ways:
        """Where the money of the calls went and what was saved, in classes that add up."""
        with self.snapshot() as db:
            return reading_costs.ways(db, among)

    def reused(self, among: CallFilter, *, offset: int = 0, limit: int = 50) -> tuple[list[ReusedRow], int]:
        """A page of the rows that were given an answer of earlier in that time, the newest first, and how many there are."""
        with self.snapshot() as db:
            return reading_calls.reused(db, among, limit=limit, offset=offset)

    def calls(
        self,
        among: CallFilter,
        *,
        outcome: Which = "all",
        seconds: tuple[float, float] | None = None,
        offset: int = 0,
        limit: int = 50,
    ) -> tuple[list[CallRow], int]:
        """A page of the calls, the newest first (``slow``: the slowest first), and how many there are.

        ``seconds`` leaves those whose latency is in that span, its end left out.
        """
        with self.snapshot() as db:
            return reading_calls.calls(db, among, which=outcome, seconds=seconds, limit=limit, offset=offset)
