"""From the raw text of a reply to the values it may mean, each with what had to be set aside or mended to see it.

A reply is hostile text: it may echo a record that was written to be taken for the answer, and it may break off anywhere. So
the whole text is parsed strictly first; else every JSON value in it is found from left to right, and none inside another one
that is broken, because a broken outer object may be the real answer and the inner one a part of it. A tail that breaks off
inside a value makes the whole reply cut: what stands before it may be a draft or an echo.

A model that does not stop goes on with the next turn: the next record and its answer, both invented. Nothing from the mark of a
turn on is a part of the reply.

A mended value is taken only if two independent readers agree on it: ``places``, which knows each edit and its place, and
json-repair, which is well kept but closes cut texts, drops currency signs and does not log all that it changes.
"""

from __future__ import annotations

import json
import re
from typing import Any

import json_repair

from jobs.cursor import Stop
from jobs.numbers import number
from jobs.places import MAX_DEPTH, Reader
from jobs.reading import BLANK, Found, Reading
from jobs.values import Edit

#: characters of a reply that are looked at; a longer one is refused whole
MAX_CHARS = 5_000_000
#: characters of one value that are mended at most
MAX_MENDED = 200_000
#: objects in one reply; more is noise, and no way to find an answer
MAX_VALUES = 1_000
#: brackets of prose in one reply; each costs a few microseconds
MAX_PROSE = 20_000

#: a failure of the standard parser costs the length of the whole text, since it counts lines; so it is tried this often
_STRICT_TRIES = 8

#: the tags that models think in, as alternatives
THINK = r"think|thinking|thought|reasoning"
_START = re.compile(rf"[{{\[]|<({THINK})>|</({THINK})>", re.IGNORECASE)
_THINK_TAG = re.compile(rf"<(?P<closing>/?)(?:{THINK})>", re.IGNORECASE)
_ROLE = r"(?:user|human)"
_OWN = r"(?:assistant|model)"
#: where another turn begins, in the marks of the usual chat templates or as lines of a dialogue; ``own`` may head the reply itself
_TURN = re.compile(
    r"<\|(?:im_end|eot_id|eom_id|endoftext|end_of_text|END_OF_TURN_TOKEN)\|>|<end_of_turn>|<｜end▁of▁sentence｜>"
    rf"|<\|(?:im_start|start)\|>\s*(?:{_ROLE}|system|developer|tool)\b"
    rf"|<\|start_header_id\|>\s*(?:{_ROLE}|system|ipython|tool)\b"
    rf"|<start_of_turn>\s*{_ROLE}\b|<\|(?:{_ROLE}|system)\|>|<｜User｜>|<\|USER_TOKEN\|>|\[INST\]"
    rf"|(?P<own><\|(?:im_start|start_header_id)\|>\s*{_OWN}\b|<start_of_turn>\s*{_OWN}\b"
    rf"|<\|{_OWN}\|>|<｜Assistant｜>|<\|CHATBOT_TOKEN\|>|\[/INST\])"
    r"|(?P<line>(?:^|(?<=[}\]]))[ \t]*(?:"
    rf"\#{{1,6}}[ \t]*(?:(?P<own_head>{_OWN}|response)|{_ROLE}|input|instruction)[ \t]*(?::|\r?$)"
    rf"|\*{{0,2}}(?:(?P<own_line>{_OWN})|{_ROLE})\*{{0,2}}(?:[ \t]*:|[ \t]*\r?$)))",
    re.IGNORECASE | re.MULTILINE,
)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
_CLOSER = {"{": "}", "[": "]"}
_DOUBLE = r'"(?:[^"\\]|\\.)*(?:"|\Z)'
_OTHERS = r"'(?:[^'\\]|\\.)*(?:'|\Z)|“[^”]*(?:”|\Z)|‘[^’]*(?:’|\Z)"
#: brackets outside of any text, of texts in JSON's quotation marks, of texts in any
_HEEDING = [re.compile(rf"{quotes}[{{}}\[\]]", re.DOTALL) for quotes in ("", f"{_DOUBLE}|", f"{_DOUBLE}|{_OTHERS}|")]
#: brackets of prose: a placeholder, a footnote, the first one of doubled braces; all others open a value, be it a broken one
_PROSE_BRACKETS = re.compile(r"""\{\s*(?=\{)|\{[^{}\[\]"'“”‘’:]*\}|\[[^{}\[\]]*\]""")
_SLASH = re.compile(r"\\(.)", re.DOTALL)


def has_turn(text: str, start: int, end: int) -> bool:
    """Whether another turn begins in that part of a reply, from where on nothing is a part of the reply."""
    return _TURN.search(text, start, end) is not None


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
    start = len(text) - len(text.lstrip(BLANK))
    end = len(text.rstrip(BLANK))
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
        #: where the reply ends because another turn begins
        self._end: int | None = None
        #: the first mark of a turn that is not yet passed
        self._turn = _TURN.search(text)
        self._tries = self._prose = 0

    def reading(self) -> Reading:
        text, pos = self._text, 0
        while self._stop is None:
            found = _START.search(text, pos)
            turn = self._next_turn(pos)
            if turn is not None and (found is None or turn.start() <= found.start()):
                thought = self._thought_behind(turn)
                if thought is None:
                    self._end = turn.start()
                    break
                self._only_thought(thought)
                pos = thought
            elif found is None:
                break
            elif found[0] in "{[":
                pos = self._value(found.start())
            elif found[1]:
                closing = re.compile(rf"</{found[1]}>", re.IGNORECASE).search(text, found.end())
                if closing is None:
                    self._unclosed = found.start()
                    break
                self._thinking.append((found.start(), closing.end()))
                pos = closing.end()
            else:
                self._only_thought(found.end())
                pos = found.end()
        return Reading(
            text,
            tuple(self._values),
            tuple(self._broken),
            self._stop,
            tuple(self._thinking),
            self._unclosed,
            turn=self._end,
        )

    def _only_thought(self, end: int) -> None:
        """The opening tag was part of the prompt: all that came before was thinking."""
        self._thinking = [(0, end)]
        self._values, self._broken = [], []

    def _next_turn(self, pos: int) -> re.Match[str] | None:
        """The first mark of another turn from here on; the head of the reply itself is none."""
        while self._turn is not None and (self._turn.start() < pos or self._heads(self._turn)):
            self._turn = _TURN.search(self._text, max(pos, self._turn.end()))
        return self._turn

    def _heads(self, turn: re.Match[str]) -> bool:
        if not (turn["own"] or turn["own_head"] or turn["own_line"]) or self._values or self._broken:
            return False
        begin = self._thinking[-1][1] if self._thinking else 0
        return not self._text[begin : turn.start()].strip(BLANK)

    def _thought_behind(self, turn: re.Match[str]) -> int | None:
        """Where a thinking ends that began in the prompt and has lines of a dialogue in it, if the turn is such a line."""
        if turn["line"] is None or self._thinking:
            return None
        tag = _THINK_TAG.search(self._text, turn.end())
        return tag.end() if tag is not None and tag["closing"] else None

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
        else:
            self._pass_over(found.start)
        return found.end

    def _pass_over(self, start: int) -> None:
        """Count a bracket that begins no answer."""
        self._prose += 1
        if self._prose > MAX_PROSE:
            limit = f"an answer within {MAX_PROSE:,} brackets"
            self._stop = Stop(start, expected=limit, shape="too many brackets", end=start + 1)

    def _stopped(self, start: int, stop: Stop) -> int:
        if stop.cut:
            self._stop = stop
            return stop.end
        if prose := _PROSE_BRACKETS.match(self._text, start):
            self._pass_over(start)
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
