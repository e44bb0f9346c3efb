"""What kept a request from an answer: every provider's way to say it, sorted into the kinds that have one rule each.

All of it is decided here and nowhere else, from the status, the provider's code and words, the headers and the exception,
so that the table can be read and tested as one. Providers echo keys, so words are redacted before they are cut to length:
half a key would no longer be known as one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from jobs.llm import rates
from jobs.redaction import Secrets, hide_shapes
from jobs.values import Failure, FailureKind

#: characters of a provider's words that are kept in a message
MOST_WORDS = 1000

_TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size|string_above_max_length|request_too_large"
    r"|maximum context length|context (?:length|window|size|limit)\b.{0,40}\bexceed|exceeds?\b.{0,60}\bcontext"
    r"|prompt is too long|input is too long|input token count.{0,60}exceeds"
    r"|^request too large for|reduce the length of the (?:messages|prompt)",
    re.I | re.S,
)
_MONEY_CODES = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance"}
_MONEY = re.compile(
    r"exceeded your current quota|insufficient (?:quota|balance|credits|funds)|credit balance is too low"
    r"|billing (?:hard )?limit|payment required",
    re.I,
)
_RETRY_WORDS = re.compile(r"(?:try again|retry)(?: in| after)? (\d+(?:\.\d+)?) ?(ms|milliseconds?|s|seconds?)\b", re.I)
_GO_WORDS = re.compile(r"(?:try again|retry)(?: in| after)? ((?:\d+(?:\.\d+)?(?:ms|s|m|h))+)", re.I)
#: "maximum context length is 4096 tokens. However, you requested 5000 tokens (900 in the messages, 4100 in the completion)"
_ROOM = re.compile(r"maximum context length is (\d+) tokens.{0,80}\D(\d+) in the completion", re.I | re.S)
_THROTTLE_CODES = re.compile(r"rate_?limit|overloaded|too_many_requests", re.I)
_OVERLOADED = re.compile(r"overload|capacity|too busy|too many|rate.?limit|slow down|loading model|try again", re.I)
_MODERATED_CODES = re.compile(
    r"content.?filter|content_policy|moderation|responsibleaipolicy|data_inspection_failed|sensitive_content"
    r"|invalid_prompt|safety",
    re.I,
)
_MODERATED = re.compile(
    r"content management policy|content (?:filter|policy)|was flagged|safety system|content exists risk"
    r"|violat\w+ our (?:usage|content) polic",
    re.I,
)
_NO_SECRETS = Secrets()
_HTML_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.I | re.S)
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.I | re.S)


_BROKEN: tuple[tuple[tuple[type[BaseException], ...], FailureKind, str, str], ...] = (
    (
        (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError),
        FailureKind.BLOCKED,
        "url",
        "the connection's base_url is not a usable address",
    ),
    (
        (aiohttp.ClientPayloadError, aiohttp.ClientResponseError),
        FailureKind.TRANSIENT,
        "cut",
        "the answer broke off or was garbled",
    ),
    (
        (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, ConnectionRefusedError),
        FailureKind.TRANSIENT,
        "connect",
        "the endpoint cannot be reached",
    ),
    (
        (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionResetError, BrokenPipeError),
        FailureKind.TRANSIENT,
        "reset",
        "the endpoint closed the connection before an answer came",
    ),
    ((TimeoutError,), FailureKind.TRANSIENT, "timeout", "no answer in time"),
    ((OSError,), FailureKind.TRANSIENT, "connect", "the endpoint cannot be reached"),
)


@dataclass(frozen=True, slots=True)
class Words:
    """What an error body says."""

    message: str
    code: str | None = None


def classify(
    status: int | None,
    code: str | None,
    *,
    message: str = "",
    headers: Mapping[str, str] | None = None,
    exception: BaseException | None = None,
    now: float = 0.0,
) -> Failure:
    """The failure that this is; ``headers`` with lower-case names, ``now`` in epoch seconds, both for the wait asked for.

    A moderation's refusal is none of these: ask ``is_moderated`` first.
    """
    if status is None:
        kind, code, message = _of_exception(exception, message)
        return Failure(kind=kind, message=message, code=code)
    headers = headers or {}
    wait = rates.retry_after(headers, now=now)
    if wait is None:
        wait = _wait_in_words(message)
    kind = _of_status(status, code or "", message=message, asked_to_wait=wait is not None)
    waits = kind in (FailureKind.THROTTLED, FailureKind.TRANSIENT)
    if 300 <= status < 400:
        message = f"the endpoint sends requests on to {headers.get('location', 'another place')}: set that as base_url"
    said = message or f"HTTP {status} without a word"
    return Failure(kind=kind, message=said, status=status, code=code, retry_after=wait if waits else None)


def is_moderated(status: int | None, code: str | None, *, message: str) -> bool:
    """Whether an error is the refusal of a moderation: a verdict on the row, not trouble with the endpoint."""
    if status not in (400, 403, 451):
        return False
    return bool(_MODERATED_CODES.search(code or "") or _MODERATED.search(message))


def words_of(body: bytes, secrets: Secrets = _NO_SECRETS) -> Words:
    """The code and the message in an error body of any provider's shape; a page's title or its text if it is not JSON."""
    text = body.decode("utf-8", "replace").strip()
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        title = _HTML_TITLE.search(text)
        plain = title[1] if title else _TAG.sub(" ", text[:20_000])
        return Words(_clip(redact(" ".join(plain.split()), secrets)))
    return words_in(data, secrets)


def words_in(data: object, secrets: Secrets = _NO_SECRETS) -> Words:
    """The same from decoded JSON."""
    if isinstance(data, list) and data:
        data = data[0]
    if not isinstance(data, dict):
        return Words(_clip(redact(data if isinstance(data, str) else json.dumps(data), secrets)))
    error = data.get("error", data)
    if isinstance(error, str):
        return Words(_clip(redact(error, secrets)), _code(data, secrets))
    if not isinstance(error, dict):
        error = data
    message = error.get("message") or error.get("detail") or data.get("message") or data.get("detail")
    if isinstance(message, list):
        message = "; ".join(_complaint(each) for each in message)
    if not isinstance(message, str):
        message = json.dumps(error if message is None else message, ensure_ascii=False)
    return Words(_clip(redact(message, secrets)), _code(error, secrets) or _code(data, secrets))


def redact(text: str, secrets: Secrets = _NO_SECRETS) -> str:
    """An endpoint's or an exception's words without these secrets, a piece of one, or anything that looks like a key."""
    return hide_shapes(secrets.hide(text, pieces=True))


def _of_status(status: int, code: str, *, message: str, asked_to_wait: bool) -> FailureKind:
    if status == 413 or (status in (400, 422, 429, 500) and (_TOO_LONG.search(code) or _TOO_LONG.search(message))):
        return FailureKind.BLOCKED if _leaves_no_room(message) else FailureKind.TOO_LONG
    # Gemini calls its limit of requests a minute a quota too, and then its words say how long to wait; money does not.
    is_money = code in _MONEY_CODES or (_MONEY.search(message) and _wait_in_words(message) is None)
    if status == 402 or (status < 500 and is_money):
        return FailureKind.BLOCKED
    if status in (429, 529) or _THROTTLE_CODES.search(code):
        return FailureKind.THROTTLED
    if status == 503 and (asked_to_wait or _OVERLOADED.search(f"{code} {message}")):
        return FailureKind.THROTTLED
    if status in (408, 409, 425, 499) or status >= 500:
        return FailureKind.TRANSIENT
    return FailureKind.BLOCKED


def _leaves_no_room(message: str) -> bool:
    """Whether max_tokens alone is more than the model's context: no row would ever fit, so the run is to blame."""
    found = _ROOM.search(message)
    return found is not None and int(found[2]) >= int(found[1])


