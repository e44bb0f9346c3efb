"""A contract: what one answer must be, as JSON Schema, as a Pydantic model, and as a check that names every problem."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from jobs.contract import coercions, model, nodes, strict, words
from jobs.contract import fields as flat
from jobs.contract.findings import Finding, finding
from jobs.contract.nodes import Node
from jobs.contract.spot import Spot
from jobs.contract.words import Part
from jobs.errors import ContractError

#: problems told of one value at most: a list of 10,000 wrong items is one mistake, not 10,000
MAX_FINDINGS = 50


class Contract:
    """What one answer must be.

    Unlike plain JSON Schema, an object without ``additionalProperties`` forbids other keys: a key that nobody asked for is a
    sign that the model did something else. Defaults are notes and are never filled in: a value that the reply does not hold
    would be a guess.
    """

    def __init__(self, schema: Mapping[str, Any], root: Node, made: type[BaseModel]) -> None:
        self._schema = schema
        self._root = root
        self.model = made
        self._walks = coercions.touches(root)
        self._adapters: dict[int, TypeAdapter[Any]] = {}

    @classmethod
    def from_schema(cls, schema: Mapping[str, Any]) -> Contract:
        """The contract that a JSON Schema describes.

        Raises:
            ContractError: it cannot be held; ``place`` points at the keyword.
        """
        if not isinstance(schema, Mapping):
            raise ContractError(f"a contract is a JSON object, not {words.got(schema)}")
        root = nodes.read(schema)
        made = model.make(root)
        _check_defaults(root)
        return cls(copy.deepcopy(dict(schema)), root, made)

    @property
    def schema(self) -> dict[str, Any]:
        """The schema as it was given; a copy."""
        return copy.deepcopy(dict(self._schema))

    @property
    def names(self) -> tuple[str, ...]:
        """The properties of the answer, in order."""
        return tuple(self._root.properties)

    @property
    def spot(self) -> Spot:
        """The answer itself as a place, whose parts are below it."""
        return Spot.of(self._root)

    def problems(self, value: object) -> list[Finding]:
        """How a value breaks the contract, in the contract's order; empty if it holds. At most ``MAX_FINDINGS``."""
        try:
            self.model.model_validate(value)
        except ValidationError as error:
            details = error.errors(include_url=False)[:MAX_FINDINGS]
            return [finding(self._root, each) for each in details]
        return []

    def read(
        self, value: dict[str, Any], *, nulls_for_absent: bool = False
    ) -> tuple[dict[str, Any], tuple[tuple[Part, ...], ...]]:
        """The value after the conversions that the contract allows by name, and the paths where one was made.

        A number such as ``5.0`` at a place for whole numbers is written ``5``, which is the same number and no conversion.

        Args:
            value: what the reply holds; not changed.
            nulls_for_absent: the reply was held to ``strict_schema``, where null is the only way to leave an optional property
                out: such nulls are taken away.
        """
        if not self._walks and not nulls_for_absent:
            return value, ()
        walk = coercions.Coercion(self._holds, nulls_for_absent=nulls_for_absent)
        made = walk.value(value, self._root)
        return made, tuple(walk.paths)

    def _holds(self, node: Node, value: Any) -> bool:
        """Whether one place of the contract holds a value; what checks it is made when it is first asked for."""
        adapter = self._adapters.get(id(node))
        if adapter is None:
            adapter = self._adapters[id(node)] = TypeAdapter(model.annotation(node))
        return model.holds(adapter, value)

    def strict_schema(self) -> strict.StrictSchema:
        """The schema for an endpoint's strict ``json_schema`` mode, and what cannot be said in it."""
        return strict.strict_schema(self._root)

    def fields(self) -> list[flat.FlatField]:
        """The flat fields of the answer, for a table."""
        return flat.fields_of(self._schema)


def _check_defaults(root: Node) -> None:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        waiting.extend(node.children())
        if "default" not in node.notes:
            continue
        adapter: TypeAdapter[Any] = TypeAdapter(model.annotation(node))
        try:
            adapter.validate_python(node.notes["default"])
        except ValidationError as error:
            found = finding(node, error.errors(include_url=False)[0])
            where = words.json_path(found.path).removeprefix("$")
            at = f" at {where}" if where else ""
            raise ContractError(
                f"the default does not validate{at}: expected {found.expected}, got {found.got}",
                place=f"{node.place}/default",
            ) from error
