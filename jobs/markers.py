r"""Where the messages of a source begin, and how a line is kept from being taken for a beginning.

A marker is a line that is exactly ``system:``, ``user:`` or ``assistant:``. ``\user:`` is the literal line ``user:`` (of
several backslashes one goes). Text before the first marker is a user message. Blank lines around a message are dropped.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, cast

Role = Literal["system", "user", "assistant"]

_MARKER = re.compile(r"(system|user|assistant):")
_ESCAPED = re.compile(r"\\+(?:system|user|assistant):")
_NEWLINE = re.compile(r"\r\n?")


class Turn(NamedTuple):
    """One message of a source, not rendered: its role, its text and the line of the source where the text begins."""

    role: Role
    text: str
    line: int = 1


def split(source: str) -> tuple[Turn, ...]:
    """The messages of a source as they are written, none of them checked; a message may be empty."""
    found: list[Turn] = []
    role: Role = "user"
    lines: list[str] = []
    start = 1

    def close() -> None:
        top, bottom = 0, len(lines)
        while top < bottom and not lines[top].strip():
            top += 1
        while bottom > top and not lines[bottom - 1].strip():
            bottom -= 1
        if marked or bottom > top:
            found.append(Turn(role, "\n".join(lines[top:bottom]), start + (top if bottom > top else -1)))

    marked = False
    for number, line in enumerate(_NEWLINE.sub("\n", source).split("\n"), start=1):
        if marker := _MARKER.fullmatch(line):
            close()
            role, lines, start, marked = cast(Role, marker[1]), [], number + 1, True
        else:
            lines.append(line[1:] if _ESCAPED.fullmatch(line) else line)
    close()
    return tuple(found)


def escape(text: str) -> str:
    """The text as it must be written in a source, so that none of its lines is a marker."""
    return "\n".join(
        f"\\{line}" if _MARKER.fullmatch(line) or _ESCAPED.fullmatch(line) else line for line in text.split("\n")
    )
