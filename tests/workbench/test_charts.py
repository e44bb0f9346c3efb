"""Charts as figures: what is clicked is an id, what is unknown is no zero, and hostile names stay text."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from workbench.parts import charts
from workbench.parts.charts import Bar, Layer, Palette, Times

PALETTE = Palette(ink="#111", faint="#222", line="#333", tones={}, slices=("#444",), others="#555")
BERLIN = ZoneInfo("Europe/Berlin")
#: 2026-11-22 08:00 UTC, 09:00 in Berlin
START = dt.datetime(2026, 11, 22, 8, tzinfo=dt.UTC).timestamp()


def layer(name: str, values: tuple[float | None, ...]) -> Layer:
    ids = tuple(f"{name}:{place}" for place in range(len(values)))
    return Layer(name=name, colour="#123456", values=values, tips=tuple("tip" for _ in values), ids=ids)


def times(many: int) -> Times:
    return Times(starts=tuple(START + 1800 * place for place in range(many)), width=1800, zone=BERLIN)


def drawn(figure: Any) -> dict[str, Any]:
    found: dict[str, Any] = figure.to_plotly_json()
    return found


def test_bars_stand_on_local_times_and_hold_their_ids() -> None:
    """A bar begins at its place's local time, is as wide as the place, and carries the id that a click reports."""
    figure = drawn(
        charts.stacked([layer("a", (1.0, 2.0)), layer("b", (0.5, 0.0))], times(2), unit="usd", palette=PALETTE)
    )
    first, second = figure["data"]
    assert list(first["x"]) == ["2026-11-22T09:00:00", "2026-11-22T09:30:00"]
    assert list(first["width"]) == [1_800_000, 1_800_000] and first["offset"] == 0
    assert first["customdata"] == [["a:0"], ["a:1"]] and second["customdata"] == [["b:0"], ["b:1"]]
    assert figure["layout"]["barmode"] == "stack"
    assert figure["layout"]["yaxis"]["tickprefix"] == "$"
    assert list(figure["layout"]["xaxis"]["range"]) == ["2026-11-22T09:00:00", "2026-11-22T10:00:00"]


@pytest.mark.parametrize(
    ("chosen", "opacities"),
    [
        (None, [1.0, 1.0]),
        ("of another chart", [1.0, 1.0]),
        ("a:1", [[charts._FADED, 1.0], [charts._FADED, charts._FADED]]),
    ],
)
def test_only_what_is_chosen_here_fades_the_rest(chosen: str | None, opacities: list[Any]) -> None:
    """A choice in another chart changes nothing; one in this chart fades everything else."""
    figure = drawn(
        charts.stacked(
            [layer("a", (1.0, 2.0)), layer("b", (1.0, 1.0))], times(2), unit="calls", palette=PALETTE, chosen=chosen
        )
    )
    assert [trace["marker"]["opacity"] for trace in figure["data"]] == opacities


def test_a_place_without_a_latency_is_a_gap() -> None:
    """Where nothing was measured the line breaks, and is not drawn at zero or through."""
    (trace,) = drawn(charts.lines([layer("p50", (1.0, None, 3.0))], times(3), unit="seconds", palette=PALETTE))["data"]
    assert list(trace["y"]) == [1.0, None, 3.0]
    assert trace["connectgaps"] is False
    assert trace["x"][0] == "2026-11-22T09:15:00"


@pytest.mark.parametrize(
    "values",
    [
        [0.5],
        [0.0, 0.0, 0.0],
        [1.0] * 500,
        [0.1 * n for n in range(1, 400)],
        [0.2] * 99 + [600.0],
        sorted((n * 7919 % 1000) / 331 for n in range(1000)),
        sorted(0.3 + (n % 97) / 100 for n in range(1600)),
        [0.1499999999, 0.15, 0.95, 0.9500000001],
    ],
)
def test_every_latency_is_in_one_bin(values: list[float]) -> None:
    """Bins touch, have round edges, hold every value once, and only the last may be open."""
    found = charts.bins(values)
    assert sum(one.n for one in found) == len(values)
    for one, after in zip(found, found[1:], strict=False):
        assert one.high == after.low and math.isfinite(one.high)
    closed = [one for one in found if math.isfinite(one.high)]
    assert 1 <= len(closed) <= 2 * charts.BINS + 2
    for one in found:
        inside = sum(one.low <= value < one.high for value in values)
        assert one.n == inside, one
    assert found[0].n > 0


