"""The batch endpoint over real HTTP: found again, submitted once, and read line by line."""

import asyncio
import json
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from jobs.llm import Endpoint, batches, body
from jobs.llm.batches import BatchLine, RemoteBatch, RequestFailed
from jobs.settings import Connection, Price
from jobs.testing import StubProvider
from jobs.testing.batch import Batch, StoredFile
from jobs.values import UNSENT, Failure, FailureKind, Message, Reply

KEY = "sk-test-0123456789abcdef"
TOKEN = "token-of-part-1"
Result = TypeVar("Result")


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with StubProvider(answer={"label": "a"}, keys=[KEY], price=Price(input=100.0, output=200.0)) as running:
        yield running


def work(at: StubProvider | str, do: Callable[[Endpoint], Awaitable[Result]], **more: Any) -> Result:
    async def run() -> Result:
        address = at if isinstance(at, str) else at.base_url
        async with Endpoint(Connection(name="stub", base_url=address, key_env="KEY"), KEY, **more) as endpoint:
            return await do(endpoint)

    return asyncio.run(run())


def bodies(texts: Iterable[str]) -> list[dict[str, Any]]:
    connection = Connection(name="stub", base_url="http://stub.invalid/v1")
    return [
        body([Message(role="user", content=text)], model="m", connection=connection, max_tokens=64) for text in texts
    ]


def written(texts: Iterable[str]) -> list[bytes]:
    return [batches.line(f"r{number}", each) for number, each in enumerate(bodies(texts))]


def submit(at: StubProvider | str, texts: Sequence[str], *, timeout: float = 60.0, **more: Any) -> RemoteBatch:
    made = written(texts)
    more = {"count": len(made), "settle": 0.0, **more}
    return work(at, lambda endpoint: batches.submit(endpoint, TOKEN, made, **more), timeout=timeout)


def look(stub: StubProvider, remote: RemoteBatch) -> RemoteBatch:
    return work(stub, lambda endpoint: batches.look(endpoint, remote.id))


def read(at: StubProvider | str, file: str | None, **more: Any) -> tuple[list[BatchLine], int]:
    """The lines of a file, and how many could not be read."""

    async def do(endpoint: Endpoint) -> tuple[list[BatchLine], int]:
        assert file is not None
        reading = batches.lines(endpoint, file, **more)
        found = [line async for line in reading]
        assert reading.read == len(found)
        return found, reading.skipped

    return work(at, do)


def refused(do: Callable[[], object]) -> Failure:
    with pytest.raises(RequestFailed) as caught:
        do()
    return caught.value.failure


def reply_of(line: BatchLine) -> Reply:
    assert line.answer.reply is not None
    return line.answer.reply


def failure_of(line: BatchLine) -> Failure:
    assert line.answer.failure is not None
    return line.answer.failure


def by_hand(stub: StubProvider, texts: Sequence[str], *, name: str = f"redrive-{TOKEN}.jsonl") -> str:
    """What a process has done that died before it made a batch of its file."""
    content = b"".join(written(texts))

    async def do(endpoint: Endpoint) -> str:
        file = tempfile.TemporaryFile()  # noqa: SIM115  the endpoint closes it
        file.write(content)
        file.seek(0)
        told = await endpoint.upload("/files", {"purpose": "batch"}, file=file, name=name, size=len(content))
        assert told.status == 200 and file.closed
        return str(json.loads(told.body)["id"])

    return work(stub, do)


# -- submitting --------------------------------------------------------------------------------------------------------


