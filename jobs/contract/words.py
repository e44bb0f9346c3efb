"""How values, types and places are put in words: short, safe to print, and the same on every screen.

What came is described as ``shape: snippet``. The shape names a kind of mistake and never a value, so that a signature can be
made from it; the snippet is for eyes. A model's text may hold anything: what is printed here is capped and is always UTF-8.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

#: characters of ``Problem.got`` at most
GOT_LENGTH = 80
Part = str | int

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_NUMBER_TEXT = re.compile(r"\s*[-+]?[$€£]?\s*[0-9][0-9.,_ ]*(?:[eE][-+]?[0-9]+)?\s*%?\s*\Z")
_BOOLEAN_TEXT = frozenset(("true", "false", "yes", "no"))
#: what models write where they mean null; the conversion "null" of ``x-coerce`` takes exactly these, in any case
NULL_TEXT = frozenset(("", "n/a", "na", "null", "none", "nil", "not found", "not available", "-"))

_TYPE_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


def kind_of(value: object) -> str:
    """The JSON type of a value; a number without a fraction is an ``integer``."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def is_a(value: object, types: Iterable[str]) -> bool:
    """Whether a value is of one of these JSON types."""
    kind = kind_of(value)
    return any(kind == one or (one == "number" and kind == "integer") for one in types)


def same(one: object, other: object) -> bool:
    """Equality as JSON has it: ``true`` is not 1, 1.0 is 1, 2.00000000000000001 is not 2, the order of keys does not count."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return one == other and kind_of(one) == kind_of(other)


def alike(text: str, values: Iterable[object]) -> list[str]:
    """The texts among these values that differ from a text in case at most, letter for letter: ``SS`` is not ``ß``."""
    lower = text.lower()
    return [value for value in values if isinstance(value, str) and value.lower() == lower]


def types_in_words(types: Sequence[str], *, nullable: bool = False) -> str:
    """What a value may be, such as ``text or null``."""
    words = [_TYPE_WORDS[name] for name in types] + (["null"] if nullable else [])
    return " or ".join(dict.fromkeys(words)) or "any value"


def printable(text: str, length: int) -> str:
    """The text on one line, at most ``length`` characters, without anything that UTF-8 cannot hold."""
    cut = text[: length + 1]
    safe = json.dumps(cut, ensure_ascii=False)[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    safe = safe.encode("utf-8", "backslashreplace").decode("utf-8")
    return safe if len(safe) <= length else safe[: length - 1] + "…"


def snippet(shape: str, text: str) -> str:
    """``shape: text``, within the length of ``got``."""
    return f"{shape}: {printable(text, GOT_LENGTH - len(shape) - 2)}"


def quoted(text: str, length: int) -> str:
    """The text in quotation marks, at most ``length`` characters with them."""
    return f'"{printable(text, length - 2)}"'


def shape_of(value: object) -> str:
    """What kind of value came, without the value: ``text``, ``number as text``, ``null``, ``list`` ..."""
    if isinstance(value, str):
        if not value.strip():
            return "empty text"
        lower = value.strip().lower()
        if lower in NULL_TEXT:
            return "null as text"
        if lower in _BOOLEAN_TEXT:
            return "boolean as text"
        return "number as text" if len(value) <= GOT_LENGTH and _NUMBER_TEXT.match(value) else "text"
    if isinstance(value, list):
        return "list" if value else "empty list"
    if isinstance(value, dict):
        return "object" if value else "empty object"
    if value is None or isinstance(value, bool):
        return kind_of(value)
    return "number"


def got(value: object, shape: str | None = None) -> str:
    """A value as ``shape: snippet``."""
    shape = shape or shape_of(value)
    if isinstance(value, str):
        return f"{shape}: {quoted(value, GOT_LENGTH - len(shape) - 2)}"
    if isinstance(value, list):
        return f"{shape}: {len(value)} items" if value else shape
    if isinstance(value, dict):
        return snippet(shape, "keys " + ", ".join(list(value)[:10])) if value else shape
    if value is None:
        return shape
    # a float says itself how it was written, where that is more than it holds
    return snippet(shape, str(value) if isinstance(value, float) else json.dumps(value))


def json_path(parts: Iterable[Part]) -> str:
    """A place as JSONPath: ``$.items[2].name``, ``$["Column name"]``."""
    path = "$"
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif _PLAIN_KEY.match(part):
            path += f".{part}"
        else:
            path += f"[{json.dumps(part, ensure_ascii=False)}]".encode("utf-8", "backslashreplace").decode("utf-8")
    return path


def listed(values: Iterable[object], length: int = 160) -> str:
    """Values as JSON, with commas, cut to a length that fits a table."""
    text = ", ".join(json.dumps(value, ensure_ascii=False) for value in values)
    return printable(text, length)
