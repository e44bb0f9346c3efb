"""What a person is told of an endpoint: asked on purpose, kept, and held against a run that relies on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from jobs.api.room import House
from jobs.llm import Endpoint
from jobs.options import RunOptions
from jobs.probe import Finding, probe
from jobs.settings import Connection, key_of
from jobs.store import probes
from jobs.values import VersionContent

#: seconds for one of the questions
PATIENCE = 60.0


def ask(house: House, connection: Connection, model: str) -> list[Finding]:
    """Ask an endpoint what it honours, by about a dozen calls of a few tokens, which are paid for; kept in the home.

    Raises:
        UnusableConnection: its address is none, or its key is not there.
    """

    async def asked() -> list[Finding]:
        reached = connection.model_copy(update={"base_url": house.settings.address_of(connection)})
        async with Endpoint(reached, key_of(connection), timeout=PATIENCE) as endpoint:
            return await probe(endpoint, model)

    found = asyncio.run(asked())
    with house.write() as db:
        probes.put(db, base_url=connection.base_url, model=model, at=time.time(), findings=found)
    return found


def warnings(
    house: House, connection: Connection, model: str, content: VersionContent, options: RunOptions, *, top: bool = True
) -> list[str]:
    """What a run relies on and the endpoint was found not to do; empty where nobody has looked. On ``top`` nothing is doubted."""
    seen = probes.latest(house.read(), base_url=connection.base_url, model=model)
    if seen is None:
        return []
    lacking = {finding.feature for finding in seen[1] if finding.answer in ("no", "refused")}
    who = f"{model} at {connection.name}"
    found = list(_relied_on(lacking, who, content, options))
    sure = options.ladder.confidence is not None if options.ladder else False
    if sure and not top and "logprobs" in lacking:
        found.append(
            f"{who} does not tell log-probabilities, as was found out: nobody knows how sure it is, so every row would climb; "
            "leave the least confidence out"
        )
    return found


def _relied_on(lacking: set[str], who: str, content: VersionContent, options: RunOptions) -> Iterator[str]:
    if content.response_format in lacking:
        yield f"{who} does not heed response_format {content.response_format}, as was found out: the prompt must say the form"
    if "max_tokens" in lacking and options.budget is not None:
        yield f"{who} does not keep to max_tokens, as was found out: a budget holds only as far as replies are as long as the last"
    if "usage" in lacking and options.budget is not None:
        yield f"{who} does not say its tokens, as was found out: the budget goes by an estimate"
    if {"stream", "stream_usage"} <= lacking and options.rows_per_call > 1:
        yield f"{who} does not stream, as was found out: say stream = false for it in connections.toml"
    if "batch" in lacking and options.batch != "no":
        yield f"{who} has no batch endpoint, as was found out: the run would pause at once; make ordinary calls"
    if "seed" in content.settings and "seed" in lacking:
        yield f"{who} does not heed seed, as was found out: the same question gets different answers"
