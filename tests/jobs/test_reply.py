# ruff: noqa: E501 - a row of a table is a line
from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.cursor import Stop
from jobs.places import MAX_DEPTH, Reader, Spot
from jobs.reply import candidates, doubt, strict

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=8) | st.text("\"\\/\n\t'{}[]:, ab", max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(texts, below, max_size=4),
    max_leaves=15,
)
objects = st.dictionaries(texts, json_values, max_size=4)
alphabet = "{}[]:,\"'\\/ \n\tabtruefalsn0123.-+eE“”#*"


def same_spots(text: str, spot: Spot) -> None:
    """Every part of a strict text stands where the reader says."""
    assert strict(text[spot.start : spot.end]) == spot.value
    for key, (start, below) in (spot.members or {}).items():
        assert text[start] == '"'
        assert json.JSONDecoder(strict=False).raw_decode(text, start)[0] == key
        assert start < below.start
        same_spots(text, below)
    for below in spot.items or []:
        same_spots(text, below)


@settings(max_examples=150, deadline=None)
@given(objects, st.booleans(), st.sampled_from([None, 1]))
def test_reader_with_places_agrees_with_the_strict_one(value: dict[str, Any], plain: bool, indent: int | None) -> None:
    """On strict JSON the slow reader finds the same values, needs no edit, and every place is right."""
    text = json.dumps(value, ensure_ascii=plain, indent=indent)
    reader = Reader(text)
    spot = reader.read()
    assert repr(spot.value) == repr(strict(text))
    assert not reader.edits and not reader.flaws
    assert reader.pos == len(text)
    same_spots(text, spot)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet, max_size=40).map(lambda text: "{" + text + "}") | objects.map(json.dumps))
def test_reader_reads_all_that_is_strict(text: str) -> None:
    """Whatever the strict reader takes, the other one takes for the same."""
    try:
        value = strict(text)
    except ValueError:
        return
    if isinstance(value, dict):
        assert Reader(text, text.index("{")).read().value == value


@settings(max_examples=150, deadline=None)
@given(objects, st.data())
def test_reader_never_closes_anything(value: dict[str, Any], data: st.DataObject) -> None:
    """A proper prefix of an object is always cut, never a value."""
    text = json.dumps(value)
    reader = Reader(text[: data.draw(st.integers(1, len(text) - 1))])
    with pytest.raises(Stop) as caught:
        reader.read()
    assert caught.value.cut


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet, max_size=60).map(lambda text: "{" + text))
def test_brackets_of_a_mended_value_balance(text: str) -> None:
    """Whatever is mended, as many brackets are opened as closed outside of its texts."""
    reader = Reader(text)
    try:
        spot = reader.read()
    except Stop:
        return
    assert text[spot.end - 1] == "}"
    segment = text[spot.start : spot.end]
    if not reader.edits and not reader.flaws:
        assert strict(segment) == spot.value


STRICT_NOT = ['{"a": 1, "a": 1}', '{"a": NaN}', '{"a": -Infinity}', '{"a": 1e400}', "{'a': 1}", '{"a": 1} x', "", "[" * 5000, '{"a": "\n"}', '{"a": ' + "9" * 5000 + "}", "[" * 129 + "]" * 129, '{"a": 01}']  # fmt: skip


@pytest.mark.parametrize("text", STRICT_NOT, ids=range(len(STRICT_NOT)))
def test_strict_refuses(text: str) -> None:
    """The strict reader refuses duplicate keys, what is not finite, what is not JSON, and too deep nesting."""
    with pytest.raises(ValueError):
        strict(text)


