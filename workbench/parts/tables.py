"""A table that reports what was picked by id, and pages that are fetched one at a time.

Streamlit's own table reports a selection by row number, and a row number means another record as soon as the data moves.
This one puts texts into text nodes, shows the exact value as a tooltip, and answers with the ids that its caller gave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple, TypeVar

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

from workbench import wording

T = TypeVar("T")
PAGE = 50
#: pixels of a page's number in the pager, which leaves out pages when it is made to fit its content
SIGN = 38
#: characters of a cell and of its tooltip that are sent to the browser
_CELL, _TIP = 300, 1_500


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: ``number`` is right-aligned, ``mono`` is raw text, ``wide`` takes what room there is, ``flex`` shares it.

    ``rest`` takes what the others leave, however little, for a table in a narrow place.
    """

    key: str
    label: str
    kind: Literal["text", "number", "mono", "wide", "flex", "rest", "strong"] = "text"
    help: str = ""


@dataclass(frozen=True)
class Cell:
    """What a cell shows, what it says when pointed at, and its tone."""

    text: str
    tip: str = ""
    tone: wording.Tone | None = None


class Row(NamedTuple):
    """A row and the id that it is picked by."""

    id: str
    cells: Mapping[str, str | Cell]


class Picked(NamedTuple):
    """What the person has done to a table: the row just opened, and those that are ticked."""

    opened: str | None
    chosen: list[str]


def state_cell(name: str, *, words: str | None = None) -> Cell:
    """A state as sign, word and colour."""
    shown = wording.state(name)
    return Cell(f"{shown.sign} {words or shown.word}", shown.help, shown.tone)


def time_cell(moment: float | None, now: float) -> Cell:
    """A relative time, with the exact one when pointed at."""
    return Cell(wording.ago(moment, now), wording.exact(moment))


def text_cell(text: str, most: int = 120) -> Cell:
    """The head of a hostile text on one line, with more of it when pointed at."""
    return Cell(wording.head(text, most), text[:_TIP] if len(text) > most or "\n" in text else "")


def table(
    columns: Sequence[Column],
    rows: Sequence[Row],
    *,
    key: str,
    opens: bool = False,
    choose: bool = False,
    height: int | None = None,
    label: str = "",
) -> Picked:
    """Draw rows, at most a page of them.

    Args:
        columns: in order; a row may lack a cell.
        rows: with unique ids.
        key: of the element; ticks are kept under it while the rows change, and only for rows that are shown.
        opens: a click on a row, or Enter, reports its id once.
        choose: rows can be ticked.
        height: pixels after which the rows scroll; None: as high as they are.
        label: what the table is, for those who hear it.
    """
    shown = {row.id for row in rows}
    data = {
        "columns": [{"k": c.key, "l": c.label, "kind": c.kind, "h": c.help} for c in columns],
        "rows": [{"id": row.id, "c": [_cell(row.cells.get(column.key, "")) for column in columns]} for row in rows],
        "opens": opens,
        "choose": choose,
        "height": height,
        "label": label,
    }
    found = _component()(
        key=key,
        data=data,
        height="content",
        on_opened_change=_nothing,
        on_chosen_change=_nothing,
    )
    opened: Any = found.get("opened")
    chosen: Any = found.get("chosen") or []
    return Picked(
        opened if opens and isinstance(opened, str) and opened in shown else None,
        [row.id for row in rows if row.id in set(chosen)] if choose and isinstance(chosen, (list, tuple)) else [],
    )


def _cell(cell: str | Cell) -> dict[str, str]:
    if isinstance(cell, str):
        return {"t": _cut(cell, _CELL)}
    made = {"t": _cut(cell.text, _CELL)}
    if cell.tip:
        made["h"] = _cut(cell.tip, _TIP)
    if cell.tone:
        made["tone"] = cell.tone
    return made


def _cut(text: str, most: int) -> str:
    return wording.visible(text if len(text) <= most else text[:most] + "…")


