"""Conversions that a contract allows by name (``x-coerce``), and nothing else; each has one meaning or is not made.

``trim``
    white space around a text goes.
``null``
    ``""``, ``N/A``, ``NA``, ``null``, ``none``, ``nil``, ``not found``, ``not available`` and ``-`` become null, in any case,
    unless an allowed value is written so, in any case.
``case``
    a text that differs from exactly one allowed value in case only becomes that value, letter for letter: ``STRASSE`` is not
    ``Straße``.
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

import math
import re
from collections.abc import Callable
from typing import Any

from jobs.contract import choices, words
from jobs.contract.nodes import Node
from jobs.contract.words import Part
from jobs.numbers import number

_NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]*|[1-9][0-9]{0,2}(?:,[0-9]{3})+)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\Z")
_MAX_DIGITS = 400
_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


class Coercion:
    """One walk over one value; the value itself is left as it is."""

    def __init__(self, holds: Callable[[Node, Any], bool], *, nulls_for_absent: bool) -> None:
        self._holds = holds
        self._nulls_for_absent = nulls_for_absent
        self.paths: list[tuple[Part, ...]] = []

    def value(self, value: Any, node: Node, path: tuple[Part, ...] = ()) -> Any:
        """The value as the contract reads it."""
        if node.coerce:
            converted = _convert(value, node)
            if not words.same(converted, value):
                self.paths.append(path)
            value = converted
        if isinstance(value, (dict, list)):
            return self._container(value, node, path)
        if isinstance(value, float) and value.is_integer() and "integer" in node.kinds():
            return int(value)
        return value

    def _container(self, value: Any, node: Node, path: tuple[Part, ...]) -> Any:
        kind = "object" if isinstance(value, dict) else "array"
        if node.branches:
            branches = [branch for branch in node.branches if kind in branch.kinds()]
            if len(branches) == 1:
                return self._container(value, branches[0], path)
            return self._choice(value, branches, path) if branches else value
        if kind not in node.types:
            return value
        if kind == "object":
            return self._object(value, node, path)
        items = node.items
        if items is None:
            return value
        return [self.value(item, items, (*path, index)) for index, item in enumerate(value)]

    def _choice(self, value: Any, branches: list[Node], path: tuple[Part, ...]) -> Any:
        """The value as the branches that hold it read it; left as it is where two of them read it differently.

        Where none holds it, it is read as the branch it was meant for reads it, so that a null which the endpoint's schema forced
        is not told as a problem beside the real one; never so that another branch takes what is left.
        """
        readings = [self._reading(value, branch, path) for branch in branches]
        holding = [
            reading for branch, reading in zip(branches, readings, strict=True) if self._holds(branch, reading[0])
        ]
        if holding:
            made, paths = holding[0]
            if not all(words.same(made, other) for other, _ in holding[1:]):
                return value
        else:
            index = choices.meant(branches, value)
            if index is None:
                return value
            made, paths = readings[index]
            if any(self._holds(branch, made) for branch in branches):
                return value
        self.paths += paths
        return made

    def _reading(self, value: Any, branch: Node, path: tuple[Part, ...]) -> tuple[Any, list[tuple[Part, ...]]]:
        """The value as one branch reads it, and the paths where that changed it."""
        before, self.paths = self.paths, []
        made = self._container(value, branch, path)
        paths, self.paths = self.paths, before
        return made, paths

    def _object(self, value: dict[str, Any], node: Node, path: tuple[Part, ...]) -> dict[str, Any]:
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


def _convert(value: Any, node: Node) -> Any:
    if isinstance(value, str):
        return _convert_text(value, node)
    if "string" in node.coerce and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _convert_text(value: str, node: Node) -> Any:
    kinds, bare = node.kinds(), value.strip()
    text = bare if "trim" in node.coerce else value
    allowed = _allowed(node)
    if bare in allowed:
        return text
    if "null" in node.coerce and bare.lower() in words.NULL_TEXT:
        # "None" is not null where "none" is allowed, nor is "None "
        return text if words.alike(bare, allowed) else None
    alike = words.alike(text, allowed)
    if "case" in node.coerce and len(alike) == 1:
        return alike[0]
    if "number" in node.coerce and len(bare) <= _MAX_DIGITS and _NUMBER.match(bare):
        found = number(bare.replace(",", ""))
        if math.isfinite(found) and words.is_a(found, kinds):
            return int(found) if isinstance(found, float) and found.is_integer() and "integer" in kinds else found
    if "boolean" in node.coerce and bare.lower() in _BOOLEANS:
        return _BOOLEANS[bare.lower()]
    return text


def _allowed(node: Node) -> tuple[object, ...]:
    """The values that a place names one by one, in any of its branches."""
    return (node.enum or ()) + tuple(value for branch in node.branches for value in _allowed(branch))
