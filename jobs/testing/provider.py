"""The stand-in itself: one event loop, prebuilt bytes, and books of its own.

In a test it runs in a thread of the test's process::

    with StubProvider() as stub:
        connection = Connection(name="stub", base_url=stub.base_url)

Figures of usage depend on the texts alone, so two runs over the same rows cost the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import threading
import time
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

from jobs.prices import cost
from jobs.settings import Price
from jobs.testing.batches import Batches, Tray
from jobs.testing.bodies import completion, dumps, events, item_sample, plain, usage_of
from jobs.testing.ledger import Entry, Ledger
from jobs.testing.samples import sample_of
from jobs.testing.script import ANSWER, Act, Ask, Record, Script, error_body, failed, marked
from jobs.testing.tokens import Confidence
from jobs.testing.wire import Request, Wire, chunk_of, head_of
from jobs.values import Usage

#: (messages, a row's text) -> its answer, as an object or as the text of the message
Answerer = Callable[[Sequence[Mapping[str, Any]], str], Mapping[str, Any] | str]
_RECORD = re.compile(r'<record id="([^"]*)"[^>]*>\n?(.*?)\n?</record>', re.S)
NOTHING = Usage()
#: seconds within which a refusal comes, however slow answers are
_SLOWEST_REFUSAL = 0.02


class Bucket:
    """A limit of requests a minute, as deep as it fills in ``burst`` seconds."""

    def __init__(self, rpm: float, *, burst: float, now: float) -> None:
        self.rpm = rpm
        self._depth = max(1.0, rpm / 60 * burst)
        self._left = self._depth
        self._at = now

    def take(self, now: float) -> float:
        """Takes one request; gives 0, or the seconds until there would have been one."""
        self._left = min(self._depth, self._left + (now - self._at) * self.rpm / 60)
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) * 60 / self.rpm

    def headers(self) -> tuple[tuple[str, str], ...]:
        """What is left, in OpenAI's form: the share of the bucket that is left, of the limit of a minute."""
        return (
            ("x-ratelimit-limit-requests", f"{self.rpm:.0f}"),
            ("x-ratelimit-remaining-requests", f"{int(self._left / self._depth * self.rpm)}"),
            ("x-ratelimit-reset-requests", f"{int((self._depth - self._left) * 60_000 / self.rpm)}ms"),
        )


@dataclass(slots=True)
class _Call:
    """A request under way."""

    wire: Wire
    sha: str
    key: str
    arrived: float
    at: float
    ask: Ask | None = None
    act: Act = ANSWER
    #: the batch that it is a line of
    batch: str = ""
    #: what is billed and sent; made when it comes in, so that nothing is left to do when the time of its answer has come
    usage: Usage = NOTHING
    parts: tuple[bytes, ...] = ()


