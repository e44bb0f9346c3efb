"""The prompts: named tasks with their versions, from the folder and from the store."""

from __future__ import annotations

import time
from collections.abc import Mapping

import streamlit as st

from jobs import errors, prompts
from jobs.views.prompts import Prompt
from workbench import parts, session, wording
from workbench.screens import archiving


def page() -> None:
    parts.header(
        "Prompts", subtitle="A prompt is a named task; its versions never change, and a run is of one version."
    )
    _carried()
    found = session.engine().prompts.list(archived=None)
    for prompt in found:
        if prompt.folder_error and prompt.archived_at is None:
            parts.error(prompt.folder_error, title=f"The folder of {prompt.name} cannot be used")
    if not found:
        parts.empty(
            "No prompt yet",
            "A prompt has a template with a place for each column, and a contract that every answer is held to. Write one "
            f"here, or as a folder in {session.engine().settings.prompts}.",
        )
    else:
        _list(found)
    _new({prompt.name: prompt for prompt in found})


def _carried() -> None:
    """The dataset that the next prompt is opened with, where one was brought along."""
    carried = session.param("dataset")
    if carried is None:
        return
    name = next((one.name for one in session.engine().datasets.list(archived=None) if one.id == carried), None)
    with st.container(horizontal=True, vertical_alignment="center"):
        if name is None:
            parts.panel("The prompt that you open is shown with another one.", title=f"There is no dataset {carried!r}")
        else:
            parts.panel(
                "The prompt that you open, or write, is shown with its rows.", title=f"For {name}", tone="running"
            )
        if st.button("Drop it", help="Open a prompt without this dataset"):
            session.put(dataset=None)
            st.rerun()


def _list(everything: list[Prompt]) -> None:
    now = time.time()
    bar = st.container(horizontal=True, vertical_alignment="center")
    with bar:
        archived = archiving.shown("prompt")
    found = [one for one in everything if archived == (one.archived_at is not None)]
    if not found:
        st.caption("No prompt is archived." if archived else "Every prompt is archived.")
        return
    columns = [
        parts.Column(key="name", label="Prompt", kind="strong"),
        parts.Column(key="description", label="What it does", kind="wide"),
        parts.Column(key="latest", label="Saved", help="the latest version"),
        parts.Column(key="production", label="Production"),
        parts.Column(key="folder", label="Folder", help="whether the prompts folder holds the latest version"),
        parts.Column(key="runs", label="Runs", kind="number"),
        parts.Column(key="when", label="Archived" if archived else "Changed"),
    ]
    rows = [
        parts.Row(
            prompt.name,
            {
                "name": prompt.name,
                "description": parts.text_cell(prompt.description, 160),
                "latest": _saved(prompt),
                "production": f"@{prompt.labels['production']}" if "production" in prompt.labels else wording.NOTHING,
                "folder": _folder(prompt),
                "runs": wording.number(prompt.runs),
                "when": parts.time_cell(prompt.archived_at or prompt.updated_at or None, now),
            },
        )
        for prompt in found
    ]
    shown, _ = parts.paged("page", lambda offset, limit: (rows[offset : offset + limit], len(rows)), noun="prompt")
    opened, chosen = parts.table(columns, shown, key="prompts", opens=True, choose=True, label="prompts")
    with bar:
        archiving.ticked("prompt", chosen, archived=archived)
    if opened:
        session.go("prompt", name=opened, dataset=session.param("dataset"))


def _saved(prompt: Prompt) -> str | parts.Cell:
    kept = session.engine().prompts.draft(prompt.name) is not None
    unsaved = "in the folder only" if prompt.in_folder else "not saved yet"
    where = f"@{prompt.latest}" if prompt.latest else unsaved
    return parts.Cell(f"{where} + draft", "a draft is kept that was not saved", "running") if kept else where


def _folder(prompt: Prompt) -> str | parts.Cell:
    if not prompt.in_folder:
        return wording.NOTHING
    if prompt.folder_error:
        return parts.Cell("cannot be read", prompt.folder_error, "dead")
    if prompt.latest is None:
        return "not saved here yet"
    if prompt.folder_is_latest:
        return f"same as @{prompt.latest}"
    return parts.Cell(
        f"differs from @{prompt.latest}",
        "open the prompt to write the version there, or to take the folder in",
        "paused",
    )


def _new(taken: Mapping[str, Prompt]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("A new prompt", placeholder="small letters, digits, - and _", key="new", width=320) or ""
        wanted = st.button("Write it")
    if not wanted:
        return
    if not name.strip():
        parts.error("Name the prompt first, e.g. support-triage.", title="The name is missing")
        return
    try:
        prompts.check_name(name.strip())
    except errors.PromptError as error:
        parts.error(error)
        return
    if (other := taken.get(name.strip())) is not None:
        where = "it is archived; look for it there" if other.archived_at is not None else "open it from the list"
        parts.error(f"There is a prompt {name.strip()} already; {where}.", title="The name is taken")
        return
    session.go("prompt", name=name.strip(), dataset=session.param("dataset"))


page()
