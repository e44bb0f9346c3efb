"""The pool's script on a clock of the test's own: what two lanes get from a provider whose limit is known, told, or to be found.

The script is the real one in a real server; only the line that reads the server's clock is another. The provider is a
reckoning: a bucket that lets calls through or refuses them.
"""

from __future__ import annotations

import heapq
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from redis import Redis

from jobs import dispatch, scripts
from jobs.allowance import AHEAD, Allowance
from jobs.limits import LONGEST_COOL, Grant, Report, Told
from jobs.llm import Rates, Window
from jobs.messages import Brief
from jobs.settings import Connection
from jobs.values import Failure, FailureKind, Usage
from tests.house import CONTENT

CLOCK = "local now = tonumber(ARGV[2]); "
Ask = Callable[[Report, float], Grant]
CALL = (1.0, 0.0, 0.0, 0.0)


@pytest.fixture
def ask(redis_address: str) -> Ask:
    """Asks one pool at a time of the test's choosing."""
    assert scripts.EXCHANGE.startswith(scripts.NOW)
    redis: Redis = dispatch.connect(redis_address)
    script = redis.register_script(CLOCK + scripts.EXCHANGE.removeprefix(scripts.NOW))
    pool = f"pool-{os.urandom(4).hex()}"
    return lambda report, now: Grant.of(*script(keys=[pool], args=[report.words(), now]))


# -- one step ----------------------------------------------------------------------------------------------------------


def test_a_pool_without_a_limit_is_free(ask: Ask) -> None:
    """Nothing known, nothing refused: a lane gets what it wants and need not ask for a while."""
    grant = ask(Report(wanted=500), 100.0)

    assert grant == Grant(calls=500, wait=0.0, free=True, short="")


def test_a_bucket_begins_nearly_empty_and_is_a_second_deep(ask: Ask) -> None:
    """600 a minute are 10 a second: one at first, ten after a second, and ten after an hour."""
    report = Report(wanted=100, limits=(600, 0, 0, 0))

    first, after_a_second, after_an_hour = ask(report, 100.0), ask(report, 101.0), ask(report, 4701.0)

    assert (first.calls, after_a_second.calls, after_an_hour.calls) == (1, 10, 10)
    assert first.short == "requests" and 0 < first.wait <= 0.1 and not first.free


def test_tokens_are_reserved_and_what_was_not_used_comes_back(ask: Ask) -> None:
    """A call that took less than it reserved makes room for the next at once; one that took more delays it."""
    limits, cost = (0, 6000, 0, 0), (1.0, 90.0, 60.0, 30.0)
    ask(Report(wanted=0, limits=limits, cost=cost), 100.0)

    first = ask(Report(wanted=3, limits=limits, cost=cost), 101.0)
    none = ask(Report(wanted=1, limits=limits, cost=cost), 101.0)
    after = ask(Report(wanted=1, limits=limits, cost=cost, back=(0, 85, 55, 30)), 101.0)
    debt = ask(Report(wanted=1, limits=limits, cost=cost, back=(0, -200, -200, 0)), 102.0)

    assert (first.calls, none.calls, none.short, after.calls) == (1, 0, "tokens", 1)
    assert debt.calls == 0 and debt.wait == pytest.approx(1.9, abs=0.3)


def test_a_call_dearer_than_a_second_is_not_kept_out_for_ever(ask: Ask) -> None:
    """With 600 tokens a minute a call of 50 waits until the bucket, which is deep enough for one call, has them."""
    limits, cost = (0, 600, 0, 0), (1.0, 50.0, 40.0, 10.0)

    granted = [ask(Report(wanted=1, limits=limits, cost=cost), 100.0 + second).calls for second in range(12)]

    assert sum(granted) == 2


def test_a_cool_down_holds_everybody_and_the_longest_counts(ask: Ask) -> None:
    """After the provider has said that nothing remains nobody gets anything, even where nothing else limits."""
    ask(Report(wanted=0, cool=5.0), 100.0)
    ask(Report(wanted=0, cool=1.0), 100.1)

    held, free = ask(Report(wanted=3), 102.0), ask(Report(wanted=3), 105.1)

    assert (held.calls, held.short, held.free) == (0, "cool", False) and held.wait == pytest.approx(3.0)
    assert free.calls == 3 and free.free


