"""The attempts at one row: a table, the one that is looked at, and what changed from the one before."""

from __future__ import annotations

import time

import streamlit as st

from jobs.values import Receipt
from jobs.views.letters import Attempt, Inspection
from workbench import parts, session, wording

#: attempts that stand side by side to be chosen; more are a list that opens
SWITCHED = 8


def shown(seen: Inspection) -> Attempt | None:
    """The attempt that the URL names, else the last that was judged or failed and counts."""
    wanted = session.int_param("attempt")
    for attempt in seen.attempts:
        if attempt.id == wanted:
            return attempt
    return _last(seen) if seen.attempts else None


def _last(seen: Inspection) -> Attempt:
    counted = [attempt for attempt in seen.attempts if not attempt.superseded] or list(seen.attempts)
    judged = [attempt for attempt in counted if attempt.problems or attempt.value is not None]
    return (judged or counted)[-1]


def switch(seen: Inspection) -> Attempt | None:
    """Draw the choice among several attempts; the one that is looked at."""
    current = shown(seen)
    if current is None or len(seen.attempts) < 2:
        return current
    places = {str(attempt.id): place for place, attempt in enumerate(seen.attempts, start=1)}
    choose = parts.filters.segments if len(places) <= SWITCHED else parts.filters.select
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container(width="content"):
            parts.section(title(seen, current).capitalize())
        choose(
            "attempt",
            list(places),
            default=str(_last(seen).id),
            words=lambda identity: f"Attempt {places[identity]}",
        )
    return current


def title(seen: Inspection, attempt: Attempt) -> str:
    """``attempt 2 of 3``."""
    return f"attempt {seen.attempts.index(attempt) + 1} of {len(seen.attempts)}"


def went_on(seen: Inspection, attempt: Attempt) -> str | None:
    """The dearer model that the row went on to after that attempt; None where it did not."""
    models = seen.run.models
    later = [one for one in seen.attempts if one.id > attempt.id and not one.superseded]
    if attempt.superseded or attempt.rung + 1 >= len(models) or any(one.rung == attempt.rung for one in later):
        return None
    return models[attempt.rung + 1] if attempt.doubted or any(one.rung > attempt.rung for one in later) else None


def verdict(attempt: Attempt) -> str:
    """The state that it is shown as: a doubted answer is valid, and no failure."""
    return "doubted" if attempt.doubted else attempt.verdict


def why_on(seen: Inspection, attempt: Attempt) -> str:
    """``went on to big because score is 5, which is always checked``; empty where it did not go on. Hostile text."""
    model = went_on(seen, attempt)
    if model is None:
        return ""
    if attempt.doubted and attempt.problems:
        return f"went on to {model} because {wording.doubt(attempt.problems[0])}"
    what = "there was no reply to judge" if attempt.failure is not None else "the contract was broken again"
    return f"went on to {model} because {what}"


def reply(attempt: Attempt, seen: Inspection) -> None:
    """Draw the raw reply beside its problems, or why there is none."""
    if on := why_on(seen, attempt):
        parts.panel(f"The row {on}.", title="A valid answer" if attempt.doubted else "Asked again of another model")
    if attempt.failure is not None:
        told = [attempt.failure.message]
        if attempt.failure.status:
            told.append(
                f"status {attempt.failure.status}{f', code {attempt.failure.code}' if attempt.failure.code else ''}"
            )
        parts.panel("\n".join(told), title=wording.OUTCOMES.get(attempt.failure.kind, str(attempt.failure.kind)))
    if attempt.raw is not None or attempt.problems:
        parts.raw_and_problems(attempt.raw, attempt.problems, key=f"raw:{attempt.id}", height=340)
    elif attempt.failure is None:
        st.caption("No request was sent for this attempt: an earlier answer was reused.")


def table(seen: Inspection, current: Attempt | None) -> None:
    """Draw every attempt; a row is looked at when it is opened."""
    now = time.time()
    columns = [
        parts.Column(key="n", label="#", kind="number"),
        parts.Column(key="verdict", label="Verdict"),
        parts.Column(key="why", label="Why", kind="wide"),
        parts.Column(key="asked", label="Strike", help="which strike of the row this was the answer to"),
        parts.Column(
            key="tokens", label="Tokens in / out", kind="number", help="≈: estimated, the endpoint sent no figures"
        ),
        parts.Column(key="seconds", label="Latency", kind="number"),
        parts.Column(key="cost", label="Cost", kind="number"),
        parts.Column(key="finish", label="Finish"),
        parts.Column(key="model", label="Model"),
        parts.Column(key="when", label="Sent"),
    ]
    rows = [
        parts.Row(str(attempt.id), _row(seen, attempt, place, now, on=attempt == current))
        for place, attempt in enumerate(seen.attempts, start=1)
    ]
    opened = parts.table(columns, rows, key="attempts", opens=True, label="attempts").opened
    if opened and opened != str(current.id if current else ""):
        session.put(attempt=opened)
        st.rerun()


