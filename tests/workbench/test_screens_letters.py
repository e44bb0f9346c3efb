"""Dead letters by cause, the letters of one, and the inspector, as AppTest draws them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from jobs.api import Engine
from tests.jobs.ledger import CONTRACT, FAULTS, Ledger
from tests.workbench.conftest import Open, act, confirm, elements, links, press, tables, texts

FIRST = FAULTS[0].signature


@pytest.fixture
def died(ledger: Ledger) -> int:
    """A run of 40 rows of which 18 died, three of each cause; its id."""
    return ledger.run(ledger.dataset(40), ledger.version(), dead=18, connection="stub")


def ids(app: AppTest, label: str) -> list[str]:
    return [row["id"] for row in tables(app)[label]["rows"]]


def address(app: AppTest, name: str) -> str:
    return str(app.query_params[name]).strip("[]'")


def button(app: AppTest, label: str) -> Any:
    (found,) = [one for one in app.button if one.label.startswith(label)]
    return found


def resolutions(engine: Engine, run: int) -> dict[str, int]:
    return engine.runs.resolutions(run)


# groups and letters


def test_no_dead_letter_says_what_would_stand_here(open_screen: Open) -> None:
    """The empty page explains itself and leads to the runs."""
    app = open_screen("dead_letters")
    assert "No dead letter is open" in texts(app)
    assert "Look at the runs" in links(app)


def test_causes_are_told_in_words_with_their_share(open_screen: Open, died: int) -> None:
    """Each cause has its title, count, share, versions, runs, cost and an example."""
    found = tables(open_screen("dead_letters"))["dead letters by cause"]
    assert len(found["rows"]) == len(FAULTS)
    row = next(row for row in found["rows"] if row["id"] == FIRST)
    told = {column["k"]: cell["t"] for column, cell in zip(found["columns"], row["c"], strict=True)}
    assert (told["title"], told["count"], told["share"]) == ("sentiment is missing", "3", "17 %")
    assert (told["versions"], told["runs"]) == ("triage@1", str(died))
    assert told["raw"] == FAULTS[0].raw and told["cost"].startswith("$")


def test_the_filter_is_in_the_address(open_screen: Open, ledger: Ledger, died: int) -> None:
    """Run, prompt and resolution of the address choose the letters; an unknown run shows none."""
    other = ledger.run(ledger.dataset(10, name="b.csv"), ledger.version(prompt="other"), dead=2)
    ledger.discard(other, ledger.dead(other)[:1])

    def shown(**params: object) -> int:
        found = tables(open_screen("dead_letters", **params)).get("dead letters by cause", {"rows": []})
        return len(found["rows"])

    assert shown() == len(FAULTS)
    assert shown(prompt="other") == 1
    assert shown(run=other, resolution="any") == 2
    assert shown(resolution="discarded") == 1
    assert shown(run=99) == 0


def test_cards_list_and_decisions_are_of_the_run_that_is_chosen(open_screen: Open, ledger: Ledger, died: int) -> None:
    """The chosen run is named, its numbers are its own, its decisions are about its rows, and one press shows all again."""
    replay = ledger.replay(died, ledger.version(number=2), fixed=2, same=3)
    again, others = ledger.dead(replay), sorted(set(ledger.dead(died)) - set(ledger.dead(replay)))
    ledger.discard(replay, again[:1])
    ledger.discard(died, others[-1:])
    app = open_screen("dead_letters", run=replay)
    (field,) = [one for one in app.text_input if one.label == "Run"]
    assert field.value == str(replay)
    (figures,) = [one.proto.body for one in app.get("html") if one.proto.body.startswith('<div class="rd-figures')]
    assert (
        f'Open</div><div class="value" style="color:var(--rd-dead)">2</div><div class="note">of run {replay}<'
        in figures
    )
    decided = [[cell["t"] for cell in row["c"]] for row in tables(app)["decisions"]["rows"]]
    assert [line[1] for line in decided] == ["discard", "replay with triage@2"]
    app = press(app, f"only run {replay} ✕")
    assert "run" not in app.query_params and not [one for one in app.button if "only run" in one.label]
    assert "of all runs" in texts(app) and len(tables(app)["decisions"]["rows"]) == 3


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"run": "abc"}, "A run is named by its number, not by 'abc'."),
        ({"prompt": "nobody"}, "There is no prompt 'nobody'."),
        ({"resolution": "closed"}, "There is no resolution 'closed'."),
    ],
)
def test_a_filter_that_cannot_be_read_shows_nothing_and_offers_nothing(
    open_screen: Open, died: int, params: dict[str, str], says: str
) -> None:
    """It is never taken for no filter, whose letters nobody meant."""
    app = open_screen("dead_letters", **params)
    assert says.replace("'", "&#x27;") in texts(app) and not tables(app)
    assert not [one for one in app.button if one.label.startswith(("Replay", "Discard"))]
    app = press(app, "Clear the filter")
    assert len(tables(app)["dead letters by cause"]["rows"]) == len(FAULTS)


def test_another_choice_is_written_into_the_address_and_begins_at_the_first_page(
    open_screen: Open, ledger: Ledger
) -> None:
    """The page number of the choice before is not carried over."""
    for name in ("a.csv", "b.csv"):
        ledger.run(ledger.dataset(130, name=name), ledger.version(prompt=name[0]), dead=120, faults=FAULTS[:1])
    app = open_screen("dead_letters", signature=FIRST, page=3)
    assert ids(app, "dead letters")[0].startswith("2:")
    app.text_input(key="run:").input("1").run()
    assert str(app.query_params["run"]).strip("[]'") == "1"
    assert len(ids(app, "dead letters")) == 50 and "1–50 of 120 dead letters" in texts(app)


def test_a_cause_opens_its_letters(open_screen: Open, died: int, ledger: Ledger) -> None:
    """The letters of one cause, by ids, and what can be done with all of them."""
    app = open_screen("dead_letters", signature=FIRST)
    mine = [each.partition(":")[2] for each in ids(app, "dead letters")]
    found = ledger.db.execute("SELECT ordinal FROM dead_letters WHERE signature = ? ORDER BY ordinal", (FIRST,))
    assert mine == [str(ordinal) for (ordinal,) in found.fetchall()]
    assert '<h1 class="rd-h1">sentiment is missing' in texts(app)
    assert [one.label for one in app.button if "3 open" in one.label] == ["Replay 3 open …", "Discard 3 open …"]
    tweak = links(app)["Tweak the prompt"]
    assert "name=triage" in tweak and f"rows={'%2C'.join(mine)}" in tweak


@pytest.mark.usefixtures("keeper")
def test_a_group_is_discarded_with_a_reason_and_the_decision_undone(
    open_screen: Open, died: int, engine: Engine
) -> None:
    """Without a reason nothing is done, and the dialog says so; with one, one press discards."""
    app = act(open_screen("dead_letters", signature=FIRST), "Discard 3 open …", "Discard 3 dead letters")
    assert "A reason is required: " in texts(app) and resolutions(engine, died) == {"open": 18}
    app = act(app, "Discard 3 open …", "Discard 3 dead letters", Reason="not ours")
    assert resolutions(engine, died) == {"open": 15, "discarded": 3}
    (decision,) = engine.letters.decisions()
    assert decision.reason == "not ours"
    assert "None of them is open" in texts(app)


@pytest.mark.usefixtures("keeper")
def test_what_dies_after_the_look_is_not_taken_along(
    open_screen: Open, died: int, engine: Engine, ledger: Ledger
) -> None:
    """The dialog says how many and of when; a replay takes exactly these, and the letters are being replayed."""
    app = press(open_screen("dead_letters", signature=FIRST), "Replay 3 open …")
    said = texts(app)
    assert f"3 open dead letters of run {died}, as they were at" in said
    assert "Forecast" in said
    act(app, "Replay 3 open …", "Replay 3 rows")
    assert resolutions(engine, died) == {"open": 15, "replaying": 3}
    (replay, *_), total = engine.runs.list(kinds=["replay"])
    assert (total, replay.parent, replay.counts.rows) == (1, died, 3)
    assert "Replay" in texts(app) and "waiting" in texts(app)


def test_a_new_version_comes_back_as_the_one_to_replay_with(open_screen: Open, died: int, ledger: Ledger) -> None:
    """The editor hands its saved version over by the address, and the dialog begins with it."""
    ledger.version(number=2)
    app = open_screen("dead_letters", signature=FIRST, version="triage@2")
    assert "triage@2 is ready" in texts(app)
    press(app, "Replay 3 open …")
    (version,) = [one for one in app.selectbox if one.label == "Version"]
    assert version.value == "triage@2"


@pytest.mark.usefixtures("keeper")
@pytest.mark.parametrize(
    ("verb", "button_"), [("Replay …", "Replay 1 row"), ("Edit the row …", "Replay the edited row")]
)
def test_the_newest_version_is_the_one_to_replay_with(
    open_screen: Open, ledger: Ledger, died: int, engine: Engine, verb: str, button_: str
) -> None:
    """A version saved since is said to be newer and is chosen, for a replay as for an edited row; the run's own is a choice."""
    for number in (2, 3):
        ledger.version(number=number)
    says = "triage@3 is newer than triage@1, with which these letters failed"
    assert says in texts(open_screen("dead_letters")) and says in texts(open_screen("dead_letters", signature=FIRST))
    app = press(inspector(open_screen, ledger, died), verb)
    (version,) = [one for one in app.selectbox if one.label == "Version"]
    assert version.value == "triage@3" and says in texts(app)
    for field in [one for one in app.text_area if one.label == "message"]:
        field.input("edited by hand")
    button(app, verb).click()
    confirm(app, verb, button_)
    assert [run.version for run in engine.runs.list(kinds=["replay"])[0]] == ["triage@3"]


