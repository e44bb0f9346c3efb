"""What is known of a file before its rows are read, and the caps that keep reading it bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from jobs.errors import TableError
from jobs.values import Value

Format = Literal["csv", "tsv", "jsonl", "xlsx", "parquet"]

#: characters of one cell
MAX_FIELD = 1_000_000
#: characters of one line, which for JSON Lines is one row
MAX_LINE = 16_000_000
MAX_COLUMNS = 2_000
#: bytes of a workbook once its zip archive is unpacked
MAX_UNPACKED = 1_000_000_000
#: examples that one finding names before it only counts
SHOWN = 10


class Finding(Value):
    """One thing about a file that a person should know; it did not keep the file from being taken."""

    #: the physical line (in a sheet, its row number), where there is one
    line: int | None = None
    #: ``bom``, ``encoding``, ``delimiter``, ``line_ends``, ``blank_lines``, ``header_duplicate``, ``header_blank``,
    #: ``header_trimmed``, ``missing_keys``, ``nulls``, ``other_sheets``, ``no_result``, ``rounded``, ``empty_id``, ``duplicate_id``
    kind: str
    message: str


class Layout(Value):
    """What a file is, as far as reading its rows needs it."""

    #: the file's name as a person sees it
    name: str
    format: Format
    #: None where the format fixes it
    encoding: str | None = None
    delimiter: str | None = None
    columns: tuple[str, ...]
    rows: int
    size_bytes: int
    findings: tuple[Finding, ...] = ()


def counted(count: int, one: str, many: str | None = None) -> str:
    """A number with its noun, such as ``1 row`` or ``1,200 rows``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(items: Iterable[object], total: int) -> str:
    """At most ``SHOWN`` of the items, with how many more there are."""
    shown = [str(item) for item, _ in zip(items, range(SHOWN), strict=False)]
    return ", ".join(shown) + (f" and {total - len(shown):,} more" if total > len(shown) else "")


def name_columns(header: Sequence[str], *, file: str, line: int | None = None) -> tuple[tuple[str, ...], list[Finding]]:
    """Names that are trimmed, filled in and all different, and what that changed.

    Raises:
        TableError: the header is blank or too wide.
    """
    if not any(cell.strip() for cell in header):
        raise TableError("the header is blank; the first line must name the columns", file=file, line=line)
    check_width(len(header), file=file, line=line)
    names: list[str] = []
    findings: list[Finding] = []

    def found(kind: str, message: str) -> None:
        findings.append(Finding(line=line, kind=kind, message=message))

    taken = {cell.strip() for cell in header}
    used: set[str] = set()
    for number, cell in enumerate(header, 1):
        name = cell.strip()
        if not name:
            name = _free(f"column {number}", taken | used)
            found("header_blank", f"column {number} has no name; it is called {name!r}")
        elif name in used:
            again = _free(name, taken | used)
            found("header_duplicate", f"column {number} is a second {name!r}; it is called {again!r}")
            name = again
        elif name != cell:
            found("header_trimmed", f"the name of column {number} had spaces around it; it is called {name!r}")
        names.append(name)
        used.add(name)
    return tuple(names), findings


def check_width(width: int, *, file: str, line: int | None = None) -> None:
    """Refuse a table with more columns than ``MAX_COLUMNS``."""
    if width > MAX_COLUMNS:
        raise TableError(f"the table has {width:,} columns; at most {MAX_COLUMNS:,} are taken", file=file, line=line)


def check_cell(text: str, *, refuse: Callable[[str], TableError]) -> str:
    """The text itself, if it can be stored: UTF-8, no NUL, not longer than ``MAX_FIELD``.

    CSV needs none of this, since its decoder and its parser refuse the same.
    """
    if len(text) > MAX_FIELD:
        raise refuse(f"has {len(text):,} characters; at most {MAX_FIELD:,} are taken")
    if "\0" in text:
        raise refuse("holds a NUL character; remove it")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise refuse(f"holds half a character (the lone surrogate U+{ord(text[error.start]):04X})") from error
    return text


def has_changed(layout: Layout) -> TableError:
    """The error for a file that is not the one that was inspected."""
    return TableError("the file has changed since it was inspected; give it again", file=layout.name)


def _free(name: str, taken: set[str]) -> str:
    """The name, or the name with the first free number after it."""
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name} ({number})", number + 1
    return candidate
