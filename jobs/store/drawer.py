"""The writes that are the workbench's own: datasets and their rows, versions, labels, drafts, and requests to the keeper.

No run's state is here, so none of it needs the keeper. Every function writes inside the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlite_utils import Database

from jobs import errors
from jobs.requests import Request
from jobs.values import VersionContent


class Answer(NamedTuple):
    """What the keeper has made of a request."""

    result: dict[str, Any]
    error: str | None


def put_request(db: Database, request: Request, *, key: str, now: float) -> None:
    """Store a request for the keeper; a key that is there already stays as it was.

    Raises:
        Refused: the key is that of another request, so that its answer would be taken for an answer to this one.
    """
    body = request.model_dump_json()
    db.execute(
        "INSERT OR IGNORE INTO requests (key, kind, body, created_at) VALUES (?, ?, ?, ?)",
        (key, request.kind, body, now),
    )
    before, applied_at = db.execute("SELECT body, applied_at FROM requests WHERE key = ?", (key,)).fetchone()
    if before != body:
        became = (
            "has been taken up" if applied_at is not None else "is kept until the keeper is back, and will be done then"
        )
        raise errors.Refused(
            f"this was asked for already in another form: what was asked for first {became}, and what you see now was not asked "
            "for. Press again to ask for it as well"
        )


def answer_of(db: Database, key: str) -> Answer | None:
    """The keeper's answer to the request of that key, or None if it is not applied yet."""
    found = db.execute("SELECT applied_at, result, error FROM requests WHERE key = ?", (key,)).fetchone()
    if found is None or (found[0] is None and found[2] is None):
        return None
    return Answer(json.loads(found[1]) if found[1] else {}, found[2])


# -- datasets ----------------------------------------------------------------------------------------------------------


def begin_dataset(
    db: Database, dataset: str, *, sha256: str, name: str, layout: str, columns: Sequence[str], now: float
) -> None:
    """A dataset that is loading: nobody may use it yet. ``layout`` is JSON."""
    db.execute(
        "INSERT INTO datasets (id, sha256, name, layout, columns, state, created_at) VALUES (?, ?, ?, ?, ?, 'loading', ?)",
        (dataset, sha256, name, layout, json.dumps(list(columns), ensure_ascii=False), now),
    )


def add_rows(db: Database, dataset: str, rows: Sequence[Sequence[str]], *, first: int) -> None:
    """The next rows of a dataset that is loading; the first of them has the ordinal ``first``."""
    db.conn.executemany(
        "INSERT INTO rows (dataset, ordinal, cells) VALUES (?, ?, ?)",
        ((dataset, ordinal, packed(row)) for ordinal, row in enumerate(rows, first)),
    )


def packed(cells: Sequence[str]) -> str:
    """Cells as they are stored; nothing but cells, quotes and commas, so that a search finds what a person typed."""
    return json.dumps(list(cells), ensure_ascii=False, separators=(",", ":"))


def finish_dataset(db: Database, dataset: str, *, row_count: int, facts: str) -> None:
    """Every row is there: the dataset may be used, and never changes again."""
    db.execute(
        "UPDATE datasets SET row_count = ?, facts = ?, state = 'ready' WHERE id = ?", (row_count, facts, dataset)
    )


def drop_some(db: Database, dataset: str, *, most: int) -> bool:
    """Take away some rows of a dataset that is loading, or the dataset itself when none is left; whether it is gone."""
    gone = db.execute(
        "DELETE FROM rows WHERE dataset = ? AND ordinal IN (SELECT ordinal FROM rows WHERE dataset = ? LIMIT ?)",
        (dataset, dataset, most),
    ).rowcount
    if gone == 0:
        db.execute("DELETE FROM datasets WHERE id = ? AND state = 'loading'", (dataset,))
    return gone == 0


def set_id_column(db: Database, dataset: str, column: str | None) -> None:
    """Which column names the rows of runs that start from now on."""
    db.execute("UPDATE datasets SET id_column = ? WHERE id = ?", (column, dataset))


# -- prompts -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Saving:
    """A version to store."""

    prompt: str
    hash: str
    content: VersionContent
    defaults: dict[str, Any] | None
    description: str
    note: str
    source: str
    now: float


def put_version(db: Database, saving: Saving, *, numbered: bool) -> int:
    """The id of the version of that content, stored if it is new; ``numbered`` gives it a number if it has none.

    What is outside the hash (defaults, description) follows the last one who gave it; a number and a note stay.
    """
    found = db.execute(
        "SELECT id, number FROM versions WHERE prompt = ? AND hash = ?", (saving.prompt, saving.hash)
    ).fetchone()
    if found is None:
        found = _insert_version(db, saving), None
    version, number = found
    if number is None and numbered:
        db.execute(
            "UPDATE versions SET number = (SELECT coalesce(max(number), 0) + 1 FROM versions WHERE prompt = ?), note = ?, "
            "source = ?, created_at = ? WHERE id = ?",
            (saving.prompt, saving.note, saving.source, saving.now, version),
        )
    if numbered and saving.defaults is not None:
        db.execute("UPDATE versions SET defaults = ? WHERE id = ?", (json.dumps(saving.defaults), version))
    if numbered and saving.description:
        db.execute("UPDATE versions SET description = ? WHERE id = ?", (saving.description, version))
    return int(version)


def _insert_version(db: Database, saving: Saving) -> int:
    cursor = db.execute(
        "INSERT INTO versions (prompt, hash, content, defaults, description, note, source, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            saving.prompt,
            saving.hash,
            saving.content.model_dump_json(),
            json.dumps(saving.defaults or {}),
            saving.description,
            saving.note,
            saving.source,
            saving.now,
        ),
    )
    return int(cursor.lastrowid or 0)


def put_label(db: Database, prompt: str, label: str, *, number: int, now: float) -> None:
    """Move a label to a version."""
    db.execute(
        "INSERT INTO labels (prompt, label, number, set_at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (prompt, label) DO UPDATE SET number = excluded.number, set_at = excluded.set_at",
        (prompt, label, number, now),
    )


def put_draft(db: Database, key: str, body: dict[str, Any], *, now: float) -> None:
    """Keep a draft; the last one put there is the one that is kept."""
    db.execute(
        "INSERT INTO drafts (key, body, updated_at) VALUES (?, ?, ?) "
        "ON CONFLICT (key) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at",
        (key, json.dumps(body, ensure_ascii=False), now),
    )


def drop_draft(db: Database, key: str) -> None:
    """Forget a draft, if there is one."""
    db.execute("DELETE FROM drafts WHERE key = ?", (key,))
