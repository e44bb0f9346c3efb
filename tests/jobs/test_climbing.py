"""A ladder of models through the whole engine: who climbs and why, what it costs, and what is in the books."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from jobs import errors
from jobs import settings as settings_module
from jobs.api import Engine
from jobs.api.launch import Launch
from jobs.api.replays import Changes
from jobs.options import Check, Climb, Ladder, Route, RunOptions
from jobs.settings import Price
from jobs.store import went_on
from jobs.store.database import open_writer
from jobs.testing import StubProvider, marked
from jobs.testing.script import Act, Ask, failed
from jobs.views.forecast import Forecast
from tests.house import CONTENT, CONTRACT, Home, wait_until

GOOD = {"sentiment": "good", "words": 2}
BAD = {"sentiment": "bad", "words": 1}
CHEAP, DEAR = Price(input=1.0, output=2.0), Price(input=10.0, output=20.0)


def of_the_cheap(ask: Ask) -> Act | None:
    """The cheap model breaks the contract on hard rows, and calls unsure ones bad."""
    if ask.model == "dear" or ask.records[0].id:
        return None
    if "hard" in ask.user:
        return Act(kind="invalid", content='{"sentiment": "so-so"}')
    if "unsure" in ask.user:
        return Act(kind="unsure", content=json.dumps(BAD))
    return None


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with StubProvider(of_the_cheap, marked, answer=GOOD, prices={"dear": DEAR}) as provider:
        yield provider


@pytest.fixture
def home(tmp_path: Path, redis_address: str, stub: StubProvider) -> Iterator[Home]:
    dear = "[stub.prices.dear]\ninput = 10.0\noutput = 20.0\n"
    dear += f'[free]\nbase_url = "{stub.base_url}"\nmodels = ["dear"]\n'
    home = Home(tmp_path / "home", redis_address, stub, chance=lambda: 0.0, more=dear)
    yield home
    home.close()


def up(**rest: object) -> RunOptions:
    options = {name: rest.pop(name) for name in ("strikes", "rows_per_call", "budget", "reuse") if name in rest}
    return RunOptions.model_validate(
        {"ladder": Ladder.model_validate({"climbs": (Climb(model="dear"),), **rest}), **options}
    )


def models(home: Home, run: int) -> dict[int, str]:
    """Which model's answer each row has."""
    found = home.engine._house.read().execute(
        "SELECT ordinal, json_extract(receipt, '$.model') FROM attempts WHERE run = ? AND verdict = 'accepted'", [run]
    )
    return dict(found.fetchall())


def test_a_row_climbs_when_the_answer_and_its_re_ask_break_the_contract(home: Home) -> None:
    """Two calls below, then one above, with no strike left over; the others stay with the cheap model."""
    run = home.went(["easy a", "hard b", "easy c"], options=up())

    assert (run.counts.accepted, run.calls) == (3, 5)
    assert models(home, run.id) == {1: "stub-model", 2: "dear", 3: "stub-model"}
    assert [entry.model for entry in home.stub.ledger.of("hard")] == ["stub-model", "stub-model", "dear"]


def test_what_it_costs_is_what_each_model_charges(home: Home) -> None:
    """To the cent of the provider's own books, and the price stands with each call."""
    run = home.went([*(f"easy {n}" for n in range(8)), "hard x"], options=up())
    prices = home.engine._house.read().execute(
        "SELECT DISTINCT rung, json_extract(price, '$.input') FROM calls ORDER BY 1"
    )

    assert run.cost == pytest.approx(home.stub.ledger.money, abs=1e-12)
    assert prices.fetchall() == [(0, 1.0), (1, 10.0)]


def test_on_the_top_rung_a_row_dies_of_its_strikes(home: Home) -> None:
    """Three there, beside the two below."""
    run = home.went(["[[always bad]]"], options=up())

    assert (run.counts.dead, run.calls) == (1, 5)
    assert [attempt.strike for attempt in home.engine.letters.inspect(run.id, 1).attempts] == [True] * 5


def test_a_value_that_is_always_checked_climbs_without_a_strike(home: Home) -> None:
    """The cheap answer is kept with its value, as what it was doubted for."""
    run = home.went(["easy", "unsure"], options=up(checks=(Check(field="sentiment", value="bad"),)))
    first, second = home.engine.letters.inspect(run.id, 2).attempts

    assert (run.counts.accepted, run.calls, run.counts.struck) == (2, 3, 0)
    assert (first.verdict, first.strike, first.value) == ("rejected", False, BAD)
    assert first.problems[0].rule == "doubted"
    assert (second.verdict, second.value) == ("accepted", GOOD)


