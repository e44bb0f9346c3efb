"""The saved versions: what changed between any two, which is in production, and the way back to the folder."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from jobs import prompts
from jobs.views.prompts import Prompt, Version
from workbench import parts, session, wording
from workbench.screens.editor import desk
from workbench.screens.editor import draft as drafts

PRODUCTION = "production"
#: of a prompt's folder, that make its content
FILES = (prompts.PROMPT, prompts.SCHEMA)


def show(name: str, prompt: Prompt | None, versions: list[Version]) -> None:
    """Draw the list of versions, the comparison of two, and what can be done with one."""
    if not versions:
        st.caption("No version is saved yet.")
        return
    now = time.time()
    columns = [
        parts.Column(key="number", label="Version", kind="strong"),
        parts.Column(key="labels", label="Labels"),
        parts.Column(key="note", label="Note", kind="wide"),
        parts.Column(key="source", label="From"),
        parts.Column(key="format", label="Response format"),
        parts.Column(key="hash", label="Content", kind="mono", help="hash of template, contract, model and settings"),
        parts.Column(key="when", label="Saved"),
    ]
    rows = [
        parts.Row(
            str(version.number),
            {
                "number": version.reference,
                "labels": parts.Cell(", ".join(version.labels), tone="accepted" if version.labels else None),
                "note": parts.text_cell(version.note),
                "source": version.source,
                "format": version.content.response_format,
                "hash": parts.Cell(version.hash.partition(":")[2][:12], version.hash),
                "when": parts.time_cell(version.created_at, now),
            },
        )
        for version in versions
    ]
    opened = parts.table(columns, rows, key="versions", opens=True, height=320, label="versions").opened
    if opened:
        session.put(b=opened, a=max(1, int(opened) - 1))
        st.session_state.pop("history:a", None)
        st.session_state.pop("history:b", None)
    _compare(name, prompt, {version.number: version for version in versions if version.number is not None})


def _compare(name: str, prompt: Prompt | None, versions: dict[int, Version]) -> None:
    numbers = sorted(versions, reverse=True)
    newer = _number("b", numbers, numbers[0])
    older = _number("a", numbers, numbers[min(1, len(numbers) - 1)])

    def named(number: int) -> str:
        return f"{name}@{number}"

    with st.container(horizontal=True, vertical_alignment="bottom"):
        a = st.selectbox("From", numbers, index=numbers.index(older), format_func=named, key="history:a", width=220)
        b = st.selectbox("To", numbers, index=numbers.index(newer), format_func=named, key="history:b", width=220)
        session.put(a=a, b=b)
        _actions(name, prompt, versions, versions[b])
    parts.diff(
        session.engine().prompts.diff(versions[a].content, versions[b].content),
        same="These two are the same version." if a == b else "No difference.",
    )
    with st.expander(f"{wording.escaped(versions[b].reference)} as a whole"):
        parts.plain(versions[b].content.template)
        parts.as_json(versions[b].content.model_dump(exclude={"template"}))


def _number(param: str, numbers: list[int], other: int) -> int:
    wanted = session.int_param(param)
    return wanted if wanted in numbers else other


def _actions(name: str, prompt: Prompt | None, versions: dict[int, Version], chosen: Version) -> None:
    number = chosen.number or 0
    now = next((other for other in versions.values() if PRODUCTION in other.labels), None)
    if st.button(
        f"Label @{number} production",
        disabled=PRODUCTION in chosen.labels,
        help="NAME@production means this version from then on; runs that were started keep theirs",
    ):
        _promote(name, now, chosen)
    if st.button(f"Edit from @{number}", help="Begin the draft anew from this version"):
        _edit_from(name, chosen, versions)
    if st.button(
        f"Write @{number} to the folder", help="Put prompt.md and schema.json of this version in the prompts folder"
    ):
        write_back(name, prompt, list(versions.values()), chosen)


def _promote(name: str, now: Version | None, chosen: Version) -> None:
    def work(key: str, reason: str) -> str:
        session.engine().prompts.label(name, PRODUCTION, chosen.number or 0)
        return f"{PRODUCTION}: {wording.escaped(chosen.reference)}"

    before = f"{PRODUCTION} is {now.reference} now" if now else f"no version of {name} is labelled {PRODUCTION} now"
    parts.confirm(
        f"label:{name}",
        work,
        title="Move the label production",
        says=[
            f"{before}; it becomes {chosen.reference}.",
            *(["Moving it back is the way to undo this."] if now else []),
        ],
        button=f"Label @{chosen.number} production",
    )


def in_folder(prompt: Prompt, versions: Sequence[Version]) -> Version | None:
    """The saved version that the prompts folder holds, or None where its content is no version."""
    return next((version for version in versions if version.hash == prompt.folder_hash), None)


def folder(prompt: Prompt | None) -> prompts.PromptFolder | None:
    """What the prompts folder holds under that name, where it can be used."""
    if prompt is None or not prompt.in_folder or prompt.folder_error:
        return None
    return prompts.load_folder(session.engine().settings.prompts / prompt.name)


def when_written(prompt: Prompt, latest: Version) -> str:
    """Whether the folder was changed after the latest version was saved."""
    place = session.engine().settings.prompts / prompt.name
    written = max((file.stat().st_mtime for file in place.glob("*") if file.name in FILES), default=0.0)
    return f"last changed {'after' if written > latest.created_at else 'before'} @{latest.number} was saved"


def write_back(name: str, prompt: Prompt | None, versions: Sequence[Version], chosen: Version) -> None:
    """Put a version into the prompts folder, after saying what it replaces there."""
    folder = session.engine().settings.prompts / name

    def work(key: str, reason: str) -> str:
        path = session.engine().prompts.write_back(name, chosen.number or 0)
        return wording.escaped(f"{chosen.reference} is in {path}")

    says = [f"prompt.md and schema.json in {folder} become those of {chosen.reference}."]
    if prompt is not None and prompt.in_folder:
        held = in_folder(prompt, versions)
        says.append(
            f"The folder holds {held.reference} now, which stays among the versions."
            if held
            else "The folder's content is no saved version: it is replaced and kept nowhere else."
        )
    parts.confirm(f"write:{name}", work, title="Write to the prompts folder", says=says, button="Write")


def _edit_from(name: str, chosen: Version, versions: dict[int, Version]) -> None:
    fresh = drafts.of(chosen.content, base=chosen.number)
    untouched = desk.untouched(sorted(versions.values(), key=lambda one: -(one.number or 0)))
    held = desk.load(name, untouched)
    if held.same_as(untouched) or held.same_as(fresh):
        desk.put(name, fresh)
        _to_the_draft()

    def work(key: str, reason: str) -> str:
        desk.put(name, fresh)
        return wording.escaped(f"The draft is {chosen.reference} now")

    parts.confirm(
        f"from:{name}",
        work,
        title="Replace the draft",
        says=[f"The draft has changes that were not saved; they are replaced by {chosen.reference}."],
        button="Replace the draft",
        then=_to_the_draft,
    )


def _to_the_draft() -> None:
    """Leave the history for the draft; what it is looked at with, and the dead letters that it is for, stay in the URL."""
    session.put(a=None, b=None)
    desk.view("Template")
    st.rerun()
