"""Editing a row and asking for it again: the row in the dataset stays as it is, beside what was edited."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from jobs import errors, templates
from jobs.views.letters import Inspection
from workbench import parts, session, wording
from workbench.screens.review import replaying


@st.dialog("Edit the row and replay it", width="large")
def dialog(seen: Inspection) -> None:
    """Draw the row's cells to edit, those that the template uses first."""
    letter = (seen.run.id, seen.ordinal)
    action = replaying.action_of("edit", [letter])
    st.text("The dataset stays as it is: this replay asks about the edited copy, and both stay side by side.")
    used = _used(seen)
    edited = {name: _cell(seen, name, action) for name in used}
    with st.expander(f"Columns that the template does not use ({len(seen.cells) - len(used)})"):
        edited |= {name: _cell(seen, name, action) for name in seen.cells if name not in used}
    changed = {name: cell for name, cell in edited.items() if cell != seen.cells[name]}
    changes, wrong = replaying.choose([seen.run], version=None, action=action)
    troubles, warnings = replaying.expect([letter], changes, wrong=wrong, of="for the row as it was")
    replaying.start(
        [letter],
        replace(changes, edits={letter: changed}),
        action=action,
        label="Replay the edited row",
        lacks=" ".join(wrong)
        if changed
        else "Nothing is edited: change a cell above, or use Replay to ask again about the row as it is.",
    )
    # below the button, which must not move away under a click that also commits a cell
    if changed and not set(changed) & set(used):
        st.caption("Only columns that the template does not use are edited: the model is asked the same again.")
    for title, words in troubles.items():
        parts.error(words, title=title)
    if warnings:
        parts.panel("\n".join(warnings), title="To know before")
    if changed:
        parts.diff([parts.changes(name, seen.cells[name], cell) for name, cell in changed.items()])


def _used(seen: Inspection) -> list[str]:
    try:
        return list(templates.parse(seen.version.content.template).columns(list(seen.cells)))
    except errors.PromptError:
        return list(seen.cells)


def _cell(seen: Inspection, name: str, action: str) -> str:
    given = st.text_area(
        wording.escaped(name),
        value=seen.cells[name],
        height="content",
        key=f"cell:{action}:{name}:{session.token(action)}",
    )
    # a browser hands line breaks back in one form only
    return seen.cells[name] if given == seen.cells[name].replace("\r\n", "\n").replace("\r", "\n") else given or ""
