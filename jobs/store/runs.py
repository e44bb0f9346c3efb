"""Writes about whole runs: the keeper's hand on requests, states, sums and the laying out of rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from sqlite_utils import Database

from jobs import errors, ladder, plan, requests
from jobs.lifecycle import RunState
from jobs.options import Rung, RunOptions
from jobs.requests import Request, Start
from jobs.settings import Price
from jobs.store import went_on
from jobs.store.rungs import UPPER, rungs
from jobs.values import VersionContent


@contextmanager
def transaction(db: Database) -> Iterator[None]:
    """Everything inside, or nothing; waits for another writer at once and not at its first write."""
    db.conn.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.conn.commit()  # a full disk is met here: what could not be kept must not stay open
    except BaseException:
        db.conn.rollback()
        raise


@contextmanager
def attempt(db: Database) -> Iterator[None]:
    """Inside a transaction: what fails in here leaves nothing behind, and the transaction goes on."""
    db.conn.execute("SAVEPOINT attempt")
    try:
        yield
    except Exception:
        if db.conn.in_transaction:  # a full disk has ended the whole transaction by itself
            db.conn.execute("ROLLBACK TO attempt")
            db.conn.execute("RELEASE attempt")
        raise
    db.conn.execute("RELEASE attempt")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run as the keeper works on it."""

    id: int
    kind: str
    root: int
    parent: int | None
    dataset: str
    prompt: str
    version: int
    content: VersionContent
    version_hash: str
    connection: str
    base_url: str
    model: str
    price: Price | None
    options: RunOptions
    #: the columns that the template uses
    columns: tuple[str, ...]
    dataset_columns: tuple[str, ...]
    id_column: str | None
    row_count: int
    laid_out: int
    state: str
    paused_by: str | None
    cost: float
    reserved: float
    #: where questions go, the lowest rung first
    rungs: tuple[Rung, ...]

    @property
    def top(self) -> int:
        """The highest rung, where nothing is doubted any more."""
        return len(self.rungs) - 1

    @property
    def has_price(self) -> bool:
        """Whether the price of every rung is known."""
        return all(rung.price is not None for rung in self.rungs)

    def cells(self, row: Sequence[str]) -> dict[str, str]:
        """The cells of a whole row that its questions are made of."""
        return {column: row[place] for column, place in self._places}

    @cached_property
    def _places(self) -> tuple[tuple[str, int], ...]:
        where = {column: place for place, column in enumerate(self.dataset_columns)}
        return tuple((column, where[column]) for column in self.columns)


_RUN = """
SELECT runs.*, versions.content, versions.hash AS version_hash, datasets.columns AS dataset_columns
FROM runs JOIN versions ON versions.id = runs.version JOIN datasets ON datasets.id = runs.dataset
"""


def run(db: Database, run_id: int) -> RunRecord | None:
    """The run of that number."""
    return next((_record(row) for row in db.query(_RUN + "WHERE runs.id = ?", [run_id])), None)


def open_runs(db: Database) -> list[RunRecord]:
    """Runs that have rows without an end, the oldest first."""
    return [_record(row) for row in db.query(_RUN + "WHERE runs.ended_at IS NULL ORDER BY runs.id")]


def _record(row: dict[str, Any]) -> RunRecord:
    return RunRecord(
        id=row["id"],
        kind=row["kind"],
        root=row["root"],
        parent=row["parent"],
        dataset=row["dataset"],
        prompt=row["prompt"],
        version=row["version"],
        content=_content(row["content"]),
        version_hash=row["version_hash"],
        connection=row["connection"],
        base_url=row["base_url"],
        model=row["model"],
        price=_price(row["price"]) if row["price"] else None,
        options=_options(row["options"]),
        columns=_names(row["columns"]),
        dataset_columns=_names(row["dataset_columns"]),
        id_column=row["id_column"],
        row_count=row["row_count"],
        laid_out=row["laid_out"],
        state=row["state"],
        paused_by=row["paused_by"],
        cost=row["cost"],
        reserved=row["reserved"],
        rungs=rungs(row["connection"], row["base_url"], row["model"], row["price"], row["upper"]),
    )


