"""What a person chooses for a run beside its prompt and its rows: the defaults, the bounds, the frozen form."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import Field

from jobs.settings import Price
from jobs.values import Value

#: rungs of a ladder at most
MOST_RUNGS = 4


class Rung(Value):
    """Where the questions of a rung go, frozen with the run."""

    connection: str
    base_url: str
    model: str
    price: Price | None = None


class Climb(Value):
    """A rung above the run's own model, as a person names it."""

    model: str = Field(min_length=1)
    #: None: the run's own
    connection: str | None = None

    def __str__(self) -> str:
        # Behind the last @ stands a connection, if none is named too.
        return f"{self.model}@{self.connection or ''}" if self.connection or "@" in self.model else self.model


class Route(Value):
    """A rule over a column that sends a row straight to the top rung."""

    column: str
    rule: Literal["longer", "is", "matches"]
    #: characters for ``longer``, the whole cell for ``is``, a regular expression found in the cell for ``matches``
    value: str

    def __str__(self) -> str:
        return f"{self.column} {self.rule} {self.value}"


class Check(Value):
    """A value of a field of the answer that is always checked by the next rung."""

    field: str
    value: str | int | float | bool | None

    def __str__(self) -> str:
        return f"{self.field}={self.value if _is_bare(self.value) else json.dumps(self.value)}"


def _is_bare(value: object) -> bool:
    """Whether it is a text that is read as that text without quotation marks: "1" would be read as a number."""
    if not isinstance(value, str) or value != value.strip() or not value.isprintable():
        return False
    try:
        json.loads(value)
    except ValueError:
        return bool(value)
    return False


class Ladder(Value):
    """What a person chooses of a ladder; its lowest rung is the run's own model."""

    #: the rungs above, the dearest last
    climbs: tuple[Climb, ...] = Field(min_length=1, max_length=MOST_RUNGS - 1)
    routes: tuple[Route, ...] = ()
    checks: tuple[Check, ...] = ()
    #: the least probability of the tokens of a field's value; 1: none but what leaves no doubt at all; None: nobody asks for it
    confidence: float | None = Field(default=None, gt=0, le=1)

    @property
    def doubts(self) -> str:
        """What makes an answer of a lower rung doubtful, as a text that is equal for equal doubts; empty where nothing does."""
        if not self.checks and self.confidence is None:
            return ""
        return json.dumps([sorted(json.dumps([one.field, one.value]) for one in self.checks), self.confidence])


class RunOptions(Value):
    """How a run is made; frozen with it."""

    strikes: int = Field(default=3, ge=1, le=10)
    in_flight: int = Field(default=8, ge=1, le=2000)
    #: rows that one call may be about; more than one only where the template's last message alone depends on the row
    rows_per_call: int = Field(default=1, ge=1, le=50)
    rpm: int | None = Field(default=None, ge=1)
    tpm: int | None = Field(default=None, ge=1)
    #: US dollars that the run may spend; None: no limit
    budget: float | None = Field(default=None, gt=0)
    #: seconds for one request
    timeout: float = Field(default=60.0, gt=0, le=3600)
    reuse: bool = True
    #: dearer models, for the rows that the run's own cannot be left with
    ladder: Ladder | None = None
    #: ask for log-probabilities, and keep how sure the model was of each answer; a ladder with a ``confidence`` does it by itself
    confidence: bool = False
    #: fields of the answer that must repeat a column of the row, by which exchanged ids are caught: field -> column
    echo: dict[str, str] = Field(default_factory=dict)
    #: through the provider's batch endpoint: no row, rows that are asked for the first time, or all
    batch: Literal["no", "first", "all"] = "no"
