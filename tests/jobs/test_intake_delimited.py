"""CSV and TSV: cells survive as text, and what breaks the rules is refused at its line."""

import csv
import itertools
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import intake
from jobs.errors import TableError


def read(path: Path) -> list[tuple[str, ...]]:
    return list(intake.read(path, intake.inspect(path)))


@pytest.fixture(name="put")
def put_fixture(tmp_path):
    def put(data: bytes, name: str = "t.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return put


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"a,b\n007,NA\n", [("007", "NA")]),
        (b'a,b\nnull,""\n', [("null", "")]),
        (b"a,b\n,\n", [("", "")]),
        (b"a,b\n 1 ,\t2\n", [(" 1 ", "\t2")]),
        (b"a,b\n1.10,1e5\n", [("1.10", "1e5")]),
        (b'a,b\n"x\ny",2\n', [("x\ny", "2")]),
        (b'a,b\r\n"x\r\ny",2\r\n', [("x\r\ny", "2")]),
        (b'a,b\r"x\ry",2\r', [("x\ry", "2")]),
        (b'a,b\n"say ""hi""",2\n', [('say "hi"', "2")]),
        (b'a,b\n5" disk,2\n', [('5" disk', "2")]),
        (b"a,b\n1,2", [("1", "2")]),
        (b"a,b\n1,2\n\n\n", [("1", "2")]),
        (b"a,b\n1,2\n   \n\x1a", [("1", "2")]),
        (b"a,b\n1,\x0b\xe2\x80\xa8\xc2\x85\n", [("1", "\x0b\u2028\x85")]),
        (b"a\nx\ny\n", [("x",), ("y",)]),
        (b'a\nx\n""\n"y, z"\n', [("x",), ("",), ("y, z",)]),
        (b"a\nx; y | z\n", [("x; y | z",)]),
        (b"a;b\n1,5;2,5\n", [("1,5", "2,5")]),
        (b"a|b\n1|2\n", [("1", "2")]),
        (b"a,b;c\n1,2;3\n4,5;6;7\n", [("1", "2;3"), ("4", "5;6;7")]),
        (b'"a,b";"c"\n1;2\n', [("1", "2")]),
        (b"sep=;\na;b\n1,5;2\n", [("1,5", "2")]),
        (b"\n\na,b\n1,2\n", [("1", "2")]),
    ],
)
def test_cells_survive_as_they_stand(put, data, rows):
    """Nothing is parsed, trimmed or taken for missing; quoted line breaks stay inside their cell."""
    assert read(put(data)) == rows


