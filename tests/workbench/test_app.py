"""The shell: every screen has its file and opens on an empty home; arguments, addresses and tokens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import streamlit as st

import workbench
from jobs.owner import sole_owner
from jobs.trouble import Note
from tests.workbench.conftest import Open, texts
from tests.workbench.test_parts import drawn
from workbench import session

SCREENS = get_args(session.Screen)


@pytest.mark.parametrize("screen", SCREENS)
def test_every_screen_opens_on_an_empty_home(open_screen: Open, screen: str) -> None:
    """With nothing stored and no keeper a screen says what it is for, and none fails."""
    assert (Path(workbench.__file__).parent / session.path(screen)).exists()
    assert "The keeper is not running" in texts(open_screen(screen))


def test_what_keeps_the_keeper_from_its_work_stands_on_every_screen(open_screen: Open, home: Path) -> None:
    """Its words and what to do, while it lives; nothing any more when it is over."""
    with sole_owner(home):
        note = Note(home)
        note.begin("store", "the disk of the home is full", "Free some space there.")
        ill = [texts(open_screen(screen)) for screen in ("overview", "runs", "system")]
        note.end()
        well = texts(open_screen("overview"))
        note.close()

    assert all("The keeper does not get on" in said and "the disk of the home is full" in said for said in ill)
    assert all("Free some space there." in said for said in ill)
    assert "does not get on" not in well


@pytest.mark.parametrize(
    ("screen", "marked"), [("runs", None), ("launch", "runs"), ("rows_a_call", "runs"), ("costs", None)]
)
def test_a_page_that_the_side_bar_does_not_list_marks_its_room(
    open_screen: Open, screen: str, marked: str | None
) -> None:
    """Streamlit marks only what is listed."""
    found = re.findall(r"\.stSidebar a\[href\$='/([\w-]+)'\] \{", texts(open_screen(screen)))
    assert found == ([marked] if marked else [])


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        ([], (None, None)),
        (["--home", "/h"], ("/h", None)),
        (["--prompts=/p", "--home", "/h", "--other", "x"], ("/h", "/p")),
    ],
)
def test_arguments(argv: list[str], found: tuple[str | None, str | None]) -> None:
    """The home and the prompts folder are found among arguments that are not ours."""
    assert session.arguments(argv) == found


def addressed() -> None:
    st.session_state["seen"] = (session.param("a"), session.int_param("n"), session.ints_param("rows"))
    session.put(a=None, n=7, rows="")


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ({}, (None, None, [])),
        ({"a": "x", "n": "12", "rows": "3, 7,x,-1,9"}, ("x", 12, [3, 7, 9])),
        ({"a": "", "n": "1e3", "rows": "²"}, (None, None, [])),
        ({"n": "9" * 40}, (None, None, [])),
    ],
)
def test_an_address_is_read_with_care(query: dict[str, str], seen: tuple[object, ...]) -> None:
    """What is no number in a hand-made address is left out; an empty value is none."""
    app = drawn(addressed)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert app.session_state["seen"] == seen
    assert dict(app.query_params) == {"n": ["7"]} or dict(app.query_params) == {"n": "7"}
