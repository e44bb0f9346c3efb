"""engine.costs: sums that agree with the calls, percentiles of raw values, unknown prices, and speed at size."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlite_utils import Database

from jobs import errors
from jobs.api import Engine
from jobs.store import reading_calls, reading_costs, tallies
from jobs.store.sums import percentiles
from jobs.views.costs import CallFilter, CallRow, Spending
from tests.jobs.ledger import DAWN, Ledger
from tests.jobs.ledger_rows import SAVED

LATER = DAWN + 10**9
#: all calls; and a window that begins and ends within a minute, with calls on both sides of it
EVER, WITHIN = CallFilter(since=0, until=LATER), CallFilter(since=DAWN - 10, until=DAWN + 700)


def _two_runs(db: Database) -> tuple[Ledger, int, int]:
    """A run with every fate at one model, and one of unknown price at another."""
    ledger = Ledger(db)
    dataset = ledger.dataset(60)
    first = ledger.run(dataset, ledger.version(), dead=12, reused=4, reasked=3, throttled=5, pace=1.0)
    second = ledger.run(
        dataset, ledger.version(number=2), rows=10, price=None, model="own-7b", connection="vllm", began=DAWN + 500
    )
    return ledger, first, second


def _only(found: list[Spending]) -> Spending:
    (one,) = found
    return one


def _counted_again(db: Database, run: int) -> Spending:
    """A run's figures, after its calls were changed by hand."""
    with db.atomic():
        tallies.recount(db, [run])
    return _only(reading_costs.slices(db, replace(EVER, run=run), "total"))


def test_sums_agree_with_the_calls(engine: Engine, db: Database) -> None:
    """A total counts every call, strike, throttle, end and token of the window once."""
    _two_runs(db)
    total = _only(engine.costs.slices(EVER, by="total"))
    one = db.execute(
        "SELECT COUNT(*), SUM(cost), SUM(cost IS NULL), SUM(outcome = 'throttled'), SUM(prompt_tokens), "
        "SUM(completion_tokens), SUM(outcome = 'replied') FROM calls"
    ).fetchone()
    assert total.calls == one[0]
    assert total.cost == pytest.approx(one[1])
    assert total.unpriced_calls == one[2] == 10
    assert total.throttles == one[3] == 5
    assert (total.prompt_tokens, total.completion_tokens, total.latency_n) == (one[4], one[5], one[6])
    # of 12 dead rows, two were unreachable after six requests each; the others took three strikes
    assert (total.dead, total.transport_failures, total.strikes) == (12, 12, 10 * 3 + 3)
    assert (total.reused, total.saved, total.unpriced_reused) == (4, pytest.approx(4 * SAVED), 0)
    assert total.accepted == 60 - 12 - 4 + 10
    assert total.judged == total.accepted + total.strikes


def test_wasted_is_what_brought_no_value(db: Database) -> None:
    """Money of strikes, and of a reply that was beaten by another, is wasted; that of values is not."""
    _, first, _ = _two_runs(db)
    wasted = db.execute(
        "SELECT SUM(cost) FROM calls WHERE run = ? AND id IN (SELECT call FROM attempts WHERE verdict != 'accepted')",
        [first],
    ).fetchone()[0]
    before = _counted_again(db, first)
    assert before.wasted == pytest.approx(wasted)
    call, cost = db.execute(
        "SELECT c.id, c.cost FROM calls c JOIN attempts a ON a.call = c.id WHERE a.verdict = 'accepted' AND c.run = ?",
        [first],
    ).fetchone()
    with db.atomic():
        db.execute("UPDATE attempts SET superseded = 1 WHERE call = ?", [call])
    after = _counted_again(db, first)
    assert after.wasted == pytest.approx(wasted + cost)
    assert after.accepted == before.accepted - 1


