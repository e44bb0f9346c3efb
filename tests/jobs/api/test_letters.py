"""engine.letters: groups and lists that agree with each other, one row whole, and what a replay made."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from typing import Any

import pytest
from sqlite_utils import Database

from jobs import errors
from jobs.api import Engine
from jobs.store import fates, reading_letters, reading_replays
from jobs.store.reading_letters import Filter
from jobs.views.letters import Group, ReplayOutcome
from tests.jobs.ledger import FAULTS, Fault, Ledger


def _sum(groups: list[Group]) -> int:
    return sum(group.count for group in groups)


# -- groups and lists --------------------------------------------------------------------------------------------------


def test_groups_hold_every_open_letter_once(engine: Engine, ledger: Ledger) -> None:
    """Groups are ordered by size, add up to the letters, and each list holds what its group counts."""
    dataset = ledger.dataset(60)
    ledger.run(dataset, ledger.version(), dead=20, faults=FAULTS[:3])
    ledger.run(dataset, ledger.version(number=2), dead=9, faults=FAULTS[1:2])
    groups, total = engine.letters.groups()
    assert total == len(groups) == 3
    assert [group.count for group in groups] == sorted((group.count for group in groups), reverse=True)
    assert groups[0].title == "reply is not JSON: prose"
    assert groups[0].versions == ("triage@2", "triage@1")
    assert groups[0].runs == (2, 1)
    assert _sum(groups) == engine.letters.list()[1] == len(engine.letters.ids()) == 29
    for group in groups:
        letters, count = engine.letters.list(signature=group.signature, limit=100)
        assert count == len(letters) == group.count == group.resolutions["open"]
        assert {letter.title for letter in letters} == {group.title}
        assert group.first_at == min(letter.died_at for letter in letters)
        newest = max(letters, key=lambda letter: letter.died_at)
        assert (group.last_at, group.example_run, group.example_ordinal) == (newest.died_at, newest.run, newest.ordinal)


def test_pages_of_groups_and_letters(engine: Engine, ledger: Ledger) -> None:
    """Pages follow each other without gap or overlap."""
    ledger.run(ledger.dataset(40), ledger.version(), dead=24)
    whole, total = engine.letters.groups(limit=100)
    parts = [engine.letters.groups(limit=4, offset=at)[0] for at in (0, 4)]
    assert [group.signature for part in parts for group in part] == [group.signature for group in whole]
    assert total == len(FAULTS)
    letters = [engine.letters.list(offset=at, limit=7)[0] for at in range(0, 28, 7)]
    assert [(one.run, one.ordinal) for page in letters for one in page] == list(engine.letters.ids())


def test_a_group_shows_the_raw_reply_that_decided(engine: Engine, ledger: Ledger) -> None:
    """The example is the head of the raw reply; a death without a reply has none."""
    long = Fault("1:not_json:long", "long", FAULTS[1].problem, "x" * 1000)
    ledger.run(ledger.dataset(10), ledger.version(), dead=2, faults=[long, FAULTS[5]])
    found = {group.signature: group.example_raw for group in engine.letters.groups()[0]}
    assert found == {long.signature: "x" * 400, FAULTS[5].signature: ""}


def test_the_cost_of_a_group_is_that_of_all_its_calls(engine: Engine, ledger: Ledger, db: Database) -> None:
    """Every call about the group's rows counts, and one unknown price makes the sum unknown."""
    run = ledger.run(ledger.dataset(10), ledger.version(), dead=3, faults=FAULTS[:1])
    (group,) = engine.letters.groups()[0]
    wanted = "SELECT SUM(cost) FROM calls WHERE id IN (SELECT call FROM attempts WHERE verdict = 'rejected')"
    assert group.cost == pytest.approx(db.execute(wanted).fetchone()[0])
    with db.atomic():
        db.execute("UPDATE calls SET cost = NULL WHERE id = (SELECT MIN(call) FROM attempts WHERE strike = 1)")
        db.execute(fates.SPENT)
    assert engine.letters.groups(run=run)[0][0].cost is None