def test_the_forecast_follows_the_version_that_is_chosen(open_screen: Open, ledger: Ledger, died: int) -> None:
    """The newest has no past, and its forecast is a guess; the run's own has one."""
    ledger.version(number=2)
    app = press(open_screen("dead_letters"), "Replay 18 open …")
    assert "a guess, no range" in texts(app)
    (version,) = [one for one in app.selectbox if one.label == "Version"]
    version.select("")
    button(app, "Replay 18 open …").click().run()
    assert "about other rows" in texts(app)


def test_letters_that_failed_with_the_newest_version_are_told_of_none(open_screen: Open, died: int) -> None:
    """Then the replay begins as in their run, and says nothing of versions."""
    app = press(open_screen("dead_letters"), "Replay 18 open …")
    (version,) = [one for one in app.selectbox if one.label == "Version"]
    assert version.value == "" and "is newer" not in texts(app)


def test_a_forecast_over_two_runs_does_not_contradict_itself(open_screen: Open, ledger: Ledger) -> None:
    """Re-asks that are in it are in the number of calls, and it says which rows are a guess."""
    ledger.run(ledger.dataset(60), ledger.version(), dead=12, connection="stub")
    ledger.run(ledger.dataset(8), ledger.version(prompt="company", number=2), dead=3, connection="stub")
    said = texts(press(open_screen("dead_letters"), "Replay 15 open …"))
    assert "are in this forecast" in said and "one a row" not in said
    assert 'Calls</div><div class="value" style="color:var(--rd-plain)">about 21<' in said
    assert "a guess for 3 rows" in said and "for 3 of 15 rows from the rendered prompt" in said


