"""The engine whole, in one process: a real Valkey, a real file, real lanes, and the stub over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from jobs import errors, logs
from jobs.api.replays import Changes
from jobs.keys import Keys
from jobs.messages import Outcome
from jobs.options import RunOptions
from jobs.owner import sole_owner
from jobs.testing import Mix, StubProvider, marked
from jobs.testing.script import Act, error_body, failed
from jobs.values import Failure, FailureKind, VersionContent
from tests.house import CONTENT, Home

GOOD = {"sentiment": "good", "words": 2}


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with StubProvider(marked, answer=GOOD) as stub:
        yield stub


@pytest.fixture
def home(tmp_path: Path, redis_address: str, stub: StubProvider) -> Iterator[Home]:
    home = Home(tmp_path / "home", redis_address, stub)
    yield home
    home.close()


def attempts(home: Home, run: int, ordinal: int) -> list[dict[str, Any]]:
    db = home.engine._house.read()
    return list(db.query("SELECT * FROM attempts WHERE run = ? AND ordinal = ? ORDER BY id", [run, ordinal]))


def test_every_row_of_a_clean_table_is_accepted(home: Home) -> None:
    """A run ends finished with every row accepted, at one call a row, and its cost is the provider's own."""
    run = home.went([f"row {number}" for number in range(30)])

    assert (run.state, run.counts.accepted, run.calls) == ("finished", 30, 30)
    assert run.cost == pytest.approx(sum(entry.money for entry in home.stub.ledger.entries))


def test_three_strikes_make_a_dead_letter(home: Home) -> None:
    """A row that always fails its contract is asked three times, each with its own attempt, and is dead."""
    run = home.went(["fine", "bad [[invalid always]]"])

    made = attempts(home, run.id, 2)
    assert (run.counts.accepted, run.counts.dead, run.calls) == (1, 1, 4)
    assert [one["strike"] for one in made] == [1, 1, 1]
    assert [one["asked"] for one in made] == [1, 2, 3]


def test_the_second_question_tells_what_was_wrong(home: Home) -> None:
    """A re-ask holds the original messages unchanged, the invalid answer, and its problems."""
    run = home.went(["wrong once [[invalid]]"])

    seen = home.engine.letters.inspect(run.id, 1)
    first, second = seen.attempts
    assert second.messages[: len(first.messages)] == first.messages
    assert [message.role for message in second.messages[len(first.messages) :]] == ["assistant", "user"]
    assert second.messages[-2].content == first.raw
    assert "sentiment" in second.messages[-1].content
    assert second.receipt is not None and second.receipt.asked == 2


def test_after_a_cut_reply_max_tokens_doubles_once_and_the_answer_is_left_out(home: Home) -> None:
    """What stopped at max_tokens is asked again with twice the room and without the torn answer."""
    run = home.went(["long [[cut always]]"])

    seen = home.engine.letters.inspect(run.id, 1)
    asked = [(attempt.request or {})["max_tokens"] for attempt in seen.attempts]
    assert run.counts.dead == 1
    assert asked == [100, 200, 200]
    assert [message.role for message in seen.attempts[-1].messages] == ["system", "user", "user"]


@pytest.mark.parametrize("mark", ["[[429]]", "[[500]]", "[[reset]]", "[[503]]"])
def test_trouble_on_the_way_costs_no_strike(home: Home, mark: str) -> None:
    """A throttle, a server error or a reset is waited out; the row keeps its three strikes."""
    run = home.went([f"row {mark}", "fine"])

    made = attempts(home, run.id, 1)
    assert run.counts.accepted == 2
    assert [one["verdict"] for one in made] == ["failed", "accepted"]
    assert [one["strike"] for one in made] == [0, 0]


def test_a_rejected_key_pauses_the_run_at_the_first_call(home: Home) -> None:
    """401 pauses with the provider's words; nothing is dead; after the cause is gone, resume finishes the run."""
    home.stub.scripts = (lambda ask: failed(401),)
    run = home.start([f"row {number}" for number in range(20)])
    paused = home.until(run, lambda seen: seen.state == "paused" and not seen.counts.in_flight)

    assert paused.paused_by == "provider" and "key" in (paused.reason or "")
    assert (paused.counts.waiting, paused.counts.dead) == (20, 0)

    home.stub.scripts = (marked,)
    home.engine.runs.resume(run)
    assert home.ended(run).counts.accepted == 20