def test_a_rule_over_a_column_sends_a_row_straight_up(home: Home) -> None:
    """It is asked once, and above only."""
    run = home.went(
        ["short", "a very long message"], options=up(routes=(Route(column="text", rule="longer", value="9"),))
    )

    assert run.calls == 2
    assert models(home, run.id) == {1: "stub-model", 2: "dear"}


def test_equal_rows_climb_together(home: Home) -> None:
    """The cheap model is asked twice for all of them, the dear one once."""
    run = home.went(["hard same"] * 40 + ["easy"], options=up())

    assert run.counts.accepted == 41
    assert [entry.model for entry in home.stub.ledger.of("hard")] == ["stub-model", "stub-model", "dear"]


def test_an_answer_of_a_higher_rung_serves_a_lower_one(home: Home) -> None:
    """A second run over the same rows asks nobody, also for the row that had climbed."""
    home.went(["easy", "hard"], options=up())
    before = home.stub.ledger.calls
    run = home.went(["easy", "hard"], options=up())

    assert (run.counts.accepted, run.counts.reused, home.stub.ledger.calls) == (2, 2, before)


def test_an_unchecked_answer_does_not_serve_where_more_is_asked_for(home: Home) -> None:
    """What a run without a doubt took is asked again by one that always checks it."""
    home.went(["unsure"], options=RunOptions())
    run = home.went(["unsure"], options=up(checks=(Check(field="sentiment", value="bad"),)))

    assert (run.counts.reused, run.calls) == (0, 2)
    assert models(home, run.id) == {1: "dear"}


def test_an_answer_of_a_higher_rung_is_none_of_the_lower_one(home: Home) -> None:
    """It serves the row that begins below, and a run of the lower model alone asks that model."""
    home.went(["easy"], options=RunOptions(), model="dear")
    assert home.went(["easy"], options=up()).counts.reused == 1
    run = home.went(["easy"], options=RunOptions())

    assert (run.counts.accepted, run.counts.reused, run.calls) == (1, 0, 1)
    assert home.stub.ledger.entries[-1].model == "stub-model"


def test_a_row_that_is_served_from_above_leaves_the_question_to_who_asks_it(home: Home) -> None:
    """An equal row that waits for the answer below still waits, so nobody pays for it twice."""
    home.went(["easy [[slow 1.5]]"], options=RunOptions(), model="dear")
    first = home.start(["easy [[slow 1.5]]"], options=RunOptions())
    home.until(first, lambda run: run.counts.in_flight == 1)
    served = home.went(["easy [[slow 1.5]]"], options=up())
    second = home.went(["easy [[slow 1.5]]"], options=RunOptions())

    assert (served.counts.reused, second.counts.reused, home.ended(first).calls) == (1, 1, 1)
    assert [entry.model for entry in home.stub.ledger.entries] == ["dear", "stub-model"]


def test_what_was_checked_for_a_text_was_not_checked_for_a_number(home: Home) -> None:
    """They are written alike, and one never stands for the other."""
    home.went(["easy"], options=up(checks=(Check(field="words", value="2"),)))
    run = home.went(["easy"], options=up(checks=(Check(field="words", value=2),)))

    assert (run.counts.reused, models(home, run.id)) == (0, {1: "dear"})


def test_several_rows_a_call_climb_each_for_itself(home: Home) -> None:
    """A call is about rows of one rung; those that climb go together again."""

    def some_bad(ask: Ask) -> Act | None:
        if ask.model == "dear" or not ask.records[0].id:
            return None
        results = [{"id": one.id, "value": BAD if "unsure" in one.text else GOOD} for one in ask.records]
        return Act(content=json.dumps({"results": results}))

    home.stub.scripts = (some_bad, marked)
    rows = [f"{'unsure' if n % 3 == 0 else 'easy'} {n}" for n in range(12)]
    run = home.went(rows, options=up(rows_per_call=4, checks=(Check(field="sentiment", value="bad"),)))
    answered = models(home, run.id)

    assert run.counts.accepted == 12
    assert [ordinal for ordinal, model in answered.items() if model == "dear"] == [1, 4, 7, 10]
    assert [entry.model for entry in home.stub.ledger.entries].count("dear") <= 3