@pytest.mark.parametrize(
    ("data", "encoding", "rows"),
    [
        ("a,b\né,€\n".encode(), "utf-8", [("é", "€")]),
        ("a,b\né,€\n".encode("utf-8-sig"), "utf-8", [("é", "€")]),
        (b"\xff\xfe" + "a,b\né,😀\n".encode("utf-16-le"), "utf-16", [("é", "😀")]),
        (b"\xfe\xff" + "a,b\né,😀\n".encode("utf-16-be"), "utf-16", [("é", "😀")]),
        ("a,b\ncafé,“naïve” – 5 €\n".encode("cp1252"), "cp1252", [("café", "“naïve” – 5 €")]),
        ("a,b\nПривет мир,как дела\nСпасибо,большое\n".encode("cp1251"), "cp1251", None),
        ("a,b\nこんにちは世界,ありがとうございます\n".encode("shift_jis"), "shift_jis", None),
        ("a,b\n你好世界,谢谢你们的帮助\n".encode("gb18030"), "gb18030", None),
        ("a,b\nŽluťoučký kůň,příliš úpěl ďábelské ódy\n".encode("cp1250"), "cp1250", None),
    ],
)
def test_encoding_is_detected_and_shown(put, data, encoding, rows):
    """UTF-8 and UTF-16 are proved, anything else is guessed, and both are shown."""
    path = put(data)

    layout = intake.inspect(path)

    assert layout.encoding == encoding
    found = [finding for finding in layout.findings if finding.kind in ("bom", "encoding")]
    assert bool(found) == (data[:2] in (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb") or encoding not in ("utf-8", "utf-16"))
    whole = data.decode("utf-8-sig" if encoding == "utf-8" else encoding).splitlines()
    assert list(intake.read(path, layout)) == (rows or [tuple(line.split(",")) for line in whole[1:]])


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"a,b\n\xc3\xa9,1\n\xe9,\xc3\xbc\n", 3, "byte 0xE9 at offset 9 is not UTF-8, though the rest of the file is"),
        (b"\xef\xbb\xbfa,b\n1,\xe9\n", 2, "byte 0xE9 at offset 9 is not UTF-8, though the file's byte order mark"),
        (b"\xff\xfe" + "a,b\n1,2\n".encode("utf-16-le") + b"\x00", 3, "offset 18 is not UTF-16"),
        (b"\xff\xfe" + "a,b\n1,".encode("utf-16-le") + b"\x00\xd8x\x00", 2, "offset 14 is not UTF-16"),
        (
            b"a,b\n" + "café,déjà vu\n".encode("cp1252") * 6_000 + b"\x81,1\n",
            6_002,
            "byte 0x81 at offset 78,004 fits neither UTF-8 nor cp1252",
        ),
        (b"a,b\n1,2\n3,x\0y\n", 3, "character 4 is a NUL byte"),
        (b"a,b,c,d,e\n1,2,3,4,5\n1,2,3,4\n", 3, "line 3 has 4 fields, the header has 5"),
        (b'a,b\n1,"x\ny"\n\n1,2,3\n', 5, "line 5 has 3 fields, the header has 2"),
        (b'a,b\r\r1,"x\ry"\r1,2,"3\r4"\r', 5, "line 5 has 3 fields, the header has 2"),
        (b"Report 2024\na,b\n1,2\n", 2, "line 2 has 2 fields, the header has 1; if the first line is a title"),
        (b'a,b\n1,2\n3,"open\n5,6\n7,8\n', 3, "the quote that opens here is never closed"),
        (b'a,b\n"x\ny","open\n5,6\n', 3, "the quote that opens here is never closed"),
        (b'a,b\n1,"open\n5,"x"\n', 2, "text follows the end of a quoted field that opens here"),
        (b'a,b\n1,2\n"x" y,2\n', 3, "text follows the end of a quoted field that opens here"),
        (b"a,b\n1,2\n3," + b"x" * 1_000_001 + b"\n", 3, "a field is longer than 1,000,000 characters"),
        (b'a,b\n1,2\n3,"' + b"x\n" * 600_000, 3, "the quote that opens here may never be closed"),
        (b"a," * 2_001 + b"b\n", 1, "the table has 2,002 columns; at most 2,000 are taken"),
        (b"a,b\n1," + b"x" * 17_000_000, 2, "the line is longer than 16,000,000 characters"),
    ],
)
def test_what_breaks_the_rules_is_refused_at_its_line(put, data, line, words):
    """A refusal carries the physical line where the record, or the quote in question, begins."""
    with pytest.raises(TableError) as refusal:
        intake.inspect(put(data))

    assert words in refusal.value.message
    assert (refusal.value.file, refusal.value.line) == ("t.csv", line)


def test_bad_byte_far_into_the_file_is_found_at_its_place(put):
    """UTF-8 is proved over the whole file: one bad byte after megabytes has its line and offset."""
    data = "é,b\r\n".encode() * 700_000

    with pytest.raises(TableError) as refusal:
        intake.inspect(put(data + b"\xe9,1\r\n"))

    assert refusal.value.line == 700_001
    assert f"offset {len(data):,}" in refusal.value.message


def test_character_that_two_chunks_share_is_whole(put):
    """A character cut by the end of a chunk is neither refused nor changed."""
    cell = "é" * 300_000
    data = f"aa,b\n{cell},1\n{cell},2\n{cell},3\n".encode()

    assert [row[0] == cell for row in read(put(data))] == [True] * 3


@pytest.mark.parametrize(
    ("data", "columns", "found"),
    [
        (b"name,name,name\n1,2,3\n", ("name", "name (2)", "name (3)"), ["header_duplicate"] * 2),
        (b"name,name (2),name\n1,2,3\n", ("name", "name (2)", "name (3)"), ["header_duplicate"]),
        (b"a,,b\n1,2,3\n", ("a", "column 2", "b"), ["header_blank"]),
        (b"column 2,\n1,2\n", ("column 2", "column 2 (2)"), ["header_blank"]),
        (b"a, b\n1,2\n", ("a", "b"), ["header_trimmed"]),
        (b"a, a\n1,2\n", ("a", "a (2)"), ["header_duplicate"]),
        (b'"a\nb",c\n1,2\n', ("a\nb", "c"), []),
        (b"A,a\n1,2\n", ("A", "a"), []),
    ],
)
def test_columns_have_names_that_differ(put, data, columns, found):
    """Blank and repeated names are filled in, and said so."""
    layout = intake.inspect(put(data))

    assert layout.columns == columns
    assert [finding.kind for finding in layout.findings] == found


