"""What a script run needs before it can draw: the engine of this process, the place in the URL, and one-time tokens.

A reload of the browser begins a new session and keeps nothing but the URL, so navigation and filters live there and
drafts live in the store; ``st.session_state`` is a cache only. A click can reach the script several times, so every
action carries a token that is also in its button's key: the engine takes a token once, and a queued second click
belongs to a button that is no longer drawn.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
import uuid
from typing import Literal, NamedTuple, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from jobs import settings
from jobs.api import Engine

#: seconds after leaving a screen in which a stray click cannot bring it back
STRAY = 3.0

Screen = Literal[
    "overview",
    "datasets",
    "dataset",
    "prompts",
    "prompt",
    "runs",
    "run",
    "launch",
    "rows_a_call",
    "dear_model",
    "dead_letters",
    "letter",
    "replays",
    "replay",
    "costs",
    "system",
]


def arguments(argv: list[str] | None = None) -> tuple[str | None, str | None]:
    """The home and the prompts folder that the command line names after ``--``."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--home")
    parser.add_argument("--prompts")
    known, _ = parser.parse_known_args(sys.argv[1:] if argv is None else argv)
    return known.home, known.prompts


def engine() -> Engine:
    """The engine of this process and its home; opened once."""
    place = settings.load(*arguments())
    return _open(str(place.home), str(place.prompts))


@st.cache_resource(show_spinner=False, on_release=Engine.close)
def _open(home: str, prompts: str) -> Engine:
    return Engine(settings.load(home, prompts))


def forget_engines() -> None:
    """Close every engine of this process; for tests, each of which has a home of its own."""
    _open.clear()


def path(screen: Screen) -> str:
    """The file of a screen, as Streamlit's navigation knows it."""
    return f"screens/{screen}.py"


def go(screen: Screen, **params: object) -> NoReturn:
    """Leave for another screen; ``None`` values are left out of its URL."""
    query = _texts(params)
    here: str | None = st.session_state.get("here")
    if here is not None and here != screen:
        st.session_state["leaving"] = _Leaving(here, screen, query, time.monotonic())
    st.switch_page(path(screen), query_params=query)


class _Leaving(NamedTuple):
    """A way to another screen that was taken and has not been seen to its end."""

    origin: str
    screen: Screen
    query: dict[str, str]
    at: float


def stand(screen: Screen) -> None:
    """Say which screen is to be drawn; one that was just left is left again.

    The last click of a double one may reach the script after the first has led elsewhere, and the browser, which does
    not know that yet, asks for the old screen once more.
    """
    leaving: _Leaving | None = st.session_state.get("leaving")
    if leaving is not None and leaving.origin == screen and time.monotonic() - leaving.at < STRAY:
        st.switch_page(path(leaving.screen), query_params=leaving.query)
    st.session_state["here"] = screen


def arrived() -> None:
    """Say that the screen was drawn to its end."""
    st.session_state.pop("leaving", None)


def link(label: str, screen: Screen, *, help: str | None = None, disabled: bool = False, **params: object) -> None:
    """Draw a link to another screen. ``label`` is Markdown: pass names through ``wording.escaped``.

    Streamlit leaves the browser's address as it is when a link leads to the screen that it stands on: use ``hop``.
    """
    st.page_link(path(screen), label=label, help=help, disabled=disabled, query_params=_texts(params))


def hop(label: str, screen: Screen, *, key: str, **params: object) -> None:
    """Draw a button that leads to a screen, be it the one that it stands on."""
    if st.button(label, key=key):
        go(screen, **params)


def _texts(params: dict[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in params.items() if value is not None and value != ""}


def param(name: str) -> str | None:
    """What the URL says, or None; of several the last."""
    return st.query_params.get(name) or None


def int_param(name: str) -> int | None:
    """A number in the URL, or None if it is absent or no number."""
    text = param(name)
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else None


def ints_param(name: str) -> list[int]:
    """Numbers in the URL, as ``rows=3,7,9``; what is no number is left out."""
    parts = (part.strip() for part in (param(name) or "").split(","))
    return [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 16]


def put(**params: object) -> None:
    """Change the URL in place; ``None`` takes a name out of it."""
    for name, value in params.items():
        if value is None or value == "":
            st.query_params.pop(name, None)
        elif st.query_params.get(name) != str(value):
            st.query_params[name] = str(value)


def token(action: str) -> str:
    """The one-time token of an action as it is drawn now; the same until it is spent."""
    name = f"token:{action}"
    if name not in st.session_state:
        st.session_state[name] = uuid.uuid4().hex
    return str(st.session_state[name])


def spend(action: str) -> None:
    """The action was taken: its button, drawn again, is another one."""
    st.session_state.pop(f"token:{action}", None)
    st.session_state.pop(f"again:{action}", None)


def renew(action: str) -> None:
    """The action was refused: the button stands as it is, and its next press asks anew instead of for the same answer."""
    st.session_state[f"again:{action}"] = uuid.uuid4().hex


def _pressed(action: str, form: object) -> str:
    key = str(st.session_state.get(f"again:{action}") or token(action))
    return key if form is None else f"{key}-{hashlib.sha256(repr(form).encode()).hexdigest()[:16]}"


def button(
    label: str,
    *,
    action: str,
    type: Literal["primary", "secondary", "tertiary"] = "secondary",
    help: str | None = None,
    disabled: bool = False,
    shortcut: str | None = None,
    icon: str | None = None,
    form: object = None,
) -> str | None:
    """Draw an action's button; its token if it was pressed. Take the action with that key, then ``spend`` it.

    ``form`` is what the action takes, where a person fills that in: while a press has no answer, another press asks for the
    same only if the form says the same, and else for what it says now.
    """
    key = token(action)
    pressed = st.button(
        label,
        key=f"do:{action}:{key}",
        type=type,
        help=help,
        disabled=disabled,
        shortcut=shortcut,
        icon=icon,
    )
    return _pressed(action, form) if pressed else None


def submit(
    label: str,
    *,
    action: str,
    type: Literal["primary", "secondary", "tertiary"] = "secondary",
    form: object = None,
) -> str | None:
    """``button`` inside a form, where one press commits the fields and takes the action; it is never disabled."""
    key = token(action)
    return _pressed(action, form) if st.form_submit_button(label, key=f"do:{action}:{key}", type=type) else None


def notify(text: str) -> None:
    """Say this to the person at the next script run, on whatever screen that is."""
    st.session_state.setdefault("notices", []).append(text)


def notices() -> list[str]:
    """What is to be said now; said once."""
    said: list[str] = st.session_state.pop("notices", [])
    return said


def zone() -> ZoneInfo:
    """The browser's time zone, or UTC."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
