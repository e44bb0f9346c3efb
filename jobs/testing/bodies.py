"""The bodies of the stand-in's responses, whole or as events, and the figures in them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jobs.testing import tokens
from jobs.testing.samples import sample_of
from jobs.testing.script import Act, Ask
from jobs.testing.tokens import Confidence
from jobs.values import Usage

_PIECE = 12


def completion(ask: Ask, act: Act, text: str, *, usage: Usage, confidence: Confidence | None = None) -> bytes:
    """A chat completion."""
    message = act.message if act.message is not None else {"content": text}
    told = act.usage or _told(usage)
    entries = _tokens(ask, message, confidence)
    return (
        b'{"id":"chatcmpl-%d","object":"chat.completion","created":1700000000,"model":%b,"choices":[{"index":0,'
        b'"message":%b,"logprobs":%b,"finish_reason":%b}],"usage":%b}'
    ) % (
        ask.number,
        _json(ask.body.get("model")),
        _json({"role": "assistant", **message}),
        b"null" if entries is None else _json({"content": entries, "refusal": None}),
        _json(act.finish_reason),
        _json(told),
    )


def events(ask: Ask, act: Act, text: str, *, usage: Usage, confidence: Confidence | None = None) -> Iterable[bytes]:
    """The same as the events of a stream, without the last one; half of them where the act cuts."""
    message = act.message if act.message is not None else {"content": text}
    shared = {"id": f"chatcmpl-{ask.number}", "object": "chat.completion.chunk", "model": ask.body.get("model")}
    entries = _tokens(ask, message, confidence)
    content = message.get("content") or ""
    if act.ends == "cut":
        content = content[: len(content) // 2]
    choices: list[dict[str, Any]] = [{"delta": {"role": "assistant", "content": ""}}]
    for at in range(0, len(content), _PIECE):
        piece: dict[str, Any] = {"delta": {"content": content[at : at + _PIECE]}}
        if entries is not None:
            piece["logprobs"] = {"content": tokens.share(entries, at, min(at + _PIECE, len(content)))}
        choices.append(piece)
    choices += [{"delta": {"refusal": message["refusal"]}}] if message.get("refusal") else []
    for choice in choices:
        yield _json({**shared, "choices": [{"index": 0, "finish_reason": None, **choice}]})
    if act.ends == "cut":
        return
    yield _json({**shared, "choices": [{"index": 0, "delta": {}, "finish_reason": act.finish_reason}]})
    if (ask.body.get("stream_options") or {}).get("include_usage"):
        yield _json({**shared, "choices": [], "usage": act.usage or _told(usage)})


def usage_of(prompt_chars: int, completion_chars: int, cached_share: float) -> Usage:
    """Four characters to a token."""
    prompt = -(-prompt_chars // 4)
    return Usage(prompt=prompt, completion=-(-completion_chars // 4), cached=int(prompt * cached_share))


def _tokens(ask: Ask, message: Mapping[str, Any], confidence: Confidence | None) -> Sequence[Mapping[str, Any]] | None:
    """The tokens of the message, where they are asked for and the stand-in has any."""
    content = message.get("content")
    if confidence is None or ask.body.get("logprobs") is not True or not isinstance(content, str):
        return None
    return tokens.logprobs(content, {record.id: record.text for record in ask.records}, confidence)


def _told(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
    }


def item_sample(schema: Mapping[str, Any]) -> Any:
    """The sample of one row's value in a schema that is wrapped for several."""
    sample = sample_of(schema)
    results = sample.get("results") if isinstance(sample, dict) else None
    first = results[0] if isinstance(results, list) and results else None
    return first.get("value") if isinstance(first, dict) else None


def plain(content: object) -> str:
    """A message's content as text."""
    return content if isinstance(content, str) else dumps(content)


def dumps(value: object) -> str:
    """JSON as a model writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _json(value: object) -> bytes:
    """ASCII only, so that lone surrogates can travel."""
    return json.dumps(value, separators=(",", ":")).encode()