def paged(
    key: str, fetch: Callable[[int, int], tuple[Sequence[T], int]], *, size: int = PAGE, noun: str = "row"
) -> tuple[Sequence[T], int]:
    """One page of a list that the database pages, with its pager; the page number lives in the URL as ``key``.

    Args:
        key: a short name, unique on the screen; also the name in the URL.
        fetch: of offset and limit, gives the rows and how many there are in all.
        size: rows a page.
        noun: what a row is called, in the singular.
    """
    asked = _page_of(key)
    page, found, total = _fetched(asked, fetch, size)
    pages = max(1, -(-total // size))
    if page != asked:
        st.session_state.pop(key, None)
        st.query_params.pop(key, None)
    if total:
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            first = (page - 1) * size + 1
            st.caption(f"{first:,}–{first + len(found) - 1:,} of {wording.count(total, noun)}", width="content")
            if pages > 1:
                st.pagination(pages, key=key, bind="query-params", width=SIGN * (min(pages, 7) + 2) + 8)
    return found, total


def shown(
    key: str, fetch: Callable[[int, int], tuple[Sequence[T], int]], *, size: int = PAGE
) -> tuple[Sequence[T], int]:
    """What ``paged`` shows, and how many there are in all, without drawing it."""
    _, found, total = _fetched(_page_of(key), fetch, size)
    return found, total


def _fetched(
    page: int, fetch: Callable[[int, int], tuple[Sequence[T], int]], size: int
) -> tuple[int, Sequence[T], int]:
    """The page, or the last one where the list is shorter."""
    found, total = fetch((page - 1) * size, size)
    last = max(1, -(-total // size))
    if page <= last:
        return page, found, total
    found, total = fetch((last - 1) * size, size)
    return last, found, total


def _page_of(key: str) -> int:
    held = st.session_state.get(key)
    if isinstance(held, int) and held > 0:
        return held
    text = st.query_params.get(key, "")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 10 else 1


def _nothing() -> None:
    """Make the event known; what it says is read from the element."""


@cache
def _component() -> ComponentRenderer:
    return st.components.v2.component("redrive_table", css=_CSS, js=_JS)


_CSS = """
:host, .wrap { font-family: var(--st-font); color: var(--rd-ink); }
.wrap { overflow: auto; border: 1px solid var(--rd-line); border-radius: .3rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th { position: sticky; top: 0; z-index: 1; background: var(--rd-soft); color: var(--rd-faint); font-weight: 600;
  text-align: left; white-space: nowrap; }
th, td { padding: .28rem .6rem; border-bottom: 1px solid var(--rd-line); vertical-align: top; }
tr:last-child td { border-bottom: none; }
td { max-width: 22rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; unicode-bidi: isolate; }
td.strong { font-weight: 600; }
td.wide { max-width: 0; width: 60%; }
th.wide { width: 60%; min-width: 12rem; }
th.flex, td.flex { max-width: 0; width: 20%; overflow: hidden; text-overflow: ellipsis; }
th.flex { min-width: 5rem; }
td.rest, th.rest { max-width: 0; width: 100%; min-width: 4rem; }
.number { text-align: right; }
td.mono { font-family: ui-monospace, "Source Code Pro", monospace; font-size: .88em; white-space: pre; }
tr.opens { cursor: pointer; }
tr.opens:hover td, tr.opens:focus td { background: var(--rd-hover); }
tr:focus { outline: 2px solid var(--st-primary-color); outline-offset: -2px; }
td.tick, th.tick { width: 1.6rem; padding-right: 0; }
tr.ticked td { background: var(--rd-hover); }
input { accent-color: var(--st-primary-color); cursor: pointer; margin: 0; vertical-align: middle; }
"""

_JS = """
const kept = new WeakMap();
export default function (component) {
  const { data, parentElement: root, setTriggerValue, setStateValue } = component;
  const mine = kept.get(root) || { ticked: new Set() };
  kept.set(root, mine);
  mine.trigger = setTriggerValue; mine.state = setStateValue;
  const now = JSON.stringify(data);
  if (mine.shown === now) return;
  mine.shown = now;
  const fill = (place, cell) => {
    if (place.textContent !== cell.t) place.textContent = cell.t;
    place.title = cell.h || (cell.t.length > 40 ? cell.t : "");
    place.style.color = cell.tone ? "var(--rd-" + cell.tone + ")" : "";
  };
  // the same rows said anew: a press that began on one of them must find it again when it ends
  const shape = JSON.stringify({ ...data, rows: data.rows.map((row) => row.id) });
  if (mine.shape === shape && mine.wrap.isConnected) {
    data.rows.forEach((row, at) => row.c.forEach((cell, of) => fill(mine.cells[at][of], cell)));
    return;
  }
  mine.shape = shape; mine.cells = [];
  const ids = new Set(data.rows.map((row) => row.id));
  for (const id of [...mine.ticked]) if (!ids.has(id)) mine.ticked.delete(id);
  const make = (tag, name, text) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const report = () => mine.state("chosen", data.rows.map((row) => row.id).filter((id) => mine.ticked.has(id)));
  const wrap = make("div", "wrap");
  if (data.height) wrap.style.maxHeight = data.height + "px";
  const table = make("table");
  if (data.label) table.setAttribute("aria-label", data.label);
  const head = make("tr"), boxes = [];
  let all = null;
  const settle = () => {
    for (const [box, line, id] of boxes) {
      box.checked = mine.ticked.has(id);
      line.classList.toggle("ticked", box.checked);
    }
    if (all) {
      all.checked = boxes.length > 0 && mine.ticked.size === boxes.length;
      all.indeterminate = mine.ticked.size > 0 && !all.checked;
    }
  };
  if (data.choose) {
    const place = make("th", "tick");
    all = make("input");
    all.type = "checkbox"; all.title = "all rows of this page"; all.setAttribute("aria-label", "all rows of this page");
    all.onchange = () => {
      mine.ticked = new Set(all.checked ? ids : []);
      settle(); report();
    };
    place.append(all); head.append(place);
  }
  for (const column of data.columns) {
    const place = make("th", column.kind, column.l);
    place.scope = "col";
    if (column.h) place.title = column.h;
    head.append(place);
  }
  const top = make("thead"); top.append(head); table.append(top);
  const body = make("tbody");
  for (const row of data.rows) {
    const line = make("tr", data.opens ? "opens" : "");
    line.dataset.id = row.id;
    if (data.choose) {
      const place = make("td", "tick"), box = make("input");
      box.type = "checkbox"; box.setAttribute("aria-label", "choose " + (row.c[0] ? row.c[0].t : row.id));
      box.onclick = (event) => event.stopPropagation();
      box.onchange = () => {
        box.checked ? mine.ticked.add(row.id) : mine.ticked.delete(row.id);
        settle(); report();
      };
      place.onclick = (event) => { event.stopPropagation(); if (event.target !== box) box.click(); };
      place.append(box); line.append(place); boxes.push([box, line, row.id]);
    }
    mine.cells.push(row.c.map((cell, at) => {
      const place = make("td", data.columns[at].kind);
      fill(place, cell); line.append(place);
      return place;
    }));
    if (data.opens) {
      line.tabIndex = 0;
      line.onclick = () => { if (!String(window.getSelection())) mine.trigger("opened", row.id); };
      line.onkeydown = (event) => {
        if (event.target === line && (event.key === "Enter" || event.key === " ")) {
          event.preventDefault(); mine.trigger("opened", row.id);
        }
      };
    }
    body.append(line);
  }
  table.append(body); wrap.append(table);
  const old = root.querySelector(".wrap"), at = old ? old.scrollTop : 0;
  for (const gone of root.querySelectorAll(".wrap")) gone.remove();
  root.append(wrap); wrap.scrollTop = at; mine.wrap = wrap;
  settle();
}
"""
