"""The batch endpoint: requests by the thousand, answered within a day for half the price, and never submitted twice.

A batch is known by a token of ours, which its metadata and its input file's name carry. ``submit`` looks for both before it does
anything, so that a batch whose creation was not noted (a crash, a lost answer) is found and not paid for again. Where a server
cannot be asked which batches it has, a second try is refused and left to a person.

Every function here raises ``RequestFailed``, whose ``failure`` is sorted as that of any request, when the endpoint did not do
what it was asked; of kind LOST with the code ``unknown`` when nobody can tell whether a batch is there.

What an operator should know of providers (late 2026):

    OpenAI      50,000 lines and 200 MB a file, one model a file, half the price. A quota of tokens waiting of its own for each model:
                what is above it becomes ``failed`` with ``token_limit_exceeded``, and nothing of it was run. Input files go after 30 days.
    Azure       a deployment of type batch, whose name is the model; the file must be taken in first (``submit`` says to come back);
                it does not expire what takes longer than a day.
    Groq, vLLM behind a router, LiteLLM, other gateways
                the same form, not always the discount, other limits of lines: see theirs, and set the price of the connection.
    Anthropic's OpenAI-compatible endpoint, vLLM, llama.cpp, Ollama
                none: 404 (or 501) at the first call, BLOCKED.

An expired or cancelled batch has answered a part of its lines, and that part is charged: read both files of any batch that is over.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import quote

from jobs.batches import OVER
from jobs.llm.batch_files import MOST_LINES, UNRUN, URL, BatchLine, Lines, line, split
from jobs.llm.endpoint import Endpoint
from jobs.llm.exchange import Fetched, RequestFailed
from jobs.llm.failures import words_in
from jobs.values import UNSENT, Failure, FailureKind, Value

__all__ = [
    "MOST_LINES",
    "UNRUN",
    "BatchLine",
    "Lines",
    "Overtaken",
    "RemoteBatch",
    "RequestFailed",
    "best",
    "cancel",
    "clear",
    "find",
    "line",
    "lines",
    "look",
    "split",
    "submit",
]

logger = logging.getLogger(__name__)

#: bytes of one file that OpenAI takes; ``split`` stays below them
MOST_BYTES: Final = 200_000_000
#: seconds that an uploaded file of no known batch must be old: a creation that was cut off may still be under way
SETTLE: Final = 5.0
_TOKEN = re.compile(r"[A-Za-z0-9_-]{8,64}")
_PAGES, _BATCHES_A_PAGE, _FILES_A_PAGE = 10, 100, 1_000
#: seconds by which a provider's own times may be out of order
_SLACK = 600
#: seconds to wait before a batch that may be there is looked for
_UNKNOWN_WAIT, _PENDING_WAIT = 60.0, 10.0
_UNLISTED = (404, 405, 501)


class RemoteBatch(Value):
    """A batch as its provider tells of it."""

    id: str
    #: the provider's word: ``validating``, ``in_progress``, ``finalizing``, ``cancelling``, or one of ``OVER``
    status: str
    input_file: str | None = None
    output_file: str | None = None
    error_file: str | None = None
    #: lines; 0 of all while it is being validated
    total: int = 0
    completed: int = 0
    failed: int = 0
    #: epoch seconds
    created_at: float = 0.0
    expires_at: float | None = None
    #: of the first error, such as ``token_limit_exceeded``
    code: str | None = None
    #: the provider's errors in words; empty where there are none
    words: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.status in OVER


class Overtaken(Exception):
    """The batch is another's to make by now, and nothing of this try goes on."""


