"""From which confidence on a cheap model's answers can be kept, shown by cases, and what that saves; or that nobody can know yet.

A case is a row that both models have answered, or whose right answer is known: the cheap model's confidence, and whether it agrees.
With a threshold t a row is kept from t on and climbs to the dear model below, which is right by definition unless ``dear`` says
otherwise. So in a finished table the share of wrong rows is

    W(t) = P(kept and does not agree)  +  P(climbs and the dear model is wrong)

and of n cases X(t) are of that kind, a binomial count whatever the confidences mean: they may be as badly calibrated as they like.
The bounds of 1 - X/n are Clopper and Pearson's (Biometrika 1934), which hold for any n.

Many thresholds are looked at, and the best of many is lucky. That is met by the order in which they are looked at: from the
highest down on a grid that no case has shaped, until the lower bound falls below the target for the first time; the last one
before that is proposed. For a wrong one to be proposed, the first wrong one of the grid must have passed, and one single test
lets that happen in (1 - level) / 2 of all tables at most, however fine the grid: testing in a fixed sequence (Bauer,
Statistics in Medicine 1991; Angelopoulos and others, Learn then Test, 2021). While the dear model is right by definition W
falls as t rises, so this is the lowest one of the grid whose bound reaches the target (Bates and others, Distribution-free,
risk-controlling prediction sets, 2021).

It holds for rows like the cases: nothing here knows that the rest of a table is harder. And it counts tables, not proposals: where
no threshold is good enough, the few that are proposed all the same are wrong ones.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from statistics import NormalDist
from typing import Final, Literal

from jobs.estimates import Estimate

#: (confidence from 0 to 1, whether the answer agrees); a row of unknown confidence (None) climbs whatever the threshold
Case = tuple[float | None, bool]

TOO_FEW: Final = "too few to know"
NOT_GOOD: Final = "the cheap model is not good enough at any confidence"
DEAR_NOT_GOOD: Final = "the dear model is not good enough itself"
NO_CONFIDENCE: Final = "no case has a confidence"
Reason = Literal[
    "too few to know",
    "the cheap model is not good enough at any confidence",
    "the dear model is not good enough itself",
    "no case has a confidence",
]

#: thresholds that are looked at: by 2 hundredths to 0.9, then nine to each further digit up to 0.999999, and 1
GRID: Final = (
    *(step / 50 for step in range(46)),
    *(round(1 - nines * 10.0**-digits, digits) for digits in range(2, 7) for nines in range(9, 0, -1)),
    1.0,
)
#: whether a cheap model is good enough is not judged by thresholds that keep less than this share of the rows
_WORTH = 0.05
#: more cases than this are never asked for
_MOST_CASES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What one threshold would do; its ranges hold each for itself."""

    threshold: float
    #: cases that it keeps
    kept: int
    #: the share of rows that it keeps, from 0 to 1
    share: Estimate
    #: how many of the kept agree, from 0 to 1; None where none is kept
    agreement: Estimate | None
    #: agreement of the finished table, from 0 to 1
    table: Estimate


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """The lowest threshold that is shown to reach the target; or None and why there is none."""

    threshold: float | None
    reason: Reason | None
    target: float
    level: float
    #: cases
    n: int
    #: about how many cases would do if they agree as these have; None where no number would, or none is needed
    needed: int | None
    #: from the lowest threshold to the highest, one for each set of kept cases
    candidates: tuple[Candidate, ...] = field(repr=False)

    @property
    def chosen(self) -> Candidate | None:
        """The candidate of the proposed threshold."""
        return next((one for one in self.candidates if one.threshold == self.threshold), None)


@dataclass(frozen=True, kw_only=True)
class Saving:
    """What a threshold costs and saves beside asking the dear model about every row."""

    #: the share of rows that climb, from 0 to 1
    climbs: Estimate
    #: agreement of the finished table, from 0 to 1
    table: Estimate
    #: US dollars for a row; None where a price is unknown
    cost: Estimate | None
    #: the share of the dear model's cost that is saved; below 0 it costs more; None where a price is unknown
    saving: Estimate | None


