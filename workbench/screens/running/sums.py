"""A run's sums in few words: its accepted and dead rows as it left them and as they are now; where its money went."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from jobs.views.costs import CallFilter, Way
from jobs.views.runs import Run
from workbench import parts, session, wording
from workbench import ways as words
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


def ways(run: Run) -> None:
    """Draw where the run's money went and what was saved, one line each; nothing where there is nothing but first answers."""
    found = session.engine().costs.ways(CallFilter(since=0, until=4e9, run=run.id))
    lines = [("Money went to", found.went, found.open)] if len(found.went) > 1 or found.open else []
    lines += [("Saved by", found.saved, None)] if found.saved else []
    if lines:
        st.html("".join(_line(*line) for line in lines))


def _line(head: str, ways: Sequence[Way], aside: Way | None) -> str:
    whole = f"<span>in all <b>{parts.safe(words.total(ways))}</b></span>" if len(ways) > 1 else ""
    told = [*map(_told, ways), whole, *([_told(aside)] if aside else [])]
    return f'<div class="rd-legend"><span class="rd-sub">{head}</span>{"".join(told)}</div>'


def _told(way: Way) -> str:
    name = words.WORDS[way.name]
    return (
        f'<span title="{parts.safe(name.help)}">{parts.safe(name.name.lower())} <b>{parts.safe(words.money(way))}</b> '
        f"<span class=rd-sub>({parts.safe(words.many(way))})</span></span>"
    )
