"""Stop 2: which rows are asked next, what is asked about each, and which need not be asked at all.

Pure: the store finds the rows, the keeper keeps the books. A row is asked through the columns that the template uses and
nothing else, so two rows that agree on those are one question.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from jobs.lifecycle import MAX_TOKENS_CEILING
from jobs.messages import Complaint
from jobs.values import SIZE, Problem, VersionContent

#: what shares places: a run and a rung of it, or whatever else has an order
K = TypeVar("K", int, tuple[int, int])

#: characters of the last invalid answer that a re-ask shows
ANSWER_CHARS = 4_000
#: calls behind those in flight: for how many seconds, and at least
BEHIND_SECONDS, LEAST_BEHIND = 0.3, 8
#: seconds over which calls that come back are counted, and after which such a count is worth half
PACE_SECONDS, HALF_LIFE = 0.5, 4.0
#: characters of the cells of a call about several rows, and tokens that an answer's id and brackets take
PARCEL_CHARS, ID_TOKENS = 60_000, 24


def reuse_key(
    *, base_url: str, model: str, content: VersionContent, version_hash: str, cells: Mapping[str, str], doubts: str = ""
) -> bytes:
    """Names the question: equal for rows that would be asked the same thing of the same model.

    Args:
        base_url: the connection's.
        model: the resolved one, which may differ from the version's.
        content: its settings are inside ``version_hash``; taken so that a caller cannot pass one without the other.
        version_hash: the tagged hash of the content.
        cells: the columns that the template uses, and only those.
        doubts: what the answer has passed beside its contract; it is good only where no more is asked for.
    """
    parts = [base_url, model, version_hash, content.max_tokens, sorted(cells.items())]
    question = json.dumps([*parts, doubts] if doubts else parts, ensure_ascii=True).encode()
    return hashlib.sha256(question).digest()[:20]


def window(in_flight: int, rate: float | None) -> int:
    """Calls of a run that may stand on the stream or be under way: as many as are in flight, and what they come back to.

    Those behind them are for the time until the keeper puts more, and no more than that: what comes after them on the stream, a
    smaller run's calls, waits for all of them.

    Args:
        in_flight: the most calls of the run at once.
        rate: calls a second that have come back lately; None where that is not known yet.
    """
    behind = in_flight if rate is None else min(in_flight * 3 // 2, round(rate * BEHIND_SECONDS))
    return in_flight + max(LEAST_BEHIND, behind)


def allowed(*limits: int | None) -> float | None:
    """Calls a second that limits a minute allow; None where there is none."""
    told = [limit / 60 for limit in limits if limit is not None]
    return min(told) if told else None


class Pace:
    """How many calls of a run come back in a second: the most of late, since they come in waves."""

    def __init__(self, now: float) -> None:
        self._since, self._count = now, 0
        self._rate: float | None = None

    def count(self, calls: int, now: float) -> None:
        """So many have come back."""
        self._turn(now)
        self._count += calls

    def rate(self, now: float) -> float | None:
        """Calls a second; None until they have been counted once, since the first of a wave say nothing of it."""
        self._turn(now)
        return None if self._rate is None else max(self._rate, self._count / PACE_SECONDS)

    def _turn(self, now: float) -> None:
        passed = (now - self._since) / PACE_SECONDS
        if not 0 <= passed < 1:
            if self._rate is not None or self._count:
                kept = (self._rate or 0.0) * 0.5 ** (max(0.0, passed) * PACE_SECONDS / HALF_LIFE)
                self._rate = max(kept, self._count / PACE_SECONDS)
            self._since, self._count = now, 0


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """A run, or an upper rung of one, and the connection and model that it shares with others."""

    run: int
    rung: int = 0
    pool: tuple[str, str]
    #: the most calls that it may have in flight
    in_flight: int
    #: rows of it that calls could be about, as far as they are counted
    left: int

    @property
    def stand(self) -> tuple[int, int]:
        """The run and the rung."""
        return self.run, self.rung

    @property
    def use(self) -> int:
        """Calls that it has use for; in steps, since lanes are told of every other figure."""
        return min(self.in_flight, 1 << max(0, self.left - 1).bit_length())


def in_flight(runs: Sequence[Pooled], connections: Mapping[str, int]) -> dict[tuple[int, int], int]:
    """How many calls of each run may be in flight: together no more than its connection takes, or than the widest run may have.

    Shared evenly, and what a narrow run leaves is for the others, or one that is near its end or waits for a batch; each has one
    at least, and a run alone all that it may have.

    Args:
        runs: those that go on.
        connections: calls that each takes at once.
    """
    given: dict[tuple[int, int], int] = {}
    pools: dict[tuple[str, str], list[Pooled]] = {}
    for run in runs:
        pools.setdefault(run.pool, []).append(run)
    for (connection, _), members in pools.items():
        left = max(connections.get(connection, 0), *(run.in_flight for run in members), len(members))
        if len(members) == 1:
            given[members[0].stand] = members[0].in_flight
            continue
        for place, run in enumerate(sorted(members, key=lambda run: (run.use, run.stand))):
            given[run.stand] = min(run.use, left // (len(members) - place))
            left -= given[run.stand]
    return given


def kept_within(given: Mapping[K, int], held: Mapping[K, int]) -> dict[K, int]:
    """The same for as long as runs of one pool hold more than they may: so much less for those that could begin more.

    Else a run that is paused or has to share would have its old calls in flight beside the new ones of another.

    Args:
        given: calls in flight that each run of the pool may have.
        held: places that lanes hold of it now, of runs that do not go on too.
    """
    beyond = sum(max(0, places - given.get(run, 0)) for run, places in held.items())
    kept = dict(given)
    free = {run: most - held.get(run, 0) for run, most in given.items() if most > held.get(run, 0)}
    for place, run in enumerate(sorted(free, key=lambda run: (free[run], run))):
        less = min(kept[run] - 1, free[run], -(-beyond // (len(free) - place)))
        kept[run] -= less
        beyond -= less
    return kept


@dataclass(frozen=True, kw_only=True)
class Due:
    """A run that has rows due and room in its window."""

    run: int
    #: rows without an end
    left: int
    #: free places in its window
    room: int


def shares(runs: Sequence[Due], at_once: int) -> dict[int, int]:
    """How many rows of each run to dispatch now: in turns, the run with the least left to do first.

    Args:
        runs: those that could go on.
        at_once: rows to dispatch in all.
    """
    left = {one.run: one.room for one in sorted(runs, key=lambda one: (one.left, one.run))}
    given = dict.fromkeys(left, 0)
    while at_once > 0 and left:
        turn = max(1, at_once // len(left))
        for run in list(left):
            take = min(turn, left[run], at_once)
            given[run] += take
            at_once -= take
            left[run] -= take
            if left[run] <= 0:
                del left[run]
    return given


def parcels(limits: Sequence[int], sizes: Sequence[int], rungs: Sequence[int] | None = None) -> list[slice]:
    """Which neighbouring rows go into one call together.

    Args:
        limits: for each row the most rows that a call about it may hold.
        sizes: characters of each row's cells; a call holds at most ``PARCEL_CHARS``, or one row.
        rungs: of each row, if they differ; a call is about rows of one rung.
    """
    found: list[slice] = []
    start, least, size = 0, 0, 0
    for place, (limit, chars) in enumerate(zip(limits, sizes, strict=True)):
        apart = rungs is not None and rungs[place] != rungs[start]
        if place > start and (apart or place - start >= min(least, limit) or size + chars > PARCEL_CHARS):
            found.append(slice(start, place))
            start, least, size = place, limit, 0
        least = min(least, limit) if place > start else limit
        size += chars
    if start < len(limits):
        found.append(slice(start, len(limits)))
    return found


def tokens_together(max_tokens: int, rows: int) -> int:
    """max_tokens of a call about several rows: enough for every answer and its id, within the ceiling."""
    return max(max_tokens, min(rows * (max_tokens + ID_TOKENS), MAX_TOKENS_CEILING))


def complaint(text: str, *, raw: str, finish_reason: str | None, problems: Sequence[Problem]) -> Complaint:
    """What a re-ask adds to the prompt: the last invalid answer, unless it was cut off or empty, and its problems.

    Args:
        text: the problems in words.
        raw: the reply that was rejected.
        finish_reason: as the endpoint gave it.
        problems: what was wrong with it.
    """
    rules = {problem.rule for problem in problems}
    shown = finish_reason not in ("length", SIZE) and raw.strip() and not rules & {"refusal", "empty", "surrogate"}
    return Complaint(answer=_showable(raw[:ANSWER_CHARS]) if shown else None, problems=text)


def reserved_tokens(content: VersionContent, cells: Mapping[str, str], complaint: Complaint | None = None) -> int:
    """More prompt tokens than a row is likely to take, for reserving money before the prompt is rendered."""
    written = len(content.template.encode()) + sum(len(cell.encode()) for cell in cells.values())
    if complaint is not None:
        written += len((complaint.answer or "").encode()) + len(complaint.problems.encode())
    return written // 2 + len(json.dumps(content.contract)) // 2 + 64


def _showable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
