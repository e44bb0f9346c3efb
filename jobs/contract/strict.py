"""The contract as an endpoint's strict ``json_schema`` takes it, and what is lost on the way.

Endpoints that hold a model to a schema know fewer keywords, want every property required and forbid other keys. What cannot
be told to them is listed, never silently dropped: the reply is held to the whole contract afterwards in any case.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jobs.contract.nodes import Node

_FORMATS = frozenset(("date", "date-time", "email", "uuid"))
_TOLD = ("pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems")


class StrictSchema(NamedTuple):
    """A schema for ``response_format``; ``lost`` says per place which keyword is not in it.

    Not ``usable``: the contract has a place that strict mode cannot express at all (any value, any keys), so that a model held
    to the schema could not answer rightly.
    """

    schema: dict[str, Any]
    lost: tuple[str, ...]
    usable: bool


def strict_schema(root: Node) -> StrictSchema:
    """The strict form of a contract: optional properties become required ones that may be null."""
    writer = _Writer()
    return StrictSchema(writer.node(root), tuple(writer.lost), writer.usable)


class _Writer:
    def __init__(self) -> None:
        self.lost: list[str] = []
        self.usable = True

    def node(self, node: Node, *, absent: bool = False) -> dict[str, Any]:
        """One node; ``absent``: null stands for a property that is not there."""
        nullable = node.nullable or (absent and "null" not in node.types)
        made: dict[str, Any] = {key: node.notes[key] for key in ("title", "description") if key in node.notes}
        if node.enum is not None:
            types = [*node.types, *(["null"] if nullable else [])]
            made["type"] = types if len(types) > 1 else types[0]
            made["enum"] = [*node.enum, *([None] if nullable else [])]
            return made
        if node.branches:
            branches = [self.node(branch) for branch in node.branches]
            if node.exactly_one:
                self._lose(node, "oneOf is sent as anyOf")
            return {**made, "anyOf": [*branches, *([{"type": "null"}] if nullable else [])]}
        if not node.types:
            self._lose(node, "any value", fatal=True)
            return made
        (kind,) = node.types
        made["type"] = [kind, "null"] if nullable else kind
        self._limits(node, made)
        if kind == "array":
            if node.items is None:
                self._lose(node, "a list without items", fatal=True)
            else:
                made["items"] = self.node(node.items)
        if kind == "object":
            self._object(node, made)
        return made

    def _limits(self, node: Node, made: dict[str, Any]) -> None:
        for keyword, value in node.limits.items():
            if keyword in _TOLD or (keyword == "format" and value in _FORMATS):
                made[keyword] = value
            elif value is not False:
                self._lose(node, keyword)

    def _object(self, node: Node, made: dict[str, Any]) -> None:
        if node.additional:
            self._lose(node, "additionalProperties", fatal=True)
        made["properties"] = {
            key: self.node(below, absent=key not in node.required) for key, below in node.properties.items()
        }
        made["required"] = list(node.properties)
        made["additionalProperties"] = False

    def _lose(self, node: Node, what: str, *, fatal: bool = False) -> None:
        self.lost.append(f"{node.place}: {what}")
        self.usable = self.usable and not fatal
