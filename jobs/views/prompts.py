"""Prompts and their versions as a reader gets them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobs.values import VersionContent


@dataclass(frozen=True, kw_only=True)
class Version:
    """An immutable version of a prompt; ``number`` is None for one that was tried and never saved."""

    id: int
    prompt: str
    number: int | None
    hash: str
    content: VersionContent
    defaults: dict[str, Any]
    description: str
    note: str
    source: str
    labels: tuple[str, ...]
    created_at: float

    @property
    def reference(self) -> str:
        """``name@3``, or ``name (draft)``."""
        return f"{self.prompt}@{self.number}" if self.number is not None else f"{self.prompt} (draft)"


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A named task and where it stands."""

    name: str
    description: str
    latest: int | None
    labels: dict[str, int]
    #: in the prompts folder, and whether its content there is the latest version's
    in_folder: bool
    folder_is_latest: bool
    #: hash of the folder's content, to be found among the versions; None where there is none to be read
    folder_hash: str | None
    #: why the folder cannot be read
    folder_error: str | None
    runs: int
    updated_at: float
    #: None: it is in sight
    archived_at: float | None = None
