"""Launching runs, their list and one run, as AppTest draws them."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs import prompts
from jobs.api import Engine
from jobs.options import RunOptions
from jobs.values import VersionContent
from tests.jobs.ledger import Ledger
from tests.workbench.conftest import CONTENT, Open, act, links, press, tables, texts
from workbench import parts
from workbench.screens.running import progress


@pytest.fixture
def prompt(engine: Engine) -> str:
    """A prompt with one version; its name."""
    engine.prompts.save("triage", CONTENT, note="first")
    return "triage"


# launching


def test_launching_says_first_what_is_missing(open_screen: Open) -> None:
    """Without a dataset and a prompt the page offers to get them, and no button to launch."""
    app = open_screen("launch")
    assert "A run needs a dataset" in texts(app)
    assert {"**Upload a table**", "**Write a prompt**"} <= set(links(app))
    assert not [button for button in app.button if button.label.startswith("Launch")]


@pytest.mark.usefixtures("keeper")
def test_a_run_is_launched_once_with_what_was_chosen(
    open_screen: Open, engine: Engine, table: str, prompt: str
) -> None:
    """The forecast stands beside the form with its n; the click makes one run of the chosen rows and opens it."""
    app = open_screen("launch", prompt="triage@1", dataset=table)
    said = texts(app)
    assert "too few earlier replies" in said
    assert [button.label for button in app.button if button.label.startswith("Launch")] == ["Launch 120 rows"]
    app.number_input(key=f"limit:{table}").set_value(7)
    app.number_input(key="strikes:1").set_value(2)
    app.text_input(key="note").input("a taste").run()
    press(app, "Launch 7 rows")
    assert "Run 1" in texts(app)
    runs, total = engine.runs.list()
    assert total == 1
    assert (runs[0].counts.rows, runs[0].options.strikes, runs[0].note) == (7, 2, "a taste")
    assert runs[0].options == RunOptions(strikes=2)


@pytest.mark.usefixtures("keeper")
@pytest.mark.parametrize(("place", "column"), [(0, None), (1, "id"), (2, "text")])
def test_a_run_names_its_rows_as_the_form_says(
    open_screen: Open, engine: Engine, table: str, prompt: str, place: int, column: str | None
) -> None:
    """The dataset's id column is proposed; another one, or the row's number, is what the run has where that was chosen."""
    engine.datasets.set_id_column(table, "id")
    app = open_screen("launch", prompt="triage@1", dataset=table)
    (field,) = [one for one in app.selectbox if one.label == "Row id"]
    assert field.options[field.index or 0] == "id"
    field.set_value(place).run()
    press(app, "Launch 120 rows")
    assert engine.runs.list()[0][0].id_column == column


def test_a_forecast_is_a_range_with_its_n(open_screen: Open, ledger: Ledger) -> None:
    """From earlier replies: about so much, from so much to so much, and how many replies; from none: a guess, and said to be one."""
    dataset, version = ledger.dataset(200), ledger.version()
    none = texts(open_screen("launch", prompt="triage@1", dataset=dataset))
    assert "from the rendered prompt; too few earlier replies for a range" in none
    assert "a guess, no range" in none and not re.search(r"about [^<]* \(", none)
    ledger.run(dataset, version, rows=60, reasked=6, model="stub-small")
    app = open_screen("launch", dataset=dataset)
    app.selectbox(key="model:1:stub").set_value("stub-small").run()
    said = texts(app)
    assert "90 % ranges, from n = 66 earlier replies to this version" in said
    assert re.search(r"about 220 \(2\d\d to 2\d\d\)</div><div class=\"note\">from n = 66 earlier replies", said)
    assert re.search(r"Time</div>.*about [\d.]+ m?s \([\d.]+ m?s to [\d.]+ m?s\)</div>", said)
    assert "its price is unknown" in said


def test_a_template_that_does_not_fit_the_dataset_cannot_be_launched(
    open_screen: Open, engine: Engine, table: str
) -> None:
    """The column that is missing is named; the button promises nothing, and pressed it says that nothing was started."""
    engine.prompts.save("other", VersionContent(template="{{ company }}", contract=CONTENT.contract), note="x")
    app = open_screen("launch", prompt="other@1", dataset=table)
    said = html.unescape(texts(app))
    assert "This prompt does not fit messages.csv:\nIt has no column 'company' (template, line 1)" in said
    (button,) = [button for button in app.button if button.label.startswith("Launch")]
    assert (button.label, button.proto.type) == ("Launch", "secondary") and "It cannot be launched like this" in said
    assert "Nothing was launched: it cannot be like this" in texts(button.click().run())
    assert engine.runs.list()[1] == 0


@pytest.mark.usefixtures("prompt")
def test_more_rows_than_there_are_means_all_of_them(open_screen: Open, table: str) -> None:
    """The button says how many are taken, and below it stands why."""
    app = open_screen("launch", prompt="triage@1", dataset=table)
    (rows,) = [one for one in app.number_input if one.label == "Rows"]
    app = rows.set_value(999).run()
    assert [one.label for one in app.button if one.label.startswith("Launch")] == ["Launch 120 rows"]
    assert "999 rows are asked for and 120 rows are there: all of them are taken." in texts(app)


def test_a_model_that_costs_nothing_is_said_to_be_free(open_screen: Open, home: Path, ledger: Ledger) -> None:
    """A price of 0 is no guess of an amount."""
    with (home / "connections.toml").open("a") as file:
        file.write('[stub.prices."*"]\ninput = 0.0\noutput = 0.0\n')
    dataset = ledger.dataset(20)
    ledger.version()
    said = texts(open_screen("launch", dataset=dataset))
    assert re.search(r'Money</div><div class="value"[^>]*>free</div><div class="note">nothing is paid for', said)


def test_several_rows_a_call_are_said_to_need_a_template_that_shares_them(
    open_screen: Open, engine: Engine, table: str, prompt: str
) -> None:
    """Where the template takes one row alone that is said beside the field, and else what is not caught, of several rows."""
    uncaught = "exchanges the ids of two rows is not caught"
    assert uncaught in texts(open_screen("launch", prompt="triage@1", dataset=table, rows_a_call=5))
    assert uncaught not in texts(open_screen("launch", prompt="triage@1", dataset=table))
    alone = VersionContent(template="system:\nOf {{ id }}.\n\nuser:\n{{ text }}", contract=CONTENT.contract)
    engine.prompts.save("alone", alone, note="x")
    assert "this version takes one" in texts(open_screen("launch", prompt="alone@1", dataset=table))


KEYED = VersionContent(
    template="user:\n{{ id }} {{ text }}",
    contract={
        "type": "object",
        "properties": {"key": {"type": "string"}, "text": {"type": "string"}, "sure": {"type": "boolean"}},
    },
)


@pytest.mark.usefixtures("keeper")
def test_a_field_can_be_named_by_which_exchanged_ids_are_caught(open_screen: Open, engine: Engine, table: str) -> None:
    """Where a call holds several rows; the words beside it follow the choice, and the run's page says it."""
    engine.prompts.save("keyed", KEYED, note="x")
    app = open_screen("launch", prompt="keyed@1", dataset=table)
    assert "Echo field" not in [one.label for one in app.selectbox]
    app = app.number_input(key="rows_per_call:1").set_value(5).run()
    assert "caught only where the answer says" in texts(app) and "'text'" in texts(app)
    (field,) = [one for one in app.selectbox if one.label == "Echo field"]
    assert field.options == ["none named", "key", "text"]
    app = field.set_value("key").run()
    (column,) = [one for one in app.selectbox if one.label == "repeats column"]
    assert column.options == ["id", "text"] and column.value == "id"
    assert "caught by 'key', which must repeat 'id'" in texts(app)
    press(app, "Launch 120 rows")
    (run,) = engine.runs.list()[0]
    assert run.options == RunOptions(rows_per_call=5, echo={"key": "id"})
    assert "key repeats id" in texts(open_screen("run", id=run.id, view="Settings and lineage"))