def test_filters(engine: Engine, ledger: Ledger) -> None:
    """By run, prompt and resolution; a resolution of None is any."""
    dataset = ledger.dataset(30)
    first = ledger.run(dataset, ledger.version(), dead=6, faults=FAULTS[:2])
    second = ledger.run(dataset, ledger.version(prompt="company"), dead=4, faults=FAULTS[:2])
    ordinals = ledger.dead(first)
    ledger.discard(first, ordinals[:2])
    ledger.correct(first, ordinals[2], {"sentiment": "neutral", "urgency": 1, "summary": "x"})
    assert engine.letters.list(run=first)[1] == 3
    assert engine.letters.list(run=first, resolution=None)[1] == 6
    assert engine.letters.list(resolution="discarded")[1] == 2
    assert engine.letters.list(prompt="company")[1] == 4
    assert engine.letters.list(prompt="triage", run=second)[1] == 0
    assert _sum(engine.letters.groups(resolution=None)[0]) == 10
    open_groups = engine.letters.groups(prompt="triage")[0]
    assert sum(group.resolutions.get("discarded", 0) for group in open_groups) == 2
    assert sum(group.resolutions.get("corrected", 0) for group in open_groups) == 1


def test_a_letter_in_a_list(engine: Engine, ledger: Ledger) -> None:
    """A letter has its row's id and the heads of its cells and of its last raw reply."""
    run = ledger.run(ledger.dataset(10), ledger.version(), fates={4: FAULTS[2], 7: FAULTS[5]})
    first, second = engine.letters.list()[0]
    assert (first.run, first.ordinal, first.row_id, first.version) == (run, 4, "T-000004", "triage@1")
    assert first.cells_head.startswith("T-000004 · Customer 4 · My cable · Hello")
    assert first.raw_head == FAULTS[2].raw
    assert (second.ordinal, second.raw_head) == (7, "")


def test_what_a_replay_has_asked_again_is_shown_once(engine: Engine, ledger: Ledger) -> None:
    """A row that died again stands under the replay; the first run still shows its own letters."""
    dataset = ledger.dataset(30)
    parent = ledger.run(dataset, ledger.version(), dead=10)
    replay = ledger.replay(parent, ledger.version(number=2), fixed=3, same=2, new=1)
    letters, total = engine.letters.list()
    assert total == 4 + 3
    assert sorted({letter.run for letter in letters}) == [parent, replay]
    assert engine.letters.list(run=parent, resolution=None)[1] == 10
    assert len({letter.row_id for letter in letters}) == total


def test_letters_of_tries_stay_with_their_run(engine: Engine, ledger: Ledger, db: Database) -> None:
    """What a try could not answer asks nobody for anything, but can be looked at."""
    run = ledger.run(ledger.dataset(10), ledger.version(), kind="try", dead=3)
    with db.atomic():
        db.execute("UPDATE dead_letters SET latest = 0 WHERE run = ?", [run])
    assert engine.letters.list()[1] == 0
    assert engine.letters.list(run=run)[1] == 3


def test_neighbours_walk_the_list(engine: Engine, ledger: Ledger) -> None:
    """Next and previous go through exactly the list, in its order, and end at its ends."""
    dataset = ledger.dataset(30)
    ledger.run(dataset, ledger.version(), dead=6, faults=FAULTS[:2])
    ledger.run(dataset, ledger.version(number=2), dead=5, faults=FAULTS[:2])
    for signature in (None, FAULTS[0].signature):
        order = [(one.run, one.ordinal) for one in engine.letters.list(signature=signature)[0]]
        for at, (run, ordinal) in enumerate(order):
            before, after = engine.letters.neighbours(run, ordinal, signature=signature)
            assert before == (order[at - 1] if at else None)
            assert after == (order[at + 1] if at + 1 < len(order) else None)


def test_neighbours_of_a_letter_that_has_left_the_list(engine: Engine, ledger: Ledger) -> None:
    """After a decision about a row, next still leads to the row that stood behind it."""
    run = ledger.run(ledger.dataset(10), ledger.version(), fates=dict.fromkeys((2, 5, 8), FAULTS[0]))
    ledger.discard(run, [5])
    assert engine.letters.neighbours(run, 5) == ((run, 2), (run, 8))
    assert engine.letters.neighbours(run, 5, within_run=True) == ((run, 2), (run, 8))


# -- one row -----------------------------------------------------------------------------------------------------------


def test_inspecting_a_dead_row(engine: Engine, ledger: Ledger, db: Database) -> None:
    """The inspector has the row, the messages as they were sent, every raw reply whole and the problems with their places."""
    run = ledger.run(ledger.dataset(10), ledger.version(), fates={3: FAULTS[2]})
    found = engine.letters.inspect(run, 3)
    assert (found.row_id, found.state, found.run.id, found.version.number) == ("T-000003", "dead", run, 1)
    assert found.cells == found.original_cells
    assert found.cells["customer"] == "Customer 3"
    assert found.letter is not None and found.letter.signature == FAULTS[2].signature
    assert found.result is None
    assert [attempt.asked for attempt in found.attempts] == [1, 2, 3]
    attempt = found.attempts[-1]
    assert attempt.strike and attempt.raw == FAULTS[2].raw
    (problem,) = attempt.problems
    assert attempt.raw is not None and attempt.raw[problem.start : problem.end] == '"angry"'
    assert [message.role for message in attempt.messages] == ["system", "user"]
    assert attempt.request is not None and attempt.request["max_tokens"] == 128
    assert attempt.cost is not None and attempt.seconds is not None


