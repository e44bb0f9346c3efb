"""Right answers, mutilated in the ways in which replies go wrong, and what holds for any verdict on them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.contract import Contract
from jobs.judge import judge
from jobs.values import Verdict
from tests.jobs.malformations import SCHEMA

PART = {"type": "object", "additionalProperties": False}
WAYS = {
    "anyOf": [
        {**PART, "properties": {"by": {"const": "mail"}, "to": {"type": "string"}, "n": {"type": "integer"}}, "required": ["by"]},
        {**PART, "properties": {"by": {"const": "post"}, "n": {"type": "string"}}, "required": ["by"]},
    ]
}  # fmt: skip
STRICT: dict[str, Any] = {
    **SCHEMA,
    "additionalProperties": False,
    "properties": {
        **SCHEMA["properties"],
        "who": {**SCHEMA["properties"]["who"], "additionalProperties": False},
        "way": WAYS,
        "ways": {"type": "array", "items": WAYS, "uniqueItems": True},
    },
}
CONTRACT = Contract.from_schema(STRICT)
INDEPENDENT = jsonschema.Draft202012Validator(STRICT, format_checker=jsonschema.FormatChecker(["date", "email"]))

texts = st.text(st.sampled_from("ab ,:'\"{}[]\né“”#/😀"), max_size=8)
ways = st.fixed_dictionaries(
    {"by": st.just("mail")}, optional={"to": texts, "n": st.integers(-9, 99)}
) | st.fixed_dictionaries({"by": st.just("post")}, optional={"n": texts})
answers = st.fixed_dictionaries(
    {"sentiment": st.sampled_from(["positive", "neutral", "negative"])},
    optional={
        "score": st.sampled_from([0, 5, 12.5, 99.999, 1e-5]),
        "count": st.sampled_from([0, -3, 2.0, 12345678901234567890]),
        "urgent": st.booleans(),
        "summary": texts,
        "tags": st.lists(st.sampled_from(["a", "b c", "é"]), max_size=3),
        "who": st.fixed_dictionaries({"name": texts}, optional={"email": st.none() | st.just("a@b.org")}),
        "price": st.none() | st.sampled_from([0.1, 1299.0, "1,299.50", "N/A", "5"]),
        "day": st.sampled_from(["2026-02-28", " 2024-02-29"]),
        "label": st.sampled_from(["A", "b"]),
        "way": ways,
        "ways": st.lists(ways, max_size=2, unique_by=json.dumps),
    },
)
Blow = Callable[[str, st.DataObject], str]


def written(value: Any, data: st.DataObject) -> str:
    """The answer as JSON, or nearly so."""
    style = data.draw(st.sampled_from(("plain", "ascii", "pretty", "repr", "twice")))
    if style == "repr":
        return repr(value)
    text = json.dumps(value, ensure_ascii=style == "ascii", indent=2 if style == "pretty" else None)
    return json.dumps(text) if style == "twice" else text


def cut(text: str, data: st.DataObject) -> str:
    return text[: data.draw(st.integers(0, len(text)))]


def drop(text: str, data: st.DataObject) -> str:
    """Lose one sign of JSON."""
    places = [found.start() for found in re.finditer(r"[\"'{}\[\],:\\]", text)]
    at = data.draw(st.sampled_from(places)) if places else 0
    return text[:at] + text[at + 1 :]


def put_in(text: str, data: st.DataObject) -> str:
    """Put something in, anywhere."""
    junk = [
        *"\"'{}[],:\\“”\n\x00\u00a0",
        "NaN",
        "...",
        "None",
        "/*",
        "*/",
        "// x\n",
        "```",
        "<think>",
        "</think>",
        "é",
        "0",
    ]
    at = data.draw(st.integers(0, len(text)))
    return text[:at] + data.draw(st.sampled_from(junk)) + text[at:]


def close(text: str, data: st.DataObject) -> str:
    """Close a bracket too early, behind a value or the comma that follows it."""
    places = [found.end() for found in re.finditer(r"[\d\"}\]]|,", text)]
    at = data.draw(st.sampled_from(places)) if places else 0
    return text[:at] + data.draw(st.sampled_from("}]")) + text[at:]


def wrap(text: str, data: st.DataObject) -> str:
    """Put it where models put their answers."""
    around = (
        "```json\n{}\n```",
        "Sure: {}",
        "{}\nBye.",
        "<think>so {{</think>{}",
        "{{{}}}",
        "[{}]",
        '{{"result": {}}}',
        "`{}`",
    )
    return data.draw(st.sampled_from(around)).format(text)


def beside(text: str, data: st.DataObject) -> str:
    """Put another object before or behind it, whole or not."""
    other = written(data.draw(answers), data)
    other = other[: data.draw(st.integers(len(other) // 2, len(other)))]
    return data.draw(st.sampled_from((f"{other}\n{text}", f"{text} {other}", f"<think>{other}</think>{text}")))


def repeat_key(text: str, data: st.DataObject) -> str:
    key = data.draw(st.sampled_from(('"sentiment": "negative"', '"count": 1', "'urgent': False", '"n": null')))
    return text.replace("{", f"{{{key}, ", 1)


def swap(text: str, data: st.DataObject) -> str:
    """Write a value as one of another type, or in other signs."""
    pairs = (
        (r"\b\d+\b(?!\")", '"7"'), (r"\b\d+\b", "2.00000000000000001"), (r"\b\d+\b", "1e400"), (r"\b\d+\b", "007"),
        (r"\b\d+\b", "20e-1"), ("true|false", '"yes"'), ("true|false", "True"), (r"\"[a-z]+\"(?!:)", "null"), ("null", '""'),
        ("\"", "'"), ("\"", "“"), (r"\[", "{"), (r"\}", "]"), (r", ", " "), (r", ", ",, "), (r"\}", ",}"), (r"\"(\w+)\":", r"\1:"),
    )  # fmt: skip
    pattern, new = data.draw(st.sampled_from(pairs))
    return re.sub(pattern, new, text, count=data.draw(st.sampled_from((1, 0))))


BLOWS: tuple[Blow, ...] = (cut, drop, put_in, close, wrap, beside, repeat_key, swap)


def leaves(value: Any, path: str = "$") -> Iterator[tuple[str, Any]]:
    """The keys and plain values of an answer, each with its path."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield path, key
            yield from leaves(below, f"{path}.{key}")
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from leaves(below, f"{path}[{index}]")
    else:
        yield path, value


