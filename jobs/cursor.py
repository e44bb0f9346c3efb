"""A place in a text that is read from left to right, with what was mended on the way and why reading stopped."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NoReturn

from jobs.values import Edit

Part = str | int
#: changes to one value; a receipt of more is no receipt, and a reply made of comments alone costs no lane its time
MAX_EDITS = 2_000

_SPACE = re.compile(r"[ \t\r\n]*")
#: white space that is not JSON's
ODD_SPACE = re.compile(r"[\s\u200b\u2060\ufeff]+")
_COMMENT = re.compile(r"//[^\r\n]*|/\*.*?\*/|#[^\r\n]*", re.DOTALL)
_WRONG = re.compile(r"[^\s,:{}\[\]\"']{1,40}")


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


@dataclass(slots=True)
class Cursor:
    """Where a text is read; ``edits`` and ``flaws`` collect on the way."""

    text: str
    pos: int = 0
    #: where to give up, so that a long text that must be refused in the end is not read for long
    limit: int | None = None
    edits: list[Edit] = field(default_factory=list)
    flaws: list[Flaw] = field(default_factory=list)
    #: the keys and indexes on the way to what is being read
    path: list[Part] = field(default_factory=list)
    #: where the open lists and objects begin
    opened: list[int] = field(default_factory=list)

    @property
    def in_object(self) -> bool:
        """Whether the innermost open bracket is an object's."""
        return bool(self.opened) and self.text[self.opened[-1]] == "{"

    def skip(self) -> None:
        """Pass white space and comments."""
        text = self.text
        while True:
            found = _SPACE.match(text, self.pos)
            assert found is not None
            pos = self.pos = found.end()
            if pos >= len(text) or text[pos] in '"{}[],:':
                return
            odd = ODD_SPACE.match(text, pos)
            comment = None if odd else _COMMENT.match(text, pos)
            if odd:
                self.mend("white space that is not JSON's", pos, odd.end())
                self.pos = odd.end()
            elif comment:
                self.mend("a comment", pos, comment.end())
                self.pos = comment.end()
            elif text.startswith("/*", pos):
                self.cut("comment", pos)
            else:
                return

    def take(self, char: str) -> bool:
        """Pass this character, if it stands here."""
        if self.text.startswith(char, self.pos):
            self.pos += 1
            return True
        return False

    def mend(self, note: str, start: int, end: int) -> None:
        """Say that something was read as it is not written.

        Raises:
            Stop: it would be one change too many.
        """
        if len(self.edits) >= MAX_EDITS:
            raise Stop(
                start, expected=f"JSON; at most {MAX_EDITS:,} places are mended", shape="too much to mend", end=end
            )
        self.edits.append(Edit(kind="repair", note=note, start=start, end=end))

    def stop(self, expected: str, shape: str, *, end: int | None = None) -> NoReturn:
        """Give up here.

        Raises:
            Stop: always.
        """
        if self.pos >= len(self.text):
            self.cut("object")
        wrong = _WRONG.match(self.text, self.pos)
        after = end if end is not None else wrong.end() if wrong else self.pos + 1
        raise Stop(self.pos, expected=expected, shape=shape, end=after)

    def cut(self, shape: str, start: int | None = None) -> NoReturn:
        """Give up because the text ends here: inside what begins at ``start``, else inside the innermost open bracket.

        Raises:
            Stop: always.
        """
        at = start if start is not None else self.opened[-1] if self.opened else self.pos
        if start is None and self.opened:
            shape = "object" if self.in_object else "list"
        raise Stop(at, expected="the rest of the reply", shape=shape, end=len(self.text), cut=True)
