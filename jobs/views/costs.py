"""Where money, tokens and time went, by the calls of a window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jobs import errors

#: what calls are cut by
By = Literal["version", "run", "model", "connection", "total"]


@dataclass(frozen=True, kw_only=True)
class CallFilter:
    """Which calls are meant: those sent from ``since`` up to, but not at, ``until``; None is no condition.

    Raises:
        InputError: the window does not end after it begins.
    """

    since: float
    until: float
    run: int | None = None
    prompt: str | None = None
    #: as a slice by version is named
    version: str | None = None
    #: the one that was asked, not the one that says it answered
    model: str | None = None
    connection: str | None = None

    def __post_init__(self) -> None:
        if not self.since < self.until:
            raise errors.InputError(f"a window ends after it begins, not from {self.since} to {self.until}")


@dataclass(frozen=True, kw_only=True)
class Spending:
    """Money, tokens and time of one slice of the calls in a window."""

    #: the slice: a run, version, model, connection, or a time bucket's start
    key: str
    label: str
    calls: int
    accepted: int
    dead: int
    strikes: int
    throttles: int
    transport_failures: int
    reused: int
    #: what the answers that were reused had cost when they were asked for, and rows of which nobody knows
    saved: float
    unpriced_reused: int
    #: rows that got an end or a strike; n of the validation error rate
    judged: int
    cost: float
    #: calls of which nobody knows what they cost; it is not in ``cost``
    unpriced_calls: int
    #: those among them that have a price and broke off, so that nobody knows whether they are charged, and the most that they may cost
    open_calls: int
    set_aside: float
    #: cost of calls that brought no accepted value, and how many of those there are
    wasted: float
    wasted_calls: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    #: of replies, seconds; None without one
    p50: float | None
    p95: float | None
    p99: float | None
    latency_n: int


#: where the money of a call goes: each call is in one of these
WENT = ("first", "again", "rejected", "doubted", "failed", "superseded")
#: or in this one, whose money is set aside and not in what was spent: nobody knows whether it is charged
OPEN = "open"
#: how money is saved; a call may have saved in several ways, and the ways add up
SAVED = ("reuse", "cache", "batch", "rows", "ladder")


@dataclass(frozen=True, kw_only=True)
class Way:
    """What money went, or was saved, in one way."""

    name: str
    #: US dollars, of those of which it is known; what was saved may be below 0
    money: float
    #: calls; rows of ``reuse``
    n: int
    #: of these, how many nobody knows the money of
    unknown: int


@dataclass(frozen=True, kw_only=True)
class Ways:
    """Where the money of some calls went, and what was saved beside it; ways without a call are left out."""

    #: in the order of ``WENT``; together they are the spend
    went: tuple[Way, ...]
    #: in the order of ``SAVED``
    saved: tuple[Way, ...]
    #: what is set aside for calls of unknown end
    open: Way | None = None


@dataclass(frozen=True, kw_only=True)
class CostReport:
    """The calls of a window at one moment, cut in four ways; the sums of each cut are the same."""

    total: Spending
    #: the dearest first
    slices: tuple[Spending, ...]
    #: every bucket in the order of time; its key is the bucket's start, epoch seconds as text
    buckets: tuple[Spending, ...]
    #: every slice in every bucket; the label is the slice's
    series: tuple[Spending, ...]
    #: seconds of replied calls in ascending order; beyond 50,000 evenly thinned
    latencies: tuple[float, ...]
    ways: Ways


@dataclass(frozen=True, kw_only=True)
class CallRow:
    """One call in the list behind a chart."""

    try_id: str
    run: int
    ordinal: int
    row_id: str
    version: str
    model: str
    connection: str
    outcome: str
    verdict: str | None
    sent_at: float
    seconds: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    cost: float | None
    status: int | None
    #: rows that it was about, of which ``ordinal`` is the first
    rows: int
    #: where its money went: one of ``WENT``, or ``OPEN``
    way: str


@dataclass(frozen=True, kw_only=True)
class ReusedRow:
    """One row that was given an answer of earlier, in the list behind a saving."""

    run: int
    ordinal: int
    row_id: str
    version: str
    #: of the rung that the row stood on
    model: str
    connection: str
    #: what that answer had cost, US dollars; None where it is unknown
    saved: float | None
    recorded_at: float
    #: the attempt that it came from
    source: int | None
