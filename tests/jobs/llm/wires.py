"""A batch endpoint at the other end of a wire: the stand-in, or a server that sends what a test says."""

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

import pytest

from jobs.llm import Endpoint, batches, body
from jobs.llm.batches import BatchLine, RemoteBatch, RequestFailed
from jobs.settings import Connection
from jobs.testing import StubProvider
from jobs.values import Failure, Message, Reply

KEY = "sk-test-0123456789abcdef"
TOKEN = "token-of-part-1"
Result = TypeVar("Result")


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