def _row(seen: Inspection, attempt: Attempt, place: int, now: float, *, on: bool) -> dict[str, str | parts.Cell]:
    tokens = wording.NOTHING
    if attempt.prompt_tokens is not None or attempt.completion_tokens is not None:
        about = "≈" if attempt.estimated else ""
        cached = f", {attempt.cached_tokens:,} cached" if attempt.cached_tokens else ""
        tokens = f"{about}{attempt.prompt_tokens or 0:,} / {attempt.completion_tokens or 0:,}{cached}"
    cost = wording.money(attempt.cost) if attempt.try_id else wording.NOTHING
    return {
        "n": f"▸ {place}" if on else str(place),
        "verdict": parts.state_cell(verdict(attempt), words="late, not used" if attempt.superseded else None),
        "why": parts.text_cell(_why(seen, attempt), 160),
        "asked": f"strike {attempt.asked}" if attempt.strike else wording.NOTHING,
        "tokens": tokens,
        "seconds": wording.duration(attempt.seconds) if attempt.seconds is not None else wording.NOTHING,
        "cost": cost if attempt.settled else parts.Cell(f"{cost}?", "it may be charged: counted at its reservation"),
        "finish": parts.text_cell(attempt.finish_reason or wording.NOTHING, 20),
        "model": parts.text_cell(_model(seen, attempt), 24),
        "when": parts.time_cell(attempt.sent_at or attempt.recorded_at, now),
    }


def _model(seen: Inspection, attempt: Attempt) -> str:
    """The model that says it answered; with a ladder the one that was asked."""
    asked = seen.run.models[attempt.rung] if seen.run.upper and attempt.try_id else None
    return asked or attempt.model or wording.NOTHING


def _why(seen: Inspection, attempt: Attempt) -> str:
    on = why_on(seen, attempt)
    if attempt.doubted:
        return on or "valid, and not left at that"
    return "; ".join(told for told in (_what(attempt), on) if told)


def _what(attempt: Attempt) -> str:
    if attempt.failure is not None:
        return f"{wording.OUTCOMES.get(attempt.failure.kind, attempt.failure.kind)}: {attempt.failure.message}"
    if attempt.receipt is not None:
        return attempt.receipt.label
    return "; ".join(wording.broken(problem.path, problem.rule) for problem in attempt.problems[:4])


def changes(seen: Inspection, current: Attempt) -> None:
    """Draw what changed from the attempt before the one that is looked at: in the prompt, and in the reply."""
    place = seen.attempts.index(current)
    if not place:
        st.caption("This is the first attempt: nothing stands before it. Open a later one above to see what changed.")
        return
    before = seen.attempts[place - 1]
    parts.section(f"What changed from attempt {place} to attempt {place + 1}")
    left, right = st.columns(2, gap="medium")
    with left:
        parts.diff([parts.changes("prompt", _prompt(before), _prompt(current))], same="The prompt is the same.")
    with right:
        parts.diff([parts.changes("raw reply", before.raw or "", current.raw or "")], same="The reply is the same.")


def _prompt(attempt: Attempt) -> str:
    settings = {name: value for name, value in (attempt.request or {}).items() if name != "messages"}
    told = [
        f"{name} = {value}"
        for name, value in settings.items()
        if name in ("model", "max_tokens", "temperature", "seed")
    ]
    return "\n".join([*told, *(f"{message.role}:\n{message.content}" for message in attempt.messages)])


def receipt(found: Receipt) -> None:
    """Draw how an accepted value was obtained, edit by edit."""
    st.caption(wording.escaped(f"Receipt: {found.label}"))
    for edit in found.edits[:20]:
        place = f" at {edit.start:,}–{edit.end:,}" if edit.start is not None and edit.end is not None else ""
        st.caption(wording.escaped(f"{edit.kind}: {edit.note}{place}"))
    if found.coerced:
        st.caption(wording.escaped(f"Converted as the contract allows: {', '.join(found.coerced)}"))
