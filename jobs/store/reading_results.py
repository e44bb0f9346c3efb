"""What the rows of a run have come to: the current values of its root, or the run's own, in pages or as a stream.

Current: a row is accepted if a value stands for it now, whoever gave it (the run, a replay, a person); else it is as the root
run left it. As the run: its own history, whatever came after. Tries and evaluations feed no results, so they have only that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlite_utils import Database

from jobs.lifecycle import WAITING, RowState
from jobs.store.fates import QUIET_KINDS
from jobs.store.reading_letters import reference
from jobs.values import Receipt, VersionContent
from jobs.views.runs import ResultRow

#: rows that a stream reads at once
CHUNK = 1_000


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Whose rows are meant, and whether their own values or the current ones."""

    #: the run whose rows they are: the root, unless its own are meant
    run: int
    as_run: bool
    dataset: str
    columns: tuple[str, ...]
    #: run -> its version's name, for the run and all that feed the same results
    versions: dict[int, str]


class Found(NamedTuple):
    """A row with its value as it is stored."""

    ordinal: int
    row_id: str
    state: str
    #: JSON lists: as it stands in the dataset, and as the run saw it that gave the value
    original: str
    seen: str
    #: JSON
    value: str | None
    receipt: str | None
    #: the run that the value came from; of a dead row, the one that it died in last
    run: int | None
    attempt: int | None
    #: the title of its dead letter, of a dead row
    problem: str | None


def scope(db: Database, run_id: int, *, as_run: bool) -> Scope | None:
    """The rows that are meant by a run; None where there is no such run."""
    found = db.execute(
        "SELECT r.root, r.kind, r.dataset, d.columns FROM runs r JOIN datasets d ON d.id = r.dataset WHERE r.id = ?",
        [run_id],
    ).fetchone()
    if found is None:
        return None
    root, kind, dataset, columns = found
    as_run = as_run or kind in QUIET_KINDS
    names = db.execute(
        "SELECT r.id, v.prompt, v.number FROM runs r JOIN versions v ON v.id = r.version WHERE r.root = ?", [root]
    ).fetchall()
    return Scope(
        run=run_id if as_run else root,
        as_run=as_run,
        dataset=dataset,
        columns=tuple(json.loads(columns)),
        versions={run: reference(prompt, number) for run, prompt, number in names},
    )


def page(
    db: Database,
    where: Scope,
    *,
    offset: int,
    limit: int,
    state: str | None = None,
    among: Sequence[int] | None = None,
) -> tuple[list[ResultRow], int]:
    """A page of the rows in the file's order, and how many pass; ``among``: only these ordinals."""
    table, condition, values = _chosen(where, state)
    if among is not None:
        condition += " AND t.ordinal IN (SELECT value FROM json_each(?))"
        values = [*values, json.dumps(list(among))]
    total = db.execute(f"SELECT count(*) FROM {table} t WHERE {condition}", values).fetchone()[0]
    found = db.execute(
        f"SELECT t.ordinal FROM {table} t WHERE {condition} ORDER BY t.ordinal LIMIT ? OFFSET ?",
        [*values, limit, offset],
    ).fetchall()
    rows = _details(
        db, where, "rr.ordinal IN (SELECT value FROM json_each(?))", [json.dumps([row[0] for row in found])]
    )
    return [_view(where, row) for row in rows], int(total)


def stream(db: Database, where: Scope) -> Iterator[Found]:
    """Every row that is laid out, in the file's order."""
    after = 0
    while rows := _details(db, where, "rr.ordinal > ?", [after], limit=CHUNK):
        yield from rows
        after = rows[-1].ordinal


def _chosen(where: Scope, state: str | None) -> tuple[str, str, list[Any]]:
    if state is None:
        return "run_rows", "t.run = ?", [where.run]
    if state == RowState.ACCEPTED and not where.as_run:
        return "results", "t.root = ?", [where.run]
    states = WAITING if state == "waiting" else (state,)
    marks = ", ".join("?" * len(states))
    condition = f"t.run = ? AND t.state IN ({marks})"
    if state == RowState.DEAD and not where.as_run:
        condition += " AND NOT EXISTS (SELECT 1 FROM results s WHERE s.root = t.run AND s.ordinal = t.ordinal)"
    return "run_rows", condition, [where.run, *states]


