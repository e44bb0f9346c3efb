"""What a contract says of one place in an answer, for a value that stands there and comes without the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from jobs.contract import model
from jobs.contract.findings import Finding, finding
from jobs.contract.nodes import TYPES, Node


@dataclass(frozen=True, slots=True)
class Spot:
    """One place in an answer; where forms of the answer differ, what any of them says of it."""

    nodes: tuple[Node, ...]
    adapters: tuple[TypeAdapter[Any], ...]

    @classmethod
    def of(cls, *nodes: Node) -> Spot:
        """The place that these nodes are about."""
        return cls(nodes, tuple(TypeAdapter(model.annotation(node)) for node in nodes))

    @property
    def kinds(self) -> frozenset[str]:
        """The JSON types that may stand there, null included."""
        return frozenset().union(*(node.kinds() or TYPES for node in self.nodes))

    @property
    def names(self) -> tuple[str, ...]:
        """The keys that the contract names there, in its order."""
        return tuple(dict.fromkeys(name for form in self._forms() for name in form.properties))

    def below(self, part: str) -> Spot | None:
        """The place under a key or an index; None where no answer has one."""
        found = [node for form in self._forms() if (node := _below(form, part)) is not None]
        return Spot.of(*found) if found else None

    def finding(self, value: object) -> Finding | None:
        """How a value breaks the contract there; None if it holds."""
        first: Finding | None = None
        for node, adapter in zip(self.nodes, self.adapters, strict=True):
            try:
                adapter.validate_python(value)
            except ValidationError as error:
                first = first or finding(node, error.errors(include_url=False)[0])
            else:
                return None
        return first

    def _forms(self) -> Iterator[Node]:
        waiting = list(self.nodes)
        while waiting:
            node = waiting.pop(0)
            waiting[:0] = node.branches
            if not node.branches:
                yield node


def _below(node: Node, part: str) -> Node | None:
    anything = Node(place=node.place)
    if node.is_any:
        return anything
    if part in node.properties:
        return node.properties[part]
    if node.types == ("array",) and part.isdecimal():
        most = node.limits.get("maxItems")
        return None if isinstance(most, int) and int(part) >= most else node.items or anything
    if node.types == ("object",) and node.additional:
        return node.additional if isinstance(node.additional, Node) else anything
    return None
