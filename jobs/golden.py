"""``golden.csv``: rows whose right answers are known, and the comparison of an answer with them.

A golden row is the row's own columns plus columns ``expected.<dotted path>``. Each expectation is read by the type that
the contract has at that path, and one that the contract could never accept is an error of the file, with its line: a
golden set that nobody can reach would only teach people to ignore it.

In a cell: empty = not checked; ``null`` = null; ``""`` = the empty text and ``"null"`` = the text null; a list or an
object is JSON; everything else is the value itself.
"""

from __future__ import annotations

import csv
import difflib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from jobs import errors, numbers
from jobs.contract import Contract, Spot
from jobs.contract.words import json_path

PREFIX = "expected."
_QUOTED = {'""': "", '"null"': "null"}
_LITERAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WORDS = {"true": True, "TRUE": True, "True": True, "false": False, "FALSE": False, "False": False}


@dataclass(frozen=True, slots=True)
class GoldenRow:
    """A row and what is expected of its answer; a path that is not in ``expected`` is not checked."""

    #: 1 for the first row of the file
    ordinal: int
    cells: dict[str, str]
    #: dotted path -> value
    expected: dict[str, Any]


def load_golden(path: Path, schema: Mapping[str, Any]) -> list[GoldenRow]:
    """The golden rows of that file, held to the contract's schema.

    Raises:
        TableError: with file and line.
    """
    name = name_of(path)
    return _rows(_lines(path, name), Contract.from_schema(schema), name)


def name_of(path: Path) -> str:
    """A golden file in messages: all of them are called alike, so the prompt's folder stands before it."""
    return f"{path.parent.name}/{path.name}" if path.parent.name else path.name


def stored_golden(
    columns: Sequence[str], rows: Iterable[Sequence[str]], schema: Mapping[str, Any], *, name: str
) -> list[GoldenRow]:
    """The same from a golden file that has become a dataset.

    Raises:
        TableError: with the dataset's name and the line, as if each row took one.
    """
    return _rows(enumerate([columns, *rows], start=1), Contract.from_schema(schema), name)


def _rows(lines: Iterator[tuple[int, Sequence[str]]], contract: Contract, name: str) -> list[GoldenRow]:
    start, header = next(lines, (1, []))
    if not header:
        raise errors.TableError("the file is empty; its first line names the columns", file=name, line=1)
    for column in header:
        if header.count(column) > 1 or not column.strip():
            raise errors.TableError(f"the column {column!r} has no name of its own; rename it", file=name, line=start)
    spots = {column: _spot(column, contract, name) for column in header if column.startswith(PREFIX)}
    if not spots:
        raise errors.TableError(
            f"nothing is expected; add a column like {PREFIX}{contract.names[0]}", file=name, line=1
        )
    found = []
    for ordinal, (line, cells) in enumerate(lines, start=1):
        if len(cells) != len(header):
            message = f"{len(cells)} fields where the header has {len(header)}; quote cells that hold commas"
            raise errors.TableError(message, file=name, line=line)
        row = dict(zip(header, cells, strict=True))
        expected = {}
        for column, spot in spots.items():
            text = row.pop(column)
            if not text.strip():
                continue
            try:
                expected[column.removeprefix(PREFIX)] = _read(text, spot)
            except ValueError as error:
                raise errors.TableError(f"{column}: {error}", file=name, line=line) from error
        found.append(GoldenRow(ordinal, row, expected))
    return found


def compare(expected: Mapping[str, Any], value: Mapping[str, Any] | None) -> dict[str, bool]:
    """Whether the answer has the expected value at each path; all False if there is no answer.

    Text is compared exactly but for white space around it, numbers by value (1 is 1.0, and true is not 1), lists in
    order, objects by their keys.
    """
    return {path: _same(wanted, _at(path, value)) for path, wanted in expected.items()}


def value_at(path: str, value: Mapping[str, Any] | None) -> object:
    """What stands at a dotted path of an answer; None where nothing does."""
    found = _at(path, value)
    return None if isinstance(found, _Missing) else found


class _Missing:
    """What stands at a path that is not there: equal to nothing."""


def _at(path: str, value: object) -> object:
    for part in path.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, (list, tuple)) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return _Missing()
    return value


def _same(a: object, b: object) -> bool:
    if isinstance(a, str) and isinstance(b, str):
        return a.strip() == b.strip()
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return a == b or _close(a, b)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(_same, a, b))
    return a is None and b is None


def _close(a: float, b: float) -> bool:
    try:
        return math.isclose(a, b, rel_tol=1e-9)
    except OverflowError:  # a whole number that no double holds is close to nothing but itself
        return False


def _lines(path: Path, name: str) -> Iterator[tuple[int, list[str]]]:
    """Records and the line on which each begins; blank lines are passed over."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            start = 1
            try:
                for cells in reader:
                    if cells:
                        yield start, cells
                    start = reader.line_num + 1
            except csv.Error as error:
                raise errors.TableError(f"this is not CSV: {error}", file=name, line=start) from error
    except UnicodeDecodeError as error:
        raise errors.TableError("is not UTF-8; save the file as UTF-8", file=name) from error
    except OSError as error:
        raise errors.TableError(f"cannot be read: {error.strerror}", file=name) from error


def _spot(column: str, contract: Contract, name: str) -> Spot:
    """What the contract says of that column's path."""
    spot = contract.spot
    for part in column.removeprefix(PREFIX).split("."):
        below = spot.below(part)
        if below is None:
            known = spot.names
            close = difflib.get_close_matches(part, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has: {', '.join(known) or 'nothing'}"
            message = f"{column}: the contract has no {part!r} there; {hint}"
            raise errors.TableError(message, file=name, line=1)
        spot = below
    return spot


def _read(text: str, spot: Spot) -> Any:
    """The value that the cell stands for; raises ValueError if the contract could never accept it there."""
    if text.strip() == "null":
        if "null" not in spot.kinds:
            raise ValueError('the contract allows no null here; write "null", in quotes, for the text')
        return None
    found = None
    for value in _readings(text, spot.kinds):
        broken = spot.finding(value)
        if broken is None:
            return value
        found = found or broken
    assert found is not None, "a cell can always be read as text"
    where = json_path(found.path).removeprefix("$")
    raise ValueError(f"{f'at {where}: ' if where else ''}expected {found.expected}, got {found.got}")


def _readings(text: str, kinds: frozenset[str]) -> Iterator[Any]:
    """What a cell may stand for where the contract takes such types, the likeliest first."""
    bare = text.strip()
    number = _number(bare) if kinds & {"integer", "number"} else None
    # where the contract takes text as well, 007 is a text
    if number is not None and ("string" not in kinds or str(number) == bare):
        whole = isinstance(number, float) and number.is_integer() and "number" not in kinds
        yield int(number) if whole else number
    if "boolean" in kinds and bare in _WORDS:
        yield _WORDS[bare]
    if kinds & {"array", "object"} and bare[:1] in ("[", "{"):
        try:
            yield json.loads(bare, parse_int=numbers.number, parse_float=numbers.number, parse_constant=_constant)
        except ValueError as error:
            if "string" not in kinds:
                raise ValueError(f"this is not JSON: {error}") from error
    yield _QUOTED.get(bare, text)
    # an answer is compared without the white space around it
    yield bare


def _number(text: str) -> int | float | None:
    if not _LITERAL.fullmatch(text):
        return None
    try:
        number = numbers.number(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