def test_no_latency_makes_no_bins() -> None:
    """Nothing measured is nothing drawn."""
    assert charts.bins([]) == []
    assert not charts.histogram([], marks=[], colour="#fff", palette=PALETTE).data


def test_a_long_tail_does_not_squeeze_the_rest() -> None:
    """What is beyond the 99th percentile is one bin without an end, hatched and a step wide."""
    found = charts.bins([0.2 + n / 1000 for n in range(990)] + [600.0] * 10)
    assert found[-1].n == 10 and math.isinf(found[-1].high)
    bars = [(one, "tip", f"id{place}") for place, one in enumerate(found)]
    figure = drawn(charts.histogram(bars, marks=[0.5, 600.0], colour="#fff", palette=PALETTE))
    (trace,) = figure["data"]
    assert trace["marker"]["pattern"]["shape"][-2:] == ["", "/"]
    last = figure["layout"]["xaxis"]["range"][1]
    assert last < 2
    assert max(line["x0"] for line in figure["layout"]["shapes"]) <= last


def test_an_unknown_amount_is_said_and_not_drawn_as_zero() -> None:
    """A bar of unknown length has no length, and its label says that it is unknown."""
    bars = [
        Bar(name="dear", value=2.0, label="$2.00 (4 calls)", tip="", id="x", colour="#111"),
        Bar(name="own", value=None, label="unknown (3 calls)", tip="", id="y", colour="#222"),
    ]
    figure = drawn(charts.across(bars, unit="usd", palette=PALETTE, chosen="y"))
    (trace,) = figure["data"]
    assert list(trace["x"]) == [2.0, 0.0]
    assert [note["text"] for note in figure["layout"]["annotations"]] == ["$2.00 (4 calls)", "unknown (3 calls)"]
    assert trace["marker"]["opacity"] == [charts._FADED, 1.0]
    assert trace["customdata"] == [["x"], ["y"]]
    assert "text" not in trace  # Streamlit 1.67 reports no click on such a bar


@pytest.mark.parametrize("name", ["<b>x</b>", '<a href="javascript:alert(1)">x</a>', "a\u202eb", "%{y}", "x" * 500])
def test_hostile_names_are_text(name: str) -> None:
    """No tag of a name reaches a figure, and a name is neither endless nor able to turn what follows."""
    bars = [Bar(name=name, value=1.0, label=name, tip=charts.plain(name), id=name, colour="#111")]
    figure = charts.across(bars, unit="usd", palette=PALETTE)
    stacks = charts.stacked([layer(name, (1.0,))], times(1), unit="usd", palette=PALETTE)
    shown = [
        *figure.layout.yaxis.ticktext,
        *(note.text for note in figure.layout.annotations),
        *figure.data[0].hovertext,
        stacks.data[0].name,
    ]
    for text in shown:
        assert "<" not in text and "\u202e" not in text and len(text) <= 260
    assert figure.data[0].hovertemplate is None and figure.data[0].texttemplate is None


def test_nothing_can_be_dragged_and_no_legend_can_be_cut() -> None:
    """A click is a choice: axes are fixed; legends are drawn by the screen, where they wrap."""
    layers = [layer(f"slice {n}", (1.0,)) for n in range(9)]
    for figure in (
        charts.stacked(layers, times(1), unit="tokens", palette=PALETTE),
        charts.lines(layers[:3], times(1), unit="seconds", palette=PALETTE),
        charts.across(
            [Bar(name="n", value=1.0, label="", tip="", id="", colour="#111")], unit="calls", palette=PALETTE
        ),
    ):
        assert figure.layout.showlegend is False
        assert figure.layout.dragmode is False
        assert figure.layout.xaxis.fixedrange and figure.layout.yaxis.fixedrange