async def submit(
    endpoint: Endpoint,
    token: str,
    lines: Iterable[bytes] | Path,
    *,
    count: int,
    first: bool = False,
    settle: float = SETTLE,
    still: Callable[[], Awaitable[bool]] | None = None,
) -> RemoteBatch:
    """The batch of this token: the one that is there, else one made of these lines.

    Two must not run at once for one token. A batch that was found may have failed; another try takes another token.

    Args:
        endpoint: where to.
        token: 8 to 64 letters, digits, ``-`` and ``_``; nobody else's.
        lines: the input file's lines, each with its end, taken once and only if they are needed; or a file that holds them.
        count: how many they are.
        first: nobody has tried this token before, so that a server which can list nothing may be trusted once.
        settle: seconds, see ``SETTLE``.
        still: whether it is still ours to make; asked right before it is made, and once more when it is.

    Raises:
        RequestFailed: see above; ``retry_after`` says when to come back where that is known.
        Overtaken: it is another's to make; what was made here all the same is cancelled.
        ValueError: the token is none, or the lines are not as many as told or too big for a file.
    """
    if not _TOKEN.fullmatch(token):
        raise ValueError(f"{token!r} is no token of a batch")
    files = await _files(endpoint, token)
    known = await _batches(endpoint, token, files)
    if known.found:
        return best(known.found)
    _hold_if_unknown(token, files, known, first=first)
    if files:
        now = time.time()
        youngest = max(_number(each.get("created_at")) or now for each in files)
        await asyncio.sleep(min(settle, max(0.0, settle - (now - youngest))))
        if (known := await _batches(endpoint, token, files)).found:
            return best(known.found)
    file, size = await _spool(lines, count=count)
    with file:
        kept = next((each for each in files or () if each.get("bytes") in (size, None)), None)
        if kept is None:
            fields = {"purpose": "batch"}
            kept = _object(await endpoint.upload("/files", fields, file=file, name=_name(token), size=size))
    ready = _ready(kept)
    if still is not None and not await still():
        raise Overtaken
    made = await _create(endpoint, token, ready)
    is_ours = still is None or await still()
    if not (first and is_ours):
        await _end_doubles(endpoint, token, made, is_ours=is_ours)
    return made


async def find(endpoint: Endpoint, token: str) -> list[RemoteBatch]:
    """All batches of this token among the newest thousand of the endpoint's, oldest first.

    Raises:
        RequestFailed: the endpoint does not list its batches, or not now, or newer ones may hide it.
    """
    files = await _files(endpoint, token)
    known = await _batches(endpoint, token, files)
    if known.refused is not None:
        raise RequestFailed(known.refused)
    if not known.found:
        _hold_if_unknown(token, files, known, first=False)
    return known.found


async def look(endpoint: Endpoint, batch_id: str) -> RemoteBatch:
    """How a batch stands.

    Raises:
        RequestFailed: it cannot be told.
    """
    return _remote(_object(await endpoint.fetch("GET", f"/batches/{quote(batch_id, safe='')}")))


async def cancel(endpoint: Endpoint, batch_id: str) -> RemoteBatch:
    """Asks for an end: what is answered by then stays and is charged. Safe to say twice, and of a batch that is over.

    Raises:
        RequestFailed: it was refused or is not known to have come through.
    """
    fetched = await endpoint.fetch("POST", f"/batches/{quote(batch_id, safe='')}/cancel")
    if fetched.status in (400, 409):
        remote = await look(endpoint, batch_id)
        if remote.is_over or remote.status == "cancelling":
            return remote
    return _remote(_object(fetched))


def lines(endpoint: Endpoint, file_id: str, *, sent: Callable[[str], bytes] | None = None) -> Lines:
    """The lines of an output or error file; ``sent`` gives the body that was asked under a custom id, of any that may come."""
    return Lines(endpoint, file_id, sent=sent)


async def clear(endpoint: Endpoint, token: str, files: Iterable[str] = ()) -> None:
    """Deletes what a batch has left at the provider: these files, and all that were uploaded for it.

    Only once nobody needs it any more: a batch is found by its input file, and its answers stand in the others.

    Raises:
        RequestFailed: the provider does not let go of one of them, or not now; all were tried.
    """
    uploaded = [str(each["id"]) for each in await _files(endpoint, token) or ()]
    failed: Failure | None = None
    for name in dict.fromkeys([*files, *uploaded]):
        fetched = await endpoint.fetch("DELETE", f"/files/{quote(name, safe='')}")
        if fetched.failure is not None and fetched.status not in (404, 410):
            failed = fetched.failure
    if failed is not None:
        raise RequestFailed(failed)


# -- what is there already ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Known:
    """The batches of a token that a list names."""

    found: list[RemoteBatch]
    #: whether the list was seen as far back as the token's file goes
    is_whole: bool = True
    #: why there is no list
    refused: Failure | None = None


async def _files(endpoint: Endpoint, token: str) -> list[Mapping[str, Any]] | None:
    """The uploaded files of this token, newest first; None where the endpoint does not list files."""
    found: list[Mapping[str, Any]] = []
    async for page in _pages(endpoint, f"/files?purpose=batch&order=desc&limit={_FILES_A_PAGE}"):
        if page.failure is not None:
            return None
        found += [each for each in page.rows if token in str(each.get("filename")) and _is_input(each)]
    return found


