"""What the page says while nobody serves it: that Redrive has stopped, and how it is started again.

The browser is alone then, so this is the page's own script. Streamlit's dialog asks after the internet, which this machine
does not need; it is kept from sight while ours stands there.
"""

from __future__ import annotations

from functools import cache

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer


def keep(start: str) -> None:
    """Watch whether the page is served; ``start`` is the command that brings it back. Drawn once, by the shell."""
    _component()(key="absence", data={"start": start}, height="content")


@cache
def _component() -> ComponentRenderer:
    return st.components.v2.component("redrive_absence", js=_JS)


_JS = """
// milliseconds without an answer: a page that is reloaded, or a cable that is pulled for a moment, is no news
const PATIENCE = 1200;
const page = () => document.querySelector("[data-testid=stApp]");
let start = "", served = false, waits = null, shown = null;
const say = () => {
  waits = null;
  if (shown) return;
  shown = document.createElement("div");
  shown.className = "rd-gone";
  shown.setAttribute("role", "alert");
  const title = document.createElement("strong"), words = document.createElement("span"), command = document.createElement("code");
  title.textContent = "Redrive has stopped on this machine";
  command.textContent = start;
  words.append("What stands below is what was last known. Start it in a terminal: ", command, " This page goes on by itself then.");
  shown.append(title, words);
  document.body.append(shown);
  document.documentElement.dataset.rdGone = "";
};
const look = () => {
  const app = page();
  if (!app) return;
  if (app.dataset.testConnectionState === "CONNECTED") {
    served = true;
    clearTimeout(waits); waits = null;
    if (shown) { shown.remove(); shown = null; delete document.documentElement.dataset.rdGone; }
  } else if (served && !shown && waits === null) waits = setTimeout(say, PATIENCE);
};
export default function (component) {
  start = component.data.start;
  if (!window.redriveAbsence) {
    window.redriveAbsence = true;
    new MutationObserver(look).observe(page(), { attributes: true, attributeFilter: ["data-test-connection-state"] });
  }
  look();
}
"""