def test_what_would_kill_a_row_below_makes_it_climb(home: Home) -> None:
    """A prompt that is too long for the cheap model may fit the dear one."""

    def too_long(ask: Ask) -> Act | None:
        told = b'{"error": {"message": "maximum context length is 10", "code": "context_length_exceeded"}}'
        return None if ask.model == "dear" else Act(status=400, body=told)

    home.stub.scripts = (too_long,)
    run = home.went(["any"], options=up())

    assert (run.counts.accepted, run.calls, models(home, run.id)) == (1, 2, {1: "dear"})


def test_a_budget_reserves_by_the_price_of_the_rung(home: Home) -> None:
    """The run pauses before the dear call that it cannot pay for."""
    run_id = home.start(["hard"], options=up(budget=0.001))
    run = home.until(run_id, lambda run: run.state == "paused")

    assert run.reason is not None and "no room for the next call" in run.reason
    home.engine.runs.set_budget(run_id, 1.0)
    assert home.ended(run_id).counts.accepted == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (up(routes=(Route(column="massage", rule="is", value="x"),)), "no column 'massage'"),
        (up(checks=(Check(field="sort", value="x"),)), "no field 'sort'"),
        (RunOptions(ladder=Ladder(climbs=(Climb(model="dear", connection="moon"),))), "no connection 'moon'"),
        (RunOptions(ladder=Ladder(climbs=(Climb(model="stub-model"),))), "stub-model stands on a lower rung already"),
        (
            RunOptions(ladder=Ladder(climbs=(Climb(model="dear"), Climb(model="dear", connection="stub")))),
            "would check itself",
        ),
    ],
)
def test_a_ladder_that_does_not_fit_is_refused_at_launch(home: Home, options: RunOptions, words: str) -> None:
    """Before anything is asked."""
    with pytest.raises(errors.InputError, match=words):
        home.start(["any"], options=options)
    assert home.stub.ledger.calls == 0


@pytest.mark.parametrize("rows_per_call", [1, 3])
def test_an_answer_that_the_model_was_not_sure_of_climbs(home: Home, rows_per_call: int) -> None:
    """By the least sure of the deciding fields; how sure it was is kept with each attempt."""
    home.stub.confidence = lambda row, path: 0.6 if "doubtful" in row and path == "$.sentiment" else 0.97
    rows = ["clear 1", "doubtful 2", "clear 3"]
    run = home.went(rows, options=up(confidence=0.9, rows_per_call=rows_per_call))
    query = (
        "SELECT a.ordinal, c.rung, round(a.confidence, 2) FROM attempts a JOIN calls c ON c.id = a.call ORDER BY 2, 1"
    )

    assert models(home, run.id) == {1: "stub-model", 2: "dear", 3: "stub-model"}
    assert home.engine._house.read().execute(query).fetchall() == [
        (1, 0, 0.97),
        (2, 0, 0.6),
        (3, 0, 0.97),
        (2, 1, None),
    ]


def test_where_nobody_tells_how_sure_a_model_was_every_row_climbs(home: Home) -> None:
    """No answer is taken for certain."""
    run = home.went(["one", "two"], options=up(confidence=0.9))

    assert models(home, run.id) == {1: "dear", 2: "dear"}


def test_a_run_may_keep_how_sure_the_model_was_without_doubting_it(home: Home) -> None:
    """For finding a threshold."""
    home.stub.confidence = 0.7
    run = home.went(["one"], options=RunOptions(confidence=True))
    (kept,) = home.engine._house.read().execute("SELECT confidence FROM attempts WHERE run = ?", [run.id]).fetchone()

    assert run.counts.accepted == 1 and kept == pytest.approx(0.7, abs=0.01)


def test_an_endpoint_that_tells_of_some_tokens_only_leaves_it_unknown(home: Home) -> None:
    """The field that it keeps silent about may be the doubtful one."""
    home.stub.confidence = lambda row, path: 0.99

    def half(ask: Ask) -> Act | None:
        text = json.dumps(GOOD)
        told = [{"token": text[:20], "logprob": -0.001, "bytes": None}]
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": {"content": told}}
        body = {"id": "x", "object": "chat.completion", "choices": [choice], "usage": None}
        return None if ask.model == "dear" else Act(body=json.dumps(body).encode())

    home.stub.scripts = (half,)
    run = home.went(["any"], options=up(confidence=0.9))

    assert models(home, run.id) == {1: "dear"}


