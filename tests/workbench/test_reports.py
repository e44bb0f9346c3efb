"""What the command line says of a run that goes on: what it is likely to come to, or that too little is known."""

from __future__ import annotations

import json

from jobs.api import Engine
from tests.jobs.ledger import Ledger
from workbench import reports


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
