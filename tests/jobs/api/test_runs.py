"""engine.runs: what launching refuses and freezes, counts that add up, current results and a run's own, steering."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from sqlite_utils import Database

from jobs import errors
from jobs.api import Engine
from jobs.api.launch import Launch
from jobs.lifecycle import RunState
from jobs.options import Climb, Ladder, RunOptions
from jobs.owner import apply_requests
from jobs.requests import Pause, Resume, Start
from jobs.settings import Connection
from jobs.store import drawer
from jobs.store.runs import end, set_state, transaction
from tests.jobs.ledger import DAWN, FAULTS, TEMPLATE, Ledger

LETTER_VALUE = {"sentiment": "neutral", "urgency": 1, "summary": "by hand"}


def _asked(db: Database) -> Start:
    (body,) = db.execute("SELECT body FROM requests ORDER BY id DESC LIMIT 1").fetchone()
    return Start.model_validate_json(body)


def _launch(engine: Engine, ledger: Ledger, **changes: Any) -> int:
    dataset, version = ledger.dataset(10), ledger.version(template=changes.pop("template", None))
    given: dict[str, Any] = {"connection": engine.settings.connection("openai"), **changes}
    launch = Launch(version=engine.prompts.get(version), dataset=engine.datasets.get(dataset), **given)
    return engine.runs.start(launch, key="k")


# -- starting ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("keeper")
def test_start_freezes_what_could_change(engine: Engine, ledger: Ledger, db: Database) -> None:
    """The used columns, the model, its price, the base URL and the id column are in the request, and so in the run."""
    run = engine.runs.get(_launch(engine, ledger, options=RunOptions(strikes=2, budget=1.5), limit=5, note="hello"))
    asked = _asked(db)
    assert asked.columns == ("customer", "message")
    assert asked.base_url == "https://api.openai.com/v1"
    assert asked.price is not None and asked.price.input > 0
    assert (run.model, run.connection, run.id_column, run.options.budget) == ("gpt-4o-mini", "openai", "ticket", 1.5)
    assert (run.counts.rows, run.counts.waiting, run.state, run.note) == (5, 5, "running", "hello")
    assert run.price_known and run.cost == 0.0


@pytest.mark.usefixtures("keeper")
def test_the_same_key_is_the_same_run(engine: Engine, ledger: Ledger, db: Database) -> None:
    """A second click gives the first one's run, and there is only one."""
    dataset, version = engine.datasets.get(ledger.dataset(8)), engine.prompts.get(ledger.version())
    openai = engine.settings.connection("openai")
    launch = Launch(version=version, dataset=dataset, connection=openai)
    first = engine.runs.start(launch, key="one click")
    assert engine.runs.start(launch, key="one click") == first
    assert engine.runs.list()[1] == 1


@pytest.mark.usefixtures("keeper")
@pytest.mark.parametrize(
    ("chosen", "column", "names"),
    [
        ({}, "ticket", ["T-000001", "T-000002"]),
        ({"id_column": None}, None, ["1", "2"]),
        ({"id_column": "message"}, "message", ["Hello", "Bye"]),
    ],
)
def test_rows_are_named_by_the_column_or_number_that_was_chosen(
    engine: Engine, ledger: Ledger, db: Database, chosen: dict[str, Any], column: str | None, names: list[str]
) -> None:
    """A dataset's id column is the proposal; the rows' numbers can be chosen instead, and so can another column."""
    table = ledger.dataset(cells=[("T-000001", "Ann", "s", "Hello"), ("T-000002", "Bob", "s", "Bye")])
    run = engine.runs.start(
        Launch(
            version=engine.prompts.get(ledger.version()),
            dataset=engine.datasets.get(table),
            connection=engine.settings.connection("openai"),
            ordinals=(1, 2),
            **chosen,
        ),
        key="k",
    )
    assert engine.runs.get(run).id_column == column
    assert [name for (name,) in db.execute("SELECT row_id FROM run_rows ORDER BY ordinal")] == names


