"""engine.costs: sums that agree with the calls, percentiles of raw values, unknown prices, and speed at size."""

from __future__ import annotations

from typing import Any

import pytest
from sqlite_utils import Database

from jobs import errors, views
from jobs.api import Engine
from jobs.store import reading_costs
from jobs.store.reading_costs import Chosen
from jobs.store.sums import Kept, Sum, percentile
from tests.jobs.ledger import DAWN, Ledger

LATER = DAWN + 10**9


def _two_runs(db: Database) -> tuple[Ledger, int, int]:
    """A run with every fate at one model, and one of unknown price at another."""
    ledger = Ledger(db)
    dataset = ledger.dataset(60)
    first = ledger.run(dataset, ledger.version(), dead=12, reused=4, reasked=3, throttled=5, pace=1.0)
    second = ledger.run(
        dataset, ledger.version(number=2), rows=10, price=None, model="own-7b", connection="vllm", began=DAWN + 500
    )
    return ledger, first, second


def _only(found: list[views.Spending]) -> views.Spending:
    (one,) = found
    return one


def _fresh(db: Database, run: int) -> views.Spending:
    """A run's figures with nothing kept from before."""
    return _only(reading_costs.slices(db, Chosen(run=run), Kept(), since=0, until=LATER, by="total"))


def test_sums_agree_with_the_calls(engine: Engine, db: Database) -> None:
    """A total counts every call, strike, throttle, end and token of the window once."""
    _two_runs(db)
    total = _only(engine.costs.slices(since=0, until=LATER, by="total"))
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
    assert total.reused == 4
    assert total.accepted == 60 - 12 - 4 + 10
    assert total.judged == total.accepted + total.strikes


def test_wasted_is_what_brought_no_value(db: Database) -> None:
    """Money of strikes, and of a reply that was beaten by another, is wasted; that of values is not."""
    _, first, _ = _two_runs(db)
    wasted = db.execute(
        "SELECT SUM(cost) FROM calls WHERE run = ? AND id IN (SELECT call FROM attempts WHERE verdict != 'accepted')",
        [first],
    ).fetchone()[0]
    before = _fresh(db, first)
    assert before.wasted == pytest.approx(wasted)
    call, cost = db.execute(
        "SELECT c.id, c.cost FROM calls c JOIN attempts a ON a.call = c.id WHERE a.verdict = 'accepted' AND c.run = ?",
        [first],
    ).fetchone()
    with db.atomic():
        db.execute("UPDATE attempts SET superseded = 1 WHERE call = ?", [call])
    after = _fresh(db, first)
    assert after.wasted == pytest.approx(wasted + cost)
    assert after.accepted == before.accepted - 1


def test_a_call_about_several_rows_is_paid_once(db: Database) -> None:
    """Attempts on several rows of one call multiply neither its money nor its tokens."""
    _, first, _ = _two_runs(db)
    before = _fresh(db, first)
    with db.atomic():
        call = db.execute("SELECT MAX(call) FROM attempts WHERE verdict = 'accepted' AND run = ?", [first]).fetchone()[
            0
        ]
        db.execute(
            "INSERT INTO attempts (call, run, ordinal, verdict, asked, recorded_at) VALUES (?, ?, 999, 'accepted', 1, 0)",
            [call, first],
        )
    after = _fresh(db, first)
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
    total = _only(engine.costs.slices(since=0, until=LATER, by="total"))
    found = engine.costs.slices(since=0, until=LATER, by=by)
    assert {one.key for one in found} == keys
    for name in ("calls", "accepted", "dead", "strikes", "reused", "cost", "wasted", "unpriced_calls", "latency_n"):
        assert sum(getattr(one, name) for one in found) == pytest.approx(getattr(total, name)), name


@pytest.mark.parametrize("buckets", [1, 7, 60])
def test_buckets_add_up_to_the_window(engine: Engine, db: Database, buckets: int) -> None:
    """A series has every slice in every bucket, and its parts sum to the window."""
    _two_runs(db)
    window = {"since": DAWN - 10, "until": DAWN + 700}
    found = engine.costs.series(**window, buckets=buckets, by="model")
    assert len(found) == 2 * buckets
    assert [float(one.key) for one in found] == sorted(float(one.key) for one in found)
    whole = {one.label: one for one in engine.costs.slices(**window, by="model")}
    for label, one in whole.items():
        for name in ("calls", "accepted", "dead", "strikes", "reused", "cost", "wasted", "latency_n"):
            parts = sum(getattr(part, name) for part in found if part.label == label)
            assert parts == pytest.approx(getattr(one, name)), name


