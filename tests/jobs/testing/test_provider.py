import asyncio
import json
import math
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from jobs.llm import Answer, Endpoint, body
from jobs.settings import Connection, Price
from jobs.testing import Act, Ask, Mix, StubProvider
from jobs.testing.__main__ import main, scripts_of
from jobs.testing.provider import Bucket
from jobs.testing.samples import sample_of
from jobs.values import FailureKind, Message

SCHEMA = {
    "type": "object",
    "properties": {
        "label": {"type": "string", "enum": ["bug", "praise"]},
        "score": {"type": "integer", "minimum": 3, "maximum": 5},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 2},
        "note": {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]},
        "sure": {"type": "boolean"},
        "share": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    },
    "required": ["label", "score", "tags", "note", "sure", "share"],
    "additionalProperties": False,
    "$defs": {"tag": {"type": "string", "minLength": 3}},
}


def ask_all(
    stub: StubProvider, chats: Sequence[Sequence[tuple[str, str]]], *, key: str | None = None, **more: Any
) -> list[Answer]:
    """Asks one after another."""

    async def run() -> list[Answer]:
        connection = Connection(name="stub", base_url=stub.base_url)
        async with Endpoint(connection, key) as opened:
            answers = []
            for chat in chats:
                messages = [Message.model_validate({"role": role, "content": text}) for role, text in chat]
                made = body(messages, model="m", connection=connection, max_tokens=64, **more)
                answers.append(await opened.ask(made))
            return answers

    return asyncio.run(run())


def texts(answers: Sequence[Answer]) -> list[str]:
    return [answer.reply.text if answer.reply else answer.failure.code or "" for answer in answers if answer]


def row(text: str) -> list[tuple[str, str]]:
    return [("system", "Label the row."), ("user", text)]


def get(url: str, data: Mapping[str, Any] | None = None) -> Any:
    sent = None if data is None else json.dumps(data).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=sent), timeout=10) as response:
        return json.load(response)


def test_without_an_answer_the_requests_schema_is_satisfied() -> None:
    """Tests need no answer of their own where the request says what it wants."""
    with StubProvider() as stub:
        (text,) = texts(ask_all(stub, [row("a")], response_format="json_schema", schema=SCHEMA))

    assert json.loads(text) == {
        "label": "bug",
        "score": 3,
        "tags": ["a sample text", "a sample text"],
        "note": "a sam",
        "sure": True,
        "share": 0.5,
    }


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "a sample text"),
        ({"type": "string", "maxLength": 3}, "a s"),
        ({"type": "string", "format": "date"}, "2024-01-31"),
        ({"type": ["null", "string"]}, None),
        ({"const": 7}, 7),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "integer", "maximum": -2}, -2),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [True, True]),
        ({"type": "array", "minItems": 0}, []),
        ({"allOf": [{"$ref": "#/$defs/x"}], "$defs": {"x": {"enum": ["e"]}}}, "e"),
        ({"properties": {"a": {"type": "integer"}}}, {"a": 1}),
        ({"$ref": "#/$defs/missing"}, None),
    ],
)
def test_a_sample_satisfies_its_schema(schema: dict[str, Any], value: object) -> None:
    """The plainest value that the keywords allow."""
    assert sample_of(schema) == value


