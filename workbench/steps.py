"""What several commands do on the way: see that an engine runs, wait for runs, show how they get on."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import click

from jobs import errors
from jobs import settings as settings_module
from jobs.api import Engine
from jobs.owner import standing_in
from jobs.settings import Settings
from jobs.views.forecast import Outlook
from jobs.views.runs import Run
from workbench import up, wording

#: seconds between two looks at a run
GLANCE = 0.1
#: seconds that an engine which somebody else keeps up may be away; one that has died is started again within a few
AWAY_SECONDS = 20.0
#: seconds between two lines of progress where no line can be drawn over again, and between two looks at what is to come
PLAIN_SECONDS, OUTLOOK_SECONDS = 5.0, 2.0


def say(line: str) -> None:
    """A notice, on standard error."""
    click.echo(line, err=True)


@dataclass(frozen=True)
class AtWork:
    """A home at work: its engine, its settings as they are now, and why its parts were given up, if they were."""

    engine: Engine
    settings: Settings
    failed: Callable[[], errors.EngineDown | None] = lambda: None
    #: somebody else keeps it up, so that it goes on without this command
    elsewhere: bool = False


@contextmanager
def engine_up(settings: Settings, *, workers: int | None, quiet: bool) -> Iterator[AtWork]:
    """An engine whose home is at work: attached to where one is up, else started here and stopped again at the end.

    Who started it stays until no run is active, so that a second command's run is not cut off: however its own work ends,
    but for Ctrl-C.
    """
    if up.running(settings) is not None:
        with Engine(settings_module.reload(settings)) as engine:
            yield AtWork(engine, engine.settings, _Elsewhere(engine.system.keeper_alive).failed, elsewhere=True)
        return
    tell: Callable[[str], None] = (lambda line: None) if quiet else say
    household = up.Household(settings, workers=workers or 2, web=False, port=None, say=tell)
    with ExitStack() as stack:
        stack.callback(household.stop)
        stack.enter_context(up.interruptible(household))
        household.start()
        household.watch_aside()
        engine = stack.enter_context(Engine(household.settings))
        at_work = AtWork(engine, household.settings, lambda: household.failed)
        try:
            yield at_work
        except (Exception, SystemExit):
            _wait_for_others(at_work, tell)
            raise
        _wait_for_others(at_work, tell)


class _Elsewhere:
    """The engine of a home that somebody else keeps up: given up when its keeper stays away."""

    def __init__(self, is_alive: Callable[[], bool], *, now: Callable[[], float] = time.monotonic) -> None:
        self._is_alive, self._now = is_alive, now
        self._seen_at = now()

    def failed(self) -> errors.EngineDown | None:
        """Why nobody need wait any longer; None while somebody may come back."""
        if self._is_alive():
            self._seen_at = self._now()
        if self._now() - self._seen_at < AWAY_SECONDS:
            return None
        return errors.EngineDown(
            "the engine of this home was stopped by whoever had started it; nothing is lost, and "
            "`redrive resume --all --wait` goes on with every run"
        )


def _wait_for_others(at_work: AtWork, tell: Callable[[str], None]) -> None:
    told = False
    while at_work.failed() is None:
        active, _ = at_work.engine.runs.list(state="running", limit=1)
        if not active:
            return
        if not told:
            tell("other runs are active in this home; staying until they end (Ctrl-C stops them where they are)")
            told = True
        time.sleep(0.5)


@contextmanager
def engine_for_requests(settings: Settings) -> Iterator[Engine]:
    """An engine for steering: a keeper that is up does it, else the requests are applied on the spot."""
    with Engine(settings) as engine, ExitStack() as stack:
        if not engine.system.keeper_alive():
            stack.enter_context(standing_in(settings))
        yield engine


def wait_for(at_work: AtWork, runs: Sequence[int], *, plain: bool = False) -> list[Run]:
    """Wait until none of these runs can go on by itself; a paused one counts as that.

    How they get on is said on standard error: in one line that is drawn over again on a terminal, else, or where ``plain``, in a
    line every few seconds.

    Raises:
        EngineDown: a part that the runs need was given up.
    """
    line, told = _Line(at_work.engine.runs.outlook, redrawn=not plain and sys.stderr.isatty()), ""
    while True:
        failed = at_work.failed()
        if failed is not None:
            raise failed
        trouble = at_work.engine.system.trouble()
        if trouble is not None and trouble.words != told:
            line.end()
            say(f"{trouble.words}. {trouble.todo} The run goes on by itself; nothing is lost meanwhile.")
        told = trouble.words if trouble is not None else ""
        seen = [at_work.engine.runs.get(run) for run in runs]
        line.show(seen)
        if not any(_goes_on(run) for run in seen):
            line.end()
            return seen
        time.sleep(GLANCE)


def left(at_work: AtWork, runs: Sequence[int]) -> str:
    """What becomes of runs that nobody waits for any more, and what to do about it."""
    going = [one for one in runs if _goes_on(at_work.engine.runs.get(one))]
    if not going:
        return "stopped waiting; nothing is left to do"
    several = len(going) > 1
    names = f"runs {', '.join(map(str, going))}" if several else f"run {going[0]}"
    if at_work.elsewhere:
        return (
            f"stopped waiting; {names} {'go' if several else 'goes'} on in the background, and so does what it costs: pause with "
            f"`redrive pause {going[0]}`, watch with `redrive resume {going[0]} --wait`"
        )
    held = sum(at_work.engine.runs.get(one).counts.in_batches for one in going)
    there = f"; {wording.count(held, 'row')} in batches may go on at the provider, and {'is' if held == 1 else 'are'} read then"
    return (
        f"stopped; {names} {'stand' if several else 'stands'} still now: go on with `redrive resume {going[0]} --wait`"
        + (there if held else "")
    )


def _goes_on(run: Run) -> bool:
    if run.state == "paused":
        # What is in a batch may take a day, and goes on without us.
        return run.counts.dispatched > run.counts.in_batches
    return run.ended_at is None


class _Line:
    """How runs get on, on standard error."""

    def __init__(
        self,
        outlook: Callable[[int], Outlook | None],
        *,
        redrawn: bool,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outlook, self._redrawn, self._now = outlook, redrawn, now
        self._width = 0
        self._left, self._left_at = "", -OUTLOOK_SECONDS
        self._said_at = now()

    def show(self, runs: Sequence[Run]) -> None:
        if self._redrawn:
            text = self._text(runs)[: _columns() - 1]
            sys.stderr.write("\r" + text.ljust(self._width))
            sys.stderr.flush()
            self._width = len(text)
        elif self._now() - self._said_at >= PLAIN_SECONDS:
            self._said_at = self._now()
            say(self._text(runs))

    def end(self) -> None:
        if self._redrawn and self._width:
            sys.stderr.write("\n")

    def _text(self, runs: Sequence[Run]) -> str:
        rows, done = sum(run.counts.rows for run in runs), sum(_done(run) for run in runs)
        dead, out = sum(run.counts.dead for run in runs), sum(run.counts.calls_out for run in runs)
        cost = [run.cost for run in runs]
        money = "unknown price" if None in cost else wording.money(sum(one for one in cost if one is not None))
        if len(runs) == 1 and self._now() - self._left_at >= OUTLOOK_SECONDS:
            self._left, self._left_at = _time_left(self._outlook(runs[0].id)), self._now()
        names = f"run{'s' if len(runs) > 1 else ''} {', '.join(str(run.id) for run in runs)}"
        held = sum(run.counts.in_batches for run in runs)
        flying = f"{out:,} in flight, {held:,} in batches" if held else f"{out:,} in flight"
        return f"{names}: {done:,}/{rows:,} rows, {dead:,} dead, {flying}, {money}{self._left}"


def _time_left(outlook: Outlook | None) -> str:
    """The checked range; nothing while too few replies have come to say."""
    if outlook is None or outlook.seconds is None:
        return ""
    return f", {wording.about(outlook.seconds, wording.duration)} left, n = {outlook.n:,}"


def _columns() -> int:
    """A longer line would break, and be drawn anew below instead of over itself."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def _done(run: Run) -> int:
    return run.counts.accepted + run.counts.dead + run.counts.cancelled
