"""Parquet: scalars as text, nested values as JSON, null as "", read in batches of so many bytes.

Text is what Arrow writes for a value: ``1.5``, ``true``, ``1.10`` of a decimal, ``2024-05-01``; a moment is written in
ISO form, in UTC with a Z if it has a time zone. Columns of bytes are refused, since any text for them would be a guess.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.errors import TableError
from jobs.intake import rowgroups
from jobs.intake.layout import MAX_FIELD, Finding, Layout, check_cell, counted, has_changed, listed, name_columns

Nested: TypeAlias = (
    "dict[str, Nested] | list[Nested] | tuple[Nested, ...] | str | int | float | bool | None "
    "| datetime | date | time | timedelta | Decimal"
)

#: rows decoded together at most, and bytes read ahead of a column
_BATCH, _BUFFER = 512, 1 << 20
_UUID = "arrow.uuid"
_BYTES = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
    pa.types.is_binary_view,
)


def inspect(path: Path, *, name: str, size: int) -> Layout:
    """The file's layout, after decoding all of it.

    Raises:
        TableError: the file is damaged or a column cannot be text.
    """
    with _opened(path, name=name) as file:
        schema = file.schema_arrow
        for column in schema:
            _check_type(column.name, column.type, name=name)
        columns, findings = name_columns(schema.names, file=name)
        rows = file.metadata.num_rows
        if rows == 0:
            raise TableError("there are columns but no row; add at least one row", file=name)
        nulls = [0] * len(columns)
        for texts, batch in _batches(file, path, name=name):
            for index, column in enumerate(batch.columns):
                nulls[index] += column.null_count
            del texts
    holed = [f"{column!r} in {counted(count, 'row')}" for column, count in zip(columns, nulls, strict=True) if count]
    if holed:
        message = f"null, read as empty: {listed(holed, len(holed))}"
        findings.append(Finding(kind="nulls", message=message))
    return Layout(name=name, format="parquet", columns=columns, rows=rows, size_bytes=size, findings=tuple(findings))


def read(path: Path, layout: Layout) -> Iterator[tuple[str, ...]]:
    """The rows in the file's order.

    Raises:
        TableError: the file is damaged or has changed.
    """
    with _opened(path, name=layout.name) as file:
        if name_columns(file.schema_arrow.names, file=layout.name)[0] != layout.columns:
            raise has_changed(layout)
        for texts, _ in _batches(file, path, name=layout.name):
            yield from zip(*texts, strict=True)


@contextmanager
def _opened(path: Path, *, name: str) -> Iterator[pq.ParquetFile]:
    """The open file; what breaks while it is read is refused as damage."""
    try:
        with pq.ParquetFile(path, buffer_size=_BUFFER) as file:
            yield file
    except MemoryError:  # Arrow's own is one of its exceptions too
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TableError(f"the Parquet file is damaged or cut off ({first}); write it again", file=name) from error


def _batches(file: pq.ParquetFile, path: Path, *, name: str) -> Iterator[tuple[list[list[str]], pa.RecordBatch]]:
    """Each batch as columns of text, and as it is."""
    start = 0
    for group in range(file.num_row_groups):
        rows = rowgroups.rows_at_once(file, group, path=path, most=_BATCH, name=name)
        for decoded in file.iter_batches(batch_size=rows, row_groups=[group]):
            decoded.validate(full=True)
            for batch in rowgroups.parted(decoded):
                yield (
                    [
                        _texts(column, title=title, start=start, name=name)
                        for title, column in zip(batch.schema.names, batch.columns, strict=True)
                    ],
                    batch,
                )
                start += batch.num_rows


def _texts(column: pa.Array, *, title: str, start: int, name: str) -> list[str]:
    """A column of a batch as text; ``start`` rows came before it."""
    texts = _converted(column)
    if texts and (any("\0" in text for text in texts) or max(map(len, texts)) > MAX_FIELD):
        for ordinal, text in enumerate(texts, start + 1):

            def refused(message: str, row: int = ordinal) -> TableError:
                return TableError(f"row {row}, column {title!r} {message}", file=name)

            check_cell(text, refuse=refused)
    return texts


def _converted(column: pa.Array) -> list[str]:
    if isinstance(column, pa.ExtensionArray):
        if column.type.extension_name == _UUID:
            return ["" if value is None else str(value) for value in column.to_pylist()]
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_nested(kind):
        return ["" if value is None else _compact(value) for value in column.to_pylist()]
    zone = ""
    if pa.types.is_timestamp(kind) and kind.tz:
        # Through integers: writing local time would need the machine's time zone database, which may be missing.
        column, zone = column.cast(pa.int64()).cast(pa.timestamp(kind.unit)), "Z"
    unit = ""
    if pa.types.is_duration(kind):
        column, unit = column.cast(pa.int64()), f" {kind.unit}"
    texts = column.cast(pa.string()).to_pylist()
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        return ["" if text is None else _trimmed(text).replace(" ", "T") + zone for text in texts]
    return ["" if text is None else text + unit for text in texts]


def _compact(value: Nested) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def _trimmed(text: str) -> str:
    """A time without the zeros behind its last digit of a second."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _plain(value: Nested) -> Nested:
    """A nested value of what JSON has; numbers that JSON has not are null."""
    match value:
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case float():
            return value if math.isfinite(value) else None
        case None | str() | bool() | int():
            return value
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return str(value)


def _check_type(title: str, kind: pa.DataType, *, name: str) -> None:
    """Refuse a column of bytes, at whatever depth, and one that Arrow itself cannot write as text."""
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == _UUID:
            return
        kind = kind.storage_type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if any(test(kind) for test in _BYTES):
        raise TableError(
            f"column {title!r} holds bytes ({kind}), which have no one text; leave it out or write it as text",
            file=name,
        )
    if pa.types.is_nested(kind):
        for index in range(kind.num_fields):
            _check_type(title, kind.field(index).type, name=name)
        return
    if pa.types.is_duration(kind):
        return
    try:
        pa.array([], kind).cast(pa.string())
    except pa.ArrowException as error:
        raise TableError(f"column {title!r} of type {kind} cannot be text; write it as text", file=name) from error
