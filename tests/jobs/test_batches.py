"""Runs through a provider's batch endpoint: what is asked there, what it costs, and what becomes of rows that it does not answer."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from jobs import batches
from jobs.api.launch import Launch
from jobs.batches import BatchState, Size
from jobs.keys import Keys
from jobs.messages import Remote, StepReport
from jobs.options import RunOptions
from jobs.store.database import open_writer
from jobs.store.rows import set_back
from jobs.store.runs import transaction
from jobs.testing import StubProvider, marked
from tests.house import Home, wait_until
from tests.jobs.nights import GOOD, QUICK, assert_paid, by_way, found, overnight, rows
from workbench import reports


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with StubProvider(marked, answer=GOOD) as provider:
        yield provider


@pytest.fixture
def home(tmp_path: Path, redis_address: str, stub: StubProvider) -> Iterator[Home]:
    home = Home(tmp_path / "home", redis_address, stub, chance=lambda: 0.0, of_stub=QUICK)
    yield home
    home.close()


@pytest.fixture
def small(tmp_path: Path, redis_address: str, stub: StubProvider) -> Iterator[Home]:
    """A home whose batches hold twenty calls."""
    home = Home(tmp_path / "home", redis_address, stub, chance=lambda: 0.0, of_stub=f"{QUICK}batch_calls = 20\n")
    yield home
    home.close()


# -- through a batch ---------------------------------------------------------------------------------------------------


def test_every_row_is_answered_at_half_the_price(home: Home) -> None:
    """No ordinary request is made, and each call is booked at the price that was charged."""
    run = home.went(rows(40), options=overnight())
    price = home.engine._house.read().execute("SELECT DISTINCT json_extract(price, '$.input'), seconds FROM calls")

    assert (run.counts.accepted, run.calls, by_way(home, run)) == (40, 40, {True: 40})
    assert price.fetchall() == [(0.5, None)]
    assert_paid(home, run)
    wait_until(lambda: all(batch["state"] == "ended" for batch in found(home, run)))
    (batch,) = found(home, run)
    assert (batch["status"], batch["answered"]) == ("completed", 40)
    assert (batch["calls"], batch["rows"], home.stub.batches.created) == (40, 40, 1)


def test_what_was_sent_is_kept_with_each_reply(home: Home) -> None:
    """As the body of its line, byte for byte, since a person who looks at an attempt wants the request itself."""
    run = home.went(rows(3), options=overnight())
    (batch,) = home.stub.batches.all.values()
    kept = home.engine._house.read().execute("SELECT request, raw FROM calls WHERE run = ?", [run.id]).fetchall()

    assert len(kept) == 3 and all(raw for _, raw in kept)
    assert all(zlib.decompress(request) in batch.file.content for request, _ in kept)


def test_several_rows_a_call_are_lines_of_a_batch_too(home: Home) -> None:
    """Half the price of what is cheaper already."""
    run = home.went(rows(40), options=overnight(rows_per_call=10))

    assert (run.counts.accepted, run.calls) == (40, 4)
    assert_paid(home, run)


def test_equal_rows_are_asked_once(home: Home) -> None:
    """They wait for the one that is in the batch, all night, and get its answer."""
    run = home.went(["same", "other", "same", "same"], options=overnight())

    assert (run.counts.accepted, run.counts.reused, run.calls) == (4, 2, 2)


def test_a_table_is_split_by_calls(small: Home) -> None:
    """Full batches, and one with the rest."""
    run = small.went(rows(50), options=overnight())

    assert [batch["calls"] for batch in found(small, run)] == [20, 20, 10]
    assert (run.counts.accepted, small.stub.batches.executed) == (50, 50)


def test_a_table_is_split_by_bytes(tmp_path: Path, redis_address: str, stub: StubProvider) -> None:
    """Files stay near the size that a person names."""
    home = Home(tmp_path / "home", redis_address, stub, of_stub=f"{QUICK}batch_bytes = 30000\n")
    run = home.went([f"{number} {'x' * 1000}" for number in range(60)], options=overnight())
    files = [batch.file for batch in stub.batches.all.values()]
    home.close()

    assert run.counts.accepted == 60 and len(files) >= 3
    assert all(len(file.content) <= 33_000 for file in files)


def test_lines_in_any_order_twice_and_missing_are_joined_by_their_id(home: Home) -> None:
    """A line that comes twice is one call; a row whose line is missing is asked again, and what that may have cost stays set aside."""
    home.stub.batches.shuffled, home.stub.batches.twice, home.stub.batches.missing = True, {1, 2}, {5}
    run = home.went(rows(20), options=overnight())
    books = home.engine._house.read().execute("SELECT count(*), total(reserved) FROM calls WHERE NOT settled")
    ((lost, aside),) = books.fetchall()

    assert (run.counts.accepted, by_way(home, run)) == (20, {True: 20, False: 1})
    assert [text for text, asked in home.stub.ledger.asked.items() if asked == 2] == ["row 5"]
    assert (lost, run.reserved) == (1, pytest.approx(aside, abs=1e-12))
    assert run.cost is not None and run.cost < home.stub.ledger.money < run.cost + aside


# -- what a batch does not answer --------------------------------------------------------------------------------------


def test_struck_rows_go_on_by_ordinary_calls(home: Home) -> None:
    """The second question is asked at once and at the full price; each call is booked at its own."""
    run = home.went(["a", "b [[invalid]]", "c", "d [[500]]"], options=overnight())

    assert (run.counts.accepted, by_way(home, run)) == (4, {True: 4, False: 2})
    assert_paid(home, run)


def test_struck_rows_go_into_the_next_batch_where_all_calls_do(home: Home) -> None:
    """A re-ask is a line of the next batch, with its correction; nothing costs the full price."""
    run = home.went(["a", "b [[invalid]]", "c", "d [[invalid always]]"], options=overnight(batch="all", strikes=2))

    assert (run.counts.accepted, run.counts.dead, by_way(home, run)) == (3, 1, {True: 6})
    assert [batch["calls"] for batch in found(home, run)] == [4, 2]
    assert_paid(home, run)


def test_an_expired_batch_keeps_what_was_answered(home: Home) -> None:
    """The rest is asked by ordinary calls; what was not run is not charged."""
    home.stub.batches.expire_after = 12
    run = home.went(rows(30), options=overnight())

    assert (run.counts.accepted, by_way(home, run)) == (30, {True: 12, False: 18})
    assert found(home, run)[0]["status"] == "expired"
    assert_paid(home, run)


def test_a_cancelled_run_keeps_what_its_batch_has_finished(home: Home) -> None:
    """The batch is cancelled over there too, what was answered by then is read, and every row has an end."""
    home.stub.batches.polls = 2
    home.stub.batches.seconds = 3600.0
    number = home.start(rows(20), options=overnight())
    wait_until(lambda: any(batch["status"] == "in_progress" for batch in found(home, number)))
    (remote,) = home.stub.batches.all.values()
    home.stub.batches._work(remote, until=8)
    home.engine.runs.cancel(number)
    run = home.ended(number)

    assert (run.state, run.counts.accepted, run.counts.cancelled) == ("cancelled", 8, 12)
    assert remote.status == "cancelled"
    assert_paid(home, run)


def test_answers_without_a_file_are_not_paid_for_twice(home: Home) -> None:
    """The provider has charged for them: they are looked for, and while there is hope its rows are asked nobody else."""
    end, files = home.stub.batches._end, []

    def forgetful(batch: Any, status: str) -> None:
        end(batch, status)
        files.append(batch.output_file)
        batch.output_file = None

    home.stub.batches._end = forgetful  # type: ignore[method-assign]
    number = home.start(rows(20), options=overnight())
    wait_until(lambda: any("answered 20 lines, and names no file" in one["words"] for one in found(home, number)))
    run = home.engine.runs.get(number)

    assert (run.state, run.calls, run.counts.dispatched) == ("running", 0, 20)
    (remote,) = home.stub.batches.all.values()
    (remote.output_file,) = files
    run = home.ended(number)

    assert (run.counts.accepted, run.calls, home.stub.batches.executed) == (20, 20, 20)
    assert_paid(home, run)


def test_lines_that_redis_loses_are_read_again(home: Home) -> None:
    """They were handed back and never came: the files are read once more, and nobody is asked twice."""
    receive, lost = home.keeper._inbox.receive, 5

    def forgetful(most: int) -> Any:
        nonlocal lost
        received, reported, foreign = receive(most)
        gone, lost = received[:lost], max(0, lost - len(received))
        home.keeper._inbox.delete([one.place for one in gone])
        return received[len(gone) :], reported, foreign

    home.keeper._inbox.receive = forgetful  # type: ignore[method-assign]
    run = home.went(rows(20), options=overnight())

    assert (run.counts.accepted, run.calls, home.stub.batches.executed) == (20, 20, 20)
    assert_paid(home, run)


def test_nobody_heeds_a_lane_that_was_given_up(home: Home) -> None:
    """It says that nothing was made while another lane is making it: the batch stays, and no second one is made."""
    serve, comes, goes = home.stub.batches.serve, threading.Event(), threading.Event()

    def slowly(request: Any, wire: Any, **rest: Any) -> None:
        if request.method == "POST" and request.path.endswith("/batches"):
            comes.set()
            goes.wait(30)
        serve(request, wire, **rest)

    home.stub.batches.serve = slowly  # type: ignore[method-assign]
    number = home.start(rows(5), options=overnight())
    assert comes.wait(30)
    (batch,) = found(home, number)
    told = {"batch": batch["id"], "run": number, "token": batch["token"], "entry": "1-1"}
    with Redis.from_url(home.settings.redis_address) as redis:
        for result in ("again", "blocked", "refused", "nothing"):
            report = StepReport.model_validate({"kind": "submit", "result": result, "words": "late", **told})
            redis.xadd(Keys(home.settings.home_id).outcomes, {"report": report.model_dump_json()})
        wait_until(lambda: redis.xlen(Keys(home.settings.home_id).outcomes) == 0)
    goes.set()
    run = home.ended(number)

    assert (run.counts.accepted, home.stub.batches.created, by_way(home, run)) == (5, 1, {True: 5})


def test_a_lane_without_its_lease_for_a_moment_keeps_no_batch_from_being_made(home: Home) -> None:
    """The step is still its own, so it says that it did not do it."""
    errands = home._lanes[0]._lane._errands
    is_ours, has_lease, goes = errands._is_ours, errands._has_lease, []

    async def once(entry: str) -> bool:
        errands._has_lease = has_lease if goes else lambda: False
        goes.append(entry)
        try:
            return await is_ours(entry)
        finally:
            errands._has_lease = has_lease

    errands._is_ours = once  # type: ignore[method-assign]
    run = home.went(rows(5), options=overnight())

    assert (run.counts.accepted, home.stub.batches.created, len(goes)) == (5, 1, 3)


def test_an_ordinary_run_does_not_wait_for_a_batch(home: Home) -> None:
    """It asks at once what another run asks overnight, and its own equal rows wait for that; the batch keeps its answer."""
    home.stub.batches.seconds = 3600.0
    night = home.start(["same", "other"], options=overnight())
    wait_until(lambda: home.stub.batches.created == 1)
    run = home.went(["same", "same", "new"])

    assert (run.counts.accepted, run.counts.reused, run.calls) == (3, 1, 2)
    assert home.engine.runs.get(night).counts.dispatched == 2
    home.stub.batches.seconds = 0.0
    ended = home.ended(night)
    assert (ended.counts.accepted, ended.calls, home.stub.batches.executed) == (2, 2, 2)


def test_a_question_stays_with_the_ordinary_call_that_took_it_over(home: Home) -> None:
    """What comes of the batch's row, a dead letter here, lets nobody ask a third time."""
    execute = home.stub.batches._execute
    home.stub.batches._execute = lambda *asked: (200, execute(*asked)[1].replace(b"good", b"ugly"))
    home.stub.batches.seconds = 3600.0
    text = "same [[slow 1.5]]"
    night = home.start([text], options=overnight(strikes=1))
    wait_until(lambda: home.stub.batches.created == 1)
    number = home.start([text, text])
    home.until(number, lambda run: run.counts.dispatched == 1)
    home.stub.batches.seconds = 0.0

    assert home.ended(night).counts.dead == 1
    run = home.ended(number)
    assert (run.counts.accepted, run.counts.reused, run.calls) == (2, 1, 1)


