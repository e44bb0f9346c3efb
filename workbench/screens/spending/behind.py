"""The calls behind a figure or a bar: a page of them, each leading to the inspector of its row."""

from __future__ import annotations

import datetime as dt
from typing import Literal, get_args

import streamlit as st

from jobs.views.costs import OPEN, CallRow, ReusedRow
from workbench import parts, session, ways, wording
from workbench.parts import Cell, Column, Row
from workbench.screens.spending import window as at
from workbench.screens.spending.window import Outcome, Place, Window

WORDS: dict[str, str] = {
    "all": "all",
    "accepted": "brought a value",
    "wasted": "brought no value",
    "rejected": "rejected",
    "failed": "no reply",
    "throttled": "throttled",
    "slow": "slowest first",
}
_COLUMNS = (
    Column(key="sent", label="Sent"),
    Column(key="row", label="Row", kind="strong"),
    Column(key="run", label="Run", kind="number"),
    Column(key="version", label="Version"),
    Column(key="model", label="Model"),
    Column(key="outcome", label="Outcome"),
    Column(key="seconds", label="Latency", kind="number", help="from sending to the end of the reply"),
    Column(key="in", label="Tokens in", kind="number"),
    Column(key="cached", label="Cached", kind="number", help="of the tokens in"),
    Column(key="out", label="Tokens out", kind="number"),
    Column(key="cost", label="Money", kind="number", help="US dollars"),
    Column(key="status", label="Status", kind="number", help="of HTTP"),
)
_REUSED = (
    Column(key="when", label="When"),
    Column(key="row", label="Row", kind="strong"),
    Column(key="run", label="Run", kind="number"),
    Column(key="version", label="Version"),
    Column(key="model", label="Model", help="that it would have asked"),
    Column(key="source", label="From attempt", kind="number", help="that brought the answer"),
    Column(key="saved", label="Saved", kind="number", help="US dollars that the answer had cost"),
)


def draw(place: Place, window: Window, now: float, zone: dt.tzinfo) -> None:
    """The calls of the choice, or of the whole window, newest first; the rows where it is of reused answers."""
    choice, of_rows = place.choice, place.choice.what == "saved-reuse"
    title = "Rows behind it" if of_rows else "Calls behind it" if choice.id() else "Calls"
    parts.section(title, note=described(place, window, zone))
    with st.container(horizontal=True, vertical_alignment="center"):
        if choice.what in WORDS:
            _outcomes(choice.what)
        if choice.id():
            if choice.since is not None and choice.until is not None and choice.until - choice.since > 60:
                span = {"window": "custom", "since": int(choice.since), "until": int(choice.until) - 1}
                session.link("Zoom in on this time", "costs", **at.here(**span))
            if st.button("Clear the choice", key="clear", type="tertiary", on_click=at.choose, args=(None,)):
                return
    if of_rows:
        _reused(place, window, now, zone)
    else:
        _calls(place, window, now, zone)


def _outcomes(what: str) -> None:
    key = f"what:{what}"
    st.segmented_control(
        "Which calls",
        get_args(Outcome),
        default=what,
        key=key,
        format_func=WORDS.__getitem__,
        on_change=_other,
        args=(key,),
        required=True,
        label_visibility="collapsed",
    )


def _calls(place: Place, window: Window, now: float, zone: dt.tzinfo) -> None:
    choice = place.choice
    low, high = choice.low, choice.high
    found, total = parts.paged(
        "page",
        lambda offset, limit: session.engine().costs.calls(
            place.chosen(window),
            outcome=choice.what if choice.what != "saved-reuse" else "all",
            seconds=None if low is None and high is None else (low or 0.0, high if high is not None else 1e12),
            offset=offset,
            limit=limit,
        ),
        noun="call",
    )
    if not total:
        st.caption("No call is in this choice.")
        return
    opened = parts.table(
        list(_COLUMNS), [_row(call, now, zone) for call in found], key="calls", opens=True, height=560, label="calls"
    ).opened
    if opened:
        (call,) = [call for call in found if call.try_id == opened]
        if call.ordinal:
            session.go("letter", run=call.run, row=call.ordinal)
        session.go("run", id=call.run)


def _reused(place: Place, window: Window, now: float, zone: dt.tzinfo) -> None:
    found, total = parts.paged(
        "page",
        lambda offset, limit: session.engine().costs.reused(place.chosen(window), offset=offset, limit=limit),
    )
    if not total:
        st.caption("No row is in this choice.")
        return
    rows = [_reused_row(one, now, zone) for one in found]
    opened = parts.table(
        list(_REUSED), rows, key="reused", opens=True, height=560, label="rows that reused an answer"
    ).opened
    if opened:
        run, _, ordinal = opened.partition("/")
        session.go("letter", run=run, row=ordinal)


