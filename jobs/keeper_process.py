"""The keeper as a process of its own: it owns its home until it is told to stop or its starter is gone."""

from __future__ import annotations

import signal
import threading
from types import FrameType

import jobs.lean  # noqa: F401
from jobs import processes
from jobs.keeper import Keeper
from jobs.owner import sole_owner
from jobs.settings import Settings


def run(here: Settings, parent_fd: int | None, home_id: str | None) -> None:
    """Keep the home; its id is that of its folder."""
    stop = threading.Event()

    def ask_to_stop(signum: int = 0, frame: FrameType | None = None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    if parent_fd is not None:
        processes.end_with_parent(parent_fd, ask_to_stop)
    with sole_owner(here.home):
        keeper = Keeper(here)
        processes.settle()
        try:
            keeper.run(stop.is_set)
        finally:
            keeper.close()
