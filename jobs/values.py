"""The values that several stops share: frozen, strict, and able to cross a process as they are.

Nothing here does anything. Offsets are half-open character offsets into the raw reply after decoding it as UTF-8 with
``surrogatepass``. Paths are JSONPath: ``$`` is the answer object, ``$.items[2].name`` a place in it. Money is US dollars.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field


class Value(BaseModel):
    """A frozen value that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Thing(Value):
    """What can be archived: a dataset by its id, a prompt by its name, a run by its number."""

    kind: Literal["dataset", "prompt", "run"]
    name: str = Field(min_length=1)


class Problem(Value):
    """One way in which a reply breaks its contract, and where."""

    path: str
    #: the JSON Schema keyword that is broken (``required``, ``type``, ``enum`` ...) or one of ours: ``not_json``,
    #: ``cut``, ``refusal``, ``empty``, ``unanswered``, ``doubted``, ``duplicate_key``, ``not_finite``, ``surrogate``, ``too_long``,
    #: ``unreachable``, ``internal``
    rule: str
    expected: str
    got: str
    start: int | None = None
    end: int | None = None


class Edit(Value):
    """One thing that was set aside or mended before a reply could be read."""

    #: ``fence``, ``prose``, ``think``, ``other_object``, ``turn`` (set aside) or ``repair`` (mended)
    kind: str
    note: str
    start: int | None = None
    end: int | None = None


class Receipt(Value):
    """How an accepted value was obtained."""

    how: Literal["strict", "stripped", "repaired", "salvaged", "reused", "corrected"]
    edits: tuple[Edit, ...] = ()
    #: paths whose value was converted because the contract allows it by name
    coerced: tuple[str, ...] = ()
    #: which strike of the row this was the answer to: 1, or more after a re-ask
    asked: int = 1
    #: the attempt that a reused value came from
    source: int | None = None
    #: the model that answered, in a run whose rows are answered by several
    model: str | None = None

    @property
    def label(self) -> str:
        """The receipt in a few words, for a table's cell."""
        kinds = ", ".join(dict.fromkeys(edit.kind.replace("_", " ") for edit in self.edits))
        words = {
            "strict": "strict",
            "stripped": f"{kinds or 'text'} stripped",
            "repaired": f"repaired ({len([e for e in self.edits if e.kind == 'repair'])} edits)",
            "salvaged": "salvaged",
            "reused": f"reused from attempt {self.source}" if self.source else "reused",
            "corrected": "corrected by hand",
        }[self.how]
        if self.coerced:
            words += f", {len(self.coerced)} coerced"
        if self.model:
            words += f", by {self.model}"
        return f"{words}, re-asked ×{self.asked - 1}" if self.asked > 1 else words


class Usage(Value):
    """Tokens that a request used; ``cached`` are inside ``prompt``."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    #: the endpoint sent no figures and these were estimated
    estimated: bool = False


#: finish reason of a reply of which more came than is read; ours, since no endpoint says it
SIZE = "size"


class FailureKind(StrEnum):
    """What kind of trouble kept a request from an answer; each kind has one rule in ``lifecycle``."""

    THROTTLED = "throttled"  #: 429, 529, 503 overloaded: the row waits, no limit of tries
    TRANSIENT = "transient"  #: timeout, reset, cut body, 408, 409, 5xx: again, a limited number of times
    BLOCKED = "blocked"  #: key, money, model name or shape of the request: the run pauses at the first one
    TOO_LONG = "too_long"  #: the prompt does not fit the model
    INTERNAL = "internal"  #: an exception of ours around the row
    LOST = "lost"  #: the lane died or was cut off; nobody knows whether the request was answered


#: codes of failures of requests that have reached no endpoint, or lay in a batch that ended before their turn
UNSENT: Final = ("connect", "url", "expired", "cancelled")


class Failure(Value):
    """Why a request brought no reply to judge."""

    kind: FailureKind
    message: str
    status: int | None = None
    code: str | None = None
    #: seconds that the provider asked us to wait
    retry_after: float | None = None


class Reply(Value):
    """What an endpoint answered, as it came."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64")

    #: the message text, byte for byte (UTF-8 with surrogatepass); the body if it was not JSON
    raw: bytes
    finish_reason: str | None = None
    #: the provider's own words of refusal, if it marks one
    refusal: str | None = None
    usage: Usage = Usage()
    #: the model that the endpoint says has answered
    model: str | None = None
    status: int = 200
    request_id: str | None = None
    #: seconds from sending to the last byte
    seconds: float = 0.0
    #: tokens with their log-probabilities, as far as the endpoint tells them: together a part of the text that stands there once
    tokens: tuple[tuple[str, float], ...] = ()

    @property
    def text(self) -> str:
        """The raw reply as text, with what is not UTF-8 kept as lone surrogates."""
        return self.raw.decode("utf-8", "surrogatepass")


class Verdict(Value):
    """What is to be thought of a reply about one row."""

    kind: Literal["accepted", "rejected"]
    value: dict[str, Any] | None = None
    receipt: Receipt | None = None
    problems: tuple[Problem, ...] = ()
    #: groups dead letters by their leading problem; ``signature.title`` puts it in words
    signature: str | None = None


#: fields of a request that a version's settings may not hold, and where each is said instead
OWNED_SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "model": "write it as model:, outside settings",
        "response_format": "write it as response_format:, outside settings",
        "max_tokens": "write it as max_tokens:, outside settings",
        "max_completion_tokens": "write it as max_tokens:, outside settings",
        "messages": "the template makes the messages",
        "stream": "Redrive decides it itself",
        "stream_options": "Redrive decides it itself",
        "n": "Redrive takes one answer a request",
    }
)


class VersionContent(Value):
    """All that decides what a prompt version answers, and nothing else; its hash covers exactly this."""

    template: str
    contract: dict[str, Any]
    model: str | None = None
    response_format: Literal["text", "json_object", "json_schema"] = "text"
    #: sampling settings as the endpoint names them: temperature, top_p, seed, stop ...
    settings: dict[str, Any] = Field(default_factory=dict)
    max_tokens: int = Field(default=512, ge=1)


class Message(Value):
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    content: str
