"""The look that all screens share: one palette for the tones of states, in light and dark, and a denser page.

The palette is a set of custom properties on the page's root, so that our components, which live in shadow trees, see
the same colours as the page does. Each is a pair, of which the browser takes one by the scheme that an element stands in:
a page that turns dark while it is open turns whole, without a script run.
"""

from __future__ import annotations

import html

import streamlit as st

from workbench import wording

#: tone -> (light, dark); every pair was chosen for a contrast of 4.5 or more on its background
TONES: dict[str, tuple[str, str]] = {
    "accepted": ("#1a7f4b", "#5fc992"),
    "dead": ("#c0353f", "#f08a8f"),
    "running": ("#2f5fb3", "#8ab0f5"),
    "waiting": ("#5b6b82", "#9fb0c8"),
    "paused": ("#a05a00", "#e8b15a"),
    "cancelled": ("#6b7078", "#9a9fa8"),
    "plain": ("#3d4654", "#c3c9d3"),
}
_SURFACE = {
    "line": ("#d8dce3", "#343a45"),
    "soft": ("#f4f5f7", "#1d2128"),
    "hover": ("#eaf0fa", "#232a36"),
    "ink": ("#1f2530", "#e3e6eb"),
    "faint": ("#5f6978", "#98a1b0"),
    "mark": ("#ffe3a3", "#5a4516"),
    "mark-on": ("#ffb84d", "#a8741a"),
    "mark-ink": ("#1f2530", "#fff3d6"),
    "on-primary": ("#ffffff", "#14171c"),
}

