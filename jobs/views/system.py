"""How the parts of the engine are, and what needs somebody now."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jobs.trouble import Trouble
from jobs.views.runs import Run


@dataclass(frozen=True, kw_only=True)
class LiveReply:
    """A reply while it streams in, of a run of kind try."""

    ordinal: int
    text: str
    done: bool


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What needs somebody now."""

    active_runs: tuple[Run, ...]
    #: paused by the provider or by a budget
    stuck_runs: tuple[Run, ...]
    recent_runs: tuple[Run, ...]
    open_letters: int
    new_letters_24h: int
    replaying_letters: int
    resolved_24h: int
    spend_24h: float
    #: calls that are not in it, and those among them that broke off
    unpriced_calls_24h: int
    open_calls_24h: int
    calls_24h: int
    datasets: int
    prompts: int


@dataclass(frozen=True, kw_only=True)
class Pool:
    """What one model at one connection allows now, over all runs and workers."""

    connection: str
    model: str
    #: a second, by what is limited: requests, tokens, input, output
    rates: dict[str, float]
    #: who says so, by what is limited: ``settings``, ``headers`` or ``found``
    sources: dict[str, str]
    #: seconds that everybody still waits, since the provider has said that nothing remains
    cool: float
    #: what calls waited for last, and seconds since: one of the limited, ``cool``, or nothing
    short: str
    short_ago: float | None


@dataclass(frozen=True, kw_only=True)
class Machinery:
    """How the parts of the engine are."""

    home: str
    keeper_alive: bool
    redis_alive: bool
    redis_version: str | None
    #: each {"name", "seconds_left", "running"}
    lanes: tuple[dict[str, Any], ...]
    #: each {"name", "state", "pid", "fits"}; one that does not fit is of another version of Redrive
    workers: tuple[dict[str, Any], ...]
    calls_waiting: int
    outcomes_waiting: int
    connections: tuple[dict[str, Any], ...]
    #: library -> version
    versions: dict[str, str] = field(default_factory=dict)
    database_bytes: int = 0
    #: of the runs that have not ended
    pools: tuple[Pool, ...] = ()
    #: what keeps the keeper that is alive from its work
    trouble: Trouble | None = None
