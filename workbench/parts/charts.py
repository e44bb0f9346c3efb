"""Charts as Plotly figures: what is drawn comes in as small frozen values, and what a person clicks goes out as an id.

Nothing here draws on a screen, so that every figure can be tested. A figure shows what its caller says is chosen, since the
place in the URL is what holds a choice, and not the browser's own mark. Plotly reads its texts as a little HTML, so every
name passes ``plain``. Legends, titles, units and n are drawn by the screen, where they can wrap.
"""

from __future__ import annotations

import datetime as dt
import html
import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import plotly.graph_objects as go

from workbench import wording

#: pixels
HEIGHT = 230
_BAR, _TOP = 27, 34
#: how much is left of what is not chosen
_FADED = 0.3
#: characters of a name on an axis
_NAME = 32
#: bins of a histogram, about
BINS = 36

Unit = Literal["usd", "calls", "rows", "tokens", "seconds"]

_AXIS: dict[Unit, dict[str, str]] = {
    "usd": {"tickprefix": "$"},
    "calls": {},
    "rows": {},
    "tokens": {},
    "seconds": {"ticksuffix": " s"},
}
#: colours of slices, (light, dark): told apart by those who see few colours, and none of them a state's
SLICES: tuple[tuple[str, str], ...] = (
    ("#2f5fb3", "#7fa9f0"),
    ("#d1902b", "#e2b25c"),
    ("#6a4fa3", "#b49ae6"),
    ("#2a9d9a", "#62c9c5"),
    ("#b04a86", "#e394c0"),
    ("#7c8b3c", "#b5c46d"),
)
OTHERS = ("#8a93a1", "#7d8694")


@dataclass(frozen=True, kw_only=True)
class Palette:
    """The colours of a theme: of text, of lines, and of the tones of states."""

    ink: str
    faint: str
    line: str
    tones: Mapping[str, str]
    slices: tuple[str, ...]
    others: str


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One colour of a chart: a value, a tip and an id for every place; a value of None is a gap."""

    name: str
    colour: str
    values: tuple[float | None, ...]
    tips: tuple[str, ...]
    ids: tuple[str, ...]
    #: a hatching, or a line's symbol: colour is never the only sign
    pattern: str = ""


@dataclass(frozen=True, kw_only=True)
class Times:
    """Places along time, of equal length."""

    starts: tuple[float, ...]
    width: float
    zone: dt.tzinfo

    def local(self, moment: float) -> str:
        """A moment as the axis takes it: Plotly knows no zones, so it is given the local time."""
        return dt.datetime.fromtimestamp(moment, self.zone).replace(tzinfo=None).isoformat()


@dataclass(frozen=True, kw_only=True)
class Bin:
    """So many values from ``low`` up to ``high``, which is left out; the last one may have no end."""

    low: float
    high: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A bar across, with its label at its end; a value of None is unknown and has a label only."""

    name: str
    value: float | None
    label: str
    tip: str
    id: str
    colour: str


def plain(text: str, most: int = 200) -> str:
    """A hostile text for a figure, where Plotly would read tags."""
    return html.escape(wording.head(text, most), quote=False)


def stacked(
    layers: Sequence[Layer], times: Times, *, unit: Unit, palette: Palette, chosen: str | None = None
) -> go.Figure:
    """Bars over time, a layer on the other."""
    figure = go.Figure()
    for layer in layers:
        figure.add_bar(
            x=[times.local(start) for start in times.starts],
            y=list(layer.values),
            width=[times.width * 1000] * len(times.starts),
            offset=0,
            name=plain(layer.name),
            hovertext=list(layer.tips),
            hoverinfo="text",
            customdata=[[id] for id in layer.ids],
            marker={
                "color": layer.colour,
                "opacity": _opacities(layer.ids, layers, chosen),
                "pattern": {"shape": layer.pattern, "fillmode": "replace", "solidity": 0.55} if layer.pattern else None,
                "line": {"width": 0},
            },
        )
    figure.update_layout(barmode="stack")
    _along_time(figure, times, unit, palette)
    return figure


def lines(
    layers: Sequence[Layer], times: Times, *, unit: Unit, palette: Palette, chosen: str | None = None
) -> go.Figure:
    """Lines over time through the middle of each place; a place without a value is a gap."""
    figure = go.Figure()
    dashes = ("solid", "dash", "dot")
    for place, layer in enumerate(layers):
        figure.add_scatter(
            x=[times.local(start + times.width / 2) for start in times.starts],
            y=list(layer.values),
            mode="lines+markers",
            connectgaps=False,
            name=plain(layer.name),
            hovertext=list(layer.tips),
            hoverinfo="text",
            customdata=[[id] for id in layer.ids],
            line={"color": layer.colour, "width": 1.6, "dash": dashes[place % 3]},
            marker={
                "size": 7,
                "color": layer.colour,
                "symbol": layer.pattern or "circle",
                "opacity": _opacities(layer.ids, layers, chosen),
            },
        )
    _along_time(figure, times, unit, palette)
    return figure


def bins(ordered: Sequence[float], most: int = BINS) -> list[Bin]:
    """Equal bins with round edges up to the 99th percentile, and one for what is beyond; of values in ascending order."""
    if not ordered:
        return []
    low, high = ordered[0], ordered[max(0, math.ceil(0.99 * len(ordered)) - 1)]
    step = _round_step((high - low) / most or max(high, 0.001) / most)
    first = math.floor(low / step)
    if round(first * step, 9) > low:
        first -= 1
    elif round((first + 1) * step, 9) <= low:
        first += 1
    count = max(1, math.floor(high / step) - first + 1)
    edge = [round((first + n) * step, 9) for n in range(count + 1)]
    # counted by the edges themselves, as the calls behind a bin are: a quotient may round to the other side of one
    below = [bisect_left(ordered, one) for one in edge]
    made = [Bin(low=edge[n], high=edge[n + 1], n=below[n + 1] - below[n]) for n in range(count)]
    beyond = len(ordered) - below[-1]
    return [*made, Bin(low=edge[count], high=math.inf, n=beyond)] if beyond else made


