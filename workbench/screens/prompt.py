"""One prompt: its editor, and its history."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from jobs import errors, prompts
from jobs.views.prompts import Prompt, Version
from workbench import fitting, parts, session, wording
from workbench.screens import archiving
from workbench.screens.editor import bench, contract, desk, evaluating, history, model, saving, template, tryout
from workbench.screens.editor.draft import Draft

VIEWS = ("Template", "Contract", "Model and settings", "History")
#: when a browser hands over what is typed into a text; said always, since what came with a change would move the page under a press
KEPT = "changes are kept when you leave a field or press Ctrl+Enter"


def page() -> None:
    name = session.param("name")
    if name is None:
        session.go("prompts")
    prompts.check_name(name)
    engine = session.engine()
    prompt = _prompt(name)
    versions = engine.prompts.versions(name)
    folder = history.folder(prompt) if not versions else None
    start = desk.untouched(versions, folder, bench.columns() if not versions else ())
    draft = desk.load(name, start)
    top = st.container()
    desk.viewed()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        view = st.segmented_control(
            "View",
            VIEWS,
            default=VIEWS[0],
            required=True,
            key="view",
            bind="query-params",
            label_visibility="collapsed",
        )
        if prompt is not None:
            archiving.button("prompt", name, prompt.archived_at)
    if view == "History":
        with top:
            _head(name, prompt, versions, draft, start)
        history.show(name, prompt, versions)
        return
    left, right = _places(wide=view == "Contract")
    with right:
        chosen = bench.choose(name, draft)
    with left:
        _editor(view or VIEWS[0], name, draft, chosen)
    # a table of fields changes the draft while it is drawn
    draft = desk.held(name)
    with right:
        problems = bench.problems(draft)
        misfit = fitting.misfit(draft.template, chosen.dataset) if chosen.dataset else None
        # a place of its own, there or not: what comes and goes before the tabs would open the first of them
        with st.container():
            if problems:
                parts.panel("\n".join(problems), title=f"{wording.count(len(problems), 'problem')} in this draft")
            if misfit:
                title, lacks = misfit
                parts.panel("\n".join(lacks), title=title, hint="Choose another dataset, or change the template.")
        shown, tried = st.tabs(["Prompt for this row", "Try it"], default="Try it" if _trying() else None)
        with shown:
            bench.rendered(draft, chosen, told=bool(problems or misfit))
        with tried:
            tryout.strip(name, draft, chosen)
    with top:
        _head(name, prompt, versions, draft, start, problems=problems, folder=folder)


def _places(*, wide: bool) -> tuple[DeltaGenerator, DeltaGenerator]:
    """Where the editor and the bench stand: side by side, or below each other for a wide table."""
    if wide:
        return st.container(), st.container()
    left, right = st.columns([11, 9], gap="medium")
    return left, right


def _trying() -> bool:
    return session.int_param("try") is not None or bool(session.ints_param("rows"))


def _prompt(name: str) -> Prompt | None:
    return next((one for one in session.engine().prompts.list(archived=None) if one.name == name), None)


def _editor(view: str, name: str, draft: Draft, chosen: bench.Bench) -> None:
    if view == "Contract":
        contract.edit(name, draft)
    elif view == "Model and settings":
        models = [one for connection in session.engine().system.connections() for one in connection.models]
        model.edit(name, draft, models=list(dict.fromkeys(models)))
    else:
        columns = chosen.dataset.columns if chosen.dataset else ()
        template.edit(name, draft, columns=columns, cells=chosen.cells)


def _head(
    name: str,
    prompt: Prompt | None,
    versions: list[Version],
    draft: Draft,
    start: Draft,
    *,
    problems: list[str] | None = None,
    folder: prompts.PromptFolder | None = None,
) -> None:
    latest = versions[0] if versions else None
    changed = not draft.same_as(start)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container():
            parts.header(name, subtitle=_standing(latest, prompt, draft, changed=changed))
        with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", width="content"):
            session.link("All prompts", "prompts", dataset=session.param("dataset"))
            # neither is disabled without a change: the press that takes the cursor out of a text is what brings the change
            drop = (latest or folder) is not None and st.button("Discard the draft", type="tertiary", key="discard")
            save = problems is not None and st.button(
                "Save a new version …",
                type="primary" if changed or latest is None else "secondary",
                help="Shows what changes first",
                key="save",
            )
            golden = evaluating.golden(name) if latest is not None else None
            evaluate = golden is not None and st.button(
                "Evaluate …",
                help=f"@{latest.number if latest else ''} on the golden rows of its folder",
                key="evaluate",
            )
            if latest is not None:
                dataset = session.param("dataset")
                session.link(
                    f"**Launch run with @{latest.number}**", "launch", prompt=latest.reference, dataset=dataset
                )
            elif folder is not None:
                session.link("**Launch a run**", "launch", prompt=name, dataset=session.param("dataset"))
    archiving.notice("prompt", name, prompt.archived_at if prompt else None)
    kept = latest.reference if latest else "the folder's content"
    if (drop or (save and latest is not None)) and not changed:
        parts.panel(
            f"The draft is {kept} as it stands{': change something first' if save else ''}.",
            title="Nothing to save" if save else "Nothing to discard",
        )
    elif drop:
        _discard(name, kept)
    elif evaluate and latest is not None and golden is not None:
        evaluating.dialog(latest, golden)
    elif save:
        saving.dialog(name, draft, versions, problems or [], folder=folder, changed=changed)
    if latest is None and folder is None:
        parts.panel(
            f"There is no prompt {name} yet; saving makes it. Begin with what the model is told (Template) and what it has to "
            "answer (Contract); Try it shows what comes back before anything is saved.",
            title="A new prompt",
            tone="running",
        )
    if prompt is not None and prompt.in_folder and not prompt.folder_is_latest and not prompt.folder_error and latest:
        _folder_differs(name, prompt, versions)
    _after_saving(latest)


def _standing(latest: Version | None, prompt: Prompt | None, draft: Draft, *, changed: bool) -> str:
    said = "a draft with changes" if changed else "no unsaved change"
    if latest is None:
        there = "in the prompts folder only, not saved here yet" if prompt and prompt.in_folder else "not saved yet"
        return f"{there} · {said} · {KEPT}"
    labels = ", ".join(f"{label}: @{number}" for label, number in (prompt.labels if prompt else {}).items())
    began = f" (from @{draft.base})" if changed and draft.base not in (None, latest.number) else ""
    return " · ".join(part for part in (f"saved as @{latest.number}", labels, said + began, KEPT) if part)


def _discard(name: str, kept: str) -> None:
    def work(key: str, reason: str) -> str:
        desk.drop(name)
        return wording.escaped(f"The draft is {kept} again")

    parts.confirm(
        f"drop:{name}",
        work,
        title="Discard the draft",
        says=[f"What was not saved is gone; the editor shows {kept} again."],
        button="Discard the draft",
    )


def _folder_differs(name: str, prompt: Prompt, versions: list[Version]) -> None:
    latest, held = versions[0], history.in_folder(prompt, versions)
    if held:
        title = f"The prompts folder holds {held.reference}, which is older than @{latest.number}"
        then = f"Write @{latest.number} there to have the same in both"
    else:
        title = f"The prompts folder holds a content that is no version yet, {history.when_written(prompt, latest)}"
        then = f"Take them in as @{latest.number + 1}, or write @{latest.number} over them" if latest.number else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        parts.panel(
            f"{then}. On the command line, {name} alone means what the folder holds.", title=title, tone="running"
        )
        if st.button(f"Write @{latest.number} to the folder", key="folder:write"):
            history.write_back(name, prompt, versions, latest)
        if held is None and session.button("Take the folder's content in", action=f"folder:{name}"):
            saved = parts.perform(f"folder:{name}", lambda: session.engine().prompts.resolve(name))
            if saved is not None:
                session.notify(wording.escaped(f"The folder's content is {saved.reference}"))
                st.rerun()


def _after_saving(latest: Version | None) -> None:
    """The way back to the dead letters that this prompt was opened for."""
    run, signature = session.int_param("run"), session.param("signature")
    if latest is None or (run is None and signature is None) or session.int_param("saved") is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        parts.panel(f"{latest.reference} is saved.", title="Next: replay the dead letters with it", tone="accepted")
        session.link(
            f"**Replay with @{latest.number}**", "dead_letters", run=run, signature=signature, version=latest.reference
        )


try:
    page()
except errors.PromptError as error:
    parts.error(error)
