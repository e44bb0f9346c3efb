"""The keeper's books: what it does with calls that get lost, come late, were never sent, or were never its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from redis import Redis

from jobs import logs
from jobs import settings as settings_module
from jobs.keeper import Keeper
from jobs.keys import GROUP, Keys
from jobs.limits import LEASE_SECONDS
from jobs.messages import WIRE, Ask, Outcome
from jobs.options import RunOptions
from jobs.requests import SetBudget
from jobs.store import applying
from jobs.store.runs import transaction
from jobs.strays import RECONCILE_SECONDS
from jobs.testing import StubProvider
from jobs.values import Failure, FailureKind, Usage
from tests.house import Home
from tests.jobs.store.book import BAD, GOOD, Book


class Desk(Book):
    """A home with one run, a keeper that steps when told to, and a hand that takes calls and hands back like a lane."""

    def __init__(self, folder: Path, redis_address: str, *, n: int, budget: float | None = None) -> None:
        home = folder / "home"
        home.mkdir()
        self.settings = settings_module.load(home, home / "prompts", {"REDIS_URL": redis_address})
        options = RunOptions(in_flight=2, budget=budget)
        super().__init__(home, n=n, file=self.settings.database.name, options=options)
        self.keys = Keys(self.settings.home_id)
        self.redis = Redis.from_url(redis_address)
        numbers = iter(range(10_000))
        self.keeper = Keeper(
            self.settings, now=lambda: self.now, chance=lambda: 0.0, new_id=lambda: f"try-{next(numbers)}"
        )

    def close(self) -> None:
        self.keeper.close()
        self.redis.close()
        self.db.close()

    def step(self, seconds: float = 1.0) -> None:
        """Let some time go by, and the keeper do everything once."""
        self.now += seconds
        self.keeper.step()

    def taken(self, lane: str = "gone") -> dict[str, tuple[str, int]]:
        """Take all calls that wait, as a lane without a lease: try id -> its entry on the stream, its row."""
        found = cast("Any", self.redis.xreadgroup(GROUP, lane, {self.keys.calls: ">"}, count=100))
        streams = found.values() if isinstance(found, dict) else [entries for _, entries in found]
        taken: dict[str, tuple[str, int]] = {}
        for entries in streams:
            for entry, fields in entries[0] if entries and isinstance(entries[0], list) else entries:
                ask = Ask.model_validate_json(fields[b"ask"])
                taken[ask.try_id] = entry.decode(), ask.rows[0].ordinal
        return taken

    def hand_in(self, outcome: Outcome) -> None:
        """Put an outcome on the stream."""
        self.redis.xadd(self.keys.outcomes, {"outcome": outcome.model_dump_json(), "raw": b"{}"})

    def said(self) -> list[dict[str, Any]]:
        """The keeper's log."""
        return [json.loads(line) for line in (self.settings.logs / "keeper.jsonl").read_text().splitlines()]


@pytest.fixture
def desk(tmp_path: Path, redis_address: str) -> Iterator[Desk]:
    desk = Desk(tmp_path, redis_address, n=3)
    logs.configure(desk.settings.logs, "keeper")
    yield desk
    desk.close()


def test_lost_calls_eat_a_budget_up(tmp_path: Path, redis_address: str) -> None:
    """What may have been paid is not spent again: the run pauses with nothing in flight, and says what it does not know."""
    probe = Desk(tmp_path, redis_address, n=1)
    probe.step()
    most = probe.row(1)["reserved"]
    probe.close()
    (tmp_path / "second").mkdir()
    desk = Desk(tmp_path / "second", redis_address, n=20, budget=5.5 * most)
    for _ in range(12):
        desk.step()
        desk.taken()

    record, unsettled = desk.record, list(desk.db.query("SELECT * FROM calls WHERE settled = 0"))
    assert (record.state, record.paused_by, record.cost) == ("paused", "budget", 0.0)
    assert len(unsettled) == 5
    assert record.reserved == pytest.approx(5 * most) and desk.sums() == pytest.approx(desk.rebuilt())
    reason = desk.db.conn.execute("SELECT reason FROM runs").fetchone()[0]
    assert f"${5 * most:,.4f} is set aside for calls of unknown end" in reason

    late = unsettled[0]["try_id"]
    ordinal = desk.db.conn.execute("SELECT ordinal FROM attempts WHERE call = ?", [unsettled[0]["id"]]).fetchone()[0]
    desk.hand_in(desk.reply(late, ordinal, GOOD).model_copy(update={"usage": Usage(prompt=10, completion=5)}))
    desk.step()
    assert desk.row(ordinal)["state"] == "accepted"
    assert (desk.record.cost, desk.record.reserved) == pytest.approx((20e-6, 4 * most))

    with transaction(desk.db):
        applying.apply(desk.db, SetBudget(run=desk.run, budget=20.0 * most), now=desk.now)
    desk.step()
    assert desk.record.state == "running" and len(desk.taken()) == 10
    desk.close()


