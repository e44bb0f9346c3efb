"""Agreement with a golden set: what counts, what does not, and that losing rows never helps."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.evals import Answer, agreement, beside
from jobs.golden import GoldenRow

GOLDEN = [
    GoldenRow(1, {}, {"sentiment": "positive", "urgency": 1}),
    GoldenRow(2, {}, {"sentiment": "negative"}),
    GoldenRow(3, {}, {"sentiment": "neutral", "address.city": "Ghent"}),
]
RIGHT: dict[int, dict[str, Any]] = {
    1: {"sentiment": "positive", "urgency": 1},
    2: {"sentiment": "negative", "urgency": 4},
    3: {"sentiment": "neutral", "address": {"city": "Ghent"}},
}


def _accepted(values: dict[int, dict[str, Any]]) -> dict[int, Answer]:
    return {ordinal: Answer(state="accepted", value=value) for ordinal, value in values.items()}


def test_all_right() -> None:
    """Answers that are all as expected agree in full, and what was not expected is not counted."""
    found = agreement(GOLDEN, _accepted(RIGHT))
    assert (found.overall.agree, found.overall.n, found.overall.agreement) == (5, 5, 1.0)
    assert [(tally.path, tally.n, tally.agree) for tally in found.fields] == [
        ("sentiment", 3, 3),
        ("urgency", 1, 1),
        ("address.city", 1, 1),
    ]
    assert found.misses == ()


def test_a_wrong_field_is_one_miss() -> None:
    """One wrong value lowers its own field only, and is listed with what came."""
    found = agreement(GOLDEN, _accepted(RIGHT | {1: {"sentiment": "positive", "urgency": 5}}))
    assert {tally.path: tally.agreement for tally in found.fields} == {
        "sentiment": 1.0,
        "urgency": 0.0,
        "address.city": 1.0,
    }
    (miss,) = found.misses
    assert (miss.ordinal, miss.path, miss.expected, miss.got, miss.answered) == (1, "urgency", 1, 5, True)


@pytest.mark.parametrize("state", ["dead", "cancelled"])
def test_a_lost_row_disagrees(state: str) -> None:
    """A row without a value disagrees wherever something was expected, but does not touch the figure of answered rows."""
    found = agreement(GOLDEN, _accepted(RIGHT) | {3: Answer(state=state)})
    assert found.answered == 2
    assert found.overall.agreement == pytest.approx(3 / 5)
    assert (found.overall.answered_n, found.overall.answered_agreement) == (3, 1.0)
    assert [(miss.path, miss.got, miss.answered) for miss in found.misses] == [
        ("sentiment", None, False),
        ("address.city", None, False),
    ]


def test_losing_a_wrong_row_does_not_raise_the_score() -> None:
    """A row that answered wrongly and the same row dead give the same headline."""
    wrong = {"sentiment": "positive", "address": {"city": "Bruges"}}
    answered = agreement(GOLDEN, _accepted(RIGHT | {3: wrong}))
    dead = agreement(GOLDEN, _accepted(RIGHT) | {3: Answer(state="dead")})
    assert answered.overall.agreement == dead.overall.agreement == pytest.approx(3 / 5)


@pytest.mark.parametrize("state", ["due", "held", "dispatched"])
def test_waiting_rows_count_for_nothing_yet(state: str) -> None:
    """A row without an end is neither right nor wrong, and is said to be waiting."""
    found = agreement(GOLDEN, _accepted(RIGHT) | {3: Answer(state=state)})
    assert (found.rows, found.answered, found.waiting, found.overall.n) == (3, 2, 1, 3)
    assert found.overall.agreement == 1.0


def test_rows_that_were_not_asked_do_not_count() -> None:
    """With a limit, golden rows beyond it are no misses."""
    found = agreement(GOLDEN, _accepted({1: RIGHT[1]}))
    assert (found.rows, found.overall.n, found.misses) == (1, 2, ())


def test_nothing_expected_is_not_full_agreement() -> None:
    """Without one expectation there is no agreement, rather than 100 %."""
    found = agreement([GoldenRow(1, {}, {})], _accepted({1: {"a": 1}}))
    assert (found.overall.n, found.overall.agreement, found.overall.answered_agreement) == (0, None, None)


def test_two_stand_beside_each_other_over_the_rows_that_have_an_end_in_both() -> None:
    """A row that waits in one of them is in neither; a row that died disagrees wherever the other agrees."""
    first = _accepted(RIGHT | {1: {"sentiment": "negative", "urgency": 1}})
    second = _accepted(RIGHT) | {2: Answer(state="due"), 3: Answer(state="dead")}
    found = beside((GOLDEN, first), (GOLDEN, second))

    assert found.rows == 2
    assert [(one.path, one.n, one.first, one.second, one.only_first, one.only_second) for one in found.fields] == [
        ("sentiment", 2, 1, 1, 1, 1),
        ("urgency", 1, 1, 1, 0, 0),
        ("address.city", 1, 1, 0, 1, 0),
    ]
    assert (found.overall.n, found.overall.first, found.overall.second) == (4, 3, 2)
    assert [(one.ordinal, one.path, one.first_met, one.answered) for one in found.differences] == [
        (1, "sentiment", False, True),
        (3, "sentiment", True, False),
        (3, "address.city", True, False),
    ]


def test_two_versions_stand_beside_each_other_in_what_both_can_say() -> None:
    """Each reads what is expected by its own contract; a path that only one of them has is in neither."""
    texts = [GoldenRow(row.ordinal, {}, {path: str(value) for path, value in row.expected.items()}) for row in GOLDEN]
    other = [GoldenRow(row.ordinal, {}, row.expected | {"more": 1}) for row in GOLDEN]
    said = {1: {"sentiment": "positive", "urgency": "1"}}
    found = beside((texts, _accepted(said)), (other, _accepted({1: RIGHT[1]})))
    assert [(one.path, one.first, one.second) for one in found.fields] == [("sentiment", 1, 1), ("urgency", 1, 1)]
