"""An evaluation in the browser: begun on the prompt's page, and read on the run's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from jobs.api import Engine
from tests.jobs.ledger import FAULTS, Ledger
from tests.workbench.conftest import CONTENT, Open, act, confirm, press, tables, texts

GOLDEN = "text,expected.label,expected.score\nfine,good,7\nawful,bad,\n"


@pytest.fixture
def golden(engine: Engine) -> Path:
    """A prompt with one saved version and a folder that holds golden rows."""
    engine.prompts.save("triage", CONTENT, note="first")
    engine.prompts.write_back("triage", 1)
    file = engine.settings.prompts / "triage" / "golden.csv"
    file.write_text(GOLDEN)
    return file


def test_there_is_nothing_to_evaluate_without_golden_rows(open_screen: Open, golden: Path) -> None:
    """The button is there where the folder holds them."""
    labels = [one.label for one in open_screen("prompt", name="triage").button]
    golden.unlink()
    assert "Evaluate …" in labels
    assert "Evaluate …" not in [one.label for one in open_screen("prompt", name="triage").button]


@pytest.mark.usefixtures("keeper")
def test_an_evaluation_is_begun_from_the_prompts_page(open_screen: Open, engine: Engine, golden: Path) -> None:
    """It says what is asked of whom; the press starts one evaluation, as the command does, and opens its page."""
    app = act(open_screen("prompt", name="triage"), "Evaluate …", "Evaluate 2 golden rows")
    ((run,), _) = engine.runs.list(kinds=("evaluation",))
    assert (run.version, run.model, run.counts.rows, run.options.reuse) == ("triage@1", "stub-small", 2, False)
    assert f"Evaluation {run.id}" in texts(app) and "Nothing is checked yet" in texts(app)
    assert "of stub-small at stub with 2 golden rows" in texts(app)


def _chosen(app: AppTest, **given: str | int | float) -> AppTest:
    """The open dialog with these fields; AppTest runs the whole script, so its opener is pressed along each time."""
    for label, value in given.items():
        (opener,) = [one for one in app.button if one.label == "Evaluate …"]
        opener.click()
        fields = [
            one for one in (*app.selectbox, *app.number_input, *app.checkbox) if (one.key or "").startswith("evaluate:")
        ]
        (field,) = [one for one in fields if one.label.replace(" ", "_").startswith(label)]
        field.set_value(value).run()
    return app


def _priced(home: Path) -> None:
    (home / "connections.toml").write_text(
        '[stub]\nbase_url = "http://127.0.0.1:9/v1"\nmodels = ["stub-small", "odd"]\n[stub.prices.stub-small]\ninput = 1.0\n'
        'output = 2.0\n[far]\nbase_url = "http://127.0.0.1:8/v1"\nmodels = ["big"]\nin_flight = 3\n'
        '[far.prices."*"]\ninput = 10.0\noutput = 20.0\n'
    )


@pytest.mark.usefixtures("keeper")
def test_who_answers_is_chosen_and_what_it_will_take_is_said_before_the_press(
    open_screen: Open, engine: Engine, golden: Path, home: Path
) -> None:
    """Rows, calls, tokens and money by the connection and model that are chosen; the evaluation is made so."""
    _priced(home)
    app = press(open_screen("prompt", name="triage"), "Evaluate …")
    said = texts(app)
    assert all(f">{label}</div>" in said for label in ("Rows", "Calls", "Money", "Tokens", "Time"))
    assert (
        "from the rendered prompt; too few earlier replies for a range" in said and "its price is unknown" not in said
    )

    app = _chosen(app, Connection="far")
    _chosen(app, Calls_in_flight=2)
    confirm(app, "Evaluate …", "Evaluate 2 golden rows")
    ((run,), _) = engine.runs.list(kinds=("evaluation",))
    assert (run.connection, run.model, run.options.in_flight, run.price_known) == ("far", "big", 2, True)


@pytest.mark.usefixtures("keeper")
def test_a_budget_without_a_price_is_refused_in_the_dialog(
    open_screen: Open, engine: Engine, golden: Path, home: Path
) -> None:
    """The words name the model; with a price the same budget is taken."""
    _priced(home)
    app = press(open_screen("prompt", name="triage"), "Evaluate …")
    _chosen(app, Model="odd", Budget=0.5)
    assert "A budget needs a price, and that of odd at connection" in texts(app)
    confirm(app, "Evaluate …", "Evaluate 2 golden rows")
    assert engine.runs.list(kinds=("evaluation",))[1] == 0
    _chosen(app, Model="stub-small")
    confirm(app, "Evaluate …", "Evaluate 2 golden rows")
    ((run,), _) = engine.runs.list(kinds=("evaluation",))
    assert (run.model, run.options.budget) == ("stub-small", 0.5)


@pytest.mark.usefixtures("keeper")
def test_an_evaluation_is_made_with_the_ladder_of_the_prompts_runs_or_without_it(
    open_screen: Open, engine: Engine, home: Path, golden: Path
) -> None:
    """With it the dialog names the models and what goes on to the dearer one; without it one model answers every row."""
    _priced(home)
    engine.prompts.save(
        "triage", CONTENT, note="first", defaults={"ladder": {"climbs": [{"model": "big", "connection": "far"}]}}
    )
    app = press(open_screen("prompt", name="triage"), "Evaluate …")
    assert "the ladder" in tables(app)
    confirm(app, "Evaluate …", "Evaluate 2 golden rows")
    app = press(open_screen("prompt", name="triage"), "Evaluate …")
    _chosen(app, With_the_ladder=False)
    confirm(app, "Evaluate …", "Evaluate 2 golden rows")
    (alone, both), _ = engine.runs.list(kinds=("evaluation",))
    assert (alone.models, both.models) == (("stub-small",), ("stub-small", "big"))
    assert "of stub-small at stub, then big at far with 2" in texts(open_screen("run", id=both.id))


def test_two_models_stand_beside_each_other_on_the_same_golden_rows(open_screen: Open, ledger: Ledger) -> None:
    """Each field with both shares over the rows that have an end in both, and the expectations that one alone met."""
    columns = ("message", "customer", "expected.sentiment", "expected.urgency")
    cells = [["fine", "A", "positive", "1"], ["bad", "B", "negative", ""], ["lost", "C", "neutral", "3"]]
    dataset, version = ledger.dataset(columns=columns, cells=cells, id_column=None), ledger.version()
    other = ledger.dataset(columns=columns, cells=[*cells, ["more", "D", "neutral", ""]], id_column=None)
    dead: dict[int, Any] = {1: "accepted", 2: "accepted", 3: FAULTS[0]}
    small = ledger.run(dataset, version, kind="evaluation", fates=dead, ordinals=[1, 2, 3], model="small")
    big = ledger.run(
        dataset, version, kind="evaluation", fates=dict.fromkeys((1, 2, 3), "accepted"), ordinals=[1, 2, 3], model="big"
    )
    ledger.run(other, version, kind="evaluation", fates={1: "accepted"}, ordinals=[1], model="other")
    right, wrong = {"sentiment": "positive", "urgency": 1}, {"sentiment": "negative", "urgency": 4}
    values = {
        (small, 1): right,
        (small, 2): wrong,
        (big, 1): wrong,
        (big, 2): wrong,
        (big, 3): {"sentiment": "neutral", "urgency": 3},
    }
    with ledger.db.atomic():
        for (run, ordinal), value in values.items():
            ledger.db.execute(
                "UPDATE attempts SET value = ? WHERE run = ? AND ordinal = ? AND verdict = 'accepted'",
                [json.dumps(value | {"summary": "s"}), run, ordinal],
            )
    app = open_screen("run", id=small)
    (choice,) = [one for one in app.selectbox if one.label == "Evaluation"]
    assert len(choice.options) == 2 and "by big at" in choice.options[1]

    app = open_screen("run", id=small, beside=big)
    shown = tables(app)
    assert [[cell["t"] for cell in row["c"]] for row in shown["agreement beside another evaluation"]["rows"]] == [
        ["sentiment", "3", "67 %", "67 %", "1", "1"],
        ["urgency", "2", "50 %", "50 %", "1", "1"],
        ["all fields", "5", "60 %", "60 %", "2", "2"],
    ]
    assert [[cell["t"] for cell in row["c"]] for row in shown["where one of them agrees"]["rows"]] == [
        ["1", "sentiment", '"positive"', '✓ "positive"', '✕ "negative"'],
        ["1", "urgency", "1", "✓ 1", "✕ 4"],
        ["3", "sentiment", '"neutral"', "no value", '✓ "neutral"'],
        ["3", "urgency", "3", "no value", "✓ 3"],
    ]
    assert "Over n = 3 golden rows that have an end in both" in texts(app).replace("\\", "")


def test_golden_rows_that_fit_no_answer_are_refused_with_their_line(open_screen: Open, golden: Path) -> None:
    """Nothing is started that could never agree."""
    golden.write_text("text,expected.label\nfine,splendid\n")
    said = texts(press(open_screen("prompt", name="triage"), "Evaluate …"))
    assert "It cannot be evaluated" in said and "golden.csv:2" in said


def test_an_evaluation_shows_agreement_with_its_n_and_the_rows_that_disagree(open_screen: Open, ledger: Ledger) -> None:
    """Each field over the expectations that are checked; a row without a value agrees with nothing, and opens."""
    columns = ("message", "customer", "expected.sentiment", "expected.urgency")
    cells = [["fine", "A", "positive", "1"], ["bad", "B", "negative", ""], ["lost", "C", "neutral", "3"]]
    dataset = ledger.dataset(columns=columns, cells=cells, id_column=None)
    fates = {1: "accepted", 2: "accepted", 3: FAULTS[0]}
    run = ledger.run(dataset, ledger.version(), kind="evaluation", fates=fates, ordinals=list(fates))
    values = {
        1: {"sentiment": "positive", "urgency": 4, "summary": "s"},
        2: {"sentiment": "negative", "urgency": 2, "summary": "s"},
    }
    with ledger.db.atomic():
        for ordinal, value in values.items():
            ledger.db.execute(
                "UPDATE attempts SET value = ? WHERE ordinal = ? AND verdict = 'accepted'", [json.dumps(value), ordinal]
            )
    app = open_screen("run", id=run)
    shown = tables(app)
    assert [[cell["t"] for cell in row["c"]] for row in shown["agreement by field"]["rows"]] == [
        ["sentiment", "67 %", "2 of 3", "100 % of n = 2"],
        ["urgency", "0 %", "0 of 2", "0 % of n = 1"],
        ["all fields", "40 %", "2 of 5", "67 % of n = 3"],
    ]
    assert [[cell["t"] for cell in row["c"]] for row in shown["rows that disagree"]["rows"]] == [
        ["1", "urgency", "1", "4"],
        ["3", "sentiment", '"neutral"', "no value"],
        ["3", "urgency", "3", "no value"],
    ]
    assert "3 expectations not met" in texts(app)
