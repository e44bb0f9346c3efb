# ruff: noqa: E501 - a row of a table is a line
from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.contract import Contract
from jobs.errors import ContractError


def schema(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def one(below: dict[str, Any]) -> Contract:
    return Contract.from_schema(schema("x", x=below))


def rules(contract: Contract, value: object) -> list[tuple[str, str]]:
    return [(".".join(map(str, found.path)), found.rule) for found in contract.problems(value)]


DEEP: dict[str, Any] = {"type": "string"}
for _ in range(40):
    DEEP = {"type": "array", "items": DEEP}
BOMB = {
    "type": "object",
    "properties": {"x": {"$ref": "#/$defs/d9"}},
    "$defs": {"d0": {"type": "string"}}
    | {
        f"d{n}": {"type": "object", "properties": {key: {"$ref": f"#/$defs/d{n - 1}"} for key in "abcd"}}
        for n in range(1, 10)
    },
}
BOTTOMLESS: dict[str, Any] = {}
BOTTOMLESS["a"] = BOTTOMLESS

REFUSED: list[tuple[str, Any, str, str]] = [
    ("a list", [], "#", "a contract is a JSON object"),
    ("root is no object", {"type": "array", "items": {}}, "#", "must be one object"),
    ("root without type", {"properties": {"x": {"type": "string"}}}, "#/properties", '"type" is missing'),
    ("root may be null", {"type": ["object", "null"], "properties": {"x": {"type": "string"}}}, "#", "must be one object"),
    ("root is a choice", {"anyOf": [schema(x={"type": "string"}), schema(y={"type": "string"})]}, "#", "must be one object"),
    ("no properties", {"type": "object"}, "#/properties", "at least one"),
    ("empty properties", {"type": "object", "properties": {}}, "#/properties", "at least one"),
    ("empty object below", schema(x={"type": "object"}), "#/properties/x", "can hold nothing"),
    ("unknown keyword", schema(x={"type": "string", "size": 3}), "#/properties/x/size", "would not be enforced"),
    ("nullable", schema(x={"type": "string", "nullable": True}), "#/properties/x/nullable", '["string", "null"]'),
    ("allOf", schema(x={"allOf": []}), "#/properties/x/allOf", "merge"),
    ("definitions", {**schema(x={"type": "string"}), "definitions": {}}, "#/definitions", "$defs"),
    ("$defs below", schema(x={"type": "string", "$defs": {}}), "#/properties/x/$defs", "root only"),
    ("unsupported type", schema(x={"type": "date"}), "#/properties/x/type", "unsupported type 'date'"),
    ("no type at all in the list", schema(x={"type": []}), "#/properties/x/type", "at least one"),
    ("a type twice", schema(x={"type": ["string", "string"]}), "#/properties/x/type", "twice"),
    ("integer beside number", schema(x={"type": ["integer", "number"]}), "#/properties/x/type", "includes"),
    ("type of another type", schema(x={"type": {"a": 1}}), "#/properties/x/type", "unsupported type"),
    ("a schema that is none", schema(x="string"), "#/properties/x", "must be a schema"),
    ("properties that are none", {"type": "object", "properties": []}, "#/properties", "named schemas"),
    ("required names nothing", schema("y", x={"type": "string"}), "#/required/0", "no property"),
    ("required twice", schema("x", "x", x={"type": "string"}), "#/required/1", "twice"),
    ("required is text", {**schema(x={"type": "string"}), "required": "x"}, "#/required", "list of property names"),
    ("dangling reference", schema(x={"$ref": "#/$defs/no"}), "#/properties/x/$ref", "points at nothing"),
    ("reference elsewhere", schema(x={"$ref": "other.json"}), "#/properties/x/$ref", "must look like"),
    ("reference to the root", schema(x={"$ref": "#"}), "#/properties/x/$ref", "loop"),
    (
        "reference loop",
        {**schema(x={"$ref": "#/$defs/a"}), "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}},
        "#/$defs/a/items/$ref",
        "loop: a -> a",
    ),
    (
        "long reference loop, unused",
        {**schema(x={"type": "string"}), "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        "#/$defs/b/$ref",
        "loop: a -> b -> a",
    ),
    ("keyword beside $ref", {**schema(x={"$ref": "#/$defs/a", "type": "string"}), "$defs": {"a": {"type": "string"}}}, "#/properties/x/type", "beside $ref"),
    ("references that multiply", BOMB, "#/", "too large"),
    ("nested too deep", schema(x=DEEP), "#/", "deeper than 32"),
    ("bottomless", BOTTOMLESS, "#/a/a", "deeper than 200"),
    ("default of another type", schema(x={"type": "integer", "default": "5"}), "#/properties/x/default", "does not validate"),
    ("default out of range", schema(x={"type": "integer", "maximum": 4, "default": 5}), "#/properties/x/default", "at most 4"),
    ("default below a list", schema(x={"type": "array", "items": {"type": "string", "default": 1}}), "#/properties/x/items/default", "does not validate"),
    ("default that breaks inside", schema(x={"type": "array", "items": {"type": "string"}, "default": ["a", 1]}), "#/properties/x/default", "at [1]"),
    ("enum against the type", schema(x={"type": "string", "enum": ["a", 1]}), "#/properties/x/enum/1", "contradicts the type"),
    ("true in an enum of integers", schema(x={"type": "integer", "enum": [1, True]}), "#/properties/x/enum/1", "contradicts"),
    ("const against the type", schema(x={"type": "string", "const": 1}), "#/properties/x/const", "contradicts"),
    ("empty enum", schema(x={"enum": []}), "#/properties/x/enum", "not empty"),
    ("enum twice the same", schema(x={"enum": [1, 1.0]}), "#/properties/x/enum/1", "twice"),
    ("enum of lists", schema(x={"enum": [[1]]}), "#/properties/x/enum/0", "must be a text"),
    ("enum beside const", schema(x={"enum": ["a"], "const": "a"}), "#/properties/x/const", "beside"),
    ("huge enum", schema(x={"enum": list(range(1001))}), "#/properties/x/enum", "more than 1,000"),
    ("type null, enum not", schema(x={"type": ["string", "null"], "enum": ["a"]}), "#/properties/x/enum", "add null"),
    ("enum breaks a limit", schema(x={"type": "integer", "enum": [1, 7], "maximum": 5}), "#/properties/x/maximum", "breaks maximum"),
    ("enum breaks the pattern", schema(x={"type": "string", "enum": ["a", "7"], "pattern": "^[a-z]$"}), "#/properties/x/pattern", "breaks it"),
    ("bad pattern", schema(x={"type": "string", "pattern": "["}), "#/properties/x/pattern", "unclosed character class"),
    ("look-ahead", schema(x={"type": "string", "pattern": "(?=a)"}), "#/properties/x/pattern", "look-around"),
    ("pattern without type", schema(x={"pattern": "a"}), "#/properties/x/pattern", '"type" is missing'),
    ("unknown format", schema(x={"type": "string", "format": "ipv4"}), "#/properties/x/format", "unknown format"),
    ("minimum above maximum", schema(x={"type": "number", "minimum": 5, "maximum": 4}), "#/properties/x/minimum", "nothing is both"),
    ("open range of nothing", schema(x={"type": "number", "exclusiveMinimum": 5, "maximum": 5}), "#/properties/x/exclusiveMinimum", "nothing is both"),
    ("minLength above maxLength", schema(x={"type": "string", "minLength": 5, "maxLength": 4}), "#/properties/x/minLength", "nothing is both"),
    ("negative length", schema(x={"type": "string", "minLength": -1}), "#/properties/x/minLength", "at least 0"),
    ("minimum as text", schema(x={"type": "number", "minimum": "1"}), "#/properties/x/minimum", "must be a number"),
    ("minimum as in draft 4", schema(x={"type": "number", "exclusiveMinimum": True}), "#/properties/x/exclusiveMinimum", "must be a number"),
    ("multiple of 0", schema(x={"type": "number", "multipleOf": 0}), "#/properties/x/multipleOf", "greater than 0"),
    ("limit for another type", schema(x={"type": "integer", "maxLength": 3}), "#/properties/x/maxLength", "is about string"),
    ("items of a text", schema(x={"type": "string", "items": {}}), "#/properties/x/items", "is about array"),
    ("empty anyOf", schema(x={"anyOf": []}), "#/properties/x/anyOf", "not empty"),
    ("keyword beside anyOf", schema(x={"anyOf": [{"type": "string"}], "maxLength": 2}), "#/properties/x/maxLength", "move it inside"),
    ("two nulls in oneOf", schema(x={"oneOf": [{"type": ["string", "null"]}, {"type": "null"}]}), "#/properties/x/oneOf", "never satisfies"),
    ("unknown conversion", schema(x={"type": "string", "x-coerce": ["upper"]}), "#/properties/x/x-coerce/0", "unknown conversion"),
    ("conversion that is no list", schema(x={"type": "string", "x-coerce": "trim"}), "#/properties/x/x-coerce", "must be a list"),
    ("number where text is allowed", schema(x={"type": ["string", "number"], "x-coerce": ["number"]}), "#/properties/x/x-coerce/0", "ambiguous"),
    ("null where it is not allowed", schema(x={"type": "string", "x-coerce": ["null"]}), "#/properties/x/x-coerce/0", "never apply"),
    ("case without enum", schema(x={"type": "string", "x-coerce": ["case"]}), "#/properties/x/x-coerce/0", "needs an enum"),
    ("case with twins", schema(x={"enum": ["a", "A"], "x-coerce": ["case"]}), "#/properties/x/x-coerce/0", "differ in case"),
    (
        "conversion inside a choice",
        schema(x={"anyOf": [{"type": "number", "x-coerce": ["number"]}, {"type": "boolean"}]}),
        "#/properties/x/anyOf/0",
        "put x-coerce beside it",
    ),
    ("not JSON", schema(x={"type": "number", "minimum": float("nan")}), "#/properties/x/minimum", "NaN"),
    ("a set", schema(x={"enum": {1}}), "#/properties/x/enum", "set is not a JSON value"),
    ("a lone surrogate", schema(**{"\ud800": {"type": "string"}}), "#/properties", "surrogate"),
    ("title that is no text", schema(x={"type": "string", "title": 5}), "#/properties/x/title", "must be text"),
    ("a slash in a name", schema(**{"a/b~c": {"type": "no"}}), "#/properties/a~1b~0c/type", "unsupported"),
]  # fmt: skip


@pytest.mark.parametrize(("given_", "place", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refuses_what_cannot_be_held(given_: Any, place: str, words: str) -> None:
    """A contract that cannot be held is refused when it is saved, with the place and the reason."""
    with pytest.raises(ContractError) as caught:
        Contract.from_schema(given_)
    assert caught.value.place.startswith(place)
    assert words in caught.value.message


PROBLEMS: list[tuple[dict[str, Any], Any, list[tuple[str, str]]]] = [
    ({"type": "string"}, "a", []),
    ({"type": "string"}, None, [("x", "type")]),
    ({"type": "string"}, 5, [("x", "type")]),
    ({"type": ["string", "null"]}, None, []),
    ({"type": "string", "minLength": 2}, "é", [("x", "minLength")]),
    ({"type": "string", "maxLength": 2}, "😀😀", []),
    ({"type": "string", "pattern": "b"}, "abc", []),
    ({"type": "string", "pattern": "^b$"}, "b\n", [("x", "pattern")]),
    ({"type": "string", "format": "date"}, "2024-02-29", []),
    ({"type": "string", "format": "date"}, "2023-02-29", [("x", "format")]),
    ({"type": "string", "format": "date"}, "20230228", [("x", "format")]),
    ({"type": "string", "format": "date-time"}, "2026-01-02T03:04:05.6+02:00", []),
    ({"type": "string", "format": "date-time"}, "2026-01-02T03:04:05", [("x", "format")]),
    ({"type": "string", "format": "date-time"}, "2026-01-02T25:04:05Z", [("x", "format")]),
    ({"type": "string", "format": "email"}, "a.b+c@example.co.uk", []),
    ({"type": "string", "format": "email"}, "a@b", [("x", "format")]),
    ({"type": "string", "format": "email"}, "a b@example.com", [("x", "format")]),
    ({"type": "string", "format": "uri"}, "https://example.com/a?b=c#d", []),
    ({"type": "string", "format": "uri"}, "mailto:a@example.com", []),
    ({"type": "string", "format": "uri"}, "example.com", [("x", "format")]),
    ({"type": "string", "format": "uri"}, "https://", [("x", "format")]),
    ({"type": "string", "format": "uri"}, "https://a b", [("x", "format")]),
    ({"type": "string", "format": "uuid"}, "123e4567-e89b-12d3-a456-426614174000", []),
    ({"type": "string", "format": "uuid"}, "123e4567e89b12d3a456426614174000", [("x", "format")]),
    ({"type": "integer"}, 5.0, []),
    ({"type": "integer"}, 5.5, [("x", "type")]),
    ({"type": "integer"}, True, [("x", "type")]),
    ({"type": "number"}, False, [("x", "type")]),
    ({"type": "number"}, "5", [("x", "type")]),
    ({"type": "number"}, float("nan"), [("x", "not_finite")]),
    ({"type": "boolean"}, 1, [("x", "type")]),
    ({"type": "integer", "maximum": 12345678901234567890}, 12345678901234567891, [("x", "maximum")]),
    ({"type": "integer", "minimum": 12345678901234567890}, 12345678901234567890, []),
    ({"type": "number", "exclusiveMaximum": 1}, 1, [("x", "exclusiveMaximum")]),
    ({"type": "number", "exclusiveMinimum": 1}, 1, [("x", "exclusiveMinimum")]),
    ({"type": "number", "multipleOf": 0.1}, 0.3, []),
    ({"type": "number", "multipleOf": 0.1}, 0.35, [("x", "multipleOf")]),
    ({"type": "integer", "multipleOf": 3}, 10**30 + 2, []),
    ({"enum": ["a", 1, None]}, None, []),
    ({"enum": ["a", 1, None]}, 1.0, []),
    ({"enum": ["a", 1]}, True, [("x", "type")]),
    ({"enum": ["a", 1]}, "b", [("x", "enum")]),
    ({"type": "string", "enum": ["a"]}, 1, [("x", "type")]),
    ({"const": "a"}, "b", [("x", "const")]),
    ({"const": True}, 1, [("x", "type")]),
    ({"type": "null"}, None, []),
    ({"type": "null"}, 0, [("x", "type")]),
    ({}, {"any": [1]}, []),
    ({"type": "array", "items": {"type": "string"}}, ["a", 1, "b", None], [("x.1", "type"), ("x.3", "type")]),
    ({"type": "array", "items": {}, "minItems": 1}, [], [("x", "minItems")]),
    ({"type": "array", "maxItems": 1}, [1, 2], [("x", "maxItems")]),
    ({"type": "array", "uniqueItems": True}, [1, True, "1", None], []),
    ({"type": "array", "uniqueItems": True}, [{"a": 1, "b": 2}, {"b": 2, "a": 1.0}], [("x", "uniqueItems")]),
    ({"type": "array"}, "a", [("x", "type")]),
    ({"type": "object", "additionalProperties": True}, {"a": 1}, []),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, {"a": 1, "b": "c"}, [("x.b", "type")]),
    ({"type": "object", "properties": {"a": {"type": "string"}}}, {"b": 1}, [("x.b", "additionalProperties")]),
    ({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "integer"}}, {"a": 1, "b": "c"}, [("x.a", "type"), ("x.b", "type")]),
    ({"type": ["string", "integer"], "minimum": 3, "maxLength": 2}, 2, [("x", "minimum")]),
    ({"type": ["string", "integer"], "minimum": 3, "maxLength": 2}, "abc", [("x", "maxLength")]),
    ({"type": ["string", "integer"]}, 2.5, [("x", "type")]),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, None, []),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, 1, [("x", "type")]),
    ({"anyOf": [{"type": "integer", "maximum": 3}, {"type": "integer", "minimum": 10}]}, 5, [("x", "anyOf")]),
    ({"oneOf": [{"type": "integer", "maximum": 10}, {"type": "integer", "minimum": 3}]}, 5, [("x", "oneOf")]),
    ({"oneOf": [{"type": "integer", "maximum": 10}, {"type": "integer", "minimum": 3}]}, 2, []),
    ({"anyOf": [schema("k", "v", k={"const": "a"}, v={"type": "integer"}), schema("k", "v", k={"const": "b"}, v={"type": "string"})]}, {"k": "b", "v": 1}, [("x.v", "type")]),
]  # fmt: skip


@pytest.mark.parametrize(("below", "value", "expected"), PROBLEMS)
def test_problems(below: dict[str, Any], value: Any, expected: list[tuple[str, str]]) -> None:
    """Each broken keyword is named once, at its place."""
    assert rules(one(below), {"x": value}) == expected


def test_problems_in_the_contract_s_order() -> None:
    """Problems follow the properties of the contract, extra keys come behind, a missing key has its own path."""
    contract = Contract.from_schema(
        schema("c", "a", a={"type": "string"}, b={"type": "integer"}, c=schema("d", d={"type": "string"}))
    )
    assert rules(contract, {"z": 1, "c": {}, "b": "x"}) == [
        ("a", "required"),
        ("b", "type"),
        ("c.d", "required"),
        ("z", "additionalProperties"),
    ]


def test_expected_and_got_are_in_plain_words() -> None:
    """A finding says what was expected and what came, without Python's names."""
    contract = Contract.from_schema(
        schema("a", "b", a={"type": ["number", "null"]}, b={"enum": ["x", "y"]}, c={"type": "array", "maxItems": 1})
    )
    found = contract.problems({"a": "5", "b": "X", "c": [1, 2]})
    assert [(each.expected, each.got) for each in found] == [
        ("a number or null", 'number as text: "5"'),
        ('one of "x", "y"', 'other case: "X"'),
        ("at most 1 items", "list: 2 items"),
    ]


NAMES = ["class", "_x", "copy", "json", "model_config", "model_fields", "field_1", "", "a b", "ü", "schema", "self", "__init__", "1a", "None", "__pydantic_extra__", "dict"]  # fmt: skip


def test_any_property_name_works() -> None:
    """Names that Python or Pydantic keep for themselves are names like any other."""
    contract = Contract.from_schema(schema(*NAMES, **{name: {"type": "integer"} for name in NAMES}))
    assert contract.problems(dict.fromkeys(NAMES, 1)) == []
    assert [found.path for found in contract.problems(dict.fromkeys(NAMES, "x"))] == [(name,) for name in NAMES]
    assert [found.rule for found in contract.problems({})] == ["required"] * len(NAMES)
    instance = contract.model.model_validate(dict.fromkeys(NAMES, 1))
    assert instance.model_dump(by_alias=True) == dict.fromkeys(NAMES, 1)


def test_references_are_followed() -> None:
    """A definition can be used at several places, with notes of its own at each."""
    contract = Contract.from_schema(
        {
            **schema(
                "a", a={"$ref": "#/$defs/P"}, b={"type": "array", "items": {"$ref": "#/$defs/P", "description": "x"}}
            ),
            "$defs": {"P": schema("n", n={"$ref": "#/$defs/N"}), "N": {"type": "integer", "minimum": 1}},
            "$schema": "https://json-schema.org/draft/2020-12/schema",
        }
    )
    assert rules(contract, {"a": {"n": 0}, "b": [{"n": 1}, {}]}) == [("a.n", "minimum"), ("b.1.n", "required")]


def test_schema_is_given_back_as_it_was_and_cannot_be_changed() -> None:
    """The original is a copy each time."""
    given_ = schema(x={"type": "string", "title": "X"})
    contract = Contract.from_schema(given_)
    given_["properties"]["x"]["title"] = "Y"
    contract.schema["properties"].clear()
    assert contract.schema["properties"] == {"x": {"type": "string", "title": "X"}}


def test_defaults_are_never_filled_in() -> None:
    """A default is a note: a value that the reply does not hold is not invented."""
    contract = Contract.from_schema(schema(x={"type": "integer", "default": 3}, y={"type": "string"}))
    assert contract.read({"y": "a"}) == ({"y": "a"}, ())


def test_strict_schema() -> None:
    """The strict form requires everything, turns optional into nullable, and lists what it cannot say."""
    contract = Contract.from_schema(
        {
            **schema(
                "a",
                a={"type": "string", "minLength": 1, "pattern": "a", "x-coerce": ["trim"], "description": "A"},
                b={"enum": ["x", "y"], "default": "x"},
                c={"$ref": "#/$defs/C"},
                d={"oneOf": [{"type": "integer"}, {"type": "boolean"}]},
            ),
            "$defs": {"C": schema(n={"const": 1})},
        }
    )
    strict = contract.strict_schema()
    nullable_c = {"type": ["object", "null"], "properties": {"n": {"type": ["integer", "null"], "enum": [1, None]}}}
    assert strict.schema == {
        "type": "object",
        "properties": {
            "a": {"type": "string", "pattern": "a", "description": "A"},
            "b": {"type": ["string", "null"], "enum": ["x", "y", None]},
            "c": {**nullable_c, "required": ["n"], "additionalProperties": False},
            "d": {"anyOf": [{"type": "integer"}, {"type": "boolean"}, {"type": "null"}]},
        },
        "required": ["a", "b", "c", "d"],
        "additionalProperties": False,
    }
    assert strict.lost == ("#/properties/a: minLength", "#/properties/d: oneOf is sent as anyOf")
    assert strict.usable
    answer = {"a": "a", "b": None, "c": {"n": None}, "d": None}
    jsonschema.validate(answer, strict.schema)
    assert contract.read(answer, nulls_for_absent=True) == (
        {"a": "a", "c": {}},
        (("b",), ("c", "n"), ("d",)),
    )


def test_strict_schema_says_when_it_cannot_be_used() -> None:
    """Any value and any keys have no strict form."""
    assert not Contract.from_schema(schema(x={})).strict_schema().usable
    assert not one({"type": "object", "additionalProperties": {"type": "string"}}).strict_schema().usable


# -- held against another implementation -----------------------------------------------------------------------------------

scalars: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-5, 12)
    | st.sampled_from([0.5, 1.5, 2.0, 10**20])
    | st.text("ab1", max_size=3)
)
values = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from("abc"), below, max_size=3),
    max_leaves=6,
)


