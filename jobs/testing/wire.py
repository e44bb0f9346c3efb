"""HTTP/1.1 on a socket: requests with a length in, whole or broken responses out.

A web framework costs several times what the rest of the stand-in does, and hides the socket that a fault has to break.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import NamedTuple

_MOST_HEAD, _MOST_BODY = 65_536, 64_000_000


class Request(NamedTuple):
    """One request."""

    method: str
    path: str
    #: the value of the Authorization header; empty without one
    authorization: str
    body: bytes


class Wire(asyncio.Protocol):
    """One connection; requests are answered one after another."""

    def __init__(self, handle: Callable[[Request, Wire], None]) -> None:
        self._handle = handle
        self._buffer = bytearray()
        self._busy = False
        #: called once if the other side leaves while its request is being answered
        self.when_lost: Callable[[], None] | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        """Whether the other side is still there, as far as is known."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._transport = None
        if self.when_lost is not None:
            self.when_lost()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._buffer += data
        if not self._busy:
            self._next()

    def send(self, *parts: bytes) -> None:
        """Writes parts of a response."""
        if self._transport is not None:
            self._transport.write(b"".join(parts))

    def done(self) -> None:
        """Says that the response is complete, so that the next request can be read."""
        self._busy = False
        if self._buffer and self._transport is not None:
            self._next()

    def close(self) -> None:
        """Ends the connection after what was written."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """Breaks the connection so that the other side sees a reset."""
        if self._transport is not None:
            raw = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    def _next(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MOST_HEAD:
                self._refuse(431)
            return
        head = bytes(self._buffer[:end])
        lines = head.split(b"\r\n")
        length, authorization = 0, ""
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            name = name.lower()
            if name == b"content-length":
                length = int(value) if value.strip().isdigit() else -1
            elif name == b"authorization":
                authorization = value.strip().decode("latin-1")
            elif name == b"transfer-encoding":
                length = -1
        if not 0 <= length <= _MOST_BODY:
            self._refuse(411)
            return
        total = end + 4 + length
        if len(self._buffer) < total:
            if b"100-continue" in head.lower():
                self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        body = bytes(self._buffer[end + 4 : total])
        del self._buffer[:total]
        method, _, rest = lines[0].decode("latin-1").partition(" ")
        self._busy = True
        self._handle(Request(method, rest.partition(" ")[0], authorization, body), self)

    def _refuse(self, status: int) -> None:
        self.send(head_of(status, 0))
        self.close()


def head_of(
    status: int,
    length: int | None,
    *,
    content_type: str = "application/json",
    headers: Iterable[tuple[str, str]] = (),
) -> bytes:
    """The head of a response; without a length the body comes in chunks."""
    if length is not None and not headers and status == 200 and content_type == "application/json":
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % length
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Unknown"
    size = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    more = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} {reason}\r\ncontent-type: {content_type}\r\n{size}\r\n{more}\r\n".encode("latin-1")


def chunk_of(data: bytes) -> bytes:
    """One chunk of a body that comes in chunks; the empty one ends it."""
    return b"%x\r\n%b\r\n" % (len(data), data)
