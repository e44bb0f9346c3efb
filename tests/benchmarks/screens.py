"""How long every screen's questions to the store take, at a size that a home may grow to, and that no big table is walked for one.

``python -m tests.benchmarks.screens --rows 1000000 --dead 20000`` fills a store of that size and asks. Cold is a new engine
that has kept nothing, on a new connection; warm is the same question again. The file is in the system's memory, as that of a
home in use is. A question over the limit is asked again some times, since other work of the machine is none of its fault: its
best time counts. A limit that is exceeded, or a plan that walks a big table from end to end, makes the exit code 1.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

from jobs.api import Engine
from jobs.settings import Connection, Settings
from jobs.store.database import open_writer
from jobs.store.reading_calls import Which
from jobs.views.costs import By, CallFilter
from tests.benchmarks.stock import DAY, RUNG, Stock, fill
from workbench.screens.spending.window import SPANS, spanning

#: seconds in which a page answers
LIMIT = 0.5
#: how often a question is asked: at least, and at most while it is over the limit
LEAST, MOST = 3, 20
ZONE = ZoneInfo("Europe/Berlin")
#: tables that grow with the rows that were asked about
BIG = {
    "attempts", "asking", "calls", "dead_letters", "result_moves", "results", "reuse", "rows", "run_rows", "tallies", "ways",
}  # fmt: skip


@dataclass(frozen=True)
class Question:
    """What one screen asks a room of the engine for."""

    screen: str
    words: str
    #: the room and its method, and what it is given
    method: str
    given: dict[str, Any] = field(default_factory=dict)

    def ask(self, engine: Engine) -> None:
        """Get the answer."""
        given = dict(self.given)
        among = [given.pop("among")] if "among" in given else []
        attrgetter(self.method)(engine)(*among, **given)


def questions(stock: Stock, rows: int) -> Iterator[Question]:
    """Every question of every screen, in its widest form."""
    yield Question("overview", "all of it", "system.overview", {"now": stock.now})
    yield Question("system", "parts", "system.look")
    for kind in ("run", "replay"):
        yield Question("runs", f"first page of kind {kind}", "runs.list", {"kinds": [kind]})
    yield Question("runs", "last page", "runs.list", {"offset": 50})
    dataset = {"dataset_id": stock.dataset, "limit": 50}
    yield Question("datasets", "list", "datasets.list")
    yield Question("dataset", "first page", "datasets.page", dataset | {"offset": 0})
    yield Question("dataset", "last page", "datasets.page", dataset | {"offset": rows - 50})
    yield Question("prompts", "list", "prompts.list")
    yield from _runs(stock)
    yield from _values(stock, rows * 7 // 10)
    yield from _letters(stock)
    yield from _replay(stock)
    yield from _costs(stock)
    yield from _calls(stock)


def _runs(stock: Stock) -> Iterator[Question]:
    for name, run in (("finished", stock.finished), ("running", stock.running), ("replay", stock.replay)):
        screen = f"run ({name})"
        yield Question(screen, "its figures", "runs.get", {"run_id": run})
        yield Question(screen, "what it will come to", "runs.outlook", {"run_id": run})
        yield Question(screen, "causes of death", "runs.groups", {"run_id": run})
        yield Question(screen, "resolutions", "runs.resolutions", {"run_id": run})
        yield Question(screen, "decisions", "letters.decisions", {"run": run, "limit": 500})
        yield Question(
            screen, "accepted now", "runs.results", {"run_id": run, "offset": 0, "limit": 0, "state": "accepted"}
        )


def _values(stock: Stock, large: int) -> Iterator[Question]:
    """The values of the large run, of each kind and at each place."""
    places = {"first": 0, "middle": large // 2, "last": large - 50}
    for state in (None, "accepted", "dead", "waiting"):
        for own in (False, True):
            for place in places if state in (None, "accepted") else ("first",):
                given = {"run_id": stock.finished, "offset": places[place], "limit": 50, "state": state, "as_run": own}
                words = f"{state or 'all'}{', its own' if own else ''}, {place} page"
                yield Question("values", words, "runs.results", given)
    for text in ("parcel", "number on it is 7919", "nowhere to be found"):
        given = {"run_id": stock.finished, "offset": 0, "limit": 50, "search": text}
        yield Question("values", f"search for {text!r}", "runs.results", given)


def _letters(stock: Stock) -> Iterator[Question]:
    signature = {"signature": "1:required:$.sentiment"}
    filters: dict[str, dict[str, Any]] = {
        "open": {},
        "any resolution": {"resolution": None},
        "of a run": {"run": stock.finished, "resolution": None},
        "of a prompt": {"prompt": "triage"},
    }
    for words, given in filters.items():
        yield Question("dead letters", f"groups, {words}", "letters.groups", given)
        yield Question("dead letters", f"number, {words}", "letters.list", given | {"limit": 0})
        yield Question("group", f"head, {words}", "letters.groups", given | signature | {"limit": 1})
        yield Question("group", f"first page, {words}", "letters.list", given | signature)
        yield Question("group", f"deep page, {words}", "letters.list", given | signature | {"offset": 1500})
        yield Question("group", f"all of it, {words}", "letters.ids", given | signature)
        near = {name: value for name, value in given.items() if name != "run"} | {"within_run": "run" in given}
        near |= {"run_id": stock.finished, "ordinal": stock.letter}
        yield Question("letter", f"neighbours, {words}", "letters.neighbours", near)
    yield Question("letter", "all of it", "letters.inspect", {"run_id": stock.finished, "ordinal": stock.letter})
    yield Question("dead letters", "decisions", "letters.decisions")


def _replay(stock: Stock) -> Iterator[Question]:
    yield Question("replays", "outcome", "letters.outcome", {"replay_run_id": stock.replay})
    for outcome in (None, "fixed", "same_failure"):
        for offset in (0, 500):
            given = {"replay_run_id": stock.replay, "outcome": outcome, "offset": offset}
            yield Question("replay", f"rows from {offset}, {outcome or 'all'}", "letters.before_after", given)


def _costs(stock: Stock) -> Iterator[Question]:
    spans = {name: seconds or 31 * DAY for name, (_, seconds) in SPANS.items() if name != "custom"} | {"10h": 36_000.0}
    for name, seconds in spans.items():
        window = spanning(stock.now - seconds, stock.now, ZONE, words=name, short=name)
        among = CallFilter(since=window.since, until=window.until)
        for by in get_args(By):
            given = {"among": among, "buckets": window.bars, "by": by}
            yield Question("costs", f"{name} by {by}", "costs.report", given)
        if name == "30d":
            narrowed = {
                "one run": {"run": stock.finished},
                "one model": {"model": "own-7b"},
                "one rung": {"model": RUNG},
            }
            for words, part in narrowed.items():
                given = {"among": replace(among, **part), "buckets": window.bars, "by": "run"}
                yield Question("costs", f"{name}, {words}", "costs.report", given)
    forever = CallFilter(since=0, until=4e9, run=stock.finished)
    yield Question("stats", "one run, for good", "costs.slices", {"among": forever, "by": "run"})
    yield Question("stats", "where the money of a run went", "costs.ways", {"among": forever})
    newest = {"among": CallFilter(since=0.0, until=stock.now + DAY), "limit": 1}
    yield Question("costs", "newest call", "costs.calls", newest)


def _calls(stock: Stock) -> Iterator[Question]:
    among = CallFilter(since=stock.now - 31 * DAY + 7, until=stock.now + DAY)
    for which in get_args(Which):
        given = {"among": among, "outcome": which}
        deep = {"all": 400_000, "accepted": 400_000, "slow": 400_000}.get(which, 2_000)
        yield Question("calls", f"{which}, first page", "costs.calls", given)
        yield Question("calls", f"{which}, deep page", "costs.calls", given | {"offset": deep})
        yield Question("calls", f"{which}, of a latency", "costs.calls", given | {"seconds": (0.7, 0.72)})
        narrowed = {"run": {"run": stock.finished}, "model": {"model": "own-7b"}, "rung": {"model": RUNG}}
        for words, part in narrowed.items():
            yield Question("calls", f"{which}, of a {words}", "costs.calls", given | {"among": replace(among, **part)})
    yield Question("calls", "rows that reused, first page", "costs.reused", {"among": among})
    yield Question("calls", "rows that reused, deep page", "costs.reused", {"among": among, "offset": 30_000})


# -- asking ------------------------------------------------------------------------------------------------------------


@dataclass
class Answer:
    """How long a question took, and the steps of its plans that walk a big table."""

    cold: float
    warm: float
    walks: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return max(self.cold, self.warm) <= LIMIT and not self.walks


def answer(settings: Settings, question: Question) -> Answer:
    cold = warm = float("inf")
    for asked in range(MOST):
        if asked >= LEAST and max(cold, warm) <= LIMIT:
            break
        with Engine(settings) as engine:
            engine.runs.read()
            cold = min(cold, _seconds(engine, question))
            warm = min(warm, _seconds(engine, question))
    return Answer(cold, warm, _walks(settings, question))


def _seconds(engine: Engine, question: Question) -> float:
    began = time.perf_counter()
    question.ask(engine)
    return time.perf_counter() - began


def _walks(settings: Settings, question: Question) -> list[str]:
    """The steps of a question's plans that walk a table of ``BIG``, or one of its indexes, from end to end."""
    asked: dict[str, None] = {}
    with Engine(settings) as engine:
        connection = engine.runs.read().conn
        connection.set_trace_callback(lambda sql: asked.setdefault(sql))
        question.ask(engine)
        connection.set_trace_callback(None)
        found = []
        for sql in asked:
            if not sql.lstrip().startswith(("SELECT", "WITH")):
                continue
            named = re.findall(r"\b(?:FROM|JOIN)\s+(\w+)\s+(?:AS\s+)?(\w+)", sql)
            tables = {alias: table for table, alias in named}
            for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {sql}"):
                walked = re.match(r"SCAN (\w+)", step)
                if walked and tables.get(walked[1], walked[1]) in BIG:
                    found.append(f"{step} in {' '.join(sql.split())[:160]}")
    return found