def test_calls_that_time_out_eat_a_budget_up(tmp_path: Path, redis_address: str) -> None:
    """The provider may charge for each, so the run pauses at its budget instead of asking on for what seems to be free."""
    probe = Desk(tmp_path, redis_address, n=1)
    probe.step()
    most = probe.row(1)["reserved"]
    probe.close()
    (tmp_path / "second").mkdir()
    desk = Desk(tmp_path / "second", redis_address, n=20, budget=3.5 * most)
    for _ in range(6):
        desk.step(60.0)
        for try_id, (_, ordinal) in desk.taken().items():
            desk.hand_in(desk.failure(try_id, ordinal, FailureKind.TRANSIENT))
    desk.step()

    record = desk.record
    assert (record.state, record.paused_by, record.cost) == ("paused", "budget", 0.0)
    assert record.reserved == pytest.approx(3 * most) and desk.sums() == pytest.approx(desk.rebuilt())
    desk.close()


def test_a_keeper_that_starts_anew_knows_what_is_set_aside(desk: Desk) -> None:
    """Calls that were lost and calls that are under way still hold their money, and their outcomes still settle it."""
    desk.step()
    lost = desk.taken()
    desk.step(1.0)
    before = desk.sums()
    assert before[0] == len(lost) == 3 and before[2] > 0
    desk.keeper.close()
    desk.keeper = Keeper(desk.settings, now=lambda: desk.now, chance=lambda: 0.0)
    desk.step()
    assert desk.sums()[2] == pytest.approx(2 * before[2]), "each row is asked again beside its lost call"
    for try_id, (_, ordinal) in {**lost, **desk.taken("other")}.items():
        desk.hand_in(desk.reply(try_id, ordinal, GOOD))
    desk.step()

    assert desk.sums() == pytest.approx((6, 6.0, 0.0))
    assert desk.db.conn.execute("SELECT state FROM runs").fetchone()[0] == "finished"


def test_a_reply_to_a_call_that_the_server_forgot_is_not_thrown_away(desk: Desk) -> None:
    """The keeper misses it on both streams and asks again; what the lane brings then was paid for, and is kept."""
    desk.step()
    taken = desk.taken()
    desk.redis.xdel(desk.keys.calls, *(entry for entry, _ in taken.values()))
    desk.step(RECONCILE_SECONDS + 1.0)
    assert desk.sums() == pytest.approx((0, 0.0, 0.0)) and [desk.row(n)["state"] for n in (1, 2, 3)] == ["due"] * 3
    desk.step()
    again = desk.taken("other")
    assert len(again) == 3 and not again.keys() & taken.keys()
    for try_id, (_, ordinal) in taken.items():
        desk.hand_in(desk.reply(try_id, ordinal, GOOD))
    for try_id, (_, ordinal) in again.items():
        desk.hand_in(desk.reply(try_id, ordinal, BAD))
    desk.step()

    assert [desk.attempts(n) for n in (1, 2, 3)] == [[("accepted", 0, 0), ("rejected", 0, 1)]] * 3
    assert desk.sums() == pytest.approx((6, 6.0, 0.0))
    assert not [line for line in desk.said() if line["action"] == "outcome_strange"]


def test_a_forged_outcome_is_dropped_with_a_line_in_the_log(desk: Desk) -> None:
    """Of the right version, about a row that waits, with a value that would pass: nobody asked for it."""
    desk.step()
    before = desk.everything()
    desk.hand_in(desk.reply("forged", 1, GOOD))
    desk.step(0.0)

    assert desk.everything() == before
    assert desk.redis.xlen(desk.keys.outcomes) == 0
    (line,) = [line for line in desk.said() if line["action"] == "outcome_strange"]
    assert (line["try_id"], line["run"]) == ("forged", desk.run)


