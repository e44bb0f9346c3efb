"""What is archived, and what archiving would put out of sight, as a reader gets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jobs.values import Thing


@dataclass(frozen=True, kw_only=True)
class Archived:
    """A thing and since when it is archived."""

    thing: Thing
    #: a dataset's file name, a run's version; a prompt's own name
    title: str
    #: None: it is not archived
    archived_at: float | None
    #: of a run: its dead letters that are open; 0 of all else
    open_letters: int = 0


@dataclass(frozen=True, kw_only=True)
class Archiving:
    """What archiving some things would do; nothing is done yet."""

    #: the things with the replays that go along, without what is archived already
    things: tuple[Thing, ...]
    #: of these, the replays that were not named
    along: tuple[int, ...] = ()
    #: of these, runs that cannot be archived now, since they are running
    running: tuple[int, ...] = ()
    #: open dead letters that would no longer count as open work
    open_letters: int = 0
    #: paused runs among them, and their rows without an end
    paused: tuple[int, ...] = ()
    waiting: int = 0
    #: runs of the prompts and datasets, which stay in sight, and those among them that are running
    runs: int = 0
    going_on: tuple[int, ...] = ()
    #: of the prompts: ``name@label`` -> the number that it stands at
    labels: Mapping[str, int]
