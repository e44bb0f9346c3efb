"""What is true of the rows of a table, gathered while they stream by.

Distinct values and duplicate rows are told apart by 64-bit hashes and not by keeping them: among 20 million rows the
chance that any two different ones are taken for the same is about one in 100,000.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import numpy as np

from jobs.intake.layout import SHOWN, Finding, listed
from jobs.values import Value

#: distinct values counted exactly in one column, and remembered over all columns together
MAX_DISTINCT, MAX_REMEMBERED = 10_000, 1_000_000
#: rows that duplicates are looked for in; 8 bytes are held for each
MAX_COMPARED = 20_000_000
#: rows, and characters of them, that wait to be counted together
_BATCH, _BATCH_CHARACTERS = 512, 4_000_000


class ColumnFacts(Value):
    """What is true of one column."""

    name: str
    #: cells that are not ""; blanks count as text
    filled: int
    #: different texts; "" is none, so there are never more than ``filled``
    distinct: int
    #: there are at least ``distinct`` and counting stopped
    distinct_capped: bool = False
    #: characters of the longest cell
    longest: int


class TableFacts(Value):
    """What is true of a table; ordinals count from 1."""

    rows: int
    columns: tuple[ColumnFacts, ...]
    #: rows that are the same as an earlier one in every cell
    duplicates: int
    #: the first of them: its ordinal and that of the first row that it repeats
    duplicate_examples: tuple[tuple[int, int], ...] = ()
    #: how many rows were compared
    compared: int


class Facts:
    """Gathers the facts of a table row by row, in bounded memory.

    Example:
        facts = Facts(layout.columns)
        for row in read(path, layout):
            facts.add(row)
        facts.summary()
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._names = tuple(columns)
        self._cap = max(1, min(MAX_DISTINCT, MAX_REMEMBERED // max(1, len(self._names))))
        self._filled = [0] * len(self._names)
        self._longest = [0] * len(self._names)
        self._seen: list[set[int]] = [set() for _ in self._names]
        self._rows = 0
        self._digests = array("q")
        self._batch: list[tuple[str, ...]] = []
        self._characters = 0

    def add(self, row: tuple[str, ...]) -> None:
        """Count one row, as wide as the columns.

        Raises:
            ValueError: the row has another width.
        """
        if len(row) != len(self._names):
            raise ValueError(f"the row has {len(row)} cells, the table {len(self._names)} columns")
        self._batch.append(row)
        self._characters += sum(map(len, row))
        if len(self._batch) >= _BATCH or self._characters >= _BATCH_CHARACTERS:
            self._count()

    def summary(self) -> TableFacts:
        """The facts of the rows so far."""
        self._count()
        total, pairs = _repeats(self._digests)
        return TableFacts(
            rows=self._rows,
            columns=tuple(
                ColumnFacts(
                    name=name,
                    filled=filled,
                    distinct=min(len(seen), self._cap),
                    distinct_capped=len(seen) > self._cap,
                    longest=longest,
                )
                for name, filled, seen, longest in zip(
                    self._names, self._filled, self._seen, self._longest, strict=True
                )
            ),
            duplicates=total,
            duplicate_examples=tuple((index + 1, first + 1) for index, first in pairs),
            compared=len(self._digests),
        )

    def _count(self) -> None:
        """Count the waiting rows, column by column."""
        rows, self._batch, self._characters = self._batch, [], 0
        if not rows:
            return
        self._rows += len(rows)
        self._digests.extend(map(hash, rows[: MAX_COMPARED - len(self._digests)]))
        for index, cells in enumerate(zip(*rows, strict=True)):
            self._filled[index] += len(cells) - cells.count("")
            self._longest[index] = max(self._longest[index], max(map(len, cells)))
            if len(self._seen[index]) <= self._cap:
                self._seen[index].update(map(hash, filter(None, cells)))


def id_problems(values: Iterable[str]) -> list[Finding]:
    """Why a column cannot name the rows: rows without an id, and rows that repeat one; empty if it can.

    At most one finding of each kind, with the total and the first ordinals. Holds 16 bytes a row.
    """
    digests, ordinals, blank = array("q"), array("q"), array("q")
    for ordinal, value in enumerate(values, 1):
        if not value.strip():
            blank.append(ordinal)
            continue
        digests.append(hash(value))
        ordinals.append(ordinal)
    found = []
    if blank:
        noun = "row has" if len(blank) == 1 else "rows have"
        message = f"{len(blank):,} {noun} no id: {listed((f'row {row}' for row in blank), len(blank))}"
        found.append(Finding(kind="empty_id", message=message))
    total, pairs = _repeats(digests)
    if total:
        noun = "row repeats" if total == 1 else "rows repeat"
        each = listed((f"row {ordinals[index]} as row {ordinals[first]}" for index, first in pairs), total)
        found.append(Finding(kind="duplicate_id", message=f"{total:,} {noun} the id of an earlier row: {each}"))
    return found


def _repeats(digests: array[int]) -> tuple[int, list[tuple[int, int]]]:
    """How many digests repeat an earlier one, and the first ``SHOWN`` with the index of the first of their kind."""
    if not digests:
        return 0, []
    keys = np.frombuffer(digests, dtype=np.int64)
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    is_new = np.concatenate(([True], ranked[1:] != ranked[:-1]))
    places = np.flatnonzero(~is_new)
    starts = np.flatnonzero(is_new)
    firsts = order[starts[np.searchsorted(starts, places, side="right") - 1]]
    later = order[places]
    shown = np.argsort(later, kind="stable")[:SHOWN]
    return len(places), [(int(later[index]), int(firsts[index])) for index in shown]
