"""Filters that live in the URL under their own name, on screens whose links carry the same names.

Streamlit can bind a widget to the URL, but then no link and no switch to another screen may name that parameter. So these write
the URL themselves. What the URL says is part of a widget's key: an address that is opened is shown as it says, whatever was
chosen before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from workbench import session


def segments(
    name: str,
    options: Sequence[str],
    *,
    default: str,
    words: Callable[[str], str] = str,
    help: str | None = None,
    page: str = "page",
) -> str:
    """Draw a choice of one as a row of buttons; ``default`` is not in the URL."""
    now = _now(name, options, default)
    key = f"{name}:{now}"
    st.segmented_control(
        name,
        options,
        default=now,
        required=True,
        format_func=words,
        key=key,
        on_change=_settle,
        args=(name, key, default, page),
        help=help,
        label_visibility="collapsed",
    )
    return now


def select(
    name: str,
    options: Sequence[str],
    *,
    default: str,
    words: Callable[[str], str] = str,
    label: str = "",
    width: int = 220,
    page: str = "page",
) -> str:
    """Draw a choice of one as a list that opens, with its ``label`` above it if it has one; ``default`` is not in the URL."""
    now = _now(name, options, default)
    key = f"{name}:{now}"
    st.selectbox(
        label or name,
        options,
        index=list(options).index(now),
        format_func=words,
        key=key,
        on_change=_settle,
        args=(name, key, default, page),
        label_visibility="visible" if label else "collapsed",
        width=width,
    )
    return now


def text(
    name: str, *, placeholder: str, label: str = "", width: int = 240, help: str | None = None, page: str = "page"
) -> str:
    """Draw a field for a text, with its ``label`` above it where there is one."""
    now: str = session.param(name) or ""
    key = f"{name}:{now}"
    st.text_input(
        label or name,
        value=now,
        key=key,
        on_change=_settle,
        args=(name, key, "", page),
        placeholder=placeholder,
        label_visibility="visible" if label else "collapsed",
        width=width,
        help=help,
    )
    return now


def clear(*names: str, page: str = "page") -> None:
    """Take these out of the URL; what is shown then begins at its first page."""
    session.put(**dict.fromkeys(names))
    if page in st.session_state:
        st.session_state[page] = 1


def _now(name: str, options: Sequence[str], default: str) -> str:
    told = session.param(name) or default
    return told if told in options else default


def _settle(name: str, key: str, default: str, page: str) -> None:
    """Write what was chosen into the URL, before the page is drawn; another choice begins at the first page."""
    chosen = str(st.session_state.get(key) or "").strip()
    session.put(**{name: None if chosen == default else chosen})
    if page in st.session_state:
        st.session_state[page] = 1