def stands(leaf: Any, raw: str) -> bool:
    """Whether a key or plain value is in the raw text from its beginning to its end."""
    if isinstance(leaf, bool) or leaf is None:
        word = {True: "[tT]rue", False: "[fF]alse", None: "null|None"}[leaf]
        return re.search(rf"\b(?:{word})\b.", raw, re.DOTALL) is not None
    if isinstance(leaf, (int, float)):
        found = re.finditer(r"(?<![\w.+-])\+?(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?=[^\w.+-])", raw)
        exact = isinstance(leaf, int)
        return any((Fraction(each[1]) if exact else float(each[1])) == leaf for each in found)
    marks = r"[\"'“”„‘’\\]"
    plain = re.sub(r"\\+u([0-9a-fA-F]{4})", lambda each: chr(int(each[1], 16)), raw)
    plain = re.sub(r"\\+n", "\n", plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    forms = [(leaf, plain), (leaf, plain.replace("\\", ""))]
    forms += [(json.dumps(leaf, ensure_ascii=ascii)[1:-1], raw) for ascii in (True, False)]
    return any(
        re.search(rf"{marks}{re.escape(form)}{marks}|[{{,\s]{re.escape(form)}\s*:", text) is not None
        for form, text in forms
    )


def held(raw: str, **told: Any) -> Verdict:
    """The verdict on a reply, after all that must hold for it."""
    verdict = judge(raw, CONTRACT, **told)
    if verdict.kind == "accepted":
        assert verdict.receipt is not None and verdict.value is not None
        assert list(INDEPENDENT.iter_errors(json.loads(json.dumps(verdict.value)))) == []
        for path, leaf in leaves(verdict.value):
            assert path in verdict.receipt.coerced or stands(leaf, raw), (path, leaf)
        places = [(edit.start, edit.end) for edit in verdict.receipt.edits]
    else:
        assert verdict.value is None and verdict.problems
        places = [(problem.start, problem.end) for problem in verdict.problems]
        assert all(start is None or start != end for start, end in places), verdict.problems
    for start, end in places:
        assert (start is None) == (end is None)
        assert start is None or end is None or 0 <= start <= end <= len(raw)
    return verdict


@settings(max_examples=250, deadline=None, derandomize=True)
@given(st.data())
def test_a_mutilated_answer_keeps_every_promise(data: st.DataObject) -> None:
    """What is accepted holds by another validator and stands whole in the raw text; every problem points into it."""
    value = data.draw(answers)
    raw = written(value, data)
    for blow in data.draw(st.lists(st.sampled_from(BLOWS), max_size=4)):
        raw = blow(raw, data)
    held(
        raw,
        finish_reason=data.draw(st.sampled_from(("stop", "stop", None, "length"))),
        nulls_for_absent=data.draw(st.booleans()),
        echo=data.draw(st.sampled_from(((), (raw[: len(raw) // 2], raw[len(raw) // 2 :]), ("x {y}",)))),
    )


@settings(max_examples=100, deadline=None, derandomize=True)
@given(answers, st.data())
def test_an_answer_that_is_cut_is_never_another_one(value: dict[str, Any], data: st.DataObject) -> None:
    """A reply of one object, wrapped or not, is accepted whole or not at all, wherever it breaks off."""
    raw = written(value, data)
    for _ in range(data.draw(st.integers(0, 2))):
        raw = wrap(raw, data)
    whole = held(raw)
    verdict = held(cut(raw, data))
    assert verdict.kind == "rejected" or verdict.value == whole.value


@settings(max_examples=150, deadline=None, derandomize=True)
@given(answers, st.sampled_from((drop, put_in, close)), st.data())
def test_an_answer_with_one_mistake_loses_no_member(value: dict[str, Any], blow: Blow, data: st.DataObject) -> None:
    """A sign lost or put in anywhere may end the answer early: it is then refused, and never taken for a shorter one."""
    raw = json.dumps(value, ensure_ascii=False)
    whole, verdict = held(raw), held(blow(raw, data))
    if verdict.kind == "accepted":
        assert len(list(leaves(verdict.value))) == len(list(leaves(whole.value)))
