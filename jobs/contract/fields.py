"""The flat fields of a contract as a table that a person can edit, and back.

Flat: one of text, number, whole number, boolean, with limits that have a column. What has no column (a format, a default,
``x-coerce``) stays with its field; what is not flat (objects, lists, choices, references) is not shown and not touched.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from jobs.errors import ContractError
from jobs.values import Value

Scalar = str | int | float | bool | None
_TYPES = ("string", "number", "integer", "boolean")
_COLUMNS = ("minimum", "maximum", "minLength", "maxLength", "pattern", "description")
#: what stays with a field, column or not, as long as its type stays
_KEPT = frozenset(
    (
        "title",
        "default",
        "examples",
        "x-coerce",
        "format",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "$comment",
    )
)
_RANGE = ("minimum", "maximum")
_BY_TYPE = {"string": ("minLength", "maxLength", "pattern"), "number": _RANGE, "integer": _RANGE, "boolean": ()}


class FlatField(Value):
    """One row of the table."""

    name: str
    type: Literal["string", "number", "integer", "boolean"] = "string"
    required: bool = True
    nullable: bool = False
    #: the allowed values without null; empty: not restricted
    enum: tuple[Scalar, ...] = ()
    minimum: int | float | None = None
    maximum: int | float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    description: str = ""


def fields_of(schema: Mapping[str, Any]) -> list[FlatField]:
    """The flat fields of a contract's root, in order."""
    required = schema.get("required", [])
    found = []
    for name, below in schema.get("properties", {}).items():
        kind = _flat_type(below)
        if kind is None:
            continue
        names = below["type"] if isinstance(below["type"], list) else [below["type"]]
        found.append(
            FlatField.model_validate(
                {
                    "name": name,
                    "type": kind,
                    "required": name in required,
                    "nullable": "null" in names,
                    "enum": tuple(value for value in below.get("enum", ()) if value is not None),
                    "minimum": below.get("minimum"),
                    "maximum": below.get("maximum"),
                    "min_length": below.get("minLength"),
                    "max_length": below.get("maxLength"),
                    "pattern": below.get("pattern"),
                    "description": below.get("description", ""),
                }
            )
        )
    return found


def schema_from_fields(
    fields: Sequence[FlatField], base: Mapping[str, Any] | None = None, *, unnamed: bool = False
) -> dict[str, Any]:
    """A schema with exactly these flat fields, and the properties of ``base`` that are not flat, where they were.

    Fields take the order given; new ones come last. With ``unnamed`` one may have the empty name, as a draft has it. Whether the
    schema can be held is for ``Contract.from_schema`` to say.

    Raises:
        ContractError: a name is missing, given twice, or taken by a property that is not flat; a limit does not fit the type.
    """
    made: dict[str, Any] = (
        copy.deepcopy(dict(base)) if base is not None else {"type": "object", "additionalProperties": False}
    )
    before: dict[str, Any] = made.get("properties", {})
    fixed = {name for name, below in before.items() if _flat_type(below) is None}
    seen: set[str] = set()
    for row, one in enumerate(fields, start=1):
        if not one.name.strip() and not unnamed:
            raise ContractError(f"field {row} has no name", place="#/properties")
        if one.name in seen:
            raise ContractError(f"two fields are named {one.name!r}", place=f"#/properties/{one.name}")
        if one.name in fixed:
            raise ContractError(
                f"{one.name!r} is taken by a property that the table cannot show", place=f"#/properties/{one.name}"
            )
        seen.add(one.name)
    rows = iter(fields)
    properties: dict[str, Any] = {}
    for name, below in before.items():
        if name in fixed:
            properties[name] = below
        elif (one_row := next(rows, None)) is not None:
            properties[one_row.name] = _property(one_row, before.get(one_row.name, {}))
    for one in rows:
        properties[one.name] = _property(one, before.get(one.name, {}))
    needed = {one.name for one in fields if one.required} | (fixed & set(made.get("required", [])))
    made["properties"] = properties
    made["required"] = [name for name in properties if name in needed]
    return made


def _flat_type(below: Any) -> str | None:
    """The type of a property that the table can show, else None."""
    if not isinstance(below, Mapping) or not set(below) <= {"type", "enum", *_COLUMNS, *_KEPT}:
        return None
    names = below.get("type")
    names = names if isinstance(names, list) else [names]
    bare = [name for name in names if name != "null"]
    return bare[0] if len(bare) == 1 and bare[0] in _TYPES else None


def _property(one: FlatField, before: Mapping[str, Any]) -> dict[str, Any]:
    place = f"#/properties/{one.name}"
    unchanged = _flat_type(before) == one.type
    made: dict[str, Any] = {"type": [one.type, "null"] if one.nullable else one.type}
    if one.enum:
        made["enum"] = [*one.enum, *([None] if one.nullable else [])]
    given = {
        "minimum": one.minimum,
        "maximum": one.maximum,
        "minLength": one.min_length,
        "maxLength": one.max_length,
        "pattern": one.pattern or None,
    }
    for keyword, value in given.items():
        if value is None:
            continue
        if keyword not in _BY_TYPE[one.type]:
            raise ContractError(f"{keyword} does not apply to {one.type}", place=f"{place}/{keyword}")
        made[keyword] = value
    if one.description:
        made["description"] = one.description
    if unchanged:
        made |= {keyword: copy.deepcopy(value) for keyword, value in before.items() if keyword in _KEPT}
    return made
