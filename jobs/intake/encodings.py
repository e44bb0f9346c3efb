"""The encoding that decodes every byte of a file.

UTF-8 is proved over the whole file, not over a sample. What is not UTF-8 is guessed, the guess proved over the whole
file in the same way, and shown as a finding; a file that is UTF-8 but for a few bytes is refused with their place,
since reading all of it as something else would spoil every other accented letter.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import charset_normalizer

from jobs.errors import TableError
from jobs.intake.layout import MAX_LINE, Finding

_CHUNK = 1 << 20
#: bytes with accents or other scripts that are collected for the guess
_SAMPLE = 65_536
_GUESSES = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r"),
    *("shift_jis", "euc_jp", "gb18030", "big5", "euc_kr"),
)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8", "UTF-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)
_STRAY = re.compile("[\udc80-\udcff]")
_WHOLE = re.compile("[^\x00-\x7f\udc80-\udcff]")


class _Undecodable(Exception):
    """A byte that an encoding does not know."""

    def __init__(self, *, offset: int, line: int, byte: int) -> None:
        super().__init__(offset)
        self.offset, self.line, self.byte = offset, line, byte

    def __str__(self) -> str:
        return f"byte 0x{self.byte:02X} at offset {self.offset:,}"


def detect(path: Path, *, name: str) -> tuple[str, list[Finding]]:
    """The name of a codec that decodes the whole file, and what was found on the way.

    Raises:
        TableError: no encoding fits, or a line is longer than ``MAX_LINE``.
    """
    with path.open("rb") as file:
        head = file.read(4)
    marked = next(((codec, mark) for bom, codec, mark in _MARKS if head.startswith(bom)), None)
    if marked is None:
        return _without_mark(path, name=name)
    codec, mark = marked
    try:
        _scan(path, codec, name=name)
    except _Undecodable as bad:
        raise TableError(
            f"{bad} is not {mark}, though the file's byte order mark says so; save the file again as UTF-8",
            file=name,
            line=bad.line,
        ) from bad
    return mark.lower(), [Finding(line=1, kind="bom", message=f"a {mark} byte order mark was removed")]


@contextmanager
def opened(path: Path, encoding: str, *, newline: str = "") -> Iterator[TextIO]:
    """The file as text past a byte order mark, its line ends as they are."""
    with path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline=newline) as file:
        yield file


def _without_mark(path: Path, *, name: str) -> tuple[str, list[Finding]]:
    try:
        _scan(path, "utf-8", name=name)
    except _Undecodable as bad:
        if _is_damaged_utf8(path):
            raise TableError(
                f"{bad} is not UTF-8, though the rest of the file is; correct that place, or save the file again as UTF-8",
                file=name,
                line=bad.line,
            ) from bad
        first = bad
    else:
        return "utf-8", []
    encoding = _guess(path, name=name)
    message = f"not UTF-8 ({first}); read as {encoding}: check accented letters, or save the file as UTF-8"
    return encoding, [Finding(line=first.line, kind="encoding", message=message)]


def _scan(path: Path, encoding: str, *, name: str) -> None:
    """Decode all of it, holding one chunk; raises ``_Undecodable`` at the first byte that does not fit."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    offset, line, open_length, ended_in_cr = 0, 1, 0, False
    with path.open("rb") as file:
        while True:
            chunk = file.read(_CHUNK)
            pending = len(decoder.getstate()[0])
            try:
                text = decoder.decode(chunk, not chunk)
            except UnicodeDecodeError as error:
                before = bytes(error.object[: error.start]).decode(encoding, "replace")
                raise _Undecodable(
                    offset=offset - pending + error.start,
                    line=line + _breaks(before, after_cr=ended_in_cr),
                    byte=error.object[error.start],
                ) from error
            if not chunk:
                return
            offset += len(chunk)
            line += _breaks(text, after_cr=ended_in_cr)
            ended_in_cr = text.endswith("\r") if text else ended_in_cr
            last = max(text.rfind("\n"), text.rfind("\r"))
            open_length = open_length + len(text) if last < 0 else len(text) - last - 1
            if open_length > MAX_LINE:
                raise TableError(
                    f"the line is longer than {MAX_LINE:,} characters; is this a table?", file=name, line=line
                )


def _breaks(text: str, *, after_cr: bool) -> int:
    """How many lines end in the text; a CRLF that two chunks share counts once."""
    ends = text.count("\n")
    if "\r" in text:
        ends += text.count("\r") - text.count("\r\n")
    return ends - (after_cr and text.startswith("\n"))


def _is_damaged_utf8(path: Path) -> bool:
    """Whether there are more whole UTF-8 characters beyond ASCII than bytes that belong to none.

    In text of another encoding whole ones come about by chance only: under one in five even in GB 18030.
    """
    whole = stray = 0
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            text = decoder.decode(chunk)
            stray += len(_STRAY.findall(text))
            whole += len(_WHOLE.findall(text))
    return whole > stray


def _guess(path: Path, *, name: str) -> str:
    """The encoding that the bytes beyond ASCII look most like, Windows-1252 when in doubt."""
    best = _likely(_accented(path))
    for encoding in dict.fromkeys((best, "cp1252")):
        try:
            _scan(path, encoding, name=name)
        except _Undecodable as bad:
            last = bad
        else:
            return encoding
    raise TableError(
        f"{last} fits neither UTF-8 nor {best}{'' if best == 'cp1252' else ' nor cp1252'}; save the file as UTF-8",
        file=name,
        line=last.line,
    ) from last


def _likely(sample: bytes) -> str:
    matches = list(charset_normalizer.from_bytes(sample, cp_isolation=list(_GUESSES)))
    if not matches:
        return "cp1252"
    best = matches[0]
    # Western text decodes as cleanly in cp1250, which the library tries first.
    equals = {match.encoding for match in matches if match.chaos == best.chaos and match.coherence >= best.coherence}
    return "cp1252" if "cp1252" in equals | set(best.could_be_from_charset) else best.encoding


def _accented(path: Path) -> bytes:
    """Lines with bytes beyond ASCII, up to ``_SAMPLE`` bytes, from anywhere in the file."""
    sample = bytearray()
    with path.open("rb") as file:
        while len(sample) < _SAMPLE and (piece := file.readline(_SAMPLE)):
            if not piece.isascii():
                sample += piece
    return bytes(sample)
