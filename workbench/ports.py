"""Loopback ports and the small questions that are asked of them."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request

HOST = "127.0.0.1"
#: how many ports are tried from the wished one on
TRIES = 50

# loopback is never behind a proxy, whatever the environment says
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free(wished: int) -> int:
    """The first free port from ``wished`` on; any free one if it is 0 or all of those are taken."""
    for port in [*range(wished, min(wished + TRIES, 65536)), 0] if wished else [0]:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # as the servers do, so that a port whose last connections linger counts as free
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
                probe.listen(1)
            except OSError:
                continue
            number: int = probe.getsockname()[1]
        if not port or not _anybody(number):
            return number
    raise OSError("no port is free")


def answers(port: int, path: str) -> bool:
    """Whether a GET of this path is answered with 200."""
    try:
        with _direct.open(f"http://{HOST}:{port}{path}", timeout=2.0) as reply:
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def _anybody(port: int) -> bool:
    """Whether somebody answers there: some systems let a second one bind beside a listener on all addresses."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.3)
        return probe.connect_ex((HOST, port)) == 0
