from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.contract import Contract
from jobs.judge import complaint, judge
from jobs.reply import strict
from jobs.signature import title
from jobs.values import Problem, Verdict
from tests.jobs.malformations import ACCEPTED, OK, REJECTED, SCHEMA, Accepted, Rejected

CONTRACT = Contract.from_schema(SCHEMA)
OPEN = Contract.from_schema({
    "type": "object",
    "properties": {"a": {}, "sentiment": {"type": "string"}},
    "additionalProperties": True,
})  # fmt: skip

texts = st.text(st.characters(exclude_categories=("Cs",)))
keys = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(keys, below, max_size=4),
    max_leaves=12,
)
answers = st.dictionaries(keys, json_values, max_size=4)
broken_text = st.text(st.sampled_from("{}[]:,\"'\\/ \n\tabtruefalsn0123.-+eE“”`<>#*"), max_size=60)


def wrapped(value: object, wrap: str) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return {
        "plain": text,
        "fence": f"```json\n{text}\n```",
        "prose": f"Here it is, as asked:\n{text}\nBye.",
        "think": f"<think>what about it</think>\n{text}",
        "mended": text[:-1] + ",}" if text != "{}" else text,
        "pretty": json.dumps(value, ensure_ascii=False, indent=2),
        "twice": json.dumps(text),
        "python": repr(value),
    }[wrap]


def as_read(value: object) -> object:
    """The value as its text says it: 1e23 is a whole number, and no float is exactly that."""
    return strict(json.dumps(value))


WRAPS = ("plain", "fence", "prose", "think", "mended", "pretty", "twice", "python")


@pytest.mark.parametrize("row", ACCEPTED, ids=lambda row: row.name)
def test_accepts_with_the_right_receipt(row: Accepted) -> None:
    """Each malformation that has one meaning is accepted with exactly that value and a receipt that says how."""
    verdict = judge(row.raw, CONTRACT, finish_reason=row.finish, echo=row.echo, nulls_for_absent=row.nulls)
    assert verdict.kind == "accepted", verdict.problems
    assert verdict.receipt is not None
    assert verdict.value == row.expected
    assert repr(verdict.value) == repr(row.expected)
    assert verdict.receipt.how == row.how
    assert tuple(edit.kind for edit in verdict.receipt.edits) == row.edits
    assert verdict.receipt.coerced == row.coerced
    assert CONTRACT.problems(verdict.value) == []


@pytest.mark.parametrize("row", REJECTED, ids=lambda row: row.name)
def test_rejects_at_the_right_place(row: Rejected) -> None:
    """Each malformation without one meaning is rejected by the right rule, and its problem points at the right piece."""
    verdict = judge(row.raw, CONTRACT, finish_reason=row.finish, refusal=row.refusal, echo=row.echo)
    assert verdict.kind == "rejected", verdict.value
    assert verdict.value is None
    assert verdict.signature is not None
    leading = next(problem for problem in verdict.problems if verdict.signature.startswith(f"s1|{problem.rule}|"))
    assert (leading.rule, leading.path) == (row.rule, row.path)
    piece = None if leading.start is None else row.raw[leading.start : leading.end]
    assert piece == row.at
    if row.title:
        assert title(verdict.signature) == row.title


def test_table_is_large_enough_and_names_are_unique() -> None:
    """The table holds at least 70 malformations, each named once in its list."""
    assert len(ACCEPTED) + len(REJECTED) >= 70
    for rows in (ACCEPTED, REJECTED):
        assert len({row.name for row in rows}) == len(rows)


def test_edits_point_at_what_was_set_aside() -> None:
    """Every edit of a receipt carries the place in the raw text of what it is about."""
    raw = "Sure:\n```json\n{'sentiment': \"positive\",}\n```\ndone"
    verdict = judge(raw, CONTRACT)
    assert verdict.receipt is not None
    assert [(edit.kind, raw[edit.start : edit.end]) for edit in verdict.receipt.edits] == [
        ("prose", "Sure:"),
        ("fence", "```json"),
        ("repair", "'sentiment'"),
        ("repair", ","),
        ("fence", "```"),
        ("prose", "done"),
    ]


def test_receipt_counts_the_strike() -> None:
    """A receipt says after how many re-asks the value came."""
    verdict = judge(OK, CONTRACT, asked=3)
    assert verdict.receipt is not None
    assert verdict.receipt.asked == 3
    assert verdict.receipt.label == "strict, re-asked ×2"


def test_problems_come_in_the_contract_s_order() -> None:
    """Problems follow the contract, not the reply; extra keys come last."""
    verdict = judge('{"zz": 1, "tags": 5, "score": "x"}', CONTRACT)
    assert [problem.path for problem in verdict.problems] == ["$.sentiment", "$.score", "$.tags", "$.zz"]


def test_many_wrong_items_are_capped() -> None:
    """A list of thousands of wrong items makes a bounded verdict."""
    verdict = judge(json.dumps({"sentiment": "positive", "tags": [1] * 5000}), CONTRACT)
    assert len(verdict.problems) <= 50


