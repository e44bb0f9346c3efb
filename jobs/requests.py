"""What a person asks of the keeper: insert-only rows, each with an idempotency key, applied once.

A request carries all that it needs: what could change between the click and its application is frozen in it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from jobs.options import Rung, RunOptions
from jobs.settings import Price
from jobs.values import Value


class Start(Value):
    """Start a run of any kind. Result: ``{"run": id, "rows": n, "skipped": {why: n}}``."""

    kind: Literal["start"] = "start"
    run_kind: Literal["run", "replay", "evaluation", "try"] = "run"
    dataset: str
    version: int
    connection: str
    base_url: str
    model: str
    price: Price | None = None
    #: the rungs above the run's own model, where its options name any
    upper: tuple[Rung, ...] = ()
    options: RunOptions = RunOptions()
    #: the columns that the template uses
    columns: tuple[str, ...]
    id_column: str | None = None
    #: the first so many rows; None: all, or ``ordinals``
    limit: int | None = Field(default=None, ge=1)
    ordinals: tuple[int, ...] | None = None
    #: the run whose dead letters are replayed
    parent: int | None = None
    #: whole rows, by column, as a person edited them for this run
    edits: dict[int, dict[str, str]] = Field(default_factory=dict)
    note: str = ""


class Pause(Value):
    """No new calls until resumed. A paused run stays as it is."""

    kind: Literal["pause"] = "pause"
    run: int


class Resume(Value):
    """Go on with a paused run; a running one stays as it is."""

    kind: Literal["resume"] = "resume"
    run: int
    #: the base URL that the connection has now; the keeper refuses when it differs from the frozen one
    base_url: str | None = None


class Cancel(Value):
    """No new calls ever; what is in flight is kept."""

    kind: Literal["cancel"] = "cancel"
    run: int


class SetBudget(Value):
    """Another budget for a run that is not ended; None takes the limit away."""

    kind: Literal["set_budget"] = "set_budget"
    run: int
    budget: float | None = Field(default=None, gt=0)


class Correct(Value):
    """A value for a dead letter by hand; it has passed the contract at the door. Result: ``{"decision": id}``."""

    kind: Literal["correct"] = "correct"
    run: int
    ordinal: int
    value: dict[str, Any]
    reason: str = ""


class Discard(Value):
    """Dead letters that are not needed. Result: ``{"decision": id, "discarded": n, "skipped": n}``."""

    kind: Literal["discard"] = "discard"
    run: int
    ordinals: tuple[int, ...] = Field(min_length=1)
    reason: str = Field(min_length=1)


class Undo(Value):
    """Take a decision back: a correction, a discard, or a replay's results. Result: ``{"undone": n}``."""

    kind: Literal["undo"] = "undo"
    decision: int


Request = Annotated[Start | Pause | Resume | Cancel | SetBudget | Correct | Discard | Undo, Field(discriminator="kind")]
REQUEST: TypeAdapter[Request] = TypeAdapter(Request)
