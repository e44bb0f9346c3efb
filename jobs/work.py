"""What a lane has taken of each run, and what it makes the calls with."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
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
    #: the places that it holds of an upper rung, beside those of the run
    holding: Holding | None = None
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

    @property
    def free(self) -> int:
        """Places of the run that no call has."""
        return max(0, self.holding.held - self.running)

    def places(self, line: Line) -> int:
        """Of the free places, those that a line may have: on an upper rung, no more than are free there."""
        return self.free if line.holding is None else max(0, min(self.free, line.holding.held - line.running))

    @property
    def holdings(self) -> Iterator[Holding]:
        """Its own, and those of its upper rungs."""
        yield self.holding
        yield from (line.holding for line in self.lines.values() if line.holding is not None)

    def lapse(self) -> None:
        """Others may have its places: hold those of the calls that are running, and no more."""
        self.holding.lapse(self.running)
        for line in self.lines.values():
            if line.holding is not None:
                line.holding.lapse(line.running)

    async def close(self) -> None:
        """Close its endpoints."""
        for line in self.lines.values():
            await line.caller.close()
