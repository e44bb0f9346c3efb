"""The contract in the prompt editor: as JSON Schema, and its flat fields as a table."""

from __future__ import annotations

import json

import pytest

from jobs import errors
from jobs.api import Engine
from jobs.contract import Contract, FlatField
from tests.workbench.conftest import CONTENT, CONTRACT, Open, press, texts
from workbench.screens.editor import contract


@pytest.fixture
def saved(engine: Engine) -> str:
    """A prompt with one saved version; its name."""
    engine.prompts.save("triage", CONTENT, note="first")
    return "triage"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"type": "object",}', "line 1, column"),
        ('{"a": 1, "a": 2}', "stands twice"),
        ("[]", "must be a JSON object"),
        ('{"type": "object", "properties": {"a": {"typ": "string"}}}', "#/properties/a"),
        (
            '{"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"$ref": "#/$defs/x"}}}',
            "#/$defs/x",
        ),
        ('{"type": "object", "properties": {"a": {"type": "integer", "default": "x"}}}', "#/properties/a/default"),
    ],
)
def test_a_contract_that_cannot_be_held_is_refused_with_its_place(
    open_screen: Open, saved: str, engine: Engine, text: str, told: str
) -> None:
    """The place is on the screen, the draft is kept, and saving stores nothing."""
    app = open_screen("prompt", name=saved, view="Contract")
    app.button_group(key="contract:fields").set_value("schema").run()
    (area,) = [one for one in app.text_area if one.label == "Contract"]
    area.input(text).run()
    assert "This contract cannot be held" in texts(app) and told in texts(app)
    press(app, "Save a new version …")
    if app.text_input:
        app.text_input[-1].input("try it").run()
    assert len(engine.prompts.versions(saved)) == 1
    assert (engine.prompts.draft(saved) or {})["contract"] == text


def test_the_field_table_gives_the_contract_back() -> None:
    """Taking the table over unchanged changes nothing, fields that are not flat included."""
    fields = Contract.from_schema(CONTRACT).fields()
    assert contract.rows(contract.applied(contract.frame(fields), {})) == fields
    assert [field.name for field in fields] == ["label", "score"]


def test_an_edit_in_the_field_table_is_in_the_contract(open_screen: Open, saved: str, engine: Engine) -> None:
    """A cell that was edited and a row that was added are in the draft, and the list field is still there."""
    app = open_screen("prompt", name=saved, view="Contract")
    app.session_state["edit:triage:0:fields"] = {
        "edited_rows": {1: {"maximum": 5, "description": "how sure"}},
        "added_rows": [{"name": "why", "type": "string", "required": False, "max_length": 200}],
        "deleted_rows": [],
    }
    app.run()
    made = json.loads((engine.prompts.draft(saved) or {})["contract"])
    assert made["properties"]["score"] == {"type": "integer", "minimum": 0, "maximum": 5, "description": "how sure"}
    assert made["properties"]["why"] == {"type": "string", "maxLength": 200}
    assert made["properties"]["tags"] == CONTRACT["properties"]["tags"]
    assert made["required"] == ["label"]
    assert "The table cannot show these; they are edited as JSON Schema" in texts(app)


def test_an_edit_that_is_taken_back_leaves_the_contract_as_it_was(
    open_screen: Open, saved: str, engine: Engine
) -> None:
    """The contract's own text stands again, so that the draft is no change."""
    app = open_screen("prompt", name=saved, view="Contract")
    for maximum in (5, 10):
        edits = {"edited_rows": {1: {"maximum": maximum}}, "added_rows": [], "deleted_rows": []}
        app.session_state["edit:triage:0:fields"] = edits
        app.run()
    assert "no unsaved change" in texts(app)


def test_rows_that_are_taken_out_and_put_in() -> None:
    """What the editor tells is applied in its order: cells, then rows that go, then rows that come."""
    table = contract.frame([FlatField(name=name, type="string") for name in "abc"])
    edits = {
        "edited_rows": {0: {"name": "A"}, 2: {"type": "integer"}},
        "deleted_rows": [1],
        "added_rows": [{"name": "d"}],
    }
    made = contract.rows(contract.applied(table, edits))
    assert [(field.name, field.type, field.required) for field in made] == [
        ("A", "string", True),
        ("c", "integer", True),
        ("d", "string", True),
    ]


