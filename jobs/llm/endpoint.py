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
import ipaddress
import logging
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2
import openai
from yarl import URL

from jobs import errors, logs
from jobs.llm import rates
from jobs.llm.answers import EVENT_STREAM, Answer, Envelope, Events, raw_of, reply_of, told_usage
from jobs.llm.failures import classify, is_moderated, redact, words_of
from jobs.llm.probabilities import Token
from jobs.llm.request import encode
from jobs.redaction import Secrets, Veil
from jobs.settings import SECRET_LENGTH, Connection, sendable
from jobs.values import Failure, FailureKind, Reply, Usage

#: bytes that are read of one body; what is longer is kept up to here and judged as cut
MOST_BYTES = 8_000_000
TIMEOUT = 60.0
_CONNECT_TIMEOUT = 10.0
#: characters of an exception's trace that are kept
_MOST_TRACE = 2000
_PATH = "/chat/completions"
_OPENAI_HOST = "api.openai.com"
#: all that the client, its transport and the socket are known to raise when a request fails on its way
_TRANSPORT_ERRORS = (aiohttp.ClientError, OSError, EOFError)
#: a client that sends nothing, for the SDK that is only asked how it would
_NOBODY = httpx2.AsyncClient(transport=httpx2.MockTransport(lambda request: httpx2.Response(599)))


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
        self._url, self._headers = _head(connection, key)
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
        """One request of any kind and all that came of it, unread, for a look at the endpoint; raises nothing but CancelledError.

        ``path`` is behind the base URL. What is given back holds our key nowhere.
        """
        began, url = time.monotonic(), str(self._url).removesuffix(_PATH) + path
        try:
            sent = None if body is None else encode(body)
            async with asyncio.timeout(self._timeout):
                async with self._open().request(
                    method, URL(url, encoded=True), data=sent, headers=self._headers, allow_redirects=False
                ) as response:
                    got = bytearray()
                    async for chunk in response.content.iter_any():
                        got += chunk
                        if len(got) >= MOST_BYTES:
                            break
                    headers = rates.lowered(response.raw_headers)
        except (TimeoutError, ValueError, *_TRANSPORT_ERRORS) as error:
            words = redact(classify(None, None, exception=error).message, self._secrets)
            return Fetched(status=None, headers={}, body=b"", seconds=time.monotonic() - began, words=words)
        told = bytes(got)
        words = redact(words_of(told, self._secrets).message, self._secrets) if response.status >= 300 else ""
        return Fetched(
            status=response.status,
            headers={name: redact(text, self._secrets) for name, text in headers.items()},
            body=self._secrets.hide_bytes(told, pieces=True),
            seconds=time.monotonic() - began,
            words=f"{response.status}: {words}" if words else "",
        )

    async def _send(self, body: Mapping[str, Any], *, on_delta: Callable[[str], None] | None) -> Answer:
        exchange = _Exchange(started_at=time.time(), start=time.monotonic())
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
                proxy=_proxy_for(self._url),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def _read(self, response: aiohttp.ClientResponse, exchange: _Exchange, *, veil: Veil | None) -> Answer:
        headers = exchange.take(response)
        envelope = Envelope(
            status=response.status,
            sent_bytes=len(exchange.sent),
            request_id=headers.get("x-request-id") or headers.get("request-id"),
            headers=headers,
            now=exchange.started_at,
            secrets=self._secrets,
        )
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
        whole = len(body) < MOST_BYTES
        if events is not None and whole:
            result = events.result(envelope=envelope, seconds=exchange.seconds)
        else:
            result = reply_of(bytes(body), envelope=envelope, seconds=exchange.seconds, whole=whole)
            if veil is not None and events is None and isinstance(result, Reply):
                veil.show(result.text)
        if isinstance(result, Failure):
            usage = told_usage(bytes(body), sent_bytes=len(exchange.sent)) if whole else None
            return self._failed(result, exchange, partial=exchange.partial, usage=usage)
        is_page = events is None and "json" not in headers.get("content-type", "")
        return self._replied(result, exchange, is_cut=is_page or not whole or result.finish_reason == "length")

    async def _refused(self, response: aiohttp.ClientResponse, exchange: _Exchange) -> Answer:
        headers = exchange.take(response)
        async for chunk in response.content.iter_any():
            exchange.body += chunk
            if len(exchange.body) >= MOST_BYTES:
                break
        body = bytes(exchange.body[:MOST_BYTES])
        words = words_of(body, self._secrets)
        if is_moderated(response.status, words.code, message=words.message):
            reply = Reply(
                raw=raw_of(body.decode("utf-8", "surrogateescape")),
                finish_reason="content_filter",
                refusal=words.message or words.code,
                usage=Usage(),
                status=response.status,
                request_id=headers.get("x-request-id") or headers.get("request-id"),
                seconds=exchange.seconds,
            )
            return self._replied(reply, exchange, is_cut=True)
        failure = classify(response.status, words.code, message=words.message, headers=headers, now=exchange.started_at)
        return self._failed(failure, exchange, partial=body)

    def _broken(self, error: BaseException, exchange: _Exchange) -> Answer:
        return self._failed(classify(None, None, exception=error), exchange, partial=exchange.partial)

    # -- the only two ways out ---------------------------------------------------------------------------------------------

    def _replied(self, reply: Reply, exchange: _Exchange, *, is_cut: bool) -> Answer:
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

    def _failed(self, failure: Failure, exchange: _Exchange, *, partial: bytes, usage: Usage | None = None) -> Answer:
        """A failure without our key, neither in its words nor in what is kept beside it."""
        code = failure.code and redact(failure.code, self._secrets)
        hidden = failure.model_copy(update={"message": redact(failure.message, self._secrets), "code": code})
        kept = self._secrets.hide_bytes(partial, pieces=True)
        repeated = kept != partial
        tokens = () if exchange.events is None or repeated else exchange.events.tokens
        return exchange.answer(failure=hidden, partial=kept, tokens=tokens, usage=usage, repeated_key=repeated)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A response as it came."""

    #: None where none came
    status: int | None
    #: with lower-case names
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    #: what went wrong, in the provider's words or the transport's; empty where nothing did
    words: str

    @property
    def is_json(self) -> bool:
        """Whether it says that it is JSON, or does not say that it is a stream."""
        return not self.headers.get("content-type", "").startswith(EVENT_STREAM)


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

    def take(self, response: aiohttp.ClientResponse) -> dict[str, str]:
        """The response's headers with lower-case names; what they say of limits is kept."""
        headers = rates.lowered(response.raw_headers)
        self._rates = rates.rates_of(headers, now=time.time())
        return headers

    def answer(
        self,
        *,
        reply: Reply | None = None,
        failure: Failure | None = None,
        usage: Usage | None = None,
        partial: bytes = b"",
        tokens: tuple[Token, ...] = (),
        repeated_key: bool = False,
    ) -> Answer:
        return Answer(
            sent=self.sent,
            started_at=self.started_at,
            seconds=self.seconds,
            reply=reply,
            failure=failure,
            usage=usage,
            rates=self._rates,
            partial=partial,
            tokens=tokens,
            repeated_key=repeated_key,
        )


def _head(connection: Connection, key: str | None) -> tuple[URL, dict[str, str]]:
    """Where the requests of a connection go, and their headers, as the SDK has them."""
    # The SDK would fill what is left out from the environment: OpenAI's key would go to any other endpoint.
    client = openai.AsyncOpenAI(
        api_key=key or "", admin_api_key="", base_url=connection.base_url, max_retries=0, http_client=_NOBODY
    )
    headers = {name: value for name, value in client.default_headers.items() if isinstance(value, str)}
    if urlsplit(connection.base_url).hostname != _OPENAI_HOST:
        headers = {
            name: value for name, value in headers.items() if name not in ("OpenAI-Organization", "OpenAI-Project")
        }
    if key is not None:
        headers |= client.auth_headers
    own = {name.lower() for name in connection.headers}
    headers = {name: value for name, value in headers.items() if name.lower() not in own} | dict(connection.headers)
    return URL(f"{str(client.base_url).rstrip('/')}{_PATH}", encoded=True), headers


def _proxy_for(url: URL) -> str | None:
    """The proxy that the environment names for an address; this machine's own servers are reached without one."""
    host = url.host or ""
    if _is_loopback(host) or proxy_bypass(host):
        return None
    return getproxies().get(url.scheme)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
