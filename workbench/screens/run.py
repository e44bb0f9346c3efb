"""One run: how it stands, its buttons, its values, its dead rows, its exports, and what was frozen with it."""

from __future__ import annotations

import streamlit as st

from jobs.views.runs import Run
from workbench import parts, session, wording
from workbench.screens import archiving
from workbench.screens.review import decided
from workbench.screens.running import agreement, exporting, facts, overnight, progress, steering, sums, values

VIEWS = ("Values", "Export", "Settings and lineage", "Decisions")


def page() -> None:
    identity = session.int_param("id")
    if identity is None:
        session.go("runs")
    run = session.engine().runs.get(identity)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container():
            parts.header(
                f"{wording.KINDS.get(run.kind, run.kind).capitalize()} {run.id}",
                subtitle=f"{run.version} on {run.dataset_name} · {', then '.join(run.models)} at {run.connection}"
                f"{overnight.told(run)}",
                state=run.state,
            )
        with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", width="content"):
            steering.buttons(run)
            archiving.button("run", run.id, run.archived_at, why_not=steering.why_in_sight(run))
            _links(run)
    archiving.notice("run", run.id, run.archived_at)
    progress.watched(run, more=_more)
    with st.container(horizontal=True, vertical_alignment="center"):
        views = ("Agreement", *VIEWS) if run.kind == "evaluation" else VIEWS
        view = parts.filters.segments("view", views, default=views[0])
        if run.ended_at is None and (view != "Values" or session.param("search")):
            st.button("Look again", key="again", help="What stands below is as it was when this page was drawn")
    if view == "Agreement":
        agreement.draw(run)
    elif view == "Export":
        exporting.form(run)
    elif view == "Settings and lineage":
        facts.settings(run)
        facts.lineage(run)
    elif view == "Decisions":
        decided.table(run=run.id)
    else:
        values.table(run)


def _more(run: Run) -> None:
    sums.ways(run)
    overnight.table(run)
    progress.causes(run)


def _links(run: Run) -> None:
    if run.kind == "replay":
        session.link("**What it fixed**", "replay", id=run.id)
    if run.counts.dead:
        session.link("**Dead letters**", "dead_letters", run=run.id, resolution="any")
    session.link("Costs", "costs", window="all", run=run.id)
    if run.kind == "run":
        session.link("Launch again", "launch", prompt=run.version, dataset=run.dataset)
    session.link("All runs", "runs")


page()