def test_a_schema_that_refers_to_itself_ends() -> None:
    """A tree's sample is finite."""
    tree = {"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}}}}

    assert isinstance(sample_of(tree), dict)


def test_a_fault_is_over_after_one_call_or_as_told() -> None:
    """The same text meets its fault as often as its mark says, then is answered well."""
    with StubProvider(answer="good") as stub:
        once = texts(ask_all(stub, [row("x [[500]]")] * 2))
        twice = texts(ask_all(stub, [row("y [[empty twice]]")] * 3))
        thrice = texts(ask_all(stub, [row("z [[moderated 3 times]]")] * 4))
        always = texts(ask_all(stub, [row("w [[always bad]]")] * 3))
        lasting = texts(ask_all(stub, [row("v [[fenced]]")] * 2))

    assert once == ["server_error", "good"]
    assert twice == ["", "", "good"]
    assert thrice[3] == "good" != thrice[2]
    assert "good" not in always
    assert lasting == ["```json\ngood\n```"] * 2


def test_a_reask_is_about_the_same_row() -> None:
    """Its corrections are not taken for a new text, whether or not the bad answer travels with them."""
    first = row("x [[malformed 3 times]]")
    reask = [*first, ("assistant", "bad"), ("user", "mend it")]
    again = [*reask, ("assistant", "bad"), ("user", "mend it once more")]
    with StubProvider(answer="good") as stub:
        answers = texts(ask_all(stub, [first, reask, again, [*first, ("user", "shorter please")]]))

        assert answers[3] == "good"
        assert "good" not in answers[:3]
        assert [entry.user for entry in stub.ledger.entries] == [first[1][1]] * 4
        assert [entry.seen for entry in stub.ledger.entries] == [0, 1, 2, 3]


def test_an_example_before_the_row_is_not_the_row() -> None:
    """Few-shot turns stand before the row's text and carry no marks of its."""
    chat = [("user", "example [[500]]"), ("assistant", "{}"), ("user", "the row")]
    with StubProvider(answer="good") as stub:
        assert texts(ask_all(stub, [chat])) == ["good"]
        assert stub.ledger.entries[0].user == "the row"


RECORDS = (
    '<record id="k1">\nfine\n</record>\n<record id="k2">\nodd [[invalid]]\n</record>\n<record id="k3">\n{}\n</record>'
)


def test_several_rows_are_answered_by_their_ids() -> None:
    """Each record gets its own value, and a mark in one spoils that one alone."""

    def label(_: Sequence[Mapping[str, Any]], text: str) -> dict[str, Any]:
        return {"label": text.split()[0]}

    with StubProvider(answer=label) as stub:
        first, second = texts(ask_all(stub, [row(RECORDS.format("gone [[missing]]"))] * 2))
        (mixed,) = texts(ask_all(stub, [row(RECORDS.format("last"))]))

    assert json.loads(second)["results"] == [
        {"id": "k1", "value": {"label": "fine"}},
        {"id": "k2", "value": {"label": "odd"}},
        {"id": "k3", "value": {"label": "gone"}},
    ]
    assert json.loads(first)["results"][1]["value"] == {"unexpected": True}
    assert len(json.loads(mixed)["results"]) == 3


def test_a_wrapped_schema_gives_each_record_a_sample() -> None:
    """The schema of several rows is understood as the engine wraps it."""
    item = {"type": "object", "properties": {"id": {"type": "string"}, "value": SCHEMA}}
    wrapped = {"type": "object", "properties": {"results": {"type": "array", "items": item}}, "$defs": SCHEMA["$defs"]}
    with StubProvider() as stub:
        (text,) = texts(ask_all(stub, [row(RECORDS.format("z"))], response_format="json_schema", schema=wrapped))

    results = json.loads(text)["results"]

    assert [each["id"] for each in results] == ["k1", "k2", "k3"]
    assert results[0]["value"]["label"] == "bug"


def test_a_mark_that_nobody_knows_says_so() -> None:
    """A slip in a test's table is not taken for a good row."""
    with StubProvider() as stub:
        (answer,) = ask_all(stub, [row("x [[malfromed]]")])

    assert answer.failure is not None
    assert answer.failure.kind is FailureKind.BLOCKED
    assert "no mark is named 'malfromed'" in answer.failure.message


def asked(text: str, *, seen: int = 0) -> Ask:
    return Ask(body={"messages": []}, number=1, user=text, seen=seen, records=(), answer=lambda: '{"a":1}')


def test_a_mix_meets_its_fractions_the_same_way_each_time() -> None:
    """Which text meets which fault hangs on the seed and the text alone, and one call heals it."""
    mix = Mix(malformed=0.02, error=0.01, reset=0.005, hang=0.002, first_try_429=0.05, invalid=0.02)
    rows = [f"row {n}" for n in range(20_000)]

    faults = [mix.fault_of(text) for text in rows]

    for name, share in (("malformed", 0.02), ("error", 0.01), ("first_try_429", 0.05), ("hang", 0.002)):
        assert faults.count(name) == pytest.approx(share * len(rows), rel=0.25)
    assert faults == [Mix(**vars(mix)).fault_of(text) for text in rows]
    assert faults != [Mix(malformed=0.02, error=0.01, seed=8).fault_of(text) for text in rows]
    assert all(mix(asked(text, seen=1)) is None for text in rows[:500])


@pytest.mark.parametrize(
    ("mix", "first", "second"),
    [
        (Mix(malformed=1), Act(kind="malformed", content='I think it is "a, or so'), None),
        (Mix(reset=1, heals=False), "reset", "reset"),
        (Mix(hang=1, hang_seconds=3), Act(kind="hang", delay=3), None),
        (Mix(error=1), "500", None),
        (Mix(throttle=1, heals=False), "throttle", "throttle"),
        (Mix(first_try_429=1, heals=False), "first_try_429", None),
        (Mix(invalid=1), "invalid", None),
        (Mix(), None, None),
    ],
)
def test_a_mixs_fault_heals_or_not_as_told(mix: Mix, first: Act | str | None, second: str | None) -> None:
    """A 429 at the first try heals in any case."""
    acts = [mix(asked("row", seen=seen)) for seen in (0, 1)]

    if isinstance(first, Act):
        assert acts[0] == first
    else:
        assert (acts[0].kind if acts[0] else None) == first
    assert (acts[1].kind if acts[1] else None) == second


def test_the_books_hold_every_request_with_its_price() -> None:
    """Status, tokens and money by the provider's own reckoning, the same for the same texts."""
    with StubProvider(answer="12345678", price=Price(input=4, output=8), cached_share=0.5) as stub:
        ask_all(stub, [row("a" * 26), row("b [[500]]"), row("c [[reset]]")], key="sk-first-0123456789")
        ask_all(stub, [row("a" * 26)], key="sk-second-0123456789")
        entries = stub.ledger.entries

        assert [entry.status for entry in entries] == [200, 500, 0, 200]
        assert [entry.kind for entry in entries] == ["answer", "500", "reset", "answer"]
        assert (entries[0].prompt, entries[0].completion, entries[0].cached) == (10, 2, 5)
        assert entries[0].money == pytest.approx((10 * 4 + 2 * 8) / 1e6)
        assert entries[1].money == entries[2].money == 0
        assert sorted(stub.ledger.keys.values()) == [1, 3]
        assert entries[0].sha == entries[3].sha != entries[1].sha
        assert stub.ledger.asked["a" * 26] == 2
        assert stub.ledger.money == pytest.approx(2 * entries[0].money)

        told = get(f"http://127.0.0.1:{stub.port}/_ledger?entries=1")

    assert told["calls"] == len(told["entries"]) == 4
    assert told["statuses"] == {"200": 2, "500": 1, "0": 1}
    assert "sk-first" not in json.dumps(told)


def test_the_most_in_flight_at_once_is_counted() -> None:
    """What the engine may have in flight is checked by the other side."""

    async def run(stub: StubProvider) -> None:
        connection = Connection(name="stub", base_url=stub.base_url)
        async with Endpoint(connection, None) as opened:
            made = body([Message(role="user", content="x")], model="m", connection=connection, max_tokens=5)
            await asyncio.gather(*(opened.ask(made) for _ in range(20)))

    with StubProvider(latency=0.1) as stub:
        asyncio.run(run(stub))
        assert (stub.ledger.max_in_flight, stub.ledger.in_flight, stub.ledger.calls) == (20, 0, 20)


def test_a_bucket_lets_through_what_it_says() -> None:
    """Over any time the allowance is its rate, and a refusal says when it would have been granted."""
    bucket = Bucket(600, burst=0.5, now=0.0)
    passed = sum(bucket.take(at / 1000) == 0 for at in range(0, 60_000, 7))

    assert passed == pytest.approx(600 + 5, abs=2)
    fresh = Bucket(60, burst=1, now=0.0)
    assert fresh.take(0.0) == 0
    assert fresh.take(0.25) == pytest.approx(0.75)
    assert dict(fresh.headers()) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "15",
        "x-ratelimit-reset-requests": "750ms",
    }