@pytest.mark.parametrize(
    ("echo", "chosen", "said"),
    [
        ({"text": "text"}, "text", "must repeat 'text'"),
        ({"key": "id", "text": "text"}, "*", "'key', which must repeat 'id' and 'text', which must repeat 'text'"),
        ({"key": "note"}, "", "Left out, since it does not fit this version and table: echo key=note."),
    ],
)
def test_the_echo_that_a_prompt_sets_is_chosen_where_it_fits(
    open_screen: Open, engine: Engine, table: str, echo: dict[str, str], chosen: str, said: str
) -> None:
    """One that does not is named, since no run could have it."""
    engine.prompts.save("keyed", KEYED, note="x", defaults={"rows_per_call": 4, "echo": echo})
    app = open_screen("launch", prompt="keyed@1", dataset=table)
    (field,) = [one for one in app.selectbox if one.label == "Echo field"]

    assert field.value == chosen and said in texts(app).replace("\\", "")


def test_only_the_chosen_prompt_of_the_folder_becomes_a_version(open_screen: Open, engine: Engine, table: str) -> None:
    """A run needs one, and the form says that it was made; prompts that are merely looked at stay as they are."""
    for name, template in (("a-misfit", "{{ company }}"), ("b-fits", "{{ text }}"), ("c-fits", "{{ text }}")):
        content = VersionContent(template=template, contract=CONTENT.contract)
        prompts.write_folder(engine.settings.prompts / name, content, description="d", defaults={})
    assert "a run needs a version, so it is saved as @1" in texts(open_screen("launch", dataset=table)).replace(
        "\\", ""
    )
    assert [one.latest for one in engine.prompts.list()] == [None, 1, None]


