"""What people ask for is applied whole or not at all, and what cannot be applied is answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlite_utils import Database

from jobs.owner import apply_requests
from jobs.requests import Pause, SetBudget, Start
from jobs.store import drawer
from jobs.store.database import open_writer
from tests.jobs.ledger import Ledger


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    opened = open_writer(tmp_path / "home.db")
    yield opened
    opened.close()


def test_a_request_that_fails_midway_leaves_nothing_but_its_error(db: Database) -> None:
    """A run whose id column is nowhere is not there, and what is asked for behind it is applied all the same."""
    ledger = Ledger(db)
    dataset, version = ledger.dataset(5), ledger.version()
    going = ledger.run(dataset, version, due=2)
    bad = Start(
        dataset=dataset, version=version, connection="c", base_url="http://a/v1", model="m", columns=("message",),
        id_column="nowhere", ordinals=(1, 2),
    )  # fmt: skip
    drawer.put_request(db, bad, key="bad", now=1.0)
    drawer.put_request(db, Pause(run=going), key="good", now=2.0)
    before = db.execute("SELECT count(*) FROM run_rows").fetchone()

    assert apply_requests(db, now=3.0) == 2

    assert db.execute("SELECT id, state FROM runs").fetchall() == [(going, "paused")]
    assert db.execute("SELECT count(*) FROM run_rows").fetchone() == before
    refused, applied = drawer.answer_of(db, "bad"), drawer.answer_of(db, "good")
    assert refused is not None and "cannot be applied" in (refused.error or "")
    assert applied is not None and applied.error is None
    assert apply_requests(db, now=4.0) == 0


def test_a_request_that_breaks_a_rule_of_the_store_is_refused_with_the_reason(db: Database) -> None:
    """It would be tried again at every step, and nobody would hear of it: it is refused, and what comes behind it is applied."""
    ledger = Ledger(db)
    run = ledger.run(ledger.dataset(5), ledger.version(), due=2)
    db.execute("CREATE TRIGGER strict BEFORE UPDATE OF state ON runs BEGIN SELECT RAISE(ABORT, 'no such state'); END")
    drawer.put_request(db, Pause(run=run), key="bad", now=1.0)
    drawer.put_request(db, SetBudget(run=run, budget=1.0), key="good", now=2.0)

    assert apply_requests(db, now=3.0) == 2

    refused, applied = drawer.answer_of(db, "bad"), drawer.answer_of(db, "good")
    assert refused is not None and refused.error == "this request cannot be applied: no such state"
    assert applied is not None and applied.error is None
    assert apply_requests(db, now=4.0) == 0
