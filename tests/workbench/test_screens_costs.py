"""The page of costs and latency: its place in the URL, figures that say what they do not know, and the way to the calls."""

from __future__ import annotations

import datetime as dt
import json
import re
import time
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import pytest
from streamlit.testing.v1 import AppTest

from jobs.api import Engine
from jobs.store import tallies
from jobs.views.costs import CallFilter, CostReport, Spending, Ways
from tests.jobs.ledger import FAULTS, Ledger
from tests.workbench.conftest import Open, links, tables, texts
from workbench.screens.spending import behind, figures, sheet
from workbench.screens.spending.window import Choice, Place, Window, spanning, window

BERLIN = ZoneInfo("Europe/Berlin")
NONE = Spending(
    key="total", label="all calls", calls=0, accepted=0, dead=0, strikes=0, throttles=0, transport_failures=0, reused=0,
    saved=0.0, unpriced_reused=0, judged=0, cost=0.0, unpriced_calls=0, open_calls=0, set_aside=0.0, wasted=0.0, wasted_calls=0,
    prompt_tokens=0, completion_tokens=0, cached_tokens=0, p50=None, p95=None, p99=None, latency_n=0,
)  # fmt: skip
DAY = Window(since=0, until=86_400, step=1800, words="last 24 h", short="24 h")


@pytest.fixture
def runs(ledger: Ledger) -> tuple[int, int]:
    """A priced run with every fate, and one of unknown price at another connection; both within the last hours."""
    now = time.time()
    dataset = ledger.dataset(60)
    first = ledger.run(
        dataset, ledger.version(), dead=12, reused=4, reasked=3, throttled=5, began=now - 7200, pace=20.0
    )
    second = ledger.run(
        dataset,
        ledger.version(number=2),
        rows=10,
        dead=2,
        faults=FAULTS[:1],
        price=None,
        model="own-7b",
        connection="vllm",
        began=now - 1800,
    )
    return first, second


def specs(app: AppTest) -> list[dict[str, Any]]:
    """The figures on the page as the browser gets them."""
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def ids(spec: dict[str, Any]) -> list[list[str]]:
    """The ids of a figure's points, trace by trace."""
    return [[point[0] for point in trace["customdata"]] for trace in spec["data"]]


def shown(app: AppTest, label: str = "calls") -> list[dict[str, str]]:
    """A table's rows, by column."""
    data = tables(app)[label]
    keys = [column["k"] for column in data["columns"]]
    return [dict(zip(keys, (cell["t"] for cell in row["c"]), strict=True)) for row in data["rows"]]


def test_an_empty_store_says_what_the_page_is_for(open_screen: Open) -> None:
    """Before the first call there is no chart, no zero, and a way to the first run."""
    app = open_screen("costs")
    assert "No call has been made yet" in texts(app)
    assert links(app)["Launch a run"].startswith("launch")
    assert not app.get("plotly_chart")


def test_a_window_without_calls_leads_to_those_there_are(open_screen: Open, ledger: Ledger) -> None:
    """Calls outside the window are not hidden: the page says when the newest was, and links to all."""
    ledger.run(ledger.dataset(5), ledger.version(), began=time.time() - 2.5 * 86_400)
    app = open_screen("costs", window="1h", model="other")
    said = texts(app)
    assert "No call in this window with these filters" in said and "2 d ago" in said
    assert "window=all" in links(app)["Show all calls"]
    assert "model" not in links(app)["Without filters"]
    assert "5 calls" in texts(open_screen("costs", window="all"))


def test_the_figures_are_those_of_the_engine(open_screen: Open, runs: tuple[int, int], engine: Engine) -> None:
    """Tiles carry unit, n and window; money that is partly unknown is a lower bound, never a sum that pretends."""
    now = time.time()
    (total,) = engine.costs.slices(CallFilter(since=now - 86_400, until=now + 60), by="total")
    said = texts(open_screen("costs"))
    assert total.unpriced_calls == 14
    assert f"≥ {figures.money(total.cost, replace(total, unpriced_calls=0))}" in said
    assert f"n = {total.calls} calls, 14 without a price, 24 h" in said
    assert f"n = {total.wasted_calls} calls, 24 h" in said
    assert f"{total.strikes} of n = {total.judged} verdicts, 24 h" in said
    assert f"{total.prompt_tokens:,}" in said and f"{total.completion_tokens:,}" in said
    assert f"14 calls of {total.calls} have no known price" in said
    assert "nobody knows whether they were charged" not in said