# -- rungs that do not answer ------------------------------------------------------------------------------------------


def test_a_rung_that_its_provider_holds_up_does_not_hold_up_the_others(tmp_path: Path, redis_address: str) -> None:
    """Six calls a minute above, and the rows behind those that climb are all answered below."""

    def script(ask: Ask) -> Act | None:
        return Act(content=json.dumps(BAD)) if ask.model != "dear" and "hard" in ask.user else None

    with StubProvider(script, answer=GOOD) as stub:
        slow = f'[slow]\nbase_url = "{stub.base_url}"\nmodels = ["dear"]\nrpm = 6\n'
        home = Home(tmp_path / "home", redis_address, stub, more=slow)
        try:
            ladder = Ladder(
                climbs=(Climb(model="dear", connection="slow"),), checks=(Check(field="sentiment", value="bad"),)
            )
            rows = [*(f"hard {n}" for n in range(60)), *(f"easy {n}" for n in range(150))]
            run = home.start(rows, options=RunOptions(ladder=ladder))
            home.until(run, lambda run: run.counts.accepted >= 150)
            assert stub.ledger.max_in_flight <= 8
            home.engine.runs.cancel(run)
            home.ended(run)
        finally:
            home.close()


#: the dear model at a connection of its own, for what the cheap one says is bad
APART = Ladder(climbs=(Climb(model="dear", connection="apart"),), checks=(Check(field="sentiment", value="bad"),))


@contextmanager
def apart(folder: Path, redis_address: str, *, places: int, latency: float) -> Iterator[tuple[Home, StubProvider]]:
    """A home with two lanes whose cheap model finds hard rows bad, and the dear one, which takes so many calls at once."""

    def script(ask: Ask) -> Act | None:
        return Act(content=json.dumps(BAD)) if "hard" in ask.user else None

    with (
        StubProvider(script, answer=GOOD, latency=0.02) as stub,
        StubProvider(answer=GOOD, latency=latency, models=("dear",)) as dear,
    ):
        of_dear = f'[apart]\nbase_url = "{dear.base_url}"\nmodels = ["dear"]\nin_flight = {places}\n'
        home = Home(folder / "home", redis_address, stub, lanes=2, in_flight=20, more=of_dear)
        try:
            yield home, dear
        finally:
            home.close()


@pytest.mark.parametrize("in_flight", [20, 1])
def test_an_upper_rung_keeps_to_the_places_of_its_own_connection(
    tmp_path: Path, redis_address: str, in_flight: int
) -> None:
    """Two lanes with many calls below never have more above than the dear connection takes, or the run, and none waits for ever."""
    rows = [f"{'hard' if n % 2 else 'easy'} {n}" for n in range(20 + 5 * in_flight)]
    with apart(tmp_path, redis_address, places=3, latency=0.1) as (home, dear):
        run = home.went(rows, options=RunOptions(ladder=APART, in_flight=in_flight))

        assert run.counts.accepted == len(rows) and len(dear.ledger.entries) == len(rows) // 2
        assert dear.ledger.max_in_flight == min(3, in_flight)


def test_a_ladder_shares_its_dear_connection_with_a_run_that_is_there(tmp_path: Path, redis_address: str) -> None:
    """Its rows that climb have a share of the places, and none before there are any; the two together have no more than there are."""
    with apart(tmp_path, redis_address, places=6, latency=0.2) as (home, dear):
        version = home.version()
        plain = home.engine.runs.start(
            Launch(
                version=version,
                dataset=home.dataset([f"plain {n}" for n in range(150)], "plain.csv"),
                connection=home.settings.connection("apart"),
                options=RunOptions(in_flight=6),
            ),
            key="plain",
        )
        wait_until(lambda: dear.ledger.in_flight == 6)
        hard = home.start(
            [f"hard {n}" for n in range(30)], version=version, options=RunOptions(ladder=APART, in_flight=20)
        )
        ended = home.ended(hard)
        others = home.engine.runs.get(plain).counts.waiting
        home.ended(plain)

        assert ended.counts.accepted == 30 and others > 0
        # The one call that may climb before the other run has heard of it.
        assert 6 <= dear.ledger.max_in_flight <= 7


