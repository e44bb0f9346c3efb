"""The prompts and their editor: drafts, saving and history, as AppTest draws them."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from jobs import prompts, templates
from jobs.api import Engine
from jobs.values import VersionContent
from tests.jobs.ledger import Ledger
from tests.workbench.conftest import CONTENT, CONTRACT, Open, confirm, elements, links, press, tables, texts
from workbench.screens.editor import draft, template


@pytest.fixture
def saved(engine: Engine) -> str:
    """A prompt with one saved version; its name."""
    engine.prompts.save("triage", CONTENT, note="first")
    return "triage"


def area(app: AppTest, label: str) -> Any:
    (found,) = [one for one in app.text_area if one.label == label]
    return found


# the list


def test_a_broken_folder_is_named_with_its_error(open_screen: Open, engine: Engine) -> None:
    """A folder that cannot be read is in the list, with the reason, and no time that is not known."""
    folder = engine.settings.prompts / "broken"
    folder.mkdir()
    (folder / "prompt.md").write_text("{{ text }")
    (folder / "schema.json").write_text("{")
    app = open_screen("prompts")
    assert "The folder of broken cannot be used" in texts(app)
    (line,) = tables(app)["prompts"]["rows"]
    assert line["id"] == "broken"
    assert " d ago" not in json.dumps(line)


def test_no_prompt_yet_offers_to_write_one(open_screen: Open) -> None:
    """An empty list says what a prompt is; a name that cannot be one is refused with what can."""
    app = open_screen("prompts")
    assert "No prompt yet" in texts(app)
    app.text_input(key="new").input("Big Name")
    press(app, "Write it")
    assert "use small letters" in texts(app)
    app.text_input(key="new").input("mine")
    press(app, "Write it")
    assert "There is no prompt mine yet; saving makes it." in texts(app)


def test_a_new_prompt_wants_a_name(open_screen: Open) -> None:
    """The button is enabled, and without a name it says what is missing."""
    assert "The name is missing" in texts(press(open_screen("prompts"), "Write it"))


def test_a_dataset_that_is_carried_along_is_shown_and_can_be_dropped(open_screen: Open, saved: str, table: str) -> None:
    """Its name stands over the list; dropped, it is out of the address."""
    app = open_screen("prompts", dataset=table)
    assert "For messages.csv" in texts(app)
    press(app, "Drop it")
    assert "For messages.csv" not in texts(app) and "dataset" not in app.query_params
    assert "There is no dataset &#x27;d-0&#x27;" in texts(open_screen("prompts", dataset="d-0"))


# drafts


def test_a_draft_survives_a_reload(open_screen: Open, saved: str, table: str) -> None:
    """What was typed is there in another session, and nothing is saved by that."""
    app = open_screen("prompt", name=saved)
    area(app, "Template").input("user:\nSay {{ text }}!").run()
    again = open_screen("prompt", name=saved)
    assert area(again, "Template").value == "user:\nSay {{ text }}!"
    assert "a draft with changes" in texts(again)
    assert "Say text number 1!" in texts(again)


def test_one_press_takes_the_text_and_saves(open_screen: Open, saved: str) -> None:
    """The button that opens the dialog is enabled before the text has arrived; without a change it says that."""
    app = open_screen("prompt", name=saved)
    press(app, "Save a new version …")
    assert "Nothing to save" in texts(app)
    area(app, "Template").input("user:\nSay {{ text }}!")
    press(app, "Save a new version …")
    assert "Nothing to save" not in texts(app) and "+Say {{ text }}!" in texts(app)


def test_discarding_a_draft_shows_the_version_again(open_screen: Open, saved: str, engine: Engine) -> None:
    """The draft is gone from the store, after a question."""
    app = open_screen("prompt", name=saved)
    area(app, "Template").input("other").run()
    press(app, "Discard the draft")
    confirm(app, "Discard the draft", "Discard the draft")
    assert engine.prompts.draft(saved) is None
    assert "Nothing to discard" in texts(press(app, "Discard the draft"))
    assert area(open_screen("prompt", name=saved), "Template").value == CONTENT.template


def test_without_a_draft_the_editor_follows_the_latest_version(open_screen: Open, saved: str, engine: Engine) -> None:
    """A version that was saved elsewhere is what an open editor shows next, and is no change of its own."""
    app = open_screen("prompt", name=saved)
    engine.prompts.save(saved, CONTENT.model_copy(update={"template": "user:\nnew {{ text }}"}), note="elsewhere")
    app.run()
    assert area(app, "Template").value == "user:\nnew {{ text }}"
    assert "no unsaved change" in texts(app)


def test_a_draft_of_another_shape_is_no_draft(open_screen: Open, saved: str, engine: Engine) -> None:
    """A body that an older or newer editor kept does not break this one."""
    engine.prompts.put_draft(saved, {"template": 5})
    assert area(open_screen("prompt", name=saved), "Template").value == CONTENT.template


def test_a_draft_round_trips(engine: Engine) -> None:
    """A version is its draft's content, settings without a field of their own included."""
    content = CONTENT.model_copy(update={"settings": {"temperature": 0.5, "seed": 7, "stop": ["\n\n"]}, "model": "m"})
    made = draft.of(content, base=3)
    assert made.content() == content
    assert draft.from_body(json.loads(json.dumps(made.body()))) == made


