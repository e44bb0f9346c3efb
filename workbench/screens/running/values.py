"""The rows of a run with their values and receipts, a page at a time."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from jobs.views.runs import ResultRow, Run
from workbench import parts, session, wording
from workbench.screens.running import progress

STATES = ("accepted", "dead", "waiting", "cancelled", "all")
#: characters of a field's values, and fields, above which they give way to the other columns
SHORT, MANY = 16, 4
CURRENT, OWN = "current", "as this run left them"


def _first(run: Run) -> str:
    """What a person sees first: values, or what there is where an ended run has none; it stays as it is while a run goes on."""
    counts = run.counts
    return "dead" if run.ended_at is not None and counts.dead and not counts.accepted else "accepted"


def table(run: Run) -> None:
    """Draw the filters and the page of rows, and the rows again while the run goes on; a row opens in the inspector."""
    with st.container(horizontal=True, vertical_alignment="center"):
        state = parts.filters.segments("rows", STATES, default=_first(run))
        whose = CURRENT
        if run.kind not in ("try", "evaluation"):
            whose = parts.filters.segments(
                "values",
                (CURRENT, OWN),
                default=OWN if run.kind == "replay" else CURRENT,
                help="Current: with what replays and corrections brought. The other: what this run itself came to.",
            )
        search = parts.filters.text("search", placeholder="text in a cell of the row")

    def look() -> str:
        _page(run, state, own=whose == OWN, search=search)
        return ""

    parts.watch(look, standing="", every=None if search else progress.looks_every(run))


def _page(run: Run, state: str, *, own: bool, search: str) -> None:
    rows, total = parts.paged(
        "page",
        lambda offset, limit: session.engine().runs.results(
            run.id,
            offset=offset,
            limit=limit,
            state=None if state == "all" else state,
            as_run=own,
            search=search,
        ),
    )
    if not total:
        st.caption(
            "No such row." if search else f"No row is {state} yet." if run.ended_at is None else f"No row is {state}."
        )
        return
    _draw(run, rows)


def _draw(run: Run, rows: Any) -> None:
    fields = list(session.engine().prompts.get(run.version_id).content.contract.get("properties") or {})
    fields += [name for row in rows for name in row.value or {} if name not in fields]
    fields = list(dict.fromkeys(fields))[:12]
    long = {name for name in fields for row in rows if len(_text((row.value or {}).get(name, ""))) > SHORT}
    if len(fields) > MANY:
        long = set(fields)
    columns = [
        parts.Column(key="id", label="Row", kind="strong", help="the row's id"),
        parts.Column(key="cells", label="The row", kind="flex" if long else "wide"),
        parts.Column(key="state", label="State"),
        *(
            parts.Column(key=f"v:{name}", label=wording.head(name, 40), kind="flex" if name in long else "text")
            for name in fields
        ),
        parts.Column(key="receipt", label="Receipt", help="how the value was obtained"),
        *([parts.Column(key="model", label="Model", help="that the value is from")] if run.upper else []),
        parts.Column(key="version", label="Version"),
        parts.Column(
            key="run",
            label="Run",
            kind="number",
            help="the run that the value came from, or that a dead row died in last",
        ),
    ]
    opened = parts.table(
        columns,
        [parts.Row(f"{row.run or run.id}:{row.ordinal}", _row(row, fields)) for row in rows],
        key=f"values:{run.id}",
        opens=True,
        height=620,
        label="rows of the run",
    ).opened
    if opened:
        of, _, ordinal = opened.partition(":")
        session.go("letter", run=of, row=ordinal)


def _row(row: ResultRow, fields: list[str]) -> dict[str, str | parts.Cell]:
    value = row.value or {}
    shown: dict[str, str | parts.Cell] = {
        "id": parts.text_cell(row.row_id, 20),
        "state": parts.state_cell(row.state),
        "receipt": _receipt(row),
        "model": parts.text_cell((row.receipt.model if row.receipt else None) or wording.NOTHING, 24),
        "version": parts.text_cell(row.version or wording.NOTHING, 20),
        "run": str(row.run) if row.run else wording.NOTHING,
        "cells": parts.text_cell(" · ".join(cell for cell in row.cells.values() if cell), 160),
    }
    for name in fields:
        shown[f"v:{name}"] = parts.text_cell(_text(value[name]), 160) if name in value else wording.NOTHING
    return shown


def _receipt(row: ResultRow) -> str | parts.Cell:
    """How the value was obtained; of an edited row, with the cells that were edited when pointed at."""
    words = row.receipt_words or ("edited row" if row.edited else wording.NOTHING)
    if not row.edited:
        return words
    edited = "; ".join(f"{column}: {cell}" for column, cell in row.edited.items())
    return parts.Cell(words, f"the run saw a row that a person had edited, {wording.head(edited, 600)}")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
