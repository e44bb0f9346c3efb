"""jobs.llm.probabilities: tokens are taken where they are the reply's own text, and nowhere else."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest

from jobs.llm.answers import Envelope, Events, reply_of
from jobs.llm.probabilities import LOWEST, tokens_of
from jobs.values import Reply

ENVELOPE = Envelope(status=200, sent_bytes=400)
TEXT = '{"label":"bug"}'


def entry(token: str, logprob: object = -0.5, **more: object) -> dict[str, object]:
    return {"token": token, "logprob": logprob, **more}


def in_bytes(raw: bytes, logprob: float = -0.5) -> dict[str, object]:
    """An entry as OpenAI has it for a token that is a part of a character."""
    return entry("".join(f"\\x{byte:02x}" for byte in raw), logprob, bytes=list(raw))


WHOLE = [entry('{"label', -0.1), entry('":"', -0.2), entry("bug", -0.7), entry('"}', 0)]
TAKEN = (('{"label', -0.1), ('":"', -0.2), ("bug", -0.7), ('"}', 0.0))


def completion(content: str, logprobs: object, *, stream: bool = False) -> bytes:
    if not stream:
        choice = {"index": 0, "message": {"content": content}, "finish_reason": "stop", "logprobs": logprobs}
        return json.dumps({"choices": [choice]}).encode()
    choices: list[dict[str, Any]] = [{"delta": {"content": content}, "logprobs": logprobs}]
    choices.append({"delta": {}, "finish_reason": "stop"})
    return b"".join(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n" for choice in choices)


@pytest.mark.parametrize("stream", [False, True])
def test_a_replys_tokens_are_handed_on_with_their_log_probabilities(stream: bool) -> None:
    """As the endpoint tells them, whole or streamed."""
    reply = reply_of(completion(TEXT, {"content": WHOLE}, stream=stream), envelope=ENVELOPE, seconds=0)

    assert isinstance(reply, Reply)
    assert reply.tokens == TAKEN


def test_the_tokens_of_a_streams_pieces_are_put_together() -> None:
    """A token may come with an earlier or later piece than its text, and a piece without any."""
    choices: list[dict[str, Any]] = [
        {"delta": {"role": "assistant", "content": ""}},
        {"delta": {"content": '{"label":'}, "logprobs": {"content": WHOLE[:1]}},
        {"delta": {"content": '"b'}, "logprobs": None},
        {"delta": {"content": 'ug"}'}, "logprobs": {"content": WHOLE[1:], "refusal": None}},
        {"delta": {}, "finish_reason": "stop", "logprobs": {"content": []}},
    ]
    events = Events()
    for choice in choices:
        list(events.feed(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"))

    reply = events.result(envelope=ENVELOPE, seconds=0)

    assert isinstance(reply, Reply)
    assert (reply.text, reply.tokens) == (TEXT, TAKEN)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "told",
    [
        None,
        True,
        3,
        "none",
        [],
        WHOLE,
        {},
        {"content": None},
        {"content": {"token": "x"}},
        {"content": []},
        {"content": [None, *WHOLE]},
        {"content": ["{", *WHOLE]},
        {"content": [{"token": TEXT}]},
        {"content": [{"logprob": -0.5}]},
        {"content": [entry(TEXT, None)]},
        {"content": [entry(TEXT, "-0.5")]},
        {"content": [entry(TEXT, True)]},
        {"content": [entry(TEXT, math.nan)]},
        {"content": [entry(TEXT, math.inf)]},
        {"content": [entry(TEXT, 0.5)]},
        {"content": [entry(TEXT, 10**400)]},
        {"content": [{"token": 7, "logprob": -0.5}]},
        {"content": [entry("another text")]},
        {"content": [entry('"')]},
        {"content": [*WHOLE, *WHOLE]},
        {"content": [entry("")]},
        {"tokens": ["x"], "token_logprobs": [-0.5]},
    ],
    ids=lambda told: str(told)[:40],
)
def test_what_makes_no_sense_or_does_not_fit_the_text_counts_as_not_told(told: object, stream: bool) -> None:
    """The reply is as good as without it: no error, no tokens."""
    reply = reply_of(completion(TEXT, told, stream=stream), envelope=ENVELOPE, seconds=0)

    assert isinstance(reply, Reply)
    assert (reply.text, reply.tokens) == (TEXT, ())


@pytest.mark.parametrize(
    ("entries", "taken"),
    [
        ([entry(TEXT, -math.inf)], ((TEXT, LOWEST),)),
        ([entry(TEXT, -(10**400))], ((TEXT, LOWEST),)),
        ([entry(TEXT, 1e-7)], ((TEXT, 0.0),)),
        ([entry(TEXT, -0.5, bytes=None)], ((TEXT, -0.5),)),
        ([entry(TEXT, -0.5, bytes=[1, 999])], ((TEXT, -0.5),)),
        ([entry(TEXT, -0.5, bytes=list("▁x".encode()))], ((TEXT, -0.5),)),
        ([entry("?", -0.5, bytes=list(TEXT.encode()))], ((TEXT, -0.5),)),
        (WHOLE[1:], TAKEN[1:]),
        ([entry("<think>so</think>\n"), *WHOLE, entry("<|im_end|>")], TAKEN),
        ([entry("\n", -9), entry(' {"label', -0.1), *WHOLE[1:]], TAKEN),
    ],
    ids=str,
)
def test_what_endpoints_tell_in_other_ways_is_understood(
    entries: list[dict[str, object]], taken: tuple[tuple[str, float], ...]
) -> None:
    """An impossible token, a rounded logarithm, bytes that are not the text's, thoughts and end marks around the text."""
    assert tokens_of(entries, raw=TEXT.encode()) == taken


def test_tokens_that_share_a_character_become_one() -> None:
    """Half a character is no text; both halves together are as probable as one after the other."""
    raw = "a😀é".encode()
    entries = [in_bytes(raw[:3], -0.25), in_bytes(raw[3:6], -0.5), in_bytes(raw[6:], -1.0)]

    assert tokens_of(entries, raw=raw) == (("a😀é", -1.75),)
    assert tokens_of([in_bytes(raw[:1]), *[in_bytes(raw[at : at + 1]) for at in range(1, 7)]], raw=raw) == (
        ("a", -0.5),
        ("😀", -2.0),
        ("é", -1.0),
    )


def test_a_text_that_is_not_utf_8_has_no_tokens() -> None:
    """A lone half of a character cannot be handed on as a token's text."""
    assert tokens_of([entry("a\ud800b")], raw="a\ud800b".encode("utf-8", "surrogatepass")) == ()
    assert tokens_of([in_bytes(b"a\xff")], raw=b"a\xff") == ()


def test_whatever_is_told_the_tokens_are_a_part_of_the_text() -> None:
    """Two thousand cuts of texts with characters of all lengths: all of it is taken, and in the text's own characters."""
    chance = random.Random(4)
    for _ in range(2_000):
        text = "".join(chance.choice('abé😀"{}\n') for _ in range(chance.randint(1, 12)))
        raw = text.encode()
        cuts = sorted({0, len(raw), *(chance.randint(0, len(raw)) for _ in range(4))})
        entries = [in_bytes(raw[low:high], -1.0) for low, high in zip(cuts, cuts[1:], strict=False)]

        tokens = tokens_of(entries, raw=raw)

        assert "".join(token for token, _ in tokens) == text
        assert sum(log for _, log in tokens) == -len(entries)
