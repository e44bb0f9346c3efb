"""From the raw text of a reply to the values it may mean, each with what had to be set aside or mended to see it.

A reply is hostile text: it may echo a record that was written to be taken for the answer, and it may break off anywhere. So
the whole text is parsed strictly first; else every JSON value in it is found from left to right, and none inside another one
that is broken, because a broken outer object may be the real answer and the inner one a part of it. A tail that breaks off
inside a value makes the whole reply cut: what stands before it may be a draft or an echo.

A mended value is taken only if two independent readers agree on it: ``places``, which knows each edit and its place, and
json-repair, which is well kept but closes cut texts, drops currency signs and does not log all that it changes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import json_repair

from jobs.places import MAX_DEPTH, Flaw, Reader, Spot, Stop, number
from jobs.values import Edit

#: characters of a reply that are looked at; a longer one is refused whole
MAX_CHARS = 5_000_000
#: characters of one value that are mended at most
MAX_MENDED = 200_000
#: edits kept in a receipt; the rest is counted
MAX_EDITS = 40
#: objects in one reply; more is noise, and no way to find an answer
MAX_VALUES = 1_000

#: a failure of the standard parser costs the length of the whole text, since it counts lines; so it is tried this often
_STRICT_TRIES = 8

_BLANK = " \t\r\n"
_THINK = r"think|thinking|thought|reasoning"
_START = re.compile(rf"[{{\[]|<({_THINK})>|</({_THINK})>", re.IGNORECASE)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
_CLOSER = {"{": "}", "[": "]"}
_DOUBLE = r'"(?:[^"\\]|\\.)*(?:"|\Z)'
_OTHERS = r"'(?:[^'\\]|\\.)*(?:'|\Z)|“[^”]*(?:”|\Z)|‘[^’]*(?:’|\Z)"
#: brackets outside of any text, of texts in JSON's quotation marks, of texts in any
_HEEDING = [re.compile(rf"{quotes}[{{}}\[\]]", re.DOTALL) for quotes in ("", f"{_DOUBLE}|", f"{_DOUBLE}|{_OTHERS}|")]
#: brackets of prose: a placeholder, a footnote, the first one of doubled braces; all others open a value, be it a broken one
_PROSE_BRACKETS = re.compile(r"""\{\s*(?=\{)|\{[^{}\[\]"'“”‘’:]*\}|\[[^{}\[\]]*\]""")
#: an opening fence, read backwards from the answer and without going back, so that its time grows with its length only
_FENCE_BEFORE = re.compile(r"\s*+[\w+.-]*+[ \t]*+(?:`++|~~~)")
_FENCE_AFTER = re.compile(r"(?P<fence>\s*(?:`+|~~~))(?P<prose>.*)\Z", re.DOTALL)
_STRAY = re.compile(r"[ \t\r\n]*([}\]])")
#: a key and its colon: what follows is a part of an object that has no braces
_MEMBER = re.compile(r"""["'”’]\s{0,20}:\Z""")
_NEXT_MEMBER = re.compile(r"""\s*(,)\s*["'“‘]""")
_SLASH = re.compile(r"\\(.)", re.DOTALL)


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

    @cached_property
    def prose(self) -> str:
        """What stands outside of values and thinking."""
        return "\n".join(self.text[start:end] for start, end in self._gaps())

    def loose(self, found: Found) -> Stop | None:
        """A bracket around this value that belongs to none: the value may be a part of something that is not there."""
        if self.is_whole:
            return None
        behind = _STRAY.match(self.text, found.end)
        if behind is not None and behind[1] == "]":
            at = behind.start(1)
            return Stop(at, expected="nothing behind the object", shape="stray closing bracket", end=at + 1)
        before = self.text[: found.start].rstrip()
        if member := _NEXT_MEMBER.match(self.text, found.end):
            expected = "an object that stands alone"
            return Stop(member.start(1), expected=expected, shape="part of something else", end=member.start(1) + 1)
        if _MEMBER.search(before) or (self.broken and (behind is not None or before.endswith((",", "[", "{")))):
            at = max(0, len(before) - 1)
            return Stop(at, expected="an object that stands alone", shape="part of something else", end=found.start)
        if self.prose.count("{") > self.prose.count("}"):
            opened = [
                start + self.text[start:end].rfind("{") for start, end in self._gaps() if "{" in self.text[start:end]
            ]
            return Stop(opened[-1], expected="a closing brace", shape="unclosed bracket", end=opened[-1] + 1)
        return None

    def edits(self, found: Found) -> tuple[Edit, ...]:
        """All that was set aside or mended to take this value, in the order of the text."""
        if self.is_whole:
            return found.edits
        strays = self._strays(found)
        taken = [(edit.start or 0, edit.end or 0) for edit in strays]
        edits = [*found.edits, *strays]
        edits += [Edit(kind="think", note="thinking", start=start, end=end) for start, end in self.thinking]
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
        gaps, pos = [], 0
        for start, end in sorted(spans):
            if start > pos:
                gaps.append((pos, start))
            pos = max(pos, end)
        gaps.append((pos, len(self.text)))
        return [(start, end) for start, end in gaps if self.text[start:end].strip(_BLANK)]

    def _strays(self, found: Found) -> list[Edit]:
        """Braces that were doubled, or one closing brace too many; each is dropped and said."""
        behind = _STRAY.match(self.text, found.end)
        if behind is None or behind[1] != "}":
            return []
        start = behind.start(1)
        edits = [Edit(kind="repair", note="a closing brace too many", start=start, end=start + 1)]
        before = len(self.text[: found.start].rstrip(_BLANK)) - 1
        if before >= 0 and self.text[before] == "{":
            edits.append(Edit(kind="repair", note="an opening brace too many", start=before, end=before + 1))
        return edits


class NotStrict(ValueError):
    """A text is not strict JSON, or not within the limits."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise NotStrict("a key stands twice")
    return made


def _float(text: str) -> int | float:
    value = number(text)
    if value in (float("inf"), float("-inf")):
        raise NotStrict("a number is too large")
    return value


def _constant(text: str) -> None:
    raise NotStrict(f"{text} is not JSON")


_STRICT = json.JSONDecoder(object_pairs_hook=_pairs, parse_float=_float, parse_constant=_constant)


def strict(text: str) -> Any:
    """The one value that the text is, as JSON has it.

    Raises:
        ValueError: it is not JSON, gives a key twice, holds a number that is not finite, or nests deeper than ``MAX_DEPTH``.
    """
    try:
        value = _STRICT.decode(text)
    except RecursionError as error:
        raise NotStrict("nested too deep") from error
    if text.count("{") + text.count("[") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise NotStrict("nested too deep")
    return value


def _depth(text: str) -> int:
    """How deep valid JSON nests."""
    depth = deepest = 0
    for token in _TOKEN.finditer(text):
        char = token[0]
        if char in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "}]":
            depth -= 1
    return deepest


def candidates(text: str) -> Reading:
    """The values that a reply holds; never raises."""
    if len(text) > MAX_CHARS:
        limit = f"at most {MAX_CHARS:,} characters"
        return Reading(text, stop=Stop(0, expected=limit, shape="too large", end=len(text)))
    try:
        value = strict(text)
    except ValueError:
        return _Scan(text).reading()
    return _whole(text, value)


def _whole(text: str, value: Any) -> Reading:
    start = len(text) - len(text.lstrip(_BLANK))
    end = len(text.rstrip(_BLANK))
    if isinstance(value, str):
        try:
            inner = strict(value)
        except ValueError:
            inner = None
        if isinstance(inner, dict):
            edit = Edit(kind="repair", note="the object was encoded twice, as a text", start=start, end=end)
            return Reading(text, (Found(start, end, inner, (edit,), encoded=True),), is_whole=True, whole_value=value)
    values = (Found(start, end, value),) if isinstance(value, (dict, list)) else ()
    return Reading(text, values, is_whole=True, whole_value=value)


class _Scan:
    """One pass over a text that is not JSON as a whole. Each character is read a bounded number of times."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._values: list[Found] = []
        self._broken: list[tuple[int, int, Stop]] = []
        self._thinking: list[tuple[int, int]] = []
        self._stop: Stop | None = None
        self._unclosed: int | None = None
        self._tries = 0

    def reading(self) -> Reading:
        text, pos = self._text, 0
        while self._stop is None and (found := _START.search(text, pos)):
            if found[0] in "{[":
                pos = self._value(found.start())
            elif found[1]:
                closing = re.compile(rf"</{found[1]}>", re.IGNORECASE).search(text, found.end())
                if closing is None:
                    self._unclosed = found.start()
                    break
                self._thinking.append((found.start(), closing.end()))
                pos = closing.end()
            else:
                # the opening tag was part of the prompt: all that came before was thinking
                self._thinking = [(0, found.end())]
                self._values, self._broken = [], []
                pos = found.end()
        return Reading(
            text,
            tuple(self._values),
            tuple(self._broken),
            self._stop,
            tuple(self._thinking),
            self._unclosed,
        )

    def _value(self, start: int) -> int:
        """Take the value that begins here, if it is one; where to look on."""
        text = self._text
        if len(self._values) + len(self._broken) >= MAX_VALUES:
            limit = f"one object, or at most {MAX_VALUES:,}"
            self._stop = Stop(start, expected=limit, shape="too many objects", end=start + 1)
            return start + 1
        if self._tries < _STRICT_TRIES:
            self._tries += 1
            try:
                value, end = _STRICT.raw_decode(text, start)
                if _depth(text[start:end]) <= MAX_DEPTH:
                    return self._keep(Found(start, end, value))
            except (ValueError, RecursionError):
                pass
        reader = Reader(text, start, start + MAX_MENDED)
        try:
            spot = reader.read()
        except Stop as stop:
            return self._stopped(start, stop)
        return self._keep(Found(start, spot.end, spot.value, tuple(reader.edits), tuple(reader.flaws), spot))

    def _keep(self, found: Found) -> int:
        # [1] is a footnote, [{...}] an answer of the wrong form
        if isinstance(found.value, dict) or _holds_object(found.value):
            self._values.append(found)
        return found.end

    def _stopped(self, start: int, stop: Stop) -> int:
        if stop.cut:
            self._stop = stop
            return stop.end
        if prose := _PROSE_BRACKETS.match(self._text, start):
            return prose.end()
        end = _matched(self._text, start)
        if end is None:
            self._stop = stop
            return stop.end
        self._broken.append((start, end, stop))
        return end


def _holds_object(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, dict) or _holds_object(item) for item in value)


def _matched(text: str, start: int) -> int | None:
    """Where a broken value ends; None unless its end is the same whichever quotation marks are heeded."""
    ends = {_end(text, start, pattern) for pattern in _HEEDING}
    return ends.pop() if len(ends) == 1 else None


def _end(text: str, start: int, pattern: re.Pattern[str]) -> int | None:
    expected: list[str] = []
    for token in pattern.finditer(text, start):
        char = token[0]
        if char in _CLOSER:
            expected.append(_CLOSER[char])
        elif char in "}]":
            if char != expected.pop():
                return None
            if not expected:
                return token.end()
        elif len(char) == 1 or not char.endswith((char[0], "”", "’")):
            # a text that is not closed: what follows may be inside it
            return None
    return None


def doubt(text: str, found: Found) -> Stop | None:
    """Why a mended value cannot be trusted: a second reader takes it for another one."""
    if not found.edits or found.encoded:
        return None
    first = found.edits[0]
    at, end = first.start or found.start, first.end or found.end
    # json-repair takes \/ for two characters, which it is not
    segment = _SLASH.sub(lambda pair: "/" if pair[1] == "/" else pair[0], text[found.start : found.end])
    try:
        other = json_repair.repair_json(segment, return_objects=True, skip_json_loads=True)
    except Exception:  # noqa: BLE001 - a foreign parser on hostile text: whatever it raises, it does not agree
        other = None
    if _joined(other) == _joined(found.value):
        return None
    return Stop(at, expected="JSON; it could be mended in several ways", shape="ambiguous repair", end=end)


def _joined(value: Any) -> str:
    """A value as text to compare; json-repair leaves the halves of a surrogate pair apart."""
    try:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    except (ValueError, TypeError, RecursionError):
        return ""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


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
        left = span[0] + len(piece) - len(piece.lstrip(_BLANK))
        right = span[0] + len(piece.rstrip(_BLANK))
        if left < right:
            edits.append(
                Edit(kind=kind, note="a code fence" if kind == "fence" else "text around it", start=left, end=right)
            )
    return edits
