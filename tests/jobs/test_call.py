"""One call, made for real: what its outcome says of the request."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs.call import Called, Caller
from jobs.messages import Ask, Brief, RowAsk
from jobs.settings import load
from jobs.testing import StubProvider
from jobs.values import FailureKind
from tests.house import CONTENT

GOOD = {"sentiment": "good", "words": 1}


def call(home: Path, base_url: str, settings: Mapping[str, Any] | None = None) -> Called:
    (home / "connections.toml").write_text(f'[c]\nbase_url = "{base_url}"\n')
    brief = Brief(
        run=1,
        kind="run",
        content=CONTENT.model_copy(update={"settings": dict(settings or {})}),
        connection="c",
        base_url=base_url,
        model="m",
        timeout=5.0,
        in_flight=1,
    )
    ask = Ask(run=1, try_id="t", rows=(RowAsk(ordinal=7, cells={"text": "x"}),), max_tokens=10, dispatched_at=1.0)

    async def make() -> Called:
        caller = Caller(brief, load(home, home / "prompts", {}))
        try:
            return await caller.call(ask, "lane")
        finally:
            await caller.close()

    return asyncio.run(make())


def test_a_reply_comes_with_its_request_and_its_verdict(tmp_path: Path) -> None:
    """The outcome is of that try and that row, and says when the request went out."""
    with StubProvider(answer=GOOD) as stub:
        called = call(tmp_path, stub.base_url)

    assert called.outcome.sent and called.request is not None
    assert (called.outcome.try_id, called.outcome.ordinals, called.outcome.kind) == ("t", (7,), "replied")
    assert called.outcome.verdicts[0].verdict.value == GOOD


def test_a_request_that_cannot_be_written_was_not_sent(tmp_path: Path) -> None:
    """It blocks the run and costs nothing."""
    with StubProvider(answer=GOOD) as stub:
        called = call(tmp_path, stub.base_url, {"stop": {"a", "b"}})

    assert called.failure is not None and (called.failure.kind, called.failure.code) == (FailureKind.BLOCKED, "body")
    assert not called.outcome.sent and called.request is None
    assert stub.ledger.calls == 0


def test_a_request_that_nobody_took_was_sent(tmp_path: Path) -> None:
    """Whether a refused connection has cost anything is the provider's to say; that it was tried is counted."""
    called = call(tmp_path, "http://127.0.0.1:9/v1")

    assert called.failure is not None and called.failure.kind is FailureKind.TRANSIENT
    assert called.outcome.sent and called.request is not None