def test_a_file_that_cannot_be_had_is_read_later(home: Home) -> None:
    """A 500 and an answer that breaks off cost a look, and no row."""
    home.stub.batches.refuse_content = home.stub.batches.break_content = 1
    run = home.went(rows(20), options=overnight())

    assert (run.counts.accepted, run.calls, home.stub.batches.executed) == (20, 20, 20)
    assert_paid(home, run)


def test_a_row_that_cannot_be_rendered_does_not_hold_up_the_others(home: Home) -> None:
    """It dies by itself; the batch goes without it."""
    content = home.version().content.model_copy(update={"template": "user:\n{{ 1 // (text | length - 1) }}\n"})
    run = home.went(["ab", "x", "abc"], version=home.version(content, "divides"), options=overnight())

    assert (run.counts.accepted, run.counts.dead) == (2, 1)


def test_a_replay_goes_by_ordinary_calls(home: Home) -> None:
    """Whoever repairs a dead letter waits for it, and not for a night."""
    home.stub.batches.polls = 1
    parent = home.went(["a [[invalid always]]", "b"], options=overnight(strikes=1))
    (replay,) = home.engine.letters.replay([(parent.id, 1)], key="again")

    assert home.ended(replay).options.batch == "no" and by_way(home, home.engine.runs.get(replay)) == {False: 1}