@pytest.mark.parametrize(("kind", "reuse"), [("run", True), ("replay", True), ("evaluation", False), ("try", False)])
def test_tries_and_evaluations_use_no_earlier_answer(
    engine: Engine, ledger: Ledger, db: Database, kind: str, reuse: bool
) -> None:
    """They are asked to see what happens, so their rows are always asked."""
    engine._house.patience = 0.0
    with pytest.raises(errors.EngineDown):
        _launch(engine, ledger, kind=kind)
    assert _asked(db).options.reuse is reuse


@pytest.mark.parametrize(("kind", "batch"), [("run", "first"), ("replay", "no"), ("evaluation", "no"), ("try", "no")])
def test_only_a_run_waits_for_a_night_because_its_prompt_begins_so(
    engine: Engine, ledger: Ledger, db: Database, kind: str, batch: str
) -> None:
    """Who repairs, tries or evaluates waits for the answers, whatever the prompt's runs begin with."""
    version = ledger.version(number=7)
    ledger.db.execute("UPDATE versions SET defaults = ? WHERE id = ?", [json.dumps({"batch": "first"}), version])
    ledger.db.conn.commit()
    engine._house.patience = 0.0
    with pytest.raises(errors.EngineDown):
        engine.runs.start(
            Launch(
                version=engine.prompts.get(version),
                dataset=engine.datasets.get(ledger.dataset(10)),
                connection=engine.settings.connection("openai"),
                kind=kind,  # type: ignore[arg-type]
            ),
            key="k",
        )
    assert _asked(db).options.batch == batch


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"template": "{{ custmer }} {{ row['Mesage'] }}"},
            r"triage@1 does not fit tickets\.csv: .*did you mean customer",
        ),
        ({"limit": 0}, "at least one row"),
        ({"ordinals": ()}, "at least one row"),
        ({"ordinals": (3, 11)}, "has 10 rows and no row 11"),
        ({"id_column": "subject"}, "cannot name its rows"),
        ({"edits": {1: {"ticket": "x"}}}, "must have the columns of tickets.csv; see: customer, message, subject"),
        (
            {"options": RunOptions(budget=1, ladder=Ladder(climbs=(Climb(model="own-7b"),)))},
            "rung own-7b: a budget needs a price, and that of own-7b .* or leave the budget or the rung out",
        ),
        ({"model": "own-7b", "options": RunOptions(budget=1)}, r"needs a price.*\[openai\.prices\.\"own-7b\"\]"),
    ],
)
def test_what_cannot_be_run_is_refused_before_the_keeper_hears_of_it(
    engine: Engine, ledger: Ledger, db: Database, changes: dict[str, Any], why: str
) -> None:
    """Each refusal says what to change, and no request is stored."""
    with pytest.raises(errors.InputError, match=f"(?s){why}"):
        _launch(engine, ledger, **changes)
    assert db.execute("SELECT count(*) FROM requests").fetchone() == (0,)


def test_a_run_needs_a_model_and_a_dataset_that_is_ready(engine: Engine, ledger: Ledger) -> None:
    """The model may come from the call, the version or the connection; a table that is loading is refused."""
    vllm, openai = engine.settings.connection("vllm"), engine.settings.connection("openai")
    bare, named = (engine.prompts.get(ledger.version(number=n, model=m)) for n, m in ((1, None), (2, "own-7b")))
    ready = engine.datasets.get(ledger.dataset(3))
    asked = [(bare, vllm, "m"), (named, openai, None), (bare, openai, None)]
    assert [
        engine.runs.model_of(Launch(version=version, dataset=ready, connection=connection, model=model))
        for version, connection, model in asked
    ] == ["m", "own-7b", "gpt-4o-mini"]
    with pytest.raises(errors.InputError, match="no model"):
        engine.runs.start(Launch(version=bare, dataset=ready, connection=vllm), key="k")
    loading = engine.datasets.get(ledger.dataset(4, state="loading"))
    with pytest.raises(errors.InputError, match="still being loaded"):
        engine.runs.start(Launch(version=named, dataset=loading, connection=vllm), key="k")


def test_the_embedded_server_is_not_asked_in_another_models_name(engine: Engine, ledger: Ledger) -> None:
    """It answers to any name, so a wrong one is refused before its answers are booked to a model that never ran."""
    version = engine.prompts.get(ledger.version())
    local = Connection(name="local", base_url="embedded://smol", models=("smol",))
    launch = Launch(version=version, dataset=engine.datasets.get(ledger.dataset(3)), connection=local, model="smol")

    assert engine.runs.model_of(launch) == "smol"
    with pytest.raises(errors.InputError, match="gpt-9"):
        engine.runs.model_of(replace(launch, model="gpt-9"))


