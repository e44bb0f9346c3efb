"""What a provider says about its limits in the headers of a response, in one form.

Headers are evidence, not truth: they can be absent, stale, negative, or count other users of the same key. A figure that
makes no sense is left out and never raises.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

#: no header is believed to ask for a longer wait, in seconds
LONGEST_WAIT = 86_400.0
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9, "d": 86_400.0}
_GO_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h|d))+")
_GO_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)")
_HEADER = re.compile(
    r"(?:x|anthropic)-ratelimit-(?:(?:(requests|tokens|input-tokens|output-tokens)-)?(limit|remaining|reset)"
    r"|(limit|remaining|reset)-(requests|tokens|input-tokens|output-tokens))"
)
#: numbers above these are points in time, in epoch seconds and epoch milliseconds
_EPOCH, _EPOCH_MS = 1e9, 1e12


@dataclass(frozen=True, slots=True)
class Window:
    """One limit: how many in all, how many are left, and in how many seconds it is full again; None where not said."""

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """All limits that one response tells of; empty windows where it tells nothing."""

    requests: Window = Window()
    tokens: Window = Window()
    input_tokens: Window = Window()
    output_tokens: Window = Window()
    #: seconds that the provider asks to wait
    retry_after: float | None = None

    def __bool__(self) -> bool:
        """Whether anything was told."""
        return self != NOTHING


NOTHING = Rates()


def lowered(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Raw headers with their names in lower case; the last of a name counts."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


def rates_of(headers: Mapping[str, str], *, now: float) -> Rates:
    """The limits in these headers (names in lower case), in OpenAI's or Anthropic's form; ``now`` in epoch seconds."""
    found: dict[str, dict[str, str]] = {}
    for name, value in headers.items():
        if "ratelimit-" in name and (match := _HEADER.fullmatch(name)):
            what, figure = match[1] or match[4] or "requests", match[2] or match[3]
            found.setdefault(what.replace("-", "_"), {})[figure] = value
    wait = retry_after(headers, now=now)
    if not found:
        return NOTHING if wait is None else Rates(retry_after=wait)
    windows = {
        what: Window(
            limit=_count(figures.get("limit"), least=1),
            remaining=_count(figures.get("remaining"), least=0),
            reset=seconds_of(figures.get("reset"), now=now),
        )
        for what, figures in found.items()
    }
    return Rates(**windows, retry_after=wait)


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """The seconds to wait that the headers ask for, from ``retry-after-ms`` or any form of ``retry-after``."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return min(milliseconds / 1000, LONGEST_WAIT)
    value = headers.get("retry-after")
    if value is None:
        return None
    plain = seconds_of(value, now=now)
    if plain is not None:
        return plain
    try:
        return _wait(parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def seconds_of(value: str | None, *, now: float) -> float | None:
    """Seconds from now, from a Go duration, a plain number, an epoch or an RFC 3339 time; None if it is none of these."""
    if not value:
        return None
    value = value.strip()
    if _GO_DURATION.fullmatch(value):
        return _wait(sum(float(number) * _UNITS[unit] for number, unit in _GO_PART.findall(value)))
    number = _number(value)
    if number is not None:
        if number >= _EPOCH:
            return _wait(number / (1000 if number >= _EPOCH_MS else 1) - now)
        return _wait(number)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return None if moment.tzinfo is None else _wait(moment.timestamp() - now)


def _wait(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _count(value: str | None, *, least: int) -> int | None:
    number = _number(value)
    return None if number is None or not least <= number < 1e15 else int(number)