def test_a_prompt_of_the_folder_is_looked_at_before_it_is_saved(open_screen: Open, engine: Engine, table: str) -> None:
    """To open it makes no version; it is saved by the button, with the folder's description and run defaults."""
    prompts.write_folder(
        engine.settings.prompts / "triage", CONTENT, description="Sorts messages", defaults={"in_flight": 7}
    )
    (row,) = tables(open_screen("prompts"))["prompts"]["rows"]
    assert [cell["t"] for cell in row["c"]][2] == "in the folder only"
    app = open_screen("prompt", name="triage")
    assert "in the prompts folder only, not saved here yet" in texts(app)
    assert area(app, "Template").value == CONTENT.template
    assert engine.prompts.versions("triage") == []
    press(app, "Save a new version …")
    assert "The first version: the folder&#x27;s content as it stands." in html.unescape(texts(app)).replace(
        "'", "&#x27;"
    )
    confirm(app, "Save a new version …", "Save")
    (made,) = engine.prompts.versions("triage")
    assert (made.number, made.note, made.description) == (1, "as it stands in the folder", "Sorts messages")
    assert made.defaults["in_flight"] == 7
    assert "saved as @1 · no unsaved change" in texts(open_screen("prompt", name="triage"))


def test_only_what_can_be_saved_is_offered_first(open_screen: Open, saved: str) -> None:
    """The button is the page's first one while there is a change, and as plain as the others without."""
    app = open_screen("prompt", name=saved)
    (button,) = [one for one in app.button if one.label == "Save a new version …"]
    assert button.proto.type == "secondary"
    area(app, "Template").input("user:\nSay {{ text }}!").run()
    (button,) = [one for one in app.button if one.label == "Save a new version …"]
    assert button.proto.type == "primary"


def test_a_new_prompt_begins_without_a_problem(open_screen: Open, engine: Engine, table: str) -> None:
    """It asks about the columns of the newest dataset, and can be tried as it stands."""
    app = open_screen("prompt", name="mine")
    assert area(app, "Template").value.endswith("user:\nid: {{ id }}\ntext: {{ text }}\nnote: {{ note }}\n")
    said = texts(app)
    assert "in this draft" not in said and "does not fit" not in said and "cannot be rendered" not in said
    assert "text: text number 1" in said


# what it is looked at with


