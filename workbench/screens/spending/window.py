"""The window, the breakdown, the filters and the choice in a chart: all of it lives in the URL, and nowhere else.

A window ends and begins at round times, so that its bars, and what has been read for them, stay the same while the clock
goes on. Every control's key holds the value that the URL has, so that a control can never say something else.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl, urlencode

import streamlit as st

from jobs.views.costs import By, CallFilter
from jobs.views.runs import Run
from workbench import session, wording

Filter = Literal["run", "prompt", "version", "model", "connection"]
Outcome = Literal["all", "accepted", "wasted", "rejected", "failed", "throttled", "slow"]
#: which calls are listed: by their outcome, or in which way their money went or they saved some; ``saved-reuse`` lists rows
What = Literal[
    Outcome,
    "went-first", "went-again", "went-rejected", "went-doubted", "went-failed", "went-superseded", "went-open",
    "saved-reuse", "saved-cache", "saved-batch", "saved-rows", "saved-ladder",
]  # fmt: skip

#: in the URL -> words, seconds; None: from the first call to the last
SPANS: dict[str, tuple[str, float | None]] = {
    "15m": ("15 min", 900),
    "1h": ("1 h", 3600),
    "24h": ("24 h", 86_400),
    "7d": ("7 d", 7 * 86_400),
    "30d": ("30 d", 30 * 86_400),
    "all": ("all", None),
    "custom": ("custom", None),
}
DEFAULT = "24h"
BY_WORDS: dict[str, str] = {
    "version": "version",
    "run": "run",
    "model": "model",
    "connection": "connection",
    "total": "nothing",
}
MEASURES = {"money": "money", "tokens": "tokens", "calls": "calls"}
#: bars at most
BARS = 60
_DAY = 86_400.0
#: in the year 2286; beyond it calendars and chart axes give up one after the other
_LAST = 1e10
#: seconds of a bar; the store has its sums by the minute, so a finer bar would be added up call by call
_STEPS = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, _DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY)
#: what a choice in a chart consists of, in the URL
CHOICE = ("at", "what", "from", "to", "low", "high", "slice")
#: everything that this page keeps in the URL
_ALL = ("window", "since", "until", "by", "measure", *get_args(Filter), *CHOICE, "page")


@dataclass(frozen=True, kw_only=True)
class Window:
    """A stretch of time in bars of equal length, and what it is called."""

    since: float
    until: float
    step: float
    #: "last 24 h", and in short "24 h"
    words: str
    short: str

    @property
    def bars(self) -> int:
        """How many bars it has."""
        return max(1, round((self.until - self.since) / self.step))


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was clicked: which calls are meant, of which chart."""

    at: str = ""
    what: What = "all"
    since: float | None = None
    until: float | None = None
    low: float | None = None
    high: float | None = None
    #: of the breakdown
    slice: str | None = None

    def id(self) -> str:
        """The choice as a chart's point holds it, and as the URL does."""
        given = {
            "at": self.at, "what": self.what if self.what != "all" else None, "from": self.since, "to": self.until,
            "low": self.low, "high": self.high, "slice": self.slice,
        }  # fmt: skip
        return urlencode({name: _short(value) for name, value in given.items() if value is not None and value != ""})


@dataclass(frozen=True, kw_only=True)
class Place:
    """What the URL says."""

    span: str
    by: By
    measure: str | None
    filters: Mapping[Filter, str]
    choice: Choice
    since: int | None = None
    until: int | None = None

    @property
    def run(self) -> int | None:
        """The run that the page is narrowed to."""
        return int(self.filters["run"]) if "run" in self.filters else None

    def among(self, since: float, until: float) -> CallFilter:
        """The calls of a stretch of time that pass the filters."""
        names = self.filters
        return CallFilter(
            since=since,
            until=until,
            run=self.run,
            prompt=names.get("prompt"),
            version=names.get("version"),
            model=names.get("model"),
            connection=names.get("connection"),
        )

    def chosen(self, window: Window) -> CallFilter:
        """Those of them that are in the choice."""
        choice = self.choice
        found = self.among(
            choice.since if choice.since is not None else window.since,
            choice.until if choice.until is not None else window.until,
        )
        if choice.slice is None or self.by == "total":
            return found
        part: dict[str, Any] = {self.by: choice.slice}
        if self.by == "run":
            part["run"] = int(choice.slice) if choice.slice.isdigit() else 0
        return replace(found, **part)


def read() -> Place:
    """The place in the URL; what is no value there counts as absent."""
    given = {name: value for name in get_args(Filter) if (value := session.param(name))}
    if "run" in given and session.int_param("run") is None:
        del given["run"]
    first, last = _moment("from"), _moment("to")
    if first is None or last is None or first >= last:
        first = last = None
    by, span, what = session.param("by"), session.param("window"), session.param("what")
    return Place(
        span=span if span in SPANS else DEFAULT,
        by=by if by in get_args(By) else "version",  # type: ignore[arg-type]
        measure=measure if (measure := session.param("measure")) in MEASURES else None,
        filters=given,
        choice=Choice(
            at=session.param("at") or "",
            what=what if what in get_args(What) else "all",  # type: ignore[arg-type]
            since=first,
            until=last,
            low=_number("low"),
            high=_number("high"),
            slice=session.param("slice"),
        ),
        since=int(since) if (since := _moment("since")) is not None else None,
        until=int(until) if (until := _moment("until")) is not None else None,
    )


