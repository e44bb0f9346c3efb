"""What calls have cost, how long they took and what became of them; every figure leads to the calls behind it.

All figures of the page come from one look at the ledger, so that tiles, charts and the breakdown agree.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import streamlit as st

from jobs.views.costs import By, CallFilter, CostReport, Spending
from jobs.views.letters import Group
from jobs.views.runs import Run
from workbench import parts, session, wording
from workbench.screens.spending import behind, causes, figures, timeline, ways
from workbench.screens.spending import window as at
from workbench.screens.spending.sheet import Sheet, palette
from workbench.screens.spending.window import Place

#: seconds for which a report is kept: a choice in a chart does not add everything up again
KEPT = 20
#: runs whose versions, models and connections the filters offer
OFFERED = 200
TITLE = "Costs and latency"
_Draw = Callable[[], None]


def page() -> None:
    now, zone, place = time.time(), session.zone(), at.read()
    window = at.window(place, now, zone, lambda: _ends(now))
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container():
            parts.header(
                TITLE, subtitle=f"{window.words}: {behind.stretch(window.since, window.until, zone)}, {zone.key}"
            )
        with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", width="content"):
            if place.run is not None:
                session.link(f"Open run {place.run}", "run", id=place.run)
            if st.button("Refresh", help=f"figures are kept for {KEPT} s"):
                _report.clear()
                _groups.clear()
    report = _report(_home(), place.among(window.since, window.until), window.bars, place.by)
    measure = place.measure or ("money" if report.total.cost else "calls")
    at.controls(place, now, zone, runs=_runs(_home()), measure=measure)
    if not report.total.calls and not report.total.reused:
        _nothing(place, now)
        return
    for strip in figures.tiles(report.total, window):
        parts.figures(strip)
    _unpriced(report.total)
    colours = palette(st.context.theme.type == "dark")
    _charts(Sheet(report, place, window, zone, colours, _order(_home(), place.by)), measure, now)


def _charts(sheet: Sheet, measure: str, now: float) -> None:
    """The tables of ways and the charts, two by two; the calls stand below the pair that was clicked, or else at the end."""
    place = sheet.place
    pairs: tuple[tuple[set[str], _Draw, _Draw], ...] = (
        (ways.AT, lambda: ways.went(sheet), lambda: ways.saved(sheet)),
        (
            {"time", "accepted", "rejected", "throttled", "failed"},
            lambda: timeline.over_time(sheet, measure),
            lambda: timeline.outcomes(sheet),
        ),
        (
            {"p50", "p95", "p99", "spread"},
            lambda: timeline.latency_over_time(sheet),
            lambda: causes.latency_spread(sheet),
        ),
        ({"failures"}, lambda: causes.failures(sheet), lambda: _failure_groups(sheet)),
    )
    told = False
    for names, left, right in pairs:
        one, other = st.columns(2, gap="medium")
        with one:
            left()
        with other:
            right()
        if place.choice.at in names:
            behind.draw(place, sheet.window, now, sheet.zone)
            told = True
    _breakdown(sheet)
    if not told:
        behind.draw(place, sheet.window, now, sheet.zone)


def _failure_groups(sheet: Sheet) -> None:
    groups, total = _groups(_home(), sheet.place.run, sheet.place.filters.get("prompt"))
    causes.failure_groups(groups, total, sheet)


def _breakdown(sheet: Sheet) -> None:
    by = sheet.place.by
    parts.section(
        "Breakdown" if by == "total" else f"By {by}",
        note=f"{sheet.window.words} · US dollars, seconds; n of each figure when pointed at"
        + ("" if by == "total" else " · a click narrows the page to it"),
    )
    opened = figures.breakdown(
        sheet.report.slices, label="calls" if by == "total" else by, key=f"by-{by}", opens=by != "total"
    )
    if opened and by != "total":
        st.session_state.pop("page", None)
        session.go("costs", **at.here(**{by: opened}))


def _unpriced(total: Spending) -> None:
    """Which calls are in no sum of money, and what to do where a price is not known."""
    if total.open_calls:
        parts.panel(
            f"{wording.count(total.open_calls, 'call')} of {total.calls:,} broke off: nobody knows whether they were charged. "
            f"At most {wording.money(total.set_aside)} is set aside for them.",
            hint="It is in no sum of money here, and counts against the budgets of their runs. The provider's own account says what "
            "was charged.",
            tone="waiting",
        )
    without = total.unpriced_calls - total.open_calls
    if without:
        parts.panel(
            f"{wording.count(without, 'call')} of {total.calls:,} have no known price and are in no sum of money.",
            hint="For calls to come, name the price in connections.toml in US dollars for a million tokens: "
            'a table [NAME.prices."MODEL"] with input and output, where NAME is the connection.',
            tone="waiting",
        )


def _nothing(place: Place, now: float) -> None:
    """No call to show: what the page is for, and where the calls are."""
    ends = _ends(now)
    if ends is None:
        parts.empty(
            "No call has been made yet",
            "Every request to a model is kept with its tokens, its price at that time and its latency. This page adds them up "
            "by version, run, model and connection, and shows what failures and retries have cost.",
        )
        session.link("Launch a run", "launch")
        return
    parts.empty(
        "No call in this window" if not place.filters else "No call in this window with these filters",
        f"The newest call of all was sent {wording.ago(ends[1], now)}.",
    )
    with st.container(horizontal=True):
        session.link("Show all calls", "costs", window="all", by=place.by)
        if place.filters:
            session.link(
                "Without filters", "costs", window=place.span, by=place.by, since=place.since, until=place.until
            )


def _ends(now: float) -> tuple[float, float] | None:
    """When the first run began, and when the newest call was sent."""
    engine = session.engine()
    newest, _ = engine.costs.calls(CallFilter(since=0.0, until=now + 86_400), limit=1)
    if not newest:
        return None
    _, total = engine.runs.list(limit=1, archived=None)
    oldest, _ = engine.runs.list(offset=total - 1, limit=1, archived=None)
    return min(oldest[0].created_at, newest[0].sent_at), newest[0].sent_at


def _home() -> str:
    return str(session.engine().settings.home)


@st.cache_data(ttl=KEPT, max_entries=50, show_spinner=False)
def _report(home: str, among: CallFilter, buckets: int, by: By) -> CostReport:
    return session.engine().costs.report(among, buckets=buckets, by=by)


@st.cache_data(ttl=KEPT, max_entries=10, show_spinner=False)
def _order(home: str, by: By) -> list[str]:
    return session.engine().costs.order(by=by)


@st.cache_data(ttl=KEPT, max_entries=50, show_spinner=False)
def _groups(home: str, run: int | None, prompt: str | None) -> tuple[list[Group], int]:
    return session.engine().letters.groups(run=run, prompt=prompt, resolution=None, limit=causes.GROUPS)


@st.cache_data(ttl=KEPT, max_entries=10, show_spinner=False)
def _runs(home: str) -> list[Run]:
    return session.engine().runs.list(limit=OFFERED)[0]


page()
