"""A press is never lost: it leaves a field, whose text is handed over, and does what it says in the same stroke.

A *tap* ends where it began, before anything that it set off can be drawn; a *hold* ends when all of it is drawn, with whatever
came, went or moved in between. A press of a hand's length lies between the two, so each is made in the way that is harder for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from jobs.views.runs import Run
from tests.browser.conftest import seat
from tests.browser.person import Person
from tests.browser.workshop import FIRST, Workshop
from tests.house import wait_until

pytestmark = pytest.mark.browser

LAUNCH = re.compile(r"^Launch( [\d,]+ rows?)?$")


@pytest.fixture(scope="module")
def person(browser: Browser, workshop: Workshop) -> Iterator[Person]:
    """One who goes through all of it; nothing is amiss afterwards."""
    seated = seat(browser, workshop.household)
    yield seated
    seated.page.context.close()
    seated.left()


@pytest.fixture(scope="module")
def run(workshop: Workshop) -> Run:
    """A run with dead letters of its own, for the tests of this file to decide about."""
    return workshop.run("pressed.csv", [f"[[always bad]] pressed {n}" for n in range(12)])


@pytest.fixture
def letter(run: Run, workshop: Workshop) -> int:
    """The row of a dead letter of that run which is open."""
    return workshop.engine.letters.ids(run=run.id, resolution="open")[0][1]


@pytest.fixture
def prompt(workshop: Workshop) -> str:
    """A prompt of two messages, with no draft; its name."""
    workshop.engine.prompts.save("pressed", FIRST, note="as it began")
    workshop.engine.prompts.drop_draft("pressed")
    return "pressed"


def edits(person: Person, workshop: Workshop, prompt: str, view: str = "Template") -> None:
    """Open the editor, and let it come to rest."""
    person.visit(f"prompt?name={prompt}&dataset={workshop.reviews.dataset}&view={view.replace(' ', '+')}", prompt)
    person.steady()


# the prompt editor


def test_a_note_and_save(person: Person, workshop: Workshop, prompt: str) -> None:
    """The note that was missing is written and saved with, though what said so goes away under the press."""
    edits(person, workshop, prompt, "Model and settings")
    tokens = int(person.field("Most tokens of a reply").input_value())
    person.write("Most tokens of a reply", str(tokens + 1))
    person.press("Save a new version …")
    person.press("Save", within=person.dialog)
    person.says("The note is missing")
    person.steady()
    person.types("What changes and why", "one more token", within=person.dialog)
    person.hold(person.button("Save", within=person.dialog))
    person.says("no unsaved change")
    latest = workshop.engine.prompts.versions(prompt)[0]
    assert (latest.note, latest.content.max_tokens) == ("one more token", tokens + 1)
    # what says that it is saved stands before no button
    person.tap(person.button("Save a new version …"))
    person.says("Nothing to save")


def test_a_setting_and_discard_the_draft(person: Person, workshop: Workshop, prompt: str) -> None:
    """What the same press has made a draft is a draft that can be discarded."""
    edits(person, workshop, prompt, "Model and settings")
    person.types("Most tokens of a reply", "77")
    person.tap(person.button("Discard the draft"))
    expect(person.dialog).to_contain_text("What was not saved is gone")


def test_a_setting_and_a_link(person: Person, workshop: Workshop, prompt: str) -> None:
    """The link leads away, and the draft has what was typed."""
    edits(person, workshop, prompt, "Model and settings")
    person.types("Most tokens of a reply", "78")
    person.tap(person.page.get_by_role("link", name=re.compile("^Launch run with")))
    person.sees("Launch a run")
    assert (workshop.engine.prompts.draft(prompt) or {})["max_tokens"] == 78


def test_a_template_and_a_try(person: Person, workshop: Workshop, prompt: str) -> None:
    """The problem that the text brings with it moves the button away, and the press still tries, and says what is wrong."""
    edits(person, workshop, prompt)
    person.page.get_by_role("tab", name="Try it").click()
    person.steady()
    person.types("Template", "user:\n{{ txt }}")
    person.hold(person.button("Try on 5 rows"))
    person.says(re.compile(r"does not fit reviews\.csv: .*there is no column 'txt'"))


def test_a_longer_message_and_one_more(person: Person, workshop: Workshop, prompt: str) -> None:
    """One message is added, and only one, below one that has grown."""
    edits(person, workshop, prompt)
    person.choose("Message by message")
    person.types("Text of message 2", "{{ text }}\n" * 9)
    person.hold(person.button("Add a message"))
    expect(person.page.get_by_role("button", name="Remove", exact=True)).to_have_count(3)
    person.steady()
    expect(person.page.get_by_role("button", name="Remove", exact=True)).to_have_count(3)
    assert (workshop.engine.prompts.draft(prompt) or {})["template"].count("{{ text }}") == 9


@pytest.mark.parametrize("away", ["Save a new version …", "History"])
def test_a_field_of_the_contract(person: Person, workshop: Workshop, prompt: str, away: str) -> None:
    """A cell of the field table is in the draft, wherever the press leads."""
    edits(person, workshop, prompt, "Contract")
    table = person.page.get_by_test_id("stDataFrame").locator("canvas").first
    # the name of the second field
    table.dblclick(position={"x": 60, "y": 87}, force=True)
    cell = person.page.locator(".gdg-input")
    expect(cell).to_be_focused()
    cell.fill("points")
    person.tap(
        person.button(away) if away.startswith("Save") else person.page.get_by_role("radio", name=away, exact=True)
    )
    if away.startswith("Save"):
        expect(person.dialog.locator(".rd-diff .new").filter(has_text="points").first).to_be_visible()
    else:
        expect(person.page.get_by_role("radio", name=away, exact=True, checked=True)).to_have_count(1)
    wait_until(lambda: "points" in str((workshop.engine.prompts.draft(prompt) or {}).get("contract")))


# the form of a run


def launching(person: Person, workshop: Workshop) -> None:
    """Open the form."""
    person.visit(f"launch?dataset={workshop.reviews.dataset}&prompt=triage@1", "Launch a run")
    person.steady()


def launched(person: Person, workshop: Workshop) -> Run:
    """The run whose page comes."""
    person.page.wait_for_url(re.compile(r"/run\?id=\d+$"))
    person.sees(re.compile(r"^Run \d+"))
    return workshop.ended(int(person.params["id"]))


def test_rows_and_launch(person: Person, workshop: Workshop) -> None:
    """The forecast and the button's own words follow the number while it is pressed; the run has so many rows."""
    launching(person, workshop)
    person.types("Rows", "2")
    person.hold(person.button(LAUNCH))
    assert launched(person, workshop).counts.rows == 2