def test_only_known_keys_are_let_in() -> None:
    """A wrong key is answered as OpenAI does, with its echo."""
    with StubProvider(keys=["right-key-1"]) as stub:
        good, bad = ask_all(stub, [row("a")], key="right-key-1"), ask_all(stub, [row("a")], key="wrong-key-2")

    assert good[0].reply is not None
    assert bad[0].failure is not None
    assert bad[0].failure.status == 401
    assert stub.ledger.statuses == {200: 1, 401: 1}


def test_it_lists_models_and_says_how_it_is() -> None:
    """The paths that a client looks at before it asks."""
    with StubProvider(models=["one", "two"]) as stub:
        assert [model["id"] for model in get(f"{stub.base_url}/models")["data"]] == ["one", "two"]
        assert get(f"http://127.0.0.1:{stub.port}/health") == {"status": "ok"}
        with pytest.raises(urllib.error.HTTPError) as missing:
            get(f"{stub.base_url}/embeddings", {})
        assert missing.value.code == 404
        missing.value.close()
        with pytest.raises(urllib.error.HTTPError) as unread:
            get(f"{stub.base_url}/chat/completions", {"no": "messages"})
        assert unread.value.code == 400
        unread.value.close()


@pytest.fixture
def script_file(tmp_path: Path) -> Path:
    file = tmp_path / "script.json"
    file.write_text('{"mix": {"error": 1.0}, "answer": {"label": "x"}}', "utf-8")
    return file


