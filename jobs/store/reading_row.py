"""One row of a run, whole: its cells, every attempt as it was sent and answered, and the value that is current."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlite_utils import Database

from jobs.store.raw import shown
from jobs.store.reading_letters import reference
from jobs.values import Failure, Message, Problem, Receipt
from jobs.views.letters import Attempt
from jobs.views.runs import ResultRow


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a row of a run stands."""

    run: int
    ordinal: int
    root: int
    version: int
    row_id: str
    state: str
    #: as the run saw it, with a person's edit where there was one
    cells: dict[str, str]
    original_cells: dict[str, str]


def place(db: Database, run: int, ordinal: int) -> Place | None:
    """That row of that run; None where the run has no such row."""
    found = db.execute(
        """
        SELECT runs.root, runs.version, rr.row_id, rr.state, rr.cells, r.cells, datasets.columns
        FROM run_rows rr JOIN runs ON runs.id = rr.run
        JOIN datasets ON datasets.id = runs.dataset
        JOIN rows r ON r.dataset = runs.dataset AND r.ordinal = rr.ordinal
        WHERE rr.run = ? AND rr.ordinal = ?
        """,
        [run, ordinal],
    ).fetchone()
    if found is None:
        return None
    root, version, row_id, state, edited, cells, columns = found
    original = _cells(columns, cells)
    return Place(
        run=run,
        ordinal=ordinal,
        root=root,
        version=version,
        row_id=row_id,
        state=state,
        cells=_cells(columns, edited) if edited else original,
        original_cells=original,
    )


def _cells(columns: str, cells: str) -> dict[str, str]:
    return dict(zip(json.loads(columns), json.loads(cells), strict=True))


def attempts(db: Database, run: int, ordinal: int) -> tuple[Attempt, ...]:
    """Every attempt at that row in that run, in the order in which they were recorded."""
    found = db.query(
        """
        SELECT a.id, a.run, a.ordinal, a.asked, a.verdict, a.strike, a.superseded, a.value, a.receipt, a.problems,
               a.signature, a.recorded_at, coalesce(c.failure, a.failure) AS failure, c.request, c.raw, c.finish_reason,
               c.status, c.model, c.request_id,
               c.prompt_tokens, c.completion_tokens, c.cached_tokens, c.estimated, c.cost, c.settled, c.sent_at, c.seconds,
               c.lane, c.try_id, coalesce(c.rung, 0) AS rung, a.confidence
        FROM attempts a LEFT JOIN calls c ON c.id = a.call
        WHERE a.run = ? AND a.ordinal = ? ORDER BY a.id
        """,
        [run, ordinal],
    )
    return tuple(_attempt(row) for row in found)


def _attempt(row: dict[str, Any]) -> Attempt:
    request = _request(row["request"])
    return Attempt(
        id=row["id"],
        run=row["run"],
        ordinal=row["ordinal"],
        asked=row["asked"],
        verdict=row["verdict"],
        strike=bool(row["strike"]),
        superseded=bool(row["superseded"]),
        value=json.loads(row["value"]) if row["value"] else None,
        receipt=Receipt.model_validate_json(row["receipt"]) if row["receipt"] else None,
        problems=tuple(Problem.model_validate(problem) for problem in json.loads(row["problems"] or "[]")),
        signature=row["signature"],
        failure=Failure.model_validate_json(row["failure"]) if row["failure"] else None,
        messages=_messages(request),
        request=request,
        raw=shown(row["raw"]) if row["raw"] is not None else None,
        finish_reason=row["finish_reason"],
        status=row["status"],
        model=row["model"],
        request_id=row["request_id"],
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        cached_tokens=row["cached_tokens"],
        estimated=bool(row["estimated"]),
        cost=row["cost"],
        settled=row["settled"] is None or bool(row["settled"]),
        sent_at=row["sent_at"],
        seconds=row["seconds"],
        lane=row["lane"],
        try_id=row["try_id"],
        recorded_at=row["recorded_at"],
        rung=row["rung"],
        confidence=row["confidence"],
    )


def _request(blob: bytes | None) -> dict[str, Any] | None:
    if not blob:
        return None
    body = json.loads(shown(zlib.decompress(blob)))
    return body if isinstance(body, dict) else None


def _messages(request: dict[str, Any] | None) -> tuple[Message, ...]:
    """The messages of a request body; those whose content is not plain text stay in the body alone."""
    found = []
    for message in (request or {}).get("messages", ()):
        try:
            found.append(Message.model_validate({"role": message["role"], "content": message["content"]}))
        except (ValidationError, KeyError, TypeError):
            continue
    return tuple(found)


def result(db: Database, at: Place) -> ResultRow | None:
    """The value that is current for that row, whoever made it; None where there is none."""
    found = db.execute(
        """
        SELECT s.run, s.attempt, COALESCE(d.value, a.value), a.receipt, v.prompt, v.number, rr.row_id, rr.state
        FROM results s
        JOIN runs ON runs.id = s.run JOIN versions v ON v.id = runs.version
        JOIN run_rows rr ON rr.run = s.root AND rr.ordinal = s.ordinal
        LEFT JOIN attempts a ON a.id = s.attempt
        LEFT JOIN decisions d ON d.id = s.decision
        WHERE s.root = ? AND s.ordinal = ?
        """,
        [at.root, at.ordinal],
    ).fetchone()
    if found is None:
        return None
    run, attempt, value, receipt, prompt, number, row_id, state = found
    if attempt is None:
        receipt = Receipt(how="corrected").model_dump_json()
    return ResultRow(
        ordinal=at.ordinal,
        row_id=row_id,
        state=state,
        cells=at.cells,
        value=json.loads(value) if value else None,
        receipt=Receipt.model_validate_json(receipt) if receipt else None,
        run=run,
        version=reference(prompt, number),
        attempt=attempt,
    )


def answers(db: Database, run: int) -> list[tuple[int, str, dict[str, Any] | None]]:
    """(ordinal, state, value if it was accepted) of every row of a run that is laid out."""
    found = db.execute(
        """
        SELECT rr.ordinal, rr.state, CASE rr.state WHEN 'accepted' THEN a.value END
        FROM run_rows rr LEFT JOIN attempts a ON a.id = rr.attempt WHERE rr.run = ? ORDER BY rr.ordinal
        """,
        [run],
    )
    return [(ordinal, state, json.loads(value) if value else None) for ordinal, state, value in found]


def table(db: Database, dataset: str) -> tuple[list[str], list[list[str]]]:
    """The columns and all rows of a dataset; for small ones."""
    columns = db.execute("SELECT columns FROM datasets WHERE id = ?", [dataset]).fetchone()[0]
    rows = db.execute("SELECT cells FROM rows WHERE dataset = ? ORDER BY ordinal", [dataset])
    return json.loads(columns), [json.loads(cells) for (cells,) in rows]