def test_the_prompt_that_fits_the_dataset_is_offered_first(open_screen: Open, engine: Engine, table: str) -> None:
    """Without a prompt in the address, the first one whose template fits the columns is chosen."""
    engine.prompts.save("a-misfit", VersionContent(template="{{ company }}", contract=CONTENT.contract), note="x")
    engine.prompts.save("triage", CONTENT, note="first")
    assert open_screen("launch", dataset=table).selectbox(key="launch:prompt").value == "triage"


def test_a_budget_without_a_price_is_refused_with_the_way_out(
    open_screen: Open, engine: Engine, table: str, prompt: str
) -> None:
    """The price of an unknown model is unknown, and a budget cannot be kept without one."""
    app = open_screen("launch", prompt="triage@1", dataset=table)
    app.number_input(key="budget:1").set_value(0.5).run()
    assert "A budget needs a price, and that of stub-small at connection &#x27;stub&#x27; is unknown" in texts(app)
    (button,) = [button for button in app.button if button.label.startswith("Launch")]
    button.click().run()
    assert engine.runs.list()[1] == 0


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("zzz@9", "There is no prompt 'zzz'."),
        ("triage@9", "There is no version 'triage@9'."),
        ("triage@beta", "There is no version 'triage@beta'."),
        ("triage@1", None),
        ("triage@production", None),
        ("triage", None),
    ],
)
def test_an_address_of_what_is_not_there_is_said_so(
    open_screen: Open, engine: Engine, table: str, prompt: str, reference: str, said: str | None
) -> None:
    """What was not found is named, beside what is chosen instead; the form stays, and so does the notice."""
    engine.prompts.label(prompt, "production", 1)
    app = open_screen("launch", prompt=reference, dataset=table)
    for _ in range(2):
        shown = html.unescape(texts(app))
        assert (said or "") in shown and ("There is no" in shown) == bool(said)
        app.run()
    lost = open_screen("launch", prompt=reference, dataset="q")
    assert "There is no dataset 'q'" in html.unescape(texts(lost))
    assert "messages.csv is chosen instead" in texts(lost)


