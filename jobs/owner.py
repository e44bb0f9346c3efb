"""Who applies what people ask for: the one keeper of a home, or a stand-in where none runs. A lock says who it is."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from jobs import errors
from jobs.settings import Settings
from jobs.store import applying, runs
from jobs.store.database import open_writer
from jobs.store.record import UNRECORDABLE
from jobs.store.runs import attempt, transaction

logger = logging.getLogger(__name__)

#: seconds to try for the home's lock
LOCK_SECONDS = 0.5


def apply_requests(db: Database, *, now: float) -> int:
    """Apply what people have asked for, each whole or not at all and in a transaction of its own; how many."""
    waiting = runs.open_requests(db)
    for number, request in waiting:
        with transaction(db):
            try:
                if isinstance(request, errors.InputError):
                    raise request
                with attempt(db):
                    result = applying.apply(db, request, now=now)
                runs.mark_applied(db, number, now=now, result=result)
            except errors.RedriveError as error:
                runs.mark_applied(db, number, now=now, error=error.message)
            except UNRECORDABLE as error:
                logger.exception("request %s cannot be applied", number, extra={"action": "request_unusable"})
                runs.mark_applied(db, number, now=now, error=f"this request cannot be applied: {error}")
        logger.info("applied request %s", number, extra={"action": "request_applied"})
    return len(waiting)


@contextmanager
def sole_owner(home: Path) -> Iterator[None]:
    """Be the only keeper of a home while inside.

    Raises:
        HomeBusy: another one is.
    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(home / "keeper.lock", os.O_RDWR | os.O_CREAT, 0o600)
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= end:
                os.close(descriptor)
                raise errors.HomeBusy(f"another keeper owns {home}") from None
            time.sleep(0.02)  # somebody who only looks whether a keeper lives holds the lock for a moment
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def standing_in(settings: Settings) -> Iterator[None]:
    """While inside, requests are applied even though no keeper runs: for a person who steers a home that is down.

    Raises:
        HomeBusy: a keeper runs, and does that itself.
    """
    stop = threading.Event()

    def serve() -> None:
        db = open_writer(settings.database)
        try:
            while not stop.is_set():
                apply_requests(db, now=time.time())
                stop.wait(0.02)
        finally:
            db.close()

    with sole_owner(settings.home):
        thread = threading.Thread(target=serve, name="stand-in", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