def test_a_rung_that_is_refused_pauses_the_run_and_is_named(home: Home) -> None:
    """The words are the provider's, and which model and connection they are about is said."""

    def script(ask: Ask) -> Act | None:
        return failed(401) if ask.model == "dear" else Act(content=json.dumps(BAD))

    home.stub.scripts = (script,)
    run_id = home.start(["a"], options=up(checks=(Check(field="sentiment", value="bad"),)))
    run = home.until(run_id, lambda run: run.state == "paused")

    assert run.reason == "dear at connection 'stub': Incorrect API key provided."


def test_a_run_does_not_go_on_where_an_upper_rung_has_moved(home: Home) -> None:
    """Both addresses are said, as they are for the lowest."""
    ladder = Ladder(climbs=(Climb(model="dear", connection="free"),))
    run = home.start(["easy [[slow 1]]", "easy"], options=RunOptions(ladder=ladder, in_flight=1))
    home.engine.runs.pause(run)
    file = home.folder / "connections.toml"
    moved = file.read_text().replace(f'[free]\nbase_url = "{home.stub.base_url}"', '[free]\nbase_url = "http://old/v1"')
    file.write_text(moved)

    fresh = settings_module.load(home.folder, home.folder / "prompts", {"REDIS_URL": home.settings.redis_address})
    with Engine(fresh) as engine, pytest.raises(errors.Refused, match=r"127\.0\.0\.1.*'free' is http://old/v1 now"):
        engine.runs.resume(run)


# -- where every row was answered --------------------------------------------------------------------------------------


def test_the_rungs_add_up_to_the_run_and_say_why_rows_went_on(home: Home) -> None:
    """Rows, calls and money of each model; the sums are those of the run and of the provider's own books."""
    home.stub.confidence = lambda row, path: 0.5 if "shaky" in row else 0.99
    rows = ["easy 1", "easy 2", "hard a", "unsure b", "shaky c", "a very long message d", "hard a", "[[always bad]]"]
    chosen = up(
        checks=(Check(field="sentiment", value="bad"),),
        routes=(Route(column="text", rule="matches", value="^a very"),),
        confidence=0.9,
    )
    run = home.went(rows, options=chosen)
    cheap, dear = home.engine.runs.rungs(run.id)

    assert (cheap.model, dear.model, dear.connection) == ("stub-model", "dear", "stub")
    assert (cheap.rows, cheap.accepted, cheap.asked) == (2, 2, 6)
    assert cheap.climbed == {"contract": 2, "checked": 1, "unsure": 1}
    assert (dear.rows, dear.accepted, dear.dead, dear.reused, dear.straight) == (6, 5, 1, 1, 2)
    assert (cheap.rows + dear.rows, cheap.calls + dear.calls) == (run.counts.rows, run.calls)
    paid = {name: sum(one.money for one in home.stub.ledger.entries if one.model == name) for name in run.models}
    assert (cheap.cost, dear.cost) == (pytest.approx(paid["stub-model"]), pytest.approx(paid["dear"]))


def test_an_evaluation_is_booked_by_rung(home: Home) -> None:
    """It climbs as a run does, reuses nothing, and each rung's calls and money are those of the provider's own books."""
    rows = ["easy 1", "hard a", "unsure b", "a very long message d"]
    chosen = up(
        checks=(Check(field="sentiment", value="bad"),), routes=(Route(column="text", rule="matches", value="^a very"),)
    )
    home.went(rows, options=chosen)
    home.stub.ledger.clear()
    run = home.went(rows, options=chosen, kind="evaluation")
    cheap, dear = home.engine.runs.rungs(run.id)
    entries = home.stub.ledger.entries

    assert (run.counts.accepted, run.counts.reused, run.calls) == (4, 0, 7)
    assert (cheap.rows, cheap.calls, cheap.climbed) == (1, 4, {"contract": 1, "checked": 1})
    assert (dear.rows, dear.calls, dear.straight) == (3, 3, 1)
    for rung in (cheap, dear):
        paid = [entry.money for entry in entries if entry.model == rung.model]
        assert (rung.calls, rung.cost) == (len(paid), pytest.approx(sum(paid), abs=1e-12))
    assert run.cost == pytest.approx(home.stub.ledger.money, abs=1e-12)