def propose(
    cases: Sequence[Case], target: float, *, level: float = 0.95, dear: Sequence[bool] | None = None
) -> Proposal:
    """The lowest threshold whose table agrees in a share of ``target`` at least, as far as these cases can show it.

    Args:
        cases: of rows that were taken blindly.
        target: above 0 and below 1.
        level: of the ranges, both ends together; a threshold that misses the target is proposed in (1 - level) / 2 of
            all tables at most.
        dear: for each case whether the dear model is right about it, where the right answer is known; None: by definition.

    Raises:
        ValueError: the target or level is not between 0 and 1, a confidence is not from 0 to 1, or ``dear`` is not as long as the cases.
    """
    if not (0 < target < 1 and 0 < level < 1):
        raise ValueError(f"target {target} and level {level} must be between 0 and 1")
    counts = _Counts(cases, dear)
    spots = counts.spots()
    most = _most_wrong(counts.n, 1 - target, level)
    passed: list[_Spot] = []
    for spot in reversed(spots):
        if spot.wrong > most:
            break
        passed.append(spot)
    chosen = passed[-1] if passed and passed[-1].kept else None
    reason, needed = (None, None) if chosen is not None else _why_none(counts, spots, target, level)
    return Proposal(
        threshold=None if chosen is None else chosen.threshold,
        reason=reason,
        target=target,
        level=level,
        n=counts.n,
        needed=needed,
        candidates=tuple(_candidate(spot, counts.n, level) for spot in spots) if counts.n else (),
    )


def least(target: float, *, level: float = 0.95) -> int:
    """The fewest cases that can show a table to agree in a share of ``target``: so many, if every one that is kept agrees."""
    return math.ceil(math.log((1 - level) / 2) / math.log(target) - 1e-9)


def agreement_and_saving(
    cases: Sequence[Case],
    threshold: float,
    cheap_cost: float | None,
    dear_cost: float | None,
    *,
    level: float = 0.95,
    dear: Sequence[bool] | None = None,
) -> Saving | None:
    """What to expect of a threshold that is set; None without any case. The costs are US dollars a row, taken as known.

    A row that climbs has cost both. For a threshold that was chosen by the same cases, ``propose`` says what is shown.

    Raises:
        ValueError: the level or a confidence cannot be, or ``dear`` is not as long as the cases.
    """
    counts = _Counts(cases, dear)
    if not counts.n:
        return None
    spot, n = counts.at(threshold), counts.n
    climbs = _estimate(n - spot.kept, n, level, wilson)
    cost = saving = None
    if cheap_cost is not None and dear_cost is not None:
        cost = climbs.times(dear_cost).beside(cheap_cost)
        saving = _saved(cost, dear_cost) if dear_cost > 0 else None
    return Saving(climbs=climbs, table=_estimate(n - spot.wrong, n, level, clopper_pearson), cost=cost, saving=saving)


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The range of a share by Wilson's score (JASA 1927), of which n cases have shown so many: right on average for any n.

    Raises:
        ValueError: there is no case, more successes than cases, or the level is not between 0 and 1.
    """
    _check(successes, n, level)
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, weight = successes / n, z * z / n
    middle = (share + weight / 2) / (1 + weight)
    reach = z * math.sqrt(share * (1 - share) / n + weight / (4 * n)) / (1 + weight)
    return (max(0.0, middle - reach) if successes else 0.0, min(1.0, middle + reach) if successes < n else 1.0)


@lru_cache(maxsize=4096)
def clopper_pearson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The exact range of a share: each end is missed in (1 - level) / 2 of all samples at most, never in more.

    Raises:
        ValueError: there is no case, more successes than cases, or the level is not between 0 and 1.
    """
    _check(successes, n, level)
    tail = (1 - level) / 2
    low = _root(lambda share: 1 - _at_most(successes - 1, n, share) < tail) if successes else 0.0
    high = _root(lambda share: _at_most(successes, n, share) > tail) if successes < n else 1.0
    return low, high


# -- the cases ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Spot:
    threshold: float
    kept: int
    #: of the kept
    disagree: int
    #: of all: kept and not agreeing, or climbed to a dear model that is wrong
    wrong: int


class _Counts:
    """Cases in the order of their confidence, so that a threshold costs a look-up."""

    def __init__(self, cases: Sequence[Case], dear: Sequence[bool] | None) -> None:
        if dear is not None and len(dear) != len(cases):
            raise ValueError(f"{len(cases)} cases, but the dear model's answers to {len(dear)}")
        rows = []
        for place, (confidence, agrees) in enumerate(cases):
            if confidence is not None and not 0 <= confidence <= 1:
                raise ValueError(f"a confidence of {confidence} is not from 0 to 1")
            rows.append((-1.0 if confidence is None else confidence, agrees, dear is None or dear[place]))
        rows.sort(key=lambda row: row[0])
        self.n = len(rows)
        self._confidences = [row[0] for row in rows]
        self._disagree = [0, *accumulate(int(not row[1]) for row in rows)]
        self._dear_wrong = [0, *accumulate(int(not row[2]) for row in rows)]

    @property
    def dear_wrong(self) -> int:
        return self._dear_wrong[-1]

    def at(self, threshold: float) -> _Spot:
        below = bisect_left(self._confidences, max(threshold, 0.0))
        disagree = self._disagree[-1] - self._disagree[below]
        return _Spot(threshold, self.n - below, disagree, disagree + self._dear_wrong[below])

    def spots(self) -> list[_Spot]:
        """The grid's thresholds from the lowest up, without those that keep just the same cases as a lower one."""
        found: list[_Spot] = []
        for threshold in GRID:
            spot = self.at(threshold)
            if not found or spot.kept != found[-1].kept:
                found.append(spot)
        return found


