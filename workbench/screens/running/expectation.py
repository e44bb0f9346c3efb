"""What a forecast says: its numbers, each with what it comes from."""

from __future__ import annotations

from collections.abc import Callable

from jobs.estimates import Estimate
from jobs.views.forecast import Forecast
from workbench import parts, wording


def founded(found: Forecast) -> str:
    """What a forecast's figures come from."""
    if _is_open(found):
        earlier = (
            f"n = {wording.count(found.n, 'earlier reply', 'earlier replies')}" if found.n else "the rendered prompt"
        )
        return f"from {earlier}; how many rows go on is not known, so the figures reach from none to all"
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
    guess = "a guess, from none to all rows going on" if _is_open(found) else "a guess, no range"
    source = f"from n = {wording.count(found.n, 'earlier reply', 'earlier replies')}" if found.n else guess
    if found.n and found.guessed:
        source += f", a guess for {wording.count(found.guessed, 'row')}"
    free = found.cost is not None and not found.cost.about and not found.cost_ceiling
    most = "" if found.cost_ceiling is None else f"; first answers at most {wording.money(found.cost_ceiling)}"
    return [
        parts.Figure(
            label="Rows",
            value=wording.number(found.rows),
            note=f"{found.reused:,} reuse an answer" if found.reused else "all are asked about",
        ),
        parts.Figure(
            label="Calls",
            value=_told(found, found.calls, wording.rounded)
            if found.n or _is_open(found)
            else wording.number(round(found.calls.about)),
            note=source if found.n else f"{_guessed_calls(found)}; re-asks on top",
        ),
        parts.Figure(
            label="Money",
            value=wording.UNKNOWN
            if found.cost is None
            else "free"
            if free
            else _told(found, found.cost, wording.money),
            note="its price is unknown" if found.cost is None else "nothing is paid for" if free else f"{source}{most}",
            help="first answers at most: each question answered once, as long as max_tokens allows; re-asks come on top, "
            "and copies of a row that fails are asked each for itself",
        ),
        parts.Figure(
            label="Tokens",
            value=_told(found, found.tokens, wording.rounded),
            note=f"{source}: {wording.tokens(found.prompt_tokens, found.completion_tokens)}",
        ),
        parts.Figure(
            label="Time",
            value=_told(found, found.seconds, wording.duration) if found.seconds is not None else wording.UNKNOWN,
            note=f"from n = {found.seconds.n:,} of them; at these calls in flight"
            if found.seconds
            else "too few earlier replies of one run"
            if found.n and not found.guessed
            else "too few earlier replies",
        ),
    ]


def _is_open(found: Forecast) -> bool:
    """Whether its figures reach from no row that goes on to a dearer model to all, since nobody knows how many do."""
    if found.ladder is not None:
        return found.ladder.climbs is None
    return not found.n and found.tokens.low is not None


def _told(found: Forecast, figure: Estimate, words: Callable[[float], str]) -> str:
    """A figure with its range; from end to end where no place between is likelier."""
    if not _is_open(found) or figure.low is None or figure.high is None:
        return wording.about(figure, words)
    low, high = words(figure.low), words(figure.high)
    return low if low == high else f"{low} to {high}"


def _guessed_calls(found: Forecast) -> str:
    if _is_open(found):
        return "from none to all rows going on"
    return "one a row" if round(found.calls.about) == found.asked else "several rows a call"