@pytest.mark.parametrize(
    ("told", "limits", "rate"),
    [
        (Told(dimension=0, limit=600, remaining=599, reset=0.1), (0, 0, 0, 0), 10),
        (Told(dimension=0, limit=600, remaining=599, reset=0.1), (1200, 0, 0, 0), 20),
        (Told(dimension=0, limit=600, remaining=599, reset=0.1), (300, 0, 0, 0), 5),
        (Told(dimension=0, limit=200, remaining=150, reset=40_000), (0, 0, 0, 0), None),
        (Told(dimension=0, limit=0, remaining=5, reset=1), (0, 0, 0, 0), None),
    ],
    ids=["told", "a person says more", "a person says less", "a limit a day is no rate", "no limit told"],
)
def test_a_person_goes_before_the_provider(ask: Ask, told: Told, limits: tuple[float, ...], rate: float | None) -> None:
    """Where both give a figure the person's holds; a limit of more than about a minute is no rate."""
    ask(Report(wanted=0, told=[told], limits=limits), 100.0)

    grant = ask(Report(wanted=1000, limits=limits), 110.0)

    assert grant.calls == (1000 if rate is None else rate)


def test_nothing_left_of_a_daily_limit_holds_everybody(ask: Ask) -> None:
    """A provider that says that nothing remains for hours is not asked for a minute."""
    ask(Report(wanted=0, told=[Told(dimension=0, limit=200, remaining=0, reset=40_000)]), 100.0)

    assert ask(Report(wanted=1), 150.0).short == "cool"


def test_what_others_have_used_is_heeded_and_a_stuck_header_is_not(ask: Ask) -> None:
    """A header that says 2 remain lowers what is there; one that says 0 for ever does not stop the run."""
    told = Told(dimension=0, limit=6000, remaining=2, reset=1)
    ask(Report(wanted=0, told=[told]), 100.0)
    ask(Report(wanted=0), 101.0)

    lowered = ask(Report(wanted=100, told=[told]), 102.0)
    stuck = [
        ask(Report(wanted=100, told=[Told(dimension=0, limit=60, remaining=0, reset=1)]), 110.0 + second).calls
        for second in range(60)
    ]

    assert lowered.calls == 2
    assert sum(stuck) >= 30


# -- lanes at a provider -----------------------------------------------------------------------------------------------


@dataclass
class Provider:
    """Lets calls through at a rate, refuses the others, and answers what it lets through after a while."""

    rate: float
    latency: float = 0.3
    tells: bool = False
    #: of all calls, the share that it refuses at random
    moody: float = 0.0
    level: float = 0.0
    at: float = 0.0
    let_through: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    number: int = 0

    def call(self, now: float) -> tuple[float, Failure | None, Rates]:
        """When the answer comes, and what it is."""
        self.level = min(self.rate, self.level + (now - self.at) * self.rate)
        self.at = now
        self.number += 1
        rates = Rates()
        if self.tells:
            left = int(self.level / self.rate * self.rate * 60)
            rates = Rates(
                requests=Window(limit=int(self.rate * 60), remaining=left, reset=(self.rate - self.level) / self.rate)
            )
        if self.level < 1 or (self.number * 7919 % 1000) < self.moody * 1000:
            self.refused.append(now)
            if self.tells:
                rates = replace(rates, retry_after=max(0.0, (1 - self.level) / self.rate))
            return now + 0.02, Failure(kind=FailureKind.THROTTLED, message="slow down", status=429), rates
        self.level -= 1
        self.let_through.append(now)
        return now + self.latency, None, rates

    def per_second(self, start: float, end: float) -> float:
        return sum(start <= at < end for at in self.let_through) / (end - start)

    def share_refused(self, start: float, end: float) -> float:
        refused = sum(start <= at < end for at in self.refused)
        return refused / max(1, refused + sum(start <= at < end for at in self.let_through))


BRIEF = Brief(
    run=1, kind="run", content=CONTENT, connection="c", base_url="http://a/v1", model="m", timeout=60, in_flight=200
)


def play(
    ask: Ask, provider: Provider, *, seconds: float, start: float = 1000.0, rpm: int | None = None, places: int = 100
) -> None:
    """Two lanes with work without end, each looking a hundred times a second."""
    connection = Connection(name="c", rpm=rpm)
    lanes = [Allowance(BRIEF, connection) for _ in range(2)]
    running = [0, 0]
    order = itertools.count()
    ends: list[tuple[float, int, int, tuple[float, ...], Failure | None, Rates]] = []
    for tick in range(int(seconds * 100)):
        now = start + tick / 100
        while ends and ends[0][0] <= now:
            _, _, lane, reserved, failure, rates = heapq.heappop(ends)
            running[lane] -= 1
            usage = None if failure else Usage(prompt=100, completion=20)
            lanes[lane].settle(reserved, usage=usage, failure=failure, rates=rates, now=now)
        for lane, allowance in enumerate(lanes):
            ready = places - running[lane]
            ahead = ready + running[lane] // AHEAD
            if allowance.wants(ahead, now=now):
                allowance.take(ask(allowance.report(ahead), now), now=now)
            for _ in range(min(ready, allowance.room(running[lane], now=now))):
                reserved = allowance.begin(now=now)
                running[lane] += 1
                at, failure, rates = provider.call(now)
                heapq.heappush(ends, (at, next(order), lane, reserved, failure, rates))


