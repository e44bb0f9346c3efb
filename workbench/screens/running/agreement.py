"""What an evaluation came to: how far each field agrees with the golden rows, and the rows that do not."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from jobs.views.runs import Run
from workbench import parts, session, wording
from workbench.screens.running import beside


def draw(run: Run) -> None:
    """Draw agreement by field with its n, and each expectation that was not met; its row opens in the inspector."""
    report = session.engine().evaluations.report(run.id)
    waiting = (
        f"; {wording.count(report['waiting'], 'row')} have no end yet and are not in it" if report["waiting"] else ""
    )
    parts.section(
        "Agreement",
        note=f"of {beside.answering(run)} with {wording.count(report['rows'], 'golden row')}, "
        f"{report['answered']:,} answered; a row without a value agrees with nothing; an empty expectation is not checked{waiting}",
    )
    overall = report | {"path": "all fields"}
    columns = [
        parts.Column(key="path", label="Field", kind="strong"),
        parts.Column(key="share", label="Agreement", kind="number"),
        parts.Column(key="of", label="Agree of n", kind="number", help="n: expectations of rows that have an end"),
        parts.Column(key="answered", label="Of answered", kind="number", help="over rows that have a value"),
    ]
    rows = [parts.Row(str(place), _field(one)) for place, one in enumerate([*report["fields"], overall])]
    parts.table(columns, rows, key=f"agreement:{run.id}", label="agreement by field")
    beside.draw(run)
    _misses(run, report)


def _field(one: dict[str, Any]) -> dict[str, str | parts.Cell]:
    answered = f"{wording.percent(one['agree'], one['answered_n'])} of n = {one['answered_n']:,}"
    return {
        "path": wording.head(one["path"], 80),
        "share": wording.percent(one["agree"], one["n"]) if one["n"] else "no n",
        "of": f"{one['agree']:,} of {one['n']:,}",
        "answered": answered if one["answered_n"] else "no n",
    }


def _misses(run: Run, report: dict[str, Any]) -> None:
    found = report["misses"]
    if not found:
        st.caption("No row disagrees." if report["n"] else "Nothing is checked yet.")
        return
    parts.section("Rows that disagree", note=_shown(len(found), report["missed"]))
    columns = [
        parts.Column(key="row", label="Row", kind="number"),
        parts.Column(key="path", label="Field", kind="strong"),
        parts.Column(key="expected", label="Expected", kind="mono"),
        parts.Column(key="got", label="Got", kind="wide"),
    ]
    rows = [
        parts.Row(
            str(place),
            {
                "row": f"{one['ordinal']:,}",
                "path": wording.head(one["path"], 80),
                "expected": parts.text_cell(json.dumps(one["expected"], ensure_ascii=False)),
                "got": parts.text_cell(json.dumps(one["got"], ensure_ascii=False))
                if one["answered"]
                else parts.Cell("no value", tone="dead"),
            },
        )
        for place, one in enumerate(found)
    ]
    opened = parts.table(
        columns, rows, key=f"misses:{run.id}", opens=True, height=520, label="rows that disagree"
    ).opened
    if opened:
        session.go("letter", run=run.id, row=found[int(opened)]["ordinal"])


def _shown(shown: int, there: int) -> str:
    return f"{there:,} expectations not met" + (f", the first {shown:,} of them" if shown < there else "")
