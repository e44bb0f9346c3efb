"""A ladder of models on the screens: chosen, forecast, and where the rows of a run were answered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.api import Engine
from jobs.options import Ladder, RunOptions
from jobs.testing import StubProvider, marked
from jobs.testing.script import Act, Ask, Script
from tests.house import Home
from tests.jobs.test_climbing import BAD, DEAR, GOOD, of_the_cheap
from tests.workbench.conftest import CONTENT, Open, confirm, press, tables, texts

LADDER = {
    "climbs": [{"model": "dear"}],
    "routes": [{"column": "text", "rule": "is", "value": "straight"}],
    "checks": [{"field": "sentiment", "value": "bad"}],
    "confidence": 0.8,
}


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with StubProvider(of_the_cheap, marked, answer=GOOD, prices={"dear": DEAR}) as provider:
        provider.confidence = lambda row, path: 0.5 if "shaky" in row else 0.99
        yield provider


@pytest.fixture
def house(home: Path, engine: Engine, redis_address: str, stub: StubProvider) -> Iterator[Home]:
    """The app's home at work, with a cheap model and a dear one."""
    made = Home(home, redis_address, stub, more="[stub.prices.dear]\ninput = 10.0\noutput = 20.0\n")
    yield made
    made.close()


def test_a_ladder_is_chosen_forecast_and_launched(
    open_screen: Open, engine: Engine, table: str, keeper: None, home: Path
) -> None:
    """Models, values and rules are what the run gets; before the click the cost stands between none and all."""
    (home / "connections.toml").write_text(
        '[stub]\nbase_url = "http://127.0.0.1:9/v1"\nmodels = ["stub-small", "big"]\n[stub.prices."*"]\ninput = 1.0\noutput = 2.0\n'
        "[stub.prices.big]\ninput = 10.0\noutput = 20.0\n"
    )
    engine.prompts.save("task", CONTENT, note="n")
    app = open_screen("launch", dataset=table, prompt="task@1")
    fields = {one.label: one for one in app.multiselect}
    assert "big@stub" in fields["Dearer models, the dearest last"].options
    fields["Dearer models, the dearest last"].select("big@stub").run()
    fields = {one.label: one for one in app.multiselect}
    assert fields["Always check"].options == ["label=good", "label=bad"]
    fields["Always check"].select("label=bad")
    (rules,) = [one for one in app.text_area if one.label.startswith("Straight")]
    rules.input("text longer 14\nnonsense").run()
    assert "a route is COLUMN longer CHARACTERS" in texts(app)
    (rules,) = [one for one in app.text_area if one.label.startswith("Straight")]
    rules.input("text longer 14").run()
    said = texts(app)
    assert "not known yet: the figures reach from none to all" in said and "All rows on big alone" in said
    assert "no range" not in said and "one a row" not in said
    assert re.search(
        r'Calls</div><div class="value"[^>]*>120 to \d+</div><div class="note">from none to all rows going on', said
    )
    assert re.search(
        r'Money</div><div class="value"[^>]*>\$[\d.]+ to \$[\d.]+</div><div class="note">a guess, from none to all',
        said,
    )
    assert "of n = 120 that were looked up" in said.replace("\\", "")
    assert [row["id"] for row in tables(app)["the ladder"]["rows"]] == ["0", "1"]

    press(app, "Launch 120 rows")
    run = engine.runs.get(1)
    assert run.options.ladder is not None and run.models == ("stub-small", "big")
    assert [str(one) for one in run.options.ladder.checks] == ["label=bad"]
    assert [str(one) for one in run.options.ladder.routes] == ["text longer 14"]


def test_a_rule_that_does_not_fit_the_table_is_refused_before_anything_is_asked(
    open_screen: Open, engine: Engine, table: str, keeper: None
) -> None:
    """The words stand beside a button that no longer offers to launch, and a press makes no run."""
    engine.prompts.save("task", CONTENT, note="n")
    app = open_screen("launch", dataset=table, prompt="task@1", ladder="big@stub", routes="nowhere longer 14")
    assert "It cannot be launched like this" in texts(app) and "there is no column" in texts(app)
    assert not [one for one in app.button if one.label == "Launch 120 rows"]
    assert "Nothing was launched" in texts(press(app, "Launch"))
    assert engine.runs.list()[1] == 0


def test_the_form_begins_with_the_ladder_of_the_address_or_of_the_prompt(
    open_screen: Open, engine: Engine, table: str
) -> None:
    """The address goes first; one that cannot be is left out."""
    kept = Ladder.model_validate({"climbs": [{"model": "big"}]}).model_dump(mode="json")
    engine.prompts.save("task", CONTENT, note="n", defaults={"ladder": kept})
    chosen = {
        name: open_screen("launch", dataset=table, prompt="task@1", **params).multiselect[0].value
        for name, params in (
            ("own", {}),
            ("address", {"ladder": "huge@stub", "sure": "0.9"}),
            ("odd", {"ladder": "huge", "sure": "much"}),
        )
    }
    assert chosen == {"own": ["big"], "address": ["huge@stub"], "odd": []}


