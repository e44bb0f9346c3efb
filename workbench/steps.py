"""What several commands do on the way: see that an engine runs, wait for runs, show how they get on."""

from __future__ import annotations

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
from jobs.views import Run
from workbench import up

#: seconds between two looks at a run
GLANCE = 0.1
#: seconds that an engine which somebody else keeps up may be away; one that has died is started again within a few
AWAY_SECONDS = 20.0


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

    Who started it stays until no run is active, so that a second command's run is not cut off.
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
        yield at_work
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


def wait_for(at_work: AtWork, runs: Sequence[int], *, progress: bool) -> list[Run]:
    """Wait until none of these runs can go on by itself; a paused one counts as that.

    Raises:
        EngineDown: a part that the runs need was given up.
    """
    line, told = _Line(enabled=progress), ""
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
    return (
        f"stopped; {names} {'stand' if several else 'stands'} still now: go on with `redrive resume {going[0]} --wait`"
    )


def _goes_on(run: Run) -> bool:
    if run.state == "paused":
        return run.counts.dispatched > 0
    return run.ended_at is None


class _Line:
    """One line on a terminal's standard error that says how runs get on."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled and sys.stderr.isatty()
        self._width = 0

    def show(self, runs: Sequence[Run]) -> None:
        if not self._enabled:
            return
        rows, done = sum(run.counts.rows for run in runs), sum(_done(run) for run in runs)
        dead, flight = sum(run.counts.dead for run in runs), sum(run.counts.calls_out for run in runs)
        cost = [run.cost for run in runs]
        money = "unknown price" if None in cost else f"${sum(one for one in cost if one is not None):.4f}"
        eta = runs[0].eta_seconds if len(runs) == 1 else None
        text = f"{done}/{rows} rows, {dead} dead, {flight} in flight, {money}"
        text += f", about {eta:.0f} s left" if eta is not None else ""
        sys.stderr.write("\r" + text.ljust(self._width))
        sys.stderr.flush()
        self._width = len(text)

    def end(self) -> None:
        if self._enabled and self._width:
            sys.stderr.write("\n")


def _done(run: Run) -> int:
    return run.counts.accepted + run.counts.dead + run.counts.cancelled
