"""Writes about rows on their way out: which are due, which are answered already, which are held, which go into a call."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sqlite_utils import Database

from jobs.messages import Ask
from jobs.store import runs, went_on
from jobs.store.runs import RunRecord, transaction
from jobs.values import Problem, Receipt

_CHUNK = 400


@dataclass(frozen=True, kw_only=True)
class DueRow:
    """A row that may be asked now."""

    ordinal: int
    reuse_key: bytes | None
    strikes: int
    max_tokens: int | None
    #: the attempt that a re-ask answers to
    attempt: int | None
    #: the most rows that a call about it may hold; None: as many as the run allows
    together: int | None
    cells: dict[str, str]
    rung: int = 0


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """The last rejected attempt of a row, for its re-ask."""

    raw: str
    finish_reason: str | None
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Reused:
    """A row that was given an answer of earlier."""

    ordinal: int
    attempt: int
    #: what that answer had cost, US dollars; None where it is unknown
    saved: float | None
    #: where that answer is from
    rung: int = 0


#: seconds that a call which stood on no stream is remembered
MISSED_SECONDS = 7 * 24 * 3600.0
#: rows that a look at a run's queue counts at the most; beyond it, more is just more
COUNT_MOST = 1_000


#: which of the rows that are due: all, those asked for the first time, or those that come again
Which = Literal["all", "first", "again"]


def singly(record: RunRecord) -> Which | None:
    """Which rows of a run go by ordinary calls; None: all of them go through the batch endpoint."""
    by: dict[str, Which | None] = {"no": "all", "first": "again", "all": None}
    return by[record.options.batch]


def wishes(db: Database, record: RunRecord, *, now: float) -> tuple[int, int, int]:
    """(rows due now, calls under way, rows without an end) of a run, the first and the last up to ``COUNT_MOST``.

    Rows that go through a batch endpoint, or are with one, are neither due nor under way here.
    """
    which = singly(record)
    if which is None:
        return 0, 0, 0
    since = "AND due_at > 0" if which == "again" else ""
    named = {"run": record.id, "now": now, "most": COUNT_MOST}
    (due,) = db.conn.execute(
        f"""
        SELECT count(*) FROM (
            SELECT 1 FROM run_rows WHERE run = :run AND state = 'due' AND due_at <= :now {since} LIMIT :most
        )
        """,
        named,
    ).fetchone()
    if not due and which == "again":
        # A night long nothing is, and hundred thousand rows in batches are not counted fifty times a second.
        return 0, 0, 0
    calls = "DISTINCT try_id" if record.options.rows_per_call > 1 else "*"
    apart = "AND batch IS NULL" if which == "again" else ""
    dispatched, waiting = db.conn.execute(
        f"""
        SELECT (SELECT count({calls}) FROM run_rows WHERE run = :run AND state = 'dispatched' {apart}),
               (SELECT count(*) FROM (SELECT 1 FROM run_rows WHERE run = :run AND state IN ('due', 'held', 'dispatched') LIMIT :most))
        """,
        named,
    ).fetchone()
    return due, dispatched, waiting + record.row_count - record.laid_out


def on_upper_rungs(db: Database, record: RunRecord) -> tuple[int, ...]:
    """Rows of a run that are due, now or later, or in a call of their own, on each rung above its lowest, up to ``COUNT_MOST``."""
    query = """
        SELECT count(*) FROM (
            SELECT 1 FROM run_rows
            WHERE run = ? AND rung > 0 AND rung = ? AND state IN ('due', 'dispatched') AND batch IS NULL LIMIT ?
        )
    """
    return tuple(
        db.conn.execute(query, [record.id, rung, COUNT_MOST]).fetchone()[0] for rung in range(1, record.top + 1)
    )


def under_way(db: Database, record: RunRecord) -> dict[int, int]:
    """Calls under way of each rung of a run, those in batches left out; a rung that has none may be missing."""
    calls = "DISTINCT try_id" if record.options.rows_per_call > 1 else "*"
    query = f"SELECT rung, count({calls}) FROM run_rows WHERE run = ? AND state = 'dispatched' AND batch IS NULL GROUP BY rung"
    return dict(db.conn.execute(query, [record.id]).fetchall())


def is_under_way(db: Database, run: int) -> bool:
    """Whether a row of a run is in a call or a batch."""
    query = "SELECT 1 FROM run_rows WHERE run = ? AND state = 'dispatched' LIMIT 1"
    return db.conn.execute(query, [run]).fetchone() is not None


def begins_more(db: Database, record: RunRecord) -> bool:
    """Whether a row of a run has no end and is in no call."""
    query = "SELECT 1 FROM run_rows WHERE run = ? AND state IN ('due', 'held') LIMIT 1"
    return record.laid_out < record.row_count or db.conn.execute(query, [record.id]).fetchone() is not None


def due_within(db: Database, run: int, *, until: float) -> bool:
    """Whether a row of a run is due, or will be by a time."""
    query = "SELECT 1 FROM run_rows WHERE run = ? AND state = 'due' AND due_at <= ? LIMIT 1"
    return db.conn.execute(query, [run, until]).fetchone() is not None


#: what ``due_row`` takes, in its order, and where that stands; the dataset is the one parameter
DUE_COLUMNS = (
    "run_rows.ordinal, reuse_key, strikes, max_tokens, attempt, together, rung, coalesce(run_rows.cells, rows.cells)"
)
DUE_FROM = "FROM run_rows JOIN rows ON rows.dataset = ? AND rows.ordinal = run_rows.ordinal"


def due_row(
    record: RunRecord,
    ordinal: int,
    key: bytes | None,
    strikes: int,
    max_tokens: int | None,
    attempt: int | None,
    together: int | None,
    rung: int,
    cells: str,
) -> DueRow:
    """A row as it is asked, of its ``DUE_COLUMNS``."""
    return DueRow(
        ordinal=ordinal,
        reuse_key=key,
        strikes=strikes,
        max_tokens=max_tokens,
        attempt=attempt,
        together=together,
        rung=rung,
        cells=record.cells(json.loads(cells)),
    )


def due(
    db: Database, record: RunRecord, *, most: int, now: float, which: Which = "all", full: Sequence[int] = ()
) -> list[DueRow]:
    """Rows of a run that may be asked now, but for those on a full rung: those that come again first, then the table's order."""
    but = f"AND rung NOT IN ({', '.join(map(str, full))})" if full else ""
    query = (
        f"SELECT {DUE_COLUMNS} {DUE_FROM} WHERE run_rows.run = ? AND run_rows.state = 'due' AND {{when}} {{but}} "
        "ORDER BY due_at, run_rows.ordinal LIMIT ?"
    )
    again, first = [], []
    if which != "first":
        again = db.conn.execute(
            query.format(when="due_at > 0 AND due_at <= ?", but=but), [record.dataset, record.id, now, most]
        ).fetchall()
    if which != "again":
        first = db.conn.execute(
            query.format(when="due_at = 0", but=but), [record.dataset, record.id, most - len(again)]
        ).fetchall()
    return [due_row(record, *found) for found in [*again, *first]]