def test_a_row_without_a_name_is_said_and_kept_in_the_draft(open_screen: Open, saved: str, engine: Engine) -> None:
    """It is there after a reload, what else was edited is taken over beside it, and no version is saved with it."""
    app = open_screen("prompt", name=saved, view="Contract")
    added = [{"type": "integer", "required": True, "description": "how sure"}]
    edits = {"edited_rows": {1: {"maximum": 5}}, "added_rows": added, "deleted_rows": []}
    app.session_state["edit:triage:0:fields"] = edits
    app.run()
    assert "Row 3 of the table has no name" in texts(app)
    kept = json.loads((engine.prompts.draft(saved) or {})["contract"])
    assert kept["properties"][""] == {"type": "integer", "description": "how sure"}
    assert kept["properties"]["score"]["maximum"] == 5

    again = open_screen("prompt", name=saved, view="Contract")
    assert "Row 3 of the table has no name" in texts(again)
    press(again, "Save a new version …")
    assert "This draft cannot be saved" in texts(again) and "a field has no name" in texts(again)

    edits = {"edited_rows": {2: {"name": "sure"}}, "added_rows": [], "deleted_rows": []}
    again.session_state["edit:triage:0:fields"] = edits
    again.run()
    assert "has no name" not in texts(again)
    assert list(json.loads((engine.prompts.draft(saved) or {})["contract"])["properties"]) == [
        "label", "score", "tags", "sure",
    ]  # fmt: skip


def test_two_rows_without_a_name_are_both_told(open_screen: Open, saved: str, engine: Engine) -> None:
    """A draft keeps one of them: nothing is taken over until the other one has a name."""
    app = open_screen("prompt", name=saved, view="Contract")
    app.session_state["edit:triage:0:fields"] = {"edited_rows": {}, "added_rows": [{}, {}], "deleted_rows": []}
    app.run()
    assert "rows 3, 4 have no name" in texts(app) and "not taken over yet" in texts(app)
    assert engine.prompts.draft(saved) is None


def test_the_line_where_the_json_breaks_is_shown_with_its_number(open_screen: Open, saved: str) -> None:
    """The text area has no numbers to count by; what stands there is shown as it is, and as text."""
    app = open_screen("prompt", name=saved, view="Contract")
    app.button_group(key="contract:fields").set_value("schema").run()
    (area,) = [one for one in app.text_area if one.label == "Contract"]
    area.input('{\n  "type": "object",\n  "properties": <b>{}\n}').run()
    assert "contract, line 3" in texts(app)
    assert '<span class="old">▸ 3    &quot;properties&quot;: &lt;b&gt;{}' in texts(app)
    assert '<span class="at">  2    &quot;type&quot;' in texts(app)


@pytest.mark.parametrize(
    ("kind", "texts", "values"),
    [("string", ["1", "a b"], ("1", "a b")), ("integer", ["1", "-2"], (1, -2)), ("boolean", ["true"], (True,))],
)
def test_allowed_values_take_the_type_of_their_field(kind: str, texts: list[str], values: tuple[object, ...]) -> None:
    """The table's cells are texts; the contract's values are not."""
    (field,) = contract.rows(_one_field(kind, texts))
    assert field.enum == values


@pytest.mark.parametrize(("kind", "text"), [("integer", "1.5"), ("integer", "x"), ("boolean", "1"), ("number", "true")])
def test_an_allowed_value_of_another_type_is_refused(kind: str, text: str) -> None:
    """The refusal names the field."""
    with pytest.raises(errors.ContractError, match="#/properties/a/enum"):
        contract.rows(_one_field(kind, [text]))


def _one_field(kind: str, texts: list[str]) -> list[dict[str, object]]:
    return [{**dict.fromkeys(contract.COLUMNS), "name": "a", "type": kind, "enum": texts}]
