"""Which rows are asked next, and what names a question."""

from __future__ import annotations

from jobs import plan
from jobs.plan import Due
from jobs.values import Problem, VersionContent

CONTENT = VersionContent(template="{{ a }}", contract={"type": "object"})


def key(**changed: object) -> bytes:
    given: dict[str, object] = {
        "base_url": "http://a",
        "model": "m",
        "content": CONTENT,
        "version_hash": "v1:x",
        "cells": {"a": "1", "b": "2"},
    }
    return plan.reuse_key(**{**given, **changed})  # type: ignore[arg-type]


def test_the_same_question_has_the_same_name() -> None:
    """The order of the columns is no part of a question."""
    assert key() == key(cells={"b": "2", "a": "1"})


def test_anything_that_changes_the_answer_changes_the_name() -> None:
    """Endpoint, model, version and every used cell are part of it; so is where one cell ends and the next begins."""
    others = [
        key(base_url="http://b"),
        key(model="n"),
        key(version_hash="v1:y"),
        key(cells={"a": "1", "b": "3"}),
        key(cells={"a": "12", "b": ""}),
        key(cells={"a": "1"}),
    ]
    assert len({key(), *others}) == 7


def test_a_small_run_goes_before_a_large_one_in_every_turn() -> None:
    """Fifty rows behind fifty thousand get their share at once, and none of the room is left unused."""
    given = plan.shares([Due(run=1, left=50_000, room=400), Due(run=2, left=50, room=24)], 100)

    assert given == {2: 24, 1: 76}


def test_one_row_at_a_time_goes_to_the_run_with_the_least_left() -> None:
    """When there is room for one only, the run that is nearest to its end has it."""
    assert plan.shares([Due(run=1, left=9, room=5), Due(run=2, left=3, room=5)], 1) == {2: 1, 1: 0}


def test_behind_the_calls_in_flight_stands_what_they_come_back_to() -> None:
    """A third of a second's worth, so that a smaller run waits for no more; as many again until it is known how fast they come."""
    assert plan.window(1, None) == 9 and plan.window(200, None) == 400
    assert plan.window(200, 667.0) == 400
    assert plan.window(200, 20.0) == 208
    assert plan.window(200, 0.0) == 208
    assert plan.window(200, 5_000.0) == 500


def test_a_connection_is_shared_by_what_its_runs_have_use_for() -> None:
    """Evenly among those with rows enough; one near its end, or whose rows are all in a batch, leaves its share to the others."""

    def given(*left: int) -> list[int]:
        runs = [plan.Pooled(run=n, pool=("c", "m"), in_flight=200, left=one) for n, one in enumerate(left)]
        return list(plan.in_flight(runs, {"c": 200}).values())

    assert sorted(given(5_000, 5_000)) == [100, 100]
    assert sorted(given(5_000, 50)) == [64, 136]
    assert sorted(given(5_000, 1)) == sorted(given(5_000, 0)) == [1, 199]
    assert given(1) == [200]


def test_what_a_run_holds_beyond_its_share_is_begun_by_no_other() -> None:
    """For as long as it holds it; each keeps one place, and what it holds itself."""
    assert plan.kept_within({1: 50, 2: 50}, {1: 50, 2: 20}) == {1: 50, 2: 50}
    assert plan.kept_within({1: 50, 2: 50}, {1: 100}) == {1: 50, 2: 1}
    assert plan.kept_within({1: 50, 2: 50}, {1: 70, 2: 10}) == {1: 50, 2: 30}
    assert plan.kept_within({2: 100}, {1: 30, 2: 90}) == {2: 90}
    assert plan.kept_within({1: 40, 2: 40, 3: 20}, {1: 70}) == {1: 40, 2: 25, 3: 5}


def test_limits_say_how_fast_calls_can_come_back_before_one_has() -> None:
    """The narrowest of them, in calls a second."""
    assert plan.allowed(None, None) is None
    assert plan.allowed(1200, None) == 20.0
    assert plan.allowed(1200, 600) == 10.0


def test_the_pace_is_that_of_the_fastest_moment_of_late() -> None:
    """Calls that were begun together come back together, and nothing between; an old wave counts less and less."""
    pace = plan.Pace(100.0)
    assert pace.rate(105.0) is None
    pace.count(200, 110.0)
    assert pace.rate(110.1) is None
    assert pace.rate(110.7) == 400.0
    later = pace.rate(114.7)
    assert later is not None and 150 < later < 250
    pace.count(5, 114.8)
    assert pace.rate(114.8) == later


def test_a_clock_that_is_set_back_makes_no_pace() -> None:
    """It begins to count anew."""
    pace = plan.Pace(100.0)
    pace.count(10, 100.1)
    pace.count(10, 40.0)
    assert pace.rate(40.1) == 20.0


def test_a_long_answer_is_cut_in_the_re_ask() -> None:
    """Four thousand characters are enough to see what was wrong."""
    said = plan.complaint("fix it", raw="x" * 9000, finish_reason="stop", problems=[])
    assert said.answer is not None and len(said.answer) == plan.ANSWER_CHARS


def test_an_answer_that_was_cut_off_or_refused_is_not_shown_again() -> None:
    """Showing it would ask for more of the same."""
    refusal = Problem(path="$", rule="refusal", expected="an answer", got="refused")
    assert plan.complaint("t", raw="{", finish_reason="length", problems=[]).answer is None
    assert plan.complaint("t", raw="I can't", finish_reason="stop", problems=[refusal]).answer is None


def test_a_lone_surrogate_in_the_answer_can_be_sent_again() -> None:
    """What UTF-8 cannot hold is replaced in the re-ask."""
    said = plan.complaint("t", raw="a\ud800b", finish_reason="stop", problems=[])
    assert said.answer == "a?b"
