"""A piece of a page that is looked at again while something is at work, and left alone when it has ended.

A timer goes on until the whole page is drawn without it. So the piece says at each look how its subject stands, and when that is
no longer how the page was drawn, the whole page is drawn anew: with other buttons, and with another timer or none.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st


def watch(draw: Callable[[], str], *, standing: str, every: float | None) -> None:
    """Draw a piece now, and again every so many seconds while the page stays open.

    Args:
        draw: draws it and says how its subject stands now.
        standing: how it stood when the page was drawn.
        every: seconds between two looks; None: it has ended, and nothing looks again.
    """
    whole = True

    @st.fragment(run_every=every)
    def look() -> None:
        # not while the whole page is drawn: what was pressed further down would not be reached
        if draw() != standing and not whole:
            st.rerun()

    look()
    whole = False
