"""The model and the settings of a version: what is asked of the endpoint beside the messages."""

from __future__ import annotations

import streamlit as st

from jobs import errors
from workbench.screens.editor import desk, lines
from workbench.screens.editor.draft import FORMATS, Draft, TornJson, read_object

FORMAT_WORDS = {
    "text": "text: the prompt alone asks for JSON",
    "json_object": "json_object: any JSON object",
    "json_schema": "json_schema: held to the contract",
}


def edit(name: str, draft: Draft, *, models: list[str]) -> None:
    """Draw the settings; ``models`` are those that the connections offer."""
    first, second = st.columns(2)
    with first:
        _select(name, "model", draft.model, ["", *models], words={"": "of the run: not fixed by the prompt"})
        _select(name, "response_format", draft.response_format, list(FORMATS), words=FORMAT_WORDS)
        _number(name, "max_tokens", draft.max_tokens, "Most tokens of a reply", low=1, step=64)
    with second:
        _number(name, "temperature", draft.temperature, "Temperature", low=0.0, step=0.1)
        _number(name, "top_p", draft.top_p, "Top p", low=0.0, step=0.05)
        _number(name, "seed", draft.seed, "Seed", low=0, step=1)
    key = desk.key(name, "more")
    st.text_area(
        "Other settings, as the endpoint names them (JSON)",
        draft.more,
        key=key,
        height=100,
        placeholder='{"stop": ["\\n\\n"], "presence_penalty": 0.5}',
        on_change=desk.typed,
        args=(name, "more", key),
    )
    try:
        read_object(draft.more or "{}", what="the other settings")
    except TornJson as error:
        lines.show(draft.more, [error.line], of="other settings")
    except errors.InputError:
        pass  # it names no line


def _select(name: str, field: str, value: str, options: list[str], *, words: dict[str, str]) -> None:
    key = desk.key(name, field)
    known = options if value in options else [*options, value]
    st.selectbox(
        field.replace("_", " ").capitalize(),
        known,
        index=known.index(value),
        format_func=lambda option: words.get(option, option),
        accept_new_options=field == "model",
        key=key,
        on_change=_chosen,
        args=(name, field, key),
    )


def _chosen(name: str, field: str, key: str) -> None:
    desk.typed(name, field, key, empty="")


def _number(
    name: str, field: str, value: float | int | None, label: str, *, low: float | int, step: float | int
) -> None:
    key = desk.key(name, field)
    st.number_input(
        label,
        min_value=low,
        value=type(low)(value) if value is not None else None,
        step=step,
        key=key,
        placeholder="the endpoint's own",
        required=field == "max_tokens",
        on_change=_counted,
        args=(name, field, key),
    )


def _counted(name: str, field: str, key: str) -> None:
    if not desk.stands(name, key):
        return
    value = st.session_state[key]
    if value is not None or field != "max_tokens":
        desk.change(name, **{field: value})