def test_equal_rows_are_asked_once(home: Home) -> None:
    """Rows that agree on the columns of the template are one question, within a run and across runs."""
    first = home.went(["a", "b", "a", "a", "b"])
    second = home.went(["b", "c", "a"], version=home.version(CONTENT.model_copy(update={"max_tokens": 99})))

    assert (first.counts.accepted, first.calls, first.counts.reused) == (5, 2, 3)
    assert second.counts.accepted == 3
    assert second.calls == 3, "another version asks another question"

    again = home.went(["b", "c", "a"])
    assert (again.counts.accepted, again.calls, again.counts.reused) == (3, 1, 2)


def test_failures_are_never_reused(home: Home) -> None:
    """Of equal rows that fail, each is asked for itself."""
    run = home.went(["x [[invalid always]]", "x [[invalid always]]"])

    assert (run.counts.dead, run.calls) == (2, 6)


def test_a_budget_is_never_passed(home: Home) -> None:
    """The run pauses before a call that could pass the budget, says so, and goes on when it is raised."""
    run = home.start([f"row {number}" for number in range(40)], options=RunOptions(in_flight=2, budget=0.0008))
    paused = home.until(run, lambda seen: seen.state == "paused")

    assert paused.paused_by == "budget" and "budget" in (paused.reason or "")
    assert 0 < (paused.cost or 0) <= 0.0008

    home.engine.runs.set_budget(run, None)
    assert home.ended(run).counts.accepted == 40


def test_pause_and_cancel_keep_what_is_in_flight(home: Home) -> None:
    """A cancelled run keeps the answers that were on their way; its counts add up at every look."""
    home.stub.latency = 0.2
    run = home.start([f"row {number}" for number in range(60)], options=RunOptions(in_flight=5))
    home.until(run, lambda seen: seen.counts.accepted >= 5)
    home.engine.runs.cancel(run)
    home.engine.runs.cancel(run)
    ended = home.ended(run)

    counts = ended.counts
    assert ended.state == "cancelled"
    assert counts.accepted + counts.cancelled == 60 and counts.cancelled > 0
    assert counts.accepted == len(home.stub.ledger.entries), "every paid answer is kept"


def test_no_more_calls_are_in_flight_than_the_run_allows(
    tmp_path: Path, redis_address: str, stub: StubProvider
) -> None:
    """The limit counts over all lanes."""
    home = Home(tmp_path / "many", redis_address, stub, lanes=3)
    stub.latency = 0.05
    run = home.went([f"row {number}" for number in range(60)], options=RunOptions(in_flight=4))
    home.close()

    assert run.counts.accepted == 60
    assert stub.ledger.max_in_flight <= 4


def test_a_mix_of_faults_ends_with_every_row_accounted_for(home: Home) -> None:
    """Malformed replies, errors, resets, hangs and throttles that heal: all rows are accepted, and only replies are strikes."""
    mix = Mix(
        malformed=0.02, error=0.01, reset=0.005, first_try_429=0.05, retry_after=0.05, hang=0.01, hang_seconds=30.0
    )
    home.stub.scripts = (mix,)
    rows = [f"row {number}" for number in range(500)]
    run = home.went(rows, options=RunOptions(in_flight=50, timeout=1.0))

    faults = [mix.fault_of(text) for text in rows]
    met = {name: faults.count(name) for name in ("malformed", "error", "reset", "first_try_429", "hang")}
    assert all(met.values()), "the mix must hold every fault"
    db = home.engine._house.read()
    strikes = dict(
        db.conn.execute(
            "SELECT outcome, count(*) FROM attempts JOIN calls ON calls.id = attempts.call WHERE strike = 1 GROUP BY 1"
        ).fetchall()
    )
    assert run.counts.accepted == 500
    assert strikes == {"replied": met["malformed"]}
    assert run.calls == 500 + sum(met.values()) and run.throttles == met["first_try_429"]