def test_what_is_counted_as_rows_go_on_is_what_the_ledger_says(home: Home) -> None:
    """A run's page looks at no attempt: counts kept in the recording transactions, which a home of before gets by the ledger."""
    home.stub.confidence = lambda row, path: 0.5 if "shaky" in row else 0.99
    rows = [
        "easy 1",
        "hard a",
        "hard a",
        "unsure b",
        "shaky c",
        "a very long d",
        "[[always bad]]",
        "failing [[500 always]]",
    ]
    routes = (Route(column="text", rule="matches", value="^a very"),)
    climbs = (Climb(model="middle"), Climb(model="dear"))
    chosen = up(checks=(Check(field="sentiment", value="bad"),), confidence=0.9, routes=routes, climbs=climbs)
    run = home.went(rows, options=chosen)
    counted = "SELECT rung, why, rows FROM went_on WHERE run = ? ORDER BY rung, why"
    kept = [one for one in home.engine._house.read().execute(counted, [run.id]).fetchall() if one[2]]
    with closing(open_writer(home.settings.database)) as db:
        went_on.recount(db, [run.id])
        again = db.execute(counted, [run.id]).fetchall()
        db.conn.rollback()

    assert kept == again and {why for _, why, _ in kept} == {"contract", "checked", "unsure", "failed", "straight"}
    lowest, middle, top = home.engine.runs.rungs(run.id)
    assert lowest.straight == 0
    assert sum(lowest.climbed.values()) + middle.straight == sum(middle.climbed.values()) + middle.rows
    assert sum(middle.climbed.values()) + top.straight == top.rows


def test_an_answer_that_is_used_again_names_its_model_too(home: Home) -> None:
    """Also where it comes from a run that had no ladder."""
    home.went(["easy"], options=RunOptions())
    home.went(["hard"], options=up())
    run = home.went(["easy", "hard"], options=up())

    assert run.counts.reused == 2 and models(home, run.id) == {1: "stub-model", 2: "dear"}
    assert [(one.rows, one.accepted, one.reused) for one in home.engine.runs.rungs(run.id)] == [(1, 1, 1), (1, 1, 1)]


def test_a_replay_keeps_the_ladder_of_its_run(home: Home) -> None:
    """What died on top is asked from the bottom up again, unless other options are given."""
    run = home.went(["later [[invalid 7 times]]", "easy"], options=up())
    (replay,) = home.engine.letters.replay(home.engine.letters.ids(run=run.id), key="again")
    ended = home.ended(replay)

    assert (ended.options.ladder, ended.models) == (run.options.ladder, ("stub-model", "dear"))
    assert ended.counts.accepted == 1 and models(home, replay) == {1: "dear"}


def test_a_replay_with_another_version_keeps_what_fits_of_the_ladder(home: Home) -> None:
    """What its answers cannot say is not checked."""
    checks = (Check(field="sentiment", value="bad"), Check(field="words", value=1))
    run = home.went(["[[always bad]]"], options=up(checks=checks))
    contract = {**CONTRACT, "properties": {"words": {"type": "integer"}}, "required": ["words"]}
    better = home.version(CONTENT.model_copy(update={"contract": contract}))
    (replay,) = home.engine.letters.replay([(run.id, 1)], Changes(version=better), key="again")
    kept = home.ended(replay).options.ladder

    assert kept is not None and [str(one) for one in kept.checks] == ["words=1"]


def test_a_run_is_of_unknown_price_where_that_of_one_rung_is(home: Home) -> None:
    """Half a sum is no sum."""
    ladder = Ladder(climbs=(Climb(model="dear", connection="free"),))
    run = home.went(["hard"], options=RunOptions(ladder=ladder))

    assert (run.price_known, run.cost) == (False, None)
    assert [one.cost for one in home.engine.runs.rungs(run.id)] == [None, None]


# -- what a ladder will take -------------------------------------------------------------------------------------------


def ahead(home: Home, rows: list[str], options: RunOptions) -> Forecast:
    """What asking about these rows is forecast to take."""
    return home.engine.runs.forecast(
        Launch(
            version=home.version(),
            dataset=home.dataset(rows, "ahead.csv"),
            connection=home.settings.connection("stub"),
            model="stub-model",
            options=options,
        )
    )


