"""What keeps the keeper from its work now, told where people look, and told also when the disk is full.

A full disk takes neither a line of a log nor a new file. So the note is a file that is filled when the keeper starts, and is
overwritten in place from then on.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from jobs.values import Value

logger = logging.getLogger(__name__)

#: bytes that the note always has
SIZE = 4096
#: characters of its words, each of which may take six bytes
MOST_WORDS = 300


Kind = Literal["store", "redis", "fault"]


class Trouble(Value):
    """Why the keeper does not get on, what to do, and since when (epoch seconds)."""

    kind: Kind
    words: str
    todo: str
    since: float


class Note:
    """The keeper's side, which alone writes the note and says in its log when trouble begins and ends."""

    def __init__(self, home: Path) -> None:
        self.trouble: Trouble | None = None
        self._fd: int | None = None
        with suppress(OSError):
            self._fd = os.open(_file(home), os.O_WRONLY | os.O_CREAT, 0o600)
        self._write(b"")

    def begin(self, kind: Kind, words: str, todo: str) -> None:
        """Say what the trouble is, once for as long as it stays of its kind."""
        if self.trouble is not None and self.trouble.kind == kind:
            return
        logger.error("%s. %s The keeper goes on by itself.", words, todo, extra={"action": f"{kind}_fails"})
        self.trouble = Trouble(kind=kind, words=words[:MOST_WORDS], todo=todo[:MOST_WORDS], since=time.time())
        self._write(self.trouble.model_dump_json(ensure_ascii=True).encode())

    def end(self) -> None:
        """Say that it is over, if there was any."""
        if self.trouble is not None:
            gone, self.trouble = self.trouble, None
            seconds = round(max(0.0, time.time() - gone.since), 1)
            logger.warning(
                "the keeper goes on; over is: %s",
                gone.words,
                extra={"action": f"{gone.kind}_works", "seconds": seconds},
            )
            self._write(b"")

    def close(self) -> None:
        """Let go of the file."""
        if self._fd is not None:
            self._write(b"")
            os.close(self._fd)
            self._fd = None

    def _write(self, text: bytes) -> None:
        # What cannot be written is no reason to stop, and half a note would be worse than none.
        if self._fd is not None and len(text) <= SIZE:
            with suppress(OSError):
                os.pwrite(self._fd, text.ljust(SIZE), 0)


def told(home: Path) -> Trouble | None:
    """What the note of a home says; to be believed while its keeper lives."""
    try:
        return Trouble.model_validate_json(_file(home).read_bytes().strip())
    except (OSError, ValidationError):
        return None


def _file(home: Path) -> Path:
    return home / "keeper.note"