@pytest.mark.parametrize("by", ["run", "version", "model", "connection", "total"])
def test_a_report_agrees_with_its_parts(engine: Engine, db: Database, by: Any) -> None:
    """A report's total, slices and buckets are those that are asked for one by one, percentiles too."""
    _two_runs(db)
    window: dict[str, Any] = {"since": DAWN - 10, "until": DAWN + 700}
    found = engine.costs.report(**window, buckets=7, by=by)
    assert found.total == _only(engine.costs.slices(**window, by="total"))
    assert list(found.slices) == engine.costs.slices(**window, by=by)
    assert list(found.buckets) == engine.costs.series(**window, buckets=7, by="total")
    assert list(found.series) == engine.costs.series(**window, buckets=7, by=by)
    assert sorted(engine.costs.latencies(**window)) == list(found.latencies)
    assert found.total.wasted_calls == engine.costs.calls(**window, outcome="wasted")[1] > 0


def test_a_report_of_nothing(engine: Engine) -> None:
    """Without a call there is a total of nothing, every bucket, and no slice."""
    found = engine.costs.report(since=1, until=4, buckets=3, by="run")
    assert (found.total.calls, found.total.p50, found.slices, found.series, found.latencies) == (0, None, (), (), ())
    assert [(one.key, one.calls) for one in found.buckets] == [("1.0", 0), ("2.0", 0), ("3.0", 0)]


def test_a_window_takes_calls_by_when_they_were_sent(engine: Engine, db: Database) -> None:
    """``since`` is inside the window and ``until`` is not; other calls are in neither sums nor percentiles."""
    _two_runs(db)
    times = [at for (at,) in db.execute("SELECT sent_at FROM calls ORDER BY sent_at")]
    middle = times[len(times) // 2]
    early = _only(engine.costs.slices(since=0, until=middle, by="total"))
    late = _only(engine.costs.slices(since=middle, until=LATER, by="total"))
    assert early.calls == sum(at < middle for at in times)
    assert late.calls == sum(at >= middle for at in times)


def test_nothing_sent_is_zero_calls(engine: Engine, db: Database) -> None:
    """An empty window has a total of nothing, without percentiles, and no other slices."""
    _two_runs(db)
    total = _only(engine.costs.slices(since=1, until=2, by="total"))
    assert (total.calls, total.cost, total.p50, total.latency_n) == (0, 0.0, None, 0)
    assert engine.costs.slices(since=1, until=2, by="run") == []
    assert [one.calls for one in engine.costs.series(since=1, until=4, buckets=3)] == [0, 0, 0]


def test_asking_again_gives_the_same(engine: Engine, db: Database) -> None:
    """What is kept of finished runs changes no figure, whichever window, slice or series is asked for next."""
    _two_runs(db)
    for window in ((0, LATER), (DAWN - 10, DAWN + 30), (DAWN - 10, DAWN + 400)):
        for by in ("total", "run", "total"):
            found = engine.costs.slices(since=window[0], until=window[1], by=by)  # type: ignore[arg-type]
            wanted = reading_costs.slices(db, Chosen(), Kept(), since=window[0], until=window[1], by=by)  # type: ignore[arg-type]
            assert found == wanted
    series = {"since": DAWN - 10, "until": DAWN + 700, "buckets": 3}
    assert engine.costs.series(**series) == reading_costs.series(db, Chosen(), Kept(), **series, by="total")  # type: ignore[arg-type]


def test_a_call_that_comes_later_is_seen(engine: Engine, db: Database) -> None:
    """A late reply to a finished run is in its sum at the next look."""
    _, first, _ = _two_runs(db)
    window: dict[str, Any] = {"since": 0, "until": LATER, "by": "total", "run": first}
    before = _only(engine.costs.slices(**window))
    with db.atomic():
        db.execute(
            "INSERT INTO calls (try_id, run, lane, outcome, sent_at, seconds, cost, recorded_at) "
            "VALUES ('late', ?, 'lane-1', 'replied', ?, 9.5, 1.5, 0)",
            [first, DAWN],
        )
        db.execute("UPDATE runs SET calls = calls + 1 WHERE id = ?", [first])
    after = _only(engine.costs.slices(**window))
    assert (after.calls, after.p99) == (before.calls + 1, 9.5)
    assert after.cost == pytest.approx(before.cost + 1.5)


def test_only_what_cannot_change_is_kept() -> None:
    """A sum with a lost call, or without all calls of the run, is not kept."""
    kept = Kept()
    kept.put(1, Sum(calls=3, lost=1), calls=3)
    kept.put(2, Sum(calls=3), calls=4)
    kept.put(3, Sum(calls=3), calls=3)
    assert [kept.get(run, calls=3) is not None for run in (1, 2, 3)] == [False, False, True]
    assert kept.get(3, calls=4) is None


@pytest.mark.parametrize(
    ("values", "share", "wanted"),
    [
        ([], 50, None),
        ([3.0], 99, 3.0),
        ([1.0, 2.0, 3.0, 4.0], 50, 2.0),
        ([1.0, 2.0, 3.0, 4.0], 95, 4.0),
        (list(map(float, range(1, 101))), 95, 95.0),
        (list(map(float, range(1, 101))), 99, 99.0),
    ],
)
def test_percentiles_are_nearest_rank(values: list[float], share: float, wanted: float | None) -> None:
    """A percentile is a value that was measured."""
    assert percentile(values, share) == wanted


def test_percentiles_come_from_raw_values(engine: Engine, db: Database) -> None:
    """The p95 of two runs together is that of all their seconds, not a mean of two."""
    _two_runs(db)
    seconds = sorted(s for (s,) in db.execute("SELECT seconds FROM calls WHERE outcome = 'replied'"))
    total = _only(engine.costs.slices(since=0, until=LATER, by="total"))
    assert (total.p50, total.p95, total.p99) == tuple(percentile(seconds, share) for share in (50, 95, 99))
    assert sorted(engine.costs.latencies(since=0, until=LATER)) == seconds


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
    ],
)
def test_calls_behind_a_figure(engine: Engine, db: Database, outcome: Any, condition: str) -> None:
    """Each list holds exactly the calls that its figure counts, page after page."""
    _two_runs(db)
    wanted = {try_id for (try_id,) in db.execute(f"SELECT try_id FROM calls WHERE {condition}")}
    found: list[views.CallRow] = []
    total = len(wanted)
    while len(found) < total:
        page, total = engine.costs.calls(since=0, until=LATER, offset=len(found), limit=17, outcome=outcome)
        assert page
        found += page
    assert total == len(wanted) == len(found)
    assert {call.try_id for call in found} == wanted
    order = [call.seconds if outcome == "slow" else call.sent_at for call in found]
    assert order == sorted(order, key=lambda at: -(at or 0.0))
    assert all(call.row_id.startswith("T-") and call.version.startswith("triage@") for call in found)


