"""The raw reply beside its problems, each problem pointing at its place in the text.

A raw reply is hostile and may be megabytes on one line. ``excerpt`` cuts it into lines of pieces by the problems' places,
keeps its head, its tail and the surroundings of each place, and makes every piece visible; the element then only fills
text nodes. Choosing a problem happens in the browser, so that it costs no script run.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

from jobs.values import Problem
from workbench import wording
from workbench.parts import page

#: characters shown at first of the head, of the tail, and around each place
HEAD, TAIL, AROUND = 20_000, 4_000, 600
#: places that get their surroundings shown, and characters of expected and got
PLACES, WORDS = 50, 400


def raw_and_problems(raw: str | None, problems: Sequence[Problem], *, key: str, height: int = 460) -> None:
    """Draw the raw reply at the left, with the problems' places marked and numbered, and the problems at the right.

    Args:
        raw: as it was received, or None where nothing came back.
        problems: their offsets are into ``raw``; those without a place say so.
        key: unique on the screen; keeps how much of a long reply is shown.
        height: pixels of each side.
    """
    if raw is None and not problems:
        page.panel("Nothing came back, and nothing was judged.", tone="waiting")
        return
    text = raw or ""
    shown = st.session_state.get(f"{key}:head", HEAD)
    lines, hidden = excerpt(text, problems, head=shown)
    _component()(
        key=f"{key}:raw",
        data={
            "none": raw is None,
            "length": f"{len(text):,} characters" if raw is not None else "",
            "lines": lines,
            "problems": [_told(problem, len(text) if raw is not None else 0) for problem in problems],
            "height": height,
        },
        height="content",
    )
    if hidden:
        more = min(hidden, shown * 4)
        if st.button(
            f"Show {more:,} more characters",
            key=f"{key}:more",
            help=f"{hidden:,} characters of this reply are not shown",
        ):
            st.session_state[f"{key}:head"] = shown + more
            st.rerun()


def raw_text(raw: str | None, *, key: str, height: int = 460) -> None:
    """Draw a raw reply with line numbers and no problems."""
    raw_and_problems(raw, (), key=key, height=height)


def excerpt(
    text: str, problems: Sequence[Problem], *, head: int = HEAD, tail: int = TAIL
) -> tuple[list[dict[str, Any]], int]:
    """The lines to show and how many characters are left out of them.

    A line is ``{"n": number, "p": [piece ...]}`` or ``{"gap": characters}``; a piece is a visible text, or
    ``[text, [problem numbers]]`` where problems point at it; an empty one is a place between two characters.
    """
    if not text:
        return [], 0
    spans = [
        (number, max(0, min(problem.start, len(text))), max(0, min(problem.end, len(text))))
        for number, problem in enumerate(problems, start=1)
        if problem.start is not None and problem.end is not None and problem.start <= problem.end
    ]
    windows = _windows(len(text), [(start, end) for _, start, end in spans[:PLACES]], head, tail)
    lines: list[dict[str, Any]] = []
    before, number = 0, 1
    for start, end in windows:
        if start > before:
            lines.append({"gap": start - before})
        number += text.count("\n", before, start)
        lines += _lines(text, start, end, number, spans)
        number += text.count("\n", start, end)
        before = end
    if before < len(text):
        lines.append({"gap": len(text) - before})
    return lines, len(text) - sum(end - start for start, end in windows)


def _windows(length: int, places: Sequence[tuple[int, int]], head: int, tail: int) -> list[tuple[int, int]]:
    """What to show, in order and apart; neighbours that nearly touch are one."""
    if length <= head + tail:
        return [(0, length)]
    wanted = [(0, head), (length - tail, length)]
    for start, end in places:
        wanted.append((max(0, start - AROUND), min(length, start + AROUND)))
        wanted.append((max(0, end - AROUND), min(length, end + AROUND)))
    merged: list[tuple[int, int]] = []
    for start, end in sorted(wanted):
        if merged and start <= merged[-1][1] + 100:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _lines(text: str, start: int, end: int, number: int, spans: Sequence[tuple[int, int, int]]) -> list[dict[str, Any]]:
    here = [span for span in spans if span[1] <= end and span[2] >= start]
    cuts = sorted({start, end, *(max(start, s) for _, s, _ in here), *(min(end, e) for _, _, e in here)})
    lines: list[dict[str, Any]] = [{"n": number, "p": []}]
    for at, upto in zip(cuts, cuts[1:] or cuts, strict=False):
        points = [n for n, s, e in here if s == e == at]
        if points:
            lines[-1]["p"].append(["", points])
        marks = [n for n, s, e in here if s <= at and upto <= e and s < e]
        for place, line in enumerate(text[at:upto].split("\n")):
            if place:
                number += 1
                lines.append({"n": number, "p": []})
            if line:
                piece = wording.visible(line)
                lines[-1]["p"].append([piece, marks] if marks else piece)
    last = [n for n, s, e in here if s == e == cuts[-1]] if len(cuts) > 1 else []
    if last:
        lines[-1]["p"].append(["", last])
    return lines


def _told(problem: Problem, length: int) -> dict[str, Any]:
    rule = wording.rule(problem.rule)
    alone = wording.broken(problem.path, problem.rule) == rule
    placed = problem.start is not None and problem.end is not None and bool(length)
    return {
        "path": "" if alone else wording.visible(wording.path(problem.path)),
        "rule": rule,
        "name": problem.rule,
        "expected": _cut(problem.expected),
        "got": _cut(problem.got),
        "place": f"characters {problem.start:,}–{problem.end:,}" if placed else "",
    }


def _cut(text: str) -> str:
    return wording.visible(text if len(text) <= WORDS else text[:WORDS] + "…")


@cache
def _component() -> ComponentRenderer:
    return st.components.v2.component("redrive_raw", css=_CSS, js=_JS)


_CSS = """
.room { container-type: inline-size; }
.sides { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: .8rem; color: var(--rd-ink);
  font-family: var(--st-font); font-size: .92rem; }
