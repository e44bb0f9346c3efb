"""The draft on the desk: kept in the store at every change, so that a reload of the browser loses nothing.

A keyed widget takes its value once and then answers for itself. So the keys carry the draft's *turn*: whoever changes
the draft from outside a widget (a version taken over, a message removed) begins a new one, and all widgets read afresh.

A browser that has not yet heard of a run's end hands over once more what stood in the widgets of the run before, and Streamlit
takes that for a change of each. So a change counts only where its widget is of this turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from jobs import errors, prompts
from jobs.values import VersionContent
from jobs.views.prompts import Version
from workbench import session
from workbench.screens.editor import draft as drafts
from workbench.screens.editor.draft import Draft


def load(name: str, start: Draft) -> Draft:
    """The draft of this session, else the store's, else what there is to ``start`` from; the latter follows new versions."""
    key = f"desk:{name}"
    held = st.session_state.get(key)
    body = session.engine().prompts.draft(name)
    if body is not None and isinstance(held, Draft):
        return held
    found = (drafts.from_body(body) if body else None) or start
    if isinstance(held, Draft) and held != found:
        turn_over(name)
    st.session_state[key] = found
    return found


def held(name: str) -> Draft:
    """The draft as the widgets that were drawn so far have left it."""
    found: Draft = st.session_state[f"desk:{name}"]
    return found


def untouched(
    versions: Sequence[Version], folder: prompts.PromptFolder | None = None, columns: Sequence[str] = ()
) -> Draft:
    """The latest version as it stands, else the folder's content, else what a new prompt for these columns begins with."""
    if versions:
        return drafts.of(versions[0].content, base=versions[0].number)
    return drafts.of(folder.content if folder else drafts.starter(columns), base=None)


def change(name: str, *, outside: bool = False, **fields: Any) -> None:
    """Change the draft and keep it; ``outside`` of the widget that shows the field."""
    put(name, replace(held(name), **fields), outside=outside)


def put(name: str, draft: Draft, *, outside: bool = True) -> None:
    """Make this the draft, here and in the store."""
    st.session_state[f"desk:{name}"] = draft
    session.engine().prompts.put_draft(name, draft.body())
    if outside:
        turn_over(name)


def drop(name: str) -> None:
    """Let go of the draft: what is saved is what there is."""
    session.engine().prompts.drop_draft(name)
    st.session_state.pop(f"desk:{name}", None)
    turn_over(name)


def view(name: str) -> None:
    """Have that view of a prompt drawn next, whichever was chosen."""
    st.session_state["view:next"] = name


def viewed() -> None:
    """Choose the view that was asked for; its widget answers for itself once it is drawn."""
    if (asked := st.session_state.pop("view:next", None)) is not None:
        st.session_state["view"] = asked


def turn_over(name: str) -> None:
    """Make every widget read the draft afresh."""
    st.session_state[f"turn:{name}"] = st.session_state.get(f"turn:{name}", 0) + 1


def key(name: str, field: str) -> str:
    """The key of a widget for that field in this turn."""
    return f"edit:{name}:{st.session_state.get(f'turn:{name}', 0)}:{field}"


def stands(name: str, widget: str) -> bool:
    """Whether the widget of that key is of this turn: what comes from another was not chosen now."""
    return widget.startswith(key(name, ""))


def edited_as(name: str, place: str, way: str) -> None:
    """Say in which way a place is edited as it is drawn; another way than the last begins a new turn."""
    drawn = f"way:{name}:{place}"
    if st.session_state.get(drawn, way) != way:
        turn_over(name)
    st.session_state[drawn] = way


def typed(name: str, field: str, widget: str, empty: Any = None) -> None:
    """A widget's callback: what was typed is the field now; ``empty`` where it is empty."""
    if not stands(name, widget):
        return
    value = st.session_state[widget]
    fields: dict[str, Any] = {field: empty if value is None else value}
    change(name, **fields)


def hash_of(draft: Draft) -> str | None:
    """The hash of the version that the draft would be, or None where it is none."""
    try:
        return prompts.content_hash(draft.content())
    except (errors.InputError, ValueError):
        return None


def content_of(draft: Draft) -> tuple[VersionContent | None, str | None]:
    """The draft as a version, or why it is none."""
    try:
        return draft.content(), None
    except errors.InputError as error:
        return None, error.message