def test_many_letters_must_be_typed(open_screen: Open, ledger: Ledger, engine: Engine) -> None:
    """Above a hundred the number is typed before a press starts anything."""
    ledger.run(ledger.dataset(130), ledger.version(), dead=120, faults=FAULTS[:1], connection="stub")
    app = press(open_screen("dead_letters"), "Replay 120 open …")
    assert "Type 120 to confirm" in [one.label[:19] for one in app.text_input]
    app = confirm(app, "Replay 120 open …", "Replay 120 rows")
    assert "Type 120 here first" in texts(app) and engine.runs.list(kinds=["replay"])[1] == 0


@pytest.mark.usefixtures("keeper")
def test_the_editor_is_given_only_rows_that_still_fail(open_screen: Open, ledger: Ledger, died: int) -> None:
    """A row that was corrected or discarded is no failing row, neither in its group nor on its own page."""
    mine = [int(each.partition(":")[2]) for each in ids(open_screen("dead_letters", signature=FIRST), "dead letters")]
    ledger.discard(died, mine[:1])
    tweak = links(open_screen("dead_letters", signature=FIRST))["Tweak the prompt"]
    assert f"rows={'%2C'.join(map(str, mine[1:]))}" in tweak
    assert "rows=" not in links(open_screen("letter", run=died, row=mine[0]))["Tweak the prompt"]
    ledger.discard(died, mine[1:])
    assert "rows=" not in links(open_screen("dead_letters", signature=FIRST))["Tweak the prompt"]


# the inspector