def test_it_runs_in_a_process_of_its_own(script_file: Path) -> None:
    """Benchmarks start it, read its address, change it while it runs, and end it by closing its input."""
    command = [sys.executable, "-m", "jobs.testing", "--until-eof", "--script", str(script_file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        stub = StubProvider(port=int(url.rpartition(":")[2].removesuffix("/v1")))

        healed = texts(ask_all(stub, [row("a"), row("a")]))
        get(url.replace("/v1", "/_control"), {"rpm": 1, "latency": 0.01, "clear": True})
        limited = texts(ask_all(stub, [row("a"), row("a")]))
        told = get(url.replace("/v1", "/_ledger"))
        process.stdin.close()

        assert process.wait(timeout=10) == 0
    assert healed == ["server_error", '{"label":"x"}']
    assert limited == ['{"label":"x"}', "rate_limit_exceeded"]
    assert told["calls"] == 2
    assert told["cpu_seconds"] > 0


def test_its_own_process_can_tell_how_sure_it_is_and_bill_each_model_its_price() -> None:
    """A ladder of models can be tried by hand: one that is doubted, and one that is dear."""
    told = ["--confidence", "0.5", "--model-price", "dear=10,20", "--answer", '{"label": "x"}']
    command = [sys.executable, "-m", "jobs.testing", "--until-eof", *told]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        base_url = process.stdout.readline().strip()
        asked = {"messages": [{"role": "user", "content": "row"}], "logprobs": True}
        answers = [get(f"{base_url}/chat/completions", {**asked, "model": model}) for model in ("cheap", "dear")]
        entries = get(base_url.replace("/v1", "/_ledger?entries=1"))["entries"]
        process.communicate(timeout=10)

    for answer in answers:
        least = min(one["logprob"] for one in answer["choices"][0]["logprobs"]["content"])
        assert math.exp(least) == pytest.approx(0.5)
    assert entries[1]["money"] == pytest.approx(10 * entries[0]["money"])


@pytest.mark.parametrize("wrong", [["--confidence", "2"], ["--model-price", "dear=10"], ["--model-price", "=1,2"]])
def test_what_it_cannot_bill_or_tell_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Before it listens, with the option named."""
    with pytest.raises(SystemExit, match="2"):
        main(wrong)
    assert wrong[0] in capsys.readouterr().err


def test_a_python_file_can_be_a_script(tmp_path: Path) -> None:
    """Whatever JSON cannot say is a function."""
    file = tmp_path / "script.py"
    file.write_text(
        "from jobs.testing import Act\n\n\ndef script(ask):\n    return Act(content=ask.user[::-1])\n", "utf-8"
    )
    scripts, answer = scripts_of(file)

    with StubProvider(*scripts) as stub:
        assert texts(ask_all(stub, [row("abc")])) == ["cba"]
    assert answer is None


def test_a_streamed_answer_can_come_piece_by_piece() -> None:
    """Its reader sees each piece when it comes; a pace that is lifted meanwhile lets the rest through at once."""
    with StubProvider(answer={"text": "x" * 600}, pace=0.02) as stub:

        async def run() -> tuple[list[str], Answer]:
            pieces: list[str] = []

            def see(piece: str) -> None:
                pieces.append(piece)
                if len(pieces) == 3:
                    stub.pace = 0.0

            connection = Connection(name="stub", base_url=stub.base_url)
            messages = [Message(role="user", content="row")]
            async with Endpoint(connection, None) as opened:
                made = body(messages, model="m", connection=connection, max_tokens=64, stream=True)
                return pieces, await opened.stream(made, on_delta=see)

        pieces, answer = asyncio.run(run())
    assert pieces[:3] == ['{"text":"xxx', "x" * 12, "x" * 12]
    assert answer.reply is not None and "".join(pieces) == answer.reply.text
    assert len(answer.reply.text) == 611 and answer.reply.finish_reason == "stop"
