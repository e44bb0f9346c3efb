"""Archiving on the screens, as AppTest draws them: lists, choices, filters, and the pages of what is archived."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from jobs.api import Engine
from jobs.values import Thing
from tests.jobs.ledger import Ledger
from tests.workbench.conftest import CONTENT, Open, act, press, tables, texts

pytestmark = pytest.mark.usefixtures("keeper")


@pytest.fixture
def made(engine: Engine, ledger: Ledger) -> tuple[str, int, int]:
    """A dataset, a run of ``triage`` on it with five dead letters, and a replay that met two of them again."""
    dataset, version = ledger.dataset(20), ledger.version(label="production")
    run = ledger.run(dataset, version, dead=5, connection="stub")
    return dataset, run, ledger.replay(run, version, same=2, connection="stub")


def put_away(engine: Engine, kind: str, *names: object) -> None:
    things = [Thing.model_validate({"kind": kind, "name": str(name)}) for name in names]
    engine.archive.put(things, key=f"test-{kind}-{names}")


def shown(app: AppTest, label: str) -> list[str]:
    return [row["id"] for row in tables(app).get(label, {"rows": []})["rows"]]


def offered(app: AppTest, label: str) -> list[str]:
    (box,) = [one for one in app.selectbox if one.label == label]
    return list(box.options)


def test_a_run_is_archived_on_its_page_after_its_open_letters_are_said(
    open_screen: Open, engine: Engine, made: tuple[str, int, int]
) -> None:
    """It leaves the list with its replay, keeps its page, and comes back by one press there."""
    _, run, replay = made
    app = act(press_opener(open_screen("run", id=run)), "Archive …", "Archive")
    said = texts(app)
    assert "Archived" in said and "its open dead letters count as no open work" in said
    assert [one.id for one in engine.runs.list(archived=True)[0]] == [replay, run]
    assert shown(open_screen("runs"), "runs") == []
    assert shown(open_screen("runs", archived="true"), "runs") == [str(run)]
    assert "No dead letter is open" in texts(open_screen("dead_letters"))
    assert shown(open_screen("dead_letters", run=run), "dead letters by cause") != []
    press(app, "Bring back")
    assert engine.archive.look() == [] and shown(open_screen("runs"), "runs") == [str(run)]


def press_opener(app: AppTest) -> AppTest:
    """The dialog says what first."""
    said = texts(press(app, "Archive …"))
    assert "5 open dead letters no longer count as open work" in said
    assert "goes along" in said and "Nothing is deleted" in said
    return app


def test_a_run_that_goes_on_is_not_archived(open_screen: Open, ledger: Ledger) -> None:
    """The button says what to do first."""
    run = ledger.run(ledger.dataset(20), ledger.version(), due=2, connection="stub")
    (button,) = [one for one in open_screen("run", id=run).button if one.label == "Archive …"]
    assert button.disabled and button.help == "It is running: pause or cancel it first"


def test_a_paused_run_that_is_archived_offers_no_resume(open_screen: Open, engine: Engine, ledger: Ledger) -> None:
    """It comes back first."""
    run = ledger.run(
        ledger.dataset(20), ledger.version(), due=2, state="paused", paused_by="provider", connection="stub"
    )
    assert "is paused by the provider" in texts(open_screen("overview"))
    put_away(engine, "run", run)
    assert "is paused by the provider" not in texts(open_screen("overview"))
    (button,) = [one for one in open_screen("run", id=run).button if one.label == "Resume"]
    assert button.disabled and "bring it back first" in button.help


def test_ticked_datasets_are_archived_and_brought_back(open_screen: Open, engine: Engine, ledger: Ledger) -> None:
    """Only those that are ticked; the filter shows them, with the way back."""
    first, second, third = (ledger.dataset(3, name=f"{name}.csv") for name in "abc")
    app = open_screen("datasets")
    app.session_state["datasets"] = {"chosen": [first, third]}
    app.run()
    act(app, "Archive 2 ticked …", "Archive 2 datasets")
    assert [one.id for one in engine.datasets.list()] == [second]
    app = open_screen("datasets", archived="true")
    assert set(shown(app, "datasets")) == {first, third}
    app.session_state["datasets"] = {"chosen": [first]}
    press(app.run(), "Bring back 1 ticked")
    assert {one.id for one in engine.datasets.list()} == {first, second}


def test_ticked_runs_are_archived_without_those_that_go_on(open_screen: Open, engine: Engine, ledger: Ledger) -> None:
    """They are left out, and it is said."""
    dataset, version = ledger.dataset(20), ledger.version()
    runs = [ledger.run(dataset, version, dead=1), ledger.run(dataset, version), ledger.run(dataset, version, due=1)]
    app = open_screen("runs")
    app.session_state["runs"] = {"chosen": [str(run) for run in runs]}
    app.run()
    said = texts(press(app, "Archive 3 ticked …"))
    assert "2 runs leave the lists and choices." in said and f"Left out: Run {runs[2]} is running" in said
    assert "1 open dead letter no longer counts as open work" in said
    app = open_screen("runs")
    for press_it in (False, True):
        app.session_state["archiving"] = [Thing(kind="run", name=str(run)) for run in runs]
        for inner in (one for one in app.button if press_it and one.label == "Archive 2 runs"):
            inner.click()
        app.run()
    assert [one.id for one in engine.runs.list()[0]] == [runs[2]]


def test_what_is_archived_is_offered_only_where_the_address_names_it(
    open_screen: Open, engine: Engine, ledger: Ledger, made: tuple[str, int, int]
) -> None:
    """Launching and the editor offer what is in sight; by address the archived one is chosen, and it is said."""
    dataset, run, _ = made
    kept = ledger.dataset(20, name="kept.csv")
    engine.prompts.save("mood", CONTENT, note="")
    put_away(engine, "dataset", dataset)
    put_away(engine, "prompt", "triage")

    app = open_screen("launch")
    assert offered(app, "Dataset") == ["kept.csv · 20 rows"] and offered(app, "Prompt") == ["mood"]
    app = open_screen("launch", prompt="triage@1", dataset=dataset)
    assert "tickets.csv · 20 rows · archived" in offered(app, "Dataset")
    assert "triage · archived" in offered(app, "Prompt")
    assert "the prompt triage is archived: it can be used" in texts(app)

    assert offered(open_screen("prompt", name="mood"), "Dataset") == ["kept.csv · 20 rows"]
    assert offered(open_screen("runs"), "prompt") == ["every prompt", "mood"]
    assert offered(open_screen("dead_letters"), "Prompt") == ["every prompt", "mood"]
    assert "triage" in offered(open_screen("dead_letters", prompt="triage"), "Prompt")
    assert "There is no prompt" not in texts(open_screen("dead_letters", prompt="triage"))
    assert shown(open_screen("runs"), "runs") == [str(run)]
    assert shown(open_screen("datasets"), "datasets") == [kept]


def test_the_pages_of_an_archived_dataset_and_prompt_say_so(
    open_screen: Open, engine: Engine, made: tuple[str, int, int]
) -> None:
    """They open by their address as before, without the button to archive, and with the one to bring back."""
    dataset, *_ = made
    app = act(open_screen("dataset", id=dataset), "Archive …", "Archive")
    assert "its runs, their dead letters and costs are as they were" in texts(app)
    assert "rows of the dataset" in tables(app)
    assert [one.label for one in app.button if "Archive" in one.label] == []
    press(app, "Bring back")
    assert engine.datasets.get(dataset).archived_at is None

    app = press(open_screen("prompt", name="triage"), "Archive …")
    said = texts(app)
    assert "triage@production stays at @1" in said and "2 runs of it stay in the lists" in said
    put_away(engine, "prompt", "triage")
    app = open_screen("prompt", name="triage")
    assert "saved as @1" in texts(app) and "Archived" in texts(app)
    assert "There is no prompt triage yet" not in texts(app)
    press(app, "Bring back")
    assert [one.name for one in engine.prompts.list()] == ["triage"]


def test_lists_whose_things_are_all_archived_do_not_say_that_there_is_none(
    open_screen: Open, engine: Engine, made: tuple[str, int, int]
) -> None:
    """Nor is a name free that an archived prompt has."""
    dataset, run, replay = made
    for kind, name in (("dataset", dataset), ("prompt", "triage"), ("run", run)):
        put_away(engine, kind, name)
    assert "Every dataset is archived." in texts(open_screen("datasets"))
    assert "Every replay is archived." in texts(open_screen("replays"))
    assert shown(open_screen("replays", archived="true"), "replays") == [str(replay)]
    assert "No run is like that." in texts(open_screen("runs"))
    app = open_screen("prompts")
    assert "Every prompt is archived." in texts(app)
    app.text_input(key="new").input("triage")
    assert "There is a prompt triage already; it is archived" in texts(press(app, "Write it"))