def test_a_prompt_is_looked_at_with_the_dataset_it_was_last_used_on(
    open_screen: Open, saved: str, engine: Engine, ledger: Ledger, table: str, tmp_path: Path
) -> None:
    """Before any newer one, of which the next are those that have its columns; golden rows are never the first."""
    for name, head in (("misfit.csv", "body"), ("golden.csv", "text,expected.label")):
        (tmp_path / name).write_text(f"{head}\n{','.join('a' for _ in head.split(','))}\n")
        engine.datasets.add(tmp_path / name)
    app = open_screen("prompt", name=saved)
    chosen = app.selectbox(key="bench:dataset")
    assert chosen.value == table and chosen.options[-1] == "golden.csv · 1 row · golden rows"
    used = ledger.dataset(rows=3)
    ledger.run(used, engine.prompts.versions(saved)[0].id, kind="try")
    assert open_screen("prompt", name=saved).selectbox(key="bench:dataset").value == used
    listed = tables(open_screen("datasets"))["datasets"]["rows"]
    assert [row["c"][0]["t"] for row in listed][-1] == "golden.csv"
    assert (
        open_screen("launch", prompt=f"{saved}@1").selectbox(key="launch:dataset").options[-1].startswith("golden.csv")
    )


# variables and rendering


def test_an_unknown_variable_is_told_with_its_line(open_screen: Open, saved: str, table: str) -> None:
    """What the chosen dataset lacks is said of both: it is no problem of the draft, which another dataset may have."""
    app = open_screen("prompt", name=saved)
    area(app, "Template").input("user:\n{{ txt }}").run()
    said = html.unescape(texts(app))
    assert "This prompt does not fit messages.csv" in said and "in this draft" not in said
    assert "It has no column 'txt' (template, line 2); did you mean text?" in said
    assert "template, line 2" in said and "▸ 2  {{ txt }}" in said


def test_the_line_that_is_no_jinja_is_shown_with_its_number(open_screen: Open, saved: str) -> None:
    """The text area has no numbers to count by."""
    app = open_screen("prompt", name=saved)
    area(app, "Template").input("system:\nBe brief.\n\nuser:\n{% if %}<i>\n").run()
    said = texts(app)
    assert "1 problem in this draft" in said and "template, line 5" in said
    assert "▸ 5  {% if %}<i>" in html.unescape(said) and "<i>" not in said


def test_the_line_where_the_other_settings_break_is_shown(open_screen: Open, saved: str) -> None:
    """They are JSON as well."""
    app = open_screen("prompt", name=saved, view="Model and settings")
    area(app, "Other settings, as the endpoint names them (JSON)").input('{\n"stop": }').run()
    assert "other settings, line 2" in texts(app)


def test_without_a_dataset_no_variable_is_held_against_the_draft(open_screen: Open, saved: str) -> None:
    """Nothing is unknown where there is nothing to know it by."""
    said = texts(open_screen("prompt", name=saved))
    assert "in this draft" not in said and "Upload a dataset" in said


def test_the_editor_offers_what_puts_each_column_in(
    open_screen: Open, saved: str, engine: Engine, tmp_path: Path
) -> None:
    """By its name where that is one in a template, through the row where it is not."""
    file = tmp_path / "odd.csv"
    file.write_text('text,loop,not,"say ""hi"""\n1,2,3,4\n')
    odd = engine.datasets.add(file)
    shown = html.unescape(texts(open_screen("prompt", name=saved, dataset=odd.id)))
    for told in ("{{ text }}", '{{ row["loop"] }}', '{{ row["not"] }}', r'{{ row["say \"hi\""] }}'):
        assert told in shown
    (listed,) = [table for label, table in tables(open_screen("dataset", id=odd.id)).items() if label == "columns"]
    assert [row["c"][1]["t"] for row in listed["rows"]] == [templates.placeholder(name) for name in odd.columns]


# messages one by one


def test_messages_are_edited_one_by_one(open_screen: Open, saved: str, table: str, engine: Engine) -> None:
    """A message's text, role and place change the template, and a marker inside a message stays text."""
    app = open_screen("prompt", name=saved)
    app.button_group(key="template:source").set_value("messages").run()
    area(app, "Text of message 1").input("Be brief.\nuser:\nis no marker").run()
    press(app, "Add an example from this row")
    held = engine.prompts.draft(saved) or {}
    assert [(turn.role, turn.text) for turn in prompts.turns(held["template"])] == [
        ("system", "Be brief.\nuser:\nis no marker"),
        ("user", "text number 1"),
        ("assistant", '{"label": "good", "score": 0, "tags": []}'),
        ("user", "{{ text }}"),
    ]
    [one for one in app.button if one.label == "Remove"][0].click().run()
    held = engine.prompts.draft(saved) or {}
    assert [turn.role for turn in prompts.turns(held["template"])] == ["user", "assistant", "user"]


