"""A worker as a process of its own: it joins a home and works for it until it is told to stop or its starter is gone."""

from __future__ import annotations

from jobs import homes, lane, processes, worker
from jobs.settings import Settings


def run(here: Settings, parent_fd: int | None, home_id: str | None) -> None:
    """Work for the home of that id, or for the only one at its Redis."""
    homes.join(here, home_id)
    if parent_fd is not None:
        processes.end_with_parent(parent_fd, processes.stop_by_signal)
    worker.work(here.redis_address, here.home_id, lane.enter(here), patient=parent_fd is not None)
