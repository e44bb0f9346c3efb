"""Every state of a run, a row and a dead letter, and what each outcome makes of a row: the whole machine on one page.

    row:   due -> dispatched -> accepted | dead | due again (with a strike, a wait, or nothing)
           due -> held (an equal row is being asked) -> accepted (reused) | due
           due | held -> cancelled;  dispatched -> cancelled when its call comes back without a verdict
    run:   running <-> paused;  running | paused -> cancelled;  running -> finished

Only ``accepted``, ``dead`` and ``cancelled`` are ends. Everything else counts as waiting. The rules are pure: chance comes in
as an argument, and no rule looks at a clock, so that a pause or a night without a worker counts against no row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from jobs.values import Failure, FailureKind

#: requests in a row that brought no reply, and the seconds that they and the waits between them may take, before a row is dead
#: as unreachable
MOST_TRIES, MOST_SECONDS = 6, 15 * 60.0
#: errors of ours, and calls lost with their lane, each counted for itself, that a row may see
MOST_INTERNAL, MOST_LOST = 2, 4
#: full jitter under these, seconds
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
#: no provider is believed to want a row to wait longer, seconds
LONGEST_ASKED = 3600.0
#: what max_tokens may be raised to after a reply that was cut off, or for several rows
MAX_TOKENS_CEILING = 16_384


#: failures that one row may have brought upon a call: one about several is halved, and counts against none of them
OF_ONE_ROW = (FailureKind.TOO_LONG, FailureKind.INTERNAL)


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
    """How often a row's requests have failed since the last reply, before the present outcome."""

    #: requests that brought no reply
    tries: int = 0
    #: errors of ours
    faults: int = 0
    #: calls lost with their lane
    losses: int = 0
    #: throttles in a row
    waits: int = 0
    #: seconds that the tries took, and the waits between them; never the time in which nobody tried
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Next:
    """What follows a failure: dead with a rule, or due again after seconds, and whether the run must pause."""

    trouble: Trouble
    dead: str | None = None
    after: float = 0.0
    pause: bool = False


def after_failure(failure: Failure, trouble: Trouble, *, seconds: float, chance: float) -> Next:
    """What follows a request that brought no reply to judge; none of it is a strike.

    Args:
        failure: what happened.
        trouble: what had happened to the row before.
        seconds: that the request took.
        chance: from [0, 1), the jitter.
    """
    match failure.kind:
        case FailureKind.THROTTLED:
            waits = trouble.waits + 1
            after = min(failure.retry_after or 0.0, LONGEST_ASKED) + _jitter(waits, chance)
            return Next(trouble=replace(trouble, waits=waits), after=after)
        case FailureKind.TRANSIENT:
            tries, spent = trouble.tries + 1, trouble.seconds + seconds
            # A request that took its time has waited already: a timeout is followed at once.
            after = max(min(failure.retry_after or 0.0, LONGEST_ASKED), _jitter(tries, chance) - seconds)
            dead = "unreachable" if tries >= MOST_TRIES or spent > MOST_SECONDS else None
            return Next(trouble=replace(trouble, tries=tries, waits=0, seconds=spent + after), dead=dead, after=after)
        case FailureKind.BLOCKED:
            return Next(trouble=trouble, pause=True)
        case FailureKind.TOO_LONG:
            return Next(trouble=trouble, dead="too_long")
        case FailureKind.INTERNAL:
            faults = trouble.faults + 1
            return Next(trouble=replace(trouble, faults=faults), dead="internal" if faults >= MOST_INTERNAL else None)
        case FailureKind.LOST:
            losses = trouble.losses + 1
            return Next(trouble=replace(trouble, losses=losses), dead="internal" if losses >= MOST_LOST else None)


def raised_max_tokens(asked_with: int, version: int) -> int:
    """max_tokens for the question after a reply that was cut off: doubled once, within a ceiling."""
    return max(asked_with, min(version * 2, MAX_TOKENS_CEILING))


def _jitter(times: int, chance: float) -> float:
    return chance * float(min(LONGEST_WAIT, FIRST_WAIT * 2.0**times))