def test_a_batch_is_answered_as_ordinary_requests_are(stub: StubProvider) -> None:
    """Reply, usage, model, finish reason, request id and money, and the refusals sorted as always."""
    texts = ["row 0", "row 1 [[500]]", "row 2 [[cut]]", "row 3 [[moderated]]", "row 4 [[429]]", "row 5 [[html]]"]
    remote = submit(stub, texts)
    assert (remote.status, remote.is_over, remote.total) == ("validating", False, 0)
    assert time.time() - 60 < remote.created_at <= time.time() and remote.expires_at is not None

    remote = look(stub, remote)

    assert (remote.status, remote.is_over, remote.words) == ("completed", True, "")
    assert (remote.total, remote.completed, remote.failed) == (6, 3, 3)
    sent = {f"r{number}": json.dumps(each).encode() for number, each in enumerate(bodies(texts))}
    answers = {line.custom_id: line for line in read(stub, remote.output_file, sent=sent.__getitem__)[0]}
    errors = {line.custom_id: line for line in read(stub, remote.error_file)[0]}
    whole = reply_of(answers["r0"])
    assert (whole.raw, whole.finish_reason, whole.model, whole.status) == (b'{"label":"a"}', "stop", "m", 200)
    assert whole.request_id == f"req_{remote.id}_0" and whole.seconds == answers["r0"].answer.seconds == 0.0
    assert whole.usage.prompt == stub.ledger.of("row 0")[0].prompt and not whole.usage.estimated
    assert answers["r0"].answer.sent == sent["r0"]
    assert reply_of(answers["r2"]).finish_reason == "length"
    assert b"We will be back soon" in reply_of(answers["r5"]).raw
    assert reply_of(errors["r3"]).refusal is not None
    assert (failure_of(errors["r1"]).kind, failure_of(errors["r1"]).status) == (FailureKind.TRANSIENT, 500)
    assert (failure_of(errors["r4"]).kind, failure_of(errors["r4"]).code) == (
        FailureKind.THROTTLED,
        "rate_limit_exceeded",
    )
    told = [reply_of(line).usage for line in answers.values() if line.custom_id != "r5"]
    assert sum(entry.money for entry in stub.ledger.entries if entry.kind != "html") == pytest.approx(
        sum(usage.prompt * 50e-6 + usage.completion * 100e-6 for usage in told)
    )


def test_what_is_submitted_twice_is_one_batch(stub: StubProvider) -> None:
    """The second finds the first and takes nothing of its lines."""
    first = submit(stub, ["row 0", "row 1"])

    def never() -> Iterator[bytes]:
        raise AssertionError("the lines are not needed")
        yield b""

    again = work(stub, lambda endpoint: batches.submit(endpoint, TOKEN, never(), count=2))
    other = work(stub, lambda endpoint: batches.submit(endpoint, "another-token", written(["row 0"]), count=1))

    assert (again.id, other.id != first.id) == (first.id, True)
    assert (stub.batches.uploads, stub.batches.created) == (2, 2)
    assert [remote.id for remote in work(stub, lambda endpoint: batches.find(endpoint, TOKEN))] == [first.id]


def test_a_file_that_was_uploaded_before_a_crash_is_used(stub: StubProvider) -> None:
    """The same bytes go up once."""
    file = by_hand(stub, ["row 0", "row 1"])

    remote = submit(stub, ["row 0", "row 1"])

    assert (remote.input_file, stub.batches.uploads, stub.batches.created) == (file, 1, 1)


def test_a_file_of_other_bytes_is_not_used(stub: StubProvider) -> None:
    """An upload that broke off, or of lines that have changed since, stays where it is."""
    file = by_hand(stub, ["row 0"])

    remote = submit(stub, ["row 0", "row 1"])

    assert remote.input_file != file
    assert look(stub, remote).total == 2


def test_a_batch_made_of_a_file_is_found_where_its_metadata_is_not_kept(stub: StubProvider) -> None:
    """By the name of its input file."""
    stub.batches.keeps_metadata = False

    assert submit(stub, ["row 0"]).id == submit(stub, ["row 0"]).id
    assert stub.batches.created == 1


