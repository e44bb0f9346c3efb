"""The workbench: the list of its screens, and what stands on every one of them.

A screen is a file in ``screens/``, drawn by one script run that reads the ledger and writes at most a request. The line
at its head says which model is answering, since nobody should pay for, or trust, an answer of a model unknown.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import cast

import streamlit as st

from jobs import errors
from workbench import parts, session
from workbench.parts import absence, look, press, scheme

ICON = Path(__file__).parent / "icon.png"
#: seconds between two looks at who is answering
GLANCE = 10
#: pixels
SIDEBAR = 205

#: what the side bar lists -> the pages of single things that belong to it
ROOMS: dict[session.Screen, tuple[session.Screen, ...]] = {
    "datasets": ("dataset",),
    "prompts": ("prompt",),
    "runs": ("run", "launch", "rows_a_call", "dear_model"),
    "dead_letters": ("letter",),
    "replays": ("replay",),
}

SECTIONS: dict[str, list[tuple[session.Screen, str, bool]]] = {
    "": [("overview", "Overview", True)],
    "Prepare": [
        ("datasets", "Datasets", True),
        ("dataset", "Dataset", False),
        ("prompts", "Prompts", True),
        ("prompt", "Prompt", False),
    ],
    "Run": [
        ("runs", "Runs", True),
        ("run", "Run", False),
        ("launch", "Launch a run", False),
        ("rows_a_call", "How many rows a call", False),
        ("dear_model", "Which rows need the dear model", False),
    ],
    "Review": [
        ("dead_letters", "Dead letters", True),
        ("letter", "Dead letter", False),
        ("replays", "Replays", True),
        ("replay", "Replay", False),
    ],
    "Watch": [("costs", "Costs and latency", True), ("system", "System", True)],
}


def main() -> None:
    """Draw the chosen screen under the line that says who is answering."""
    st.set_page_config(page_title="Redrive", page_icon=str(ICON), layout="wide", initial_sidebar_state=SIDEBAR)
    look.apply()
    unseen = st.container(key="unseen")
    with unseen:
        press.keep()
        scheme.keep()
    chosen = st.navigation(
        {
            section: [_page(screen, title, visible=visible) for screen, title, visible in screens]
            for section, screens in SECTIONS.items()
        }
    )
    screen = cast(session.Screen, chosen.url_path.replace("-", "_") or "overview")
    session.stand(screen)
    look.mark(next((_url(room) for room, pages in ROOMS.items() if screen in pages), None))
    st.logo(str(ICON), size="small")
    for notice in session.notices():
        st.toast(notice)
    try:
        session.engine()
    except errors.RedriveError as error:
        parts.error(error, title="The home cannot be opened")
        return
    with unseen:
        absence.keep(_start())
    _health()
    try:
        chosen.run()
    except errors.RedriveError as error:
        parts.error(error)
    session.arrived()


def _start() -> str:
    """The command that starts Redrive for this home."""
    return f"redrive up --home {shlex.quote(str(session.engine().settings.home))}"


def _url(screen: session.Screen) -> str:
    return screen.replace("_", "-")


def _page(screen: session.Screen, title: str, *, visible: bool) -> st.Page:
    return st.Page(
        session.path(screen),
        title=title,
        url_path=_url(screen),
        default=screen == "overview",
        visibility="visible" if visible else "hidden",
    )


@st.fragment(run_every=GLANCE)
def _health() -> None:
    """Who is answering, and what is down; looked at again while the page stays open."""
    system = session.engine().system
    words = system.model_in_words()
    parts.answering(words, ready=bool(system.connections()))
    if not system.keeper_alive():
        parts.panel(
            "Nothing is asked of a model and nothing is recorded; what you request is kept and applied when it is back.",
            title="The keeper is not running",
            hint=f"Start it in a terminal: {_start()}",
        )
    elif (trouble := system.trouble()) is not None:
        parts.panel(
            f"{trouble.words}. What workers bring back waits, nothing is lost, and the keeper goes on by itself when it can.",
            title="The keeper does not get on",
            hint=trouble.todo,
        )
    elif not _redis_answers(str(session.engine().settings.home)):
        parts.panel(
            "Calls cannot reach the workers; rows wait and none is lost.",
            title="Redis does not answer",
            hint="redrive doctor says what is there and what to do.",
        )


@st.cache_data(ttl=GLANCE, show_spinner=False)
def _redis_answers(home: str) -> bool:
    """Whether Redis answers; remembered a while, since asking one that is away takes two seconds."""
    return session.engine().system.look().redis_alive


main()
