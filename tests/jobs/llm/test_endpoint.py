import asyncio
import json
import logging
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from jobs import errors, logs
from jobs.llm import Answer, Endpoint, Window, body, endpoint
from jobs.settings import Connection
from jobs.testing import Act, Ask, StubProvider
from jobs.testing.script import error_body
from jobs.values import SIZE, FailureKind, Message, Reply, Usage

KEY = "sk-test-0123456789abcdef"


@pytest.fixture(scope="module")
def stub() -> Iterator[StubProvider]:
    with StubProvider(answer={"label": "a"}) as running:
        yield running


def request(connection: Connection, text: str, *, stream: bool = False) -> dict[str, Any]:
    messages = [Message(role="system", content="Label it."), Message(role="user", content=text)]
    return body(messages, model="stub-model", connection=connection, max_tokens=64, stream=stream)


def with_endpoint(
    stub: StubProvider,
    work: Callable[[Endpoint], Coroutine[Any, Any, Answer]],
    *,
    key: str | None = None,
    **more: Any,
) -> Answer:
    async def run() -> Answer:
        connection = Connection(name="stub", base_url=stub.base_url, key_env="KEY" if key else None)
        async with Endpoint(connection, key, **more) as opened:
            return await work(opened)

    return asyncio.run(run())


def ask(stub: StubProvider, text: str, **more: Any) -> Answer:
    return with_endpoint(stub, lambda opened: opened.ask(request(opened.connection, text)), **more)


def test_a_good_answer_is_a_reply_with_what_was_sent_beside_it(stub: StubProvider) -> None:
    """The attempt's exact request, its reply, its usage and its time are all in the answer."""
    before, began = time.time(), time.monotonic()

    answer = ask(stub, "row 1")
    passed = time.monotonic() - began

    assert answer.failure is None
    assert answer.reply is not None
    assert answer.reply.raw == b'{"label":"a"}'
    assert (answer.reply.finish_reason, answer.reply.model, answer.reply.status) == ("stop", "stub-model", 200)
    assert not answer.reply.usage.estimated
    assert answer.reply.usage.prompt == stub.ledger.of("row 1")[-1].prompt
    assert json.loads(answer.sent)["messages"][1]["content"] == "row 1"
    assert 0 < answer.reply.seconds <= answer.seconds <= passed
    assert before <= answer.started_at <= time.time()


@pytest.mark.parametrize(
    ("mark", "kind", "code"),
    [
        ("[[500]]", FailureKind.TRANSIENT, "server_error"),
        ("[[503]]", FailureKind.THROTTLED, "overloaded"),
        ("[[429 2]]", FailureKind.THROTTLED, "rate_limit_exceeded"),
        ("[[401]]", FailureKind.BLOCKED, "invalid_api_key"),
        ("[[402]]", FailureKind.BLOCKED, "insufficient_quota"),
        ("[[404]]", FailureKind.BLOCKED, "model_not_found"),
        ("[[307]]", FailureKind.BLOCKED, "server_error"),
        ("[[too long]]", FailureKind.TOO_LONG, "context_length_exceeded"),
        ("[[reset]]", FailureKind.TRANSIENT, "reset"),
        ("[[truncated]]", FailureKind.TRANSIENT, "cut"),
        ("[[no choices]]", FailureKind.TRANSIENT, "no_choices"),
    ],
)
def test_what_goes_wrong_on_the_wire_is_a_typed_failure(
    stub: StubProvider, mark: str, kind: FailureKind, code: str
) -> None:
    """Nothing is raised and nothing is sent twice: the engine decides about a second try."""
    answer = ask(stub, f"wire {mark}")

    assert answer.reply is None
    assert answer.failure is not None
    assert (answer.failure.kind, answer.failure.code) == (kind, code)
    assert len(stub.ledger.of(f"wire {mark}")) == 1
    assert answer.failure.retry_after == (2.0 if mark == "[[429 2]]" else None)


