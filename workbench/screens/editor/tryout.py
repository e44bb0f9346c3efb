"""Try the draft on a few rows: a run of kind try, in the ledger and in the costs, its replies streaming in.

What streams in is shown field by field and is no value; the verdict takes its place when the reply has ended.
The try is in the URL, so a reload finds it again. One fragment polls it and stops when the run has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from jobs import errors
from jobs.api.launch import Launch
from jobs.contract import Contract
from jobs.options import RunOptions
from jobs.settings import Connection
from jobs.values import Failure
from jobs.views.letters import Attempt, Inspection
from jobs.views.runs import Run
from jobs.views.system import LiveReply
from workbench import parts, session, wording
from workbench.screens.editor import coming, desk
from workbench.screens.editor.bench import Bench
from workbench.screens.editor.draft import Draft

#: seconds between two looks while the replies stream in
GLANCE = 0.5
EARLIER = ", earlier draft"
ENDED = ("finished", "cancelled", "paused")
#: states of a row about which a call is out, or is to come
WORKING = ("due", "held", "dispatched")


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
    launch = Launch(
        version=version,
        dataset=bench.dataset,
        connection=connection,
        model=model,
        options=RunOptions(strikes=1, in_flight=max(1, len(bench.ordinals))),
        ordinals=tuple(bench.ordinals),
        kind="try",
    )
    return engine.runs.start(launch, key=key)


def _latest(run_id: int, draft: Draft) -> None:
    run = session.engine().runs.get(run_id)
    earlier = session.engine().prompts.get(run.version_id).hash != desk.hash_of(draft)
    watched = partial(_watched, run_id, earlier=earlier)
    parts.watch(watched, standing=run.state, every=None if run.state in ENDED else GLANCE)


def _watched(run_id: int, *, earlier: bool) -> str:
    engine = session.engine()
    run = engine.runs.get(run_id)
    streaming = {reply.ordinal: reply for reply in engine.system.live(run_id)} if run.state not in ENDED else {}
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
    fields = (
        () if run.state in ENDED else Contract.from_schema(engine.prompts.get(run.version_id).content.contract).names
    )
    for row in rows:
        seen = engine.letters.inspect(run_id, row.ordinal)
        last = seen.attempts[-1] if seen.attempts else None
        with st.container(border=True):
            _head(run, seen, last, earlier=earlier)
            if run.state not in ENDED and seen.state in WORKING:
                _coming(run, seen, last, streaming.get(row.ordinal), fields)
            else:
                _ended(run, seen, last)
    return run.state


def _head(run: Run, seen: Inspection, last: Attempt | None, *, earlier: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**Row {wording.escaped(wording.head(seen.row_id, 40))}**", width="content")
        state = "rejected" if seen.state == "dead" and last and not last.failure else seen.state
        how = f" ({last.receipt.label})" if last and last.receipt and seen.state == "accepted" else ""
        parts.badge(state, words=f"{wording.state(state).word}{how}{EARLIER if earlier else ''}")
        if last is not None:
            st.caption(_figures(last), width="content")
            session.link("Inspect", "letter", run=run.id, row=seen.ordinal)
    st.caption(wording.escaped(" · ".join(f"{name}: {cell}" for name, cell in seen.cells.items() if cell))[:400])


def _coming(
    run: Run, seen: Inspection, last: Attempt | None, streaming: LiveReply | None, fields: Sequence[str]
) -> None:
    if last is not None and last.failure:
        _failure(last.failure)
        if streaming is None or streaming.done:  # the text of the attempt that failed stays until the next one streams
            came = " What had come by then is no value; Inspect shows it." if last.raw else ""
            st.caption(f"The row is asked again.{came}")
            return
    coming.draw(streaming, fields, key=f"coming:{run.id}:{seen.ordinal}")


def _ended(run: Run, seen: Inspection, last: Attempt | None) -> None:
    if last is None:
        st.caption("No call about this row has ended.")
    elif last.failure:
        _failure(last.failure)
        if last.raw:
            st.caption("What had come when it broke off: not judged, and no value")
            parts.plain(last.raw)
    elif last.problems or last.raw is None:
        parts.raw_and_problems(last.raw, last.problems, key=f"try:{run.id}:{seen.ordinal}", height=240)
    else:
        left, right = st.columns(2)
        with left:
            st.caption("Raw reply")
            parts.plain(last.raw)
        with right:
            st.caption("Accepted value")
            parts.as_json(last.value)


def _failure(failure: Failure) -> None:
    parts.panel(failure.message, title=wording.OUTCOMES.get(failure.kind, str(failure.kind)))


def _figures(attempt: Attempt) -> str:
    told = [wording.duration(attempt.seconds)] if attempt.seconds is not None else []
    if attempt.prompt_tokens is not None and attempt.completion_tokens is not None:
        how = " (estimated: the endpoint sent no figures)" if attempt.estimated else ""
        told.append(f"{wording.tokens(attempt.prompt_tokens, attempt.completion_tokens)} tokens{how}")
    told.append(f"cost {wording.money(attempt.cost)}")
    return " · ".join(told).replace("$", "\\$")
