"""Excel workbooks: the first visible sheet, its first row that is not blank the header.

Cells are text as a person sees them, as far as that loses nothing: whole numbers without ".0", at most the 15 digits
that a spreadsheet keeps and zeros behind them, leading zeros of a format such as 00000, dates in ISO form, TRUE and FALSE,
errors such as #N/A, and for a formula its stored result. Currency, percent and rounding are not applied: 0.125 shown as
13 % stays 0.125.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import cast
from xml.etree.ElementTree import ParseError

from openpyxl import Workbook, load_workbook
from openpyxl.cell import Cell, MergedCell
from openpyxl.cell.read_only import EmptyCell, ReadOnlyCell
from openpyxl.utils import get_column_letter
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet._read_only import ReadOnlyWorksheet
from openpyxl.worksheet.worksheet import Worksheet

from jobs.errors import TableError
from jobs.intake.layout import (
    MAX_FIELD,
    MAX_UNPACKED,
    Finding,
    Layout,
    check_cell,
    counted,
    has_changed,
    listed,
    name_columns,
)

#: what openpyxl and zipfile raise for a workbook that is not well formed
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    ParseError,
    InvalidFileException,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    EOFError,
    NotImplementedError,
    RuntimeError,
)
_ZEROS = re.compile(r"0+")
#: whole numbers below are what the file says, digit by digit; beyond it a spreadsheet holds their nearest neighbour
_EXACT = 2**53
#: a whole number of more digits than a spreadsheet keeps
_ROUNDED = re.compile(r"-?0*[1-9]\d{14}0+")
_FORMULA = re.compile(rb"<(?:\w+:)?f[ >/]")
_LAST_ROW = 1_048_576
_CHUNK = 1 << 20


@dataclass
class _Tally:
    """What a pass over the sheet counts on its way."""

    header_row: int = 1
    blank: int = 0
    first_blank: int | None = None
    without_result: int = 0
    first_without: int | None = None
    rounded: int = 0
    #: row and cell of the first number whose digits a spreadsheet has not kept
    first_rounded: tuple[int, str] | None = None
    others: list[str] = field(default_factory=list)


def inspect(path: Path, *, name: str, size: int) -> Layout:
    """The layout of the first visible sheet, after reading all of it.

    Raises:
        TableError: the workbook is broken, encrypted or unpacks to too much, or a row cannot be taken.
    """
    has_formulas = _check_archive(path, name=name)
    tally = _Tally()
    records = _records(path, name=name, tally=tally)
    header = next(records, None)
    if header is None:
        raise TableError("the first visible sheet is empty; put the table there", file=name)
    columns, renamed = name_columns(header, file=name, line=tally.header_row)
    rows = sum(1 for _ in records)
    if rows == 0:
        raise TableError("there is a header but no row below it; add at least one row", file=name)
    if has_formulas:
        _count_without_result(path, name=name, tally=tally)
    return Layout(
        name=name,
        format="xlsx",
        columns=columns,
        rows=rows,
        size_bytes=size,
        findings=(*renamed, *_told(tally)),
    )


def read(path: Path, layout: Layout) -> Iterator[tuple[str, ...]]:
    """The rows below the header; blank ones are left out.

    Raises:
        TableError: a row cannot be taken, or the file has changed.
    """
    records = _records(path, name=layout.name, tally=_Tally())
    header = next(records, None)
    if header is None or name_columns(header, file=layout.name)[0] != layout.columns:
        raise has_changed(layout)
    yield from records


def _records(path: Path, *, name: str, tally: _Tally) -> Iterator[tuple[str, ...]]:
    """The header, then the rows, all of one width; blank rows are counted unless nothing follows them."""
    width = waiting = 0
    for number, row in enumerate(_rows(path, name=name, tally=tally), 1):
        while row and not row[-1]:
            row.pop()
        if not row:
            waiting += 1
            continue
        _check_row(row, number, width, name=name)
        if not width:
            width, tally.header_row, waiting = len(row), number, 0
        if waiting and not tally.blank:
            tally.first_blank = number - waiting
        tally.blank += waiting
        waiting = 0
        yield tuple(row + [""] * (width - len(row)))


def _check_row(row: list[str], number: int, width: int, *, name: str) -> None:
    """Refuse a row that goes beyond the header, and a cell that cannot be stored; width 0 is the header itself."""
    if width and len(row) > width:
        raise TableError(
            f"row {number} has a value in column {get_column_letter(len(row))}, but the header ends in column "
            f"{get_column_letter(width)}; name that column or clear the cell",
            file=name,
            line=number,
        )
    for column, text in enumerate(row, 1):
        if len(text) > MAX_FIELD or not text.isascii():

            def refused(message: str, place: str = f"{get_column_letter(column)}{number}") -> TableError:
                return TableError(f"cell {place} {message}", file=name, line=number)

            check_cell(text, refuse=refused)


def _rows(path: Path, *, name: str, tally: _Tally) -> Iterator[list[str]]:
    """Every row of the sheet from the first on, as text."""
    with _opened(path, name=name) as book:
        sheet, tally.others = _first(book, name=name)
        for number, row in enumerate(sheet.iter_rows(), 1):
            if number > _LAST_ROW:
                raise TableError(f"the sheet goes beyond row {_LAST_ROW:,}; save it again", file=name)
            texts = [_text(cell) for cell in row]
            for column, text in enumerate(texts, 1):
                if len(text) > 15 and _ROUNDED.fullmatch(text) and not isinstance(row[column - 1].value, str):
                    tally.rounded += 1
                    tally.first_rounded = tally.first_rounded or (number, f"{get_column_letter(column)}{number}")
            yield texts


@contextmanager
def _opened(path: Path, *, name: str, results: bool = True) -> Iterator[Workbook]:
    """The workbook, streamed; what breaks while it is read is refused as damage."""
    with path.open("rb") as file:
        try:
            book = load_workbook(file, read_only=True, data_only=results, keep_links=False)
            try:
                yield book
            finally:
                book.close()
        except _BROKEN as error:
            raise TableError(
                f"the workbook is damaged ({type(error).__name__}: {error}); open it in a spreadsheet program and save it again",
                file=name,
            ) from error


def _first(book: Workbook, *, name: str) -> tuple[Worksheet, list[str]]:
    """The first visible sheet, and the names of the others."""
    sheets = cast("list[ReadOnlyWorksheet]", book.worksheets)
    for sheet in sheets:
        if sheet.sheet_state == "visible":
            # Some programs write a wrong extent, which would cut the table off.
            sheet.reset_dimensions()
            return cast(Worksheet, sheet), [each.title for each in sheets if each is not sheet]
    raise TableError("the workbook has no visible sheet with cells; put the table on the first one", file=name)


def _text(cell: Cell | ReadOnlyCell | EmptyCell | MergedCell) -> str:
    """A cell as a person sees it, as far as that loses nothing."""
    value = cell.value
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "TRUE" if value else "FALSE"
        case int() | float():
            return _number(value, cell.number_format or "General")
        case datetime():
            has_time = value.time() != time() or "h" in (cell.number_format or "").lower()
            return value.isoformat() if has_time else value.date().isoformat()
        case date() | time():
            return value.isoformat()
        case timedelta():
            return _duration(value)
        case _:
            return str(value)


def _number(value: int | float, number_format: str) -> str:
    """At most 15 digits, and zeros behind them, as Excel shows them; a whole number that the file has exactly stays so."""
    if isinstance(value, float) or abs(value) >= _EXACT:
        text = f"{Decimal(value):.15g}" if isinstance(value, int) else f"{value:.15g}"
        shown = Decimal(text)
        if not shown.is_finite() or shown != shown.to_integral_value() or abs(shown) >= 10**21:
            return text
        value = int(shown)
    if _ZEROS.fullmatch(number_format) and value >= 0:
        return str(value).zfill(len(number_format))
    return str(value)


def _duration(value: timedelta) -> str:
    """Hours, minutes and seconds, the hours beyond 24 too."""
    seconds = abs(value.total_seconds())
    hours, rest = divmod(int(seconds), 3600)
    part = f"{seconds % 1:.6f}".rstrip("0").rstrip(".")[1:]
    return f"{'-' if value < timedelta() else ''}{hours}:{rest // 60:02}:{rest % 60:02}{part}"


def _check_archive(path: Path, *, name: str) -> bool:
    """Whether any sheet holds formulas; refuses an archive that is encrypted or would unpack to too much."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(member.flag_bits & 1 for member in members):
                raise TableError("the workbook is encrypted: save it without a password", file=name)
            # zipfile stops at the size that the directory declares, so the declaration can be held to the cap.
            unpacked = sum(member.file_size for member in members)
            if unpacked > MAX_UNPACKED:
                raise TableError(
                    f"the workbook unpacks to {unpacked:,} bytes; at most {MAX_UNPACKED:,} are taken: save the table as CSV",
                    file=name,
                )
            sheets = [member for member in members if "worksheets/" in member.filename]
            found = [_holds_formula(archive, sheet, name=name) for sheet in sheets]
            return any(found)
    except _BROKEN as error:
        raise TableError(f"the workbook is damaged ({error}); save or download it again", file=name) from error


