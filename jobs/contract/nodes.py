"""A JSON Schema read into a tree of nodes, or refused with the place.

A keyword that is not enforced would be a promise that nobody keeps, so an unknown keyword is an error, never ignored. A
schema that nothing can satisfy, or that contradicts itself, is found here, when a version is saved, and not in a night's run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from jobs.contract import words
from jobs.contract.keywords import check_coerce, check_limits, check_pattern, check_values
from jobs.errors import ContractError

MAX_NODES, MAX_DEPTH, MAX_VALUES, MAX_SCHEMA_LEVELS = 2_000, 32, 1_000, 200

TYPES = ("string", "integer", "number", "boolean", "array", "object", "null")
LIMITS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "minLength": ("string",),
        "maxLength": ("string",),
        "pattern": ("string",),
        "format": ("string",),
        "minimum": ("integer", "number"),
        "maximum": ("integer", "number"),
        "exclusiveMinimum": ("integer", "number"),
        "exclusiveMaximum": ("integer", "number"),
        "multipleOf": ("integer", "number"),
        "minItems": ("array",),
        "maxItems": ("array",),
        "uniqueItems": ("array",),
    }
)
_CONTAINERS = {"properties": "object", "required": "object", "additionalProperties": "object", "items": "array"}
_NOTES = ("title", "description", "default", "examples")
_ROOT_ONLY = ("$defs", "$schema", "$id", "$comment")
_CHOICES = ("anyOf", "oneOf")
_KNOWN = {"type", "enum", "const", "$ref", "x-coerce", "$comment", *LIMITS, *_CONTAINERS, *_NOTES, *_CHOICES}
_HINTS = {
    "nullable": 'write "type": ["string", "null"] instead',
    "definitions": "name it $defs",
    "allOf": "merge its parts into one schema",
    "minContains": "use minItems",
    "prefixItems": "use an object with a name for each item",
    "patternProperties": "use additionalProperties with a schema",
}


@dataclass(frozen=True, slots=True)
class Node:
    """One place of a contract: what a value there must be."""

    #: where it stands in the schema, ``#/properties/x``
    place: str
    #: JSON types without ``null`` (unless it is the only one); empty: any value, or as the branches say
    types: tuple[str, ...] = ()
    nullable: bool = False
    #: the allowed values without null; ``const`` is an enum of one
    enum: tuple[object, ...] | None = None
    is_const: bool = False
    properties: Mapping[str, Node] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    #: False: no other keys; True: any; a node: any whose value satisfies it
    additional: bool | Node = False
    items: Node | None = None
    branches: tuple[Node, ...] = ()
    #: the branches are a ``oneOf``: exactly one must hold
    exactly_one: bool = False
    limits: Mapping[str, object] = field(default_factory=dict)
    coerce: frozenset[str] = frozenset()
    notes: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_any(self) -> bool:
        """Whether every JSON value satisfies it."""
        return not self.types and not self.branches and self.enum is None

    def children(self) -> tuple[Node, ...]:
        """The nodes directly below."""
        below = [*self.properties.values(), *self.branches]
        below += [node for node in (self.items, self.additional) if isinstance(node, Node)]
        return tuple(below)

    def kinds(self) -> frozenset[str]:
        """The JSON types that may stand here, null included; empty for any."""
        if self.is_any:
            return frozenset()
        below = [branch.kinds() for branch in self.branches]
        if any(not kinds for kinds in below):
            return frozenset()
        own = frozenset(self.types) | (frozenset(["null"]) if self.nullable else frozenset())
        return own.union(*below)

    def in_words(self) -> str:
        """What may stand here: ``a number or null``."""
        kinds = self.kinds()
        return words.types_in_words([name for name in TYPES if name in kinds])


def read(schema: Mapping[str, object]) -> Node:
    """The tree of a whole contract.

    Raises:
        ContractError: with the place, if it cannot be held.
    """
    _plain(schema)
    node = _Reader(schema).node(schema, "#", refs=(), depth=0)
    if node.types != ("object",) or node.nullable or node.branches or node.enum is not None:
        raise ContractError('the answer must be one object: "type": "object" at the root', place="#")
    if not node.properties:
        raise ContractError("an answer needs at least one property", place="#/properties")
    return node


def _plain(schema: object) -> None:
    """Refuse what JSON cannot hold, and nesting that would exhaust the stack of whoever walks it."""
    waiting: list[tuple[object, str, int]] = [(schema, "#", 0)]
    seen = 0
    while waiting:
        value, place, depth = waiting.pop()
        seen += 1
        if depth > MAX_SCHEMA_LEVELS:
            raise ContractError(f"nested deeper than {MAX_SCHEMA_LEVELS} levels", place=place[:200])
        if seen > 100_000:
            raise ContractError("too large: more than 100,000 values", place="#")
        if isinstance(value, Mapping):
            for key, below in value.items():
                if not isinstance(key, str):
                    raise ContractError(f"a key must be text, not {key!r}", place=place)
                _sound(key, place)
                waiting.append((below, f"{place}/{_escaped(key)}", depth + 1))
        elif isinstance(value, list):
            waiting.extend((below, f"{place}/{index}", depth + 1) for index, below in enumerate(value))
        elif isinstance(value, str):
            _sound(value, place)
        elif isinstance(value, float) and not math.isfinite(value):
            raise ContractError("NaN and Infinity are not JSON", place=place)
        elif not (value is None or isinstance(value, (bool, int, float))):
            raise ContractError(f"{type(value).__name__} is not a JSON value", place=place)


def _sound(text: str, place: str) -> None:
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ContractError("holds a lone surrogate, which is not text", place=place)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


class _Reader:
    """Walks a schema once; keeps the definitions and a count against schemas that multiply through ``$ref``."""

    def __init__(self, root: Mapping[str, object]) -> None:
        self._root = root
        self._count = 0
        definitions = root.get("$defs", {})
        if not isinstance(definitions, Mapping):
            raise ContractError("must be an object of named schemas", place="#/$defs")
        self._definitions = definitions
        # an unused definition must be sound as well: it will be used one day
        for name, below in definitions.items():
            self.node(below, f"#/$defs/{_escaped(name)}", refs=(name,), depth=1)

    def node(self, schema: object, place: str, *, refs: tuple[str, ...], depth: int) -> Node:
        if not isinstance(schema, Mapping):
            raise ContractError(f"must be a schema (an object), not {words.got(schema)}", place=place)
        self._count += 1
        if self._count > MAX_NODES:
            raise ContractError(f"too large: more than {MAX_NODES:,} places once every $ref is followed", place=place)
        if depth > MAX_DEPTH:
            raise ContractError(f"nested deeper than {MAX_DEPTH} levels", place=place)
        self._known(schema, place)
        if "$ref" in schema:
            return self._reference(schema, place, refs=refs, depth=depth)
        if any(choice in schema for choice in _CHOICES):
            return self._choice(schema, place, refs=refs, depth=depth)
        return self._plain_node(schema, place, refs=refs, depth=depth)

    @staticmethod
    def _known(schema: Mapping[str, object], place: str) -> None:
        for keyword in schema:
            if keyword in _KNOWN or (place == "#" and keyword in _ROOT_ONLY):
                continue
            hint = _HINTS.get(keyword, "it would not be enforced; take it out")
            if keyword in _ROOT_ONLY:
                hint = "it may stand at the root only"
            raise ContractError(f"unknown keyword {keyword!r}: {hint}", place=f"{place}/{_escaped(keyword)}")
        for keyword in ("title", "description"):
            if keyword in schema and not isinstance(schema[keyword], str):
                raise ContractError("must be text", place=f"{place}/{keyword}")
        if "examples" in schema and not isinstance(schema["examples"], list):
            raise ContractError("must be a list", place=f"{place}/examples")

    @staticmethod
    def _alone(schema: Mapping[str, object], place: str, *, keyword: str, also: tuple[str, ...] = ()) -> None:
        allowed = {keyword, *_NOTES, *also, *(_ROOT_ONLY if place == "#" else ("$comment",))}
        for other in schema:
            if other not in allowed:
                raise ContractError(f"{other!r} beside {keyword}: move it inside", place=f"{place}/{_escaped(other)}")

    def _reference(self, schema: Mapping[str, object], place: str, *, refs: tuple[str, ...], depth: int) -> Node:
        self._alone(schema, place, keyword="$ref")
        target, here = schema["$ref"], f"{place}/$ref"
        if not isinstance(target, str) or not target.startswith("#"):
            raise ContractError(f"a reference must look like #/$defs/NAME, not {words.got(target)}", place=here)
        if target == "#":
            raise ContractError("a reference loop: it points at the whole contract", place=here)
        name = target.removeprefix("#/$defs/").replace("~1", "/").replace("~0", "~")
        if not target.startswith("#/$defs/") or name not in self._definitions:
            known = ", ".join(f"#/$defs/{_escaped(known)}" for known in self._definitions) or "there are none"
            raise ContractError(f"{target!r} points at nothing; definitions: {known}", place=here)
        if name in refs:
            raise ContractError(f"a reference loop: {' -> '.join([*refs, name])}", place=here)
        node = self.node(self._definitions[name], f"#/$defs/{_escaped(name)}", refs=(*refs, name), depth=depth + 1)
        notes = {**node.notes, **_notes(schema)}
        return replace(node, notes=notes)

    def _choice(self, schema: Mapping[str, object], place: str, *, refs: tuple[str, ...], depth: int) -> Node:
        keyword = "oneOf" if "oneOf" in schema else "anyOf"
        self._alone(schema, place, keyword=keyword, also=("x-coerce",))
        parts, here = schema[keyword], f"{place}/{keyword}"
        if not isinstance(parts, list) or not parts:
            raise ContractError("must be a list of schemas, not empty", place=here)
        nodes = [self.node(part, f"{here}/{index}", refs=refs, depth=depth + 1) for index, part in enumerate(parts)]
        nulls = [node for node in nodes if node.types == ("null",)]
        others = [node for node in nodes if node.types != ("null",)]
        if keyword == "oneOf" and len(nulls) + sum(node.nullable for node in others) > 1:
            raise ContractError("null satisfies several branches, so it never satisfies oneOf", place=here)
        notes = _notes(schema)
        if not others:
            node = replace(nodes[0], notes=notes)
        elif len(others) == 1:
            only = others[0]
            node = replace(only, nullable=only.nullable or bool(nulls), notes={**only.notes, **notes})
        else:
            node = Node(
                place=place,
                nullable=bool(nulls),
                branches=tuple(others),
                exactly_one=keyword == "oneOf",
                notes=notes,
            )
        _reachable(node, keyword)
        return replace(node, coerce=node.coerce | check_coerce(schema, place, kinds=node.kinds(), enum=node.enum))

    def _plain_node(self, schema: Mapping[str, object], place: str, *, refs: tuple[str, ...], depth: int) -> Node:
        types = _types(schema, place)
        enum, types = check_values(schema, place, types=types, limit=MAX_VALUES)
        _fits(schema, place, types=types)
        limits = check_limits(schema, place, types=types, enum=enum)
        if "pattern" in schema:
            check_pattern(schema["pattern"], f"{place}/pattern", values=enum or ())
        bare = tuple(name for name in types if name != "null") or types
        node = Node(
            place=place,
            types=bare,
            nullable="null" in types and bare != ("null",),
            enum=None if enum is None or bare == ("null",) else tuple(value for value in enum if value is not None),
            is_const="const" in schema,
            limits=limits,
            notes=_notes(schema),
        )
        if "object" in types:
            node = self._object(schema, node, refs=refs, depth=depth)
        if "array" in types and "items" in schema:
            items = self.node(schema["items"], f"{place}/items", refs=refs, depth=depth + 1)
            node = replace(node, items=items)
        node = replace(node, coerce=check_coerce(schema, place, kinds=node.kinds(), enum=node.enum))
        return _split(node) if len(bare) > 1 and node.enum is None else node

    def _object(self, schema: Mapping[str, object], node: Node, *, refs: tuple[str, ...], depth: int) -> Node:
        place = node.place
        given = schema.get("properties", {})
        if not isinstance(given, Mapping):
            raise ContractError("must be an object of named schemas", place=f"{place}/properties")
        properties = {
            name: self.node(below, f"{place}/properties/{_escaped(name)}", refs=refs, depth=depth + 1)
            for name, below in given.items()
        }
        required = schema.get("required", [])
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            raise ContractError("must be a list of property names", place=f"{place}/required")
        for index, name in enumerate(required):
            if name not in properties:
                raise ContractError(f"requires {name!r}, which is no property", place=f"{place}/required/{index}")
            if name in required[:index]:
                raise ContractError(f"names {name!r} twice", place=f"{place}/required/{index}")
        additional = schema.get("additionalProperties", False)
        extra: bool | Node
        if isinstance(additional, bool):
            extra = additional
        else:
            extra = self.node(additional, f"{place}/additionalProperties", refs=refs, depth=depth + 1)
        if not properties and extra is False and node.enum is None and depth > 0:
            raise ContractError(
                "an object without properties can hold nothing; give it properties, or additionalProperties",
                place=place,
            )
        # in the contract's order, whatever the order of the list
        ordered = tuple(name for name in properties if name in required)
        return replace(node, properties=properties, required=ordered, additional=extra)


def _reachable(node: Node, keyword: str) -> None:
    """Refuse a conversion inside a branch, where it is not known which branch is meant before it has been made."""
    by_kind: dict[str, int] = {}
    for branch in node.branches:
        for kind in branch.kinds():
            by_kind[kind] = by_kind.get(kind, 0) + 1
    for branch in node.branches:
        shared = any(by_kind[kind] > 1 for kind in branch.kinds())
        if branch.coerce or (shared and _converts(branch)):
            raise ContractError(
                f"a conversion inside {keyword} is ambiguous: put x-coerce beside it", place=branch.place
            )


def _converts(node: Node) -> bool:
    return bool(node.coerce) or any(_converts(below) for below in node.children())


def _notes(schema: Mapping[str, object]) -> dict[str, object]:
    return {keyword: schema[keyword] for keyword in _NOTES if keyword in schema}


def _types(schema: Mapping[str, object], place: str) -> tuple[str, ...]:
    if "type" not in schema:
        return ()
    given = schema["type"]
    here = f"{place}/type"
    names = given if isinstance(given, list) else [given]
    if not names:
        raise ContractError("must name at least one type", place=here)
    for name in names:
        if not isinstance(name, str) or name not in TYPES:
            raise ContractError(f"unsupported type {name!r}; there are {', '.join(TYPES)}", place=here)
    if len(set(names)) != len(names):
        raise ContractError("names a type twice", place=here)
    if {"integer", "number"} <= set(names):
        raise ContractError('"number" includes "integer"; name one of them', place=here)
    return tuple(names)


def _fits(schema: Mapping[str, object], place: str, *, types: tuple[str, ...]) -> None:
    """Refuse a keyword that says nothing about the types that may stand here."""
    for keyword, wanted in {**LIMITS, **{name: (kind,) for name, kind in _CONTAINERS.items()}}.items():
        if keyword in schema and not set(wanted) & set(types):
            said = f'"type" is {" or ".join(types)}' if types else '"type" is missing'
            raise ContractError(f"{keyword} is about {' or '.join(wanted)}, but {said}", place=f"{place}/{keyword}")


def _split(node: Node) -> Node:
    """Several types at one place are a choice of one branch a type."""
    branches = tuple(
        Node(
            place=node.place,
            types=(name,),
            limits={keyword: value for keyword, value in node.limits.items() if name in LIMITS[keyword]},
            properties=node.properties if name == "object" else {},
            required=node.required if name == "object" else (),
            additional=node.additional if name == "object" else False,
            items=node.items if name == "array" else None,
        )
        for name in node.types
    )
    return Node(place=node.place, nullable=node.nullable, branches=branches, coerce=node.coerce, notes=node.notes)
