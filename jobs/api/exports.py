"""A run's rows as a file: the original columns, the values, and how each was obtained.

The file is whole or not there: rows are streamed into a neighbour that takes its name at the end. CSV is for spreadsheets,
so it begins with a byte order mark (without one Excel takes UTF-8 for something else) and no text in it can be run as a
formula; JSON Lines and Parquet are for programs and hold every text as it is.

Redrive's own columns come last: ``_redrive_row`` (the row's id), ``_redrive_state``, ``_redrive_receipt`` (how the value was
obtained), ``_redrive_version`` and ``_redrive_run`` (which gave it, or was the last that a dead row died in),
``_redrive_problem``, the cause of death of a dead row in the words of its dead letter, and ``_redrive_edited``, an object of the
cells that a person had edited for that run: the original columns stay as they are in the file. What says nothing is empty, or null.
"""

from __future__ import annotations

import csv
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from sqlite_utils import Database

from jobs import errors
from jobs.contract import nodes
from jobs.store import reading_results
from jobs.store.reading_results import Found, Scope
from jobs.values import Receipt
from jobs.views.runs import receipt_words

Format = Literal["csv", "jsonl", "parquet"]
Kind = Literal["text", "integer", "number", "boolean", "json"]

#: rows that are made ready together; a row group of Parquet
CHUNK = 5_000
OWN = ("row", "state", "receipt", "version", "run", "problem", "edited")
_ARROW = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "json": pa.string(),
}
_KINDS: dict[frozenset[str], Kind] = {
    frozenset(["string"]): "text",
    frozenset(["integer"]): "integer",
    frozenset(["number"]): "number",
    frozenset(["integer", "number"]): "number",
    frozenset(["boolean"]): "boolean",
}
#: what a spreadsheet takes for a formula; full-width forms too
_FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
#: a number is no formula, and -5 must stay -5
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d+)*|[.,]\d+)([eE][+-]?\d+)?%?")


class Field(NamedTuple):
    """A property of the values, and the column it goes to."""

    name: str
    column: str
    kind: Kind


class _TooWide(Exception):
    """A value does not fit its column's type."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


class Table:
    """The columns of an export and the cells of each row."""

    def __init__(self, scope: Scope, contracts: Sequence[Mapping[str, Any]]) -> None:
        self._scope = scope
        self.originals = scope.columns
        taken = set(self.originals)
        kinds, is_open = _properties(contracts)
        self.fields = tuple(Field(name, _free(name, taken, prefix="value."), kind) for name, kind in kinds.items())
        #: a contract allows other keys than those it names, so the whole value stands beside its fields
        self.whole = _free("value", taken, prefix="value.") if is_open else None
        self.own = tuple(_free(f"_redrive_{name}", taken, prefix="_") for name in OWN)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns in order."""
        values = tuple(field.column for field in self.fields) + ((self.whole,) if self.whole else ())
        return (*self.originals, *values, *self.own)

    def row(self, found: Found) -> list[Any]:
        """A row's cells: texts, then values as they are, then what Redrive says of them."""
        value: dict[str, Any] = json.loads(found.value) if found.value else {}
        cells: list[Any] = json.loads(found.original)
        cells += [value.get(field.name) for field in self.fields]
        if self.whole:
            cells.append(value if found.value else None)
        edited = reading_results.edits(self.originals, found) or None
        receipt = Receipt.model_validate_json(found.receipt) if found.receipt else None
        words = receipt_words(receipt, edited=edited is not None) or None
        version = self._scope.versions.get(found.run) if found.run is not None else None
        return [*cells, found.row_id, found.state, words, version, found.run, found.problem, edited]

    def as_text(self, name: str) -> None:
        """Give a field as JSON text from now on, since its values do not fit their type."""
        self.fields = tuple(field._replace(kind="json") if field.name == name else field for field in self.fields)


def export(db: Database, scope: Scope, *, fmt: Format, out: Path, accepted_only: bool = False) -> int:
    """Write the rows to a file, which replaces one of that name when it is whole; how many rows.

    Raises:
        InputError: the format is unknown, the file cannot be written, or something that is no file has its name.
    """
    writers = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}
    if fmt not in writers:
        raise errors.InputError(f"{fmt!r} is no format of an export; choose one of {', '.join(writers)}")
    if out.exists() and not out.is_file():
        what = "a folder" if out.is_dir() else "no file, and would be replaced by one"
        raise errors.InputError(f"{out} is {what}; name a file that may be written or replaced")
    table = Table(scope, reading_results.contracts(db, scope))
    part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        while True:
            rows = (row for row in reading_results.stream(db, scope) if not accepted_only or row.value is not None)
            try:
                count = writers[fmt](part, table, map(table.row, rows))
                break
            except _TooWide as error:
                table.as_text(error.field)
        os.replace(part, out)
    except OSError as error:
        raise errors.InputError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # what cannot be written is not there
            part.unlink()
    return count


