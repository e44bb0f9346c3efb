"""What a lane may begin without asking, as a table of moments."""

from __future__ import annotations

import pytest

from jobs.allowance import FIRST_MORE, FIRST_MOST, FREE_SECONDS, Allowance, Tokens
from jobs.limits import Grant
from jobs.llm import Rates, Window
from jobs.messages import Brief
from jobs.settings import Connection
from jobs.values import Failure, FailureKind, Usage
from tests.house import CONTENT

FREE = Grant(calls=0, free=True)
THROTTLED = Failure(kind=FailureKind.THROTTLED, message="slow down", status=429)
BLOCKED = Failure(kind=FailureKind.BLOCKED, message="wrong key", status=401)


def allowance(*, rpm: int | None = None, run_rpm: int | None = None) -> Allowance:
    brief = Brief(
        run=1, kind="run", content=CONTENT, connection="c", base_url="http://a/v1", model="m", timeout=60, in_flight=8,
        rpm=run_rpm,
    )  # fmt: skip
    return Allowance(brief, Connection(name="c", rpm=rpm))


def test_nothing_begins_before_the_pool_has_answered() -> None:
    """A lane knows nothing at first."""
    fresh = allowance()

    assert fresh.room(0, now=10.0) == 0 and fresh.wants(5, now=10.0)


def test_a_pool_that_has_not_answered_yet_is_met_with_few_calls() -> None:
    """However many places there are: the first replies may tell of a limit."""
    fresh = allowance()
    fresh.take(FREE, now=10.0)
    before = fresh.room(FIRST_MOST - 3, now=10.0)

    fresh.settle(fresh.begin(now=10.0), usage=Usage(prompt=10, completion=2), failure=None, rates=Rates(), now=10.1)

    assert before == 3 and fresh.room(FIRST_MOST, now=10.1) > 1_000


def test_it_is_met_with_more_each_moment_until_it_refuses() -> None:
    """A refusal comes sooner than a reply: so long as there is none more calls begin, and with the first no more do."""
    fresh = allowance()
    fresh.take(FREE, now=10.0)
    first = fresh.begin(now=10.0)
    at_once, later = fresh.room(0, now=10.0), fresh.room(0, now=10.05)

    throttled = Failure(kind=FailureKind.THROTTLED, message="slow down")
    fresh.settle(first, usage=None, failure=throttled, rates=Rates(), now=10.06)

    assert (at_once, later) == (FIRST_MOST, FIRST_MOST + FIRST_MORE * 0.05)
    assert fresh.room(0, now=10.1) == FIRST_MOST


def test_a_free_pool_is_asked_again_before_its_word_runs_out() -> None:
    """So that no call waits for the answer."""
    free = allowance()
    free.take(FREE, now=10.0)
    free.begin(now=10.0)

    assert not free.wants(5, now=10.05)
    assert free.wants(5, now=10.0 + FREE_SECONDS - 0.05) and free.room(0, now=10.0 + FREE_SECONDS - 0.05) > 0
    assert free.room(0, now=10.0 + FREE_SECONDS) == 0


def test_what_was_begun_without_asking_is_told_once() -> None:
    """The pool counts every call."""
    free = allowance()
    free.take(FREE, now=10.0)
    free.begin(now=10.0)
    free.begin(now=10.0)

    assert (free.report(0).sent, free.report(0).sent) == (2, 0)


def test_a_limit_that_a_reply_tells_ends_the_freedom_at_once() -> None:
    """From then on the pool says what may begin."""
    free = allowance()
    free.take(FREE, now=10.0)
    told = Rates(requests=Window(limit=600, remaining=599, reset=0.1))

    free.settle(free.begin(now=10.0), usage=None, failure=None, rates=told, now=10.1)

    assert free.room(0, now=10.1) == 0 and free.wants(1, now=10.1)
    (heard,) = free.report(1).told
    assert (heard.dimension, heard.limit, heard.remaining, heard.reset) == (0, 600.0, 599.0, 0.1)


@pytest.mark.parametrize(
    ("rates", "cool"),
    [
        (Rates(), 0.0),
        (Rates(retry_after=5.0), 0.0),
        (Rates(requests=Window(limit=600, remaining=3, reset=4.0), retry_after=5.0), 0.0),
        (Rates(requests=Window(limit=600, remaining=0, reset=4.0)), 4.0),
        (Rates(tokens=Window(remaining=0, reset=4.0), retry_after=1.5), 1.5),
        (Rates(tokens=Window(remaining=0, reset=4_000.0)), 60.0),
    ],
    ids=["no word", "this row", "something left", "nothing left", "the provider's own wait", "no longer than a minute"],
)
def test_only_nothing_left_cools_everybody_down(rates: Rates, cool: float) -> None:
    """A refusal alone is about one call; headers that say that nothing remains are about all."""
    free = allowance()
    free.take(FREE, now=10.0)

    free.settle(free.begin(now=10.0), usage=None, failure=THROTTLED, rates=rates, now=10.1)
    report = free.report(0)

    assert report.refused == 1 and report.cool == cool


def test_a_refusal_of_an_earlier_window_is_no_evidence() -> None:
    """It says nothing about the rate of now."""
    free = allowance()
    free.take(FREE, now=10.0)
    old = free.begin(now=10.0)
    free.take(Grant(calls=0, free=True, window=2), now=10.1)

    free.settle(old, usage=None, failure=THROTTLED, rates=Rates(), now=10.2)

    assert free.report(0).refused == 0


def test_a_blocked_call_takes_all_that_was_granted() -> None:
    """A key that is refused is refused for the next call too."""
    limited = allowance(rpm=60)
    limited.take(Grant(calls=3), now=10.0)

    limited.settle(limited.begin(now=10.0), usage=None, failure=BLOCKED, rates=Rates(), now=10.1)

    assert limited.room(0, now=10.1) == 0


def test_tokens_that_were_not_used_go_back_also_after_a_failure() -> None:
    """A call that failed used none; the request itself stays counted."""
    limited = allowance(rpm=60)
    limited.take(Grant(calls=2), now=10.0)
    cost = limited.tokens.cost

    limited.settle(limited.begin(now=10.0), usage=None, failure=THROTTLED, rates=Rates(), now=10.1)

    assert limited.report(0).back == (0.0, cost[1], cost[2], cost[3])


def test_a_runs_own_limit_is_never_free_and_gets_back_what_the_pool_kept() -> None:
    """A person's figure for the run holds beside the pool's."""
    own = allowance(run_rpm=60)
    assert own.has_run_limits and own.run_report(5).limits == (60.0, 0.0, 0.0, 0.0)

    own.take_of_run(Grant(calls=5), 2, now=10.0)
    own.take(Grant(calls=2, free=True), now=10.0)

    assert own.room(0, now=10.0) == 2
    assert own.run_report(0).back[0] == 3.0


def test_what_a_call_takes_is_learned_from_replies() -> None:
    """A high percentile of the last replies, and not max_tokens; an odd long one does not count for long."""
    tokens = Tokens(prompt=1_000, completion=4_000)

    for number in range(400):
        tokens.learn(Usage(prompt=100 + number % 10, completion=5_000 if number < 20 else 20 + number % 5))

    assert tokens.cost == (1.0, 109.0 + 24.0, 109.0, 24.0)
