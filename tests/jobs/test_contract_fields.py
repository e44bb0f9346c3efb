from __future__ import annotations

import re

import pytest

from jobs.contract import Contract, FlatField, schema_from_fields
from jobs.errors import ContractError
from tests.jobs.test_contract import schema

FLAT = {
    **schema(
        "a",
        "n",
        a={"type": ["string", "null"], "enum": ["x", None], "x-coerce": ["null"], "description": "A"},
        n={"type": "array", "items": {"type": "string"}},
        b={"type": "integer", "minimum": 1, "maximum": 9, "default": 2},
        c={"type": "string", "minLength": 1, "maxLength": 5, "pattern": "c", "format": "date"},
    ),
    "title": "Answer",
}


def test_fields_and_back_are_the_same_contract() -> None:
    """The table of flat fields loses nothing: written back it gives the same schema."""
    contract = Contract.from_schema(FLAT)
    rows = contract.fields()
    assert [row.name for row in rows] == ["a", "b", "c"]
    assert rows[0] == FlatField(name="a", type="string", nullable=True, enum=("x",), description="A")
    assert rows[2].required is False
    assert schema_from_fields(rows, FLAT) == FLAT


def test_fields_can_be_edited() -> None:
    """Fields can be added, dropped, renamed and changed; what the table does not show stays where it was."""
    contract = Contract.from_schema(FLAT)
    a, b, _ = contract.fields()
    made = schema_from_fields(
        [
            b.model_copy(update={"type": "number", "required": True}),
            a,
            FlatField(name="new", type="boolean"),
            FlatField(name="last", max_length=3),
        ],
        FLAT,
    )
    Contract.from_schema(made)
    assert list(made["properties"]) == ["b", "n", "a", "new", "last"]
    assert made["properties"]["n"] == FLAT["properties"]["n"]
    assert made["properties"]["b"] == {"type": "number", "minimum": 1, "maximum": 9}
    assert made["required"] == ["b", "n", "a", "new", "last"]
    assert made["title"] == "Answer"


def test_fields_from_nothing() -> None:
    """A table alone makes a whole contract."""
    made = schema_from_fields(
        [FlatField(name="x", enum=("a", "b")), FlatField(name="y", type="number", required=False)]
    )
    assert made == {
        "type": "object",
        "additionalProperties": False,
        "properties": {"x": {"type": "string", "enum": ["a", "b"]}, "y": {"type": "number"}},
        "required": ["x"],
    }
    Contract.from_schema(made)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([FlatField(name=" ")], "field 1 has no name"),
        ([FlatField(name="x"), FlatField(name="x")], "two fields are named 'x'"),
        ([FlatField(name="n")], "taken by a property"),
        ([FlatField(name="x", type="boolean", maximum=1)], "maximum does not apply to boolean"),
        ([FlatField(name="x", minimum=1)], "minimum does not apply to string"),
        ([FlatField(name="x", pattern="[")], "cannot be used as a pattern"),
        ([FlatField(name="x", type="integer", enum=("a",))], "contradicts the type"),
    ],
)
def test_fields_are_refused_in_plain_words(rows: list[FlatField], words: str) -> None:
    """A table that makes no contract is refused with the field's name."""
    with pytest.raises(ContractError, match=re.escape(words)):
        Contract.from_schema(schema_from_fields(rows, FLAT))
