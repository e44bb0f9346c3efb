"""Reading datasets, prompts and runs: no page walks through a large table, at a size where that would be slow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobs.api import Engine
from jobs.api.launch import Launch
from jobs.options import RunOptions
from jobs.settings import Connection, Settings
from jobs.store import archiving
from jobs.store.database import open_writer
from jobs.values import Thing
from tests.jobs.ledger import Ledger

LARGE = ("rows", "run_rows", "calls", "attempts", "dead_letters", "results", "result_moves", "reuse")
#: the names that queries give them
ALIASES = {"r", "rr", "t", "s", "sr", "a", "d", "c", "l"}
ROWS, DEAD = 100_000, 5_000

Page = Callable[[Engine, str, int, int], object]
#: what pages ask of the engine: dataset, run and version are given
PAGES: dict[str, Page] = {
    "datasets": lambda e, d, r, v: e.datasets.list(),
    "dataset": lambda e, d, r, v: e.datasets.get(d),
    "rows": lambda e, d, r, v: e.datasets.page(d, offset=0, limit=50),
    "rows far down": lambda e, d, r, v: e.datasets.page(d, offset=99_000, limit=50),
    "row": lambda e, d, r, v: e.datasets.row(d, 3),
    "prompts": lambda e, d, r, v: e.prompts.list(),
    "versions": lambda e, d, r, v: e.prompts.versions("triage"),
    "runs": lambda e, d, r, v: e.runs.list(),
    "runs of a prompt": lambda e, d, r, v: e.runs.list(prompt="triage", state="running", kinds=["run"]),
    "archived runs": lambda e, d, r, v: e.runs.list(archived=True),
    "run": lambda e, d, r, v: e.runs.get(r),
    "results": lambda e, d, r, v: e.runs.results(r, offset=0, limit=50),
    "results far down": lambda e, d, r, v: e.runs.results(r, offset=90_000, limit=50),
    "results accepted": lambda e, d, r, v: e.runs.results(r, offset=90_000, limit=50, state="accepted"),
    "results dead": lambda e, d, r, v: e.runs.results(r, offset=3_000, limit=50, state="dead"),
    "results waiting": lambda e, d, r, v: e.runs.results(r, offset=0, limit=50, state="waiting"),
    "own results": lambda e, d, r, v: e.runs.results(r, offset=90_000, limit=50, as_run=True),
    "own accepted": lambda e, d, r, v: e.runs.results(r, offset=90_000, limit=50, as_run=True, state="accepted"),
    "own dead": lambda e, d, r, v: e.runs.results(r, offset=4_000, limit=50, as_run=True, state="dead"),
    "outlook": lambda e, d, r, v: e.runs.outlook(r),
    "groups": lambda e, d, r, v: e.runs.groups(r),
    "resolutions": lambda e, d, r, v: e.runs.resolutions(r),
    "letters by cause": lambda e, d, r, v: e.letters.groups(),
    "letters": lambda e, d, r, v: e.letters.list(limit=50),
    "letters of a prompt": lambda e, d, r, v: e.letters.standing(prompt="triage"),
    "all that is archived": lambda e, d, r, v: e.archive.look(),
    "what archiving would do": lambda e, d, r, v: e.archive.weigh(
        [e.archive.run(r), e.archive.dataset(d), e.archive.prompt("triage")]
    ),
    "forecast": lambda e, d, r, v: e.runs.forecast(
        Launch(
            version=e.prompts.get(v),
            dataset=e.datasets.get(d),
            connection=Connection(name="openai"),
            model="gpt-4o-mini",
            options=RunOptions(),
            limit=2_000,
        )
    ),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, str, int, int]]:
    """100,000 rows, 5,000 of them dead, some in calls and waiting, a replay of 2,000, and 200 runs that are archived."""
    home = tmp_path_factory.mktemp("large")
    settings = Settings(home=home, prompts=home / "prompts")
    db = open_writer(settings.database)
    db.execute("PRAGMA synchronous = OFF")
    ledger = Ledger(db)
    dataset, version = ledger.dataset(ROWS), ledger.version()
    run = ledger.run(
        dataset, version, dead=DEAD, reused=1_500, reasked=3_000, throttled=1_000, struck=500, due=1_000,
        dispatched=200, backing_off=100,
    )  # fmt: skip
    ledger.replay(run, ledger.version(number=2), fixed=1_500, same=300, new=150, waiting=50)
    nightly = [ledger.run(dataset, version, rows=1, kind="run") for _ in range(200)]
    with db.atomic():
        archiving.archive(db, [Thing(kind="run", name=str(one)) for one in nightly], now=ledger.now)
    db.close()
    with Engine(settings) as engine:
        yield engine, dataset, run, version


@pytest.mark.parametrize("page", PAGES)
def test_no_page_walks_through_a_large_table(store: tuple[Engine, str, int, int], page: str) -> None:
    """Every query finds its rows through a key or an index."""
    plans = _plans(store[0], lambda: PAGES[page](*store))
    assert plans or page == "prompts"
    assert _walks(plans) == []


def _plans(engine: Engine, ask: Callable[[], object]) -> list[tuple[str, str]]:
    """Each step of each query that is run, with the query."""
    asked: list[str] = []
    db = engine.runs.read()
    db.conn.set_trace_callback(asked.append)
    ask()
    db.conn.set_trace_callback(None)
    return [
        (step[3], sql)
        for sql in asked
        if sql.lstrip().upper().startswith(("SELECT", "WITH"))
        for step in db.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()
    ]


def _walks(plans: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [
        (step, sql)
        for step, sql in plans
        if step.startswith("SCAN") and step.split()[1] in {*LARGE, *ALIASES} and not _small(sql)
    ]


def _small(sql: str) -> bool:
    """Whether a query's aliases stand for small tables: lists of runs, datasets, versions and labels."""
    return not any(f" {table} " in f"{sql} ".replace("\n", " ") for table in LARGE)


def test_a_search_is_one_pass_and_then_kept(store: tuple[Engine, str, int, int]) -> None:
    """The first page of a search looks at the cells of every row once; the next pages, and those of its runs, do not."""
    engine, dataset, run, _ = store
    found: list[tuple[list[Any], int]] = []

    def page(offset: int) -> Callable[[], object]:
        return lambda: found.append(engine.datasets.page(dataset, offset=offset, limit=50, search="T-0999"))

    first = _plans(engine, page(0))
    rest = _plans(engine, page(50))
    rest += _plans(engine, lambda: found.append(engine.runs.results(run, offset=0, limit=50, search="T-0999")))
    assert [ordinal for ordinal, _ in found[0][0]] == list(range(99_900, 99_950))
    assert [ordinal for ordinal, _ in found[1][0]] == list(range(99_950, 100_000))
    assert [total for _, total in found] == [100] * 3
    assert len({sql for _, sql in first if "cells LIKE" in sql}) == 1
    assert rest and not [sql for _, sql in rest if "cells LIKE" in sql] and _walks(rest) == []


def test_counts_at_size_add_up(store: tuple[Engine, str, int, int]) -> None:
    """What the screens show of the large run is what was put there."""
    engine, _, run, _ = store
    counts = engine.runs.get(run).counts
    assert (counts.rows, counts.dead, counts.waiting, counts.dispatched) == (ROWS, DEAD, 1_800, 200)
    assert (counts.backing_off, counts.struck, counts.reused) == (100, 500, 1_500)
    assert engine.runs.results(run, offset=0, limit=1, state="accepted")[1] == counts.accepted + 1_500