def test_a_run_says_where_its_rows_were_answered_and_why_they_went_on(house: Home, open_screen: Open) -> None:
    """A line for each model, the model of each value, and attempts in which a doubted answer is no failure."""
    options = RunOptions.model_validate({"ladder": LADDER})
    run = house.went(["easy", "unsure", "shaky", "hard", "straight"], options=options)
    app = open_screen("run", id=run.id)
    cheap, dear = tables(app)["where rows were answered"]["rows"]
    assert "2 broke" not in str(cheap) and "1 broke the contract twice" in str(cheap)
    assert "1 said what is always checked, 1 were not sure enough" in str(cheap)
    assert "dear" in str(dear)
    values = tables(app)["rows of the run"]
    assert "Model" in str(values["columns"]) and str(values["rows"]).count("stub-model") >= 1
    said = texts(open_screen("run", id=run.id, view="Settings and lineage"))
    assert "Least confidence" in said and "sentiment=bad" in said and "text is straight" in said

    app = open_screen("letter", run=run.id, row=2)
    first, second = tables(app)["attempts"]["rows"]
    assert "went on to dear because sentiment is" in str(first) and "which is always checked" in str(first)
    assert "rejected" not in str(first) and "↑" in str(first) and "accepted" in str(second)
    assert json.dumps(BAD["sentiment"]) in texts(app).replace("\\", "")
    unsure = str(tables(open_screen("letter", run=run.id, row=3))["attempts"]["rows"][0])
    assert "the model gave" in unsure and "0.8 or more" in unsure
    broken = tables(open_screen("letter", run=run.id, row=4))["attempts"]["rows"]
    assert "went on" not in str(broken[0]) and "because the contract was broken again" in str(broken[1])


def test_nobody_dies_of_being_doubted(house: Home, open_screen: Open) -> None:
    """A row dies on the top rung only, of what it met there."""
    run = house.went(["unsure [[invalid always]]"], options=RunOptions.model_validate({"ladder": LADDER}))
    groups, _ = house.engine.letters.groups(run=run.id)

    assert run.counts.dead == 1 and "doubted" not in groups[0].signature


@pytest.mark.parametrize("kept", [True, False])
def test_a_replay_says_its_ladder_which_can_be_left_out(house: Home, open_screen: Open, kept: bool) -> None:
    """Nobody pays a dear model without having seen its name; what went through a batch is asked by ordinary calls."""
    options = RunOptions.model_validate({"ladder": LADDER, "batch": "first"})
    run = house.went(["hard [[invalid always]]"], options=options)
    app = press(open_screen("letter", run=run.id, row=1), "Replay …")
    (box,) = [one for one in app.checkbox if "ladder" in one.label]
    assert box.label.replace("\\", "") == "Keep the ladder: stub-model, then dear at stub" and box.value
    assert "By ordinary calls at the full price" in texts(app)
    if not kept:
        box.uncheck()
    confirm(app, "Replay …", "Replay 1 row")
    replay = house.engine.runs.get(2)

    assert (replay.kind, replay.options.batch) == ("replay", "no")
    assert replay.models == (("stub-model", "dear") if kept else ("stub-model",))


def test_two_models_are_compared_and_the_proposal_is_taken_over(house: Home, open_screen: Open) -> None:
    """What it takes first; then the proposal with its n, the disputed values, and a launch form that begins with them."""
    version = house.version()
    rows = house.dataset([f"{'shaky unsure' if n % 5 == 0 else 'easy'} {n}" for n in range(100)])
    params = {"prompt": version.reference, "dataset": rows.id, "connection": "stub", "dear": "dear@stub"}
    app = open_screen("dear_model", **params)
    assert "at most $" in texts(app) and "takes at least 183 rows, if every answer" in texts(app)
    (asked,) = [one for one in app.number_input if one.label == "Rows"]
    assert asked.value == 200
    assert "100 cannot show it" in texts(app)
    (target,) = [one for one in app.number_input if one.label.startswith("Agreement")]
    target.set_value(90.0).run()
    assert "takes at least 36 rows" in texts(app) and "cannot show it" not in texts(app)
    press(app, "Ask both about 100 rows")
    for run in (1, 2):
        house.ended(run)

    assert app.query_params["target"] == "90"
    app = open_screen("dear_model", runs="1,2", target="90")
    said = texts(app)
    assert "The cheap model will do from here on" in said and "n = 100" in said
    assert "80 % of n = 100" in said
    assert "sentiment=bad" in str(tables(app)["disputed values"]["rows"])
    (checks,) = [one for one in app.multiselect if one.label == "Always check"]
    checks.select("sentiment=bad").run()
    checked = texts(app)
    assert "All figures are with sentiment=bad always checked" in checked.replace("\\", "")
    assert "No least confidence is needed" in checked and "No least confidence is needed" not in said
    press(app, "Take this over into a run")
    fields = {one.label: one.value for one in app.multiselect}
    assert fields["Dearer models, the dearest last"] == ["dear@stub"] and fields["Always check"] == ["sentiment=bad"]
    (sure,) = [one for one in app.number_input if one.label == "Least confidence"]
    assert sure.value is None
    app = press(open_screen("dear_model", runs="1,2", target="90"), "Take this over into a run")
    (sure,) = [one for one in app.number_input if one.label == "Least confidence"]
    assert sure.value is not None and 0.5 < sure.value < 1


