"""What a run or a replay is likely to take, before it is launched and while it goes on."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.estimates import Estimate


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
