"""What has come of what was tried on a sample."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.views.runs import Run


@dataclass(frozen=True, kw_only=True)
class FieldAgreement:
    """How often two ways of asking say the same in a field."""

    path: str
    #: rows that both have a value for
    n: int
    agree: int


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a number of rows a call has come to on a sample."""

    run: Run
    #: rows that their first call gave a value, and values that stood in a reply which was not as it was asked for
    answered_at_once: int
    salvaged: int
    #: of its replied calls
    median_seconds: float | None
    #: against one row a call; empty for that itself
    fields: tuple[FieldAgreement, ...]
