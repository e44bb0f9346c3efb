"""engine.letters: replays, corrections, discards and undo, asked for at the door and applied by the keeper's own code."""

from __future__ import annotations

import time
from typing import Any

import pytest
from sqlite_utils import Database

from jobs import errors
from jobs.api import Engine
from jobs.api.launch import Launch
from jobs.api.replays import Changes
from jobs.views.letters import Standing
from tests.jobs.ledger import FAULTS, Ledger

pytestmark = pytest.mark.usefixtures("keeper")


def test_replaying_letters_of_two_runs(engine: Engine, ledger: Ledger, db: Database) -> None:
    """One replay for each run, of exactly the chosen rows, with the parent's version, model and connection."""
    dataset = ledger.dataset(20)
    first = ledger.run(dataset, ledger.version(), dead=4, options={"strikes": 2})
    second = ledger.run(dataset, ledger.version(number=2), dead=3, connection="vllm", model="own-7b")
    chosen = engine.letters.ids()
    made = engine.letters.replay(chosen[1:], key="click")
    assert engine.letters.replay(chosen[1:], key="click") == made
    replays = [engine.runs.get(run) for run in made]
    assert [(one.kind, one.parent, one.root, one.counts.rows) for one in replays] == [
        ("replay", first, first, 3),
        ("replay", second, second, 3),
    ]
    assert [(one.version, one.connection) for one in replays] == [("triage@1", "openai"), ("triage@2", "vllm")]
    assert [one.options.strikes for one in replays] == [2, 3]
    assert {(letter.run, letter.ordinal) for letter in engine.letters.list(resolution="replaying")[0]} == set(
        chosen[1:]
    )


def test_replaying_with_a_better_version_and_an_edited_row(engine: Engine, ledger: Ledger) -> None:
    """What is given replaces the parent's; the edited row is asked as edited, the original stays."""
    dataset = ledger.dataset(10)
    run = ledger.run(dataset, ledger.version(), fates={3: FAULTS[0], 4: FAULTS[0]})
    better = engine.prompts.get(ledger.version(number=2))
    (made,) = engine.letters.replay(
        [(run, 3), (run, 4)],
        Changes(
            version=better,
            connection=engine.settings.connection("vllm"),
            model="own-13b",
            edits={(run, 4): {"message": "clearer"}},
            note="try it",
        ),
        key="k",
    )
    replay = engine.runs.get(made)
    assert (replay.version, replay.connection, replay.model, replay.note) == ("triage@2", "vllm", "own-13b", "try it")
    found = engine.letters.inspect(made, 4)
    assert found.cells == {**found.original_cells, "message": "clearer"}
    assert engine.letters.inspect(made, 3).cells["message"].startswith("Hello")


def test_replays_of_several_runs_are_checked_before_the_first_is_asked_for(
    engine: Engine, ledger: Ledger, db: Database
) -> None:
    """A version that fits one run's dataset and not the other's starts nothing, and every letter stays open."""
    fits = ledger.run(ledger.dataset(10), ledger.version(), fates={3: FAULTS[0]})
    other = ledger.dataset(10, name="other.csv", cells=[("1", "x")] * 10, columns=("id", "customer"), id_column=None)
    lacks = ledger.run(other, ledger.version(number=2), fates={3: FAULTS[0]})
    version = engine.prompts.get(ledger.version(number=3))
    with pytest.raises(errors.InputError, match="does not fit other.csv"):
        engine.letters.replay([(fits, 3), (lacks, 3)], Changes(version=version), key="k")
    assert db.execute("SELECT count(*) FROM requests").fetchone() == (0,)
    assert engine.letters.list()[1] == 2 and engine.runs.list()[1] == 2


def test_a_replay_of_several_runs_says_which_is_refused_and_starts_the_others(engine: Engine, ledger: Ledger) -> None:
    """Between the look and the click one run's letter was discarded; the other run's is asked again all the same."""
    dataset = ledger.dataset(10)
    first, second = (ledger.run(dataset, ledger.version(number=n), fates={3: FAULTS[0]}) for n in (1, 2))
    ledger.discard(first, [3])
    with pytest.raises(errors.Refused, match=f"no dead letter of run {first} is open"):
        engine.letters.replay([(first, 3), (second, 3)], key="k")
    assert [run.parent for run in engine.runs.list(kinds=["replay"])[0]] == [second]


