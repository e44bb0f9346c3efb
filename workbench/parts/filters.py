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
    chosen = st.segmented_control(
        name,
        options,
        default=now,
        required=True,
        format_func=words,
        key=f"{name}:{now}",
        help=help,
        label_visibility="collapsed",
    )
    return _settle(name, now, str(chosen), default, page)


def select(
    name: str,
    options: Sequence[str],
    *,
    default: str,
    words: Callable[[str], str] = str,
    width: int = 220,
    page: str = "page",
) -> str:
    """Draw a choice of one as a list that opens; ``default`` is not in the URL."""
    now = _now(name, options, default)
    chosen = st.selectbox(
        name,
        options,
        index=list(options).index(now),
        format_func=words,
        key=f"{name}:{now}",
        label_visibility="collapsed",
        width=width,
    )
    return _settle(name, now, str(chosen), default, page)


def text(name: str, *, placeholder: str, width: int = 240, help: str | None = None, page: str = "page") -> str:
    """Draw a field for a text."""
    now: str = session.param(name) or ""
    given = st.text_input(
        name,
        value=now,
        key=f"{name}:{now}",
        placeholder=placeholder,
        label_visibility="collapsed",
        width=width,
        help=help,
    )
    return _settle(name, now, str(given or "").strip(), "", page)


def _now(name: str, options: Sequence[str], default: str) -> str:
    told = session.param(name) or default
    return told if told in options else default


def _settle(name: str, now: str, chosen: str, default: str, page: str) -> str:
    if chosen != now:
        session.put(**{name: None if chosen == default else chosen})
        # another choice begins at the first page; a pager that is bound to the URL is only set through its state
        if st.query_params.get(page):
            st.session_state[page] = 1
        st.rerun()
    return now
