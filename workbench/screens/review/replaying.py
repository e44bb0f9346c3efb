"""The replay dialog: which letters, with what, what it will take, and one click that starts it once."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

import streamlit as st

from jobs.api.replays import Changes
from jobs.settings import Connection
from jobs.views.prompts import Version
from jobs.views.runs import Run
from workbench import parts, session, wording
from workbench.parts import acts
from workbench.parts.acts import MANY
from workbench.screens.review.chosen import Frozen, LetterId
from workbench.screens.running import expectation, numbers

SAME = "as in its run"


def _asked(changes: Changes) -> tuple[object, ...]:
    """What makes it another replay than the next one."""
    version, connection = changes.version, changes.connection
    place = (connection.name, connection.base_url) if connection is not None else None
    edits = sorted((letter, sorted(cells.items())) for letter, cells in changes.edits.items())
    return version.id if version is not None else None, place, changes.model, changes.options, changes.note, edits


@st.dialog("Replay dead letters", width="large")
def dialog(frozen: Frozen, *, version: str | None = None) -> None:
    """Ask for the letters of a frozen set again.

    Args:
        frozen: the set; it does not change while the dialog is open.
        version: the version to begin with, as ``name@3``; None: the newest of their prompt.
    """
    for sentence in frozen.says():
        st.text(sentence)
    if not frozen.letters:
        return
    action = action_of("replay", frozen.letters)
    parents = [session.engine().runs.get(run) for run in frozen.runs]
    changes, wrong = choose(parents, version=version, action=action)
    troubles, warnings = expect(frozen.letters, changes, wrong=wrong)
    start(frozen.letters, changes, action=action, label=_label(frozen), lacks=" ".join(wrong))
    # below the button, which must not move under a press that also hands over what was typed
    for title, words in troubles.items():
        parts.error(words, title=title)
    if warnings:
        parts.panel("\n".join(warnings), title="To know before")


def _label(frozen: Frozen) -> str:
    return f"Replay {wording.count(len(frozen.letters), 'row')}"


def action_of(verb: str, letters: Sequence[LetterId]) -> str:
    """The name of an action on these letters and no others."""
    told = ",".join(f"{run}:{ordinal}" for run, ordinal in letters)
    return f"{verb}:{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def choose(parents: Sequence[Run], *, version: str | None, action: str) -> tuple[Changes, list[str]]:
    """Draw what to ask again with, the newest version of their prompt where nothing else is wanted; and what is wrong with it."""
    wrong: list[str] = []
    used = [run.version for run in parents]
    better = newer({run.prompt for run in parents}, used)
    if better is not None and version in (None, better.reference):
        st.text(f"{says_newer(better, used)}: so it is chosen, and “{SAME}” is a choice.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = _version(parents, version, better, action)
        connection = _connection(parents, action)
        model = _model(parents, chosen, connection, action)
    # Whoever repairs letters waits for them; a night's batch is asked for on the command line.
    usual = parents[0].options.model_copy(update={"batch": "no"})
    kept = _ladder(parents, model or (chosen.content.model if chosen else None), action)
    if any(run.options.batch != "no" for run in parents):
        st.caption("By ordinary calls at the full price, although their run went through the batch endpoint.")
    with st.expander("Calls in flight, strikes, budget"), st.container(horizontal=True, vertical_alignment="bottom"):
        in_flight = numbers.whole("Calls in flight", usual.in_flight, f"in_flight:{action}", wrong, most=2000)
        strikes = numbers.whole("Strikes", usual.strikes, f"strikes:{action}", wrong, most=10)
        budget = numbers.money("Budget, $", usual.budget, f"budget:{action}", wrong)
    options = usual.model_copy(update={"in_flight": in_flight, "strikes": strikes, "budget": budget})
    if not kept:
        options = options.model_copy(update={"ladder": None})
    note = st.text_input("Note (optional)", key=f"note:{action}", placeholder="what this replay is to show") or ""
    changes = Changes(
        version=chosen,
        connection=connection,
        model=model,
        options=None if kept and options == usual else options,
        note=note.strip(),
    )
    return changes, wrong


def _version(parents: Sequence[Run], wanted: str | None, better: Version | None, action: str) -> Version | None:
    prompts = {run.prompt for run in parents}
    own = _same([run.version for run in parents])
    if len(prompts) > 1:
        st.selectbox("Version", [own], key=f"version:{action}", disabled=True)
        st.caption("These letters are of several prompts: filter by one prompt to replay with another version.")
        return None
    versions = {one.reference: one for one in session.engine().prompts.versions(*prompts) if one.number is not None}
    options = ["", *versions]
    first = wanted if wanted in options else better.reference if better else ""
    told = st.selectbox(
        "Version",
        options,
        index=options.index(first),
        format_func=lambda one: wording.head(_told(versions[one], better) if one else own, 60),
        key=f"version:{action}",
    )
    return versions.get(told)


def newer(prompts: Collection[str], used: Sequence[str]) -> Version | None:
    """The newest version of the prompt, if it is one and letters failed with another of these versions."""
    if len(prompts) != 1:
        return None
    versions = [one for name in prompts for one in session.engine().prompts.versions(name) if one.number is not None]
    newest = max(versions, key=lambda one: one.number or 0, default=None)
    return newest if newest is not None and set(used) - {newest.reference} else None


def _told(version: Version, newest: Version | None) -> str:
    mark = ", the newest" if newest is not None and version.reference == newest.reference else ""
    return f"{version.reference}{mark}{f': {version.note}' if version.note else ''}"


def says_newer(newest: Version, used: Sequence[str]) -> str:
    """That it is newer than what the letters failed with; hostile text."""
    older = sorted(set(used) - {newest.reference})
    some = "some of " if newest.reference in used else ""
    return f"{newest.reference} is newer than {_names(older)}, with which {some}these letters failed"


def _same(used: Sequence[str]) -> str:
    """``as in its run: support@1``."""
    return f"{SAME}: {_names(used)}"


def _names(used: Sequence[str]) -> str:
    names = sorted(set(used))
    return f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''}"


def _connection(parents: Sequence[Run], action: str) -> Connection | None:
    by_name = {connection.name: connection for connection in session.engine().system.connections()}
    options = ["", *by_name]
    own = _same([run.connection for run in parents])
    told = st.selectbox(
        "Connection",
        options,
        format_func=lambda one: wording.head(one or own, 50),
        key=f"connection:{action}",
    )
    return by_name.get(told)


def _model(parents: Sequence[Run], version: Version | None, connection: Connection | None, action: str) -> str | None:
    fixed = version.content.model if version else None
    if connection is None:
        names = {run.connection for run in parents}
        known = [one for one in session.engine().system.connections() if one.name in names]
        offered = [model for one in known for model in one.models] + [run.model for run in parents]
        unchosen = f"{fixed}, as the version says" if fixed else _same([run.model for run in parents])
    else:
        offered = list(connection.models)
        unchosen = f"{fixed}, as the version says" if fixed else "the connection's first"
    told = st.selectbox(
        "Model",
        ["", *dict.fromkeys(offered)],
        format_func=lambda one: wording.head(one or unchosen, 40),
        accept_new_options=True,
        key=f"model:{action}:{connection.name if connection else ''}",
    )
    return told or None


def _ladder(parents: Sequence[Run], model: str | None, action: str) -> bool:
    """Draw the ladder that the letters' runs had, and whether it is kept; drawn for none, nothing is left out."""
    told = {
        ", then ".join([model or run.model, *(f"{one.model} at {one.connection}" for one in run.upper)])
        for run in parents
        if run.upper
    }
    if not told:
        return True
    which = "of each run" if len(told) > 1 or not all(run.upper for run in parents) else told.pop()
    return st.checkbox(
        wording.escaped(wording.head(f"Keep the ladder: {which}", 160)),
        True,
        key=f"ladder:{action}",
        help="A row begins on the cheap model again. Without the ladder, the first model alone answers, or the row dies.",
    )