def test_strict_is_exact() -> None:
    """Whole numbers keep all their digits, however they are written; 128 levels are allowed."""
    assert strict("[12345678901234567890, 12345678901234567890.0, 0.1, -0.0, 1e3]") == [
        12345678901234567890, 12345678901234567890, 0.1, -0.0, 1000.0,
    ]  # fmt: skip
    assert math.copysign(1, strict("-0.0")) == -1
    assert strict("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert strict('{"a": "' + "[" * 500 + '"}') == {"a": "[" * 500}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('{"a": 1}', [{"a": 1}]),
        ('x {"a": 1} y {"b": 2}', [{"a": 1}, {"b": 2}]),
        ('[1] {"a": [{"b": 1}]} [x](y)', [{"a": [{"b": 1}]}]),
        ('[{"a": 1}]', [[{"a": 1}]]),
        ('see [{"a": 1}] and {"b": 2}', [[{"a": 1}], {"b": 2}]),
        ('<think>{"a": 1}</think>{"b": 2}', [{"b": 2}]),
        ('{"a": 1}</think>{"b": 2}', [{"b": 2}]),
        ('x {"a": "<think>"} y', [{"a": "<think>"}]),
        ('x {"a": "</think>"} y', [{"a": "</think>"}]),
        ('{placeholder} {"a": 1}', [{"a": 1}]),
        ('{"a": bad, "b": {"c": 1}} {"d": 1}', [{"d": 1}]),
        ('{"a": bad, "b": {"c": 1}', []),
        ('{a\': {"b": 1}}', []),
        ("[1, [2], 3]", [[1, [2], 3]]),
        ("x [1, [2], 3]", []),
        ('"{\\"a\\": 1}"', [{"a": 1}]),
        ("prose", []),
    ],
)
def test_candidates(text: str, values: list[Any]) -> None:
    """The values of a reply are its outermost complete objects, and lists that hold objects, in order."""
    assert [found.value for found in candidates(text).values] == values


@pytest.mark.parametrize(
    ("text", "at", "cut"),
    [
        ('{"a": 1} {"b": ', '{"b": ', True),
        ('x [{"a": 1}, ', '[{"a": 1}, ', True),
        ('{"a": {"b": "x', '"x', True),
        ('{"a": x, "b": {"c": 1}', "x", False),
        ('{"}": x, "b": {}}', "x", False),
        ("{'}': x, 'b': {}}", "x", False),
    ],
)
def test_stops(text: str, at: str, cut: bool) -> None:
    """A tail that breaks off, or a broken value whose end is not certain, ends the reading with its place."""
    stop = candidates(text).stop
    assert stop is not None
    assert (text[stop.at : stop.end], stop.cut) == (at, cut)


def test_two_readers_must_agree() -> None:
    """What the second reader takes for something else is not trusted, even where the first one is sure."""
    reading = candidates('{"a": ‘x’}')
    assert reading.values[0].value == {"a": "x"}
    stop = doubt(reading.text, reading.values[0])
    assert stop is not None and stop.shape == "ambiguous repair"


def test_too_large() -> None:
    """A reply of more than five million characters is not read."""
    stop = candidates(" " * 5_000_001).stop
    assert stop is not None and stop.shape == "too large"


@pytest.mark.timeout(90)
@pytest.mark.parametrize(("run", "end"), [("`", "x! "), (" ", ""), ("x", " "), ("\n", "")])
def test_a_long_run_of_one_character_before_the_answer_is_read_once(run: str, end: str) -> None:
    """Time grows with the length and not with its square, which would be minutes: a lane's event loop waits for it."""
    reading = candidates("`" + run * 2_000_000 + end + '{"a": 1}')
    assert [found.value for found in reading.values] == [{"a": 1}] and reading.stop is None


def test_more_brackets_of_prose_than_an_answer_has_are_not_read_on() -> None:
    """Each costs a few microseconds, whether it is closed or not; as many as a long text has footnotes are passed over."""
    for prose in ("[1] ", "{so} ", "[]"):
        found = candidates(prose * 15_000 + '{"a": 1}')
        assert [one.value for one in found.values] == [{"a": 1}] and found.stop is None
        stop = candidates(prose * 25_000 + '{"a": 1}').stop
        assert stop is not None and (stop.shape, stop.at) == ("too many brackets", 20_000 * len(prose))


@pytest.mark.timeout(90)
@pytest.mark.parametrize("noise", ["{", "{\u00a0", "{ #\n", "{ #" + "#\n" * 20, "{a ", "[[", "{'a' b}"])
def test_brackets_and_comments_without_end_are_read_once(noise: str) -> None:
    """A reply of two megabytes of them, which would take hours if each were read to the end, is never an answer."""
    reading = candidates(noise * (2_000_000 // len(noise)) + '{"a": 1}')
    assert reading.stop is not None or reading.broken


def test_a_value_that_needs_thousands_of_changes_is_not_mended() -> None:
    """A receipt of so many edits is none."""
    reading = candidates("{" + ",".join(f"key{number}: 1" for number in range(3_000)) + "}")
    assert reading.values == () and [stop.shape for _, _, stop in reading.broken] == ["too much to mend"]