@pytest.mark.parametrize(("column", "name"), [(None, "3"), ("ticket", "T-000003")])
def test_a_replay_names_its_rows_as_its_parent_does(
    engine: Engine, ledger: Ledger, db: Database, column: str | None, name: str
) -> None:
    """A row keeps its id through a replay, whatever names the dataset's rows by then."""
    dataset = ledger.dataset(10, id_column=column)
    run = ledger.run(dataset, ledger.version(), fates={3: FAULTS[0]})
    engine.datasets.set_id_column(dataset, "ticket" if column is None else None)
    (made,) = engine.letters.replay([(run, 3)], key="k")
    assert [engine.letters.inspect(one, 3).row_id for one in (run, made)] == [name, name]


def test_a_replay_is_forecast_over_all_its_runs(engine: Engine, ledger: Ledger) -> None:
    """Each run by its own past: the sum has the known calls, says which rows are guessed, and promises no range and no time."""
    known = ledger.run(ledger.dataset(60), ledger.version(), dead=12)
    new = ledger.run(ledger.dataset(8), ledger.version(prompt="company", number=2), dead=3)
    letters = [*engine.letters.ids(run=known)[:4], *engine.letters.ids(run=new)]
    one, other, both = (
        engine.letters.forecast([letter for letter in letters if letter[0] in runs]).whole
        for runs in ({known}, {new}, {known, new})
    )
    assert one is not None and other is not None and both is not None
    assert one.n > 20 and (other.n, other.calls.about) == (0, 3)
    assert one.calls.about > 4 and any("are in this forecast" in warning for warning in one.warnings)
    assert (both.rows, both.asked, both.n, both.guessed) == (7, 7, one.n, 3)
    assert both.calls.about == pytest.approx(one.calls.about + 3) and both.calls.low is None
    assert both.seconds is None and set(one.warnings) <= set(both.warnings)


def test_a_replay_is_forecast_as_it_would_be_asked(engine: Engine, ledger: Ledger) -> None:
    """Version, connection and model are those of the replay itself, whatever was chosen; what is refused is told by run."""
    run = ledger.run(ledger.dataset(10), ledger.version(), fates={3: FAULTS[0]})
    lost = ledger.run(ledger.dataset(9), ledger.version(prompt="company"), fates={3: FAULTS[0]}, connection="gone")
    found = engine.letters.forecast([(run, 3), (lost, 3)])
    assert found.whole is not None and found.whole.rows == 1 and found.whole.cost is not None
    assert list(found.troubles) == [lost] and "gone" in found.troubles[lost]
    free = engine.prompts.get(ledger.version(number=2, model=None))
    elsewhere = engine.settings.connection("vllm")
    choices = (
        Changes(version=free),
        Changes(version=free, connection=elsewhere, model="own-7b"),
        Changes(model="own-13b"),
    )
    for key, changes in enumerate(choices):
        (made,) = engine.letters.replay([(run, 3)], changes, key=str(key))
        asked = engine.runs.get(made)
        forecast = engine.letters.forecast([(run, 3)], changes).whole
        assert forecast is not None and (forecast.cost is None) == (not asked.price_known)
        if not asked.price_known:
            assert f"{asked.model} at connection {asked.connection} is unknown" in " ".join(forecast.warnings)
        engine.runs.cancel(made)


def test_replays_that_make_no_sense(engine: Engine, ledger: Ledger) -> None:
    """No letters, edits of other rows or of unknown columns, and letters that are not open are refused with words."""
    run = ledger.run(ledger.dataset(10), ledger.version(), fates={3: FAULTS[0]})
    with pytest.raises(errors.InputError, match="no dead letters"):
        engine.letters.replay([], key="a")
    with pytest.raises(errors.InputError, match="row 4 of run 1 is edited"):
        engine.letters.replay([(run, 3)], Changes(edits={(run, 4): {}}), key="b")
    with pytest.raises(errors.InputError, match="no column 'mesage'"):
        engine.letters.replay([(run, 3)], Changes(edits={(run, 3): {"mesage": "x"}}), key="c")
    ledger.discard(run, [3])
    with pytest.raises(errors.Refused, match="discarded"):
        engine.letters.replay([(run, 3)], key="d")