def _candidate(spot: _Spot, n: int, level: float) -> Candidate:
    return Candidate(
        threshold=spot.threshold,
        kept=spot.kept,
        share=_estimate(spot.kept, n, level, wilson),
        agreement=_estimate(spot.kept - spot.disagree, spot.kept, level, wilson) if spot.kept else None,
        table=_estimate(n - spot.wrong, n, level, clopper_pearson),
    )


def _estimate(
    successes: int, n: int, level: float, bounds: Callable[[int, int, float], tuple[float, float]]
) -> Estimate:
    low, high = bounds(successes, n, level)
    return Estimate(about=successes / n, low=low, high=high, n=n)


def _saved(cost: Estimate, dear_cost: float) -> Estimate:
    assert cost.low is not None and cost.high is not None
    about, low, high = (1 - one / dear_cost for one in (cost.about, cost.high, cost.low))
    return Estimate(about=about, low=low, high=high, n=cost.n)


def _why_none(counts: _Counts, spots: Sequence[_Spot], target: float, level: float) -> tuple[Reason, int | None]:
    """Why nothing is proposed: what keeps a fair share is shown to miss the target, or nothing is shown.

    To say that all of them miss it each must be shown to, so here no choice among many has to be paid for.
    """
    n, keeping = counts.n, [spot for spot in spots if spot.kept]
    if n and not keeping:
        return NO_CONFIDENCE, None
    worth = [spot for spot in keeping if spot.kept >= _WORTH * n] or keeping
    if n and clopper_pearson(n - counts.dear_wrong, n, level)[1] < target:
        return DEAR_NOT_GOOD, None
    if worth and all(clopper_pearson(n - spot.wrong, n, level)[1] < target for spot in worth):
        return NOT_GOOD, None
    least = max(counts.dear_wrong, min((spot.wrong for spot in worth), default=0))
    return TOO_FEW, _needed(least / n if n else 0.0, n, 1 - target, level)


def _needed(share: float, n: int, most: float, level: float) -> int | None:
    """About how many cases, more than n, show a share of wrong ones to be below the most; None: no number of them."""

    def shows(count: int) -> bool:
        return math.ceil(share * count - 1e-9) <= _most_wrong(count, most, level)

    low, high = n, n + 1
    while not shows(high):
        low, high = high, high * 2
        if high > _MOST_CASES:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high


# -- binomial counts ---------------------------------------------------------------------------------------------------


def _check(successes: int, n: int, level: float) -> None:
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"{successes} of {n} is no share")
    if not 0 < level < 1:
        raise ValueError(f"a level of {level} is not between 0 and 1")


@lru_cache(maxsize=4096)
def _most_wrong(n: int, share: float, level: float) -> int:
    """How many of n may be wrong for the share of wrong ones to be shown no greater than that; -1: not even with none wrong.

    The same as asking whether Clopper and Pearson's bound reaches it, without looking for the bound.
    """
    low, high = -1, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _at_most(middle, n, share) <= (1 - level) / 2 else (low, middle)
    return low


def _at_most(successes: int, n: int, share: float) -> float:
    """How probable it is that at most so many of n are successes."""
    if successes < 0:
        return 0.0
    return 1.0 if successes >= n else 1.0 - _beta(share, successes + 1, n - successes)


def _root(is_below: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2


def _beta(x: float, a: float, b: float) -> float:
    """The regularized incomplete beta function, by its continued fraction (DLMF 8.17.22) after Lentz."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(1 - x, b, a)
    logs = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    tiny = 1e-300
    fraction, c, d = 1.0, 1.0, 0.0
    for step in range(2_000):
        half = step // 2
        if step == 0:
            term = 1.0
        elif step % 2:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        d = 1 / ((1 + term * d) or tiny)
        c = (1 + term / c) or tiny
        fraction *= c * d
        if step and abs(c * d - 1) < 1e-12:
            break
    return math.exp(logs) / a * (fraction - 1)
