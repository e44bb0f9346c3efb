"""The contract: as JSON Schema, or its flat fields as a table.

The table's source stays what it was when the table was first drawn, since a source that follows its own edits loses
every second one; what the person has done to it is applied to that source at each edit.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from jobs import errors
from jobs.contract import Contract, FlatField, schema_from_fields
from workbench import parts
from workbench.screens.editor import desk, lines
from workbench.screens.editor import draft as drafts
from workbench.screens.editor.draft import Draft

TYPES = ("string", "number", "integer", "boolean")
WAYS = {"fields": "Field table", "schema": "JSON Schema"}
COLUMNS = (
    "name", "type", "required", "nullable", "enum", "minimum", "maximum", "min_length", "max_length", "pattern",
    "description",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """What a table began with: the draft's text, the same as a schema, and its flat fields."""

    text: str
    schema: dict[str, Any]
    table: pd.DataFrame


def edit(name: str, draft: Draft) -> None:
    """Draw the contract's editor and what keeps it from being held."""
    way = parts.filters.segments("contract", list(WAYS), default="fields", words=WAYS.__getitem__)
    desk.edited_as(name, "contract", way)
    if way == "schema":
        key = desk.key(name, "contract")
        st.text_area(
            "Contract",
            draft.contract,
            key=key,
            height=420,
            on_change=desk.typed,
            args=(name, "contract", key),
            help="JSON Schema of one answer object. Ctrl+Enter applies.",
            label_visibility="collapsed",
        )
    else:
        _table(name, draft)
    contract = desk.held(name).contract
    trouble = problem(contract)
    if trouble:
        parts.error(trouble, title="This contract cannot be held")
    if isinstance(trouble, drafts.TornJson):
        lines.show(contract, [trouble.line], of="contract")


def problem(contract: str) -> errors.InputError | None:
    """What keeps a contract from being held, with its place."""
    try:
        Contract.from_schema(drafts.read_object(contract, what="the contract"))
    except errors.InputError as error:
        return error
    return None


def _table(name: str, draft: Draft) -> None:
    held = desk.key(name, "fields")
    source: Source | None = st.session_state.get(f"{held}:source")
    if source is None:
        try:
            schema = drafts.read_object(draft.contract, what="the contract")
            source = Source(draft.contract, schema, frame(Contract.from_schema(schema).fields()))
        except errors.InputError:
            st.caption("The table shows a contract that can be held; mend it as JSON Schema first.")
            return
        st.session_state[f"{held}:source"] = source
    st.data_editor(
        source.table,
        key=held,
        num_rows="dynamic",
        hide_index=True,
        placeholder="",
        column_config=_config(),
        height="content",
        on_change=_edited,
        args=(name, held),
    )
    others = [field for field in source.schema.get("properties", {}) if field not in set(source.table["name"])]
    if others:
        st.caption("The table cannot show these; they are edited as JSON Schema and stay as they are:")
        parts.plain(", ".join(others))
    try:
        fields = _take_over(name, held)
    except errors.InputError as error:
        parts.error(error, title="This table is not taken over yet")
        return
    if lacking := _unnamed(fields):
        parts.panel(
            "It stays in this draft, and no version can be saved with it: name it, or take the row out.",
            title=f"Row {lacking[0]} of the table has no name",
        )


def _edited(name: str, held: str) -> None:
    """Take an edit over before anything is drawn: a press that follows at once cuts the drawing short, or leads elsewhere."""
    if not desk.stands(name, held):
        return
    # what is amiss is said where the table is drawn
    with contextlib.suppress(errors.InputError):
        _take_over(name, held)


def _take_over(name: str, held: str) -> list[FlatField]:
    source: Source = st.session_state[f"{held}:source"]
    fields = rows(applied(source.table, st.session_state[held]))
    if len(lacking := _unnamed(fields)) > 1:
        told = ", ".join(map(str, lacking))
        raise errors.ContractError(f"rows {told} have no name; one may be left so for now", place="#/properties")
    made = schema_from_fields(fields, source.schema, unnamed=True)
    text = source.text if made == source.schema else drafts.pretty(made)
    if text != desk.held(name).contract:
        desk.change(name, contract=text)
    return fields


def _unnamed(fields: Sequence[FlatField]) -> list[int]:
    """The rows of the table that have no name, counted from 1."""
    return [place for place, field in enumerate(fields, start=1) if not field.name]


