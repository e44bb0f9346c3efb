"""Which homes keep their streams in a Redis, so that a worker on another machine finds the one that it is to work for.

A keeper announces its home; a worker whose own folder belongs to no home yet takes the name of the one that is there. The
name of a home is no secret: whoever reaches its Redis can see it in every key.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from redis import Redis
from redis.exceptions import RedisError

from jobs import dispatch, errors
from jobs.settings import Settings

#: hash: home id -> JSON of where its keeper is; shared by all homes of a server
HOMES = "redrive:homes"
#: seconds that a worker waits for its keeper to be up
PATIENCE = 15.0


@dataclass(frozen=True, kw_only=True)
class Announced:
    """A home whose keeper has been at this Redis."""

    home: str
    #: its keeper's machine and folder, for people
    place: str


def announce(redis: Redis, home: str, folder: Path) -> None:
    """Say that a home is kept from this machine."""
    redis.hset(HOMES, home, json.dumps({"place": f"{socket.gethostname()}:{folder.name}"}))


def announced(redis: Redis) -> list[Announced]:
    """The homes that were announced."""
    found = []
    for home, text in cast("dict[bytes, bytes]", redis.hgetall(HOMES)).items():
        with suppress(ValueError, KeyError, TypeError):
            found.append(Announced(home=home.decode("ascii"), place=str(json.loads(text)["place"])[:200]))
    return sorted(found, key=lambda one: one.home)


def join(settings: Settings, wanted: str | None = None, *, patience: float = PATIENCE) -> str:
    """The home that a worker with these settings works for; a folder of no home takes the name of the one at its Redis.

    Args:
        settings: of the worker's own folder.
        wanted: the home's id, where several share the server.
        patience: seconds to wait for a home to be announced, since a worker may be up before its keeper.

    Raises:
        EngineDown: Redis does not answer.
        InputError: no home is there, several are and none was named, or the folder belongs to another one.
    """
    end = time.monotonic() + patience
    while True:
        mine = _own(settings)
        if mine is not None and wanted in (None, mine):
            return mine
        if mine is not None:
            raise errors.InputError(
                f"{settings.home} belongs to home {mine}, not {wanted}: give the worker another --home"
            )
        home = wanted or _only(settings)
        if home is not None:
            break
        if time.monotonic() >= end:
            raise errors.InputError(
                f"no home is kept at {settings.redis_label}: start `redrive up` first, with REDIS_URL set to this server"
            )
        time.sleep(0.1)
    if not (home.isascii() and home.isalnum() and len(home) <= 64):
        raise errors.InputError(f"{home!r} is no home's id")
    _write(settings.home / "home.id", home)
    return home


def _own(settings: Settings) -> str | None:
    """The home that the folder is, or belongs to."""
    file = settings.home / "home.id"
    if file.exists():
        return file.read_text("ascii").strip()
    return settings.home_id if settings.redis_url is None or settings.database.exists() else None


def _only(settings: Settings) -> str | None:
    try:
        with dispatch.connect(settings.redis_address, timeout=10) as redis:
            found = announced(redis)
    except (RedisError, OSError) as error:
        raise errors.EngineDown(f"{settings.redis_label} does not answer: {error}") from error
    if len(found) > 1:
        listed = ", ".join(f"{one.home} ({one.place})" for one in found)
        raise errors.InputError(
            f"several homes are kept at {settings.redis_label}: choose one with --home-id: {listed}"
        )
    return found[0].home if found else None


def _write(file: Path, home: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = file.with_name(f"home.id.{secrets.token_hex(4)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(home)
    new.replace(file)