class StubProvider:
    """An OpenAI-compatible server on loopback that answers by script; a context manager.

    ``latency``, ``pace``, ``scripts``, ``answer``, ``confidence``, ``batches`` and ``limit()`` may be changed while it runs.
    """

    def __init__(
        self,
        *scripts: Script,
        answer: Mapping[str, Any] | str | Answerer | None = None,
        latency: float = 0.0,
        pace: float = 0.0,
        keys: Collection[str] | None = None,
        rpm: float | None = None,
        burst: float = 1.0,
        tells: bool = True,
        price: Price | None = None,
        prices: Mapping[str, Price] | None = None,
        cached_share: float = 0.0,
        models: Sequence[str] = ("stub-model",),
        confidence: Confidence | None = None,
        port: int = 0,
    ) -> None:
        """Opens nothing yet.

        Args:
            scripts: asked one after another; the first that says something decides. Without any: the marks in the rows.
            answer: the good answer, for all rows or made from a row; without it, one that satisfies the request's schema.
            latency: seconds from the arrival of a request to its answer.
            pace: seconds between two pieces of a streamed answer; 0 sends all at once, which its reader cannot tell.
            keys: the keys that are let in; None lets in everybody.
            rpm: requests a minute that are let through, the rest is answered 429; None for no limit.
            burst: seconds whose allowance may be used at once.
            tells: whether its headers say what is left of the limit and how long to wait.
            price: what it bills; 1 and 2 US dollars a million tokens unless set.
            prices: what it bills for single models.
            cached_share: the share of prompt tokens that it calls cached.
            models: what it lists; it answers to any name.
            confidence: how sure it says to be of its values where it is asked for log-probabilities; None says nothing.
            port: 0 for a free one.
        """
        self.scripts: tuple[Script, ...] = scripts or (marked,)
        self.answer = answer
        self.latency = latency
        self.pace = pace
        self.confidence = confidence
        self.ledger = Ledger()
        self.batches = Batches(self._line)
        self.port = port
        self._keys = None if keys is None else set(keys)
        self._bucket: Bucket | None = None
        self._tells = tells
        self.limit(rpm, burst=burst)
        self._price = price or Price(input=1.0, output=2.0)
        self._prices = dict(prices or {})
        self._cached_share = cached_share
        self._models = tuple(models)
        self._number = 0
        self._seen: dict[int, int] = {}
        self._roots: dict[int, int] = {}
        self._samples: dict[str, tuple[Any, Any]] = {}
        self._key_names: dict[str, str] = {"": ""}
        self._server: asyncio.Server | None = None
        self._thread: _LoopThread | None = None
        self._wires: weakref.WeakSet[Wire] = weakref.WeakSet()

    @property
    def base_url(self) -> str:
        """The address for a connection's ``base_url``."""
        return f"http://127.0.0.1:{self.port}/v1"

    def limit(self, rpm: float | None, *, burst: float = 1.0) -> None:
        """Sets or lifts the limit of requests a minute."""
        self._bucket = None if rpm is None else Bucket(rpm, burst=burst, now=time.monotonic())

    async def start(self) -> None:
        """Listens, in the running event loop."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._wire, "127.0.0.1", self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listens no more and breaks what is open."""
        if self._server is not None:
            self._server.close()
        for wire in list(self._wires):
            wire.reset()
        self._wires.clear()
        await asyncio.sleep(0)

    def __enter__(self) -> Self:
        self._thread = _LoopThread()
        self._thread.do(self.start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._thread.do(self.stop())
            self._thread.end()

    def _wire(self) -> Wire:
        wire = Wire(self._handle)
        self._wires.add(wire)
        return wire

    def _handle(self, request: Request, wire: Wire) -> None:
        path, _, query = request.path.partition("?")
        if path.endswith("/chat/completions"):
            self._chat(request, wire)
            return
        if self.batches.takes(path):
            self.batches.serve(request, wire, refused=self._stranger(request))
            return
        status, told = self._other(request, path, query)
        body = json.dumps(told).encode()
        wire.send(head_of(status, len(body)), body)
        wire.done()

    def _other(self, request: Request, path: str, query: str) -> tuple[int, Any]:
        if path.endswith("/models"):
            return 200, {"object": "list", "data": [{"id": name, "object": "model"} for name in self._models]}
        if path.endswith("/health"):
            return 200, {"status": "ok"}
        if path == "/_ledger":
            summary = {**self.ledger.summary(), "batches": self.batches.summary()}
            if "entries=1" in query:
                summary["entries"] = [entry._asdict() for entry in self.ledger.entries]
            return 200, summary
        if path == "/_control":
            return self._control(request.body)
        return 404, {"error": {"message": f"Invalid URL ({request.method} {path})", "type": "invalid_request_error"}}

    def _control(self, body: bytes) -> tuple[int, Any]:
        """Changes a running server from outside its process: ``{"rpm": 75, "batches": {"polls": 3}}``."""
        told = json.loads(body or b"{}")
        if "latency" in told:
            self.latency = float(told["latency"])
        if "rpm" in told:
            self.limit(told["rpm"], burst=told.get("burst", 1.0))
        self.batches.set(told.get("batches", {}))
        if told.get("clear"):
            self.ledger.clear()
        return 200, {"status": "ok"}

    def _line(self, body: bytes, authorization: str, batch: str) -> tuple[int, bytes]:
        """A line of a batch, answered as a request is, but for what only a socket can suffer."""
        tray = Tray()
        call = self._call(Request("POST", "", authorization, body), tray, batch=batch)
        if call.act.ends != "whole":
            call.act = failed(500, kind=call.act.kind)
            call.usage, call.parts = self._response(call)
        self._finish(call, self._number)
        return call.act.status, b"".join(tray.parts[1:])

    def _call(self, request: Request, wire: Wire, *, batch: str = "") -> _Call:
        self._number += 1
        self.ledger.arrive()
        call = _Call(
            wire=wire,
            sha=hashlib.blake2b(request.body, digest_size=8).hexdigest(),
            key=self._key_name(request.authorization),
            arrived=time.monotonic(),
            at=time.time(),
            batch=batch,
        )
        call.act = self._decide(request, call)
        call.usage, call.parts = self._response(call)
        return call

    def _chat(self, request: Request, wire: Wire) -> None:
        call = self._call(request, wire)
        delay = call.act.delay + (self.latency if call.act.status < 400 else min(self.latency, _SLOWEST_REFUSAL))
        if delay <= 0:
            self._finish(call, self._number)
            return
        timer = asyncio.get_running_loop().call_later(delay, self._finish, call, self._number)
        wire.when_lost = partial(self._leave, timer, call, self._number)

    def _leave(self, timer: asyncio.TimerHandle, call: _Call, number: int) -> None:
        """Nobody waits any more; it is billed all the same."""
        timer.cancel()
        self._finish(call, number)

    def _stranger(self, request: Request) -> Act | None:
        """The refusal of who has no key that is let in."""
        key = request.authorization.removeprefix("Bearer ")
        if self._keys is None or key in self._keys:
            return None
        message = f"Incorrect API key provided: {key}." if key else "You didn't provide an API key."
        return Act(kind="401", status=401, body=error_body(message, code="invalid_api_key"))

    def _decide(self, request: Request, call: _Call) -> Act:
        if (refused := self._stranger(request)) is not None:
            return refused
        try:
            call.ask = self._read(request.body)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return Act(kind="400", status=400, body=error_body(f"Cannot read the request: {error!r}", code=None))
        if self._bucket is not None and not call.batch and (wait := self._bucket.take(call.arrived)):
            limited = failed(429, retry_after=wait if self._tells else None, kind="limited")
            if not self._tells:
                return limited
            return Act(
                kind=limited.kind,
                status=429,
                body=limited.body,
                headers=(*limited.headers, ("retry-after-ms", f"{wait * 1000:.0f}")),
            )
        for text in {record.text for record in call.ask.records}:
            self._seen[hash(text)] = self._seen.get(hash(text), 0) + 1
        try:
            acts = (script(call.ask) for script in self.scripts)
            return next((act for act in acts if act is not None), ANSWER)
        except Exception as error:  # noqa: BLE001  a script is the test's own code; its fault belongs into the reply
            return Act(kind="script", status=418, body=error_body(f"the script failed: {error!r}", code="script"))

    def _read(self, raw: bytes) -> Ask:
        body = json.loads(raw)
        user = self._row_text(body["messages"])
        found = _RECORD.findall(user) if "<record " in user else []
        seen = self._seen
        records = tuple(Record(name, text, seen.get(hash(text), 0)) for name, text in found or [("", user)])
        return Ask(
            body=body,
            number=self._number,
            user=user,
            seen=min(record.seen for record in records),
            records=records,
            answer=lambda: self._good(body, records),
        )

    def _row_text(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """The last user message, less what a re-ask has added: then the messages before it were asked on their own."""
        texts = tuple((message["role"], plain(message.get("content"))) for message in messages)
        length = len(texts)
        for added in (2, 1):
            root = self._roots.get(hash(texts[:-added])) if length > added else None
            if root is not None:
                length = root
                break
        self._roots[hash(texts)] = length
        return next((text for role, text in reversed(texts[:length]) if role == "user"), "")

    def _good(self, body: Mapping[str, Any], records: Sequence[Record]) -> str:
        messages = body["messages"]
        if records[0].id == "":
            value = self._value(body, messages, records[0].text, several=False)
            return value if isinstance(value, str) else dumps(value)
        results = [
            {"id": record.id, "value": self._value(body, messages, record.text, several=True)} for record in records
        ]
        return dumps({"results": results})

    def _value(self, body: Mapping[str, Any], messages: Any, text: str, *, several: bool) -> Any:
        value = self.answer(messages, text) if callable(self.answer) else self.answer
        if several and isinstance(value, str):
            return json.loads(value)
        if value is not None:
            return value
        schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
        if schema is None:
            return {"ok": True}
        name = str(schema)
        if name not in self._samples:
            self._samples[name] = (sample_of(schema), item_sample(schema))
        return self._samples[name][several]

    def _key_name(self, authorization: str) -> str:
        key = authorization.removeprefix("Bearer ")
        name = self._key_names.get(key)
        if name is None:
            name = self._key_names[key] = hashlib.blake2b(key.encode(), digest_size=4).hexdigest()
        return name

    def _finish(self, call: _Call, number: int) -> None:
        usage, act, wire, ask = call.usage, call.act, call.wire, call.ask
        wire.when_lost = None
        model = str(ask.body.get("model", "")) if ask else ""
        share = self.batches.share if call.batch else 1.0
        # In the books before it is on the wire: a client that has its answer finds it there.
        self.ledger.leave(
            Entry(
                number=number,
                at=call.at,
                seconds=time.monotonic() - call.arrived,
                user=ask.user if ask else "",
                seen=ask.seen if ask else 0,
                kind=act.kind,
                status=0 if act.ends == "reset" else act.status,
                sha=call.sha,
                key=call.key,
                delivered=wire.is_open and act.ends == "whole",
                prompt=usage.prompt,
                completion=usage.completion,
                cached=usage.cached,
                money=share * (cost(usage, self._prices.get(model, self._price)) or 0.0),
                model=model,
                batch=call.batch,
            )
        )
        if act.ends == "reset":
            wire.reset()
            return
        self._send(wire, call.parts, act, paced=ask is not None and not call.batch and "stream" in ask.body)

    def _send(self, wire: Wire, parts: Sequence[bytes], act: Act, *, paced: bool) -> None:
        if paced and self.pace > 0 and len(parts) > 1 and wire.is_open:
            wire.send(parts[0])
            asyncio.get_running_loop().call_later(self.pace, partial(self._send, wire, parts[1:], act, paced=True))
            return
        wire.send(*parts)
        if act.ends == "cut":
            wire.close()
        else:
            wire.done()

    def _response(self, call: _Call) -> tuple[Usage, tuple[bytes, ...]]:
        """What is billed for a call and what is sent."""
        act, ask = call.act, call.ask
        if act.ends == "reset" or ask is None or act.status >= 400:
            return NOTHING, self._parts(act, act.body or b"{}")
        text = act.content if act.content is not None else ask.answer()
        prompt = sum(len(plain(message.get("content"))) for message in ask.body["messages"])
        usage = usage_of(prompt, len(text), self._cached_share)
        if act.body is not None:
            return usage, self._parts(act, act.body)
        if not ask.body.get("stream"):
            return usage, self._parts(act, completion(ask, act, text, usage=usage, confidence=self.confidence))
        head = head_of(200, None, content_type="text/event-stream", headers=self._headers(act))
        sent = events(ask, act, text, usage=usage, confidence=self.confidence)
        chunks = [chunk_of(b"data: %b\n\n" % event) for event in sent]
        if act.ends == "whole":
            chunks += [chunk_of(b"data: [DONE]\n\n"), chunk_of(b"")]
        return usage, (head, *chunks)

    def _parts(self, act: Act, body: bytes) -> tuple[bytes, ...]:
        head = head_of(act.status, len(body), content_type=act.content_type, headers=self._headers(act))
        return head, body[: len(body) // 2] if act.ends == "cut" else body

    def _headers(self, act: Act) -> tuple[tuple[str, str], ...]:
        if self._bucket is None or not self._tells:
            return act.headers
        return (*act.headers, *self._bucket.headers())


class _LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stub-provider", daemon=True)
        self._thread.start()

    def do(self, work: Any) -> None:
        """Runs this in the loop and waits for it."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    def end(self) -> None:
        """Ends the loop and the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()