@pytest.mark.parametrize(("defaults", "proposed"), [({}, 2), ({"strikes": 2}, 2), ({"in_flight": 5}, 5)])
def test_as_many_calls_in_flight_are_proposed_as_the_connection_is_set_to(
    open_screen: Open, engine: Engine, home: Path, table: str, defaults: dict[str, int], proposed: int
) -> None:
    """The connection's figure stands in the form, unless the version's defaults name one."""
    connections = home / "connections.toml"
    connections.write_text(connections.read_text() + "in_flight = 2\n")
    engine.prompts.save("triage", CONTENT, note="first", defaults=defaults)
    (field,) = [one for one in open_screen("launch", dataset=table).number_input if one.label == "Calls in flight"]
    assert field.value == proposed


# the list


def test_no_run_yet_offers_the_first(open_screen: Open) -> None:
    """An empty list says what a run is and leads to launching one."""
    app = open_screen("runs")
    assert "No run yet" in texts(app)
    assert links(app)["**Launch the first run**"].startswith("launch")


def test_runs_are_filtered_by_the_address(open_screen: Open, ledger: Ledger) -> None:
    """State and prompt of the address choose the runs; tries and replays are not among them unless asked for."""
    dataset = ledger.dataset(20)
    one, other = ledger.version(), ledger.version(prompt="other")
    first = ledger.run(dataset, one, dead=4)
    ledger.run(dataset, one, kind="try", rows=2)
    paused = ledger.run(dataset, other, due=5, state="paused", paused_by="provider")
    replay = ledger.replay(first, one, fixed=2)

    def shown(**params: object) -> list[str]:
        found = tables(open_screen("runs", **params)).get("runs", {"rows": []})
        return [row["id"] for row in found["rows"]]

    assert shown() == [str(paused), str(first)]
    assert shown(state="paused") == [str(paused)]
    assert shown(prompt="triage") == [str(first)]
    assert shown(kind="replay") == [str(replay)]
    assert shown(state="cancelled") == []


def test_runs_are_paged(open_screen: Open, ledger: Ledger) -> None:
    """The second page of the address begins where the first has ended."""
    dataset, version = ledger.dataset(1), ledger.version()
    for _ in range(53):
        ledger.run(dataset, version)
    assert [row["id"] for row in tables(open_screen("runs", page=2))["runs"]["rows"]] == ["3", "2", "1"]


@pytest.mark.parametrize("kind", ["run", "replay"])
@pytest.mark.parametrize(
    ("busy", "page", "looks"),
    [("first", 1, True), ("first", 2, False), ("last", 1, False), ("last", 3, True), ("last", 9, True)],
)
def test_the_page_that_is_shown_says_whether_it_is_looked_at_again(
    open_screen: Open, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, kind: str, busy: str, page: int, looks: bool
) -> None:
    """A list looks again while one of the runs on its page is at work, and draws the screen anew only where that changes."""
    dataset, version = ledger.dataset(1), ledger.version()
    for number in range(1, 54):
        ledger.run(dataset, version, kind=kind, due=number == {"first": 53, "last": 1}[busy])
    seen: list[tuple[float | None, bool]] = []

    def watch(draw: Callable[[], str], *, standing: str, every: float | None) -> None:
        watched(lambda: said(draw(), standing, every), standing=standing, every=every)

    def said(now: str, standing: str, every: float | None) -> str:
        seen.append((every, now == standing))
        return now

    watched = parts.watch
    monkeypatch.setattr(parts, "watch", watch)
    app = open_screen({"run": "runs", "replay": "replays"}[kind], page=page)
    assert not app.exception
    assert [(every is not None, same) for every, same in seen] == [(looks, True)]


# one run