.sides.alone { grid-template-columns: minmax(0, 1fr); }
@container (max-width: 640px) { .sides { grid-template-columns: minmax(0, 1fr); } }
.title { display: flex; justify-content: space-between; color: var(--rd-faint); font-size: .85rem; padding-bottom: .2rem; }
.title b { color: var(--rd-ink); }
.text { overflow: auto; border: 1px solid var(--rd-line); border-radius: .3rem; background: var(--rd-soft);
  font-family: ui-monospace, "Source Code Pro", monospace; font-size: .84rem; line-height: 1.5; padding: .35rem 0; position: relative; }
.line { display: grid; grid-template-columns: 3.6rem minmax(0, 1fr); }
.line > i { text-align: right; padding-right: .8rem; color: var(--rd-faint); font-style: normal; user-select: none; }
.line > span { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; direction: ltr;
  padding-right: .6rem; min-height: 1.5em; }
.gap { color: var(--rd-faint); padding: .2rem 0 .2rem 3.6rem; border-block: 1px dashed var(--rd-line); margin: .2rem 0; }
mark { background: var(--rd-mark); color: var(--rd-mark-ink); border-radius: 2px; cursor: pointer; unicode-bidi: isolate; }
mark.point { display: inline-block; width: 3px; height: 1.1em; vertical-align: text-bottom; background: var(--rd-dead); }
mark.on { background: var(--rd-mark-on); outline: 1px solid var(--rd-dead); }
sup { font-size: .68rem; color: var(--rd-dead); font-weight: 700; padding: 0 1px; user-select: none; line-height: 0; }
.list { overflow: auto; border: 1px solid var(--rd-line); border-radius: .3rem; }
button { display: block; width: 100%; text-align: left; background: none; border: 0; border-bottom: 1px solid var(--rd-line);
  border-left: 3px solid transparent; padding: .4rem .6rem; color: inherit; font: inherit; cursor: pointer; }