def _csv(part: Path, table: Table, rows: Iterable[list[Any]]) -> int:
    count = 0
    with part.open("w", encoding="utf-8-sig", errors="replace", newline="") as file:
        out = csv.writer(file)
        out.writerow(map(guarded, table.columns))
        for cells in rows:
            out.writerow(map(_csv_cell, cells))
            count += 1
        _flush(file)
    return count


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    return guarded(value) if isinstance(value, str) else _json(value)


def guarded(text: str) -> str:
    """The text as a spreadsheet may have it: what it would run as a formula begins with an apostrophe."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _jsonl(part: Path, table: Table, rows: Iterable[list[Any]]) -> int:
    count = 0
    columns = table.columns
    with part.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
        for cells in rows:
            file.write(_json(dict(zip(columns, cells, strict=True))) + "\n")
            count += 1
        _flush(file)
    return count


def _parquet(part: Path, table: Table, rows: Iterable[list[Any]]) -> int:
    schema = _arrow_schema(table)
    count = 0
    with part.open("wb") as file:
        with closing(pq.ParquetWriter(file, schema)) as out:
            for chunk in _chunks(iter(rows)):
                out.write_table(pa.table(_arrays(table, schema, chunk), schema=schema))
                count += len(chunk)
        _flush(file)
    return count


def _arrow_schema(table: Table) -> pa.Schema:
    fields = [(column, pa.string()) for column in table.originals]
    fields += [(field.column, _ARROW[field.kind]) for field in table.fields]
    if table.whole:
        fields.append((table.whole, pa.string()))
    fields += [
        (column, pa.int64() if name == "run" else pa.string()) for name, column in zip(OWN, table.own, strict=True)
    ]
    return pa.schema(fields)


def _arrays(table: Table, schema: pa.Schema, chunk: Sequence[list[Any]]) -> list[pa.Array]:
    first = len(table.originals)
    kinds = {first + place: field for place, field in enumerate(table.fields)}
    arrays = []
    for place, cells in enumerate(zip(*chunk, strict=True)):
        field = kinds.get(place)
        whole = table.whole and place == first + len(table.fields)
        if (field and field.kind == "json") or whole or place == len(schema) - 1:
            cells = tuple(None if cell is None else _json(cell) for cell in cells)
        elif field and field.kind == "number":
            cells = _floats(field, cells)
        try:
            arrays.append(pa.array(cells, type=schema.field(place).type))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            if field is None or field.kind == "json":
                raise
            raise _TooWide(field.name) from error
    return arrays


def _floats(field: Field, cells: Sequence[Any]) -> tuple[float | None, ...]:
    """Numbers as a double holds them; whole ones that it cannot hold exactly make the column text."""
    made = []
    for cell in cells:
        try:
            number = None if cell is None else float(cell)
        except (OverflowError, ValueError, TypeError) as error:
            raise _TooWide(field.name) from error
        if isinstance(cell, int) and number != cell:
            raise _TooWide(field.name)
        made.append(number)
    return tuple(made)


def _properties(contracts: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Kind], bool]:
    """Every property of the answers with its kind, and whether other keys may occur."""
    found: dict[str, Kind] = {}
    is_open = False
    for schema in contracts:
        root = nodes.read(schema)
        is_open = is_open or root.additional is not False
        for name, node in root.properties.items():
            kind = _kind(node)
            found[name] = kind if found.get(name, kind) == kind else "json"
    return found, is_open


def _kind(node: nodes.Node) -> Kind:
    kinds = node.kinds() - {"null"}
    if not kinds and node.enum is not None and all(isinstance(value, str) for value in node.enum):
        return "text"
    return _KINDS.get(kinds, "json")


def _free(name: str, taken: set[str], *, prefix: str) -> str:
    """The name, or the name with the prefix as often as it takes to be free; it is taken then."""
    while name in taken:
        name = prefix + name
    taken.add(name)
    return name


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _chunks(rows: Iterator[list[Any]]) -> Iterator[list[list[Any]]]:
    while chunk := list(islice(rows, CHUNK)):
        yield chunk


def _flush(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