def inspector(open_screen: Open, ledger: Ledger, run: int, *, cause: int = 0, **params: object) -> AppTest:
    found = ledger.db.execute(
        "SELECT ordinal FROM dead_letters WHERE run = ? AND signature = ? ORDER BY ordinal",
        (run, FAULTS[cause].signature),
    ).fetchone()
    return open_screen("letter", run=run, row=found[0], **params)


def test_the_inspector_shows_all_that_is_known(open_screen: Open, ledger: Ledger, died: int) -> None:
    """Cells, prompt, raw reply with the problem's place, expected against got, attempts with tokens and money, timeline."""
    app = inspector(open_screen, ledger, died)
    (raw,) = [data for data in elements(app) if "problems" in data]
    assert raw["problems"][0]["path"] == "sentiment" and raw["problems"][0]["got"] == "nothing"
    assert raw["lines"][0]["n"] == 1
    attempts = tables(app)["attempts"]["rows"]
    assert len(attempts) == 3 and all("$" in str(row) for row in attempts)
    assert "became a dead letter" in json.dumps(tables(app)["timeline"])
    said = texts(app)
    assert "attempt 3 of 3" in said.lower() and "From " in said
    assert "What changed from attempt 2 to attempt 3" in said


def test_an_older_attempt_is_looked_at_by_the_address(open_screen: Open, ledger: Ledger, died: int) -> None:
    """The attempt in the address is the one whose reply stands at the top."""
    app = inspector(open_screen, ledger, died)
    first = ids(app, "attempts")[0]
    app = inspector(open_screen, ledger, died, attempt=first)
    assert "attempt 1 of 3" in texts(app).lower()
    assert "nothing stands before it" in texts(app)


def test_attempts_are_switched_at_the_top(open_screen: Open, ledger: Ledger, died: int) -> None:
    """The last is chosen; another one changes the reply beside its problems, and is in the address."""
    app = inspector(open_screen, ledger, died)
    numbers = ids(app, "attempts")
    switch = app.button_group(key=f"attempt:{numbers[-1]}")
    assert [option.content for option in switch.proto.options] == ["Attempt 1", "Attempt 2", "Attempt 3"]
    switch.set_value(numbers[0]).run()
    assert address(app, "attempt") == numbers[0] and "attempt 1 of 3" in texts(app).lower()
    assert "attempt" not in press(app, "Next").query_params


def test_next_and_previous_stay_in_the_group(open_screen: Open, ledger: Ledger, died: int) -> None:
    """J and K walk the letters of the same cause in the list's order, and stop at its ends."""
    app = inspector(open_screen, ledger, died, signature=FIRST)
    assert [button(app, name).proto.shortcut for name in ("Previous", "Next")] == ["k", "j"]
    assert button(app, "Previous").disabled
    places = [app.query_params["row"]]
    while not button(app, "Next").disabled:
        press(app, "Next")
        places.append(app.query_params["row"])
    found = ledger.db.execute("SELECT ordinal FROM dead_letters WHERE signature = ? ORDER BY ordinal", (FIRST,))
    assert [str(place).strip("[]'") for place in places] == [str(ordinal) for (ordinal,) in found.fetchall()]


@pytest.mark.usefixtures("keeper")
def test_a_value_by_hand_is_held_to_the_contract_field_by_field(
    open_screen: Open, ledger: Ledger, died: int, engine: Engine
) -> None:
    """The form begins with what the reply meant; the missing field is named there, and only a whole value is accepted."""
    app = press(inspector(open_screen, ledger, died), "Correct the value …")
    assert "sentiment is missing</strong>" not in texts(app)
    confirm(app, "Correct the value …", "Accept this value")
    assert "sentiment is missing</strong>" in texts(app) and resolutions(engine, died) == {"open": 18}
    (sentiment,) = [one for one in app.selectbox if one.label == "sentiment"]
    sentiment.select_index(2)
    button(app, "Correct the value …").click()
    button(app, "Accept this value").click().run()
    assert resolutions(engine, died) == {"open": 17, "corrected": 1}
    (decision,) = engine.letters.decisions()
    assert decision.value == {"sentiment": "negative", "urgency": 3, "summary": "Wants refund"}
    app = open_screen("letter", run=died, row=decision.ordinals[0])
    assert "corrected by hand" in texts(app)
    act(app, "Undo the correction …", "Undo it")
    assert resolutions(engine, died) == {"open": 18}


