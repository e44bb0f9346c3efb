"""The client: one connection's way to its provider, and the only place that knows the key.

An ``Endpoint`` belongs to the event loop that it was made in, so it is made inside the work-horse and never before a fork.
``ask`` sends through the SDK's own ``post`` and takes the bare response, which costs less than half of ``create()`` and
leaves the body as it came; the transport is aiohttp.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urlsplit

import aiohttp
import httpx2
import openai

from jobs import errors
from jobs.llm import rates
from jobs.llm.answers import EVENT_STREAM, Answer, Envelope, Events, raw_of, reply_of
from jobs.llm.failures import classify, is_moderated, redact, words_of
from jobs.llm.request import encode
from jobs.settings import Connection
from jobs.values import Failure, FailureKind, Reply, Usage

#: bytes that are read of one body; what is longer is kept up to here and judged as cut
MOST_BYTES = 8_000_000
TIMEOUT = 60.0
_CONNECT_TIMEOUT = 10.0
_PATH = "/chat/completions"
_OPENAI_HOST = "api.openai.com"
#: all that the client, its transport and the socket are known to raise when a request fails on its way
_TRANSPORT_ERRORS = (openai.OpenAIError, httpx2.HTTPError, httpx2.InvalidURL, aiohttp.ClientError, OSError, EOFError)


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
        if key is not None and not (key.isascii() and key.isprintable()):
            raise errors.UnusableConnection(
                f"connection {connection.name!r}: {connection.key_env} holds characters that no key has; look for a "
                "line break or a quotation mark from copying"
            )
        self._secrets = tuple(_secrets(key, connection.headers))
        # The SDK would fill what is left out from the environment: OpenAI's key would go to any other endpoint.
        self._client = openai.AsyncOpenAI(
            api_key=key or "",
            admin_api_key="",
            base_url=connection.base_url,
            max_retries=0,
            timeout=httpx2.Timeout(timeout, connect=min(timeout, _CONNECT_TIMEOUT), pool=None),
            http_client=openai.DefaultAioHttpClient(
                limits=httpx2.Limits(max_connections=max_connections, keepalive_expiry=30.0),
                # A redirect would carry own headers, and a key among them, to another host.
                follow_redirects=False,
                # A proxy from the environment does not reach this machine's own servers.
                trust_env=not _is_loopback(url.hostname),
            ),
        )
        headers: dict[str, str | openai.Omit] = dict(connection.headers)
        if key is None and not any(name.lower() == "authorization" for name in headers):
            headers["Authorization"] = openai.Omit()
        if url.hostname != _OPENAI_HOST:
            headers |= {"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()}
        self._options: openai.RequestOptions = {"headers": headers}

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
        await self._client.close()

    async def ask(self, body: Mapping[str, Any]) -> Answer:
        """Sends one request and gives all that came of it; raises nothing but CancelledError."""
        return await self._send(body, on_delta=None)

    async def stream(self, body: Mapping[str, Any], *, on_delta: Callable[[str], None]) -> Answer:
        """The same with the reply's text handed to ``on_delta`` piece by piece as it comes.

        The body must ask for a stream; an endpoint that does not stream hands over the text in one piece.
        """
        return await self._send(body, on_delta=on_delta)

    async def _send(self, body: Mapping[str, Any], *, on_delta: Callable[[str], None] | None) -> Answer:
        exchange = _Exchange(started_at=time.time(), start=time.monotonic())
        try:
            exchange.sent = encode(body)
        except (ValueError, TypeError, RecursionError) as error:
            message = f"the request cannot be written as JSON, look at the version's settings and contract: {error}"
            return exchange.answer(failure=Failure(kind=FailureKind.BLOCKED, message=message, code="body"))
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._post(exchange.sent)
                try:
                    return await self._read(response, exchange, on_delta=on_delta)
                finally:
                    await response.aclose()
        except openai.APIStatusError as error:
            return self._refused(error.response, exchange)
        except TimeoutError:
            return self._broken(TimeoutError(f"nothing complete within {self._timeout:g} s"), exchange)
        except _TRANSPORT_ERRORS as error:
            return self._broken(error, exchange)

    async def _post(self, content: bytes) -> httpx2.Response:
        response = await self._client.post(
            _PATH,
            content=content,
            cast_to=httpx2.Response,
            options=self._options,
            stream=True,
            stream_cls=openai.AsyncStream[object],
        )
        # With a bare response to cast to, the SDK hands that over instead of the stream that its types promise.
        return cast(httpx2.Response, response)

    async def _read(
        self, response: httpx2.Response, exchange: _Exchange, *, on_delta: Callable[[str], None] | None
    ) -> Answer:
        headers = exchange.take(response)
        envelope = Envelope(
            status=response.status_code,
            sent_bytes=len(exchange.sent),
            request_id=headers.get("x-request-id") or headers.get("request-id"),
            headers=headers,
            now=exchange.started_at,
        )
        events = None
        if on_delta is not None and headers.get("content-type", "").startswith(EVENT_STREAM):
            events = exchange.events = Events()
        body = exchange.body
        async for chunk in response.aiter_bytes():
            body += chunk
            if events is not None and on_delta is not None:
                for piece in events.feed(chunk):
                    on_delta(piece)
            if len(body) > MOST_BYTES:
                del body[MOST_BYTES:]
                break
        whole = len(body) < MOST_BYTES
        if events is not None and whole:
            result = events.result(envelope=envelope, seconds=exchange.seconds)
        else:
            # A page that is no model's text may echo the key; a model's text is never touched.
            content = bytes(body) if "json" in headers.get("content-type", "") else self._safe(bytes(body))
            result = reply_of(content, envelope=envelope, seconds=exchange.seconds, whole=whole)
            if on_delta is not None and isinstance(result, Reply):
                on_delta(result.text)
        if isinstance(result, Reply):
            return exchange.answer(reply=result)
        return exchange.answer(failure=self._redacted(result), partial=self._safe(exchange.partial))

    def _refused(self, response: httpx2.Response, exchange: _Exchange) -> Answer:
        headers = exchange.take(response)
        body = response.content[:MOST_BYTES]
        words = words_of(body)
        message = redact(words.message, self._secrets)
        if is_moderated(response.status_code, words.code, message=message):
            reply = Reply(
                raw=self._safe(raw_of(body.decode("utf-8", "surrogateescape"))),
                finish_reason="content_filter",
                refusal=message or words.code,
                usage=Usage(),
                status=response.status_code,
                request_id=headers.get("x-request-id") or headers.get("request-id"),
                seconds=exchange.seconds,
            )
            return exchange.answer(reply=reply)
        failure = classify(response.status_code, words.code, message=message, headers=headers, now=exchange.started_at)
        return exchange.answer(failure=self._redacted(failure), partial=self._safe(body))

    def _broken(self, error: BaseException, exchange: _Exchange) -> Answer:
        failure = self._redacted(classify(None, None, exception=error))
        return exchange.answer(failure=failure, partial=self._safe(exchange.partial))

    def _redacted(self, failure: Failure) -> Failure:
        code = failure.code and redact(failure.code, self._secrets)
        return failure.model_copy(update={"message": redact(failure.message, self._secrets), "code": code})

    def _safe(self, body: bytes) -> bytes:
        """An endpoint's own text without the key."""
        for secret in self._secrets:
            body = body.replace(secret.encode(), b"[key]")
        return body


