"""A kill at any moment of a batch run: nothing is lost, no batch is made twice, and no line is run twice.

Real processes are ended with SIGKILL in the very moment in which the stand-in for a provider gets a certain request, before it
answers or, where that is the point, before it has done anything. What its own books say is held against the ledger.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from jobs import processes
from jobs.options import RunOptions
from jobs.testing import StubProvider
from jobs.testing.wire import Request, Wire
from tests.house import Place, wait_until

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]

ROWS = 60
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

    def __init__(self, stub: StubProvider, moment: str) -> None:
        self._comes, self._undone = MOMENTS[moment]
        self._serve = stub.batches.serve
        self.kill: Callable[[], None] | None = None
        self.sprung = threading.Event()
        #: whether whoever asked dies with it, so that the request never reached anybody
        self.asker_dies = False
        stub.batches.serve = self.serve  # type: ignore[method-assign]

    def serve(self, request: Request, wire: Wire, **rest: Any) -> None:
        kill = self.kill
        if kill is None or not self._comes(request.method, request.path.partition("?")[0]):
            self._serve(request, wire, **rest)
            return
        self.kill = None
        kill()
        if self._undone and self.asker_dies:
            wire.reset()
        else:
            self._serve(request, wire, **rest)
        self.sprung.set()


class Night(Place):
    """A home with a batch run, whose parts can be killed and started again."""

    def worker(self) -> None:
        """The worker and its lanes die."""
        (worker,) = self.parts.workers
        lanes = [process.pid for process in processes.table() if process.parent == worker.pid]
        for pid in (worker.pid, *lanes):
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


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("victim", ["worker", "keeper", "valkey", "emptied valkey", "all"])
def test_a_kill_at_any_moment_loses_nothing_and_pays_nothing_twice(
    night: Night, stub: StubProvider, moment: str, victim: str
) -> None:
    """Each row is asked in one line of one batch, whoever dies and whatever Redis still knows afterwards."""
    trap = Trap(stub, moment)
    part = victim.removeprefix("emptied ")
    trap.asker_dies = part in ("worker", "all")
    trap.kill = getattr(night, part)
    run = night.start(ROWS, options=RunOptions(batch="first"))
    assert trap.sprung.wait(60), "the moment never came"
    night.restart(part, empty=victim.startswith("emptied"))
    ended = night.ended(run)

    counts = ended.counts
    assert (counts.accepted, counts.dead, counts.cancelled, counts.waiting) == (ROWS, 0, 0, 0)
    assert (stub.batches.created, stub.batches.executed) == (1, ROWS)
    assert (len(stub.ledger.asked), stub.ledger.calls) == (ROWS, ROWS)
    books = night.engine._house.read().execute("SELECT count(*), count(DISTINCT try_id) FROM calls")
    assert books.fetchone() == (ROWS, ROWS)
    assert night.engine._house.read().execute("SELECT count(*) FROM batches").fetchone() == (1,)


def test_a_lane_that_was_frozen_leaves_the_batch_to_another(night: Night, stub: StubProvider) -> None:
    """It wakes after its lease is gone and another has made the batch: it makes none."""
    trap = Trap(stub, "between upload and submit")
    frozen: list[int] = []

    def freeze() -> None:
        (worker,) = night.parts.workers
        frozen.extend(process.pid for process in processes.table() if process.parent == worker.pid)
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)

    trap._comes = lambda method, path: method == "POST" and path.endswith("/files")
    trap.kill = freeze
    run = night.start(ROWS, options=RunOptions(batch="first"))
    assert trap.sprung.wait(60)
    night.work()
    wait_until(lambda: stub.batches.created == 1)
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    ended = night.ended(run)

    assert ended.counts.accepted == ROWS
    assert (stub.batches.created, stub.batches.executed) == (1, ROWS)
