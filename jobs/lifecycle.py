"""Every state of a run, a row and a dead letter, and what each outcome makes of a row: the whole machine on one page.

    row:   due -> dispatched -> accepted | dead | due again (with a strike, a wait, or nothing)
           due -> held (an equal row is being asked) -> accepted (reused) | due
           due | held -> cancelled;  dispatched -> cancelled when its call comes back without a verdict
    run:   running <-> paused;  running | paused -> cancelled;  running -> finished

Only ``accepted``, ``dead`` and ``cancelled`` are ends. Everything else counts as waiting. The rules are pure: chance and
the clock come in as arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from jobs.values import Failure, FailureKind

#: requests in a row that brought no reply, and the seconds they may span, before a row is dead as unreachable
MOST_TRIES, MOST_SECONDS = 6, 15 * 60.0
#: errors of ours, and calls lost with their lane, that a row may see
MOST_INTERNAL, MOST_LOST = 2, 4
#: full jitter under these, seconds
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
#: what max_tokens may be raised to after a reply that was cut off
MAX_TOKENS_CEILING = 16_384


class RowState(StrEnum):
    """Where a row of a run is."""

    DUE = "due"  #: waits for its turn, or for ``due_at``
    HELD = "held"  #: an equal row is being asked; its answer will serve
    DISPATCHED = "dispatched"  #: a call about it is on its way
    ACCEPTED = "accepted"  #: has a value
    DEAD = "dead"  #: struck out, or hopeless
    CANCELLED = "cancelled"  #: the run was cancelled before it had an end


ENDS = (RowState.ACCEPTED, RowState.DEAD, RowState.CANCELLED)
WAITING = (RowState.DUE, RowState.HELD, RowState.DISPATCHED)


class RunState(StrEnum):
    """Where a run is."""

    RUNNING = "running"  #: has rows to do
    PAUSED = "paused"  #: no new calls until resumed; its reason says who paused it
    CANCELLED = "cancelled"  #: no new calls ever; calls in flight are kept
    FINISHED = "finished"  #: every row has an end


class Resolution(StrEnum):
    """What has become of a dead letter."""

    OPEN = "open"  #: needs a person
    REPLAYING = "replaying"  #: a replay is at it
    FIXED = "fixed"  #: a replay brought a value
    CORRECTED = "corrected"  #: a person gave the value
    DISCARDED = "discarded"  #: a person said that it is not needed


#: what may follow what, for a person's request about a run
MAY = {
    "pause": (RunState.RUNNING,),
    "resume": (RunState.PAUSED,),
    "cancel": (RunState.RUNNING, RunState.PAUSED),
}


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """How often a row's requests have failed, before the present outcome."""

    tries: int = 0
    faults: int = 0
    waits: int = 0
    since: float | None = None


@dataclass(frozen=True, kw_only=True)
class Next:
    """What follows a failure: dead with a rule, or due again after seconds, and whether the run must pause."""

    trouble: Trouble
    dead: str | None = None
    after: float = 0.0
    pause: bool = False


def after_failure(failure: Failure, trouble: Trouble, *, now: float, chance: float) -> Next:
    """What follows a request that brought no reply to judge; none of it is a strike.

    Args:
        failure: what happened.
        trouble: what had happened to the row before.
        now: epoch seconds.
        chance: from [0, 1), the jitter.
    """
    match failure.kind:
        case FailureKind.THROTTLED:
            waits = trouble.waits + 1
            return Next(
                trouble=Trouble(tries=trouble.tries, faults=trouble.faults, waits=waits, since=trouble.since),
                after=(failure.retry_after or 0.0) + _jitter(waits, chance),
            )
        case FailureKind.TRANSIENT:
            tries, since = trouble.tries + 1, trouble.since if trouble.since is not None else now
            spent = Trouble(tries=tries, faults=trouble.faults, waits=0, since=since)
            if tries >= MOST_TRIES or now - since > MOST_SECONDS:
                return Next(trouble=spent, dead="unreachable")
            return Next(trouble=spent, after=max(failure.retry_after or 0.0, _jitter(tries, chance)))
        case FailureKind.BLOCKED:
            return Next(trouble=trouble, pause=True)
        case FailureKind.TOO_LONG:
            return Next(trouble=trouble, dead="too_long")
        case FailureKind.INTERNAL | FailureKind.LOST:
            faults = trouble.faults + 1
            most = MOST_INTERNAL if failure.kind is FailureKind.INTERNAL else MOST_LOST
            spent = Trouble(tries=trouble.tries, faults=faults, waits=trouble.waits, since=trouble.since)
            return Next(trouble=spent, dead="internal" if faults >= most else None)


def raised_max_tokens(asked_with: int, version: int) -> int:
    """max_tokens for the question after a reply that was cut off: doubled once, within a ceiling."""
    return max(asked_with, min(version * 2, MAX_TOKENS_CEILING))


def _jitter(times: int, chance: float) -> float:
    return chance * float(min(LONGEST_WAIT, FIRST_WAIT * 2.0**times))
