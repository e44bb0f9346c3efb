"""The charts across: how latencies lie, and what failures have cost by slice and by cause."""

from __future__ import annotations

import math
from collections.abc import Sequence

import streamlit as st

from jobs.views.letters import Group
from workbench import session, wording
from workbench.parts import charts
from workbench.parts.charts import Bar
from workbench.screens.spending import figures
from workbench.screens.spending import sheet as sheets
from workbench.screens.spending.sheet import Sheet
from workbench.screens.spending.window import Choice

#: groups of failures that are drawn
GROUPS = 8


def latency_spread(sheet: Sheet) -> None:
    """How the latencies lie, with the percentiles of all of them."""
    report, total = sheet.report, sheet.report.total
    if not report.latencies:
        sheets.titled("Latency histogram", sheet.window.words)
        st.caption("No call of this window was replied to.")
        return
    found = []
    for one in charts.bins(report.latencies):
        high = one.high if math.isfinite(one.high) else None
        span = f"{wording.duration(one.low)} {'or more' if high is None else f'to {wording.duration(high)}'}"
        tip = (
            f"{span}<br><b>{wording.count(one.n, 'reply', 'replies')}</b> of n = {len(report.latencies):,}"
            f" ({wording.percent(one.n, len(report.latencies))})"
        )
        found.append((one, tip, Choice(at="spread", what="slow", low=one.low, high=high).id()))
    thinned = f"n = {wording.count(total.latency_n, 'reply', 'replies')}"
    if len(report.latencies) < total.latency_n:
        thinned = f"n = {len(report.latencies):,}, an even part of {thinned[4:]}"
    known = [value for value in figures.percentiles(total) if value is not None]
    sheets.chart(
        "spread",
        charts.histogram(
            found, marks=known, colour=sheet.palette.slices[0], palette=sheet.palette, chosen=sheet.chosen
        ),
        title="Latency histogram",
        note=f"replies by seconds · {sheet.window.words} · {thinned}",
        legend=[
            sheets.Sign(sheet.palette.ink, sign, name, wording.duration(value))
            for sign, name, value in zip(("┃", "╏", "┊"), ("p50", "p95", "p99"), known, strict=False)
        ],
    )


def failures(sheet: Sheet) -> None:
    """What calls without a value have cost, by slice; their number where no price is known."""
    total, by = sheet.report.total, sheet.place.by
    priced = total.unpriced_calls < total.calls and total.wasted > 0
    slices = sorted(
        (one for one in sheet.report.slices if one.wasted_calls), key=lambda one: (-one.wasted, -one.wasted_calls)
    )[:GROUPS]
    colours = sheet.colours()
    bars = []
    for one in slices:
        known = not priced or one.wasted > 0 or not one.unpriced_calls
        money = figures.money(one.wasted, one, calls=one.wasted_calls)
        calls = wording.count(one.wasted_calls, "call")
        bars.append(
            Bar(
                name=one.label,
                value=(one.wasted if priced else float(one.wasted_calls)) if known else None,
                label=f"{money} ({calls})" if priced else calls,
                tip=f"{charts.plain(one.label, 60)}<br><b>{money}</b> of {figures.money(one.cost, one)}<br>n = {calls} without a value",
                id=Choice(at="failures", what="wasted", slice=None if by == "total" else one.key).id(),
                colour=colours.get(one.label, sheet.palette.others),
            )
        )
    if not bars:
        sheets.titled("Failures and retries", sheet.window.words)
        st.caption("Every call of this window has brought a value.")
        return
    sheets.chart(
        "failures",
        charts.across(bars, unit="usd" if priced else "calls", palette=sheet.palette, chosen=sheet.chosen),
        title="Failures and retries",
        note=f"{'USD on' if priced else 'number of'} calls without a value"
        f"{'' if by == 'total' else f', by {by}'} · {sheet.window.words} · n = {wording.count(total.wasted_calls, 'call')}",
    )


def failure_groups(groups: Sequence[Group], total: int, sheet: Sheet) -> None:
    """What the rows of each cause of death have cost; a click opens the group."""
    run, prompt = sheet.place.run, sheet.place.filters.get("prompt")
    scope = " · ".join(
        [*(["all time"]), *([f"run {run}"] if run else []), *([wording.head(prompt, 40)] if prompt else [])]
    )
    if not groups:
        sheets.titled("Cost of each failure group", scope)
        st.caption("No row has become a dead letter.")
        return
    priced = any(group.cost for group in groups)
    bars = [
        Bar(
            name=wording.cause(group.title),
            value=group.cost if priced else float(group.count),
            label=f"{wording.money(group.cost)} ({wording.count(group.count, 'row')})"
            if priced
            else wording.count(group.count, "row"),
            tip=f"{charts.plain(wording.cause(group.title), 90)}<br><b>{wording.money(group.cost)}</b><br>"
            f"n = {wording.count(group.count, 'dead row')}",
            id=group.signature,
            colour=sheet.palette.tones["dead"],
        )
        for group in sorted(groups, key=lambda group: (-(group.cost or 0.0), -group.count))
    ]
    sheets.titled(
        "Cost of each failure group",
        f"{'USD for its dead rows until they died' if priced else 'number of its dead rows'} · {scope} · "
        f"{f'{len(bars)} of ' if total > len(bars) else ''}{wording.count(total, 'group')}, "
        f"n = {sum(group.count for group in groups):,}",
    )
    st.plotly_chart(
        charts.across(bars, unit="usd" if priced else "rows", palette=sheet.palette),
        key="chart:groups",
        on_select="rerun",
        selection_mode="points",
        config=sheets.CONFIG,
        alt="cost of each failure group",
    )
    clicked = sheets.clicked("chart:groups")
    if clicked:
        session.go("dead_letters", signature=clicked, run=run, prompt=prompt)