def test_messages_that_are_moved_and_removed_stay_what_they_are(open_screen: Open, saved: str, engine: Engine) -> None:
    """Each press is about the message that it stands at, whatever was pressed before; the address says how they are edited."""
    app = open_screen("prompt", name=saved, template="messages")
    for _ in range(2):
        press(app, "Add a message")
    for place, text in enumerate(("one", "two", "three", "four"), start=1):
        area(app, f"Text of message {place}").input(text).run()
    removes = [one for one in app.button if one.label == "Remove"]
    [one for one in app.button if one.label == "↓"][2].click()
    removes[0].click()
    removes[1].click().run()
    assert [one.value for one in app.text_area if one.label.startswith("Text of message")] == ["four", "three"]
    assert [turn.text for turn in prompts.turns((engine.prompts.draft(saved) or {})["template"])] == ["four", "three"]
    area(app, "Text of message 2").input("3").run()
    assert [turn.text for turn in prompts.turns((engine.prompts.draft(saved) or {})["template"])] == ["four", "3"]


@pytest.mark.parametrize("text", ["plain", "a {{ b }}", "{% if x %}", "{# note #}", "{{ a }} {% endraw %} {{ b }}"])
def test_a_row_becomes_a_literal_example(text: str) -> None:
    """A cell that looks like a template is an example as it stands, and is never run."""
    shown = templates.parse(f"user:\n{template.literal(text)}").render({})[0].content
    assert shown == text.replace("{% endraw", "{ % endraw")


# saving


def test_saving_shows_the_difference_and_asks_for_a_note(open_screen: Open, saved: str, engine: Engine) -> None:
    """Template, contract and settings that differ are shown; without a note there is no version; then there is one."""
    app = open_screen("prompt", name=saved)
    area(app, "Template").input("user:\nSay {{ text }}!").run()
    press(app, "Save a new version …")
    said = texts(app)
    assert "What changes is required: the history shows it" in said
    assert '<span class="new">+Say {{ text }}!' in said and '<span class="old">-{{ text }}' in said
    confirm(app, "Save a new version …", "Save")
    assert "The note is missing" in texts(app)
    assert len(engine.prompts.versions(saved)) == 1


def test_a_saved_draft_is_a_version_and_no_draft(saved: str, engine: Engine, open_screen: Open) -> None:
    """Saving gives the next number, keeps the note, and lets the draft go."""
    app = open_screen("prompt", name=saved)
    area(app, "Template").input("user:\nSay {{ text }}!").run()
    press(app, "Save a new version …")
    (note,) = [one for one in app.text_input if one.label == "What changes and why"]
    note.input("shout")
    (about,) = [one for one in app.text_input if one.label.startswith("What this prompt does")]
    about.input("Sorts messages")
    confirm(app, "Save a new version …", "Save")
    newest = engine.prompts.versions(saved)[0]
    assert (newest.number, newest.note, newest.content.template) == (2, "shout", "user:\nSay {{ text }}!")
    assert newest.description == "Sorts messages"
    assert engine.prompts.draft(saved) is None


@pytest.mark.parametrize(("template", "kept"), [("{{ text }}!", {"label": "text"}), ("{{ note }}", {})])
def test_a_default_echo_goes_with_what_it_repeats(
    open_screen: Open, engine: Engine, template: str, kept: dict[str, str]
) -> None:
    """A new version keeps it as long as it can be had; else every run of it would be refused."""
    engine.prompts.save("echoing", CONTENT, note="n", defaults={"strikes": 2, "echo": {"label": "text"}})
    app = open_screen("prompt", name="echoing")
    area(app, "Template").input(f"user:\n{template}").run()
    press(app, "Save a new version …")
    (note,) = [one for one in app.text_input if one.label == "What changes and why"]
    note.input("shorter")
    confirm(app, "Save a new version …", "Save")
    newest = engine.prompts.versions("echoing")[0]
    assert newest.number == 2 and newest.defaults == {"strikes": 2, "echo": kept}


