"""A reader of JSON that knows where everything stands, and mends only what has one meaning.

The standard parser is strict and fast but says neither where a value stood nor what is wrong with it. This one is slower and
gives every value its place in the text. It reads all of JSON, and besides it what models write around JSON that leaves no
choice of meaning: trailing and missing commas, comments, Python's literals, other quotation marks, bare keys, raw line breaks
in a text, quotation marks that were not escaped but come in clear pairs. Each of these is an edit with its place.

It never closes a text, a number, a list or an object, never drops or invents a value, and never reads a bare word as text: it
stops there and says what it missed. Running out of text is a stop of its own kind, ``cut``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NoReturn

from jobs.values import Edit

#: levels of lists and objects inside each other
MAX_DEPTH = 128
#: digits of a number; Python itself refuses to turn more than 4,300 into an integer
MAX_DIGITS = 4_000

Part = str | int

_SPACE = re.compile(r"[ \t\r\n]*")
_ODD_SPACE = re.compile(r"[\s\u200b\u2060\ufeff]+")
_COMMENT = re.compile(r"//[^\r\n]*|/\*.*?\*/|#[^\r\n]*", re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NUMBER_LIKE = re.compile(r"[-+.0-9][-+._0-9A-Za-z%]*")
_MINUS_INFINITY = re.compile(r"-(?:Infinity|[Ii]nf)\b")
_WORD = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_BARE_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*(?=\s*:)")
_PLAIN_TEXT = re.compile(r'"([^"\\\x00-\x1f]*)"')
_KEY_AHEAD = re.compile(
    r'"[^"\\\r\n]*"\s*:|' + r"'[^'\\\r\n]*'\s*:|[A-Za-z_$][A-Za-z0-9_$]*\s*:|[“‘][^“”‘’\r\n]*[”’]\s*:"
)
#: an escape, or a backslash that begins none
_ESCAPE = re.compile(r"""\\(?:["\\/bfnrt']|u[0-9a-fA-F]{4})?""")
_ESCAPE_OR_QUOTE = re.compile(r"\\.|[\"']", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f]")

#: decodes one text whose quotation marks are in order
_TEXT = json.JSONDecoder(strict=False)

_LITERALS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_PYTHON: dict[str, bool | None] = {"True": True, "False": False, "None": None}
_NOT_FINITE = frozenset(("NaN", "Infinity", "nan", "inf", "Inf"))
_CLOSERS = {'"': '"', "'": "'", "“": "”", "”": "”", "„": "“", "‘": "’"}
#: letters that end the search for a closing quotation mark: a second opening one would make it ambiguous
_OPENERS_OF = {"“": "“", "„": "„", "‘": "‘"}


@dataclass(slots=True)
class Spot:
    """A value and where it stands."""

    start: int
    end: int
    value: Any
    #: key -> (where the key begins, its value); the last one where a key stands twice
    members: dict[str, tuple[int, Spot]] | None = None
    items: list[Spot] | None = None


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that can be read but not accepted: a key given twice, a number that is not finite."""

    path: tuple[Part, ...]
    rule: str
    expected: str
    #: what came; for eyes
    got: str
    start: int
    end: int


class Stop(Exception):
    """The text cannot be read on from here."""

    def __init__(self, at: int, *, expected: str, shape: str, end: int, cut: bool = False) -> None:
        super().__init__(f"at {at}: expected {expected}")
        #: where reading stopped; for a cut text, the beginning of what was left open
        self.at = at
        self.end = end
        self.expected = expected
        #: what is wrong, as a kind: ``unquoted text``, ``bad escape``; for a cut text, what was cut
        self.shape = shape
        self.cut = cut


def number(text: str) -> int | float:
    """The number that JSON text names, exact where it is whole, infinite where no float can hold it."""
    if text.lstrip("-").isdigit():
        return int(text)
    value = float(text)
    # beyond 2**53 a float drops digits that a whole number has
    if 2**53 <= abs(value) < float("inf"):
        exact = Decimal(text)
        if exact == exact.to_integral_value():
            return int(exact)
    return value


@dataclass(slots=True)
class Reader:
    """Reads one value from a place in a text; ``edits`` and ``flaws`` collect on the way."""

    text: str
    pos: int = 0
    #: where to give up, so that a long text that must be refused in the end is not read for long
    limit: int | None = None
    edits: list[Edit] = field(default_factory=list)
    flaws: list[Flaw] = field(default_factory=list)
    _path: list[Part] = field(default_factory=list)
    #: where the open lists and objects begin
    _open: list[int] = field(default_factory=list)

    def read(self) -> Spot:
        """The value that begins here; ``pos`` is then behind it.

        Raises:
            Stop: it cannot be read to its end.
        """
        text, pos = self.text, self.pos
        char = text[pos : pos + 1]
        if char == "{":
            return self._object()
        if char == "[":
            return self._array()
        if char in _CLOSERS:
            start = pos
            value = self._string(key=False)
            return Spot(start, self.pos, value)
        if char and char in "-+0123456789." and not text.startswith("...", pos):
            return self._number()
        return self._word()

    # -- lists and objects ---------------------------------------------------------------------------------------------

    def _enter(self) -> int:
        start = self.pos
        if len(self._open) >= MAX_DEPTH:
            self._stop(f"at most {MAX_DEPTH} levels", "nested too deep")
        self._open.append(start)
        self.pos += 1
        return start

    def _object(self) -> Spot:
        start = self._enter()
        members: dict[str, tuple[int, Spot]] = {}
        while True:
            self._skip()
            if self._take("}"):
                break
            at, key = self._key(first=not members)
            behind = self.pos
            self._skip()
            if not self._take(":"):
                self._stop("a colon", "missing colon")
            self._skip()
            self._path.append(key)
            if key in members:
                self.flaws.append(Flaw(tuple(self._path), "duplicate_key", "each key once", key, at, behind))
            spot = self.read()
            members[key] = (at, spot)
            self._path.pop()
            if not self._between("}") and self._take("}"):
                break
        self._open.pop()
        value = {key: spot.value for key, (_, spot) in members.items()}
        return Spot(start, self.pos, value, members=members)

    def _array(self) -> Spot:
        start = self._enter()
        items: list[Spot] = []
        while True:
            self._skip()
            if self._take("]"):
                break
            self._path.append(len(items))
            items.append(self.read())
            self._path.pop()
            if not self._between("]") and self._take("]"):
                break
        self._open.pop()
        return Spot(start, self.pos, [spot.value for spot in items], items=items)

    def _between(self, closer: str) -> bool:
        """Take what stands between two members; False at the closing bracket."""
        before = self.pos
        if self.limit is not None and before > self.limit:
            self._stop("JSON; what is this long is not mended", "too large to mend")
        self._skip()
        text, pos = self.text, self.pos
        char = text[pos : pos + 1]
        if char == ",":
            self.pos += 1
            self._skip()
            follower = text[self.pos : self.pos + 1]
            if follower == closer:
                self._mend("a comma before the closing bracket", pos, pos + 1)
                return False
            if follower == ",":
                self._stop("a value between the commas", "empty place")
            return True
        if char == closer:
            return False
        if not char:
            self._cut("object" if closer == "}" else "list")
        if self._lacks_comma(before, char, closer):
            self._mend("a missing comma", before, pos if pos > before else pos + 1)
            return True
        return self._not_between(char, closer)

    def _lacks_comma(self, before: int, char: str, closer: str) -> bool:
        """Whether a next member begins here: a key behind white space, or a bracket right behind a bracket."""
        if closer == "]":
            return self.text[before - 1] in "}]" and char in "{["
        return before < self.pos and _KEY_AHEAD.match(self.text, self.pos) is not None

    def _not_between(self, char: str, closer: str) -> NoReturn:
        if char in "}]":
            self._stop(f"a comma or {closer}", "wrong closing bracket")
        shape = "unescaped quotation mark" if self.text[self.pos - 1] in "\"'”’" else "missing comma"
        self._stop(f"a comma or {closer}", shape)

    # -- texts ---------------------------------------------------------------------------------------------------------

    def _key(self, *, first: bool) -> tuple[int, str]:
        start = self.pos
        char = self.text[start : start + 1]
        if not char:
            self._cut("object")
        if char in _CLOSERS:
            return start, self._string(key=True)
        bare = _BARE_KEY.match(self.text, start)
        if bare is None:
            shape = "escaped quotation marks" if char == "\\" else "missing key"
            self._stop("a key in quotation marks" + (" or }" if first else ""), shape)
        self.pos = bare.end()
        self._mend("a key without quotation marks", start, bare.end())
        return start, bare[0]

    def _string(self, *, key: bool) -> str:
        plain = _PLAIN_TEXT.match(self.text, self.pos)
        if plain is not None and self._closes(plain.end(), key=key):
            self.pos = plain.end()
            return plain[1]
        return self._odd_string(key=key)

    def _odd_string(self, *, key: bool) -> str:
        """A text with escapes, raw line breaks, other quotation marks, or unescaped ones inside."""
        start = self.pos
        opener = self.text[start]
        end, inner = self._closing(start, key=key)
        raw = self.text[start + 1 : end]
        for escape in _ESCAPE.finditer(raw):
            if escape[0] == "\\":
                at = self.pos = start + 1 + escape.start()
                self._stop("an escape of JSON, such as \\n or \\\\", "bad escape", end=at + 2)
        if opener != '"':
            self._mend(f"{opener}quotation marks{_CLOSERS[opener]} that are not JSON's", start, end + 1)
        for at in inner:
            self._mend("a quotation mark that was not escaped", at, at + 1)
        control = _CONTROL.search(raw)
        if control is not None:
            at = start + 1 + control.start()
            self._mend("a raw line break or control character in a text", at, at + 1)

        def escaped(found: re.Match[str]) -> str:
            piece = found[0]
            if piece == "\\'":
                self._mend("an escaped apostrophe", start + 1 + found.start(), start + 1 + found.end())
                return "'"
            return '\\"' if piece == '"' else piece

        value: str = _TEXT.decode(f'"{_ESCAPE_OR_QUOTE.sub(escaped, raw)}"')
        self.pos = end + 1
        return value

    def _closing(self, start: int, *, key: bool) -> tuple[int, list[int]]:
        """Where the text that begins at ``start`` is closed, and the unescaped quotation marks inside."""
        text, opener = self.text, self.text[start]
        closer = _CLOSERS[opener]
        again = _OPENERS_OF.get(opener, "")
        inner: list[int] = []
        for found in re.compile(rf"\\.|[{closer}{again}]", re.DOTALL).finditer(text, start + 1):
            at = found.start()
            if len(found[0]) == 2:
                continue
            if found[0] != closer:
                self.pos = at
                self._stop(f"{closer} before another {again}", "unescaped quotation mark")
            if self._closes(at + 1, key=key):
                if len(inner) % 2:
                    self.pos = inner[-1]
                    self._stop("escaped quotation marks inside a text", "unescaped quotation mark")
                return at, inner
            if not self._is_paired(at, start, closing=len(inner) % 2 == 1):
                self.pos = at
                self._stop("escaped quotation marks inside a text", "unescaped quotation mark")
            inner.append(at)
        self.pos = start
        self._cut("text", start)

    def _is_paired(self, at: int, start: int, *, closing: bool) -> bool:
        """Whether an inner quotation mark looks the part: an opening one before a word, a closing one behind one."""
        before, after = self.text[at - 1], self.text[at + 1 : at + 2]
        if closing:
            return not before.isspace() and not after.isalnum()
        return (before.isspace() or before in "([" or at == start + 1) and not after.isspace()

    def _closes(self, pos: int, *, key: bool) -> bool:
        """Whether what follows a quotation mark says that it was the closing one."""
        text = self.text
        after = _ODD_SPACE.match(text, pos)
        ahead = after.end() if after else pos
        char = text[ahead : ahead + 1]
        if not char or key:
            return True
        if char in ",}]" or text.startswith(("//", "/*"), ahead):
            return True
        if char == "#":
            return ahead > pos
        in_object = bool(self._open) and self.text[self._open[-1]] == "{"
        return in_object and ahead > pos and _KEY_AHEAD.match(text, ahead) is not None

    # -- numbers and words ---------------------------------------------------------------------------------------------

    def _number(self) -> Spot:
        text, start = self.text, self.pos
        plus = text.startswith("+", start)
        found = _NUMBER.match(text, start + plus)
        token = _NUMBER_LIKE.match(text, start)
        assert token is not None
        if minus := _MINUS_INFINITY.match(text, start):
            return self._not_finite(start, minus[0])
        end = token.end()
        if end >= len(text):
            self._cut("number", start)
        if found is None or found.end() != end or (plus and found[0].startswith("-")):
            self._stop("a number such as -12.5", "bad number", end=end)
        if len(found[0]) > MAX_DIGITS:
            self._stop(f"a number of at most {MAX_DIGITS:,} digits", "bad number", end=end)
        if plus:
            self._mend("a plus sign before a number", start, start + 1)
        value = number(found[0])
        self.pos = end
        if value in (float("inf"), float("-inf")):
            return self._not_finite(start, found[0])
        return Spot(start, end, value)

    def _word(self) -> Spot:
        text, start = self.text, self.pos
        word = _WORD.match(text, start)
        if word is None:
            if start >= len(text):
                self._cut("object" if self._open and text[self._open[-1]] == "{" else "list")
            if text.startswith("...", start):
                self._stop("a value", "placeholder", end=start + 3)
            self._stop("a value", "missing value" if text[start] in ",}]" else "unquoted text")
        end = word.end()
        if end >= len(text):
            self._cut("word", start)
        self.pos = end
        if word[0] in _LITERALS:
            return Spot(start, end, _LITERALS[word[0]])
        if word[0] in _PYTHON:
            self._mend("a literal of Python", start, end)
            return Spot(start, end, _PYTHON[word[0]])
        if word[0] in _NOT_FINITE:
            return self._not_finite(start, word[0])
        self.pos = start
        self._stop("a value; text needs quotation marks", "unquoted text", end=end)

    def _not_finite(self, start: int, token: str) -> Spot:
        end = start + len(token)
        self.pos = end
        self.flaws.append(Flaw(tuple(self._path), "not_finite", "a finite number", token, start, end))
        return Spot(start, end, None)

    # -- the rest ------------------------------------------------------------------------------------------------------

    def _skip(self) -> None:
        """Pass white space and comments."""
        text = self.text
        while True:
            found = _SPACE.match(text, self.pos)
            assert found is not None
            pos = self.pos = found.end()
            if pos >= len(text) or text[pos] in '"{}[],:':
                return
            odd = _ODD_SPACE.match(text, pos)
            comment = None if odd else _COMMENT.match(text, pos)
            if odd:
                self._mend("white space that is not JSON's", pos, odd.end())
                self.pos = odd.end()
            elif comment:
                self._mend("a comment", pos, comment.end())
                self.pos = comment.end()
            elif text.startswith("/*", pos):
                self._cut("comment", pos)
            else:
                return

    def _take(self, char: str) -> bool:
        if self.text.startswith(char, self.pos):
            self.pos += 1
            return True
        return False

    def _mend(self, note: str, start: int, end: int) -> None:
        self.edits.append(Edit(kind="repair", note=note, start=start, end=end))

    def _stop(self, expected: str, shape: str, *, end: int | None = None) -> NoReturn:
        if self.pos >= len(self.text):
            self._cut("object")
        word = re.compile(r"[^\s,:{}\[\]\"']{1,40}").match(self.text, self.pos)
        after = end if end is not None else word.end() if word else self.pos + 1
        raise Stop(self.pos, expected=expected, shape=shape, end=after)

    def _cut(self, shape: str, start: int | None = None) -> NoReturn:
        at = start if start is not None else self._open[-1] if self._open else self.pos
        if start is None and self._open:
            shape = "object" if self.text[at] == "{" else "list"
        raise Stop(at, expected="the rest of the reply", shape=shape, end=len(self.text), cut=True)


def spots(spot: Spot, path: tuple[Part, ...]) -> Iterator[tuple[int, Spot]]:
    """The values on the way to a place, each with where it begins, key included; ends where the value has no such part."""
    start = spot.start
    yield start, spot
    for part in path:
        if isinstance(part, int):
            if spot.items is None or part >= len(spot.items):
                return
            spot = spot.items[part]
            start = spot.start
        else:
            if spot.members is None or part not in spot.members:
                return
            start, spot = spot.members[part]
        yield start, spot