def test_a_call_about_several_rows_is_paid_once(db: Database) -> None:
    """Attempts on several rows of one call multiply neither its money nor its tokens."""
    _, first, _ = _two_runs(db)
    before = _counted_again(db, first)
    with db.atomic():
        call = db.execute("SELECT MAX(call) FROM attempts WHERE verdict = 'accepted' AND run = ?", [first]).fetchone()[
            0
        ]
        db.execute(
            "INSERT INTO attempts (call, run, ordinal, verdict, asked, recorded_at) VALUES (?, ?, 999, 'accepted', 1, 0)",
            [call, first],
        )
    after = _counted_again(db, first)
    assert (after.calls, after.cost, after.wasted, after.prompt_tokens) == pytest.approx(
        (before.calls, before.cost, before.wasted, before.prompt_tokens)
    )
    assert after.accepted == before.accepted + 1


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("run", {"1", "2"}),
        ("version", {"triage@1", "triage@2"}),
        ("model", {"gpt-4o-mini", "own-7b"}),
        ("connection", {"openai", "vllm"}),
        ("total", {"total"}),
    ],
)
def test_slices_add_up_to_the_total(engine: Engine, db: Database, by: Any, keys: set[str]) -> None:
    """However the calls are cut, the slices sum to the same."""
    _two_runs(db)
    total = _only(engine.costs.slices(EVER, by="total"))
    found = engine.costs.slices(EVER, by=by)
    assert {one.key for one in found} == keys
    for name in ("calls", "accepted", "dead", "strikes", "reused", "cost", "wasted", "unpriced_calls", "latency_n"):
        assert sum(getattr(one, name) for one in found) == pytest.approx(getattr(total, name)), name


def _by_hand(db: Database, since: float, until: float) -> dict[str, float]:
    """The figures of a window, counted call by call from the ledger."""
    calls = list(db.query("SELECT * FROM calls WHERE sent_at >= ? AND sent_at < ?", [since, until]))
    of = {call["id"] for call in calls}
    attempts = [one for one in db.query("SELECT * FROM attempts") if one["call"] in of]
    valued = {one["call"] for one in attempts if one["verdict"] == "accepted" and not one["superseded"]}
    wasted = [call for call in calls if call["id"] not in valued]
    last_words = {attempt for (attempt,) in db.execute("SELECT attempt FROM dead_letters")}
    reused = (
        "SELECT count(*), total(saved), count(*) - count(saved) FROM attempts "
        "WHERE call IS NULL AND verdict = 'accepted' AND recorded_at >= ? AND recorded_at < ?"
    )
    rows, saved, unpriced = db.execute(reused, [since, until]).fetchone()
    return {
        "calls": len(calls),
        "accepted": sum(one["verdict"] == "accepted" and not one["superseded"] for one in attempts),
        "strikes": sum(one["strike"] for one in attempts),
        "dead": sum(one["id"] in last_words for one in attempts),
        "reused": rows,
        "saved": saved,
        "unpriced_reused": unpriced,
        "throttles": sum(call["outcome"] == "throttled" for call in calls),
        "transport_failures": sum(call["outcome"] not in ("replied", "throttled") for call in calls),
        "cost": sum(call["cost"] or 0.0 for call in calls),
        "unpriced_calls": sum(call["cost"] is None for call in calls),
        "wasted": sum(call["cost"] or 0.0 for call in wasted),
        "wasted_calls": len(wasted),
        "prompt_tokens": sum(call["prompt_tokens"] or 0 for call in calls),
        "completion_tokens": sum(call["completion_tokens"] or 0 for call in calls),
        "latency_n": sum(call["outcome"] == "replied" for call in calls),
    }


@pytest.mark.parametrize("buckets", [1, 7, 60])
@pytest.mark.parametrize(
    "window",
    [(DAWN - 40, DAWN + 680), (DAWN - 10, DAWN + 700), (DAWN - 39.5, DAWN + 20.25), (DAWN + 3, DAWN + 17), (0, LATER)],
)
def test_every_bucket_is_exact_to_the_call(
    engine: Engine, db: Database, window: tuple[float, float], buckets: int
) -> None:
    """Wherever its borders fall, in a minute or between two, a bucket has the calls that were sent in it and no others."""
    _two_runs(db)
    since, until = window
    found = engine.costs.report(CallFilter(since=since, until=until), buckets=buckets, by="run")
    starts = [float(one.key) for one in found.buckets]
    for one, begin, end in zip(found.buckets, starts, [*starts[1:], until], strict=True):
        wanted = _by_hand(db, begin, end)
        assert {name: getattr(one, name) for name in wanted} == pytest.approx(wanted)
    whole = _by_hand(db, since, until)
    assert {name: getattr(found.total, name) for name in whole} == pytest.approx(whole)


