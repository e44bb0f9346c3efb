"""What an endpoint honours, found out from its answers: against the stub in several disguises."""

from __future__ import annotations

import asyncio
import json

import pytest

from jobs.llm import Endpoint
from jobs.probe import Finding, probe
from jobs.settings import Connection
from jobs.testing import StubProvider
from jobs.testing.script import Act, Ask

SENTENCE = "Hello there, how nice to see you."


def found(stub: StubProvider, *, timeout: float = 5.0) -> dict[str, Finding]:
    """The findings by their feature."""

    async def ask() -> list[Finding]:
        async with Endpoint(Connection(name="c", base_url=stub.base_url), "a-key-1234", timeout=timeout) as endpoint:
            return await probe(endpoint, "m")

    return {one.feature: one for one in asyncio.run(ask())}


def deaf(ask: Ask) -> Act:
    """Takes every field and heeds none."""
    return Act(content="The sea is wide and deep, " * 4 if "long sentence" in ask.user else SENTENCE)


def obedient(ask: Ask) -> Act:
    """Heeds what it is told."""
    if ask.body.get("max_tokens") == 4:
        return Act(content="The sea is", finish_reason="length")
    match (ask.body.get("response_format") or {}).get("type"):
        case "json_object":
            return Act(content='{"hello": "there"}')
        case "json_schema":
            return Act(content='{"colour": "probe_only"}')
    return Act(content=SENTENCE)


def test_an_endpoint_that_takes_all_and_heeds_nothing() -> None:
    """Each field that is silently left out of account is found out."""
    with StubProvider(deaf) as stub:
        stub.batches.lists_batches = False
        told = found(stub)

    assert {name: told[name].answer for name in ("max_tokens", "json_object", "json_schema", "logprobs")} == {
        "max_tokens": "no",
        "json_object": "no",
        "json_schema": "no",
        "logprobs": "no",
    }
    assert told["rate_headers"].answer == "no" and told["batch"].answer == "no"


def test_probabilities_that_are_not_those_of_the_reply_are_none() -> None:
    """What a run cannot use is not found to be there: there every row would climb."""

    def other(ask: Ask) -> Act:
        told = {"content": [{"token": "some", "logprob": -0.1}, {"token": " other", "logprob": -0.1}]}
        message = {"role": "assistant", "content": SENTENCE}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": told}
        return Act(body=json.dumps({"id": "x", "object": "chat.completion", "choices": [choice]}).encode())

    with StubProvider(other) as stub:
        told = found(stub)["logprobs"]
    assert told.answer == "no" and "not those of the reply" in told.words


def test_an_endpoint_that_heeds_what_it_is_told() -> None:
    """With its limits in its headers, and usage also at the end of a stream."""
    with StubProvider(obedient, rpm=6_000, tells=True) as stub:
        told = found(stub)

    wanted = (
        "reply",
        "usage",
        "max_tokens",
        "json_object",
        "json_schema",
        "stream",
        "stream_usage",
        "rate_headers",
        "batch",
    )
    assert {name: told[name].answer for name in wanted} == dict.fromkeys(wanted, "yes")
    assert "6,000 requests" in told["rate_headers"].words
    # that the same answer came twice may be chance
    assert told["seed"].answer == "unclear"


@pytest.mark.parametrize("field", ["response_format", "logprobs", "seed", "stream_options"])
def test_a_field_that_is_refused_is_told_from_one_that_is_not_heeded(field: str) -> None:
    """With the endpoint's own words."""

    def picky(ask: Ask) -> Act:
        words = json.dumps({"error": {"message": f"unknown field {field}"}}).encode()
        return Act(status=400, body=words) if field in ask.body else obedient(ask)

    with StubProvider(picky) as stub:
        told = found(stub)
    refused = {name for name, one in told.items() if one.answer == "refused"}
    wanted = {
        "response_format": {"json_object", "json_schema"},
        "logprobs": {"logprobs"},
        "seed": {"seed"},
        "stream_options": {"stream", "stream_usage"},
    }
    assert refused == wanted[field]
    assert all(f"unknown field {field}" in told[name].words for name in refused)


def test_an_endpoint_that_does_not_reply_is_asked_no_more() -> None:
    """One call, and its words; the key is in none of them."""
    with StubProvider(keys=["another-key-9"]) as stub:
        told = found(stub)
        calls = len(stub.ledger.entries)

    assert list(told) == ["reply"] and told["reply"].answer == "refused" and calls == 1
    assert "401" in told["reply"].words and "a-key-1234" not in told["reply"].words


def test_nothing_there_is_said_so() -> None:
    """No endpoint at that address."""
    with StubProvider() as stub:
        address = stub.base_url

    async def ask() -> list[Finding]:
        async with Endpoint(Connection(name="c", base_url=address), None, timeout=2.0) as endpoint:
            return await probe(endpoint, "m")

    (one,) = asyncio.run(ask())
    assert (one.feature, one.answer) == ("reply", "no") and one.words


def test_a_probe_is_small() -> None:
    """At most a dozen calls of a few dozen tokens."""
    with StubProvider(obedient) as stub:
        found(stub)
        entries = stub.ledger.entries

    assert len(entries) <= 12 and sum(entry.completion for entry in entries) < 600
    assert json.dumps([entry.user for entry in entries]).count("JSON") >= 2