@pytest.mark.parametrize(
    ("usage", "known"),
    [({"prompt_tokens": 40, "completion_tokens": 7}, Usage(prompt=40, completion=7)), (None, None), ({}, None)],
)
def test_usage_without_a_choice_is_kept_beside_the_failure(usage: dict[str, int] | None, known: Usage | None) -> None:
    """What the endpoint says that it used is known, and paid for; where it says nothing, nothing is estimated."""
    said = json.dumps({"object": "chat.completion", "choices": [], "usage": usage}).encode()
    with StubProvider(lambda ask: Act(kind="no choices", body=said)) as stub:
        answer = ask(stub, "used nothing")

    assert answer.failure is not None and answer.failure.code == "no_choices"
    assert answer.usage == known


def test_a_broken_off_body_is_kept_beside_its_failure(stub: StubProvider) -> None:
    """What was paid for and arrived in part can be looked at."""
    answer = ask(stub, "kept [[truncated]]")

    assert answer.partial.startswith(b'{"id":"chatcmpl-')


@pytest.mark.parametrize(
    ("mark", "raw", "refusal", "finish"),
    [
        ("[[malformed]]", b"I think it is", None, "stop"),
        ("[[html]]", b"<!doctype html>", None, None),
        ("[[empty]]", b"", None, "stop"),
        ("[[null]]", b"", None, "stop"),
        ("[[tool]]", b"", None, "tool_calls"),
        ("[[cut]]", b'{"labe', None, "length"),
        ("[[refuse]]", b"", "I'm sorry, I can't help with that.", "stop"),
        ("[[fenced]]", b'```json\n{"label":"a"}\n```', None, "stop"),
        ("[[moderated]]", b'{"error"', "The response was filtered by our content management policy.", "content_filter"),
    ],
)
def test_what_is_wrong_with_an_answer_is_left_to_the_judge(
    stub: StubProvider, mark: str, raw: bytes, refusal: str | None, finish: str | None
) -> None:
    """A reply is a reply however bad it is; only the judge gives verdicts."""
    reply = ask(stub, f"answer {mark}").reply

    assert reply is not None
    assert reply.raw.startswith(raw)
    assert bool(reply.raw) is bool(raw)
    assert (reply.refusal, reply.finish_reason) == (refusal, finish)


def test_wrong_usage_is_estimated(stub: StubProvider) -> None:
    """Figures that cannot be are not believed, and the reply is kept all the same."""
    reply = ask(stub, "usage [[wrong usage]]").reply

    assert reply is not None
    assert reply.usage.estimated
    assert reply.usage.prompt > 0
    assert reply.usage.completion > 0


def test_an_answer_of_five_megabytes_is_kept_whole(stub: StubProvider) -> None:
    """Its size is no trouble of the endpoint's."""
    reply = ask(stub, "size [[big 5]]").reply

    assert reply is not None
    assert len(reply.raw) == 5_000_000 + len(b'{"label":"a"}')
    assert reply.finish_reason == "stop"


def test_an_answer_beyond_all_measure_is_cut_and_says_so(stub: StubProvider) -> None:
    """Reading stops, the start is kept, and a cut reply is never a value."""
    reply = ask(stub, "size [[big 30]]").reply

    assert reply is not None
    assert len(reply.raw) == endpoint.MOST_BYTES
    assert reply.finish_reason == SIZE


@pytest.mark.timeout(60)
def test_a_request_that_hangs_ends_at_its_timeout(stub: StubProvider) -> None:
    """The timeout is for the whole request, and says how long it was."""
    began = time.monotonic()
    answer = ask(stub, "hang [[hang 600]]", timeout=0.2)
    passed = time.monotonic() - began

    assert answer.failure is not None
    assert (answer.failure.kind, answer.failure.code) == (FailureKind.TRANSIENT, "timeout")
    assert "0.2 s" in answer.failure.message
    assert 0.2 <= answer.seconds <= passed


