"""No key in the database, in Redis, in a log, in an error or on a screen, whatever an endpoint does with it.

One home with a real worker process runs against an endpoint that repeats the key in every place that it can reach. Then every
byte that was kept or sent is searched for any eight characters in a row of the key.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from jobs import logs
from jobs.api import Engine
from jobs.options import RunOptions
from jobs.testing import Act, Ask, StubProvider
from jobs.testing.script import error_body
from jobs.views.costs import CallFilter
from tests.house import Home, wait_until
from workbench import reports

#: with all that JSON, HTML and URLs may spell in another way
KEY = "sk-Zq7/Lw0+vTn3&Xy9PbR5cD1gH=8mKe2"
#: a key that stands in the file itself, by its owner's wish
LITERAL = "literal-7Hq/2Vd+9Wx4Zr"
GOOD = '{"sentiment": "good", "words": 2}'
SLASHED, SPELLED = KEY.replace("/", "\\/"), "".join(f"\\u{ord(char):04x}" for char in KEY)
HTML, PERCENT = KEY.replace("&", "&amp;").replace("/", "&#x2F;"), KEY.replace("/", "%2F").replace("+", "%2b")


def whole(**message: Any) -> bytes:
    """A completion with fields of one's own."""
    more = {name: message.pop(name) for name in ("finish_reason",) if name in message}
    outer = {name: message.pop(name) for name in ("model", "id", "usage", "system_fingerprint") if name in message}
    choice = {"index": 0, "message": {"role": "assistant", "content": GOOD, **message}, "finish_reason": "stop", **more}
    return json.dumps({"model": "m", "choices": [choice], **outer}).encode()


