"""How a request is to be answered: a pure function of what was asked and how often it was asked before.

Faults can be marked in the rows, so that a test says in its own table what each row meets:

    [[malformed]]   broken JSON            [[500]] any status      [[reset]]       connection reset
    [[invalid]]     JSON of another shape  [[429 2]] retry-after   [[truncated]]   body broken off
    [[missing]]     a row left out         [[moderated]]           [[hang 5]]      seconds, then an answer
    [[refuse]]      a refusal              [[too long]]            [[html]]        a page with status 200
    [[empty]]       no text                [[no choices]]          [[wrong usage]] figures that cannot be
    [[cut]]         ends with ``length``   [[tool]] a tool call    [[null]]        content null
    [[fenced]] [[prose]] [[think]]         around a good answer    [[slow 2]]      seconds  [[big 5]] megabytes

A fault is over after one call about that row's text, or as told: ``[[500 twice]]``, ``[[malformed 3 times]]``,
``[[refuse always]]``; ``[[always bad]]`` is malformed for ever. What stands around a good answer, and ``slow``, stays.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple


class Record(NamedTuple):
    """One row of a request: of several, or the only one (whose id is empty)."""

    id: str
    text: str
    #: how often this text was asked before
    seen: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A request as a script sees it."""

    body: dict[str, Any]
    #: running number, from 1
    number: int
    #: the row's text: the last user message, without the corrections of a re-ask
    user: str
    seen: int
    records: tuple[Record, ...]
    #: gives the text of a good answer to this
    answer: Callable[[], str] = field(repr=False)

    @property
    def model(self) -> str:
        """The model that is asked for."""
        return str(self.body.get("model", ""))

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages as they were sent."""
        return list(self.body["messages"])


@dataclass(frozen=True, slots=True)
class Act:
    """What to do with a request; as it stands, a good answer."""

    kind: str = "answer"
    status: int = 200
    #: the message's text; None for a good answer
    content: str | None = None
    #: the whole body of the response, instead of a chat completion
    body: bytes | None = None
    content_type: str = "application/json"
    finish_reason: str = "stop"
    #: fields of the message that replace or join ``content``
    message: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    #: seconds beyond the provider's latency
    delay: float = 0.0
    #: how the response ends on the wire
    ends: Literal["whole", "reset", "cut"] = "whole"


Script = Callable[[Ask], Act | None]
ANSWER = Act()

_MARK = re.compile(
    r"\[\[(?:(always) )?(\d{3}|[a-z]+(?: [a-z]+)*?)(?: (\d+(?:\.\d+)?))?(?: (once|twice|always|\d+ times))?\]\]"
)
_LASTING = {"slow", "fenced", "prose", "think", "big"}
_PAGE = (
    b"<!doctype html><html><head><title>Service notice</title></head><body><h1>We will be back soon</h1></body></html>"
)


def error_body(message: str, *, code: str | None, kind: str = "invalid_request_error") -> bytes:
    """An error in OpenAI's shape."""
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()


def failed(status: int, *, retry_after: float | None = None, kind: str | None = None) -> Act:
    """An error of that status, in OpenAI's words where it has some."""
    message, code = {
        401: ("Incorrect API key provided.", "invalid_api_key"),
        402: ("Insufficient credits.", "insufficient_quota"),
        404: ("The model does not exist or you do not have access to it.", "model_not_found"),
        429: ("Rate limit reached for requests.", "rate_limit_exceeded"),
        503: ("The engine is currently overloaded.", "overloaded"),
    }.get(status, ("The server had an error while processing your request.", "server_error"))
    headers = () if retry_after is None else (("retry-after", f"{retry_after:g}"),)
    return Act(kind=kind or str(status), status=status, body=error_body(message, code=code), headers=headers)


def marked(ask: Ask) -> Act | None:
    """What the marks in the rows ask for; the first fault that is not over decides, delays add up."""
    if "[[" not in ask.user:
        return None
    found: Act | None = None
    delay = 0.0
    for record in ask.records:
        for name, number, _ in _live(record):
            if name in ("slow", "hang"):
                delay += number or 1.0
            elif found is None:
                found = _act(ask, name, number)
    if delay:
        return replace(found or ANSWER, delay=delay, kind=found.kind if found else "slow")
    return found


def _live(record: Record) -> list[tuple[str, float | None, int]]:
    """The marks of a row that still hold: name, number, for how many calls."""
    marks = []
    for always, name, number, count in _MARK.findall(record.text):
        if name in _LASTING and not count:
            count = "always"
        calls = {"": 1, "once": 1, "twice": 2}.get(count) or (1 << 30 if count == "always" else int(count.split()[0]))
        calls = 1 << 30 if always else calls
        if record.seen < calls:
            marks.append((name, float(number) if number else None, calls))
    return marks


