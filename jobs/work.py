"""What a lane has taken of each run, and what it makes the calls with."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from jobs.allowance import Allowance, Reserved
from jobs.call import Caller
from jobs.holding import Holding
from jobs.messages import Ask, Brief


class Begun(NamedTuple):
    """A call that has its place."""

    entry: str
    ask: Ask
    reserved: Reserved


@dataclass
class Line:
    """What a lane has of a rung of a run: its caller, and the calls that it has taken."""

    caller: Caller
    allowance: Allowance
    backlog: deque[tuple[str, Ask]] = field(default_factory=deque)
    running: int = 0
    #: no call begins before this, on the loop's clock
    blocked_until: float = 0.0

    @property
    def busy(self) -> int:
        """Calls that are running or wait to."""
        return self.running + len(self.backlog)


@dataclass
class Work:
    """What a lane has of a run: a line for each of its rungs, and the places that they share."""

    brief: Brief
    #: the places that it holds of the run
    holding: Holding
    #: the dearest rung first, so that what has waited longest goes first
    lines: dict[int, Line] = field(default_factory=dict)
    running: int = 0
    used_at: float = 0.0

    @property
    def busy(self) -> int:
        """Calls that are running or wait to."""
        return sum(line.busy for line in self.lines.values())

    async def close(self) -> None:
        """Close its endpoints."""
        for line in self.lines.values():
            await line.caller.close()
