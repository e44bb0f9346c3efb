"""The places in flight that a lane holds of a run, or of an upper rung of one: its share, and what other lanes leave free.

They are held for what is there, without a question for each call. A question that fell short is not asked again before
something has moved: with each change of what a lane holds or wants, a count beside the places goes up.
"""

from __future__ import annotations

from jobs.limits import LaneLimits

#: seconds between two looks whether others leave places free, and where no more calls are to be had or something has moved
MORE_SECONDS, DRY_SECONDS = 0.1, 0.01
#: seconds after which a question is asked again though nothing has moved: a lane that dies moves nothing
AGAIN_SECONDS = 1.0


class Holding:
    """What one lane holds of one run, or of a rung above its lowest: a call there needs a place of both."""

    def __init__(self, limits: LaneLimits, run: int, rung: int = 0) -> None:
        self._limits, self._run, self._rung = limits, run, rung
        self.held = 0
        #: the last question stands as it is until something moves
        self.waits = False
        self._asked = (0, 0, 0, 0)
        #: how often others may have had what it holds, since the lane's lease was gone, and of how often it has told since
        self._lapses = self._told = 0
        #: the last question, and the last one for more than the share, on the loop's clock
        self._asked_at = self._more_at = 0.0
        #: calls that the others believe this lane to want
        self._noted = 0
        #: the count of moves, at the last question and now
        self._moves_then = self._moves = 0

    @property
    def stand(self) -> tuple[int, int]:
        """The run and the rung; 0 for the whole run."""
        return self._run, self._rung

    def heed(self, moves: int) -> None:
        """The count of moves is this now."""
        self._moves = moves

    def lapse(self, running: int) -> None:
        """Hold no more than is running, and say so with the next look."""
        self.held = running
        self._lapses += 1
        self._asked, self._more_at = (0, 0, 0, 0), 0.0

    async def hold(self, *, limit: int, share: int, busy: int, running: int, is_dry: bool, now: float) -> None:
        """Hold as many places as there are calls, up to the lane's share, and beyond it as long as no other lane wants them.

        At the end of a run one lane may have calls left when the others have none.

        Args:
            limit: calls of it that may be in flight, over all lanes.
            share: the lane's part of them.
            busy: its calls that are running or wait to.
            running: its calls that are running.
            is_dry: there were fewer calls to take than it wanted.
            now: on the loop's clock.
        """
        more = self.held > share or busy > self.held == share
        wanted = min(limit if more else share, busy)
        if not more and self._told == self._lapses and self._suffices(wanted, share=share, is_dry=is_dry):
            self.waits = False
            return
        asked, has_moved = (limit, share, wanted, running), self._moves != self._moves_then
        self.waits = asked == self._asked and not has_moved and now - self._asked_at < AGAIN_SECONDS
        if self.waits or (more and now - self._more_at < (DRY_SECONDS if is_dry or has_moved else MORE_SECONDS)):
            return
        # Given up here before it is given up in Redis: a call that began meanwhile would run in another lane's place.
        kept = self.held = min(self.held, max(running, min(wanted, share)))
        lapses = self._lapses
        places = await self._limits.places(
            self._run, rung=self._rung, limit=limit, share=share, wanted=wanted, running=kept
        )
        if lapses != self._lapses:
            # The answer may be from before.
            return
        self._told = lapses
        self.held, self._noted, self._asked, self._asked_at = places.held, wanted, asked, now
        self._moves_then = self._moves = places.moves
        if more:
            self._more_at = now
        self.waits = places.held < wanted and not more

    def _suffices(self, wanted: int, *, share: int, is_dry: bool) -> bool:
        """Whether it holds what it wants and hardly more, and the others know of no wish that it has no longer."""
        if min(self._noted, share) > max(self.held, wanted):
            return False
        return (self.held if is_dry or not wanted else self.held * 15 // 16) <= wanted <= self.held