def climbed(db: Database, record: RunRecord, rows: Sequence[DueRow]) -> list[DueRow]:
    """The same rows; those whose question this run has given up on stand where it is asked now."""
    if record.top == 0:
        return list(rows)
    keys = [row.reuse_key for row in rows if row.reuse_key is not None and row.rung < record.top]
    found: dict[bytes, tuple[int, bytes]] = {}
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        query = f"SELECT key, rung, upper FROM climbed WHERE run = ? AND key IN ({marks})"
        found |= {key: (rung, upper) for key, rung, upper in db.conn.execute(query, [record.id, *chunk])}
    moved = {row.ordinal: found[row.reuse_key] for row in rows if row.reuse_key in found}
    if not moved:
        return list(rows)
    db.conn.executemany(
        "UPDATE run_rows SET rung = ?, reuse_key = ? WHERE run = ? AND ordinal = ?",
        [(rung, upper, record.id, ordinal) for ordinal, (rung, upper) in moved.items()],
    )
    unasked = [row.rung for row in rows if row.ordinal in moved and row.attempt is None]
    went_on.straight(db, record.id, [rung for rung, _ in moved.values()], left=unasked)
    above = [
        replace(row, rung=moved[row.ordinal][0], reuse_key=moved[row.ordinal][1]) if row.ordinal in moved else row
        for row in rows
    ]
    return climbed(db, record, above)


