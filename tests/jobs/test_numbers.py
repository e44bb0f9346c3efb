from __future__ import annotations

import json
import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.numbers import Fractional, number

digits = st.text("0123456789", min_size=1, max_size=24)
literals = st.builds(
    lambda sign, whole, fraction, power: f"{sign}{int(whole)}{fraction}{power}",
    st.sampled_from(["", "-"]),
    digits,
    st.just("") | digits.map(lambda text: f".{text}") | st.integers(0, 24).map(lambda n: f".{'0' * n}1"),
    st.just("") | st.integers(-40, 40).map(lambda n: f"e{n}") | st.integers(0, 40).map(lambda n: f"E+{n}"),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(literals)
def test_a_number_is_whole_exactly_if_its_literal_is(literal: str) -> None:
    """Whole numbers keep all their digits, others are the nearest float and never whole: both decided on the literal."""
    value = number(literal)
    exact = Fraction(Decimal(literal))
    if isinstance(value, int):
        assert value == exact
    else:
        assert value == float(literal)
        assert value.is_integer() == (exact.denominator == 1)
        assert not value.is_integer() or value == exact


@pytest.mark.parametrize("literal", ["2.0", "2e0", "20e-1", "0.2e1", "2.000000000000000000000000", "+2.0", "2000e-3"])
def test_whole_numbers_in_other_spellings(literal: str) -> None:
    """A whole number may be written with a point or an exponent."""
    assert number(literal) == 2
    assert float(number(literal)).is_integer()


@pytest.mark.parametrize("literal", ["2.00000000000000001", "9007199254740993.5", "1e-400", "1e-99999999999999999999"])
def test_a_fraction_that_no_float_holds_is_not_dropped(literal: str) -> None:
    """Its float is whole, the number is not, and it can still say how it was written."""
    value = number(literal)
    assert isinstance(value, Fractional)
    assert float(value).hex() == float(literal).hex()
    assert not value.is_integer()
    assert str(value) == literal
    assert json.loads(json.dumps(value)) == float(literal)


@pytest.mark.parametrize("literal", ["0.0", "-0.0", "0e99999999999999999999", "0.000e-99999999999999999999"])
def test_zero_is_whole_whatever_its_exponent(literal: str) -> None:
    """The exponent of nothing says nothing, and its sign is kept."""
    value = number(literal)
    assert value == 0
    assert float(value).is_integer()
    assert math.copysign(1, value) == (-1 if literal.startswith("-") else 1)


def test_what_no_float_holds_is_infinite() -> None:
    """It is for the reader to refuse."""
    assert number("1e400") == float("inf")
    assert number("-1e400") == float("-inf")
