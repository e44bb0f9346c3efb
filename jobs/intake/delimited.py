"""CSV and TSV, by the rules of RFC 4180 held strictly: a line that breaks them is refused with its number.

A ragged row is never padded or cut, since every value behind the break would stand in the wrong column.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TextIO

from jobs.errors import TableError
from jobs.intake import encodings
from jobs.intake.layout import MAX_FIELD, MAX_LINE, Finding, Layout, counted, has_changed, name_columns

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
#: characters and records that the delimiter is chosen by
_SAMPLE, _RECORDS = 262_144, 500
#: the first line by which Excel is told the delimiter, and that line as a record
_STATED, _SEP = re.compile(r"sep=([,;\t|])[\r\n]"), ["sep=", ""]
_ENDS = {"\n": "LF", "\r\n": "CRLF", "\r": "CR"}

# The module's own default of 131,072 is too short for the documents that people have models read. The limit is one for
# the process; nothing else in Redrive changes it.
csv.field_size_limit(MAX_FIELD)


def inspect(path: Path, *, name: str, size: int, prefer_tab: bool) -> Layout:
    """The file's layout, after reading all of it.

    Raises:
        TableError: the file cannot be decoded or a row cannot be taken.
    """
    encoding, findings = encodings.detect(path, name=name)
    with encodings.opened(path, encoding) as file:
        delimiter, found = _choose_delimiter(file.read(_SAMPLE), prefer_tab=prefer_tab)
    tally = _Tally()
    records = _records(path, name=name, encoding=encoding, delimiter=delimiter, tally=tally)
    header = next(records, None)
    if header is None:
        raise TableError("the file holds nothing but blank lines; give a header and at least one row", file=name)
    columns, renamed = name_columns(header, file=name, line=tally.header_line)
    rows = sum(1 for _ in records)
    if rows == 0:
        raise TableError("there is a header but no row below it; add at least one row", file=name)
    return Layout(
        name=name,
        format="tsv" if delimiter == "\t" else "csv",
        encoding=encoding,
        delimiter=delimiter,
        columns=columns,
        rows=rows,
        size_bytes=size,
        findings=(*findings, *found, *renamed, *tally.findings()),
    )


def read(path: Path, layout: Layout) -> Iterator[tuple[str, ...]]:
    """The rows below the header.

    Raises:
        TableError: a row cannot be taken, or the file has changed.
    """
    if layout.encoding is None or layout.delimiter is None:
        raise has_changed(layout)
    tally = _Tally()
    records = _records(path, name=layout.name, encoding=layout.encoding, delimiter=layout.delimiter, tally=tally)
    try:
        header = next(records, None)
        if header is None or name_columns(header, file=layout.name)[0] != layout.columns:
            raise has_changed(layout)
        yield from records
    except UnicodeDecodeError as error:
        raise has_changed(layout) from error


@dataclass
class _Tally:
    """What a pass over the records counts on its way."""

    header_line: int = 1
    blank: int = 0
    first_blank: int | None = None
    ends: set[str] = field(default_factory=set)
    #: blank lines since the last record: at the end of a file they are nothing to report
    trailing: int = 0

    def skip(self, line: int) -> None:
        """Count one blank line."""
        self.trailing += 1
        if self.first_blank is None:
            self.first_blank = line

    def settle(self) -> None:
        """Blank lines before a record were inside the table."""
        self.blank += self.trailing
        self.trailing = 0

    def findings(self) -> list[Finding]:
        """What a person should know of it."""
        found = []
        if self.blank:
            verb = "was" if self.blank == 1 else "were"
            message = f"{counted(self.blank, 'blank line')} {verb} skipped"
            found.append(Finding(line=self.first_blank, kind="blank_lines", message=message))
        ends = [word for end, word in _ENDS.items() if end in self.ends]
        if len(ends) > 1:
            found.append(Finding(kind="line_ends", message=f"rows end in {' and '.join(ends)} by turns"))
        return found


class _Lines:
    """The physical lines of a text file, without NUL, the last one at hand for its end."""

    def __init__(self, file: TextIO, *, name: str) -> None:
        self._file, self._name = file, name
        self.last = ""
        #: characters read since the last whole record
        self.held = 0

    def __iter__(self) -> Iterator[str]:
        for number, line in enumerate(self._file, 1):
            if "\0" in line:
                place = f"character {line.index(chr(0)) + 1}"
                raise TableError(
                    f"{place} is a NUL byte; remove it or export the table again", file=self._name, line=number
                )
            self.last = line
            self.held += len(line)
            if self.held > MAX_LINE:
                message = (
                    f"a row goes on for more than {MAX_LINE:,} characters; a quote before here may never be closed"
                )
                raise TableError(message, file=self._name, line=number)
            yield line


def _records(path: Path, *, name: str, encoding: str, delimiter: str, tally: _Tally) -> Iterator[tuple[str, ...]]:
    """The header, then the rows, all of one width; blank lines are left out and counted."""
    with encodings.opened(path, encoding) as file:
        lines = _Lines(file, name=name)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        width, line = -1, 0
        ends = tally.ends
        try:
            for record in reader:
                lines.held = 0
                if len(record) != width:
                    if width < 0 and record == _SEP:
                        line = reader.line_num
                        continue
                    if _is_blank(record, width):
                        tally.skip(line + 1)
                        line = reader.line_num
                        continue
                    if width > 0:
                        raise TableError(_ragged(len(record), width, line + 1), file=name, line=line + 1)
                    width, tally.header_line = len(record), line + 1
                if tally.trailing:
                    tally.settle()
                ends.add("\r\n" if lines.last.endswith("\r\n") else lines.last[-1:])
                line = reader.line_num
                yield tuple(record)
        except csv.Error as error:
            raise _malformed(path, error, name=name, encoding=encoding, delimiter=delimiter, start=line + 1) from error


def _is_blank(record: list[str], width: int) -> bool:
    """Whether it is a line without fields, or one of spaces (or the end mark of DOS) only."""
    return not record or (width != 1 and len(record) == 1 and not record[0].strip(" \t\x1a"))


def _ragged(fields: int, width: int, line: int) -> str:
    message = f"line {line} has {counted(fields, 'field')}, the header has {width}"
    if width == 1:
        return (
            f"{message}; if the first line is a title, remove it; if this is one column of text, "
            "put each value in double quotes"
        )
    if fields > width:
        return f"{message}; put a value that holds the delimiter in double quotes"
    return f"{message}; add the missing delimiters, or close the quotes of a value with a line break"


def _malformed(path: Path, error: csv.Error, *, name: str, encoding: str, delimiter: str, start: int) -> TableError:
    """The error in a person's words, at the line where the quote in question opened."""
    with encodings.opened(path, encoding) as file:
        opened = _open_quote(islice(file, start - 1, None), delimiter=delimiter, start=start)
    words = str(error)
    if "field larger" in words:
        message = f"a field is longer than {MAX_FIELD:,} characters"
        if opened is not None:
            message += "; the quote that opens here may never be closed"
    elif "unexpected end" in words:
        message = "the quote that opens here is never closed"
    elif opened is not None:
        message = 'text follows the end of a quoted field that opens here; write a quote inside a field twice ("")'
    else:
        message = f"the line is not well-formed CSV ({words})"
    return TableError(message, file=name, line=opened or start)