def test_a_lost_answer_to_a_create_is_not_known_and_found_at_the_next_try(stub: StubProvider) -> None:
    """It may be there: whoever submits again gets that one."""
    stub.batches.lose_create = 1

    failure = refused(lambda: submit(stub, ["row 0"]))
    assert (failure.kind, failure.code, failure.retry_after) == (FailureKind.LOST, "unknown", 60.0)
    assert "may be submitted" in failure.message

    assert submit(stub, ["row 0"]).id in stub.batches.all
    assert (stub.batches.uploads, stub.batches.created) == (1, 1)


def test_a_lost_answer_to_an_upload_is_tried_again_without_a_second_file(stub: StubProvider) -> None:
    """Nothing is submitted by an upload, so it is trouble on the way and no more."""
    stub.batches.lose_upload = 1

    assert refused(lambda: submit(stub, ["row 0"])).kind is FailureKind.TRANSIENT
    submit(stub, ["row 0"])

    assert (stub.batches.uploads, stub.batches.created) == (1, 1)


def test_a_create_that_is_still_under_way_is_waited_for(stub: StubProvider) -> None:
    """A fresh file of no batch is left alone for a moment, and then looked for again."""
    file = by_hand(stub, ["row 0"])

    async def both(endpoint: Endpoint) -> tuple[RemoteBatch, str]:
        trying = asyncio.create_task(batches.submit(endpoint, TOKEN, written(["row 0"]), count=1, settle=2.0))
        await asyncio.sleep(0.3)
        told = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        made = json.loads((await endpoint.fetch("POST", "/batches", told)).body)
        return await trying, made["id"]

    found, made = work(stub, both)

    assert (found.id, stub.batches.created) == (made, 1)


def test_of_several_batches_the_one_that_did_something_goes_on(stub: StubProvider) -> None:
    """One that failed its validation was never run."""
    stub.batches.complaints = [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached."}]
    failed = look(stub, submit(stub, ["row 0"]))
    assert (failed.status, failed.code, failed.words) == (
        "failed",
        "token_limit_exceeded",
        "Enqueued token limit reached.",
    )
    assert submit(stub, ["row 0"]).id == failed.id, "another try takes another token"
    stub.batches.complaints = ()

    async def again(endpoint: Endpoint) -> None:
        told = {"input_file_id": failed.input_file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        await endpoint.fetch("POST", "/batches", told)

    work(stub, again)
    assert submit(stub, ["row 0"]).id != failed.id


def crowd(stub: StubProvider, number: int) -> None:
    """So many batches of somebody else, newer than all."""
    file = StoredFile("file-other", "other.jsonl", "other", b"", 0)
    for each in range(number):
        stub.batches.all[f"other-{each}"] = Batch(f"other-{each}", file, None, "", began=time.time())


def test_a_batch_is_found_behind_many_newer_ones(stub: StubProvider) -> None:
    """The list is followed page by page, as far back as the file goes."""
    first = submit(stub, ["row 0"])
    crowd(stub, 250)

    assert submit(stub, ["row 0"]).id == first.id


def test_a_batch_that_newer_ones_may_hide_is_left_to_a_person(stub: StubProvider) -> None:
    """Its file is there, and more batches are newer than are looked at."""
    by_hand(stub, ["row 0"])
    crowd(stub, 1_100)

    failure = refused(lambda: submit(stub, ["row 0"]))

    assert (failure.kind, failure.code) == (FailureKind.LOST, "unknown")
    assert f"redrive-{TOKEN}.jsonl" in failure.message and stub.batches.created == 0


def test_a_list_is_followed_no_further_than_the_file_goes_back(stub: StubProvider) -> None:
    """A batch is never older than its file, so older ones hide nothing."""
    crowd(stub, 1_100)
    for age, other in enumerate(reversed(stub.batches.all.values())):
        other.began -= 86_400 + age
    by_hand(stub, ["row 0"])

    assert submit(stub, ["row 0"]).id in stub.batches.all
    assert stub.batches.created == 1


@pytest.mark.parametrize("times", [[1_000.0, 2_000.0, 90_000.0], [None, None, None]])
def test_a_list_in_another_order_is_read_to_its_end(times: list[float | None]) -> None:
    """Oldest first, or without times: that an old batch stands there says nothing of what follows."""
    rows = [
        {"id": f"b{number}", "status": "completed", "created_at": at, "input_file_id": f"f{number}"}
        for number, at in enumerate(times)
    ]
    file = {"id": "f2", "filename": f"redrive-{TOKEN}.jsonl", "created_at": 89_000, "bytes": 1}

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
            at = int(path.partition("after=b")[2] or -1) + 1
            told = {"data": rows[at : at + 1], "has_more": at < 2} if "/batches" in path else {"data": [file]}
            sent = json.dumps(told).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(sent), sent))

    async def do(endpoint: Endpoint) -> RemoteBatch:
        return await batches.submit(endpoint, TOKEN, [], count=1)

    assert serving(handle, do).id == "b2"