def applied(table: pd.DataFrame, edits: Mapping[str, Any]) -> list[dict[Any, Any]]:
    """The table's records with what a person has done to it, as the editor tells it."""
    records = table.to_dict("records")
    for place, cells in edits.get("edited_rows", {}).items():
        records[int(place)].update(cells)
    gone = set(edits.get("deleted_rows", ()))
    left = [record for place, record in enumerate(records) if place not in gone]
    return left + [{**dict.fromkeys(COLUMNS), **cells} for cells in edits.get("added_rows", ())]


def frame(fields: Sequence[FlatField]) -> pd.DataFrame:
    """Flat fields as the table that is edited; allowed values as JSON texts, so that 1 and "1" stay apart."""
    records = [
        {
            **field.model_dump(),
            "enum": [value if isinstance(value, str) else json.dumps(value) for value in field.enum],
        }
        for field in fields
    ]
    table = pd.DataFrame(records, columns=list(COLUMNS))
    kinds = {"required": "boolean", "nullable": "boolean", "minimum": "Float64", "maximum": "Float64"}
    return table.astype(kinds | {"min_length": "Int64", "max_length": "Int64"})


def rows(records: Sequence[Mapping[Any, Any]]) -> list[FlatField]:
    """The flat fields that a table's records say.

    Raises:
        ContractError: a cell does not fit its column or its field's type, with the place.
    """
    return [_field(place, record) for place, record in enumerate(records, start=1)]


def _field(place: int, record: Mapping[Any, Any]) -> FlatField:
    name = str(_or(record["name"], "")).strip()
    kind = str(_or(record["type"], "string"))
    return FlatField.model_validate(
        {
            "name": name,
            "type": kind,
            "required": bool(_or(record["required"], True)),
            "nullable": bool(_or(record["nullable"], False)),
            "enum": tuple(_value(text, kind, name or f"field {place}") for text in _list(record["enum"])),
            "minimum": _number(_or(record["minimum"], None)),
            "maximum": _number(_or(record["maximum"], None)),
            "min_length": _whole(_or(record["min_length"], None)),
            "max_length": _whole(_or(record["max_length"], None)),
            "pattern": str(_or(record["pattern"], "")) or None,
            "description": str(_or(record["description"], "")),
        }
    )


def _value(text: str, kind: str, name: str) -> str | int | float | bool:
    if kind == "string":
        return text
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = None
    fits = (
        isinstance(value, bool)
        if kind == "boolean"
        else isinstance(value, (int, float)) and not isinstance(value, bool)
    )
    if not fits or (kind == "integer" and isinstance(value, float)):
        raise errors.ContractError(
            f"{text!r} is not {'an' if kind == 'integer' else 'a'} {kind}", place=f"#/properties/{name}/enum"
        )
    made: int | float | bool = value
    return made


def _list(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, (list, tuple)) or hasattr(value, "tolist") else []


def _or(value: Any, other: Any) -> Any:
    missing = value is None or (
        not isinstance(value, (list, tuple, str)) and pd.api.types.is_scalar(value) and pd.isna(value)
    )
    return other if missing else value


def _number(value: float | None) -> int | float | None:
    return int(value) if value is not None and float(value).is_integer() else value


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _config() -> dict[str, Any]:
    column = st.column_config
    return {
        # not required: the browser hands over no row that lacks what is, and says nothing of it
        "name": column.TextColumn("Name", width=115),
        "type": column.SelectboxColumn("Type", options=TYPES, required=True, default="string", width=80),
        "required": column.CheckboxColumn("Required", default=True, width=75, help="the key must be there"),
        "nullable": column.CheckboxColumn("Nullable", default=False, width=75, help="null is allowed as its value"),
        "enum": column.ListColumn("One of", width=150, help="allowed values; none: not restricted"),
        "minimum": column.NumberColumn("Min", width=60, help="of a number"),
        "maximum": column.NumberColumn("Max", width=60, help="of a number"),
        "min_length": column.NumberColumn("Shortest", width=75, min_value=0, step=1, help="characters of a text"),
        "max_length": column.NumberColumn("Longest", width=75, min_value=0, step=1, help="characters of a text"),
        "pattern": column.TextColumn("Pattern", width=85, help="regular expression that a text must match"),
        "description": column.TextColumn("Description", width=165, help="told to the model where the schema is sent"),
    }
