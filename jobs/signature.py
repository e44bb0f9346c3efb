"""The cause of a dead letter in canonical form, so that one cause is one group, and its title in plain words.

A signature is ``s1|rule|path|shape``: the leading problem without anything of the row in it. Paths have ``[*]`` for indexes; the
shape is the kind of the value that came (``null``, ``number as text``), never the value. ``s1`` names this way of making them:
if it ever changes, old groups keep their names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from jobs.values import Problem

VERSION = "s1"

#: what a text is held to before anything in it can be looked at
TEXT_RULES = ("empty", "refusal", "cut", "not_json", "duplicate_key", "not_finite", "surrogate")
#: deaths that no reply had a part in, and their titles
FAILURES = {
    "unreachable": "the endpoint could not be reached",
    "too_long": "the prompt does not fit the model",
    "internal": "an error of Redrive's own",
    "lost": "nobody knows whether the request was answered",
    "refusal": "the endpoint refused the prompt",
}
_INDEX = re.compile(r'("(?:[^"\\]|\\.)*")|\[[0-9]+\]')
_VARIABLE = re.compile(r"0x[0-9a-fA-F]+|\b[0-9a-fA-F-]{16,}\b|[0-9]+(?:\.[0-9]+)*")
_MAX_PATH, _MAX_DETAIL = 200, 60

_TITLES = {
    "additionalProperties": "{name} is not in the contract",
    "anyOf": "{name} has none of the allowed forms",
    "oneOf": "{name} has not exactly one of the allowed forms",
    "minimum": "{name} is too small",
    "maximum": "{name} is too large",
    "exclusiveMinimum": "{name} is too small",
    "exclusiveMaximum": "{name} is too large",
    "multipleOf": "{name} is not a multiple of what is asked",
    "minLength": "{name} is too short",
    "maxLength": "{name} is too long",
    "pattern": "{name} does not match its pattern",
    "minItems": "{name} has too few items",
    "maxItems": "{name} has too many items",
    "uniqueItems": "{name} has an item twice",
    "duplicate_key": "{name} is given twice",
    "not_finite": "{name} is not a finite number",
    "surrogate": "{name} holds characters that are not text (lone surrogates)",
}
_FORMATS = {"format": "{name} has the wrong format", "const": "{name} is not the one allowed value"}


def leading(problems: Sequence[Problem]) -> Problem:
    """The problem that names the cause: text rules first, then missing, type, value and extra keys, each in the order given."""
    return min(problems, key=_class)


def signature(problems: Sequence[Problem]) -> str:
    """The signature of a rejected reply, from at least one problem."""
    first = leading(problems)
    shape = shape_of(first)
    if first.rule == "type":
        shape = f"{shape}>{first.expected}"
    elif first.rule in ("required", "additionalProperties", "duplicate_key", "refusal", "uniqueItems"):
        shape = ""
    return _join(first.rule, _general(first.path), shape)


def failure_signature(kind: str, detail: str = "") -> str:
    """The signature of a death that no reply had a part in: unreachable, too_long, internal, lost; ``detail`` is its kind."""
    return _join(kind, "", _VARIABLE.sub("#", " ".join(detail.split()))[:_MAX_DETAIL])


def title(signature: str) -> str:
    """A signature in plain words, such as ```sentiment` is missing``; one that cannot be read is given back as it is."""
    version, _, rest = signature.partition("|")
    rule, _, rest = rest.partition("|")
    path, bar, shape = rest.rpartition("|")
    if version != VERSION or not bar:
        return signature
    if not path and rule in FAILURES:
        return FAILURES[rule] + (f" ({shape})" if shape else "")
    name = "reply" if path in ("$", "") else f"`{path.removeprefix('$').removeprefix('.')}`"
    return _titled(rule, name, shape)


def shape_of(problem: Problem) -> str:
    """The kind of what came, which ``got`` begins with."""
    return problem.got.partition(":")[0]


def _titled(rule: str, name: str, shape: str) -> str:
    if rule == "not_json":
        return f"reply is not JSON: {shape}" if shape else "reply is not JSON"
    if rule == "cut":
        whole = {
            "max_tokens": "reply was cut off at max_tokens",
            "too long to be read": "reply is too long to be read whole",
        }
        return whole.get(shape, f"reply was cut off inside {_article(shape)}")
    if rule == "empty":
        return "reply is empty" + (f" ({shape})" if shape and shape != "nothing" else "")
    if rule == "refusal":
        return "the model refused"
    if rule == "unanswered":
        return "the reply, which was about several rows, left this one out"
    if rule == "required":
        return f"{name} is missing"
    if rule == "type":
        came, _, wanted = shape.partition(">")
        return f"{name} is {_came(came)}, must be {wanted or 'something else'}"
    if rule == "enum":
        return f"{name} is not one of the allowed values" + (f" ({shape})" if shape and shape != "text" else "")
    if rule in _FORMATS:
        return _FORMATS[rule].format(name=name) + (f" ({shape})" if shape and shape != "text" else "")
    return _TITLES.get(rule, "{name} breaks " + rule.replace("{", "").replace("}", "")).format(name=name)


def _came(shape: str) -> str:
    if shape.endswith(" as text"):
        return "text"
    return {"number": "a number", "list": "a list", "object": "an object"}.get(shape, shape)


def _article(shape: str) -> str:
    if shape == "thinking":
        return "its thinking"
    return f"an {shape}" if shape[:1] in "aeiou" else f"a {shape}" if shape else "a value"


def _class(problem: Problem) -> tuple[int, int]:
    if problem.rule in TEXT_RULES:
        return (0, TEXT_RULES.index(problem.rule))
    return ({"required": 1, "type": 2, "additionalProperties": 4}.get(problem.rule, 3), 0)


def _general(path: str) -> str:
    return _INDEX.sub(lambda found: found[1] or "[*]", path)[:_MAX_PATH]


def _join(rule: str, path: str, shape: str) -> str:
    return f"{VERSION}|{rule.replace('|', '/')}|{path}|{shape.replace('|', '/')}"
