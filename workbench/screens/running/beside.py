"""An evaluation beside another one of the same golden rows: another version, or the same version by another model."""

from __future__ import annotations

import json
import time
from typing import Any

import streamlit as st

from jobs.views.evaluations import Difference, FieldBeside
from jobs.views.runs import Run
from workbench import parts, session, wording

#: expectations that are shown on which the two differ
SHOWN = 200
NONE = "none"


def draw(run: Run) -> None:
    """Draw the choice of the other one, and both side by side: agreement by field, and the rows on which they differ."""
    others = {str(one.id): one for one in session.engine().evaluations.others(run.id)}
    parts.section("Beside another evaluation", note="of the same golden rows: another version, or another model")
    if not others:
        st.caption("There is no other evaluation of these golden rows yet.")
        return
    now = time.time()
    told = {number: f"{name(one)}, {wording.ago(one.created_at, now)}" for number, one in others.items()}
    chosen = parts.filters.select(
        "beside",
        [NONE, *others],
        default=NONE,
        words=lambda one: wording.head(told.get(one, "choose one"), 100),
        label="Evaluation",
        width=560,
    )
    if chosen != NONE:
        _both(run, others[chosen])


def name(run: Run) -> str:
    """An evaluation by what makes it another one than the next: its number, version and models."""
    return f"evaluation {run.id}: {run.version} by {answering(run)}"


def answering(run: Run) -> str:
    """The models that answer, each with its connection."""
    asked = [(run.model, run.connection), *((rung.model, rung.connection) for rung in run.upper)]
    return ", then ".join(f"{model} at {connection}" for model, connection in asked)


def _both(run: Run, other: Run) -> None:
    found = session.engine().evaluations.beside(run.id, other.id)
    st.caption(
        wording.escaped(
            f"Over n = {wording.count(found.rows, 'golden row')} that {'has' if found.rows == 1 else 'have'} an end in both. "
            f"This: {name(run)}, {wording.money(run.cost)}. "
            f"Other: {name(other)}, {wording.money(other.cost)}."
        )
    )
    columns = [
        parts.Column(key="path", label="Field", kind="strong"),
        parts.Column(key="n", label="n", kind="number", help="expectations of rows that have an end in both"),
        parts.Column(key="first", label=f"This ({run.id})", kind="number"),
        parts.Column(key="second", label=f"Other ({other.id})", kind="number"),
        parts.Column(key="only_first", label="Only this agrees", kind="number"),
        parts.Column(key="only_second", label="Only the other agrees", kind="number"),
    ]
    rows = [parts.Row(str(place), _field(one)) for place, one in enumerate([*found.fields, found.overall])]
    parts.table(columns, rows, key=f"beside:{run.id}:{other.id}", label="agreement beside another evaluation")
    _differences(run, other, found.differences)


def _field(one: FieldBeside) -> dict[str, str | parts.Cell]:
    return {
        "path": wording.head(one.path or "all fields", 80),
        "n": wording.number(one.n),
        "first": wording.percent(one.first, one.n) if one.n else "no n",
        "second": wording.percent(one.second, one.n) if one.n else "no n",
        "only_first": wording.number(one.only_first),
        "only_second": wording.number(one.only_second),
    }


def _differences(run: Run, other: Run, found: tuple[Difference, ...]) -> None:
    if not found:
        st.caption("Both agree and disagree in the same places.")
        return
    shown = found[:SHOWN]
    first = f", the first {len(shown):,} of them" if len(shown) < len(found) else ""
    parts.section("Where one of them agrees", note=f"{wording.count(len(found), 'expectation')}{first}")
    columns = [
        parts.Column(key="row", label="Row", kind="number"),
        parts.Column(key="path", label="Field", kind="strong"),
        parts.Column(key="expected", label="Expected", kind="mono"),
        parts.Column(key="first", label=f"This ({run.id})", kind="wide"),
        parts.Column(key="second", label=f"Other ({other.id})", kind="wide"),
    ]
    rows = [
        parts.Row(
            str(place),
            {
                "row": f"{one.ordinal:,}",
                "path": wording.head(one.path, 80),
                "expected": parts.text_cell(json.dumps(one.expected, ensure_ascii=False)),
                "first": _said(one.first, met=one.first_met, answered=one.answered),
                "second": _said(one.second, met=not one.first_met, answered=one.answered),
            },
        )
        for place, one in enumerate(shown)
    ]
    opened = parts.table(
        columns, rows, key=f"differ:{run.id}:{other.id}", opens=True, height=420, label="where one of them agrees"
    ).opened
    if opened:
        session.go("letter", run=run.id, row=shown[int(opened)].ordinal)


def _said(value: Any, *, met: bool, answered: bool) -> parts.Cell:
    if not met and not answered:
        return parts.Cell("no value", tone="dead")
    text = parts.text_cell(json.dumps(value, ensure_ascii=False))
    return parts.Cell(f"{'✓' if met else '✕'} {text.text}", text.tip, "accepted" if met else None)