def _reused_row(one: ReusedRow, now: float, zone: dt.tzinfo) -> Row:
    return Row(
        f"{one.run}/{one.ordinal}",
        {
            "when": Cell(wording.ago(one.recorded_at, now), wording.exact(one.recorded_at, zone)),
            "row": parts.text_cell(one.row_id, 30),
            "run": str(one.run),
            "version": Cell(wording.head(one.version, 28), one.version),
            "model": Cell(wording.head(one.model, 22), f"{one.model} at connection {one.connection}"),
            "source": _known(None if one.source is None else str(one.source)),
            "saved": Cell(wording.money(one.saved), "what the answer had cost is not known", "paused")
            if one.saved is None
            else wording.money(one.saved),
        },
    )


def described(place: Place, window: Window, zone: dt.tzinfo) -> str:
    """The choice in words."""
    choice = place.choice
    kind, _, way = choice.what.partition("-")
    said = [ways.WORDS[way].name.lower()] if way else [] if choice.what == "all" else [WORDS[choice.what]]
    if choice.slice is not None and place.by != "total":
        said.append(f"run {choice.slice}" if place.by == "run" else choice.slice)
    if choice.low is not None or choice.high is not None:
        high = "or more" if choice.high is None else f"to {wording.duration(choice.high)}"
        said.append(f"latency {wording.duration(choice.low or 0.0)} {high}")
    if choice.since is not None and choice.until is not None:
        said.append(stretch(choice.since, choice.until, zone))
    else:
        said.append(window.words)
    said += [f"run {value}" if name == "run" else value for name, value in place.filters.items()]
    return " · ".join(said)


def stretch(since: float, until: float, zone: dt.tzinfo) -> str:
    """From when to when, with the day once if it is the same."""
    first, last = (dt.datetime.fromtimestamp(moment, zone) for moment in (since, until))
    small = "%H:%M:%S" if (until - since) % 60 else "%H:%M"
    if first.date() == last.date():
        return f"{first:%Y-%m-%d} {first:{small}} to {last:{small}}"
    return f"{first:%Y-%m-%d} {first:{small}} to {last:%Y-%m-%d} {last:{small}}"


def _other(key: str) -> None:
    """Another outcome of the same choice."""
    st.session_state.pop("page", None)
    what = st.session_state.get(key)
    session.put(what=None if what == "all" else what, page=None)


def _row(call: CallRow, now: float, zone: dt.tzinfo) -> Row:
    return Row(
        call.try_id,
        {
            "sent": Cell(wording.ago(call.sent_at, now), wording.exact(call.sent_at, zone)),
            "row": _about(call),
            "run": str(call.run),
            "version": Cell(wording.head(call.version, 28), call.version),
            "model": Cell(wording.head(call.model, 22), f"{call.model} at connection {call.connection}"),
            "outcome": _outcome(call),
            "seconds": _known(wording.duration(call.seconds) if call.seconds is not None else None),
            "in": _known(_number(call.prompt_tokens)),
            "cached": _known(_number(call.cached_tokens)),
            "out": _known(_number(call.completion_tokens)),
            "cost": Cell(wording.money(call.cost), _why_unknown(call), "paused")
            if call.cost is None
            else Cell(wording.money(call.cost), ways.WORDS[call.way].name.lower()),
            "status": _known(str(call.status) if call.status is not None else None),
        },
    )


def _why_unknown(call: CallRow) -> str:
    return "nobody knows whether it is charged" if call.way == OPEN else "the price was not known"


def _about(call: CallRow) -> Cell:
    """The row that it is about, or the first of several."""
    if not call.ordinal:
        return Cell(wording.NOTHING, "no row was recorded")
    first = parts.text_cell(call.row_id, 30)
    return first if call.rows == 1 else Cell(f"{first.text} +{call.rows - 1}", f"a call about {call.rows:,} rows")


def _outcome(call: CallRow) -> Cell:
    if call.outcome == "replied":
        return parts.state_cell(call.verdict or "accepted") if call.verdict else Cell("• no row", "no row was judged")
    sign: Literal["throttled", "failed"] = "throttled" if call.outcome == "throttled" else "failed"
    if sign == "throttled":
        return Cell("~ throttled", wording.OUTCOMES["throttled"], "waiting")
    return Cell(f"! {call.outcome.replace('_', ' ')}", wording.OUTCOMES.get(call.outcome, ""), "paused")


def _known(text: str | None) -> Cell | str:
    """A value, or a dash where there can be none: no reply, no tokens."""
    return text if text is not None else Cell(wording.NOTHING, "nothing came back")


def _number(value: int | None) -> str | None:
    return None if value is None else wording.number(value)
