"""What a call has saved, way by way: each formula, and whether it is exact or an estimate.

The ways add up. Provider-side caching is counted at the full price; the batch discount on what was left then; several rows a call
at the price that was charged; and the ladder between the full prices of two models. So no dollar is saved twice. What is unknown
is None and never 0.
"""

from __future__ import annotations

from typing import Final

from jobs.prices import cost
from jobs.settings import Price
from jobs.values import Usage

_MILLION: Final = 1_000_000


def by_cache(usage: Usage, full: Price | None) -> float | None:
    """Exact: cached tokens x (input price - cached price), US dollars; 0 where the price names no rate for cached tokens."""
    if full is None:
        return None
    rate = full.input if full.cached is None else full.cached
    return min(usage.cached, usage.prompt) * (full.input - rate) / _MILLION


def by_batch(usage: Usage, full: Price | None, charged: float | None) -> float | None:
    """Exact: the same tokens at the full price, less what was charged, US dollars."""
    whole = cost(usage, full)
    return None if whole is None or charged is None else whole - charged


def by_rows(usage: Usage, singly: Usage | None, price: Price | None) -> float | None:
    """An estimate: what as many calls about one row each would have cost at the same price, less what this one cost.

    Below 0 where the call cost more than those would have: it brought few answers, or its instructions are longer than what
    several prompts repeat. ``singly`` holds the tokens of the rows that the reply answers; of the prompt's tokens the same share
    is taken to be cached as of this one's.
    """
    paid = cost(usage, price)
    if paid is None or singly is None:
        return None
    cached = round(min(usage.cached, usage.prompt) * singly.prompt / usage.prompt) if usage.prompt else 0
    return (cost(singly.model_copy(update={"cached": cached}), price) or 0.0) - paid


def by_ladder(usage: Usage, full: Price | None, top: Price | None, *, share: float) -> float | None:
    """An estimate for a call below the top rung: what its tokens would have cost at the top rung's price, less what they cost here.

    ``share`` is that of its rows which got their value of it: the others climb or are asked again, and what was paid for them
    here is a loss, so that a call which brought no value counts below 0. The dear model's own tokens are unknown.
    """
    here, there = cost(usage, full), cost(usage, top)
    return None if here is None or there is None else share * there - here
