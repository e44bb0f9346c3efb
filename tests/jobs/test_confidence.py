"""jobs.confidence: a field is as sure as the tokens that its value is written in, and unknown where they are not known."""

from __future__ import annotations

import json
import math
import random

import pytest

from jobs.confidence import Odds, confidences, least
from jobs.contract import Contract
from jobs.judge import judge
from jobs.parcel import unpacked
from jobs.testing.tokens import logprobs

TEXT = '{"label":"bug","score": 4,"note":"","ok":true,"none":null,"tags":["a","b"],"at":{"x":1.5}}'
#: token -> its probability, in halves so that a product can be read
TOKENS = (
    ('{"', 0.1), ("label", 0.1), ('":"', 0.1), ("b", 0.5), ("ug", 0.25), ('","', 0.1),
    ("score", 0.1), ('":', 0.1), (" 4", 0.75), (',"', 0.1),
    ('note":', 0.1), ('"', 0.8), ('","', 0.5), ('ok":', 0.1), ("tr", 0.5), ("ue", 0.5), (',"none":', 0.1), ("null,", 0.7),
    ('"tags":', 0.1), ('["', 0.5), ("a", 0.5), ('","', 0.5), ("b", 0.5), ('"]', 0.5), (',"at":', 0.1),
    ("{", 0.5), ('"x":', 0.5), ("1", 0.5), (".5", 0.5), ("}}", 0.9),
)  # fmt: skip


def logs(*tokens: tuple[str, float]) -> list[tuple[str, float]]:
    return [(token, math.log(chance)) for token, chance in tokens]


def near(found: dict[str, float]) -> dict[str, float]:
    return {path: round(chance, 9) for path, chance in found.items()}


def test_a_field_is_as_sure_as_all_tokens_of_its_value_together() -> None:
    """Neither keys nor a text's quotation marks count; an empty text is nothing but these; a list is all of it."""
    assert "".join(token for token, _ in TOKENS) == TEXT
    assert near(confidences(TEXT, logs(*TOKENS))) == {
        "$.label": 0.125,
        "$.score": 0.75,
        "$.note": 0.4,
        "$.ok": 0.25,
        "$.none": 0.7,
        "$.tags": 0.03125,
        "$.at": round(0.5**4 * 0.9, 9),
    }


def test_only_the_fields_that_are_asked_for_are_looked_at() -> None:
    """A long text would be the least sure of all; a field that is not there, or not at the top, is unknown."""
    found = confidences(TEXT, logs(*TOKENS), paths=["$.label", "$.score", "$.other", "$.at.x"])

    assert near(found) == {"$.label": 0.125, "$.score": 0.75}
    assert confidences(TEXT, logs(*TOKENS), paths=[]) == {}


def test_a_token_that_reaches_from_the_key_into_the_value_counts_whole() -> None:
    """Nobody knows which part of it was in doubt."""
    tokens = logs(('{"a":"', 0.5), ('b"}', 0.25))
    wide = logs(('{"a":"b', 0.5), ('"}', 0.25))

    assert near(confidences('{"a":"b"}', tokens)) == {"$.a": 0.25}
    assert near(confidences('{"a":"b"}', wide)) == {"$.a": 0.5}


@pytest.mark.parametrize(
    ("text", "tokens", "found"),
    [
        (TEXT, (), {}),
        (TEXT, (("", 0.5),), {}),
        (TEXT, (("another text", 0.5),), {}),
        (TEXT, (('"', 0.5),), {}),
        (TEXT, TOKENS[:6], {"$.label": 0.125}),
        (TEXT, TOKENS[4:9], {"$.score": 0.75}),
        ("", (("", 1.0),), {}),
        ("no answer", (("no answer", 1.0),), {}),
        ("[1, 2]", (("[1, 2]", 1.0),), {}),
        ('{"a": 1', (('{"a": 1', 1.0),), {}),
        ('"{\\"a\\": 1}"', (('"{\\"a\\": 1}"', 1.0),), {}),
        ('{"a": 1} {"a": 2}', (('{"a": 1} {"a": 2}', 1.0),), {}),
    ],
    ids=str,
)
def test_what_is_not_known_is_left_out(
    text: str, tokens: tuple[tuple[str, float], ...], found: dict[str, float]
) -> None:
    """Tokens that are not told or not to be placed, a text without one answer: unknown, never certain."""
    assert near(confidences(text, logs(*tokens))) == found


def test_an_answer_inside_other_text_is_found() -> None:
    """Behind a thought and inside a fence, mended where it had to be; keys are spelled as paths spell them."""
    text = 'So {it} is.\n```json\n{"the label": “bug”, "n": 3,}\n```'
    tokens = logs(("So {it} is.\n```json\n", 0.1), ('{"the label": “', 0.1), ("bug", 0.5), ('”, "n":', 0.1), (" 3", 0.25),
                  (",}\n```", 0.1))  # fmt: skip

    assert near(confidences(text, tokens)) == {'$["the label"]': 0.5, "$.n": 0.25}


