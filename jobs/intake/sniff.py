"""Which format a file has, by its content and its ending together.

The ending says what the person means, the content what the file is; where they disagree the file is refused with both
said, since a workbook renamed to .csv or JSON Lines read as CSV makes rows that nobody meant.
"""

from __future__ import annotations

import codecs
import mmap
import re
import zipfile
from pathlib import Path, PurePath

from jobs.errors import TableError
from jobs.intake.layout import Format

#: bytes that are looked at
HEAD = 65_536

ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".xlsx": "xlsx",
    ".parquet": "parquet",
    ".pq": "parquet",
}
TAKEN = "CSV, TSV, JSON Lines, XLSX and Parquet are taken"

_UNPACK = "unpack it and give the table inside"
_EXPORT = "export the table as CSV"
#: how files begin that are no tables -> what they are, what to do
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image", TAKEN),
    (b"\xff\xd8\xff", "a JPEG image", TAKEN),
    (b"GIF8", "a GIF image", TAKEN),
    (b"%PDF-", "a PDF document", _EXPORT),
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ\x00", "an xz archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"SQLite format 3\x00", "an SQLite database", _EXPORT),
    (b"PARE", "an encrypted Parquet file", "write it without encryption"),
    (b"ARROW1", "an Arrow (Feather) file", "write it as Parquet"),
    (b"FEA1", "a Feather file", "write it as Parquet"),
    (b"Obj\x01", "an Avro file", "write it as Parquet"),
    (b"ORC", "an ORC file", "write it as Parquet"),
    (b"\x93NUMPY", "a NumPy array", _EXPORT),
    (b"\x7fELF", "a program", TAKEN),
    (b"{\\rtf", "an RTF document", _EXPORT),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_BOMS_32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_BOMS_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_OBJECT = re.compile(r'\{\s*(?:"(?:[^"\\]|\\.)*"\s*:|\}\s*$)')
_ARRAY = re.compile(r'\[\s*(?:\{\s*["}]|\[|\]\s*$)')


def format_of(path: Path, *, name: str) -> Format:
    """The format to read the file as.

    Raises:
        TableError: it is something else, with what it looks like and what to do.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    wanted = ENDINGS.get(PurePath(name).suffix.lower())
    packed = _packed(path, head, name=name)
    if packed is None:
        return _text_format(head, wanted, name=name)
    if wanted not in (packed, None):
        what, ending = _WORDS[packed]
        raise TableError(f"this is {what}, not text; rename it to end in {ending} and give it again", file=name)
    return packed


_WORDS: dict[Format, tuple[str, str]] = {
    "xlsx": ("an Excel workbook", ".xlsx"),
    "parquet": ("a Parquet file", ".parquet"),
}


def _packed(path: Path, head: bytes, *, name: str) -> Format | None:
    """The binary format, None for text; anything binary that is no table is refused."""
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zipped(path, name=name)
    if head.startswith(_OLE):
        raise TableError(_ole(path), file=name)
    for magic, what, advice in _MAGIC:
        # Letters such as "ORC" or "BZh" may begin a text as well, so the rest must be binary too.
        if head.startswith(magic) and (not magic.isalnum() or _is_binary(head)):
            raise TableError(f"this looks like {what}, not a table: {advice}", file=name)
    if head.startswith(_BOMS_32):
        raise TableError("this is UTF-32 text; save it as UTF-8", file=name)
    if not head.startswith(tuple(_BOMS_16)) and _is_binary(head):
        raise TableError(_binary(head), file=name)
    return None


def _zipped(path: Path, *, name: str) -> Format:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise TableError("this is a damaged zip archive or workbook; save or download it again", file=name) from error
    if "xl/workbook.xml" in names:
        return "xlsx"
    if "xl/workbook.bin" in names:
        raise TableError("this is a binary Excel workbook (.xlsb): save it as .xlsx or CSV", file=name)
    if "mimetype" in names and "content.xml" in names:
        raise TableError("this is an OpenDocument file: save it as .xlsx or CSV", file=name)
    if "[Content_Types].xml" in names:
        raise TableError("this is an Office document, but not a workbook: put the table into .xlsx or CSV", file=name)
    raise TableError(f"this looks like a zip archive, not a table: {_UNPACK}", file=name)


def _ole(path: Path) -> str:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        locked = view.find("EncryptedPackage".encode("utf-16-le")) >= 0
    if locked:
        return "this workbook is protected by a password: save it without one"
    return "this looks like an old Office file (.xls or .doc): save the table as .xlsx or CSV"


def _is_binary(head: bytes) -> bool:
    """Whether there are too many control characters for a text; a few are a damaged table, whose reading names the line."""
    controls = sum(head.count(code) for code in range(32) if code not in b"\t\n\v\f\r\x1a\x1b")
    return controls * 4 > len(head) or (controls >= 8 and controls * 30 > len(head))


def _binary(head: bytes) -> str:
    even, odd = head[::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    if max(even, odd) > 0.3 * half and min(even, odd) < 0.02 * half + 1:
        return "this looks like UTF-16 text without a byte order mark: save it as UTF-8"
    return f"this looks like binary data, not a table: {TAKEN}"


def _text_format(head: bytes, wanted: Format | None, *, name: str) -> Format:
    start = _opening(head)
    lowered = start[:200].lower()
    if wanted == "xlsx" or wanted == "parquet":
        raise TableError(
            f"this is text, not {_WORDS[wanted][0]}: rename it by what it holds (.csv, .tsv, .jsonl)", file=name
        )
    if lowered.startswith(("<!doctype html", "<html", "<head", "<body")):
        raise TableError("this is a web page, perhaps a login or error page: download the table again", file=name)
    if lowered.startswith("<?xml"):
        raise TableError(f"this is XML, not a table: {_EXPORT}", file=name)
    if _ARRAY.match(start):
        raise TableError(
            "this is one JSON array; JSON Lines is taken, one object a line (jq -c '.[]' FILE makes it)", file=name
        )
    if _OBJECT.match(start) and wanted in ("csv", "tsv"):
        raise TableError("this looks like JSON Lines, not CSV: rename it to end in .jsonl", file=name)
    return wanted or ("jsonl" if start.startswith("{") else "csv")


def _opening(head: bytes) -> str:
    """The beginning as text, past a byte order mark and blank space, whatever does not decode replaced."""
    encoding = _BOMS_16.get(head[:2], "utf-8")
    return head.decode(encoding, "replace").lstrip("\ufeff \t\r\n")