def answers(db: Database, record: RunRecord, rows: Sequence[DueRow]) -> list[tuple[DueRow, int]]:
    """Rows whose question is answered already, with the accepted attempt; where that is on a higher rung, they stand there now."""
    key_of = runs.key_maker(record)
    asked = [row for row in rows if row.reuse_key is not None and not row.strikes]
    keys = {
        row.ordinal: [row.reuse_key, *(key_of(row.cells, rung) for rung in range(row.rung + 1, record.top + 1))]
        for row in asked
    }
    known = answered(db, [key for some in keys.values() for key in some if key is not None])
    pairs = []
    for row in asked:
        found = ((above, known[key]) for above, key in enumerate(keys[row.ordinal]) if key in known)
        above, attempt = next(found, (0, None))
        if attempt is not None:
            pairs.append((replace(row, rung=row.rung + above), attempt))
    before = {row.ordinal: row.rung for row in asked}
    moved = [row for row, _ in pairs if row.rung != before[row.ordinal]]
    db.conn.executemany(
        "UPDATE run_rows SET rung = ? WHERE run = ? AND ordinal = ?",
        [(row.rung, record.id, row.ordinal) for row in moved],
    )
    unasked = [before[row.ordinal] for row in moved if row.attempt is None]
    went_on.straight(db, record.id, [row.rung for row in moved], left=unasked)
    return pairs


def answered(db: Database, keys: Sequence[bytes]) -> dict[bytes, int]:
    """The accepted attempts that answer these questions already."""
    found: dict[bytes, int] = {}
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        found.update(db.conn.execute(f"SELECT key, attempt FROM reuse WHERE key IN ({marks})", chunk).fetchall())
    return found


def claim(db: Database, record: RunRecord, rows: Sequence[DueRow], *, by_batch: bool) -> list[DueRow]:
    """Of these rows, those whose question nobody else is asking; the others are held until it is answered.

    A question that a row of this run has died of is held for nobody: each of its equals is asked for itself, and all at once,
    instead of one after the other until the last has died. Ordinary calls do not wait a night for what another run asks through
    a batch: they ask it too, and whoever comes later waits for them.
    """
    if not by_batch:
        _take_over(db, record, rows)
    deadly = _deadly(db, record, rows)
    asking = [row for row in rows if row.reuse_key is not None and row.reuse_key not in deadly]
    db.conn.executemany(
        "INSERT OR IGNORE INTO asking (key, run, ordinal) VALUES (?, ?, ?)",
        [(row.reuse_key, record.id, row.ordinal) for row in asking],
    )
    asked = [row.ordinal for row in asking]
    found = db.conn.execute(
        "SELECT ordinal FROM asking WHERE run = ? AND ordinal IN (SELECT value FROM json_each(?))",
        [record.id, json.dumps(asked)],
    )
    mine = {ordinal for (ordinal,) in found}
    held = [ordinal for ordinal in asked if ordinal not in mine]
    db.conn.executemany(
        "UPDATE run_rows SET state = 'held' WHERE run = ? AND ordinal = ?", [(record.id, ordinal) for ordinal in held]
    )
    without = set(held)
    return [row for row in rows if row.ordinal not in without]