def _of_exception(exception: BaseException | None, message: str) -> tuple[FailureKind, str, str]:
    """The layers above rename what happened (the transport calls a reset a timeout), so all causes are looked at."""
    chain = []
    while exception is not None:
        chain.append(exception)
        exception = exception.__cause__
    said = message or next((str(each) for each in reversed(chain) if str(each)), "")
    tail = f": {said}" if said else ""
    for types, kind, code, words in _BROKEN:
        if any(isinstance(each, types) for each in chain):
            return kind, code, f"{words}{tail}"
    return FailureKind.TRANSIENT, "transport", f"the request failed on its way{tail}"


def _wait_in_words(message: str) -> float | None:
    """OpenAI says "Please try again in 6m0s", Azure "retry after 26 seconds"."""
    if found := _GO_WORDS.search(message):
        return rates.seconds_of(found[1], now=0.0)
    if found := _RETRY_WORDS.search(message):
        scale = 1000 if (found[2] or "").startswith("m") else 1
        return min(float(found[1]) / scale, rates.LONGEST_WAIT)
    return None


def _code(error: Mapping[str, object], secrets: Secrets) -> str | None:
    """The first name among an error's code fields; a number only repeats the status."""
    for field in ("code", "type", "status", "error_type"):
        value = error.get(field)
        if isinstance(value, str) and value and not value.isdigit() and value != "error":
            return redact(value, secrets)[:100]
    return None


def _complaint(each: object) -> str:
    """One entry of FastAPI's list of what is wrong with a request."""
    if not isinstance(each, dict):
        return str(each)
    where = ".".join(str(part) for part in each.get("loc", ()))
    return f"{where}: {each.get('msg', '')}" if where else str(each.get("msg", each))


def _clip(text: str) -> str:
    return text if len(text) <= MOST_WORDS else text[: MOST_WORDS - 1] + "…"