def test_a_refusal_and_an_empty_reply_are_verdicts_of_their_own(home: Home) -> None:
    """They die with their own rule, so that they form their own groups."""
    run = home.went(["one [[refuse always]]", "two [[empty always]]"])

    rules = {one.problems[0].rule for row in (1, 2) for one in home.engine.letters.inspect(run.id, row).attempts}
    assert run.counts.dead == 2 and rules == {"refusal", "empty"}


def test_a_replay_fixes_letters_and_moves_the_result_which_can_be_undone(home: Home) -> None:
    """A replay is a run of its own over frozen letters; nothing of the first run changes, and its results can be taken back."""
    run = home.went(["fine", "heals later [[invalid 3 times]]", "never [[invalid always]]"])
    assert run.counts.dead == 2
    letters = home.engine.letters.ids(run=run.id)

    (replay,) = home.engine.letters.replay(letters, key="again")
    again = home.ended(replay)

    outcome = home.engine.letters.outcome(replay)
    assert (outcome.fixed, outcome.same_failure) == (1, 1)
    assert home.engine.runs.get(run.id).counts.dead == 2, "a run's own history does not change"
    assert home.engine.runs.resolutions(run.id) == {"fixed": 1, "open": 1}
    values = {row.ordinal: row.value for row in home.engine.runs.results(run.id, offset=0, limit=10)[0]}
    assert values[2] == GOOD and values[3] is None
    assert (again.root, again.parent) == (run.id, run.id)

    decision = next(one for one in home.engine.letters.decisions(run=run.id) if one.kind == "replay")
    home.engine.letters.undo(decision.id, key="undo")
    values = {row.ordinal: row.value for row in home.engine.runs.results(run.id, offset=0, limit=10)[0]}
    assert values[2] is None
    assert home.engine.runs.resolutions(run.id) == {"open": 2}


def test_a_correction_is_held_to_the_contract_and_can_be_undone(home: Home) -> None:
    """A value by hand is refused where it breaks the contract, else it is the result until taken back."""
    run = home.went(["never [[invalid always]]"])

    with pytest.raises(errors.InputError, match="sentiment"):
        home.engine.letters.correct(run.id, 1, {"sentiment": "great", "words": 1}, key="c1")
    decision = home.engine.letters.correct(run.id, 1, GOOD, key="c2")
    (row,), _ = home.engine.runs.results(run.id, offset=0, limit=10)
    assert row.value == GOOD and row.receipt is not None and row.receipt.how == "corrected"

    home.engine.letters.undo(decision, key="c3")
    (row,), _ = home.engine.runs.results(run.id, offset=0, limit=10)
    assert row.value is None and home.engine.runs.resolutions(run.id) == {"open": 1}


def test_an_edited_row_is_replayed_and_the_original_stays(home: Home) -> None:
    """The replay asks about the edited cells; the dataset keeps its own."""
    run = home.went(["never [[invalid always]]"])
    (replay,) = home.engine.letters.replay(
        [(run.id, 1)], Changes(edits={(run.id, 1): {"id": "1", "text": "now fine"}}), key="edited"
    )
    home.ended(replay)

    seen = home.engine.letters.inspect(replay, 1)
    assert seen.cells["text"] == "now fine" and "never" in seen.original_cells["text"]
    assert home.engine.letters.outcome(replay).fixed == 1


def test_the_same_click_twice_is_one_run(home: Home) -> None:
    """An idempotency key makes one run, however often it is sent."""
    dataset, version = home.dataset(["a"]), home.version()
    first = home.start(dataset, version=version, key="click")
    second = home.start(dataset, version=version, key="click")

    assert first == second


def test_a_try_streams_and_leaves_no_letter_for_anybody(home: Home) -> None:
    """A run of kind try is in the ledger and in the costs, shows its text live, and adds nothing to the dead letters page."""
    run = home.went(["fine", "bad [[invalid always]]"], kind="try", options=RunOptions(strikes=1, reuse=False))

    assert (run.counts.accepted, run.counts.dead) == (1, 1)
    assert home.engine.letters.groups()[1] == 0
    live = home.engine.system.live(run.id)
    assert [one.ordinal for one in live] == [1, 2] and all(one.done for one in live)