_PAGE = """
.stMainBlockContainer { padding: 2.6rem 1.5rem 3rem; max-width: 1840px; }
.stSidebar [data-testid="stSidebarContent"] { padding-top: 0; }
.stMain [data-testid="stVerticalBlock"] { gap: 0.7rem; }
.stMain [data-testid="stPageLink"] a p { color: var(--rd-running); }
.stMain [data-testid="stPageLink"] a { border: 1px solid var(--rd-line); border-radius: .3rem; }
.stMain [data-testid="stPageLink"] a:not(:hover) { background: none; }
.stMain [data-testid="stPageLink"] a { min-height: 2.5rem; padding: 0 .75rem; }
[data-testid="stBaseButton-primary"]:not(:disabled) { color: var(--rd-on-primary); }
.stMain [data-testid="stPageLink"] a > span { font-weight: 400; }
.stMain textarea { font-family: ui-monospace, "Source Code Pro", monospace; font-size: .88rem; line-height: 1.5; }
.stMain [data-testid="stCode"] pre { padding: .5rem .75rem; }
.rd-h1 { font-size: 1.45rem; font-weight: 600; margin: 0; line-height: 1.25; overflow-wrap: anywhere; }
.rd-h1 + .rd-sub { text-wrap: balance; }
div.stToastContainer { top: auto; bottom: 1rem; }
div.stToastContainer, div.stToast { pointer-events: none; }
div.stToast button { pointer-events: auto; }
.st-key-unseen, :has(> .st-key-unseen) { display: none; }
html[data-rd-gone] [data-testid="stApp"] { opacity: .5; }
html[data-rd-gone] .stDialog { display: none; }
.rd-gone { position: fixed; inset: 0 0 auto; z-index: 1000001; padding: .7rem 1.5rem; background: var(--rd-soft); color: var(--rd-ink);
  border-bottom: 3px solid var(--rd-dead); font-family: "Source Sans", sans-serif; overflow-wrap: anywhere; }
.rd-gone strong { display: block; color: var(--rd-dead); }
.rd-gone code { font-family: ui-monospace, "Source Code Pro", monospace; padding: 0 .3em; user-select: all; }
.st-key-sent { max-height: 440px; overflow: auto; }
.st-key-sent > * { flex-shrink: 0; }
.rd-h2 { font-size: 1.05rem; font-weight: 600; margin: 0.5rem 0 0; line-height: 1.3; }
.rd-h2 .rd-sub { font-weight: 400; font-size: .88rem; }
.rd-sub { color: var(--rd-faint); overflow-wrap: anywhere; }
.rd-mono { font-family: ui-monospace, "Source Code Pro", monospace; font-size: 0.92em; }
.rd-answering { display: flex; gap: .5rem; align-items: baseline; color: var(--rd-faint); font-size: .85rem;
  border-bottom: 1px solid var(--rd-line); padding-bottom: .35rem; }
.rd-answering b { color: var(--rd-ink); font-weight: 600; overflow-wrap: anywhere; }
.rd-badge { display: inline-flex; gap: .3em; align-items: baseline; padding: 0 .5em; border-radius: .3rem;
  border: 1px solid currentColor; font-size: .82rem; line-height: 1.5; white-space: nowrap; font-weight: 500; }
.rd-panel { border: 1px solid var(--rd-line); border-left: 4px solid var(--tone); border-radius: .3rem;
  padding: .55rem .8rem; background: var(--rd-soft); overflow-wrap: anywhere; white-space: pre-wrap; }
.rd-panel strong { display: block; color: var(--tone); }
.rd-panel .hint { color: var(--rd-faint); }
.rd-figures { display: flex; flex-wrap: wrap; gap: .5rem; }
.rd-figure { border: 1px solid var(--rd-line); border-radius: .3rem; padding: .4rem .75rem; min-width: 7.5rem; }
.rd-figure .label { color: var(--rd-faint); font-size: .8rem; }
.rd-figure .value { font-size: 1.25rem; font-weight: 600; font-variant-numeric: tabular-nums; line-height: 1.3; }
.rd-figure .note { color: var(--rd-faint); font-size: .8rem; }
.rd-facts { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 0 !important; padding: 0 !important; }
.rd-facts dt { color: var(--rd-faint); margin: 0 !important; font-weight: 400; }
.rd-facts dd { margin: 0 !important; overflow-wrap: anywhere; }
.rd-bar { display: flex; height: .55rem; border-radius: .3rem; overflow: hidden; background: var(--rd-soft);
  border: 1px solid var(--rd-line); }
.rd-bar i { display: block; min-width: 2px; }
.rd-legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; font-size: .88rem; margin-top: .3rem;
  font-variant-numeric: tabular-nums; }
.rd-legend b { font-weight: 600; }
.rd-chips { display: flex; flex-wrap: wrap; gap: .2rem .5rem; align-items: baseline; }
.rd-chips code { padding: 0 .35em; border: 1px solid var(--rd-line); border-radius: .25rem; background: var(--rd-soft);
  color: var(--rd-ink); }
.rd-diff { margin: .2rem 0 0; padding: .4rem 0; border: 1px solid var(--rd-line); border-radius: .3rem; font-size: .84rem;
  line-height: 1.5; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 32rem; overflow: auto;
  font-family: ui-monospace, "Source Code Pro", monospace; background: none; color: var(--rd-ink); }
.rd-diff span { display: block; padding: 0 .75rem; unicode-bidi: isolate; }
.rd-diff .new { color: var(--rd-accepted); background: color-mix(in srgb, var(--rd-accepted) 10%, transparent); }
.rd-diff .old { color: var(--rd-dead); background: color-mix(in srgb, var(--rd-dead) 10%, transparent); }
.rd-diff .at { color: var(--rd-faint); }
.rd-live { display: flex; flex-direction: column-reverse; overflow: auto; border: 1px solid var(--rd-line); border-radius: .3rem;
  background: var(--rd-soft); padding: .35rem .7rem; }
.rd-live pre { margin: 0 0 auto; padding: 0; background: none; color: var(--rd-ink); font-size: .84rem; line-height: 1.5;
  white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate;
  font-family: ui-monospace, "Source Code Pro", monospace; }
.rd-cells { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .15rem .9rem; font-size: .92rem;
  border: 1px solid var(--rd-line); border-radius: .3rem; padding: .45rem .7rem; max-height: 24rem; overflow: auto; }
.rd-cells.edited { grid-template-columns: max-content minmax(0, 1fr) minmax(0, 1fr); }
.rd-cells span { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; }
.rd-cells .name, .rd-cells i, .rd-cells b { color: var(--rd-faint); font-weight: 400; white-space: nowrap; font-style: normal; }
.rd-cells .name { max-width: 12rem; overflow: hidden; text-overflow: ellipsis; }
.rd-cells .both { grid-column: span 2; }
.rd-cells .was { color: var(--rd-dead); }
.rd-cells .is { color: var(--rd-accepted); }
.rd-pair { overflow: hidden; }
.rd-pair .head { padding: 0 0 .3rem; display: flex; gap: .8rem; align-items: baseline; overflow-wrap: anywhere; }
.rd-row { padding: 0 0 .4rem; font-size: .92rem; color: var(--rd-faint); }
.rd-row summary { cursor: pointer; overflow-wrap: anywhere; unicode-bidi: isolate; }
.rd-row summary b { color: var(--rd-paused); font-weight: 600; }
.rd-row .rd-cells { margin-top: .3rem; color: var(--rd-ink); }
.rd-pair .sides { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
.rd-pair .sides > div { padding: .35rem .7rem .5rem; min-width: 0; }
.rd-pair .sides > div:first-child { padding-left: 0; }
.rd-pair .sides > div + div { border-left: 1px solid var(--rd-line); }
.rd-pair .title { font-size: .88rem; overflow-wrap: anywhere; }
.rd-pair pre { margin: .2rem 0 0; padding: 0; background: none; color: var(--rd-ink); font-size: .84rem; line-height: 1.5;
  white-space: pre-wrap; overflow-wrap: anywhere; max-height: 13rem; overflow: auto; unicode-bidi: isolate;
  font-family: ui-monospace, "Source Code Pro", monospace; }
.rd-empty { border: 1px dashed var(--rd-line); border-radius: .3rem; padding: 1.4rem 1.2rem; }
.rd-empty p { margin: .25rem 0 0; color: var(--rd-faint); max-width: 70ch; }
"""


def apply() -> None:
    """Put the palette and the page's style into the page."""
    colours = [f"--rd-{name}: light-dark({light}, {dark});" for name, (light, dark) in (TONES | _SURFACE).items()]
    st.html(f"<style>:root {{ {' '.join(colours)} }} {_PAGE}</style>")


def mark(path: str | None) -> None:
    """Mark an entry of the side bar as the one that the page belongs to: a page that it does not list has none of its own."""
    entry = f".stSidebar a[href$='/{path}']"
    shade = "background: color-mix(in srgb, var(--rd-faint) 22%, transparent)"
    rules = f"{entry} {{ {shade}; }} {entry} span {{ font-weight: 600; }}" if path else ""
    # drawn either way: what comes and goes before a page moves all that follows
    st.html(f"<style>/* the room */ {rules}</style>")


def tone(name: str) -> str:
    """The colour of a tone, as CSS."""
    return f"var(--rd-{name})"


def safe(text: str) -> str:
    """A hostile text as the content of an HTML element or a quoted attribute."""
    return html.escape(wording.visible(text), quote=True)
