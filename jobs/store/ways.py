"""Where the money of each call went, and what the call saved: what follows from a call, its price and the fates of its rows.

Every call is in one way that money goes, so that the ways add up to the spend exactly. A call about several rows that brought
any of them a value is in a way of values. What it follows from stays in the ledger, so all of it can be worked out again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlite_utils import Database

from jobs import savings
from jobs.options import Rung
from jobs.settings import Price
from jobs.store import rungs
from jobs.values import Usage
from jobs.views.costs import OPEN

#: what follows from the rest of a call, as it is stored with it
DERIVED = ("wasted", "rows", "above", "way", "saved_cache", "saved_batch", "saved_rows", "saved_ladder")


class Facts(NamedTuple):
    """What decides where a call's money went and what it saved: of the call, and of what it did for its rows."""

    outcome: str
    #: 0 where nobody knows whether it is charged
    settled: int
    #: as it was charged, JSON; None where it is unknown
    price: str | None
    cost: float | None
    #: None where no usage is known
    prompt: int | None
    completion: int | None
    cached: int | None
    #: of as many calls about one row each, estimated; None for a call about one row
    singly_prompt: int | None
    singly_completion: int | None
    #: the batch that it was in
    batch: int | None
    rung: int
    #: rows that it was about
    rows: int
    #: of those that got their value of it: how many, and which question about a row it was at the most
    accepted: int
    asked: int
    #: of the others, rejections that decided something: without a value, and with one that was doubted
    rejected: int
    doubted: int

    def derived(self, ladder: Sequence[Rung]) -> tuple[object, ...]:
        """The values of ``DERIVED``, by the rungs of its run."""
        above = len(ladder) - 1 - self.rung
        return (int(not self.accepted), self.rows, above, self._way(), *self._saved(ladder, above))

    def _way(self) -> str:
        if not self.settled and self.price is not None and self.cost is None:
            return OPEN
        if self.outcome != "replied":
            return "failed"
        if self.accepted:
            return "first" if self.asked <= 1 else "again"
        if self.rejected:
            return "rejected"
        return "doubted" if self.doubted else "superseded"

    def _saved(self, ladder: Sequence[Rung], above: int) -> tuple[float | None, ...]:
        """By caching, batch, several rows a call and the ladder; None where there is nothing of the kind, or nobody knows."""
        if self.prompt is None or not (self.cached or self.batch is not None or self.rows > 1 or above):
            return None, None, None, None
        usage = Usage.model_construct(prompt=self.prompt, completion=self.completion or 0, cached=self.cached or 0)
        full, charged = ladder[self.rung].price, _price(self.price)
        singly = None
        if self.singly_prompt is not None:
            singly = Usage.model_construct(prompt=self.singly_prompt, completion=self.singly_completion or 0, cached=0)
        return (
            savings.by_cache(usage, full) if self.cached else None,
            savings.by_batch(usage, full, self.cost) if self.batch is not None else None,
            savings.by_rows(usage, singly, charged) if self.rows > 1 else None,
            savings.by_ladder(usage, full, ladder[-1].price, share=self.accepted / self.rows) if above else None,
        )


@lru_cache(maxsize=256)
def _price(text: str | None) -> Price | None:
    return Price.model_validate_json(text) if text else None


_STORED = f"""
    SELECT c.id, c.run, {", ".join(f"c.{name}" for name in DERIVED)},
           c.outcome, c.settled, c.price, c.cost, c.prompt_tokens, c.completion_tokens, c.cached_tokens,
           c.singly_prompt, c.singly_completion, c.batch, c.rung, max(1, count(a.id)),
           coalesce(sum(a.verdict = 'accepted' AND a.superseded = 0), 0),
           coalesce(max(CASE WHEN a.verdict = 'accepted' AND a.superseded = 0 THEN a.asked END), 1),
           coalesce(sum(a.verdict = 'rejected' AND a.superseded = 0 AND a.value IS NULL), 0),
           coalesce(sum(a.verdict = 'rejected' AND a.superseded = 0 AND a.value IS NOT NULL), 0)
    FROM calls c LEFT JOIN attempts a ON a.call = c.id
"""
_WRITE = f"UPDATE calls SET {', '.join(f'{name} = ?' for name in DERIVED)} WHERE id = ?"


def derive_call(db: Database, call: int) -> None:
    """Work out again what follows from one call as it stands in the ledger."""
    found = db.execute(f"{_STORED} WHERE c.id = ? GROUP BY c.id", [call]).fetchall()
    _derive(db, found, rungs.of_run(db, found[0][1]))


def derive_run(db: Database, run: int) -> None:
    """Work out again what follows from all calls of a run."""
    _derive(db, db.execute(f"{_STORED} WHERE c.run = ? GROUP BY c.id", [run]), rungs.of_run(db, run))


def _derive(db: Database, found: Iterable[tuple[Any, ...]], ladder: Sequence[Rung]) -> None:
    changed = []
    for call, _, *rest in found:
        stored, facts = tuple(rest[: len(DERIVED)]), Facts._make(rest[len(DERIVED) :])
        derived = facts.derived(ladder)
        if derived != stored:
            changed.append((*derived, call))
    db.conn.executemany(_WRITE, changed)
