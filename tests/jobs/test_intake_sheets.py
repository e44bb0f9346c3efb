"""Excel workbooks: the first visible sheet as a person sees it."""

import datetime as dt
import io
import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook

from jobs import intake
from jobs.errors import TableError
from jobs.intake import sheets


@pytest.fixture(name="path")
def path_fixture(tmp_path) -> Path:
    return tmp_path / "t.xlsx"


def save(path: Path, rows: list[list[object]]) -> Path:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def rewrite(path: Path, member: str, old: bytes, new: bytes) -> Path:
    """The same workbook with a piece of one part exchanged."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert old in parts[member]
    parts[member] = parts[member].replace(old, new)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    path.write_bytes(buffer.getvalue())
    return path


def read(path: Path) -> list[tuple[str, ...]]:
    return list(intake.read(path, intake.inspect(path)))


@pytest.mark.parametrize(
    ("value", "number_format", "text"),
    [
        ("007", None, "007"),
        (" NA ", None, " NA "),
        (5, None, "5"),
        (5.0, None, "5"),
        (-2.5, None, "-2.5"),
        (0.1 + 0.2, None, "0.3"),
        (123456789012345, None, "123456789012345"),
        (1234567890123456, None, "1234567890123456"),
        (9007199254740993, None, "9007199254740990"),
        (123456789012345000, None, "123456789012345000"),
        (990000862471854000, None, "990000862471854000"),
        (-12345678901234600000, None, "-12345678901234600000"),
        (123456789012345000, "0" * 20, "00123456789012345000"),
        (1e22, None, "1e+22"),
        (1e-7, None, "1e-07"),
        (7, "00000", "00007"),
        (0.125, "0%", "0.125"),
        (True, None, "TRUE"),
        (False, None, "FALSE"),
        (dt.date(2024, 5, 1), None, "2024-05-01"),
        (dt.datetime(2024, 5, 1, 10, 30), None, "2024-05-01T10:30:00"),
        (dt.datetime(2024, 5, 1), "yyyy-mm-dd hh:mm", "2024-05-01T00:00:00"),
        (dt.time(10, 30), None, "10:30:00"),
        (dt.timedelta(hours=30, minutes=5), None, "30:05:00"),
        ("#N/A", None, "#N/A"),
        ("line\nbreak", None, "line\nbreak"),
        ("😀", None, "😀"),
    ],
)
def test_cells_are_what_a_person_sees(path, value, number_format, text):
    """Whole numbers have no fraction, dates are ISO, leading zeros of a format stay."""
    save(path, [["a", "b"], [value, "x"]])
    if number_format:
        book = Workbook()
        book.active.append(["a", "b"])
        book.active.append([value, "x"])
        book.active["A2"].number_format = number_format
        book.save(path)

    assert read(path) == [(text, "x")]


def test_blank_rows_and_trailing_blanks_are_left_out(path):
    """Columns and rows without content around the table do not count; blank rows inside are said."""
    save(path, [[None], ["a", "b", None], ["1"], [None, None], ["", "2", "", ""], [None, None, None]])

    layout = intake.inspect(path)

    assert layout.columns == ("a", "b")
    assert list(intake.read(path, layout)) == [("1", ""), ("", "2")]
    assert [(finding.line, finding.message) for finding in layout.findings] == [(4, "1 blank row was skipped")]


def test_first_visible_sheet_is_read_and_the_others_named(path):
    """A hidden sheet in front is passed over; a person hears which sheets are not read."""
    book = Workbook()
    book.active.title = "Lists"
    book.active.append(["no"])
    book.active.sheet_state = "hidden"
    data = book.create_sheet("Data")
    data.append(["a"])
    data.append(["1"])
    book.create_sheet("Notes")
    book.active = 1
    book.save(path)

    layout = intake.inspect(path)

    assert list(intake.read(path, layout)) == [("1",)]
    assert [finding.message for finding in layout.findings] == [
        "only the first visible sheet is read, not 'Lists', 'Notes'"
    ]


def test_formula_gives_its_stored_result(path):
    """A formula is its result; one that was never calculated is empty, and said."""
    save(path, [["a", "b"], ["=1+1", "x"], ["=2+2", "y"]])
    rewrite(path, "xl/worksheets/sheet1.xml", b"<f>1+1</f><v />", b"<f>1+1</f><v>2</v>")

    layout = intake.inspect(path)

    assert list(intake.read(path, layout)) == [("2", "x"), ("", "y")]
    assert [(finding.line, finding.kind) for finding in layout.findings] == [(3, "no_result")]


def test_numbers_that_a_spreadsheet_has_rounded_are_told(path):
    """Where digits are lost already, a person hears how many numbers there are and where the first one stands."""
    save(path, [["a", "id"], [1, 123456789012345], [2, 123456789012345678], [3, "123456789012345678"], [4, 10**16]])

    layout = intake.inspect(path)

    assert [row[1] for row in intake.read(path, layout)] == [
        "123456789012345", "123456789012346000", "123456789012345678", "10000000000000000",
    ]  # fmt: skip
    assert [(finding.line, finding.kind) for finding in layout.findings] == [(3, "rounded")]
    assert "2 whole numbers have more than 15 digits, first in B3" in layout.findings[0].message


def test_wrong_extent_does_not_cut_the_table_off(path):
    """The extent that the sheet states is not believed."""
    save(path, [["a", "b"], ["1", "2"], ["3", "4"]])
    rewrite(path, "xl/worksheets/sheet1.xml", b'<dimension ref="A1:B3"', b'<dimension ref="A1"')

    assert read(path) == [("1", "2"), ("3", "4")]


@pytest.mark.parametrize(
    ("rows", "line", "words"),
    [
        ([["a"], ["1"], ["1", None, "x"]], 3, "row 3 has a value in column C, but the header ends in column A"),
        ([], None, "sheet is empty"),
        ([["a", "b"]], None, "no row below it"),
    ],
)
def test_sheet_that_is_no_table_is_refused(path, rows, line, words):
    """A refusal names the row and the column by their letters."""
    with pytest.raises(TableError) as refusal:
        intake.inspect(save(path, rows))

    assert words in refusal.value.message
    assert refusal.value.line == line


def test_damaged_workbook_is_refused(path):
    """A part that is no XML is damage, in the sheet as in the book."""
    save(path, [["a"], ["1"]])
    rewrite(path, "xl/worksheets/sheet1.xml", b"</sheetData>", b"")

    with pytest.raises(TableError, match="the workbook is damaged"):
        intake.inspect(path)


def test_workbook_cut_off_is_refused(path):
    """A download that stopped half way is damage."""
    save(path, [["a"], ["1"]])
    path.write_bytes(path.read_bytes()[:3_000])

    with pytest.raises(TableError, match="damaged zip archive or workbook"):
        intake.inspect(path)


def test_workbook_that_unpacks_to_too_much_is_refused(path, monkeypatch):
    """An archive is held to its unpacked size before anything of it is parsed."""
    save(path, [["a"], *([str(number)] for number in range(500))])
    monkeypatch.setattr(sheets, "MAX_UNPACKED", 10_000)

    with pytest.raises(TableError, match=r"unpacks to [\d,]+ bytes; at most 10,000 are taken"):
        intake.inspect(path)


def test_sheet_of_too_many_rows_is_refused_before_it_is_parsed(path, monkeypatch):
    """A small archive may unpack to millions of rows: they are counted first, which takes a second and not minutes."""
    save(path, [["a"], *([str(number)] for number in range(500))])
    monkeypatch.setattr(sheets, "_LAST_ROW", 400)
    monkeypatch.setattr(sheets, "load_workbook", None)

    with pytest.raises(TableError, match="the sheet goes beyond row 400"):
        intake.inspect(path)


def test_workbook_named_csv_says_so(path):
    """A real workbook under the wrong ending is told apart from damage."""
    save(path, [["a"], ["1"]])

    with pytest.raises(TableError, match=r"this is an Excel workbook, not text; rename it to end in \.xlsx"):
        intake.inspect(path, name="t.csv")
