"""The door of intake: what is taken as which format, what is refused with which words."""

import codecs
import gzip
import hashlib
import io
import os
import sqlite3
import zipfile
from pathlib import Path

import pytest

from jobs import intake
from jobs.errors import TableError


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return buffer.getvalue()


def database(folder: Path) -> bytes:
    path = folder / "some.db"
    connection = sqlite3.connect(path)
    connection.execute("create table t (a)")
    connection.commit()
    connection.close()
    return path.read_bytes()


PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(40)
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)


@pytest.mark.parametrize(
    ("name", "data", "format_", "rows"),
    [
        ("a.csv", b"a,b\n1,2\n", "csv", [("1", "2")]),
        ("a.tsv", b"a\tb\n1\t2\n", "tsv", [("1", "2")]),
        ("a.txt", b"a;b\n1;2\n", "csv", [("1", "2")]),
        ("a.CSV", b"a,b\n1,2\n", "csv", [("1", "2")]),
        ("a.jsonl", b'{"a": 1}\n', "jsonl", [("1",)]),
        ("a.ndjson", b'{"a": 1}\n', "jsonl", [("1",)]),
        ("a.json", b'{"a": 1}\n{"a": 2}\n', "jsonl", [("1",), ("2",)]),
        ("0123abcd", b'{"a": 1}\n', "jsonl", [("1",)]),
        ("0123abcd", b"a,b\n1,2\n", "csv", [("1", "2")]),
        ("a.csv", b"ORC,GIF8,BZh\n1,2,3\n", "csv", [("1", "2", "3")]),
        ("a.csv", b"[id],[name]\n1,2\n", "csv", [("1", "2")]),
        ("a.csv", b"{id},{name}\n1,2\n", "csv", [("1", "2")]),
    ],
)
def test_ending_and_content_together_decide_the_format(tmp_path, name, data, format_, rows):
    """A file is read by its ending and its content; without a known ending by its content."""
    path = put(tmp_path, name, data)

    layout = intake.inspect(path)

    assert layout.format == format_
    assert layout.rows == len(rows)
    assert layout.size_bytes == len(data)
    assert list(intake.read(path, layout)) == rows


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.csv", b"", "empty (0 bytes)"),
        ("a.xlsx", b"", "empty (0 bytes)"),
        ("a.csv", b"\n\n \n", "nothing but blank lines"),
        ("a.csv", b"\xef\xbb\xbf", "nothing but blank lines"),
        ("a.csv", b"a,b\n", "no row below it"),
        ("a.csv", b"a,b\r\n\r\n", "no row below it"),
        ("a.csv", b",,\n1,2,3\n", "header is blank"),
        ("a.csv", PNG, "a PNG image"),
        ("a.csv", b"%PDF-1.7\n1 0 obj\n", "a PDF document"),
        ("a.csv", gzip.compress(b"a,b\n1,2\n", mtime=0), "gzip archive, not a table: unpack it"),
        ("a.csv", zipped("a.csv"), "zip archive, not a table: unpack it"),
        ("a.csv", zipped("[Content_Types].xml", "word/document.xml"), "not a workbook"),
        ("a.xlsx", zipped("mimetype", "content.xml"), "OpenDocument"),
        ("a.csv", b"PK\x03\x04 cut off", "damaged zip archive"),
        ("a.csv", OLE, "old Office file (.xls"),
        ("a.xlsx", OLE + "EncryptedPackage".encode("utf-16-le"), "protected by a password"),
        ("a.csv", zipped("xl/workbook.xml"), "Excel workbook, not text; rename it to end in .xlsx"),
        ("a.csv", b"PAR1" + bytes(40) + b"PAR1", "Parquet file, not text; rename it to end in .parquet"),
        ("a.xlsx", b"a,b\n1,2\n", "this is text, not an Excel workbook"),
        ("a.parquet", b"a,b\n1,2\n", "this is text, not a Parquet file"),
        ("a.csv", b'{"a": 1}\n{"a": 2}\n', "looks like JSON Lines"),
        ("a.csv", b'[{"a": 1}]', "one JSON array"),
        ("a.jsonl", b'[\n  {"a": 1},\n  {"a": 2}\n]\n', "one JSON array"),
        ("a.csv", b"<!DOCTYPE html>\n<html></html>", "web page"),
        ("a.csv", b"<?xml version='1.0'?><a/>", "XML"),
        ("a.csv", bytes(range(256)) * 20, "binary data"),
        ("a.csv", "a,b\n1,2\n".encode("utf-16-le"), "UTF-16 text without a byte order mark"),
        ("a.csv", codecs.BOM_UTF32_LE + "a,b\n1,2\n".encode("utf-32-le"), "UTF-32"),
    ],
)
def test_what_is_no_table_is_refused_with_what_it_looks_like(tmp_path, name, data, words):
    """A refusal names the file, says what it looks like and what to do."""
    path = put(tmp_path, name, data)

    with pytest.raises(TableError) as refusal:
        intake.inspect(path)

    assert words in refusal.value.message
    assert refusal.value.message.startswith(name)


def test_sqlite_file_is_refused(tmp_path):
    """A database renamed to .csv is named as one."""
    path = put(tmp_path, "a.csv", database(tmp_path))

    with pytest.raises(TableError, match="an SQLite database, not a table: export the table as CSV"):
        intake.inspect(path)


def test_name_is_what_a_person_calls_the_file(tmp_path):
    """The shown name decides by its ending and stands in the messages, not the path."""
    path = put(tmp_path, "upload-17", b"a,b\n1\n")

    with pytest.raises(TableError, match=r"^orders\.csv:2: line 2 has 1 field, the header has 2"):
        intake.inspect(path, name="orders.csv")


@pytest.mark.parametrize(
    ("make", "words"),
    [(lambda path: path.mkdir(), "a folder"), (os.mkfifo, "no regular file"), (lambda path: None, "no such file")],
)
def test_missing_file_and_folder_are_refused(tmp_path, make, words):
    """A path that is no file says so."""
    path = tmp_path / "a.csv"
    make(path)

    with pytest.raises(TableError, match=words):
        intake.inspect(path)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("a.csv", b"a,b\n1,2\n", b"x,y\n1,2\n"),
        ("a.csv", b"a,b\n1,2\n", b"a,b\n1,\xff\n"),
        ("a.jsonl", b'{"a": 1}\n', b'{"b": 1}\n'),
    ],
)
def test_file_that_changed_after_inspecting_is_refused(tmp_path, name, before, after):
    """Rows are never read by the layout of another file."""
    path = put(tmp_path, name, before)
    layout = intake.inspect(path)
    path.write_bytes(after)

    with pytest.raises(TableError, match="changed since it was inspected"):
        list(intake.read(path, layout))


def test_content_hash_is_sha256_of_the_bytes(tmp_path):
    """The same bytes have the same name, whatever the file is called."""
    data = b"a,b\r\n1,2\r\n" * 100_000

    assert intake.content_hash(put(tmp_path, "a.csv", data)) == hashlib.sha256(data).hexdigest()


def test_layout_survives_json(tmp_path):
    """A layout can be stored and read back whole."""
    layout = intake.inspect(put(tmp_path, "a.csv", b"\xef\xbb\xbfa,a\n1,2\n"))

    assert intake.Layout.model_validate_json(layout.model_dump_json()) == layout
    assert [finding.kind for finding in layout.findings] == ["bom", "header_duplicate"]
