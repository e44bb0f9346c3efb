"""What a call has saved: each formula by hand, unknown where a price is, and no dollar twice."""

from __future__ import annotations

import pytest

from jobs import savings
from jobs.prices import cost
from jobs.settings import Price
from jobs.values import Usage

CHEAP = Price(input=1.0, output=2.0, cached=0.25)
DEAR = Price(input=10.0, output=20.0, cached=2.5)
USAGE = Usage(prompt=1_000_000, completion=500_000, cached=400_000)


def test_cached_tokens_save_the_difference_of_two_rates() -> None:
    """400,000 tokens at $0.75 less for a million; nothing where the price names no rate for them."""
    assert savings.by_cache(USAGE, CHEAP) == pytest.approx(0.3)
    assert savings.by_cache(USAGE, Price(input=1.0, output=2.0)) == 0.0


def test_a_batch_saves_what_the_full_price_would_have_been() -> None:
    """$1.70 at the full price, of which half was charged."""
    assert cost(USAGE, CHEAP) == pytest.approx(1.7)
    assert savings.by_batch(USAGE, CHEAP, 0.85) == pytest.approx(0.85)


def test_several_rows_a_call_are_held_against_as_many_calls() -> None:
    """Twice the prompt tokens, as cached as these, and a fifth fewer of the reply: $2.20 + $0.80 - $1.70."""
    singly = Usage(prompt=2_000_000, completion=400_000)

    assert savings.by_rows(USAGE, singly, CHEAP) == pytest.approx(2.0 - 0.8 * 0.75 + 0.8 - 1.7)


def test_several_rows_a_call_may_have_cost_more() -> None:
    """A call that brought no answer has replaced none."""
    assert savings.by_rows(USAGE, Usage(), CHEAP) == pytest.approx(-1.7)


def test_a_cheap_value_saves_what_the_dear_one_would_have_cost() -> None:
    """$17.00 less $1.70; half of it where half the rows climb, and a loss where all of them do."""
    assert savings.by_ladder(USAGE, CHEAP, DEAR, share=1.0) == pytest.approx(15.3)
    assert savings.by_ladder(USAGE, CHEAP, DEAR, share=0.5) == pytest.approx(8.5 - 1.7)
    assert savings.by_ladder(USAGE, CHEAP, DEAR, share=0.0) == pytest.approx(-1.7)


def test_an_unknown_price_makes_every_saving_unknown() -> None:
    """Of a ladder the price of either rung."""
    assert savings.by_cache(USAGE, None) is None
    assert savings.by_batch(USAGE, None, 0.85) is None and savings.by_batch(USAGE, CHEAP, None) is None
    assert savings.by_rows(USAGE, Usage(prompt=1), None) is None and savings.by_rows(USAGE, None, CHEAP) is None
    assert savings.by_ladder(USAGE, None, DEAR, share=1) is None
    assert savings.by_ladder(USAGE, CHEAP, None, share=1) is None


def test_the_ways_add_up() -> None:
    """Caching, a batch at half price, and a cheap rung: together what the dear model would have charged without any of them."""
    charged = (cost(USAGE, CHEAP) or 0.0) / 2
    without = cost(USAGE.model_copy(update={"cached": 0}), CHEAP) or 0.0
    saved = (savings.by_cache(USAGE, CHEAP) or 0.0) + (savings.by_batch(USAGE, CHEAP, charged) or 0.0)
    ladder = savings.by_ladder(USAGE, CHEAP, DEAR, share=1.0) or 0.0

    assert charged + saved == pytest.approx(without)
    assert charged + (savings.by_batch(USAGE, CHEAP, charged) or 0.0) + ladder == pytest.approx(cost(USAGE, DEAR))
