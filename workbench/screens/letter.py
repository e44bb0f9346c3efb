"""One row of a run: its cells, the prompt as it was sent, the raw reply beside its problems, every attempt, and what to do."""

from __future__ import annotations

import time

import streamlit as st

from jobs.views.letters import Attempt, Inspection
from workbench import parts, session, wording
from workbench.screens.review import attempts, chosen, correcting, decided, discarding, editing, going_on, replaying
from workbench.screens.review.chosen import Filter, Frozen, LetterId

KEYS = "J next · K previous · E edit the row · A correct the value · X discard (outside of input fields)"

#: characters of a row's id that are shown where the cells stand below
LONGEST = 80


def page() -> None:
    run, ordinal = session.int_param("run"), session.int_param("row")
    if run is None or ordinal is None:
        session.go("dead_letters")
    engine = session.engine()
    seen = engine.letters.inspect(run, ordinal)
    filter_ = chosen.of_url()
    before, after = engine.letters.neighbours(
        run,
        ordinal,
        signature=filter_.signature,
        prompt=filter_.prompt,
        resolution=filter_.resolution,
        within_run=filter_.run is not None,
    )
    _head(seen, filter_, before, after)
    _actions(seen, filter_)
    going_on.offer((run, ordinal), filter_, _leave)
    current = attempts.switch(seen)
    if seen.result is not None and seen.result.value is not None:
        _value(seen)
    if current is not None:
        attempts.reply(current, seen)
    left, right = st.columns([2, 3], gap="medium")
    with left:
        parts.section("The row", note=f"{seen.run.dataset_name}, row {seen.ordinal:,}")
        parts.cells(seen.cells, original=seen.original_cells)
    with right:
        parts.section("The prompt as it was sent")
        with st.container(key="sent", border=True):
            _sent(seen, current)
    parts.section("Attempts", note=f"{len(seen.attempts):,} in run {seen.run.id}, the oldest first")
    attempts.table(seen, current)
    if current is not None and len(seen.attempts) > 1:
        attempts.changes(seen, current)
    parts.section("Timeline")
    _timeline(seen)
    if seen.decisions:
        parts.section("Decisions about this row")
        decided.table(decisions=seen.decisions)


def _head(seen: Inspection, filter_: Filter, before: LetterId | None, after: LetterId | None) -> None:
    letter = seen.letter
    cause = wording.cause(letter.title) if letter else f"{seen.run.version} on {seen.run.dataset_name}"
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container():
            parts.header(
                f"Row {wording.head(seen.row_id, LONGEST)}" + (f": {cause}" if letter else ""),
                subtitle=f"run {seen.run.id} · {seen.run.version} · {seen.run.model} · {seen.run.dataset_name}",
                state=letter.resolution if letter else seen.state,
            )
        with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", width="content"):
            if st.button("Previous", shortcut="K", disabled=before is None, key="previous"):
                _leave(filter_, before)
            if st.button("Next", shortcut="J", disabled=after is None, key="next"):
                _leave(filter_, after)
            back = filter_.params() | {"run": filter_.run}
            session.link("Its group" if filter_.signature else "Dead letters", "dead_letters", **back)
            session.link(f"Run {seen.run.id}", "replay" if seen.run.kind == "replay" else "run", id=seen.run.id)


def _leave(filter_: Filter, place: LetterId | None) -> None:
    if place is not None:
        params = filter_.params() | {"run": place[0], "row": place[1], "within": 1 if filter_.run is not None else None}
        session.go("letter", **params)


def _actions(seen: Inspection, filter_: Filter) -> None:
    letter = seen.letter
    if letter is None:
        return
    is_open = letter.resolution == "open"
    why = "" if is_open else f"This letter is {wording.state(letter.resolution).word}: undo that first"
    alone = Frozen(letters=((seen.run.id, seen.ordinal),), at=time.time())
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(
            "Replay …", type="primary", disabled=not is_open, key="replay", help=why or "As it is, or otherwise"
        ):
            replaying.dialog(alone)
        if st.button("Edit the row …", shortcut="E", disabled=not is_open, key="edit", help=why or None):
            editing.dialog(seen)
        may = is_open or letter.resolution == "corrected"
        if st.button("Correct the value …", shortcut="A", disabled=not may, key="correct", help=None if may else why):
            correcting.dialog(seen, lambda made: _go_on(seen, filter_, "correct", made))
        session.link(
            "Tweak the prompt",
            "prompt",
            name=seen.run.prompt,
            dataset=seen.run.dataset,
            rows=seen.ordinal if is_open else None,
            run=seen.run.id if filter_.run is not None else None,
            signature=letter.signature,
        )
        if st.button("Discard …", shortcut="X", disabled=not is_open, key="discard", help=why or None):
            discarding.dialog(alone, then=lambda made: _go_on(seen, filter_, "discard", made))
        if letter.replay is not None:
            session.link(f"Replay {letter.replay}", "replay", id=letter.replay)
            session.hop("This row there", "letter", key="there", run=letter.replay, row=seen.ordinal)
        _undo(seen)
    st.caption(KEYS)


