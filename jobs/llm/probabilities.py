"""The log-probabilities of a reply's tokens, as far as the endpoint's word on them can be trusted.

Compatible servers leave them out, tell those of thoughts and end marks too, spell half a character in their own way, or send
something else under the name. So they are taken only if, put together, they are the reply's own text or a part of it that
stands there once, or hold the text once. Anything else counts as not told: a reply never fails by them, and none is made up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

#: what a log-probability below it counts as; endpoints say it of a token that was as good as impossible
LOWEST = -9999.0
#: how far above 0 a logarithm of a rounded sum may come out
_ROUNDING = 1e-4

Token = tuple[str, float]


def entries_of(choice: Mapping[str, Any]) -> list[object]:
    """What a choice, or a stream's piece of one, tells of its tokens, unread; empty where it tells nothing."""
    told = choice.get("logprobs")
    content = told.get("content") if isinstance(told, dict) else None
    return content if isinstance(content, list) else []


def tokens_of(entries: Sequence[object], *, raw: bytes) -> tuple[Token, ...]:
    """The tokens of a reply's text with their log-probabilities; empty unless all of them make sense and fit the text.

    Tokens that share a character become one, with the sum of their log-probabilities. What lies outside of the text (a
    thought before it, an end mark behind it) is left out. A text that is not UTF-8 has none.
    """
    if not entries or not raw:
        return ()
    try:
        raw.decode()
    except UnicodeDecodeError:
        return ()
    logs = [_log(entry) for entry in entries]
    for spelling in (_by_bytes, _by_text):
        pieces = [spelling(entry) for entry in entries]
        whole = [piece for piece in pieces if piece is not None]
        known = [log for log in logs if log is not None]
        if len(whole) == len(known) == len(entries) and (found := _fitted(whole, known, raw)):
            return found
    return ()


def _log(entry: object) -> float | None:
    told = entry.get("logprob") if isinstance(entry, dict) else None
    # Not math.isnan: JSON may hold an integer that no float can.
    if isinstance(told, bool) or not isinstance(told, int | float) or told != told or told > _ROUNDING:
        return None
    return float(min(max(told, LOWEST), 0.0))


def _by_text(entry: object) -> bytes | None:
    token = entry.get("token") if isinstance(entry, dict) else None
    return token.encode("utf-8", "surrogatepass") if isinstance(token, str) else None


def _by_bytes(entry: object) -> bytes | None:
    """The bytes of a token, which may be a part of a character; its text where they are not told."""
    told = entry.get("bytes") if isinstance(entry, dict) else None
    if not isinstance(told, list) or not all(type(byte) is int and 0 <= byte < 256 for byte in told):
        return _by_text(entry)
    return bytes(told)


def _fitted(pieces: Sequence[bytes], logs: Iterable[float], raw: bytes) -> tuple[Token, ...]:
    joined = b"".join(pieces)
    begin = _once(joined, raw)
    if begin is None:
        before = _once(raw, joined)
        if before is None:
            return ()
        begin = -before
    ends = [begin]
    for piece in pieces:
        ends.append(ends[-1] + len(piece))
    inside = [
        (max(start, 0), min(end, len(raw)), log)
        for (start, end), log in zip(pairwise(ends), logs, strict=True)
        if end > max(start, 0) and start < len(raw)
    ]
    return tuple(_by_characters(inside, raw))


def _once(part: bytes, whole: bytes) -> int | None:
    """Where it stands, if in one place only."""
    at = whole.find(part) if part else -1
    return at if at >= 0 and whole.find(part, at + 1) < 0 else None


def _by_characters(spans: Iterable[tuple[int, int, float]], raw: bytes) -> Iterator[Token]:
    begun, total = None, 0.0
    for start, end, log in spans:
        begun = start if begun is None else begun
        total += log
        if end == len(raw) or raw[end] & 0xC0 != 0x80:
            yield raw[begun:end].decode("utf-8", "ignore"), max(total, LOWEST)
            begun, total = None, 0.0