def test_a_server_that_lists_no_batches_is_tried_once(stub: StubProvider) -> None:
    """Without a file there was no batch; with one nobody can tell, and a person must look."""
    stub.batches.lists_batches = False
    submit(stub, ["row 0"])

    failure = refused(lambda: submit(stub, ["row 0"]))

    assert (failure.kind, failure.code) == (FailureKind.LOST, "unknown")
    assert "does not list its batches" in failure.message
    assert stub.batches.created == 1
    assert refused(lambda: work(stub, lambda endpoint: batches.find(endpoint, TOKEN))).status == 404


def test_a_server_that_lists_nothing_is_trusted_at_the_first_try_alone(stub: StubProvider) -> None:
    """Whoever calls knows whether it is the first; without that word nothing is sent."""
    stub.batches.lists_batches = stub.batches.lists_files = False

    failure = refused(lambda: submit(stub, ["row 0"]))
    assert (failure.kind, failure.code, stub.batches.uploads) == (FailureKind.BLOCKED, "no_batches", 0)

    submit(stub, ["row 0"], first=True)
    assert stub.batches.created == 1


def test_a_server_that_lists_no_files_finds_a_batch_by_its_metadata(stub: StubProvider) -> None:
    """The token stands there too."""
    stub.batches.lists_files = False

    assert submit(stub, ["row 0"]).id == submit(stub, ["row 0"]).id
    assert stub.batches.created == 1


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("status", [404, 405, 501])
def test_an_endpoint_without_batches_is_blocked(status: int, first: bool) -> None:
    """A server of models alone, which most compatible ones are: nothing that a wait would mend."""
    reply = b'HTTP/1.1 %d No\r\nconnection: close\r\ncontent-length: 22\r\n\r\n{"detail":"Not Found"}' % status

    async def do(endpoint: Endpoint) -> Failure:
        with pytest.raises(RequestFailed) as caught:
            await batches.submit(endpoint, TOKEN, written(["row 0"]), count=1, first=first)
        return caught.value.failure

    failure = served([reply], do)

    assert (failure.kind, failure.status) == (FailureKind.BLOCKED, status)
    assert "Not Found" in failure.message


Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def serving(handle: Handle, do: Callable[[Endpoint], Awaitable[Result]], *, timeout: float = 5.0) -> Result:
    """The work against a server that deals so with each connection."""

    async def run() -> Result:
        under_way = set()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            under_way.add(asyncio.current_task())
            try:
                await handle(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            connection = Connection(name="raw", base_url=f"http://127.0.0.1:{port}/v1", key_env="KEY")
            async with Endpoint(connection, KEY, timeout=timeout) as endpoint:
                result = await do(endpoint)
            await asyncio.gather(*(task for task in under_way if task is not None))
        return result

    return asyncio.run(run())


def served(pieces: Iterable[bytes], do: Callable[[Endpoint], Awaitable[Result]]) -> Result:
    """The work against a server that sends these bytes whatever it is asked, as slowly as they are taken, and hangs up."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        writer.write_eof()
        await reader.read()

    return serving(handle, do)


def test_a_rejected_key_is_blocked_and_goes_nowhere(stub: StubProvider) -> None:
    """The stand-in repeats the key, as providers do."""

    async def do(endpoint: Endpoint) -> RemoteBatch:
        return await batches.submit(endpoint, TOKEN, written(["row 0"]), count=1)

    async def run() -> RemoteBatch:
        async with Endpoint(Connection(name="s", base_url=stub.base_url, key_env="KEY"), "sk-other-99999999") as opened:
            return await do(opened)

    failure = refused(lambda: asyncio.run(run()))

    assert (failure.kind, failure.status, failure.code) == (FailureKind.BLOCKED, 401, "invalid_api_key")
    assert "sk-other" not in failure.message and "99999999" not in failure.message


def test_an_endpoint_that_cannot_be_reached_is_trouble_on_the_way() -> None:
    """Nothing has been sent, so nothing is unknown."""
    failure = refused(lambda: submit("http://127.0.0.1:9/v1", ["row 0"]))

    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "connect")


def test_a_file_that_is_not_taken_in_yet_is_come_back_for(stub: StubProvider) -> None:
    """Azure takes a while; the next try uses the same file."""
    stub.batches.pending = 1

    failure = refused(lambda: submit(stub, ["row 0"]))
    assert (failure.kind, failure.code, failure.retry_after) == (FailureKind.TRANSIENT, "file_pending", 10.0)

    submit(stub, ["row 0"])
    assert (stub.batches.uploads, stub.batches.created) == (1, 1)


@pytest.mark.parametrize(("count", "texts"), [(2, ["row 0"]), (1, ["row 0", "row 1"]), (0, [])])
def test_lines_that_are_not_as_many_as_told_are_not_sent(stub: StubProvider, count: int, texts: list[str]) -> None:
    """That would be a fault of ours."""
    with pytest.raises(ValueError, match="no batch of"):
        submit(stub, texts, count=count)

    assert stub.batches.uploads == 0


@pytest.mark.parametrize("token", ["short", "with space", "a" * 65, "semi;colon", "ünïcödé-token"])
def test_a_token_that_no_file_can_be_named_by_is_refused(stub: StubProvider, token: str) -> None:
    """Before anything is asked."""
    with pytest.raises(ValueError, match="no token"):
        work(stub, lambda endpoint: batches.submit(endpoint, token, [], count=1))


def test_a_file_on_disk_is_sent_as_it_is(stub: StubProvider, tmp_path: Path) -> None:
    """And stays there."""
    path = tmp_path / "part.jsonl"
    path.write_bytes(b"".join(written(["row 0", "row 1"])))

    remote = work(stub, lambda endpoint: batches.submit(endpoint, TOKEN, path, count=2))

    assert look(stub, remote).completed == 2
    assert stub.batches.files[remote.input_file or ""].content == path.read_bytes()


# -- looking and cancelling --------------------------------------------------------------------------------------------


def test_a_cancelled_batch_keeps_what_is_done(stub: StubProvider) -> None:
    """Cancelling is safe to say twice, and of what is over; its answers are read as any."""
    stub.batches.polls = 2
    remote = submit(stub, [f"row {number}" for number in range(10)])
    look(stub, remote)

    def cancel() -> RemoteBatch:
        return work(stub, lambda endpoint: batches.cancel(endpoint, remote.id))

    assert [cancel().status, cancel().status] == ["cancelling", "cancelling"]
    ended = look(stub, remote)
    assert (ended.status, ended.is_over, cancel().status) == ("cancelled", True, "cancelled")
    found, skipped = read(stub, ended.output_file)
    assert [line.custom_id for line in found] == [f"r{number}" for number in range(5)]
    assert (skipped, ended.error_file, stub.ledger.calls) == (0, None, 5)


def test_an_expired_batch_says_in_its_error_file_what_was_not_run(stub: StubProvider) -> None:
    """Such lines may be asked again and were never charged."""
    stub.batches.expire_after = 2
    ended = look(stub, submit(stub, ["row 0", "row 1 [[500]]", "row 2", "row 3"]))

    assert ended.status == "expired"
    assert [line.custom_id for line in read(stub, ended.output_file)[0]] == ["r0"]
    errors = read(stub, ended.error_file)[0]
    assert [(line.custom_id, failure_of(line).code) for line in errors] == [
        ("r1", "server_error"),
        ("r2", "expired"),
        ("r3", "expired"),
    ]
    assert all(failure_of(line).kind is FailureKind.TRANSIENT for line in errors)
    assert failure_of(errors[1]).status is None and set(batches.UNRUN) <= set(UNSENT)


def test_a_batch_that_is_not_there_cannot_be_looked_at(stub: StubProvider) -> None:
    """Nor can it be cancelled; its name reaches the server as it is."""
    for act in (batches.look, batches.cancel):
        failure = refused(lambda act=act: work(stub, lambda endpoint: act(endpoint, "batch/../../x?y")))  # type: ignore[misc]
        assert (failure.kind, failure.status) == (FailureKind.BLOCKED, 404)


def test_a_batch_in_other_words_is_still_one() -> None:
    """Upper-case states, a list of errors, numbers that are none: what other servers make of the form."""
    told = {
        "id": "b",
        "status": "FAILED",
        "created_at": "soon",
        "request_counts": None,
        "errors": [{"code": "invalid", "message": f"bad {KEY}", "line": 3}, "so it is"],
    }
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"

    remote = served([head, json.dumps(told).encode()], lambda endpoint: batches.look(endpoint, "b"))

    assert (remote.status, remote.is_over, remote.code, remote.created_at) == ("failed", True, "invalid", 0.0)
    assert remote.words == "bad [key] (line 3); so it is"


@pytest.mark.parametrize("answer", [b"<html>hello</html>", b"[]", b'{"id": 3}', b'{"id": "x'])
def test_an_answer_that_is_no_batch_is_trouble(answer: bytes) -> None:
    """Not a guess at one."""
    head = b"HTTP/1.1 200 OK\r\n\r\n"

    async def do(endpoint: Endpoint) -> Failure:
        with pytest.raises(RequestFailed) as caught:
            await batches.look(endpoint, "b")
        return caught.value.failure

    failure = served([head, answer], do)
    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "unreadable")


def test_a_file_can_be_taken_from_the_provider(stub: StubProvider) -> None:
    """As far as it lets us, and without an error where it does not."""
    remote = submit(stub, ["row 0"])

    for wanted in (True, False):
        assert work(stub, lambda endpoint: batches.delete_file(endpoint, remote.input_file or "")) is wanted
    assert stub.batches.files == {}


# -- reading -----------------------------------------------------------------------------------------------------------


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


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n\r\n"


def read_raw(*pieces: bytes) -> tuple[list[BatchLine], int]:
    async def do(endpoint: Endpoint) -> tuple[list[BatchLine], int]:
        reading = batches.lines(endpoint, "f")
        return [line async for line in reading], reading.skipped

    return served([HEAD, *pieces], do)


def response(name: str, text: str, **more: Any) -> bytes:
    told = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "model": "m", **more}
    line = {"id": "x", "custom_id": name, "response": {"status_code": 200, "request_id": "q", "body": told}}
    return json.dumps({**line, "error": None}).encode() + b"\n"


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


def test_five_thousand_lines_take_a_few_seconds(stub: StubProvider) -> None:
    """From the rows to their answers, the stand-in's own time included."""
    began = time.monotonic()
    remote = look(stub, submit(stub, [f"row {number}" for number in range(5_000)]))

    found = read(stub, remote.output_file)[0]

    assert len({line.custom_id for line in found}) == 5_000
    assert (stub.batches.created, stub.batches.executed, stub.ledger.calls) == (1, 5_000, 5_000)
    assert time.monotonic() - began < 10


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