def _deadly(db: Database, record: RunRecord, rows: Sequence[DueRow]) -> set[bytes]:
    """Questions of these rows that others of the run have died of."""
    keys = [row.reuse_key for row in rows if row.reuse_key is not None]
    found: set[bytes] = set()
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        query = f"""
            SELECT reuse_key FROM run_rows INDEXED BY run_rows_deadly
            WHERE run = ? AND state = 'dead' AND reuse_key IN ({marks})
        """
        found |= {key for (key,) in db.conn.execute(query, [record.id, *chunk])}
    return found


_SLOW = """
    SELECT id, json_extract(options, '$.batch') = 'all' FROM runs
    WHERE ended_at IS NULL AND id != ? AND json_extract(options, '$.batch') IN ('first', 'all')
"""
_TAKE_OVER = """
    UPDATE asking SET run = ?, ordinal = ? WHERE key = ? AND run = ? AND EXISTS (
        SELECT 1 FROM run_rows r WHERE r.run = asking.run AND r.ordinal = asking.ordinal
        AND (? OR (r.state = 'dispatched' AND r.batch IS NOT NULL) OR (r.state = 'due' AND r.due_at = 0))
    )
"""


def _take_over(db: Database, record: RunRecord, rows: Sequence[DueRow]) -> None:
    """Take the questions of these rows from runs that ask them through a batch, or will."""
    for run, is_all in db.conn.execute(_SLOW, [record.id]).fetchall():
        db.conn.executemany(
            _TAKE_OVER,
            [(record.id, row.ordinal, row.reuse_key, run, is_all) for row in rows if row.reuse_key is not None],
        )


_ANSWER = """
    SELECT a.value, c.cost / (SELECT count(*) FROM attempts WHERE call = c.id), coalesce(json_extract(a.receipt, '$.model'), r.model)
    FROM attempts a JOIN calls c ON c.id = a.call JOIN runs r ON r.id = a.run WHERE a.id = ?
"""


def reuse(db: Database, record: RunRecord, pairs: Sequence[tuple[DueRow, int]], *, now: float) -> list[Reused]:
    """Give rows the answer of an accepted attempt."""
    made: list[Reused] = []
    for row, source in pairs:
        value, saved, model = db.conn.execute(_ANSWER, [source]).fetchone()
        receipt = Receipt(how="reused", source=source, model=model if record.top else None)
        cursor = db.conn.execute(
            """
            INSERT INTO attempts (call, run, ordinal, verdict, asked, value, receipt, saved, recorded_at)
            VALUES (NULL, ?, ?, 'accepted', ?, ?, ?, ?, ?)
            """,
            [record.id, row.ordinal, row.strikes + 1, value, receipt.model_dump_json(), saved, now],
        )
        made.append(Reused(row.ordinal, int(cursor.lastrowid or 0), saved, row.rung))
    return made


def mark_dispatched(
    db: Database, record: RunRecord, asks: Sequence[Ask], reserved: dict[str, float], *, batch: int | None = None
) -> None:
    """Note that calls are on their way, and the money that they may cost; before they are put on the stream, or into a batch."""
    db.conn.executemany(
        """
        UPDATE run_rows SET state = 'dispatched', try_id = ?, dispatched_at = ?, reserved = ?, batch = ?
        WHERE run = ? AND ordinal = ?
        """,
        [
            (
                ask.try_id,
                ask.dispatched_at,
                reserved.get(ask.try_id, 0.0) / len(ask.rows),
                batch,
                record.id,
                row.ordinal,
            )
            for ask in asks
            for row in ask.rows
        ],
    )
    total = sum(reserved.get(ask.try_id, 0.0) for ask in asks)
    if total:
        db.conn.execute("UPDATE runs SET reserved = reserved + ? WHERE id = ?", [total, record.id])


