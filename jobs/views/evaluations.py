"""Two evaluations of the same golden rows beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class FieldBeside:
    """Expectations of rows that have an end in both, and who met them."""

    path: str
    n: int
    first: int
    second: int
    #: those that one of them alone met
    only_first: int
    only_second: int


@dataclass(frozen=True, kw_only=True)
class Difference:
    """An expectation that one of them met and the other did not; what came is None where the row has no value there."""

    ordinal: int
    path: str
    expected: Any
    first: Any
    second: Any
    #: else the second did
    first_met: bool
    #: whether the one that did not meet it has a value at all
    answered: bool


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What two evaluations have come to on the same rows."""

    #: golden rows that have an end in both
    rows: int
    fields: tuple[FieldBeside, ...]
    overall: FieldBeside
    differences: tuple[Difference, ...]