def test_the_line_of_truth_adds_up(open_screen: Open, ledger: Ledger) -> None:
    """Accepted, dead, cancelled and waiting are the run's rows, and waiting says what it is made of."""
    run = ledger.run(
        ledger.dataset(40), ledger.version(), dead=6, due=3, dispatched=4, backing_off=2, struck=5, reused=1
    )
    said = texts(open_screen("run", id=run))
    assert "accepted 20, dead 6, cancelled 0, waiting 14 of 40 rows" in said
    assert "(4 in a call, 2 backing off, 5 with a strike)" in said and "(1 reused)" in said


def test_a_run_says_what_it_will_come_to(open_screen: Open, ledger: Ledger) -> None:
    """The time that is left and the money at the end are ranges with their n, and say where the budget stops it."""
    run = ledger.run(
        ledger.dataset(400), ledger.version(), due=200, reasked=20, state="paused", paused_by="person", options={"budget": 0.012}
    )  # fmt: skip
    said = texts(open_screen("run", id=run))
    (left,) = re.findall(r"Left</div><div [^>]*>(.*?)</div><div class=\"note\">(.*?)</div>", said)
    assert re.fullmatch(r"about [\w. ]+ \([\w. ]+ to [\w. ]+\)", left[0])
    assert left[1].startswith("once it goes on; from n = 220 replies so far; at work for")
    (money,) = re.findall(r"Money at the end</div><div [^>]*>(.*?)</div><div class=\"note\">(.*?)</div>", said)
    assert re.fullmatch(r"about \$0\.\d+ \(\$0\.\d+ to \$0\.\d+\)", money[0])
    assert re.match(r"the budget (may stop|stops) it .*; from n = 220 replies so far", money[1])


def test_the_overview_says_the_time_left_as_a_range_or_not_at_all(open_screen: Open, ledger: Ledger) -> None:
    """As the run's own page does: rows that were reused in a moment are no pace."""
    ledger.run(ledger.dataset(400), ledger.version(), due=200, began=time.time() - 60)
    assert re.search(r"rows/min · \$[\d.]+ · about .+ \(.+ to .+\) left, n = \d+", texts(open_screen("overview")))


def test_the_overview_says_no_time_of_a_run_that_has_hardly_begun(open_screen: Open, ledger: Ledger) -> None:
    """Half of its rows were reused at once and three replies have come."""
    ledger.run(ledger.dataset(43), ledger.version(), due=20, reused=20, began=time.time() - 60)
    said = texts(open_screen("overview"))
    assert "rows/min" in said and " left" not in said


def test_a_run_that_has_hardly_begun_says_so(open_screen: Open, ledger: Ledger) -> None:
    """Instead of a range it says how few replies have come, and how many calls are out."""
    run = ledger.run(ledger.dataset(40), ledger.version(), due=30, dispatched=4)
    said = texts(open_screen("run", id=run))
    assert "too few replies to say: n = 6, 4 calls out" in said and "Money at the end" not in said


@pytest.mark.parametrize(
    ("rows", "options", "why"),
    [
        (4, {"dispatched": 4}, "no call answered yet, 4 calls out; at work for "),
        (4, {"due": 4, "state": "paused", "paused_by": "person"}, "paused; no call answered yet, 0 calls out; "),
        (32, {"due": 2}, "too early for a pace: n = 30 replies so far; at work for "),
        (9, {"due": 3, "options": {"batch": "first"}}, "no batch is open; at work for "),
        (4, {"dispatched": 1, "state": "cancelled"}, "1 call in flight comes home"),
        (4, {"dispatched": 2, "state": "cancelled"}, "2 calls in flight come home"),
    ],
)
def test_a_time_left_that_nobody_can_say_says_why(
    open_screen: Open, ledger: Ledger, rows: int, options: dict[str, Any], why: str
) -> None:
    """There is a reason beside every dash, and it is no figure's source."""
    run = ledger.run(ledger.dataset(40), ledger.version(), rows=rows, **options)
    said = texts(open_screen("run", id=run))
    (note,) = re.findall(r"Left</div><div [^>]*>–</div><div class=\"note\">(.*?)</div>", said)
    assert note.startswith(why)


