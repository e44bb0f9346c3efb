"""Fields for numbers that hand over what was typed, so that a number out of range is refused in words."""

from __future__ import annotations

from typing import Any, TypeVar

import streamlit as st

T = TypeVar("T", int, float)


def number(
    label: str,
    value: T | None,
    key: str,
    troubles: list[str],
    *,
    least: T | None = None,
    above: T | None = None,
    most: T | None = None,
    empty: str = "",
    **looks: Any,
) -> T | None:
    """Draw a field; what stands in it, or ``value`` where that is out of range, which is then said in ``troubles``."""
    # Given bounds, the browser keeps a number outside of them to itself, and the one before it would be used.
    chosen: T | None = st.number_input(label, value=value, key=key, **looks)
    if chosen is None:
        return None
    low = least is None or chosen >= least
    if low and (above is None or chosen > above) and (most is None or chosen <= most):
        return chosen
    allowed = _allowed(least, above, most) + (f"; empty: {empty}" if empty else "")
    troubles.append(f"{label} cannot be {_shown(chosen)}. Allowed: {allowed}.")
    return value


def whole(label: str, value: int, key: str, troubles: list[str], *, most: int, help: str = "") -> int:
    """A whole number from 1 on."""
    first = max(1, min(value, most))
    found = number(label, first, key, troubles, least=1, most=most, step=1, help=help or None, width=130)
    return first if found is None else int(found)


def money(label: str, value: float | None, key: str, troubles: list[str]) -> float | None:
    """A limit of money, or None."""
    return number(
        label,
        value,
        key,
        troubles,
        above=0.0,
        empty="no limit",
        step=0.1,
        format="%.2f",
        placeholder="no limit",
        width=150,
        help="The run pauses before it would spend more. Needs a known price.",
    )


def _allowed(least: float | None, above: float | None, most: float | None) -> str:
    if least is not None:
        return f"{_shown(least)} to {_shown(most)}" if most is not None else f"{_shown(least)} or more"
    up = f", at most {_shown(most)}" if most is not None else ""
    return f"more than {_shown(above or 0)}{up}"


def _shown(chosen: float) -> str:
    return f"{chosen:,}" if isinstance(chosen, int) else f"{chosen:,.12g}"
