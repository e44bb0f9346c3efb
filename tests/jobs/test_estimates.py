"""jobs.estimates: a range that is right about as often as it says, and no range where there is too little to say."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from jobs import estimates
from jobs.estimates import BREAK, Back, Estimate, Sample, is_early

#: runs of each shape that are simulated, and the rows of one
RUNS, ROWS = 400, 1000


@dataclass(frozen=True)
class Shape:
    """How the calls of a simulated run are."""

    #: of the logarithm of a call's cost and of its seconds
    spread: float
    #: the share of calls that fail, and of rows that always do; three failures end a row
    failing: float = 0.1
    hopeless: float = 0.0
    #: how far a call's cost goes with its seconds: a slow one is a dear one
    slow_is_dear: float = 0.5
    places: int = 6


SHAPES = {
    "even": Shape(spread=0.2, failing=0.03),
    "usual": Shape(spread=0.5),
    "skewed": Shape(spread=0.7, failing=0.05),
    "often asked again": Shape(spread=0.4, failing=0.35),
    "with hopeless rows": Shape(spread=0.5, hopeless=0.1),
    "slow ones are dear": Shape(spread=0.5, hopeless=0.05, slow_is_dear=1.0),
    "one after the other": Shape(spread=0.6, failing=0.2, places=1),
}


def simulated(shape: Shape, rows: int, chance: random.Random) -> Iterator[Back]:
    """The calls of a run as they come back: so many in flight, rows that failed are asked again first."""
    fresh, again = iter(range(rows)), list[int]()
    strikes = dict.fromkeys(range(rows), 0)
    # what the calls of a row have in common: its text is long, its answer is, and it may be hopeless
    long = [(math.exp(chance.gauss(0, shape.spread)), math.exp(chance.gauss(0, shape.spread))) for _ in range(rows)]
    lost = [chance.random() < shape.hopeless for _ in range(rows)]
    under_way: list[tuple[float, int, float, float]] = []

    def send(now: float) -> None:
        row = again.pop(0) if again else next(fresh, None)
        if row is None:
            return
        prompt, answer = long[row]
        seconds = answer * math.exp(chance.gauss(0, shape.spread / 3))
        money = (1 - shape.slow_is_dear) * prompt + shape.slow_is_dear * seconds
        heapq.heappush(under_way, (now + seconds, row, seconds, money))

    for _ in range(shape.places):
        send(0.0)
    while under_way:
        now, row, seconds, money = heapq.heappop(under_way)
        failed = lost[row] or chance.random() < shape.failing
        strikes[row] += failed
        ended = not failed or strikes[row] == 3
        if not ended:
            again.append(row)
        send(now)
        yield Back(row, now - seconds, seconds, int(ended), True, money=money)


@dataclass(frozen=True)
class Told:
    """What was said of a run, and what came."""

    money: tuple[Estimate, float]
    calls: tuple[Estimate, float]
    seconds: tuple[Estimate, float]
    #: what all of it cost
    whole: float


def cost(call: Back) -> float:
    assert call.money is not None
    return call.money


def after(share: float, shape: Shape, rows: int, chance: random.Random, *, weighted: bool = True) -> Told:
    """What is said of a run when that share of its rows has ended."""
    calls = list(simulated(shape, rows, chance))
    ends = itertools.accumulate(call.ended for call in calls)
    place = next(place for place, ended in enumerate(ends, 1) if ended >= rows * share)
    seen, rest = calls[:place], calls[place:]
    now, left = seen[-1].home, rows - sum(call.ended for call in seen)
    out = sum(call.sent < now for call in rest)
    assert not is_early(len(seen), out)
    sample = Sample(seen, out=out if weighted else 0)
    return Told(
        money=(sure(sample.left(cost, left)), sum(map(cost, rest))),
        calls=(sure(sample.left(lambda call: 1.0, left)), len(rest)),
        seconds=(sure(sample.seconds_left(left, places=shape.places, now=now)), max(c.home for c in rest) - now),
        whole=sum(map(cost, calls)),
    )


def sure(found: Estimate | None) -> Estimate:
    assert found is not None
    return found


def holds(told: tuple[Estimate, float]) -> bool:
    figure, came = told
    assert figure.low is not None and figure.high is not None and figure.low <= figure.about <= figure.high
    return figure.low <= came <= figure.high


def share_of(found: list[bool]) -> float:
    return sum(found) / len(found)


# -- as often right as it says ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=SHAPES)
def told(request: pytest.FixtureRequest) -> tuple[Shape, list[Told]]:
    """What is said of so many runs of a shape when a twentieth of their rows has ended."""
    shape, chance = SHAPES[request.param], random.Random(request.param)
    return shape, [after(0.05, shape, ROWS, chance) for _ in range(RUNS)]


def test_the_range_holds_what_a_run_comes_to(told: tuple[Shape, list[Told]]) -> None:
    """After 5 % of the rows the cost that comes lies in it in 85 to 99 of 100 runs; so do the calls and the time that is left."""
    _, runs = told
    assert 0.85 <= share_of([holds(one.money) for one in runs]) <= 0.99
    assert 0.85 <= share_of([holds(one.calls) for one in runs]) <= 0.99
    assert 0.85 <= share_of([holds(one.seconds) for one in runs]) <= 0.99


def test_fifty_earlier_replies_tell_what_a_run_will_cost(told: tuple[Shape, list[Told]]) -> None:
    """Before it begins, from 50 replies of another run, the range holds its cost in 85 to 99 of 100 runs."""
    shape, runs = told
    chance = random.Random(50)
    earlier = [Sample(list(simulated(shape, 60, chance))[-50:]) for _ in runs]
    found = [holds((sure(past.left(cost, ROWS)), one.whole)) for past, one in zip(earlier, runs, strict=True)]
    assert 0.85 <= share_of(found) <= 0.99


def test_it_becomes_narrow() -> None:
    """After half of the rows it is a fifth of what it was after a twentieth, and a few parts of a hundred of the whole."""
    early, late = (after(share, SHAPES["usual"], 4000, random.Random(1)).money[0] for share in (0.05, 0.5))
    assert early.low is not None and early.high is not None and late.low is not None and late.high is not None
    assert late.high - late.low < (early.high - early.low) / 4
    assert late.high - late.low < 0.1 * late.about


def test_calls_that_are_still_out_are_reckoned_with() -> None:
    """With many calls in flight the quick and cheap ones are back first: taken as they are, they would mislead."""
    shape = replace(SHAPES["slow ones are dear"], places=40)
    plain, weighted = (
        [holds(after(0.05, shape, 4000, random.Random(n), weighted=weighted).money) for n in range(60)]
        for weighted in (False, True)
    )
    assert share_of(plain) < 0.7 and share_of(weighted) > 0.8


# -- what it says of little ------------------------------------------------------------------------------------------


def even(n: int, *, every: float = 1.0, ended: int = 1, seconds: float = 1.0, since: float = 0.0) -> list[Back]:
    """Calls one after the other, each as dear as the next."""
    return [Back(number, since + number * every, seconds, ended, True, money=1.0) for number in range(n)]


@pytest.mark.parametrize("calls", [[], even(9), [*even(30, ended=0), *even(4, since=30.0)]])
def test_too_little_is_said_to_be_too_little(calls: list[Back]) -> None:
    """Nine rows, or four that have ended, give no range."""
    assert Sample(calls).left(cost, 100) is None
    assert Sample(calls).seconds_left(100, places=1) is None


def test_a_run_is_early_while_most_of_its_calls_are_out() -> None:
    """Four must have come back for each that is out."""
    assert is_early(31, 8) and not is_early(32, 8) and not is_early(0, 0)


def test_what_has_not_gone_wrong_yet_still_can() -> None:
    """Rows that all took the same have a range, and the more of them there are, the narrower it is."""
    few, many = (sure(Sample(even(n)).left(cost, 1000)) for n in (30, 2000))
    assert few.about == many.about == 1000
    assert few.high is not None and many.high is not None
    assert 1010 < few.high < 1100 and 1000 < many.high < 1003


def test_nothing_left_takes_nothing() -> None:
    """Of a run without rows to ask about everything is 0."""
    found = Sample(even(50))
    assert found.left(cost, 0) == found.seconds_left(0, places=4) == Estimate(about=0.0, low=0.0, high=0.0, n=50)


# -- the formula -----------------------------------------------------------------------------------------------------


def test_it_is_the_prediction_interval_of_a_sum() -> None:
    """For values without a tail: half its width is t * s * sqrt(m * (1 + m / n)), on the scale of logarithms."""
    chance = random.Random(5)
    calls = [Back(n, float(n), 1.0, 1, True, money=chance.uniform(0.9, 1.1)) for n in range(500)]
    mean = sum(map(cost, calls)) / 500
    variance = sum((cost(call) - mean) ** 2 for call in calls) / 499 + 0.5 / 500
    found = sure(Sample(calls).left(cost, 250))
    assert found.about == pytest.approx(250 * mean)
    half = 1.648 * math.sqrt(variance * 250 * (1 + 250 / 500))
    assert found.high is not None and found.low is not None
    assert math.log(found.high / found.about) * found.about == pytest.approx(half, rel=0.03)
    assert found.high * found.low == pytest.approx(found.about**2)


@pytest.mark.parametrize(("freedom", "t"), [(3, 2.353), (5, 2.015), (10, 1.812), (30, 1.697), (1000, 1.646)])
def test_student(freedom: float, t: float) -> None:
    """The 95th percentiles of the printed tables."""
    assert estimates._student(freedom) == pytest.approx(t, abs=0.01)


def test_figures_are_reckoned_with_their_ranges() -> None:
    """Times, beside and plus keep about, low and high apart; what has no range gives none."""
    one, other = Estimate(about=2, low=1, high=4, n=30), Estimate(about=10, low=9, high=11, n=20)
    assert one.times(3) == Estimate(about=6, low=3, high=12, n=30)
    assert one.beside(5) == Estimate(about=7, low=6, high=9, n=30)
    assert one.plus(other) == Estimate(about=12, low=10, high=15, n=20)
    assert one.plus(Estimate(about=1)) == Estimate(about=3)
    assert one.at_least(Estimate(about=3)) == Estimate(about=3, low=3, high=4, n=30)
    assert one.at_least(other) == replace(other, n=30)
    assert one.slowed(Estimate(about=5), Estimate(about=15, low=12, high=18)) == Estimate(
        about=12, low=9, high=16, n=30
    )
    assert one.slowed(Estimate(about=15), Estimate(about=5, low=4, high=6)) == one


# -- time ------------------------------------------------------------------------------------------------------------


def test_the_time_that_is_left_follows_the_pace() -> None:
    """A row a second leaves as many seconds as rows, and a few more or less."""
    found = sure(Sample(even(400)).seconds_left(100, places=1))
    assert found.low is not None and found.high is not None
    assert found.about == pytest.approx(100) and found.low > 90 and found.high < 112


@pytest.mark.parametrize(("gap", "resumed"), [(60.0, (230.0,)), (BREAK + 1, ()), (9 * 3600.0, (30_000.0,))])
def test_a_pause_is_no_time_at_work(gap: float, resumed: tuple[float, ...]) -> None:
    """Seconds in which nobody was at work, a person's pause or a night, do not slow the pace."""
    calls = [*even(200), *even(200, since=200.0 + gap)]
    apart = [call._replace(row=number) for number, call in enumerate(calls)]
    assert sure(Sample(apart).seconds_left(100, places=1, resumed=resumed)).about == pytest.approx(100)


def test_a_wait_that_nobody_asked_for_counts() -> None:
    """A provider's cool-down of a minute belongs to the pace, and so does a minute without any reply until now."""
    calls = [*even(200), *even(200, since=260.0)]
    apart = [call._replace(row=number) for number, call in enumerate(calls)]
    assert sure(Sample(apart).seconds_left(100, places=1)).about == pytest.approx(115)
    assert sure(Sample(even(400)).seconds_left(100, places=1, now=460.0)).about == pytest.approx(115)


def test_the_last_rows_take_as_long_as_they_take() -> None:
    """Three rows in flight end in no less than a call's time at the high end, however many are in flight at once."""
    calls = even(400, every=0.1, seconds=3.0)
    found = sure(Sample(calls, out=30).seconds_left(3, places=30))
    assert found.low == 0.0 and found.high is not None and found.high >= 3.0