def _open_quote(lines: Iterable[str], *, delimiter: str, start: int) -> int | None:
    """The line where the quoted field opened that breaks the record; None if an unquoted one does.

    Walks the record as the parser does, only after the parser has refused it.
    """
    state, opened, length = "start", start, 0
    for number, line in enumerate(lines, start):
        for character in line:
            length += 1
            if length > MAX_FIELD + 1:
                return opened if state in ("quoted", "quote") else None
            if state == "quoted":
                state = "quote" if character == '"' else state
            elif state == "quote" and character == '"':
                state = "quoted"
            elif character == delimiter:
                state, length = "start", 0
            elif character in "\r\n":
                if state == "quote":
                    return None
            elif state == "quote":
                return opened
            elif state == "start":
                state = "quoted" if character == '"' else "plain"
                opened = number
    return opened if state == "quoted" else None


def _choose_delimiter(sample: str, *, prefer_tab: bool) -> tuple[str, list[Finding]]:
    """The delimiter that parts the header and suits most rows of the sample; the usual one where none does."""
    usual = "\t" if prefer_tab else ","
    if stated := _STATED.match(sample):
        message = f"fields are parted by {_DELIMITERS[stated[1]]}, as the first line says"
        return stated[1], [Finding(line=1, kind="delimiter", message=message)]
    fits: dict[str, tuple[float, int]] = {}
    for delimiter in sorted(_DELIMITERS, key=lambda each: each != usual):
        widths = _widths(sample, delimiter)
        if widths and widths[0] > 1:
            fits[delimiter] = (sum(width == widths[0] for width in widths) / len(widths), widths[0])
    if not fits:
        message = "no delimiter stands in the header: the table is read as one column"
        return usual, [Finding(kind="delimiter", message=message)]
    chosen = max(fits, key=lambda each: fits[each])
    word = _DELIMITERS[chosen]
    if len(fits) > 1:
        others = " and ".join(_DELIMITERS[each] for each in fits if each != chosen)
        message = f"fields are parted by {word}, a guess: the header also holds {others}"
        return chosen, [Finding(kind="delimiter", message=message)]
    return chosen, [] if chosen == usual else [Finding(kind="delimiter", message=f"fields are parted by {word}")]


def _widths(sample: str, delimiter: str) -> list[int]:
    """Fields of each record of the sample; the last one may be cut, so it is left out where there are others."""
    lines = sample.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter, strict=True)
    widths: list[int] = []
    try:
        for record in islice(reader, _RECORDS):
            if not _is_blank(record, -1):
                widths.append(len(record))
    except csv.Error as error:
        # An open quote may only be the sample's cut; anything else speaks against the delimiter.
        return widths if "unexpected end" in str(error) else [*widths, 0]
    return widths[:-1] if len(sample) == _SAMPLE and len(widths) > 1 else widths
