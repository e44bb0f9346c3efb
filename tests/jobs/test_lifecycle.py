"""What follows what, as a table."""

from __future__ import annotations

import pytest

from jobs.lifecycle import LONGEST_ASKED, MOST_SECONDS, MOST_TRIES, Trouble, after_failure, raised_max_tokens
from jobs.values import Failure, FailureKind


def failed(kind: FailureKind, retry_after: float | None = None) -> Failure:
    return Failure(kind=kind, message="m", retry_after=retry_after)


def test_a_throttle_has_no_limit_of_tries() -> None:
    """A thousand throttles wait and never kill a row."""
    trouble = Trouble()
    for _ in range(1000):
        following = after_failure(failed(FailureKind.THROTTLED), trouble, seconds=1.0, chance=0.99)
        assert following.dead is None and not following.pause
        trouble = following.trouble
    assert trouble.tries == 0 and trouble.waits == 1000


def test_retry_after_is_a_floor_under_the_jitter() -> None:
    """What the provider asks for is waited at least."""
    least = after_failure(failed(FailureKind.THROTTLED, 7.0), Trouble(), seconds=1.0, chance=0.0)
    most = after_failure(failed(FailureKind.THROTTLED, 7.0), Trouble(waits=20), seconds=1.0, chance=0.999)

    assert least.after == 7.0
    assert 7.0 < most.after <= 7.0 + 30.0


@pytest.mark.parametrize("kind", [FailureKind.THROTTLED, FailureKind.TRANSIENT])
def test_no_provider_puts_a_row_off_for_days(kind: FailureKind) -> None:
    """An hour is the longest that a row is told to wait."""
    assert after_failure(failed(kind, 99_999_999.0), Trouble(), seconds=1.0, chance=0.0).after == LONGEST_ASKED


def test_a_transient_failure_is_tried_six_times_and_then_unreachable() -> None:
    """The sixth request in a row without a reply makes the row dead, with no strike."""
    trouble, deaths = Trouble(), []
    for _ in range(MOST_TRIES):
        following = after_failure(failed(FailureKind.TRANSIENT), trouble, seconds=1.0, chance=0.5)
        deaths.append(following.dead)
        trouble = following.trouble
    assert deaths == [None] * (MOST_TRIES - 1) + ["unreachable"]


@pytest.mark.parametrize(
    ("before", "took", "dead"),
    [
        (MOST_SECONDS - 10.0, 9.0, None),
        (MOST_SECONDS - 10.0, 11.0, "unreachable"),
        (0.0, MOST_SECONDS + 1.0, "unreachable"),
    ],
)
def test_a_transient_series_ends_after_fifteen_minutes_of_trying(before: float, took: float, dead: str | None) -> None:
    """The time that its requests took counts, and no clock is looked at."""
    following = after_failure(failed(FailureKind.TRANSIENT), Trouble(tries=1, seconds=before), seconds=took, chance=0.5)
    assert following.dead == dead


def test_the_waits_between_tries_count_as_time_of_trying() -> None:
    """What a provider asked us to wait is part of the series."""
    first = after_failure(failed(FailureKind.TRANSIENT, 900.0), Trouble(), seconds=2.0, chance=0.0)
    second = after_failure(failed(FailureKind.TRANSIENT), first.trouble, seconds=2.0, chance=0.0)

    assert (first.dead, first.trouble.seconds, second.dead) == (None, 902.0, "unreachable")


@pytest.mark.parametrize(
    ("kind", "times", "dead"),
    [
        (FailureKind.INTERNAL, 1, None),
        (FailureKind.INTERNAL, 2, "internal"),
        (FailureKind.LOST, 3, None),
        (FailureKind.LOST, 4, "internal"),
        (FailureKind.TOO_LONG, 1, "too_long"),
    ],
)
def test_hopeless_rows_die(kind: FailureKind, times: int, dead: str | None) -> None:
    """An error of ours is tried once more; a row that takes its lane with it four times is given up."""
    trouble, last = Trouble(), None
    for _ in range(times):
        following = after_failure(failed(kind), trouble, seconds=1.0, chance=0.0)
        trouble, last = following.trouble, following.dead
    assert last == dead


def test_losses_and_errors_of_ours_are_counted_apart() -> None:
    """Three lost lanes and one error are within both limits."""
    trouble, deaths = Trouble(), []
    for kind in (FailureKind.LOST, FailureKind.LOST, FailureKind.INTERNAL, FailureKind.LOST):
        following = after_failure(failed(kind), trouble, seconds=1.0, chance=0.0)
        trouble, deaths = following.trouble, [*deaths, following.dead]
    assert deaths == [None] * 4


def test_a_rejected_key_pauses_the_run_and_leaves_the_row() -> None:
    """What is wrong with the whole run is not the row's fault."""
    following = after_failure(failed(FailureKind.BLOCKED), Trouble(tries=2), seconds=1.0, chance=0.0)
    assert following.pause and following.dead is None and following.trouble == Trouble(tries=2)


@pytest.mark.parametrize(("asked", "version", "then"), [(100, 100, 200), (200, 100, 200), (20_000, 20_000, 20_000)])
def test_max_tokens_doubles_once_within_a_ceiling(asked: int, version: int, then: int) -> None:
    """Twice the version's figure, never more, and never less than what was asked."""
    assert raised_max_tokens(asked, version) == then


def test_a_timeout_is_followed_at_once() -> None:
    """The wait counts from the request's beginning: a row that has hung for a minute has waited long enough, a quick 500 has not."""
    hung = after_failure(failed(FailureKind.TRANSIENT), Trouble(), seconds=60.0, chance=0.9)
    quick = after_failure(failed(FailureKind.TRANSIENT), Trouble(), seconds=0.1, chance=0.9)

    assert hung.after == 0.0
    assert quick.after == pytest.approx(0.8)