def test_got_is_short_and_utf8() -> None:
    """What came is told in at most 80 characters that UTF-8 can hold, whatever came."""
    for value in ("x" * 1000, "\x00\x1b[31m" * 40, "é" * 500, [1] * 1000, {"k" * 500: 1}, 10**3000, "\\" * 200):
        verdict = judge(json.dumps({"sentiment": value, "count": value}), CONTRACT)
        for problem in verdict.problems:
            assert len(problem.got) <= 80
            problem.model_dump_json().encode("utf-8")
    for raw in ("\ud800 prose", '{"a": \ud800}', '{"\ud800', '{"\ud800": 1, "\ud800": 2}'):
        for problem in judge(raw, CONTRACT).problems:
            problem.model_dump_json().encode("utf-8")
            assert len(problem.got) <= 80


def test_complaint_is_plain_and_short() -> None:
    """A re-ask names each problem in a line, and stays short however many there are."""
    verdict = judge('{"score": "5", "zz": 1}', CONTRACT)
    assert complaint(verdict.problems) == (
        "Your last answer cannot be used:\n"
        '- sentiment is missing; it must be one of "positive", "neutral", "negative"\n'
        '- score: expected a number, got number as text: "5"\n'
        "- zz is not allowed; leave it out\n"
        "Answer again with one complete JSON object that follows the instructions, and nothing else."
    )
    many = [Problem(path=f"$.{'k' * 150}{n}", rule="type", expected="x" * 160, got="y" * 80) for n in range(500)]
    assert len(complaint(many)) < 2_300
    cut = judge('{"sentiment": "p', CONTRACT, finish_reason="length")
    assert "cut off" in complaint(cut.problems)


@settings(max_examples=250, deadline=None)
@given(value=answers, wrap=st.sampled_from(WRAPS), data=st.data())
def test_truncated_reply_is_never_another_value(value: dict[str, object], wrap: str, data: st.DataObject) -> None:
    """A reply cut anywhere is never accepted with a value other than the whole one."""
    text = wrapped(value, wrap)
    whole = judge(text, OPEN)
    cut = data.draw(st.integers(0, len(text)))
    verdict = judge(text[:cut], OPEN)
    if verdict.kind == "accepted":
        assert whole.kind == "accepted"
        assert verdict.value == whole.value == as_read(value)
    assert judge(text[:cut], OPEN, finish_reason="length").value in (None, as_read(value))


@settings(max_examples=200, deadline=None)
@given(value=answers, wrap=st.sampled_from(("plain", "pretty", "fence", "prose", "think", "twice")))
def test_valid_reply_is_accepted_as_it_is(value: dict[str, object], wrap: str) -> None:
    """What is not mended is taken exactly, wrapped or not."""
    verdict = judge(wrapped(value, wrap), OPEN)
    assert verdict.kind == "accepted", verdict.problems
    assert verdict.value == as_read(value)


@settings(max_examples=200, deadline=None)
@given(value=answers, junk=broken_text, data=st.data())
def test_damaged_reply_keeps_promises(value: dict[str, object], junk: str, data: st.DataObject) -> None:
    """A reply with junk put in anywhere gives a verdict whose value, if any, holds, and whose places lie in the text."""
    text = wrapped(value, "plain")
    at = data.draw(st.integers(0, len(text)))
    check(text[:at] + junk + text[at:])


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(), broken_text, st.text(st.characters(codec=None))))
def test_any_text_gets_a_verdict(text: str) -> None:
    """Arbitrary text never raises; a rejection always has problems, a signature and a title."""
    check(text)


def check(text: str) -> Verdict:
    verdict = judge(text, OPEN)
    if verdict.kind == "accepted":
        assert verdict.value is not None and OPEN.problems(verdict.value) == []
        return verdict
    assert verdict.problems and verdict.signature
    assert title(verdict.signature) != verdict.signature
    verdict.model_dump_json().encode("utf-8")
    for problem in verdict.problems:
        if problem.start is not None and problem.end is not None:
            assert 0 <= problem.start <= problem.end <= len(text)
    return verdict


N = 500_000
HOSTILE = {
    "brackets": "[" * N,
    "objects": '{"a":' * N,
    "braces": "{" * N,
    "quotes": '"' * N,
    "keys": '{"' * N,
    "near objects": "{x" * N,
    "lists of objects": "[{" * N,
    "footnotes": "[1]" * N,
    "lists of numbers": "[1," * N,
    "small objects": '{"a":1}' * N,
    "mended objects": '{"a":1,}' * N,
    "broken objects": '{"a":x}' * N,
    "backslashes": '{"a":"' + "\\" * N,
    "digits": '{"a":' + "1" * N + "}",
    "exponent": '{"a":1e' + "9" * N + "}",
    "comments": "{//\n" * N,
    "block comments": '{"a":1 ' + "/**/" * N + "}",
    "hashes": "{#\n" * N,
    "thinking": "<think>" * N,
    "ends of thinking": "</think>" * N,
    "smart quotes": "{“" * N,
    "inner quotes": '{"a": "' + 'x "y" z ' * (N // 8) + '"}',
    "keys ahead": '{"a": "x ' + '" b ' * N,
    "spaces": '{"a": 1' + "\u00a0\n" * N + "}",
    "fences": "```" * N + OK,
    "long": "x" * 6_000_000,
    "long list": '{"a": [' + "1," * 2_000_000 + "]}",
    "refusal": "I'm sorry " * N,
}


@pytest.mark.timeout(90)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_judged(name: str) -> None:
    """Text made to exhaust a parser, or to be read anew from each place for minutes, gets a verdict without RecursionError."""
    check(HOSTILE[name])