button:last-child { border-bottom: 0; }
button:hover { background: var(--rd-hover); }
button.on { border-left-color: var(--rd-dead); background: var(--rd-hover); }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: -2px; }
button code, dd { font-family: ui-monospace, "Source Code Pro", monospace; font-size: .86rem;
  overflow-wrap: anywhere; unicode-bidi: isolate; }
button .n { color: var(--rd-dead); font-weight: 700; padding-right: .35rem; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0 .7rem; margin: .15rem 0 0 1rem; }
dt { color: var(--rd-faint); }
dd { margin: 0; white-space: pre-wrap; }
.none { color: var(--rd-faint); padding: .6rem .8rem; }
"""

_JS = """
const kept = new WeakMap();
export default function (component) {
  const { data, parentElement: root } = component;
  const mine = kept.get(root) || {};
  kept.set(root, mine);
  const now = JSON.stringify(data);
  if (mine.shown === now) return;
  mine.shown = now;
  const make = (tag, name, text) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const sides = make("div", data.problems.length ? "sides" : "sides alone");
  const left = make("div"), top = make("div", "title");
  top.append(make("b", "", "Raw reply"), make("span", "", data.length));
  const text = make("div", "text");
  text.tabIndex = 0; text.setAttribute("role", "region"); text.setAttribute("aria-label", "raw reply");
  text.style.maxHeight = data.height + "px";
  const first = new Map(), marks = [], seen = new Set();
  const choose = (n, scroll) => {
    for (const [mark, of] of marks) mark.classList.toggle("on", of.includes(n));
    for (const [of, item] of items) item.classList.toggle("on", of === n);
    const place = first.get(n);
    if (scroll && place) text.scrollTop = Math.max(0, place.offsetTop - text.clientHeight / 3);
  };
  if (data.none) text.append(make("div", "none", "nothing came back"));
  else if (!data.lines.length)
    text.append(make("div", "none", "the reply is empty: 0 characters"));
  else for (const line of data.lines) {
    if (line.gap) { text.append(make("div", "gap", "… " + line.gap.toLocaleString("en") + " characters not shown …")); continue; }
    const row = make("div", "line"), words = make("span");
    row.append(make("i", "", line.n), words);
    for (const piece of line.p) {
      if (typeof piece === "string") { words.append(piece); continue; }
      const [part, of] = piece, mark = make("mark", part ? "" : "point", part);
      for (const n of of) if (!seen.has(n)) { seen.add(n); first.set(n, mark); words.append(make("sup", "", n)); }
      mark.onclick = () => choose(of[of.length - 1], false);
      mark.title = of.map((n) => n + ". " + (data.problems[n - 1].path + " " + data.problems[n - 1].rule).trim()).join("\\n");
      marks.push([mark, of]); words.append(mark);
    }
    text.append(row);
  }
  left.append(top, text); sides.append(left);
  const items = [];
  if (data.problems.length) {
    const right = make("div"), title = make("div", "title"), list = make("div", "list");
    title.append(make("b", "", data.problems.length === 1 ? "1 problem" : data.problems.length + " problems"));
    list.style.maxHeight = data.height + "px";
    data.problems.forEach((problem, at) => {
      const item = make("button"), head = make("div"), told = make("dl");
      item.type = "button";
      head.append(make("span", "n", at + 1), problem.path ? make("code", "", problem.path) : "", " " + problem.rule);
      head.title = problem.name;
      for (const [name, words] of [["expected", problem.expected], ["got", problem.got],
                                   ["place", problem.place || "no place in the text"]])
        if (words) told.append(make("dt", "", name), make("dd", "", words));
      item.append(head, told);
      item.onclick = () => choose(at + 1, true);
      items.push([at + 1, item]); list.append(item);
    });
    right.append(title, list); sides.append(right);
  }
  for (const gone of root.querySelectorAll(".room")) gone.remove();
  const room = make("div", "room");
  room.append(sides); root.append(room);
  if (items.length) choose(1, true);
}
"""
