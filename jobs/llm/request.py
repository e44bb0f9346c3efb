"""The body of a request, and the exact bytes that are sent and kept.

What is kept as "what was sent" is these bytes and nothing made from them later, so a person who looks at a dead letter
sees the request itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from jobs import errors
from jobs.settings import Connection
from jobs.values import OWNED_SETTINGS, Message


def body(
    messages: Iterable[Message],
    *,
    model: str,
    connection: Connection,
    max_tokens: int,
    response_format: Literal["text", "json_object", "json_schema"] = "text",
    schema: Mapping[str, Any] | None = None,
    schema_name: str = "answer",
    strict: bool = True,
    settings: Mapping[str, Any] | None = None,
    stream: bool = False,
    logprobs: bool = False,
) -> dict[str, Any]:
    """The body of a chat completion request, as the connection wants its fields named.

    With ``logprobs`` it asks for the log-probability of each token of the reply, whatever the settings say of that; without,
    the settings' own wish stands.

    Raises:
        PromptError: the settings hold a field that is not theirs to set.
        ContractError: ``json_schema`` without a schema.
    """
    settings = settings or {}
    taken = sorted(OWNED_SETTINGS.keys() & settings.keys())
    if taken:
        raise errors.PromptError(f"settings may not hold {', '.join(taken)}: take it out of the version's settings")
    made: dict[str, Any] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        connection.max_tokens_field: max_tokens,
        **settings,
    }
    if response_format == "json_object":
        made["response_format"] = {"type": "json_object"}
    elif response_format == "json_schema":
        if schema is None:
            raise errors.ContractError("the response format json_schema needs a schema")
        named = {"name": schema_name, "strict": strict, "schema": dict(schema)}
        made["response_format"] = {"type": "json_schema", "json_schema": named}
    if logprobs:
        made["logprobs"] = True
    if stream:
        made |= {"stream": True, "stream_options": {"include_usage": True}}
    return made


def encode(made: Mapping[str, Any]) -> bytes:
    """The bytes that a body is sent as: UTF-8 JSON without spaces.

    A lone surrogate becomes U+FFFD, since no JSON text in UTF-8 can carry one and endpoints refuse its escape.

    Raises:
        ValueError: the body holds NaN or an infinite number.
    """
    text = json.dumps(made, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
