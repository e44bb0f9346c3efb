"""jobs.thresholds: a proposed threshold keeps its promise as often as it says, and none is proposed where nobody can know."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from jobs.thresholds import (
    DEAR_NOT_GOOD,
    GRID,
    NO_CONFIDENCE,
    NOT_GOOD,
    TOO_FEW,
    Case,
    agreement_and_saving,
    clopper_pearson,
    least,
    propose,
    wilson,
)

#: tables of each shape that are simulated
TABLES = 500
TARGET = 0.98


@dataclass(frozen=True)
class Shape:
    """A cheap model: how its cases fall, and the share of rows that it keeps and gets wrong, reckoned and not counted."""

    draw: Callable[[random.Random], tuple[float, bool]]
    wrong: Callable[[float], float]
    #: the share of rows that it keeps
    kept: Callable[[float], float] = lambda t: 1 - t


def beta(power: float, shown: float) -> Shape:
    """Right as often as it truly is sure (that is distributed as Beta(power, 1)), and says that to the power of ``shown``."""

    def draw(chance: random.Random) -> tuple[float, bool]:
        sure = chance.random() ** (1 / power)
        return sure**shown, chance.random() < sure

    def wrong(t: float) -> float:
        sure = t ** (1 / shown)
        return 1 - sure**power - power / (power + 1) * (1 - sure ** (power + 1))

    return Shape(draw, wrong, lambda t: 1 - t ** (power / shown))


def lumps(*of: tuple[float, float, float]) -> Shape:
    """Only a few confidences: (confidence, share of the rows, how often right)."""

    def draw(chance: random.Random) -> tuple[float, bool]:
        (lump,) = chance.choices(of, [share for _, share, _ in of])
        return lump[0], chance.random() < lump[2]

    return Shape(
        draw,
        lambda t: sum(share * (1 - right) for confidence, share, right in of if confidence >= t),
        lambda t: sum(share for confidence, share, _ in of if confidence >= t),
    )


def uniform(right: Callable[[float], float], wrong: Callable[[float], float]) -> Shape:
    """Confidences of all heights alike."""
    return Shape(lambda chance: (sure := chance.random(), chance.random() < right(sure)), wrong)


SHAPES = {
    "calibrated": beta(5, 1),
    "calibrated and mostly sure": beta(30, 1),
    "overconfident": beta(5, 0.1),
    "underconfident": beta(8, 4),
    "its confidence says nothing": uniform(lambda _: 0.9, lambda t: 0.1 * (1 - t)),
    "the surer the worse": uniform(lambda sure: 1 - 0.3 * sure, lambda t: 0.15 * (1 - t * t)),
    "two lumps": lumps((0.999999, 0.6, 0.99), (0.9, 0.4, 0.7)),
    "a lump at the edge": lumps((1.0, 0.5, 0.985), (0.5, 0.5, 0.5)),
}


def table(shape: Shape, n: int, chance: random.Random) -> list[Case]:
    return [shape.draw(chance) for _ in range(n)]


@pytest.mark.parametrize("name", SHAPES)
def test_a_proposed_threshold_reaches_its_target_in_the_tables_that_it_is_proposed_for(name: str) -> None:
    """In 95 of 100 proposals at least, however the confidences are calibrated; the truth is reckoned from how the cases are made."""
    shape, chance = SHAPES[name], random.Random(f"thresholds of {name}")
    proposed = missed = 0
    for _ in range(TABLES):
        found = propose(table(shape, chance.choice((200, 400, 1000)), chance), TARGET)
        if found.threshold is not None:
            proposed += 1
            missed += 1 - shape.wrong(found.threshold) < TARGET

    assert proposed >= 100
    assert missed <= 0.05 * proposed


def test_where_no_threshold_is_good_enough_hardly_any_table_is_told_otherwise() -> None:
    """All rows are as sure as each other and 2.5 of 100 wrong: a proposal can only be luck, in 2.5 of 100 tables at most."""
    shape, chance = lumps((1.0, 1.0, 0.975)), random.Random(3)
    found = [propose(table(shape, 1000, chance), TARGET) for _ in range(TABLES)]

    assert sum(one.threshold is not None for one in found) <= 0.025 * TABLES


@pytest.mark.parametrize("name", ["calibrated", "its confidence says nothing"])
def test_it_holds_too_where_the_dear_model_is_sometimes_wrong(name: str) -> None:
    """Then what climbs is not right by definition, and a higher threshold need not be a better one."""
    shape, chance, slips = SHAPES[name], random.Random(5), 0.006
    proposed = missed = 0
    for _ in range(TABLES):
        cases = table(shape, 1000, chance)
        found = propose(cases, TARGET, dear=[chance.random() >= slips for _ in cases])
        if found.threshold is not None:
            proposed += 1
            wrong = shape.wrong(found.threshold) + slips * (1 - shape.kept(found.threshold))
            missed += 1 - wrong < TARGET

    assert proposed >= 100
    assert missed <= 0.05 * proposed


def test_it_is_not_more_careful_than_it_must_be() -> None:
    """A thousand cases of a calibrated model: nearly always a threshold, and most of the rows that could be kept are."""
    shape, chance = SHAPES["calibrated"], random.Random(8)
    best = max(shape.kept(t) for t in GRID if 1 - shape.wrong(t) >= TARGET)
    found = [propose(table(shape, 1000, chance), TARGET) for _ in range(100)]

    assert sum(one.threshold is not None for one in found) >= 98
    kept = [shape.kept(one.threshold) for one in found if one.threshold is not None]
    assert sum(kept) / len(kept) >= 0.65 * best


def test_twenty_cases_are_too_few_to_know() -> None:
    """Even if all agree: for 98 of 100, 183 without one that does not are the least."""
    for right in (20, 19, 18):
        found = propose([(0.99, place < right) for place in range(20)], TARGET)
        assert (found.threshold, found.reason, found.n) == (None, TOO_FEW, 20)
        assert found.chosen is None
    assert propose([(0.99, True)] * 20, TARGET).needed == 183
    assert propose([], TARGET).needed == 183
    assert propose([], TARGET).candidates == ()
    chance = random.Random(9)
    for shape in (SHAPES["calibrated"], SHAPES["overconfident"], SHAPES["underconfident"]):
        found = [propose(table(shape, 20, chance), TARGET) for _ in range(100)]
        assert {(one.threshold, one.reason) for one in found} == {(None, TOO_FEW)}


@pytest.mark.parametrize("target", [0.5, 0.9, 0.98, 0.999])
def test_the_fewest_cases_for_a_target_are_enough_and_one_less_never_is(target: float) -> None:
    """Said before anything is asked: with fewer, not even a cheap model that is always right is shown to be."""
    cases = [(0.99, True)] * least(target)

    assert propose(cases, target).threshold is not None and propose(cases[1:], target).threshold is None
    assert least(0.98) == 183


def test_as_many_cases_as_it_asks_for_are_enough_if_they_agree_as_often() -> None:
    """1 of 100 does not agree: so many more of the same kind and there is a threshold; a few less and there is none."""
    found = propose([(0.9, place != 0) for place in range(100)], TARGET)
    assert (found.threshold, found.reason) == (None, TOO_FEW)
    assert found.needed is not None

    def again(n: int) -> float | None:
        return propose([(0.9, place >= math.ceil(n / 100)) for place in range(n)], TARGET).threshold

    assert found.needed > 183
    assert again(found.needed) == 0.0
    assert again(found.needed - 100) is None


def test_no_number_is_named_where_more_of_the_same_would_not_do() -> None:
    """5 of 200 do not agree: the target is not refuted, but at that rate it is never reached."""
    found = propose([(0.9, place >= 5) for place in range(200)], TARGET)

    assert (found.reason, found.needed) == (TOO_FEW, None)


def test_a_cheap_model_that_is_wrong_where_it_is_surest_is_not_good_enough() -> None:
    """And many cases more would not help; one row it is right about above all others changes nothing."""
    cases: list[Case] = [(1.0, place >= 30) for place in range(100)] + [(0.5, True)] * 100
    assert (propose(cases, TARGET).threshold, propose(cases, TARGET).reason) == (None, NOT_GOOD)
    assert propose(cases, TARGET).needed is None

    below: list[Case] = [(0.9, agrees) if confidence == 1.0 else (confidence, agrees) for confidence, agrees in cases]
    assert propose([*below, (1.0, False), (1.0, False), *[(1.0, False)] * 5], TARGET).reason == NOT_GOOD


def test_rows_of_unknown_confidence_climb_whatever_the_threshold() -> None:
    """So their cheap answers cost the table nothing, and none of it known is a reason of its own."""
    found = propose([(None, False)] * 300 + [(0.4, True)] * 300, TARGET)

    assert found.threshold == 0.0
    assert found.chosen is not None
    assert (found.chosen.kept, found.chosen.share.about, found.chosen.table.about) == (300, 0.5, 1.0)
    assert propose([(None, True)] * 300, TARGET).reason == NO_CONFIDENCE


def test_a_dear_model_that_is_not_good_enough_is_named() -> None:
    """No threshold mends what climbs to it."""
    cases: list[Case] = [(0.5, True)] * 300 + [(0.9, False)] * 300
    dear = [place % 10 != 0 for place in range(600)]

    assert propose(cases, TARGET, dear=dear).reason == DEAR_NOT_GOOD


def test_each_candidate_says_what_it_keeps_and_what_the_table_then_is() -> None:
    """With ranges and n, from the lowest threshold up; the proposed one is the lowest whose range lies above the target."""
    chance = random.Random(1)
    cases = table(SHAPES["calibrated"], 1000, chance)
    found = propose(cases, TARGET)

    assert [one.threshold for one in found.candidates] == sorted({one.threshold for one in found.candidates})
    assert [one.kept for one in found.candidates] == sorted({one.kept for one in found.candidates}, reverse=True)
    for one in found.candidates:
        kept = [agrees for confidence, agrees in cases if confidence is not None and confidence >= one.threshold]
        assert (one.kept, one.share.about, one.share.n) == (len(kept), len(kept) / 1000, 1000)
        assert one.table.about == (1000 - kept.count(False)) / 1000
        assert (one.table.low, one.table.high) == clopper_pearson(1000 - kept.count(False), 1000)
        assert one.table.n == 1000
        if one.agreement is None:
            assert not kept
        else:
            assert (one.agreement.about, one.agreement.n) == (kept.count(True) / len(kept), len(kept))
            assert (one.agreement.low, one.agreement.high) == wilson(kept.count(True), len(kept))
    shown = [one for one in found.candidates if one.table.low is not None and one.table.low >= TARGET]
    assert found.chosen == shown[0]
    assert found.threshold == shown[0].threshold
    assert (found.n, found.target, found.level, found.reason, found.needed) == (1000, TARGET, 0.95, None, None)


def test_a_higher_level_is_more_careful() -> None:
    """It keeps fewer rows for the same cases."""
    cases = table(SHAPES["calibrated"], 1000, random.Random(2))
    thresholds = [propose(cases, TARGET, level=level).threshold for level in (0.5, 0.95, 0.999)]

    assert None not in thresholds
    assert thresholds == sorted(set(thresholds))  # type: ignore[type-var]


def test_what_a_threshold_costs_and_saves_is_said_with_its_ranges() -> None:
    """A row costs the cheap answer, and the dear one where it climbs."""
    cases: list[Case] = [(0.95, True)] * 690 + [(0.95, False)] * 10 + [(0.5, False)] * 300
    found = agreement_and_saving(cases, 0.9, 0.001, 0.010)
    assert found is not None
    low, high = wilson(300, 1000)

    assert (found.climbs.about, found.climbs.low, found.climbs.high, found.climbs.n) == (0.3, low, high, 1000)
    assert found.table.about == 0.99
    assert (found.table.low, found.table.high) == clopper_pearson(990, 1000)
    assert found.cost is not None
    assert found.cost.about == pytest.approx(0.004)
    assert (found.cost.low, found.cost.high) == pytest.approx((0.001 + 0.010 * low, 0.001 + 0.010 * high))
    assert found.saving is not None
    assert found.saving.about == pytest.approx(0.6)
    assert (found.saving.low, found.saving.high) == pytest.approx((0.9 - high, 0.9 - low))
    assert found.saving.n == 1000


def test_a_ladder_can_cost_more_than_it_saves() -> None:
    """Where nearly all climb, the cheap answers come on top; that is said and not hidden."""
    found = agreement_and_saving([(0.1, False)] * 95 + [(0.9, True)] * 5, 0.5, 0.5, 1.0)

    assert found is not None
    assert found.saving is not None
    assert found.saving.about == pytest.approx(-0.45)
    assert found.table.about == 1.0


def test_what_is_not_known_stays_unknown() -> None:
    """A price that nobody knows makes no cost of 0, and no case no range."""
    cases: list[Case] = [(0.9, True)] * 10
    for prices in ((None, 1.0), (1.0, None), (None, None)):
        found = agreement_and_saving(cases, 0.5, *prices)
        assert found is not None
        assert (found.cost, found.saving) == (None, None)
    free = agreement_and_saving(cases, 0.5, 0.0, 0.0)
    assert free is not None
    assert (free.cost is not None and free.cost.about, free.saving) == (0.0, None)
    assert agreement_and_saving([], 0.5, 1.0, 2.0) is None


def test_the_dear_models_slips_are_in_the_tables_agreement() -> None:
    """They count where a row climbs, and only there."""
    cases: list[Case] = [(0.9, True)] * 50 + [(0.1, True)] * 50
    found = agreement_and_saving(cases, 0.5, 0.1, 1.0, dear=[False] * 10 + [True] * 40 + [False] * 5 + [True] * 45)

    assert found is not None
    assert found.table.about == 0.95


@pytest.mark.parametrize(
    ("successes", "n", "exact", "score"),
    [
        (0, 20, (0.0, 0.16843), (0.0, 0.16113)),
        (5, 10, (0.18709, 0.81291), (0.23659, 0.76341)),
        (8, 10, (0.44390, 0.97479), (0.49016, 0.94332)),
        (20, 20, (0.83157, 1.0), (0.83887, 1.0)),
    ],
)
def test_the_ranges_of_a_share_are_those_of_the_tables(
    successes: int, n: int, exact: tuple[float, float], score: tuple[float, float]
) -> None:
    """Clopper and Pearson's and Wilson's, as printed."""
    assert clopper_pearson(successes, n) == pytest.approx(exact, abs=1e-5)
    assert wilson(successes, n) == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize(("successes", "n"), [(1, 3), (7, 50), (299, 300), (12, 1000), (990, 1000)])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_the_exact_range_leaves_just_its_share_at_either_end(successes: int, n: int, level: float) -> None:
    """Reckoned again by summing up the binomial distribution."""

    def at_most(count: int, share: float) -> float:
        return math.fsum(math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(count + 1))

    low, high = clopper_pearson(successes, n, level)

    assert at_most(successes, high) == pytest.approx((1 - level) / 2, rel=1e-6)
    assert 1 - at_most(successes - 1, low) == pytest.approx((1 - level) / 2, rel=1e-6)


def test_the_exact_range_is_narrow_for_a_hundred_thousand_cases() -> None:
    """And agrees with Wilson's there."""
    assert clopper_pearson(99_000, 100_000) == pytest.approx(wilson(99_000, 100_000), abs=2e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: wilson(3, 2),
        lambda: wilson(0, 0),
        lambda: clopper_pearson(-1, 2),
        lambda: clopper_pearson(1, 2, 1.0),
        lambda: propose([(0.5, True)], 1.0),
        lambda: propose([(0.5, True)], 0.9, level=0.0),
        lambda: propose([(1.5, True)], 0.9),
        lambda: propose([(math.nan, True)], 0.9),
        lambda: propose([(0.5, True)], 0.9, dear=[]),
        lambda: agreement_and_saving([(-0.5, True)], 0.9, 1.0, 1.0),
    ],
)
def test_what_cannot_be_is_refused(wrong: Callable[[], object]) -> None:
    """No figure is made of it."""
    with pytest.raises(ValueError, match="no share|not between|must be between|not from 0 to 1|cases, but"):
        wrong()
