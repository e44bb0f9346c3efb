"""A batch that is there, over real HTTP: looked at, cancelled, and its files taken away."""

import json

import pytest

from jobs.llm import Endpoint, batches
from jobs.llm.batches import RemoteBatch, RequestFailed
from jobs.testing import StubProvider
from jobs.values import UNSENT, Failure, FailureKind
from tests.jobs.llm.wires import (
    KEY,
    TOKEN,
    by_hand,
    failure_of,
    look,
    read,
    refused,
    served,
    submit,
    work,
)


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


def test_what_a_batch_has_left_is_taken_from_the_provider(stub: StubProvider) -> None:
    """The files that are named, and all that went up under its token; what is gone already is as well as deleted."""
    remote = look(stub, submit(stub, ["row 0", "row 1 [[500]]"]))
    by_hand(stub, ["row 0"])
    other = by_hand(stub, ["row 0"], name="redrive-another-token.jsonl")
    named = [file for file in (remote.output_file, remote.error_file) if file]

    for _ in range(2):
        work(stub, lambda endpoint: batches.clear(endpoint, TOKEN, [*named, "file-of-nobody"]))
        assert list(stub.batches.files) == [other]


def test_a_file_that_stays_is_told_of_after_the_others_are_gone(stub: StubProvider) -> None:
    """One that the provider keeps for now keeps no other."""
    remote = look(stub, submit(stub, ["row 0"]))
    stub.batches.refuse_delete = 1

    failure = refused(lambda: work(stub, lambda endpoint: batches.clear(endpoint, TOKEN, [remote.output_file or ""])))

    assert (failure.status, list(stub.batches.files)) == (500, [remote.output_file])
