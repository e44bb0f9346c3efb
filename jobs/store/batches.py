"""Writes about batches: what is gathered, handed out, reported, and given back where no line of it has answered.

A row in a batch is ``dispatched`` like one in a call, and its ``batch`` names it. Which rows share a call of the batch, and what is
asked about each, stands in the rows themselves, so that the calls of a batch can be made again at any time, the same as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlite_utils import Database

from jobs.batches import MOST_VAIN, BatchState, Next, Size
from jobs.messages import Ask, Remote, StepReport
from jobs.settings import Price
from jobs.store.rows import DUE_COLUMNS, DUE_FROM, MISSED_SECONDS, DueRow, due_row
from jobs.store.runs import RunRecord

#: characters of a provider's words that are kept
_WORDS = 1_000


@dataclass(frozen=True, kw_only=True)
class BatchRecord:
    """A batch as the keeper works on it."""

    id: int
    run: int
    rung: int
    token: str
    state: BatchState
    remote: Remote | None
    held: Size
    created_at: float
    submitted_at: float | None
    #: when a lane was last asked for a step of it; None: nothing can be with the provider
    handed_at: float | None
    #: a lane was asked and has not reported
    out: bool
    #: looks in a row that found nothing of what must be there
    vain: int


def due(db: Database, *, now: float) -> list[BatchRecord]:
    """Batches of which a step is due, or a look whether a lane still has it."""
    query = "SELECT * FROM batches WHERE ended_at IS NULL AND next_at <= ? AND state != 'making' ORDER BY next_at, id"
    return [_record(found) for found in db.query(query, [now])]


def of_run(db: Database, run: int) -> list[BatchRecord]:
    """The batches of a run that have no end."""
    query = "SELECT * FROM batches INDEXED BY batches_run WHERE run = ? AND ended_at IS NULL ORDER BY id"
    return [_record(found) for found in db.query(query, [run])]


def get(db: Database, batch: int) -> BatchRecord | None:
    """The batch of that number."""
    return next((_record(found) for found in db.query("SELECT * FROM batches WHERE id = ?", [batch])), None)


def _record(found: dict[str, Any]) -> BatchRecord:
    remote = None
    if found["remote"] is not None:
        told = {name: found[name] for name in Remote.model_fields if name != "id"}
        remote = Remote.model_validate({"id": found["remote"], **told})
    return BatchRecord(
        id=found["id"],
        run=found["run"],
        rung=found["rung"],
        token=found["token"],
        state=BatchState(found["state"]),
        remote=remote,
        held=Size(calls=found["calls"], bytes=found["size"]),
        created_at=found["created_at"],
        submitted_at=found["submitted_at"],
        handed_at=found["handed_at"],
        out=bool(found["out"]),
        vain=found["vain"],
    )


# -- making ------------------------------------------------------------------------------------------------------------


def begin(db: Database, run: int, rung: int, *, token: str, price: Price | None, now: float) -> int:
    """A batch with nothing in it; its number."""
    cursor = db.conn.execute(
        """
        INSERT INTO batches (run, rung, token, state, calls, rows, price, created_at, next_at)
        VALUES (?, ?, ?, 'making', 0, 0, ?, ?, ?)
        """,
        [run, rung, token, price.model_dump_json() if price else None, now, now],
    )
    return int(cursor.lastrowid or 0)


def add(db: Database, batch: int, asks: Sequence[Ask], size: int) -> None:
    """Count calls in, whose rows are marked with it."""
    rows = sum(len(ask.rows) for ask in asks)
    db.conn.execute(
        "UPDATE batches SET calls = calls + ?, rows = rows + ?, size = size + ? WHERE id = ?",
        [len(asks), rows, size, batch],
    )


def close(db: Database, batch: int, *, now: float) -> None:
    """Nothing more goes into it: it may be submitted."""
    db.conn.execute("UPDATE batches SET state = 'ready', next_at = ? WHERE id = ?", [now, batch])


def dissolve(db: Database, batch: int, *, now: float) -> None:
    """Undo a batch of which nothing can be with the provider: its rows are as they were before."""
    _free(db, batch, now=now, as_before=True)
    db.conn.execute("DELETE FROM batches WHERE id = ?", [batch])


# -- its calls ---------------------------------------------------------------------------------------------------------


def called(db: Database, record: RunRecord, batch: int) -> list[tuple[str, list[DueRow], float]]:
    """The calls of a batch that nothing is recorded of, by their try ids: their rows in a fixed order, and when they were made."""
    query = f"""
        SELECT try_id, dispatched_at, {DUE_COLUMNS} {DUE_FROM}
        WHERE run_rows.batch = ? AND run_rows.run = ? AND try_id IS NOT NULL ORDER BY run_rows.ordinal
    """
    calls: dict[str, tuple[list[DueRow], float]] = {}
    for try_id, made_at, *found in db.conn.execute(query, [record.dataset, batch, record.id]):
        calls.setdefault(try_id, ([], made_at))[0].append(due_row(record, *found))
    return [(try_id, rows, made_at) for try_id, (rows, made_at) in calls.items()]


# -- steps -------------------------------------------------------------------------------------------------------------


def handed(db: Database, batch: int, *, now: float, next_at: float) -> None:
    """A lane is about to be asked for a step."""
    db.conn.execute("UPDATE batches SET out = 1, handed_at = ?, next_at = ? WHERE id = ?", [now, next_at, batch])


def look_again(db: Database, batch: int, *, next_at: float) -> None:
    """A lane is still at it."""
    db.conn.execute("UPDATE batches SET next_at = ? WHERE id = ?", [next_at, batch])


def look_soon(db: Database, run: int, *, now: float) -> None:
    """A person has said what becomes of a run: what is with the provider hears of it now, and not at its next look.

    One that may have been submitted and is not known yet keeps its time, which a provider needs to list it. Where looks were
    in vain the next is the last: the person has been told.
    """
    db.conn.execute(
        """
        UPDATE batches SET next_at = min(next_at, ?), vain = CASE WHEN vain > 0 THEN ? ELSE 0 END
        WHERE run = ? AND ended_at IS NULL AND (state IN ('submitted', 'returned') OR vain > 0)
        """,
        [now, MOST_VAIN - 1, run],
    )


def apply(db: Database, batch: BatchRecord, report: StepReport, what: Next, *, now: float, token: str) -> None:
    """Keep what a lane has told, and what follows. ``token``: of a batch that is to be submitted once more."""
    remote = report.remote
    if remote is not None:
        db.conn.execute(
            """
            UPDATE batches SET remote = ?, status = ?, input_file = coalesce(?, input_file), output_file = ?, error_file = ?,
                answered = ?, failed = ?, expires_at = ?, submitted_at = coalesce(submitted_at, ?) WHERE id = ?
            """,
            [
                remote.id, remote.status, remote.input_file, remote.output_file, remote.error_file, remote.answered,
                remote.failed, remote.expires_at, now, batch.id,
            ],
        )  # fmt: skip
    words = (what.words or report.words or (remote.words if remote else ""))[:_WORDS]
    ended = now if what.state is BatchState.ENDED else None
    db.conn.execute(
        "UPDATE batches SET state = ?, words = ?, checked_at = ?, out = 0, next_at = ?, ended_at = ?, vain = ? WHERE id = ?",
        [what.state.value, words, now, now + what.after, ended, what.vain, batch.id],
    )
    if what.renewed:
        db.conn.execute(
            """
            UPDATE batches SET token = ?, remote = NULL, status = NULL, input_file = NULL, output_file = NULL, error_file = NULL,
                answered = 0, failed = 0, submitted_at = NULL, expires_at = NULL, handed_at = NULL WHERE id = ?
            """,
            [token, batch.id],
        )


def waiting(db: Database, batch: int) -> list[str]:
    """The calls of a batch that nothing is recorded of."""
    found = db.conn.execute("SELECT DISTINCT try_id FROM run_rows WHERE batch = ? AND try_id IS NOT NULL", [batch])
    return [try_id for (try_id,) in found]


def give_back(db: Database, batch: int, *, now: float, as_before: bool) -> int:
    """Rows that no line of a batch has answered are due again, and their money is free; how many.

    Args:
        db: the home's.
        batch: its number.
        now: epoch seconds.
        as_before: it was never submitted, so they wait as if it had not been made. Else they come again, and their tries are remembered, so
            that a line which is read later all the same is kept.
    """
    if not as_before:
        db.conn.execute("DELETE FROM missed WHERE missed_at < ?", [now - MISSED_SECONDS])
        db.conn.execute(
            """
            INSERT OR IGNORE INTO missed (try_id, ordinal, run, missed_at)
            SELECT try_id, ordinal, run, ? FROM run_rows WHERE batch = ? AND try_id IS NOT NULL
            """,
            [now, batch],
        )
    return _free(db, batch, now=now, as_before=as_before)


def _free(db: Database, batch: int, *, now: float, as_before: bool) -> int:
    named = {"batch": batch, "now": now, "before": as_before}
    db.conn.execute(
        """
        UPDATE runs SET reserved = max(0, reserved - (
            SELECT total(reserved) FROM run_rows WHERE batch = :batch AND try_id IS NOT NULL
        )) WHERE id = (SELECT run FROM batches WHERE id = :batch)
        """,
        named,
    )
    cursor = db.conn.execute(
        """
        UPDATE run_rows SET
            state = CASE (SELECT state FROM runs WHERE id = run) WHEN 'cancelled' THEN 'cancelled' ELSE 'due' END,
            ended_at = CASE (SELECT state FROM runs WHERE id = run) WHEN 'cancelled' THEN :now ELSE NULL END,
            due_at = CASE WHEN :before THEN due_at ELSE :now END, batch = CASE WHEN :before THEN NULL ELSE batch END,
            try_id = NULL, reserved = 0
        WHERE batch = :batch AND state = 'dispatched' AND try_id IS NOT NULL
        """,
        named,
    )
    # A row that had an end before, by a late reply to an earlier call, keeps it.
    db.conn.execute(
        "UPDATE run_rows SET try_id = NULL, reserved = 0 WHERE batch = :batch AND try_id IS NOT NULL", named
    )
    return int(cursor.rowcount)
