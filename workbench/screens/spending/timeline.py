"""The charts along time: what was spent, what became of the calls, and how long they took."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from jobs.views.costs import Spending
from workbench import wording
from workbench.parts import charts
from workbench.parts.charts import Layer, Unit
from workbench.screens.spending import figures
from workbench.screens.spending import sheet as sheets
from workbench.screens.spending.sheet import Sheet
from workbench.screens.spending.window import What

_OUTCOMES: tuple[tuple[What, str, str, str, str, Callable[[Spending], int]], ...] = (
    ("accepted", "✓", "brought a value", "accepted", "", lambda one: one.calls - one.wasted_calls),
    (
        "rejected",
        "✕",
        "rejected",
        "dead",
        "/",
        lambda one: one.wasted_calls - one.throttles - one.transport_failures,
    ),
    ("throttled", "~", "throttled", "waiting", ".", lambda one: one.throttles),
    ("failed", "!", "no reply", "paused", "x", lambda one: one.transport_failures),
)


def over_time(sheet: Sheet, measure: str) -> None:
    """Money, tokens or calls in each bar, stacked by the breakdown."""
    total, window = sheet.report.total, sheet.window
    unit: Unit = {"money": "usd", "tokens": "tokens", "calls": "calls"}[measure]  # type: ignore[assignment]
    layers = _slices_over_time(sheet, measure)
    words = {"money": "Spend", "tokens": "Tokens in and out", "calls": "Calls"}[measure]
    n = wording.count(total.calls, "call")
    if measure == "money" and total.unpriced_calls:
        n = f"{total.calls - total.unpriced_calls:,} priced calls of {total.calls:,}"
    by = "" if sheet.place.by == "total" else f", by {sheet.place.by}"
    sums = {one.label: _in_words(one, measure) for one in sheet.report.slices}
    sheets.chart(
        "time",
        charts.stacked(layers, sheet.times, unit=unit, palette=sheet.palette, chosen=sheet.chosen),
        title=words,
        note=f"{'USD' if measure == 'money' else measure} per {sheet.each}{by} · {window.words} · n = {n}",
        legend=[sheets.Sign(layer.colour, "■", layer.name, sums.get(layer.name, "")) for layer in layers],
    )


def _slices_over_time(sheet: Sheet, measure: str) -> list[Layer]:
    colours = sheet.colours()
    keys = {one.label: one.key for one in sheet.report.slices}
    series: dict[str, list[Spending]] = {label: [] for label in keys}
    for one in sheet.report.series:
        series[one.label].append(one)
    layers = []
    for label, colour in colours.items():
        ids = tuple(sheet.bucket_id(one, chart="time", slice=keys[label]) for one in series[label])
        tips = tuple(_tip(sheet, one, label, measure) for one in series[label])
        values = tuple(_value(one, measure) for one in series[label])
        layers.append(Layer(name=label, colour=colour, values=values, tips=tips, ids=ids))
    others = [parts_ for label, parts_ in series.items() if label not in colours]
    if others:
        name = f"{len(others):,} others"
        together = list(zip(*others, strict=True))
        layers.append(
            Layer(
                name=name,
                colour=sheet.palette.others,
                values=tuple(sum(_value(one, measure) for one in group) for group in together),
                tips=tuple(
                    f"{name}<br>{sheet.bar(float(group[0].key))}<br>n = {sum(one.calls for one in group):,} calls"
                    for group in together
                ),
                ids=tuple(sheet.bucket_id(group[0], chart="time") for group in together),
            )
        )
    return layers


def _value(spending: Spending, measure: str) -> float:
    if measure == "money":
        return spending.cost
    return spending.calls if measure == "calls" else spending.prompt_tokens + spending.completion_tokens


def _in_words(spending: Spending, measure: str) -> str:
    if measure == "money":
        return figures.money(spending.cost, spending)
    return wording.number(int(_value(spending, measure)))


def _tip(sheet: Sheet, spending: Spending, label: str, measure: str) -> str:
    of = spending.unpriced_calls
    unpriced = f", {of:,} {wording.unknown(of, spending.open_calls)}" if of else ""
    return (
        f"{charts.plain(label, 60)}<br>{sheet.bar(float(spending.key))}<br><b>{_in_words(spending, measure)}</b>"
        f"{'' if measure == 'money' else ' ' + measure}<br>n = {wording.count(spending.calls, 'call')}{unpriced}"
    )


def outcomes(sheet: Sheet) -> None:
    """What became of the calls in each bar."""
    layers, legend = [], []
    for what, sign, words, tone, pattern, count in _OUTCOMES:
        counted = [(one, count(one)) for one in sheet.report.buckets]
        layers.append(
            Layer(
                name=words,
                colour=sheet.palette.tones[tone],
                pattern=pattern,
                values=tuple(float(n) for _, n in counted),
                tips=tuple(
                    f"{words}<br>{sheet.bar(float(one.key))}<br><b>{wording.count(n, 'call')}</b> of n = {one.calls:,}"
                    for one, n in counted
                ),
                ids=tuple(sheet.bucket_id(one, chart=what) for one, _ in counted),
            )
        )
        legend.append(sheets.Sign(sheet.palette.tones[tone], sign, words, wording.number(count(sheet.report.total))))
    sheets.chart(
        "outcome",
        charts.stacked(layers, sheet.times, unit="calls", palette=sheet.palette, chosen=sheet.chosen),
        title="Calls by outcome",
        note=f"calls per {sheet.each} · {sheet.window.words} · n = {wording.count(sheet.report.total.calls, 'call')}",
        legend=legend,
    )


def latency_over_time(sheet: Sheet) -> None:
    """The percentiles of each bar's own raw latencies."""
    total = sheet.report.total
    if not total.latency_n:
        sheets.titled("Latency percentiles", sheet.window.words)
        st.caption("No call of this window was replied to.")
        return
    layers = []
    for place, (name, symbol) in enumerate((("p50", "circle"), ("p95", "diamond"), ("p99", "triangle-up"))):
        layers.append(
            Layer(
                name=name,
                colour=sheet.palette.slices[(0, 2, 4)[place]],
                pattern=symbol,
                values=tuple(figures.percentiles(one)[place] for one in sheet.report.buckets),
                tips=tuple(
                    f"{name}: <b>{wording.duration(figures.percentiles(one)[place])}</b><br>{sheet.bar(float(one.key))}<br>"
                    f"n = {wording.count(one.latency_n, 'reply', 'replies')}"
                    for one in sheet.report.buckets
                ),
                ids=tuple(sheet.bucket_id(one, chart=name) for one in sheet.report.buckets),
            )
        )
    sheets.chart(
        "latency",
        charts.lines(layers, sheet.times, unit="seconds", palette=sheet.palette, chosen=sheet.chosen),
        title="Latency percentiles",
        note=f"seconds, of each {sheet.each} · {sheet.window.words} · n = {wording.count(total.latency_n, 'reply', 'replies')}",
        legend=[
            sheets.Sign(layer.colour, sign, layer.name, wording.duration(value) if value is not None else wording.NOTHING)
            for sign, layer, value in zip("●◆▲", layers, figures.percentiles(total), strict=True)
        ],
    )  # fmt: skip