def test_a_versions_run_defaults_are_used_where_no_options_are_given(
    engine: Engine, ledger: Ledger, db: Database
) -> None:
    """Strikes and limits that the prompt sets are the run's, unless somebody chose others."""
    stored = engine.prompts.get(ledger.version())
    version = engine.prompts.save(stored.prompt, stored.content, note="", defaults={"strikes": 5, "timeout": 9})
    dataset = engine.datasets.get(ledger.dataset(3))
    engine._house.patience = 0.0
    for options, strikes in ((None, 5), (RunOptions(), 3)):
        with pytest.raises(errors.EngineDown):
            engine.runs.start(
                Launch(version=version, dataset=dataset, connection=engine.settings.connection(), options=options),
                key=f"{strikes}",
            )
        assert _asked(db).options.strikes == strikes


# -- counts ------------------------------------------------------------------------------------------------------------


def test_counts_add_up_to_the_rows(engine: Engine, ledger: Ledger) -> None:
    """Each fate is counted once, rows that are not laid out yet wait, and the parts make the whole."""
    run = engine.runs.get(
        ledger.run(
            ledger.dataset(100), ledger.version(), dead=12, reused=5, reasked=4, due=6, dispatched=3, backing_off=2,
            struck=7, not_laid_out=20,
        )
    )  # fmt: skip
    counts = run.counts
    assert (counts.rows, counts.dead, counts.accepted, counts.waiting) == (100, 12, 50, 38)
    assert (counts.in_flight, counts.backing_off, counts.struck, counts.reused) == (3, 2, 7, 5)
    assert counts.accepted + counts.dead + counts.cancelled + counts.waiting == counts.rows
    assert run.state == "running" and run.ended_at is None


@pytest.mark.parametrize(
    ("rows_per_call", "in_flight", "calls_out"),
    [(1, 2, 2), (1, 10, 10), (1, 40, 10), (5, 1, 1), (5, 8, 2)],
)
def test_no_more_is_in_flight_than_may_be(
    engine: Engine, ledger: Ledger, rows_per_call: int, in_flight: int, calls_out: int
) -> None:
    """More calls are laid ready than may be out: those that are not out wait, and a call of several rows is one."""
    options = {"in_flight": in_flight, "rows_per_call": rows_per_call}
    run = ledger.run(ledger.dataset(30), ledger.version(), dispatched=10, due=5, options=options)
    dispatched = "run = ? AND state = 'dispatched'"
    rows = ledger.db.execute(f"SELECT ordinal FROM run_rows WHERE {dispatched}", [run]).fetchall()
    for place, (ordinal,) in enumerate(rows):
        call = f"call-{place // rows_per_call}"
        ledger.db.execute("UPDATE run_rows SET try_id = ? WHERE run = ? AND ordinal = ?", [call, run, ordinal])
    counts = engine.runs.get(run).counts
    assert (counts.dispatched, counts.calls_out) == (10, calls_out)
    assert counts.in_flight == min(10, calls_out * rows_per_call)
    assert counts.accepted + counts.waiting == counts.rows and counts.waiting == 15
    outlook = engine.runs.outlook(run)
    assert outlook is not None and outlook.out == calls_out


def test_an_ended_run_stands_still(engine: Engine, ledger: Ledger) -> None:
    """Its seconds and its rate are those of its own time."""
    run = engine.runs.get(ledger.run(ledger.dataset(120), ledger.version(), dead=12, cancelled=8, pace=1.0))
    assert (run.state, run.counts.cancelled, run.counts.waiting) == ("cancelled", 8, 0)
    assert run.seconds == 120.0
    assert run.rows_a_minute == 60.0


