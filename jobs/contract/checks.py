"""The checks that Pydantic does not have, or not exactly enough: numbers, formats, equality.

Numbers are compared as they are: an integer of 20 digits is never turned into a float, and a multiple of 0.1 is judged in
tenths, not in binary fractions.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from urllib.parse import urlsplit
from uuid import UUID

from jobs.contract import words
from jobs.numbers import Fractional

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_DATE_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]+)?([Zz]|[+-]([0-9]{2}):([0-9]{2}))\Z"
)
_EMAIL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]\Z"
)
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\Z")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!#$%&'()*+,/:;=?@A-Za-z0-9._~\[\]-]+\Z")
_BAD_PERCENT = re.compile(r"%(?![0-9a-fA-F]{2})")


def is_date(text: str) -> bool:
    """``2026-02-28``, a day that exists."""
    if not _DATE.match(text):
        return False
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def is_date_time(text: str) -> bool:
    """RFC 3339: a day that exists, a time with seconds, and an offset."""
    found = _DATE_TIME.match(text)
    if not found or not is_date(found[1]):
        return False
    hour, minute, second = int(found[2]), int(found[3]), int(found[4])
    # 60 is a leap second
    return hour < 24 and minute < 60 and second <= 60 and int(found[7] or 0) < 24 and int(found[8] or 0) < 60


def is_email(text: str) -> bool:
    """An address with a plain local part and a domain with a dot, at most 254 characters."""
    return len(text) <= 254 and bool(_EMAIL.match(text)) and len(text.partition("@")[0]) <= 64


def is_uri(text: str) -> bool:
    """An absolute URI of RFC 3986: a scheme, ASCII, no spaces; with ``//`` it must name a host (``file:`` need not)."""
    if not _URI.match(text) or _BAD_PERCENT.search(text):
        return False
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    has_authority = text[len(parts.scheme) + 1 :].startswith("//")
    return not has_authority or bool(parts.hostname) or parts.scheme.lower() == "file"


def is_uuid(text: str) -> bool:
    """Hexadecimal digits in five groups."""
    return bool(_UUID.match(text)) and UUID(text) is not None


FORMATS: Mapping[str, Callable[[str], bool]] = {
    "date": is_date,
    "date-time": is_date_time,
    "email": is_email,
    "uri": is_uri,
    "uuid": is_uuid,
}


def is_multiple(value: int | float, step: int | float) -> bool:
    """Whether a number, as it was written, is a multiple of the step."""
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    if isinstance(value, Fractional):
        return False
    return Fraction(repr(value)) % Fraction(repr(step)) == 0


def broken_range(value: int | float, limits: Mapping[str, object]) -> str | None:
    """The first keyword of range that a number breaks."""
    for keyword, limit in limits.items():
        if not isinstance(limit, (int, float)) or isinstance(limit, bool):
            continue
        if (
            (keyword == "minimum" and value < limit)
            or (keyword == "maximum" and value > limit)
            or (keyword == "exclusiveMinimum" and value <= limit)
            or (keyword == "exclusiveMaximum" and value >= limit)
            or (keyword == "multipleOf" and not is_multiple(value, limit))
        ):
            return keyword
    return None


def broken_limits(value: object, limits: Mapping[str, object]) -> Iterator[str]:
    """The keywords that an allowed value of a contract itself breaks; patterns are left to the model."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        broken = broken_range(value, limits)
        if broken:
            yield broken
    if isinstance(value, str):
        least, most, form = limits.get("minLength"), limits.get("maxLength"), limits.get("format")
        if isinstance(least, int) and len(value) < least:
            yield "minLength"
        if isinstance(most, int) and len(value) > most:
            yield "maxLength"
        if isinstance(form, str) and not FORMATS[form](value):
            yield "format"


def has_twins(items: list[object]) -> bool:
    """Whether two items are equal as JSON values."""
    seen: set[object] = set()
    for item in items:
        key = _key(item)
        if key in seen:
            return True
        seen.add(key)
    return False


def _key(value: object) -> object:
    """A hashable stand-in that is equal exactly where JSON is."""
    if isinstance(value, dict):
        return ("object", frozenset((key, _key(below)) for key, below in value.items()))
    if isinstance(value, list):
        return ("array", tuple(_key(below) for below in value))
    kind = words.kind_of(value)
    return ("number" if kind == "integer" else kind, value)
