# ruff: noqa: E501 - a row of a table is a line
from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.contract import Contract
from jobs.errors import ContractError
from tests.jobs.test_contract import one, schema

COERCED: list[tuple[dict[str, Any], Any, Any]] = [
    ({"type": "number", "x-coerce": ["number"]}, "5", 5),
    ({"type": "number", "x-coerce": ["number"]}, "-1,234,567.5", -1234567.5),
    ({"type": "number", "x-coerce": ["number"]}, "+1.5e3", 1500.0),
    ({"type": "number", "x-coerce": ["number"]}, "1,29", "1,29"),
    ({"type": "number", "x-coerce": ["number"]}, "1.299,00", "1.299,00"),
    ({"type": "number", "x-coerce": ["number"]}, "12,34,567", "12,34,567"),
    ({"type": "number", "x-coerce": ["number"]}, "007", "007"),
    ({"type": "number", "x-coerce": ["number"]}, "$5", "$5"),
    ({"type": "number", "x-coerce": ["number"]}, "1e999", "1e999"),
    ({"type": "number", "x-coerce": ["number"]}, "NaN", "NaN"),
    ({"type": "number", "x-coerce": ["number"]}, "٥", "٥"),
    ({"type": "integer", "x-coerce": ["number"]}, "12345678901234567890", 12345678901234567890),
    ({"type": "integer", "x-coerce": ["number"]}, "5.0", 5),
    ({"type": "integer", "x-coerce": ["number"]}, "5.5", "5.5"),
    ({"type": "boolean", "x-coerce": ["boolean"]}, "Yes", True),
    ({"type": "boolean", "x-coerce": ["boolean"]}, "false", False),
    ({"type": "boolean", "x-coerce": ["boolean"]}, "1", "1"),
    ({"type": "boolean", "x-coerce": ["boolean"]}, 1, 1),
    ({"enum": ["New", "Old"], "x-coerce": ["case"]}, "NEW", "New"),
    ({"enum": ["New", "Old"], "x-coerce": ["case"]}, " new", " new"),
    ({"enum": ["New", "Old"], "x-coerce": ["case", "trim"]}, " new", "New"),
    ({"enum": ["New", "Old"], "x-coerce": ["case"]}, "newer", "newer"),
    ({"type": "string", "x-coerce": ["trim"]}, " a b\n", "a b"),
    ({"type": "string", "x-coerce": ["string"]}, 5, "5"),
    ({"type": "string", "x-coerce": ["string"]}, 1.1, 1.1),
    ({"type": "string", "x-coerce": ["string"]}, True, True),
    ({"type": ["string", "null"], "x-coerce": ["null"]}, " n/a ", None),
    ({"type": ["string", "null"], "x-coerce": ["null"]}, "", None),
    ({"type": ["string", "null"], "x-coerce": ["null"]}, "nothing", "nothing"),
    ({"enum": ["none", "some", None], "x-coerce": ["null"]}, "none", "none"),
    ({"anyOf": [{"type": "number"}, {"type": "null"}], "x-coerce": ["number", "null"]}, "7", 7),
    ({"type": "integer", "x-coerce": ["number"]}, "2.00000000000000001", "2.00000000000000001"),
    ({"type": "integer", "x-coerce": ["number"]}, "1e-99999999999999999999", "1e-99999999999999999999"),
    ({"type": "integer", "x-coerce": ["number"]}, "20e-1", 2),
    ({"anyOf": [{"type": "integer", "maximum": 3}, {"type": "number"}], "x-coerce": ["number"]}, "5.5", 5.5),
    ({"enum": ["Straße", "Gasse"], "x-coerce": ["case"]}, "STRASSE", "STRASSE"),
    ({"enum": ["Straße", "Gasse"], "x-coerce": ["case"]}, "straße", "Straße"),
    ({"enum": ["Straße", "Strasse"], "x-coerce": ["case"]}, "STRASSE", "Strasse"),
    ({"enum": ["None", "some", None], "x-coerce": ["null", "case"]}, "none", "none"),
    ({"enum": ["none", "some", None], "x-coerce": ["null"]}, "None", "None"),
    ({"enum": ["none", "some", None], "x-coerce": ["null", "case"]}, "n/a", None),
    ({"enum": ["none", "low", None], "x-coerce": ["null"]}, "none ", "none "),
    ({"enum": ["none", "low", None], "x-coerce": ["null"]}, "None ", "None "),
    ({"enum": ["none", "low", None], "x-coerce": ["null"]}, " NONE", " NONE"),
    ({"enum": ["none", "low", None], "x-coerce": ["null", "trim"]}, " NONE", "NONE"),
    ({"enum": ["none", "low", None], "x-coerce": ["null", "trim", "case"]}, " NONE", "NONE"),
    ({"enum": ["none", "low", None], "x-coerce": ["null"]}, " N/A ", None),
    ({"anyOf": [{"enum": ["none"]}, {"type": "integer"}, {"type": "null"}], "x-coerce": ["null"]}, "none", "none"),
    ({"anyOf": [{"enum": ["none"]}, {"type": "integer"}, {"type": "null"}], "x-coerce": ["null"]}, "None", "None"),
    ({"anyOf": [{"enum": ["none"]}, {"type": "integer"}, {"type": "null"}], "x-coerce": ["null"]}, "n/a", None),
]  # fmt: skip


