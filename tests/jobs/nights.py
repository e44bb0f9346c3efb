"""What tests of runs through a batch endpoint ask: which batches there were, which way calls went, and what was paid."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from jobs.options import RunOptions
from jobs.views.runs import Run
from tests.house import Home

GOOD = {"sentiment": "good", "words": 2}
#: batches that are looked at without waiting
QUICK = "batch_poll = 0.02\n"


def rows(count: int, word: str = "row") -> list[str]:
    return [f"{word} {number}" for number in range(count)]


def overnight(**rest: Any) -> RunOptions:
    return RunOptions.model_validate({"batch": "first", **rest})


def found(home: Home, run: Run | int) -> list[dict[str, Any]]:
    """The batches of a run as they are in the books."""
    number = run if isinstance(run, int) else run.id
    return list(home.engine._house.read().query("SELECT * FROM batches WHERE run = ? ORDER BY id", [number]))


def by_way(home: Home, run: Run) -> Counter[bool]:
    """How many calls of a run went through a batch, and how many did not."""
    calls = home.engine._house.read().execute(
        "SELECT batch IS NOT NULL, count(*) FROM calls WHERE run = ? GROUP BY 1", [run.id]
    )
    return Counter({bool(batch): count for batch, count in calls})


def assert_paid(home: Home, run: Run) -> None:
    """What is booked is what the provider's own books say, and nothing is set aside any more."""
    assert run.cost == pytest.approx(home.stub.ledger.money, abs=1e-12) and run.cost
    assert run.reserved == pytest.approx(0.0, abs=1e-9)
