"""A press of the mouse counts for what it began on, and for what was typed before it.

A field hands over its text when it is left, and the press on a button is what leaves it. So the page is drawn anew between the
two halves of that press, and a browser makes a click only of two halves over the same element: where the button has moved
or was drawn as another one, the click would be lost. And where the press is quicker than the text, it would act on the page
as it was before: it waits until the text is taken. A page that looks again at a run by a timer moves in the same way.
"""

from __future__ import annotations

from functools import cache

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer


def keep() -> None:
    """Keep every press of the page; drawn once, by the shell."""
    with st.container(key="presses"):
        _component()(key="press", data={}, height="content")


@cache
def _component() -> ComponentRenderer:
    return st.components.v2.component("redrive_press", js=_JS)


_JS = """
const PRESSED = "button, a[href], summary, label, tr.opens, td.tick, input[type=checkbox]";
// pixels that a hand may tremble; more takes the press back, as everywhere
const STILL = 6;
// milliseconds in which a field that was left has sent its text, and after which a press waits no longer for an answer
const SENT = 100, LONGEST = 2000;
// milliseconds in which some widgets click themselves where they miss the browser's click
const ECHO = 300;
// the press under way, the one that is ours to click, whether we are doing so; typed into a field, and when it was left
let began = null, held = null, clicking = false, typed = false, left = -LONGEST;

const of = (event, what) => event.composedPath().find((one) => one.matches && one.matches(what));
const name = (one) => one.dataset.id ?? [one.textContent, one.getAttribute("href"), one.getAttribute("aria-label")].join(" ");

// the same thing drawn anew: the only one at its place that has its name
const again = (press) => {
  const found = [...press.root.querySelectorAll(press.place + press.one.tagName)];
  const same = found.filter((one) => name(one) === press.name && one.checkVisibility());
  return same.length === 1 ? same[0] : null;
};

const waits = () => {
  const gone = performance.now() - left;
  const app = document.querySelector('[data-testid="stApp"]');
  return gone < SENT || (gone < LONGEST && app && ["running", "rerunRequested"].includes(app.dataset.testScriptState));
};

const act = (press) => {
  if (waits()) {
    setTimeout(act, 20, press);
    return;
  }
  press.until = performance.now() + ECHO;
  const one = press.one.isConnected ? press.one : again(press);
  clicking = true;
  if (one) one.click();
  clicking = false;
};

const ours = (press) => {
  began = null;
  held = press;
  act(press);
};

// a list that takes new names drops the one that was typed when it is left, and Enter is what takes it
const take = (event) => {
  const list = document.activeElement;
  if (!list || !list.matches('[role=combobox][aria-activedescendant$="__creatable__"]')) return;
  if (event.composedPath().includes(list) || of(event, "[role=listbox]")) return;
  list.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", code: "Enter", bubbles: true, cancelable: true }));
};

const down = (event) => {
  take(event);
  began = null;
  // a finger's click is made when it is lifted, all at once
  const one = event.button === 0 && event.pointerType === "mouse" ? of(event, PRESSED) : null;
  if (!one) return;
  const keyed = one.closest('[class*="st-key-"]');
  const key = keyed && [...keyed.classList].find((each) => each.startsWith("st-key-"));
  began = {
    one, name: name(one), root: one.getRootNode(), place: key ? "." + CSS.escape(key) + " " : "",
    x: event.clientX, y: event.clientY,
  };
};

const up = (event) => {
  const press = began;
  if (!press || Math.hypot(event.clientX - press.x, event.clientY - press.y) > STILL) {
    began = null;
    return;
  }
  // the browser's own click comes before this
  setTimeout(() => {
    if (began === press) ours(press);
  });
};

const clicked = (event) => {
  const press = began, on = (one) => event.composedPath().includes(one);
  if (clicking) return;
  const echo = held && !event.isTrusted && on(held.one) && !(performance.now() > held.until);
  const early = press && on(press.one) && waits();
  if (echo || early) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }
  if (early) ours(press);
  else if (press && on(press.one)) began = null;
};

export default function () {
  if (window.redrivePress) return;
  window.redrivePress = true;
  document.addEventListener("pointerdown", down, true);
  document.addEventListener("pointerup", up, true);
  document.addEventListener("pointercancel", () => { began = null; }, true);
  document.addEventListener("click", clicked, true);
  document.addEventListener("input", () => { typed = true; }, true);
  document.addEventListener("focusout", () => {
    if (typed) left = performance.now();
    typed = false;
  }, true);
}
"""
