"""Writes about what becomes of a row: a value, a dead letter, another turn, or the end of its run.

A value moves the result of the root run, answers equal rows and fixes the letters that a replay was at; a death makes a letter;
whoever waits for an answer that does not come is due and asks for itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlite_utils import Database

from jobs import signature
from jobs.lifecycle import RowState, RunState, Trouble
from jobs.store import runs, went_on
from jobs.store.batch import Batch
from jobs.store.reading_archive import since
from jobs.store.runs import RunRecord
from jobs.store.tries import Row, Try
from jobs.views.runs import Why

#: a dead letter of these kinds of run stays with its run and asks nobody for anything
QUIET_KINDS = ("try", "evaluation")

_END = """
    UPDATE run_rows SET state = ?, attempt = coalesce(?, attempt), signature = ?, strikes = ?, ended_at = ?, try_id = ?,
           reserved = ?
    WHERE run = ? AND ordinal = ?
"""
_AGAIN = """
    UPDATE run_rows SET state = 'due', attempt = coalesce(?, attempt), strikes = ?, tries = ?, faults = ?, losses = ?, waits = ?,
           trouble_seconds = ?, due_at = ?, max_tokens = ?, together = coalesce(?, together), try_id = NULL, reserved = 0
    WHERE run = ? AND ordinal = ?
"""
_CLIMB = """
    UPDATE run_rows SET state = 'due', rung = ?, reuse_key = ?, attempt = coalesce(?, attempt), strikes = 0, tries = 0, faults = 0,
           losses = 0, waits = 0, trouble_seconds = 0, due_at = ?, max_tokens = NULL, together = NULL, try_id = NULL, reserved = 0
    WHERE run = ? AND ordinal = ?
"""
_OVER = "UPDATE run_rows SET try_id = NULL, reserved = 0 WHERE run = ? AND ordinal = ?"
_RESULT = """
    INSERT INTO results (root, ordinal, run, attempt) VALUES (?, ?, ?, ?)
    ON CONFLICT (root, ordinal) DO UPDATE SET run = excluded.run, attempt = excluded.attempt, decision = NULL
"""
#: says what the row of a dead letter has cost: its share of the calls about it, unknown where the price of one is
SPENT = """
    UPDATE dead_letters SET cost = (
        SELECT CASE WHEN count(*) = count(c.cost) THEN total(c.cost / (SELECT count(*) FROM attempts WHERE call = c.id)) END
        FROM attempts a JOIN calls c ON c.id = a.call WHERE a.run = dead_letters.run AND a.ordinal = dead_letters.ordinal
    )
"""
_CELLS = """
    SELECT coalesce(run_rows.cells, rows.cells) FROM run_rows JOIN runs ON runs.id = run_rows.run
    JOIN rows ON rows.dataset = runs.dataset AND rows.ordinal = run_rows.ordinal WHERE run_rows.run = ? AND run_rows.ordinal = ?
