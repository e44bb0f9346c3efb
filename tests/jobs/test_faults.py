"""What is wrong with options, in words: where it is, and why."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from jobs import faults
from jobs.options import RunOptions
from jobs.settings import Connection


def _first(given: dict[str, Any]) -> faults.Fault:
    with pytest.raises(ValidationError) as caught:
        RunOptions.model_validate(given)
    return faults.first(caught.value, RunOptions.model_fields)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"strikes": 0}, "strikes: input should be greater than or equal to 1"),
        ({"ladder": {"climbs": [{"model": ""}]}}, "ladder.climbs.0.model: string should have at least 1 character"),
        ({"ladder": {}}, "ladder.climbs: this is missing"),
        ({"ladder": {"climb": []}}, "ladder.climb: unknown key 'climb'; did you mean 'climbs'?"),
        ({"strike": 2}, "strike: unknown key 'strike'; did you mean 'strikes'?"),
        ({"ladder": {"climbs": [{"model": "m", "at": 1}]}}, "ladder.climbs.0.at: unknown key 'at'"),
        ({"batch": "No"}, "batch: input should be 'no', 'first' or 'all'"),
    ],
)
def test_the_first_fault_says_where_and_what(given: dict[str, Any], told: str) -> None:
    """The way down to it, and a clause; a name that is nearly right is told which one is."""
    assert str(_first(given)) == told


def test_the_value_is_shown_where_it_is_asked_for_and_never_by_itself() -> None:
    """A long one is cut; the words alone repeat nothing, since it may be a key in the wrong line."""
    fault = _first({"strikes": "s" * 500})
    assert (fault.where, len(fault.shown)) == ("strikes", 60)
    with pytest.raises(ValidationError) as caught:
        Connection.model_validate({"name": "x", "rpm": "sk-secret"})
    assert "sk-secret" not in str(faults.first(caught.value))