def test_what_a_folder_held_is_kept_as_the_version_before(open_screen: Open, engine: Engine) -> None:
    """So the bare name, which means the folder, is a version older than the one that was made of it, and brings no newer one."""
    prompts.write_folder(engine.settings.prompts / "triage", CONTENT, description="Sorts", defaults={"in_flight": 7})
    app = open_screen("prompt", name="triage")
    area(app, "Template").input("user:\nSay {{ text }}!").run()
    press(app, "Save a new version …")
    assert "What the prompts folder holds is kept as @1, and this, which was made of it, as @2." in texts(app)
    (note,) = [one for one in app.text_input if one.label == "What changes and why"]
    note.input("shout")
    confirm(app, "Save a new version …", "Save")
    newest, first = engine.prompts.versions("triage")
    assert (newest.number, newest.note, newest.content.template) == (2, "shout", "user:\nSay {{ text }}!")
    assert (first.content, first.source, first.description) == (CONTENT, "folder", "Sorts")
    assert newest.defaults == first.defaults == {"in_flight": 7}
    assert engine.prompts.resolve("triage").number == 1 and len(engine.prompts.versions("triage")) == 2
    said = texts(open_screen("prompt", name="triage"))
    assert "The prompts folder holds triage@1, which is older than @2" in said


# history


@pytest.fixture
def two(engine: Engine, saved: str) -> str:
    """A prompt with two saved versions that differ in all three parts; its name."""
    changed = VersionContent(
        template=CONTENT.template + "!",
        contract={**CONTRACT, "required": ["label", "score"]},
        settings={"temperature": 1},
    )
    engine.prompts.save(saved, changed, note="<b>second</b>")
    return saved


def test_any_two_versions_are_compared(open_screen: Open, two: str) -> None:
    """The comparison says what differs in template, contract and settings."""
    said = texts(open_screen("prompt", name=two, view="History", a=1, b=2))
    assert said.count('<pre class="rd-diff">') == 3
    assert '<span class="new">+{{ text }}!' in said
    same = texts(open_screen("prompt", name=two, view="History", a=2, b=2))
    assert "These two are the same version" in same


def test_the_label_moves_after_saying_what_it_replaces(open_screen: Open, two: str, engine: Engine) -> None:
    """The question names the version that is in production now."""
    engine.prompts.label(two, "production", 1)
    app = open_screen("prompt", name=two, view="History", a=1, b=2)
    press(app, "Label @2 production")
    assert "production is triage@1 now; it becomes triage@2." in texts(app)
    confirm(app, "Label @2 production", "Label @2 production")
    assert engine.prompts.resolve("triage@production").number == 2


def test_a_version_is_written_back_to_its_folder(open_screen: Open, two: str, engine: Engine) -> None:
    """The folder holds that version, after a question that names it."""
    app = open_screen("prompt", name=two, view="History", a=1, b=2)
    press(app, "Write @2 to the folder")
    assert str(Path(engine.settings.prompts) / two) in texts(app)
    confirm(app, "Write @2 to the folder", "Write")
    assert prompts.load_folder(engine.settings.prompts / two).content.template.endswith("!")


def test_a_folder_with_an_older_version_is_written_to_first(
    open_screen: Open, two: str, engine: Engine, table: str
) -> None:
    """The banner names the version in the folder and offers to write the latest; then it is gone. To launch is no matter of it."""
    engine.prompts.write_back(two, 1)
    app = open_screen("prompt", name=two)
    assert "The prompts folder holds triage@1, which is older than @2" in texts(app)
    assert "The prompts folder" not in texts(open_screen("launch", dataset=table, prompt="triage@2"))
    labels = [one.label for one in app.button]
    assert "Write @2 to the folder" in labels and "Take the folder's content in" not in labels
    press(app, "Write @2 to the folder")
    assert "The folder holds triage@1 now, which stays among the versions." in texts(app)
    confirm(app, "Write @2 to the folder", "Write")
    assert prompts.load_folder(engine.settings.prompts / two).content.template.endswith("!")
    assert "The prompts folder holds" not in texts(open_screen("prompt", name=two))


