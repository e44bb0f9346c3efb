"""An answer while it streams in: which of its fields have begun, and what stands there so far; texts to look at, never values.

A model that is not done may still go on: ``1`` may become ``12``, a second object may take the place of the first. So nothing of
this is judged, and no field is closed before a comma or a brace stands behind it. What holds is decided when the reply has ended,
by another reader.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from jobs.reply import THINK, has_turn

_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?P<end>")?'
#: an object with a key, whole or at the very end, or a tag of thinking; braces of prose and of templates are none
_OUTSIDE = re.compile(
    rf"\{{\s*+(?={_STRING}(?:\s*+:|\s*+\Z))|<(?P<closing>/?)(?P<tag>{THINK})>", re.IGNORECASE | re.DOTALL
)
_IN_OBJECT = re.compile(rf"{_STRING}|[{{}}\[\]:,]|</(?:{THINK})>", re.IGNORECASE | re.DOTALL)
_DEEPER = re.compile(rf"{_STRING}|[{{}}\[\]]|</(?:{THINK})>", re.IGNORECASE | re.DOTALL)
_OPENER = {"}": "{", "]": "["}
_WHOLE = r"\\u(?P<high>d[89ab][0-9a-f]{2})\\u(?P<low>d[c-f][0-9a-f]{2})|\\u(?P<one>[0-9a-f]{4})|\\[^u]"
#: the half of an escape, or of a pair of them, that may come whole yet
_HALF = r"(?P<half>\\ud[89ab][0-9a-f]{2}(?:\\(?:u[0-9a-f]{0,3})?)?\Z|\\(?:u[0-9a-f]{0,3})?\Z)"
_ESCAPE = re.compile(_WHOLE, re.IGNORECASE | re.DOTALL)
_ESCAPE_OR_HALF = re.compile(f"{_HALF}|{_WHOLE}", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Begun:
    """A field of the answer that has begun."""

    name: str
    #: what stands there so far, as JSON has it; escapes are shown as what they stand for
    text: str
    #: something stands behind it, so that no more of it will come
    is_closed: bool


#: the token of a field's name, where its value begins and ends, and whether it is closed
_Span = tuple[str, int, int, bool]


def begun(text: str) -> tuple[Begun, ...]:
    """The fields of the last object in a reply so far, in its order; a name that is given twice stands there twice.

    Reads the text once, whatever is in it, and never raises. Objects in thinking, and what follows the mark of another turn, are
    not looked at.
    """
    last: list[_Span] = []
    at, is_answering = 0, False
    while (mark := _OUTSIDE.search(text, at)) is not None:
        if is_answering and has_turn(text, at, mark.start()):
            break
        if mark["tag"] is None:
            (last, at), is_answering = _object(text, mark.end()), True
        elif mark["closing"]:
            # the opening tag was part of the prompt: all that came before was thinking
            last, at, is_answering = [], mark.end(), False
        else:
            closing = re.compile(f"</{mark['tag']}>", re.IGNORECASE).search(text, mark.end())
            if closing is None:
                break
            at = closing.end()
    return tuple(
        Begun(_name(token), _shown(text[start:end].strip(), is_closed=is_closed), is_closed)
        for token, start, end, is_closed in last
    )


def _object(text: str, at: int) -> tuple[list[_Span], int]:
    """The fields of the object whose brace stands before ``at``, and where to look on: behind it, or where it is broken."""
    found: list[_Span] = []
    opened: list[str] = []
    name: str | None = None
    #: where the value begins that is being read
    begin: int | None = None
    end, on = len(text), len(text)
    while (token := (_DEEPER if opened else _IN_OBJECT).search(text, at)) is not None:
        at, mark = token.end(), token[0]
        if mark == "," or (mark == "}" and not opened):
            if name is not None and begin is not None:
                found.append((name, begin, token.start(), True))
            name = begin = None
            if mark == "}":
                return found, at
        elif mark == ":":
            begin = at if begin is None and name is not None else begin
        elif mark[0] == '"':
            if begin is None and not opened:
                name = mark if token["end"] else None
        elif mark in "{[":
            opened.append(mark)
        elif opened and opened[-1] == _OPENER.get(mark):
            opened.pop()
        else:
            # a bracket of another kind, or the end of a thinking that began in the prompt
            end, on = token.start(), token.start() if mark[0] == "<" else at
            break
    if name is not None and begin is not None:
        found.append((name, begin, end, False))
    return found, on


def _name(token: str) -> str:
    if "\\" not in token:
        return token[1:-1]
    try:
        return str(json.loads(token, strict=False))
    except ValueError:
        return token[1:-1]


def _shown(text: str, *, is_closed: bool) -> str:
    """JSON that means the same, or the beginning of it, with escapes as the characters that they stand for."""
    if "\\" not in text:
        return text
    return (_ESCAPE if is_closed else _ESCAPE_OR_HALF).sub(_character, text)


def _character(escape: re.Match[str]) -> str:
    if escape["high"]:
        high, low = int(escape["high"], 16) - 0xD800, int(escape["low"], 16) - 0xDC00
        return chr(0x10000 + (high << 10) + low)
    if not escape["one"]:
        return "" if escape.groupdict().get("half") else escape[0]
    character = chr(int(escape["one"], 16))
    return escape[0] if character < " " or character in '"\\' or "\ud800" <= character <= "\udfff" else character
