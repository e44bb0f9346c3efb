"""A run's accepted and dead rows in a list: as the run left them and, where something was decided since, as they are now."""

from __future__ import annotations

from jobs.views import Run
from workbench import parts, wording
from workbench.screens.running import progress


def accepted(run: Run, *, share: bool = False) -> parts.Cell:
    """How many rows have a value, or which share of them."""
    own, now = run.counts.accepted, run.counts.accepted + _repaired(run)
    shares = [wording.percent(one, run.counts.rows) for one in (own, now)]
    numbers = [wording.number(one) for one in (own, now)]
    text, tip = (shares, numbers) if share else (numbers, shares)
    return parts.Cell(_both(*text), _both(*tip))


def dead(run: Run) -> parts.Cell:
    """How many rows died, and how many of them still wait for a person."""
    counts = run.counts
    share = wording.percent(counts.dead, counts.rows)
    tone: wording.Tone | None = "dead" if counts.dead else None
    if set(run.letters) <= {"open"}:
        return parts.Cell(wording.number(counts.dead), share, tone)
    still = run.letters.get("open", 0)
    words = f"{wording.number(counts.dead)} (now {wording.number(still) if still else 'none'} open)"
    return parts.Cell(words, f"{share}; {progress.now_words(counts.dead, run.letters)}", tone if still else None)


def _repaired(run: Run) -> int:
    return run.letters.get("fixed", 0) + run.letters.get("corrected", 0)


def _both(own: str, now: str) -> str:
    return own if own == now else f"{own} (now {now})"