def main() -> int:
    """Fill a store, ask everything, say how long it took; 1 where something is too slow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dead", type=int, default=5_000)
    parser.add_argument("--home", type=Path, help="keep the store there, and use the one that is there")
    parser.add_argument("--only", default="", help="only questions that have this in their name")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return measure(given.home or Path(folder), given)


def measure(home: Path, given: argparse.Namespace) -> int:
    settings = Settings(
        home=home,
        prompts=home / "prompts",
        connections={"vllm": Connection(name="vllm", base_url="http://127.0.0.1:9/v1")},
    )
    began = time.perf_counter()
    db = open_writer(settings.database)
    stock = fill(db, rows=given.rows, dead=given.dead)
    counts = [
        f"{db.execute(f'SELECT count(*) FROM {table}').fetchone()[0]:,} {table.replace('_', ' ')}"
        for table in ("run_rows", "calls", "attempts", "dead_letters", "runs")
    ]
    db.close()
    size = settings.database.stat().st_size / 1e6
    _say(
        f"{', '.join(counts)}; {size:,.0f} MB, made in {time.perf_counter() - began:.0f} s; limit {LIMIT * 1000:.0f} ms"
    )
    slow = 0
    for question in questions(stock, given.rows):
        if given.only not in f"{question.screen} {question.words}":
            continue
        seen = answer(settings, question)
        slow += not seen.ok
        _say(
            f"{'ok  ' if seen.ok else 'SLOW'} {seen.cold * 1000:7.1f} ms cold {seen.warm * 1000:7.1f} ms warm  "
            f"{question.screen}: {question.words}"
        )
        for step in seen.walks:
            _say(f"       walks: {step}")
    _say(f"{slow} of the questions are too slow" if slow else "every question is within the limit")
    return 1 if slow else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
