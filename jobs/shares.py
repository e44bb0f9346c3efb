"""How the runs of a connection share its calls in flight, and how far the stream is filled for each of them.

The keeper's: it says what each run may have, the lanes hold places within that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from jobs import plan
from jobs.limits import KeeperLimits
from jobs.messages import Control
from jobs.outcomes import Received
from jobs.settings import Connection
from jobs.store.runs import RunRecord


class Need(NamedTuple):
    """Rows of a run that are due, its calls under way, and its rows without an end; but for those in batches."""

    due: int
    under_way: int
    left: int

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
        #: calls in flight that each running run may have now
        self._in_flight: dict[int, int] = {}
        self._told: dict[int, Control] = {}
        self._paces: dict[int, plan.Pace] = {}

    def share(self, open_runs: Sequence[RunRecord], needs: Mapping[int, Need]) -> None:
        """How many calls of each running run may be in flight, beside those that others of its pool still have."""
        running = [record for record in open_runs if record.state == "running"]
        self._in_flight = plan.in_flight(
            [
                plan.Pooled(
                    run=record.id,
                    pool=(record.connection, record.model),
                    in_flight=record.options.in_flight,
                    left=needs[record.id].calls if record.options.batch != "no" else needs[record.id].left,
                )
                for record in running
            ],
            {name: connection.in_flight for name, connection in self._connections.items()},
        )
        pools: dict[tuple[str, str], list[int]] = {}
        for record in open_runs:
            pools.setdefault((record.connection, record.model), []).append(record.id)
        for pool in pools.values():
            given = {run: self._in_flight[run] for run in pool if run in self._in_flight}
            if given and len(pool) > 1:
                self._in_flight |= plan.kept_within(given, self._limits.held(pool))

    def of(self, record: RunRecord) -> int:
        """Calls of a running run that may be in flight, as last shared."""
        return self._in_flight[record.id]

    def tell(self, open_runs: Sequence[RunRecord]) -> None:
        """Tell the lanes which runs go on, and how many calls of each may be in flight."""
        for record in open_runs:
            state: Control = Control(
                state="go" if record.state == "running" else "stop",
                in_flight=self._in_flight.get(record.id, record.options.in_flight),
            )
            if self._told.get(record.id) != state:
                self._limits.allow(record.id, state)
                self._told[record.id] = state

    def tell_again(self, open_runs: Collection[int]) -> None:
        """The server may be another: tell everything with the next time, and take off what it knows of runs that have ended."""
        self._told.clear()
        for run in self._limits.allowed().keys() - set(open_runs):
            self._limits.forget(run)

    def forget(self, run: int) -> None:
        """A run has ended."""
        self._limits.forget(run)
        self._told.pop(run, None)
        self._paces.pop(run, None)

    def time(self, received: Sequence[Received]) -> None:
        """Count the calls that have come back."""
        now, sent = self._now(), [one.outcome for one in received]
        for run, calls in Counter(one.run for one in sent if one.sent and one.batch is None).items():
            self._paces.setdefault(run, plan.Pace(now)).count(calls, now)

    def window(self, record: RunRecord, now: float) -> int:
        """Calls of a running run that may stand on the stream or be under way."""
        return plan.window(self._in_flight[record.id], self._rate(record, now))

    def _rate(self, record: RunRecord, now: float) -> float | None:
        """Calls of a run that come back in a second; until that is known, what a person allows."""
        pace = self._paces.get(record.id)
        rate = pace.rate(now) if pace else None
        if rate is not None:
            return rate
        connection = self._connections.get(record.connection)
        return plan.allowed(record.options.rpm, connection.rpm if connection else None)