def test_a_pause_is_no_time_at_work(engine: Engine, ledger: Ledger, db: Database) -> None:
    """Whoever paused it: seconds stand still from then on until it goes on, and its end does not bring them back."""
    run = ledger.run(ledger.dataset(3), ledger.version(), due=3, began=1_000.0)
    told = []
    for key, (act, now) in enumerate(
        [(Pause, 1_010), (Resume, 1_500), (Pause, 1_530), (Resume, 1_500), (Pause, 1_505)]
    ):
        drawer.put_request(db, act(run=run), key=str(key), now=now)
        apply_requests(db, now=now)
        if act is Pause:
            told.append(engine.runs.get(run).seconds)
    assert told == [10.0, 40.0, 15.0], "the last ones after a clock that was set back"
    with transaction(db):
        end(db, run, now=1_700)
    assert engine.runs.get(run).seconds == 15.0

    blocked = ledger.run(ledger.dataset(4), ledger.version(number=2), due=4, began=1_000.0)
    with transaction(db):
        set_state(db, blocked, RunState.PAUSED, now=1_020.0, paused_by="provider", reason="no key")
    assert engine.runs.get(blocked).seconds == 20.0


def test_the_pace_is_that_of_the_last_minute(engine: Engine, ledger: Ledger) -> None:
    """A running run's rate is over the minute up to now; at a standstill it is 0."""
    now = time.time()
    dataset = ledger.dataset(100)
    moving = engine.runs.get(ledger.run(dataset, ledger.version(), due=40, pace=0.5, began=now - 50))
    assert moving.rows_a_minute is not None
    assert 20 <= moving.rows_a_minute <= 100
    still = engine.runs.get(ledger.run(dataset, ledger.version(number=2), due=40, began=now - 9_000))
    assert still.rows_a_minute == 0.0
    fresh = engine.runs.get(ledger.run(dataset, ledger.version(number=3), due=100, began=now))
    assert fresh.rows_a_minute is None


def test_an_unknown_price_is_unknown_and_never_nothing(engine: Engine, ledger: Ledger) -> None:
    """A run with calls of unknown price has no cost; one with none has spent nothing."""
    dataset, version = ledger.dataset(10), ledger.version()
    unknown = engine.runs.get(ledger.run(dataset, version, price=None, connection="vllm"))
    assert (unknown.price_known, unknown.cost) == (False, None)
    assert unknown.calls == 10
    assert engine.runs.get(ledger.run(dataset, version, price=None, due=10)).cost == 0.0
    known = engine.runs.get(ledger.run(dataset, version))
    assert known.cost is not None and known.cost > 0


def test_counts_of_ended_runs_are_kept_and_those_of_others_are_not(
    engine: Engine, ledger: Ledger, db: Database
) -> None:
    """A running run is counted anew each time."""
    run = ledger.run(ledger.dataset(10), ledger.version(), due=4)
    assert engine.runs.get(run).counts.waiting == 4
    db.execute("UPDATE run_rows SET state = 'cancelled', ended_at = 1 WHERE run = ? AND state = 'due'", [run])
    assert engine.runs.get(run).counts.waiting == 0


def test_runs_are_listed_newest_first_and_filtered(engine: Engine, ledger: Ledger) -> None:
    """By kind, prompt and state, in pages, with the number of all that pass."""
    dataset = ledger.dataset(10)
    versions = [ledger.version(), ledger.version(prompt="facts")]
    runs = [ledger.run(dataset, versions[n % 2], due=n % 3, kind=("run", "try")[n == 4]) for n in range(6)]
    assert [run.id for run in engine.runs.list()[0]] == runs[::-1]
    page, total = engine.runs.list(offset=1, limit=2)
    assert ([run.id for run in page], total) == ([runs[4], runs[3]], 6)
    assert engine.runs.list(kinds=["try"])[0][0].id == runs[4]
    assert engine.runs.list(kinds=[])[1] == 0
    assert [run.version for run in engine.runs.list(prompt="facts")[0]] == ["facts@1"] * 3
    assert {run.id for run in engine.runs.list(state="finished")[0]} == {runs[0], runs[3]}
    with pytest.raises(errors.NotFound, match="no run 99"):
        engine.runs.get(99)


