"""The engine's own processes: ``python -m jobs keeper|worker --home DIR``. Started by ``redrive up``, or by a supervisor."""

from __future__ import annotations

import argparse
import gc
import importlib
import sys
from collections.abc import Callable

from jobs import errors, logs, settings

#: what each part runs; its libraries are loaded by the processes of this part only, which saves a third of a start
PARTS = {"keeper": "jobs.keeper_process", "worker": "jobs.worker_process"}


def main(arguments: list[str] | None = None) -> int:
    """Be one of the engine's processes until told to stop."""
    given = _parser().parse_args(arguments)
    try:
        here = settings.load(given.home, given.prompts)
    except errors.InputError as error:
        sys.stderr.write(f"redrive {given.part}: {error.message}\n")
        return 2
    logs.configure(here.logs, given.part, key_variables=here.key_variables, secrets=here.secrets)
    run = _part(given.part)
    try:
        run(here, given.parent_fd, given.home_id)
    except errors.RedriveError as error:
        sys.stderr.write(f"redrive {given.part}: {error.message}\n")
        return 1
    return 0


def _part(name: str) -> Callable[[settings.Settings, int | None, str | None], None]:
    gc.disable()  # what a module makes stays, so there is nothing to collect
    try:
        run: Callable[[settings.Settings, int | None, str | None], None] = importlib.import_module(PARTS[name]).run
    finally:
        gc.enable()
    return run


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m jobs", description=__doc__)
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--home", help="the home folder")
    parser.add_argument("--prompts", help="the prompts folder")
    parser.add_argument("--home-id", help="a worker's: the home that it works for, where several share a Redis")
    parser.add_argument("--parent-fd", type=int, help="a pipe whose end says that the starter is gone")
    return parser


if __name__ == "__main__":
    sys.exit(main())
