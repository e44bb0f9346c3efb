"""A value made by hand: held to the contract as a reply would be, or refused with every problem named."""

from __future__ import annotations

from typing import Any

import pytest

from jobs import errors, review

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "sentiment": {"type": "string", "enum": ["positive", "negative"]},
        "urgency": {"type": "integer", "minimum": 1},
        "tags": {"type": "array", "items": {"type": "string"}},
        "score": {"type": "number"},
    },
    "required": ["sentiment", "urgency"],
}


def test_a_good_value_is_taken() -> None:
    """What satisfies the contract comes back as it is."""
    value = {"sentiment": "positive", "urgency": 2, "tags": ["a"]}
    assert review.held(value, SCHEMA) == value


def test_every_problem_is_named() -> None:
    """The message lists path, rule, expected and got of each problem."""
    with pytest.raises(errors.InputError) as caught:
        review.held({"sentiment": "angry", "tags": ["a", 3]}, SCHEMA)
    lines = caught.value.message.splitlines()
    assert "3 places" in lines[0]
    for start in ("$.sentiment: enum: expected ", "$.urgency: required: expected ", "$.tags[1]: type: expected "):
        assert any(line.startswith(start) and ", got " in line for line in lines[1:]), (start, lines)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"sentiment": "positive", "urgency": 1, "score": float("nan")}, "JSON"),
        ({"sentiment": "positive", "urgency": 1, "score": float("inf")}, "JSON"),
        ({"sentiment": "positive", "urgency": 1, "tags": ["\ud83d"]}, "surrogate"),
        ({"sentiment": "positive", "urgency": 1, "tags": [{1, 2}]}, "JSON"),
    ],
    ids=["nan", "infinity", "surrogate", "set"],
)
def test_what_is_not_json_is_refused(value: dict[str, Any], words: str) -> None:
    """A value that could not be stored and exported is refused before the contract is asked."""
    with pytest.raises(errors.InputError, match=words):
        review.held(value, SCHEMA)