@pytest.mark.parametrize("by", ["run", "version", "model", "connection", "total"])
def test_a_report_agrees_with_its_parts(engine: Engine, db: Database, by: Any) -> None:
    """However the calls are cut, into slices, buckets or both, the parts sum to the same; percentiles are of each part's own."""
    _two_runs(db)
    found = engine.costs.report(WITHIN, buckets=7, by=by)
    assert found.total == _only(engine.costs.slices(WITHIN, by="total"))
    assert list(found.slices) == engine.costs.slices(WITHIN, by=by)
    assert len(found.series) == 7 * len(found.slices)
    for name in ("calls", "accepted", "dead", "strikes", "reused", "cost", "wasted", "latency_n"):
        whole = pytest.approx(getattr(found.total, name))
        assert sum(getattr(one, name) for one in found.buckets) == whole, name
        assert sum(getattr(one, name) for one in found.series) == whole, name
    assert len(found.latencies) == found.total.latency_n
    assert found.total.wasted_calls == engine.costs.calls(WITHIN, outcome="wasted")[1] > 0
    assert [float(one.key) for one in found.series] == sorted(float(one.key) for one in found.series)


def test_a_report_of_nothing(engine: Engine) -> None:
    """Without a call there is a total of nothing, every bucket, and no slice."""
    found = engine.costs.report(CallFilter(since=1, until=4), buckets=3, by="run")
    assert (found.total.calls, found.total.p50, found.slices, found.series, found.latencies) == (0, None, (), (), ())
    assert [(one.key, one.calls) for one in found.buckets] == [("1.0", 0), ("2.0", 0), ("3.0", 0)]