def test_places_hold_behind_a_lone_surrogate(engine: Engine, ledger: Ledger, db: Database) -> None:
    """A raw reply with half a character is printable, and a problem behind that still points at its own text."""
    raw = '{"summary": "\ud83d", "sentiment": "angry"}'
    start = raw.index('"angry"')
    problem = {**(FAULTS[2].problem or {}), "start": start, "end": start + 7}
    run = ledger.run(
        ledger.dataset(5), ledger.version(), fates={1: Fault("1:enum:$.sentiment", "not allowed", problem, raw)}
    )
    attempt = engine.letters.inspect(run, 1).attempts[-1]
    assert attempt.raw is not None
    attempt.raw.encode()
    assert attempt.raw[attempt.problems[0].start : attempt.problems[0].end] == '"angry"'


def test_inspecting_rows_that_are_not_dead(engine: Engine, ledger: Ledger) -> None:
    """Any row can be looked at: accepted with its result, reused without a call, waiting without an attempt."""
    run = ledger.run(ledger.dataset(5), ledger.version(), fates={1: "accepted", 2: "reused", 3: "due", 4: "throttled"})
    accepted = engine.letters.inspect(run, 1)
    assert accepted.letter is None and accepted.result is not None
    assert accepted.result.value == accepted.attempts[0].value
    assert accepted.result.receipt is not None and accepted.result.receipt.how == "strict"
    reused = engine.letters.inspect(run, 2).attempts[0]
    assert (reused.raw, reused.try_id, reused.messages, reused.receipt and reused.receipt.how) == (
        None,
        None,
        (),
        "reused",
    )
    assert engine.letters.inspect(run, 3).attempts == ()
    throttled = engine.letters.inspect(run, 4).attempts
    assert throttled[0].failure is not None and throttled[0].failure.status == 429
    assert [attempt.verdict for attempt in throttled] == ["failed", "accepted"]


def test_a_row_as_a_person_edited_it(engine: Engine, ledger: Ledger) -> None:
    """An edited row is shown as the run saw it, beside the original, which stays."""
    dataset = ledger.dataset(5)
    cells = {"ticket": "T-000002", "customer": "Ann", "subject": "s", "message": "clearer"}
    run = ledger.run(dataset, ledger.version(), fates={2: FAULTS[0]}, edits={2: cells})
    found = engine.letters.inspect(run, 2)
    assert found.cells == cells
    assert found.original_cells["customer"] == "Customer 2"


def test_a_corrected_row(engine: Engine, ledger: Ledger) -> None:
    """The value by hand is the row's result, says that it is one, and its decision stands with the row."""
    run = ledger.run(ledger.dataset(5), ledger.version(), fates={2: FAULTS[0]})
    value = {"sentiment": "neutral", "urgency": 2, "summary": "by hand"}
    decision = ledger.correct(run, 2, value, reason="obvious")
    found = engine.letters.inspect(run, 2)
    assert found.result is not None and found.result.value == value
    assert found.result.receipt is not None and found.result.receipt.how == "corrected"
    assert [(one.id, one.kind, one.reason) for one in found.decisions] == [(decision, "correct", "obvious")]
    assert [one.id for one in engine.letters.decisions(run=run)] == [decision]


def test_a_request_body_that_is_unlike_ours(engine: Engine, ledger: Ledger, db: Database) -> None:
    """Messages that are not plain text are left in the body and break nothing."""
    run = ledger.run(ledger.dataset(5), ledger.version(), fates={2: FAULTS[0]})
    body = {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}, {"role": "user", "content": "y"}]
    }
    with db.atomic():
        db.execute("UPDATE calls SET request = ?", [zlib.compress(json.dumps(body).encode())])
    attempt = engine.letters.inspect(run, 2).attempts[0]
    assert [message.content for message in attempt.messages] == ["y"]
    assert attempt.request == body