@pytest.mark.usefixtures("keeper")
@pytest.mark.parametrize("verb", ["discarded", "corrected by hand"])
def test_after_a_decision_the_next_open_letter_is_shown_with_the_way_back(
    open_screen: Open, ledger: Ledger, died: int, engine: Engine, verb: str
) -> None:
    """A correction goes on as a discard does; what was decided is named there, and one press takes it back and returns."""
    first, second, third = (letter for _, letter in engine.letters.ids(run=died, signature=FIRST))
    ledger.discard(died, [second])

    app = open_screen("letter", run=died, row=first, signature=FIRST)
    if verb == "discarded":
        app = act(app, "Discard …", "Discard", Reason="not ours")
    else:
        press(app, "Correct the value …")
        (sentiment,) = [one for one in app.selectbox if one.label == "sentiment"]
        sentiment.select_index(2)
        app = confirm(app, "Correct the value …", "Accept this value")
    assert (address(app, "row"), address(app, "signature")) == (str(third), FIRST)
    says = f"Row T-{first:06} is {verb}."
    assert says in texts(app) and resolutions(engine, died)[verb.split()[0]] == 1 + (verb == "discarded")
    app = press(app, "Undo")
    assert address(app, "row") == str(first) and says not in texts(app)
    assert resolutions(engine, died) == {"open": 17, "discarded": 1}


@pytest.mark.usefixtures("keeper")
def test_the_last_open_letter_stays_on_the_screen_after_a_decision(
    open_screen: Open, ledger: Ledger, engine: Engine
) -> None:
    """Nothing is left to go on to: it shows what became of it."""
    run = ledger.run(ledger.dataset(5), ledger.version(), fates={2: FAULTS[0]})
    app = act(open_screen("letter", run=run, row=2), "Discard …", "Discard", Reason="not ours")
    assert address(app, "row") == "2" and button(app, "Undo the discard …")
    assert [told.value for told in app.toast] == ["Row T\\-000002 is discarded"]


def test_a_contract_that_is_not_flat_is_corrected_as_json(open_screen: Open, ledger: Ledger, engine: Engine) -> None:
    """Nested values are given as JSON, and what is wrong is said when it is to be accepted."""
    nested = CONTRACT | {
        "properties": CONTRACT["properties"] | {"tags": {"type": "array", "items": {"type": "string"}}}
    }
    run = ledger.run(ledger.dataset(10), ledger.version(contract=nested), dead=1)
    app = press(inspector(open_screen, ledger, run), "Correct the value …")
    (field,) = [one for one in app.text_area if one.label == "The value, as JSON"]
    field.input('{"sentiment": "neutral", "urgency": 3, "summary": "x", "tags": [1]}')
    confirm(app, "Correct the value …", "Accept this value")
    assert "tags[0] has the wrong type" in texts(app)
    assert resolutions(engine, run) == {"open": 1}


@pytest.mark.usefixtures("keeper")
def test_an_edited_row_is_replayed_and_the_original_stays(
    open_screen: Open, ledger: Ledger, died: int, engine: Engine
) -> None:
    """The replay asks about the edited cells; the inspector of the replay shows both side by side."""
    app = press(inspector(open_screen, ledger, died), "Edit the row …")
    assert "Forecast" in texts(app) and "for the row as it was; " in texts(app)
    confirm(app, "Edit the row …", "Replay the edited row")
    assert "Nothing is edited: " in texts(app) and engine.runs.list(kinds=["replay"])[1] == 0
    (field,) = [one for one in app.text_area if one.label == "message"]
    before = field.value
    field.input("edited by hand")
    button(app, "Edit the row …").click()
    button(app, "Replay the edited row").click().run()
    (replay, *_), _ = engine.runs.list(kinds=["replay"])
    ordinal = engine.letters.before_after(replay.id, offset=0, limit=1)[0][0].ordinal
    seen = engine.letters.inspect(replay.id, ordinal)
    assert (seen.cells["message"], seen.original_cells["message"]) == ("edited by hand", before)
    said = texts(open_screen("letter", run=replay.id, row=ordinal))
    assert "as it was edited" in said and "edited by hand" in said
    said = texts(open_screen("replay", id=replay.id))
    assert "✎ 1 cell edited" in said and "as it was edited" in said and str(before).split("\n")[0] in said
    decided = tables(open_screen("run", id=died, view="Decisions"))["decisions"]["rows"]
    assert "replay with triage@1, 1 edited row" in [cell["t"] for cell in decided[0]["c"]]


