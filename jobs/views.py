"""What readers of the ledger get: frozen rows of what is so now, as screens and the command line show it.

Times are epoch seconds, money US dollars (None: unknown, never 0), latencies seconds.
Lists are pages: at most what was asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from jobs import errors
from jobs.estimates import Estimate
from jobs.options import Rung, RunOptions
from jobs.trouble import Trouble
from jobs.values import Failure, Message, Problem, Receipt, VersionContent


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """An uploaded table."""

    id: str
    name: str
    sha256: str
    format: str
    encoding: str | None
    delimiter: str | None
    columns: tuple[str, ...]
    row_count: int
    size_bytes: int
    #: each {"line", "kind", "message"}
    findings: tuple[dict[str, Any], ...]
    #: as ``intake.Facts.summary()`` gives them, as plain JSON
    facts: dict[str, Any] | None
    id_column: str | None
    state: str
    created_at: float


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
    #: what its rows' calls have cost so far; None where a price is unknown
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


@dataclass(frozen=True, kw_only=True)
class RungForecast:
    """What a rung of a ladder is likely to take."""

    model: str
    connection: str
    #: rows that it is asked about
    rows: Estimate
    #: None where its price is unknown
    cost: Estimate | None
    #: earlier replies that its cost comes from; 0: the rendered prompt
    n: int


@dataclass(frozen=True, kw_only=True)
class LadderForecast:
    """How a ladder is likely to be climbed."""

    #: the lowest first
    rungs: tuple[RungForecast, ...]
    #: the share of rows that a rule sends straight to the top, from 0 to 1, and rows that this was looked up for
    straight: float
    looked: int
    #: the share of the others that leave the lowest rung; None where nothing is known of it: from none to all
    climbs: Estimate | None
    #: all rows on the top rung alone; None where its price is unknown
    dear: Estimate | None
    #: the share of that which the ladder saves, below 0 where it costs more; None where a price is unknown
    saving: Estimate | None


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a run is likely to take, and what that is founded on; a range holds its figure in 90 of 100 runs."""

    rows: int
    #: rows that are asked about, after reuse of equal rows and of earlier answers
    asked: int
    reused: int
    #: requests, those that ask again too
    calls: Estimate
    tokens: Estimate
    prompt_tokens: int
    completion_tokens: int
    cost: Estimate | None
    #: max_tokens at the first question about every row: what a budget reserves
    cost_ceiling: float | None
    seconds: Estimate | None
    #: earlier replies that the figures come from, without a range where their rows were not like these; 0: estimated from
    #: the rendered prompt, and without a range
    n: int
    warnings: tuple[str, ...] = ()
    #: of a sum: rows of those asked about whose part comes from the rendered prompt
    guessed: int = 0
    #: of a run with a ladder; None of a sum
    ladder: LadderForecast | None = None

    def plus(self, other: Forecast) -> Forecast:
        """Both together; where one of them is estimated from the prompt, the sum is in part, and has no range."""
        ceilings = (self.cost_ceiling, other.cost_ceiling)
        return Forecast(
            rows=self.rows + other.rows,
            asked=self.asked + other.asked,
            reused=self.reused + other.reused,
            calls=self.calls.plus(other.calls),
            tokens=self.tokens.plus(other.tokens),
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost=None if self.cost is None or other.cost is None else self.cost.plus(other.cost),
            cost_ceiling=None if None in ceilings else sum(ceiling or 0.0 for ceiling in ceilings),
            seconds=None if self.seconds is None or other.seconds is None else self.seconds.plus(other.seconds),
            n=min((n for n in (self.n, other.n) if n), default=0),
            warnings=tuple(dict.fromkeys(self.warnings + other.warnings)),
            guessed=sum(one.guessed or (0 if one.n else one.asked) for one in (self, other)),
        )


@dataclass(frozen=True, kw_only=True)
class ReplayForecast:
    """What replaying letters is likely to take, over all runs that they are of."""

    #: None where nothing can be said
    whole: Forecast | None
    #: why the letters of a run cannot be replayed so
    troubles: dict[int, str]
    #: that the letters are of, and of those how many were looked at
    runs: int
    looked: int


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Where a run's budget stops it before its end."""

    #: that it does is as good as certain: even the low end of what the run will cost is too much
    sure: bool
    #: rows with an end, and seconds of work from now, by then (0: it has); None where it is as likely to suffice
    rows: int | None
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What a run that goes on is likely to come to, from its own newest calls; a range holds its figure in 90 of 100 runs.

    A figure is None where too few replies have come to say, or too many calls are out for those that have.
    """

    #: replies that the figures come from, and calls that were out
    n: int
    out: int
    #: rows without an end that will be asked about
    asked: int
    #: of the whole run
    calls: Estimate | None
    tokens: Estimate | None
    #: None, too, where the price is unknown
    cost: Estimate | None
    #: of work until its end; a pause does not count. None, too, where it goes through the batch endpoint
    seconds: Estimate | None
    stop: Stop | None


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


@dataclass(frozen=True, kw_only=True)
class LiveReply:
    """A reply while it streams in, of a run of kind try."""

    ordinal: int
    text: str
    done: bool


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What needs somebody now."""

    active_runs: tuple[Run, ...]
    #: paused by the provider or by a budget
    stuck_runs: tuple[Run, ...]
    recent_runs: tuple[Run, ...]
    open_letters: int
    new_letters_24h: int
    replaying_letters: int
    resolved_24h: int
    spend_24h: float
    #: calls that are not in it, and those among them that broke off
    unpriced_calls_24h: int
    open_calls_24h: int
    calls_24h: int
    datasets: int
    prompts: int


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


@dataclass(frozen=True, kw_only=True)
class Pool:
    """What one model at one connection allows now, over all runs and workers."""

    connection: str
    model: str
    #: a second, by what is limited: requests, tokens, input, output
    rates: dict[str, float]
    #: who says so, by what is limited: ``settings``, ``headers`` or ``found``
    sources: dict[str, str]
    #: seconds that everybody still waits, since the provider has said that nothing remains
    cool: float
    #: what calls waited for last, and seconds since: one of the limited, ``cool``, or nothing
    short: str
    short_ago: float | None


@dataclass(frozen=True, kw_only=True)
class System:
    """How the parts of the engine are."""

    home: str
    keeper_alive: bool
    redis_alive: bool
    redis_version: str | None
    #: each {"name", "seconds_left", "running"}
    lanes: tuple[dict[str, Any], ...]
    #: each {"name", "state", "pid", "fits"}; one that does not fit is of another version of Redrive
    workers: tuple[dict[str, Any], ...]
    calls_waiting: int
    outcomes_waiting: int
    connections: tuple[dict[str, Any], ...]
    #: library -> version
    versions: dict[str, str] = field(default_factory=dict)
    database_bytes: int = 0
    #: of the runs that have not ended
    pools: tuple[Pool, ...] = ()
    #: what keeps the keeper that is alive from its work
    trouble: Trouble | None = None
