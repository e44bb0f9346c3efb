"""Dead letters, one row with all that is known of it, and what was decided and replayed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jobs.values import Failure, Message, Problem, Receipt
from jobs.views.prompts import Version
from jobs.views.runs import ResultRow, Run


@dataclass(frozen=True, kw_only=True)
class Group:
    """Dead letters of one signature."""

    signature: str
    title: str
    count: int
    #: by resolution
    resolutions: dict[str, int]
    first_at: float
    last_at: float
    versions: tuple[str, ...]
    runs: tuple[int, ...]
    #: one letter to look at
    example_run: int
    example_ordinal: int
    example_raw: str
    #: what the calls about its rows have cost in the runs that they died in; None where a price is unknown
    cost: float | None


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One dead letter in a list."""

    run: int
    ordinal: int
    root: int
    row_id: str
    signature: str
    title: str
    version: str
    died_at: float
    resolution: str
    resolved_at: float | None
    #: the replay that is at it or has fixed it
    replay: int | None
    #: the heads of its cells and of its last raw reply
    cells_head: str
    raw_head: str


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Dead letters behind a filter by what has become of them."""

    open: int
    replaying: int
    #: died, and fixed, corrected or discarded, in the last 24 hours
    new_24h: int
    resolved_24h: int


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What one request did for one row, whole."""

    id: int
    run: int
    ordinal: int
    asked: int
    verdict: str
    strike: bool
    superseded: bool
    value: dict[str, Any] | None
    receipt: Receipt | None
    problems: tuple[Problem, ...]
    signature: str | None
    failure: Failure | None
    #: the messages as they were sent, and the whole request body
    messages: tuple[Message, ...]
    request: dict[str, Any] | None
    #: None where nothing came back
    raw: str | None
    finish_reason: str | None
    status: int | None
    model: str | None
    request_id: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    estimated: bool
    cost: float | None
    settled: bool
    sent_at: float | None
    seconds: float | None
    lane: str | None
    try_id: str | None
    recorded_at: float
    #: of the run's ladder, whose model was asked
    rung: int = 0
    #: the probability of the field that the model was least sure of; None where nobody knows
    confidence: float | None = None

    @property
    def doubted(self) -> bool:
        """Whether it holds a valid answer that was not left at that."""
        return self.verdict == "rejected" and self.value is not None


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """All that is known of one row of a run."""

    run: Run
    ordinal: int
    row_id: str
    state: str
    #: as the run saw it, with a person's edit where there was one
    cells: dict[str, str]
    #: as it stands in the dataset
    original_cells: dict[str, str]
    letter: Letter | None
    attempts: tuple[Attempt, ...]
    version: Version
    #: the current result of the root run, whoever made it
    result: ResultRow | None
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a person decided; undone ones stay."""

    id: int
    kind: str
    run: int
    replay: int | None
    ordinals: tuple[int, ...]
    value: dict[str, Any] | None
    reason: str
    made_at: float
    undone_at: float | None
    #: of a replay: the version that it asks with, and how many of its rows were edited
    version: str | None = None
    edited: int = 0
    #: ids of its first few rows
    row_ids: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReplayOutcome:
    """What a replay has made of the dead letters that it took."""

    fixed: int
    same_failure: int
    new_failure: int
    waiting: int
    cancelled: int
    #: had been fixed, until its results were taken back
    taken_back: int = 0


@dataclass(frozen=True, kw_only=True)
class BeforeAfter:
    """One row of a replay: how it had failed, and what came now."""

    ordinal: int
    row_id: str
    #: fixed, taken_back, same_failure, new_failure, waiting, cancelled
    outcome: str
    before_title: str
    before_raw: str
    after_title: str | None
    after_raw: str | None
    after_value: dict[str, Any] | None
    #: as the replay asks about it, and as it stands in the dataset
    cells: dict[str, str] = field(default_factory=dict)
    original_cells: dict[str, str] = field(default_factory=dict)