def numbers(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"type": st.just(kind)},
        optional={
            "minimum": st.integers(-3, 2),
            "exclusiveMaximum": st.integers(3, 9),
            "multipleOf": st.sampled_from([1, 2, 3]),
        },
    )


strings = st.fixed_dictionaries(
    {"type": st.sampled_from(["string", ["string", "null"]])},
    optional={
        "minLength": st.integers(0, 2),
        "maxLength": st.integers(2, 3),
        "pattern": st.sampled_from(["a", "^b", "1$"]),
    },
)
enums = st.lists(
    st.none() | st.booleans() | st.integers(3, 5) | st.text("ab", max_size=2), min_size=1, max_size=3, unique_by=repr
)
leaves = (
    strings
    | numbers("integer")
    | numbers("number")
    | enums.map(lambda found: {"enum": found})
    | st.just({"type": "boolean"})
)


def objects(below: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    extra = st.just(True) | below
    named = st.dictionaries(st.sampled_from("abc"), below, min_size=1, max_size=3)
    made = st.tuples(named, st.sets(st.sampled_from("abc")), st.none() | extra)
    return made.map(
        lambda parts: {
            "type": "object",
            "properties": parts[0],
            "required": sorted(parts[1] & parts[0].keys()),
            "additionalProperties": parts[2] or False,
        }
    )


schemas = st.recursive(
    leaves,
    lambda below: (
        objects(below)
        | st.fixed_dictionaries(
            {"type": st.just("array"), "items": below},
            optional={"minItems": st.integers(0, 1), "maxItems": st.integers(1, 3), "uniqueItems": st.booleans()},
        )
        | st.lists(below, min_size=1, max_size=3).map(lambda parts: {"anyOf": parts})
        | st.lists(below, min_size=1, max_size=2).map(lambda parts: {"oneOf": parts})
    ),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(objects(schemas), st.dictionaries(st.sampled_from("abc"), values, max_size=3) | values)
def test_agrees_with_another_validator(given_: dict[str, Any], value: Any) -> None:
    """A contract accepts exactly what an independent JSON Schema validator accepts; its strict form accepts no less."""
    try:
        contract = Contract.from_schema(given_)
    except ContractError:
        return
    valid = jsonschema.Draft202012Validator(given_).is_valid(value)
    found = contract.problems(value)
    assert (not found) == valid, (found, json.dumps(given_), value)
    assert Contract.from_schema(contract.schema).problems(value) == found
    for each in found:
        assert each.rule and each.expected and each.got and len(each.got) <= 80
    contract.strict_schema()


@pytest.mark.parametrize(
    ("pattern", "text", "holds"),
    [
        (r"^\d{3}$", "123", True),
        (r"^\d{3}$", "١٢٣", False),
        (r"^[\d.]+$", "1.5", True),
        (r"^[\d.]+$", "١.٥", False),
        (r"^[^\d]$", "١", True),
        (r"^\D$", "١", True),
        (r"^\w+$", "é", False),
        (r"^[\W]$", "é", True),
        (r"\bart", "éart", True),
        (r"^a\sb$", "a\u00a0b", True),
        (r"^\\d$", "\\d", True),
        (r"^é$", "é", True),
    ],
)
def test_classes_of_a_pattern_are_those_of_json_schema(pattern: str, text: str, holds: bool) -> None:
    """Digits, letters and borders of words are of ASCII, as in ECMA-262; white space is of Unicode."""
    contract = Contract.from_schema({"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}})

    assert (contract.problems({"a": text}) == []) is holds
