"""The template: its source as a whole, or its messages one by one, which is how few-shot examples are written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, cast, get_args

import streamlit as st

from jobs import errors, prompts, templates
from jobs.markers import Role, Turn
from workbench import parts, session
from workbench.screens.editor import desk, lines
from workbench.screens.editor.draft import Draft, read_object

ROLES: tuple[Role, ...] = get_args(Role)
WAYS = {"source": "Source", "messages": "Message by message"}


def edit(name: str, draft: Draft, *, columns: Sequence[str], cells: dict[str, str] | None) -> None:
    """Draw the template's editor; ``columns`` are those of the chosen dataset, ``cells`` its chosen row's."""
    way = parts.filters.segments("template", list(WAYS), default="source", words=WAYS.__getitem__)
    desk.edited_as(name, "template", way)
    if way == "messages":
        _turns(name, draft, cells)
    else:
        key = desk.key(name, "template")
        st.text_area(
            "Template",
            draft.template,
            key=key,
            height=420,
            on_change=desk.typed,
            args=(name, "template", key),
            help="Jinja: {{ column }} puts a value in. A line that is exactly system:, user: or assistant: begins a message; "
            "a user and an assistant message before the last user message are a few-shot example. Ctrl+Enter applies.",
            label_visibility="collapsed",
        )
    lines.show(draft.template, _amiss(draft.template, columns), of="template")
    _columns(draft, columns)


def _amiss(template: str, columns: Sequence[str]) -> list[int]:
    """The lines with what cannot be read, or else with what the chosen dataset lacks."""
    try:
        read = templates.parse(template)
    except errors.PromptError as error:
        return [error.line] if error.line else []
    return [name.line for name in read.unknown(columns)] if columns else []


def _columns(draft: Draft, columns: Sequence[str]) -> None:
    if not columns:
        return
    try:
        used = set(templates.parse(draft.template).columns(columns))
    except errors.PromptError:
        used = set()
    told = "".join(
        f'<code class="rd-mono" style="{"font-weight:700" if column in used else "opacity:.75"}">'
        f"{'✓ ' if column in used else ''}{parts.safe(templates.placeholder(column))}</code>"
        for column in columns
    )
    st.html(f'<div class="rd-chips"><span class="rd-sub">Columns (✓ used):</span>{told}</div>')


def _turns(name: str, draft: Draft, cells: dict[str, str] | None) -> None:
    turns = prompts.turns(draft.template)
    for place, (mark, turn) in enumerate(zip(_marks(name, turns), turns, strict=True)):
        _turn(name, place, len(turns), mark, turn)
    with st.container(horizontal=True):
        if st.button("Add a message", key=desk.key(name, "add")):
            _keep(name, [*turns, Turn("user", "…")])
        example = st.button(
            "Add an example from this row",
            key=desk.key(name, "example"),
            disabled=cells is None or not turns,
            help="Puts a user and an assistant message before the last one: the prompt rendered for the chosen row, and an "
            "answer of the contract's shape for you to fill in.",
        )
    if example and cells is not None:
        _add_example(name, draft, turns, cells)


def _marks(name: str, turns: Sequence[Turn]) -> list[int]:
    """What the widgets of each message are called; they keep it while others are moved or removed, so no press is lost.

    A press that the browser sends before it has drawn the last one is about a button that is still there.
    """
    marks: list[int] = st.session_state.setdefault(desk.key(name, "marks"), list(range(len(turns))))
    if len(marks) != len(turns):
        marks[:] = range(max(marks, default=0) + 1, max(marks, default=0) + 1 + len(turns))
    return marks


def _turn(name: str, place: int, of: int, mark: int, turn: Turn) -> None:
    def key(field: str) -> str:
        return desk.key(name, f"{field}:{mark}")

    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            role_key = key("role")
            st.selectbox(
                f"Role of message {place + 1}",
                ROLES,
                index=ROLES.index(turn.role),
                key=role_key,
                label_visibility="collapsed",
                width=130,
                on_change=_changed,
                args=(name, mark, "role", role_key),
            )
            st.caption(f"message {place + 1} of {of}")
            for sign, step, last, words in (("↑", -1, 0, "Move up"), ("↓", 1, of - 1, "Move down")):
                move = key(words)
                st.button(
                    sign, key=move, disabled=place == last, help=words, on_click=_moved, args=(name, mark, step, move)
                )
            gone = key("gone")
            st.button("Remove", key=gone, on_click=_removed, args=(name, mark, gone))
        text_key = key("text")
        st.text_area(
            f"Text of message {place + 1}",
            turn.text,
            key=text_key,
            height="content",
            label_visibility="collapsed",
            on_change=_changed,
            args=(name, mark, "text", text_key),
        )


def _standing(name: str, mark: int, key: str) -> tuple[list[Turn], list[int], int] | None:
    """The messages, their marks, and the place of the one whose widget was used; None where it is gone."""
    turns = prompts.turns(desk.held(name).template)
    marks = _marks(name, turns)
    return (turns, marks, marks.index(mark)) if desk.stands(name, key) and mark in marks else None


def _changed(name: str, mark: int, field: Literal["role", "text"], key: str) -> None:
    if (found := _standing(name, mark, key)) is None:
        return
    turns, _, place = found
    value = str(st.session_state[key])
    old = turns[place]
    turns[place] = Turn(cast(Role, value), old.text) if field == "role" else Turn(old.role, value)
    desk.change(name, template=prompts.join(turns))


def _removed(name: str, mark: int, key: str) -> None:
    if (found := _standing(name, mark, key)) is None:
        return
    turns, marks, place = found
    del turns[place], marks[place]
    desk.change(name, template=prompts.join(turns))


def _moved(name: str, mark: int, step: int, key: str) -> None:
    if (found := _standing(name, mark, key)) is None:
        return
    turns, marks, place = found
    if 0 <= (other := place + step) < len(turns):
        turns[place], turns[other] = turns[other], turns[place]
        marks[place], marks[other] = marks[other], marks[place]
        desk.change(name, template=prompts.join(turns))


def _keep(name: str, turns: Sequence[Turn]) -> None:
    desk.change(name, outside=True, template=prompts.join(turns))
    st.rerun()


def _add_example(name: str, draft: Draft, turns: list[Turn], cells: dict[str, str]) -> None:
    last = max((place for place, turn in enumerate(turns) if turn.role == "user"), default=len(turns) - 1)
    try:
        asked = templates.parse(prompts.join([turns[last]])).render(cells)[-1].content
    except errors.PromptError as error:
        parts.error(error, title="This row cannot be rendered")
        return
    example = [Turn("user", literal(asked)), Turn("assistant", literal(skeleton(draft.contract)))]
    session.notify("An example was added: write the answer that is right for this row")
    _keep(name, [*turns[:last], *example, *turns[last:]])


def literal(text: str) -> str:
    """A text that Jinja leaves as it is."""
    if not any(mark in text for mark in ("{{", "{%", "{#")):
        return text
    return "{% raw %}" + text.replace("{% endraw", "{ % endraw").replace("{%- endraw", "{ %- endraw") + "{% endraw %}"


def skeleton(contract: str) -> str:
    """An answer of the contract's shape, to be filled in by a person."""
    try:
        properties = read_object(contract, what="the contract").get("properties", {})
    except errors.InputError:
        return "{}"
    if not isinstance(properties, dict):
        return "{}"
    return json.dumps({field: _blank(below) for field, below in properties.items()}, ensure_ascii=False)


def _blank(below: Any) -> Any:
    if not isinstance(below, dict):
        return None
    if isinstance(below.get("enum"), list) and below["enum"]:
        return below["enum"][0]
    kinds = below.get("type")
    kind = kinds[0] if isinstance(kinds, list) and kinds else kinds
    blanks: dict[Any, Any] = {"string": "…", "integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}
    return blanks.get(kind) if not isinstance(kind, list) else None
