"""An evaluation in the browser: begun on the prompt's page, and read on the run's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.api import Engine
from tests.jobs.ledger import FAULTS, Ledger
from tests.workbench.conftest import CONTENT, Open, act, press, tables, texts

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
    app = open_screen("prompt", name="triage")
    assert "by stub-small at stub" in texts(press(app, "Evaluate …"))
    app = act(app, "Evaluate …", "Evaluate")
    ((run,), _) = engine.runs.list(kinds=("evaluation",))
    assert (run.version, run.counts.rows, run.options.reuse) == ("triage@1", 2, False)
    assert f"Evaluation {run.id}" in texts(app) and "Nothing is checked yet" in texts(app)


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
