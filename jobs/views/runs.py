"""A run, its sums, its rows with their values, its rungs and its batches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from jobs.options import Rung, RunOptions
from jobs.values import Receipt


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Rows of a run; the parts always add up to ``rows``."""

    rows: int
    accepted: int = 0
    dead: int = 0
    cancelled: int = 0
    #: due, held, or on their way
    waiting: int = 0
    #: of the waiting: on their way, in a call that is out or waits for a worker, or in a batch
    dispatched: int = 0
    #: of those on their way: in a batch, which is being made or is with the provider
    in_batches: int = 0
    #: of those on their way: in a call that is out, of which there are no more than the run may have
    in_flight: int = 0
    #: such calls; one may be about several rows
    calls_out: int = 0
    #: of the waiting: not due yet (after a throttle or an error)
    backing_off: int = 0
    #: of the waiting: have at least one strike
    struck: int = 0
    #: of the accepted: reused
    reused: int = 0


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run and its sums."""

    id: int
    kind: str
    root: int
    parent: int | None
    dataset: str
    dataset_name: str
    prompt: str
    version_id: int
    #: ``name@3``
    version: str
    connection: str
    base_url: str
    model: str
    options: RunOptions
    id_column: str | None
    price_known: bool
    state: str
    paused_by: str | None
    reason: str | None
    note: str
    counts: Counts
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    #: None where the price is unknown
    cost: float | None
    reserved: float
    throttles: int
    created_at: float
    ended_at: float | None
    #: from the keeper's start of the run to the commit of its last row, or to now, without its pauses
    seconds: float
    #: rows that got an end, a minute, over the last minute of the run; None before the first
    rows_a_minute: float | None
    #: its dead letters by what has become of them by now
    letters: dict[str, int] = field(default_factory=dict)
    #: the rungs above its own model, the dearest last; empty without a ladder
    upper: tuple[Rung, ...] = ()
    #: None: it is in sight
    archived_at: float | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """The models that answer its rows, the run's own first."""
        return (self.model, *(rung.model for rung in self.upper))


#: why rows climb, in the order in which it is told
Why = Literal["contract", "checked", "unsure", "failed"]


@dataclass(frozen=True, kw_only=True)
class RungTally:
    """What a rung of a run's ladder has done so far; over all rungs the rows add up to the run's."""

    model: str
    connection: str
    #: rows that stand on it or have ended there, and those among them that have a value or died
    rows: int
    accepted: int
    dead: int
    #: of the accepted: those whose answer was there already
    reused: int
    calls: int
    #: rows that were asked there and went on to the next rung, and why
    climbed: dict[Why, int]
    #: rows that came to it without being asked on the rung below: by a rule, or as an equal row had climbed or was answered
    straight: int
    #: None where a price is unknown
    cost: float | None

    @property
    def asked(self) -> int:
        """Rows that it was asked about, as far as something has come of it."""
        return self.accepted - self.reused + self.dead + sum(self.climbed.values())


def receipt_words(receipt: Receipt | None, *, edited: bool) -> str:
    """A receipt in a few words, with ``edited row`` where the value answers a row that a person had edited."""
    if receipt is None:
        return ""
    return f"{receipt.label}, edited row" if edited else receipt.label


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """A row of a run with its current value."""

    ordinal: int
    row_id: str
    state: str
    cells: dict[str, str]
    value: dict[str, Any] | None
    receipt: Receipt | None
    #: the run that the value came from, or that a dead row died in last, and its version
    run: int | None
    version: str | None
    attempt: int | None
    #: of the cells, those that a person had edited for that run
    edited: dict[str, str] = field(default_factory=dict)

    @property
    def receipt_words(self) -> str:
        """How the value was obtained, and whether it answers an edited row; empty where there is none."""
        return receipt_words(self.receipt, edited=bool(self.edited))


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch of a run's calls at a provider's batch endpoint."""

    id: int
    #: of the rung that it asks
    rung: int
    #: where it is: ``making``, ``ready``, ``submitted``, ``returned`` or ``ended``
    state: str
    #: the provider's name of it, and its word for where it is; None before it is known
    remote: str | None
    status: str | None
    calls: int
    rows: int
    #: calls, by the provider's count
    answered: int
    failed: int
    #: what the provider says of it, or why it waits
    words: str
    #: epoch seconds
    created_at: float
    submitted_at: float | None
    checked_at: float | None
    expires_at: float | None
    ended_at: float | None
