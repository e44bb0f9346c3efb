"""Stop 1: the bytes of a file -> rows of text and findings.

What ``inspect`` takes, ``read`` reads to its end: inspecting goes through the whole file once, so a person hears of a
ragged line at line 900,000 before a single row is stored. Every cell is text as it stands in the file: nothing is
parsed into a number, a date or a missing value, so "007", "NA" and "" survive. Both stream, and hold a few megabytes
whatever the file's size; an Excel workbook's shared strings are the one exception, and are capped.

    layout      what is known of a file: its format, columns and findings; the caps
    sniff       the first bytes -> which format, or the refusal that says what the file is instead
    encodings   the bytes -> the encoding that decodes all of them
    delimited   CSV and TSV
    jsonlines   JSON Lines
    sheets      Excel workbooks
    parquet     Parquet
    rowgroups   how much of a Parquet file may be decoded at once
    facts       rows streaming by -> filled, distinct, longest; duplicate rows and ids
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from jobs.errors import TableError
from jobs.intake import delimited, jsonlines, parquet, sheets, sniff
from jobs.intake.facts import ColumnFacts, Facts, TableFacts, id_problems
from jobs.intake.layout import Finding, Layout

__all__ = [
    "ColumnFacts",
    "Facts",
    "Finding",
    "Layout",
    "TableFacts",
    "content_hash",
    "id_problems",
    "inspect",
    "read",
]


def inspect(path: Path, *, name: str | None = None) -> Layout:
    """What the file is and what was found in it; ``name`` is what a person calls it, and its ending counts.

    Raises:
        TableError: the file is not a table that can be taken, with the line where there is one.
    """
    name = name or path.name
    try:
        size = _size(path, name)
        match sniff.format_of(path, name=name):
            case "jsonl":
                return jsonlines.inspect(path, name=name, size=size)
            case "xlsx":
                return sheets.inspect(path, name=name, size=size)
            case "parquet":
                return parquet.inspect(path, name=name, size=size)
            case wanted:
                return delimited.inspect(path, name=name, size=size, prefer_tab=wanted == "tsv")
    except MemoryError as error:
        raise _too_large(name) from error
    except OSError as error:
        raise TableError(f"the file cannot be read: {error.strerror or error}", file=name) from error


def read(path: Path, layout: Layout) -> Iterator[tuple[str, ...]]:
    """The rows in the file's order, each as wide as ``layout.columns``; encodable as UTF-8 and free of NUL.

    Raises:
        TableError: a row cannot be taken, or the file is not the one that was inspected.
    """
    try:
        match layout.format:
            case "jsonl":
                yield from jsonlines.read(path, layout)
            case "xlsx":
                yield from sheets.read(path, layout)
            case "parquet":
                yield from parquet.read(path, layout)
            case _:
                yield from delimited.read(path, layout)
    except MemoryError as error:
        raise _too_large(layout.name) from error
    except OSError as error:
        raise TableError(f"the file cannot be read: {error.strerror or error}", file=layout.name) from error


def content_hash(path: Path) -> str:
    """The SHA-256 of the file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _too_large(name: str) -> TableError:
    return TableError(
        "reading this file needs more memory than there is; export the table as CSV, or in parts", file=name
    )


def _size(path: Path, name: str) -> int:
    if path.is_dir():
        raise TableError("this is a folder; name one file in it", file=name)
    if not path.exists():
        raise TableError("there is no such file", file=name)
    if not path.is_file():
        raise TableError("this is no regular file but a pipe or a device; save its content to a file first", file=name)
    size = path.stat().st_size
    if size == 0:
        raise TableError("the file is empty (0 bytes); give a table with a header and at least one row", file=name)
    return size
