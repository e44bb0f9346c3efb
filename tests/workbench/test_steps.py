"""What commands do on the way."""

from __future__ import annotations

import itertools
import time
from contextlib import suppress
from pathlib import Path

import pytest

from jobs import errors
from jobs.api import Engine
from jobs.owner import sole_owner
from jobs.trouble import Note
from tests.jobs.ledger import Ledger
from workbench import steps, up
from workbench.steps import AWAY_SECONDS, AtWork, _Elsewhere, _Line, left, wait_for


def test_an_engine_that_somebody_else_stopped_is_given_up() -> None:
    """A keeper that is started again is waited for; one that stays away is not, and the words say how to go on."""
    clock, alive = [0.0], [True]
    elsewhere = _Elsewhere(lambda: alive[0], now=lambda: clock[0])

    told = []
    for now, is_alive in [(1.0, False), (19.0, False), (19.5, True), (30.0, False), (39.0, False), (60.0, False)]:
        clock[0], alive[0] = now, is_alive
        told.append(elsewhere.failed())

    assert told[:5] == [None] * 5 and AWAY_SECONDS == 20.0
    assert told[5] is not None and "redrive resume --all --wait" in told[5].message


def test_a_command_that_waits_says_once_what_the_keeper_waits_for(
    engine: Engine, ledger: Ledger, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, where a person looks who started a run from a terminal; the run is waited for all the same."""
    run = ledger.run(ledger.dataset(3), ledger.version(), due=3)
    looks = itertools.count()

    def failed() -> errors.EngineDown | None:
        return errors.EngineDown("enough") if next(looks) > 4 else None

    with sole_owner(home):
        note = Note(home)
        note.begin("store", "the disk of the home is full", "Free some space there.")
        with pytest.raises(errors.EngineDown, match="enough"):
            wait_for(AtWork(engine, engine.settings, failed), [run], plain=True)
        note.close()

    told = capsys.readouterr()
    assert (told.out, told.err.count("the disk of the home is full. Free some space there.")) == ("", 1)


def test_whoever_stops_waiting_is_told_whether_the_run_goes_on(engine: Engine, ledger: Ledger) -> None:
    """What somebody else keeps up goes on and spends, so the words name the pause; what was started for it stands still."""
    dataset, version = ledger.dataset(3), ledger.version()
    run, ended = ledger.run(dataset, version, due=3), ledger.run(dataset, version)
    here, elsewhere = (AtWork(engine, engine.settings, elsewhere=one) for one in (False, True))

    assert left(here, [run]) == f"stopped; run {run} stands still now: go on with `redrive resume {run} --wait`"
    said = left(elsewhere, [run])
    assert f"run {run} goes on in the background" in said
    assert f"`redrive pause {run}`" in said and f"`redrive resume {run} --wait`" in said
    assert "nothing is left to do" in left(elsewhere, [ended])


def test_rows_in_a_batch_are_told_apart_from_calls_in_flight(
    engine: Engine, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    """They may take a day: a paused run is not waited for because of them, and whoever leaves hears where they are."""
    number = ledger.run(
        ledger.dataset(9), ledger.version(), options={"batch": "first"}, state="paused", due=2, dispatched=6
    )
    ledger.db.execute("UPDATE run_rows SET batch = 1 WHERE run = ? AND state = 'dispatched'", [number])
    ledger.db.conn.commit()
    at_work = AtWork(engine, engine.settings)
    (run,) = wait_for(at_work, [number], plain=True)
    line = _Line(engine.runs.outlook, redrawn=True)
    line.show([run])
    ledger.db.execute("UPDATE runs SET state = 'running', ended_at = NULL WHERE id = ?", [number])
    ledger.db.conn.commit()

    assert (run.counts.in_batches, run.counts.in_flight, run.counts.calls_out) == (6, 0, 0)
    assert "0 in flight, 6 in batches" in capsys.readouterr().err
    assert "6 rows in batches may go on at the provider" in left(at_work, [number])


@pytest.mark.parametrize(
    ("fates", "said"),
    [
        ({"due": 200, "dispatched": 20}, ": 180/400 rows, 0 dead, 8 in flight, $"),
        ({"due": 200, "dispatched": 20}, " left, n = "),
        ({"due": 398}, ": 2/400 rows, 0 dead, 0 in flight, $"),
    ],
)
def test_progress_names_the_run_and_how_long_it_will_take_as_a_range(
    engine: Engine, ledger: Ledger, capsys: pytest.CaptureFixture[str], fates: dict[str, int], said: str
) -> None:
    """A plain line every five seconds, for whoever asked for JSON; no time is said while too few replies have come."""
    run = engine.runs.get(ledger.run(ledger.dataset(400), ledger.version(), began=time.time() - 60, **fates))
    clock = itertools.count()
    line = _Line(engine.runs.outlook, redrawn=False, now=lambda: next(clock) / 4)
    for _ in range(40):
        line.show([run])
    line.end()

    told = capsys.readouterr()
    first, *more = told.err.splitlines()
    assert told.out == "" and 1 <= len(more) < 5
    assert first.startswith(f"run {run.id}: ") and said in first
    assert ("left" in first) == (fates["due"] == 200)


class _Household:
    """A home's parts, as far as whoever keeps them up cares: whether they were stopped."""

    failed = None

    def __init__(self, engine: Engine) -> None:
        self.settings = engine.settings
        self.stopped = False

    def start(self) -> None:
        pass

    watch_aside = hurry = start

    def stop(self) -> None:
        self.stopped = True


@pytest.mark.parametrize("leaving", [SystemExit(0), errors.Refused("not now"), None])
def test_whoever_keeps_a_home_up_stays_until_nobody_elses_run_is_active(
    engine: Engine, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, leaving: BaseException | None
) -> None:
    """A command that leaves with its exit code, or is refused, must not take the engine from under a second one's run."""
    run = ledger.run(ledger.dataset(3), ledger.version(), due=3)
    household, seen = _Household(engine), list[bool]()

    def somebody_else_ends(seconds: float) -> None:
        seen.append(household.stopped)
        engine.runs.get(run)
        with ledger.db.atomic():
            ledger.db.execute("UPDATE runs SET state = 'finished', ended_at = 1 WHERE id = ?", [run])

    monkeypatch.setattr(up, "Household", lambda *args, **kwargs: household)
    monkeypatch.setattr("workbench.steps.time.sleep", somebody_else_ends)
    with suppress(SystemExit, errors.Refused), steps.engine_up(engine.settings, workers=1, quiet=True):
        if leaving is not None:
            raise leaving

    assert seen == [False] and household.stopped