def stream(*deltas: str, last: dict[str, Any] | None = None) -> bytes:
    """A streamed completion."""
    events: list[dict[str, Any]] = [{"model": "m", "choices": [{"index": 0, "delta": {"content": d}}]} for d in deltas]
    events.append(last or {"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events) + b"data: [DONE]\n\n"


def error(status: int, message: str, *, code: str = "server_error", **more: Any) -> Act:
    return Act(status=status, body=error_body(message, code=code), **more)


EVENTS = "text/event-stream"
#: a row of this text meets this, once or always; then the good answer
ALWAYS = {
    "a value": Act(content=json.dumps({"sentiment": KEY, "words": 2})),
    "a value, slashed": Act(content=f'{{"sentiment": "{SLASHED}", "words": 2}}'),
    "a value, spelled": Act(content=f'{{"sentiment": "{SPELLED}", "words": 2}}'),
    "a name": Act(content=f'{{"{KEY}": 1, "sentiment": "good", "words": 2}}'),
    "prose": Act(content=f"I was called with {KEY} and will not say more"),
    "refusal": Act(body=whole(content=None, refusal=f"not with {KEY}")),
    "cut": Act(content=f'{{"sentiment": "{KEY[:20]}', finish_reason="length"),
    "page": Act(body=f"<html><pre>Bearer {HTML}</pre> {KEY[:25]}</html>".encode(), content_type="text/html"),
    "moderated": error(400, f"filtered by our content management policy: {KEY}", code="content_filter"),
}
ONCE = {
    "around a good answer": Act(content=f"{KEY}\n```json\n{GOOD}\n```\n{SLASHED}"),
    "model": Act(body=whole(model=f"m-{KEY}")),
    "finish reason": Act(body=whole(finish_reason=f"stop {KEY}")),
    "request id": Act(body=whole(), headers=(("x-request-id", f"req_{KEY}"),)),
    "the other request id": Act(body=whole(), headers=(("request-id", f"req_{KEY}"),)),
    "figures": Act(body=whole(usage={"prompt_tokens": KEY, "note": KEY}, id=KEY, system_fingerprint=KEY)),
    "limits": Act(body=whole(), headers=(("x-ratelimit-reset-requests", KEY), ("retry-after", KEY))),
    "no choices": Act(body=json.dumps({"x" * 190: 1, "key": KEY}).encode()),
    "an error in a good status": Act(body=error_body(f"refused {KEY}", code=f"code_{KEY}")),
    "a message": error(500, f"wrong key {KEY}"),
    "a message at its limit": error(500, "x" * 985 + KEY),
    "a message, slashed": Act(status=500, body=f'{{"error": {{"message": "wrong {SLASHED} {SPELLED}"}}}}'.encode()),
    "a message without form": Act(status=502, body=f"upstream said {PERCENT} and {KEY[5:]}".encode()),
    "a code": error(500, "wrong", code=f"{'c' * 80}_{KEY}"),
    "a throttle": error(429, f"slow down, {KEY}", code="rate_limit_exceeded", headers=(("retry-after", "0.01"),)),
    "half a body": Act(body=(f'{{"choices": [{{"message": {{"content": "{KEY}' + "y" * 70).encode(), ends="cut"),
}
STREAMED = {
    "in pieces": Act(body=stream("so ", *KEY, f" {GOOD}"), content_type=EVENTS),
    "in escapes": Act(body=stream("so ", *SPELLED, f" {GOOD}"), content_type=EVENTS),
    "an error event": Act(body=stream(KEY[:20], last={"error": {"message": f"no {KEY}"}}), content_type=EVENTS),
    "broken off": Act(body=stream(f"{GOOD} {KEY}", "y" * 200), content_type=EVENTS, ends="cut"),
    "in one piece": Act(content=f"{KEY} {GOOD}"),
    "under a wrong name": Act(body=stream("so ", *KEY, f" {GOOD}"), content_type="application/json"),
}
BLOCKED = {
    "401": error(401, f"Incorrect API key provided: {KEY}.", code="invalid_api_key"),
    "402": error(402, f"{KEY} has no money", code=f"insufficient_{KEY}"),
    "307": Act(status=307, body=b"", headers=(("location", f"https://me:{KEY}@other/v1?key={PERCENT}"),)),
}


def mirror(ask: Ask) -> Act | None:
    """What a row's text asks for."""
    if ask.user in ALWAYS:
        return ALWAYS[ask.user]
    if ask.user in BLOCKED:
        return BLOCKED[ask.user]
    return {**ONCE, **STREAMED}.get(ask.user) if ask.seen == 0 else None


class Place:
    """A home with the keeper in this process, a worker in one of its own, and somebody who hears all that Redis is told."""

    def __init__(self, folder: Path, redis_address: str, stub: StubProvider, *, headers: str = "") -> None:
        self.folder, self.heard = folder, bytearray()
        logs.configure(folder / "logs", "keeper", key_variables=("A_PROVIDERS_KEY",))
        self._ear = Redis.from_url(redis_address)
        self._monitor = self._ear.connection_pool.get_connection()
        self._monitor.send_command("MONITOR")
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        key_env = None if headers else "A_PROVIDERS_KEY"
        self.home = Home(folder, redis_address, stub, lanes=0, key_env=key_env)
        if headers:
            file = folder / "connections.toml"
            file.write_text(file.read_text().replace("[stub]\n", f"[stub]\nheaders = {headers}\n"))
        command = [sys.executable, "-m", "jobs", "worker", "--home", str(folder)]
        self._worker = subprocess.Popen(command, env={**os.environ, "REDIS_URL": redis_address})

    def _listen(self) -> None:
        while True:
            try:
                line = self._monitor.read_response(disable_decoding=True)
            except Exception:  # noqa: BLE001 - it ends when the ear is closed, in whatever way that shows
                return
            self.heard += bytes(line) + b"\n"

    def close(self) -> None:
        self._worker.terminate()
        self._worker.wait(timeout=30)
        self.home.close()
        self._monitor.disconnect()
        self._thread.join(timeout=10)
        self._ear.close()

    def kept(self, redis_address: str) -> Iterator[tuple[str, bytes]]:
        """Whatever is in a file of the home, in a cell of the database or in Redis; what is packed unpacked as well."""
        for file in self.folder.rglob("*"):
            if file.is_file() and file.name != "connections.toml":
                yield f"file {file.name}", file.read_bytes()
        yield from _cells(self.folder / "redrive.db")
        yield "what Redis was told", bytes(self.heard)
        with Redis.from_url(redis_address) as redis:
            for key in redis.scan_iter("*"):
                yield f"Redis {key!r}", key + (redis.dump(key) or b"")
                yield f"Redis {key!r}, read", repr(_read(redis, key)).encode()


def _cells(database: Path) -> Iterator[tuple[str, bytes]]:
    db = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        for row in db.execute(f"SELECT * FROM {table}"):
            for cell in row:
                plain = cell if isinstance(cell, bytes) else str(cell).encode("utf-8", "surrogatepass")
                yield f"table {table}", plain
                if plain[:1] == b"x":
                    try:
                        yield f"table {table}, unpacked", zlib.decompress(plain)
                    except zlib.error:
                        continue
    db.close()


def _read(redis: Redis, key: bytes) -> Any:
    match redis.type(key):
        case b"string":
            return redis.get(key)
        case b"hash":
            return redis.hgetall(key)
        case b"stream":
            return redis.xrange(key)
        case b"zset":
            return redis.zrange(key, 0, -1)
        case b"list":
            return redis.lrange(key, 0, -1)
        case b"set":
            return redis.smembers(key)
        case other:
            raise AssertionError(other)


def views(engine: Engine, runs: list[int], out: Path) -> Iterator[tuple[str, bytes]]:
    """What the screens and the command line read."""
    for run in runs:
        yield f"run {run}", repr(engine.runs.get(run)).encode()
        yield f"dead {run}", json.dumps(list(reports.dead_objects(engine, run, None))).encode()
        yield f"results {run}", repr(engine.runs.results(run, offset=0, limit=100)).encode()
        yield f"live {run}", repr(engine.system.live(run)).encode()
        for ordinal in range(1, engine.runs.get(run).counts.rows + 1):
            yield f"letter {run}/{ordinal}", repr(engine.letters.inspect(run, ordinal)).encode()
        engine.runs.export(run, "jsonl", out / f"{run}.jsonl")
        yield f"export {run}", (out / f"{run}.jsonl").read_bytes()
    yield "groups", repr(engine.letters.groups()).encode()
    yield "system", repr(engine.system.look()).encode()
    yield "overview", repr(engine.system.overview(now=2e9)).encode()
    yield "costs", repr(engine.costs.slices(CallFilter(since=0, until=4e9), by="model")).encode()


def holding(key: str, found: Iterator[tuple[str, bytes]]) -> list[str]:
    """Where any eight characters in a row of a key are, in whatever spelling."""
    pieces = [key[at : at + 8].encode() for at in range(len(key) - 7)]
    pieces += [piece.replace(b"/", b"\\/") for piece in pieces if b"/" in piece]
    pieces += [b"".join(b"u%04x" % char for char in piece[:4]) for piece in pieces if b"\\" not in piece]
    return [where for where, blob in found if _has(blob, pieces)]


def _has(blob: bytes, pieces: list[bytes]) -> bool:
    plain = _plain(blob)
    return any(piece in blob or piece in plain for piece in pieces)


def _plain(blob: bytes) -> bytes:
    """Escapes doubled by ``repr``, JSON or MONITOR made single again."""
    return re.sub(rb"\\+", rb"\\", blob)


def start(home: Home, rows: list[str], **rest: Any) -> int:
    return home.start(rows, options=rest.pop("options", RunOptions(strikes=3)), **rest)


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with StubProvider(mirror, answer=json.loads(GOOD)) as stub:
        yield stub


def test_a_key_that_an_endpoint_repeats_is_kept_nowhere(
    tmp_path: Path, redis_address: str, stub: StubProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in the ledger, nor in a message, a stream or a live text, nor in a log, nor in what the screens read."""
    monkeypatch.setenv("A_PROVIDERS_KEY", KEY)
    place = Place(tmp_path / "home", redis_address, stub)
    home = place.home
    try:
        first = start(home, [*ALWAYS, *ONCE])
        tried = start(home, list(STREAMED), kind="try", options=RunOptions(strikes=1, reuse=False))
        blocked = [start(home, [name]) for name in BLOCKED]
        ran = home.ended(first)
        home.ended(tried)
        for run in blocked:
            home.until(run, lambda seen: seen.state == "paused" and not seen.counts.in_flight)
        shown = list(views(home.engine, [first, tried, *blocked], tmp_path))
        kept = list(place.kept(redis_address))
        letters = {n: home.engine.letters.inspect(first, n) for n in range(1, len(ALWAYS) + 1)}
        reasons = [home.engine.runs.get(run).reason or "" for run in blocked]
        live = [one.text for one in home.engine.system.live(tried)]
    finally:
        place.close()
    kept += list(place.kept(redis_address))

    assert (ran.counts.dead, ran.counts.accepted) == (len(ALWAYS), len(ONCE))
    assert len(kept) > 300 and len(place.heard) > 10_000
    assert holding(KEY, iter(shown)) == []
    assert holding(KEY, iter(kept)) == []
    # and the endpoint did repeat it: a mark stands in each place, and the places of problems are places in what is kept
    assert all(
        "[key]" in (letter.attempts[-1].raw or "") + repr(letter.attempts[-1].problems) for letter in letters.values()
    )
    problem = letters[1].attempts[0].problems[0]
    assert (letters[1].attempts[0].raw or "")[problem.start : problem.end] == '"[key]"'
    assert all("[key]" in reason for reason in reasons) and sum("[key]" in text for text in live) >= 4
    lines = [json.loads(line) for line in (place.folder / "logs" / "worker.jsonl").read_text().splitlines()]
    assert {line["run"] for line in lines if line.get("action") == "key_repeated"} >= {first, tried}


def test_a_key_in_a_header_of_the_file_goes_nowhere_else(
    tmp_path: Path, redis_address: str, stub: StubProvider
) -> None:
    """A literal secret stands in connections.toml by its owner's wish, and is hidden like any other."""
    stub.scripts = (lambda ask: error(401, f"I do not know {LITERAL}") if ask.user == "stop" else None,)
    stub.answer = json.dumps({"sentiment": LITERAL, "words": 1})
    place = Place(tmp_path / "home", redis_address, stub, headers=f'{{ Authorization = "Bearer {LITERAL}" }}')
    try:
        ran = place.home.ended(start(place.home, ["a"]))
        run = start(place.home, ["stop"])
        paused = place.home.until(run, lambda seen: seen.state == "paused" and not seen.counts.in_flight)
        shown = list(views(place.home.engine, [ran.id, run], tmp_path))
    finally:
        place.close()

    assert ran.counts.dead == 1 and "I do not know [key]" in (paused.reason or "")
    assert LITERAL in (place.folder / "connections.toml").read_text()
    assert holding(LITERAL, iter([*shown, *place.kept(redis_address)])) == []


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="reads /proc")
def test_a_workers_redis_is_not_in_its_arguments(tmp_path: Path, redis_address: str) -> None:
    """``ps`` shows everybody what a process was started with, so the address goes on in the environment."""
    home = tmp_path / "home"
    command = [sys.executable, "-m", "workbench.cli", "worker", "--home", str(home), "--redis", redis_address]
    process = subprocess.Popen(command)
    cmdline = Path(f"/proc/{process.pid}/cmdline")
    try:
        wait_until(lambda: b"jobs" in cmdline.read_bytes().split(b"\0"))
        assert redis_address.encode() not in cmdline.read_bytes()
    finally:
        process.terminate()
        process.wait(timeout=30)