def test_a_window_takes_calls_by_when_they_were_sent(engine: Engine, db: Database) -> None:
    """``since`` is inside the window and ``until`` is not; other calls are in neither sums nor percentiles."""
    _two_runs(db)
    times = [at for (at,) in db.execute("SELECT sent_at FROM calls ORDER BY sent_at")]
    middle = times[len(times) // 2]
    early = _only(engine.costs.slices(replace(EVER, until=middle), by="total"))
    late = _only(engine.costs.slices(replace(EVER, since=middle), by="total"))
    assert early.calls == sum(at < middle for at in times)
    assert late.calls == sum(at >= middle for at in times)


def test_nothing_sent_is_zero_calls(engine: Engine, db: Database) -> None:
    """An empty window has a total of nothing, without percentiles, and no other slices."""
    _two_runs(db)
    empty = CallFilter(since=1, until=2)
    total = _only(engine.costs.slices(empty, by="total"))
    assert (total.calls, total.cost, total.p50, total.latency_n) == (0, 0.0, None, 0)
    assert engine.costs.slices(empty, by="run") == []


@pytest.mark.parametrize(
    ("values", "share", "wanted"),
    [
        ([], 50, None),
        ([3.0], 99, 3.0),
        ([2.0, 1.0, 4.0, 3.0], 50, 2.0),
        ([4.0, 3.0, 2.0, 1.0], 95, 4.0),
        (list(map(float, range(100, 0, -1))), 95, 95.0),
        (list(map(float, range(1, 101))), 99, 99.0),
    ],
)
def test_percentiles_are_nearest_rank(values: list[float], share: float, wanted: float | None) -> None:
    """A percentile is a value that was measured, whatever the order of the values."""
    assert percentiles(np.array(values), [share]) == [wanted]


def test_percentiles_come_from_raw_values(engine: Engine, db: Database) -> None:
    """The p95 of two runs together is that of all their seconds, not a mean of two; so is that of a slice and of a bucket."""
    _two_runs(db)
    found = engine.costs.report(WITHIN, buckets=7, by="run")
    calls = list(db.query("SELECT run, sent_at, seconds FROM calls WHERE outcome = 'replied' ORDER BY seconds"))
    assert list(found.latencies) == [call["seconds"] for call in calls]
    starts = [float(one.key) for one in found.buckets]
    groups = [
        (found.total, calls),
        *((one, [call for call in calls if str(call["run"]) == one.key]) for one in found.slices),
        *(
            (one, [call for call in calls if begin <= call["sent_at"] < end])
            for one, begin, end in zip(found.buckets, starts, [*starts[1:], WITHIN.until], strict=True)
        ),
    ]
    for one, mine in groups:
        seconds = np.array([call["seconds"] for call in mine])
        assert [one.p50, one.p95, one.p99] == percentiles(seconds, (50, 95, 99))


@pytest.mark.parametrize(
    ("outcome", "condition"),
    [
        ("all", "1"),
        ("accepted", "id IN (SELECT call FROM attempts WHERE verdict = 'accepted')"),
        ("rejected", "outcome = 'replied' AND id NOT IN (SELECT call FROM attempts WHERE verdict = 'accepted')"),
        ("wasted", "id NOT IN (SELECT call FROM attempts WHERE verdict = 'accepted' AND call IS NOT NULL)"),
        ("failed", "outcome = 'transient'"),
        ("throttled", "outcome = 'throttled'"),
        ("slow", "outcome = 'replied'"),
        ("went-first", "id IN (SELECT call FROM attempts WHERE verdict = 'accepted' AND asked = 1)"),
        ("went-again", "id IN (SELECT call FROM attempts WHERE verdict = 'accepted' AND asked > 1)"),
        ("went-rejected", "id IN (SELECT call FROM attempts WHERE strike = 1)"),
        ("went-failed", "outcome != 'replied'"),
        ("went-doubted", "0"),
        ("saved-cache", "cached_tokens > 0"),
    ],
)
def test_calls_behind_a_figure(engine: Engine, db: Database, outcome: Any, condition: str) -> None:
    """Each list holds exactly the calls that its figure counts, page after page."""
    _two_runs(db)
    wanted = {try_id for (try_id,) in db.execute(f"SELECT try_id FROM calls WHERE {condition}")}
    found: list[CallRow] = []
    total = len(wanted)
    while len(found) < total:
        page, total = engine.costs.calls(EVER, offset=len(found), limit=17, outcome=outcome)
        assert page
        found += page
    assert total == len(wanted) == len(found)
    assert {call.try_id for call in found} == wanted
    order = [call.seconds if outcome == "slow" else call.sent_at for call in found]
    assert order == sorted(order, key=lambda at: -(at or 0.0))
    assert all(call.row_id.startswith("T-") and call.version.startswith("triage@") for call in found)


def test_rows_that_reused_an_answer_are_paged(engine: Engine, db: Database) -> None:
    """The newest first, page after page, in any window; each with what its answer had cost."""
    _two_runs(db)
    query = "SELECT recorded_at FROM attempts WHERE call IS NULL AND verdict = 'accepted' ORDER BY recorded_at DESC"
    times = [at for (at,) in db.execute(query)]
    for among, wanted in ((EVER, times), (CallFilter(since=times[2], until=times[0]), times[1:3])):
        found = [engine.costs.reused(among, offset=offset, limit=1) for offset in range(len(wanted))]
        assert [page[0].recorded_at for page, _ in found] == wanted
        assert {total for _, total in found} == {len(wanted)}
        assert all(page[0].saved == SAVED and page[0].row_id.startswith("T-") for page, _ in found)
    assert engine.costs.reused(replace(EVER, model="own-7b")) == ([], 0)


def test_filters_narrow(engine: Engine, db: Database) -> None:
    """Run, prompt, model and connection each leave only their calls."""
    _two_runs(db)
    for chosen in ({"run": 2}, {"version": "triage@2"}, {"model": "own-7b"}, {"connection": "vllm"}):
        among = replace(EVER, **chosen)  # type: ignore[arg-type]
        assert _only(engine.costs.slices(among, by="total")).calls == 10
        assert engine.costs.calls(among)[1] == 10
    assert _only(engine.costs.slices(replace(EVER, prompt="other"), by="total")).calls == 0


def test_calls_of_a_window_that_cuts_minutes(engine: Engine, db: Database) -> None:
    """A page is the same part of the list wherever the window begins and ends."""
    _two_runs(db)
    times = sorted((at for (at,) in db.execute("SELECT sent_at FROM calls")), reverse=True)
    among = CallFilter(since=times[70], until=times[20])
    for offset in (0, 13, 40, 49, 50, 60):
        found, total = engine.costs.calls(among, offset=offset, limit=10)
        assert total == 50
        assert [call.sent_at for call in found] == times[21:71][offset : offset + 10]


@pytest.mark.parametrize("outcome", ["slow", "all", "rejected"])
def test_calls_of_a_span_of_latency(engine: Engine, db: Database, outcome: Any) -> None:
    """A span of seconds takes its beginning and leaves its end, and goes with any outcome."""
    _two_runs(db)
    wasted = "1" if outcome != "rejected" else "wasted"
    query = f"SELECT DISTINCT seconds FROM calls WHERE outcome = 'replied' AND {wasted} ORDER BY 1"
    seconds = [one for (one,) in db.execute(query)]
    low, high = seconds[3], seconds[20]
    found, total = engine.costs.calls(EVER, outcome=outcome, seconds=(low, high), limit=1000)
    assert total == len(found) > 0
    assert {call.seconds for call in found if call.outcome == "replied"} == set(seconds[3:20])


def test_equal_latencies_are_listed_once_each(engine: Engine, db: Database) -> None:
    """Where a page ends between calls of the same latency, the next one goes on with the others."""
    _, first, _ = _two_runs(db)
    with db.atomic():
        db.execute("UPDATE calls SET seconds = 1.5 WHERE run = ?", [first])
        tallies.recount(db, [first])
    found: list[str] = []
    while True:
        page, total = engine.costs.calls(replace(EVER, run=first), outcome="slow", offset=len(found), limit=7)
        if not page:
            break
        found += [call.try_id for call in page]
    assert len(found) == len(set(found)) == total > 14


def test_windows_that_are_none(engine: Engine) -> None:
    """A window that ends before it begins, and a chart without buckets, are refused."""
    with pytest.raises(errors.InputError):
        CallFilter(since=5, until=5)
    with pytest.raises(errors.InputError):
        engine.costs.report(EVER, buckets=0, by="total")


def test_queries_use_the_indexes(db: Database) -> None:
    """No query of a page walks a whole table, or opens the rows that hold replies for sums."""
    _two_runs(db)
    plans: list[str] = []
    asked: list[tuple[str, Any]] = []
    with db.tracer(lambda sql, params: asked.append((sql, params))):
        reading_costs.slices(db, WITHIN, "run")
        reading_costs.whole(db, WITHIN)
        reading_costs.ways(db, WITHIN)
        reading_calls.reused(db, WITHIN, limit=10, offset=0)
        for which in ("all", "wasted", "failed", "throttled", "slow", "went-first", "went-open", "saved-ladder"):
            reading_calls.calls(db, WITHIN, which=which, limit=10, offset=0)  # type: ignore[arg-type]
            reading_calls.calls(db, WITHIN, which=which, limit=10, offset=0, seconds=(0, 1))  # type: ignore[arg-type]
    for sql, params in asked:
        plans += [row[3] for row in db.conn.execute(f"EXPLAIN QUERY PLAN {sql}", params or [])]
    assert plans
    for table in ("c", "calls", "a", "attempts", "d", "dead_letters", "tallies", "ways"):
        assert not [step for step in plans if step == f"SCAN {table}" or step.startswith(f"SCAN {table} ")], table
    sums = [step for step in plans if step.startswith(("SEARCH c USING INDEX", "SEARCH calls USING INDEX"))]
    assert not sums, sums


def test_latencies_are_thinned_evenly(engine: Engine, db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit an even part of all seconds is handed out, not the first ones; the percentiles are still of all."""
    _two_runs(db)
    whole = engine.costs.report(EVER, buckets=1, by="total")
    monkeypatch.setattr(reading_costs, "MOST_LATENCIES", 30)
    thinned = engine.costs.report(EVER, buckets=1, by="total")
    assert thinned.total == whole.total
    assert 10 <= len(thinned.latencies) <= 30
    every = math.ceil(whole.total.latency_n / 30)
    assert thinned.latencies == whole.latencies[every // 2 :: every]
