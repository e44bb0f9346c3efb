"""Which rows need the dear model: what two models have answered about the same rows, and from which confidence on the cheap one will do.

Rows are compared in the fields that decide: labels, numbers, yes and no. A row on which the cheap model broke its contract climbs
whatever is chosen. Where the right answers are known, both models are held against them; else the dear one is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs import golden, ladder
from jobs.contract import words
from jobs.options import Check
from jobs.thresholds import Case, Proposal, Saving, agreement_and_saving, propose
from jobs.views.runs import Run
from jobs.views.trials import FieldAgreement

Values = Mapping[int, Mapping[str, Any] | None]


@dataclass(frozen=True, kw_only=True)
class Disputed:
    """A value of a field that the cheap model said, and how often the other says something else then."""

    check: Check
    n: int
    disagree: int


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """What the two have come to so far."""

    cheap: Run
    dear: Run
    #: the fields that must agree
    fields: tuple[str, ...]
    #: rows that count: both have ended, and the dear model gave a value
    n: int
    #: of these, rows on which the cheap model broke its contract, and rows of which nobody tells how sure it was
    broken: int
    untold: int
    #: cheap against dear, by field
    agreement: tuple[FieldAgreement, ...]
    #: each against the golden rows, by field; empty without any
    right: tuple[tuple[FieldAgreement, FieldAgreement], ...]
    proposal: Proposal
    #: with the proposed threshold; without confidences, with what climbs anyway. None without a case
    saving: Saving | None
    #: US dollars a row; None where a price is unknown
    cheap_cost: float | None
    dear_cost: float | None
    #: the most disputed first
    disputed: tuple[Disputed, ...]


def weigh(
    cheap: Run,
    dear: Run,
    *,
    said: tuple[Values, Values],
    sure: Mapping[int, float],
    expected: Mapping[int, Mapping[str, Any]],
    fields: Sequence[str],
    target: float,
    checks: Sequence[Check] = (),
) -> Weighed:
    """What the answers of both tell.

    Args:
        cheap: its run.
        dear: the other's.
        said: what each answered, by row, for rows that have ended; None where it gave no value.
        sure: how sure the cheap model was.
        expected: what is right by row and path, where that is known.
        fields: those that must agree.
        target: of the agreement of the finished table, between 0 and 1.
        checks: values of the cheap model with which a row climbs however sure it is.
    """
    ours, theirs = said
    doubted = {row for row, value in ours.items() if value is not None and ladder.checked(checks, value)}
    rows = [row for row in ours if theirs.get(row) is not None and (not expected or row in expected)]
    cases = list[Case]()
    right = list[bool]()
    for row in rows:
        agrees = _right(ours[row], expected[row]) if expected else _agree(ours[row], theirs[row], fields)
        cases.append((sure.get(row) if ours[row] is not None and row not in doubted else None, agrees))
        right.append(not expected or _right(theirs[row], expected[row]))
    dear_right = right if expected else None
    proposal = propose(cases, target, dear=dear_right)
    costs = _each(cheap), _each(dear)
    threshold = proposal.threshold
    if not any(confidence is not None for confidence, _ in cases):
        threshold = 0.0
        cases = [
            (None if ours[row] is None or row in doubted else 1.0, agrees)
            for row, (_, agrees) in zip(rows, cases, strict=True)
        ]
    saving = None if threshold is None else agreement_and_saving(cases, threshold, *costs, dear=dear_right)
    both = [(one, other) for row in rows if (one := ours[row]) is not None and (other := theirs[row]) is not None]
    return Weighed(
        cheap=cheap,
        dear=dear,
        fields=tuple(fields),
        n=len(rows),
        broken=sum(ours[row] is None for row in rows),
        untold=sum(ours[row] is not None and row not in sure for row in rows),
        agreement=tuple(_by_field(both)),
        right=tuple(_by_truth(rows, ours, theirs, expected)),
        proposal=proposal,
        saving=saving,
        cheap_cost=costs[0],
        dear_cost=costs[1],
        disputed=tuple(_disputed(both, fields)),
    )


def _each(run: Run) -> float | None:
    ended = run.counts.accepted + run.counts.dead
    return None if run.cost is None or not ended else run.cost / ended


def _agree(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None, fields: Sequence[str]) -> bool:
    if one is None or other is None:
        return False
    return all((name in one) == (name in other) and words.same(one.get(name), other.get(name)) for name in fields)


def _right(value: Mapping[str, Any] | None, expected: Mapping[str, Any]) -> bool:
    return all(golden.compare(expected, value).values())


def _by_field(both: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[FieldAgreement]:
    names = dict.fromkeys(name for one, other in both for name in (*one, *other))
    return [
        FieldAgreement(path=name, n=len(both), agree=sum(_agree(one, other, [name]) for one, other in both))
        for name in names
    ]


def _by_truth(
    rows: Sequence[int], ours: Values, theirs: Values, expected: Mapping[int, Mapping[str, Any]]
) -> list[tuple[FieldAgreement, FieldAgreement]]:
    paths = dict.fromkeys(path for row in rows for path in expected.get(row, ()))
    found = []
    for path in paths:
        asked = [row for row in rows if path in expected[row]]
        one, other = (
            FieldAgreement(
                path=path,
                n=len(asked),
                agree=sum(_right(values[row], {path: expected[row][path]}) for row in asked),
            )
            for values in (ours, theirs)
        )
        found.append((one, other))
    return found


def _disputed(both: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], fields: Sequence[str]) -> list[Disputed]:
    counts: dict[str, list[Any]] = {}
    for one, other in both:
        for name in fields:
            value = one.get(name)
            if name in one and isinstance(value, str | bool) and len(str(value)) <= 60:
                check = Check(field=name, value=value)
                count = counts.setdefault(str(check), [check, 0, 0])
                count[1] += 1
                count[2] += not _agree(one, other, [name])
    found = [Disputed(check=check, n=n, disagree=disagree) for check, n, disagree in counts.values() if disagree]
    return sorted(found, key=lambda one: (-one.disagree / one.n, -one.n))
