"""The way in for a table: an upload, or a sample that comes with Redrive.

The uploaded bytes are written to a file of the home at once and the upload object is dropped, since Streamlit keeps it in
memory as long as the session lives. Intake is the one long work inside a script run, and it shows its progress.
"""

from __future__ import annotations

import shutil
import unicodedata
import uuid
from functools import partial
from pathlib import Path
from typing import Protocol

import streamlit as st

from jobs import errors
from jobs.views.datasets import Dataset
from workbench import parts, session, wording

TYPES = ("csv", "tsv", "txt", "jsonl", "ndjson", "xlsx", "parquet")
MEGABYTES = 100
SAMPLES = Path(__file__).parents[2] / "data"


class Upload(Protocol):
    """What is needed of an uploaded file."""

    name: str

    def getbuffer(self) -> memoryview:
        """Its bytes."""
        ...


def draw(found: list[Dataset]) -> None:
    """Draw the upload, and the samples that are not among the datasets yet."""
    _upload()
    _samples(found)


def _upload() -> None:
    turn = st.session_state.setdefault("upload:turn", 0)
    file = st.file_uploader(
        f"CSV, TSV, JSON Lines, Excel or Parquet, up to {MEGABYTES} MB. Larger files: redrive run FILE on the command line",
        type=list(TYPES),
        max_upload_size=MEGABYTES,
        key=f"upload:{turn}",
    )
    refused = st.session_state.pop("upload:refused", None)
    if refused:
        parts.error(refused, title="This file cannot be taken")
    if file is None:
        return
    st.session_state["upload:turn"] = turn + 1
    try:
        dataset = _taken(file)
    except errors.RedriveError as error:
        st.session_state["upload:refused"] = error.message
        st.rerun()
    session.notify(f"{wording.count(dataset.row_count, 'row')} stored")
    session.go("dataset", id=dataset.id)


def _taken(file: Upload) -> Dataset:
    """The dataset made of an upload; its file in the home is gone afterwards."""
    engine = session.engine()
    folder = engine.settings.home / "uploads" / uuid.uuid4().hex
    folder.mkdir(parents=True, mode=0o700)
    try:
        path = folder / file_name(file.name)
        path.write_bytes(file.getbuffer())
        return _add(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def file_name(given: str) -> str:
    """A name from a browser as the name of a file: one part, printable, its ending kept."""
    last = unicodedata.normalize("NFC", given.replace("\\", "/").rsplit("/", 1)[-1])
    plain = "".join("_" if unicodedata.category(char)[0] == "C" else char for char in last).strip(" .")
    stem, dot, ending = plain.rpartition(".")
    # file systems count bytes: 60 characters of four bytes and an ending stay under 255
    return f"{stem[:60]}.{ending[:10]}" if dot and stem else plain[:60] or "table"


def _add(path: Path) -> Dataset:
    bar = st.progress(0.0, text="Reading the file …")

    def progress(done: int, total: int) -> None:
        share = min(1.0, done / total) if total else 0.0
        bar.progress(share, text=f"Storing rows: {done:,} of {total:,}")

    try:
        return session.engine().datasets.add(path, progress=progress)
    finally:
        bar.empty()


def _samples(found: list[Dataset]) -> None:
    names = {dataset.name for dataset in found}
    files = sorted(file for file in SAMPLES.glob("*") if file.suffix.lstrip(".") in TYPES and file.name not in names)
    if not files:
        return
    st.caption("Sample tables that come with Redrive")
    with st.container(horizontal=True):
        for file in files:
            action = f"sample:{file.name}"
            if session.button(f"Load {wording.escaped(file.name)}", action=action):
                dataset = parts.perform(action, partial(_add, file))
                if dataset is not None:
                    session.go("dataset", id=dataset.id)