def test_of_several_objects_the_accepted_one_is_looked_at() -> None:
    """A draft that was withdrawn and an example behind the answer say nothing of how sure the answer is."""
    contract = Contract.from_schema(
        {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
    )
    text = 'First {"n": 1}, no: {"n": 2}. (Not {"m": 3}.)'
    tokens = logs(('First {"n":', 1.0), (" 1", 0.9), ('}, no: {"n":', 1.0), (" 2", 0.5), ('}. (Not {"m": 3}.)', 0.7))
    verdict = judge(text, contract)
    assert verdict.value == {"n": 2}

    assert near(confidences(text, tokens, answer=verdict.value)) == {"$.n": 0.5}
    assert near(confidences(text, tokens, answer={"n": 1})) == {"$.n": 0.9}
    assert near(confidences(text, tokens, answer={"n": "2"})) == {"$.n": 0.5}
    assert confidences(text, tokens, answer={"n": 4}) == {}
    assert confidences(text, tokens) == {}


def test_where_a_field_that_is_looked_at_is_not_told_the_least_is_not_known() -> None:
    """The others may be as sure as they like; a field that does not stand in the answer has nothing to tell."""
    odds = Odds('{"a": 1, "b": 2}', logs(('{"a": ', 1.0), ("1", 0.9), (",", 1.0)))

    assert odds.least() is None and odds.least(paths=["$.a", "$.b"]) is None
    assert odds.least(paths=["$.a", "$.c"]) == ("$.a", pytest.approx(0.9))


def test_each_answer_of_a_reply_about_several_rows_has_its_own() -> None:
    """By where it stands; the reply's tokens are placed once for all of them, and a broken reply loses only the open one."""
    names = [f"r{number:04}" for number in range(200)]
    chances = {name: round(0.1 + number / 250, 3) for number, name in enumerate(names)}
    results = [{"id": name, "value": {"label": "a long label", "n": 7}} for name in names]
    text = json.dumps({"results": results})
    entries = logprobs(text, {name: name for name in names}, lambda row, path: chances[row] if path == "$.n" else None)
    tokens = [(each["token"], each["logprob"]) for each in entries]
    cut = text.rindex('"n"')
    found = unpacked(text, names)

    odds = Odds(text, tokens)
    for name, entry in found.entries.items():
        window = (entry.value_start, entry.value_end)
        assert near(odds.confidences(window=window)) == {"$.label": 1.0, "$.n": chances[name]}
        assert odds.confidences(window=window) == confidences(text, tokens, window=window)
    assert len(found.entries) == 200
    broken, kept = text[:cut], unpacked(text[:cut], names)
    assert len(kept.entries) == 199
    last = kept.entries[names[198]]
    some = [*tokens[: len(tokens) // 2]]
    assert near(Odds(broken, some).confidences(window=(last.value_start, last.value_end))) == {}
    first = kept.entries[names[0]]
    assert near(Odds(broken, some).confidences(window=(first.value_start, first.value_end)))["$.n"] == chances["r0000"]


def test_however_the_text_is_cut_into_tokens_a_value_is_the_product_of_those_that_reach_into_it() -> None:
    """Five hundred cuts, reckoned again the slow way, letter by letter."""
    chance = random.Random(11)
    text = '{"a": "xy\\"z", "b": -12.5, "c": "é😀"}'
    spans = {"$.a": (7, 12), "$.b": (20, 25), "$.c": (33, 35)}
    assert [text[low:high] for low, high in spans.values()] == ['xy\\"z', "-12.5", "é😀"]
    for _ in range(500):
        cuts = sorted({0, len(text), *(chance.randrange(len(text)) for _ in range(chance.randrange(12)))})
        tokens = [(text[low:high], -chance.random()) for low, high in zip(cuts, cuts[1:], strict=False)]
        owner = [number for number, (token, _) in enumerate(tokens) for _ in token]

        found = confidences(text, tokens)

        for path, (low, high) in spans.items():
            expected = math.exp(sum(tokens[number][1] for number in set(owner[low:high])))
            assert found[path] == pytest.approx(expected)


def test_an_impossible_token_makes_its_field_impossible() -> None:
    """Without an error of arithmetic."""
    assert confidences('{"a":1}', [('{"a":', 0.0), ("1", -9999.0), ("}", 0.0)]) == {"$.a": 0.0}


def test_the_least_sure_field_is_named() -> None:
    """With its probability; the first of equals, and nothing where nothing is known."""
    assert least({"$.a": 0.9, "$.b": 0.3, "$.c": 0.3}) == ("$.b", 0.3)
    assert least({}) is None