def test_an_endpoint_that_is_not_there_is_unreachable() -> None:
    """A refused connection is tried again and says where it went."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = StubProvider(port=unused.getsockname()[1])

        answer = ask(nowhere, "row")

    assert answer.failure is not None
    assert (answer.failure.kind, answer.failure.code) == (FailureKind.TRANSIENT, "connect")
    assert str(nowhere.port) in answer.failure.message


def test_a_cancelled_request_is_cancelled_on_the_wire(stub: StubProvider) -> None:
    """Cancelling raises through, and the provider sees that nobody waits any more."""

    async def work(opened: Endpoint) -> Answer:
        while stub.ledger.in_flight:  # one that another test has left, which the provider has not noticed yet
            await asyncio.sleep(0.005)
        task = asyncio.create_task(opened.ask(request(opened.connection, "cancel [[hang 20]]")))
        while not stub.ledger.in_flight:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while stub.ledger.in_flight:
            await asyncio.sleep(0.005)
        return await opened.ask(request(opened.connection, "after"))

    assert with_endpoint(stub, work).reply is not None
    assert not stub.ledger.of("cancel")[0].delivered


def test_limits_are_read_from_good_and_bad_answers_alike() -> None:
    """The limiter learns from every reply, also from a refusal."""
    with StubProvider(rpm=60) as limited:
        first, second = ask(limited, "a"), ask(limited, "b")

    assert first.rates.requests == Window(60, 0, 1.0)
    assert second.failure is not None
    assert second.failure.kind is FailureKind.THROTTLED
    assert second.failure.retry_after == second.rates.retry_after
    assert 0 < (second.rates.retry_after or 0) <= 1


class Deltas(list[str]):
    def __call__(self, piece: str) -> None:
        self.append(piece)


def stream(stub: StubProvider, text: str, deltas: Deltas, **more: Any) -> Answer:
    def work(opened: Endpoint) -> Coroutine[Any, Any, Answer]:
        return opened.stream(request(opened.connection, text, stream=True), on_delta=deltas)

    return with_endpoint(stub, work, **more)


def test_a_streamed_reply_is_the_same_reply(stub: StubProvider) -> None:
    """Piece by piece it adds up to what is kept, with usage at its end."""
    deltas = Deltas()

    answer = stream(stub, "row é [[prose]]", deltas)

    assert answer.reply is not None
    assert len(deltas) > 3
    assert "".join(deltas) == answer.reply.text
    assert '{"label":"a"}' in answer.reply.text
    assert answer.reply.finish_reason == "stop"
    assert not answer.reply.usage.estimated


def test_a_stream_that_breaks_keeps_what_came(stub: StubProvider) -> None:
    """It is no reply, since its end may be missing, but the text is there to be seen."""
    deltas = Deltas()

    answer = stream(stub, "stream [[truncated]]", deltas)

    assert answer.failure is not None
    assert answer.failure.kind is FailureKind.TRANSIENT
    assert answer.partial == b'{"labe' == "".join(deltas).encode()


@pytest.mark.parametrize("mark", ["[[html]]", "[[refuse]]", "[[429 1]]"])
def test_a_stream_that_is_none_is_still_read(stub: StubProvider, mark: str) -> None:
    """An endpoint that answers a request for a stream in another way is understood."""
    deltas = Deltas()

    answer = stream(stub, f"stream {mark}", deltas)

    if mark == "[[html]]":
        assert "".join(deltas).startswith("<!doctype")
    if mark == "[[refuse]]":
        assert answer.reply is not None
        assert answer.reply.refusal == "I'm sorry, I can't help with that."
    if mark == "[[429 1]]":
        assert answer.failure is not None
        assert answer.failure.retry_after == 1.0


def test_the_key_is_sent_and_seen_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    """A refused key is named by its variable's owner, not shown: neither in the failure, nor in what is kept, nor in a log."""
    wrong = "sk-wrong-0123456789abcdef"
    with StubProvider(keys=[KEY]) as locked, caplog.at_level(logging.DEBUG):
        assert ask(locked, "row", key=KEY).reply is not None
        answer = ask(locked, "row", key=wrong)
        without = ask(locked, "row")

    assert answer.failure is not None
    assert answer.failure.kind is FailureKind.BLOCKED
    assert "Incorrect API key provided: [key]" in answer.failure.message
    assert without.failure is not None
    assert wrong not in repr(answer)
    assert wrong not in caplog.text
    assert KEY not in caplog.text
    assert KEY not in repr(Endpoint(Connection(name="c", base_url=locked.base_url), KEY))


