"""Where money went and what was saved, in words: the same for screens and for the command line.

A sum of which a part is unknown is said to be so; an estimate has its sign; what nobody knows is never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from jobs.views.costs import OPEN, SAVED, WENT, Way, Ways
from workbench import wording


class Words(NamedTuple):
    """A way as a person reads it."""

    name: str
    #: what is in it, and by which formula
    help: str
    estimated: bool = False


WORDS: dict[str, Words] = {
    "first": Words("First answers", "calls that brought a value at the first question about their rows"),
    "again": Words("Re-asks", "calls that brought a value after a strike: the second question about their row, or a later one"),
    "rejected": Words(
        "Rejected replies", "replies that brought no value: they broke the contract, or answered none of their rows"
    ),
    "doubted": Words(
        "Doubted replies",
        "valid replies of a lower rung that were not left at that: their rows climbed, and the next rung was paid as well",
    ),
    "failed": Words(
        "Failed calls", "calls without a reply to judge (throttles, errors, timeouts): what the provider charged for them"
    ),
    "superseded": Words("Superseded replies", "replies that came when another call had decided their rows already"),
    OPEN: Words(
        "Set aside",
        "calls of unknown end: nobody knows whether they are charged. The most that they may cost; it is not in the spend",
    ),
    "reuse": Words(
        "Reused answers",
        "exact: rows that got the answer of an equal row without a call, each by its share of what that call had cost",
    ),
    "cache": Words(
        "Prompt caching",
        "exact: by the provider: cached tokens x (input price - cached price); a price that names no rate for cached tokens saves nothing",
    ),
    "batch": Words("Batch endpoint", "exact: the same tokens at the full price, less what was charged"),
    "rows": Words(
        "Several rows a call",
        "estimated: what as many single calls would have cost at the same price, by the bytes of their prompts and answers, less what "
        "these calls cost. Below 0 where they cost more than they replaced",
        True,
    ),
    "ladder": Words(
        "Ladder of models",
        "estimated: of calls below the top rung, their tokens at its price for the rows that got a value, less what the calls cost; "
        "where all rows climbed the call is a loss. What the dear model would really have used is unknown",
        True,
    ),
}  # fmt: skip


def money(way: Way) -> str:
    """Its money: exact, the most that it may be, estimated, a lower bound where a part of an exact sum is unknown, or unknown."""
    if way.unknown and way.unknown == way.n:
        return wording.UNKNOWN
    if way.name == OPEN:
        return f"≤ {wording.money(way.money)}"
    if WORDS[way.name].estimated:
        return f"≈ {wording.money(way.money)}"
    return f"≥ {wording.money(way.money)}" if way.unknown else wording.money(way.money)


def many(way: Way) -> str:
    """How many calls, or rows, it is of, and of how many of these the money is unknown."""
    told = wording.count(way.n, "row" if way.name == "reuse" else "call")
    return f"{told}, {way.unknown:,} unknown" if way.unknown else told


def together(ways: Iterable[Way]) -> float:
    """Their money."""
    return sum(one.money for one in ways)


def total(ways: Sequence[Way]) -> str:
    """Their money in words, with the sign of the least certain of them."""
    if ways and all(one.unknown == one.n for one in ways):
        return wording.UNKNOWN
    sum_ = wording.money(together(ways))
    if any(WORDS[one.name].estimated for one in ways):
        return f"≈ {sum_}"
    return f"≥ {sum_}" if any(one.unknown for one in ways) else sum_


def objects(found: Ways) -> dict[str, Any]:
    """``spent`` and ``saved`` as ``--json`` prints them: every way, with null where nobody knows the money of any of its n."""
    went = {one.name: one for one in found.went}
    saved = {one.name: one for one in found.saved}
    return {
        "spent": {name: _object(name, went.get(name)) for name in WENT} | {"set_aside": _object(OPEN, found.open)},
        "saved": {name: _object(name, saved.get(name)) | {"estimated": WORDS[name].estimated} for name in SAVED},
    }


def _object(name: str, way: Way | None) -> dict[str, Any]:
    n, unknown, usd = (way.n, way.unknown, way.money) if way else (0, 0, 0.0)
    known = None if n and unknown == n else round(usd, 12)
    return {"usd": known, "rows" if name == "reuse" else "calls": n, "unknown": unknown}


def lines(found: Ways) -> Iterable[str]:
    """The same for a terminal: aligned, ways without a call left out."""
    for head, ways in (("where the money went", found.went), ("what was saved", found.saved)):
        if not ways:
            continue
        yield f"  {head}: {total(ways)}"
        rest = [found.open] if found.open and ways is found.went else []
        for one in (*ways, *rest):
            yield f"    {WORDS[one.name].name:<24} {money(one):>12}  {many(one)}"