def test_calls_that_broke_off_are_said_with_what_is_set_aside(open_screen: Open, ledger: Ledger) -> None:
    """A price in connections.toml would not help: nobody knows whether they were charged, only what they cost at most."""
    run = ledger.run(ledger.dataset(10), ledger.version(), began=time.time() - 600)
    with ledger.db.atomic():
        broken = "settled = 0, cost = NULL, reserved = 0.25, outcome = 'transient'"
        ledger.db.execute(f"UPDATE calls SET {broken} WHERE id IN (SELECT id FROM calls LIMIT 3)")
        tallies.recount(ledger.db, [run])

    said = texts(open_screen("costs"))
    assert (
        "3 calls of 10 broke off: nobody knows whether they were charged. At most $0.750 is set aside for them." in said
    )
    assert "n = 10 calls, 3 that broke off, 24 h" in said
    assert "no known price" not in said and "connections.toml" not in said


@pytest.mark.parametrize(
    ("spending", "spend", "each"),
    [
        (NONE, "$0", "–"),
        (replace(NONE, calls=4, cost=2.0, accepted=4), "$2.00", "$0.500"),
        (replace(NONE, calls=4, cost=2.0, accepted=4, unpriced_calls=1), "≥ $2.00", "≥ $0.500"),
        (replace(NONE, calls=4, cost=0.0, accepted=4, unpriced_calls=4), "unknown", "unknown"),
        (replace(NONE, calls=4, cost=0.0, accepted=4), "$0", "$0"),
        (replace(NONE, calls=4, cost=2.0), "$2.00", "–"),
        (replace(NONE, reused=9), "$0", "$0"),
        (replace(NONE, calls=4, cost=2.0, accepted=4, reused=4), "$2.00", "$0.250"),
    ],
)
def test_an_unknown_price_is_never_zero(spending: Spending, spend: str, each: str) -> None:
    """Free is $0, nothing sent is $0, and what nobody knows the price of is unknown."""
    assert figures.money(spending.cost, spending) == spend
    assert figures.per_accepted(spending) == each


def test_what_reuse_saved_is_never_a_guess() -> None:
    """A sum, a lower bound where the price of one answer is unknown, or unknown."""
    assert figures.saved(NONE) == "$0"
    assert figures.saved(replace(NONE, reused=3, saved=0.5)) == "$0.500"
    assert figures.saved(replace(NONE, reused=3, saved=0.5, unpriced_reused=1)) == "≥ $0.500"
    assert figures.saved(replace(NONE, reused=3, unpriced_reused=3)) == "unknown"


def test_every_tile_has_its_n_and_window() -> None:
    """No figure stands without what it is of and over which time."""
    used, fared = figures.tiles(
        replace(NONE, calls=3, accepted=2, latency_n=3, p50=0.1, p95=1.0, p99=2.0, prompt_tokens=9), DAY
    )
    for tile in [*used, *fared]:
        assert "24 h" in tile.note, tile
        assert "n = " in tile.note or "of those in" in tile.note, tile
    assert "100 ms / 1.0 s / 2.0 s" in [tile.value for tile in fared]


def test_the_breakdown_cuts_by_version_and_narrows(open_screen: Open, runs: tuple[int, int]) -> None:
    """Each slice has its own percentiles and n; an unknown price is said in its row only."""
    rows = {row["slice"]: row for row in shown(open_screen("costs"), "breakdown")}
    assert list(rows) == ["triage@1", "triage@2"]
    assert rows["triage@2"]["spend"] == "unknown" and rows["triage@1"]["spend"].startswith("$")
    assert rows["triage@1"]["throttles"] == "5" and rows["triage@1"]["reused"] == "4"
    assert rows["triage@2"]["p95"].endswith((" ms", " s"))
    by_model = shown(open_screen("costs", by="model"), "breakdown")
    assert [row["slice"] for row in by_model] == ["gpt-4o-mini", "own-7b"]
    narrowed = open_screen("costs", version="triage@2", by="connection")
    assert [row["slice"] for row in shown(narrowed, "breakdown")] == ["vllm"]
    assert {row["version"] for row in shown(narrowed)} == {"triage@2"}


def test_charts_say_unit_window_and_n(open_screen: Open, runs: tuple[int, int]) -> None:
    """Beside each chart's title stand its unit, its window and how many it is of."""
    app = open_screen("costs", by="run")
    titles = [element.proto.body for element in app.get("html") if "rd-h2" in element.proto.body]
    for title, unit in (
        ("Spend", "USD per 30 min, by run · last 24 h · n = "),
        ("Calls by outcome", "calls per 30 min · last 24 h · n = "),
        ("Latency percentiles", "seconds, of each 30 min · last 24 h · n = "),
        ("Latency histogram", "replies by seconds · last 24 h · n = "),
        ("Failures and retries", "USD on calls without a value, by run · last 24 h · n = "),
        ("Cost of each failure group", "USD for its dead rows until they died · all time · 6 groups, n = 14"),
    ):
        assert any(f">{title} <" in body and unit in body for body in titles), (title, titles)
    assert len(specs(app)) == 6


