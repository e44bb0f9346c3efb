"""Stop 4, one call: render the prompt for its rows, ask the endpoint, judge the reply.

A ``Caller`` is all that is needed of a run for that; it is opened once a run and decides nothing. A lane has one loop for the
calls of all runs, so what takes long (a template that loops, a reply of megabytes) is done in a thread of the run's own: it
delays its own run, and no other one.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from jobs import errors, ladder, llm, pairing, parcel
from jobs.confidence import Odds
from jobs.contract import Contract
from jobs.judge import judge
from jobs.messages import Ask, Brief, Outcome, RowVerdict
from jobs.prices import estimate_tokens
from jobs.settings import Connection, Settings, key_of, reload
from jobs.templates import parse
from jobs.values import Failure, FailureKind, Message, Reply, Usage, Verdict

logger = logging.getLogger(__name__)

#: connections of a run to its endpoint: as many as a run may have calls in flight, which the lane sees to
MOST_CONNECTIONS = 2_000
#: seconds that a rendering may take on the loop, and how many go straight to the thread after one that took longer
QUICK_SECONDS, SLOW_ROWS = 0.02, 64
#: bytes of a reply that is judged on the loop; 20 KB take 50 ms at worst
QUICK_BYTES = 20_000

#: asks an endpoint with a stream about a row of a run, so that people see the reply as it comes
Streamer = Callable[[llm.Endpoint, dict[str, object], int, int], Awaitable[llm.Answer]]


@dataclass(frozen=True, kw_only=True)
class Called:
    """What came of a call."""

    outcome: Outcome
    #: the reply byte for byte, or what there was of it
    raw: bytes | None
    #: zlib of the exact bytes that were sent; None where nothing was
    request: bytes | None
    #: what the provider says of its limits
    rates: llm.Rates
    usage: Usage | None
    failure: Failure | None


class _Judged(NamedTuple):
    """What is thought of a reply."""

    verdicts: tuple[RowVerdict, ...]
    #: of a reply about several rows, the bytes of each answer that stands in it: by ordinal
    lengths: Mapping[int, int]


class Caller:
    """Makes the calls of one run on one rung of its ladder; most runs have one."""

    def __init__(self, brief: Brief, settings: Settings, *, rung: int = 0) -> None:
        """Opens the endpoint; no request is made yet.

        Raises:
            UnusableConnection: this worker does not have the run's connection, its key, or the same address for it.
            ContractError, PromptError: the version cannot be held.
        """
        self.rung = brief.rungs[rung]
        connection = reload(settings).connection(self.rung.connection)
        if connection.base_url != self.rung.base_url:
            raise errors.UnusableConnection(
                f"connection {connection.name!r} is {connection.base_url} for this worker, "
                f"but the run was started for {self.rung.base_url}"
            )
        self.brief = brief
        #: what is doubted of its answers; nothing on the top rung
        self._doubts = brief.ladder if brief.ladder is not None and rung < len(brief.upper) else None
        self._wants_confidence = brief.confidence or (self._doubts is not None and self._doubts.confidence is not None)
        self._slow_rows = 0
        self._aside = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"run-{brief.run}")
        self._template = parse(brief.content.template)
        self._contract = Contract.from_schema(brief.content.contract)
        self._deciding = ladder.deciding(brief.content.contract)
        self._strict = self._contract.strict_schema()
        self._held_to_schema = brief.content.response_format == "json_schema"
        self._nulls_for_absent = self._held_to_schema and self._strict.usable
        self._endpoint = llm.Endpoint(
            connection.model_copy(update={"base_url": settings.address_of(connection)}),
            key_of(connection),
            timeout=brief.timeout,
            max_connections=MOST_CONNECTIONS,
        )

    @property
    def endpoint(self) -> llm.Endpoint:
        """What it asks."""
        return self._endpoint

    @property
    def connection(self) -> Connection:
        """Where the calls go, as this worker has it."""
        return self._endpoint.connection

    async def close(self) -> None:
        """Close the endpoint."""
        self._aside.shutdown(wait=False, cancel_futures=True)
        await self._endpoint.close()

    async def call(self, ask: Ask, lane: str, *, streamer: Streamer | None = None) -> Called:
        """Make one call; what came of it, judged.

        Raises:
            PromptError: the template cannot be rendered for this row.
        """
        in_pieces = len(ask.rows) > 1 and self._endpoint.connection.stream
        body = await self.body(ask, stream=in_pieces or streamer is not None)
        if streamer is not None:
            answer = await streamer(self._endpoint, body, ask.run, ask.rows[0].ordinal)
        elif in_pieces:
            answer = await self._endpoint.stream(body, on_delta=_to_nobody)
        else:
            answer = await self._endpoint.ask(body)
        if in_pieces:
            answer = _with_what_came(answer, parcel.ids(ask.try_id, len(ask.rows)))
        return await self.judged(ask, lane, answer)

    async def body(self, ask: Ask, *, stream: bool = False) -> dict[str, Any]:
        """The body of a call's request.

        Raises:
            PromptError: the template cannot be rendered for this row.
        """
        return llm.body(
            await self._messages(ask, parcel.ids(ask.try_id, len(ask.rows)) if len(ask.rows) > 1 else ()),
            model=self.rung.model,
            connection=self._endpoint.connection,
            max_tokens=ask.max_tokens,
            response_format=self.brief.content.response_format,
            schema=self._schema(len(ask.rows)) if self._held_to_schema else None,
            strict=self._strict.usable,
            settings=self.brief.content.settings,
            stream=stream,
            logprobs=self._wants_confidence,
        )

    async def judged(self, ask: Ask, lane: str, answer: llm.Answer) -> Called:
        """What came of a call, however its answer came."""
        reply = answer.reply
        if answer.repeated_key:
            about = {"action": "key_repeated", "run": ask.run, "row": ask.rows[0].ordinal, "try_id": ask.try_id}
            logger.warning("the endpoint repeated its key: [key] stands in its place in what is kept", extra=about)
        return Called(
            outcome=await self._outcome(ask, lane, answer),
            raw=reply.raw if reply is not None else answer.partial or None,
            request=zlib.compress(answer.sent, 1) if answer.sent else None,
            rates=answer.rates,
            usage=reply.usage if reply is not None else answer.usage,
            failure=answer.failure,
        )

    def _schema(self, rows: int) -> dict[str, Any]:
        return self._strict.schema if rows == 1 else parcel.schema_of(self._strict.schema)

    async def _messages(self, ask: Ask, names: Sequence[str]) -> list[Message]:
        if len(ask.rows) > 1:
            return parcel.packed([await self._rendered(row.cells) for row in ask.rows], names)
        (row,) = ask.rows
        messages = list(await self._rendered(row.cells))
        if row.complaint is not None:
            if row.complaint.answer is not None:
                messages.append(Message(role="assistant", content=row.complaint.answer))
            messages.append(Message(role="user", content=row.complaint.problems))
        return messages

    async def _rendered(self, cells: Mapping[str, str]) -> tuple[Message, ...]:
        if self._slow_rows == 0:
            try:
                return self._template.render(cells, seconds=QUICK_SECONDS)
            except errors.SlowPrompt:
                self._slow_rows = SLOW_ROWS
        self._slow_rows -= 1
        return await asyncio.get_running_loop().run_in_executor(self._aside, self._template.render, cells)

    async def _outcome(self, ask: Ask, lane: str, answer: llm.Answer) -> Outcome:
        reply, failure = answer.reply, answer.failure
        common: dict[str, Any] = {
            "run": ask.run,
            "try_id": ask.try_id,
            "lane": lane,
            "rung": ask.rung,
            "ordinals": tuple(row.ordinal for row in ask.rows),
            "sent_at": answer.started_at if answer.sent else 0.0,
            "seconds": answer.seconds,
            "queue_seconds": max(0.0, answer.started_at - ask.dispatched_at),
        }
        if reply is None:
            safe = failure and failure.model_copy(
                update={"message": _text(failure.message), "code": _text(failure.code)}
            )
            status = failure.status if failure else None
            return Outcome(kind="failed", failure=safe, status=status, usage=answer.usage, **common)
        judged = await self._verdicts(ask, reply)
        return Outcome(
            kind="replied",
            verdicts=judged.verdicts,
            singly=await self._singly(ask, reply, judged.lengths) if len(ask.rows) > 1 else None,
            status=reply.status,
            finish_reason=_text(reply.finish_reason),
            request_id=_text(reply.request_id),
            usage=reply.usage,
            model=_text(reply.model),
            **common,
        )

    async def _singly(self, ask: Ask, reply: Reply, lengths: Mapping[int, int]) -> Usage:
        """What calls about each row alone would have taken that the reply answers: its own tokens by the bytes of both."""
        prompts = {row.ordinal: await self._rendered(row.cells) for row in ask.rows}
        together = _bytes(parcel.packed(list(prompts.values()), parcel.ids(ask.try_id, len(prompts))))
        alone = sum(_bytes(prompts[ordinal]) for ordinal in lengths)
        return Usage(
            prompt=round(reply.usage.prompt * alone / max(1, together)),
            completion=round(reply.usage.completion * sum(lengths.values()) / max(1, len(reply.raw))),
            estimated=True,
        )

    async def _verdicts(self, ask: Ask, reply: Reply) -> _Judged:
        if len(reply.raw) <= QUICK_BYTES:
            return self._judged(ask, reply)
        return await asyncio.get_running_loop().run_in_executor(self._aside, self._judged, ask, reply)

    def _judged(self, ask: Ask, reply: Reply) -> _Judged:
        if len(ask.rows) > 1:
            placed, text = list(self._judged_several(ask, reply)), reply.text
            told = {one.ordinal: text[slice(*place)] for one, place in placed if one.own and place is not None}
            lengths = {ordinal: len(answer.encode("utf-8", "surrogatepass")) for ordinal, answer in told.items()}
            return _Judged(tuple(self._weighed(placed, reply)), lengths)
        (row,) = ask.rows
        verdict = judge(
            reply.text,
            self._contract,
            finish_reason=reply.finish_reason,
            refusal=reply.refusal,
            asked=row.asked,
            echo=tuple(row.cells.values()),
            nulls_for_absent=self._nulls_for_absent,
        )
        (judged,) = self._weighed([(RowVerdict(ordinal=row.ordinal, asked=row.asked, verdict=verdict), None)], reply)
        return _Judged((judged,), {})

    def _weighed(
        self, judged: Iterable[tuple[RowVerdict, tuple[int, int] | None]], reply: Reply
    ) -> Iterator[RowVerdict]:
        """Verdicts, each with the place of its answer, with how sure the model was and what is doubted of them on this rung."""
        odds = Odds(reply.text, reply.tokens) if self._wants_confidence else None
        for one, place in judged:
            value = one.verdict.value
            if value is None:
                yield one
                continue
            sure = None if odds is None else odds.least(paths=self._deciding, window=place, answer=value)
            why = ladder.doubt(self._doubts, value, sure, place=place) if self._doubts is not None else None
            verdict = one.verdict if why is None else ladder.doubted(one.verdict, why)
            if self.brief.upper and verdict.receipt is not None:
                receipt = verdict.receipt.model_copy(update={"model": self.rung.model})
                verdict = verdict.model_copy(update={"receipt": receipt})
            yield one.model_copy(update={"verdict": verdict, "confidence": sure[1] if sure else None})

    def _judged_several(self, ask: Ask, reply: Reply) -> Iterator[tuple[RowVerdict, tuple[int, int] | None]]:
        text, names = reply.text, parcel.ids(ask.try_id, len(ask.rows))
        found = parcel.unpacked(text, names)
        judged = {
            name: judge(
                text[entry.value_start : entry.value_end], self._contract, nulls_for_absent=self._nulls_for_absent
            )
            for name, entry in found.entries.items()
        }
        rows = dict(zip(names, ask.rows, strict=True))
        strays = pairing.strays(
            {name: _said(text, found.entries[name], one) for name, one in judged.items()},
            {name: row.cells for name, row in rows.items()},
            self.brief.echo,
        )
        for name, row in rows.items():
            entry, own = found.entries.get(name), False
            if entry is None:
                verdict = parcel.unanswered(text, name, found, finish_reason=reply.finish_reason, refusal=reply.refusal)
            elif name in strays:
                verdict = pairing.taken_back(entry, strays[name])
            else:
                verdict, own = parcel.placed(judged[name], entry, is_whole=found.is_whole), True
            place = None if entry is None else (entry.value_start, entry.value_end)
            yield RowVerdict(ordinal=row.ordinal, asked=row.asked, verdict=verdict, own=own), place


def _said(text: str, entry: parcel.Entry, verdict: Verdict) -> Mapping[str, Any]:
    """What an answer says, broken or not: an answer of another row is no strike of this one either."""
    return verdict.value if verdict.value is not None else pairing.said(text[entry.value_start : entry.value_end])


def _with_what_came(answer: llm.Answer, names: Sequence[str]) -> llm.Answer:
    """A stream about several rows that broke off is a reply where it had brought whole answers; they are paid for."""
    failure = answer.failure
    if failure is None or failure.kind is not FailureKind.TRANSIENT or not answer.partial:
        return answer
    if not parcel.unpacked(answer.partial.decode("utf-8", "surrogatepass"), names).entries:
        return answer
    usage = Usage(prompt=estimate_tokens(answer.sent), completion=estimate_tokens(answer.partial), estimated=True)
    reply = Reply(
        raw=answer.partial,
        finish_reason=parcel.BROKEN,
        usage=usage,
        seconds=answer.seconds,
        tokens=answer.tokens,
    )
    return replace(answer, reply=reply, failure=None, partial=b"", tokens=())


def _bytes(messages: Iterable[Message]) -> int:
    return sum(len(message.content.encode("utf-8", "surrogatepass")) for message in messages)


def _to_nobody(_: str) -> None:
    pass


def _text(said: str | None) -> str | None:
    """An endpoint's words as UTF-8 can carry them, and no longer than anybody reads."""
    return None if said is None else said[:2_000].encode("utf-8", "replace").decode("utf-8")
