"""A lane's side of what may be sent: the calls of one run that may begin now, and what there is to tell the shared limits.

Where nothing limits a pool, a lane begins calls without asking and tells of them a moment later. Where something does, it
begins what it was granted. Tokens are reserved by what replies have taken, not by what they may take, and settled after each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.limits import LONGEST_COOL, NONE, Grant, Report, Told
from jobs.llm import Rates
from jobs.messages import Brief
from jobs.settings import Connection
from jobs.values import Failure, FailureKind, Usage

#: seconds that a go-ahead without a limit holds, and before its end when it is renewed, so that no call waits for it
FREE_SECONDS, RENEW_SECONDS = 0.2, 0.1
#: the longest and the shortest time between two questions to a pool that has nothing, seconds
LONGEST_WAIT, SHORTEST_WAIT = 0.5, 0.01
#: calls in flight to one that may begin at once when a place becomes free
AHEAD = 16
#: calls of a lane in flight to a pool that it has no reply from yet: at once, and more for each second without a refusal, which
#: comes sooner than a reply
FIRST_MOST, FIRST_MORE = 64, 200.0
#: replies that an estimate of tokens looks back on, the share of them that it covers, and replies between two estimates
LOOK_BACK, COVERED, EVERY = 256, 0.95, 16
#: where a provider does not say when a limit is full again
MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Reserved:
    """What a call was begun with: its cost by dimension, and the pool's window."""

    cost: tuple[float, float, float, float]
    window: int


class Tokens:
    """How many tokens a call of a version takes: learned from its replies."""

    def __init__(self, *, prompt: int, completion: int) -> None:
        """Begins with a guess."""
        self.prompt, self.completion = prompt, completion
        self._prompts: deque[int] = deque(maxlen=LOOK_BACK)
        self._completions: deque[int] = deque(maxlen=LOOK_BACK)
        self._fresh = 0

    def learn(self, usage: Usage) -> None:
        """Look at one reply."""
        self._prompts.append(usage.prompt)
        self._completions.append(usage.completion)
        self._fresh += 1
        if self._fresh >= EVERY or len(self._prompts) < EVERY:
            self._fresh = 0
            self.prompt, self.completion = _high(self._prompts), _high(self._completions)

    @property
    def cost(self) -> tuple[float, float, float, float]:
        """What one call is reckoned with, by dimension."""
        return (1.0, float(self.prompt + self.completion), float(self.prompt), float(self.completion))


def _high(figures: Sequence[int]) -> int:
    return sorted(figures)[min(len(figures) - 1, int(len(figures) * COVERED))]