@pytest.mark.parametrize(("below", "value", "expected"), COERCED)
def test_conversions(below: dict[str, Any], value: Any, expected: Any) -> None:
    """A conversion allowed by name is made where it has one meaning, and said; all else stays as it is."""
    made, paths = one(below).read({"x": value})
    assert made == {"x": expected}
    assert type(made["x"]) is type(expected)
    changed = type(expected) is not type(value) or expected != value
    assert paths == ((("x",),) if changed else ())


def test_conversions_reach_lists_and_objects_and_leave_the_original() -> None:
    """Conversions inside are made on a copy."""
    contract = one({"type": "array", "items": schema(n={"type": "number", "x-coerce": ["number"]})})
    value = {"x": [{"n": "1"}, {"n": 2}, {"n": "x"}]}
    assert contract.read(value) == ({"x": [{"n": 1}, {"n": 2}, {"n": "x"}]}, (("x", 0, "n"),))
    assert value == {"x": [{"n": "1"}, {"n": 2}, {"n": "x"}]}


def test_nothing_is_converted_unasked() -> None:
    """Without x-coerce a text stays a text."""
    assert one({"type": "number"}).read({"x": "5"}) == ({"x": "5"}, ())


def test_allowed_values_that_differ_in_case_only_are_refused_for_conversion() -> None:
    """With two of them a text would have two meanings; a letter that is another one in no case is another letter."""
    with pytest.raises(ContractError, match="differ in case only"):
        one({"enum": ["New", "NEW"], "x-coerce": ["case"]})
    one({"enum": ["Straße", "STRASSE"], "x-coerce": ["case"]})


# -- null for what is left out, in branches of a choice --------------------------------------------------------------------

TEXT, WHOLE, MAYBE = {"type": "string"}, {"type": "integer"}, {"type": ["string", "null"]}
CAT = schema("kind", kind={"const": "cat"}, lives=WHOLE, name=TEXT)
DOG = schema(
    "kind",
    kind={"const": "dog"},
    tricks=TEXT,
    owner={"anyOf": [schema("id", id=TEXT, age=WHOLE), schema("firm", firm=TEXT, age=TEXT)]},
)
PET = {"anyOf": [{"$ref": "#/$defs/cat"}, {"$ref": "#/$defs/dog"}]}

BRANCHES: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "two objects": (PET, {"kind": "cat", "lives": None, "name": None}, {"kind": "cat"}),
    "the other one": (PET, {"kind": "dog", "tricks": None, "owner": None}, {"kind": "dog"}),
    "a choice in a branch": (PET, {"kind": "dog", "tricks": None, "owner": {"firm": "x", "age": None}}, {"kind": "dog", "owner": {"firm": "x"}}),
    "beside a text": ({"anyOf": [*PET["anyOf"], TEXT]}, {"kind": "cat", "lives": None, "name": "x"}, {"kind": "cat", "name": "x"}),
    "a choice as a branch": ({"anyOf": [PET, schema("z", z=TEXT, lives=WHOLE)]}, {"z": "x", "lives": None}, {"z": "x"}),
    "exactly one": ({"oneOf": PET["anyOf"]}, {"kind": "cat", "lives": None, "name": None}, {"kind": "cat"}),
    "lists of a choice": ({"type": "array", "items": PET}, [{"kind": "cat", "lives": None, "name": None}, {"kind": "dog", "tricks": None, "owner": None}], [{"kind": "cat"}, {"kind": "dog"}]),
    "a choice of lists": ({"anyOf": [{"type": "array", "items": CAT}, {"type": "array", "items": DOG}]}, [{"kind": "dog", "tricks": "x", "owner": None}], [{"kind": "dog", "tricks": "x"}]),
    "both branches alike": ({"anyOf": [schema("a", a=TEXT, n=WHOLE), schema("a", a=TEXT, n=TEXT)]}, {"a": "x", "n": None}, {"a": "x"}),
    "whole numbers are written so": (PET, {"kind": "cat", "lives": 9.0, "name": None}, {"kind": "cat", "lives": 9}),
    "null is a value of one branch": ({"anyOf": [schema("a", a=TEXT, n=WHOLE), schema("a", a=TEXT, n=MAYBE)]}, {"a": "x", "n": None}, {"a": "x", "n": None}),
}  # fmt: skip