def test_what_hindered_and_launch(person: Person, workshop: Workshop) -> None:
    """A budget that cannot be kept is taken out and the run launched."""
    launching(person, workshop)
    person.select("Connection", "unpriced")
    person.write("Rows", "2")
    person.write("Budget, $", "5")
    person.press("Launch")
    person.says("It cannot be launched like this")
    person.steady()
    person.types("Budget, $", "")
    person.tap(person.button(LAUNCH))
    assert launched(person, workshop).options.budget is None


def test_a_number_out_of_range_and_launch(person: Person, workshop: Workshop) -> None:
    """The press hands over what was typed, which is refused, and nothing is launched with the number before."""
    before = workshop.engine.runs.list()[1]
    launching(person, workshop)
    person.write("Rows", "2")
    for label, typed, refusal in (
        ("Budget, $", "-3", "Budget, $ cannot be -3. Allowed: more than 0; empty: no limit."),
        ("Strikes", "99", "Strikes cannot be 99. Allowed: 1 to 10."),
        ("Calls in flight", "5000", "Calls in flight cannot be 5,000. Allowed: 1 to 2,000."),
        ("Rows", "0", "Rows cannot be 0. Allowed: 1 or more; empty: all."),
    ):
        person.types(label, typed)
        person.tap(person.button(LAUNCH))
        person.says("Nothing was launched: it cannot be like this")
        person.says(refusal)
        person.steady()
    assert workshop.engine.runs.list()[1] == before
    for label, typed in (("Budget, $", ""), ("Strikes", "2"), ("Calls in flight", "1")):
        person.write(label, typed)
    person.steady()
    person.types("Rows", "2")
    person.tap(person.button(LAUNCH))
    made = launched(person, workshop)
    assert (made.counts.rows, made.options.strikes, made.options.in_flight, made.options.budget) == (2, 2, 1, None)


def test_a_new_model_and_launch(person: Person, workshop: Workshop) -> None:
    """A model that the list does not have is asked, and not the one that stood there before."""
    launching(person, workshop)
    person.write("Rows", "2")
    person.page.get_by_role("combobox", name="Model", exact=True).fill("another-model")
    expect(person.page.get_by_role("option", name="Add: another-model")).to_be_visible()
    # an open list hides everything else from those who hear a page
    person.hold(person.page.locator("button", has_text=LAUNCH).first)
    assert launched(person, workshop).model == "another-model"