@pytest.mark.parametrize(("due", "label"), [(3, "Money so far"), (0, "Money")])
def test_the_money_of_a_run_is_so_far_only_while_it_goes_on(
    open_screen: Open, ledger: Ledger, due: int, label: str
) -> None:
    """One that has ended says what it has cost."""
    said = texts(open_screen("run", id=ledger.run(ledger.dataset(10), ledger.version(), due=due)))
    assert f">{label}</div>" in said and said.count(">Money") == 1


@pytest.mark.parametrize(
    ("due", "search", "looks"), [(3, None, [progress.GLANCE]), (3, "text", [None]), (0, None, [None])]
)
def test_values_are_looked_at_again_while_the_run_goes_on(
    open_screen: Open,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    due: int,
    search: str | None,
    looks: list[float | None],
) -> None:
    """So they say what the counts above them say; a search, which may take its time, is looked at when asked."""
    run = ledger.run(ledger.dataset(10), ledger.version(), due=due)
    seen: list[float | None] = []
    watched = parts.watch

    def watch(draw: Callable[[], str], *, standing: str, every: float | None) -> None:
        if not standing:
            seen.append(every)
        watched(draw, standing=standing, every=every)

    monkeypatch.setattr(parts, "watch", watch)
    app = open_screen("run", id=run, **({"search": search} if search else {}))
    assert not app.exception and seen == looks
    assert ("Look again" in [one.label for one in app.button]) == (search is not None)


def test_a_provider_that_blocks_is_quoted(open_screen: Open, ledger: Ledger) -> None:
    """The banner has the provider's words, escaped, and what to do."""
    run = ledger.run(ledger.dataset(10), ledger.version(), due=5, state="paused", paused_by="provider")
    with ledger.db.atomic():
        ledger.db.execute("UPDATE runs SET reason = ? WHERE id = ?", ("<b>Incorrect</b> API key", run))
    said = texts(open_screen("run", id=run))
    assert "Paused by the provider" in said and "&lt;b&gt;Incorrect&lt;/b&gt; API key" in said
    assert "Mend the cause, then resume. 5 rows waiting" in said


@pytest.mark.parametrize(
    ("state", "legal"),
    [("running", ["Pause", "Cancel …", "Budget …"]), ("paused", ["Resume", "Cancel …", "Budget …"]), ("finished", [])],
)
def test_only_what_is_legal_can_be_pressed(open_screen: Open, ledger: Ledger, state: str, legal: list[str]) -> None:
    """What cannot be done in a state stays visible, disabled, and says why."""
    due = 0 if state == "finished" else 3
    run = ledger.run(ledger.dataset(10), ledger.version(), due=due, state=state)
    app = open_screen("run", id=run)
    steering = [button for button in app.button if button.label in ("Pause", "Resume", "Cancel …", "Budget …")]
    assert [button.label for button in steering if not button.disabled] == legal
    assert all(
        "there is nothing left" in button.help or "spends no more" in button.help
        for button in steering
        if button.disabled
    )


@pytest.mark.usefixtures("keeper")
def test_a_run_is_paused_resumed_and_cancelled(open_screen: Open, ledger: Ledger, engine: Engine) -> None:
    """Each press is applied, and the page shows the state that came of it."""
    run = ledger.run(ledger.dataset(10), ledger.version(), due=4, state="running")
    with ledger.db.atomic():
        ledger.db.execute("UPDATE runs SET connection = 'stub', base_url = 'http://127.0.0.1:9/v1'")
    app = open_screen("run", id=run)
    press(app, "Pause")
    assert engine.runs.get(run).state == "paused"
    press(app, "Resume")
    assert engine.runs.get(run).state == "running"
    act(app, "Cancel …", "Cancel it")
    assert engine.runs.get(run).state == "cancelled"
    assert "cancelled 4" in texts(app)