# -- results -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def replayed(ledger: Ledger) -> tuple[int, int, list[int]]:
    """A run of 40 rows with 12 dead letters; a replay fixed 6 of them and one was corrected by hand."""
    run = ledger.run(ledger.dataset(40), ledger.version(), dead=12, reused=2)
    dead = ledger.dead(run)
    replay = ledger.replay(run, ledger.version(number=2), fixed=6, same=2, new=1)
    ledger.correct(run, dead[-1], LETTER_VALUE)
    return run, replay, dead


def test_current_results_follow_replays_and_corrections(engine: Engine, replayed: tuple[int, int, list[int]]) -> None:
    """A row is accepted now if anybody gave it a value, with who did; the run's own history is as it was."""
    run, replay, dead = replayed
    now = {row.ordinal: row for row in engine.runs.results(run, offset=0, limit=100)[0]}
    fixed, corrected, open_ = now[dead[0]], now[dead[-1]], now[dead[7]]
    assert (fixed.state, fixed.run, fixed.version) == ("accepted", replay, "triage@2")
    assert fixed.value is not None and fixed.receipt is not None and fixed.receipt.how == "strict"
    assert (corrected.state, corrected.value, corrected.run, corrected.attempt) == ("accepted", LETTER_VALUE, run, None)
    assert corrected.receipt is not None and corrected.receipt.how == "corrected"
    assert (open_.state, open_.value, open_.receipt) == ("dead", None, None)
    assert (open_.run, open_.version) in {(run, "triage@1"), (replay, "triage@2")}
    own = {row.ordinal: row for row in engine.runs.results(run, offset=0, limit=100, as_run=True)[0]}
    assert {row.state for row in own.values() if row.ordinal in dead} == {"dead"}
    assert all(row.value is None for row in own.values() if row.ordinal in dead)
    assert sum(row.state == "accepted" for row in own.values()) == 28


@pytest.mark.parametrize(
    ("as_run", "state", "total"),
    [
        (False, None, 40), (False, "accepted", 35), (False, "dead", 5), (False, "waiting", 0), (False, "cancelled", 0),
        (True, None, 40), (True, "accepted", 28), (True, "dead", 12), (True, "due", 0),
    ],
)  # fmt: skip
def test_results_by_state_in_pages(
    engine: Engine, replayed: tuple[int, int, list[int]], as_run: bool, state: str | None, total: int
) -> None:
    """Pages of each state come in the file's order, miss nothing and repeat nothing."""
    run = replayed[0]
    seen: list[int] = []
    for offset in range(0, 48, 7):
        rows, count = engine.runs.results(run, offset=offset, limit=7, state=state, as_run=as_run)
        assert count == total
        assert state is None or {row.state for row in rows} <= {state}
        seen += [row.ordinal for row in rows]
    assert seen == sorted(set(seen)) and len(seen) == total


def test_a_replays_results_are_its_roots_or_its_own(engine: Engine, replayed: tuple[int, int, list[int]]) -> None:
    """Without as_run a replay shows the whole root as it is now; with it, the rows that it took."""
    run, replay, dead = replayed
    assert engine.runs.results(replay, offset=0, limit=100) == engine.runs.results(run, offset=0, limit=100)
    rows, total = engine.runs.results(replay, offset=0, limit=100, as_run=True)
    assert ([row.ordinal for row in rows], total) == (dead[:9], 9)
    assert [row.state for row in rows] == ["accepted"] * 6 + ["dead"] * 3


def test_a_try_shows_its_own_values(engine: Engine, ledger: Ledger, db: Database) -> None:
    """Its values are never current, so its page shows what it made itself."""
    run = ledger.run(ledger.dataset(5), ledger.version(), kind="try")
    db.execute("DELETE FROM results WHERE root = ?", [run])
    rows, _ = engine.runs.results(run, offset=0, limit=9, state="accepted")
    assert len(rows) == 5 and all(row.value and row.run == run for row in rows)


def test_results_show_the_cells_that_the_value_came_from(engine: Engine, ledger: Ledger) -> None:
    """A row that was edited for a replay is shown as the model saw it."""
    run = ledger.run(ledger.dataset(5), ledger.version(), dead=1, faults=FAULTS[:1])
    (dead,) = ledger.dead(run)
    edit = {"ticket": "T", "customer": "C", "subject": "S", "message": "mended"}
    ledger.replay(run, ledger.version(number=2), fixed=1, edits={dead: edit})
    current = {row.ordinal: row for row in engine.runs.results(run, offset=0, limit=9)[0]}
    assert current[dead].cells == edit
    own = {row.ordinal: row for row in engine.runs.results(run, offset=0, limit=9, as_run=True)[0]}
    assert own[dead].cells["message"].startswith("Hello")


