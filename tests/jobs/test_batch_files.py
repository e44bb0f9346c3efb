"""The files of a run's batches at their provider: what follows where one is gone, and what is left of them there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jobs import gathering
from jobs.testing import StubProvider, marked
from jobs.views.runs import Run
from tests.house import Home, wait_until
from tests.jobs.nights import GOOD, QUICK, by_way, found, overnight, rows


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with StubProvider(marked, answer=GOOD) as provider:
        yield provider


@pytest.fixture
def home(tmp_path: Path, redis_address: str, stub: StubProvider) -> Iterator[Home]:
    home = Home(tmp_path / "home", redis_address, stub, chance=lambda: 0.0, of_stub=QUICK)
    yield home
    home.close()


# -- a file that is gone -----------------------------------------------------------------------------------------------


def lose(stub: StubProvider, which: str) -> None:
    """Batches that end lose a file of theirs."""
    end = stub.batches._end

    def careless(batch: Any, status: str) -> None:
        end(batch, status)
        del stub.batches.files[getattr(batch, which)]

    stub.batches._end = careless  # type: ignore[method-assign]


def lost(home: Home, run: Run) -> tuple[int, float]:
    """Calls of a run whose answers nobody has, and what is set aside for them."""
    query = "SELECT count(*), total(reserved) FROM calls WHERE run = ? AND NOT settled"
    ((calls, aside),) = home.engine._house.read().execute(query, [run.id]).fetchall()
    return calls, aside


def reasons(home: Home, run: Run) -> set[str]:
    """What the books say of the attempts of a run that came to nothing."""
    query = "SELECT DISTINCT json_extract(problems, '$[0].got') FROM attempts WHERE run = ? AND verdict = 'failed'"
    return {words for (words,) in home.engine._house.read().execute(query, [run.id])}


def test_rows_go_on_when_the_answers_of_their_batch_are_gone(home: Home) -> None:
    """After some looks they are asked again; the books name what was paid without an answer, and keep its money set aside."""
    lose(home.stub, "output_file")
    run = home.went(rows(20), options=overnight())
    (batch,) = found(home, run)
    calls, aside = lost(home, run)

    assert (run.state, run.counts.accepted, by_way(home, run)) == ("finished", 20, {True: 20, False: 20})
    assert batch["state"] == "ended" and "asked again and what it may have cost stays set aside" in batch["words"]
    assert (calls, run.reserved) == (20, pytest.approx(aside, abs=1e-12)) and aside
    assert run.cost is not None and run.cost < home.stub.ledger.money <= run.cost + aside
    assert all(f"batch {batch['id']} has no answer to it" in words for words in reasons(home, run))


def test_rows_of_a_batch_that_is_gone_go_into_the_next_one(home: Home) -> None:
    """Where all calls go through batches."""
    lose(home.stub, "output_file")
    number = home.start(rows(4), options=overnight(batch="all"))
    wait_until(lambda: any("in vain" in batch["words"] for batch in found(home, number)))
    home.stub.batches._end = type(home.stub.batches)._end.__get__(home.stub.batches)  # type: ignore[method-assign]
    run = home.ended(number)

    assert (run.counts.accepted, by_way(home, run), home.stub.batches.created) == (4, {True: 8}, 2)


def test_a_batch_keeps_what_its_other_file_holds(home: Home) -> None:
    """Its answers are taken though its error file is gone; what that held is asked again."""
    lose(home.stub, "error_file")
    run = home.went(["a", "b [[500]]", "c"], options=overnight())

    assert (run.counts.accepted, by_way(home, run)) == (3, {True: 3, False: 1})
    assert lost(home, run)[0] == 1


def test_a_batch_that_its_provider_does_not_know_any_more_has_an_end(home: Home) -> None:
    """Not one file is gone but all of it."""
    home.stub.batches.seconds = 3600.0
    number = home.start(rows(5), options=overnight())
    wait_until(lambda: any(batch["status"] == "in_progress" for batch in found(home, number)))
    home.stub.batches.all.clear()
    run = home.ended(number)

    assert (run.counts.accepted, by_way(home, run), lost(home, run)[0]) == (5, {True: 5, False: 5}, 5)


@pytest.mark.parametrize("act", ["resume", "cancel"])
def test_a_person_need_not_wait_for_all_looks(tmp_path: Path, redis_address: str, stub: StubProvider, act: str) -> None:
    """Whoever resumes or cancels makes the next look the last, however long the others would have taken."""
    home = Home(tmp_path / "home", redis_address, stub, chance=lambda: 0.0, of_stub="batch_poll = 10\n")
    lose(stub, "output_file")
    number = home.start(rows(5), options=overnight())
    wait_until(lambda: any(batch["vain"] for batch in found(home, number)))
    home.engine.runs.pause(number)
    home.until(number, lambda run: run.state == "paused")
    getattr(home.engine.runs, act)(number)
    run = home.ended(number)
    (batch,), calls = found(home, number), lost(home, run)[0]
    home.close()

    wanted = ("finished", 5, 0) if act == "resume" else ("cancelled", 0, 5)
    assert (run.state, run.counts.accepted, run.counts.cancelled) == wanted
    assert batch["words"].startswith("given up") and calls == 5


def test_who_resumes_says_that_no_such_batch_is_there(home: Home) -> None:
    """Nobody but a person could look for it: the run pauses with what to look for, and goes on by their word."""
    home.stub.batches.lists_batches = False
    home.stub.batches.lose_create = 1
    number = home.start(rows(5), options=overnight())
    run = home.until(number, lambda run: run.state == "paused")
    assert "may be there already" in (run.reason or "") and "then resume" in (run.reason or "")
    home.engine.runs.resume(number)
    run = home.ended(number)

    assert (run.counts.accepted, lost(home, run)[0], home.stub.batches.executed) == (5, 5, 0)


# -- what is left ------------------------------------------------------------------------------------------------------


def left(home: Home) -> int:
    """Batches whose files are still to be deleted."""
    ((count,),) = home.engine._house.read().execute("SELECT count(*) FROM left_files").fetchall()
    return int(count)


def test_nothing_stays_at_the_provider(home: Home) -> None:
    """What went up and what came down are deleted there, and not before all of it is in the books."""
    serve, recorded = home.stub.batches.serve, set[int]()

    def watching(request: Any, wire: Any, **rest: Any) -> None:
        if request.method == "DELETE":
            with closing(sqlite3.connect(home.settings.database)) as db:
                recorded.update(count for (count,) in db.execute("SELECT count(*) FROM calls WHERE batch IS NOT NULL"))
        serve(request, wire, **rest)

    home.stub.batches.serve = watching  # type: ignore[method-assign]
    run = home.went(["a", "b [[500]]", "c"], options=overnight())
    wait_until(lambda: not home.stub.batches.files and not left(home))

    assert (run.counts.accepted, recorded) == (3, {3})


def test_files_are_kept_where_a_person_says_so(tmp_path: Path, redis_address: str, stub: StubProvider) -> None:
    """By ``keep_files`` of the connection; nobody tries to delete them later either."""
    home = Home(tmp_path / "home", redis_address, stub, of_stub=f"{QUICK}keep_files = true\n")
    run = home.went(rows(3), options=overnight())
    wait_until(lambda: all(batch["ended_at"] for batch in found(home, run)))
    waiting = left(home)
    home.close()

    assert (waiting, [file.purpose for file in stub.batches.files.values()]) == (0, ["batch", "batch_output"])


def test_a_provider_that_keeps_files_holds_nothing_up(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends at once; the files go at a later try."""
    monkeypatch.setattr(gathering, "CLEAR_WAITS", (0.2, 0.2, 0.2, 0.2))
    home.stub.batches.refuse_delete = 2
    run = home.went(rows(3), options=overnight())

    assert (run.state, run.reason, run.counts.accepted) == ("finished", None, 3)
    wait_until(lambda: not home.stub.batches.files and not left(home))
    assert home.stub.batches.refuse_delete == 0


