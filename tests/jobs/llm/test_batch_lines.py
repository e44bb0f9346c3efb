"""The lines of a batch's files: read over real HTTP as they come, written, and split into parts."""

import asyncio
import json
import tracemalloc
from collections import Counter
from typing import Any

import pytest

from jobs.llm import Endpoint, batches
from jobs.llm.batches import RemoteBatch, RequestFailed
from jobs.testing import StubProvider
from jobs.values import Failure, FailureKind
from tests.jobs.llm.wires import (
    HEAD,
    KEY,
    TOKEN,
    failure_of,
    look,
    read,
    read_raw,
    reply_of,
    response,
    served,
    serving,
    submit,
    work,
)


def test_lines_come_in_any_order_twice_or_not_at_all(stub: StubProvider) -> None:
    """Each is known by its id; what is missing or doubled is the reader's matter."""
    stub.batches.shuffled, stub.batches.missing, stub.batches.twice = True, {3}, {5}
    texts = [f"row {number}" for number in range(8)]
    stub.answer = lambda messages, text: {"label": text}
    remote = look(stub, submit(stub, texts))

    found = read(stub, remote.output_file)[0]

    assert Counter(line.custom_id for line in found) == {f"r{n}": 2 if n == 5 else 1 for n in range(8) if n != 3}
    assert [line.custom_id for line in found] != sorted(line.custom_id for line in found)
    for line in found:
        assert json.loads(reply_of(line).raw) == {"label": f"row {line.custom_id[1:]}"}


def test_a_file_that_ends_inside_a_line_loses_that_line(stub: StubProvider) -> None:
    """Nothing is made of half a line."""
    stub.batches.cut = True
    remote = look(stub, submit(stub, ["row 0", "row 1", "row 2"]))

    found, skipped = read(stub, remote.output_file)

    assert ([line.custom_id for line in found], skipped) == (["r0", "r1"], 1)


def test_a_file_that_is_refused_or_breaks_off_can_be_read_again(stub: StubProvider) -> None:
    """From its start; what was given before the break stands."""
    remote = look(stub, submit(stub, [f"row {number}" for number in range(20)]))
    stub.batches.refuse_content, stub.batches.break_content = 1, 1

    async def do(endpoint: Endpoint) -> tuple[list[Failure], list[int]]:
        reading = batches.lines(endpoint, remote.output_file or "")
        failures, counts = [], []
        for _ in range(3):
            try:
                async for _ in reading:
                    pass
            except RequestFailed as error:
                failures.append(error.failure)
            counts.append(reading.read)
        return failures, counts

    failures, counts = work(stub, do)

    assert [(failure.kind, failure.status) for failure in failures] == [
        (FailureKind.TRANSIENT, 500),
        (FailureKind.TRANSIENT, None),
    ]
    assert counts[0] == 0 and 0 < counts[1] < 20 and counts[2] == 20


def test_what_nobody_can_read_is_left_out_and_counted() -> None:
    """No JSON, no object, no id, or longer than what is read of any response; empty lines are nothing."""
    found, skipped = read_raw(
        b"no json\n\n[1]\n",
        b'{"custom_id": 7}\n{"custom_id": ""}\n',
        b'{"custom_id": "long", "x": "' + b"x" * 9_000_000 + b'"}\n',
        response("a", "1")[:50],
        response("a", "1")[50:],
        b'\xff\xfe\n{"custom_id": ' + b"[" * 100_000 + b"\n",
        response("b", "2").rstrip(b"\n"),
    )

    assert [(line.custom_id, reply_of(line).raw) for line in found] == [("a", b"1"), ("b", b"2")]
    assert skipped == 7