async def _batches(endpoint: Endpoint, token: str, files: list[Mapping[str, Any]] | None) -> _Known:
    """The batches of this token, looked for as far back as its oldest file."""
    names = {each.get("id") for each in files or ()}
    since = min((_number(each.get("created_at")) for each in files or ()), default=0.0)
    found: list[RemoteBatch] = []
    times: list[float] = []
    async for page in _pages(endpoint, f"/batches?limit={_BATCHES_A_PAGE}"):
        if page.failure is not None:
            return _Known([], refused=page.failure)
        for each in page.rows:
            metadata = each.get("metadata")
            ours = isinstance(metadata, dict) and metadata.get("redrive") == token
            if ours or each.get("input_file_id") in names:
                found.append(_remote(each))
        times += [at for each in page.rows if (at := _number(each.get("created_at")))]
        # Only of a list that is seen to go back in time does an old batch say that the rest is older.
        goes_back = bool(times) and times[0] > times[-1] and times == sorted(times, reverse=True)
        if page.is_last or (goes_back and times[-1] < since - _SLACK):
            return _Known(sorted(found, key=lambda remote: remote.created_at))
    return _Known(sorted(found, key=lambda remote: remote.created_at), is_whole=False)


def _is_input(file: Mapping[str, Any]) -> bool:
    return bool(file.get("id")) and file.get("purpose") in ("batch", None)


def _hold_if_unknown(token: str, files: list[Mapping[str, Any]] | None, known: _Known, *, first: bool) -> None:
    """Refuses to go on where a batch may be there that nobody can see."""
    if files == [] or (known.refused is None and (known.is_whole or files is None)) or (first and files is None):
        return
    if known.refused is not None and files is None:
        message = f"the endpoint lists neither files nor batches, it seems to have none: {known.refused.message}"
        raise RequestFailed(known.refused.model_copy(update={"message": message, "code": "no_batches"}))
    why = (
        "the endpoint does not list its batches"
        if known.refused
        else f"{_PAGES * _BATCHES_A_PAGE:,} newer ones hide it"
    )
    message = (
        f"a batch of the file {_name(token)} may be there already, and {why}: look for it in the provider's own console, "
        "cancel it there, and then resume the run; what is left there is paid for twice"
    )
    raise RequestFailed(Failure(kind=FailureKind.LOST, message=message, code="unknown"))


def best(found: list[RemoteBatch]) -> RemoteBatch:
    """Of several batches of one token the one to go on with: the oldest that does, or did, something and was not cancelled."""
    worse = ((), ("cancelling", "cancelled"), ("failed",))
    return min(found, key=lambda remote: next((rank for rank, words in enumerate(worse) if remote.status in words), 0))


# -- making one --------------------------------------------------------------------------------------------------------


async def _create(endpoint: Endpoint, token: str, file: str) -> RemoteBatch:
    told = {"input_file_id": file, "endpoint": URL, "completion_window": "24h", "metadata": {"redrive": token}}
    fetched = await endpoint.fetch("POST", "/batches", told)
    failure = fetched.failure
    if failure is not None and (fetched.status is not None or failure.code in UNSENT):
        raise RequestFailed(failure)
    try:
        return _remote(_object(fetched))
    except RequestFailed as error:
        message = f"the batch may be submitted, its answer was lost ({error.message}); the next try looks for it first"
        unknown = Failure(kind=FailureKind.LOST, message=message, code="unknown", retry_after=_UNKNOWN_WAIT)
        raise RequestFailed(unknown) from None


async def _end_doubles(endpoint: Endpoint, token: str, made: RemoteBatch, *, is_ours: bool) -> None:
    """Leaves one of several batches of a token: that of whoever it is to make.

    A process may be stopped between its last look and its request, and another makes the batch meanwhile. Both look here once
    they have made theirs, so that whichever request came last, somebody sees both.
    """
    try:
        others = [one for one in await find(endpoint, token) if one.id != made.id and one.status != "failed"]
        for each in others if is_ours else [made] if others else []:
            if not each.is_over and each.status != "cancelling":
                logger.error(
                    "batch %s was made twice: %s is cancelled", token, each.id, extra={"action": "batch_doubled"}
                )
                await cancel(endpoint, each.id)
    except RequestFailed as error:
        logger.warning(
            "batch %s: whether there are two is not known: %s", token, error, extra={"action": "batch_alone"}
        )
        return
    if others and not is_ours:
        raise Overtaken


