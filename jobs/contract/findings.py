"""Pydantic's errors told as broken JSON Schema keywords, with what was expected and what came."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic_core import ErrorDetails

from jobs.contract import words
from jobs.contract.model import SEVERAL
from jobs.contract.nodes import Node
from jobs.contract.words import Part

_RULES = {
    "missing": "required",
    "extra_forbidden": "additionalProperties",
    "string_too_short": "minLength",
    "string_too_long": "maxLength",
    "string_pattern_mismatch": "pattern",
    "string_unicode": "surrogate",
    "too_short": "minItems",
    "too_long": "maxItems",
    "union_tag_invalid": "anyOf",
    "union_tag_not_found": "anyOf",
}
_OWN = frozenset((
    "type", "enum", "const", "format", "uniqueItems", "not_finite",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
))  # fmt: skip
_WORDED = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "text that matches {}",
    "format": "a text of the format {}",
}


class Finding(NamedTuple):
    """One way in which a value breaks its contract; ``path`` is of keys and indexes, a missing key's own included."""

    path: tuple[Part, ...]
    rule: str
    expected: str
    got: str


def finding(root: Node, error: ErrorDetails) -> Finding:
    """What one of Pydantic's errors means."""
    path, node, parent = _walk(root, error["loc"])
    kind, value = error["type"], error.get("input")
    rule = kind if kind in _OWN else _RULES.get(kind, "type")
    if rule == "anyOf" and node is not None:
        tag = str((error.get("ctx") or {}).get("tag"))
        rule = _rule_of_choice(node, value, several=tag == SEVERAL)
        expected = _expected_of_choice(node, rule)
        return Finding(path, rule, expected, words.got(value))
    if rule == "required":
        said = _expected(node, "enum" if node is not None and node.enum is not None else "type")
        return Finding(path, rule, said, "nothing")
    if rule == "additionalProperties":
        known = ", ".join(parent.properties) if parent is not None else ""
        return Finding(path, rule, words.printable(f"no other keys than {known}", 160), words.got(value))
    return Finding(path, rule, _expected(node, rule), _got(node, rule, value))


def _walk(root: Node, loc: tuple[Part, ...]) -> tuple[tuple[Part, ...], Node | None, Node | None]:
    """The path in the value (without the tags of choices), the node there and the one above it."""
    path: list[Part] = []
    node: Node | None = root
    parent: Node | None = None
    for part in loc:
        if node is not None and node.branches:
            # a choice puts the index of its branch into the place
            node = node.branches[int(part)]
            continue
        path.append(part)
        parent, node = node, _below(node, part)
    return tuple(path), node, parent


def _below(node: Node | None, part: Part) -> Node | None:
    if node is None:
        return None
    if isinstance(part, int):
        return node.items
    if part in node.properties:
        return node.properties[part]
    return node.additional if isinstance(node.additional, Node) else None


def _rule_of_choice(node: Node, value: Any, *, several: bool) -> str:
    if node.exactly_one and several:
        return "oneOf"
    kinds = node.kinds()
    if kinds and not words.is_a(value, kinds):
        return "type"
    return "oneOf" if node.exactly_one else "anyOf"


def _expected_of_choice(node: Node, rule: str) -> str:
    if rule == "type":
        return node.in_words()
    count = len(node.branches)
    return f"exactly one of {count} forms" if rule == "oneOf" else f"one of {count} forms"


def _expected(node: Node | None, rule: str) -> str:
    if rule == "surrogate":
        return "text that UTF-8 can hold"
    if rule == "not_finite":
        return "a finite number"
    if rule == "uniqueItems":
        return "no item twice"
    if node is None:
        return "a value of the contract"
    if rule in ("enum", "const"):
        allowed = [*(node.enum or ()), *([None] if node.nullable else [])]
        return f"{'one of ' if len(allowed) > 1 else ''}{words.listed(allowed)}"
    if rule in _WORDED:
        return _WORDED[rule].format(words.printable(str(node.limits.get(rule)), 120))
    return node.in_words()


def _got(node: Node | None, rule: str, value: Any) -> str:
    if rule == "enum" and node is not None and isinstance(value, str) and words.alike(value.strip(), node.enum or ()):
        return words.got(value, "other case" if value == value.strip() else "spaces around")
    if rule in ("minLength", "maxLength") and isinstance(value, str):
        shape = "empty text" if not value.strip() else "text"
        return words.snippet(shape, f'{len(value)} characters: "{words.printable(value, 40)}"')
    return words.got(value)
