"""Exports of a run: built to a file of the home, then offered as a download.

The file is built once and named by what it holds, so that a reload of the browser offers it again. It is read only when it is
downloaded.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

import streamlit as st

from jobs.views.runs import Run
from workbench import parts, session, wording

Format = Literal["csv", "jsonl", "parquet"]
FORMATS: dict[Format, tuple[str, str]] = {
    "csv": ("CSV, safe for spreadsheets", "text/csv"),
    "jsonl": ("JSON Lines", "application/x-ndjson"),
    "parquet": ("Parquet", "application/vnd.apache.parquet"),
}


def form(run: Run) -> None:
    """Draw what to export, the button that builds it, and the download of what was built."""
    st.caption(
        "The original columns, the value's fields, and for each row its state, receipt, version and run, and what was edited in it."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        fmt = st.segmented_control(
            "Format", list(FORMATS), default="csv", required=True, format_func=lambda one: FORMATS[one][0], key="format"
        )
        whole = st.segmented_control(
            "Rows", ("all rows", "accepted only"), default="all rows", required=True, key="which"
        )
        whose = "current"
        if run.kind not in ("try", "evaluation"):
            whose = (
                st.segmented_control(
                    "Values",
                    ("current", "as this run left them"),
                    default="current",
                    required=True,
                    key="whose",
                    help="Current: with what replays and corrections brought.",
                )
                or whose
            )
    chosen: Format = fmt
    as_run, accepted = whose != "current", whole != "all rows"
    file = _place(run, chosen, as_run=as_run, accepted=accepted)
    if st.button("Build the file" if not file.exists() else "Build it again", key="build"):
        began = time.monotonic()
        with st.spinner("Writing the rows to a file …"):
            rows = parts.perform("build", lambda: _build(run, chosen, file, as_run=as_run, accepted=accepted))
        if rows is not None:
            st.caption(f"{wording.count(rows, 'row')} written in {wording.duration(time.monotonic() - began)}")
    if file.exists():
        _offer(file, chosen)


def _place(run: Run, fmt: Format, *, as_run: bool, accepted: bool) -> Path:
    name = f"run-{run.id}{'-as-run' if as_run else ''}{'-accepted' if accepted else ''}.{fmt}"
    return session.engine().settings.home / "exports" / name


def _build(run: Run, fmt: Format, file: Path, *, as_run: bool, accepted: bool) -> int:
    file.parent.mkdir(mode=0o700, exist_ok=True)
    return session.engine().runs.export(run.id, fmt, file, as_run=as_run, accepted_only=accepted)


def _offer(file: Path, fmt: Format) -> None:
    facts = file.stat()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            f"Download {file.name}",
            data=file.read_bytes,
            file_name=file.name,
            mime=FORMATS[fmt][1],
            on_click="ignore",
            type="primary",
            key=f"download:{file.name}",
        )
        st.caption(f"{wording.size(facts.st_size)}, as of {wording.exact(facts.st_mtime, session.zone())} · {file}")
