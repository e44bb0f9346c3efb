"""The replays and one replay, as AppTest draws them."""

from __future__ import annotations

import pytest

from jobs.api import Engine
from tests.jobs.ledger import Ledger
from tests.workbench.conftest import Open, act, confirm, links, press, tables, texts


@pytest.fixture
def replay(ledger: Ledger) -> int:
    """A replay that fixed 5 letters; 3 failed as before, 2 otherwise. Its id."""
    run = ledger.run(ledger.dataset(40), ledger.version(), dead=12)
    return ledger.replay(run, ledger.version(number=2), fixed=5, same=3, new=2)


def test_no_replay_yet_leads_to_the_dead_letters(open_screen: Open) -> None:
    """The empty page says how a replay comes about."""
    app = open_screen("replays")
    assert "No replay yet" in texts(app) and "Look at the dead letters" in links(app)


def test_the_list_says_what_came_of_each(open_screen: Open, replay: int) -> None:
    """Fixed, same failure, new failure and waiting of each replay."""
    found = tables(open_screen("replays"))["replays"]
    told = {column["k"]: cell["t"] for column, cell in zip(found["columns"], found["rows"][0]["c"], strict=True)}
    assert [told[name] for name in ("id", "rows", "fixed", "same", "new", "waiting")] == [
        str(replay),
        "10",
        "5",
        "3",
        "2",
        "0",
    ]


@pytest.mark.parametrize(
    ("outcome", "many"), [("all", 10), ("fixed", 5), ("same_failure", 3), ("new_failure", 2), ("waiting", 0)]
)
def test_pairs_are_filtered_by_the_address(open_screen: Open, replay: int, outcome: str, many: int) -> None:
    """Before and after stand side by side, and the outcome of the address chooses which."""
    app = open_screen("replay", id=replay, outcome=outcome)
    pairs = [element.proto.body for element in app.get("html") if "rd-pair" in element.proto.body]
    assert len([pair for pair in pairs if "before:" in pair]) == many
    if not many:
        assert "No row of this replay came to that" in texts(app)


def test_a_fixed_row_shows_its_reply_of_before_and_its_value_now(open_screen: Open, replay: int) -> None:
    """The raw reply that failed is beside the value that passes."""
    said = texts(open_screen("replay", id=replay, outcome="fixed"))
    assert "now: a value that passes the contract" in said and "before: " in said


def test_each_pair_shows_the_row_itself(open_screen: Open, replay: int, engine: Engine) -> None:
    """The row's head stands in its card, and opens to its cells."""
    pair = engine.letters.before_after(replay, offset=0, limit=1)[0][0]
    body = next(one.proto.body for one in open_screen("replay", id=replay).get("html") if "rd-pair" in one.proto.body)
    assert pair.cells == pair.original_cells
    assert "<details" in body and all(name in body for name in pair.cells) and pair.cells["ticket"] in body


def test_what_failed_again_leads_to_its_causes(open_screen: Open, replay: int) -> None:
    """The letters of the replay itself are one click away."""
    app = open_screen("replay", id=replay)
    assert "5 rows failed again." in texts(app)
    assert links(app)["Review them by cause"] == f"dead-letters?run={replay}"


@pytest.mark.usefixtures("keeper")
def test_the_results_of_a_replay_are_taken_back(open_screen: Open, replay: int, engine: Engine) -> None:
    """Undoing says what it does, gives the letters back as open ones, and says afterwards that it was done."""
    run = engine.runs.get(replay).parent
    assert run is not None
    assert engine.runs.resolutions(run)["fixed"] == 5
    app = act(open_screen("replay", id=replay), "Undo its results …", "Undo it")
    assert "fixed" not in engine.runs.resolutions(run)
    said = texts(app)
    assert "Its results were taken back" in said
    assert [one.disabled for one in app.button if one.label == "Undo its results …"] == [True]


@pytest.mark.usefixtures("keeper")
def test_what_is_so_after_the_results_were_taken_back(open_screen: Open, replay: int, engine: Engine) -> None:
    """Nothing is said to be fixed any more; dialog and message name the same rows, those whose values stand no more."""
    app = press(open_screen("replay", id=replay), "Undo its results …")
    pairs = [
        one.proto.body for one in app.get("html") if "<b>Row T-" in one.proto.body and "✓</span>fixed" in one.proto.body
    ]
    fixed = [body.partition("<b>Row ")[2].partition("<")[0] for body in pairs]
    named = f"5 rows ({', '.join(fixed[:3])} and 2 more)"
    assert f"It fixed {named}: what it brought will stand no more" in texts(app)
    app = confirm(app, "Undo its results …", "Undo it")
    assert [one.value.replace("\\", "") for one in app.toast] == [f"Decision 1 is undone: {named}"]
    app = open_screen("replay", id=replay)
    said = texts(app)
    assert "now: a value" not in said and said.count("then: a value that passes the contract; it was taken back") == 5
    assert ">✓ 0<" in said and ">↶ 5<" in said
    run = engine.runs.get(replay).parent
    lists = (open_screen("replays"), "replays"), (
        open_screen("run", id=run, view="Settings and lineage"), "replays of the run",
    )  # fmt: skip
    for page, label in lists:
        found = tables(page)[label]
        told = {column["k"]: cell["t"] for column, cell in zip(found["columns"], found["rows"][0]["c"], strict=True)}
        assert told["fixed"] == "0 (5 taken back)", label
    assert [len(_pairs(open_screen, replay, outcome)) for outcome in ("taken_back", "same_failure")] == [5, 3]


def _pairs(open_screen: Open, replay: int, outcome: str) -> list[str]:
    app = open_screen("replay", id=replay, outcome=outcome)
    return [one.proto.body for one in app.get("html") if "before:" in one.proto.body]


def test_a_replay_at_work_must_be_cancelled_before_it_is_undone(open_screen: Open, ledger: Ledger) -> None:
    """The button is there, disabled, with the reason."""
    run = ledger.run(ledger.dataset(40), ledger.version(), dead=12)
    replay = ledger.replay(run, ledger.version(number=2), fixed=2, waiting=3)
    (button,) = [one for one in open_screen("replay", id=replay).button if one.label == "Undo its results …"]
    assert button.disabled and "cancel it first" in button.help


def test_a_replay_is_undone_however_much_was_decided_since(open_screen: Open, ledger: Ledger) -> None:
    """The button stays when more was decided about the run's letters than any list shows."""
    run = ledger.run(ledger.dataset(40), ledger.version(), dead=12)
    replay = ledger.replay(run, ledger.version(number=2), fixed=2)
    with ledger.db.atomic():
        ledger.db.conn.executemany(
            "INSERT INTO decisions (kind, run, ordinals, reason, made_at) VALUES ('discard', ?, '[1]', 'no', 9.0)",
            [(run,)] * 1_200,
        )
    buttons = [one.disabled for one in open_screen("replay", id=replay).button if one.label == "Undo its results …"]
    assert buttons == [False]


def test_a_run_that_is_no_replay_is_shown_as_a_run(open_screen: Open, ledger: Ledger) -> None:
    """An address of the wrong kind leads to the right page."""
    run = ledger.run(ledger.dataset(5), ledger.version())
    assert f"Run {run}" in texts(open_screen("replay", id=run))
