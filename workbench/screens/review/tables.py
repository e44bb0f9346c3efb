"""The lists of the review: groups of dead letters by cause, and the letters of one."""

from __future__ import annotations

import time
from collections.abc import Sequence

from jobs.views.letters import Group, Letter
from workbench import parts, wording


def groups(found: Sequence[Group], letters: int) -> str | None:
    """Draw groups; the signature of the one that was just opened. ``letters``: how many there are in all."""
    now = time.time()
    columns = [
        parts.Column(key="title", label="Cause", kind="strong"),
        parts.Column(key="count", label="Letters", kind="number"),
        parts.Column(key="share", label="Share", kind="number", help=f"of {letters:,} dead letters behind this filter"),
        parts.Column(key="first", label="First seen"),
        parts.Column(key="last", label="Last seen"),
        parts.Column(key="versions", label="Versions"),
        parts.Column(key="runs", label="Runs"),
        parts.Column(
            key="cost",
            label="Cost",
            kind="number",
            help="of all calls about these rows in the runs that they died in; what a replay costs stands with the replay",
        ),
        parts.Column(key="raw", label="An example of the raw reply", kind="wide"),
    ]
    rows = [
        parts.Row(
            group.signature,
            {
                "title": parts.text_cell(wording.cause(group.title)),
                "count": wording.number(group.count),
                "share": wording.percent(group.count, letters),
                "first": parts.time_cell(group.first_at, now),
                "last": parts.time_cell(group.last_at, now),
                "versions": parts.text_cell(", ".join(group.versions), 24),
                "runs": parts.text_cell(", ".join(str(run) for run in group.runs), 14),
                "cost": wording.money(group.cost),
                "raw": parts.text_cell(group.example_raw or "(nothing came back)", 160),
            },
        )
        for group in found
    ]
    return parts.table(columns, rows, key="groups", opens=True, label="dead letters by cause").opened


def letters(found: Sequence[Letter], *, titles: bool) -> tuple[Letter | None, list[Letter]]:
    """Draw letters; the one just opened, and those that are ticked."""
    now = time.time()
    columns = [
        parts.Column(key="row", label="Row", kind="strong", help="the row's id"),
        parts.Column(key="run", label="Run", kind="number"),
        parts.Column(key="version", label="Version"),
        *([parts.Column(key="title", label="Cause")] if titles else []),
        parts.Column(key="cells", label="The row"),
        parts.Column(key="raw", label="Its last raw reply", kind="wide"),
        parts.Column(key="resolution", label="Resolution"),
        parts.Column(key="died", label="Died"),
    ]
    by_id = {f"{letter.run}:{letter.ordinal}": letter for letter in found}
    rows = [parts.Row(identity, _letter(letter, now)) for identity, letter in by_id.items()]
    picked = parts.table(columns, rows, key="letters", opens=True, choose=True, label="dead letters")
    return (by_id[picked.opened] if picked.opened else None), [by_id[identity] for identity in picked.chosen]


def _letter(letter: Letter, now: float) -> dict[str, str | parts.Cell]:
    return {
        "row": parts.text_cell(letter.row_id, 30),
        "run": str(letter.run),
        "version": parts.text_cell(letter.version, 30),
        "title": parts.text_cell(wording.cause(letter.title), 60),
        "cells": parts.text_cell(letter.cells_head, 90),
        "raw": parts.text_cell(letter.raw_head or "(nothing came back)", 120),
        "resolution": parts.state_cell(letter.resolution),
        "died": parts.time_cell(letter.died_at, now),
    }
