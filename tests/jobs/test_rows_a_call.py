"""Several rows in one call, through the whole engine: what is kept, who is asked again and with whom, and what it costs."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import errors
from jobs.api.replays import Changes
from jobs.options import RunOptions
from jobs.testing import StubProvider, marked
from jobs.testing.script import Act, Ask
from jobs.views.datasets import Dataset
from jobs.views.prompts import Version
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


@pytest.mark.parametrize("whole", [1, 7, 19])
def test_a_stream_that_breaks_off_behind_some_of_twenty_answers_keeps_just_those(home: Home, whole: int) -> None:
    """However little of the next one is missing; only the other rows are asked again."""

    def broken(ask: Ask) -> Act | None:
        if ask.number > 1:
            return None
        text = ask.answer()
        came = text[: text.index(ask.records[whole].id) + len(ask.records[whole].id) + 30]
        return Act(ends="cut", content=came + " " * len(came))  # of which the first half comes

    home.stub.scripts = (broken,)
    run = home.went([f"row {number}" for number in range(20)], options=together(20))
    db = home.engine._house.read()
    kept = db.execute("SELECT ordinal FROM attempts WHERE call = 1 AND verdict = 'accepted' ORDER BY 1").fetchall()
    again = db.execute("SELECT DISTINCT ordinal FROM attempts WHERE call > 1 ORDER BY 1").fetchall()

    assert (run.counts.accepted, run.counts.struck) == (20, 0)
    assert [ordinal for (ordinal,) in kept] == list(range(1, whole + 1))
    assert [ordinal for (ordinal,) in again] == list(range(whole + 1, 21))


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


KEYED = {
    "type": "object",
    "properties": {"key": {"type": ["integer", "string"]}, "mood": {"type": "string", "enum": ["good", "bad"]}},
    "required": ["key", "mood"],
    "additionalProperties": False,
}
TABLE = "id,text\n" + "".join(f"{row:03d},row {row}\n" for row in range(1, 9))


def _keyed(home: Home, **rest: object) -> tuple[Version, Dataset]:
    """A version whose answers repeat the id in a field of another name, and eight rows."""
    file = home.folder / "keyed.csv"
    file.write_text(TABLE)
    contract = KEYED | rest
    content = CONTENT.model_copy(update={"contract": contract, "template": "user:\n{{ id }}\n{{ text }}\n"})
    home.stub.answer = lambda messages, text: {"key": int(text.split()[0]), "mood": "good"}
    return home.version(content), home.engine.datasets.add(file)


def _values(home: Home) -> list[int]:
    query = "SELECT value FROM attempts WHERE verdict = 'accepted' ORDER BY ordinal, id"
    return [json.loads(value)["key"] for (value,) in home.engine._house.read().execute(query)]


def _struck(home: Home) -> float:
    return float(home.engine._house.read().execute("SELECT total(strike) FROM attempts").fetchone()[0])


def test_a_named_field_catches_exchanged_ids(home: Home) -> None:
    """Where it is not named, the exchange is not seen: this is what naming it is for."""
    version, dataset = _keyed(home)
    home.stub.scripts = (_exchanges,)
    run = home.ended(home.start(dataset, version=version, options=together(4, echo={"key": "id"}, reuse=False)))

    assert run.counts.accepted == 8 and _values(home) == list(range(1, 9)) and _struck(home) == 0
    assert run.calls == 4  # two, and one each for the two rows that were exchanged

    asked = len(home.stub.ledger.entries)
    home.stub.scripts = (lambda ask: _exchanges(ask, asked + 1),)
    home.ended(home.start(dataset, version=version, options=together(4, reuse=False)))
    assert sorted(_values(home)[:4]) == [1, 1, 2, 2] and _values(home)[:4] != [1, 1, 2, 2]


def test_a_row_whose_answer_repeats_nothing_is_taken_alone(home: Home) -> None:
    """There it is certain whose it is, however the model writes its key."""
    version, dataset = _keyed(home)
    home.stub.answer = lambda messages, text: {
        "key": "who knows" if "row 3" in text else int(text.split()[0]),
        "mood": "good",
    }
    run = home.ended(home.start(dataset, version=version, options=together(8, echo={"key": "id"})))

    assert (run.counts.accepted, run.calls, _struck(home)) == (8, 2, 0)
    assert _values(home)[2] == "who knows"


def test_a_broken_answer_of_another_row_is_no_strike(home: Home) -> None:
    """Of two exchanged answers one breaks the contract: the row that it is about has the strike, once it is asked alone."""
    version, dataset = _keyed(home)
    home.stub.answer = lambda messages, text: {
        "key": int(text.split()[0]),
        "mood": "odd" if "row 1" in text else "good",
    }
    home.stub.scripts = (_exchanges,)
    run = home.ended(home.start(dataset, version=version, options=together(8, echo={"key": "id"})))
    struck = home.engine._house.read().execute("SELECT DISTINCT ordinal FROM attempts WHERE strike = 1").fetchall()

    assert (run.counts.accepted, run.counts.dead, struck) == (7, 1, [(1,)])


def test_an_echo_that_cannot_be_is_refused_before_anything_is_asked(home: Home) -> None:
    """Also one that a prompt sets for its runs."""
    version, dataset = _keyed(home)

    with pytest.raises(errors.InputError, match="the contract has no field 'no'"):
        home.start(dataset, version=version, options=together(4, echo={"no": "id"}))
    usual = home.engine.prompts.save("task", version.content, note="", defaults={"echo": {"key": "nowhere"}})
    with pytest.raises(errors.InputError, match="there is no column 'nowhere'"):
        home.start(dataset, version=usual, options=None)
    assert not home.stub.ledger.entries


def test_a_replay_with_another_version_keeps_what_its_answers_can_repeat(home: Home) -> None:
    """The version's own default, else what of the run's still fits; what somebody chooses anew is held to."""
    version, dataset = _keyed(home)
    home.stub.answer = lambda messages, text: {"key": int(text.split()[0]), "mood": "odd"}
    run = home.ended(home.start(dataset, version=version, options=together(4, echo={"key": "id"})))
    first, second, third = home.engine.letters.ids(run=run.id)[:3]
    renamed = KEYED | {"properties": {"name": {"type": "string"}, **KEYED["properties"]}, "required": ["mood"]}
    without = KEYED | {"properties": {"mood": {"type": "string"}}, "required": ["mood"]}

    def replayed(letter: tuple[int, int], contract: object, name: str, **rest: object) -> dict[str, str]:
        content = version.content.model_copy(update={"contract": contract})
        better = home.engine.prompts.save(name, content, note="n", **rest)
        (made,) = home.engine.letters.replay([letter], Changes(version=better), key=name)
        return home.ended(made).options.echo

    assert replayed(first, without, "without") == {}
    assert replayed(second, renamed, "kept") == {"key": "id"}
    assert replayed(third, renamed, "own", defaults={"echo": {"name": "text"}}) == {"name": "text"}
    with pytest.raises(errors.InputError, match="has no field 'gone'"):
        home.engine.letters.replay([first], Changes(options=together(2, echo={"gone": "id"})), key="anew")


def _exchanges(ask: Ask, first: int = 1) -> Act | None:
    """In that call the first two answers stand under each other's ids."""
    if ask.number != first:
        return None
    told = json.loads(ask.answer())
    first, second, *_ = told["results"]
    first["id"], second["id"] = second["id"], first["id"]
    return Act(content=json.dumps(told))