"""
_CLIMBED = "INSERT OR IGNORE INTO climbed (run, key, rung, upper) VALUES (?, ?, ?, ?)"
_ANSWER = "INSERT OR IGNORE INTO reuse (key, attempt) VALUES (?, ?)"


class Fates:
    """What becomes of rows, for one batch inside a transaction that its caller holds."""

    def __init__(self, db: Database, batch: Batch, *, now: float) -> None:
        self._db, self._batch, self._now = db, batch, now
        #: questions that nobody asks any more
        self._freed: list[bytes] = []
        #: (run, ordinal) of rows that have died, or whose death has cost more
        self._spent: list[tuple[int, int]] = []

    def close(self) -> None:
        """Say what the dead have cost and let those ask who waited for an answer; after the batch is written."""
        self._db.conn.executemany(f"{SPENT} WHERE run = ? AND ordinal = ?", self._spent)
        self._spent = []
        if self._freed:
            runs.free_questions(self._db, self._freed, now=self._now)
            self._freed = []

    def accept(
        self, record: RunRecord, row: Row, attempt: int, *, under_way: str | None = None, reused: bool = False
    ) -> None:
        """Give a row its value and move the result of the root run to it.

        Args:
            record: the row's run.
            row: as it was before.
            attempt: that the value came from.
            under_way: another call about the row. It keeps its money: it will be paid, and kept as superseded.
            reused: the value is an answer of earlier, perhaps of a higher rung: it answers nothing for anybody else.
        """
        self._end(row, RowState.ACCEPTED, attempt=attempt, under_way=under_way)
        if record.kind in QUIET_KINDS:
            return
        pointer = (record.root, row.ordinal, record.id, attempt)
        self._batch.add(_RESULT, pointer)
        if record.kind == "replay":
            self._fix(record, pointer)
        if row.reuse_key is None:
            return
        if not reused:
            self._batch.add(_ANSWER, (row.reuse_key, attempt))
        if not reused or self._asks(row):
            self._freed.append(row.reuse_key)

    def _asks(self, row: Row) -> bool:
        """Whether it is this row that asks its question, and not another that is in a call about it."""
        query = "SELECT 1 FROM asking WHERE key = ? AND run = ? AND ordinal = ?"
        return self._db.conn.execute(query, [row.reuse_key, row.run, row.ordinal]).fetchone() is not None

    def _fix(self, record: RunRecord, pointer: tuple[int, int, int, int]) -> None:
        """A replay has brought a value: the move can be undone, and the row's letters are fixed."""
        self._db.conn.execute(
            "INSERT INTO result_moves (root, ordinal, run, attempt, made_at) VALUES (?, ?, ?, ?, ?)",
            [*pointer, self._now],
        )
        root, ordinal, *_ = pointer
        self._db.conn.execute(
            """
            UPDATE dead_letters SET resolution = 'fixed', resolved_at = ?, replay = ?
            WHERE root = ? AND ordinal = ? AND resolution IN ('open', 'replaying')
            """,
            [self._now, record.id, root, ordinal],
        )

    def die(self, record: RunRecord, row: Row, attempt: int, named: str, *, strikes: int) -> None:
        """Make a dead letter of a row, in the group of that signature."""
        self._end(row, RowState.DEAD, attempt=attempt, named=named, strikes=strikes)
        quiet = record.kind in QUIET_KINDS
        self._db.conn.execute(
            "INSERT OR IGNORE INTO signatures (signature, title) VALUES (?, ?)", [named, signature.title(named)]
        )
        if not quiet:
            self._db.conn.execute(
                "UPDATE dead_letters SET latest = 0 WHERE root = ? AND ordinal = ? AND run != ?",
                [record.root, row.ordinal, record.id],
            )
            self._reopen(record, row.ordinal)
        # a run can be archived while it is paused, with calls out
        self._db.conn.execute(
            f"""
            INSERT INTO dead_letters (run, ordinal, root, row_id, signature, attempt, died_at, latest)
            VALUES (?, ?, ?, ?, ?, ?, ?, CASE WHEN ? THEN 0 WHEN {since("run", "?")} IS NULL THEN 1 ELSE 2 END)
            """,
            [record.id, row.ordinal, record.root, row.row_id, named, attempt, self._now, quiet, record.id],
        )
        self._spent.append((record.id, row.ordinal))
        self._free(row)

    def again(
        self,
        record: RunRecord,
        row: Row,
        *,
        trouble: Trouble,
        attempt: int | None = None,
        strikes: int | None = None,
        after: float = 0.0,
        max_tokens: int | None = None,
        together: int | None = None,
    ) -> None:
        """A row is due again after some seconds, unless its run was cancelled; what is not given stays as it was."""
        strikes = row.strikes if strikes is None else strikes
        if record.state == RunState.CANCELLED:
            self._end(row, RowState.CANCELLED, attempt=attempt, strikes=strikes)
            self._reopen(record, row.ordinal)
            self._free(row)
            return
        self._batch.add(
            _AGAIN,
            (
                attempt,
                strikes,
                trouble.tries,
                trouble.faults,
                trouble.losses,
                trouble.waits,
                trouble.seconds,
                self._now + after,
                max_tokens or row.max_tokens,
                together,
                row.run,
                row.ordinal,
            ),
        )

    def climb(self, record: RunRecord, row: Row, *, attempt: int, why: Why) -> None:
        """A row goes on a rung higher, as if it were new there, and equal rows that come later follow it without asking below."""
        if record.state == RunState.CANCELLED:
            self.again(record, row, trouble=Trouble(), attempt=attempt)
            return
        rung, key = row.rung + 1, None
        if row.reuse_key is not None:
            (text,) = self._db.conn.execute(_CELLS, [row.run, row.ordinal]).fetchone()
            key = runs.key_maker(record)(record.cells(json.loads(text)), rung)
            self._batch.add(_CLIMBED, (row.run, row.reuse_key, rung, key))
        self._batch.add(went_on.COUNT, (row.run, row.rung, why, 1))
        self._batch.add(_CLIMB, (rung, key, attempt, self._now, row.run, row.ordinal))
        self._free(row)

    def paid(self, run: int, ordinals: Iterable[int]) -> None:
        """What calls about these rows cost is another sum now; it matters to those that are dead letters."""
        self._spent += [(run, ordinal) for ordinal in ordinals]

    def over(self, row: Row, tried: Try) -> None:
        """A row that had an end before its call came back has no call under way any more, and may have cost more."""
        if row.state == RowState.DEAD:
            self.paid(row.run, [row.ordinal])
        if row.try_id == tried.try_id:
            self._batch.add(_OVER, (row.run, row.ordinal))

    def _end(
        self,
        row: Row,
        state: RowState,
        *,
        attempt: int | None,
        named: str | None = None,
        strikes: int | None = None,
        under_way: str | None = None,
    ) -> None:
        self._batch.add(
            _END,
            (
                state.value,
                attempt,
                named,
                row.strikes if strikes is None else strikes,
                self._now,
                under_way,
                row.reserved if under_way else 0.0,
                row.run,
                row.ordinal,
            ),
        )

    def _reopen(self, record: RunRecord, ordinal: int) -> None:
        """A replay of a row has ended without a value: its letters need a person again."""
        self._db.conn.execute(
            """
            UPDATE dead_letters SET resolution = 'open', replay = NULL
            WHERE root = ? AND ordinal = ? AND resolution = 'replaying' AND replay = ?
            """,
            [record.root, ordinal, record.id],
        )

    def _free(self, row: Row) -> None:
        if row.reuse_key is not None and self._asks(row):
            self._freed.append(row.reuse_key)