def window(place: Place, now: float, zone: dt.tzinfo, ends: Callable[[], tuple[float, float] | None]) -> Window:
    """The window that is meant, in bars; ``ends`` gives the times of the first and the last call."""
    words, seconds = SPANS[place.span]
    if place.span == "custom" and place.since is not None and place.until is not None and place.since < place.until:
        length = wording.duration(place.until - place.since)
        return spanning(place.since, place.until, zone, words=f"chosen {length}", short=length)
    if place.span == "all":
        first, last = ends() or (now - _DAY, now)
        return spanning(first, last, zone, words="all calls", short="all time")
    if seconds is None:  # a custom window without its times
        words, seconds = SPANS[DEFAULT][0], _DAY
    return spanning(now - seconds, now, zone, words=f"last {words}", short=words)


def spanning(since: float, until: float, zone: dt.tzinfo, *, words: str, short: str) -> Window:
    """A window around these times whose bars begin at round local times."""
    length = max(until - since, 1.0)
    step = next((step for step in _STEPS if length / step <= BARS), math.ceil(length / BARS / _DAY) * _DAY)
    offset = (dt.datetime.fromtimestamp(until, zone).utcoffset() or dt.timedelta()).total_seconds()
    first = math.floor((since + offset) / step) * step - offset
    bars = math.floor((until + offset) / step) - math.floor((since + offset) / step) + 1
    return Window(since=first, until=first + bars * step, step=float(step), words=words, short=short)


def change(**params: object) -> None:
    """Change the place, in one step of the browser's history; a choice in a chart belonged to the one before."""
    st.session_state.pop("page", None)
    kept = {name: value for name, value in here().items() if value} | params
    st.query_params.from_dict({name: str(value) for name, value in kept.items() if value is not None and value != ""})


def choose(id: str | None) -> None:
    """Take what was clicked into the URL; None, or the same again, takes the choice out of it."""
    if id is None or id == read().choice.id():
        change()
        return
    change(**dict(parse_qsl(id)))


def here(**params: object) -> dict[str, Any]:
    """The names of this place in the URL with some changed, without a choice and a page number."""
    kept: dict[str, Any] = {name: session.param(name) for name in _ALL if name not in (*CHOICE, "page")}
    return kept | params


def controls(place: Place, now: float, zone: dt.tzinfo, *, runs: Iterable[Run], measure: str) -> None:
    """Draw the window, the breakdown, what is drawn along time, and the filters."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _segments("window", "Window", {name: words for name, (words, _) in SPANS.items()}, place.span, now)
        _segments("by", "Break down by", BY_WORDS, place.by, now)
        _segments("measure", "Along time", MEASURES, measure, now)
    if place.span == "custom":
        _custom(place, now, zone)
    options = _options(runs)
    for column, name in zip(st.columns(5, gap="small"), get_args(Filter), strict=True):
        with column:
            _select(name, options[name], place.filters.get(name))


def _segments(name: str, label: str, options: Mapping[str, str], value: str, now: float) -> None:
    key = f"{name}:{value}"

    def changed() -> None:
        chosen = st.session_state.get(key) or value
        ends = {"since": None, "until": None}
        if name == "window" and chosen == "custom":
            ends = {"since": int(now - _DAY), "until": int(now)}  # type: ignore[dict-item]
        change(**{name: chosen}, **(ends if name == "window" else {}))

    st.segmented_control(
        label, list(options), default=value, key=key, format_func=options.__getitem__, on_change=changed, required=True
    )


def _custom(place: Place, now: float, zone: dt.tzinfo) -> None:
    """Two times in the browser's zone; the end must be after the beginning."""
    ends = (("since", "From", place.since or int(now - _DAY)), ("until", "To", place.until or int(now)))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for name, label, value in ends:
            key = f"{name}:{value}"

            def changed(name: str = name, key: str = key) -> None:
                found = st.session_state.get(key)
                if isinstance(found, dt.datetime):
                    change(**{name: int(found.replace(tzinfo=zone).timestamp())})

            local = dt.datetime.fromtimestamp(value, zone).replace(tzinfo=None, second=0, microsecond=0)
            st.datetime_input(label, local, key=key, on_change=changed, width=220, format="YYYY-MM-DD")
    if place.since is not None and place.until is not None and place.since >= place.until:
        st.caption("The end is not after the beginning: the last 24 h are shown.")


def _select(name: Filter, options: list[str], value: str | None) -> None:
    key = f"{name}:{value}"

    def changed() -> None:
        change(**{name: st.session_state.get(key)})

    every = [value, *(one for one in options if one != value)] if value else options
    st.selectbox(
        name.capitalize(),
        every,
        index=0 if value else None,
        key=key,
        format_func=lambda one: f"run {one}" if name == "run" else wording.head(str(one), 60),
        placeholder=f"any {name}",
        on_change=changed,
        label_visibility="collapsed",
    )


def _options(runs: Iterable[Run]) -> dict[Filter, list[str]]:
    """What the filters offer: what the latest runs have used."""
    found: dict[Filter, dict[str, None]] = {name: {} for name in get_args(Filter)}
    for run in runs:
        climbs = run.options.ladder.climbs if run.options.ladder else ()
        for name, values in (
            ("run", [str(run.id)]),
            ("prompt", [run.prompt]),
            ("version", [run.version]),
            ("model", [run.model, *(one.model for one in climbs)]),
            ("connection", [run.connection, *(one.connection for one in climbs if one.connection)]),
        ):
            found[name] |= dict.fromkeys(values)  # type: ignore[index]
    return {name: list(values) for name, values in found.items()}


def _number(name: str) -> float | None:
    try:
        found = float(session.param(name) or "")
    except ValueError:
        return None
    return found if math.isfinite(found) and found >= 0 else None


def _moment(name: str) -> float | None:
    """A time that a calendar has."""
    found = _number(name)
    return found if found is not None and _DAY <= found < _LAST else None


def _short(value: object) -> object:
    return (
        f"{value:.9g}"
        if isinstance(value, float) and abs(value) < 1e6
        else f"{value:.0f}"
        if isinstance(value, float)
        else value
    )
