"""The number that a literal names, so that nothing of it is lost unseen.

A whole number keeps all its digits, however it is written (``2e0``, ``20e-1``, ``12345678901234567890.0``), and a number with a
fraction is never taken for a whole one. Apart from that a number is the nearest float, as in every reader of JSON.
"""

from __future__ import annotations

#: up to here every whole number is a float
_EXACT = 2**53


class Fractional(float):
    """A number whose fraction no float can hold: ``2.00000000000000001`` is stored as 2.0 and is not a whole number."""

    __slots__ = ("_literal",)

    _literal: str

    def __new__(cls, literal: str) -> Fractional:
        """The nearest float, which remembers how it was written."""
        made = super().__new__(cls, literal)
        made._literal = literal
        return made

    def is_integer(self) -> bool:
        """Never: that is what it is for."""
        return False

    def __str__(self) -> str:
        return self._literal


def number(literal: str) -> int | float:
    """The number that a JSON literal names, a leading plus allowed; infinite where no float can hold it.

    Raises:
        ValueError: it is no number, or has more digits than Python turns into an integer.
    """
    if literal.lstrip("+-").isdigit():
        return int(literal)
    value = float(literal)
    return _whole(literal, value) if value.is_integer() else value


def _whole(literal: str, value: float) -> int | float:
    """What a literal names whose float is whole; decided on its digits, since an exponent can be of any size."""
    mantissa, _, power = literal.lower().partition("e")
    before, _, after = mantissa.partition(".")
    digits = (before + after).lstrip("+-0")
    if not digits:
        return value
    significant = digits.rstrip("0")
    exponent = int(power or 0) - len(after) + len(digits) - len(significant)
    if exponent < 0:
        return Fractional(literal)
    if abs(value) < _EXACT:
        return value
    exact: int = int(significant) * 10**exponent
    return -exact if literal.startswith("-") else exact