def test_text_replies_are_held_to_the_contract_too(home: Home) -> None:
    """Without a response format the same contract decides, and a fence is set aside with a receipt."""
    home.stub.answer = 'Sure!\n```json\n{"sentiment": "bad", "words": 3}\n```'
    content = VersionContent.model_validate({**CONTENT.model_dump(), "response_format": "text"})
    run = home.went(["x"], version=home.version(content))

    (row,), _ = home.engine.runs.results(run.id, offset=0, limit=5)
    assert row.value == {"sentiment": "bad", "words": 3}
    assert row.receipt is not None and row.receipt.how == "stripped"


def test_a_second_keeper_on_a_home_is_refused(home: Home) -> None:
    """Two owners of one state would be none."""
    with sole_owner(home.folder), pytest.raises(errors.HomeBusy), sole_owner(home.folder):
        pass


def test_rows_that_a_lost_stream_took_with_it_are_asked_again(home: Home) -> None:
    """When Redis forgets everything, calls that stand nowhere are due again and the run ends whole."""
    home.stub.latency = 0.1
    run = home.start([f"row {number}" for number in range(50)], options=RunOptions(in_flight=4))
    home.until(run, lambda seen: seen.counts.accepted >= 4)
    with Redis.from_url(home.settings.redis_address) as redis:
        redis.delete(Keys(home.settings.home_id).calls)

    assert home.ended(run).counts.accepted == 50


