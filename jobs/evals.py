"""How far answers agree with a golden set, field by field.

The headline counts every expectation: a row that died or was cancelled disagrees wherever something was expected of it, so
losing hard rows can never raise the score. Beside it stands the agreement over answered rows alone, which says how good the
answers are that did come. Rows that are still waiting are in neither, and n says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.golden import GoldenRow, compare, value_at
from jobs.lifecycle import ENDS
from jobs.views.evaluations import Beside, Difference, FieldBeside

#: misses that a report lists; it counts all of them
MOST_MISSES = 200


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What became of a golden row: its state, and its value if it was accepted."""

    state: str
    value: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Expectations met, out of those that count."""

    path: str
    #: expectations of rows that have an end
    n: int = 0
    agree: int = 0
    #: of those, expectations of rows that have a value
    answered_n: int = 0

    @property
    def agreement(self) -> float | None:
        """Over all expectations; None without one."""
        return self.agree / self.n if self.n else None

    @property
    def answered_agreement(self) -> float | None:
        """Over answered rows alone; None without one."""
        return self.agree / self.answered_n if self.answered_n else None


@dataclass(frozen=True, kw_only=True)
class Miss:
    """An expectation that was not met; ``got`` is None where there is no value, or none at that path."""

    ordinal: int
    path: str
    expected: Any
    got: Any
    #: whether the row has a value at all
    answered: bool


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The whole of an evaluation."""

    rows: int
    answered: int
    waiting: int
    overall: Tally
    fields: tuple[Tally, ...]
    misses: tuple[Miss, ...]


def agreement(golden: Iterable[GoldenRow], answers: Mapping[int, Answer]) -> Agreement:
    """What the answers are worth; fields in the order in which the golden set names them.

    Args:
        golden: the rows of the golden set.
        answers: by ordinal; a golden row that is not in it was not asked, and does not count.
    """
    rows = answered = waiting = 0
    counts: dict[str, list[int]] = {}
    misses: list[Miss] = []
    for row in golden:
        answer = answers.get(row.ordinal)
        if answer is None:
            continue
        rows += 1
        if answer.state not in ENDS:
            waiting += 1
            continue
        answered += answer.value is not None
        for path, agrees in compare(row.expected, answer.value).items():
            count = counts.setdefault(path, [0, 0, 0])
            count[0] += 1
            count[1] += agrees
            count[2] += answer.value is not None
            if not agrees:
                misses.append(_miss(row, path, answer))
    fields = tuple(_tally(path, count) for path, count in counts.items())
    overall = _tally("", [sum(column) for column in zip([0, 0, 0], *counts.values(), strict=True)])
    return Agreement(
        rows=rows, answered=answered, waiting=waiting, overall=overall, fields=fields, misses=tuple(misses)
    )


def beside(
    first: tuple[Iterable[GoldenRow], Mapping[int, Answer]], second: tuple[Iterable[GoldenRow], Mapping[int, Answer]]
) -> Beside:
    """Two evaluations of the same golden rows, over the rows that have an end in both and the paths that both expect.

    Args:
        first: the golden rows as its contract reads them, and its answers.
        second: the same of the other.
    """
    theirs = {row.ordinal: row for row in second[0]}
    rows = 0
    counts: dict[str, list[int]] = {}
    differences: list[Difference] = []
    for row in first[0]:
        here, there, other = first[1].get(row.ordinal), second[1].get(row.ordinal), theirs.get(row.ordinal)
        if here is None or there is None or other is None or here.state not in ENDS or there.state not in ENDS:
            continue
        rows += 1
        met = compare(row.expected, here.value), compare(other.expected, there.value)
        for path in (path for path in met[0] if path in met[1]):
            ours, others = met[0][path], met[1][path]
            count = counts.setdefault(path, [0, 0, 0, 0, 0])
            for place, one in enumerate((True, ours, others, ours and not others, others and not ours)):
                count[place] += one
            if ours != others:
                lost = there if ours else here
                differences.append(
                    Difference(
                        ordinal=row.ordinal,
                        path=path,
                        expected=row.expected[path],
                        first=value_at(path, here.value),
                        second=value_at(path, there.value),
                        first_met=ours,
                        answered=lost.value is not None,
                    )
                )
    overall = [sum(column) for column in zip([0] * 5, *counts.values(), strict=True)]
    return Beside(
        rows=rows,
        fields=tuple(_beside(path, count) for path, count in counts.items()),
        overall=_beside("", overall),
        differences=tuple(differences),
    )


def _beside(path: str, count: list[int]) -> FieldBeside:
    n, ours, others, only_ours, only_others = count
    return FieldBeside(path=path, n=n, first=ours, second=others, only_first=only_ours, only_second=only_others)


def _tally(path: str, count: list[int]) -> Tally:
    n, agree, answered_n = count
    return Tally(path=path, n=n, agree=agree, answered_n=answered_n)


def _miss(row: GoldenRow, path: str, answer: Answer) -> Miss:
    return Miss(
        ordinal=row.ordinal,
        path=path,
        expected=row.expected[path],
        got=value_at(path, answer.value),
        answered=answer.value is not None,
    )