_OWN = """
    SELECT rr.ordinal, rr.row_id, rr.state, r.cells, COALESCE(rr.cells, r.cells), a.value, a.receipt,
           CASE WHEN a.id IS NOT NULL OR rr.state = 'dead' THEN rr.run END, a.id,
           CASE WHEN rr.state = 'dead' THEN (
               SELECT COALESCE(g.title, l.signature) FROM dead_letters l LEFT JOIN signatures g ON g.signature = l.signature
               WHERE l.run = rr.run AND l.ordinal = rr.ordinal
           ) END
    FROM run_rows rr
    JOIN rows r ON r.dataset = ? AND r.ordinal = rr.ordinal
    LEFT JOIN attempts a ON a.id = rr.attempt AND rr.state = 'accepted'
"""
_CURRENT = """
    SELECT rr.ordinal, rr.row_id, CASE WHEN s.root IS NOT NULL THEN 'accepted' ELSE rr.state END, r.cells,
           COALESCE(sr.cells, rr.cells, r.cells), COALESCE(d.value, a.value),
           CASE WHEN s.decision IS NOT NULL THEN '{"how": "corrected"}' ELSE a.receipt END, COALESCE(s.run, l.run), s.attempt,
           COALESCE(g.title, l.signature)
    FROM run_rows rr
    JOIN rows r ON r.dataset = ? AND r.ordinal = rr.ordinal
    LEFT JOIN results s ON s.root = rr.run AND s.ordinal = rr.ordinal
    LEFT JOIN dead_letters l ON rr.state = 'dead' AND s.root IS NULL AND l.ordinal = rr.ordinal AND l.run = (
        SELECT m.run FROM dead_letters m WHERE m.root = rr.run AND m.ordinal = rr.ordinal
        ORDER BY m.latest DESC, m.run DESC LIMIT 1
    )
    LEFT JOIN signatures g ON g.signature = l.signature
    LEFT JOIN run_rows sr ON sr.run = COALESCE(s.run, l.run) AND sr.ordinal = rr.ordinal
    LEFT JOIN attempts a ON a.id = s.attempt
    LEFT JOIN decisions d ON d.id = s.decision
"""


def _details(db: Database, where: Scope, condition: str, values: Sequence[Any], *, limit: int = -1) -> list[Found]:
    found = db.execute(
        f"{_OWN if where.as_run else _CURRENT} WHERE rr.run = ? AND {condition} ORDER BY rr.ordinal LIMIT ?",
        [where.dataset, where.run, *values, limit],
    )
    return [Found(*row) for row in found.fetchall()]


def edits(columns: Sequence[str], row: Found) -> dict[str, str]:
    """The cells that a person had edited for the run whose row it is, as that run saw them."""
    if row.seen == row.original:
        return {}
    cells = zip(columns, json.loads(row.original), json.loads(row.seen), strict=True)
    return {column: seen for column, original, seen in cells if seen != original}


def _view(where: Scope, row: Found) -> ResultRow:
    return ResultRow(
        ordinal=row.ordinal,
        row_id=row.row_id,
        state=row.state,
        cells=dict(zip(where.columns, json.loads(row.seen), strict=True)),
        edited=edits(where.columns, row),
        value=json.loads(row.value) if row.value else None,
        receipt=Receipt.model_validate_json(row.receipt) if row.receipt else None,
        run=row.run,
        version=where.versions.get(row.run) if row.run is not None else None,
        attempt=row.attempt,
    )


def contracts(db: Database, where: Scope) -> list[dict[str, Any]]:
    """The contracts that the values of those rows were held to, that of the first run first."""
    runs = [where.run] if where.as_run else sorted(where.versions)
    found = db.execute(
        """
        SELECT min(r.id), v.content FROM runs r JOIN versions v ON v.id = r.version
        WHERE r.id IN (SELECT value FROM json_each(?)) GROUP BY v.id ORDER BY 1
        """,
        [json.dumps(runs)],
    )
    return [VersionContent.model_validate_json(content).contract for _, content in found.fetchall()]
