"""A kill at any moment of a batch run: nothing is lost, no batch is made twice, and no line is run twice.

Real processes are ended with SIGKILL in the very moment in which the stand-in for a provider gets a certain request, before it
answers or, where that is the point, before it has done anything. What its own books say is held against the ledger.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from jobs.keys import Keys
from jobs.options import RunOptions
from jobs.testing import StubProvider
from jobs.testing.wire import Request, Wire
from tests.house import Place, lanes_of, wait_until

pytestmark = [pytest.mark.crash, pytest.mark.timeout(170)]

ROWS = 24
GOOD = {"sentiment": "good", "words": 2}

#: a moment of a batch run -> the request that comes in it, and whether what is killed dies before the provider has done anything
MOMENTS: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    "between upload and submit": (lambda method, path: method == "POST" and path.endswith("/batches"), True),
    "between submit and note": (lambda method, path: method == "POST" and path.endswith("/batches"), False),
    "between poll and read": (lambda method, path: method == "GET" and "/batches/" in path, False),
    "between read and commit": (lambda method, path: method == "GET" and path.endswith("/content"), False),
}


class Trap:
    """Kills somebody in the moment in which the provider gets a certain request for the first time."""

    def __init__(self, stub: StubProvider, comes: Callable[[str, str], bool], kill: Callable[[], None]) -> None:
        self._comes, self._kill, self._serve = comes, kill, stub.batches.serve
        self._armed = True
        self.sprung = threading.Event()
        #: whether the request never reached anybody, since whoever asked died with it
        self.swallows = False
        stub.batches.serve = self.serve  # type: ignore[method-assign]

    def serve(self, request: Request, wire: Wire, **rest: Any) -> None:
        if not self._armed or not self._comes(request.method, request.path.partition("?")[0]):
            self._serve(request, wire, **rest)
            return
        self._armed = False
        self._kill()
        if self.swallows:
            wire.reset()
        else:
            self._serve(request, wire, **rest)
        self.sprung.set()


class Night(Place):
    """A home with batch runs, whose parts can be killed and started again."""

    def lanes(self) -> list[int]:
        """The processes of its worker's lanes."""
        (worker,) = self.parts.workers
        return lanes_of(worker.pid)

    def worker(self) -> None:
        """The worker and its lanes die."""
        (worker,) = self.parts.workers
        for pid in (worker.pid, *self.lanes()):
            os.kill(pid, signal.SIGKILL)

    def keeper(self) -> None:
        self.parts.keeper.kill()

    def valkey(self) -> None:
        with Redis.from_url(self.kv.redis_address) as redis:
            os.kill(int(redis.info("server")["process_id"]), signal.SIGKILL)

    def all(self) -> None:
        for kill in (self.worker, self.keeper, self.valkey):
            kill()

    def restart(self, victim: str, *, empty: bool) -> None:
        """Start again what was killed; Redis without all that it held, where it is to be ``empty``."""
        if victim in ("valkey", "all"):
            assert self.server is not None
            self.server.wait()
            if empty:
                for file in self.kv.home.rglob("*"):
                    if file.is_file():
                        file.unlink()
            self.serve()
        if victim in ("worker", "all"):
            # What the dead held is given to others when their lease is over, which is waited for in the last test only.
            with Redis.from_url(self.kv.redis_address) as redis:
                redis.delete(Keys(self.settings.home_id).leases)
        if victim in ("keeper", "all"):
            self.parts.keeper.wait()
            self.parts.keeper = self.parts.start("keeper")
        if victim in ("worker", "all"):
            self.parts.workers.pop().wait()
            os.close(self._pipe)
            self.work()


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with StubProvider(answer=GOOD) as stub:
        stub.batches.polls = 2
        yield stub


@pytest.fixture
def night(tmp_path: Path, stub: StubProvider) -> Iterator[Night]:
    night = Night(tmp_path, stub, of_stub="batch_poll = 0.1\n")
    night.serve()
    night.work()
    yield night
    night.close()


