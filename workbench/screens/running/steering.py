"""The buttons that steer a run: pause, resume, cancel, another budget; what is not legal now is disabled, with the reason."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from jobs.lifecycle import MAY
from jobs.views.runs import Run
from workbench import parts, session, wording
from workbench.screens.running import numbers


def buttons(run: Run) -> None:
    """Draw them in a row; each is safe to press twice."""
    runs = session.engine().runs
    if run.state == "paused":
        _act(run, "resume", "Resume", runs.resume, "New calls are sent again", primary=True)
    else:
        _act(run, "pause", "Pause", runs.pause, "No new calls until it is resumed; calls in flight are finished")
    why = _why_not(run, "cancel")
    if st.button(
        "Cancel …", key=f"cancel:{run.id}", disabled=bool(why), help=why or "Ends it for good; shows what first"
    ):
        _cancel(run)
    why = _why_no_budget(run)
    if st.button("Budget …", key=f"budget:{run.id}", disabled=bool(why), help=why or "Gives it another limit of money"):
        _budget(run)


def _act(
    run: Run,
    verb: str,
    label: str,
    act: Callable[..., Run],
    says: str,
    *,
    primary: bool = False,
) -> None:
    action, why = f"{verb}:{run.id}", _why_not(run, verb)
    key = session.button(
        label, action=action, disabled=bool(why), help=why or says, type="primary" if primary else "secondary"
    )
    if key is not None and parts.perform(action, lambda: act(run.id, key=key)) is not None:
        st.rerun()


def _why_not(run: Run, verb: str) -> str:
    if verb == "resume" and run.archived_at is not None:
        return "It is archived: bring it back first"
    if run.state in MAY[verb]:
        return ""
    return (
        f"This {wording.KINDS.get(run.kind, 'run')} is {wording.state(run.state).word}: there is nothing left to {verb}"
    )


def why_in_sight(run: Run) -> str:
    """Why it cannot be archived now; empty where it can."""
    return "It is running: pause or cancel it first" if run.state == "running" else ""


def _why_no_budget(run: Run) -> str:
    if run.state not in ("running", "paused"):
        return f"This {wording.KINDS.get(run.kind, 'run')} is {wording.state(run.state).word}: it spends no more"
    if not run.price_known:
        return f"A budget needs a price, and that of {wording.escaped(run.model)} is unknown"
    return ""


def _cancel(run: Run) -> None:
    def work(key: str, reason: str) -> str:
        session.engine().runs.cancel(run.id, key=key)
        return f"Run {run.id} is cancelled"

    flying = wording.count(run.counts.calls_out, "call")
    said = [
        f"{wording.count(run.counts.waiting, 'row')} of {run.counts.rows:,} have no end yet: they become cancelled.",
        f"{flying} in flight will be paid and kept. What is accepted or dead stays.",
        "A cancelled run cannot be resumed; its rows can be run again in a new one.",
    ]
    if run.kind == "replay":
        said[2] = "The dead letters that it had not reached are open again."
    parts.confirm(
        f"cancel-run:{run.id}",
        work,
        title=f"Cancel {wording.KINDS.get(run.kind, 'run')} {run.id}",
        says=said,
        button="Cancel it",
    )


@st.dialog("Another budget")
def _budget(run: Run) -> None:
    action = f"budget-run:{run.id}"
    what = "for calls in flight" if run.counts.dispatched else "for calls of unknown end"
    reserved = f", reserved {what}: {wording.money(run.reserved)}" if run.reserved >= 0.000001 else ""
    st.text(f"Spent so far: {wording.money(run.cost)}{reserved}.")
    troubles: list[str] = []
    budget = numbers.number(
        "Budget of the whole run, in US dollars",
        run.options.budget,
        f"budget-of:{run.id}:{session.token(action)}",
        troubles,
        above=0.0,
        empty="no limit",
        step=0.1,
        format="%.4f",
        placeholder="no limit",
    )
    more = " It was paused by its budget: another one resumes it." if run.paused_by == "budget" else ""
    st.caption(f"Empty: no limit.{more}")
    key = session.button("Set this budget", action=action, type="primary")
    if troubles:
        parts.panel("\n".join(troubles), title="It cannot be this budget", tone="dead")
    if key is None or troubles:
        return
    if parts.perform(action, lambda: session.engine().runs.set_budget(run.id, budget or None, key=key)) is not None:
        told = wording.escaped(wording.money(budget)) if budget else "none"
        session.notify(f"Budget of run {run.id}: {told}")
        st.rerun()
