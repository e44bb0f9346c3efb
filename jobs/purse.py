"""What runs may still spend: the most that each call can cost is set aside before it is dispatched.

That is max_tokens, and where a provider does not keep to it what the run's last replies have really taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from sqlite_utils import Database

from jobs import plan
from jobs.messages import Ask
from jobs.outcomes import Received
from jobs.prices import ceiling
from jobs.settings import Price
from jobs.store import rows, runs
from jobs.store.runs import RunRecord, transaction

#: replies of a run whose length is heeded
LOOK_BACK = 64


class Purse:
    """The keeper's hand on budgets."""

    def __init__(self, db: Database, *, now: Callable[[], float]) -> None:
        self._db, self._now = db, now
        #: completion tokens of each run's last replies
        self._taken: dict[int, deque[int]] = {}

    def heed(self, received: Sequence[Received]) -> None:
        """Learn from replies how long they are."""
        for one in received:
            if one.outcome.usage is not None:
                taken = self._taken.setdefault(one.outcome.run, deque(maxlen=LOOK_BACK))
                taken.append(one.outcome.usage.completion)

    def forget(self, run: int) -> None:
        """A run has ended."""
        self._taken.pop(run, None)

    def within(
        self, record: RunRecord, asks: list[Ask], *, prices: Sequence[Price | None] | None = None
    ) -> tuple[list[Ask], dict[str, float]]:
        """The calls that the budget has room for, with the most that each can cost; pauses a run that is at its end.

        ``prices`` are those of the rungs, where they are not the run's own.
        """
        prices = [rung.price for rung in record.rungs] if prices is None else prices
        if all(price is None for price in prices):
            return asks, {}
        fresh = runs.run(self._db, record.id) or record
        left = None if fresh.options.budget is None else fresh.options.budget - fresh.cost - fresh.reserved
        longest = max(self._taken.get(record.id, ()), default=0)
        reserved: dict[str, float] = {}
        for place, ask in enumerate(asks):
            tokens = sum(plan.reserved_tokens(record.content, row.cells, row.complaint) for row in ask.rows)
            most = ceiling(tokens, max(ask.max_tokens, longest), price=prices[ask.rung]) or 0.0
            if left is not None and most > left:
                if not reserved and not rows.is_under_way(self._db, record.id):
                    runs.pause_for_budget(self._db, fresh, next_call=most, now=self._now())
                return asks[:place], reserved
            reserved[ask.try_id] = most
            left = None if left is None else left - most
        return asks, reserved

    def stop_overspent(self, open_runs: Sequence[RunRecord]) -> bool:
        """Pause running runs that have spent more than their budget and would begin more; whether there are any."""
        stopped = False
        for record in open_runs:
            budget = record.options.budget
            if record.state != "running" or budget is None or record.cost <= budget:
                continue
            if rows.begins_more(self._db, record):
                with transaction(self._db):
                    runs.pause_for_budget(self._db, record, next_call=None, now=self._now())
                stopped = True
        return stopped
