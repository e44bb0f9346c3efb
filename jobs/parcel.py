"""Several rows in one call: how their prompts become one, and which answer of the reply is about which row.

Each row's text stands in a record with an opaque id, and the answer to it must repeat that id: nothing is matched by position.
An answer counts if it stands whole in the reply, under an id that was asked about and that stands there once. Whatever is around
it may be missing, broken or cut: the others are not touched by that. The rest is asked again with fewer rows.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from jobs.reply import has_turn
from jobs.signature import signature
from jobs.values import Edit, Message, Problem, Verdict

_Placed = TypeVar("_Placed", Problem, Edit)

#: letters and digits that no reader takes for one another, and that spell no word
_ALPHABET = "bcdfghjkmnpqrstvwxz23456789"
ID_LENGTH = 5
#: finish reason of a stream that broke off behind whole answers; ours, since no endpoint says it
BROKEN = "broken off"

_INSTRUCTION = (
    'The next user message holds {n} records, each between <record id="..."> and </record>. They have nothing to do with each '
    "other: answer each one as if it had come alone, by the instructions above. Answer with one JSON object and nothing else:\n"
    '{{"results": [{{"id": "...", "value": {{...}}}}, ...]}}\n'
    "with exactly one entry for each record: its id, copied, and as its value the answer to that record."
)
_TAG = re.compile(r"<(?=\s*/?\s*record\b)", re.IGNORECASE)


def ids(try_id: str, count: int) -> tuple[str, ...]:
    """The ids of a call's records: the same for the same call, unlike each other, and not to be guessed by a record."""
    found: list[str] = []
    turn = 0
    while len(found) < count:
        digest = hashlib.sha256(f"{try_id}/{turn}".encode()).digest()
        name = "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:ID_LENGTH])
        turn += 1
        if name not in found:
            found.append(name)
    return tuple(found)


def packed(prompts: Sequence[Sequence[Message]], names: Sequence[str]) -> list[Message]:
    """One prompt of those of several rows, which differ in their last message and in nothing else.

    The examples of the template, if it has any, become examples of one record each, so that they show the form of the answer.
    """
    *common, _ = prompts[0]
    shown = [each for place, each in enumerate(common) if not (each.role == "system" and place == 0)]
    first = common[0].content if common and common[0].role == "system" else ""
    instruction = _INSTRUCTION.format(n=len(names))
    made = [Message(role="system", content=f"{first}\n\n{instruction}" if first else instruction)]
    number = 0
    for place, message in enumerate(shown):
        answered = place + 1 < len(shown) and shown[place + 1].role == "assistant"
        if message.role == "user" and answered:
            number += 1
            made.append(Message(role="user", content=record(f"example{number}", message.content)))
        elif message.role == "assistant":
            made.append(Message(role="assistant", content=_example(f"example{number}", message.content)))
        else:
            made.append(message)
    records = "\n".join(record(name, prompt[-1].content) for name, prompt in zip(names, prompts, strict=True))
    made.append(Message(role="user", content=records))
    return made


def record(name: str, text: str) -> str:
    """A row's text between its marks; what looks like a mark inside it is none."""
    return f'<record id="{name}">\n{_TAG.sub("&lt;", text)}\n</record>'


def _example(name: str, text: str) -> str:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return json.dumps({"results": [{"id": name, "value": value}]}, ensure_ascii=False)


def schema_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of the whole answer, of that of one row's."""
    entry = {
        "type": "object",
        "properties": {"id": {"type": "string"}, "value": dict(schema)},
        "required": ["id", "value"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"results": {"type": "array", "items": entry}},
        "required": ["results"],
        "additionalProperties": False,
    }


