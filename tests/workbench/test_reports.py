"""What the command line says of a run that goes on: what it is likely to come to, or that too little is known."""

from __future__ import annotations

import json

from jobs.api import Engine
from jobs.prices import FREE
from jobs.store import tallies
from tests.jobs.ledger import FAULTS, Ledger
from workbench import reports, wording


def test_a_run_that_goes_on_has_a_forecast(engine: Engine, ledger: Ledger) -> None:
    """Each figure with its range, its n and the budget's end, as JSON and in words."""
    run = ledger.run(
        ledger.dataset(400), ledger.version(), due=200, reasked=20, state="paused", options={"budget": 0.008}
    )
    found = json.loads(json.dumps(reports.run_object(engine, engine.runs.get(run))))
    told = found["forecast"]
    assert (told["confidence"], told["n"], told["calls_out"]) == (0.9, 220, 0)
    for name in ("calls", "tokens", "cost_usd", "seconds_left"):
        assert 0 < told[name]["low"] < told[name]["about"] < told[name]["high"]
    assert told["cost_usd"]["low"] > found["cost_usd"] and told["calls"]["low"] > found["calls"]
    assert told["budget_stop"]["sure"] and 200 <= told["budget_stop"]["rows"] < 400
    lines = "\n".join(reports.run_lines(found))
    assert "in all, about 440 (4" in lines and "left; from n = 220 replies of its own" in lines
    assert "the budget stops it after about" in lines


def test_a_run_is_named_with_its_kind(engine: Engine, ledger: Ledger) -> None:
    """What was tried in the editor takes numbers too: a number alone does not say what is meant."""
    dataset, version = ledger.dataset(5), ledger.version()
    runs = {kind: ledger.run(dataset, version, kind=kind, dead=1) for kind in ("run", "try", "evaluation")}
    runs["replay"] = ledger.replay(runs["run"], version, fixed=1)
    named = {
        "run": f"run {runs['run']} of triage@1",
        "try": f"run {runs['try']}, a try of triage@1",
        "evaluation": f"run {runs['evaluation']}, an evaluation of triage@1",
        "replay": f"run {runs['replay']}, a replay of run {runs['run']} with triage@1",
    }
    for kind, number in runs.items():
        run = engine.runs.get(number)
        assert reports.named(run) == named[kind]
        assert next(reports.run_lines(reports.run_object(engine, run))) == f"{named[kind]} on gpt-4o-mini: finished"


def test_dead_letters_are_told_with_their_problems_and_replies(engine: Engine, ledger: Ledger) -> None:
    """Of each group the first ones, each with what is wrong and what came back; the rest is counted, or shown on demand."""
    run = ledger.run(ledger.dataset(60), ledger.version(), dead=50, faults=FAULTS[:2])
    found = list(reports.dead_objects(engine, run, None))
    lines = list(reports.dead_lines(found))
    letters = [line for line in lines if line.startswith("    row ")]
    assert len(letters) == 2 * reports.SHOWN
    assert sum("and 5 more; with --group all of them" in line for line in lines) == 2
    assert sum(line.startswith("        reply: ") for line in lines) == len(letters)
    first = next(one for one in found if f"    row {one['row']} (open)" == letters[0])
    at = lines.index(letters[0])
    problem = first["problems"][0]
    assert problem["expected"] in lines[at + 1] and wording.rule(problem["rule"]) in lines[at + 1]
    assert repr(first["raw"][:200])[1:-1] in lines[at + 1 + len(first["problems"])]
    assert not [line for line in reports.dead_lines(found, most=None) if " more; " in line]


def test_a_free_run_costs_nothing_even_where_calls_broke_off(engine: Engine, ledger: Ledger) -> None:
    """A timeout at a price of nothing leaves no doubt and nothing set aside, and nothing is $0 everywhere."""
    run = ledger.run(ledger.dataset(6), ledger.version(), price=FREE.model_dump())
    with ledger.db.atomic():
        broken = "settled = 0, cost = 0.0, reserved = 0.0, outcome = 'transient'"
        ledger.db.execute(f"UPDATE calls SET {broken} WHERE id IN (SELECT id FROM calls WHERE run = ? LIMIT 2)", [run])
        tallies.recount(ledger.db, [run])
    found = reports.run_object(engine, engine.runs.get(run))
    assert found["set_aside"] == {"usd": 0.0, "unsettled_calls": 0, "unsettled_usd": 0.0}
    lines = "\n".join(reports.run_lines(found))
    assert " cached), $0, " in lines and "set aside" not in lines and "0.000000" not in lines


def test_an_evaluation_says_why_a_field_has_a_smaller_n() -> None:
    """An empty expectation is not checked."""
    field = {"path": "mood", "agree": 1, "agreement": 0.5, "n": 2}
    report = {
        "prompt": "p@1",
        "model": "m",
        "connection": "c",
        "answered": 3,
        "rows": 3,
        "waiting": 0,
        "agreement": 0.5,
        "n": 2,
        "fields": [field],
    }
    assert "leaves the expectation empty" in list(reports.evaluation_lines(report))[-1]
    whole = report | {"rows": 2, "answered": 2}
    assert list(reports.evaluation_lines(whole))[-1] == f"  {'all fields':<24}  50.0%  (n = 2)"


def test_a_run_that_has_hardly_begun_says_so(engine: Engine, ledger: Ledger) -> None:
    """Figures are null, and the line says how few replies there are."""
    run = ledger.run(ledger.dataset(40), ledger.version(), due=30, dispatched=4)
    found = reports.run_object(engine, engine.runs.get(run))
    assert [found["forecast"][name] for name in ("calls", "tokens", "cost_usd", "seconds_left", "budget_stop")] == [
        None
    ] * 5
    assert "  too few replies to say what it will take: n = 6, with 4 calls out" in list(reports.run_lines(found))


def test_a_run_that_has_ended_has_none(engine: Engine, ledger: Ledger) -> None:
    """What it took is known."""
    run = ledger.run(ledger.dataset(40), ledger.version())
    found = reports.run_object(engine, engine.runs.get(run))
    assert found["forecast"] is None
    assert not [line for line in reports.run_lines(found) if "to its end" in line or "too few" in line]


def test_what_is_set_aside_is_told(engine: Engine, ledger: Ledger) -> None:
    """It counts against the budget beside the cost: for calls that are out, and for those that nobody knows the end of."""
    dataset, version = ledger.dataset(6), ledger.version()
    run, unpriced = ledger.run(dataset, version), ledger.run(dataset, version, price=None)
    quiet = reports.run_object(engine, engine.runs.get(run))
    assert quiet["set_aside"] == {"usd": 0.0, "unsettled_calls": 0, "unsettled_usd": 0.0}
    assert not [line for line in reports.run_lines(quiet) if "set aside" in line]
    assert reports.run_object(engine, engine.runs.get(unpriced))["set_aside"] is None

    with ledger.db.atomic():
        broken = "settled = 0, cost = NULL, reserved = 0.25, outcome = 'transient'"
        ledger.db.execute(f"UPDATE calls SET {broken} WHERE id IN (SELECT id FROM calls WHERE run = ? LIMIT 2)", [run])
        ledger.db.execute("UPDATE runs SET reserved = 0.75 WHERE id = ?", [run])
        tallies.recount(ledger.db, [run])
    found = reports.run_object(engine, engine.runs.get(run))
    assert found["set_aside"] == {"usd": 0.75, "unsettled_calls": 2, "unsettled_usd": 0.5}
    assert "  set aside: $0.750000, $0.500000 of it for 2 calls of unknown end" in list(reports.run_lines(found))
