"""One dataset: how it was read, what was found in it, what its columns hold, and its rows."""

from __future__ import annotations

from typing import Any

import streamlit as st

from jobs import templates
from jobs.views.datasets import Dataset
from workbench import parts, session, wording
from workbench.screens import archiving

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
NUMBERED = "number the rows"
#: stands at the column that names the rows
ID_MARK = "row id"


def page() -> None:
    identity = session.param("id")
    if identity is None:
        session.go("datasets")
    dataset = session.engine().datasets.get(identity)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container():
            parts.header(
                dataset.name,
                subtitle=f"{wording.count(dataset.row_count, 'row')} · {wording.count(len(dataset.columns), 'column')}",
                state=None if dataset.state == "ready" else dataset.state,
            )
        with st.container(horizontal=True, horizontal_alignment="right", width="content"):
            if dataset.state == "ready":
                archiving.button("dataset", dataset.id, dataset.archived_at)
            session.link("All datasets", "datasets")
            session.link("Use in a prompt", "prompts", dataset=dataset.id)
            session.link("**Launch a run**", "launch", dataset=dataset.id, disabled=dataset.state != "ready")
    archiving.notice("dataset", dataset.id, dataset.archived_at)
    if dataset.state != "ready":
        parts.panel(
            "Its rows are being stored. If that was cut off, upload the same file again: it begins anew.",
            tone="waiting",
        )
        return
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _columns(dataset)
    with right:
        _reading(dataset)
        _id_column(dataset)
    _findings(dataset)
    _preview(dataset)


def _reading(dataset: Dataset) -> None:
    parts.section("As it was read")
    facts: dict[str, Any] = dataset.facts or {}
    pairs = {"Format": dataset.format.upper()}
    if dataset.encoding:
        pairs["Encoding"] = dataset.encoding
    if dataset.delimiter:
        pairs["Delimiter"] = DELIMITERS.get(dataset.delimiter, dataset.delimiter)
    pairs["Size"] = wording.size(dataset.size_bytes)
    pairs["Duplicate rows"] = _duplicates(facts)
    pairs["Uploaded"] = wording.exact(dataset.created_at, session.zone())
    pairs["Content"] = f"sha256 {dataset.sha256[:16]}…"
    parts.facts(pairs)


def _duplicates(facts: dict[str, Any]) -> str:
    many = int(facts.get("duplicates") or 0)
    if not many:
        return "none"
    pairs = ", ".join(f"{later:,} repeats {first:,}" for later, first in (facts.get("duplicate_examples") or [])[:5])
    return f"{many:,} of {int(facts.get('compared') or 0):,} rows ({pairs}); equal rows are asked about once"


def _id_column(dataset: Dataset) -> None:
    parts.section("Row id", note="what names a row in lists, exports and replays")
    options = [None, *dataset.columns]
    chosen = st.selectbox(
        "Row id",
        options,
        index=options.index(dataset.id_column) if dataset.id_column in options else 0,
        format_func=lambda name: NUMBERED if name is None else wording.head(name, 80),
        key=f"id:{dataset.id}",
        label_visibility="collapsed",
    )
    action = f"id:{dataset.id}"
    if chosen == dataset.id_column or session.button("Name the rows by it", action=action, type="primary") is None:
        return

    def change() -> bool:
        session.engine().datasets.set_id_column(dataset.id, chosen)
        return True

    if parts.perform(action, change):
        session.notify(f"Rows are named by {wording.escaped(chosen)}" if chosen else "Rows are named by their number")
        st.rerun()


def _columns(dataset: Dataset) -> None:
    parts.section("Columns")
    facts: list[dict[str, Any]] = (dataset.facts or {}).get("columns") or []
    by_name = {fact["name"]: fact for fact in facts}
    columns = [
        parts.Column(key="name", label="Column", kind="strong"),
        parts.Column(key="use", label="In a template", kind="mono"),
        parts.Column(key="filled", label="Filled", kind="number", help="cells that are not empty"),
        parts.Column(key="share", label="Share", kind="number"),
        parts.Column(
            key="distinct", label="Distinct", kind="number", help="different texts; empty cells are not counted"
        ),
        parts.Column(key="longest", label="Longest", kind="number", help="characters of the longest cell"),
    ]
    rows = []
    for place, name in enumerate(dataset.columns):
        fact = by_name.get(name, {})
        filled = int(fact.get("filled") or 0)
        rows.append(
            parts.Row(
                str(place),
                {
                    "name": name,
                    "use": templates.placeholder(name),
                    "filled": wording.number(filled),
                    "share": parts.Cell(
                        wording.percent(filled, dataset.row_count),
                        tone="paused" if filled < dataset.row_count else None,
                    ),
                    "distinct": f"{'≥ ' if fact.get('distinct_capped') else ''}{int(fact.get('distinct') or 0):,}",
                    "longest": wording.count(int(fact.get("longest") or 0), "char"),
                },
            )
        )
    parts.table(columns, rows, key="columns", height=420, label="columns")


def _findings(dataset: Dataset) -> None:
    if not dataset.findings:
        return
    parts.section("Findings", note=f"{len(dataset.findings):,} while it was read; nothing was changed silently")
    rows = [
        parts.Row(
            str(place),
            {
                "line": f"{finding['line']:,}" if finding.get("line") else wording.NOTHING,
                "kind": str(finding.get("kind", "")).replace("_", " "),
                "message": parts.text_cell(str(finding.get("message", "")), 300),
            },
        )
        for place, finding in enumerate(dataset.findings)
    ]
    columns = [
        parts.Column(key="line", label="Line", kind="number"),
        parts.Column(key="kind", label="What"),
        parts.Column(key="message", label="In words", kind="wide"),
    ]
    parts.table(columns, rows, key="findings", height=220, label="findings")


def _preview(dataset: Dataset) -> None:
    named = "their number" if dataset.id_column is None else wording.head(dataset.id_column, 80)
    parts.section("Rows", note=f"named by {named}, whose column is marked {ID_MARK}")
    search = st.text_input(
        "Search",
        key="search",
        bind="query-params",
        placeholder="text in any cell",
        label_visibility="collapsed",
        width=420,
    )
    rows, total = parts.paged(
        "page",
        lambda offset, limit: session.engine().datasets.page(
            dataset.id, offset=offset, limit=limit, search=search or ""
        ),
    )
    if not total:
        st.caption("No row holds that text." if search else "There is no row.")
        return
    number = parts.Column(key="#", label=_headed("#", dataset.id_column is None), kind="number", help="its number")
    columns = [number, *(_column(place, name, dataset) for place, name in enumerate(dataset.columns))]
    parts.table(
        columns,
        [
            parts.Row(
                str(ordinal),
                {"#": f"{ordinal:,}"}
                | {f"c{place}": parts.text_cell(cells.get(name, "")) for place, name in enumerate(dataset.columns)},
            )
            for ordinal, cells in rows
        ],
        key="rows",
        height=560,
        label="rows of the dataset",
    )


def _column(place: int, name: str, dataset: Dataset) -> parts.Column:
    names = name == dataset.id_column
    return parts.Column(
        key=f"c{place}",
        label=_headed(name, names),
        kind="strong" if names else "text",
        help="names a row in lists, exports and replays" if names else "",
    )


def _headed(name: str, names_rows: bool) -> str:
    return f"{name} · {ID_MARK}" if names_rows else name


page()
