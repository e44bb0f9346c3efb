"""JSON Lines: one object a line, its keys the columns, in the order in which they first come.

Literals survive: ``1.10`` stays ``1.10`` and an integer of 20 digits keeps them all, inside nested values too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NoReturn, TypeAlias

from jobs.errors import TableError
from jobs.intake import encodings
from jobs.intake.layout import Finding, Layout, check_cell, check_width, counted, has_changed, listed

Json: TypeAlias = "dict[str, Json] | list[Json] | str | bool | None"


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


def inspect(path: Path, *, name: str, size: int) -> Layout:
    """The file's layout, after reading all of it.

    Raises:
        TableError: a line is not one JSON object.
    """
    encoding, findings = encodings.detect(path, name=name)
    seen: Counter[str] = Counter()
    nulls: Counter[str] = Counter()
    rows = blank = 0
    for line, record in _objects(path, name=name, encoding=encoding):
        if record is None:
            blank += 1
            continue
        rows += 1
        for key in record.keys() - seen.keys():
            _check_key(key, file=name, line=line)
        seen.update(record.keys())
        check_width(len(seen), file=name, line=line)
        for key, value in record.items():
            if value is None:
                nulls[key] += 1
            _cell(key, value, file=name, line=line)
    if rows == 0:
        raise TableError("the file holds no object; give one JSON object a line", file=name)
    if not seen:
        raise TableError("every object is empty; give them the columns as keys", file=name)
    absent = Counter({key: rows - count for key, count in seen.items() if count < rows})
    findings += _told("missing_keys", "missing", absent)
    findings += _told("nulls", "null", nulls)
    if blank:
        verb = "was" if blank == 1 else "were"
        findings.append(Finding(kind="blank_lines", message=f"{counted(blank, 'blank line')} {verb} skipped"))
    return Layout(
        name=name,
        format="jsonl",
        encoding=encoding,
        columns=tuple(seen),
        rows=rows,
        size_bytes=size,
        findings=tuple(findings),
    )


def read(path: Path, layout: Layout) -> Iterator[tuple[str, ...]]:
    """A row for each object; a key that it has not, and null, are "".

    Raises:
        TableError: a line is not one JSON object, or the file has changed.
    """
    if layout.encoding is None:
        raise has_changed(layout)
    known = set(layout.columns)
    try:
        for line, record in _objects(path, name=layout.name, encoding=layout.encoding):
            if record is None:
                continue
            if not record.keys() <= known:
                raise has_changed(layout)
            cells = {key: _cell(key, value, file=layout.name, line=line) for key, value in record.items()}
            yield tuple([cells.get(column, "") for column in layout.columns])
    except UnicodeDecodeError as error:
        raise has_changed(layout) from error


def _objects(path: Path, *, name: str, encoding: str) -> Iterator[tuple[int, dict[str, Json] | None]]:
    """The number of each line and its object; None for a blank line that is not at the end."""
    blank: list[int] = []
    with encodings.opened(path, encoding, newline="\n") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                blank.append(number)
                continue
            for skipped in blank:
                yield skipped, None
            blank.clear()
            yield number, _object(line, file=name, number=number)


def _object(line: str, *, file: str, number: int) -> dict[str, Json]:
    def refused(message: str) -> TableError:
        return TableError(message, file=file, line=number)

    def refuse_constant(constant: str) -> NoReturn:
        raise refused(f"{constant} is not JSON; write null or a string")

    def unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        members = dict(pairs)
        if len(members) != len(pairs):
            again = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
            raise refused(f"the key {again!r} stands twice in one object; keep one of them")
        return members

    try:
        value: Json = json.loads(
            line, object_pairs_hook=unique, parse_float=_Number, parse_int=_Number, parse_constant=refuse_constant
        )
    except json.JSONDecodeError as error:
        hint = "; is this CSV?" if number == 1 and not line.lstrip().startswith(("{", "[")) else ""
        raise refused(
            f"line {number} is not one whole JSON object ({error.msg} at character {error.pos + 1}); "
            f"JSON Lines has one object a line{hint}"
        ) from error
    except RecursionError as error:
        raise refused(f"line {number} is nested too deeply") from error
    if not isinstance(value, dict):
        raise refused(f"line {number} is {_kind(value)}, not an object; JSON Lines has one object a line")
    return value


def _kind(value: Json) -> str:
    match value:
        case _Number():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case None:
            return "null"
        case _:
            return "true or false"


def _check_key(key: str, *, file: str, line: int) -> None:
    def refused(message: str) -> TableError:
        return TableError(f"the key {key[:60]!r} {message}", file=file, line=line)

    if not key.strip():
        raise refused("is blank and cannot name a column; give it a name")
    check_cell(key, refuse=refused)


def _cell(key: str, value: Json, *, file: str, line: int) -> str:
    def refused(message: str) -> TableError:
        return TableError(f"the value of {key!r} {message}", file=file, line=line)

    if value is None:
        return ""
    try:
        text = str(value) if isinstance(value, str) else _compact(value)
    except RecursionError as error:
        raise refused("is nested too deeply") from error
    return check_cell(text, refuse=refused)


def _compact(value: Json) -> str:
    """JSON without blanks, numbers as they were written."""
    match value:
        case _Number():
            return str(value)
        case dict():
            return "{" + ",".join(f"{_quoted(key)}:{_compact(each)}" for key, each in value.items()) + "}"
        case list():
            return "[" + ",".join(map(_compact, value)) + "]"
        case str():
            return _quoted(value)
        case None:
            return "null"
        case _:
            return "true" if value else "false"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _told(kind: Literal["missing_keys", "nulls"], words: str, counts: Counter[str]) -> list[Finding]:
    if not counts:
        return []
    each = listed((f"{key!r} in {counted(count, 'line')}" for key, count in counts.items()), len(counts))
    return [Finding(kind=kind, message=f"{words}, read as empty: {each}")]
