"""What is shown of an answer while it streams in: fields as far as they have come, never one that may still change."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from jobs.partial import begun


def told(text: str) -> list[tuple[str, str, bool]]:
    return [(field.name, field.text, field.is_closed) for field in begun(text)]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", []),
        ("Sure, here it", []),
        ("{", []),
        ('{"lab', []),
        ('{"label"', []),
        ('{"label":', [("label", "", False)]),
        ('{"label": "go', [("label", '"go', False)]),
        ('{"label": "good"', [("label", '"good"', False)]),
        ('{"label": "good",', [("label", '"good"', True)]),
        ('{"label": "good"}', [("label", '"good"', True)]),
        ('{"n": 1', [("n", "1", False)]),
        ('{"n": 12\n', [("n", "12", False)]),
        ('{"n": 12, "sure": tru', [("n", "12", True), ("sure", "tru", False)]),
        ('{"n": -1.5e3, "sure": null}', [("n", "-1.5e3", True), ("sure", "null", True)]),
        ('{"of": {"a": [1, {"b": "}]"', [("of", '{"a": [1, {"b": "}]"', False)]),
        ('{"of": {"a": 1}, "tags": ["x", "y', [("of", '{"a": 1}', True), ("tags", '["x", "y', False)]),
        ('{"of": {}, "tags": []}', [("of", "{}", True), ("tags", "[]", True)]),
        ('{"a": 1, "b": 2, "a": 3', [("a", "1", True), ("b", "2", True), ("a", "3", False)]),
    ],
)
def test_a_field_is_open_until_something_stands_behind_it(text: str, fields: list[tuple[str, str, bool]]) -> None:
    """Its name must have come whole; a value is closed by the comma or the brace behind it, by nothing else."""
    assert told(text) == fields


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r'{"a": "Gr\u00fc\u00dfe', '"Grüße'),
        (r'{"a": "\ud83d\ude00', '"😀'),
        (r'{"a": "x\ud83d\ude0', '"x'),
        (r'{"a": "x\ud83d\u', '"x'),
        (r'{"a": "x\ud83d', '"x'),
        (r'{"a": "x\u00', '"x'),
        ('{"a": "x\\', '"x'),
        (r'{"a": "x\\', r'"x\\'),
        (r'{"a": "x\\ud83d', r'"x\\ud83d'),
        (r'{"a": "x\ny \"z\" \u0022 \u005c \u000a', r'"x\ny \"z\" \u0022 \u005c \u000a'),
        (r'{"a": "\ude00 \ud83d.', r'"\ude00 \ud83d.'),
    ],
)
def test_an_escape_is_shown_as_what_it_stands_for_once_it_is_whole(text: str, shown: str) -> None:
    """Its half is not shown, nor half of a pair; what would end the text or a line, and what is no character, stays an escape."""
    assert told(text) == [("a", shown, False)]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ('```json\n{"a": 1, "b"', [("a", "1", True)]),
        ('The answer {as asked} is [1]: {"a": 1', [("a", "1", False)]),
        ('He said "{" and then {"a": 1', [("a", "1", False)]),
        ('<think>It may be {"a": 9}, or', []),
        ('<think>It may be {"a": 9}.</think>\n{"a": 1', [("a", "1", False)]),
        ('<THINKING>{"a": 9</THINKING>{"a": 1', [("a", "1", False)]),
        ('It may be {"a": 9}.</think>', []),
        ('It may be {"a": 9, </think>{"b": 1', [("b", "1", False)]),
        ('{"a": "</think>", "b": 1', [("a", '"</think>"', True), ("b", "1", False)]),
        ('{"a": 9} No, rather: {"b": 1', [("b", "1", False)]),
        ('{"a": 9}\nNote: {this} is "it"', [("a", "9", True)]),
        ('[{"a": 9}, {"b": 1', [("b", "1", False)]),
        ('{{"a": 1}}', [("a", "1", True)]),
        ('{"a": 1}<|im_end|>\n<|im_start|>user\n{"a": 2', [("a", "1", True)]),
        ('<|im_start|>assistant\n{"a": 1', [("a", "1", False)]),
    ],
)
def test_it_is_the_last_object_outside_of_thinking(text: str, fields: list[tuple[str, str, bool]]) -> None:
    """Fences, prose and its brackets are passed over, and so are the turns that a model goes on to invent."""
    assert told(text) == fields


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ('{"a": [1}, "b": 2', [("a", "[1", False)]),
        ('{"a": 1] {"b": 2,', [("b", "2", True)]),
        ('{"a" 1, "b": 2,', []),
        ('{"a": 1, "b" 2, "c": 3,', [("a", "1", True), ("c", "3", True)]),
        ('{"a": , "b": 2,', [("a", "", True), ("b", "2", True)]),
        ('{"a": he said "so", "b": 2,', [("a", 'he said "so"', True), ("b", "2", True)]),
        ('{"a": 1; "b": 2', [("a", '1; "b": 2', False)]),
        ('{"\\q": 1,', [("\\q", "1", True)]),
        ('{"a": "\x00\ud800"', [("a", '"\x00\ud800"', False)]),
    ],
)
def test_what_is_no_json_is_shown_as_it_stands(text: str, fields: list[tuple[str, str, bool]]) -> None:
    """It is for eyes: what is wrong with it is said by who judges it."""
    assert told(text) == fields


def value(chance: random.Random, depth: int = 0) -> Any:
    """Any JSON value, with texts that hold what could be taken for its grammar."""
    kind = chance.randrange(7 if depth < 3 else 5)
    if kind == 0:
        return chance.choice([None, True, False])
    if kind == 1:
        return chance.choice([0, 7, -12, 1234567, 0.5, -2.5e-7])
    if kind < 5:
        return "".join(chance.choice('ab {}[]:,"\\/\n\té😀\x01') for _ in range(chance.randrange(12)))
    if kind == 5:
        return [value(chance, depth + 1) for _ in range(chance.randrange(4))]
    return {f"k{n}": value(chance, depth + 1) for n in range(chance.randrange(4))}


AROUND: list[Callable[[str], str]] = [
    lambda text: text,
    lambda text: f"```json\n{text}\n```\n",
    lambda text: f"Sure! [1] {{so}}:\n\n{text}\n\nIs there {{anything}} else?",
    lambda text: f'<think>It "may" be {{"zero": 0, "k0": [</think>\n{text}',
    lambda text: f'{{"zero": 0, "k0": {{}}}}\n{text}',
]


@pytest.mark.parametrize("seed", range(60))
def test_what_is_closed_at_any_moment_is_what_the_whole_answer_says(seed: int) -> None:
    """For every beginning of a reply: names in order, at most the last one open, and each closed text the field's own value."""
    chance = random.Random(seed)
    answer = {chance.choice(["k{}", "a b{}", "ü{}", 'q"{}']).format(n): value(chance) for n in range(1, 6)}
    written = json.dumps(answer, ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, 2]))
    reply = AROUND[seed % len(AROUND)](written)
    names, before = list(answer), 0
    for end in range(reply.index(written) + len('{"'), len(reply) + 1):
        fields = begun(reply[:end])
        if [field.name for field in fields] == ["zero", "k0"]:
            continue  # the object before it, until this one has a name
        closed = [field for field in fields if field.is_closed]
        assert [field.name for field in fields] == names[: len(fields)]
        assert closed == list(fields[: len(closed)]) and len(fields) - len(closed) <= 1
        assert all(json.loads(field.text) == answer[field.name] for field in closed)
        assert len(closed) >= before
        before = len(closed)
    assert before == len(answer)


