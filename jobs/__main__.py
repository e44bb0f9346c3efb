"""The engine's own processes: ``python -m jobs keeper|worker --home DIR``. Started by ``redrive up``, or by a supervisor."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from types import FrameType

import jobs.lean  # noqa: F401
from jobs import errors, homes, lane, logs, processes, settings, worker
from jobs.keeper import Keeper
from jobs.owner import sole_owner


def main(arguments: list[str] | None = None) -> int:
    """Be one of the engine's processes until told to stop."""
    given = _parser().parse_args(arguments)
    try:
        here = settings.load(given.home, given.prompts)
    except errors.InputError as error:
        sys.stderr.write(f"redrive {given.part}: {error.message}\n")
        return 2
    logs.configure(here.logs, given.part, key_variables=here.key_variables, secrets=here.secrets)
    try:
        if given.part == "keeper":
            _keeper(here, given.parent_fd)
        else:
            homes.join(here, given.home_id)
            _worker(here, given.parent_fd)
    except errors.RedriveError as error:
        sys.stderr.write(f"redrive {given.part}: {error.message}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m jobs", description=__doc__)
    parser.add_argument("part", choices=["keeper", "worker"])
    parser.add_argument("--home", help="the home folder")
    parser.add_argument("--prompts", help="the prompts folder")
    parser.add_argument("--home-id", help="a worker's: the home that it works for, where several share a Redis")
    parser.add_argument("--parent-fd", type=int, help="a pipe whose end says that the starter is gone")
    return parser


def _keeper(here: settings.Settings, parent_fd: int | None) -> None:
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


def _worker(here: settings.Settings, parent_fd: int | None) -> None:
    if parent_fd is not None:
        processes.end_with_parent(parent_fd, lambda: os.kill(os.getpid(), signal.SIGTERM))
    worker.work(here.redis_address, here.home_id, lane.enter(here), patient=parent_fd is not None)


if __name__ == "__main__":
    sys.exit(main())