def _act(ask: Ask, name: str, number: float | None) -> Act:
    if name.isdigit():
        return failed(int(name), retry_after=number)
    if name in ("invalid", "missing"):
        return Act(kind=name, content=_without(ask, name))
    if name in ("malformed", "bad", "cut", "fenced", "prose", "think", "big"):
        return _spoiled(name, ask.answer(), number)
    try:
        return _PLAIN[name]
    except KeyError:
        raise ValueError(
            f"no mark is named {name!r}; known: {', '.join(sorted(_PLAIN))}, see jobs.testing.script"
        ) from None


def _spoiled(name: str, good: str, number: float | None) -> Act:
    if name == "big":
        return Act(kind=name, content=good + " " * int((number or 1) * 1_000_000))
    if name == "cut":
        return Act(kind=name, content=good[: len(good) // 2], finish_reason="length")
    text = {
        "fenced": f"```json\n{good}\n```",
        "prose": f"Sure! Here is the answer:\n\n{good}\n\nLet me know if you need anything else.",
        "think": f"<think>The record is short, so {{this}} is easy.</think>\n{good}",
    }.get(name, f"I think it is {good[1 : len(good) // 2]}, or so")
    return Act(kind=name, content=text)


_PLAIN = {
    "refuse": Act(kind="refuse", message={"content": None, "refusal": "I'm sorry, I can't help with that."}),
    "empty": Act(kind="empty", content=""),
    "null": Act(kind="null", message={"content": None}),
    "tool": Act(
        kind="tool",
        finish_reason="tool_calls",
        message={
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
    ),
    "html": Act(kind="html", body=_PAGE, content_type="text/html; charset=utf-8"),
    "reset": Act(kind="reset", ends="reset"),
    "truncated": Act(kind="truncated", ends="cut"),
    "no choices": Act(kind="no choices", body=b'{"id":"x","object":"chat.completion","choices":[]}'),
    "wrong usage": Act(kind="wrong usage", usage={"prompt_tokens": "many", "completion_tokens": -5}),
    "moderated": Act(
        kind="moderated",
        status=400,
        body=error_body("The response was filtered by our content management policy.", code="content_filter"),
    ),
    "too long": Act(
        kind="too long",
        status=400,
        body=error_body("This model's maximum context length is 8192 tokens.", code="context_length_exceeded"),
    ),
}


def _without(ask: Ask, name: str) -> str:
    """The good answer with the marked rows' values spoiled (``invalid``) or left out (``missing``)."""
    value = json.loads(ask.answer())
    hit = {record.id for record in ask.records if any(mark[0] == name for mark in _live(record))}
    if "" in hit:
        return json.dumps({"unexpected": True} if name == "invalid" else {})
    results = value["results"]
    if name == "missing":
        results = [each for each in results if each["id"] not in hit]
    else:
        results = [{**each, "value": {"unexpected": True}} if each["id"] in hit else each for each in results]
    return json.dumps({"results": results})


@dataclass(frozen=True)
class Mix:
    """Faults by fractions of the texts: which text meets which is decided by the seed and the text alone."""

    malformed: float = 0.0
    invalid: float = 0.0
    error: float = 0.0  #: status 500
    reset: float = 0.0
    hang: float = 0.0
    throttle: float = 0.0  #: 429, healing or not as the rest
    first_try_429: float = 0.0  #: 429 at the first call only, whatever ``heals`` says
    seed: int = 7
    #: seconds
    hang_seconds: float = 30.0
    retry_after: float | None = 1.0
    #: whether a text is answered well from its second call on
    heals: bool = True

    def __call__(self, ask: Ask) -> Act | None:
        """The fault that this text meets now, if any."""
        name = self.fault_of(ask.user)
        if name is None or (ask.seen and (self.heals or name == "first_try_429")):
            return None
        if name == "error":
            return failed(500)
        if name in ("throttle", "first_try_429"):
            return failed(429, retry_after=self.retry_after, kind=name)
        if name == "reset":
            return _PLAIN["reset"]
        if name == "hang":
            return Act(kind="hang", delay=self.hang_seconds)
        if name == "invalid":
            return Act(kind="invalid", content='{"unexpected": true}')
        return _spoiled("malformed", ask.answer(), None)

    def fault_of(self, text: str) -> str | None:
        """The fault that this text is to meet, so that a test can reckon what to expect."""
        place = zlib.crc32(text.encode("utf-8", "surrogatepass"), self.seed) / 2**32
        for name in FAULTS:
            place -= getattr(self, name)
            if place < 0:
                return name
        return None


FAULTS: Sequence[str] = tuple(each.name for each in fields(Mix))[:7]