# Every step looks at every open run, and what is frozen with a run reads the same each time.


@lru_cache(maxsize=256)
def _content(text: str) -> VersionContent:
    return VersionContent.model_validate_json(text)


@lru_cache(maxsize=256)
def _options(text: str) -> RunOptions:
    return RunOptions.model_validate_json(text)


@lru_cache(maxsize=256)
def _price(text: str) -> Price:
    return Price.model_validate_json(text)


@lru_cache(maxsize=256)
def _names(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


# -- requests ----------------------------------------------------------------------------------------------------------


def open_requests(db: Database) -> list[tuple[int, Request | errors.InputError]]:
    """Requests that nobody has applied, the oldest first; of one that cannot be read, why."""
    found: list[tuple[int, Request | errors.InputError]] = []
    for row in db.query("SELECT id, body FROM requests WHERE applied_at IS NULL ORDER BY id LIMIT 100"):
        try:
            found.append((row["id"], requests.read(row["body"])))
        except errors.InputError as error:
            found.append((row["id"], error))
    return found


def mark_applied(
    db: Database, request: int, *, now: float, result: dict[str, Any] | None = None, error: str | None = None
) -> None:
    """Say what became of a request; inside the transaction that applied it."""
    db.conn.execute(
        "UPDATE requests SET applied_at = ?, result = ?, error = ? WHERE id = ?",
        [now, json.dumps(result) if result is not None else None, error, request],
    )


# -- a run's life ------------------------------------------------------------------------------------------------------


def insert_run(db: Database, start: Start, *, row_count: int, now: float) -> int:
    """A run, running, with none of its rows laid out; its number."""
    root: int | None = None
    if start.parent is not None:
        found = db.conn.execute("SELECT root FROM runs WHERE id = ?", [start.parent]).fetchone()
        root = found[0] if found else None
    prompt = db.conn.execute("SELECT prompt FROM versions WHERE id = ?", [start.version]).fetchone()[0]
    cursor = db.conn.execute(
        """
        INSERT INTO runs (kind, root, parent, dataset, prompt, version, connection, base_url, model, price, upper,
                          options, columns, id_column, row_count, state, note, created_at)
        VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'running', ?, ?)
        """,
        [
            start.run_kind,
            start.parent,
            start.dataset,
            prompt,
            start.version,
            start.connection,
            start.base_url,
            start.model,
            start.price.model_dump_json() if start.price else None,
            UPPER.dump_json(start.upper).decode(),
            start.options.model_dump_json(),
            json.dumps(start.columns),
            start.id_column,
            row_count,
            start.note,
            now,
        ],
    )
    run_id = int(cursor.lastrowid or 0)
    db.conn.execute("UPDATE runs SET root = ? WHERE id = ?", [root or run_id, run_id])
    return run_id


#: a pause that is over by now; the clock may have been set back meanwhile
_PAUSED = "paused_seconds = paused_seconds + max(0, coalesce(:now - paused_at, 0))"


def set_state(
    db: Database,
    run_id: int,
    state: RunState,
    *,
    now: float,
    paused_by: str | None = None,
    reason: str | None = None,
) -> None:
    """Another state for a run, and who or what made it so."""
    db.conn.execute(
        f"""
        UPDATE runs SET state = :state, paused_by = :by, reason = :reason, {_PAUSED},
               paused_at = CASE :state WHEN 'paused' THEN :now END
        WHERE id = :run
        """,
        {"state": state.value, "by": paused_by, "reason": reason, "run": run_id, "now": now},
    )


def set_budget(db: Database, record: RunRecord, budget: float | None) -> None:
    """Another budget for a run."""
    options = record.options.model_copy(update={"budget": budget})
    db.conn.execute("UPDATE runs SET options = ? WHERE id = ?", [options.model_dump_json(), record.id])


def done(db: Database) -> list[int]:
    """Runs whose every row has an end, but that have none themselves."""
    found = db.conn.execute(
        """
        SELECT id FROM runs WHERE ended_at IS NULL AND laid_out = row_count
        AND NOT EXISTS (SELECT 1 FROM run_rows WHERE run = runs.id AND state IN ('due', 'held', 'dispatched'))
        """
    )
    return [run for (run,) in found]


def end(db: Database, run_id: int, *, now: float) -> None:
    """Give a run its end; a cancelled one stays cancelled."""
    db.conn.execute(
        f"""
        UPDATE runs SET ended_at = :now, paused_by = NULL, {_PAUSED}, paused_at = NULL,
               state = CASE state WHEN 'cancelled' THEN 'cancelled' ELSE 'finished' END,
               reason = CASE state WHEN 'cancelled' THEN reason ELSE NULL END
        WHERE id = :run
        """,
        {"now": now, "run": run_id},
    )
    db.conn.execute(
        "UPDATE dead_letters SET resolution = 'open', replay = NULL WHERE replay = ? AND resolution = 'replaying'",
        [run_id],
    )


# -- laying out --------------------------------------------------------------------------------------------------------


def key_maker(record: RunRecord) -> Callable[[dict[str, str], int], bytes | None]:
    """What names a row's question on a rung of this run; None for every row where answers are not to be reused."""
    if not record.options.reuse:
        return lambda cells, rung: None
    doubts = record.options.ladder.doubts if record.options.ladder else ""
    return lambda cells, rung: plan.reuse_key(
        base_url=record.rungs[rung].base_url,
        model=record.rungs[rung].model,
        content=record.content,
        version_hash=record.version_hash,
        cells=cells,
        doubts=doubts if rung < record.top else "",
    )


def first_rung(record: RunRecord) -> Callable[[Sequence[str]], int]:
    """The rung that a whole row begins on."""
    routes = record.options.ladder.routes if record.options.ladder else ()
    if not routes:
        return lambda row: 0
    goes_up = ladder.straight_up(routes)
    return lambda row: record.top if goes_up(dict(zip(record.dataset_columns, row, strict=True))) else 0


def lay_out(db: Database, record: RunRecord, *, most: int) -> int:
    """Give the next rows of the dataset their place in the run; how many."""
    after = record.laid_out
    last = min(after + most, record.row_count)
    rows = db.conn.execute(
        "SELECT ordinal, cells FROM rows WHERE dataset = ? AND ordinal > ? AND ordinal <= ? ORDER BY ordinal",
        [record.dataset, after, last],
    ).fetchall()
    return _insert_rows(db, record, [(ordinal, json.loads(cells), None) for ordinal, cells in rows])


def lay_out_named(db: Database, record: RunRecord, ordinals: Sequence[int], *, edits: dict[int, dict[str, str]]) -> int:
    """Give exactly these rows their place in the run, some of them as a person edited them; how many."""
    rows: list[tuple[int, list[str], str | None]] = []
    earlier = _edited_before(db, record)
    for start in range(0, len(ordinals), 500):
        chunk = ordinals[start : start + 500]
        marks = ",".join("?" * len(chunk))
        found = db.conn.execute(
            f"SELECT ordinal, cells FROM rows WHERE dataset = ? AND ordinal IN ({marks})", [record.dataset, *chunk]
        )
        for ordinal, text in found.fetchall():
            before = earlier.get(ordinal)
            cells = json.loads(before or text)
            if ordinal in edits:
                cells = [
                    edits[ordinal].get(column, cell) for column, cell in zip(record.dataset_columns, cells, strict=True)
                ]
            edited = json.dumps(cells, ensure_ascii=False) if ordinal in edits or before else None
            rows.append((ordinal, cells, edited))
    return _insert_rows(db, record, rows)


def _edited_before(db: Database, record: RunRecord) -> dict[int, str]:
    """A replay of an edited row keeps the edit."""
    if record.parent is None:
        return {}
    found = db.conn.execute("SELECT ordinal, cells FROM run_rows WHERE run = ? AND cells IS NOT NULL", [record.parent])
    return dict(found.fetchall())


def _insert_rows(db: Database, record: RunRecord, rows: Sequence[tuple[int, list[str], str | None]]) -> int:
    key_of, rung_of = key_maker(record), first_rung(record)
    begins = [rung_of(cells) for _, cells, _ in rows]
    id_place = record.dataset_columns.index(record.id_column) if record.id_column else None
    db.conn.executemany(
        "INSERT INTO run_rows (run, ordinal, row_id, state, rung, reuse_key, cells) VALUES (?, ?, ?, 'due', ?, ?, ?)",
        [
            (
                record.id,
                ordinal,
                cells[id_place] if id_place is not None else str(ordinal),
                rung,
                key_of(record.cells(cells), rung),
                edited,
            )
            for rung, (ordinal, cells, edited) in zip(begins, rows, strict=True)
        ],
    )
    went_on.straight(db, record.id, begins)
    db.conn.execute("UPDATE runs SET laid_out = laid_out + ? WHERE id = ?", [len(rows), record.id])
    return len(rows)


def cancel_waiting(db: Database, run_id: int, *, now: float) -> int:
    """End every row of a run that is not in a call, and those that were never laid out; how many were laid out.

    Equal rows of other runs that waited on one of them are due again.
    """
    cursor = db.conn.execute(
        "UPDATE run_rows SET state = 'cancelled', ended_at = ? WHERE run = ? AND state IN ('due', 'held')",
        [now, run_id],
    )
    stop_asking(db, run_id, now=now)
    return cursor.rowcount


def pause_for_budget(db: Database, record: RunRecord, *, next_call: float | None, now: float) -> None:
    """Pause a run that cannot reserve its next call, and say the figures; None where it has spent more than its budget."""
    unknown = f", ${record.reserved:,.4f} is set aside for calls of unknown end" if record.reserved > 0.00005 else ""
    if next_call is None:
        why = "is passed, by replies longer than max_tokens or because it was lowered"
        unknown = ""
    else:
        why = f"has no room for the next call, which may cost ${next_call:,.6f}"
    reason = f"the budget of ${record.options.budget:,.4f} {why}: ${record.cost:,.4f} is spent{unknown}; raise the budget to go on"
    set_state(db, record.id, RunState.PAUSED, now=now, paused_by="budget", reason=reason)


def asks(db: Database, run_id: int) -> bool:
    """Whether others may be waiting for a question of this run that is in no call."""
    query = """
        SELECT 1 FROM asking JOIN run_rows ON run_rows.run = asking.run AND run_rows.ordinal = asking.ordinal
        WHERE asking.run = ? AND run_rows.state != 'dispatched' LIMIT 1
    """
    return db.conn.execute(query, [run_id]).fetchone() is not None


def stop_asking(db: Database, run_id: int, *, now: float) -> None:
    """A run that does not go on asks nothing: whoever waits for its answers is due, and asks for itself.

    Questions that are in a call stay asked.
    """
    keys = db.conn.execute(
        """
        SELECT asking.key FROM asking JOIN run_rows ON run_rows.run = asking.run AND run_rows.ordinal = asking.ordinal
        WHERE asking.run = ? AND run_rows.state != 'dispatched'
        """,
        [run_id],
    ).fetchall()
    free_questions(db, [key for (key,) in keys], now=now)


def free_questions(db: Database, keys: Sequence[bytes], *, now: float) -> None:
    """Nobody asks these questions any more: rows that waited for an answer are due; the next one asked holds the others again."""
    db.conn.executemany("DELETE FROM asking WHERE key = ?", [(key,) for key in keys])
    # The index holds only such rows; without its name SQLite looks through all rows of all states.
    held = db.conn.execute("SELECT 1 FROM run_rows INDEXED BY run_rows_held WHERE state = 'held' LIMIT 1").fetchone()
    if held is not None:
        db.conn.executemany(
            # A row that nobody has asked about yet stays one that is asked for the first time.
            "UPDATE run_rows SET state = 'due', due_at = min(due_at, ?) WHERE reuse_key = ? AND state = 'held'",
            [(now, key) for key in keys],
        )
