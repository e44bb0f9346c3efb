import json
from dataclasses import replace
from typing import Any

import pytest

from jobs.llm.answers import Envelope, Events, reply_of, usage_of
from jobs.values import SIZE, Failure, FailureKind, Reply, Usage

ENVELOPE = Envelope(status=200, sent_bytes=400, request_id="req_1")


def completion(message: object, **more: Any) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": more.pop("finish_reason", "stop")}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}
    return json.dumps({"model": "m-1", "choices": [choice], "usage": usage, **more}).encode()


def read(content: bytes, **more: Any) -> Reply | Failure:
    return reply_of(content, envelope=ENVELOPE, seconds=0.5, **more)


def test_a_completion_becomes_a_reply_with_all_its_figures() -> None:
    """What the endpoint says about a reply is kept beside the reply's exact text."""
    reply = read(completion({"content": ' {"a": "é"}\n'}))

    assert reply == Reply(
        raw=' {"a": "é"}\n'.encode(),
        finish_reason="stop",
        usage=Usage(prompt=10, completion=5, cached=4),
        model="m-1",
        request_id="req_1",
        seconds=0.5,
    )


@pytest.mark.parametrize(
    ("message", "raw", "refusal"),
    [
        ({"content": None}, b"", None),
        ({}, b"", None),
        ({"content": None, "tool_calls": [{"id": "1"}]}, b"", None),
        ({"content": None, "refusal": "I can't"}, b"", "I can't"),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, "c", 7]}, b"abc", None),
        ({"content": [{"type": "refusal", "refusal": "no"}]}, b"", "no"),
        ({"content": {"a": 1}}, b"", None),
        ({"content": "", "reasoning_content": '{"a": 1}'}, b"", None),
        ({"content": "\ud800"}, b"\xed\xa0\x80", None),
        ("text", b"", None),
    ],
)
def test_every_form_of_content_is_read_as_text(message: object, raw: bytes, refusal: str | None) -> None:
    """Parts are joined, nothing becomes an empty reply, and reasoning is never taken for the answer."""
    reply = read(completion(message))

    assert isinstance(reply, Reply)
    assert (reply.raw, reply.refusal) == (raw, refusal)
    assert reply.text.encode("utf-8", "surrogatepass") == raw


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("LENGTH", "length"),
        ("SAFETY", "content_filter"),
        ("end_turn", "stop"),
        ("STOP", "stop"),
        ("a new word", "a new word"),
    ],
)
def test_the_end_of_a_reply_is_read_in_every_spelling(said: str, known: str) -> None:
    """Models of other providers say in their own words that a reply was cut, streamed or not."""
    whole = json.dumps({"choices": [{"message": {"content": "x"}, "finish_reason": said}]}).encode()
    events = (
        b"data: " + json.dumps({"choices": [{"delta": {"content": "x"}, "finish_reason": said}]}).encode() + b"\n\n"
    )

    for body in (whole, events):
        reply = read(body)
        assert isinstance(reply, Reply) and reply.finish_reason == known


def test_a_reply_that_a_filter_stopped_is_marked_as_refused() -> None:
    """Half an answer that a content filter let through is not an answer."""
    reply = read(completion({"content": '{"a": 1}'}, finish_reason="content_filter"))

    assert isinstance(reply, Reply)
    assert reply.refusal == "content_filter"


@pytest.mark.parametrize(
    "page", [b"<html>soon</html>", b"", b"OK", b"caf\xe9", b"{'choices'", b"\xed\xa0\x80", b"[" * 100_000]
)
def test_a_body_that_is_not_json_is_kept_whole(page: bytes) -> None:
    """It is judged as a reply that is no JSON, and its bytes can be had back."""
    reply = read(page)

    assert isinstance(reply, Reply)
    assert reply.usage.estimated
    assert reply.text.encode("utf-8", "surrogateescape") == page


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b'{"choices":[]}', FailureKind.TRANSIENT, 200),
        (b'{"label":"a"}', FailureKind.TRANSIENT, 200),
        (b"[1]", FailureKind.TRANSIENT, 200),
        (b'{"choices":[{"message":{"content":"{\\"a\\": 1', FailureKind.TRANSIENT, None),
        (b'{"error":{"code":429,"message":"slow down"}}', FailureKind.THROTTLED, 429),
        (b'{"error":{"code":402,"message":"no credits"}}', FailureKind.BLOCKED, 402),
        (b'{"error":"broken"}', FailureKind.TRANSIENT, 500),
        (b'{"error":{"code":"server_error","message":"x"}}', FailureKind.TRANSIENT, 500),
        (b'{"choices":[{"finish_reason":"error","error":{"code":502,"message":"upstream"}}]}',
         FailureKind.TRANSIENT, 502),
    ],
)  # fmt: skip
def test_json_that_is_no_completion_is_never_a_reply(content: bytes, kind: FailureKind, status: int | None) -> None:
    """Its own braces could pass for an answer, so it is trouble with the endpoint, whatever its status was."""
    failure = read(content)

    assert isinstance(failure, Failure)
    assert (failure.kind, failure.status) == (kind, status)


