"""Versions of prompts, their labels, and drafts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlite_utils import Database

from jobs.values import VersionContent
from jobs.views.prompts import Version

_VERSION = """
    SELECT v.*, (SELECT json_group_array(l.label) FROM labels l WHERE l.prompt = v.prompt AND l.number = v.number) AS labels
    FROM versions v
"""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where the stored side of a prompt stands."""

    latest: int | None
    latest_hash: str | None
    description: str
    labels: dict[str, int]
    runs: int
    updated_at: float


def standings(db: Database) -> dict[str, Standing]:
    """Every prompt that has a saved version, a draft of one that was tried, or a run."""
    labels: dict[str, dict[str, int]] = {}
    for prompt, label, number in db.execute("SELECT prompt, label, number FROM labels ORDER BY label"):
        labels.setdefault(prompt, {})[label] = number
    runs = dict(db.execute("SELECT prompt, count(*) FROM runs WHERE kind != 'try' GROUP BY prompt").fetchall())
    # with a single max, SQLite takes the bare columns from the row that holds it: the newest saved version
    found = db.execute(
        "SELECT prompt, max(coalesce(number, 0)), hash, number, description FROM versions GROUP BY prompt ORDER BY prompt"
    ).fetchall()
    updated = dict(db.execute("SELECT prompt, max(created_at) FROM versions GROUP BY prompt").fetchall())
    return {
        prompt: Standing(
            latest=number,
            latest_hash=hash_ if number is not None else None,
            description=description,
            labels=labels.get(prompt, {}),
            runs=runs.get(prompt, 0),
            updated_at=updated[prompt],
        )
        for prompt, _, hash_, number, description in found
    }


def saved(db: Database, prompt: str) -> list[Version]:
    """The saved versions of a prompt, the newest first."""
    return _views(db, "WHERE v.prompt = ? AND v.number IS NOT NULL ORDER BY v.number DESC", [prompt])


def version(db: Database, version_id: int) -> Version | None:
    """The version of that id, saved or not."""
    return next(iter(_views(db, "WHERE v.id = ?", [version_id])), None)


def numbered(db: Database, prompt: str, number: int) -> Version | None:
    """The version of that number."""
    return next(iter(_views(db, "WHERE v.prompt = ? AND v.number = ?", [prompt, number])), None)


def latest(db: Database, prompt: str) -> Version | None:
    """The version of the highest number."""
    return next(
        iter(_views(db, "WHERE v.prompt = ? AND v.number IS NOT NULL ORDER BY v.number DESC LIMIT 1", [prompt])), None
    )


def by_hash(db: Database, prompt: str, hash_: str) -> Version | None:
    """The version of that content, saved or not."""
    return next(iter(_views(db, "WHERE v.prompt = ? AND v.hash = ?", [prompt, hash_])), None)


def labels(db: Database, prompt: str) -> dict[str, int]:
    """The number that each label of a prompt stands at."""
    return dict(db.execute("SELECT label, number FROM labels WHERE prompt = ? ORDER BY label", [prompt]).fetchall())


def draft(db: Database, key: str) -> dict[str, Any] | None:
    """The draft that was put there."""
    found = db.execute("SELECT body FROM drafts WHERE key = ?", [key]).fetchone()
    return None if found is None else dict(json.loads(found[0]))


def _views(db: Database, rest: str, values: list[Any]) -> list[Version]:
    return [
        Version(
            id=row["id"],
            prompt=row["prompt"],
            number=row["number"],
            hash=row["hash"],
            content=VersionContent.model_validate_json(row["content"]),
            defaults=json.loads(row["defaults"]),
            description=row["description"],
            note=row["note"],
            source=row["source"],
            labels=tuple(json.loads(row["labels"])),
            created_at=row["created_at"],
        )
        for row in db.query(f"{_VERSION} {rest}", values)
    ]
