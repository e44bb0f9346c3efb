"""How the runs of a connection share its calls in flight, and how far the stream is filled for each of them.

The keeper's: it says what each run may have, the lanes hold places within that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from jobs import plan
from jobs.limits import KeeperLimits
from jobs.messages import Control
from jobs.outcomes import Received
from jobs.settings import Connection
from jobs.store.runs import RunRecord


class Need(NamedTuple):
    """Rows of a run that are due, its calls under way, its rows without an end, and those on upper rungs; but for those in batches."""

    due: int
    under_way: int
    left: int
    upper: tuple[int, ...]

    @property
    def calls(self) -> int:
        """Calls that could be under way now, or are."""
        return self.due + self.under_way


class Shares:
    """What each run has of its connection, and how fast its calls come back."""

    def __init__(
        self, limits: KeeperLimits, connections: Mapping[str, Connection], *, now: Callable[[], float]
    ) -> None:
        self._limits, self._connections, self._now = limits, connections, now
        #: calls in flight that each running run may have now, and each upper rung of it that rows stand on
        self._in_flight: dict[tuple[int, int], int] = {}
        self._told: dict[int, Control] = {}
        self._paces: dict[int, plan.Pace] = {}

    def share(self, open_runs: Sequence[RunRecord], needs: Mapping[int, Need]) -> None:
        """How many calls of each running run may be in flight, beside those that others of its pool still have.

        An upper rung of a ladder shares the places of its own connection, as soon as rows stand on it.
        """
        running = [record for record in open_runs if record.state == "running"]
        self._in_flight = plan.in_flight(
            [pooled for record in running for pooled in self._pooled(record, needs[record.id])],
            {name: connection.in_flight for name, connection in self._connections.items()},
        )
        pools: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for record in open_runs:
            for rung, at in enumerate(record.rungs):
                pools.setdefault((at.connection, at.model), []).append((record.id, rung))
        for pool in pools.values():
            given = {stand: self._in_flight[stand] for stand in pool if stand in self._in_flight}
            if given and len(pool) > 1:
                self._in_flight |= plan.kept_within(given, self._limits.held(pool))

    def _pooled(self, record: RunRecord, need: Need) -> Iterator[plan.Pooled]:
        left = need.calls if record.options.batch != "no" else need.left
        for rung, (at, rows) in enumerate(zip(record.rungs, (left, *need.upper), strict=True)):
            if not rung or rows:
                pool, most = (at.connection, at.model), self._most(record, rung)
                yield plan.Pooled(run=record.id, rung=rung, pool=pool, in_flight=most, left=rows)

    def _most(self, record: RunRecord, rung: int) -> int:
        """Calls of a rung that its run and, where that is another than the run's own, its connection take at once."""
        connection = self._connections.get(record.rungs[rung].connection)
        if connection is None or connection.name == record.connection:
            return record.options.in_flight
        return min(record.options.in_flight, connection.in_flight)

    def of(self, record: RunRecord) -> int:
        """Calls of a running run that may be in flight, as last shared."""
        return self._in_flight[record.id, 0]

    def _upper(self, record: RunRecord) -> tuple[int, ...]:
        """The same on each of its upper rungs; one call where no row stands yet, so that the first need not wait to be told of."""
        return tuple(self._in_flight.get((record.id, rung), 1) for rung in range(1, record.top + 1))

    def tell(self, open_runs: Sequence[RunRecord]) -> None:
        """Tell the lanes which runs go on, and how many calls of each may be in flight."""
        for record in open_runs:
            state: Control = Control(
                state="go" if record.state == "running" else "stop",
                in_flight=self._in_flight.get((record.id, 0), record.options.in_flight),
                upper=self._upper(record),
            )
            if self._told.get(record.id) != state:
                self._limits.allow(record.id, state)
                self._told[record.id] = state

    def tell_again(self, open_runs: Collection[int]) -> None:
        """The server may be another: tell everything with the next time, and take off what it knows of runs that have ended."""
        self._told.clear()
        for run, control in self._limits.allowed().items():
            if run not in open_runs:
                self._limits.forget(run, upper=len(control.upper))

    def forget(self, run: int) -> None:
        """A run has ended."""
        told = self._told.pop(run, None)
        self._limits.forget(run, upper=len(told.upper) if told else 0)
        self._paces.pop(run, None)

    def time(self, received: Sequence[Received]) -> None:
        """Count the calls that have come back."""
        now, sent = self._now(), [one.outcome for one in received]
        for run, calls in Counter(one.run for one in sent if one.sent and one.batch is None).items():
            self._paces.setdefault(run, plan.Pace(now)).count(calls, now)

    def windows(self, record: RunRecord, now: float) -> list[int]:
        """Calls of a running run that may stand on the stream or be under way, on each of its rungs."""
        rate, most = self._rate(record, now), self.of(record)
        return [plan.window(min(most, own), rate) for own in (most, *self._upper(record))]

    def _rate(self, record: RunRecord, now: float) -> float | None:
        """Calls of a run that come back in a second; until that is known, what a person allows."""
        pace = self._paces.get(record.id)
        rate = pace.rate(now) if pace else None
        if rate is not None:
            return rate
        connection = self._connections.get(record.connection)
        return plan.allowed(record.options.rpm, connection.rpm if connection else None)