class Allowance:
    """What a lane may begin of one run without asking."""

    def __init__(self, brief: Brief, connection: Connection) -> None:
        content = brief.content
        self.tokens = Tokens(prompt=len(content.template) // 3 + 64, completion=max(1, content.max_tokens // 2))
        self._limits = (float(connection.rpm or 0), float(connection.tpm or 0), 0.0, 0.0)
        self._run_limits = (float(brief.rpm or 0), float(brief.tpm or 0), 0.0, 0.0)
        self.has_run_limits = any(self._run_limits)
        self._granted = 0
        self._free_until = self._not_before = 0.0
        #: a reply has come; when the first call was begun; whether a refusal was what came first
        self._greeted = False
        self._first_at: float | None = None
        self._rebuffed = False
        self._window, self._sent, self._refused = 1, 0, 0
        self._cool = 0.0
        #: there is something that the pool should hear at once
        self._hurry = False
        self._back, self._run_back = list(NONE), list(NONE)
        self._told: dict[int, Told] = {}

    # -- beginning calls -----------------------------------------------------------------------------------------------

    def room(self, running: int, *, now: float) -> int:
        """Calls that may begin now, with so many running."""
        if now < self._free_until:
            return 1 << 30 if self._greeted else max(0, self._most_at_first(now) - running)
        return self._granted

    def _most_at_first(self, now: float) -> int:
        if self._first_at is None or self._rebuffed:
            return FIRST_MOST
        return FIRST_MOST + int((now - self._first_at) * FIRST_MORE)

    def begin(self, *, now: float) -> Reserved:
        """Take one; what is reserved for it."""
        if self._first_at is None:
            self._first_at = now
        if now < self._free_until:
            self._sent += 1
        else:
            self._granted -= 1
        return Reserved(self.tokens.cost, self._window)

    def wants(self, ready: int, *, now: float) -> bool:
        """Whether the pool is to be asked now."""
        if self._hurry:
            return True
        if now < self._not_before or now < self._free_until - RENEW_SECONDS:
            return False
        return ready > self._granted or self._sent > 0

    # -- what came back ------------------------------------------------------------------------------------------------

    def settle(
        self, reserved: Reserved, *, usage: Usage | None, failure: Failure | None, rates: Rates, now: float
    ) -> None:
        """One call has ended: its tokens were used or not, and the provider may have told of its limits."""
        refused = failure is not None and failure.kind is FailureKind.THROTTLED
        self._greeted, self._rebuffed = self._greeted or not refused, self._rebuffed or refused
        used = NONE
        if usage is not None:
            self.tokens.learn(usage)
            used = (1.0, float(usage.prompt + usage.completion), float(usage.prompt), float(usage.completion))
        for place in (1, 2, 3):
            self._back[place] += reserved.cost[place] - used[place]
            self._run_back[place] += reserved.cost[place] - used[place]
        if rates:
            self._hear(rates, now=now)
        if refused:
            self._refused += reserved.window == self._window
            self._cool = max(self._cool, _nothing_left(rates))
            self._hurry = True
        if failure is not None and failure.kind is FailureKind.BLOCKED:
            self._free_until, self._granted = 0.0, 0

    def _hear(self, rates: Rates, *, now: float) -> None:
        windows = (rates.requests, rates.tokens, rates.input_tokens, rates.output_tokens)
        for place, window in enumerate(windows):
            if window.limit is not None and now < self._free_until:
                # Nobody knew of a limit: from here on the pool says what may begin.
                self._free_until, self._hurry = now, True
            if window.limit is not None or window.remaining is not None:
                self._told[place] = Told(
                    dimension=place,
                    limit=float(window.limit or 0),
                    remaining=-1.0 if window.remaining is None else float(window.remaining),
                    reset=MINUTE if window.reset is None else window.reset,
                )

    # -- asking --------------------------------------------------------------------------------------------------------

    def report(self, wanted: int) -> Report:
        """What to tell the pool, once."""
        made = Report(
            wanted=wanted,
            cost=self.tokens.cost,
            back=tuple(self._back),
            window=self._window,
            sent=self._sent,
            refused=self._refused,
            cool=self._cool,
            limits=self._limits,
            told=tuple(self._told.values()),
        )
        self._sent = self._refused = 0
        self._cool = 0.0
        self._hurry = False
        self._back = list(NONE)
        self._told = {}
        return made

    def run_report(self, wanted: int) -> Report:
        """The same for the run's own limits."""
        made = Report(wanted=wanted, cost=self.tokens.cost, back=tuple(self._run_back), limits=self._run_limits)
        self._run_back = list(NONE)
        return made

    def take(self, grant: Grant, *, now: float) -> None:
        """What the pool answered."""
        self._granted += grant.calls
        self._window = grant.window
        if grant.free and not self.has_run_limits:
            self._free_until, self._granted = now + FREE_SECONDS, 0
        elif grant.short:
            self._not_before = now + min(max(grant.wait, SHORTEST_WAIT), LONGEST_WAIT)

    def take_of_run(self, grant: Grant, used: int, *, now: float) -> None:
        """What the run's own limits answered, and how much of it the pool let through."""
        unused = grant.calls - used
        for place, cost in enumerate(self.tokens.cost):
            self._run_back[place] += unused * cost
        if grant.short:
            self._not_before = max(self._not_before, now + min(max(grant.wait, SHORTEST_WAIT), LONGEST_WAIT))


def _nothing_left(rates: Rates) -> float:
    """Seconds for which the provider says that nothing remains; 0 where it does not."""
    windows = (rates.requests, rates.tokens, rates.input_tokens, rates.output_tokens)
    resets = [window.reset for window in windows if window.remaining == 0 and window.reset]
    if not resets:
        return 0.0
    return min(max(resets) if rates.retry_after is None else rates.retry_after, LONGEST_COOL)
