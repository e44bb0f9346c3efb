"""What archiving does, in sentences that the screens and the command line share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jobs.values import Thing
from jobs.views.archive import Archiving
from workbench import wording

#: runs that a sentence names
_NAMED = 8


def says(weighed: Archiving) -> list[str]:
    """What becomes of what hangs on these things, a sentence each."""
    return [*_of_runs(weighed), *_of_others(weighed)]


def _of_runs(weighed: Archiving) -> Iterator[str]:
    if not any(thing.kind == "run" for thing in weighed.things):
        return
    if weighed.along:
        yield f"{_runs(weighed.along, 'Replay')} {'goes' if len(weighed.along) == 1 else 'go'} along."
    if weighed.open_letters:
        one = weighed.open_letters == 1
        yield (
            f"{wording.count(weighed.open_letters, 'open dead letter')} no longer {'counts' if one else 'count'} as open work, "
            f"and {'leaves' if one else 'leave'} the list of dead letters."
        )
    if weighed.paused:
        yield (
            f"{_runs(weighed.paused, 'Run')} {'is' if len(weighed.paused) == 1 else 'are'} paused, with "
            f"{wording.count(weighed.waiting, 'row')} waiting: to go on, bring it back first."
        )


def _of_others(weighed: Archiving) -> Iterator[str]:
    if weighed.runs:
        yield f"{wording.count(weighed.runs, 'run')} of it {'stays' if weighed.runs == 1 else 'stay'} in the lists, with letters and costs."
    if weighed.going_on:
        one = len(weighed.going_on) == 1
        yield f"{_runs(weighed.going_on, 'Run')} of it {'goes' if one else 'go'} on."
    for label, number in weighed.labels.items():
        yield f"{label} stays at @{number}: whoever runs it by that name still gets it, with a notice."


def _runs(runs: Sequence[int], noun: str) -> str:
    if len(runs) == 1:
        return f"{noun} {runs[0]}"
    return f"{noun}s {', '.join(map(str, runs[:_NAMED]))}{' …' if len(runs) > _NAMED else ''}"


def running(runs: Sequence[int]) -> str:
    """Why these runs cannot be archived."""
    return f"{_runs(runs, 'Run')} {'is' if len(runs) == 1 else 'are'} running: pause or cancel {'it' if len(runs) == 1 else 'them'} first."


def named(things: Sequence[Thing]) -> str:
    """How many of them there are, by the noun of their kind."""
    kinds = {thing.kind for thing in things}
    return wording.count(len(things), kinds.pop() if len(kinds) == 1 else "thing")
