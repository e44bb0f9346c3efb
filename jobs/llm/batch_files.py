"""The files of a batch: a request's line in, and from a line out what an ordinary request would have come to.

A file out is read as it comes, in as much memory as its longest line takes. Lines are matched by their custom id and nothing
else: they come in any order, one may be missing and one may come twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

from jobs.llm.answers import Answer
from jobs.llm.endpoint import Endpoint
from jobs.llm.failures import classify, words_in
from jobs.llm.request import encode
from jobs.values import Failure, FailureKind

#: lines of one file that OpenAI takes
MOST_LINES: Final = 50_000
#: what a line asks for
URL: Final = "/v1/chat/completions"
#: codes of lines that were never run and are not charged
UNRUN: Final = ("expired", "cancelled")


@dataclass(frozen=True, slots=True)
class BatchLine:
    """One line of an output or error file."""

    custom_id: str
    #: as it would have come of an ordinary request; it took no seconds
    answer: Answer


def line(custom_id: str, body: Mapping[str, Any]) -> bytes:
    """One line of an input file; the body must not ask for a stream.

    Raises:
        ValueError: the body holds NaN or an infinite number.
    """
    return encode({"custom_id": custom_id, "method": "POST", "url": URL, "body": body}) + b"\n"


def split(sizes: Iterable[int], most_lines: int = MOST_LINES, most_bytes: int = 190_000_000) -> list[range]:
    """Which lines go into which file, by the lines' sizes in bytes, in their order; one that is above the limit goes alone."""
    parts, start, filled, end = [], 0, 0, 0
    for end, size in enumerate(sizes, 1):
        if end - 1 > start and (end - 1 - start >= most_lines or filled + size > most_bytes):
            parts.append(range(start, end - 1))
            start, filled = end - 1, 0
        filled += size
    return [*parts, range(start, end)] if end else parts


class Lines:
    """A file as it is being read, in as much memory as its longest line takes.

    Lines come in any order, and one may come twice. A line that is cut, is no JSON, names no custom id or is longer than what is
    read of a response is left out and counted. Raises ``RequestFailed`` where the file cannot be had or breaks off: what was given
    until then stands, and reading it again begins at the start.
    """

    def __init__(self, endpoint: Endpoint, file_id: str, *, sent: Callable[[str], bytes] | None = None) -> None:
        self._endpoint, self._sent = endpoint, sent
        self._path = f"/files/{quote(file_id, safe='')}/content"
        #: lines that were given
        self.read = 0
        #: lines that nobody can read
        self.skipped = 0

    async def __aiter__(self) -> AsyncIterator[BatchLine]:
        """From the start, each time."""
        self.read = self.skipped = 0
        async for each in self._endpoint.lines(self._path):
            if each is not None and not each.text.strip():
                continue
            made = None if each is None else self._line(each.text, repeated_key=each.repeated_key)
            if made is None:
                self.skipped += 1
                continue
            self.read += 1
            yield made

    def _line(self, text: bytes, *, repeated_key: bool) -> BatchLine | None:
        try:
            told = json.loads(text.decode("utf-8", "surrogateescape"))
        except (ValueError, RecursionError):
            return None
        name = told.get("custom_id") if isinstance(told, dict) else None
        if not isinstance(name, str) or not name:
            return None
        answer = self._answer(told, sent=None if self._sent is None else self._sent(name))
        return BatchLine(name, replace(answer, repeated_key=True) if repeated_key else answer)

    def _answer(self, told: Mapping[str, Any], *, sent: bytes | None) -> Answer:
        response, error = told.get("response"), told.get("error")
        status = response.get("status_code") if isinstance(response, dict) else None
        if isinstance(response, dict) and isinstance(status, int) and (status >= 300 or not error):
            body, name = response.get("body"), response.get("request_id")
            is_page = isinstance(body, str)
            # JSON in ASCII only, so that lone surrogates travel.
            text = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else json.dumps(body).encode()
            request_id = name if isinstance(name, str) else None
            return self._endpoint.answer_of(text, status=status, request_id=request_id, sent=sent, is_json=not is_page)
        failure = _failure(error) if error else _NOTHING
        failure = failure.model_copy(update={"message": self._endpoint.redact(failure.message)})
        return Answer(sent=sent or b"", started_at=time.time(), seconds=0.0, failure=failure)


_NOTHING = Failure(
    kind=FailureKind.TRANSIENT, message="the line holds neither a response nor an error", code="no_response"
)


def _failure(error: object) -> Failure:
    """What kept a line from a response; of no status, since none came."""
    words = words_in({"error": error})
    code = words.code or ""
    for name, part in zip(UNRUN, ("expired", "cancel"), strict=True):
        if part in code:
            return Failure(kind=FailureKind.TRANSIENT, message=words.message, code=name)
    return classify(500, words.code, message=words.message).model_copy(update={"status": None})
