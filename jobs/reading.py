"""What a reply holds, and what must be set aside to take one value of it: a receipt is made of that, and so is a doubt.

Nothing of a reply goes unsaid: what is neither the value nor white space becomes an edit with its place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jobs.cursor import Flaw, Stop
from jobs.places import Spot
from jobs.values import Edit

#: edits kept in a receipt; the rest is counted
MAX_EDITS = 40

#: the white space of JSON
BLANK = " \t\r\n"
#: an opening fence, read backwards from the answer and without going back, so that its time grows with its length only
_FENCE_BEFORE = re.compile(r"\s*+[\w+.-]*+[ \t]*+(?:`++|~~~)")
_FENCE_AFTER = re.compile(r"(?P<fence>\s*(?:`+|~~~))(?P<prose>.*)\Z", re.DOTALL)
_STRAY = re.compile(r"[ \t\r\n]*([}\]])")
#: before an object, a key and its colon, or another object and a comma: it is a part of something that has no brackets
_MEMBER = re.compile(r"""(?:["'”’]\s{0,20}:|\}\s{0,20},)\Z""")
#: behind an object, a comma and a text or another object, or a key and its colon: it was closed before its end, or is one of several
_NEXT_MEMBER = re.compile(r"""\s*(?:(?P<comma>,)\s*["'“‘{]|(?P<key>["'“‘][^"'“”‘’\r\n]{1,80}["'”’])\s*:)""")
_CLOSING = re.compile(r"[\s}]*")
_BRACE = re.compile(r"[{}]")


@dataclass(frozen=True, slots=True)
class Found:
    """One JSON object or list in a reply."""

    start: int
    end: int
    value: Any
    #: what was mended in it
    edits: tuple[Edit, ...] = ()
    #: what can be read but never accepted
    flaws: tuple[Flaw, ...] = ()
    #: where its parts stand, if they were looked for already
    spot: Spot | None = None
    #: the places inside are not those of the text: it was encoded twice
    encoded: bool = False


@dataclass(frozen=True)
class Reading:
    """What a reply holds, in the order of the text."""

    text: str
    #: complete objects, and lists that hold objects
    values: tuple[Found, ...] = ()
    #: spans of values that could not be read but whose end is known, each with why
    broken: tuple[tuple[int, int, Stop], ...] = ()
    #: why the text could not be read to its end: nothing in it is to be taken then
    stop: Stop | None = None
    #: spans inside think tags
    thinking: tuple[tuple[int, int], ...] = ()
    #: where a thinking that never ends begins
    unclosed_thinking: int | None = None
    #: the whole text is strict JSON; ``whole_value`` is what it says
    is_whole: bool = False
    whole_value: Any = None
    #: where another turn begins, which is no part of the reply
    turn: int | None = None

    @cached_property
    def prose(self) -> str:
        """What stands outside of values and thinking."""
        return "\n".join(self.text[start:end] for start, end in self._gaps())

    @property
    def lead(self) -> str:
        """The prose before the first value, whole or broken."""
        first = min(
            [found.start for found in self.values] + [start for start, _, _ in self.broken], default=len(self.text)
        )
        return "\n".join(self.text[start:end] for start, end in self._gaps() if end <= first)

    @property
    def prose_span(self) -> tuple[int, int]:
        """From the beginning of the first prose to the end of the last."""
        gaps = self._gaps()
        return (gaps[0][0], gaps[-1][1]) if gaps else (0, 0)

    def loose(self, found: Found) -> Stop | None:
        """A bracket around this value that belongs to none: the value may be a part of something that is not there."""
        if self.is_whole:
            return None
        behind = _STRAY.match(self.text, found.end)
        if behind is not None and behind[1] == "]":
            at = behind.start(1)
            return Stop(at, expected="nothing behind the object", shape="stray closing bracket", end=at + 1)
        if more := _NEXT_MEMBER.match(self.text, found.end):
            return _part(*more.span(more.lastgroup or 0))
        if (closing := self._closing_behind(found)) is not None:
            return _part(closing, closing + 1)
        before = self.text[: found.start].rstrip()
        if _MEMBER.search(before) or (self.broken and (behind is not None or before.endswith((",", "[", "{")))):
            return _part(max(0, len(before) - 1), found.start)
        if self.prose.count("{") > self.prose.count("}"):
            opened = [
                start + self.text[start:end].rfind("{") for start, end in self._gaps() if "{" in self.text[start:end]
            ]
            return Stop(opened[-1], expected="a closing brace", shape="unclosed bracket", end=opened[-1] + 1)
        return None

    def _closing_behind(self, found: Found) -> int | None:
        """A closing brace somewhere behind a value, to which no brace was opened: that may be its true end."""
        closing = _CLOSING.match(self.text, found.end)
        begin = closing.end() if closing else found.end
        depth = 0
        for start, end in self._gaps():
            for brace in _BRACE.finditer(self.text, max(start, begin), end):
                depth += 1 if brace[0] == "{" else -1
                if depth < 0:
                    return brace.start()
        return None

    def edits(self, found: Found) -> tuple[Edit, ...]:
        """All that was set aside or mended to take this value, in the order of the text."""
        if self.is_whole:
            return found.edits
        strays = self._strays(found)
        taken = [(edit.start or 0, edit.end or 0) for edit in strays]
        edits = [*found.edits, *strays]
        edits += [Edit(kind="think", note="thinking", start=start, end=end) for start, end in self.thinking]
        if self.turn is not None:
            end = len(self.text.rstrip(BLANK))
            edits.append(Edit(kind="turn", note="another turn, which the model went on with", start=self.turn, end=end))
        for other in self.values:
            if other is not found:
                note = "another list" if isinstance(other.value, list) else "another object"
                edits.append(Edit(kind="other_object", note=note, start=other.start, end=other.end))
        for start, end, _ in self.broken:
            edits.append(Edit(kind="other_object", note="an object that could not be read", start=start, end=end))
        edges = (min([found.start, *(low for low, _ in taken)]), max([found.end, *(high for _, high in taken)]))
        for start, end in self._gaps(extra=taken):
            edits += _set_aside(self.text, start, end, edges=edges)
        edits.sort(key=lambda edit: edit.start or 0)
        if len(edits) > MAX_EDITS:
            rest = len(edits) - MAX_EDITS
            kind = "repair" if any(edit.kind == "repair" for edit in edits[MAX_EDITS:]) else edits[MAX_EDITS].kind
            edits = [*edits[:MAX_EDITS], Edit(kind=kind, note=f"and {rest} more")]
        return tuple(edits)

    def _gaps(self, extra: list[tuple[int, int]] | None = None) -> list[tuple[int, int]]:
        spans = [(found.start, found.end) for found in self.values]
        spans += [(start, end) for start, end, _ in self.broken]
        spans += [*self.thinking, *(extra or [])]
        if self.turn is not None:
            spans.append((self.turn, len(self.text)))
        gaps, pos = [], 0
        for start, end in sorted(spans):
            if start > pos:
                gaps.append((pos, start))
            pos = max(pos, end)
        gaps.append((pos, len(self.text)))
        return [(start, end) for start, end in gaps if self.text[start:end].strip(BLANK)]

    def _strays(self, found: Found) -> list[Edit]:
        """Braces that were doubled, or one closing brace too many; each is dropped and said."""
        behind = _STRAY.match(self.text, found.end)
        if behind is None or behind[1] != "}":
            return []
        start = behind.start(1)
        edits = [Edit(kind="repair", note="a closing brace too many", start=start, end=start + 1)]
        before = len(self.text[: found.start].rstrip(BLANK)) - 1
        if before >= 0 and self.text[before] == "{":
            edits.append(Edit(kind="repair", note="an opening brace too many", start=before, end=before + 1))
        return edits


def _part(start: int, end: int) -> Stop:
    return Stop(start, expected="an object that stands alone", shape="part of something else", end=end)


def _set_aside(text: str, start: int, end: int, *, edges: tuple[int, int]) -> list[Edit]:
    """The edits for text outside of the values: fences next to the value taken, prose elsewhere."""
    gap = text[start:end]
    fence: tuple[int, int] | None = None
    prose = (start, end)
    if end == edges[0] and (before := _FENCE_BEFORE.match(gap[::-1])):
        fence, prose = (end - before.end(), end), (start, end - before.end())
    elif start == edges[1] and (after := _FENCE_AFTER.match(gap)):
        fence, prose = (start, start + after.end("fence")), (start + after.end("fence"), end)
    edits = []
    for kind, span in (("fence", fence), ("prose", prose)):
        if span is None:
            continue
        piece = text[span[0] : span[1]]
        left = span[0] + len(piece) - len(piece.lstrip(BLANK))
        right = span[0] + len(piece.rstrip(BLANK))
        if left < right:
            edits.append(
                Edit(kind=kind, note="a code fence" if kind == "fence" else "text around it", start=left, end=right)
            )
    return edits