def test_a_folder_edited_by_hand_can_become_a_version(open_screen: Open, two: str, engine: Engine, table: str) -> None:
    """Content that no version has is said to be that, and which is newer; it can be replaced, or taken as a version."""
    engine.prompts.write_back(two, 1)
    prompt_file = engine.settings.prompts / two / "prompt.md"
    prompt_file.write_text(prompt_file.read_text() + "by hand\n")
    app = open_screen("prompt", name=two)
    held = "The prompts folder holds a content that is no version yet, last changed"
    assert f"{held} after @2 was saved" in texts(app)
    assert "The prompts folder holds a content that is no version" in texts(
        open_screen("launch", dataset=table, prompt="triage@2")
    )
    labels = [one.label for one in app.button]
    assert labels.index("Write @2 to the folder") < labels.index("Take the folder's content in")
    press(app, "Take the folder's content in")
    assert engine.prompts.versions(two)[0].content.template.endswith("by hand")


# tries and hand-over


def test_failing_rows_are_handed_over(open_screen: Open, saved: str, table: str) -> None:
    """Rows in the URL are those that are tried, and the first is the one that is rendered."""
    app = open_screen("prompt", name=saved, dataset=table, rows="7,30,31")
    assert [one.label for one in app.button if one.label.startswith("Try on")] == ["Try on 3 rows"]
    assert "text number 7" in texts(app)


def test_a_try_is_shown_with_raw_replies_and_verdicts(open_screen: Open, saved: str, ledger: Ledger) -> None:
    """A try in the URL is drawn from the ledger: accepted values, and raw replies beside their problems."""
    dataset = ledger.dataset(rows=3)
    run = ledger.run(dataset, ledger.version(prompt="tried"), kind="try", dead=1)
    app = open_screen("prompt", name=saved, dataset=dataset, **{"try": run})
    said = texts(app)
    assert f"Try {run}" in said and "3 of 3 answered" in said
    assert said.count("rejected, earlier draft</span>") == 1 and "Accepted value" in said
    assert [data["problems"] for data in elements(app) if data.get("problems")]
    inspected = [page for label, page in links(app).items() if label == "Inspect"]
    assert inspected and f"run={run}" in inspected[0]


def test_verdicts_of_an_earlier_draft_are_marked(
    open_screen: Open, saved: str, ledger: Ledger, engine: Engine, table: str
) -> None:
    """A try of what stands in the editor has no mark; after an edit its verdicts have one, and lose it when it is undone."""
    version = engine.prompts.resolve(f"{saved}@1").id
    run = ledger.run(ledger.dataset(rows=3), version, kind="try", dead=1)
    app = open_screen("prompt", name=saved, dataset=table, **{"try": run})
    assert "rejected</span>" in texts(app) and "earlier draft" not in texts(app)
    area(app, "Template").input("user:\nSay {{ text }}!").run()
    assert "From an earlier draft" in texts(app) and "rejected, earlier draft</span>" in texts(app)
    area(app, "Template").input(CONTENT.template).run()
    assert "earlier draft" not in texts(app)


def test_launching_is_handed_the_latest_version(open_screen: Open, two: str, table: str) -> None:
    """The link carries the version by number, and the dataset."""
    page = links(open_screen("prompt", name=two, dataset=table))["**Launch run with @2**"]
    assert page.startswith("launch?") and "triage%402" in page and table in page


def test_after_saving_the_dead_letters_are_one_click_away(open_screen: Open, two: str, ledger: Ledger) -> None:
    """The run and signature that were handed over come back with the new version."""
    run = ledger.run(ledger.dataset(rows=3), ledger.version(prompt="tried"), dead=1)
    page = links(open_screen("prompt", name=two, run=run, signature="1:enum", saved=2))["**Replay with @2**"]
    assert page.startswith("dead-letters?") and f"run={run}" in page and "triage%402" in page