def test_people_see_each_batch(home: Home) -> None:
    """Where it is, how many of its lines are answered, the provider's name of it, and when it was looked at."""
    run = home.went(rows(4), options=overnight())
    wait_until(lambda: home.engine.runs.batches(run.id)[0].state == "ended")  # its last row is answered before that
    (batch,) = home.engine.runs.batches(run.id)
    told = reports.run_object(home.engine, run)["batches"]

    assert (batch.state, batch.status, batch.calls, batch.answered, batch.failed) == ("ended", "completed", 4, 4, 0)
    assert batch.remote in home.stub.batches.all and batch.submitted_at and batch.checked_at and batch.ended_at
    assert told[0]["remote"] == batch.remote


def test_an_evaluation_makes_ordinary_calls(home: Home) -> None:
    """Also where the prompt's own defaults say otherwise: somebody waits for it."""
    run = home.went(rows(2), options=overnight(), kind="evaluation")

    assert run.options.batch == "no" and home.stub.batches.created == 0


def test_the_forecast_is_at_the_batch_endpoints_price(home: Home) -> None:
    """And says how long it may take, and what is not in it."""
    dataset, version = home.dataset(rows(40)), home.version()
    connection = home.settings.connection("stub")
    half, full = (
        home.engine.runs.forecast(
            Launch(version=version, dataset=dataset, connection=connection, model="stub-model", options=options)
        )
        for options in (overnight(), RunOptions())
    )

    assert half.cost and full.cost and half.cost.about == pytest.approx(full.cost.about / 2)
    assert any("within 24 hours" in words for words in half.warnings)