@pytest.mark.parametrize(("chart", "counts"), [(0, False), (1, True), (2, False), (3, True), (4, False)])
def test_each_point_leads_to_exactly_its_calls(
    open_screen: Open, runs: tuple[int, int], chart: int, counts: bool
) -> None:
    """A point's id in the URL lists the calls behind it, as many as it shows, and fades what is not chosen."""
    spec = specs(open_screen("costs"))[chart]
    values = spec["data"][0]["x" if chart == 4 else "y"]
    place = [place for place, value in enumerate(values) if value][-1]
    opened = open_screen("costs", **dict(parse_qsl(ids(spec)[0][place])))
    said = texts(opened)
    assert "Calls behind it" in said
    listed = int(re.findall(r"–[\d,]+ of ([\d,]+) call", said)[0].replace(",", ""))
    assert listed == values[place] if counts else listed >= 1
    again = specs(opened)[chart]["data"]
    assert ids({"data": again})[0][place] == ids(spec)[0][place]
    assert again[0]["marker"]["opacity"][place] == 1.0
    faded = [value for trace in again for value in trace["marker"]["opacity"]]
    assert faded.count(1.0) == 1 and len(faded) > 1


def test_a_choice_of_failures_lists_calls_without_a_value(open_screen: Open, runs: tuple[int, int]) -> None:
    """The bar of a slice's failures leads to that slice's calls that brought nothing, and to nothing else."""
    app = open_screen("costs", at="failures", what="wasted", slice="triage@2")
    assert "brought no value · triage@2" in texts(app)
    rows = shown(app)
    assert len(rows) == 6
    assert {row["outcome"] for row in rows} == {"✕ rejected"}
    assert {row["cost"] for row in rows} == {"unknown"}


def test_a_call_leads_to_the_inspector_of_its_row(open_screen: Open, runs: tuple[int, int], engine: Engine) -> None:
    """A row of the table stands for a call, and names the row that it asked about."""
    now = time.time()
    found, _ = engine.costs.calls(CallFilter(since=now - 86_400, until=now + 60), limit=50)
    rows = tables(open_screen("costs"))["calls"]["rows"]
    assert [row["id"] for row in rows] == [call.try_id for call in found]
    assert all(call.ordinal > 0 for call in found)


@pytest.mark.parametrize(
    "params",
    [
        {"window": "x", "by": "y", "measure": "z", "what": "q", "run": "abc", "from": "nan", "to": "inf"},
        {"from": "5", "low": "-1", "high": "x", "page": "999999"},
        {"window": "custom", "since": "9", "until": "3"},
        {"window": "custom", "since": "1700000000", "until": "1700000000"},
        {"window": "custom", "since": "1", "until": "999999999999999"},
        {"window": "custom"},
        {"run": "999999999999"},
        {"slice": "<script>", "at": "time", "prompt": "<img src=x>", "version": "a@1"},
        {"at": "nothing", "from": "1e300", "to": "1e301"},
        {"from": "9", "to": "3", "at": "time"},
    ],
)
def test_an_old_or_broken_address_still_opens(open_screen: Open, runs: tuple[int, int], params: dict[str, str]) -> None:
    """What is no value in the URL counts as absent, and nothing of it becomes mark-up."""
    app = open_screen("costs", **params)
    texts(app)
    for element in app.get("html"):
        assert "<script>" not in element.proto.body and "<img" not in element.proto.body


@pytest.mark.parametrize(
    ("length", "step", "bars"),
    [(900, 60, 16), (3600, 60, 61), (86_400, 1800, 49), (7 * 86_400, 10_800, 57), (30 * 86_400, 43_200, 61)],
)
def test_a_window_has_round_bars(length: float, step: float, bars: int) -> None:
    """Bars are equal, begin at round local times, are few enough to see, and cover the window to its ends."""
    until = dt.datetime(2026, 6, 3, 13, 7, 9, tzinfo=BERLIN).timestamp()
    found = spanning(until - length, until, BERLIN, words="", short="")
    assert (found.step, found.bars) == (step, bars)
    assert found.since <= until - length and found.until > until
    first = dt.datetime.fromtimestamp(found.since, BERLIN)
    assert (first.hour * 3600 + first.minute * 60 + first.second) % min(step, 86_400) == 0


