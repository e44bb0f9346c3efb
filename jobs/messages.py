"""What crosses a process through Redis: small, versioned, and refused if it holds anything unknown.

A lane gets a ``Brief`` once a run and an ``Ask`` for each call; it hands back an ``Outcome``. None of them holds a key: they name
a connection, and the worker resolves the name from its own settings. Raw bytes travel beside the JSON as they are.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field

from jobs.options import Ladder, Rung
from jobs.values import Failure, Usage, Value, Verdict, VersionContent

#: raised with every change of a message; a worker of another number leaves calls to the others
WIRE = 3


class LaneArguments(Value):
    """What a lane's RQ job is told; the worker refuses a job whose arguments are anything else."""

    wire: int = WIRE
    home: str


class Brief(Value):
    """What a lane must know of a run to make its calls."""

    wire: int = WIRE
    run: int
    kind: Literal["run", "replay", "evaluation", "try"]
    content: VersionContent
    #: of the lowest rung
    connection: str
    #: as frozen when the run was started; a worker whose own differs refuses and says both
    base_url: str
    model: str
    #: the rungs above, where there are any
    upper: tuple[Rung, ...] = ()
    ladder: Ladder | None = None
    #: ask for log-probabilities
    confidence: bool = False
    #: fields of the answer that must repeat a column of the row
    echo: dict[str, str] = Field(default_factory=dict)
    timeout: float
    #: until a lane has heard more: the control says how it is now
    in_flight: int
    rpm: int | None = None
    tpm: int | None = None

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """Where questions go, the lowest rung first."""
        return (Rung(connection=self.connection, base_url=self.base_url, model=self.model), *self.upper)


class Complaint(Value):
    """What is added to the prompt after a strike."""

    #: the last invalid answer, cut; None where showing it would not help
    answer: str | None
    problems: str


class RowAsk(Value):
    """One row of a call."""

    ordinal: int
    #: the cells of the columns that the template uses
    cells: dict[str, str]
    #: 1 for the first question
    asked: int = 1
    complaint: Complaint | None = None


class Ask(Value):
    """One call to make."""

    wire: int = WIRE
    run: int
    try_id: str
    rows: tuple[RowAsk, ...]
    max_tokens: int
    #: the rung of the ladder whose model is asked
    rung: int = 0
    #: epoch seconds
    dispatched_at: float


class RowVerdict(Value):
    """What a lane thinks of its reply about one row."""

    ordinal: int
    asked: int
    verdict: Verdict
    #: whether it is about the row's own answer; False where a reply about several rows holds none for it, which is no fault of it
    own: bool = True
    #: the probability of the field that the model was least sure of; None where nobody knows
    confidence: float | None = None


class Outcome(Value):
    """What became of one call; the raw reply and the request travel beside it as bytes."""

    wire: int = WIRE
    run: int
    try_id: str
    lane: str
    #: ``returned``: not sent, nothing paid
    kind: Literal["replied", "failed", "returned"]
    ordinals: tuple[int, ...]
    verdicts: tuple[RowVerdict, ...] = ()
    failure: Failure | None = None
    #: epoch seconds; 0 where no request went out, so that nothing was paid
    sent_at: float = 0.0
    seconds: float = 0.0
    queue_seconds: float = 0.0
    status: int | None = None
    finish_reason: str | None = None
    request_id: str | None = None
    usage: Usage | None = None
    model: str | None = None
    #: the rung that was asked
    rung: int = 0
    #: tokens that as many calls about one row each would have taken, estimated; None for a call about one row
    singly: Usage | None = None
    #: why a call was returned
    note: str = ""

    @property
    def sent(self) -> bool:
        """Whether a request went out, or may have."""
        return self.sent_at > 0


class Control(Value):
    """What lanes look at before each request of a run."""

    state: Literal["go", "stop"]
    in_flight: int


def read_loosely(text: bytes) -> dict[str, Any]:
    """What a message of any version says, nothing of it checked; empty where it says nothing."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def wire_of(text: bytes) -> int | None:
    """The version that a message names, be it ours or not; None where it names none."""
    wire = read_loosely(text).get("wire")
    return wire if isinstance(wire, int) and not isinstance(wire, bool) else None
