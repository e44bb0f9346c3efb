"""Saving: what changes is shown before it is a version, and a note says why."""

from __future__ import annotations

import streamlit as st

from jobs import errors
from jobs.values import VersionContent
from jobs.views import Version
from workbench import parts, session, wording
from workbench.screens.editor import desk
from workbench.screens.editor.draft import Draft


@st.dialog("Save a new version", width="large")
def dialog(name: str, draft: Draft, versions: list[Version], problems: list[str]) -> None:
    """Show the difference to the latest version, ask for a note, and save."""
    try:
        content = draft.content()
    except errors.InputError as error:
        parts.error(error, title="This draft cannot be saved")
        return
    latest = versions[0] if versions else None
    if latest is not None and draft.base not in (None, latest.number):
        parts.panel(
            f"This draft began from {name}@{draft.base}; {name}@{latest.number} has been saved since. "
            f"The difference below is to {name}@{latest.number}.",
            title="Not from the latest version",
        )
    if problems:
        parts.panel(
            "\n".join(problems),
            title="To look at before saving",
            hint="What cannot be held is refused; an unknown column is only wrong for this dataset.",
        )
    _difference(latest, content)
    given = st.text_input(
        "What changes and why",
        key=f"note:{session.token(f'save:{name}')}",
        placeholder="e.g. two examples for sarcasm",
    )
    note = (given or "").strip()
    st.caption("Required: the history shows it beside the version.")
    # not disabled without a note: the press that takes the cursor out of the field is what brings the note
    key = session.button("Save", action=f"save:{name}", type="primary")
    if key is None:
        return
    if not note:
        # below the button: what goes away above it would move it under the next press
        parts.panel("Say in a few words what changes and why.", title="The note is missing")
        return
    description = latest.description if latest else ""
    defaults = latest.defaults if latest else None
    saved = parts.perform(
        f"save:{name}",
        lambda: session.engine().prompts.save(name, content, note=note, description=description, defaults=defaults),
    )
    if saved is not None:
        desk.drop(name)
        session.put(saved=saved.number)
        session.notify(wording.escaped(f"Saved as {saved.reference}"))
        st.rerun()


def _difference(latest: Version | None, content: VersionContent) -> None:
    if latest is None:
        st.caption("The first version: everything is new.")
        parts.diff([("template", "\n".join(f"+{line}" for line in content.template.split("\n")))])
        return
    parts.diff(
        session.engine().prompts.diff(latest.content, content),
        same=f"No difference to {wording.escaped(latest.reference)}: saving gives that version again.",
    )