# dead letters


def test_a_filter_and_replay(person: Person, run: Run, letter: int) -> None:
    """The press waits for the filter: it means the letters of that run, and not those that stood there before."""
    person.visit("dead-letters", "Dead letters")
    person.steady()
    person.types("Run", str(run.id))
    person.tap(person.button(re.compile(r"^Replay [\d,]+ open")))
    expect(person.dialog).to_contain_text(f"of run {run.id},")


def test_a_wrong_filter_and_replay(person: Person, letter: int) -> None:
    """What is no number means no letter: the button goes away under the press, which replays nothing."""
    person.visit("dead-letters", "Dead letters")
    person.steady()
    person.types("Run", "no number")
    person.hold(person.button(re.compile(r"^Replay [\d,]+ open")))
    person.says("No dead letter is shown")
    person.steady()
    expect(person.dialog).to_have_count(0)


def test_a_filter_and_a_cause(person: Person, workshop: Workshop, run: Run, letter: int) -> None:
    """The cause whose row was pressed opens, though the table is another one by then."""
    person.visit("dead-letters", "Dead letters")
    person.steady()
    person.types("Run", str(run.id))
    cause = workshop.engine.letters.groups(run=run.id, resolution="open")[0][0].title.replace("`", "")
    person.hold(person.lines("dead letters by cause").filter(has_text=cause).locator("td").first)
    person.sees(cause)


def acts(person: Person, run: Run, letter: int, key: str) -> None:
    """Open the letter, and the dialog of that key."""
    person.visit(f"letter?run={run.id}&row={letter}", re.compile("^Row R-"))
    person.type_key(key)
    expect(person.dialog).to_be_visible()
    person.steady()


def test_an_edited_row_and_replay(person: Person, run: Run, letter: int) -> None:
    """What the button said that it lacked is written, and the same button starts the replay."""
    acts(person, run, letter, "e")
    person.press("Replay the edited row", within=person.dialog)
    person.says(re.compile("Nothing is edited"))
    person.steady()
    person.types("text", "another text\n" * 6, within=person.dialog)
    person.hold(person.button("Replay the edited row", within=person.dialog))
    person.sees(re.compile(r"^Replay \d+"))


def test_a_note_and_replay(person: Person, workshop: Workshop, run: Run, letter: int) -> None:
    """The replay has the note that was typed last."""
    person.visit(f"letter?run={run.id}&row={letter}", re.compile("^Row R-"))
    person.press("Replay …")
    expect(person.dialog).to_be_visible()
    person.steady()
    person.types("Note (optional)", "once more", within=person.dialog)
    person.hold(person.button("Replay 1 row", within=person.dialog))
    person.sees(re.compile(r"^Replay \d+"))
    assert workshop.engine.runs.get(int(person.params["id"])).note == "once more"


def test_a_value_and_accept(person: Person, workshop: Workshop, run: Run, letter: int) -> None:
    """The field that was wrong is mended and the value accepted."""
    acts(person, run, letter, "a")
    person.select("label", "bad", within=person.dialog)
    person.write("quote", "by hand", within=person.dialog)
    person.write("score", "33", within=person.dialog)
    person.press("Accept this value", within=person.dialog)
    person.says(re.compile("score is too"))
    person.steady()
    person.types("score", "3", within=person.dialog)
    person.hold(person.button("Accept this value", within=person.dialog))
    becomes(workshop, run, letter, "corrected")


def becomes(workshop: Workshop, run: Run, letter: int, resolution: str) -> None:
    """That is what the letter comes to."""
    wait_until(
        lambda: (workshop.engine.letters.inspect(run.id, letter).letter or pytest.fail()).resolution == resolution
    )


def test_a_reason_and_discard(person: Person, workshop: Workshop, run: Run, letter: int) -> None:
    """The reason that was missing is written and the letter discarded."""
    acts(person, run, letter, "x")
    person.press("Discard", within=person.dialog)
    person.says(re.compile("A reason is required"))
    person.steady()
    person.types("Reason", "an advertisement", within=person.dialog)
    person.hold(person.button("Discard", within=person.dialog))
    becomes(workshop, run, letter, "discarded")


# other screens


