"""Which tries are ours, so that nobody else's outcome is believed and no reply that was paid for is thrown away.

A try is known in one of three places. Its rows name it while it is under way. ``calls`` names it once something is recorded of
it: its end, or that it was lost with its lane and may still come. ``missed`` names it when it stood on no stream, so that its
rows were asked again although a lane may have sent it and may still say so. An outcome is believed only where its try is
known, of the same run and about the same rows; one that is known by its end has come twice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from sqlite_utils import Database

from jobs.lifecycle import Trouble
from jobs.messages import Outcome
from jobs.store.batch import Batch

_COLUMNS = (
    "run, ordinal, row_id, state, reuse_key, strikes, tries, faults, losses, waits, trouble_seconds, try_id, reserved, "
    "max_tokens, rung, batch"
)
_NAMED = "IN (SELECT value FROM json_each(?))"


class Row(NamedTuple):
    """A row of a run, before the present outcome."""

    run: int
    ordinal: int
    row_id: str
    state: str
    reuse_key: bytes | None
    strikes: int
    tries: int
    faults: int
    losses: int
    waits: int
    trouble_seconds: float
    #: the call that is under way about it; a row that a late reply has ended may have one too
    try_id: str | None
    reserved: float
    max_tokens: int | None
    #: the rung of the run's ladder that it stands on
    rung: int
    #: the batch that its call is in; of a row in no call, the last one that it was in
    batch: int | None

    @property
    def trouble(self) -> Trouble:
        """What has happened to it since its last reply."""
        return Trouble(
            tries=self.tries,
            faults=self.faults,
            losses=self.losses,
            waits=self.waits,
            seconds=self.trouble_seconds,
        )


class Try(NamedTuple):
    """A call of ours, before the present outcome."""

    try_id: str
    run: int
    #: the rows that it is about
    ordinals: frozenset[int]
    #: money that is set aside for it
    reserved: float = 0.0
    #: its rows wait for it
    under_way: bool = False
    #: its number among the calls, where it is there
    call: int | None = None
    #: its end is recorded, and it may come once more as a twin only
    ended: bool = False
    #: the lane that its end came from
    lane: str = ""
    #: the rung that it asks
    rung: int = 0
    #: the batch that it is a line of
    batch: int | None = None


class Tries:
    """The tries and rows that a batch of outcomes is about, looked up together."""

    def __init__(self, db: Database, batch: Batch) -> None:
        self._db, self._batch = db, batch
        self._found: dict[str, Try] = {}
        self._rows: dict[tuple[int, int], Row] = {}

    def expect(self, try_ids: Sequence[str]) -> None:
        """Look these tries up."""
        for find in (self._find_under_way, self._find_recorded, self._find_missed):
            unknown = [try_id for try_id in try_ids if try_id not in self._found]
            if not unknown:
                return
            find(json.dumps(unknown))

    def _find_under_way(self, names: str) -> None:
        for found in self._db.conn.execute(f"SELECT {_COLUMNS} FROM run_rows WHERE try_id {_NAMED}", [names]):
            row = Row._make(found)
            self._rows[row.run, row.ordinal] = row
            before = self._found.get(row.try_id or "")
            others, reserved = (before.ordinals, before.reserved) if before else (frozenset[int](), 0.0)
            tried = Try(
                row.try_id or "",
                row.run,
                others | {row.ordinal},
                reserved + row.reserved,
                under_way=True,
                rung=row.rung,
                batch=row.batch,
            )
            self._found[tried.try_id] = tried

    def _find_recorded(self, names: str) -> None:
        query = f"SELECT try_id, id, run, outcome != 'lost', settled, reserved, lane, rung, batch FROM calls WHERE try_id {_NAMED}"
        for try_id, call, run, heard, settled, reserved, lane, rung, batch in self._db.conn.execute(
            query, [names]
        ).fetchall():
            ordinals = self._db.conn.execute("SELECT ordinal FROM attempts WHERE call = ?", [call])
            self._found[try_id] = Try(
                try_id=try_id,
                run=run,
                ordinals=frozenset(ordinal for (ordinal,) in ordinals),
                reserved=0.0 if settled else reserved,
                call=call,
                ended=bool(heard or settled),
                lane=lane,
                rung=rung,
                batch=batch,
            )

    def _find_missed(self, names: str) -> None:
        found: dict[tuple[str, int], set[int]] = {}
        query = f"SELECT try_id, run, ordinal FROM missed WHERE try_id {_NAMED}"
        for try_id, run, ordinal in self._db.conn.execute(query, [names]):
            found.setdefault((try_id, run), set()).add(ordinal)
        for (try_id, run), ordinals in found.items():
            self._found[try_id] = Try(try_id=try_id, run=run, ordinals=frozenset(ordinals))

    def of(self, outcome: Outcome) -> Try | None:
        """The try that an outcome is the end of; None where it is the end of nothing that was asked."""
        found = self._found.get(outcome.try_id)
        if found is None or found.run != outcome.run:
            return None
        if found.ended:
            return self._twin(found, outcome)
        about = {one.ordinal for one in outcome.verdicts}
        return found if found.ordinals == set(outcome.ordinals) and found.ordinals >= about else None

    def _twin(self, found: Try, outcome: Outcome) -> Try:
        """A server that forgot its last moments may hand one call to two lanes: what the second has paid for is a try of its own."""
        if not outcome.sent or outcome.lane == found.lane or found.ordinals != set(outcome.ordinals):
            return found
        name = f"{found.try_id}@{outcome.lane}"
        if name not in self._found:
            self._batch.write()
            self._find_recorded(json.dumps([name]))
        return self._found.get(name) or Try(try_id=name, run=found.run, ordinals=found.ordinals)

    def under_way(self, try_id: str) -> Try | None:
        """That try, if rows wait for it."""
        found = self._found.get(try_id)
        return found if found is not None and found.under_way else None

    def entered(self, tried: Try, call: int, *, lane: str, ended: bool) -> None:
        """Know it by its call from now on."""
        aside = 0.0 if ended else tried.reserved
        self._found[tried.try_id] = tried._replace(reserved=aside, under_way=False, call=call, ended=ended, lane=lane)

    def forget(self, tried: Try) -> None:
        """It was never sent, so nothing can come of it any more."""
        self._found.pop(tried.try_id, None)

    def row(self, run: int, ordinal: int) -> Row:
        """A row as it is now.

        Raises:
            LookupError: there is none.
        """
        # What was looked up ahead is good for one outcome: that one changes it.
        row = self._rows.pop((run, ordinal), None)
        if row is not None:
            return row
        self._batch.write()
        found = self._db.conn.execute(
            f"SELECT {_COLUMNS} FROM run_rows WHERE run = ? AND ordinal = ?", [run, ordinal]
        ).fetchone()
        if found is None:
            raise LookupError(f"run {run} has no row {ordinal}")
        return Row._make(found)