def test_a_key_is_in_no_file_of_the_home_and_not_in_redis(
    tmp_path: Path, redis_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither after good calls nor after an endpoint has repeated the key in its refusal."""
    secret = "sk-Zq7Lw0vTn3Xy9PbR5cD1"
    monkeypatch.setenv("A_PROVIDERS_KEY", secret)
    logs.configure(tmp_path / "home" / "logs", "keeper", key_variables=("A_PROVIDERS_KEY",))
    with StubProvider(marked, answer=GOOD, keys={secret}) as stub:
        (tmp_path / "home").mkdir(exist_ok=True)
        home = Home(tmp_path / "home", redis_address, stub, key_env="A_PROVIDERS_KEY")
        run = home.went(["a", "b [[invalid]]"])
        body = error_body(f"Incorrect API key provided: {secret}.", code="invalid_api_key")
        stub.scripts = (lambda ask: Act(kind="401", status=401, body=body),)
        second = home.start(["c"])
        paused = home.until(second, lambda seen: seen.state == "paused" and not seen.counts.in_flight)
        with Redis.from_url(redis_address) as redis:
            dump = [redis.dump(key) or b"" for key in redis.scan_iter(f"*{home.settings.home_id}*")]
        home.close()

    assert run.counts.accepted == 2 and "Incorrect API key" in (paused.reason or "")
    files = [file for file in (tmp_path / "home").rglob("*") if file.is_file()]
    assert len(files) > 3 and (tmp_path / "home/logs/keeper.jsonl") in files
    assert [file.name for file in files if secret.encode() in file.read_bytes()] == []
    assert not any(secret.encode() in blob for blob in dump)


def test_what_goes_wrong_with_a_row_is_in_the_log(home: Home) -> None:
    """A line of JSON with run, row, action, class and seconds."""
    logs.configure(home.settings.logs, "keeper")
    run = home.went(["throttled [[429]]", "struck [[invalid always]]"])

    lines = [json.loads(line) for line in (home.settings.logs / "keeper.jsonl").read_text().splitlines()]
    about = [(line["action"], line["row"]) for line in lines if line.get("run") == run.id and "row" in line]
    assert about.count(("row_struck", 2)) == 3
    assert {("call_failed", 1), ("row_dead", 2)} <= set(about)
    assert all({"class", "seconds"} <= line.keys() for line in lines if "row" in line)


def test_a_lone_surrogate_beside_the_content_keeps_nobody(home: Home) -> None:
    """What UTF-8 cannot carry in a model's name is replaced; the lane goes on."""
    body = json.dumps(
        {"model": "m\ud800", "choices": [{"message": {"content": json.dumps(GOOD)}, "finish_reason": "stop"}]}
    ).encode()
    home.stub.scripts = (lambda ask: Act(body=body) if "odd" in ask.user else None,)
    run = home.went(["odd", "a", "b", "c"])

    assert run.counts.accepted == 4


def test_an_outcome_that_cannot_be_recorded_stops_nobody(home: Home) -> None:
    """A foreign entry about a row that is not there, and one of another version, are dropped; the run ends whole."""
    home.stub.latency = 0.1
    run = home.start([f"row {number}" for number in range(30)], options=RunOptions(in_flight=3))
    home.until(run, lambda seen: seen.counts.accepted >= 3)
    failure = Failure(kind=FailureKind.TRANSIENT, message="m")
    strange = Outcome(run=run, try_id="strange", lane="l", kind="failed", ordinals=(7777,), failure=failure)
    with Redis.from_url(home.settings.redis_address) as redis:
        for outcome in (strange, strange.model_copy(update={"wire": 99, "ordinals": (1,)})):
            redis.xadd(Keys(home.settings.home_id).outcomes, {"outcome": outcome.model_dump_json()})
        redis.hset(Keys(home.settings.home_id).control, "junk", "{")

    assert home.ended(run).counts.accepted == 30


def test_a_paused_run_keeps_no_other_run_waiting_for_its_answers(home: Home) -> None:
    """Equal rows of a run that goes on are asked by it."""
    home.stub.latency = 0.3
    rows = [f"row {number}" for number in range(12)]
    version, dataset = home.version(), home.dataset(rows)
    first = home.start(dataset, version=version, options=RunOptions(in_flight=1))
    home.until(first, lambda seen: seen.counts.in_flight > 0)
    home.engine.runs.pause(first)
    home.stub.latency = 0.0
    second = home.start(dataset, version=version)

    assert home.ended(second).counts.accepted == 12
    home.engine.runs.resume(first)
    assert home.ended(first).counts.accepted == 12


def test_letters_of_a_cancelled_replay_are_open_again(home: Home) -> None:
    """None is left behind as replaying, and the replay's results can be taken back when it has ended."""
    run = home.went([f"bad {number} [[invalid 3 times]]" for number in range(12)])
    home.stub.latency = 0.2
    (replay,) = home.engine.letters.replay(
        home.engine.letters.ids(run=run.id), Changes(options=RunOptions(in_flight=2)), key="again"
    )
    home.until(replay, lambda seen: seen.counts.accepted >= 2)
    home.engine.runs.cancel(replay)
    ended = home.ended(replay)

    now = home.engine.runs.resolutions(run.id)
    assert ended.state == "cancelled" and now == {"fixed": ended.counts.accepted, "open": 12 - ended.counts.accepted}


def test_the_undo_of_a_second_correction_leaves_the_first(home: Home) -> None:
    """The earlier value stands again, and the letter says so."""
    run = home.went(["never [[invalid always]]"])
    home.engine.letters.correct(run.id, 1, GOOD, key="c1")
    second = home.engine.letters.correct(run.id, 1, {"sentiment": "bad", "words": 9}, key="c2")
    home.engine.letters.undo(second, key="u")

    (row,), _ = home.engine.runs.results(run.id, offset=0, limit=5)
    assert row.value == GOOD and home.engine.runs.resolutions(run.id) == {"corrected": 1}


def test_equals_of_a_row_that_has_died_are_asked_all_at_once(home: Home) -> None:
    """A failure is used by nobody, so each has its own strikes; none waits for another to die first."""
    run = home.went(["[[always bad]] same"] * 6, options=RunOptions(strikes=2))
    db = home.engine._house.read()
    firsts = db.execute(
        "SELECT a.ordinal, min(c.sent_at), max(c.sent_at + c.seconds) FROM attempts a JOIN calls c ON c.id = a.call GROUP BY 1 ORDER BY 2"
    ).fetchall()
    (_, _, first_end), *others = firsts

    assert (run.counts.dead, run.calls) == (6, 12)
    assert max(begun for _, begun, _ in others) < min(end for _, _, end in others)
    assert all(begun >= first_end for _, begun, _ in others)
