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
WIRE = 4


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
    #: the batch that it was a line of
    batch: int | None = None
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
    #: of them, those that may be on each of the rungs above the lowest
    upper: tuple[int, ...] = ()

    def most(self, rung: int) -> int:
        """Calls that may be in flight on a rung; on one that nobody has spoken of, one."""
        if not rung:
            return self.in_flight
        return min(self.in_flight, self.upper[rung - 1] if rung <= len(self.upper) else 1)


StepKind = Literal["submit", "find", "look", "read", "cancel", "clear"]


class Remote(Value):
    """A batch as the provider tells of it."""

    #: the provider's name of it
    id: str
    status: str
    input_file: str | None = None
    output_file: str | None = None
    error_file: str | None = None
    #: lines, by the provider's count
    answered: int = 0
    failed: int = 0
    #: epoch seconds
    expires_at: float | None = None
    #: what it says went wrong
    words: str = ""


class Step(Value):
    """What a lane is to do next about a batch; its calls lie beside it where they are needed."""

    wire: int = WIRE
    kind: StepKind
    batch: int
    run: int
    rung: int = 0
    #: by it a batch that was submitted but not noted is found again
    token: str
    #: nobody was asked for a step of it before, so that nothing of it can be there
    first: bool = False
    #: as last told; None before it is known
    remote: Remote | None = None
    #: epoch seconds; 0 before it was submitted
    submitted_at: float = 0.0


class StepReport(Value):
    """What came of a step."""

    wire: int = WIRE
    kind: StepKind
    batch: int
    run: int
    token: str
    #: the step's place on its stream
    entry: str
    #: ``done``: see ``remote``. ``nothing``: no such batch is there, and none was made. ``again``: trouble that may pass. ``full``: the
    #: provider takes no more for now. ``refused``: it made none, and will not until a person has done something. ``blocked``: the same
    #: where nobody knows what is there. ``gone``: it cannot be found any more
    result: Literal["done", "nothing", "again", "full", "refused", "blocked", "gone"]
    remote: Remote | None = None
    #: lines that were found in its files and handed back before this
    lines: int = 0
    #: calls that were looked for there and not found
    missing: int = 0
    words: str = ""
    #: seconds that the provider asked us to wait
    retry_after: float | None = None


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
