"""An uploaded table as a reader gets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """An uploaded table."""

    id: str
    name: str
    sha256: str
    format: str
    encoding: str | None
    delimiter: str | None
    columns: tuple[str, ...]
    row_count: int
    size_bytes: int
    #: each {"line", "kind", "message"}
    findings: tuple[dict[str, Any], ...]
    #: as ``intake.Facts.summary()`` gives them, as plain JSON
    facts: dict[str, Any] | None
    id_column: str | None
    state: str
    created_at: float
    #: None: it is in sight
    archived_at: float | None = None
