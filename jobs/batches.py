"""A batch of calls at a provider's batch endpoint: where it is, what is done about it next, and when.

    making -> ready -> submitted -> returned -> ended
              ready again, under another token, where the provider has no room for it yet

Pure: the store keeps the batches, the keeper hands out their steps and lanes do them. A step can be done twice: a batch that
was submitted but not noted is found again by its token, one that was read before has nothing left to be read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from jobs.messages import StepKind, StepReport

#: seconds to the next look: a tenth of what has passed, within these; the first is a connection's ``batch_poll``
SHARE, LONGEST_POLL = 0.1, 60.0
#: times ``batch_poll`` to wait where a provider has no room for a batch yet, or asks for time
PATIENCE = 12.0
#: looks in a row at which a provider has nothing of what must be there, until nothing more is expected of a batch
MOST_VAIN = 6
#: a provider's words for a batch that will not change any more
OVER = ("completed", "failed", "expired", "cancelled")
#: how a provider says that it holds as much of ours as it will
_FULL = ("token_limit", "enqueued token", "enqueued_token", "batch_limit", "queue limit")


class BatchState(StrEnum):
    """Where a batch is."""

    MAKING = "making"  #: rows are gathered for it
    READY = "ready"  #: to be submitted, or a lane is at that
    SUBMITTED = "submitted"  #: with the provider
    RETURNED = "returned"  #: over there; its files are to be read
    ENDED = "ended"  #: each of its rows has been answered, or is due again


@dataclass(frozen=True, kw_only=True)
class Size:
    """What is in a batch, or fits into one."""

    calls: int = 0
    #: estimated, before it is rendered
    bytes: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(calls=self.calls + other.calls, bytes=self.bytes + other.bytes)

    def holds(self, other: Size) -> bool:
        """Whether the other is no larger in either."""
        return other.calls <= self.calls and other.bytes <= self.bytes


def fitting(sizes: Iterable[Size], *, held: Size, most: Size) -> int:
    """How many calls, in this order, still go into a batch that holds so much; one at least goes into an empty one."""
    count = 0
    for size in sizes:
        held += size
        if not most.holds(held) and held.calls > 1:
            break
        count += 1
    return count


def poll_after(seconds: float, *, first: float) -> float:
    """Seconds to the next look, so many seconds after a batch was submitted."""
    return max(first, min(seconds * SHARE, LONGEST_POLL))


def next_step(state: BatchState, *, status: str | None, run_state: str) -> StepKind:
    """What a lane is to do about a batch.

    Args:
        state: where it is; one of those in which something is to be done.
        status: the provider's last word for it.
        run_state: a batch of a run that does not go on is not submitted, and one of a cancelled run not gone on with.
    """
    if state is BatchState.READY:
        return "submit" if run_state == "running" else "find"
    if state is BatchState.RETURNED:
        return "read"
    return "cancel" if run_state == "cancelled" and status != "cancelling" else "look"


@dataclass(frozen=True, kw_only=True)
class Next:
    """What follows what a lane has reported."""

    state: BatchState
    #: seconds to the next step
    after: float = 0.0
    #: to be submitted once more, as another batch
    renewed: bool = False
    #: why the run is paused, in words; None where it is not
    pause: str | None = None
    #: nobody knows what became of the calls that nothing is recorded of, so their money stays spent
    lost: bool = False
    #: nothing of it was run, so its rows wait as if it had not been made
    unrun: bool = False
    #: looks in a row that were in vain
    vain: int = 0
    #: what people read of the batch; None: what the lane has said
    words: str | None = None


def after_report(
    state: BatchState, report: StepReport, *, passed: float, first: float, is_cancelled: bool, vain: int = 0
) -> Next:
    """What follows a report about a batch. What may be there is not given up before ``MOST_VAIN`` looks, or a person's word.

    Args:
        state: where the batch is.
        report: what a lane says.
        passed: seconds since the batch was submitted, or made.
        first: the connection's ``batch_poll``.
        is_cancelled: whether its run is.
        vain: looks in a row that were in vain before.
    """
    wait = poll_after(passed, first=first)
    match report.result:
        case "again":
            return Next(state=state, after=max(wait, min(report.retry_after or 0.0, first * PATIENCE)), vain=vain)
        case "full":
            return Next(state=state, after=first * PATIENCE, vain=vain)
        case "refused":
            return Next(state=BatchState.ENDED, pause=report.words, unrun=True)
        case "blocked":
            return Next(state=state, after=LONGEST_POLL, pause=report.words, vain=vain)
        case "gone":
            return _gone(state, report, first=first, is_cancelled=is_cancelled, vain=vain + 1)
        case "nothing":
            return Next(state=BatchState.ENDED, unrun=True)
        case "done":
            return _done(state, report, wait=wait, first=first)


def _gone(state: BatchState, report: StepReport, *, first: float, is_cancelled: bool, vain: int) -> Next:
    if is_cancelled or vain >= MOST_VAIN:
        rows = "" if is_cancelled else "its rows without an answer are asked again and "
        words = f"given up, {rows}what it may have cost stays set aside: {report.words}"
        return Next(state=BatchState.ENDED, lost=True, words=words)
    if state is BatchState.READY:
        # Nobody but a person can tell whether it is there; their resuming the run says that they have looked.
        return Next(state=state, after=LONGEST_POLL, pause=report.words, vain=1)
    words = f"look {vain} of {MOST_VAIN} was in vain: {report.words}"
    return Next(state=state, after=first * PATIENCE * vain, vain=vain, words=words)


def _done(state: BatchState, report: StepReport, *, wait: float, first: float) -> Next:
    if report.kind != "read":
        over = report.remote is not None and report.remote.status in OVER
        after = first if state is BatchState.READY else wait
        return Next(state=BatchState.RETURNED) if over else Next(state=BatchState.SUBMITTED, after=after)
    status = report.remote.status if report.remote is not None else None
    if report.remote is None or status != "failed" or report.lines:
        # What a completed batch has no line of may have been charged; what others have none of was not come to.
        return Next(state=BatchState.ENDED, lost=status == "completed")
    if is_full(report.remote.words):
        return Next(state=BatchState.READY, after=first * PATIENCE, renewed=True)
    return Next(state=BatchState.ENDED, pause=f"the provider refused the batch: {report.remote.words}", unrun=True)


def is_full(words: str) -> bool:
    """Whether a provider says that it holds as much of ours as it will, and that there will be room later."""
    low = words.lower()
    return any(mark in low for mark in _FULL)