# -- what keeps a batch from being made --------------------------------------------------------------------------------


def test_a_refused_batch_pauses_the_run_with_the_providers_words(home: Home) -> None:
    """Nothing was run and nothing is paid; when the run goes on, a new batch is made, and no row pays the full price."""
    home.stub.batches.complaints = [{"code": "model_not_found", "message": "This model has no batches."}]
    number = home.start(rows(5), options=overnight())
    run = home.until(number, lambda run: run.state == "paused")

    assert "This model has no batches." in (run.reason or "") and run.paused_by == "provider"
    assert (run.counts.waiting, run.calls, run.reserved) == (5, 0, 0.0)
    home.stub.batches.complaints = ()
    home.engine.runs.resume(number)
    run = home.ended(number)

    assert (run.counts.accepted, home.stub.batches.created, by_way(home, run)) == (5, 2, {True: 5})
    assert_paid(home, run)


def test_who_resumes_does_not_wait_for_the_next_look(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is looked at at once, also where the next look was an hour away."""
    monkeypatch.setattr(batches, "LONGEST_POLL", 3600.0)
    home.stub.batches.seconds = 3600.0
    number = home.start(rows(5), options=overnight())
    wait_until(lambda: any(batch["status"] == "in_progress" for batch in found(home, number)))
    home.stub._keys = {"another"}
    home.until(number, lambda run: run.state == "paused")
    home.stub._keys = None
    home.stub.batches.seconds = 0.0
    (batch,) = found(home, number)
    assert batch["next_at"] > time.time() + 1800
    home.engine.runs.resume(number)

    assert home.ended(number).counts.accepted == 5


def test_an_endpoint_without_batches_says_so(home: Home) -> None:
    """At once, in words, and without a row that waits for a batch which cannot be."""
    home.stub.batches.lists_files = home.stub.batches.lists_batches = False
    home.stub.batches._upload = lambda body: (404, {"error": {"message": "Invalid URL (POST /v1/files)"}})  # type: ignore[method-assign]
    number = home.start(rows(5), options=overnight())
    run = home.until(number, lambda run: run.state == "paused" and not run.counts.dispatched)

    assert "Invalid URL" in (run.reason or "")


def test_a_batch_waits_where_the_provider_holds_enough_of_ours(home: Home) -> None:
    """It is made again, as another one, until there is room; no row is asked twice."""
    home.stub.batches.most_tokens = 10
    number = home.start(rows(5), options=overnight())
    wait_until(lambda: home.stub.batches.created >= 2)
    assert home.engine.runs.get(number).state == "running"
    home.stub.batches.most_tokens = None
    run = home.ended(number)

    assert (run.counts.accepted, home.stub.batches.executed) == (5, 5)


def test_a_paused_run_makes_no_batch_and_reads_what_is_there(small: Home) -> None:
    """What is with the provider goes on and is kept; the others wait for the person."""
    small.stub.batches.seconds = 3600.0
    number = small.start(rows(20), options=overnight())
    wait_until(lambda: small.stub.batches.created == 1)
    small.engine.runs.pause(number)
    small.stub.batches.seconds = 0.0
    run = small.until(number, lambda run: run.counts.accepted == 20)

    assert run.state in ("paused", "finished")


def test_a_batch_whose_answer_was_lost_is_found_by_its_token(home: Home) -> None:
    """The provider made it and nobody heard; it is not made a second time."""
    home.stub.batches.lose_create = 1
    run = home.went(rows(10), options=overnight())

    assert (run.counts.accepted, home.stub.batches.created, home.stub.batches.executed) == (10, 1, 10)


def test_a_budget_holds_for_batches_at_their_price(home: Home) -> None:
    """Money is set aside at half the price; what does not fit waits until the batch is back, and then pauses the run."""
    number = home.start(rows(40), options=overnight(budget=0.0004))
    run = home.until(number, lambda run: run.state == "paused")

    assert run.paused_by == "budget"
    assert 0 < run.counts.accepted < 40
    assert (run.cost or 0) <= 0.0004
    assert_paid(home, run)


def test_a_clock_that_goes_back_does_not_keep_a_batch_waiting(home: Home) -> None:
    """Its next look moves back with the clock, and is not hours away."""
    run = home.went(rows(1), options=overnight())
    db = open_writer(home.settings.database)
    with transaction(db):
        db.conn.execute(
            "UPDATE batches SET next_at = 5000.0, ended_at = NULL, state = 'making' WHERE run = ?", [run.id]
        )
    set_back(db, by=3600.0, now=1390.0)
    moved = db.execute("SELECT next_at FROM batches").fetchone()
    db.close()

    assert moved == (1400.0,)


# -- the rules ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "held", "count"),
    [
        ([1, 1, 1, 1], Size(), 3),
        ([1, 1], Size(calls=2, bytes=2), 1),
        ([99], Size(), 1),
        ([1], Size(calls=3, bytes=3), 0),
    ],
)
def test_a_batch_is_filled_up_and_no_further(sizes: list[int], held: Size, count: int) -> None:
    """By calls and by bytes; what is too large for any batch goes alone."""
    calls = [Size(calls=1, bytes=size) for size in sizes]

    assert batches.fitting(calls, held=held, most=Size(calls=3, bytes=10)) == count


def test_looks_come_more_seldom_the_longer_it_takes() -> None:
    """Five seconds at first, a minute at the most."""
    assert [batches.poll_after(passed, first=5.0) for passed in (0, 40, 200, 80_000)] == [5.0, 5.0, 20.0, 60.0]


@pytest.mark.parametrize(
    ("state", "status", "run_state", "step"),
    [
        ("ready", None, "running", "submit"),
        ("ready", None, "paused", "find"),
        ("ready", None, "cancelled", "find"),
        ("submitted", "in_progress", "paused", "look"),
        ("submitted", "in_progress", "cancelled", "cancel"),
        ("submitted", "cancelling", "cancelled", "look"),
        ("returned", "completed", "cancelled", "read"),
    ],
)
def test_what_is_done_next(state: str, status: str | None, run_state: str, step: str) -> None:
    """A run at rest submits nothing, and a cancelled one has its batches cancelled once."""
    assert batches.next_step(BatchState(state), status=status, run_state=run_state) == step


@pytest.mark.parametrize(
    ("state", "kind", "result", "is_cancelled", "after", "pauses"),
    [
        ("ready", "submit", "refused", False, "ended", True),
        ("ready", "submit", "blocked", False, "ready", True),
        ("ready", "submit", "again", False, "ready", False),
        ("ready", "submit", "full", False, "ready", False),
        ("ready", "find", "nothing", False, "ended", False),
        ("submitted", "look", "gone", False, "submitted", False),
        ("ready", "submit", "gone", False, "ready", True),
        ("ready", "find", "gone", True, "ended", False),
        ("submitted", "look", "gone", True, "ended", False),
        ("submitted", "look", "blocked", True, "submitted", True),
        ("returned", "read", "again", False, "returned", False),
    ],
)
def test_what_may_be_there_is_never_given_up(
    state: str, kind: Any, result: Any, is_cancelled: bool, after: str, pauses: bool
) -> None:
    """Unless it is known that nothing is, or the person has cancelled the run; what only a person can look for pauses it."""
    report = StepReport(kind=kind, batch=1, run=1, token="t", entry="0-1", result=result, words="why")
    what = batches.after_report(BatchState(state), report, passed=1.0, first=5.0, is_cancelled=is_cancelled)

    assert (what.state, what.pause is not None) == (BatchState(after), pauses)


@pytest.mark.parametrize(("state", "kind"), [("submitted", "look"), ("returned", "read"), ("ready", "submit")])
def test_looks_in_vain_have_an_end(state: str, kind: Any) -> None:
    """They come more seldom from one to the next; what only a person can look for ends by their word, which counts as all but one."""
    report = StepReport(kind=kind, batch=1, run=1, token="t", entry="0-1", result="gone", words="why")
    busy = report.model_copy(update={"result": "again"})

    def after(report: StepReport, vain: int) -> batches.Next:
        return batches.after_report(BatchState(state), report, passed=1.0, first=5.0, is_cancelled=False, vain=vain)

    looks = [after(report, vain) for vain in range(batches.MOST_VAIN)]

    *others, last = looks
    assert (last.state, last.lost, last.pause) == (BatchState.ENDED, True, None) and "set aside: why" in (
        last.words or ""
    )
    assert all(one.state is BatchState(state) and not one.lost and one.vain for one in others)
    assert [one.vain for one in others] == ([1] * 5 if state == "ready" else [1, 2, 3, 4, 5])
    assert sum(one.after for one in others) >= 300
    assert after(busy, 3).vain == 3


def test_only_a_completed_batch_owes_an_answer_for_every_line() -> None:
    """One that ended before may not have come to it."""
    for status, lost in (("completed", True), ("expired", False), ("cancelled", False)):
        remote = Remote(id="b", status=status)
        report = StepReport(kind="read", batch=1, run=1, token="t", entry="0-1", result="done", remote=remote, lines=3)
        what = batches.after_report(BatchState.RETURNED, report, passed=1.0, first=5.0, is_cancelled=False)

        assert (what.state, what.lost, what.unrun) == (BatchState.ENDED, lost, False)


def test_a_failed_batch_is_made_anew_only_where_there_was_no_room() -> None:
    """Any other reason is a person's to look at; one that has answered something is read like any."""

    def follows(words: str, lines: int) -> batches.Next:
        remote = Remote(id="b", status="failed", words=words)
        report = StepReport(
            kind="read", batch=1, run=1, token="t", entry="0-1", result="done", remote=remote, lines=lines
        )
        return batches.after_report(BatchState.RETURNED, report, passed=1.0, first=5.0, is_cancelled=False)

    full, wrong, partly = follows("Enqueued token limit reached", 0), follows("bad line", 0), follows("bad line", 3)

    assert (full.state, full.renewed, full.pause) == (BatchState.READY, True, None)
    assert (wrong.state, wrong.pause) == (BatchState.ENDED, "the provider refused the batch: bad line")
    assert (partly.state, partly.pause) == (BatchState.ENDED, None)
