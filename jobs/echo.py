"""The objects of a reply that stand in the record it is about: a model quotes them, and they are no answer of its own.

The record is hostile text. An object in it may be written to be taken for the answer, in one cell or over several, with other
quotation marks, white space or escapes than the model then writes. What the template says is the author's: its examples are
not looked for here, since a right answer may well be one of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from jobs.contract import words
from jobs.reading import Found, Reading
from jobs.reply import candidates

#: characters of a cell that are read as JSON; beyond them an object is found as it is written only
MAX_READ = 200_000
#: characters of an object that is looked for in several cells at once
MAX_SPREAD = 4_000

#: what a model changes when it quotes
_NOISE = re.compile(r"[\s\\\"'`“”„‘’]+")


def without_echo(reading: Reading, cells: Sequence[str]) -> Sequence[Found]:
    """The values of a reply that do not stand in the record; a reply that is nothing but one object is always its answer."""
    if reading.is_whole or not any("{" in cell for cell in cells):
        return reading.values
    if len(reading.values) == 1 and not any(edit.kind == "prose" for edit in reading.edits(reading.values[0])):
        return reading.values
    known = [found.value for cell in cells if "{" in cell for found in candidates(cell[:MAX_READ]).values]
    bare = [text for text in map(_bare, cells) if text]
    return [found for found in reading.values if not _stands(found, reading.text, known=known, bare=bare)]


def _stands(found: Found, text: str, *, known: Iterable[Any], bare: Sequence[str]) -> bool:
    written = _bare(text[found.start : found.end])
    return (
        any(written in cell for cell in bare)
        or any(words.same(found.value, value) for value in known)
        or (len(written) <= MAX_SPREAD and _is_spread(written, bare))
    )


def _bare(text: str) -> str:
    return _NOISE.sub("", text)


def _is_spread(written: str, cells: Sequence[str]) -> bool:
    """Whether an object is the end of one cell, perhaps whole cells, and the beginning of another, side by side in any order."""
    ends = {
        len(written) - len(head) for cell in cells for head in _heads(cell[: len(written)]) if written.endswith(head)
    }
    waiting = [
        len(tail) for cell in cells for tail in _tails(cell[-len(written) :]) if ends and written.startswith(tail)
    ]
    seen: set[int] = set()
    while waiting:
        at = waiting.pop()
        if at in ends:
            return True
        if at not in seen:
            seen.add(at)
            waiting.extend(at + len(cell) for cell in cells if written.startswith(cell, at))
    return False


def _heads(cell: str) -> Iterable[str]:
    """The beginnings of a cell that may close what was opened in another."""
    return (cell[: found.end()] for found in re.finditer(r"[}\]]", cell))


def _tails(cell: str) -> Iterable[str]:
    """The ends of a cell that may open what is closed in another."""
    return (cell[found.start() :] for found in re.finditer(r"[{\[]", cell))