def _ready(file: Mapping[str, Any]) -> str:
    """The id of a file that a batch can be made of."""
    name, status = file.get("id"), str(file.get("status", "")).lower()
    if status in ("pending", "running"):
        message = "the provider is still taking in the batch's file"
        wait = _PENDING_WAIT
        raise RequestFailed(Failure(kind=FailureKind.TRANSIENT, message=message, code="file_pending", retry_after=wait))
    if not isinstance(name, str) or status == "error":
        message = f"the provider cannot use the batch's file: {file.get('status_details') or status or 'it has no id'}"
        raise RequestFailed(Failure(kind=FailureKind.BLOCKED, message=message, code="file"))
    return name


async def _spool(lines: Iterable[bytes] | Path, *, count: int) -> tuple[BinaryIO, int]:
    """The lines as an open file, with its size in bytes; other work goes on while they are made."""
    file: BinaryIO = lines.open("rb") if isinstance(lines, Path) else tempfile.TemporaryFile()  # noqa: SIM115
    try:
        found, size = 0, 0
        for number, each in enumerate(file if isinstance(lines, Path) else lines, 1):
            if not isinstance(lines, Path):
                file.write(each)
            found, size = number, size + len(each)
            if number % 256 == 0:
                await asyncio.sleep(0)
        if found != count or not 1 <= found <= MOST_LINES or size > MOST_BYTES:
            raise ValueError(f"{found:,} lines of {size:,} bytes are no batch of {count:,} lines")
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file, size


# -- reading what is told ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Page:
    """A page of a list."""

    rows: list[dict[str, Any]]
    is_last: bool = True
    #: why the endpoint has no such list
    failure: Failure | None = None


async def _pages(endpoint: Endpoint, path: str) -> AsyncIterator[_Page]:
    """The pages of a list, newest first, as many as are looked at; one with a failure where there is no such list."""
    after, seen = "", set()
    for _ in range(_PAGES):
        fetched = await endpoint.fetch("GET", path + (f"&after={quote(after, safe='')}" if after else ""))
        if fetched.status in _UNLISTED:
            yield _Page([], failure=_refusal(fetched))
            return
        told = _object(fetched)
        rows = told.get("data")
        if not isinstance(rows, list):
            raise RequestFailed(fetched.trouble)
        rows = [each for each in rows if isinstance(each, dict)]
        is_last = not told.get("has_more") or not rows
        yield _Page(rows, is_last=is_last)
        after = str(rows[-1].get("id")) if rows else ""
        if is_last or after in seen:
            return
        seen.add(after)


def _object(fetched: Fetched) -> dict[str, Any]:
    """The object in a good response."""
    if fetched.failure is not None:
        raise RequestFailed(_refusal(fetched))
    try:
        told = json.loads(fetched.body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise RequestFailed(fetched.trouble)
    return told


def _refusal(fetched: Fetched) -> Failure:
    """What is wrong; a server that says it has no such thing (501) will not have it at the next try either."""
    failure = fetched.trouble
    return failure.model_copy(update={"kind": FailureKind.BLOCKED}) if fetched.status == 501 else failure


def _remote(told: Mapping[str, Any]) -> RemoteBatch:
    """A batch as it is told, whatever is left out."""
    name, status = told.get("id"), told.get("status")
    if not isinstance(name, str) or not isinstance(status, str):
        message = "the endpoint answered something that is no batch (check the base_url)"
        raise RequestFailed(Failure(kind=FailureKind.TRANSIENT, message=message, code="unreadable"))
    counts = told.get("request_counts")
    counts = counts if isinstance(counts, dict) else {}
    code, words = _errors(told.get("errors"))
    return RemoteBatch(
        id=name,
        status=status.lower(),
        input_file=_text(told.get("input_file_id")),
        output_file=_text(told.get("output_file_id")),
        error_file=_text(told.get("error_file_id")),
        total=int(_number(counts.get("total"))),
        completed=int(_number(counts.get("completed"))),
        failed=int(_number(counts.get("failed"))),
        created_at=_number(told.get("created_at")),
        expires_at=_number(told.get("expires_at")) or None,
        code=code,
        words=words,
    )


def _errors(told: object) -> tuple[str | None, str]:
    """The first code, and all errors in words."""
    rows = told.get("data") if isinstance(told, dict) else told
    said, first = [], None
    for each in (rows if isinstance(rows, list) else [])[:20]:
        words = words_in(each)
        first = first or words.code
        at = each.get("line") if isinstance(each, dict) else None
        said.append(f"{words.message} (line {at})" if at is not None else words.message)
    return first, "; ".join(dict.fromkeys(said))[:1000]


def _name(token: str) -> str:
    return f"redrive-{token}.jsonl"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < 1e15 else 0.0  # type: ignore[operator, arg-type]
