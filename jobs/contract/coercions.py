"""Conversions that a contract allows by name (``x-coerce``), and nothing else; each has one meaning or is not made.

``trim``
    white space around a text goes.
``null``
    ``""``, ``N/A``, ``NA``, ``null``, ``none``, ``nil``, ``not found``, ``not available`` and ``-`` become null, in any case.
``case``
    a text that differs from one allowed value in case only becomes that value.
``number``
    a text becomes a number if it is one as JSON writes it (``-12.5e3``), or has a leading plus, or thousands set off by commas
    in groups of exactly three (``1,299.00``). The comma is never a decimal mark: ``1,5`` and ``1.299,00`` stay text. Currency
    and percent signs are not taken off.
``boolean``
    ``true``, ``yes``, ``false`` and ``no`` become booleans, in any case.
``string``
    a whole number becomes its digits. A number with a fraction does not: whether it read ``1.1`` or ``1.10`` is lost.

A conversion is kept only if its result is of a type that the place allows.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from jobs.contract import words
from jobs.contract.nodes import Node
from jobs.contract.words import Part

_NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]*|[1-9][0-9]{0,2}(?:,[0-9]{3})+)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\Z")
_MAX_DIGITS = 400
_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}
_EXACT = 2**53


def number(text: str) -> int | float | None:
    """The number that a decimal text names; exact where it is whole; None if no finite number can hold it."""
    if len(text) > _MAX_DIGITS:
        return None
    if text.lstrip("+-").isdigit():
        return int(text)
    value = float(text)
    if value in (float("inf"), float("-inf")):
        return None
    if abs(value) >= _EXACT:
        exact = Decimal(text)
        if exact == exact.to_integral_value():
            return int(exact)
    return value


class Coercion:
    """One walk over one value; the value itself is left as it is."""

    def __init__(self, *, nulls_for_absent: bool) -> None:
        self._nulls_for_absent = nulls_for_absent
        self.paths: list[tuple[Part, ...]] = []

    def value(self, value: Any, node: Node, path: tuple[Part, ...] = ()) -> Any:
        """The value as the contract reads it."""
        if node.coerce:
            converted = _convert(value, node)
            if not words.same(converted, value):
                self.paths.append(path)
            value = converted
        if isinstance(value, dict):
            return self._object(value, _branch(node, "object"), path)
        if isinstance(value, list):
            found = _branch(node, "array")
            if found is None or found.items is None:
                return value
            items = found.items
            return [self.value(item, items, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, float) and value.is_integer() and "integer" in node.kinds():
            return int(value)
        return value

    def _object(self, value: dict[str, Any], node: Node | None, path: tuple[Part, ...]) -> dict[str, Any]:
        if node is None:
            return value
        made = {}
        for key, item in value.items():
            below = node.properties.get(key)
            if below is None:
                below = node.additional if isinstance(node.additional, Node) else None
            elif item is None and self._is_absent(key, below, node):
                self.paths.append((*path, key))
                continue
            made[key] = item if below is None else self.value(item, below, (*path, key))
        return made

    def _is_absent(self, key: str, below: Node, node: Node) -> bool:
        kinds = below.kinds()
        return self._nulls_for_absent and key not in node.required and bool(kinds) and "null" not in kinds


def touches(node: Node) -> bool:
    """Whether a walk could change anything below this node, apart from dropping nulls."""
    kinds = node.kinds()
    return bool(node.coerce) or "integer" in kinds or any(touches(below) for below in node.children())


def _branch(node: Node, kind: str) -> Node | None:
    """The one node that speaks about a container; None where it is not known which."""
    if not node.branches:
        return node if kind in node.types else None
    meant = [branch for branch in node.branches if kind in branch.kinds()]
    return _branch(meant[0], kind) if len(meant) == 1 else None


def _convert(value: Any, node: Node) -> Any:
    kinds, allowed = node.kinds(), node.enum or ()
    if isinstance(value, str):
        text = value.strip()
        if "null" in node.coerce and text.lower() in words.NULL_TEXT and text not in allowed:
            return None
        if "case" in node.coerce and text not in allowed:
            for other in allowed:
                if isinstance(other, str) and other.casefold() == (text if "trim" in node.coerce else value).casefold():
                    return other
        if "number" in node.coerce and _NUMBER.match(text):
            found = number(text.replace(",", ""))
            if found is not None and words.is_a(found, kinds):
                return int(found) if isinstance(found, float) and "integer" in kinds else found
        if "boolean" in node.coerce and text.lower() in _BOOLEANS:
            return _BOOLEANS[text.lower()]
        return text if "trim" in node.coerce else value
    if "string" in node.coerce and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value