@pytest.mark.usefixtures("keeper")
@pytest.mark.parametrize("kind", ["try", "evaluation"])
def test_what_died_in_a_try_is_not_replayed(engine: Engine, ledger: Ledger, db: Database, kind: str) -> None:
    """Its values would go nowhere: refused with the reason, at the door and by the keeper; and so is a replay of such a replay."""
    run = ledger.run(ledger.dataset(5), ledger.version(), kind=kind, dead=2)
    for of in (run, ledger.replay(run, ledger.version(number=2), same=1)):
        with pytest.raises(errors.InputError, match=rf"run {run}[ ,].*{kind}.*triage@1.*start a run"):
            engine.letters.replay([(of, ledger.dead(of)[0])], key=f"again-{of}")
    parent = engine.runs.get(run)
    with pytest.raises(errors.Refused, match=f"of kind {kind}"):
        engine.runs.start(
            Launch(
                version=engine.prompts.get(parent.version_id),
                dataset=engine.datasets.get(parent.dataset),
                connection=engine.settings.connection(),
                kind="replay",
                parent=run,
                ordinals=tuple(ledger.dead(run)),
            ),
            key="past the door",
        )


def test_correcting_and_undoing(engine: Engine, ledger: Ledger) -> None:
    """A good value resolves the letter and becomes the result; undone, the letter is open again."""
    run = ledger.run(ledger.dataset(10), ledger.version(), fates={3: FAULTS[0]})
    value = {"sentiment": "neutral", "urgency": 2, "summary": "by hand"}
    decision = engine.letters.correct(run, 3, value, reason="clear", key="a")
    assert engine.letters.correct(run, 3, value, reason="clear", key="a") == decision
    found = engine.letters.inspect(run, 3)
    assert found.result is not None and found.result.value == value
    assert engine.letters.list()[1] == 0
    assert engine.letters.undo(decision, key="b") == 1
    assert engine.letters.list()[1] == 1
    assert engine.letters.inspect(run, 3).result is None


def test_a_correction_that_breaks_the_contract(engine: Engine, ledger: Ledger, db: Database) -> None:
    """Nothing is asked of the keeper, and every problem is named."""
    run = ledger.run(ledger.dataset(10), ledger.version(), fates={3: FAULTS[0]})
    with pytest.raises(errors.InputError, match=r"(?s)2 places.*\$\.urgency: maximum.*\$\.summary: required"):
        engine.letters.correct(run, 3, {"sentiment": "neutral", "urgency": 9}, key="a")
    assert db.execute("SELECT COUNT(*) FROM requests").fetchone()[0] == 0


def test_results_that_were_taken_back_are_no_longer_fixed(engine: Engine, ledger: Ledger) -> None:
    """The outcome of the replay still adds up to its rows, and the values that it had brought can still be looked at."""
    run = ledger.run(ledger.dataset(20), ledger.version(), dead=6)
    replay = ledger.replay(run, ledger.version(number=2), fixed=3, same=2)
    decision = engine.letters.decision_of(replay)
    assert decision is not None and engine.letters.undo(decision.id, key="a") == 3
    found = engine.letters.outcome(replay)
    assert (found.fixed, found.taken_back, found.same_failure) == (0, 3, 2)
    rows, total = engine.letters.before_after(replay, outcome="taken_back")
    assert total == 3 and all(row.after_value for row in rows)
    assert engine.letters.before_after(replay, outcome="fixed") == ([], 0)


def test_a_decision_names_its_first_rows(engine: Engine, ledger: Ledger) -> None:
    """In the order of the decision, a few of many."""
    run = ledger.run(ledger.dataset(20), ledger.version(), fates=dict.fromkeys((2, 5, 8, 9), FAULTS[0]))
    engine.letters.discard([(run, ordinal) for ordinal in (2, 5, 8, 9)], "spam", key="a")
    (decision,) = engine.letters.decisions()
    assert decision.row_ids == ("T-000002", "T-000005", "T-000008")


