"""Try the draft on a few rows: a run of kind try, in the ledger and in the costs, its replies streaming in.

The try is in the URL, so a reload finds it again. One fragment polls it and stops when the run has ended.
"""

from __future__ import annotations

from functools import partial

import streamlit as st

from jobs import errors
from jobs.options import RunOptions
from jobs.settings import Connection
from jobs.views import Attempt, Inspection, Run
from workbench import parts, session, wording
from workbench.screens.editor import desk
from workbench.screens.editor.bench import Bench
from workbench.screens.editor.draft import Draft

#: seconds between two looks while the replies stream in
GLANCE = 0.7
EARLIER = ", earlier draft"
ENDED = ("finished", "cancelled", "paused")


def strip(name: str, draft: Draft, bench: Bench) -> None:
    """Draw the choice of model, the button, and the latest try."""
    connections = session.engine().system.connections()
    if bench.dataset is None:
        return
    if not connections:
        parts.panel(
            session.engine().system.model_in_words(),
            title="No model is connected",
            hint="redrive doctor says what to do.",
        )
    else:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            connection, model = _answering(draft, connections)
            rows = ", ".join(f"{ordinal:,}" for ordinal in bench.ordinals)
            key = session.button(
                f"Try on {wording.count(len(bench.ordinals), 'row')}",
                action=f"try:{name}",
                type="primary",
                disabled=not bench.ordinals,
                help=f"Asks the model about {'the failing rows' if bench.handed_over else 'rows'} {rows} with this draft. "
                "It is kept in the ledger and counted in the costs; nothing is reused.",
            )
        if bench.handed_over:
            st.caption(f"The failing rows that were handed over: {rows}")
        if key is not None and not model:
            parts.panel("Name a model beside the connection; this prompt does not fix one.", title="No model is chosen")
        elif key is not None:
            run = parts.perform(f"try:{name}", lambda: _start(name, draft, bench, connection, model, key))
            if run is not None:
                session.put(**{"try": run})
    latest = session.int_param("try")
    if latest is not None:
        _latest(latest, draft)


def _answering(draft: Draft, connections: list[Connection]) -> tuple[Connection, str]:
    by_name = {connection.name: connection for connection in connections}
    chosen = by_name[
        st.selectbox("Connection", list(by_name), format_func=lambda one: wording.head(one, 40), key="try:connection")
    ]
    if draft.model:
        st.caption(wording.escaped(draft.model), width="content")
        return chosen, draft.model
    options = list(chosen.models)
    model = st.selectbox(
        "Model",
        options,
        accept_new_options=True,
        placeholder="name a model",
        key=f"try:model:{chosen.name}",
        help="The prompt does not fix a model; this one answers the try.",
    )
    return chosen, str(model or "")


def _start(name: str, draft: Draft, bench: Bench, connection: Connection, model: str, key: str) -> int:
    engine = session.engine()
    if bench.dataset is None:
        raise errors.InputError("choose a dataset to try the draft on")
    version = engine.prompts.tried(name, draft.content())
    return engine.runs.start(
        version=version,
        dataset=bench.dataset,
        connection=connection,
        model=model,
        options=RunOptions(strikes=1, reuse=False, in_flight=max(1, len(bench.ordinals))),
        ordinals=list(bench.ordinals),
        kind="try",
        key=key,
    )


def _latest(run_id: int, draft: Draft) -> None:
    run = session.engine().runs.get(run_id)
    earlier = session.engine().prompts.get(run.version_id).hash != desk.hash_of(draft)
    watched = partial(_watched, run_id, earlier=earlier)
    parts.watch(watched, standing=run.state, every=None if run.state in ENDED else GLANCE)


def _watched(run_id: int, *, earlier: bool) -> str:
    engine = session.engine()
    run = engine.runs.get(run_id)
    streaming = {reply.ordinal: reply.text for reply in engine.system.live(run_id)} if run.state not in ENDED else {}
    answered = f"{run.counts.rows - run.counts.waiting} of {run.counts.rows} answered"
    parts.section(f"Try {run.id}{EARLIER if earlier else ''}", note=f"{run.model} · {answered}")
    if earlier:
        parts.panel(
            "The draft was changed since: these replies and verdicts are not of what stands in the editor. Try again.",
            title="From an earlier draft",
        )
    if run.state == "paused":
        parts.panel(run.reason or "", title=f"Paused by the {run.paused_by}", hint="Mend the cause and try again.")
    rows, _ = engine.runs.results(run_id, offset=0, limit=50, as_run=True)
    for row in rows:
        _row(run, engine.letters.inspect(run_id, row.ordinal), streaming.get(row.ordinal), earlier=earlier)
    return run.state


def _row(run: Run, seen: Inspection, streaming: str | None, *, earlier: bool) -> None:
    last = seen.attempts[-1] if seen.attempts else None
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**Row {wording.escaped(wording.head(seen.row_id, 40))}**", width="content")
            state = "rejected" if seen.state == "dead" and last and not last.failure else seen.state
            how = f" ({last.receipt.label})" if last and last.receipt and seen.state == "accepted" else ""
            parts.badge(state, words=f"{wording.state(state).word}{how}{EARLIER if earlier else ''}")
            if last is not None:
                st.caption(_figures(last), width="content")
                session.link("Inspect", "letter", run=run.id, row=seen.ordinal)
        st.caption(wording.escaped(" · ".join(f"{name}: {cell}" for name, cell in seen.cells.items() if cell))[:400])
        if last is None:
            st.code(wording.visible(streaming[-4000:]) if streaming else "…", language=None, wrap_lines=True)
        elif last.problems or last.raw is None:
            if last.failure:
                parts.panel(last.failure.message, title=wording.OUTCOMES.get(last.failure.kind, str(last.failure.kind)))
            else:
                parts.raw_and_problems(last.raw, last.problems, key=f"try:{run.id}:{seen.ordinal}", height=240)
        else:
            left, right = st.columns(2)
            with left:
                st.caption("Raw reply")
                parts.plain(last.raw)
            with right:
                st.caption("Accepted value")
                parts.as_json(last.value)


def _figures(attempt: Attempt) -> str:
    told = [wording.duration(attempt.seconds)] if attempt.seconds is not None else []
    if attempt.prompt_tokens is not None and attempt.completion_tokens is not None:
        told.append(f"{wording.tokens(attempt.prompt_tokens, attempt.completion_tokens)} tokens")
    told.append(f"cost {wording.money(attempt.cost)}")
    return " · ".join(told).replace("$", "\\$")
