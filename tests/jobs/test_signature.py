# ruff: noqa: E501 - a row of a table is a line
from __future__ import annotations

import pytest

from jobs.contract import Contract
from jobs.judge import judge
from jobs.signature import failure_signature, leading, signature, title
from jobs.values import Problem
from tests.jobs.malformations import SCHEMA

CONTRACT = Contract.from_schema(SCHEMA)


def problem(rule: str, path: str = "$.x", got: str = "nothing", expected: str = "text") -> Problem:
    return Problem(path=path, rule=rule, expected=expected, got=got)


def test_leading_problem() -> None:
    """Text rules lead, then what is missing, then types, then values, then extra keys; among equals the contract's order."""
    order = ["cut", "not_json", "duplicate_key", "required", "type", "enum", "additionalProperties"]
    problems = [problem(rule) for rule in reversed(order)]
    for rule in order:
        assert leading(problems).rule == rule
        problems.pop()
    twins = [problem("enum", "$.b"), problem("maximum", "$.a"), problem("enum", "$.c")]
    assert leading(twins).path == "$.b"


@pytest.mark.parametrize(
    ("problems", "expected", "words"),
    [
        ([problem("required", "$.sentiment")], "s1|required|$.sentiment|", "`sentiment` is missing"),
        ([problem("type", "$.price", 'number as text: "5"', "a number")], "s1|type|$.price|number as text>a number", "`price` is text, must be a number"),
        ([problem("type", "$.a[12].b", "null")], "s1|type|$.a[*].b|null>text", "`a[*].b` is null, must be text"),
        ([problem("type", "$", "list: 1 items", "an object")], "s1|type|$|list>an object", "reply is a list, must be an object"),
        ([problem("enum", "$.x", 'other case: "A"')], "s1|enum|$.x|other case", "`x` is not one of the allowed values (other case)"),
        ([problem("enum", '$["a[0] | b"][3]', 'text: "a"')], 's1|enum|$["a[0] | b"][*]|text', '`["a[0] | b"][*]` is not one of the allowed values'),
        ([problem("maximum", "$.x", "number: 7")], "s1|maximum|$.x|number", "`x` is too large"),
        ([problem("additionalProperties", "$.note", 'text: "a"')], "s1|additionalProperties|$.note|", "`note` is not in the contract"),
        ([problem("not_json", "$", "prose around a fenced block: So")], "s1|not_json|$|prose around a fenced block", "reply is not JSON: prose around a fenced block"),
        ([problem("cut", "$", "max_tokens: abc")], "s1|cut|$|max_tokens", "reply was cut off at max_tokens"),
        ([problem("cut", "$", "object: {")], "s1|cut|$|object", "reply was cut off inside an object"),
        ([problem("empty", "$")], "s1|empty|$|nothing", "reply is empty"),
        ([problem("refusal", "$", "refused: no")], "s1|refusal|$|", "the model refused"),
    ],
)  # fmt: skip
def test_signature_and_title(problems: list[Problem], expected: str, words: str) -> None:
    """A signature is canonical and has a title in plain words."""
    assert signature(problems) == expected
    assert title(expected) == words


@pytest.mark.parametrize(
    ("kind", "detail", "expected", "words"),
    [
        ("unreachable", "timeout", "s1|unreachable||timeout", "the endpoint could not be reached (timeout)"),
        ("unreachable", "HTTP 503", "s1|unreachable||HTTP #", "the endpoint could not be reached (HTTP #)"),
        ("too_long", "", "s1|too_long||", "the prompt does not fit the model"),
        ("internal", "ValueError", "s1|internal||ValueError", "an error of Redrive's own (ValueError)"),
        ("internal", "a | b\n at 0x7f3a", "s1|internal||a / b at #", "an error of Redrive's own (a / b at #)"),
    ],
)
def test_deaths_without_a_reply(kind: str, detail: str, expected: str, words: str) -> None:
    """A death that no reply had a part in has a signature as well, without numbers that would split a group."""
    assert failure_signature(kind, detail) == expected
    assert title(expected) == words


@pytest.mark.parametrize("odd", ["", "s1", "s1|", "s2|required|$.x|", "text", "s1|new_rule|$.x|"])
def test_title_of_what_it_does_not_know(odd: str) -> None:
    """An unknown signature is never an error."""
    assert isinstance(title(odd), str)


ONE_CAUSE = [
    ['{"sentiment": "Positive"}', '{"sentiment": "NEUTRAL"}', '```json\n{"sentiment": "Negative"}\n```'],
    ['{"sentiment": "positive", "tags": ["a", 1]}', '{"sentiment": "neutral", "tags": [2, "b", 3]}'],
    ["I think it is positive.", "Negative, since the customer is angry."],
    ['{"sentiment": "positive", "score": "5"}', '{"sentiment": "neutral", "score": "99.5"}'],
    ['{"sentiment": "positive", "summary": "abc', '{"sentiment": "neutral", "summary": "something longer'],
    ['{"sentiment": positive}', '{"sentiment": neutral}'],
]


@pytest.mark.parametrize("replies", ONE_CAUSE)
def test_one_cause_is_one_group(replies: list[str]) -> None:
    """Replies that fail for the same reason with different values share a signature."""
    assert len({judge(raw, CONTRACT).signature for raw in replies}) == 1
