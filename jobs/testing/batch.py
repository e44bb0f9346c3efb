"""A file and a batch of the stand-in: the objects that are sent, and the reading of an input file."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ENDED = ("completed", "failed", "expired", "cancelled")
MOST_LINES = 50_000
_WINDOW = 86_400


@dataclass(slots=True)
class StoredFile:
    """A file that was uploaded or made."""

    id: str
    name: str
    purpose: str
    content: bytes
    created_at: int
    #: how often it still says that it is not taken in yet
    pending: int = 0

    def told(self) -> dict[str, Any]:
        """The object as it is sent."""
        status = "pending" if self.pending else "processed"
        self.pending = max(0, self.pending - 1)
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created_at,
            "filename": self.name,
            "purpose": self.purpose,
            "status": status,
        }


@dataclass(slots=True)
class Batch:
    """A batch under way or ended."""

    id: str
    file: StoredFile
    metadata: Any
    authorization: str
    began: float
    status: str = "validating"
    lines: list[dict[str, Any]] = field(default_factory=list)
    looks: int = 0
    done: int = 0
    #: (number of the line, line of the file)
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    errors: list[tuple[int, bytes]] = field(default_factory=list)
    complaints: Sequence[Mapping[str, Any]] = ()
    stamps: dict[str, int] = field(default_factory=dict)
    output_file: str | None = None
    error_file: str | None = None

    @property
    def tokens(self) -> int:
        """What it takes of the queue."""
        return len(self.file.content) // 4

    def turn(self, status: str) -> None:
        """Goes into that state now."""
        self.status = status
        self.stamps[f"{status}_at"] = int(time.time())

    def told(self) -> dict[str, Any]:
        """The object as it is sent."""
        counts = {"total": len(self.lines), "completed": len(self.answers), "failed": len(self.errors)}
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "errors": {"object": "list", "data": list(self.complaints)} if self.complaints else None,
            "input_file_id": self.file.id,
            "completion_window": "24h",
            "status": self.status,
            "output_file_id": self.output_file,
            "error_file_id": self.error_file,
            "created_at": int(self.began),
            "expires_at": int(self.began) + _WINDOW,
            **self.stamps,
            "request_counts": counts,
            "metadata": self.metadata,
        }


def read(content: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The lines of an input file, and what is wrong with it as a whole."""
    lines, models, ids, wrong = [], set(), set(), []
    for number, text in enumerate(content.splitlines(), 1):
        try:
            line = json.loads(text)
            name, body = line["custom_id"], line["body"]
            if line["method"] != "POST" or line["url"] != "/v1/chat/completions" or body.get("stream"):
                raise ValueError(text)
        except (ValueError, KeyError, TypeError, AttributeError):
            wrong.append(complaint("invalid_json_line", "This line is not a request that can be read.", line=number))
            continue
        if name in ids:
            wrong.append(complaint("duplicate_custom_id", f"The custom_id '{name}' comes twice.", line=number))
        ids.add(name)
        models.add(body.get("model"))
        lines.append(line)
    if len(models) > 1:
        wrong.append(complaint("mismatched_model", "All requests of a file must have the same model."))
    if not lines or len(lines) > MOST_LINES:
        code = "too_many_tasks" if lines else "empty_file"
        wrong.append(complaint(code, f"A batch holds 1 to {MOST_LINES:,} requests, not {len(lines):,}."))
    return lines, wrong


def complaint(code: str, message: str, *, line: int | None = None) -> dict[str, Any]:
    """What is wrong with a batch, as it is told."""
    return {"code": code, "message": message, "param": None, "line": line}