class _Exchange:
    """One request under way: what must survive whatever breaks it."""

    def __init__(self, *, started_at: float, start: float) -> None:
        self.sent = b""
        self.started_at = started_at
        self.body = bytearray()
        self.events: Events | None = None
        self._start = start
        self._rates = rates.NOTHING

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    @property
    def partial(self) -> bytes:
        return raw_of(self.events.text) if self.events is not None else bytes(self.body)

    def take(self, response: httpx2.Response) -> dict[str, str]:
        """The response's headers with lower-case names; what they say of limits is kept."""
        headers = rates.lowered(response.headers.raw)
        self._rates = rates.rates_of(headers, now=time.time())
        return headers

    def answer(self, *, reply: Reply | None = None, failure: Failure | None = None, partial: bytes = b"") -> Answer:
        return Answer(
            sent=self.sent,
            started_at=self.started_at,
            seconds=self.seconds,
            reply=reply,
            failure=failure,
            rates=self._rates,
            partial=partial,
        )


def _secrets(key: str | None, headers: Mapping[str, str]) -> Iterable[str]:
    """What must not appear in a text. Shorter ones ("none", "local") are no secrets, but ordinary words of an answer."""
    if key and len(key) >= 8:
        yield key
    for name, value in headers.items():
        if any(word in name.lower() for word in ("key", "auth", "token", "secret")) and len(value) >= 8:
            yield value.rpartition(" ")[2]


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
