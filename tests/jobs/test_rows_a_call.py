"""Several rows in one call, through the whole engine: what is kept, who is asked again and with whom, and what it costs."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import errors
from jobs.options import RunOptions
from jobs.testing import StubProvider, marked
from jobs.testing.script import Act, Ask
from tests.house import CONTENT, Home

GOOD = {"sentiment": "good", "words": 2}


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with StubProvider(marked, answer=GOOD) as provider:
        yield provider


@pytest.fixture
def home(tmp_path: Path, redis_address: str, stub: StubProvider) -> Iterator[Home]:
    home = Home(tmp_path / "home", redis_address, stub, chance=lambda: 0.0)
    yield home
    home.close()


def together(rows: int, **rest: object) -> RunOptions:
    return RunOptions.model_validate({"rows_per_call": rows, **rest})


def test_rows_go_together_and_each_has_its_own_value_and_receipt(home: Home) -> None:
    """Twenty rows in fours are five calls; every row has an attempt, and the whole is strict where nothing was amiss."""
    run = home.went([f"row {number}" for number in range(20)], options=together(4))
    query = "SELECT count(*), count(DISTINCT call), count(DISTINCT ordinal), min(receipt), max(receipt) FROM attempts"
    attempts, calls, rows, *receipts = home.engine._house.read().execute(query).fetchone()

    assert (run.counts.accepted, run.calls, attempts, calls, rows) == (20, 5, 20, 5, 20)
    assert {json.loads(receipt)["how"] for receipt in receipts} == {"strict"}
    assert all(len(entry.user.split("<record ")) == 5 for entry in home.stub.ledger.entries)


@pytest.mark.parametrize("response_format", ["json_schema", "json_object", "text"])
def test_every_response_format_takes_several_rows(home: Home, response_format: str) -> None:
    """The schema that is sent is that of the whole answer; without one the prompt says its form."""
    version = home.version(CONTENT.model_copy(update={"response_format": response_format}))
    run = home.went([f"row {number}" for number in range(6)], version=version, options=together(3))

    assert (run.counts.accepted, run.calls) == (6, 2)


def test_a_row_that_spoils_its_calls_is_found_in_steps_and_alone_is_struck(home: Home) -> None:
    """Of eight rows one spoils every reply: halves, quarters, pairs, then alone; no other row has a strike."""
    run = home.went([*(f"row {number}" for number in range(7)), "poison [[always bad]]"], options=together(8))
    db = home.engine._house.read()
    struck = db.execute("SELECT ordinal, count(*) FROM attempts WHERE strike = 1 GROUP BY 1").fetchall()

    assert (run.counts.accepted, run.counts.dead) == (7, 1)
    assert struck == [(8, 3)]
    # one call for all, at most log2(8) + 1 until it stands alone, and the two strikes that are left then
    assert run.calls <= 1 + 4 + 2


def test_a_reply_that_was_cut_keeps_what_stood_before(home: Home) -> None:
    """Rows whose answers were whole are done; the others are asked again with fewer, without a strike."""
    run = home.went([*(f"row {number}" for number in range(5)), "last [[cut]]"], options=together(6))
    db = home.engine._house.read()
    first = db.execute("SELECT ordinal FROM attempts WHERE call = 1 AND verdict = 'accepted' ORDER BY 1").fetchall()
    receipts = {
        json.loads(text)["how"]
        for (text,) in db.execute("SELECT receipt FROM attempts WHERE receipt IS NOT NULL AND call = 1")
    }

    assert run.counts.accepted == 6 and run.counts.struck == 0
    assert 0 < len(first) < 6 and receipts == {"salvaged"}


def test_a_stream_that_breaks_off_loses_only_what_had_not_come(home: Home) -> None:
    """Answers that were whole by then are kept and paid for, by an estimate; nothing is a strike."""
    home.stub.scripts = (lambda ask: Act(ends="cut") if ask.number == 1 else None,)
    run = home.went([f"row {number}" for number in range(8)], options=together(8))
    first = (
        home.engine._house.read()
        .execute(
            "SELECT count(*), sum(verdict = 'accepted'), max(c.estimated), max(c.finish_reason), total(strike)"
            " FROM attempts a JOIN calls c ON c.id = a.call WHERE c.id = 1"
        )
        .fetchone()
    )

    assert run.counts.accepted == 8
    assert first[0] == 8 and 0 < first[1] < 8 and first[2:] == (1, "broken off", 0.0)


def test_a_connection_that_cannot_stream_is_asked_for_the_whole(home: Home) -> None:
    """One line in connections.toml, for endpoints that refuse a stream."""
    file = home.folder / "connections.toml"
    file.write_text(file.read_text().replace("in_flight", "stream = false\nin_flight"))
    run = home.went([f"row {number}" for number in range(4)], options=together(4))
    (sent,) = home.engine._house.read().execute("SELECT request FROM calls").fetchone()

    assert run.counts.accepted == 4 and b'"stream"' not in zlib.decompress(sent)


def test_a_problem_in_an_answer_of_its_own_is_that_rows_strike(home: Home) -> None:
    """It is asked again alone, with its problems; the others have their values."""
    run = home.went([*(f"row {number}" for number in range(3)), "wrong [[invalid]]"], options=together(4))
    db = home.engine._house.read()
    struck = db.execute("SELECT ordinal FROM attempts WHERE strike = 1").fetchall()

    assert (run.counts.accepted, run.calls, struck) == (4, 2, [(4,)])


def test_a_row_that_is_left_out_is_asked_again(home: Home) -> None:
    """Silence about a row is no fault of it."""
    run = home.went([*(f"row {number}" for number in range(3)), "left out [[missing]]"], options=together(4))

    assert (run.counts.accepted, run.calls) == (4, 2)
    assert home.engine._house.read().execute("SELECT total(strike) FROM attempts").fetchone() == (0.0,)


def test_a_row_that_cannot_be_rendered_costs_the_others_nothing(home: Home) -> None:
    """An error of ours around several rows is halved like a reply that failed."""
    content = CONTENT.model_copy(update={"template": "user:\n{{ text[:200] }}{{ 10 // (text | length - 4) }}"})
    run = home.went(["fine one", "fine two", "four", "fine three"], version=home.version(content), options=together(4))
    dead = home.engine.letters.ids(run=run.id, resolution="open")

    assert (run.counts.accepted, run.counts.dead) == (3, 1) and dead == [(run.id, 3)]


def test_examples_are_shown_in_the_form_of_the_answer(home: Home) -> None:
    """And the request as it was sent is what the inspector shows."""
    template = 'system:\nJudge.\nuser:\nGreat!\nassistant:\n{"sentiment": "good", "words": 1}\nuser:\n{{ text }}\n'
    version = home.version(CONTENT.model_copy(update={"template": template}))
    run = home.went(["one", "two"], version=version, options=together(2))
    shown = [message.content for message in home.engine.letters.inspect(run.id, 1).attempts[0].messages]

    assert run.calls == 1 and '"results"' in shown[2] and shown[1].startswith("<record ")


def test_a_template_whose_other_messages_depend_on_the_row_takes_one_at_a_time(home: Home) -> None:
    """Said before anything is started."""
    version = home.version(CONTENT.model_copy(update={"template": "system:\nFor {{ text }}\nuser:\nGo on.\n"}))

    with pytest.raises(errors.InputError, match="last user message"):
        home.start(["a", "b"], version=version, options=together(2))


def test_money_is_that_of_the_calls_and_each_row_has_its_share(home: Home) -> None:
    """The run's cost is the stub's own ledger, and a budget holds."""
    run = home.went([f"row {number}" for number in range(12)], options=together(4, budget=1.0))

    assert run.cost == pytest.approx(sum(entry.money for entry in home.stub.ledger.entries))


def test_exchanged_ids_give_nobody_the_others_value(home: Home) -> None:
    """Where the contract repeats a column: both are asked again with fewer rows, without a strike, and get their own."""
    contract = {
        "type": "object",
        "properties": {"text": {"type": "string"}, "words": {"type": "integer"}},
        "required": ["text", "words"],
        "additionalProperties": False,
    }
    home.stub.answer = lambda messages, text: {"text": text, "words": len(text)}
    home.stub.scripts = (_exchanges,)
    version = home.version(CONTENT.model_copy(update={"contract": contract, "template": "user:\n{{ text }}\n"}))
    run = home.went(["one", "second", "third row"], version=version, options=together(3))
    values = home.engine._house.read().execute(
        "SELECT ordinal, value FROM attempts WHERE verdict = 'accepted' ORDER BY 1"
    )
    strikes = home.engine._house.read().execute("SELECT total(strike) FROM attempts").fetchone()

    assert [json.loads(value)["text"] for _, value in values] == ["one", "second", "third row"]
    assert strikes == (0.0,) and run.counts.accepted == 3


def _exchanges(ask: Ask) -> Act | None:
    """In the first call the first two answers stand under each other's ids."""
    if ask.number > 1:
        return None
    told = json.loads(ask.answer())
    first, second, *_ = told["results"]
    first["id"], second["id"] = second["id"], first["id"]
    return Act(content=json.dumps(told))