@pytest.mark.parametrize(
    ("name", "data", "delimiter", "findings"),
    [
        ("t.csv", b"a,b\n1,2\n", ",", []),
        ("t.tsv", b"a\tb\n1\t2\n", "\t", []),
        ("t.csv", b"a\tb\n1\t2\n", "\t", [(None, "fields are parted by tabs")]),
        (
            "t.csv",
            b"a;b,c\n1;2\n",
            ";",
            [(None, "fields are parted by semicolons, a guess: the header also holds commas")],
        ),
        ("t.csv", b"a\n1\n", ",", [(None, "no delimiter stands in the header: the table is read as one column")]),
        ("t.csv", b"sep=;\na;b\n1;2\n", ";", [(1, "fields are parted by semicolons, as the first line says")]),
        ("t.csv", b"a,b\n\n1,2\n\n\n3,4\n\n", ",", [(2, "3 blank lines were skipped")]),
        ("t.csv", b"a,b\n1,2\r\n3,4\n", ",", [(None, "rows end in LF and CRLF by turns")]),
        ("t.csv", b'a,b\r\n1,"x\ny"\r\n', ",", []),
    ],
)
def test_findings_say_what_was_done(put, name, data, delimiter, findings):
    """What a person did not ask for is said; a line break inside a cell is no mixed line end."""
    layout = intake.inspect(put(data, name))

    assert layout.delimiter == delimiter
    assert [(finding.line, finding.message) for finding in layout.findings] == findings


# A table that is mostly control characters is taken for a binary; they have cases of their own above.
CELL = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\t\n\r\x85\x9f"), max_size=12)
AWKWARD = st.sampled_from(
    ["", " ", '"', '""', ",", ";", "\t", "|", "\r", "\n", "\r\n", "a\rb", "NA", "007", "\ufeff", "\x1a"]
)
TABLES = st.integers(2, 5).flatmap(
    lambda width: st.lists(st.lists(CELL | AWKWARD, min_size=width, max_size=width), min_size=1, max_size=8)
)


@settings(max_examples=150, deadline=None)
@given(
    rows=TABLES,
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_whatever_csv_writes_reads_back_identical(rows, delimiter, encoding, quoting):
    """Any table that the csv module writes, with any delimiter, comes back cell for cell."""
    header = [f"column {chr(97 + index)}" for index in range(len(rows[0]))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        with path.open("w", newline="", encoding=encoding) as file:
            csv.writer(file, delimiter=delimiter, quoting=quoting).writerows([header, *rows])

        layout = intake.inspect(path)

        assert layout.columns == tuple(header)
        assert layout.rows == len(rows)
        assert list(intake.read(path, layout)) == [tuple(row) for row in rows]


@settings(max_examples=80, deadline=None)
@given(cells=st.lists(CELL | AWKWARD, min_size=1, max_size=8))
def test_one_column_that_csv_writes_reads_back_identical(cells):
    """A table of one column comes back too, its empty cells among it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["text"], *([cell] for cell in cells)])

        assert read(path) == [(cell,) for cell in cells]


def test_memory_stays_flat(put):
    """Inspecting, reading and counting 10 MB hold a part of it."""
    path = put(b"id,text\n" + b"".join(b"%d,%s\n" % (number, b"word " * 20) for number in range(90_000)))

    tracemalloc.start()
    layout = intake.inspect(path)
    facts = intake.Facts(layout.columns)
    for row in intake.read(path, layout):
        facts.add(row)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert facts.summary().rows == layout.rows == 90_000
    assert peak < 6_000_000


def test_preview_may_stop_early(put):
    """A reader that is dropped after a few rows closes its file."""
    path = put(b"a,b\n" + b"1,2\n" * 50_000)

    rows = intake.read(path, intake.inspect(path))

    assert list(itertools.islice(rows, 2)) == [("1", "2")] * 2
    rows.close()
    path.unlink()


def test_row_of_many_long_cells_is_refused_before_all_of_it_is_read(tmp_path):
    """A row takes no more memory than a line may, also where its cells have line breaks and each is within the limit."""
    cell = '"' + ("x" * 899_999 + "\n") + '"'
    path = tmp_path / "t.csv"
    path.write_text(",".join(f"c{number}" for number in range(20)) + "\n" + ",".join([cell] * 20) + "\n")

    with pytest.raises(TableError, match="a row goes on for more than 16,000,000 characters"):
        intake.inspect(path)
