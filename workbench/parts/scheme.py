"""Light or dark as the page is now, also where it turns while it is open.

The palette is written as pairs, of which the browser takes one by the scheme of the element (``light-dark``). Streamlit turns
what stands in its own page at once, without a script run, and says nothing to us: dialogs and toasts, which stand beside that
page, follow it by the root's scheme, which is kept equal here. Charts are drawn in the colours that Python gave them, so a page
that has one is drawn anew.
"""

from __future__ import annotations

from functools import cache

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer


def keep() -> None:
    """Keep the root's scheme equal to the page's; drawn once, by the shell."""
    _component()(
        key="scheme", data={"drawn": st.context.theme.type or "light"}, height="content", on_turned_change=_nothing
    )


def _nothing() -> None:
    """Make the event known: the script run that it brings is all that is wanted."""


@cache
def _component() -> ComponentRenderer:
    return st.components.v2.component("redrive_scheme", js=_JS)


_JS = """
const page = () => document.querySelector("[data-testid=stApp]");
let drawn = "", turn = null, asked = "";
const look = () => {
  const now = page() ? getComputedStyle(page()).colorScheme : "";
  if (now !== "light" && now !== "dark") return;
  const root = document.documentElement;
  if (root.style.colorScheme !== now) root.style.colorScheme = now;
  if (now === drawn || now === asked || !document.querySelector("[data-testid=stPlotlyChart]")) return;
  asked = now;
  turn("turned", now);
};
export default function (component) {
  drawn = component.data.drawn; turn = component.setTriggerValue; asked = "";
  if (!window.redriveScheme) {
    window.redriveScheme = true;
    // the page wears its theme as a class
    new MutationObserver(look).observe(page(), { attributes: true, attributeFilter: ["class"] });
  }
  look();
}
"""
