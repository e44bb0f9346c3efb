"""Numbers out of range: handed over by the browser, refused in words, and nothing begun with the number before."""

from __future__ import annotations

import html
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import NumberInput

from jobs.api import Engine
from tests.jobs.ledger import FAULTS, Ledger
from tests.workbench.conftest import CONTENT, Open, confirm, press, texts


@pytest.fixture
def prompt(engine: Engine) -> str:
    """A prompt with one version; its name."""
    engine.prompts.save("triage", CONTENT, note="first")
    return "triage"


def _field(app: AppTest, label: str) -> NumberInput:
    """The one field of that label; it has no bounds by which the browser would keep a number to itself."""
    (field,) = [one for one in app.number_input if one.label == label]
    assert not field.proto.has_min and not field.proto.has_max
    return field


def _said(app: AppTest) -> str:
    return html.unescape(texts(app))


@pytest.mark.usefixtures("prompt", "keeper")
@pytest.mark.parametrize(
    ("label", "typed", "refusal"),
    [
        ("Budget, $", -3.0, "Budget, $ cannot be -3. Allowed: more than 0; empty: no limit."),
        ("Budget, $", 0.0, "Budget, $ cannot be 0. Allowed: more than 0; empty: no limit."),
        ("Rows", 0, "Rows cannot be 0. Allowed: 1 or more; empty: all."),
        ("Strikes", 99, "Strikes cannot be 99. Allowed: 1 to 10."),
        ("Calls in flight", 5000, "Calls in flight cannot be 5,000. Allowed: 1 to 2,000."),
        ("Rows a call", 0, "Rows a call cannot be 0. Allowed: 1 to 50."),
        ("Requests a minute", 0, "Requests a minute cannot be 0. Allowed: 1 or more; empty: inherited."),
        ("Tokens a minute", -1, "Tokens a minute cannot be -1. Allowed: 1 or more; empty: inherited."),
        ("Timeout, s", 3601.0, "Timeout, s cannot be 3,601. Allowed: more than 0, at most 3,600."),
    ],
)
def test_a_run_is_not_launched_with_a_number_out_of_range(
    open_screen: Open, engine: Engine, table: str, label: str, typed: float, refusal: str
) -> None:
    """The field, what was typed and what is allowed are named; the button promises nothing and begins nothing."""
    app = open_screen("launch", dataset=table)
    _field(app, label).set_value(typed).run()
    (button,) = [one for one in app.button if one.label.startswith("Launch")]
    assert refusal in _said(app) and (button.label, button.proto.type) == ("Launch", "secondary")
    assert "Nothing was launched: it cannot be like this" in texts(button.click().run())
    assert engine.runs.list()[1] == 0


@pytest.mark.usefixtures("prompt", "keeper")
def test_a_number_that_was_mended_is_launched_with(open_screen: Open, engine: Engine, table: str) -> None:
    """Strikes at the very bound are taken, after a number beyond it was refused."""
    app = open_screen("launch", dataset=table)
    _field(app, "Strikes").set_value(11).run()
    _field(app, "Strikes").set_value(10).run()
    assert "Strikes cannot be" not in texts(app)
    press(app, "Launch 120 rows")
    assert [run.options.strikes for run in engine.runs.list()[0]] == [10]


@pytest.mark.usefixtures("keeper")
def test_a_least_confidence_is_no_percentage(open_screen: Open, engine: Engine, table: str) -> None:
    """98 is refused beside the button, where a ladder asks for a probability."""
    engine.prompts.save(
        "triage", CONTENT, note="first", defaults={"ladder": {"climbs": [{"model": "big"}], "confidence": 0.9}}
    )
    app = open_screen("launch", dataset=table)
    _field(app, "Least confidence").set_value(98.0).run()
    assert "Least confidence cannot be 98. Allowed: 0 to 1; empty: not asked." in _said(app)
    press(app, "Launch")
    assert engine.runs.list()[1] == 0


@pytest.mark.usefixtures("keeper")
def test_an_evaluation_is_not_begun_with_a_number_out_of_range(open_screen: Open, engine: Engine, prompt: str) -> None:
    """A budget below 0 is refused in the dialog."""
    engine.prompts.write_back(prompt, 1)
    (engine.settings.prompts / prompt / "golden.csv").write_text("text,expected.label\nfine,good\n")
    app = press(open_screen("prompt", name=prompt), "Evaluate …")
    _field(app, "Budget, $").set_value(-3.0)
    app = press(app, "Evaluate …")
    assert "Budget, $ cannot be -3." in _said(app)
    confirm(app, "Evaluate …", "Evaluate 1 golden row")
    assert engine.runs.list(kinds=["evaluation"])[1] == 0


@pytest.mark.usefixtures("keeper")
@pytest.mark.parametrize(
    ("opener", "button", "typed"),
    [("Replay …", "Replay 1 row", 99), ("Edit the row …", "Replay the edited row", 0)],
)
def test_a_replay_is_not_begun_with_a_number_out_of_range(
    open_screen: Open, ledger: Ledger, engine: Engine, opener: str, button: str, typed: int
) -> None:
    """Of a letter as it is or of its edited row: strikes beyond the bounds are refused, with no forecast beside them."""
    run = ledger.run(ledger.dataset(2), ledger.version(), fates={1: FAULTS[0], 2: "accepted"}, connection="stub")
    app = press(open_screen("letter", run=run, row=1), opener)
    assert "Forecast" in texts(app)
    _field(app, "Strikes").set_value(typed)
    for area in app.text_area:
        area.set_value("edited")
    app = press(app, opener)
    assert f"Strikes cannot be {typed}. Allowed: 1 to 10." in _said(app) and "Forecast" not in texts(app)
    (inner,) = [one for one in app.button if one.label == button]
    next(one for one in app.button if one.label == opener).click()
    inner.click().run()
    assert engine.runs.list(kinds=["replay"])[1] == 0


@pytest.mark.usefixtures("keeper")
def test_another_budget_is_none_below_zero(open_screen: Open, ledger: Ledger, engine: Engine) -> None:
    """The run keeps the budget that it has, and the dialog says why."""
    run = ledger.run(ledger.dataset(10), ledger.version(), due=4, state="paused", options={"budget": 0.01})
    app = press(open_screen("run", id=run), "Budget …")
    _field(app, "Budget of the whole run, in US dollars").set_value(-2.0)
    app = press(app, "Budget …")
    assert "in US dollars cannot be -2." in _said(app)
    (inner,) = [one for one in app.button if one.label == "Set this budget"]
    next(one for one in app.button if one.label == "Budget …").click()
    inner.click().run()
    assert engine.runs.get(run).options.budget == 0.01


@pytest.mark.usefixtures("keeper")
def test_two_models_are_not_asked_about_a_number_of_rows_out_of_range(
    open_screen: Open, engine: Engine, table: str, prompt: str, home: Path
) -> None:
    """Rows and agreement beyond their bounds are both named below the button."""
    connections = home / "connections.toml"
    connections.write_text(connections.read_text().replace('"stub-small"', '"stub-small", "dear"'))
    app = open_screen("dear_model", prompt=f"{prompt}@1", dataset=table, connection="stub", dear="dear@stub")
    _field(app, "Rows").set_value(7)
    _field(app, "Agreement that the finished table must reach, %").set_value(100.0).run()
    said = _said(app)
    assert "Rows cannot be 7. Allowed: 20 to 5,000." in said
    assert "must reach, % cannot be 100. Allowed: 50 to 99.9." in said
    (button,) = [one for one in app.button if one.label.startswith("Ask both about")]
    button.click().run()
    assert engine.runs.list(kinds=["try"])[1] == 0
