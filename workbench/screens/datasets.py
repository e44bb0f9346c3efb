"""The uploaded tables, and the way in for another one."""

from __future__ import annotations

import time

import streamlit as st

from jobs.views.datasets import Dataset
from workbench import fitting, parts, session, wording
from workbench.screens import archiving, upload


def page() -> None:
    parts.header("Datasets", subtitle="Uploaded tables. A dataset never changes; the same bytes are the same dataset.")
    found = session.engine().datasets.list(archived=None)
    if found:
        with st.expander("Upload a table", expanded=False):
            upload.draw(found)
        _list(found)
    else:
        parts.empty(
            "No dataset yet",
            "A dataset is a table whose rows a model is asked about: CSV, TSV, JSON Lines, Excel or Parquet. Everything is "
            "read as text, so 007 and NA stay what they are. Upload one, or begin with a sample table.",
        )
        upload.draw(found)


def _list(everything: list[Dataset]) -> None:
    now = time.time()
    bar = st.container(horizontal=True, vertical_alignment="center")
    with bar:
        archived = archiving.shown("dataset")
    found = [one for one in everything if archived == (one.archived_at is not None)]
    if not found:
        st.caption("No dataset is archived." if archived else "Every dataset is archived.")
        return
    columns = [
        parts.Column(key="name", label="Dataset", kind="strong"),
        parts.Column(key="rows", label="Rows", kind="number"),
        parts.Column(key="columns", label="Columns", kind="wide"),
        parts.Column(key="format", label="Read as"),
        parts.Column(key="findings", label="Findings", kind="number", help="what was found while it was read"),
        parts.Column(key="id", label="Row id"),
        parts.Column(key="size", label="Size", kind="number"),
        parts.Column(key="when", label="Archived" if archived else "Uploaded"),
    ]
    rows = [
        parts.Row(
            dataset.id,
            {
                "name": dataset.name,
                "rows": wording.number(dataset.row_count) if dataset.state == "ready" else parts.state_cell("loading"),
                "columns": parts.text_cell(", ".join(dataset.columns)),
                "format": f"{dataset.format.upper()}{f', {fitting.GOLDEN}' if fitting.is_golden(dataset) else ''}",
                "findings": wording.number(len(dataset.findings)),
                "id": dataset.id_column or "row number",
                "size": wording.size(dataset.size_bytes),
                "when": parts.time_cell(dataset.archived_at or dataset.created_at, now),
            },
        )
        for dataset in fitting.own_first(found)
    ]
    shown, _ = parts.paged("page", lambda offset, limit: (rows[offset : offset + limit], len(rows)), noun="dataset")
    opened, chosen = parts.table(columns, shown, key="datasets", opens=True, choose=True, label="datasets")
    with bar:
        archiving.ticked("dataset", chosen, archived=archived)
    if opened:
        session.go("dataset", id=opened)


page()
