"""The Pydantic model of a contract, made with ``create_model``: no source is generated, so no schema can become code.

Strict: nothing is converted. Text, lists and objects are Pydantic's own; numbers, allowed values, formats and choices are
checked by functions that raise the JSON Schema keyword as the error's type, since Pydantic's are not exact there (``1`` and
``true``, integers beyond 64 bits, ``5.0`` for an integer).
"""

from __future__ import annotations

import keyword as python_keywords
from collections.abc import Callable, Mapping
from types import new_class
from typing import Annotated, Any, Literal, Optional, Union

from annotated_types import MaxLen, MinLen
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    StrictBool,
    StringConstraints,
    Tag,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic_core import PydanticCustomError, SchemaError

from jobs.contract import checks, choices, words
from jobs.contract.nodes import Node
from jobs.contract.patterns import ascii_classes
from jobs.errors import ContractError

#: the tag of a value that satisfies several branches of a ``oneOf``
SEVERAL = "several"

_Check = Callable[[Any], Any]


def make(root: Node) -> type[BaseModel]:
    """The model of a whole contract.

    Raises:
        ContractError: Pydantic cannot build it.
    """
    try:
        return _model(root, "Answer")
    except SchemaError as error:
        raise ContractError(f"cannot be built: {str(error).splitlines()[0]}", place=root.place) from error


def annotation(node: Node) -> Any:
    """The type that holds a value to one node."""
    bare = _bare(node)
    return Optional[bare] if node.nullable else bare  # noqa: UP045 - ``bare`` is no class, ``|`` would not take it


def _bare(node: Node) -> Any:
    if node.enum is not None:
        return Annotated[Any, PlainValidator(_one_of(node))]
    if node.branches:
        return _choice(node)
    if not node.types:
        return Any
    (kind,) = node.types
    if kind in ("integer", "number"):
        return Annotated[Any, PlainValidator(_number(node, kind))]
    if kind == "string":
        return _text(node)
    if kind == "array":
        return _list(node)
    if kind == "object":
        return _object(node)
    return StrictBool if kind == "boolean" else None


def _text(node: Node) -> Any:
    limits = node.limits
    constraints = StringConstraints(
        strict=True,
        min_length=_count(limits, "minLength"),
        max_length=_count(limits, "maxLength"),
        pattern=ascii_classes(str(limits["pattern"])) if "pattern" in limits else None,
    )
    if "format" not in limits:
        return Annotated[str, constraints]
    holds = checks.FORMATS[str(limits["format"])]

    def check(value: str) -> str:
        if not holds(value):
            raise PydanticCustomError("format", "wrong format")
        return value

    return Annotated[str, constraints, AfterValidator(check)]


def _count(limits: Mapping[str, object], keyword: str) -> int | None:
    value = limits.get(keyword)
    return value if isinstance(value, int) else None


def _list(node: Node) -> Any:
    made: Any = list[annotation(node.items)] if node.items else list[Any]  # type: ignore[misc]
    limits = node.limits
    least, most = _count(limits, "minItems"), _count(limits, "maxItems")
    if least is not None:
        made = Annotated[made, MinLen(least)]
    if most is not None:
        made = Annotated[made, MaxLen(most)]
    if limits.get("uniqueItems"):

        def check(value: list[Any]) -> list[Any]:
            if checks.has_twins(value):
                raise PydanticCustomError("uniqueItems", "an item stands twice")
            return value

        made = Annotated[made, AfterValidator(check)]
    return made


def _object(node: Node) -> Any:
    if node.properties:
        return _model(node, "Part")
    if isinstance(node.additional, Node):
        return dict[str, annotation(node.additional)]  # type: ignore[misc]
    return dict[str, Any]


def _model(node: Node, name: str) -> type[BaseModel]:
    config = ConfigDict(
        strict=True,
        extra="allow" if node.additional else "forbid",
        frozen=True,
        protected_namespaces=(),
        title=name,
    )
    body: dict[str, Any] = {"__module__": __name__, "model_config": config}
    if isinstance(node.additional, Node):
        body["__annotations__"] = {"__pydantic_extra__": dict[str, annotation(node.additional)]}  # type: ignore[misc]
    base = new_class(name, (BaseModel,), {}, lambda namespace: namespace.update(body))
    fields: dict[str, Any] = {}
    for index, (key, below) in enumerate(node.properties.items()):
        attribute = key if _is_attribute(key, fields) else f"field_{index}"
        while attribute in fields or (attribute != key and attribute in node.properties):
            attribute += "_"
        default: Any = ... if key in node.required else below.notes.get("default")
        description = str(below.notes["description"]) if "description" in below.notes else None
        fields[attribute] = (
            annotation(below),
            Field(default, validation_alias=key, serialization_alias=key, description=description),
        )
    return create_model(name, __base__=base, **fields)


def _is_attribute(key: str, taken: Mapping[str, object]) -> bool:
    plain = key.isascii() and key.isidentifier() and not python_keywords.iskeyword(key)
    return plain and not key.startswith("_") and not hasattr(BaseModel, key) and key not in taken


def _number(node: Node, kind: str) -> _Check:
    limits = node.limits

    def check(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise PydanticCustomError("type", "not a number")
        if value != value or value in (float("inf"), float("-inf")):
            raise PydanticCustomError("not_finite", "not a finite number")
        if kind == "integer" and isinstance(value, float) and not value.is_integer():
            raise PydanticCustomError("type", "not a whole number")
        broken = checks.broken_range(value, limits) if limits else None
        if broken:
            raise PydanticCustomError(broken, "out of range")
        return value

    return check


def _one_of(node: Node) -> _Check:
    allowed = node.enum or ()
    texts = frozenset(value for value in allowed if isinstance(value, str))
    rule: Literal["const", "enum"] = "const" if node.is_const else "enum"

    def check(value: Any) -> Any:
        if isinstance(value, str):
            if value in texts:
                return value
        elif any(words.same(value, other) for other in allowed):
            return value
        raise PydanticCustomError(rule if words.is_a(value, node.types) else "type", "not allowed")

    return check


def _choice(node: Node) -> Any:
    """A choice: the branch is picked first, so that problems are told about the branch that was meant."""
    made = [annotation(branch) for branch in node.branches]
    adapters: list[TypeAdapter[Any]] = [TypeAdapter(each) for each in made]

    def pick(value: Any) -> str | None:
        fitting = [index for index, adapter in enumerate(adapters) if holds(adapter, value)]
        if fitting:
            return SEVERAL if node.exactly_one and len(fitting) > 1 else str(fitting[0])
        meant = choices.meant(node.branches, value)
        return None if meant is None else str(meant)

    tagged = tuple(Annotated[each, Tag(str(index))] for index, each in enumerate(made))
    return Annotated[Union[tagged], Discriminator(pick)]  # noqa: UP007 - a tuple of types


def holds(adapter: TypeAdapter[Any], value: Any) -> bool:
    """Whether a value is what an annotation says."""
    try:
        adapter.validate_python(value)
    except ValidationError:
        return False
    return True
