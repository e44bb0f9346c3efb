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


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{", "what is stored of it is no JSON"),
        ("[]", "it does not say what is asked for"),
        ('{"run": 1}', "it does not say what is asked for"),
        ('{"kind": "fly"}', "knows no request of kind 'fly'; another version has written it"),
        ('{"kind": "pause", "run": 1, "softly": true}', "knows no 'pause.softly' in a request; another version has"),
        ('{"kind": "pause", "run": "a secret"}', "pause.run: Input should be a valid integer"),
        ('{"kind": "pause"}', "pause.run: Field required"),
    ],
)
def test_a_request_that_cannot_be_read_is_answered_with_what_is_wrong(db: Database, body: str, said: str) -> None:
    """Another version is blamed only where the request says something that this one does not know."""
    db.execute("INSERT INTO requests (key, kind, body, created_at) VALUES ('odd', 'pause', ?, 1.0)", [body])
    db.conn.commit()

    assert apply_requests(db, now=2.0) == 1

    answer = drawer.answer_of(db, "odd")
    assert answer is not None and answer.error is not None
    assert answer.error.startswith("this request cannot be read: ") and said in answer.error
    assert "a secret" not in answer.error