def test_a_page_that_echoes_the_key_is_kept_without_it() -> None:
    """A proxy's debug page with status 200 is kept as a reply, so the key must not be in it."""

    def echo(_: Ask) -> Act:
        return Act(body=f"<pre>Authorization: Bearer {KEY}</pre>".encode(), content_type="text/html")

    with StubProvider(echo) as mirror:
        reply = ask(mirror, "row", key=KEY).reply

    assert reply is not None
    assert reply.raw == b"<pre>Authorization: Bearer [key]</pre>"


ODD_KEY = "sk-Zq7/Lw0+vTn3&Xy9PbR5cD1gH=8mKe2"
SPELLED = "".join(f"\\u{ord(char):04x}" for char in ODD_KEY)


def completion(**message: Any) -> bytes:
    outer = {name: message.pop(name) for name in ("model",) if name in message}
    choice = {"index": 0, "message": message, "finish_reason": message.pop("finish_reason", "stop")}
    return json.dumps({"choices": [choice], **outer}).encode()


def told(content: str, *, stream: bool, ends: Literal["whole", "cut"] = "whole") -> Act:
    """A reply that tells its tokens, character by character."""
    entries = [{"token": char, "logprob": -0.5, "bytes": list(char.encode())} for char in content]
    choice = {"delta" if stream else "message": {"content": content}, "logprobs": {"content": entries}}
    body = json.dumps(
        {"choices": [{"index": 0, "finish_reason": None if ends == "cut" else "stop", **choice}]}
    ).encode()
    return Act(
        body=b"data: %b\n\n" % body if stream else body,
        content_type="text/event-stream" if stream else "application/json",
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("content", [f"a {ODD_KEY} b", f'{{"a": "{SPELLED}"}}', "a plain text"])
def test_the_tokens_of_a_text_that_held_the_key_are_dropped(content: str, stream: bool) -> None:
    """They would spell it out piece by piece; those of any other text are handed on."""
    with StubProvider(lambda _: told(content, stream=stream)) as mirror:
        reply = ask(mirror, "row", key=ODD_KEY).reply

    assert reply is not None
    assert reply.tokens == (tuple((char, -0.5) for char in content) if content == "a plain text" else ())


@pytest.mark.parametrize("content", [f"it is {ODD_KEY}", f"it is {ODD_KEY[:12]}", "it is"])
def test_a_stream_that_broke_off_has_the_tokens_of_what_had_come_unless_the_key_was_in_it(content: str) -> None:
    """Whole answers in it are kept, so their tokens are worth as much; a half key is a key."""
    with StubProvider(lambda _: told(content, stream=True, ends="cut")) as mirror:
        answer = with_endpoint(
            mirror,
            lambda opened: opened.stream(request(opened.connection, "row", stream=True), on_delta=lambda _: None),
            key=ODD_KEY,
        )

    assert answer.failure is not None
    assert "".join(token for token, _ in answer.tokens) == ("it is" if content == "it is" else "")
    assert answer.partial.startswith(b"it is")
    assert ODD_KEY[:8] not in repr(answer)


@pytest.mark.parametrize(
    ("act", "field", "said"),
    [
        (Act(body=completion(content=f"a {ODD_KEY} b")), "raw", b"a [key] b"),
        (Act(body=completion(content=f'{{"a": "{SPELLED}"}}')), "raw", b'{"a": "[key]"}'),
        (Act(body=completion(content=f"it is {ODD_KEY[:12]}", finish_reason="length")), "raw", b"it is [key]"),
        (Act(body=completion(content="", refusal=f"not {ODD_KEY}")), "refusal", "not [key]"),
        (Act(body=completion(content="", finish_reason=ODD_KEY)), "finish_reason", "[key]"),
        (Act(body=completion(content="", model=f"m/{ODD_KEY}")), "model", "m/[key]"),
        (Act(headers=(("x-request-id", ODD_KEY),)), "request_id", "[key]"),
        (Act(headers=(("request-id", ODD_KEY),)), "request_id", "[key]"),
        (Act(body=f"Bearer {ODD_KEY[:20]} ...".encode(), content_type="text/plain"), "raw", b"Bearer [key] ..."),
    ],
)
def test_a_key_that_comes_back_in_a_reply_goes_no_further(act: Act, field: str, said: object) -> None:
    """In whatever field and spelling; where a text is cut, a piece of it is enough."""
    with StubProvider(lambda _: act) as mirror:
        answer = ask(mirror, "row", key=ODD_KEY)

    assert answer.reply is not None
    assert getattr(answer.reply, field) == said
    assert answer.repeated_key is (field == "raw")


@pytest.mark.parametrize(
    ("act", "said", "kept"),
    [
        (Act(status=500, body=error_body("x" * 985 + ODD_KEY, code="c")), "x" * 985 + "[key]", b"[key]"),
        (Act(status=500, body=f'{{"error": "{SPELLED}"}}'.encode()), "[key]", b'{"error": "[key]"}'),
        (Act(status=502, body=f"<h1>{ODD_KEY[9:]}</h1>".encode()), "[key]", b"<h1>[key]</h1>"),
        (Act(status=307, headers=(("location", f"http://x/?k={ODD_KEY}"),), body=b""), "http://x/?k=[key]", b""),
        (Act(status=308, headers=(("location", "http://me:word@x/"),), body=b""), "http://[key]@x/", b""),
        (Act(body=json.dumps({"x" * 180: 1, "k": ODD_KEY}).encode()), "[key]", b"[key]"),
        (Act(body=f'{{"choices": [{{"k": "{ODD_KEY}'.encode() + b"y" * 60, ends="cut"), "broke off", b"[key]"),
    ],
)
def test_a_key_that_comes_back_in_a_failure_goes_no_further(act: Act, said: str, kept: bytes) -> None:
    """Neither in its words, wherever they are cut, nor in the body that is kept beside them."""
    with StubProvider(lambda _: act) as mirror:
        answer = ask(mirror, "row", key=ODD_KEY)

    assert answer.failure is not None
    assert said in answer.failure.message
    assert kept in answer.partial
    assert not any(ODD_KEY[at : at + 8] in repr(answer) for at in range(len(ODD_KEY) - 7))


def test_a_key_in_an_errors_code_goes_no_further() -> None:
    """A code is cut to a hundred characters, with or without a key in it."""
    with StubProvider(lambda _: Act(status=500, body=error_body("m", code="c" * 90 + ODD_KEY))) as mirror:
        answer = ask(mirror, "row", key=ODD_KEY)

    assert answer.failure is not None
    assert answer.failure.code == "c" * 90 + "[key]"


@pytest.mark.parametrize("status", [200, 500])
def test_a_body_that_is_cut_inside_the_key_keeps_no_half_of_it(status: int) -> None:
    """What is beyond all measure ends where reading stopped, and that may be anywhere."""
    body = b"x" * (endpoint.MOST_BYTES - 20) + ODD_KEY.encode() * 1000
    with StubProvider(lambda _: Act(status=status, body=body)) as mirror:
        answer = ask(mirror, "row", key=ODD_KEY)

    kept = answer.reply.raw if answer.reply is not None else answer.partial
    assert kept[-30:] == b"x" * 25 + b"[key]"


def test_a_models_text_without_the_key_is_kept_byte_for_byte() -> None:
    """Escapes, parts of a key and words about keys are a model's own."""
    text = f"\\u0073k- \\/ &amp; %2F {ODD_KEY[:20]} {ODD_KEY[5:]} sk-another-key-of-somebody Bearer abcdefgh \ud800"
    with StubProvider(lambda _: Act(body=completion(content=text))) as mirror:
        answer = ask(mirror, "row", key=ODD_KEY)

    assert answer.reply is not None
    assert answer.reply.text == text
    assert not answer.repeated_key


@pytest.mark.parametrize("spelled", [ODD_KEY, SPELLED])
@pytest.mark.parametrize("size", [1, 5])
def test_a_key_that_streams_in_pieces_is_never_shown(spelled: str, size: int) -> None:
    """The live text holds back what may be the beginning of a key, and ends as the reply that is kept."""
    text = f"before {spelled} after sk-Z"
    events = [{"choices": [{"delta": {"content": text[at : at + size]}}]} for at in range(0, len(text), size)]
    events.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    body = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)
    deltas = Deltas()
    with StubProvider(lambda _: Act(body=body, content_type="text/event-stream")) as mirror:
        answer = stream(mirror, "row", deltas, key=ODD_KEY)

    assert answer.reply is not None
    assert "".join(deltas) == answer.reply.text == "before [key] after sk-Z"
    assert answer.repeated_key