def _holds_formula(archive: zipfile.ZipFile, member: zipfile.ZipInfo, *, name: str) -> bool:
    is_found, rows, tail = False, 0, b""
    with archive.open(member) as part:
        while chunk := part.read(_CHUNK):
            seen = tail + chunk
            is_found = is_found or _FORMULA.search(seen) is not None
            # text of a cell cannot hold the mark, and to parse so many rows takes minutes
            rows += seen.count(b"<row") - tail.count(b"<row")
            if rows > _LAST_ROW:
                raise TableError(f"the sheet goes beyond row {_LAST_ROW:,}; save it again", file=name)
            tail = chunk[-32:]
    return is_found


def _count_without_result(path: Path, *, name: str, tally: _Tally) -> None:
    """Count the formulas that were never calculated: a program that writes workbooks may store no results."""
    with _opened(path, name=name) as results, _opened(path, name=name, results=False) as formulas:
        pairs = zip(_first(results, name=name)[0].iter_rows(), _first(formulas, name=name)[0].iter_rows(), strict=True)
        for number, (shown, written) in enumerate(pairs, 1):
            for cell, formula in zip(shown, written, strict=False):
                if formula.data_type == "f" and cell.value is None:
                    tally.without_result += 1
                    tally.first_without = tally.first_without or number


def _told(tally: _Tally) -> list[Finding]:
    found = []
    if tally.others:
        names = listed((repr(title) for title in tally.others), len(tally.others))
        found.append(Finding(kind="other_sheets", message=f"only the first visible sheet is read, not {names}"))
    if tally.blank:
        verb = "was" if tally.blank == 1 else "were"
        message = f"{counted(tally.blank, 'blank row')} {verb} skipped"
        found.append(Finding(line=tally.first_blank, kind="blank_lines", message=message))
    if tally.first_rounded is not None:
        noun = "whole number has" if tally.rounded == 1 else "whole numbers have"
        message = (
            f"{tally.rounded:,} {noun} more than 15 digits, first in {tally.first_rounded[1]}: a spreadsheet keeps 15 and puts "
            "zeros behind them; if the others count, have the column written as text"
        )
        found.append(Finding(line=tally.first_rounded[0], kind="rounded", message=message))
    if tally.without_result:
        noun = "formula has" if tally.without_result == 1 else "formulas have"
        message = (
            f"{tally.without_result:,} {noun} no stored result and are read as empty: open the workbook, save it again"
        )
        found.append(Finding(line=tally.first_without, kind="no_result", message=message))
    return found
