"""A press of the mouse counts for what it began on, and comes after what was typed or chosen before it.

A field hands over its text when it is left, and the press on a button is what leaves it. So the page is drawn anew between the
two halves of that press, and a browser makes a click only of two halves over the same element: where the button has moved
or was drawn as another one, the click would be lost. And a press that is quicker than the answer would act on the page as it
was before, with its old filter, or overtake the text: so it waits for it. A page that looks again at a run by a timer moves its
buttons in the same way.

The menu's link to the screen that stands there already opens it anew, as its plain address does, without its filter.

An impatient hand presses once more at the same place. Where the first press has opened another page meanwhile, the last one
was not meant for what stands there now, and does nothing.
"""

from __future__ import annotations

from functools import cache

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer


def keep() -> None:
    """Keep every press of the page; drawn once, by the shell."""
    _component()(key="press", data={}, height="content")


@cache
def _component() -> ComponentRenderer:
    return st.components.v2.component("redrive_press", js=_JS)


_JS = """
const PRESSED = "button, a[href], summary, label, tr.opens, td.tick, input[type=checkbox]";
// pixels that a hand may tremble; more takes the press back, as everywhere
const STILL = 6;
// milliseconds in which the script begins to answer, and after which a press waits no longer for its end
const BEGINS = 500, LONGEST = 2000;
// milliseconds in which some widgets click themselves where they miss the browser's click
const ECHO = 300;
// pixels and milliseconds in which a press after the page has turned is still one more for the page before
const NEAR = 60, TURNS = 500;

// the press under way; the one whose click is made here, and whether it is being made
let began = null, held = null, clicking = false;
// whether a field was typed into; when something was handed over, and when the script was last seen at work
let typed = false, handed = -LONGEST, worked = -LONGEST;
// the page, when it turned, the last press, and the one that was the last when it turned
let page = location.pathname, turned = -TURNS, last = null, before = null;

const of = (event, what) => event.composedPath().find((one) => one.matches && one.matches(what));
const works = () => {
  const app = document.querySelector("[data-test-script-state]");
  return Boolean(app) && ["running", "rerunRequested"].includes(app.dataset.testScriptState);
};
const early = () => {
  const since = performance.now() - handed;
  return since < LONGEST && (works() || (worked < handed && since < BEGINS));
};

// the same thing drawn anew: the only one at its place that has its name
const name = (one) => one.dataset.id ?? [one.textContent, one.getAttribute("href"), one.getAttribute("aria-label")].join(" ");
const again = (press) => {
  const found = [...press.root.querySelectorAll(press.place + press.one.tagName)];
  const shown = found.filter((one) => one.checkVisibility());
  const same = shown.filter((one) => name(one) === press.name);
  // a button with a key of its own is the same also where what was handed over has changed its words
  if (!same.length && press.place && shown.length === 1) return shown[0];
  return same.length === 1 ? same[0] : null;
};

const act = (press) => {
  if (early()) {
    setTimeout(act, 20, press);
    return;
  }
  const one = press.one.isConnected ? press.one : again(press);
  press.until = performance.now() + ECHO;
  clicking = true;
  if (one) one.click();
  clicking = false;
};
const make = (press) => {
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
  if (press && Math.hypot(event.clientX - press.x, event.clientY - press.y) > STILL) began = null;
  // the browser's own click comes before this
  else if (press) setTimeout(() => { if (began === press) make(press); });
};

const turn = () => {
  if (page === location.pathname) return;
  [page, turned, before] = [location.pathname, performance.now(), last];
};
const late = (event) => {
  turn();
  if (!before || performance.now() - turned > TURNS || of(event, "[data-testid=stSidebar]")) return false;
  return Math.hypot(event.clientX - before.x, event.clientY - before.y) < NEAR;
};

const clicked = (event) => {
  if (clicking) return;
  if (event.isTrusted && event.detail && late(event)) {
    began = null;
    event.preventDefault();
    event.stopImmediatePropagation();
    return;
  }
  if (event.isTrusted && event.detail) last = { x: event.clientX, y: event.clientY };
  const path = event.composedPath();
  const press = began && path.includes(began.one) ? began : null;
  const echo = held && !event.isTrusted && path.includes(held.one) && !(performance.now() > held.until);
  const waits = press && early();
  if (echo || waits) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }
  if (waits) make(press);
  else if (press) began = null;
};

// Streamlit keeps the address, and with it the filter, where a link leads to the screen that it stands on
const anew = (event) => {
  const link = of(event, "[data-testid=stSidebarNav] a[href]");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (link.origin !== location.origin || link.pathname !== location.pathname || !location.search) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  location.assign(link.href);
};

const hand = () => { handed = performance.now(); };

export default function () {
  if (window.redrivePress) return;
  window.redrivePress = true;
  const on = (kind, does) => document.addEventListener(kind, does, true);
  on("pointerdown", down);
  on("pointerup", up);
  setInterval(turn, 50);
  on("pointercancel", () => { began = null; });
  on("click", anew);
  on("click", clicked);
  on("click", (event) => { if (of(event, "[role=option], [role=radio]")) hand(); });
  on("input", () => { typed = true; });
  on("focusout", (event) => {
    // a form keeps its fields to itself until its own button is pressed
    if (typed && !of(event, "[data-testid=stForm]")) hand();
    typed = false;
  });
  new MutationObserver(() => { if (works()) worked = performance.now(); })
    .observe(document.body, { subtree: true, attributes: true, attributeFilter: ["data-test-script-state"] });
}
"""