# -- the reply ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer that stands whole in a reply."""

    name: str
    #: of the whole entry
    start: int
    end: int
    #: of its value
    value_start: int
    value_end: int


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What of a reply is whose."""

    #: id -> its answer
    entries: dict[str, Entry]
    #: ids that stand in several answers, all of which are set aside
    repeated: frozenset[str]
    #: entries under ids that nobody asked about
    strangers: int
    #: the reply is what was asked for and nothing else
    is_whole: bool


@dataclass(slots=True)
class _Frame:
    """A bracket that is open."""

    opener: str
    start: int
    keys: list[str] = field(default_factory=list)
    #: the key whose value is being read, and a text that may turn out to be a key
    key: str | None = None
    pending: str | None = None
    name: str | None = None
    value: tuple[int, int] | None = None


_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[{}\[\]:,]', re.DOTALL)
_OPENER = re.compile(r"[{\[]")
_NAME = r'"id"\s*:\s*"[^"\\]*"'
_HEADS = re.compile(rf'\{{\s*{_NAME}\s*,\s*"value"\s*:\s*'), re.compile(r'\{\s*"value"\s*:\s*')
_TAILS = re.compile(r"\s*,?\s*\}"), re.compile(rf"\s*,\s*{_NAME}\s*,?\s*\}}")


def unpacked(text: str, names: Sequence[str]) -> Unpacked:
    """The answers that stand whole in a reply, by their ids; reads the text once, whatever is in it."""
    known, seen = set(names), dict[str, list[Entry]]()
    strangers = 0
    for entry in _entries(text):
        if entry.name in known:
            seen.setdefault(entry.name, []).append(entry)
        else:
            strangers += 1
    once = {name: found[0] for name, found in seen.items() if len(found) == 1}
    return Unpacked(
        entries=once,
        repeated=frozenset(name for name, found in seen.items() if len(found) > 1),
        strangers=strangers,
        is_whole=len(once) == len(known) and not strangers and _is_wrapper(text, list(once.values())),
    )


def unanswered(text: str, name: str, found: Unpacked, *, finish_reason: str | None, refusal: str | None) -> Verdict:
    """What is said of a row that a reply about several holds no answer for: no fault of its own, whatever the reason."""
    if refusal or finish_reason in ("content_filter", "refusal"):
        got = f"refused: {refusal or finish_reason}"
    elif name in found.repeated:
        got = "several answers under its id"
    elif finish_reason == "length":
        got = "the reply stopped at max_tokens before it"
    elif finish_reason == BROKEN:
        got = "the reply broke off before it"
    else:
        got = (
            f"{len(found.entries)} whole answers to other rows" if found.entries else "a reply without one whole answer"
        )
    problem = Problem(
        path="$", rule="unanswered", expected=f"an answer under the id {name}", got=got[:300], start=0, end=len(text)
    )
    return Verdict(kind="rejected", problems=(problem,), signature=signature([problem]))


def placed(verdict: Verdict, entry: Entry, *, is_whole: bool) -> Verdict:
    """The verdict on an entry's value as one on the whole reply: its places moved, and salvaged where not all was as asked for."""
    by = entry.value_start
    problems = tuple(_moved(problem, by) for problem in verdict.problems)
    receipt = verdict.receipt
    if receipt is not None:
        receipt = receipt.model_copy(
            update={
                "how": receipt.how if is_whole else "salvaged",
                "edits": tuple(_moved(edit, by) for edit in receipt.edits),
            }
        )
    return verdict.model_copy(update={"problems": problems, "receipt": receipt})


def _moved(place: _Placed, by: int) -> _Placed:
    if place.start is None or place.end is None:
        return place
    return place.model_copy(update={"start": place.start + by, "end": place.end + by})


def _is_wrapper(text: str, entries: Sequence[Entry]) -> bool:
    """Whether the reply holds the entries in the form that was asked for, with nothing before, between and after them."""
    spans = sorted((entry.start, entry.end) for entry in entries)
    rest, at = [], 0
    for start, end in spans:
        rest.append(text[at:start])
        at = end
    rest.append(text[at:])
    middle = rest[1:-1]
    return (
        re.fullmatch(r'\s*\{\s*"results"\s*:\s*\[\s*', rest[0]) is not None
        and re.fullmatch(r"\s*\]\s*\}\s*", rest[-1]) is not None
        and all(between.strip() == "," for between in middle)
    )


def _entries(text: str) -> list[Entry]:
    """Every ``{"id": "...", "value": {...}}`` that stands whole, and not inside the value of another."""
    found: list[Entry] = []
    stack: list[_Frame] = []
    at = 0
    while True:
        # Outside of all brackets there may be prose, whose quotation marks mean nothing.
        token = (_TOKEN if stack else _OPENER).search(text, at)
        # What follows the mark of another turn is invented: it may well answer what the reply itself has left out.
        if token is None or (not stack and at and has_turn(text, at, token.start())):
            return found
        at, mark = token.end(), token[0]
        if mark in "{[":
            stack.append(_Frame(mark, token.start()))
        elif mark in "}]":
            frame = stack.pop()
            if (frame.opener == "{") != (mark == "}"):
                stack.clear()
                continue
            entry = _entry(text, frame, at) if mark == "}" else None
            if entry is not None and not any(open_.key == "value" for open_ in stack):
                found.append(entry)
            if stack and stack[-1].key == "value":
                stack[-1].value = (frame.start, at) if mark == "}" else None
        elif stack[-1].opener == "[":
            if mark[0] == '"' and not _closed(mark):
                return found
        elif mark == ":":
            frame = stack[-1]
            frame.key, frame.pending = frame.pending, None
            frame.keys.append(frame.key or "")
        elif mark == ",":
            stack[-1].key = stack[-1].pending = None
        elif not _closed(mark):
            # A text that is not closed: all that follows is inside it.
            return found
        elif stack[-1].key is None:
            stack[-1].pending = mark[1:-1]
        elif stack[-1].key == "id":
            stack[-1].name = mark[1:-1]


def _closed(text: str) -> bool:
    return len(text) > 1 and text[-1] == '"' and (len(text) - len(text[:-1].rstrip("\\"))) % 2 == 1


def _entry(text: str, frame: _Frame, end: int) -> Entry | None:
    if sorted(frame.keys) != ["id", "value"] or frame.name is None or frame.value is None:
        return None
    start, (value_start, value_end) = frame.start, frame.value
    for head, tail in zip(_HEADS, _TAILS, strict=True):
        if head.fullmatch(text, start, value_start) and tail.fullmatch(text, value_end, end):
            return Entry(frame.name, start, end, value_start, value_end)
    return None
