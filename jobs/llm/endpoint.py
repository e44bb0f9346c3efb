"""The client: one connection's way to its provider, and the only place that knows the key.

What an endpoint, a proxy or an exception repeats of the key goes no further: whatever leaves here is searched for it. A
model's text is kept byte for byte but for this: where the key stands in it, ``[key]`` stands instead, before anything reads
the text, so that every place in it is a place in what is kept. A byte changed is better than a secret stored.

An ``Endpoint`` belongs to the event loop that it was made in, so it is made inside the work-horse and never before a fork.
The SDK says where a request goes and with which headers; aiohttp, which is the SDK's own transport, sends it. That costs a
third of the SDK's ``post`` (measured: 0.9 ms a call against 0.3), and leaves the body as it came.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, BinaryIO, Self
from urllib.parse import urlsplit

import aiohttp
import httpx2
from yarl import URL

from jobs import errors, logs
from jobs.llm import rates
from jobs.llm.answers import EVENT_STREAM, Answer, Envelope, Events, raw_of, reply_of, told_usage
from jobs.llm.exchange import Exchange, Fetched, Line, RequestFailed
from jobs.llm.failures import classify, is_moderated, redact, words_of
from jobs.llm.request import encode
from jobs.llm.route import PATH, head, proxy_for
from jobs.redaction import Secrets, Veil
from jobs.settings import SECRET_LENGTH, Connection, sendable
from jobs.values import Failure, FailureKind, Reply, Usage

#: bytes that are read of one body; what is longer is kept up to here and judged as cut
MOST_BYTES = 8_000_000
TIMEOUT = 60.0
_CONNECT_TIMEOUT = 10.0
#: characters of an exception's trace that are kept
_MOST_TRACE = 2000
#: all that the client, its transport and the socket are known to raise when a request fails on its way
_TRANSPORT_ERRORS = (aiohttp.ClientError, OSError, EOFError)
#: bytes a second that a file goes up with at the least
_SLOWEST_UPLOAD = 250_000


logger = logging.getLogger(__name__)


class Endpoint:
    """A provider's endpoint, open until it is closed."""

    def __init__(
        self,
        connection: Connection,
        key: str | None,
        *,
        timeout: float = TIMEOUT,
        max_connections: int = 256,
    ) -> None:
        """Opens nothing yet.

        Args:
            connection: where to and with which headers.
            key: the key, or None where the endpoint wants none.
            timeout: seconds for one request from its start to the last byte.
            max_connections: more requests than this wait inside the client, and their waiting counts as their time.

        Raises:
            UnusableConnection: the base URL is none, or the key cannot be sent in a header.
        """
        self.connection = connection
        self._timeout = timeout
        url = urlsplit(connection.base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise errors.UnusableConnection(
                f"connection {connection.name!r}: base_url {connection.base_url!r} is not an http or https address"
            )
        known = connection.secrets
        if key is not None and len(sendable(connection, key)) >= SECRET_LENGTH:
            known = (key, *known)
        self._secrets = Secrets(known)
        logs.conceal(known)
        self._most = max_connections
        self._url, self._headers = head(connection, key)
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"Endpoint({self.connection.name!r} at {self.connection.base_url})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()

    async def ask(self, body: Mapping[str, Any]) -> Answer:
        """Sends one request and gives all that came of it; raises nothing but CancelledError."""
        return await self._send(body, on_delta=None)

    async def stream(self, body: Mapping[str, Any], *, on_delta: Callable[[str], None]) -> Answer:
        """The same with the reply's text handed to ``on_delta`` piece by piece as it comes.

        The body must ask for a stream; an endpoint that does not stream hands over the text in one piece.
        """
        return await self._send(body, on_delta=on_delta)

    async def fetch(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Fetched:
        """One request of any kind and all that came of it, unread; raises nothing but CancelledError.

        ``path`` is behind the base URL. What is given back holds our key nowhere.
        """
        try:
            sent = None if body is None else encode(body)
        except ValueError as error:
            return self._unfetched(error, seconds=0.0)
        return await self._fetch(method, path, sent, headers=self._headers, timeout=self._timeout)

    async def upload(self, path: str, fields: Mapping[str, str], *, file: BinaryIO, name: str, size: int) -> Fetched:
        """Sends a form with these fields and a file of that name and size in bytes, read as it goes; closes it.

        The timeout is longer by what a slow line needs. Raises nothing but CancelledError.
        """
        form = aiohttp.FormData(fields, quote_fields=False)
        form.add_field("file", file, filename=name, content_type="application/jsonl")
        headers = {key: value for key, value in self._headers.items() if key.lower() != "content-type"}
        with file:
            return await self._fetch(
                "POST", path, form, headers=headers, timeout=self._timeout + size / _SLOWEST_UPLOAD
            )

    async def lines(self, path: str) -> AsyncIterator[Line | None]:
        """The lines of a response of any size, as they come; None for one that is longer than what is read of a body.

        Between two pieces no more than the timeout may pass.

        Raises:
            RequestFailed: it was refused, or broke off; what had come until then has been given.
        """
        waits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT, sock_read=self._timeout)
        rest, too_long = bytearray(), False
        try:
            async with self._open().get(
                self._at(path), headers=self._headers, allow_redirects=False, timeout=waits
            ) as response:
                if response.status >= 300:
                    raise RequestFailed((await self._taken(response, began=time.monotonic())).trouble)
                async for chunk in response.content.iter_any():
                    *whole, last = chunk.split(b"\n")
                    for piece in whole:
                        rest += piece
                        yield None if too_long or len(rest) > MOST_BYTES else self._line(bytes(rest))
                        rest, too_long = bytearray(), False
                    rest += last
                    if len(rest) > MOST_BYTES:
                        rest, too_long = bytearray(), True
        except (TimeoutError, *_TRANSPORT_ERRORS) as error:
            raise RequestFailed(self._unfetched(error, seconds=0.0).trouble) from None
        if rest or too_long:
            yield None if too_long else self._line(bytes(rest))

    def answer_of(
        self,
        body: bytes,
        *,
        status: int,
        request_id: str | None = None,
        sent: bytes | None = None,
        is_json: bool = True,
    ) -> Answer:
        """What a response is that came inside another one; it has taken no time.

        Without what was ``sent``, figures of the prompt that the endpoint does not tell are 0 and not estimated.
        """
        exchange = Exchange(started_at=time.time(), start=None)
        exchange.sent, exchange.body = sent or b"", bytearray(body)
        headers = {"content-type": "application/json" if is_json else "text/plain"}
        if request_id is not None:
            headers["x-request-id"] = request_id
        if status >= 300:
            return self._refusal(exchange, status=status, headers=headers)
        size = MOST_BYTES if sent is None else len(sent)
        answer = self._received(exchange, status=status, headers=headers, sent_bytes=size)
        reply = answer.reply
        if sent is not None or reply is None or not reply.usage.estimated or reply.usage.prompt != -(-size // 4):
            return answer
        usage = reply.usage.model_copy(update={"prompt": 0, "cached": 0})
        return replace(answer, reply=reply.model_copy(update={"usage": usage}))

    def redact(self, text: str) -> str:
        """An endpoint's words without our key, a piece of it, or anything that looks like one."""
        return redact(text, self._secrets)

    def _at(self, path: str) -> URL:
        return URL(str(self._url).removesuffix(PATH) + path, encoded=True)

    def _line(self, text: bytes) -> Line:
        hidden = self._secrets.hide_bytes(text)
        return Line(hidden, repeated_key=hidden != text)

    async def _fetch(self, method: str, path: str, data: Any, *, headers: Mapping[str, str], timeout: float) -> Fetched:
        began = time.monotonic()
        try:
            async with (
                asyncio.timeout(timeout),
                self._open().request(method, self._at(path), data=data, headers=headers, allow_redirects=False) as got,
            ):
                return await self._taken(got, began=began)
        except (TimeoutError, ValueError, *_TRANSPORT_ERRORS) as error:
            return self._unfetched(error, seconds=time.monotonic() - began)

    async def _taken(self, response: aiohttp.ClientResponse, *, began: float) -> Fetched:
        got = bytearray()
        async for chunk in response.content.iter_any():
            got += chunk
            if len(got) >= MOST_BYTES:
                break
        told, failure = bytes(got), None
        headers = rates.lowered(response.raw_headers)
        if response.status >= 300:
            words = words_of(told, self._secrets)
            failure = classify(response.status, words.code, message=words.message, headers=headers, now=time.time())
            failure = failure.model_copy(update={"message": redact(failure.message, self._secrets)})
        return Fetched(
            status=response.status,
            headers={name: redact(text, self._secrets) for name, text in headers.items()},
            body=self._secrets.hide_bytes(told, pieces=True),
            seconds=time.monotonic() - began,
            words=f"{response.status}: {redact(words.message, self._secrets)}" if failure and words.message else "",
            failure=failure,
        )

    def _unfetched(self, error: BaseException, *, seconds: float) -> Fetched:
        failure = classify(None, None, exception=error)
        failure = failure.model_copy(update={"message": redact(failure.message, self._secrets)})
        return Fetched(status=None, headers={}, body=b"", seconds=seconds, words=failure.message, failure=failure)

    async def _send(self, body: Mapping[str, Any], *, on_delta: Callable[[str], None] | None) -> Answer:
        exchange = Exchange(started_at=time.time(), start=time.monotonic())
        veil = Veil(self._secrets, on_delta) if on_delta is not None else None
        try:
            exchange.sent = encode(body)
        except (ValueError, TypeError, RecursionError) as error:
            message = f"the request cannot be written as JSON, look at the version's settings and contract: {error}"
            return exchange.answer(failure=Failure(kind=FailureKind.BLOCKED, message=message, code="body"))
        try:
            async with asyncio.timeout(self._timeout):
                # A redirect would carry own headers, and a key among them, to another host.
                async with self._open().post(
                    self._url, data=exchange.sent, headers=self._headers, allow_redirects=False
                ) as response:
                    if response.status < 300:
                        return await self._read(response, exchange, veil=veil)
                    return await self._refused(response, exchange)
        except TimeoutError:
            return self._broken(TimeoutError(f"nothing complete within {self._timeout:g} s"), exchange)
        except _TRANSPORT_ERRORS as error:
            return self._broken(error, exchange)
        except Exception as error:
            # Only here could the trace hold the key, so it is not left to the caller to write it down.
            logger.exception("a request failed inside", extra={"action": "request_internal"})
            trace = redact("".join(traceback.format_exception(error)), self._secrets)[-_MOST_TRACE:]
            failure = Failure(kind=FailureKind.INTERNAL, message=trace, code=type(error).__name__)
            return self._failed(failure, exchange, partial=exchange.partial)
        finally:
            if veil is not None:
                veil.end()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._most,
                    keepalive_timeout=30.0,
                    ssl=httpx2.create_ssl_context() if self._url.scheme == "https" else True,
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=min(self._timeout, _CONNECT_TIMEOUT)),
                # Not trust_env: aiohttp would send what ~/.netrc says of the host, which nobody knows to be a secret.
                proxy=proxy_for(self._url),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def _read(self, response: aiohttp.ClientResponse, exchange: Exchange, *, veil: Veil | None) -> Answer:
        headers = exchange.take(response)
        events = None
        if veil is not None and headers.get("content-type", "").startswith(EVENT_STREAM):
            events = exchange.events = Events()
        body = exchange.body
        async for chunk in response.content.iter_any():
            body += chunk
            if events is not None and veil is not None:
                for piece in events.feed(chunk):
                    veil.show(piece)
            if len(body) > MOST_BYTES:
                del body[MOST_BYTES:]
                break
        return self._received(
            exchange, status=response.status, headers=headers, sent_bytes=len(exchange.sent), veil=veil
        )

    def _received(
        self,
        exchange: Exchange,
        *,
        status: int,
        headers: Mapping[str, str],
        sent_bytes: int,
        veil: Veil | None = None,
    ) -> Answer:
        """The answer in a body that came with a good status."""
        body, events = exchange.body, exchange.events
        whole = len(body) < MOST_BYTES
        envelope = Envelope(
            status=status,
            sent_bytes=sent_bytes,
            request_id=headers.get("x-request-id") or headers.get("request-id"),
            headers=headers,
            now=exchange.started_at,
            secrets=self._secrets,
        )
        if events is not None and whole:
            result = events.result(envelope=envelope, seconds=exchange.seconds)
        else:
            result = reply_of(bytes(body), envelope=envelope, seconds=exchange.seconds, whole=whole)
            if veil is not None and events is None and isinstance(result, Reply):
                veil.show(result.text)
        if isinstance(result, Failure):
            usage = told_usage(bytes(body), sent_bytes=sent_bytes) if whole else None
            return self._failed(result, exchange, partial=exchange.partial, usage=usage)
        is_page = events is None and "json" not in headers.get("content-type", "")
        return self._replied(result, exchange, is_cut=is_page or not whole or result.finish_reason == "length")

    async def _refused(self, response: aiohttp.ClientResponse, exchange: Exchange) -> Answer:
        headers = exchange.take(response)
        async for chunk in response.content.iter_any():
            exchange.body += chunk
            if len(exchange.body) >= MOST_BYTES:
                break
        return self._refusal(exchange, status=response.status, headers=headers)

    def _refusal(self, exchange: Exchange, *, status: int, headers: Mapping[str, str]) -> Answer:
        """The answer in a body that came with a bad status."""
        body = bytes(exchange.body[:MOST_BYTES])
        words = words_of(body, self._secrets)
        if is_moderated(status, words.code, message=words.message):
            reply = Reply(
                raw=raw_of(body.decode("utf-8", "surrogateescape")),
                finish_reason="content_filter",
                refusal=words.message or words.code,
                usage=Usage(),
                status=status,
                request_id=headers.get("x-request-id") or headers.get("request-id"),
                seconds=exchange.seconds,
            )
            return self._replied(reply, exchange, is_cut=True)
        failure = classify(status, words.code, message=words.message, headers=headers, now=exchange.started_at)
        return self._failed(failure, exchange, partial=body)

    def _broken(self, error: BaseException, exchange: Exchange) -> Answer:
        return self._failed(classify(None, None, exception=error), exchange, partial=exchange.partial)

    # -- the only two ways out ---------------------------------------------------------------------------------------------

    def _replied(self, reply: Reply, exchange: Exchange, *, is_cut: bool) -> Answer:
        """A reply without our key; where its text may have been cut, or is no model's, without a piece of it either."""
        raw = self._secrets.hide_bytes(reply.raw, pieces=is_cut)
        words = {
            name: said and redact(said, self._secrets)
            for name in ("finish_reason", "refusal", "model", "request_id")
            if isinstance(said := getattr(reply, name), str)
        }
        # A token may hold a piece of the key, and where the text has changed they no longer say which part of it they are.
        tokens = reply.tokens if raw == reply.raw else ()
        hidden = reply.model_copy(update={"raw": raw, "tokens": tokens, **words})
        return exchange.answer(reply=hidden, repeated_key=raw != reply.raw)

    def _failed(self, failure: Failure, exchange: Exchange, *, partial: bytes, usage: Usage | None = None) -> Answer:
        """A failure without our key, neither in its words nor in what is kept beside it."""
        code = failure.code and redact(failure.code, self._secrets)
        hidden = failure.model_copy(update={"message": redact(failure.message, self._secrets), "code": code})
        kept = self._secrets.hide_bytes(partial, pieces=True)
        repeated = kept != partial
        tokens = () if exchange.events is None or repeated else exchange.events.tokens
        return exchange.answer(failure=hidden, partial=kept, tokens=tokens, usage=usage, repeated_key=repeated)