def test_a_window_stands_still_between_two_looks() -> None:
    """Within a bar the window is the same, so that what was read for it can be kept."""
    place = Place(span="1h", by="version", measure=None, filters={}, choice=Choice())
    now = dt.datetime(2026, 6, 3, 13, 7, 2, tzinfo=BERLIN).timestamp()
    looks = {window(place, now + gap, BERLIN, lambda: None) for gap in (0, 20, 57)}
    assert len(looks) == 1
    assert looks.pop().words == "last 1 h"


def test_a_window_of_years_has_bars_of_days() -> None:
    """However long the window, its bars are not too many for a chart."""
    found = spanning(0, 1_700_000_000, dt.UTC, words="", short="")
    assert found.bars <= 62 and found.step % 86_400 == 0


def test_a_choice_survives_the_url() -> None:
    """An id is the choice as the URL holds it, whatever a slice is called."""
    choice = Choice(
        at="time", what="slow", since=1795086000.0, until=1795096800.0, low=0.95, high=None, slice="a&b=c %"
    )
    read = dict(parse_qsl(choice.id()))
    assert read == {
        "at": "time", "what": "slow", "from": "1795086000", "to": "1795096800", "low": "0.95", "slice": "a&b=c %",
    }  # fmt: skip


def test_beyond_six_slices_the_rest_is_one(open_screen: Open, ledger: Ledger) -> None:
    """Many runs make six colours and one for the others, whose bars are the others' sum; the table has them all."""
    dataset, version, now = ledger.dataset(4), ledger.version(), time.time()
    for number in range(9):
        ledger.run(dataset, version, began=now - 600 * (number + 1))
    app = open_screen("costs", by="run", measure="calls")
    traces = specs(app)[0]["data"]
    assert [trace["name"] for trace in traces][-1] == "3 others"
    assert len(traces) == 7
    assert sum(sum(trace["y"]) for trace in traces) == 36
    assert len(shown(app, "breakdown")) == 9


def test_a_colour_keeps_its_meaning_in_every_window(open_screen: Open, ledger: Ledger) -> None:
    """A model has the colour of its place among all that there ever were, whatever else is in the window and how dear it is."""
    dataset, version, now = ledger.dataset(12), ledger.version(), time.time()
    for model, rows, hours in (("first", 2, 40), ("second", 4, 1), ("third", 12, 40), ("first", 1, 1)):
        ledger.run(dataset, version, rows=rows, model=model, began=now - 3600 * hours)

    def colours(span: str) -> dict[str, str]:
        app = open_screen("costs", by="model", measure="calls", window=span)
        return {trace["name"]: trace["marker"]["color"] for trace in specs(app)[0]["data"]}

    week, day = colours("7d"), colours("24h")
    assert list(week) == ["third", "second", "first"] and list(day) == ["second", "first"]
    assert day == {name: week[name] for name in day}
    assert [week[name] for name in ("first", "second", "third")] == list(sheet.palette(False).slices[:3])


def test_of_two_that_would_have_one_colour_the_later_takes_the_next() -> None:
    """Beyond six slices colours come round again, and no two in one chart are the same."""
    order = [f"m{n}" for n in range(8)]
    slices = tuple(replace(NONE, key=key, label=key) for key in ("m7", "m0", "m6", "m1", "new"))
    palette = sheet.palette(False)
    report = CostReport(total=NONE, slices=slices, buckets=(), series=(), latencies=(), ways=Ways(went=(), saved=()))
    place = Place(span="24h", by="model", measure="calls", filters={}, choice=Choice())
    found = sheet.Sheet(report, place, DAY, BERLIN, palette, order).colours()
    assert {name: palette.slices.index(colour) for name, colour in found.items()} == {
        "m0": 0, "m1": 1, "m6": 2, "m7": 3, "new": 4,
    }  # fmt: skip
    assert list(found) == [one.label for one in slices]


def test_colours_have_both_themes() -> None:
    """Every colour of a chart is given for light and for dark."""
    light, dark = sheet.palette(False), sheet.palette(True)
    assert len(light.slices) == len(set(light.slices)) == len(dark.slices) == 6
    assert not set(light.slices) & set(dark.slices)
    assert set(light.tones) == set(dark.tones) and light.ink != dark.ink


def test_a_stretch_names_its_day_once() -> None:
    """From when to when, in the browser's zone."""
    start = dt.datetime(2026, 6, 3, 9, 30, tzinfo=BERLIN).timestamp()
    assert behind.stretch(start, start + 1800, BERLIN) == "2026-06-03 09:30 to 10:00"
    assert behind.stretch(start, start + 86_400, BERLIN) == "2026-06-03 09:30 to 2026-06-04 09:30"
    assert behind.stretch(start, start + 15, BERLIN) == "2026-06-03 09:30:00 to 09:30:15"
