"""The stand-in's files and batches, asked over HTTP by nothing but the standard library."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import openai
import pytest

from jobs.settings import Price
from jobs.testing import StubProvider

JSON = {"content-type": "application/json"}


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with StubProvider(answer={"label": "a"}, price=Price(input=100.0, output=200.0)) as running:
        yield running


def send(stub: StubProvider, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    asked = urllib.request.Request(f"{stub.base_url}{path}", data=body, method=method, headers={**JSON, **headers})
    try:
        with urllib.request.urlopen(asked) as response:
            text, status = response.read(), response.status
    except urllib.error.HTTPError as error:
        text, status = error.read(), error.code
    return status, text if path.endswith("/content") and status == 200 else json.loads(text)


def request(name: str, text: str, *, model: str = "m") -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}


def upload(stub: StubProvider, lines: Sequence[Mapping[str, Any]], *, name: str = "in.jsonl") -> str:
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    part = b'--B\r\nContent-Disposition: form-data; name="'
    body = part + b'purpose"\r\n\r\nbatch\r\n' + part + b'file"; filename="%b"\r\n\r\n' % name.encode()
    body += content + b"\r\n--B--\r\n"
    status, told = send(stub, "POST", "/files", body, **{"content-type": "multipart/form-data; boundary=B"})
    assert status == 200
    assert (told["filename"], told["purpose"], told["bytes"]) == (name, "batch", len(content))
    return str(told["id"])


def create(stub: StubProvider, file: str, **more: Any) -> tuple[int, Any]:
    told = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h", **more}
    return send(stub, "POST", "/batches", json.dumps(told).encode())


def started(stub: StubProvider, texts: Sequence[str]) -> str:
    file = upload(stub, [request(f"r{number}", text) for number, text in enumerate(texts)])
    status, told = create(stub, file, metadata={"night": "1"})
    assert (status, told["status"], told["metadata"]) == (200, "validating", {"night": "1"})
    return str(told["id"])


def look(stub: StubProvider, batch: str) -> Any:
    return send(stub, "GET", f"/batches/{batch}")[1]


def lines(stub: StubProvider, file: str | None) -> list[Any]:
    return (
        []
        if file is None
        else [json.loads(line) for line in send(stub, "GET", f"/files/{file}/content")[1].splitlines()]
    )


def test_each_line_is_answered_as_a_request_is_and_costs_half(stub: StubProvider) -> None:
    """The same scripts decide; what they refuse stands in the error file and costs nothing."""
    batch = look(stub, started(stub, ["row 0", "row 1 [[500]]", "row 2 [[moderated]]", "row 3 [[fenced]]"]))

    assert batch["status"] == "completed"
    assert batch["request_counts"] == {"total": 4, "completed": 2, "failed": 2}
    answers, errors = lines(stub, batch["output_file_id"]), lines(stub, batch["error_file_id"])
    assert [line["custom_id"] for line in answers] == ["r0", "r3"]
    assert answers[0]["response"]["status_code"] == 200
    assert answers[0]["response"]["body"]["choices"][0]["message"]["content"] == '{"label":"a"}'
    assert answers[1]["response"]["body"]["choices"][0]["message"]["content"].startswith("```json")
    assert [(line["custom_id"], line["response"]["status_code"], line["error"]) for line in errors] == [
        ("r1", 500, None),
        ("r2", 400, None),
    ]
    entries = stub.ledger.entries
    assert [(entry.status, entry.batch) for entry in entries] == [
        (status, batch["id"]) for status in (200, 500, 400, 200)
    ]
    full = sum(entry.prompt * 100e-6 + entry.completion * 200e-6 for entry in entries if entry.status == 200)
    assert stub.ledger.money == pytest.approx(full / 2)


def test_a_batch_moves_when_it_is_looked_at(stub: StubProvider) -> None:
    """So a test says how far it is, and how many of its lines are done."""
    stub.batches.polls = 4
    batch = started(stub, [f"row {number}" for number in range(8)])

    seen = [look(stub, batch) for _ in range(4)]

    assert [one["status"] for one in seen] == ["in_progress"] * 3 + ["completed"]
    assert [one["request_counts"]["completed"] for one in seen] == [2, 4, 6, 8]
    assert stub.batches.summary() == {"uploads": 1, "created": 1, "executed": 8, "statuses": {"completed": 1}}
    assert look(stub, batch) == seen[-1]


def test_a_cancelled_batch_keeps_what_is_done(stub: StubProvider) -> None:
    """It is cancelling first, and what it has not done is in neither file."""
    stub.batches.polls = 2
    batch = started(stub, [f"row {number}" for number in range(4)])
    look(stub, batch)

    assert send(stub, "POST", f"/batches/{batch}/cancel")[1]["status"] == "cancelling"
    ended = look(stub, batch)

    assert (ended["status"], ended["error_file_id"], stub.batches.executed) == ("cancelled", None, 2)
    assert [line["custom_id"] for line in lines(stub, ended["output_file_id"])] == ["r0", "r1"]
    assert send(stub, "POST", f"/batches/{batch}/cancel")[0] == 409


def test_an_expired_batch_says_which_lines_were_left(stub: StubProvider) -> None:
    """They stand in the error file with a code of their own and were never asked."""
    stub.batches.expire_after = 1
    batch = look(stub, started(stub, ["row 0", "row 1", "row 2"]))

    assert batch["status"] == "expired"
    assert [line["custom_id"] for line in lines(stub, batch["output_file_id"])] == ["r0"]
    assert [
        (line["custom_id"], line["response"], line["error"]["code"]) for line in lines(stub, batch["error_file_id"])
    ] == [
        ("r1", None, "batch_expired"),
        ("r2", None, "batch_expired"),
    ]
    assert stub.ledger.calls == 1


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ([], "empty_file"),
        ([request("a", "1"), request("a", "2")], "duplicate_custom_id"),
        ([request("a", "1"), request("b", "2", model="n")], "mismatched_model"),
        ([{**request("a", "1"), "url": "/v1/embeddings"}], "invalid_json_line"),
    ],
)
def test_a_file_that_cannot_be_run_fails_as_a_whole(stub: StubProvider, given: list[dict[str, Any]], code: str) -> None:
    """Nothing of it is asked."""
    batch = look(stub, create(stub, upload(stub, given))[1]["id"])

    assert (batch["status"], batch["errors"]["data"][0]["code"]) == ("failed", code)
    assert stub.ledger.calls == 0


def test_a_queue_that_is_full_fails_a_batch_until_there_is_room(stub: StubProvider) -> None:
    """The limit is of what is under way together."""
    stub.batches.polls = 2
    first = started(stub, ["row 0"])
    stub.batches.most_tokens = stub.batches.all[first].tokens + 10
    look(stub, first)

    assert look(stub, started(stub, ["row 0"]))["errors"]["data"][0]["code"] == "token_limit_exceeded"
    look(stub, first)
    assert look(stub, started(stub, ["row 0"]))["status"] == "in_progress"


def test_lists_come_newest_first_in_pages(stub: StubProvider) -> None:
    """A list names its end."""
    made = [started(stub, ["row"]) for _ in range(3)]

    first = send(stub, "GET", "/batches?limit=2")[1]
    rest = send(stub, "GET", f"/batches?limit=2&after={first['last_id']}")[1]

    assert [one["id"] for one in first["data"] + rest["data"]] == made[::-1]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    files = send(stub, "GET", "/files?purpose=batch")[1]["data"]
    assert send(stub, "DELETE", f"/files/{files[0]['id']}")[1]["deleted"]
    assert len(send(stub, "GET", "/files?purpose=batch")[1]["data"]) == 2


def test_who_has_no_key_gets_nothing() -> None:
    """Files and batches are behind the key, as answers are."""
    with StubProvider(keys=["right"]) as stub:
        assert send(stub, "GET", "/batches")[0] == 401
        assert send(stub, "GET", "/batches", Authorization="Bearer right")[0] == 200


def test_a_running_stand_in_is_told_from_outside(stub: StubProvider) -> None:
    """What another process needs to say and to know of its batches."""
    root = stub.base_url.removesuffix("/v1")
    told = json.dumps({"batches": {"polls": 3}}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{root}/_control", data=told)).read()

    assert stub.batches.polls == 3
    summary = json.loads(urllib.request.urlopen(f"{root}/_ledger").read())
    assert summary["batches"]["created"] == 0


def test_openais_own_client_understands_it(stub: StubProvider) -> None:
    """Upload, create, lists, look and contents, as it reads them."""
    content = b"".join(json.dumps(request(name, name)).encode() + b"\n" for name in ("a", "b [[500]]"))
    with openai.OpenAI(api_key="k", base_url=stub.base_url, max_retries=0) as client:
        file = client.files.create(file=("in.jsonl", content), purpose="batch")
        made = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"night": "1"}
        )
        assert [one.id for one in client.batches.list(limit=1)] == [made.id]
        assert [(one.filename, one.bytes) for one in client.files.list(purpose="batch")] == [("in.jsonl", len(content))]

        ended = client.batches.retrieve(made.id)

        counts = ended.request_counts
        assert counts is not None and (counts.total, counts.completed, counts.failed) == (2, 1, 1)
        assert (made.status, ended.status, ended.metadata) == ("validating", "completed", {"night": "1"})
        texts = [client.files.content(name or "").text for name in (ended.output_file_id, ended.error_file_id)]
        assert [json.loads(text)["custom_id"] for text in texts] == ["a", "b [[500]]"]
        with pytest.raises(openai.ConflictError, match="Cannot cancel"):
            client.batches.cancel(made.id)
