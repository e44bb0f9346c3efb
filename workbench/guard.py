"""Runs a server that knows nothing of us, and ends it when our starter is gone.

``python -m workbench.guard --home H --parent-fd N [--linger S] -- COMMAND...``. A server such as Valkey can't watch a pipe, so
this small process does it instead: it hands SIGTERM on, ends with the server's exit code, and after the starter's death
leaves the server a few seconds in which workers can hand back what they hold. Where the kernel can (Linux), the server also
gets SIGTERM when the guard itself is killed.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import subprocess
import sys
import threading
from types import FrameType

from jobs import processes

#: prctl's PR_SET_PDEATHSIG
_SIGNAL_AT_PARENTS_DEATH = 1


def main(argv: list[str] | None = None) -> int:
    """Run the command until it ends; 128 + the signal's number if a signal ended it."""
    parser = argparse.ArgumentParser(prog="workbench.guard", description=__doc__)
    parser.add_argument("--home", required=True)
    parser.add_argument("--parent-fd", type=int, required=True)
    parser.add_argument("--linger", type=float, default=3.0)
    parser.add_argument("command", nargs="+")
    given = parser.parse_args(argv)
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    guard = os.getpid()

    def bind() -> None:
        if library is not None:
            library.prctl(_SIGNAL_AT_PARENTS_DEATH, signal.SIGTERM)
            if os.getppid() != guard:  # it was killed before the line above
                os._exit(1)

    # preexec_fn is safe here: there is only one thread yet
    server = subprocess.Popen(given.command, preexec_fn=bind, stdin=subprocess.DEVNULL)

    def hand_on(number: int, frame: FrameType | None) -> None:
        server.terminate()

    signal.signal(signal.SIGTERM, hand_on)
    signal.signal(signal.SIGINT, hand_on)

    def leave() -> None:
        threading.Event().wait(given.linger)
        server.terminate()

    processes.end_with_parent(given.parent_fd, leave, within=given.linger + 5.0)
    code = server.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