def test_discarding(engine: Engine, ledger: Ledger) -> None:
    """Letters of several runs are discarded in one act, with a reason that cannot be left out."""
    dataset = ledger.dataset(10)
    for number in (1, 2):
        ledger.run(dataset, ledger.version(number=number), fates={3: FAULTS[0], 5: FAULTS[1]})
    chosen = engine.letters.ids()
    with pytest.raises(errors.InputError, match="why"):
        engine.letters.discard(chosen, "  ", key="a")
    with pytest.raises(errors.InputError, match="no dead letters"):
        engine.letters.discard([], "spam", key="a")
    made = engine.letters.discard(chosen, "spam", key="b")
    assert len(made) == 2
    assert engine.letters.list(resolution="discarded")[1] == 4
    assert [one.reason for one in engine.letters.decisions()] == ["spam", "spam"]


def test_decisions_about_the_rows_of_a_run(engine: Engine, ledger: Ledger) -> None:
    """Those about a replay's rows are found wherever these died; those about other rows of its root are not."""
    run = ledger.run(ledger.dataset(10), ledger.version(), fates=dict.fromkeys((2, 5, 8), FAULTS[0]))
    (replay,) = engine.letters.replay([(run, 2)], key="a")
    engine.letters.discard([(run, 5)], "spam", key="b")
    company = ledger.run(ledger.dataset(9), ledger.version(prompt="company"), fates={2: FAULTS[0]})
    engine.letters.discard([(company, 2)], "old", key="c")

    def kinds(**chosen: Any) -> list[str]:
        return [f"{one.kind} {one.reason}".strip() for one in engine.letters.decisions(**chosen)]

    assert kinds(rows_of=replay) == ["replay"]
    assert kinds(rows_of=run) == ["discard spam", "replay"]
    assert kinds(prompt="company") == ["discard old"]
    assert kinds(rows_of=run, prompt="company") == []


def test_how_the_letters_behind_a_filter_stand(engine: Engine, ledger: Ledger) -> None:
    """The numbers of one run are its own letters', those of all runs the letters that speak for their rows."""
    ledger.now = time.time()
    run = ledger.run(ledger.dataset(10), ledger.version(), fates=dict.fromkeys((2, 5, 8), FAULTS[0]))
    other = ledger.run(ledger.dataset(9), ledger.version(prompt="company"), fates={2: FAULTS[0]})
    ledger.discard(run, [5])
    engine.letters.replay([(run, 8)], key="a")
    assert engine.letters.standing(run=run) == Standing(open=1, replaying=1, new_24h=3, resolved_24h=1)
    assert engine.letters.standing(prompt="company") == engine.letters.standing(run=other)
    assert engine.letters.standing() == Standing(open=2, replaying=1, new_24h=4, resolved_24h=1)


def test_a_row_is_not_replayed_twice_at_once(engine: Engine, ledger: Ledger) -> None:
    """As it died in a run and as it died in a replay of that: refused before any of the two is asked for."""
    parent = ledger.run(ledger.dataset(10), ledger.version(), dead=2)
    replay = ledger.replay(parent, ledger.version(number=2), same=2)
    (row, *_) = [ordinal for _, ordinal in engine.letters.ids(run=replay, resolution="open")]
    before = engine.runs.list()[1]

    with pytest.raises(errors.InputError, match=f"row {row} is chosen twice, in run {parent} and in run {replay}"):
        engine.letters.replay([(parent, row), (replay, row)], key="both")
    assert engine.runs.list()[1] == before


@pytest.mark.parametrize("kind", ["try", "evaluation"])
def test_what_died_in_a_try_is_not_corrected(engine: Engine, ledger: Ledger, kind: str) -> None:
    """It has no values that a correction could become."""
    run = ledger.run(ledger.dataset(10), ledger.version(), kind=kind, dead=3)

    with pytest.raises(errors.InputError, match=f"of kind {kind}"):
        engine.letters.correct(run, 1, {"sentiment": "positive"}, key="c")
