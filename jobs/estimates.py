"""What rows still to come will take, from what rows have taken: a figure with the range that holds it in 90 of 100 runs.

The same formula serves calls, tokens, money and time. A sample has n units (a row with all its calls; for time, a stretch of
calls), of which unit i took x_i and brought e_i rows to their end. So many rows are left:

    R    = sum(x) / sum(e)              what one row takes until its end, re-asks and errors in it
    d_i  = x_i - R * e_i                how far a unit lies from that
    s^2  = sum(d^2) / (n - 1)
    m    = rows left * n / sum(e)       units still to come
    sd^2 = s^2 * m * (1 + m / n)        the spread of what is to come, and the uncertainty of R itself
    left = R * rows left, from left / q to left * q with q = exp(t * sd / left)

That is the prediction interval for the mean of m further values (Hahn and Meeker, Statistical Intervals), with the residuals of a
ratio (Cochran, Sampling Techniques, ch. 6), so that what is not known about calls a row is in it, and on the scale of
logarithms, since costs are skewed and never below 0. t is Student's at 95 % with 2n / (kurtosis of d - 1) degrees of freedom
and n - 1 at most: what a variance from n values with such tails is worth (Satterthwaite). Half of one more unit counts in s^2
that took as much as the others and ended nothing: where nothing has gone wrong in n rows, that does not mean that nothing can.

While a run is at work its quick calls are back and slow ones, which often are the dear ones, are still out. So each call is
weighted by the inverse of the share of calls sent early enough that one as slow would be back (Bang and Tsiatis, Biometrika 2000).

It holds for rows like those of the sample: nothing here knows that the second half of a table has longer texts.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NamedTuple

#: how often the range is to hold the figure
CONFIDENCE = 0.9
#: units, and rows among them that have ended, below which there is no range
FEWEST, FEWEST_ENDED = 10, 5
#: calls that must have come back for each that is out: before that, too much of what is known is about quick ones
BACK_TO_OUT = 4
#: stretches of time that a sample is cut into at most, and the fewest calls of one
STRETCHES, STRETCH = 40, 5
#: seconds without any call under way from which on nobody was at work: longer than any cool-down
BREAK = 300.0
_Z = 1.6448536269514722  # of the normal distribution at 95 %


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure, its range where one is known, and the replies that both come from."""

    about: float
    low: float | None = None
    high: float | None = None
    n: int = 0

    def times(self, factor: float) -> Estimate:
        """So many times that."""
        return self._of(lambda figure: figure * factor)

    def beside(self, known: float) -> Estimate:
        """The sum of this and of what is known."""
        return self._of(lambda figure: figure + known)

    def _of(self, figure: Callable[[float], float]) -> Estimate:
        return replace(
            self,
            about=figure(self.about),
            low=None if self.low is None else figure(self.low),
            high=None if self.high is None else figure(self.high),
        )

    def alone(self) -> Estimate:
        """The figure without its range."""
        return replace(self, low=None, high=None)

    def at_least(self, other: Estimate) -> Estimate:
        """The same where the other is smaller, and else the other: about, low and high each for itself."""
        low, high = other.about if other.low is None else other.low, other.about if other.high is None else other.high
        return replace(
            self,
            about=max(self.about, other.about),
            low=None if self.low is None else max(self.low, low),
            high=None if self.high is None else max(self.high, high),
        )

    def slowed(self, reckoned: Estimate, seen: Estimate) -> Estimate:
        """The same with what was lost where so much was seen instead of what was reckoned, as well known as that was seen."""
        lost = max(0.0, seen.about - reckoned.about)
        if not lost or None in (self.low, self.high, seen.low, seen.high):
            return replace(self, about=self.about + lost)
        return replace(
            self,
            about=self.about + lost,
            low=(self.low or 0.0) + lost * (seen.low or 0.0) / seen.about,
            high=(self.high or 0.0) + lost * (seen.high or 0.0) / seen.about,
        )

    def plus(self, other: Estimate) -> Estimate:
        """Both together, as if both were as high, or as low, at once."""
        known = None not in (self.low, self.high, other.low, other.high)
        return Estimate(
            about=self.about + other.about,
            low=(self.low or 0.0) + (other.low or 0.0) if known else None,
            high=(self.high or 0.0) + (other.high or 0.0) if known else None,
            n=min(self.n, other.n),
        )


class Back(NamedTuple):
    """A call that has come back."""

    #: the row that it was about
    row: Hashable
    sent: float
    #: None where nobody knows
    seconds: float | None
    #: rows that it has brought to their end
    ended: int
    #: whether there was a reply to judge
    replied: bool
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    #: US dollars; None: unknown
    money: float | None = None

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.prompt + self.completion

    @property
    def home(self) -> float:
        """When it was back."""
        return self.sent + (self.seconds or 0.0)


