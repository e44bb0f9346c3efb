"""Which rows are asked next, and what is asked about each: rows that are due become calls, inside the keeper's transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlite_utils import Database

from jobs import judge, plan
from jobs.messages import Ask, RowAsk
from jobs.purse import Purse
from jobs.settings import Price
from jobs.store import batches, rows
from jobs.store.batches import BatchRecord
from jobs.store.record import Recorder
from jobs.store.runs import RunRecord


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What has become of rows that were due."""

    asks: list[Ask]
    #: US dollars that each call may cost, by try id
    reserved: dict[str, float]
    #: whether there were rows to look at, and whether something has become of one
    due: bool
    moved: bool
    #: the budget has no room for a call now
    short: bool


class Asking:
    """Makes calls of rows; what it gives has still to be marked as dispatched, in the same transaction."""

    def __init__(
        self,
        db: Database,
        purse: Purse,
        *,
        now: Callable[[], float],
        chance: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._db, self._purse, self._now, self._chance, self._new_id = db, purse, now, chance, new_id

    def take(
        self,
        record: RunRecord,
        *,
        most: int,
        which: rows.Which,
        prices: Sequence[Price | None] | None = None,
        full: Sequence[int] = (),
    ) -> Taken:
        """Of the rows that are due: answer what is answered already, hold what is being asked, make calls of the rest.

        Args:
            record: their run.
            most: rows to look at.
            which: of those that are due.
            prices: of the rungs, of calls through a batch endpoint; None for ordinary calls.
            full: rungs that no row is taken from for now.
        """
        now = self._now()
        due = rows.climbed(self._db, record, rows.due(self._db, record, most=most, now=now, which=which, full=full))
        pairs = rows.answers(self._db, record, due)
        recorder = Recorder(self._db, now=now, chance=self._chance)
        recorder.accept_reused(record, rows.reuse(self._db, record, pairs, now=now))
        served = {row.ordinal for row, _ in pairs}
        left = [row for row in due if row.ordinal not in served]
        asked = rows.claim(self._db, record, left, by_batch=prices is not None)
        wanted = self._asks(record, asked, now=now)
        asks, reserved = self._purse.within(record, wanted, prices=prices)
        return Taken(
            asks=asks,
            reserved=reserved,
            due=bool(due),
            moved=bool(asks or pairs or len(asked) < len(due)),
            short=len(asks) < len(wanted),
        )

    def again(self, record: RunRecord, batch: BatchRecord) -> list[Ask]:
        """The calls of a batch that nothing is recorded of, as they were made."""
        called = batches.called(self._db, record, batch.id)
        struck = self._struck([row for _, group, _ in called for row in group])
        return [_ask(record, try_id, group, struck, made_at=made_at) for try_id, group, made_at in called]

    def _asks(self, record: RunRecord, asked: Sequence[rows.DueRow], *, now: float) -> list[Ask]:
        # Stable: on its rung every row keeps its turn.
        due = sorted(asked, key=lambda row: -row.rung)
        struck = self._struck(due)
        most = record.options.rows_per_call
        limits = [1 if row.strikes or row.max_tokens else min(most, row.together or most) for row in due]
        sizes = [sum(map(len, row.cells.values())) for row in due]
        return [
            _ask(record, self._new_id(), due[piece], struck, made_at=now)
            for piece in plan.parcels(limits, sizes, rungs=[row.rung for row in due])
        ]

    def _struck(self, asked: Sequence[rows.DueRow]) -> dict[int, rows.Rejected]:
        return rows.rejected(self._db, [row.attempt for row in asked if row.strikes and row.attempt is not None])


def _ask(
    record: RunRecord,
    try_id: str,
    group: Sequence[rows.DueRow],
    struck: Mapping[int, rows.Rejected],
    *,
    made_at: float,
) -> Ask:
    return Ask(
        run=record.id,
        try_id=try_id,
        rows=tuple(_row_ask(row, struck) for row in group),
        max_tokens=(group[0].max_tokens or record.content.max_tokens)
        if len(group) == 1
        else plan.tokens_together(record.content.max_tokens, len(group)),
        rung=group[0].rung,
        dispatched_at=made_at,
    )


def _row_ask(row: rows.DueRow, struck: Mapping[int, rows.Rejected]) -> RowAsk:
    before = struck.get(row.attempt) if row.strikes and row.attempt is not None else None
    complaint = None
    if before is not None:
        words = judge.complaint(before.problems)
        complaint = plan.complaint(words, raw=before.raw, finish_reason=before.finish_reason, problems=before.problems)
    return RowAsk(ordinal=row.ordinal, cells=row.cells, asked=row.strikes + 1, complaint=complaint)