def expect(
    letters: Sequence[LetterId], changes: Changes, *, wrong: Sequence[str], of: str = ""
) -> tuple[dict[str, str], list[str]]:
    """Draw what it will take, over all runs of the letters; what is amiss, by run, and what to know before.

    Args:
        letters: those that are asked again.
        changes: what with.
        wrong: what is wrong with what was typed, a sentence each; with any, nothing is forecast.
        of: of what the forecast is.
    """
    if wrong:
        return {"It cannot be replayed like this": "\n".join(wrong)}, []
    found = session.engine().letters.forecast(letters, changes)
    troubles = {f"The letters of run {run}": why for run, why in found.troubles.items()}
    if found.whole is None:
        return troubles, []
    only = f"; of the first {found.looked} of {found.runs:,} runs" if found.runs > found.looked else ""
    parts.section("Forecast", note="; ".join(filter(None, (of, expectation.founded(found.whole) + only))))
    parts.figures(expectation.figures(found.whole))
    return troubles, list(found.whole.warnings)


def start(
    letters: Sequence[LetterId],
    changes: Changes,
    *,
    action: str,
    label: str,
    lacks: str = "",
) -> None:
    """Draw the button; a press starts the replay and shows it, or says what it ``lacks``."""
    many = len(letters)
    with st.form(f"start:{action}", border=False, enter_to_submit=False):
        if many > MANY and not acts.typed(action, many, "so many rows are asked again"):
            lacks = lacks or f"Type {many} here first."
        key = session.submit(label, action=action, type="primary", form=_asked(changes))
    if key is None:
        return
    if lacks:
        # below the button: what goes away above it would move it under the next click
        acts.missing(lacks)
        return
    replays = parts.perform(action, lambda: session.engine().letters.replay(letters, changes, key=key))
    if not replays:
        return
    if len(replays) == 1:
        session.notify(f"Replay {replays[0]} is launched: {wording.count(len(letters), 'row')}")
        session.go("replay", id=replays[0])
    session.notify(f"Replays {', '.join(str(one) for one in replays)} are launched, one for each run")
    session.go("replays")