def test_filters_narrow(engine: Engine, db: Database) -> None:
    """Run, prompt, model and connection each leave only their calls."""
    _two_runs(db)
    for chosen in ({"run": 2}, {"version": "triage@2"}, {"model": "own-7b"}, {"connection": "vllm"}):
        assert _only(engine.costs.slices(since=0, until=LATER, by="total", **chosen)).calls == 10  # type: ignore[arg-type]
        assert engine.costs.calls(since=0, until=LATER, **chosen)[1] == 10  # type: ignore[arg-type]
    assert _only(engine.costs.slices(since=0, until=LATER, by="total", prompt="other")).calls == 0


def test_calls_of_a_span_of_latency(engine: Engine, db: Database) -> None:
    """A span of seconds takes its beginning and leaves its end, and goes with any outcome."""
    _two_runs(db)
    seconds = sorted({s for (s,) in db.execute("SELECT seconds FROM calls WHERE outcome = 'replied'")})
    low, high = seconds[3], seconds[20]
    found, total = engine.costs.calls(since=0, until=LATER, outcome="slow", seconds=(low, high), limit=1000)
    assert total == len(found) > 0
    assert {call.seconds for call in found} == set(seconds[3:20])


def test_windows_that_are_none(engine: Engine) -> None:
    """A window that ends before it begins, and a chart without buckets, are refused."""
    with pytest.raises(errors.InputError):
        engine.costs.slices(since=5, until=5, by="total")
    with pytest.raises(errors.InputError):
        engine.costs.series(since=0, until=5, buckets=0)


def test_queries_use_the_indexes(db: Database) -> None:
    """No query of a page walks a whole table of calls, attempts or dead letters, or opens the rows that hold replies for sums."""
    _two_runs(db)
    plans: list[str] = []
    asked: list[tuple[str, Any]] = []
    with db.tracer(lambda sql, params: asked.append((sql, params))):
        window: dict[str, Any] = {"since": 0, "until": LATER}
        reading_costs.slices(db, Chosen(), Kept(), **window, by="run")
        reading_costs.latencies(db, Chosen(), **window)
        reading_costs.spent(db, **window)
        for which in ("all", "wasted", "failed", "throttled", "slow"):
            reading_costs.calls(db, Chosen(), **window, which=which, limit=10, offset=0)  # type: ignore[arg-type]
    for sql, params in asked:
        plans += [row[3] for row in db.conn.execute(f"EXPLAIN QUERY PLAN {sql}", params or [])]
    assert plans
    for table in ("c", "calls", "a", "attempts"):
        assert not [step for step in plans if step == f"SCAN {table}" or step.startswith(f"SCAN {table} ")], table
    sums = [step for step in plans if step.startswith(("SEARCH c USING INDEX", "SEARCH calls USING INDEX"))]
    assert not sums, sums


def test_latencies_are_thinned_evenly(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit an even part of all seconds is handed out, not the first ones."""
    _two_runs(db)
    seconds = [s for (s,) in db.execute("SELECT seconds FROM calls WHERE outcome = 'replied' ORDER BY id")]
    monkeypatch.setattr(reading_costs, "MOST_LATENCIES", 30)
    found = reading_costs.latencies(db, Chosen(), since=0, until=LATER)
    assert 10 <= len(found) <= 30
    assert set(found) <= set(seconds)
