"""One replay: what it fixed, what failed in the same way and what in a new one, before and after side by side."""

from __future__ import annotations

import json

import streamlit as st

from jobs.views.letters import BeforeAfter, Decision, ReplayOutcome
from jobs.views.runs import Run
from workbench import parts, session, wording
from workbench.screens import archiving
from workbench.screens.review import decided
from workbench.screens.running import progress, steering

OUTCOMES = ("fixed", "taken_back", "same_failure", "new_failure", "waiting", "cancelled")
#: pairs a page
SHOWN = 20


def page() -> None:
    identity = session.int_param("id")
    if identity is None:
        session.go("replays")
    run = session.engine().runs.get(identity)
    if run.kind != "replay":
        session.go("run", id=run.id)
    decision = session.engine().letters.decision_of(run.id)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container():
            parts.header(
                f"Replay {run.id}",
                subtitle=f"{wording.count(run.counts.rows, 'dead letter')} of run {run.parent} with {run.version} · {run.model} "
                f"at {run.connection}{f' · {run.note}' if run.note else ''}",
                state=run.state,
            )
        with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", width="content"):
            steering.buttons(run)
            archiving.button("run", run.id, run.archived_at, why_not=steering.why_in_sight(run))
            _undo(run, decision)
            session.link(f"Run {run.parent}", "run", id=run.parent)
            session.link("As a run", "run", id=run.id)
    archiving.notice("run", run.id, run.archived_at)
    if decision is not None and decision.undone_at is not None:
        parts.panel(
            f"Its results were taken back at {wording.exact(decision.undone_at, session.zone())}: the values that it brought "
            "stand no more, and its letters are open again.",
            title="Undone",
            tone="cancelled",
        )
    progress.watched(run, more=_outcome)
    _next(run)
    _pairs(run)


def _undo(run: Run, decision: Decision | None) -> None:
    if decision is None:
        return
    why = ""
    if decision.undone_at is not None:
        why = "Its results are taken back already"
    elif run.state in ("running", "paused"):
        why = f"It is {run.state}: cancel it first, then its results can be taken back"
    elif not session.engine().letters.outcome(run.id).fixed:
        why = "It fixed nothing, so there is nothing to take back"
    if st.button("Undo its results …", disabled=bool(why), help=why or "Shows what first", key="undo"):
        decided.undo(decision)


def _outcome(run: Run) -> None:
    found = session.engine().letters.outcome(run.id)
    parts.figures(
        [
            parts.Figure(
                label=wording.state(name).word.capitalize(),
                value=f"{wording.state(name).sign} {wording.number(_of(found, name))}",
                note=f"{wording.percent(_of(found, name), run.counts.rows)} of {wording.count(run.counts.rows, 'letter')}",
                tone=wording.state(name).tone if _of(found, name) else "plain",
                help=wording.state(name).help,
            )
            for name in _outcomes(found)
        ]
    )


def _outcomes(found: ReplayOutcome) -> list[str]:
    return [name for name in OUTCOMES if name not in ("taken_back", "cancelled") or _of(found, name)]


def _of(found: ReplayOutcome, name: str) -> int:
    return int(getattr(found, name))


def _next(run: Run) -> None:
    if run.counts.dead and run.ended_at is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.text(f"{wording.count(run.counts.dead, 'row')} failed again.")
            session.link("Review them by cause", "dead_letters", run=run.id)


def _pairs(run: Run) -> None:
    parts.section("Before and after")
    outcome = parts.filters.segments(
        "outcome",
        ("all", *_outcomes(session.engine().letters.outcome(run.id))),
        default="all",
        words=lambda name: "all" if name == "all" else wording.state(name).word,
    )

    def look() -> str:
        _page_of_pairs(run, outcome)
        return ""

    parts.watch(look, standing="", every=progress.looks_every(run))


def _page_of_pairs(run: Run, outcome: str) -> None:
    found, total = parts.paged(
        "page",
        lambda offset, limit: session.engine().letters.before_after(
            run.id, outcome=None if outcome == "all" else outcome, offset=offset, limit=limit
        ),
        size=SHOWN,
    )
    if not total:
        st.caption("No row of this replay came to that.")
        return
    for one in found:
        with st.container(border=True):
            parts.pairs([_pair(one)])
            _ways(run, one)


def _ways(run: Run, one: BeforeAfter) -> None:
    """The links of one pair, at the foot of its card."""
    with st.container(horizontal=True):
        session.link(
            f"Inspect row {wording.escaped(wording.head(one.row_id, 40))} now", "letter", run=run.id, row=one.ordinal
        )
        session.link(f"as it failed in run {run.parent}", "letter", run=run.parent, row=one.ordinal)


def _pair(one: BeforeAfter) -> parts.Pair:
    shown = wording.state(one.outcome)
    when = "then" if one.outcome == "taken_back" else "now"
    if one.outcome in ("fixed", "taken_back"):
        after, text = "a value that passes the contract", json.dumps(one.after_value, ensure_ascii=False, indent=2)
        after += "; it was taken back, and stands no more" if one.outcome == "taken_back" else ""
    else:
        after, text = wording.cause(one.after_title or shown.help), one.after_raw or ""
    return parts.Pair(
        head=f"{parts.badge_html(one.outcome)}<b>Row {parts.safe(wording.head(one.row_id, 80))}</b>",
        before=f"before: {wording.cause(one.before_title)}",
        before_text=one.before_raw or "(nothing came back)",
        after=f"{when}: {after}",
        after_text=text or ("(nothing came back)" if one.after_title else ""),
        tone=shown.tone,
        about=parts.row_html(one.cells, original=one.original_cells),
    )


page()
