"""What is archived stands in no list and no choice, loses nothing, and comes back as it was."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from sqlite_utils import Database

from jobs import errors
from jobs.api import Engine
from jobs.api.launch import Launch
from jobs.settings import Connection
from jobs.values import Thing
from jobs.views.costs import CallFilter
from tests.jobs.ledger import DAWN, Ledger

ALWAYS = CallFilter(since=0, until=4e9)


def thing(kind: str, name: object) -> Thing:
    return Thing.model_validate({"kind": kind, "name": str(name)})


@pytest.fixture
def dataset(ledger: Ledger) -> str:
    return ledger.dataset(20)


@pytest.fixture
def version(ledger: Ledger) -> int:
    return ledger.version(label="production")


@pytest.mark.usefixtures("keeper")
def test_an_archived_run_leaves_the_lists_with_its_replays_and_its_letters(
    engine: Engine, ledger: Ledger, dataset: str, version: int, tmp_path: Path
) -> None:
    """Its letters are open work no more; its page, costs, letters and exports are as they were; and all of it comes back."""
    other = ledger.run(dataset, version, dead=2)
    run = ledger.run(dataset, version, dead=5)
    replay = ledger.replay(run, version, fixed=1, same=2)
    again = ledger.replay(replay, version, same=1)
    before = engine.letters.standing(), engine.letters.groups(), engine.letters.list()
    spent = engine.costs.report(ALWAYS, buckets=2, by="run").slices

    weighed = engine.archive.weigh([thing("run", run)])
    assert (weighed.along, weighed.open_letters, weighed.running) == ((replay, again), 4, ())

    done = engine.archive.put([thing("run", run)], key="k")
    assert [(one.thing.name, one.archived_at) for one in done] == [(str(one), DAWN) for one in (run, replay, again)]
    assert [one.id for one in engine.runs.list()[0]] == [other]
    assert [one.id for one in engine.runs.list(archived=True)[0]] == [again, replay, run]
    assert [one.id for one in engine.runs.list(archived=None)[0]] == [again, replay, run, other]
    assert {letter.run for letter in engine.letters.list()[0]} == {other}
    assert sum(group.count for group in engine.letters.groups()[0]) == 2
    assert {one for one, _ in engine.letters.ids()} == {other}
    assert engine.letters.standing().open == engine.system.overview(time.time()).open_letters == 2
    assert [one.id for one in engine.system.overview(time.time()).recent_runs] == [other]

    assert engine.runs.get(run).archived_at == DAWN
    assert engine.letters.standing(run=run).open == 4
    assert engine.letters.list(run=replay)[1] == 2
    assert engine.runs.export(run, "csv", tmp_path / "out.csv") == 20
    assert engine.costs.report(ALWAYS, buckets=2, by="run").slices == spent

    engine.archive.restore([thing("run", run)], key="l")
    assert (engine.letters.standing(), engine.letters.groups(), engine.letters.list()) == before
    assert engine.runs.list(archived=True) == ([], 0) and engine.archive.look() == []


@pytest.mark.usefixtures("keeper")
def test_a_replay_can_be_archived_alone(engine: Engine, ledger: Ledger, dataset: str, version: int) -> None:
    """The run that it is of stays in sight."""
    run = ledger.run(dataset, version, dead=3)
    replay = ledger.replay(run, version, same=3)
    engine.archive.put([thing("run", replay)], key="k")
    assert [one.id for one in engine.runs.list()[0]] == [run]
    assert engine.letters.standing().open == 0
    engine.archive.put([thing("run", run)], key="l")
    engine.archive.restore([thing("run", replay)], key="m")
    assert [one.id for one in engine.runs.list()[0]] == [replay]


@pytest.mark.usefixtures("keeper")
def test_pressed_twice_or_from_two_places_it_is_archived_once(
    engine: Engine, ledger: Ledger, db: Database, dataset: str, version: int
) -> None:
    """The same key is one act, another key changes nothing more, and every archiving stays in the ledger."""
    run = ledger.run(dataset, version)
    things = [thing("run", run), thing("dataset", dataset), thing("prompt", "triage")]
    presses = [threading.Thread(target=engine.archive.put, args=(things,), kwargs={"key": key}) for key in "aabb"]
    for press in presses:
        press.start()
    for press in presses:
        press.join()
    assert [one.thing for one in engine.archive.look()] == things
    assert engine.archive.weigh(things).things == ()
    assert db.execute("SELECT count(*) FROM archivings").fetchone() == (3,)
    engine.archive.restore(things, key="c")
    assert all(one.archived_at is None for one in engine.archive.restore(things, key="d"))
    engine.archive.put(things[:1], key="e")
    assert db.execute("SELECT count(*), count(restored_at) FROM archivings").fetchone() == (4, 3)


@pytest.mark.usefixtures("keeper")
def test_a_run_that_goes_on_stays_in_sight_and_all_that_was_named_with_it(
    engine: Engine, ledger: Ledger, dataset: str, version: int
) -> None:
    """The refusal says what to do; so does one to go on with a run that was archived while it was paused."""
    done = ledger.run(dataset, version, dead=2)
    going = ledger.run(dataset, version, due=4)
    paused = ledger.run(dataset, version, due=4, state="paused", paused_by="budget")
    assert engine.archive.weigh([thing("run", one) for one in (done, going, paused)]).running == (going,)
    with pytest.raises(errors.Refused, match=f"run {going} is running: pause or cancel it first"):
        engine.archive.put([thing("run", done), thing("run", going)], key="k")
    assert engine.archive.look() == []

    replay = ledger.replay(done, version, waiting=1)
    with pytest.raises(errors.Refused, match=f"run {replay} is running"):
        engine.archive.put([thing("run", done)], key="l")

    weighed = engine.archive.weigh([thing("run", paused)])
    assert (weighed.paused, weighed.waiting) == ((paused,), 4)
    engine.archive.put([thing("run", paused)], key="m")
    assert engine.system.overview(time.time()).stuck_runs == ()
    for go_on in (lambda: engine.runs.resume(paused), lambda: engine.runs.set_budget(paused, 9.0)):
        with pytest.raises(errors.Refused, match=f"redrive restore --run {paused}"):
            go_on()
    engine.archive.restore([thing("run", paused)], key="n")
    assert engine.runs.set_budget(paused, 9.0).state == "running"


@pytest.mark.usefixtures("keeper")
def test_an_archived_dataset_and_prompt_are_offered_nowhere_and_can_be_used_by_name(
    engine: Engine, ledger: Ledger, dataset: str, version: int
) -> None:
    """What is said before is what they are to others; their runs, labels and letters stay; a run of them is told of it."""
    kept = ledger.dataset(3, name="kept.csv")
    ledger.run(dataset, version, dead=2)
    going = ledger.run(dataset, version, due=1)
    things = [thing("dataset", dataset), thing("prompt", "triage")]
    weighed = engine.archive.weigh(things)
    assert (weighed.runs, weighed.going_on) == (2, (going,))
    assert (weighed.labels, weighed.open_letters) == ({"triage@production": 1}, 0)
    launch = Launch(
        version=engine.prompts.get(version), dataset=engine.datasets.get(dataset), connection=Connection(name="openai")
    )
    assert not any("archived" in warning for warning in engine.runs.forecast(launch).warnings)

    engine.archive.put(things, key="k")
    assert [one.id for one in engine.datasets.list()] == [kept]
    assert [one.id for one in engine.datasets.list(archived=True)] == [dataset]
    assert engine.prompts.list() == [] and [one.name for one in engine.prompts.list(archived=True)] == ["triage"]
    assert engine.runs.list()[1] == 2 and engine.letters.standing().open == 2
    assert engine.system.overview(time.time()).datasets == 1

    found = engine.prompts.resolve("triage@production"), engine.datasets.get(dataset)
    assert found[1].archived_at == DAWN
    launch = Launch(version=found[0], dataset=found[1], connection=Connection(name="openai"))
    told = [warning for warning in engine.runs.forecast(launch).warnings if "archived" in warning]
    assert len(told) == 2 and "triage" in told[1]
    assert engine.runs.get(engine.runs.start(launch, key="s")).state == "running"


@pytest.mark.usefixtures("keeper")
def test_a_folder_that_was_never_saved_can_be_archived(engine: Engine) -> None:
    """A prompt is what is listed as one, wherever it stands."""
    folder = engine.settings.prompts / "moods"
    folder.mkdir(parents=True)
    (folder / "prompt.md").write_text("How does {{ text }} feel?")
    (folder / "schema.json").write_text('{"type": "object", "properties": {"mood": {"type": "string"}}}')
    engine.archive.put([engine.archive.prompt("moods")], key="k")
    assert engine.prompts.list() == []
    assert engine.prompts.resolve("moods").number == 1 and engine.prompts.list() == []


def test_what_is_not_there_cannot_be_archived(engine: Engine, ledger: Ledger, keeper: None) -> None:
    """Each refusal says what there is; so does the keeper's, for what has gone meanwhile."""
    first, second = ledger.dataset(2, name="same.csv"), ledger.dataset(3, name="same.csv")
    ledger.version()
    with pytest.raises(errors.NotFound, match=rf"no dataset 'x'; there are: .*{first} \(same.csv\)"):
        engine.archive.dataset("x")
    with pytest.raises(errors.NotFound, match="2 datasets are named 'same.csv'"):
        engine.archive.dataset("same.csv")
    assert engine.archive.dataset(second) == thing("dataset", second)
    with pytest.raises(errors.NotFound, match="no prompt 'x'; there are: triage"):
        engine.archive.prompt("x")
    with pytest.raises(errors.NotFound, match="no run 7"):
        engine.archive.run(7)
    with pytest.raises(errors.Refused, match="there is no dataset d-gone"):
        engine.archive.put([thing("dataset", "d-gone")], key="k")
    with pytest.raises(errors.InputError, match="nothing is named"):
        engine.archive.put([], key="l")