@pytest.mark.parametrize("seed", range(40))
def test_any_text_can_be_looked_at(seed: int) -> None:
    """Whatever a model writes, nothing is raised, and only the last field is open."""
    chance = random.Random(seed)
    pieces = [
        '{"',
        "{",
        "}",
        "[",
        "]",
        '"',
        ":",
        ",",
        "\\",
        "\\u",
        "\\ud83d",
        "a",
        "<think>",
        "</think>",
        "\n",
        "<|im_end|>",
    ]
    text = '{"a":' + "".join(chance.choice(pieces) for _ in range(300))
    for end in range(len(text) + 1):
        assert all(field.is_closed for field in begun(text[:end])[:-1])


N = 2_000_000
#: a long text, and of each field that has begun in it: its name, what it shows, and whether it is closed
LONG: dict[str, tuple[str, list[tuple[str, str, bool]]]] = {
    "text": ('{"a": "' + "x" * N, [("a", '"' + "x" * N, False)]),
    "objects": ('{"a": 1, "b": "two"}\n' * (N // 21), [("a", "1", True), ("b", '"two"', True)]),
    "items": ('{"a": [' + '{"b": "c"}, ' * (N // 12), [("a", ("[" + '{"b": "c"}, ' * (N // 12)).strip(), False)]),
    "braces": ("{" * N, []),
    "nested": ('{"a":' * (N // 5), [("a", '{"a":' * (N // 5 - 1), False)]),
    "thinking": ("<think>" * (N // 7), []),
    "escapes": ('{"a": "' + "\\u00e9" * (N // 6), [("a", '"' + "é" * (N // 6), False)]),
    "spaces": ('{"' + " " * N, []),
    "names": ('{"' * (N // 2), []),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", LONG)
def test_a_long_reply_is_read_once(name: str) -> None:
    """It is looked at while a person waits; reading it anew from each place would take minutes."""
    text, fields = LONG[name]
    is_same = told(text) == fields  # not compared in the assertion, which would write out the difference of megabytes
    assert is_same
