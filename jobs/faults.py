"""What is wrong with what a person wrote, in words: the first fault that Pydantic finds, where it is, and what stands there.

The words never repeat the value by themselves: it may be a key that was written into the wrong line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, NamedTuple

from pydantic import ValidationError

#: characters of a wrong value that are shown
_SHOWN = 60


class Fault(NamedTuple):
    """One thing that is wrong."""

    #: names and places on the way to it, the outermost first; empty where the whole is wrong
    way: tuple[str, ...]
    #: a clause to stand behind a colon
    what: str
    given: Any

    @property
    def where(self) -> str:
        """The way in one word: ``ladder.climbs.0.model``."""
        return ".".join(self.way)

    @property
    def shown(self) -> str:
        """The value as a person may have written it, if it is short."""
        text = repr(self.given)
        return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.way else self.what


def first(error: ValidationError, known: Iterable[str] = ()) -> Fault:
    """The first fault, of a name that is missing rather its misspelling; ``known`` are the names that the outermost object may have."""
    faults = error.errors(include_url=False)
    found = faults[0]
    above = found["loc"][:-1]
    missing = [str(one["loc"][-1]) for one in faults if one["type"] == "missing" and one["loc"][:-1] == above]
    if found["type"] == "missing":
        misspelt = [one for one in faults if one["type"] == "extra_forbidden" and one["loc"][:-1] == above]
        found = misspelt[0] if misspelt else found
    way = tuple(str(part) for part in found["loc"])
    what = found["msg"][:1].lower() + found["msg"][1:]
    if found["type"] == "extra_forbidden":
        what = unknown(way[-1], known if len(way) == 1 else missing)
    elif found["type"] == "missing":
        what = "this is missing"
    return Fault(way, what, found["input"])


def unknown(key: str, known: Iterable[str]) -> str:
    """Words for a key that nobody knows, with the nearest that is known, or all that are."""
    known = list(known)
    close = difflib.get_close_matches(key, known, n=1)
    there = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}" if known else ""
    return f"unknown key {key!r}{'; ' if there else ''}{there}"