def test_a_known_limit_is_used_and_never_passed(ask: Ask) -> None:
    """At 150 calls a second that a person has told, all of them are made and none is refused."""
    provider = Provider(rate=150)
    play(ask, provider, seconds=20, rpm=9000)

    assert provider.per_second(1000, 1020) >= 0.97 * 150
    assert not provider.refused


def test_a_limit_that_headers_tell_is_used(ask: Ask) -> None:
    """The first replies tell; what was begun before them is all that can be refused."""
    provider = Provider(rate=150, tells=True, level=150)
    play(ask, provider, seconds=20)

    assert provider.per_second(1000, 1020) >= 0.97 * 150
    assert len(provider.refused) <= 60 and provider.share_refused(1001, 1020) < 0.005


def test_an_unknown_limit_is_found(ask: Ask) -> None:
    """Nobody tells anything: within seconds lanes send what is let through, and little more."""
    provider = Provider(rate=150, level=150)
    play(ask, provider, seconds=60)

    assert provider.per_second(1005, 1060) >= 0.97 * 150
    assert provider.share_refused(1005, 1060) < 0.03


def test_a_limit_that_is_halved_and_lifted_again_is_followed(ask: Ask) -> None:
    """A person's figure is no longer true: the evidence is."""
    provider = Provider(rate=150)
    play(ask, provider, seconds=10, rpm=9000)
    provider.rate = 75
    play(ask, provider, seconds=30, start=1010, rpm=9000)
    provider.rate = 150
    play(ask, provider, seconds=90, start=1040, rpm=9000)

    assert provider.per_second(1015, 1040) >= 0.95 * 75
    assert provider.share_refused(1015, 1040) < 0.05
    assert provider.per_second(1110, 1130) >= 0.95 * 150


def test_refusals_at_random_do_not_slow_a_run(ask: Ask) -> None:
    """One call in twenty is refused for no reason of rate: those wait, the others go on at full speed."""
    provider = Provider(rate=100_000, moody=0.05, level=100_000)
    play(ask, provider, seconds=10)

    assert provider.per_second(1001, 1010) >= 0.9 * 200 / 0.3


def test_refusals_at_random_do_not_hide_a_limit(ask: Ask) -> None:
    """With both, the limit is found all the same, and what is refused beyond the random share is little."""
    provider = Provider(rate=150, moody=0.05, level=150)
    play(ask, provider, seconds=60)

    assert provider.per_second(1010, 1060) >= 0.9 * 150 * 0.95
    assert provider.share_refused(1010, 1060) < 0.12


def test_a_told_limit_that_no_call_fits_into_still_lets_calls_through(ask: Ask) -> None:
    """A provider whose headers say one token a minute, and which answers all the same, does not stop a run."""
    told, cost = (Told(dimension=1, limit=1.0, remaining=0.0, reset=0.0),), (1.0, 60.0, 40.0, 20.0)
    grants = [ask(Report(wanted=8, cost=cost, told=told), 100.0 + seconds / 2) for seconds in range(1_200)]

    assert sum(grant.calls for grant in grants) >= 9, "one in a minute"


def test_a_cool_down_outlives_no_clock_that_is_set_back(ask: Ask) -> None:
    """Nobody is kept waiting longer than a provider is believed to want."""
    ask(Report(wanted=1, cool=30.0), 10_000.0)

    assert ask(Report(wanted=1), 6_400.0).wait <= LONGEST_COOL


def test_what_is_found_goes_on_being_learned_when_the_clock_is_set_back(ask: Ask) -> None:
    """The window of evidence ends in its second, not in the hour that comes twice."""
    ask(Report(wanted=100), 10_000.0)

    at_once = ask(Report(wanted=100, refused=30), 6_400.0)
    after = [ask(Report(wanted=100, window=at_once.window, refused=30), 6_400.0 + second / 2) for second in (1, 2, 3)]

    assert after[-1].window > at_once.window and not after[-1].free