@pytest.mark.parametrize("place", [(1, 99), (99, 1)])
def test_a_row_that_is_not_there(engine: Engine, ledger: Ledger, place: tuple[int, int]) -> None:
    """A row or run that does not exist is not found."""
    ledger.run(ledger.dataset(5), ledger.version())
    with pytest.raises(errors.NotFound):
        engine.letters.inspect(*place)


# -- what a replay made ------------------------------------------------------------------------------------------------


def test_before_and_after(engine: Engine, ledger: Ledger) -> None:
    """Every row of a replay stands once, under what became of it, beside how it had failed."""
    parent = ledger.run(ledger.dataset(40), ledger.version(), dead=12)
    replay = ledger.replay(parent, ledger.version(number=2), fixed=4, same=3, new=2, waiting=1)
    assert engine.letters.outcome(replay) == ReplayOutcome(
        fixed=4, same_failure=3, new_failure=2, waiting=1, cancelled=0
    )
    for outcome, count in (("fixed", 4), ("same_failure", 3), ("new_failure", 2), ("waiting", 1), ("cancelled", 0)):
        rows, total = engine.letters.before_after(replay, outcome=outcome, limit=50)
        assert (total, len(rows)) == (count, count)
        for row in rows:
            assert row.outcome == outcome and row.before_title
            assert (row.after_value is not None) == (outcome == "fixed")
            assert (row.after_title is not None) == outcome.endswith("failure")
            assert (row.after_title == row.before_title) == (outcome == "same_failure")
    rows, total = engine.letters.before_after(replay, offset=8, limit=5)
    assert (total, len(rows)) == (10, 2)


def test_the_decision_that_a_replay_was_made_by(engine: Engine, ledger: Ledger) -> None:
    """Each replay of a run has its own; a run that is none has none."""
    run = ledger.run(ledger.dataset(20), ledger.version(), dead=6)
    replays = [
        ledger.replay(run, ledger.version(number=2), same=2),
        ledger.replay(run, ledger.version(number=3), same=2),
    ]
    found = [engine.letters.decision_of(replay) for replay in replays]
    assert [(one.kind, one.run, one.replay) for one in found if one] == [("replay", run, replay) for replay in replays]
    assert engine.letters.decision_of(run) is None


def test_only_replays_have_an_outcome(engine: Engine, ledger: Ledger) -> None:
    """Asking it of a first run says so."""
    run = ledger.run(ledger.dataset(5), ledger.version(), dead=1)
    with pytest.raises(errors.InputError, match="no replay"):
        engine.letters.outcome(run)


# -- size --------------------------------------------------------------------------------------------------------------


def test_queries_use_the_indexes(db: Database, ledger: Ledger) -> None:
    """No query of a page walks a whole table of letters, attempts, calls or rows."""
    ledger.run(ledger.dataset(20), ledger.version(), dead=6)
    asked: list[tuple[str, Any]] = []
    with db.tracer(lambda sql, params: asked.append((sql, params))):
        for chosen in (
            Filter(),
            Filter(resolution=None),
            Filter(signature=FAULTS[0].signature),
            Filter(run=1),
            replace(Filter(), prompt="triage"),
        ):
            reading_letters.groups(db, chosen, limit=10)
            reading_letters.letters(db, chosen, limit=10)
            reading_letters.ids(db, chosen)
            reading_letters.neighbours(db, chosen, run=1, ordinal=3)
    assert len(asked) > 30
    for sql, params in asked:
        plan = [row[3] for row in db.conn.execute(f"EXPLAIN QUERY PLAN {sql}", params or [])]
        for table in ("d", "dead_letters", "a", "attempts", "c", "calls", "rr", "run_rows", "r"):
            bad = [step for step in plan if step == f"SCAN {table}" or step.startswith(f"SCAN {table} ")]
            assert not bad, (bad, sql)


def test_the_outcome_of_a_replay_reads_each_row_s_own_moves(ledger: Ledger, db: Database) -> None:
    """A replay has a move for each row that it fixed: whoever looked through all of them for each would take the square of it."""
    ledger.run(ledger.dataset(20), ledger.version(), dead=6)
    asked: list[tuple[str, Any]] = []
    with db.tracer(lambda sql, params: asked.append((sql, params))):
        reading_replays.outcome(db, 1)
        reading_replays.before_after(db, 1, outcome="fixed", limit=10, offset=0)
    steps = [
        row[3]
        for sql, params in asked
        for row in db.conn.execute(f"EXPLAIN QUERY PLAN {sql}", params or [])
        if row[3].startswith("SEARCH m ")
    ]
    assert len(asked) == 3 <= len(steps)
    assert all("(root=? AND ordinal=?)" in step for step in steps), steps