@pytest.mark.parametrize(
    ("told", "kind", "code"),
    [
        ({"error": {"code": "batch_expired", "message": "late"}}, FailureKind.TRANSIENT, "expired"),
        ({"error": {"code": "batch_cancelled", "message": "stop"}}, FailureKind.TRANSIENT, "cancelled"),
        ({"error": {"code": "rate_limit_exceeded", "message": "slow"}}, FailureKind.THROTTLED, "rate_limit_exceeded"),
        ({"error": "something"}, FailureKind.TRANSIENT, None),
        ({"response": None, "error": None}, FailureKind.TRANSIENT, "no_response"),
        ({"response": {"status_code": "200", "body": {}}}, FailureKind.TRANSIENT, "no_response"),
        ({"response": {"status_code": 200, "body": None}}, FailureKind.TRANSIENT, "no_choices"),
        ({"response": {"status_code": 502, "body": "<html>x</html>"}}, FailureKind.TRANSIENT, None),
        (
            {"response": {"status_code": 200, "body": {}}, "error": {"code": "x", "message": "m"}},
            FailureKind.TRANSIENT,
            "x",
        ),
    ],
)
def test_a_line_without_a_reply_is_a_failure_of_that_line(told: dict[str, Any], kind: FailureKind, code: str) -> None:
    """Whatever it lacks."""
    found, skipped = read_raw(json.dumps({"custom_id": "a", **told}).encode() + b"\n")

    assert (failure_of(found[0]).kind, failure_of(found[0]).code, skipped) == (kind, code, 0)


def test_a_reply_is_kept_byte_for_byte() -> None:
    """Line separators, lone surrogates and control characters of a model's text end no line and change nothing."""
    text = "a\u2028b\x85c\x0bd \ud800 \U0001f600 \x00 \\n"
    plain = response("b", "MARK").replace(b"MARK", "e\u2028f\x85".encode())

    escaped, bare = read_raw(response("a", text), plain)[0]

    assert reply_of(escaped).raw == text.encode("utf-8", "surrogatepass")
    assert reply_of(bare).text == "e\u2028f\x85"


def test_usage_that_is_not_told_is_estimated_as_far_as_anything_is_known() -> None:
    """A long prompt that is told is believed, though what was sent is not at hand."""
    long = {"prompt_tokens": 900_000, "completion_tokens": 2}

    told, untold = read_raw(response("a", "12345678", usage=long), response("b", "12345678"))[0]

    assert (reply_of(told).usage.prompt, reply_of(told).usage.estimated) == (900_000, False)
    assert (reply_of(untold).usage.prompt, reply_of(untold).usage.estimated) == (0, True)
    assert reply_of(untold).usage.completion > 0


def test_the_key_goes_no_further() -> None:
    """Neither in a reply, nor in a failure, nor in an id; and the answer says so."""
    error = {"custom_id": "b", "error": {"code": "x", "message": f"Incorrect key {KEY[:14]}"}}
    refusal = {"custom_id": "c", "response": {"status_code": 401, "body": {"error": {"message": f"key {KEY}"}}}}

    found, _ = read_raw(
        response("a", f"it is {KEY}"),
        *(json.dumps(each).encode() + b"\n" for each in (error, refusal)),
        response(f"d{KEY}", "fine"),
    )

    assert [line.answer.repeated_key for line in found] == [True, False, True, True]
    assert reply_of(found[0]).raw == b"it is [key]"
    assert found[3].custom_id == "d[key]"
    assert KEY[:12] not in repr(found)


def test_a_download_is_not_sent_on_to_another_place() -> None:
    """The key would go there too."""
    reply = b"HTTP/1.1 302 Found\r\nlocation: http://elsewhere.invalid/\r\ncontent-length: 0\r\n\r\n"

    async def do(endpoint: Endpoint) -> Failure:
        with pytest.raises(RequestFailed) as caught:
            async for _ in batches.lines(endpoint, "f"):
                pass
        return caught.value.failure

    failure = served([reply], do)
    assert failure.kind is FailureKind.BLOCKED and "elsewhere.invalid" in failure.message


def test_a_download_that_stands_still_is_given_up() -> None:
    """After the timeout of a request without a byte, however long the whole may take."""

    async def stalled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + response("a", "1"))
        await reader.read()

    async def do(endpoint: Endpoint) -> tuple[int, Failure]:
        reading = batches.lines(endpoint, "f")
        with pytest.raises(RequestFailed) as caught:
            async for _ in reading:
                pass
        return reading.read, caught.value.failure

    read, failure = serving(stalled, do, timeout=0.2)

    assert (read, failure.kind, failure.code) == (1, FailureKind.TRANSIENT, "timeout")