@pytest.mark.usefixtures("keeper")
def test_a_decision_names_its_rows_and_says_what_undoing_it_will_do(
    open_screen: Open, ledger: Ledger, died: int, engine: Engine
) -> None:
    """In the list, in the dialog before it is undone, and in the message after it was."""
    one, *more = ledger.dead(died)[:5]
    ledger.discard(died, [one])
    ledger.discard(died, more)
    rows = {
        row["id"]: [cell["t"] for cell in row["c"]] for row in tables(open_screen("dead_letters"))["decisions"]["rows"]
    }
    first, *rest = (f"T-{ordinal:06}" for ordinal in (one, *more))
    assert rows["1"][2:4] == ["1", first] and rows["2"][2:4] == ["4", f"{', '.join(rest[:3])} and 1 more"]
    app = press(open_screen("letter", run=died, row=one), "Undo the discard …")
    assert f"Discard of row {first} of run {died}" in texts(app) and "The letter will be open again." in texts(app)
    app = confirm(app, "Undo the discard …", "Undo it")
    assert [told.value.replace("\\", "") for told in app.toast] == [f"Decision 1 is undone: row {first}"]
    app = press(app, "Discard …")
    assert f"1 open dead letter of run {died}, as it was at" in texts(app)


def test_a_resolved_letter_cannot_be_resolved_again(open_screen: Open, ledger: Ledger, died: int) -> None:
    """Its buttons are disabled and say why."""
    ledger.discard(died, ledger.dead(died))
    app = inspector(open_screen, ledger, died)
    for label in ("Replay …", "Edit the row …", "Correct the value …", "Discard …"):
        assert button(app, label).disabled and "discarded" in button(app, label).help


def test_an_accepted_row_can_be_inspected_too(open_screen: Open, ledger: Ledger, died: int) -> None:
    """It shows its value and receipt, and nothing to resolve."""
    dead = set(ledger.dead(died))
    app = open_screen("letter", run=died, row=next(n for n in range(1, 41) if n not in dead))
    said = texts(app)
    assert "The value that stands now" in said and "Receipt: strict" in said
    assert not [one for one in app.button if one.label.startswith("Discard")]


@pytest.mark.usefixtures("keeper")
def test_an_id_of_a_whole_page_does_not_take_the_screen(open_screen: Open, ledger: Ledger, engine: Engine) -> None:
    """Headings, decisions and messages show its beginning; the row's cells show it."""
    long = "<i>" + "L" * 10_000
    version = ledger.version()
    run = ledger.run(ledger.dataset(cells=[(long, "a", "b", "c"), ("2", "a", "b", "c")]), version, dead=2)
    replay = ledger.replay(run, version, same=1)
    app = act(open_screen("letter", run=run, row=2), "Discard …", "Discard", Reason="no")
    app = press(app, "Undo")
    for app in (
        open_screen("letter", run=replay, row=1),
        open_screen("replay", id=replay),
        open_screen("dead_letters", run=run),
        act(open_screen("letter", run=replay, row=1), "Discard …", "Discard", Reason="no"),
    ):
        shown = [
            *(one.proto.body for one in app.get("html")),
            *(one.value for one in (*app.text, *app.toast, *app.caption)),
        ]
        shown += [one.proto.label for one in (*app.button, *app.get("page_link"))]
        heads = [text for text in shown if "L" * 20 in text and "rd-cells" not in text]
        assert all("L" * 100 not in text for text in heads)


def test_hostile_replies_and_cells_stay_text(open_screen: Open, ledger: Ledger) -> None:
    """Mark-up in a cell, an id or a reply is escaped in our HTML and is in no Markdown."""
    hostile = "<img src=x onerror=alert(1)> **bold** [x](javascript:alert(2)) \x1b[31m"
    cells = [(hostile, hostile, hostile, hostile)]
    run = ledger.run(ledger.dataset(cells=cells), ledger.version(), dead=1, faults=FAULTS[1:2])
    with ledger.db.atomic():
        ledger.db.execute("UPDATE calls SET raw = ?", (hostile.encode(),))
    for app in (open_screen("letter", run=run, row=1), open_screen("dead_letters", signature=FAULTS[1].signature)):
        texts(app)
        for element in app.get("html"):
            assert "<img" not in element.proto.body
        for markdown in [*app.markdown, *app.caption]:
            assert "**bold**" not in markdown.value and "<img" not in markdown.value
        for one in [*app.button, *app.get("page_link")]:
            assert "<img" not in one.proto.label
