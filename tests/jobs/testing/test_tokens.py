"""jobs.testing.tokens: the stand-in is as sure of each value as a test says, and says nothing unasked."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest

from jobs.llm import Endpoint, body
from jobs.parcel import record
from jobs.settings import Connection
from jobs.testing import StubProvider
from jobs.testing.tokens import Confidence, logprobs
from jobs.values import Message, Reply

ANSWER = {"label": "shipping", "score": 4, "note": "", "tags": ["a", "b"]}
TEXT = json.dumps(ANSWER, separators=(",", ":"))


def asked(confidence: Confidence | None, *, text: str = "row", stream: bool = False, logprobs: bool = True) -> Reply:
    """The reply of a stand-in over HTTP."""

    async def run(base_url: str) -> Reply:
        connection = Connection(name="stub", base_url=base_url)
        messages = [Message(role="user", content=text)]
        made = body(messages, model="m", connection=connection, max_tokens=64, stream=stream, logprobs=logprobs)
        async with Endpoint(connection, None) as opened:
            answer = await (opened.stream(made, on_delta=lambda _: None) if stream else opened.ask(made))
        assert answer.reply is not None
        return answer.reply

    with StubProvider(answer=ANSWER, confidence=confidence) as stub:
        return asyncio.run(run(stub.base_url))


def chance(tokens: list[tuple[str, float]]) -> float:
    return math.exp(sum(log for _, log in tokens))


@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_has_the_probability_that_the_test_has_written(stream: bool) -> None:
    """Each value once, over all its tokens; what stands between the values is certain."""
    chances = {"$.label": 0.5, "$.score": 0.9, "$.tags": 0.25}
    reply = asked(lambda row, path: chances.get(path) if row == "row" else 0.0, stream=stream)

    assert reply.text == TEXT
    assert "".join(token for token, _ in reply.tokens) == TEXT
    assert max(len(token) for token, _ in reply.tokens) == 4
    unsure = [(token, round(math.exp(log), 6)) for token, log in reply.tokens if log]
    assert unsure == [("ship", 0.5), ("4", 0.9), ('["a"', 0.25)]


def test_one_number_is_the_probability_of_every_value() -> None:
    """Four values at a half each; never is never."""
    assert chance(list(asked(0.5).tokens)) == pytest.approx(0.5**4)
    assert chance(list(asked(0.0).tokens)) == 0.0


@pytest.mark.parametrize("stream", [False, True])
def test_it_says_nothing_unasked_and_nothing_without_the_option(stream: bool) -> None:
    """Like the many compatible servers that take the field and ignore it."""
    assert asked(None, stream=stream).tokens == ()
    assert asked(0.5, stream=stream, logprobs=False).tokens == ()
    assert asked(0.5, stream=stream).tokens != ()


def test_the_rows_of_a_call_have_probabilities_of_their_own() -> None:
    """They are known by the text of their record."""
    several = "\n".join(record(name, text) for name, text in (("aa", "sure"), ("bb", "unsure")))
    reply = asked(lambda row, path: 0.3 if (row, path) == ("unsure", "$.label") else None, text=several)

    at = 0
    for token, log in reply.tokens:
        if log:
            assert (token, round(math.exp(log), 6)) == ("ship", 0.3)
            assert at > reply.text.index('"bb"')
        at += len(token)
    assert chance(list(reply.tokens)) == pytest.approx(0.3)


@pytest.mark.parametrize("mark", ["fenced", "think", "prose"])
def test_an_answer_inside_other_text_is_found(mark: str) -> None:
    """A fence or a thought around it changes nothing."""
    reply = asked(0.5, text=f"[[{mark}]]")

    assert len(reply.text) > len(TEXT)
    assert chance(list(reply.tokens)) == pytest.approx(0.5**4)


def test_a_text_without_an_answer_has_tokens_all_the_same() -> None:
    """All certain, and together the text."""
    entries: list[dict[str, Any]] = logprobs("{it} is [broken", {"": "row"}, 0.5)

    assert "".join(each["token"] for each in entries) == "{it} is [broken"
    assert {each["logprob"] for each in entries} == {0.0}
