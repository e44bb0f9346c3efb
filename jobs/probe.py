"""What an endpoint really honours, found out by a few tiny calls: compatible servers leave fields out of account and say nothing.

Each question is put so that an answer shows whether the field was heeded: a sentence is asked for under a response format that
allows none, a long one under a small max_tokens. Where an answer can be right by chance it is called unclear and not yes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from jobs.llm import Endpoint, rates_of
from jobs.llm.exchange import Fetched
from jobs.llm.probabilities import tokens_of
from jobs.values import Value

#: tokens of an answer that is to be cut, characters that it has then at the most, and at the least where it was not
FEW, CUT_CHARS, LONG_CHARS = 4, 40, 60
_HELLO = "Say hello in one short sentence of plain words. (No JSON is needed here.)"
_LONG = "Write a long sentence about the sea, of thirty words or more."
_ONLY = "probe_only"
_SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": [_ONLY]}},
    "required": ["colour"],
    "additionalProperties": False,
}

Answer = Literal["yes", "no", "refused", "unclear"]


class Finding(Value):
    """What was found out about one thing that an endpoint may do."""

    #: ``reply``, ``usage``, ``max_tokens``, ``json_object``, ``json_schema``, ``stream``, ``stream_usage``, ``rate_headers``,
    #: ``logprobs``, ``seed`` or ``batch``
    feature: str
    #: ``no``: it takes the field and does not heed it; ``refused``: it answers with an error
    answer: Answer
    #: what was seen, in words
    words: str


async def probe(endpoint: Endpoint, model: str) -> list[Finding]:
    """Ask an endpoint about each thing; where it does not even reply, that is all there is to say."""
    prober = _Prober(endpoint, model)
    first = await prober.ask(_HELLO)
    if first.told is None:
        return [Finding(feature="reply", answer="refused" if first.status else "no", words=first.words)]
    found = [Finding(feature="reply", answer="yes", words=f"{first.model or model} replied in {first.seconds:.1f} s")]
    found.append(_usage("usage", first, "a reply"))
    found.append(_rate_headers(first))
    found.append(_max_tokens(await prober.ask(_LONG, max_tokens=FEW)))
    found.append(_json_object(await prober.ask(_HELLO, response_format={"type": "json_object"})))
    named = {"name": "probe", "strict": True, "schema": _SCHEMA}
    schema = {"type": "json_schema", "json_schema": named}
    found.append(_json_schema(await prober.ask("Say hello. Answer in JSON.", response_format=schema)))
    found += _stream(await prober.ask(_HELLO, stream=True, stream_options={"include_usage": True}))
    found.append(_logprobs(await prober.ask(_HELLO, logprobs=True, top_logprobs=1)))
    spun = [await prober.ask(_SPUN, seed=7, temperature=1.0) for _ in range(2)]
    found.append(_seed(*spun))
    found.append(_batch(await endpoint.fetch("GET", "/batches?limit=1")))
    return found


_SPUN = "Write one surprising sentence about the sea."


class _Said:
    """What came of one question."""

    def __init__(self, fetched: Fetched) -> None:
        self.status, self.seconds, self.headers = fetched.status, fetched.seconds, fetched.headers
        self.words = fetched.words
        self.events = [] if fetched.is_json else _events(fetched.body)
        self.told = _object(fetched.body) if fetched.is_json else ({"choices": []} if self.events else None)
        if fetched.status is None or fetched.status >= 300 or (self.told is not None and "choices" not in self.told):
            self.told = None

    @property
    def model(self) -> str | None:
        said = (self.told or {}).get("model")
        return said if isinstance(said, str) else None

    @property
    def choice(self) -> Mapping[str, Any]:
        choices = (self.told or {}).get("choices")
        first = choices[0] if isinstance(choices, list) and choices else {}
        return first if isinstance(first, dict) else {}

    @property
    def text(self) -> str:
        message = self.choice.get("message")
        content = message.get("content") if isinstance(message, dict) else None
        return content if isinstance(content, str) else ""

    @property
    def usage(self) -> Mapping[str, Any] | None:
        for one in reversed([self.told or {}, *self.events]):
            usage = one.get("usage")
            if isinstance(usage, dict) and usage.get("prompt_tokens"):
                return usage
        return None


class _Prober:
    def __init__(self, endpoint: Endpoint, model: str) -> None:
        self._endpoint, self._model = endpoint, model

    async def ask(self, prompt: str, *, max_tokens: int = 40, **fields: Any) -> _Said:
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": prompt}],
            self._endpoint.connection.max_tokens_field: max_tokens,
            **fields,
        }
        return _Said(await self._endpoint.fetch("POST", "/chat/completions", body))


def _refused(feature: str, said: _Said) -> Finding | None:
    return None if said.told is not None else Finding(feature=feature, answer="refused", words=said.words)


def _usage(feature: str, said: _Said, where: str) -> Finding:
    usage = said.usage
    if usage is None:
        return Finding(feature=feature, answer="no", words=f"{where} says no tokens; they are estimated and marked so")
    words = f"{usage.get('prompt_tokens')} tokens in, {usage.get('completion_tokens')} out"
    return Finding(feature=feature, answer="yes", words=words)


def _rate_headers(said: _Said) -> Finding:
    rates = rates_of(dict(said.headers), now=0.0)
    windows = {
        "requests": rates.requests,
        "tokens": rates.tokens,
        "input": rates.input_tokens,
        "output": rates.output_tokens,
    }
    told = [f"{window.limit:,} {name}" for name, window in windows.items() if window.limit is not None]
    if not told:
        return Finding(
            feature="rate_headers",
            answer="no",
            words="its limits are not told; set rpm and tpm, or they are found by what it refuses",
        )
    return Finding(feature="rate_headers", answer="yes", words=", ".join(told))


def _max_tokens(said: _Said) -> Finding:
    if (refused := _refused("max_tokens", said)) is not None:
        return refused
    finish, long = said.choice.get("finish_reason"), len(said.text)
    if long > LONG_CHARS:
        return Finding(
            feature="max_tokens", answer="no", words=f"{long} characters came where {FEW} tokens were allowed"
        )
    if long <= CUT_CHARS and finish == "length":
        return Finding(feature="max_tokens", answer="yes", words=f"stopped after {long} characters, and says so")
    return Finding(feature="max_tokens", answer="unclear", words=f"{long} characters, finish_reason {finish!r}")


def _json_object(said: _Said) -> Finding:
    if (refused := _refused("json_object", said)) is not None:
        return refused
    if _object(said.text.encode()) is not None or said.text.lstrip().startswith("{"):
        return Finding(feature="json_object", answer="yes", words="an object came where a sentence was asked for")
    return Finding(feature="json_object", answer="no", words="a sentence came: the field is not heeded")


def _json_schema(said: _Said) -> Finding:
    if (refused := _refused("json_schema", said)) is not None:
        return refused
    value = _object(said.text.encode())
    if value == {"colour": _ONLY}:
        return Finding(feature="json_schema", answer="yes", words="the one object that the schema allows came")
    shape = "another object" if value is not None else "a text"
    return Finding(feature="json_schema", answer="no", words=f"{shape} came: the schema is not heeded")


def _stream(said: _Said) -> list[Finding]:
    if said.told is None:
        refused = Finding(
            feature="stream", answer="refused", words=f"{said.words}; say stream = false in connections.toml"
        )
        return [refused, refused.model_copy(update={"feature": "stream_usage"})]
    if not said.events:
        words = "the reply came in one piece"
        return [
            Finding(feature="stream", answer="no", words=words),
            _usage("stream_usage", said, "the reply"),
        ]
    streamed = Finding(feature="stream", answer="yes", words=f"{len(said.events)} events")
    return [streamed, _usage("stream_usage", said, "the stream")]


def _logprobs(said: _Said) -> Finding:
    if (refused := _refused("logprobs", said)) is not None:
        return refused
    told = said.choice.get("logprobs")
    tokens = told.get("content") if isinstance(told, dict) else None
    if isinstance(tokens, list) and tokens:
        if not tokens_of(tokens, raw=said.text.encode("utf-8", "surrogatepass")):
            words = f"of {len(tokens)} tokens, which are not those of the reply: they cannot be used"
            return Finding(feature="logprobs", answer="no", words=words)
        return Finding(feature="logprobs", answer="yes", words=f"of {len(tokens)} tokens")
    return Finding(feature="logprobs", answer="no", words="none came: the field is not heeded")


def _seed(one: _Said, other: _Said) -> Finding:
    if (refused := _refused("seed", one)) is not None:
        return refused
    if one.text and one.text == other.text:
        return Finding(
            feature="seed", answer="unclear", words="the same answer twice at temperature 1, which may be chance"
        )
    return Finding(feature="seed", answer="no", words="two answers to the same question at the same seed")


def _batch(fetched: Fetched) -> Finding:
    listed = _object(fetched.body) if fetched.is_json else None
    if fetched.status == 200 and listed is not None and isinstance(listed.get("data"), list):
        return Finding(feature="batch", answer="yes", words="it lists its batches")
    return Finding(feature="batch", answer="no", words=f"no list of batches: {fetched.words or fetched.status}")


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def _events(body: bytes) -> list[dict[str, Any]]:
    lines = (line[5:].strip() for line in body.split(b"\n") if line.startswith(b"data:"))
    return [event for line in lines if (event := _object(line)) is not None]