class Sample:
    """Calls that have come back, row by row."""

    def __init__(self, calls: Sequence[Back], *, out: int = 0) -> None:
        """Takes the newest calls of a run, or of several.

        Args:
            calls: in any order.
            out: calls that were under way when these were looked up.
        """
        self.n = sum(call.replied for call in calls)
        self._calls = sorted(calls, key=lambda call: call.sent)
        self._weights = _weights(self._calls, out)

    def left(self, amount: Callable[[Back], float], rows: int) -> Estimate | None:
        """What so many rows will take of that; None where the sample is too small to say."""
        units: dict[Hashable, tuple[float, float]] = {}
        for call, weight in zip(self._calls, self._weights, strict=True):
            took, ended = units.get(call.row, (0.0, 0.0))
            units[call.row] = took + weight * amount(call), ended + weight * call.ended
        return _left(list(units.values()), rows, n=self.n)

    def seconds_at(self, rows: int, *, places: int) -> Estimate | None:
        """How long so many rows will take with so many calls in flight; None where the sample is too small to say.

        However the work is spread, it ends with the last row, which may be a slow one: its seconds come onto the high end.
        """
        found = self.left(lambda call: call.seconds or 0.0, rows)
        if found is None or found.high is None or not rows:
            return found
        spread = found.times(1 / min(places, rows))
        return replace(spread, high=(spread.high or 0.0) + _slow_row(self._calls, places))

    def seconds_left(
        self, rows: int, *, places: int, resumed: Sequence[float] = (), now: float | None = None
    ) -> Estimate | None:
        """How long so many rows will take at the pace of the sample; None where it is too small to say.

        Time in which nobody was at work does not count: a pause, and whatever took longer than ``BREAK``. Never faster than
        the calls' own seconds allow: at first the quick ones come back, and the pace is better than it will be. A call that
        is under way may be nearly done, so its seconds come off the low end.

        Args:
            rows: that are left, those under way too.
            places: calls that may be in flight.
            resumed: when a person has let the run go on.
            now: for a run that is at work: a long time without any reply counts.
        """
        paced = _left(_stretches(self._calls, resumed, now), rows, n=self.n)
        spread = self.seconds_at(rows, places=places)
        if paced is None or paced.high is None or spread is None or not rows:
            return spread if not rows else None
        low = max(paced.low or 0.0, spread.low or 0.0) - _usual_call(self._calls)
        return Estimate(
            about=max(paced.about, spread.about),
            low=max(0.0, low),
            high=max(paced.high + _slow_row(self._calls, places), spread.high or 0.0),
            n=self.n,
        )


def is_early(back: int, out: int) -> bool:
    """Whether so many of a run's calls are out that those which have come back say too little."""
    return back < BACK_TO_OUT * out


def _weights(calls: Sequence[Back], out: int) -> list[float]:
    """One over the share of the calls sent so far that were sent early enough for one as slow to be back.

    When a call comes back the next is sent, so by any moment as many were sent as had come back, and those that are out.
    """
    if not out or not calls:
        return [1.0] * len(calls)
    home = sorted(call.home for call in calls)
    sent = len(calls) + out
    return [
        1.0 if call.seconds is None else sent / (out + bisect_right(home, home[-1] - call.seconds)) for call in calls
    ]


def _left(units: Sequence[tuple[float, float]], rows: int, *, n: int) -> Estimate | None:
    """The formula of this module: what was taken and how many rows that ended, for each unit."""
    count, took, ended = len(units), sum(unit[0] for unit in units), sum(unit[1] for unit in units)
    if count < FEWEST or ended < FEWEST_ENDED:
        return None
    each = took / ended
    about = each * rows
    if not about:
        return Estimate(about=0.0, low=0.0, high=0.0, n=n)
    squares = [(unit[0] - each * unit[1]) ** 2 for unit in units]
    squares.append((took / count) ** 2 / 2)
    variance = sum(squares) / (len(squares) - 1)
    to_come = rows * count / ended
    deviation = math.sqrt(variance * to_come * (1 + to_come / count))
    factor = math.exp(_student(_freedom(squares)) * deviation / about)
    return Estimate(about=about, low=about / factor, high=about * factor, n=n)


def _freedom(squares: Sequence[float]) -> float:
    count = len(squares)
    mean = sum(squares) / count
    kurtosis = sum(square * square for square in squares) / count / (mean * mean)
    return min(count - 1, 2 * count / max(kurtosis - 1, 1e-9))


def _student(freedom: float) -> float:
    """The 95th percentile of Student's t, by Cornish and Fisher's expansion; exact to a hundredth from 3 on."""
    z, v = _Z, max(freedom, 3.0)
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )


def _stretches(calls: Sequence[Back], resumed: Sequence[float], now: float | None) -> list[tuple[float, float]]:
    """The time at work cut into stretches of as many calls each: their seconds, and the rows that ended in them."""
    if not calls:
        return []
    home = sorted((call.home, call.ended) for call in calls)
    breaks = _breaks(calls, resumed)
    last = home[-1][0]
    if now is not None and last < now <= last + BREAK:
        home[-1] = (now, home[-1][1])
    size = max(STRETCH, -(-len(home) // STRETCHES))
    ends = [*range(size, len(home) - size + 1, size), len(home)]
    counted = [0, *accumulate(ended for _, ended in home)]
    found, since, before = list[tuple[float, float]](), calls[0].sent, 0
    for end in ends:
        until = home[end - 1][0]
        idle = sum(max(0.0, min(until, stop) - max(since, start)) for start, stop in breaks)
        found.append((until - since - idle, float(counted[end] - counted[before])))
        since, before = until, end
    return found


def _breaks(calls: Sequence[Back], resumed: Sequence[float]) -> list[tuple[float, float]]:
    """When no call was under way, for long or until a person let the run go on."""
    found, busy = list[tuple[float, float]](), calls[0].sent
    for call in calls:
        if call.sent > busy and (call.sent - busy > BREAK or any(busy <= when <= call.sent for when in resumed)):
            found.append((busy, call.sent))
        busy = max(busy, call.home)
    return found


def _usual_call(calls: Sequence[Back]) -> float:
    lasted = [call.seconds for call in calls if call.seconds is not None and call.replied]
    return sum(lasted) / len(lasted) if lasted else 0.0


def _slow_row(calls: Sequence[Back], places: int) -> float:
    """Seconds that the calls of a slow row took together: among as many rows as there are places none is likely to be slower."""
    rows: dict[Hashable, float] = {}
    for call in calls:
        rows[call.row] = rows.get(call.row, 0.0) + (call.seconds or 0.0)
    return sorted(rows.values())[-1 - int((1 - CONFIDENCE) * len(rows) / max(places, 1))]