def _go_on(seen: Inspection, filter_: Filter, kind: str, decision: int) -> None:
    if seen.letter is not None and seen.letter.resolution == "open":
        going_on.go_on(seen, filter_, kind, decision, _leave)
    else:
        session.notify(wording.escaped(f"Row {wording.head(seen.row_id, LONGEST)} {going_on.DONE[kind]}"))


def _undo(seen: Inspection) -> None:
    """The way back from a decision about this row alone; a replay's results are taken back on its own page."""
    standing = [one for one in seen.decisions if one.undone_at is None and one.kind != "replay"]
    if standing and seen.letter is not None and seen.letter.resolution in ("corrected", "discarded"):
        last = standing[-1]
        many = f" (of {len(last.ordinals):,} rows)" if len(last.ordinals) > 1 else ""
        if st.button(f"Undo the {decided.KINDS[last.kind]}{many} …", key="undo"):
            decided.undo(last)


def _value(seen: Inspection) -> None:
    result = seen.result
    if result is None:
        return
    came = f"from run {result.run}, {result.version}" if result.run else ""
    parts.section("The value that stands now", note=came)
    parts.as_json(result.value)
    if result.receipt is not None:
        attempts.receipt(result.receipt)


def _sent(seen: Inspection, current: Attempt | None) -> None:
    if current is not None and current.messages:
        parts.chat(current.messages)
    else:
        st.caption("No request was sent for this attempt; this is the prompt that the version makes of the row.")
        parts.chat(session.engine().prompts.render(seen.version.content, seen.cells))


def _timeline(seen: Inspection) -> None:
    letter = seen.letter
    events: list[tuple[float, str, str | parts.Cell]] = [
        (seen.run.created_at, f"run {seen.run.id} started with {seen.run.version}", "")
    ]
    for place, one in enumerate(seen.attempts, start=1):
        strike = ", a strike" if one.strike else ""
        on = attempts.went_on(seen, one)
        told = f"attempt {place}: {wording.state(attempts.verdict(one)).word}{strike}"
        told += f"{' ' if one.doubted else ', went on '}to {on}" if on else ""
        events.append((one.recorded_at, told, _try(one)))
    if letter is not None:
        events.append((letter.died_at, "became a dead letter", parts.text_cell(wording.cause(letter.title))))
        if letter.resolved_at is not None:
            events.append((letter.resolved_at, f"became {wording.state(letter.resolution).word}", ""))
    for decision in seen.decisions:
        of = f" as replay {decision.replay}" if decision.replay else ""
        what = decided.KINDS.get(decision.kind, decision.kind)
        events.append((decision.made_at, f"decision {decision.id}: {what}{of}", parts.text_cell(decision.reason)))
        if decision.undone_at is not None:
            events.append((decision.undone_at, f"decision {decision.id} was undone", ""))
    columns = [
        parts.Column(key="when", label="When"),
        parts.Column(key="ago", label="Ago", kind="number"),
        parts.Column(key="what", label="What", kind="strong"),
        parts.Column(key="more", label="More", kind="wide"),
    ]
    now, zone = time.time(), session.zone()
    rows = [
        parts.Row(
            str(place),
            {
                "when": wording.exact(moment, zone),
                "ago": wording.ago(moment, now),
                "what": parts.text_cell(what, 90),
                "more": more,
            },
        )
        for place, (moment, what, more) in enumerate(sorted(events, key=lambda event: event[0]))
    ]
    parts.table(columns, rows, key="timeline", label="timeline")


def _try(one: Attempt) -> str | parts.Cell:
    if not one.try_id:
        return ""
    lane = one.lane or "no worker"
    return parts.Cell(f"try {one.try_id[:8]}, {wording.head(lane, 40)}", f"try {one.try_id}, {lane}")


page()