@pytest.mark.usefixtures("keeper")
def test_a_resume_at_another_address_is_refused_in_words(open_screen: Open, ledger: Ledger, engine: Engine) -> None:
    """A connection that has moved since the launch is named with both of its addresses."""
    run = ledger.run(ledger.dataset(10), ledger.version(), due=4, state="paused", connection="stub")
    app = press(open_screen("run", id=run), "Resume")
    said = texts(app)
    assert "https://stub.example/v1" in said and "http://127.0.0.1:9/v1" in said
    assert engine.runs.get(run).state == "paused"


@pytest.mark.usefixtures("keeper")
def test_another_budget_resumes_a_run_that_its_budget_paused(open_screen: Open, ledger: Ledger, engine: Engine) -> None:
    """The dialog sets the budget, and the run goes on."""
    run = ledger.run(
        ledger.dataset(10), ledger.version(), due=4, state="paused", paused_by="budget", options={"budget": 0.01}
    )
    app = press(open_screen("run", id=run), "Budget …")
    (field,) = [one for one in app.number_input if one.label.startswith("Budget of the whole run")]
    field.set_value(2.0)
    press(app, "Budget …")
    (inner,) = [one for one in app.button if one.label == "Set this budget"]
    next(one for one in app.button if one.label == "Budget …").click()
    inner.click().run()
    found = engine.runs.get(run)
    assert (found.options.budget, found.state) == (2.0, "running")


def test_waiting_rows_are_an_empty_track(open_screen: Open, ledger: Ledger) -> None:
    """A run of which nothing is done yet has an empty bar, not a full one."""
    run = ledger.run(ledger.dataset(8), ledger.version(), due=8)
    (bar,) = [
        body for body in (one.proto.body for one in open_screen("run", id=run).get("html")) if "of 8 rows" in body
    ]
    assert "<i " not in bar and "waiting 8" in bar


def test_values_come_with_their_receipts(open_screen: Open, ledger: Ledger) -> None:
    """The accepted rows have a column for each field of the contract, and say how each value was obtained."""
    run = ledger.run(ledger.dataset(20), ledger.version(), dead=3, reasked=1)
    shown = tables(open_screen("run", id=run))["rows of the run"]
    assert {"sentiment", "urgency", "summary"} <= {column["l"] for column in shown["columns"]}
    assert len(shown["rows"]) == 17
    receipt = [column["k"] for column in shown["columns"]].index("receipt")
    assert sorted({row["c"][receipt]["t"] for row in shown["rows"]}) == ["strict", "strict, re-asked ×1"]


def test_a_value_of_an_edited_row_says_so(open_screen: Open, ledger: Ledger, engine: Engine) -> None:
    """The receipt names it, and says when pointed at which cell the value answers."""
    run = ledger.run(ledger.dataset(3), ledger.version(), dead=1)
    (dead,) = ledger.dead(run)
    row = engine.letters.inspect(run, dead).original_cells
    ledger.replay(run, ledger.version(number=2), fixed=1, edits={dead: row | {"message": "a clearer text"}})
    shown = tables(open_screen("run", id=run))["rows of the run"]
    receipt = [column["k"] for column in shown["columns"]].index("receipt")
    told = {one["t"]: one.get("h", "") for one in (row["c"][receipt] for row in shown["rows"])}
    assert "message: a clearer text" in told.pop("strict, edited row") and list(told) == ["strict"]


def test_both_truths_of_a_replayed_run_can_be_seen(open_screen: Open, ledger: Ledger) -> None:
    """The current values hold what a replay fixed; the run's own history does not change."""
    run = ledger.run(ledger.dataset(20), ledger.version(), dead=6)
    ledger.replay(run, ledger.version(number=2), fixed=4, same=2)
    app = open_screen("run", id=run)
    said = texts(app)
    assert "dead 6 (now: 4 fixed, 2 open)" in said
    assert "accepted 14, dead 6" in said and "as this run left them" in said
    assert "accepted 18, dead 2" in said and "now: 4 accepted by replays" in said
    assert len(tables(app)["rows of the run"]["rows"]) == 18
    own = open_screen("run", id=run, values="as this run left them")
    assert len(tables(own)["rows of the run"]["rows"]) == 14