def histogram(
    found: Sequence[tuple[Bin, str, str]],
    *,
    marks: Sequence[float],
    colour: str,
    palette: Palette,
    chosen: str | None = None,
) -> go.Figure:
    """Counts by value, with up to three values marked by a solid, a dashed and a dotted line; a bin has its tip and its id."""
    figure = go.Figure()
    if not found:
        return figure
    step = found[0][0].high - found[0][0].low if math.isfinite(found[0][0].high) else 1.0
    ids = [id for _, _, id in found]
    figure.add_bar(
        x=[one.low for one, _, _ in found],
        y=[one.n for one, _, _ in found],
        width=[step * 0.94] * len(found),
        offset=0,
        hovertext=[tip for _, tip, _ in found],
        hoverinfo="text",
        customdata=[[id] for id in ids],
        marker={
            "color": colour,
            "opacity": [_FADED if chosen in ids and id != chosen else 1.0 for id in ids],
            "pattern": {"shape": ["" if math.isfinite(one.high) else "/" for one, _, _ in found]},
            "line": {"width": 0},
        },
    )
    first, last = found[0][0].low, found[-1][0].low + step
    for value, dash in zip(marks, ("solid", "dash", "dot"), strict=False):
        figure.add_vline(x=min(max(value, first), last), line={"color": palette.ink, "width": 1.4, "dash": dash})
    _frame(figure, palette, HEIGHT)
    figure.update_xaxes(range=[first, last], **_ticks("seconds"))
    figure.update_yaxes(**_ticks("calls"), rangemode="tozero")
    return figure


def across(bars: Sequence[Bar], *, unit: Unit, palette: Palette, chosen: str | None = None) -> go.Figure:
    """Bars across, the first at the top, each with its label at its end."""
    figure = go.Figure()
    ids = [bar.id for bar in bars]
    most = max((bar.value or 0.0 for bar in bars), default=0.0)
    figure.add_bar(
        orientation="h",
        x=[bar.value or 0.0 for bar in bars],
        y=list(range(len(bars))),
        width=0.62,
        hovertext=[bar.tip for bar in bars],
        hoverinfo="text",
        customdata=[[id] for id in ids],
        marker={
            "color": [bar.colour for bar in bars],
            "opacity": [_FADED if chosen in ids and bar.id != chosen else 1.0 for bar in bars],
            "line": {"width": 0},
        },
    )
    # labels are annotations: a bar with a text of its own and a colour of its own reports no click to Streamlit 1.67
    for place, bar in enumerate(bars):
        figure.add_annotation(
            x=bar.value or 0.0, y=place, text=plain(bar.label), showarrow=False, xanchor="left", xshift=3,
            font={"color": palette.ink},
        )  # fmt: skip
    _frame(figure, palette, max(HEIGHT // 2, _BAR * len(bars) + _TOP))
    # the label of the longest bar stands beyond its end
    figure.update_xaxes(range=[0, most * 1.5 or 1.0], **_ticks(unit))
    figure.update_yaxes(
        autorange="reversed",
        tickmode="array",
        tickvals=list(range(len(bars))),
        ticktext=[plain(bar.name, _NAME) for bar in bars],
        showgrid=False,
        zeroline=False,
    )
    return figure


def _opacities(ids: Sequence[str], layers: Sequence[Layer], chosen: str | None) -> list[float] | float:
    """Everything is whole unless something of this chart is chosen."""
    if chosen is None or not any(chosen in layer.ids for layer in layers):
        return 1.0
    return [1.0 if id == chosen else _FADED for id in ids]


def _along_time(figure: go.Figure, times: Times, unit: Unit, palette: Palette) -> None:
    _frame(figure, palette, HEIGHT)
    if times.starts:
        figure.update_xaxes(
            type="date", range=[times.local(times.starts[0]), times.local(times.starts[-1] + times.width)]
        )
    figure.update_xaxes(nticks=8)
    figure.update_yaxes(**_ticks(unit), rangemode="tozero")


def _ticks(unit: Unit) -> dict[str, object]:
    return {**_AXIS[unit], "exponentformat": "none", "separatethousands": True, "nticks": 5}


def _frame(figure: go.Figure, palette: Palette, height: int) -> None:
    """What all figures have in common; nothing can be dragged or zoomed, since a click means a choice."""
    figure.update_layout(
        height=height,
        margin={"l": 4, "r": 8, "t": 8, "b": 4},
        showlegend=False,
        dragmode=False,
        clickmode="event+select",
        bargap=0,
        hovermode="closest",
        hoverlabel={"align": "left"},
        font={"color": palette.ink},
    )
    figure.update_xaxes(
        fixedrange=True, automargin=True, linecolor=palette.line, gridcolor=palette.line, showgrid=False, title=None,
        tickfont={"color": palette.faint},
    )  # fmt: skip
    figure.update_yaxes(
        fixedrange=True, automargin=True, zerolinecolor=palette.line, gridcolor=palette.line, title=None,
        tickfont={"color": palette.faint},
    )  # fmt: skip


def _round_step(step: float) -> float:
    """The next larger step of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(round(factor * power, 12) for factor in (1, 2, 5, 10) if factor * power >= step * 0.999)