def test_a_figure_that_no_column_can_hold_keeps_nobody(desk: Desk) -> None:
    """That call counts as lost, so its row is asked again; the others of its batch are kept."""
    desk.step()
    for try_id, (_, ordinal) in desk.taken().items():
        outcome = desk.reply(try_id, ordinal, GOOD)
        huge = Usage(prompt=2**70, completion=0)
        desk.hand_in(outcome.model_copy(update={"usage": huge}) if ordinal == 2 else outcome)
    desk.step(0.0)

    assert [desk.row(n)["state"] for n in (1, 3)] == ["accepted"] * 2
    assert (desk.row(2)["losses"], desk.row(2)["strikes"]) == (1, 0)
    assert desk.sums() == pytest.approx(desk.rebuilt())


def test_what_a_worker_cannot_send_is_no_call(tmp_path: Path, redis_address: str) -> None:
    """A worker with another address for the connection refuses: the run pauses with its words, and nothing was sent or paid."""
    with StubProvider(answer={}) as stub:
        home = Home(tmp_path / "home", redis_address, stub)
        (home.folder / "connections.toml").write_text('[stub]\nbase_url = "http://127.0.0.1:9/v1"\n')
        run = home.start(["a", "b", "c"])
        paused = home.until(run, lambda seen: seen.state == "paused" and not seen.counts.in_flight)
        attempt = home.engine.letters.inspect(run, 1).attempts[0]
        home.close()

    assert paused.paused_by == "provider" and "127.0.0.1:9" in (paused.reason or "")
    assert (paused.calls, paused.counts.waiting, paused.counts.reused) == (0, 3, 0)
    assert attempt.failure is not None and attempt.failure.message == paused.reason
    assert (attempt.verdict, attempt.try_id, attempt.cost) == ("failed", None, None)


def test_an_outcome_of_another_version_counts_as_lost(desk: Desk) -> None:
    """It may have been paid for: its money stays set aside, its row is asked again at once, and the log says whose it was."""
    desk.step()
    (first, (_, ordinal)), *_ = desk.taken().items()
    before = desk.sums()
    told = json.loads(desk.reply(first, ordinal, GOOD).model_dump_json()) | {"wire": WIRE + 1, "something": "new"}
    desk.redis.xadd(desk.keys.outcomes, {"outcome": json.dumps(told), "raw": b"{}"})
    desk.step(0.0)

    assert (desk.row(ordinal)["losses"], desk.row(ordinal)["strikes"]) == (1, 0)
    assert desk.sums()[2] > before[2] and desk.redis.xlen(desk.keys.outcomes) == 0
    (line,) = [line for line in desk.said() if line["action"] == "outcomes_foreign"]
    assert f"messages [{WIRE + 1}]" in line["message"]


def test_a_clock_that_was_set_back_while_nobody_was_there(desk: Desk) -> None:
    """A keeper that starts before the last moment that is written down does not wait until that comes again."""
    desk.now += 10_000.0
    desk.step()
    throttled = Failure(kind=FailureKind.THROTTLED, message="slow down", retry_after=30.0)
    for try_id, (_, ordinal) in desk.taken().items():
        outcome = desk.failure(try_id, ordinal, FailureKind.THROTTLED)
        desk.hand_in(outcome.model_copy(update={"failure": throttled}))
    desk.step(0.0)
    assert len(desk.taken()) == 0
    desk.keeper.close()
    desk.now -= 3600.0
    desk.keeper = Keeper(desk.settings, now=lambda: desk.now, chance=lambda: 0.0, new_id=iter("abc").__next__)
    desk.step(0.0)
    assert len(desk.taken()) == 0, "they still wait as long as the provider has asked for"
    desk.step(31.0)

    assert len(desk.taken("other")) == 3
    assert [line["seconds"] for line in desk.said() if line["action"] == "clock_set_back"] == [3600.0]


def test_a_lane_that_a_jump_of_the_clock_seems_to_have_ended(desk: Desk) -> None:
    """Leases are on the clock of Redis, which may have jumped too: the lanes get the time of a lease to say that they live."""
    desk.step()
    taken = desk.taken()
    desk.step(7_200.0)
    assert [desk.row(ordinal)["losses"] for _, ordinal in taken.values()] == [0, 0, 0]
    for _ in range(4):
        desk.step(LEASE_SECONDS / 3)

    assert [desk.row(ordinal)["losses"] for _, ordinal in taken.values()] == [1, 1, 1]
