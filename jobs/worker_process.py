"""A worker as a process of its own: it joins a home and works for it until it is told to stop or its starter is gone."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

from jobs import homes, processes, worker
from jobs.lane import Lane
from jobs.llm.route import load_sdk
from jobs.messages import LaneArguments
from jobs.settings import Settings


def run(here: Settings, parent_fd: int | None, home_id: str | None) -> None:
    """Work for the home of that id, or for the only one at its Redis."""
    homes.join(here, home_id)
    if parent_fd is not None:
        processes.end_with_parent(parent_fd, processes.stop_by_signal)
    worker.work(here.redis_address, here.home_id, _lane(here), patient=parent_fd is not None)


def _lane(settings: Settings) -> Callable[[LaneArguments], None]:
    """What a worker's job runs in its work-horse: a lane that SIGTERM, or its worker's death, asks to stop."""
    load_sdk()  # once, before the work-horses are forked

    def be_one(arguments: LaneArguments) -> None:
        asyncio.run(_main(settings, arguments))

    return be_one


async def _main(settings: Settings, arguments: LaneArguments) -> None:
    lane = Lane(settings, arguments)
    processes.settle()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lane.stop)
    parent = os.getppid()

    async def stop_with_parent() -> None:
        while os.getppid() == parent:
            await asyncio.sleep(0.5)
        lane.stop()

    watch = asyncio.create_task(stop_with_parent())
    await lane.run()
    watch.cancel()