def rejected(db: Database, attempts: Sequence[int]) -> dict[int, Rejected]:
    """What the named attempts were rejected for."""
    found: dict[int, Rejected] = {}
    for start in range(0, len(attempts), _CHUNK):
        chunk = attempts[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        rows = db.conn.execute(
            f"""
            SELECT attempts.id, calls.raw, calls.finish_reason, attempts.problems
            FROM attempts JOIN calls ON calls.id = attempts.call
            WHERE attempts.verdict = 'rejected' AND attempts.id IN ({marks})
            """,
            chunk,
        )
        for attempt, raw, finish_reason, problems in rows.fetchall():
            found[attempt] = Rejected(
                raw=(raw or b"").decode("utf-8", "surrogatepass"),
                finish_reason=finish_reason,
                problems=tuple(Problem.model_validate(one) for one in json.loads(problems or "[]")),
            )
    return found


def dispatched(db: Database, *, before: float) -> dict[str, int]:
    """Tries that were put on the stream before a time and are not recorded, those in batches left out: try id -> run."""
    rows = db.conn.execute(
        "SELECT DISTINCT try_id, run FROM run_rows WHERE try_id IS NOT NULL AND batch IS NULL AND dispatched_at <= ?",
        [before],
    )
    return dict(rows.fetchall())


def give_back(db: Database, try_ids: Iterable[str], *, now: float) -> int:
    """Rows of calls that stand on no stream are due again; how many.

    Whether such a call was sent is unknown, and most were not: its money is free. The try is remembered for ``MISSED_SECONDS``, so
    that a lane that has sent it can still hand in what was paid for.
    """
    db.conn.execute("DELETE FROM missed WHERE missed_at < ?", [now - MISSED_SECONDS])
    return sum(_give_back(db, {"try": try_id, "now": now}) for try_id in try_ids)


def _give_back(db: Database, named: dict[str, str | float]) -> int:
    db.conn.execute(
        """
        INSERT OR IGNORE INTO missed (try_id, ordinal, run, missed_at)
        SELECT try_id, ordinal, run, :now FROM run_rows WHERE try_id = :try
        """,
        named,
    )
    db.conn.execute(
        """
        UPDATE runs SET reserved = max(0, reserved - (SELECT total(reserved) FROM run_rows WHERE try_id = :try))
        WHERE id = (SELECT run FROM run_rows WHERE try_id = :try LIMIT 1)
        """,
        named,
    )
    cursor = db.conn.execute(
        """
        UPDATE run_rows SET
            state = CASE (SELECT state FROM runs WHERE id = run) WHEN 'cancelled' THEN 'cancelled' ELSE 'due' END,
            ended_at = CASE (SELECT state FROM runs WHERE id = run) WHEN 'cancelled' THEN :now ELSE NULL END,
            due_at = :now, try_id = NULL, reserved = 0
        WHERE try_id = :try AND state = 'dispatched'
        """,
        named,
    )
    # A row that had an end before, by a late reply to an earlier call, keeps it.
    db.conn.execute("UPDATE run_rows SET try_id = NULL, reserved = 0 WHERE try_id = :try", named)
    return int(cursor.rowcount)


def last_moment(db: Database) -> float | None:
    """When the newest attempt was recorded."""
    found = db.conn.execute("SELECT recorded_at FROM attempts ORDER BY id DESC LIMIT 1").fetchone()
    return None if found is None else float(found[0])


def set_back(db: Database, *, by: float, now: float) -> int:
    """The clock was set back by so many seconds to ``now``: what is to happen later, or has just happened, moves with it; how many rows."""
    named = {"by": by, "now": now}
    with transaction(db):
        moved = db.conn.execute(
            """
            UPDATE run_rows SET due_at = max(:now, due_at - :by)
            WHERE state = 'due' AND due_at > :now AND run IN (SELECT id FROM runs WHERE ended_at IS NULL)
            """,
            named,
        ).rowcount
        db.conn.execute(
            "UPDATE batches SET next_at = max(:now, next_at - :by) WHERE ended_at IS NULL AND next_at > :now", named
        )
        db.conn.execute("UPDATE left_files SET next_at = max(:now, next_at - :by) WHERE next_at > :now", named)
        db.conn.execute(
            """
            UPDATE run_rows SET dispatched_at = dispatched_at - :by
            WHERE try_id IS NOT NULL AND dispatched_at > :now
            """,
            named,
        )
    return int(moved)