def test_without_a_past_a_ladder_costs_between_no_row_that_climbs_and_all(home: Home) -> None:
    """The ends are what each would cost, the most reserves every rung, and rows that a rule sends up are counted."""
    rows = [f"row {number}{' that is long' if number % 4 == 0 else ''}" for number in range(40)]
    found = ahead(home, rows, up(routes=(Route(column="text", rule="matches", value="long$"),)))
    told = found.ladder
    assert told is not None and told.climbs is None and (told.straight, told.looked) == (0.25, 40)

    alone = {name: ahead(home, rows, RunOptions()) for name in ("cheap",)}["cheap"]
    assert found.cost is not None and alone.cost is not None and told.dear is not None
    each = alone.cost.about / 40
    assert told.dear.about == pytest.approx(400 * each, rel=0.01)
    assert found.cost.low == pytest.approx(30 * each + 100 * each, rel=0.01)
    assert found.cost.high == pytest.approx(30 * each + 400 * each, rel=0.01)
    assert alone.cost_ceiling is not None
    assert found.cost_ceiling == pytest.approx(0.75 * alone.cost_ceiling + 10 * alone.cost_ceiling)
    assert told.saving is not None and told.saving.low is not None and told.saving.high is not None
    assert told.saving.low < 0 < told.saving.high


def test_what_the_cheap_model_has_said_tells_how_many_rows_will_climb(home: Home) -> None:
    """Each of its answers is held against what this ladder doubts; the real run comes to what was said."""
    rows = [f"{'hard' if n % 10 == 0 else 'unsure' if n % 10 == 1 else 'easy'} {n}" for n in range(60)]
    home.went(rows, options=RunOptions())
    home.went(rows[:25], options=RunOptions(), model="dear")
    checks = (Check(field="sentiment", value="bad"),)
    plain, checked = (ahead(home, [f"{row} new" for row in rows], up(**more)) for more in ({}, {"checks": checks}))
    assert plain.ladder is not None and plain.ladder.climbs is not None
    assert (plain.ladder.climbs.about, plain.ladder.climbs.n) == (pytest.approx(0.1), 60)
    told = checked.ladder
    assert told is not None and told.climbs is not None and checked.cost is not None
    assert told.climbs.about == pytest.approx(0.2) and [round(one.rows.about) for one in told.rungs] == [60, 12]

    run = home.went([f"{row} new" for row in rows], options=up(checks=checks))
    assert run.cost is not None and checked.cost.low is not None and checked.cost.high is not None
    assert checked.cost.low < run.cost < checked.cost.high
    again = ahead(home, [f"{row} newer" for row in rows], up(checks=checks))
    assert again.ladder is not None and again.ladder.rungs[0].n >= 60 and again.cost is not None
    assert again.cost.about == pytest.approx(run.cost, rel=0.1)


def test_a_run_with_a_ladder_tells_nothing_of_one_without(home: Home) -> None:
    """Its rows leave the cheap model before they die there."""
    home.went([f"hard {n}" for n in range(30)], options=up())

    assert ahead(home, ["hard a", "hard b"], RunOptions()).n == 0


def test_answers_of_every_rung_are_reused_in_the_forecast_too(home: Home) -> None:
    """As the run does it."""
    home.went(["easy 1", "hard 2"], options=up())
    found = ahead(home, ["easy 1", "hard 2", "easy 3"], up())

    assert (found.asked, found.reused) == (1, 2)


def test_a_ladder_that_does_not_fit_is_warned_of(home: Home) -> None:
    """A connection, a column, and an endpoint that does not tell how sure it is."""
    nowhere = RunOptions(ladder=Ladder(climbs=(Climb(model="dear", connection="moon"),)))
    assert any("not there" in warning for warning in ahead(home, ["a"], nowhere).warnings)
    wrong = up(routes=(Route(column="massage", rule="is", value="x"),))
    assert any("no column 'massage'" in warning for warning in ahead(home, ["a"], wrong).warnings)
    home.engine.system.probe(home.settings.connection("stub"), "stub-model")
    said = ahead(home, ["a"], up(confidence=0.9)).warnings
    assert any("every row would climb" in warning for warning in said)


def test_a_replay_with_the_dear_model_does_not_let_it_check_itself(home: Home) -> None:
    """Of the ladder it keeps what is above the model that it begins with."""
    run = home.went(["[[malformed 5 times]]"], options=up())
    assert run.counts.dead == 1
    forecast = home.engine.letters.forecast([(run.id, 1)], Changes(model="dear")).whole
    (replay,) = home.engine.letters.replay([(run.id, 1)], Changes(model="dear"), key="again")
    ended = home.ended(replay)

    assert (ended.counts.accepted, ended.options.ladder) == (1, None)
    assert forecast is not None and forecast.ladder is None
