"""Which homes keep their streams in a Redis, so that a worker on another machine finds the one that it is to work for.

A keeper announces its home; a worker whose own folder belongs to no home yet takes the name of the one that is there. The
name of a home is no secret: whoever reaches its Redis can see it in every key. One keeper at a time has a home: two folders of
one name, as a copy of a home is, would take each other's outcomes from the stream.
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

from jobs import dispatch, errors, scripts
from jobs.keys import Keys
from jobs.settings import Settings

#: hash: home id -> JSON of where its keeper is; shared by all homes of a server
HOMES = "redrive:homes"
#: seconds that a worker waits for its keeper to be up
PATIENCE = 15.0
#: seconds that a keeper's lease on its home lasts, longer than a step that waits for the file; and between renewals
KEEPER_LEASE, RENEW_SECONDS = 8.0, 1.0


@dataclass(frozen=True, kw_only=True)
class Announced:
    """A home whose keeper has been at this Redis."""

    home: str
    #: its keeper's machine and folder, for people
    place: str


class Lease:
    """That this keeper, and no other at this Redis, has the home; held by saying so again and again."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis, self._settings = redis, settings
        self._key, self._place, self._token = Keys(settings.home_id).keeper, _place(settings), secrets.token_hex(8)
        self._keep, self._leave = redis.register_script(scripts.KEEP), redis.register_script(scripts.LEAVE)
        self._starts, self._renew_at = True, 0.0

    def hold(self, *, now: bool = False) -> None:
        """Take or renew it, at most once a second unless it must be now; a server in the home's own folder has no other.

        Raises:
            HomeBusy: another keeper has the home, in another folder or on another machine.
        """
        if self._settings.redis_url is None or (time.monotonic() < self._renew_at and not now):
            return
        arguments: list[bytes | str | int] = [self._place, self._token, int(KEEPER_LEASE * 1000), int(self._starts)]
        other = cast("bytes", self._keep([self._key], arguments))
        if other:
            raise errors.HomeBusy(_copied(self._settings, other))
        self._starts, self._renew_at = False, time.monotonic() + RENEW_SECONDS

    def end(self) -> None:
        """Give it back, so that a folder that was moved need not wait for its end."""
        with suppress(RedisError):
            self._leave([self._key], [self._token])


def see_free(redis: Redis, settings: Settings) -> None:
    """Say before anything is started what a keeper of this home would meet.

    Raises:
        EngineDown: Redis does not answer.
        HomeBusy: a keeper in another folder or on another machine has a home of this name.
    """
    try:
        other = cast("bytes | None", redis.hget(Keys(settings.home_id).keeper, "place"))
    except RedisError as error:
        raise errors.EngineDown(f"Redis does not answer: {error}") from error
    if other is not None and other != _place(settings):
        raise errors.HomeBusy(_copied(settings, other))


def _place(settings: Settings) -> bytes:
    return os.fsencode(f"{settings.home.resolve()} on {socket.gethostname()}")


def _copied(settings: Settings, other: bytes) -> str:
    place = "".join(sign if sign.isprintable() else "?" for sign in other.decode("utf-8", "replace")[:300])
    return (
        f"home {settings.home_id} is kept by the keeper of {place}, at the same Redis ({settings.redis_label}); "
        f"if {settings.home} is a copy of it, it needs a name of its own: delete {settings.home / 'home.id'} and start again"
    )


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
