"""What a person asks of the keeper: insert-only rows, each with an idempotency key, applied once.

A request carries all that it needs: what could change between the click and its application is frozen in it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from jobs import errors
from jobs.options import Rung, RunOptions
from jobs.settings import Price
from jobs.values import Thing, Value

#: what a run is for
Kind = Literal["run", "replay", "evaluation", "try"]


class Start(Value):
    """Start a run of any kind. Result: ``{"run": id, "rows": n, "skipped": {why: n}}``."""

    kind: Literal["start"] = "start"
    run_kind: Kind = "run"
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
    #: the same of the rungs above, the lowest first
    upper: tuple[str | None, ...] = ()


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


class Archive(Value):
    """Put things out of sight, all or none; what is archived already stays as it is. Result: ``{"archived": n}``."""

    kind: Literal["archive"] = "archive"
    things: tuple[Thing, ...] = Field(min_length=1)


class Restore(Value):
    """Bring things back; what is not archived stays as it is. Result: ``{"restored": n}``."""

    kind: Literal["restore"] = "restore"
    things: tuple[Thing, ...] = Field(min_length=1)


Request = Annotated[
    Start | Pause | Resume | Cancel | SetBudget | Correct | Discard | Undo | Archive | Restore,
    Field(discriminator="kind"),
]
REQUEST: TypeAdapter[Request] = TypeAdapter(Request)
#: characters of a name in a stored request that are repeated to a person
MOST_NAMED = 60


def read(body: str) -> Request:
    """A stored request.

    Raises:
        InputError: it is none of these; says what is wrong with it, and nothing of what it holds but names.
    """
    try:
        return REQUEST.validate_json(body)
    except ValidationError as error:
        raise errors.InputError(f"this request cannot be read: {_wrong(error)}") from None


def _wrong(error: ValidationError) -> str:
    """The first thing that is wrong."""
    first = error.errors(include_url=False, include_input=False)[0]
    kind, told = first["type"], first.get("ctx", {})
    place = ".".join(str(part)[:MOST_NAMED] for part in first["loc"][:8])
    if kind == "json_invalid":
        return f"what is stored of it is no JSON ({told.get('error')})"
    if kind == "union_tag_invalid":
        tag = str(told.get("tag"))[:MOST_NAMED]
        return f"this version of Redrive knows no request of kind {tag!r}; another version has written it"
    if kind == "extra_forbidden":
        return f"this version of Redrive knows no {place!r} in a request; another version has written it"
    if kind == "union_tag_not_found" or not place:
        return f"it does not say what is asked for ({first['msg']})"
    return f"{place}: {first['msg']}"