def test_five_thousand_lines_are_all_answered(stub: StubProvider) -> None:
    """One batch, each row asked once, each with an answer of its own."""
    remote = look(stub, submit(stub, [f"row {number}" for number in range(5_000)]))

    found = read(stub, remote.output_file)[0]

    assert len({line.custom_id for line in found}) == 5_000
    assert (stub.batches.created, stub.batches.executed, stub.ledger.calls) == (1, 5_000, 5_000)


def test_a_file_of_any_size_is_read_in_little_memory() -> None:
    """Twenty megabytes pass through one or two."""
    block = b"".join(response(f"r{number}", "x" * 20_000) for number in range(10))

    async def do(endpoint: Endpoint) -> tuple[int, int]:
        count = 0
        tracemalloc.start()
        async for _ in batches.lines(endpoint, "f"):
            count += 1
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return count, peak

    count, peak = served([HEAD, *[block] * 100], do)

    assert count == 1_000 and len(block) * 100 > 20_000_000
    assert peak < 4_000_000


def test_a_line_without_an_end_takes_no_more_than_the_longest() -> None:
    """It is dropped as it comes, and its tail is no line of its own."""
    pieces = [HEAD, *[b" " * 1_000_000] * 60, b'{"custom_id": "tail", "error": "x"}\n', response("a", "1")]

    async def do(endpoint: Endpoint) -> tuple[list[str], int, int]:
        reading = batches.lines(endpoint, "f")
        tracemalloc.start()
        found = [line.custom_id async for line in reading]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found, reading.skipped, peak

    found, skipped, peak = served(pieces, do)

    assert (found, skipped) == (["a"], 1)
    assert peak < 30_000_000


def test_a_file_of_any_size_is_sent_in_little_memory() -> None:
    """The lines are made one by one and go up from a file on disk."""
    line = batches.line("r", {"x": "y" * 100_000})

    async def taking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0] or 0)
            told = {"id": f"took-{size}", "status": "processed"} if head.startswith(b"POST") else {"data": []}
            while size:
                size -= len(await reader.read(min(size, 65_536)))
            sent = json.dumps(told).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(sent), sent))

    async def do(endpoint: Endpoint) -> tuple[RemoteBatch, int]:
        tracemalloc.start()
        remote = await batches.submit(endpoint, TOKEN, (line for _ in range(400)), count=400)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return remote, peak

    remote, peak = serving(taking, do)

    assert len(line) * 400 > 40_000_000 and remote.id.startswith("took-")
    assert peak < 4_000_000


# -- lines and parts ---------------------------------------------------------------------------------------------------


def test_a_line_is_one_line() -> None:
    """Whatever the row holds, one line goes up and comes out as it went in."""
    made = batches.line("r1", {"model": "m", "messages": [{"role": "user", "content": "a\nb\u2028c\r\x85 \ud800"}]})

    assert made.count(b"\n") == 1 and made.endswith(b"\n") and b"\r" not in made
    told = json.loads(made)
    assert (told["custom_id"], told["method"], told["url"]) == ("r1", "POST", "/v1/chat/completions")
    assert told["body"]["messages"][0]["content"] == "a\nb\u2028c\r\x85 \ufffd"


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ([], []),
        ([5], [range(0, 1)]),
        ([5, 5], [range(0, 2)]),
        ([5, 5, 1], [range(0, 2), range(2, 3)]),
        ([99, 1, 99], [range(0, 1), range(1, 2), range(2, 3)]),
        ([1, 1, 1, 1, 1, 1, 1], [range(0, 3), range(3, 6), range(6, 7)]),
    ],
)
def test_lines_are_split_by_count_and_by_bytes(sizes: list[int], wanted: list[range]) -> None:
    """In their order, each once; what is above the limit alone goes alone."""
    assert batches.split(sizes, most_lines=3, most_bytes=10) == wanted


def test_a_split_loses_nothing() -> None:
    """A hundred thousand lines, at the limits as they are."""
    parts = batches.split([100] * 120_000)

    assert [len(part) for part in parts] == [50_000, 50_000, 20_000]
    assert [number for part in parts for number in part] == list(range(120_000))
    assert [len(part) for part in batches.split([100_000_000] * 3)] == [1, 1, 1]
