"""A response's body -> the reply to judge, byte for byte.

The text of the message is what is kept as raw, and a body that is not JSON is kept whole, to be judged as such. JSON that is
no chat completion is trouble with the endpoint and never raw text of a reply: its own braces could pass for an answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.llm import rates
from jobs.llm.failures import classify, redact, words_in
from jobs.llm.probabilities import Token, entries_of, tokens_of
from jobs.llm.rates import Rates
from jobs.prices import estimate_tokens
from jobs.redaction import Secrets
from jobs.values import SIZE, Failure, FailureKind, Reply, Usage

EVENT_STREAM = "text/event-stream"
#: tokens that may be behind a request or a reply without a byte of it here: a provider's own prompt, a model's thoughts
_HIDDEN_PROMPT, _HIDDEN_COMPLETION = 100_000, 1_000_000
_NO_SECRETS = Secrets()
#: what other providers' models say behind an endpoint of this form -> what is said here
_FINISHES = {
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "safety": "content_filter",
    "content_filtered": "content_filter",
    "end_turn": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """All that came of one request: a reply or a failure, never both, never neither."""

    #: the exact bytes of the request's body
    sent: bytes
    #: epoch seconds
    started_at: float
    #: from sending to the last byte, on a clock that never jumps
    seconds: float
    reply: Reply | None = None
    failure: Failure | None = None
    #: beside a failure: what the endpoint says that the request has used all the same
    usage: Usage | None = None
    rates: Rates = rates.NOTHING
    #: beside a failure: what had come of the reply's text, or the body of the error
    partial: bytes = b""
    #: beside a failure: the tokens of that text, as a reply has them
    tokens: tuple[Token, ...] = ()
    #: the endpoint has repeated our key in the text that is kept, and a mark stands in its place
    repeated_key: bool = False


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is known of a response beside its body."""

    status: int
    #: bytes of the request, for an estimate where the endpoint sends no usage
    sent_bytes: int
    request_id: str | None = None
    headers: Mapping[str, str] | None = None
    #: epoch seconds
    now: float = 0.0
    #: what must not stand in a failure's words
    secrets: Secrets = _NO_SECRETS


def reply_of(body: bytes, *, envelope: Envelope, seconds: float, whole: bool = True) -> Reply | Failure:
    """The reply in a body that came with a good status, or the failure that it tells of.

    ``whole`` is False where the body was longer than what is read of one. Its start is then kept as a reply that was cut.
    """
    text = body.decode("utf-8", "surrogateescape")
    if not whole:
        return _reply(text, envelope, seconds=seconds, usage=None, finish_reason=SIZE)
    kind = (envelope.headers or {}).get("content-type", "")
    if kind.startswith(EVENT_STREAM) or text.startswith("data:"):
        events = Events()
        list(events.feed(body + b"\n"))
        return events.result(envelope=envelope, seconds=seconds)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        # A server that closes early without having named a length cuts its JSON and nobody else notices.
        if text.lstrip().startswith("{") and '"choices"' in text:
            return Failure(kind=FailureKind.TRANSIENT, message="the answer broke off in its JSON", code="cut")
        return _reply(text, envelope, seconds=seconds, usage=None)
    choice = _first_choice(data)
    if choice is None:
        return _no_choice(data, envelope)
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    finish = _finish(choice.get("finish_reason"))
    if finish == "error" or isinstance(choice.get("error"), dict):
        return _no_choice(choice, envelope)
    content = content_of(message.get("content", choice.get("text")))
    refusal = _text(message.get("refusal")) or refusal_part(message.get("content"))
    return _reply(
        content,
        envelope,
        seconds=seconds,
        usage=data.get("usage"),
        finish_reason=finish,
        refusal=refusal,
        model=_text(data.get("model")),
        told=entries_of(choice),
    )


class Events:
    """The server-sent events of one streamed reply, read as their bytes come in."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._parts: list[str] = []
        self._refusals: list[str] = []
        self._finish: str | None = None
        self._model: str | None = None
        self._usage: object = None
        self._told: list[object] = []
        self._error: dict[str, Any] | None = None
        self._ended = False

    @property
    def text(self) -> str:
        """The text that has come so far."""
        return "".join(self._parts)

    @property
    def tokens(self) -> tuple[Token, ...]:
        """The tokens of that text, as far as they are told and fit it."""
        return tokens_of(self._told, raw=raw_of(self.text))

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Takes in bytes and gives the pieces of text that are complete with them."""
        # Only \n ends a line here: a text decoder's line breaks (U+2028 ...) may stand raw inside a JSON string.
        self._rest += chunk
        if b"\n" not in chunk:  # a line without an end is not read anew with each of its pieces
            return
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        for line in lines:
            if line.startswith(b"data:") and (piece := self._event(line[5:].strip())):
                yield piece

    def result(self, *, envelope: Envelope, seconds: float) -> Reply | Failure:
        """The reply, or the failure if the stream ended before the reply did."""
        if self._error is not None:
            failure = _no_choice(self._error, envelope)
            # What broke off in the middle of its text is no refusal: it may be charged.
            return failure.model_copy(update={"status": None}) if self._parts else failure
        if self._finish is None and not self._ended:
            return Failure(kind=FailureKind.TRANSIENT, message="the stream broke off before its end", code="cut")
        return _reply(
            self.text,
            envelope,
            seconds=seconds,
            usage=self._usage,
            finish_reason=self._finish,
            refusal="".join(self._refusals) or None,
            model=self._model,
            told=self._told,
        )

    def _event(self, data: bytes) -> str:
        if data == b"[DONE]":
            self._ended = True
            return ""
        try:
            event = json.loads(data.decode("utf-8", "surrogateescape"))
        except (ValueError, RecursionError):
            return ""
        if not isinstance(event, dict):
            return ""
        if event.get("error"):
            self._error = event
            return ""
        self._model = _text(event.get("model")) or self._model
        self._usage = event.get("usage") or self._usage
        choice = _first_choice(event)
        if choice is None:
            return ""
        self._finish = _finish(choice.get("finish_reason")) or self._finish
        self._told += entries_of(choice)
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return ""
        if refusal := _text(delta.get("refusal")):
            self._refusals.append(refusal)
        piece = content_of(delta.get("content"))
        if piece:
            self._parts.append(piece)
        return piece


