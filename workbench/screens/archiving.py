"""Archiving on the screens: a button and a notice on the page of each thing, ticks and a quiet filter on the lists, and choices.

A choice offers what is in sight, and what the address names: whoever opens an address, or goes on from the page of something
archived, means it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import streamlit as st

from jobs.values import Thing
from jobs.views.datasets import Dataset
from jobs.views.prompts import Prompt
from workbench import parts, session, sight, wording

Kind = Literal["dataset", "prompt", "run"]
#: what is to be archived, when the whole page is drawn
_ASKED = "archiving"


def shown(kind: Kind, *, noun: str = "") -> bool:
    """Draw the filter of a list; whether what is archived is shown instead of what is in sight."""
    return st.toggle(
        "Archived",
        key="archived",
        bind="query-params",
        help=f"Show the {noun or kind}s that were archived, to look at them or to bring them back",
    )


def ticked(kind: Kind, names: Sequence[str], *, archived: bool, watched: bool = False) -> None:
    """Draw what can be done with the ticked lines of a list; ``watched``: in a piece of the page that is drawn by itself."""
    things = [Thing(kind=kind, name=name) for name in names]
    many = f" {len(things):,} ticked" if things else ""
    if archived:
        action = f"restore-ticked:{kind}"
        label = f"Bring back{many}"
        key = session.button(label, action=action, disabled=not things, help="Into the lists again", form=names)
        if key is not None and _back(action, things, key):
            session.notify(f"{sight.named(things)} brought back")
            st.rerun()
    elif st.button(
        f"Archive{many} …", disabled=not things, key=f"archive-ticked:{kind}", help="Shows what first; it can be undone"
    ):
        if watched:
            # a dialog that is opened in a piece goes when that is drawn again
            st.session_state[_ASKED] = things
            st.rerun()
        dialog(things, listed=True)


def asked() -> None:
    """Open the dialog that was asked for in a piece of the page."""
    things = st.session_state.pop(_ASKED, None)
    if things:
        dialog(things, listed=True)


def button(kind: Kind, name: object, archived_at: float | None, *, why_not: str = "") -> None:
    """Draw the button on a thing's own page; nothing where it is archived."""
    if archived_at is not None:
        return
    says = why_not or "Out of the lists and choices; shows what first, and can be undone"
    if st.button("Archive …", key=f"archive:{kind}:{name}", disabled=bool(why_not), help=says):
        dialog([Thing(kind=kind, name=str(name))])


def notice(kind: Kind, name: object, archived_at: float | None) -> None:
    """Say on a thing's own page that it is archived, with the way back."""
    if archived_at is None:
        return
    action = f"restore:{kind}:{name}"
    with st.container(horizontal=True, vertical_alignment="center"):
        parts.panel(
            f"Since {wording.exact(archived_at, session.zone())}, {_where(kind)}. Nothing of it is lost.",
            title="Archived",
            tone="cancelled",
        )
        key = session.button("Bring back", action=action, help="Into the lists again")
    if key is not None and _back(action, [Thing(kind=kind, name=str(name))], key):
        session.notify("It is in the lists again")
        st.rerun()


def _where(kind: Kind) -> str:
    if kind == "run":
        return "it stands only among what is archived, and its open dead letters count as no open work"
    return "it stands only among what is archived, and in no choice; its runs, their dead letters and costs are as they were"


def _back(action: str, things: Sequence[Thing], key: str) -> bool:
    return parts.perform(action, lambda: session.engine().archive.restore(things, key=key)) is not None


def dialog(things: Sequence[Thing], *, listed: bool = False) -> None:
    """Say what archiving these does, and do it; runs that go on are left out, and so are those with a replay that does.

    ``listed``: they were ticked in a list, which is without them then.
    """
    there = session.engine().archive
    left_out = {thing: found for thing in things if (found := there.weigh([thing]).running)}
    chosen = [thing for thing in things if thing not in left_out]
    going = sorted({run for runs in left_out.values() for run in runs})
    if not chosen:
        parts.panel(sight.running(going), title="It goes on" if len(things) == 1 else "They all go on")
        return
    weighed = there.weigh(chosen)
    kind = chosen[0].kind
    name = f"{kind.capitalize()} {chosen[0].name if kind == 'run' else there.look(chosen)[0].title}"
    keeps = {"run": "values, exports and costs", "prompt": "versions and drafts", "dataset": "rows"}[kind]

    def work(key: str, reason: str) -> str:
        there.put(chosen, key=key)
        return f"{sight.named(chosen)} archived{' · the way back is under Archived' if listed else ''}"

    one = len(chosen) == 1
    parts.confirm(
        f"archive:{','.join(f'{thing.kind}:{thing.name}' for thing in chosen)}",
        work,
        title="Archive",
        says=[
            f"{name} leaves the lists and choices." if one else f"{sight.named(chosen)} leave the lists and choices.",
            *sight.says(weighed),
            *([f"Left out: {sight.running(going)}"] if going else []),
            f"Nothing is deleted: {'its page' if one else 'their pages'}, {keeps} stay, and {'it' if one else 'they'} can be "
            "brought back.",
        ],
        button="Archive",
        count=len(chosen),
        noun=kind,
    )


def datasets(*named: str | None) -> list[Dataset]:
    """The datasets to choose from: those in sight whose rows are loaded, and those that are named."""
    return [
        one
        for one in session.engine().datasets.list(archived=None)
        if one.state == "ready" and (one.archived_at is None or one.id in named)
    ]


def prompts(named: str | None) -> list[Prompt]:
    """The prompts to choose from: those in sight, and the one that is named, with or without a version."""
    wanted = (named or "").partition("@")[0]
    return [
        one for one in session.engine().prompts.list(archived=None) if one.archived_at is None or one.name == wanted
    ]


def marked(name: str, among: Iterable[Prompt]) -> str:
    """A prompt's name in a choice; one that is archived says so."""
    away = any(one.name == name and one.archived_at is not None for one in among)
    return f"{wording.head(name, 60)}{' · archived' if away else ''}"