def test_search_in_results(engine: Engine, ledger: Ledger) -> None:
    """Finds rows by the text of a cell, within a state, and only among the run's rows."""
    run = ledger.run(ledger.dataset(40), ledger.version(), rows=20, dead=6)
    rows, total = engine.runs.results(run, offset=0, limit=5, search="t-00000")
    assert ([row.ordinal for row in rows], total) == ([1, 2, 3, 4, 5], 9)
    dead = [row.ordinal for row in engine.runs.results(run, offset=0, limit=50, state="dead", search="customer")[0]]
    assert dead == ledger.dead(run)
    assert engine.runs.results(run, offset=0, limit=5, search="T-000040") == ([], 0)


def test_groups_and_resolutions(engine: Engine, replayed: tuple[int, int, list[int]]) -> None:
    """The run's own deaths by cause, and what has become of them."""
    run, replay, _ = replayed
    groups = engine.runs.groups(run, limit=3)
    assert len(groups) == 3 and sum(group.count for group in engine.runs.groups(run, limit=99)) == 12
    assert {group.title for group in groups} <= {fault.title for fault in FAULTS}
    assert engine.runs.resolutions(run) == {"fixed": 6, "corrected": 1, "open": 5}
    assert engine.runs.resolutions(replay) == {"open": 3}


# -- steering ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("keeper")
def test_steering_may_be_pressed_twice(engine: Engine, ledger: Ledger) -> None:
    """Pause, resume and cancel each give the run as it is then; the second press changes nothing."""
    run = ledger.run(ledger.dataset(9), ledger.version(), due=4)
    for press, state in (
        (engine.runs.pause, "paused"),
        (engine.runs.resume, "running"),
        (engine.runs.cancel, "cancelled"),
    ):
        assert press(run).state == state
        assert press(run).state == state
    assert engine.runs.get(run).counts.cancelled == 4
    with pytest.raises(errors.Refused, match="cancelled: it cannot be resumed"):
        engine.runs.resume(run)
    with pytest.raises(errors.NotFound):
        engine.runs.pause(99)


@pytest.mark.usefixtures("keeper")
def test_resume_refuses_a_connection_that_moved(engine: Engine, ledger: Ledger, db: Database) -> None:
    """A run goes on only at the base URL that it was started for; both are named."""
    run = ledger.run(ledger.dataset(9), ledger.version(), due=4, state="paused")
    db.execute("UPDATE runs SET base_url = 'https://old.example/v1'")
    with pytest.raises(errors.Refused, match=r"old\.example.*api\.openai\.com"):
        engine.runs.resume(run)


@pytest.mark.usefixtures("keeper")
def test_a_budget_can_be_changed_and_taken_away(engine: Engine, ledger: Ledger) -> None:
    """Another limit, or none; nothing is no limit that could be meant."""
    run = ledger.run(ledger.dataset(9), ledger.version(), due=4)
    assert engine.runs.set_budget(run, 2.5).options.budget == 2.5
    assert engine.runs.set_budget(run, None).options.budget is None
    for nothing in (0.0, -1.0, float("nan")):
        with pytest.raises(errors.InputError, match="above"):
            engine.runs.set_budget(run, nothing)
    unpriced = ledger.run(ledger.dataset(10), ledger.version(number=2), due=4, price=None)
    with pytest.raises(errors.Refused, match="unknown"):
        engine.runs.set_budget(unpriced, 1.0)


def test_the_ledgers_template_uses_what_its_runs_say(engine: Engine, ledger: Ledger, db: Database) -> None:
    """The builder of these stores agrees with the engine on columns and times."""
    run = ledger.run(ledger.dataset(3), ledger.version())
    (columns,) = db.execute("SELECT columns FROM runs WHERE id = ?", [run]).fetchone()
    assert json.loads(columns) == ["customer", "message"] and "{{ customer }}" in TEMPLATE
    assert engine.runs.get(run).created_at == DAWN
