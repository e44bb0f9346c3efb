"""The checks of single keywords: what each may hold, and whether it can be kept together with its neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import StringConstraints, TypeAdapter, ValidationError
from pydantic_core import SchemaError

from jobs.contract import checks, words
from jobs.contract.patterns import ascii_classes
from jobs.errors import ContractError

COERCIONS = ("trim", "null", "case", "number", "boolean", "string")
MAX_PATTERN = 1_000

_COUNTS = ("minLength", "maxLength", "minItems", "maxItems")
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_PAIRS = (
    ("minimum", "maximum", False),
    ("minimum", "exclusiveMaximum", True),
    ("exclusiveMinimum", "maximum", True),
    ("exclusiveMinimum", "exclusiveMaximum", True),
    ("minLength", "maxLength", False),
    ("minItems", "maxItems", False),
)


def check_values(
    schema: Mapping[str, object], place: str, *, types: tuple[str, ...], limit: int
) -> tuple[list[object] | None, tuple[str, ...]]:
    """The values that ``enum`` or ``const`` allows (None without either), and the types, inferred where none are named."""
    if "enum" in schema and "const" in schema:
        raise ContractError("enum beside const: keep one of them", place=f"{place}/const")
    if "const" in schema:
        values: object = [schema["const"]]
        here = f"{place}/const"
    elif "enum" in schema:
        values, here = schema["enum"], f"{place}/enum"
    else:
        return None, types
    if not isinstance(values, list) or not values:
        raise ContractError("must be a list of allowed values, not empty", place=here)
    if len(values) > limit:
        raise ContractError(f"has more than {limit:,} values", place=here)
    for index, value in enumerate(values):
        at = here if "const" in schema else f"{here}/{index}"
        if isinstance(value, (dict, list)):
            raise ContractError("an allowed value must be a text, a number, true, false or null", place=at)
        if any(words.same(value, other) for other in values[:index]):
            raise ContractError(f"allows {words.listed([value])} twice", place=at)
        if types and not words.is_a(value, types):
            said = words.types_in_words(types)
            raise ContractError(f"{words.listed([value])} contradicts the type: it must be {said}", place=at)
    if "null" in types and None not in values:
        raise ContractError(
            "the type allows null but the values do not: add null, or take it out of the type", place=here
        )
    return values, types or tuple(dict.fromkeys(words.kind_of(value) for value in values))


def check_limits(
    schema: Mapping[str, object], place: str, *, types: Sequence[str], enum: Sequence[object] | None
) -> dict[str, object]:
    """The limits on length, range, form and number of items, checked against each other and the allowed values."""
    limits: dict[str, object] = {}
    for keyword in (*_COUNTS, *_NUMBERS, "pattern", "format", "uniqueItems"):
        if keyword in schema:
            limits[keyword] = _limit(keyword, schema[keyword], f"{place}/{keyword}")
    for low, high, open_end in _PAIRS:
        if low in limits and high in limits:
            least, most = limits[low], limits[high]
            assert isinstance(least, (int, float)) and isinstance(most, (int, float))
            if least > most or (open_end and least == most):
                raise ContractError(f"nothing is both {low} {least} and {high} {most}", place=f"{place}/{low}")
    for value in enum or ():
        for broken in checks.broken_limits(value, limits):
            raise ContractError(f"the allowed value {words.listed([value])} breaks {broken}", place=f"{place}/{broken}")
    return {} if enum else limits


def _limit(keyword: str, value: object, place: str) -> object:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if keyword in _COUNTS:
        if not number or not words.is_a(value, ["integer"]) or value < 0:  # type: ignore[operator]
            raise ContractError(f"must be a whole number of at least 0, not {words.got(value)}", place=place)
        return int(value)  # type: ignore[call-overload]
    if keyword in _NUMBERS:
        if not number:
            raise ContractError(f"must be a number, not {words.got(value)}", place=place)
        if keyword == "multipleOf" and value <= 0:  # type: ignore[operator]
            raise ContractError("must be greater than 0", place=place)
        return value
    if keyword == "uniqueItems":
        if not isinstance(value, bool):
            raise ContractError("must be true or false", place=place)
        return value
    if not isinstance(value, str):
        raise ContractError(f"must be text, not {words.got(value)}", place=place)
    if keyword == "format" and value not in checks.FORMATS:
        raise ContractError(f"unknown format {value!r}; enforced are {', '.join(checks.FORMATS)}", place=place)
    return value


def check_pattern(pattern: object, place: str, *, values: Sequence[object] = ()) -> None:
    """Refuse a regular expression that cannot be run in linear time (the engine is Rust's ``regex``)."""
    assert isinstance(pattern, str)
    if len(pattern) > MAX_PATTERN:
        raise ContractError(f"is longer than {MAX_PATTERN:,} characters", place=place)
    try:
        adapter: TypeAdapter[str] = TypeAdapter(Annotated[str, StringConstraints(pattern=ascii_classes(pattern))])
    except SchemaError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = next((line.removeprefix("error: ") for line in lines if line.startswith("error: ")), lines[-1])
        raise ContractError(f"cannot be used as a pattern: {reason}", place=place) from error
    for value in values:
        try:
            adapter.validate_python(value if isinstance(value, str) else "", strict=True)
        except ValidationError as error:
            if isinstance(value, str):
                raise ContractError(f"the allowed value {words.listed([value])} breaks it", place=place) from error


def check_coerce(
    schema: Mapping[str, object], place: str, *, kinds: frozenset[str], enum: Sequence[object] | None
) -> frozenset[str]:
    """The conversions allowed at this place; each must be able to change something, in one way only."""
    if "x-coerce" not in schema:
        return frozenset()
    here, given = f"{place}/x-coerce", schema["x-coerce"]
    if not isinstance(given, list):
        raise ContractError(f"must be a list of {', '.join(COERCIONS)}", place=here)
    for index, name in enumerate(given):
        at = f"{here}/{index}"
        if name not in COERCIONS:
            raise ContractError(f"unknown conversion {name!r}; there are {', '.join(COERCIONS)}", place=at)
        _useful(str(name), at, kinds=kinds, enum=enum or ())
    return frozenset(given)


def _useful(name: str, place: str, *, kinds: frozenset[str], enum: Sequence[object]) -> None:
    wanted = {
        "trim": {"string"},
        "null": {"null"},
        "case": {"string"},
        "number": {"integer", "number"},
        "boolean": {"boolean"},
        "string": {"string"},
    }[name]
    if not kinds & wanted:
        raise ContractError(
            f"{name!r} would never apply: {words.types_in_words(sorted(wanted))} is not allowed", place=place
        )
    if name in ("number", "boolean") and "string" in kinds:
        raise ContractError(f"{name!r} is ambiguous: text is allowed here as it is", place=place)
    if name == "string" and kinds & {"integer", "number"}:
        raise ContractError("'string' is ambiguous: a number is allowed here as it is", place=place)
    if name == "case":
        texts = [value.lower() for value in enum if isinstance(value, str)]
        if not texts:
            raise ContractError("'case' needs an enum of texts", place=place)
        if len(set(texts)) != len(texts):
            raise ContractError("'case' is ambiguous: two allowed values differ in case only", place=place)
