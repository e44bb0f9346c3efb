"""A run's batches at its provider, and the choice of the batch endpoint on the launch form."""

from __future__ import annotations

import time
from typing import Literal

import streamlit as st

from jobs.settings import Connection
from jobs.views.runs import Batch, Run
from workbench import parts, session, wording

Way = Literal["no", "first", "all"]

_WAYS: dict[Way, str] = {"no": "No", "first": "First questions", "all": "All questions"}
_STATES = {
    "making": "being filled",
    "ready": "about to be submitted",
    "submitted": "with the provider",
    "returned": "being read",
    "ended": "over",
}
_COLUMNS = (
    parts.Column(key="batch", label="Batch"),
    parts.Column(key="state", label="State"),
    parts.Column(key="rows", label="Rows", kind="number"),
    parts.Column(key="lines", label="Lines answered", kind="number"),
    parts.Column(key="failed", label="Failed", kind="number"),
    parts.Column(key="submitted", label="Submitted"),
    parts.Column(key="looked", label="Last looked at"),
    parts.Column(key="expires", label="Expires"),
    parts.Column(key="remote", label="Provider's name of it"),
    parts.Column(key="words", label="What it says", kind="wide"),
)


def choose(connection: Connection, usual: Way, *, key: str) -> Way:
    """Which questions go through the batch endpoint."""
    if connection.is_embedded:
        return "no"
    return st.selectbox(
        "Through the batch endpoint",
        list(_WAYS),
        index=list(_WAYS).index(usual),
        format_func=lambda way: _WAYS[way],
        key=key,
        width=200,
        help=f"It charges {connection.batch_price:.0%} of the price and may take up to 24 hours. With first questions, a row "
        "whose answer was not taken is asked again by an ordinary call, at the full price; with all, in the next batch. The "
        "provider must have /v1/batches.",
    )


def facts(run: Run) -> dict[str, str]:
    """What of a run goes through the batch endpoint; nothing where nothing does."""
    return {} if run.options.batch == "no" else {"Through the batch endpoint": _WAYS[run.options.batch]}


def told(run: Run) -> str:
    """What the head of a run's page adds where it goes through the batch endpoint; empty where it does not."""
    what = {"first": "first questions ", "all": ""}.get(run.options.batch)
    return "" if what is None else f" · {what}through the batch endpoint"


def left(run: Run) -> tuple[str, str] | None:
    """How long a run through the batch endpoint may still take, and why nobody knows better; None for one of ordinary calls."""
    if run.options.batch == "no":
        return None
    if any(one.ended_at is None for one in session.engine().runs.batches(run.id)):
        return "up to 24 h", "as the provider takes, for each batch"
    return wording.NOTHING, "no batch is open"


def table(run: Run) -> None:
    """Draw the run's batches; nothing where it has none."""
    found = session.engine().runs.batches(run.id) if run.options.batch != "no" else ()
    if found:
        now = time.time()
        rows = [parts.Row(str(one.id), _cells(one, now)) for one in found]
        parts.section("Batches at the provider", note="files of calls that it answers within 24 hours")
        parts.table(_COLUMNS, rows, key=f"batches:{run.id}", label="Batches at the provider")


def _cells(one: Batch, now: float) -> dict[str, str | parts.Cell]:
    state = _STATES.get(one.state, one.state)
    return {
        "batch": wording.number(one.id),
        "state": parts.text_cell(f"{state} ({one.status})" if one.status else state),
        "rows": wording.number(one.rows),
        "lines": f"{wording.number(one.answered)} of {wording.number(one.calls)}",
        "failed": wording.number(one.failed),
        "submitted": parts.time_cell(one.submitted_at, now),
        "looked": parts.time_cell(one.checked_at, now),
        "expires": wording.exact(one.expires_at) if one.ended_at is None and one.expires_at else wording.NOTHING,
        "remote": parts.text_cell(one.remote or wording.NOTHING),
        "words": parts.text_cell(one.words or wording.NOTHING),
    }