def test_where_it_takes_more_rows_a_press_leads_to_asking_them(house: Home, open_screen: Open) -> None:
    """The page that asks begins with as many, the same two models and the same wish; nothing is asked yet."""
    here = house.settings.connection("stub")
    runs = house.engine.trials.rivals(
        version=house.version(),
        dataset=house.dataset([f"easy {n}" for n in range(240)]),
        cheap=(here, "stub-model"),
        dear=(here, "dear"),
        sample=60,
        key="k",
    )
    for run in runs:
        house.ended(run)
    app = open_screen("dear_model", runs=",".join(map(str, runs)), target="98")
    assert "it would take about 183 rows" in texts(app).replace("\\", "")
    press(app, "Ask about 183 rows …")

    assert [one.value for one in app.number_input] == [183, 98.0]
    assert "stub-model at stub" in texts(app) and "dear at stub" in texts(app)
    assert (
        "Ask both about 183 rows" in [one.label for one in app.button] and house.engine.runs.list(kinds=["try"])[1] == 2
    )


def untold(ask: Ask) -> Act | None:
    """Of unsure rows the endpoint does not tell how sure it is."""
    if ask.model == "dear" or "unsure" not in ask.user:
        return None
    choice = {"index": 0, "message": {"role": "assistant", "content": json.dumps(BAD)}, "finish_reason": "stop"}
    return Act(body=json.dumps({"id": "x", "object": "chat.completion", "choices": [choice]}).encode())


@pytest.mark.parametrize(
    ("script", "words", "least"),
    [(of_the_cheap, "Least confidence 1:", 1.0), (untold, "Any confidence will do, rows without one climb:", 1e-6)],
)
def test_a_proposal_at_an_end_of_the_scale_is_taken_over_too(
    house: Home, open_screen: Open, script: Script, words: str, least: float
) -> None:
    """What climbs in the figures of the page climbs in the run: all below 1, and what is not told."""
    house.stub.scripts = (script,)
    house.stub.confidence = lambda row, path: 0.9999995 if "unsure" in row else 1.0
    rows = house.dataset([f"{'unsure' if n % 4 == 0 else 'easy'} {n}" for n in range(80)])
    house.engine.trials.rivals(
        version=house.version(),
        dataset=rows,
        cheap=(house.settings.connection("stub"), "stub-model"),
        dear=(house.settings.connection("stub"), "dear"),
        key="both",
    )
    for run in (1, 2):
        house.ended(run)
    app = open_screen("dear_model", runs="1,2", target="90")
    assert words in texts(app)
    press(app, "Take this over into a run")
    (field,) = [one for one in app.number_input if one.label == "Least confidence"]
    assert field.value == least


def test_where_nobody_tells_how_sure_a_model_is_the_page_says_so(house: Home, open_screen: Open) -> None:
    """What remains are values that are always checked, and contract failures."""
    house.stub.confidence = None
    here = house.settings.connection("stub")
    runs = house.engine.trials.rivals(
        version=house.version(),
        dataset=house.dataset(["easy", "unsure", "hard"] * 10),
        cheap=(here, "stub-model"),
        dear=(here, "dear"),
        key="k",
    )
    for run in runs:
        house.ended(run)
    said = texts(open_screen("dear_model", runs=",".join(map(str, runs))))

    assert "tells no log-probabilities" in said and "No least confidence is proposed" in said
    assert "10 % of n" not in said and "these climb anyway" in said


def test_without_anything_to_compare_it_leads_to_the_form(open_screen: Open) -> None:
    """An address that somebody typed."""
    assert "Nothing to compare" in texts(open_screen("dear_model"))


def test_a_budget_with_a_rung_that_has_no_price_is_refused_before_the_launch(
    open_screen: Open, engine: Engine, table: str, home: Path
) -> None:
    """It names the rung, where the price goes, and what else can be done; nothing is started."""
    (home / "connections.toml").write_text(
        '[stub]\nbase_url = "http://127.0.0.1:9/v1"\nmodels = ["stub-small"]\n[stub.prices.stub-small]\ninput = 1.0\noutput = 2.0\n'
    )
    engine.prompts.save("task", CONTENT, note="n", defaults={"budget": 1.0, "ladder": {"climbs": [{"model": "big"}]}})
    app = open_screen("launch", dataset=table, prompt="task@1")
    said = texts(app).replace("\\", "")
    assert "It cannot be launched like this" in said and "Rung big: a budget needs a price" in said
    assert "leave the budget or the rung out" in said
    assert "Nothing was launched" in texts(press(app, "Launch"))
    assert engine.runs.list()[1] == 0