def test_an_error_inside_is_a_failure_whose_trace_holds_no_key(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is raised: whoever caught it would write the trace down and does not know the key."""
    shown = iter([RuntimeError(f"cannot show {ODD_KEY} and {ODD_KEY[:9]}")])

    def show(piece: str) -> None:
        for error in shown:
            raise error

    with StubProvider(answer="a b c") as running:
        answer = with_endpoint(
            running,
            lambda opened: opened.stream(request(opened.connection, "row", stream=True), on_delta=show),
            key=ODD_KEY,
        )

    assert answer.failure is not None
    assert (answer.failure.kind, answer.failure.code) == (FailureKind.INTERNAL, "RuntimeError")
    assert answer.failure.message.endswith("RuntimeError: cannot show [key] and [key]\n")
    assert "a request failed inside" in caplog.text


def test_an_open_endpoint_keeps_its_key_out_of_every_log() -> None:
    """Also where no variable of that name was known when the log began: a key is concealed when it is read."""
    redact = logs.redactor([])
    connection = Connection(name="c", base_url="http://127.0.0.1:9/v1", headers={"X-Token": "a-token-of-headers"})
    Endpoint(connection, "a-key-of-nobody")

    assert redact("a-key-of-nobody, a-token-of-headers") == "[redacted], [redacted]"


def test_the_environments_key_goes_to_no_other_endpoint(stub: StubProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK fills in what is missing from the environment; an endpoint without a key must not get OpenAI's."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ADMIN_KEY", KEY)

    ask(stub, "keyless")

    assert stub.ledger.of("keyless")[0].key == ""


def test_own_headers_are_sent_and_their_secrets_kept() -> None:
    """A gateway's key in a header of its own is a key like any other."""
    connection = Connection(name="g", base_url="http://127.0.0.1:9/v1", headers={"Authorization": f"Bearer {KEY}"})

    async def run() -> Answer:
        with StubProvider(keys=["sk-another-key-123456"]) as locked:
            here = connection.model_copy(update={"base_url": locked.base_url})
            async with Endpoint(here, None) as opened:
                return await opened.ask(request(here, "row"))

    answer = asyncio.run(run())

    assert answer.failure is not None
    assert "Incorrect API key provided: [key]." in answer.failure.message


def test_a_proxy_of_the_environment_is_not_used_for_this_machine(
    stub: StubProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The embedded model is reached where a company's proxy is set."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    assert ask(stub, "direct").reply is not None


def test_a_proxy_of_the_environment_carries_what_goes_elsewhere(
    stub: StubProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stub stands for the proxy: a request for a host that is not here reaches it, unless the host is excepted."""
    monkeypatch.setenv("http_proxy", stub.base_url.removesuffix("/v1"))
    monkeypatch.delenv("no_proxy", raising=False)
    connection = Connection(name="far", base_url="http://model.invalid/v1")

    async def run() -> Answer:
        async with Endpoint(connection, KEY, timeout=5) as opened:
            return await opened.ask(request(connection, "by proxy"))

    by_proxy = asyncio.run(run())
    monkeypatch.setenv("no_proxy", "model.invalid")
    direct = asyncio.run(run())

    assert by_proxy.reply is not None and len(stub.ledger.of("by proxy")) == 1
    assert direct.failure is not None and direct.failure.kind is FailureKind.TRANSIENT


def test_a_password_of_netrc_goes_nowhere(stub: StubProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What another program keeps for that host is not ours to send."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password another-password-1\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    assert ask(stub, "of nobody").reply is not None
    assert stub.ledger.of("of nobody")[-1].key == ""


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://x/v1", "http://"])
def test_a_base_url_that_is_none_is_refused_by_name(url: str) -> None:
    """The mistake is found before the first row is sent."""

    async def make() -> Endpoint:
        return Endpoint(Connection(name="mine", base_url=url), None)

    with pytest.raises(errors.UnusableConnection, match="'mine'"):
        asyncio.run(make())


@pytest.mark.parametrize("spoiled", [f"{KEY}\n", f'"{KEY}"', f" {KEY}", f"{KEY}…", f"{KEY}\\"])
def test_a_key_with_what_no_key_has_is_refused_without_showing_it(spoiled: str) -> None:
    """A key copied with its line's end would fail deep in the transport, with the key in the trace."""

    async def make() -> Endpoint:
        return Endpoint(Connection(name="mine", key_env="MY_KEY"), spoiled)

    with pytest.raises(errors.UnusableConnection, match="MY_KEY") as caught:
        asyncio.run(make())
    assert KEY not in caught.value.message


def test_many_requests_share_few_connections(stub: StubProvider) -> None:
    """More requests than connections wait their turn, and all are answered."""
    stub.ledger.clear()

    async def work(opened: Endpoint) -> Answer:
        answers = await asyncio.gather(*(opened.ask(request(opened.connection, f"many {n}")) for n in range(60)))
        assert all(isinstance(answer.reply, Reply) for answer in answers)
        return answers[0]

    with_endpoint(stub, work, max_connections=4)

    assert stub.ledger.calls == 60
    assert stub.ledger.max_in_flight <= 4


def test_garbage_on_the_wire_is_a_failure() -> None:
    """A server that speaks no HTTP is an endpoint in trouble, not an exception."""

    async def run() -> Answer:
        async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\x00\x01\r\n\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(babble, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        connection = Connection(name="ssh", base_url=f"http://127.0.0.1:{port}/v1")
        async with server, Endpoint(connection, None) as opened:
            return await opened.ask(request(connection, "row"))

    answer = asyncio.run(run())

    assert answer.failure is not None
    assert answer.failure.kind is FailureKind.TRANSIENT


@pytest.mark.parametrize("value", [float("nan"), {1, 2}])
def test_settings_that_are_no_json_block_the_run(stub: StubProvider, value: object) -> None:
    """The mistake is the version's, not the row's, and nothing is sent."""
    stub.ledger.clear()

    def work(opened: Endpoint) -> Coroutine[Any, Any, Answer]:
        return opened.ask({**request(opened.connection, "row"), "temperature": value})

    answer = with_endpoint(stub, work)

    assert answer.failure is not None
    assert (answer.failure.kind, answer.failure.code) == (FailureKind.BLOCKED, "body")
    assert stub.ledger.calls == 0
