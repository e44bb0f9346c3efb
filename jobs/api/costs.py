"""engine.costs: money, tokens and latency of the calls in a window, as sums, over time, and call by call.

A call belongs to a window by the time at which it was sent; ``since`` is inside, ``until`` is not. Percentiles are nearest-rank
over raw seconds. A call of unknown price is counted and never added as 0.
"""

from __future__ import annotations

from jobs import errors, views
from jobs.api.room import House, Room
from jobs.store import reading_costs
from jobs.store.reading_costs import By, Chosen, Which
from jobs.store.sums import Kept

#: time buckets at most; a chart has no room for more
MOST_BUCKETS = 500


class Costs(Room):
    """What calls have cost and how long they took."""

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self._kept = Kept()

    def slices(
        self,
        *,
        since: float,
        until: float,
        by: By,
        run: int | None = None,
        prompt: str | None = None,
        version: str | None = None,
        model: str | None = None,
        connection: str | None = None,
    ) -> list[views.Spending]:
        """The window's calls by slice, the dearest first."""
        _check_window(since, until)
        chosen = Chosen(run=run, prompt=prompt, version=version, model=model, connection=connection)
        with self.snapshot() as db:
            return reading_costs.slices(db, chosen, self._kept, since=since, until=until, by=by)

    def series(
        self,
        *,
        since: float,
        until: float,
        buckets: int,
        by: By = "total",
        run: int | None = None,
        prompt: str | None = None,
        version: str | None = None,
        model: str | None = None,
        connection: str | None = None,
    ) -> list[views.Spending]:
        """Every slice in every bucket of equal length; a key is the bucket's start, epoch seconds as text."""
        _check_window(since, until)
        _check_buckets(buckets)
        chosen = Chosen(run=run, prompt=prompt, version=version, model=model, connection=connection)
        with self.snapshot() as db:
            return reading_costs.series(db, chosen, self._kept, since=since, until=until, buckets=buckets, by=by)

    def report(
        self,
        *,
        since: float,
        until: float,
        buckets: int,
        by: By,
        run: int | None = None,
        prompt: str | None = None,
        version: str | None = None,
        model: str | None = None,
        connection: str | None = None,
    ) -> views.CostReport:
        """The window whole, by slice, by bucket of equal length and by both: what a page shows, of one moment."""
        _check_window(since, until)
        _check_buckets(buckets)
        chosen = Chosen(run=run, prompt=prompt, version=version, model=model, connection=connection)
        with self.snapshot() as db:
            return reading_costs.report(db, chosen, self._kept, since=since, until=until, buckets=buckets, by=by)

    def calls(
        self,
        *,
        since: float,
        until: float,
        offset: int = 0,
        limit: int = 50,
        outcome: Which = "all",
        seconds: tuple[float, float] | None = None,
        run: int | None = None,
        prompt: str | None = None,
        version: str | None = None,
        model: str | None = None,
        connection: str | None = None,
    ) -> tuple[list[views.CallRow], int]:
        """A page of the window's calls, the newest first (``slow``: the slowest first), and how many there are.

        ``seconds`` leaves those whose latency is in that span, its end left out.
        """
        _check_window(since, until)
        chosen = Chosen(run=run, prompt=prompt, version=version, model=model, connection=connection)
        with self.snapshot() as db:
            return reading_costs.calls(
                db, chosen, since=since, until=until, which=outcome, limit=limit, offset=offset, seconds=seconds
            )

    def latencies(
        self,
        *,
        since: float,
        until: float,
        run: int | None = None,
        prompt: str | None = None,
        version: str | None = None,
        model: str | None = None,
        connection: str | None = None,
    ) -> list[float]:
        """Seconds of replied calls, for a histogram; beyond 50,000 an even part of them."""
        _check_window(since, until)
        chosen = Chosen(run=run, prompt=prompt, version=version, model=model, connection=connection)
        with self.snapshot() as db:
            return reading_costs.latencies(db, chosen, since=since, until=until)


def _check_buckets(buckets: int) -> None:
    if not 1 <= buckets <= MOST_BUCKETS:
        raise errors.InputError(f"a window has 1 to {MOST_BUCKETS} buckets, not {buckets}")


def _check_window(since: float, until: float) -> None:
    if not since < until:
        raise errors.InputError(f"a window ends after it begins, not from {since} to {until}")
