"""Where the money went and what was saved, on Costs and latency and on a run's page: each line opens what is behind it."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from jobs.api import Engine
from jobs.views.costs import CallFilter
from tests.jobs.ledger import Ledger
from tests.workbench.conftest import Open, links, tables, texts
from workbench import ways

UPPER: dict[str, Any] = {
    "connection": "openai",
    "base_url": "https://api.openai.com/v1",
    "model": "gpt-4o",
    "price": {"input": 2.5, "output": 10.0, "cached": 1.25},
}
OPTIONS = {"ladder": {"climbs": [{"model": "gpt-4o"}]}}
WENT, SAVED = "where the money went", "what was saved"


@pytest.fixture
def run(ledger: Ledger) -> int:
    """A run with a ladder that has met most of what may happen, within the last hours."""
    return ledger.run(
        ledger.dataset(100), ledger.version(), dead=12, reused=10, reasked=5, climbed=15, throttled=4,
        began=time.time() - 7200, pace=20.0, upper=UPPER, cached=0.4, options=OPTIONS,
    )  # fmt: skip


def shown(found: dict[str, Any]) -> dict[str, list[str]]:
    """A table's rows: the id, and what its cells say behind the first."""
    return {row["id"]: [cell["t"] for cell in row["c"][1:]] for row in found["rows"]}


def test_the_tables_are_the_engines_figures(open_screen: Open, run: int, engine: Engine) -> None:
    """In words, with share and n; the lines of the first add up to the spend."""
    app = open_screen("costs")
    found = engine.costs.ways(CallFilter(since=0, until=4e9))
    went, saved = shown(tables(app)[WENT]), shown(tables(app)[SAVED])

    assert list(went) == ["first", "again", "rejected", "doubted", "failed", "all"]
    assert list(saved) == ["reuse", "cache", "ladder", "all"]
    for one in found.went:
        assert (went[one.name][0], went[one.name][2]) == (ways.money(one), ways.many(one))
    for one in found.saved:
        assert (saved[one.name][0], saved[one.name][2]) == (ways.money(one), ways.many(one))
    (total,) = engine.costs.slices(CallFilter(since=0, until=4e9), by="total")
    assert sum(one.money for one in found.went) == pytest.approx(total.cost)
    assert saved["ladder"][0].startswith("≈ ") and saved["cache"][0].startswith("$")


@pytest.mark.parametrize(
    "what",
    ["went-first", "went-again", "went-rejected", "went-doubted", "went-failed", "saved-cache", "saved-ladder"],
)
def test_a_line_opens_its_calls(open_screen: Open, run: int, what: str) -> None:
    """As many as its n, below the tables; the control of outcomes is not there, since these are other classes."""
    table, _, way = what.partition("-")
    app = open_screen("costs", at=table, what=what)
    n = shown(tables(app)[WENT if table == "went" else SAVED])[way][2].split()[0]
    said = texts(app)

    assert re.findall(r"–[\d,]+ of ([\d,]+) call", said) == [n]
    assert "Calls behind it" in said and f"{ways.WORDS[way].name.lower()} · last 24 h" in said
    assert not app.get("button_group")[3:]


def test_reused_answers_open_their_rows(open_screen: Open, run: int) -> None:
    """Each with what its answer had cost; no call stands behind them."""
    app = open_screen("costs", at="saved", what="saved-reuse")
    rows = tables(app)["rows that reused an answer"]["rows"]

    assert len(rows) == 10 and all(row["id"].startswith(f"{run}/") for row in rows)
    assert "Rows behind it" in texts(app) and "calls" not in tables(app)


def test_a_filter_by_the_dear_model_leaves_its_calls(open_screen: Open, run: int) -> None:
    """The model of the call's own rung, which the filter offers."""
    app = open_screen("costs", model="gpt-4o", by="model")

    assert list(shown(tables(app)["breakdown"])) == ["gpt-4o"]
    assert shown(tables(app)[WENT])["first"][2] == "15 calls" and set(shown(tables(app)[WENT])) == {"first", "all"}
    assert {row["c"][4]["t"] for row in tables(app)["calls"]["rows"]} == {"gpt-4o"}
    assert "gpt-4o" in app.selectbox[3].options and "gpt-4o-mini" in app.selectbox[3].options


def test_where_nothing_was_saved_it_says_what_would_stand_there(open_screen: Open, ledger: Ledger) -> None:
    """Each way that there is."""
    ledger.run(ledger.dataset(5), ledger.version(), began=time.time() - 600)
    said = texts(open_screen("costs"))

    assert "Nothing in this window. Equal rows whose answers are reused" in said


def test_a_runs_page_says_it_in_two_lines(open_screen: Open, run: int, ledger: Ledger) -> None:
    """With the way to the page of costs; a run of first answers alone has none."""
    app = open_screen("run", id=run)
    said = texts(app)

    assert "Money went to" in said and "doubted replies <b>" in said and "ladder of models <b>≈ " in said
    assert f"run={run}" in links(app)["Costs"]
    plain = ledger.run(ledger.dataset(5), ledger.version(number=2), began=time.time() - 600)
    assert "Money went to" not in texts(open_screen("run", id=plain))
