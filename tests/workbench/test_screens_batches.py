"""The batch endpoint on the screens: asked for on the launch form, and shown on the run's page."""

from __future__ import annotations

import json
import re
import time

import pytest

from jobs.api import Engine
from jobs.options import RunOptions
from tests.jobs.ledger import Ledger
from tests.workbench.conftest import CONTENT, Open, press, tables, texts

HOSTILE = "<b>failed</b> because [of](http://a) *it*"


@pytest.mark.usefixtures("keeper")
def test_a_run_can_be_asked_to_go_through_the_batch_endpoint(open_screen: Open, engine: Engine, table: str) -> None:
    """The forecast says at what price and how long it may take, and the run is frozen with it."""
    version = engine.prompts.save("triage", CONTENT, note="n")
    app = open_screen("launch", prompt="triage@1", dataset=table)
    app.selectbox(key=f"batch:{version.id}").set_value("first").run()

    assert "through the batch endpoint, at 50% of the price and within 24 hours" in texts(app)
    press(app, "Launch 120 rows")
    assert engine.runs.list()[0][0].options.batch == "first"


def test_the_page_of_a_run_shows_its_batches(open_screen: Open, ledger: Ledger) -> None:
    """Where each is, what is answered of it, and what the provider says, which is text and nothing else."""
    run = ledger.run(ledger.dataset(20), ledger.version(), due=5)
    options = RunOptions(batch="first").model_dump_json()
    ledger.db.execute("UPDATE runs SET options = ? WHERE id = ?", [options, run])
    ledger.db.execute(
        """
        INSERT INTO batches (run, token, state, remote, status, calls, rows, answered, failed, words, created_at, submitted_at,
                             checked_at, expires_at, next_at)
        VALUES (?, 't', 'submitted', 'batch_77', 'in_progress', 20, 40, 12, 3, ?, 1, ?, ?, ?, 1)
        """,
        [run, HOSTILE, time.time() - 7200, time.time() - 60, time.time() + 7200],
    )
    ledger.db.conn.commit()
    said = texts(open_screen("run", id=run))

    for words in ("Batches at the provider", "with the provider (in_progress)", "12 of 20", "batch_77", "2 h ago"):
        assert words in said, words
    assert json.dumps(HOSTILE)[1:-1] in said
    assert re.search(r'Left</div><div [^>]*>up to 24 h</div><div class="note">as the provider takes', said)
    assert "first questions through the batch endpoint" in said
    ordinary = ledger.run(ledger.dataset(21), ledger.version(number=2))
    assert "batch endpoint" not in texts(open_screen("run", id=ordinary))
    shown = {row["id"]: str(row) for row in tables(open_screen("runs"))["runs"]["rows"]}
    assert "run, batch" in shown[str(run)] and "batch" not in shown[str(ordinary)]
    settings = texts(open_screen("run", id=run, view="Settings and lineage"))
    assert "Through the batch endpoint" in settings and "First questions" in settings