def choice(below: dict[str, Any]) -> Contract:
    return Contract.from_schema({**schema("x", x=below), "$defs": {"cat": CAT, "dog": DOG}})


@pytest.mark.parametrize(("below", "value", "expected"), BRANCHES.values(), ids=BRANCHES)
def test_nulls_for_absent_in_the_branches_of_a_choice(below: dict[str, Any], value: Any, expected: Any) -> None:
    """A right answer to the strict schema is one to the contract, whichever branch it is of."""
    contract = choice(below)
    jsonschema.validate({"x": value}, contract.strict_schema().schema)
    made, _ = contract.read({"x": value}, nulls_for_absent=True)
    assert repr(made) == repr({"x": expected})
    assert contract.problems(made) == []
    jsonschema.validate(made, contract.schema)


def test_a_choice_that_two_branches_read_differently_is_left_as_it_is() -> None:
    """Which null stands for what cannot be told then, so the answer is refused and no value guessed."""
    contract = choice({"anyOf": [schema("a", a=TEXT, n=WHOLE, m=MAYBE), schema("a", a=TEXT, m=WHOLE, n=MAYBE)]})
    value = {"x": {"a": "x", "n": None, "m": None}}
    assert contract.read(value, nulls_for_absent=True) == (value, ())
    assert [found.rule for found in contract.problems(value)] == ["anyOf"]


def test_a_wrong_branch_is_not_blamed_for_its_nulls() -> None:
    """Where no branch holds, only what the model could have done otherwise is told."""
    contract = choice(PET)
    made, paths = contract.read({"x": {"kind": "cat", "lives": "nine", "name": None}}, nulls_for_absent=True)
    assert paths == (("x", "name"),)
    assert [(found.path, found.rule) for found in contract.problems(made)] == [(("x", "lives"), "type")]


def test_what_one_branch_leaves_is_not_given_to_another() -> None:
    """A null that only a wrong branch lets go is not taken away to make the answer fit a second one."""
    contract = choice({"anyOf": [schema("a", "must", a=TEXT, must=TEXT, n=WHOLE), schema("a", a=TEXT)]})
    value = {"x": {"a": "x", "n": None}}
    assert contract.read(value, nulls_for_absent=True) == (value, ())
    assert contract.problems(value) != []


leaves = st.sampled_from([WHOLE, TEXT, MAYBE, {"type": "boolean"}])
forms = st.recursive(
    leaves,
    lambda below: (
        st.builds(
            lambda named, needed: schema(*sorted(needed & named.keys()), **named),
            st.dictionaries(st.sampled_from("abc"), below, min_size=1, max_size=3),
            st.sets(st.sampled_from("abc")),
        )
        | st.lists(below, min_size=2, max_size=3).map(lambda parts: {"anyOf": parts})
        | below.map(lambda items: {"type": "array", "items": items})
    ),
    max_leaves=6,
)
filled = st.recursive(
    st.none() | st.booleans() | st.sampled_from([1, 5.0, "x"]),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(st.sampled_from("abc"), below, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(forms, st.data())
def test_a_reading_never_makes_a_right_value_wrong(below: dict[str, Any], data: st.DataObject) -> None:
    """Where the contract holds a value as it is written and nothing stands for absent, reading it changes nothing."""
    contract = one(below)
    value = {"x": data.draw(filled)}
    made, paths = contract.read(value)
    assert made == value and paths == ()
    made, _ = contract.read(value, nulls_for_absent=True)
    assert jsonschema.Draft202012Validator(contract.schema).is_valid(made) == (contract.problems(made) == [])
    if contract.problems(value) == []:
        assert contract.problems(made) == []


@pytest.mark.timeout(60)
def test_choices_inside_choices_are_read() -> None:
    """Each level multiplies the ways to read a value; a contract's limits keep their number small."""
    below: dict[str, Any] = schema("a", a=TEXT, n=WHOLE)
    for level in range(5):
        below = {"anyOf": [schema(f"k{level}", n=WHOLE, **{f"k{level}": below}), schema("other", other=below, n=WHOLE)]}
    value: Any = {"a": "x", "n": None}
    for level in range(5):
        value = {f"k{level}": value, "n": None}
    contract = one(below)
    made, paths = contract.read({"x": value}, nulls_for_absent=True)
    assert len(paths) == 6 and contract.problems(made) == []
