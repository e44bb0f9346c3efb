"""A reader of JSON that knows where everything stands, and mends only what has one meaning.

The standard parser is strict and fast but says neither where a value stood nor what is wrong with it. This one is slower and
gives every value its place in the text. It reads all of JSON, and besides it what models write around JSON that leaves no
choice of meaning: trailing and missing commas, comments, Python's literals, other quotation marks, bare keys, raw line breaks
in a text, quotation marks that were not escaped but come in clear pairs. Each of these is an edit with its place.

It never closes a text, a number, a list or an object, never drops or invents a value, and never reads a bare word as text: it
stops there and says what it missed. Running out of text is a stop of its own kind, ``cut``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from jobs.cursor import Cursor, Flaw, Part
from jobs.numbers import number
from jobs.quotes import CLOSERS, KEY_AHEAD, quoted

#: levels of lists and objects inside each other
MAX_DEPTH = 128
#: digits of a number; Python itself refuses to turn more than 4,300 into an integer
MAX_DIGITS = 4_000

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NUMBER_LIKE = re.compile(r"[-+.0-9][-+._0-9A-Za-z%]*")
_MINUS_INFINITY = re.compile(r"-(?:Infinity|[Ii]nf)\b")
_WORD = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_BARE_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*(?=\s*:)")

_LITERALS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_PYTHON: dict[str, bool | None] = {"True": True, "False": False, "None": None}
_NOT_FINITE = frozenset(("NaN", "Infinity", "nan", "inf", "Inf"))


@dataclass(slots=True)
class Spot:
    """A value and where it stands."""

    start: int
    end: int
    value: Any
    #: key -> (where the key begins, its value); the last one where a key stands twice
    members: dict[str, tuple[int, Spot]] | None = None
    items: list[Spot] | None = None


@dataclass(slots=True)
class Reader(Cursor):
    """Reads one value from a place in a text."""

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
        if char in CLOSERS:
            start = pos
            value = quoted(self, key=False)
            return Spot(start, self.pos, value)
        if char and char in "-+0123456789." and not text.startswith("...", pos):
            return self._number()
        return self._word()

    # -- lists and objects ---------------------------------------------------------------------------------------------

    def _enter(self) -> int:
        start = self.pos
        if len(self.opened) >= MAX_DEPTH:
            self.stop(f"at most {MAX_DEPTH} levels", "nested too deep")
        self.opened.append(start)
        self.pos += 1
        return start

    def _object(self) -> Spot:
        start = self._enter()
        members: dict[str, tuple[int, Spot]] = {}
        while True:
            self.skip()
            if self.take("}"):
                break
            at, key = self._key(first=not members)
            behind = self.pos
            self.skip()
            if not self.take(":"):
                self.stop("a colon", "missing colon")
            self.skip()
            self.path.append(key)
            if key in members:
                self.flaws.append(Flaw(tuple(self.path), "duplicate_key", "each key once", key, at, behind))
            spot = self.read()
            members[key] = (at, spot)
            self.path.pop()
            if not self._between("}") and self.take("}"):
                break
        self.opened.pop()
        value = {key: spot.value for key, (_, spot) in members.items()}
        return Spot(start, self.pos, value, members=members)

    def _array(self) -> Spot:
        start = self._enter()
        items: list[Spot] = []
        while True:
            self.skip()
            if self.take("]"):
                break
            self.path.append(len(items))
            items.append(self.read())
            self.path.pop()
            if not self._between("]") and self.take("]"):
                break
        self.opened.pop()
        return Spot(start, self.pos, [spot.value for spot in items], items=items)

    def _between(self, closer: str) -> bool:
        """Take what stands between two members; False at the closing bracket."""
        before = self.pos
        if self.limit is not None and before > self.limit:
            self.stop("JSON; what is this long is not mended", "too large to mend")
        self.skip()
        text, pos = self.text, self.pos
        char = text[pos : pos + 1]
        if char == ",":
            self.pos += 1
            self.skip()
            follower = text[self.pos : self.pos + 1]
            if follower == closer:
                self.mend("a comma before the closing bracket", pos, pos + 1)
                return False
            if follower == ",":
                self.stop("a value between the commas", "empty place")
            return True
        if char == closer:
            return False
        if not char:
            self.cut("object" if closer == "}" else "list")
        if self._lacks_comma(before, char, closer):
            self.mend("a missing comma", before, pos if pos > before else pos + 1)
            return True
        return self._not_between(char, closer)

    def _lacks_comma(self, before: int, char: str, closer: str) -> bool:
        """Whether a next member begins here: a key behind white space, or a bracket right behind a bracket."""
        if closer == "]":
            return self.text[before - 1] in "}]" and char in "{["
        return before < self.pos and KEY_AHEAD.match(self.text, self.pos) is not None

    def _not_between(self, char: str, closer: str) -> NoReturn:
        if char in "}]":
            self.stop(f"a comma or {closer}", "wrong closing bracket")
        shape = "unescaped quotation mark" if self.text[self.pos - 1] in "\"'”’" else "missing comma"
        self.stop(f"a comma or {closer}", shape)

    def _key(self, *, first: bool) -> tuple[int, str]:
        start = self.pos
        char = self.text[start : start + 1]
        if not char:
            self.cut("object")
        if char in CLOSERS:
            return start, quoted(self, key=True)
        bare = _BARE_KEY.match(self.text, start)
        if bare is None:
            shape = "escaped quotation marks" if char == "\\" else "missing key"
            self.stop("a key in quotation marks" + (" or }" if first else ""), shape)
        self.pos = bare.end()
        self.mend("a key without quotation marks", start, bare.end())
        return start, bare[0]

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
            self.cut("number", start)
        if found is None or found.end() != end or (plus and found[0].startswith("-")):
            self.stop("a number such as -12.5", "bad number", end=end)
        if len(found[0]) > MAX_DIGITS:
            self.stop(f"a number of at most {MAX_DIGITS:,} digits", "bad number", end=end)
        if plus:
            self.mend("a plus sign before a number", start, start + 1)
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
                self.cut("object" if self.in_object else "list")
            if text.startswith("...", start):
                self.stop("a value", "placeholder", end=start + 3)
            self.stop("a value", "missing value" if text[start] in ",}]" else "unquoted text")
        end = word.end()
        if end >= len(text):
            self.cut("word", start)
        self.pos = end
        if word[0] in _LITERALS:
            return Spot(start, end, _LITERALS[word[0]])
        if word[0] in _PYTHON:
            self.mend("a literal of Python", start, end)
            return Spot(start, end, _PYTHON[word[0]])
        if word[0] in _NOT_FINITE:
            return self._not_finite(start, word[0])
        self.pos = start
        self.stop("a value; text needs quotation marks", "unquoted text", end=end)

    def _not_finite(self, start: int, token: str) -> Spot:
        end = start + len(token)
        self.pos = end
        self.flaws.append(Flaw(tuple(self.path), "not_finite", "a finite number", token, start, end))
        return Spot(start, end, None)


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
