"""Where money went and what was saved, in words: unknown is never 0, and an estimate never passes for exact."""

from __future__ import annotations

import json

import pytest

from jobs.views.costs import OPEN, SAVED, WENT, Way, Ways
from workbench import ways


def way(name: str, money: float = 1.5, n: int = 3, unknown: int = 0) -> Way:
    return Way(name=name, money=money, n=n, unknown=unknown)


def test_every_way_has_words() -> None:
    """What it is called, what is in it and, of a saving, by which formula and how sure that is."""
    assert set(ways.WORDS) == {*WENT, OPEN, *SAVED}
    assert all(
        ways.WORDS[name].help.startswith("estimated" if ways.WORDS[name].estimated else "exact") for name in SAVED
    )


@pytest.mark.parametrize(
    ("one", "money", "many"),
    [
        (way("first"), "$1.50", "3 calls"),
        (way("failed", 0.0, 1), "$0", "1 call"),
        (way("first", unknown=1), "≥ $1.50", "3 calls, 1 unknown"),
        (way("first", 0.0, unknown=3), "unknown", "3 calls, 3 unknown"),
        (way(OPEN), "≤ $1.50", "3 calls"),
        (way("reuse"), "$1.50", "3 rows"),
        (way("rows"), "≈ $1.50", "3 calls"),
        (way("rows", -0.25), "≈ -$0.250", "3 calls"),
        (way("ladder", unknown=1), "≈ $1.50", "3 calls, 1 unknown"),
        (way("ladder", 0.0, unknown=3), "unknown", "3 calls, 3 unknown"),
    ],
)
def test_a_sum_says_how_sure_it_is(one: Way, money: str, many: str) -> None:
    """Exact, estimated, a bound, or unknown; and of how many."""
    assert (ways.money(one), ways.many(one)) == (money, many)


def test_a_total_is_as_sure_as_its_least_sure_part() -> None:
    """Of nothing it is $0."""
    assert ways.total([]) == "$0"
    assert ways.total([way("reuse"), way("cache")]) == "$3.00"
    assert ways.total([way("reuse"), way("cache", 0.0, unknown=3)]) == "≥ $1.50"
    assert ways.total([way("reuse"), way("ladder")]) == "≈ $3.00"
    assert ways.total([way("cache", 0.0, unknown=3)]) == "unknown"


FOUND = Ways(
    went=(way("first", 2.0, 4), way("rejected", 0.0, 1, 1)),
    saved=(way("reuse"), way("ladder", -0.5, 2)),
    open=way(OPEN, 0.2, 1),
)


def test_the_object_holds_every_way() -> None:
    """With null where nobody knows, so that a script needs no special case."""
    told = json.loads(json.dumps(ways.objects(FOUND)))

    assert list(told["spent"]) == [*WENT, "set_aside"] and list(told["saved"]) == list(SAVED)
    assert told["spent"]["first"] == {"usd": 2.0, "calls": 4, "unknown": 0}
    assert told["spent"]["rejected"] == {"usd": None, "calls": 1, "unknown": 1}
    assert told["spent"]["again"] == {"usd": 0.0, "calls": 0, "unknown": 0}
    assert told["spent"]["set_aside"] == {"usd": 0.2, "calls": 1, "unknown": 0}
    assert told["saved"]["reuse"] == {"usd": 1.5, "rows": 3, "unknown": 0, "estimated": False}
    assert told["saved"]["ladder"] == {"usd": -0.5, "calls": 2, "unknown": 0, "estimated": True}


def test_the_lines_are_aligned_and_leave_out_what_is_not_there() -> None:
    """Each sum under the other."""
    lines = list(ways.lines(FOUND))

    assert lines[0] == "  where the money went: ≥ $2.00" and lines[4] == "  what was saved: ≈ $1.00"
    assert [line[29:41].strip() for line in (*lines[1:4], *lines[5:])] == [
        "$2.00",
        "unknown",
        "≤ $0.200",
        "$1.50",
        "≈ -$0.500",
    ]
    assert list(ways.lines(Ways(went=(), saved=()))) == []
