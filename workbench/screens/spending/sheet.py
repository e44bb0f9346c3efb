"""What every chart of the page is drawn from and how: its title with unit, window and n, its legend, and a click on it.

Colour follows the slice in every chart and every window; what is beyond six slices is drawn as one. A click goes into the URL
as a choice, and the calls behind it are drawn below.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import plotly.graph_objects as go
import streamlit as st

from jobs.views.costs import CostReport, Spending
from workbench import parts, wording
from workbench.parts import charts, look
from workbench.parts.charts import Palette, Times
from workbench.screens.spending import window as at
from workbench.screens.spending.behind import stretch
from workbench.screens.spending.window import Choice, Place, What, Window

#: chart, or layer of a chart -> the calls that a click on it lists, where it is not all of them
LISTED: dict[str, What] = {
    "accepted": "accepted",
    "rejected": "rejected",
    "throttled": "throttled",
    "failed": "failed",
    "p50": "slow",
    "p95": "slow",
    "p99": "slow",
    "spread": "slow",
    "failures": "wasted",
}
CONFIG = {"displayModeBar": False, "scrollZoom": False, "doubleClick": False, "showTips": False}


@dataclass(frozen=True)
class Sheet:
    """What all charts of a page are drawn from."""

    report: CostReport
    place: Place
    window: Window
    zone: dt.tzinfo
    palette: Palette
    #: the key of every slice that there is, in the order in which they first were
    order: Sequence[str]

    def bucket_id(self, bucket: Spending, *, chart: str, slice: str | None = None) -> str:
        """The id of a bucket's part in a chart."""
        start = float(bucket.key)
        part = None if self.place.by == "total" else slice
        what = LISTED.get(chart, "all")
        return Choice(at=chart, what=what, since=start, until=start + self.window.step, slice=part).id()

    @property
    def times(self) -> Times:
        """The places along time."""
        return Times(
            starts=tuple(float(one.key) for one in self.report.buckets), width=self.window.step, zone=self.zone
        )

    @property
    def chosen(self) -> str:
        """The id of the part of a chart that is chosen; it stays so while other calls of it are listed."""
        choice = self.place.choice
        return replace(choice, what=LISTED.get(choice.at, "all")).id()

    def bar(self, start: float) -> str:
        """A bar's time in words."""
        return stretch(start, start + self.window.step, self.zone)

    @property
    def each(self) -> str:
        """The length of a bar."""
        return wording.duration(self.window.step)

    def colours(self) -> dict[str, str]:
        """The colour of each slice by its label, the dearest first; those that are not in it are drawn as one."""
        shown, most = self.report.slices[: len(self.palette.slices)], len(self.palette.slices)
        ranks = {key: rank for rank, key in enumerate(self.order)}
        taken: dict[str, int] = {}
        # of two that would have the same colour, the one that was there first keeps it
        for key in sorted((one.key for one in shown), key=lambda key: (ranks.get(key, len(ranks)), key)):
            wished = ranks.get(key, len(ranks))
            taken[key] = next(place for step in range(most) if (place := (wished + step) % most) not in taken.values())
        return {one.label: self.palette.slices[taken[one.key]] for one in shown}


def palette(dark: bool) -> Palette:
    """The colours of the theme."""
    place = 1 if dark else 0
    return Palette(
        ink=("#1f2530", "#e3e6eb")[place],
        faint=("#5f6978", "#98a1b0")[place],
        line=("#d8dce3", "#343a45")[place],
        tones={name: pair[place] for name, pair in look.TONES.items()},
        slices=tuple(pair[place] for pair in charts.SLICES),
        others=charts.OTHERS[place],
    )


class Sign(NamedTuple):
    """An entry of a legend: its sign in its colour, what it stands for, and its figure."""

    colour: str
    sign: str
    words: str
    value: str


def chart(name: str, figure: go.Figure, *, title: str, note: str, legend: Sequence[Sign] = ()) -> None:
    """Draw a figure under its title, unit, window and n; a click on it becomes the choice.

    Args:
        name: of the chart on the page.
        figure: its points hold ids of choices.
        title: what is shown.
        note: its unit, window and n.
        legend: drawn above the figure, where it can wrap.
    """
    titled(title, note, legend)
    key = f"chart:{name}"
    st.plotly_chart(
        figure,
        key=key,
        on_select=lambda: at.choose(clicked(key)),
        selection_mode="points",
        config=CONFIG,
        alt=f"{title}: {note}",
    )


def titled(title: str, note: str, legend: Sequence[Sign] = ()) -> None:
    parts.section(title, note=note)
    if legend:
        st.html(
            '<div class="rd-legend">'
            + "".join(
                f'<span><span style="color:{one.colour}">{one.sign}</span> {look.safe(wording.head(one.words, 40))} '
                f"<b>{look.safe(one.value)}</b></span>"
                for one in legend
            )
            + "</div>"
        )


def clicked(key: str) -> str | None:
    """The id of the point that was just clicked, if one was."""
    state: Any = st.session_state.get(key) or {}
    for point in (state.get("selection") or {}).get("points") or []:
        given = point.get("customdata")
        id = given[0] if isinstance(given, (list, tuple)) and given else given
        if isinstance(id, str) and id:
            return id
    return None