@pytest.mark.parametrize("victim", ["worker", "keeper", "valkey", "emptied valkey", "all"])
def test_a_kill_at_any_moment_loses_nothing_and_pays_nothing_twice(
    night: Night, stub: StubProvider, victim: str
) -> None:
    """Each row is asked in one line of one batch, whoever dies and whatever Redis still knows afterwards."""
    part = victim.removeprefix("emptied ")
    for ended, (moment, (comes, undone)) in enumerate(MOMENTS.items()):
        trap = Trap(stub, comes, getattr(night, part))
        trap.swallows = undone and part in ("worker", "all")
        rows = [f"row {number}, killed {moment}" for number in range(ROWS)]
        run = night.start(rows, options=RunOptions(batch="first"), key=moment)
        assert trap.sprung.wait(60), f"the moment {moment} never came"
        night.restart(part, empty=victim.startswith("emptied"))
        counts = night.ended(run).counts

        assert (counts.accepted, counts.dead, counts.cancelled, counts.waiting) == (ROWS, 0, 0, 0), moment
        asked = ROWS * (ended + 1)
        assert (stub.batches.created, stub.batches.executed) == (ended + 1, asked), moment
        assert (len(stub.ledger.asked), stub.ledger.calls) == (asked, asked), moment
        read = night.engine._house.read()
        books = read.execute("SELECT count(*), count(DISTINCT try_id) FROM calls WHERE run = ?", [run])
        assert books.fetchone() == (ROWS, ROWS), moment
        assert read.execute("SELECT count(*) FROM batches WHERE run = ?", [run]).fetchone() == (1,), moment


def test_a_lane_that_was_frozen_leaves_the_batch_to_another(night: Night, stub: StubProvider) -> None:
    """It wakes after its lease is gone and another has made the batch: it makes none."""
    frozen: list[int] = []

    def freeze() -> None:
        frozen.extend(night.lanes())
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)

    trap = Trap(stub, lambda method, path: method == "POST" and path.endswith("/files"), freeze)
    run = night.start(ROWS, options=RunOptions(batch="first"))
    assert trap.sprung.wait(60)
    night.work()
    wait_until(lambda: stub.batches.created == 1)
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    ended = night.ended(run)

    assert ended.counts.accepted == ROWS
    assert (stub.batches.created, stub.batches.executed) == (1, ROWS)


def test_a_batch_that_a_frozen_lane_makes_after_all_is_cancelled(night: Night, stub: StubProvider) -> None:
    """Its request was on the way when it was frozen, and comes in after another lane's: no line of it is run."""
    serve, frozen, held = stub.batches.serve, list[int](), list[Callable[[], object]]()
    stub.batches.seconds = 3600.0

    def hold(request: Request, wire: Wire, **rest: Any) -> None:
        if held or request.method != "POST" or not request.path.endswith("/batches"):
            serve(request, wire, **rest)
            return
        frozen.extend(night.lanes())
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        loop = asyncio.get_running_loop()
        held.append(lambda: loop.call_soon_threadsafe(lambda: serve(request, wire, **rest)))

    stub.batches.serve = hold  # type: ignore[method-assign]
    run = night.start(ROWS, options=RunOptions(batch="first"))
    wait_until(lambda: bool(held))
    night.work()
    wait_until(lambda: any(batch.remote for batch in night.engine.runs.batches(run)))
    held[0]()
    wait_until(lambda: stub.batches.created == 2)
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: [batch.status for batch in stub.batches.all.values()][1] == "cancelling")
    stub.batches.seconds = 0.0
    ended = night.ended(run)

    assert (ended.counts.accepted, ended.calls, stub.batches.executed) == (ROWS, ROWS, ROWS)
    assert stub.batches.summary()["statuses"] == {"completed": 1, "cancelling": 1}