@pytest.mark.parametrize(("screen", "label"), [("runs", "runs"), ("overview", "latest runs")])
def test_a_list_of_runs_says_what_is_so_now(open_screen: Open, ledger: Ledger, screen: str, label: str) -> None:
    """A run whose letters were mostly repaired since does not stand there as if nothing had come of it."""
    dataset, version = ledger.dataset(20), ledger.version()
    ledger.run(dataset, version, dead=3)
    run = ledger.run(dataset, version, dead=20)
    dead = ledger.dead(run)
    ledger.replay(run, ledger.version(number=2), fixed=13, same=2)
    ledger.correct(run, dead[-1], {"sentiment": "neutral", "urgency": 1, "summary": "s"})
    ledger.discard(run, dead[-2:-1])
    shown = tables(open_screen(screen))[label]
    keys = [column["k"] for column in shown["columns"]]
    cells = {row["id"]: {key: cell["t"] for key, cell in zip(keys, row["c"], strict=True)} for row in shown["rows"]}
    assert cells[str(run)]["dead"] == "20 (now 5 open)"
    assert cells[str(run)]["accepted"] == ("0 (now 14)" if screen == "runs" else "0 % (now 70 %)")
    first = cells[str(run - 1)]
    assert (first["dead"], first["accepted"]) == ("3", "17" if screen == "runs" else "85 %")
    tip = next(row["c"][keys.index("dead")]["h"] for row in shown["rows"] if row["id"] == str(run))
    assert tip == "100 %; dead 20 (now: 13 fixed, 1 corrected, 1 discarded, 5 open)"


def test_an_export_is_built_to_a_file_and_offered(open_screen: Open, ledger: Ledger, engine: Engine) -> None:
    """The file stands in the home, is offered as a download, and is offered again in a new session."""
    run = ledger.run(ledger.dataset(20), ledger.version(), dead=3)
    app = press(open_screen("run", id=run, view="Export"), "Build the file")
    assert "20 rows written" in texts(app)
    file = engine.settings.home / "exports" / f"run-{run}.csv"
    assert len(file.read_text().splitlines()) == 21
    again = open_screen("run", id=run, view="Export")
    assert [button.proto.label for button in again.get("download_button")] == [f"Download run-{run}.csv"]


def test_lineage_leads_both_ways(open_screen: Open, ledger: Ledger) -> None:
    """A run names the replays of its letters, and a replay the run that it is of."""
    run = ledger.run(ledger.dataset(20), ledger.version(), dead=6)
    replay = ledger.replay(run, ledger.version(number=2), fixed=4)
    app = open_screen("run", id=run, view="Settings and lineage")
    assert [row["id"] for row in tables(app)["replays of the run"]["rows"]] == [str(replay)]
    app = open_screen("run", id=replay, view="Settings and lineage")
    press(app, f"run {run}")
    assert f"Run {run}" in texts(app)


@pytest.mark.usefixtures("keeper")
def test_a_press_after_a_refusal_asks_anew(open_screen: Open, ledger: Ledger, engine: Engine) -> None:
    """What was in the way is put right, and the same button does what it says, without a reload of the page."""
    run = ledger.run(ledger.dataset(10), ledger.version(), due=4, state="paused", connection="stub")
    app = press(open_screen("run", id=run), "Resume")
    assert "https://stub.example/v1" in texts(app) and engine.runs.get(run).state == "paused"
    with ledger.db.atomic():
        ledger.db.execute("UPDATE runs SET base_url = 'http://127.0.0.1:9/v1'")
    press(app, "Resume")
    assert engine.runs.get(run).state == "running"
