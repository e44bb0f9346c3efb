"""engine.evaluations: a golden set as a run, and a report that no lost row can improve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from jobs import errors
from jobs.api import Engine
from jobs.api.launch import Launch
from jobs.options import RunOptions
from tests.jobs.ledger import FAULTS, Ledger

GOLDEN = (
    "customer,message,expected.sentiment,expected.urgency\n"
    "Ann,It works,positive,1\n"
    'Bob,"It broke, twice",negative,\n'
    "Cy,Where is it?,neutral,3\n"
)


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    file = tmp_path / "triage" / "golden.csv"
    file.parent.mkdir()
    file.write_text(GOLDEN, "utf-8")
    return file


def _answered(db: Database, values: list[dict[str, Any] | None], *, kind: str = "evaluation", due: int = 0) -> int:
    """An evaluation of the golden set with these values; None is a dead row."""
    ledger = Ledger(db)
    header, *lines = [line.replace('"It broke, twice"', "It broke").split(",") for line in GOLDEN.splitlines()]
    dataset = ledger.dataset(columns=header, cells=lines, id_column=None)
    fates: dict[int, Any] = {
        ordinal: "accepted" if value is not None else FAULTS[0] for ordinal, value in enumerate(values, start=1)
    }
    fates |= {len(values) + number: "due" for number in range(1, due + 1)}
    run = ledger.run(dataset, ledger.version(), kind=kind, fates=fates, ordinals=list(fates))
    with db.atomic():
        for ordinal, value in enumerate(values, start=1):
            db.execute(
                "UPDATE attempts SET value = ? WHERE ordinal = ? AND verdict = 'accepted'", [json.dumps(value), ordinal]
            )
    return run


@pytest.mark.usefixtures("keeper")
def test_starting(engine: Engine, db: Database, golden: Path) -> None:
    """A golden file becomes a dataset and its run an evaluation that reuses nothing; the same key is the same run."""
    version = engine.prompts.get(Ledger(db).version())
    openai = engine.settings.connection("openai")
    runs = {
        engine.runs.start(
            Launch(
                version=version,
                dataset=engine.evaluations.table(version, golden),
                connection=openai,
                options=RunOptions(reuse=True, strikes=1),
                kind="evaluation",
            ),
            key="k",
        )
        for _ in range(2)
    }
    (run,) = runs
    found = engine.runs.get(run)
    assert (found.kind, found.version, found.counts.rows) == ("evaluation", "triage@1", 3)
    assert (found.options.reuse, found.options.strikes) == (False, 1)
    assert engine.datasets.get(found.dataset).columns == (
        "customer",
        "message",
        "expected.sentiment",
        "expected.urgency",
    )
    report = engine.evaluations.report(run)
    assert (report["answered"], report["waiting"], report["n"], report["agreement"]) == (0, 3, 0, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOLDEN.replace("neutral", "furious"), "golden.csv:4: expected.sentiment"),
        (GOLDEN.replace("expected.urgency", "expected.urgent"), "did you mean 'urgency'"),
        (GOLDEN.splitlines()[0] + "\n", "no rows"),
    ],
    ids=["value", "path", "empty"],
)
def test_golden_files_that_are_wrong(engine: Engine, db: Database, golden: Path, text: str, words: str) -> None:
    """What the contract could never accept is an error of the file, before anything is stored."""
    golden.write_text(text, "utf-8")
    version = engine.prompts.get(Ledger(db).version())
    with pytest.raises(errors.TableError) as caught:
        engine.evaluations.table(version, golden)
    assert words in caught.value.message
    assert engine.datasets.list() == []


def test_a_report(engine: Engine, db: Database) -> None:
    """Agreement per field with n, overall, and every miss with what came instead."""
    run = _answered(
        db,
        [
            {"sentiment": "positive", "urgency": 2, "summary": ""},
            {"sentiment": "negative", "urgency": 5, "summary": ""},
            {"sentiment": "neutral", "urgency": 3, "summary": ""},
        ],
    )
    report = engine.evaluations.report(run)
    assert (report["run"], report["prompt"], report["rows"], report["answered"]) == (run, "triage@1", 3, 3)
    assert [(one["path"], one["n"], one["agree"], one["agreement"]) for one in report["fields"]] == [
        ("sentiment", 3, 3, 1.0),
        ("urgency", 2, 1, 0.5),
    ]
    assert (report["n"], report["agreement"]) == (5, 0.8)
    assert report["misses"] == [{"ordinal": 1, "path": "urgency", "expected": 1, "got": 2, "answered": True}]
    json.dumps(report)


def test_a_dead_row_cannot_raise_the_score(engine: Engine, db: Database) -> None:
    """A row without a value disagrees in the headline; the figure of answered rows stands beside it."""
    right = {"sentiment": "positive", "urgency": 1, "summary": ""}
    report = engine.evaluations.report(_answered(db, [right, None, None]))
    assert (report["answered"], report["n"], report["agreement"]) == (1, 5, 0.4)
    assert (report["answered_n"], report["answered_agreement"], report["missed"]) == (2, 1.0, 3)


def test_rows_that_wait_are_said_to(engine: Engine, db: Database) -> None:
    """While the run goes on the report is of the rows that have an end."""
    right = {"sentiment": "positive", "urgency": 1, "summary": ""}
    report = engine.evaluations.report(_answered(db, [right], due=2))
    assert (report["rows"], report["waiting"], report["n"], report["agreement"]) == (3, 2, 2, 1.0)


def test_only_evaluations_have_a_report(engine: Engine, db: Database) -> None:
    """Asking it of another run says what that is."""
    with pytest.raises(errors.InputError, match="of kind run"):
        engine.evaluations.report(_answered(db, [None], kind="run"))


def test_evaluations_of_the_same_golden_rows_stand_beside_each_other(engine: Engine, db: Database) -> None:
    """Of any version, by any model; one of other golden rows, and a run that is none, are refused."""
    right = {"sentiment": "positive", "urgency": 1, "summary": ""}
    one = _answered(db, [right, None, None])
    ledger = Ledger(db)
    dataset = engine.runs.get(one).dataset
    fates: dict[int, Any] = dict.fromkeys((1, 2, 3), FAULTS[0])
    version = engine.runs.get(one).version_id
    other = ledger.run(dataset, version, kind="evaluation", fates=fates, ordinals=[1, 2, 3], model="big")
    strange = ledger.run(ledger.dataset(3), version, kind="evaluation", rows=3)
    run = ledger.run(dataset, version, rows=3)

    assert [run.model for run in engine.evaluations.others(one)] == ["big"]
    found = engine.evaluations.beside(one, other)
    assert (found.overall.n, found.overall.first, found.overall.second, found.overall.only_first) == (5, 2, 0, 2)
    with pytest.raises(errors.InputError, match="of different golden rows"):
        engine.evaluations.beside(one, strange)
    with pytest.raises(errors.InputError, match="of kind run"):
        engine.evaluations.beside(one, run)