def test_a_search_and_another_view(person: Person, run: Run) -> None:
    """The rows are searched and the other view is opened."""
    person.visit(f"run?id={run.id}&rows=dead", f"Run {run.id}")
    person.steady()
    person.types("search", "no such row")
    person.hold(person.page.get_by_role("radio", name="Export", exact=True))
    person.says("Build the file")


def test_a_search_and_a_link(person: Person, workshop: Workshop) -> None:
    """The link leads away, whatever the rows below come to."""
    person.visit(f"dataset?id={workshop.reviews.dataset}", "reviews.csv")
    person.steady()
    person.types("Search", "R-0100")
    person.tap(person.page.get_by_test_id("stMain").get_by_role("link", name="Launch a run", exact=True))
    person.sees("Launch a run")


def test_a_name_and_a_new_prompt(person: Person, workshop: Workshop) -> None:
    """The name that was missing is typed and its editor opens."""
    person.visit("prompts", "Prompts")
    person.press("Write it")
    person.says("The name is missing")
    person.steady()
    person.types("A new prompt", "brand-new")
    person.hold(person.button("Write it"))
    person.sees("brand-new")


def test_a_budget(person: Person, workshop: Workshop) -> None:
    """The run has the budget that was typed."""
    before, workshop.stub.latency = workshop.stub.latency, 0.4
    paused = workshop.run("budget.csv", [f"a budget for {n}" for n in range(40)], wait=False, in_flight=1)
    workshop.engine.runs.pause(paused.id, key=f"pause:{paused.id}")
    wait_until(lambda: workshop.engine.runs.get(paused.id).state == "paused")
    workshop.stub.latency = before
    person.visit(f"run?id={paused.id}", f"Run {paused.id}")
    person.press("Budget …")
    expect(person.dialog).to_be_visible()
    person.steady()
    person.types("Budget of the whole run, in US dollars", "5", within=person.dialog)
    person.hold(person.button("Set this budget", within=person.dialog))
    wait_until(lambda: workshop.engine.runs.get(paused.id).options.budget == 5)
    workshop.engine.runs.cancel(paused.id, key=f"cancel:{paused.id}")
    workshop.ended(paused.id)


def test_a_press_that_is_taken_back(person: Person, workshop: Workshop, prompt: str) -> None:
    """Whoever moves away before letting go has pressed nothing."""
    edits(person, workshop, prompt)
    person.choose("Message by message")
    person.types("Text of message 2", "{{ text }}\n" * 9)
    person.hold(person.button("Add a message"), then=(60, 120))
    person.steady()
    expect(person.page.get_by_role("button", name="Remove", exact=True)).to_have_count(2)


def test_messages_are_removed_one_by_one(person: Person, workshop: Workshop) -> None:
    """At one place, where the next message comes up, and at others; a press may come as soon as the one before is drawn."""
    content = FIRST.model_copy(update={"template": "\n\n".join(f"user:\nmessage {n}" for n in range(12))})
    workshop.engine.prompts.save("many", content, note="as it began")
    # all of it in sight: where the page ends above the bottom of the window, it is moved while it becomes shorter
    person.page.set_viewport_size(ViewportSize(width=1280, height=2600))
    edits(person, workshop, "many")
    person.choose("Message by message")
    remove = person.button("Remove")
    expect(remove).to_have_count(12)
    person.steady()
    person.tap(remove.nth(1))
    for left in range(11, 7, -1):
        expect(remove).to_have_count(left)
        person.steady()
        person.page.mouse.down()
        person.page.mouse.up()
    for left, place in ((7, 6), (6, 4), (5, 2)):
        expect(remove).to_have_count(left)
        person.steady()
        person.tap(remove.nth(place))
    expect(remove).to_have_count(4)
    person.rest()
    kept = (workshop.engine.prompts.draft("many") or {})["template"]
    assert re.findall(r"message (\d+)", kept) == ["0", "6", "8", "10"]
    person.page.set_viewport_size(ViewportSize(width=1280, height=1000))


def test_how_a_prompt_is_edited_outlives_another_view_and_a_reload(
    person: Person, workshop: Workshop, prompt: str
) -> None:
    """Message by message stays so, and so does the contract as JSON Schema."""
    edits(person, workshop, prompt)
    person.choose("Message by message")
    person.choose("Contract")
    person.choose("JSON Schema")
    person.choose("Template")
    expect(person.page.get_by_role("radio", name="Message by message", exact=True, checked=True)).to_have_count(1)
    person.reload(prompt)
    expect(person.button("Remove")).to_have_count(2)
    person.choose("Contract")
    expect(person.field("Contract")).to_be_visible()