def test_a_body_longer_than_is_read_is_a_reply_that_was_cut() -> None:
    """Its start is kept, and it can never become a value."""
    reply = read(b'{"choices":[{"message":{"content":"{}"', whole=False)

    assert isinstance(reply, Reply)
    assert reply.finish_reason == SIZE


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 2}, Usage(prompt=9, completion=2)),
        ({"prompt_tokens": 9.0, "completion_tokens": 2}, Usage(prompt=9, completion=2)),
        ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": None}, Usage(prompt=9, completion=2)),
        ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 50}},
         Usage(prompt=9, completion=2, cached=9)),
        ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 3},
         Usage(prompt=9, completion=2, cached=3)),
        ({"prompt_tokens": 9}, Usage(prompt=9, completion=3, estimated=True)),
        ({"prompt_tokens": 9, "completion_tokens": 0}, Usage(prompt=9, completion=3, estimated=True)),
        ({"prompt_tokens": "9", "completion_tokens": 2}, Usage(prompt=100, completion=2, estimated=True)),
        ({"prompt_tokens": -9, "completion_tokens": -2}, Usage(prompt=100, completion=3, estimated=True)),
        ({"prompt_tokens": True, "completion_tokens": 2}, Usage(prompt=100, completion=2, estimated=True)),
        ({"prompt_tokens": 1e300, "completion_tokens": float("nan")}, Usage(prompt=100, completion=3, estimated=True)),
        ({"prompt_tokens": 101_000, "completion_tokens": 2}, Usage(prompt=100, completion=2, estimated=True)),
        ({"prompt_tokens": 9, "completion_tokens": 5_000_000}, Usage(prompt=9, completion=3, estimated=True)),
        ({"prompt_tokens": 9, "completion_tokens": 90_000}, Usage(prompt=9, completion=90_000)),
        (None, Usage(prompt=100, completion=3, estimated=True)),
        ([], Usage(prompt=100, completion=3, estimated=True)),
    ],
)  # fmt: skip
def test_usage_that_cannot_be_is_estimated_and_says_so(told: object, expected: Usage) -> None:
    """A figure of the wrong type, or of more tokens than the texts can have, never reaches the books as it is."""
    assert usage_of(told, sent_bytes=400, raw=b"0123456789") == expected


def event(**choice: Any) -> bytes:
    return b"data: " + json.dumps({"model": "m-1", "choices": [choice]}, ensure_ascii=False).encode() + b"\n\n"


def test_a_stream_reads_the_same_however_its_bytes_are_split() -> None:
    """A piece of text that is cut by the network, even inside one character or beside U+2028, arrives whole."""
    stream = (
        b": comment\n\ndata: {garbage\n\ndata: 7\n\n"
        + event(delta={"role": "assistant", "content": ""})
        + event(delta={"content": '{"a": "é\u2028'})
        + event(delta={"content": 'x"}'}, finish_reason="stop")
        + b'data: {"choices":[],"usage":{"prompt_tokens":8,"completion_tokens":3}}\n\ndata: [DONE]\n\n'
    )
    for size in (1, 7, len(stream)):
        events = Events()
        pieces = [p for at in range(0, len(stream), size) for p in events.feed(stream[at : at + size])]
        reply = events.result(envelope=ENVELOPE, seconds=0.1)
        assert pieces == ['{"a": "é\u2028', 'x"}']
        assert isinstance(reply, Reply)
        assert (reply.text, reply.finish_reason) == ('{"a": "é\u2028x"}', "stop")
        assert reply.usage == Usage(prompt=8, completion=3)
    told = replace(ENVELOPE, headers={"content-type": "text/event-stream; charset=utf-8"})
    assert reply_of(stream, envelope=told, seconds=0.1) == events.result(envelope=ENVELOPE, seconds=0.1)


def test_a_stream_without_an_end_is_a_failure() -> None:
    """What came so far is there, but is no reply."""
    events = Events()
    list(events.feed(event(delta={"content": '{"a": 1}'})))

    failure = events.result(envelope=ENVELOPE, seconds=0.1)

    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.TRANSIENT
    assert events.text == '{"a": 1}'


def test_an_error_inside_a_stream_is_classified() -> None:
    """A stream that was accepted can still end in a refusal to go on."""
    events = Events()
    list(events.feed(b'data: {"error": {"code": 429, "message": "Rate limit reached"}}\n\n'))

    failure = events.result(envelope=ENVELOPE, seconds=0.1)

    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.THROTTLED


@pytest.mark.timeout(60)
def test_a_stream_without_a_line_break_is_read_once() -> None:
    """What has come is not read anew with each piece of the same line, which would be terabytes here."""
    events = Events()
    told = event(delta={"content": "x" * 40_000_000})
    at = range(0, len(told), 200)
    assert [piece for start in at for piece in events.feed(told[start : start + 200])] == ["x" * 40_000_000]
