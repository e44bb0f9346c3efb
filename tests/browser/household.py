"""``redrive up`` as a person starts it: on a free port, with a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from jobs import processes
from workbench import ports

#: what of this machine must not reach it
KEYS = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "REDIS_URL", "REDRIVE_HOME", "REDRIVE_PROMPTS")
#: seconds until everything stands on a busy machine, and until it is gone
START, STOP = 120.0, 40.0


class Household:
    """A ``redrive up`` that was started as a person starts it."""

    def __init__(self, home: Path, prompts: Path) -> None:
        self.home, self.prompts = home, prompts
        self.said: list[str] = []
        self._up = threading.Event()
        command = [str(Path(sys.executable).with_name("redrive")), "up", "--home", str(home), "--prompts", str(prompts)]
        self._process = subprocess.Popen(
            [*command, "--port", str(ports.free(0))],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={name: value for name, value in os.environ.items() if name not in KEYS},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.said.append(line.rstrip())
                if line.startswith("Redrive is up"):
                    self._up.set()
        self._up.set()

    @property
    def address(self) -> str:
        """Where its screens are, as it said."""
        assert self._up.wait(START), self.said
        (line,) = [line for line in self.said if line.startswith("Redrive is up")] or [""]
        assert "http://" in line, self.said
        return line.split(": ", 1)[1].split()[0]

    def close(self) -> None:
        """Stop it as Ctrl-C does; it leaves nothing behind."""
        self._process.terminate()
        try:
            self._process.wait(STOP)
        finally:
            self._process.kill()
            left = processes.end(processes.family(self.home), grace=1.0)
        self._reader.join()
        assert (self._process.returncode, left) == (0, []), self.said
