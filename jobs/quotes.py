"""A text in quotation marks: where it ends, and what it says, though its quotation marks may be odd or not escaped.

A quotation mark closes a text if what follows it says so. Others inside are mended only where they come in clear pairs, and a
text that is not closed is cut: nothing is ever closed for it.
"""

from __future__ import annotations

import json
import re

from jobs.cursor import ODD_SPACE, Cursor

#: the marks that open a text, each with the one that closes it
CLOSERS = {'"': '"', "'": "'", "“": "”", "”": "”", "„": "“", "‘": "’"}
#: letters that end the search for a closing quotation mark: a second opening one would make it ambiguous
_OPENERS_OF = {"“": "“", "„": "„", "‘": "‘"}
#: a closing mark, or a second opening one, or a backslash with what it escapes
_MARKS = {
    opener: re.compile(rf"\\.|[{closer}{_OPENERS_OF.get(opener, '')}]", re.DOTALL) for opener, closer in CLOSERS.items()
}

_PLAIN_TEXT = re.compile(r'"([^"\\\x00-\x1f]*)"')
#: a key and its colon
KEY_AHEAD = re.compile(
    r'"[^"\\\r\n]*"\s*:|' + r"'[^'\\\r\n]*'\s*:|[A-Za-z_$][A-Za-z0-9_$]*\s*:|[“‘][^“”‘’\r\n]*[”’]\s*:"
)
#: an escape, or a backslash that begins none
_ESCAPE = re.compile(r"""\\(?:["\\/bfnrt']|u[0-9a-fA-F]{4})?""")
_ESCAPE_OR_QUOTE = re.compile(r"\\.|[\"']", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f]")

#: decodes one text whose quotation marks are in order
_TEXT = json.JSONDecoder(strict=False)


def quoted(cursor: Cursor, *, key: bool) -> str:
    """The text that begins at the cursor, which is then behind it.

    Raises:
        Stop: it has no end, or no one meaning.
    """
    plain = _PLAIN_TEXT.match(cursor.text, cursor.pos)
    if plain is not None and _closes(cursor, plain.end(), key=key):
        cursor.pos = plain.end()
        return plain[1]
    return _odd(cursor, key=key)


def _odd(cursor: Cursor, *, key: bool) -> str:
    """A text with escapes, raw line breaks, other quotation marks, or unescaped ones inside."""
    start = cursor.pos
    opener = cursor.text[start]
    end, inner = _closing(cursor, key=key)
    raw = cursor.text[start + 1 : end]
    for escape in _ESCAPE.finditer(raw):
        if escape[0] == "\\":
            at = cursor.pos = start + 1 + escape.start()
            cursor.stop("an escape of JSON, such as \\n or \\\\", "bad escape", end=at + 2)
    if opener != '"':
        cursor.mend(f"{opener}quotation marks{CLOSERS[opener]} that are not JSON's", start, end + 1)
    for at in inner:
        cursor.mend("a quotation mark that was not escaped", at, at + 1)
    control = _CONTROL.search(raw)
    if control is not None:
        at = start + 1 + control.start()
        cursor.mend("a raw line break or control character in a text", at, at + 1)

    def escaped(found: re.Match[str]) -> str:
        piece = found[0]
        if piece == "\\'":
            cursor.mend("an escaped apostrophe", start + 1 + found.start(), start + 1 + found.end())
            return "'"
        return '\\"' if piece == '"' else piece

    value: str = _TEXT.decode(f'"{_ESCAPE_OR_QUOTE.sub(escaped, raw)}"')
    cursor.pos = end + 1
    return value


def _closing(cursor: Cursor, *, key: bool) -> tuple[int, list[int]]:
    """Where the text that begins at the cursor is closed, and the unescaped quotation marks inside."""
    text, start = cursor.text, cursor.pos
    opener = text[start]
    closer = CLOSERS[opener]
    inner: list[int] = []
    for found in _MARKS[opener].finditer(text, start + 1):
        at = found.start()
        if len(found[0]) == 2:
            continue
        if found[0] != closer:
            cursor.pos = at
            cursor.stop(f"{closer} before another {opener}", "unescaped quotation mark")
        if _closes(cursor, at + 1, key=key):
            if len(inner) % 2:
                cursor.pos = inner[-1]
                cursor.stop("escaped quotation marks inside a text", "unescaped quotation mark")
            return at, inner
        if not _is_paired(text, at, start, closing=len(inner) % 2 == 1):
            cursor.pos = at
            cursor.stop("escaped quotation marks inside a text", "unescaped quotation mark")
        inner.append(at)
    cursor.cut("text", start)


def _is_paired(text: str, at: int, start: int, *, closing: bool) -> bool:
    """Whether an inner quotation mark looks the part: an opening one before a word, a closing one behind one."""
    before, after = text[at - 1], text[at + 1 : at + 2]
    if closing:
        return not before.isspace() and not after.isalnum()
    return (before.isspace() or before in "([" or at == start + 1) and not after.isspace()


def _closes(cursor: Cursor, pos: int, *, key: bool) -> bool:
    """Whether what follows a quotation mark says that it was the closing one."""
    text = cursor.text
    after = ODD_SPACE.match(text, pos)
    ahead = after.end() if after else pos
    char = text[ahead : ahead + 1]
    if not char or key:
        return True
    if char in ",}]" or text.startswith(("//", "/*"), ahead):
        return True
    if char == "#":
        return ahead > pos
    return cursor.in_object and ahead > pos and KEY_AHEAD.match(text, ahead) is not None
