"""A batch over real HTTP: submitted once, and found again."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from jobs.llm import Endpoint, batches
from jobs.llm.batches import Overtaken, RemoteBatch, RequestFailed
from jobs.settings import Connection
from jobs.testing import StubProvider
from jobs.testing.batch import Batch, StoredFile
from jobs.values import Failure, FailureKind
from tests.jobs.llm.wires import (
    TOKEN,
    bodies,
    by_hand,
    failure_of,
    look,
    read,
    refused,
    reply_of,
    served,
    serving,
    submit,
    work,
    written,
)


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


def doubled(stub: StubProvider, answers: Sequence[bool], *, first: bool) -> RemoteBatch:
    """What ``submit`` gives where another makes the same batch right before it, and it is ours to make as these say."""
    texts, left = ["row 0", "row 1"], list(answers)

    async def do(endpoint: Endpoint) -> RemoteBatch:
        async def still() -> bool:
            if len(left) == len(answers) and left[0]:
                file = next(iter(stub.batches.files))
                told = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
                await endpoint.fetch("POST", "/batches", told)
            return left.pop(0)

        return await batches.submit(endpoint, TOKEN, written(texts), count=2, first=first, settle=0.0, still=still)

    return work(stub, do)


def test_who_is_overtaken_before_it_makes_a_batch_makes_none(stub: StubProvider) -> None:
    """Its file is up, and that is all."""
    with pytest.raises(Overtaken):
        doubled(stub, [False], first=True)

    assert (stub.batches.uploads, stub.batches.created) == (1, 0)


def test_who_is_overtaken_while_it_makes_a_batch_cancels_its_own(stub: StubProvider) -> None:
    """The other's goes on, also where a third looks for it."""
    with pytest.raises(Overtaken):
        doubled(stub, [True, False], first=True)
    other, own = stub.batches.all.values()

    assert (other.status, own.status) == ("validating", "cancelling")
    own.began, other.began = other.began, own.began + 1
    assert submit(stub, ["row 0", "row 1"]).id == other.id


def test_who_takes_over_cancels_what_the_other_made_meanwhile(stub: StubProvider) -> None:
    """It looks once more when it has made its own."""
    made = doubled(stub, [True, True], first=False)
    other, own = stub.batches.all.values()

    assert (made.id, own.status, other.status) == (own.id, "validating", "cancelling")


def test_a_batch_of_which_nobody_knows_whether_it_is_alone_goes_on(stub: StubProvider) -> None:
    """What was made is never forgotten because a list cannot be had."""
    stub.batches.lists_batches = False
    made = doubled(stub, [True, False], first=True)

    assert made.id in stub.batches.all


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