def usage_of(told: object, *, sent_bytes: int, raw: bytes) -> Usage:
    """The usage that an endpoint tells; estimated where a figure is missing, of the wrong type or cannot be.

    No tokenizer makes more tokens of a text than it has bytes, so a figure far beyond that is nobody's usage.
    """
    told = told if isinstance(told, dict) else {}
    prompt = _tokens(told.get("prompt_tokens"), most=sent_bytes + _HIDDEN_PROMPT)
    completion = _tokens(told.get("completion_tokens"), most=len(raw) + _HIDDEN_COMPLETION)
    is_estimated = not prompt or completion is None or (completion == 0 and len(raw) > 0)
    if is_estimated:
        prompt = prompt or -(-sent_bytes // 4)
        completion = completion or estimate_tokens(raw)
    assert prompt is not None and completion is not None
    details = told.get("prompt_tokens_details")
    cached = _tokens(details.get("cached_tokens")) if isinstance(details, dict) else None
    if cached is None:
        cached = _tokens(told.get("prompt_cache_hit_tokens")) or 0
    return Usage(prompt=prompt, completion=completion, cached=min(cached, prompt), estimated=is_estimated)


def told_usage(body: bytes, *, sent_bytes: int) -> Usage | None:
    """The usage in a body that holds no reply; None where it tells none, and nothing is estimated."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    told = data.get("usage") if isinstance(data, dict) else None
    usage = usage_of(told, sent_bytes=sent_bytes, raw=b"")
    return None if usage.estimated else usage


def content_of(content: object) -> str:
    """A message's content as one text: some servers send a list of parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = [part.get("text") if isinstance(part, dict) else part for part in content]
    return "".join(text for text in texts if isinstance(text, str))


def refusal_part(content: object) -> str | None:
    """The refusal among a content's parts."""
    if not isinstance(content, list):
        return None
    texts = [part.get("refusal") for part in content if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str)) or None


def raw_of(text: str) -> bytes:
    """The bytes that are kept of a text: UTF-8, with lone surrogates for what was not UTF-8."""
    return text.encode("utf-8", "surrogatepass")


def _reply(
    text: str,
    envelope: Envelope,
    *,
    seconds: float,
    usage: object,
    finish_reason: str | None = None,
    refusal: str | None = None,
    model: str | None = None,
    told: Sequence[object] = (),
) -> Reply:
    raw = raw_of(text)
    if finish_reason == "content_filter" and refusal is None:
        refusal = "content_filter"
    return Reply(
        raw=raw,
        finish_reason=finish_reason,
        refusal=refusal,
        usage=usage_of(usage, sent_bytes=envelope.sent_bytes, raw=raw),
        model=model,
        status=envelope.status,
        request_id=envelope.request_id,
        seconds=seconds,
        tokens=tokens_of(told, raw=raw),
    )


def _no_choice(data: object, envelope: Envelope) -> Failure:
    """JSON without a choice: gateways send errors with status 200 and the real status inside."""
    error = data.get("error") if isinstance(data, dict) else None
    if not error:
        start = redact(json.dumps(data, ensure_ascii=False), envelope.secrets)[:200]
        message = f"the endpoint answered JSON that is no chat completion (check the base_url): {start}"
        return Failure(kind=FailureKind.TRANSIENT, message=message, status=envelope.status, code="no_choices")
    words = words_in(data, envelope.secrets)
    inner = str(error.get("code")) if isinstance(error, dict) else ""
    status = int(inner) if re.fullmatch("[45][0-9][0-9]", inner) else 500
    return classify(status, words.code, message=words.message, headers=envelope.headers, now=envelope.now)


def _first_choice(data: object) -> dict[str, Any] | None:
    choices = data.get("choices") if isinstance(data, dict) else None
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return choices[0]
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _finish(value: object) -> str | None:
    """Why a reply ended, in one spelling; a word that is not known stays as it is."""
    said = _text(value)
    if said is None:
        return None
    low = said.lower()
    return _FINISHES.get(low, low if low in ("stop", "length", "content_filter", "refusal", "tool_calls") else said)


def _tokens(value: object, *, most: float = 1e12) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= most and value == int(value) else None
