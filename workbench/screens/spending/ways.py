"""Where the money went and what was saved: two tables side by side, each line of which opens the calls or rows behind it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from jobs.views.costs import Way
from workbench import parts, session, wording
from workbench import ways as words
from workbench.parts import Cell, Column, Row
from workbench.screens.spending import window as at
from workbench.screens.spending.sheet import Sheet

#: what the choices of these tables are called
AT = {"went", "saved"}
_ALL = "all"


def went(sheet: Sheet) -> None:
    """Where the money went; its lines add up to the spend."""
    found, total = sheet.report.ways, sheet.report.total
    calls = wording.count(total.calls, "call")
    parts.section("Where the money went", note=f"USD · {sheet.window.words} · n = {calls}")
    if not found.went and found.open is None:
        st.caption(
            "Once calls were sent in this window, this says which of them brought values and which were paid for nothing."
        )
        return
    spent = words.together(found.went)
    rows = [_row(one, spent) for one in found.went]
    n = wording.count(sum(one.n for one in found.went), "call")
    rows.append(_total("Spend", found.went, "100 %" if spent else wording.NOTHING, n))
    if found.open is not None:
        rows.append(_row(found.open, None))
    _table("went", "Went to", "of the spend", rows, sheet)


def saved(sheet: Sheet) -> None:
    """What was saved beside it, as shares of what it would have cost without."""
    found = sheet.report.ways
    parts.section("What was saved", note=f"USD · {sheet.window.words} · ≈ estimated; how is told when pointed at")
    if not found.saved:
        st.caption(
            "Nothing in this window. Equal rows whose answers are reused, a provider's prompt cache, its batch endpoint, several rows "
            "a call and a ladder of models would be here, each with what it saved."
        )
        return
    without = words.together(found.went) + words.together(found.saved)
    rows = [_row(one, without) for one in found.saved]
    if len(rows) > 1:
        share = wording.percent(words.together(found.saved), without) if without > 0 else wording.NOTHING
        rows.append(_total("Together", found.saved, share, ""))
    _table("saved", "Saved by", "of what all of it would have cost without any of these", rows, sheet)


def _row(way: Way, whole: float | None) -> Row:
    told = words.WORDS[way.name]
    part = whole is not None and whole > 0 and way.n > way.unknown
    return Row(
        way.name,
        {
            "way": Cell(told.name, told.help),
            "money": Cell(words.money(way), told.help, "paused" if way.unknown else None),
            "share": wording.percent(way.money, whole) if part and whole is not None else wording.NOTHING,
            "n": Cell(words.many(way), "", "paused" if way.unknown else None),
        },
    )


def _total(name: str, ways: Sequence[Way], share: str, n: str) -> Row:
    return Row(_ALL, {"way": Cell(name, "all of these"), "money": words.total(ways), "share": share, "n": n})


def _table(name: str, label: str, of: str, rows: list[Row], sheet: Sheet) -> None:
    columns = [
        Column(key="way", label=label, kind="strong"),
        Column(key="money", label="Money", kind="number", help="US dollars"),
        Column(key="share", label="Share", kind="number", help=of),
        Column(key="n", label="n", kind="number", help="a click lists them"),
    ]
    told = "where the money went" if name == "went" else "what was saved"
    opened = parts.table(columns, rows, key=f"ways-{name}", opens=True, label=told).opened
    if opened:
        what = "all" if opened == _ALL else f"{name}-{opened}"
        same = sheet.place.choice.at == name and sheet.place.choice.what == what
        st.session_state.pop("page", None)
        session.go("costs", **at.here(**({} if same or opened == _ALL else {"at": name, "what": what})))
