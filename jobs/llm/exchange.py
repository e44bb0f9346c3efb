"""One request under way and what came of it, before anybody has read it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import aiohttp

from jobs import errors
from jobs.llm import rates
from jobs.llm.answers import EVENT_STREAM, Answer, Events, raw_of
from jobs.llm.probabilities import Token
from jobs.values import Failure, FailureKind, Reply, Usage


class RequestFailed(errors.RedriveError):
    """A request to an endpoint came to nothing; ``failure`` says what kind of trouble it was."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Line(NamedTuple):
    """One line of a long response, without its end."""

    text: bytes
    #: our key stood in it, and a mark stands in its place
    repeated_key: bool


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
    #: the same, sorted
    failure: Failure | None = None

    @property
    def trouble(self) -> Failure:
        """What went wrong where something did; a response that is well but not what was asked for, else."""
        message = f"the endpoint answered {self.status} with something else than was asked for (check the base_url)"
        return self.failure or Failure(
            kind=FailureKind.TRANSIENT, message=message, status=self.status, code="unreadable"
        )

    @property
    def is_json(self) -> bool:
        """Whether it says that it is JSON, or does not say that it is a stream."""
        return not self.headers.get("content-type", "").startswith(EVENT_STREAM)


class Exchange:
    """One request under way: what must survive whatever breaks it."""

    def __init__(self, *, started_at: float, start: float | None) -> None:
        self.sent = b""
        self.started_at = started_at
        self.body = bytearray()
        self.events: Events | None = None
        self._start = start
        self._rates = rates.NOTHING

    @property
    def seconds(self) -> float:
        """From the start until now; 0 where it has none."""
        return 0.0 if self._start is None else time.monotonic() - self._start

    @property
    def partial(self) -> bytes:
        """What has come of the reply's text, or of the body."""
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
        """All that came of it."""
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
