"""What a forecast says: its numbers, each with what it comes from."""

from __future__ import annotations

from jobs.views import Forecast
from workbench import parts, wording
from workbench.screens.running import laddering


def founded(found: Forecast) -> str:
    """What a forecast's figures come from."""
    if found.n and found.guessed:
        return (
            f"from n = {wording.count(found.n, 'earlier reply', 'earlier replies')}, and for {found.guessed:,} of "
            f"{wording.count(found.asked, 'row')} from the rendered prompt, so there is no range"
        )
    if found.n and found.calls.low is None:
        return f"from n = {found.n:,} earlier replies about other rows; these have failed before, so there is no range"
    if found.n:
        return f"90 % ranges, from n = {found.n:,} earlier replies to this version"
    return "from the rendered prompt; too few earlier replies for a range"


def figures(found: Forecast) -> list[parts.Figure]:
    """A forecast's numbers."""
    source = (
        f"from n = {wording.count(found.n, 'earlier reply', 'earlier replies')}" if found.n else "a guess, no range"
    )
    if found.n and found.guessed:
        source += f", a guess for {wording.count(found.guessed, 'row')}"
    free = found.cost is not None and not found.cost.about and not found.cost_ceiling
    most = "" if found.cost_ceiling is None else f"; at most {wording.money(found.cost_ceiling)}"
    return [
        parts.Figure(
            label="Rows",
            value=wording.number(found.rows),
            note=f"{found.reused:,} reuse an answer" if found.reused else "all are asked about",
        ),
        parts.Figure(
            label="Calls",
            value=wording.about(found.calls, wording.rounded) if found.n else wording.number(found.asked),
            note=source if found.n else "one a row; re-asks on top",
        ),
        parts.Figure(
            label="Money",
            value=wording.UNKNOWN
            if found.cost is None
            else "free"
            if free
            else laddering.money(found) or wording.about(found.cost, wording.money),
            note="its price is unknown" if found.cost is None else "nothing is paid for" if free else f"{source}{most}",
            help="at most: every answer as long as max_tokens allows, before re-asks",
        ),
        parts.Figure(
            label="Tokens",
            value=wording.about(found.tokens, wording.rounded),
            note=f"{source}: {wording.tokens(found.prompt_tokens, found.completion_tokens)}",
        ),
        parts.Figure(
            label="Time",
            value=wording.about(found.seconds, wording.duration) if found.seconds is not None else wording.UNKNOWN,
            note=f"from n = {found.seconds.n:,} of them; at these calls in flight"
            if found.seconds
            else "too few earlier replies of one run"
            if found.n and not found.guessed
            else "too few earlier replies",
        ),
    ]