def test_files_that_cannot_be_deleted_are_told_of_in_the_log(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After a few tries, and nowhere else."""
    monkeypatch.setattr(gathering, "CLEAR_WAITS", (0.1, 0.1, 0.1))
    home.stub.batches.refuse_delete = 1_000
    run = home.went(rows(3), options=overnight())
    wait_until(lambda: any("stay at the provider" in record.message for record in caplog.records))

    assert (left(home), len(home.stub.batches.files)) == (0, 2)
    assert home.stub.batches.refuse_delete == 1_000 - 3 * 2
    assert found(home, run)[0]["words"] == ""


def test_a_batch_that_is_made_anew_leaves_no_file_behind(home: Home) -> None:
    """Each that there was no room for had one."""
    home.stub.batches.most_tokens = 10
    number = home.start(rows(5), options=overnight())
    wait_until(lambda: home.stub.batches.created >= 2)
    home.stub.batches.most_tokens = None
    run = home.ended(number)
    wait_until(lambda: not home.stub.batches.files and not left(home))

    assert (run.counts.accepted, by_way(home, run)) == (5, {True: 5})


def test_a_file_of_which_no_batch_was_made_is_deleted(home: Home) -> None:
    """It went up, and the provider refused to make a batch of it: it is found by its name."""
    create = home.stub.batches._create
    home.stub.batches._create = lambda request: (400, b'{"error": {"message": "No batches today."}}')  # type: ignore[method-assign]
    number = home.start(rows(3), options=overnight())
    home.until(number, lambda run: run.state == "paused")
    wait_until(lambda: home.stub.batches.uploads == 1 and not home.stub.batches.files)
    home.stub.batches._create = create  # type: ignore[method-assign]
    home.engine.runs.resume(number)

    assert home.ended(number).counts.accepted == 3
