"""Saving: what changes is shown before it is a version, and a note says why."""

from __future__ import annotations

from typing import Any

import streamlit as st

from jobs import errors, pairing, prompts
from jobs.values import VersionContent
from jobs.views.prompts import Version
from workbench import parts, session, wording
from workbench.screens.editor import desk
from workbench.screens.editor.draft import Draft
from workbench.screens.running import echoing

_FROM_FOLDER = "as it stands in the folder"


@st.dialog("Save a new version", width="large")
def dialog(
    name: str,
    draft: Draft,
    versions: list[Version],
    problems: list[str],
    *,
    folder: prompts.PromptFolder | None,
    changed: bool,
) -> None:
    """Show the difference to the latest version, ask for a note, and save; ``folder`` is where an unsaved prompt stands.

    What that folder holds becomes a version before what was made of it does: else its name alone, which means the folder, would
    bring the older content as the newer version later.
    """
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
            hint="What cannot be held is refused.",
        )
    begun = folder if latest is None and folder is not None and _differ(folder.content, content) else None
    _difference(latest, content, folder)
    if begun is not None:
        st.caption("What the prompts folder holds is kept as @1, and this, which was made of it, as @2.")
    token = session.token(f"save:{name}")
    about = latest.description if latest else folder.description if folder else ""
    # a form, where Enter in a field saves, and where one press commits the fields and takes the action
    with st.form(f"save:{name}:{token}", border=False, enter_to_submit=True):
        given = st.text_input(
            "What changes and why",
            _FROM_FOLDER if folder and not changed else "",
            key=f"note:{token}",
            placeholder="e.g. two examples for sarcasm",
        )
        description = st.text_input(
            "What this prompt does (optional)",
            about,
            key=f"about:{token}",
            placeholder="e.g. Sort a support message by sentiment and urgency",
            help="Stands beside its name in lists; no model is told it.",
        )
        st.caption("What changes is required: the history shows it beside the version.")
        key = session.submit("Save", action=f"save:{name}", type="primary")
    note = (given or "").strip()
    if key is None:
        return
    if not note:
        # below the button: what goes away above it would move it under the next press
        parts.panel("Say in a few words what changes and why.", title="The note is missing")
        return
    defaults = _carried(latest.defaults if latest else folder.defaults if folder else None, content)

    def save() -> Version:
        save = session.engine().prompts.save
        if begun is not None:
            save(
                name,
                begun.content,
                note=_FROM_FOLDER,
                description=begun.description,
                defaults=begun.defaults,
                source="folder",
            )
        return save(name, content, note=note, description=(description or "").strip(), defaults=defaults)

    saved = parts.perform(f"save:{name}", save)
    if saved is not None:
        desk.drop(name)
        session.put(saved=saved.number)
        session.notify(wording.escaped(f"Saved as {saved.reference}"))
        st.rerun()


def _differ(one: VersionContent, other: VersionContent) -> bool:
    return prompts.content_hash(one) != prompts.content_hash(other)


def _carried(defaults: dict[str, Any] | None, content: VersionContent) -> dict[str, Any] | None:
    """The run defaults for another content: an echo of a field or a column that it no longer has would stop every run."""
    if not defaults or not defaults.get("echo"):
        return defaults
    echo = defaults["echo"]
    kept = pairing.fitting(echo, contract=content.contract, used=echoing.used(content, list(echo.values())))
    return defaults | {"echo": kept}


def _difference(latest: Version | None, content: VersionContent, folder: prompts.PromptFolder | None) -> None:
    if latest is None and folder is not None:
        same = "The first version: the folder's content as it stands."
        parts.diff(session.engine().prompts.diff(folder.content, content), same=same)
        return
    if latest is None:
        st.caption("The first version: everything is new.")
        parts.diff([("template", "\n".join(f"+{line}" for line in content.template.split("\n")))])
        return
    parts.diff(
        session.engine().prompts.diff(latest.content, content),
        same=f"No difference to {wording.escaped(latest.reference)}: saving gives that version again.",
    )
