"""What every room of the engine has: the settings, a connection to read, the process's one writer, and a way to ask the keeper.

Reading and writing are kept apart because they wait for different things: a reader waits for nobody, while the writer
is one a process, behind a lock, and waits for other processes' short transactions. A thread that ends gives its
connection to the next one, since a web session may be a new thread at every click.
"""

from __future__ import annotations

import threading
import time
import weakref
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Generic, TypeVar

from sqlite_utils import Database

from jobs import errors
from jobs.requests import Request
from jobs.settings import Settings
from jobs.store import drawer
from jobs.store.database import in_words, open_reader, open_writer
from jobs.store.reading_datasets import different, matching
from jobs.store.reading_runs import Ended
from jobs.store.runs import transaction
from jobs.views.datasets import Dataset

#: seconds to wait for the keeper, and between two looks
PATIENCE, GLANCE = 10.0, 0.02
T = TypeVar("T")
#: searches of datasets, and comparisons of their rows, whose answers are kept
SEARCHES = 32


class _Held:
    """A thread's connection; what is bound to it happens when the thread is gone."""

    __slots__ = ("db", "__weakref__")

    def __init__(self, db: Database) -> None:
        self.db = db


class Kept(Generic[T]):
    """The last answers to questions whose answers cannot change; safe to use from any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, find: Callable[[], T]) -> T:
        """The answer that is kept, or else the one that ``find`` gives; two threads may both find it."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        found = find()
        with self._lock:
            self._kept[key] = found
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return found


class House:
    """The connections that the rooms of one engine share; safe to use from any thread."""

    def __init__(self, settings: Settings, *, patience: float = PATIENCE) -> None:
        self.settings = settings
        self.patience = patience
        self._writer = open_writer(settings.database)
        self._writing = threading.RLock()
        self._mine = threading.local()
        self._idle: deque[Database] = deque()
        self._all: list[Database] = []
        self.ended = Ended()
        self._searches: Kept[list[int]] = Kept(SEARCHES)
        self._different: Kept[array[int]] = Kept(SEARCHES)

    def read(self) -> Database:
        """This thread's read-only connection."""
        held: _Held | None = getattr(self._mine, "held", None)
        if held is None:
            try:
                db = self._idle.pop()
            except IndexError:
                db = open_reader(self.settings.database)
                self._all.append(db)
            held = self._mine.held = _Held(db)
            weakref.finalize(held, self._idle.append, db).atexit = False
        return held.db

    def matching(self, dataset: str, search: str) -> list[int]:
        """The ordinals of a ready dataset's rows that hold the text; kept, since paging asks again and again."""
        wanted = search.strip()
        return self._searches.get((dataset, wanted), lambda: matching(self.read(), dataset, wanted))

    def different(
        self, dataset: Dataset, columns: Sequence[str], *, limit: int | None, ordinals: tuple[int, ...] | None
    ) -> array[int]:
        """The rows of a ready dataset, among the first ``limit`` or the given ones, that differ in those columns; kept."""
        places = tuple(dataset.columns.index(column) for column in columns)
        key = dataset.id, places, limit, ordinals
        return self._different.get(
            key, lambda: different(self.read(), dataset.id, places, limit=limit, ordinals=ordinals)
        )

    @contextmanager
    def snapshot(self) -> Iterator[Database]:
        """This thread's read-only connection, with every query in the block seeing the same moment."""
        db = self.read()
        if db.conn.in_transaction:
            yield db
            return
        with in_words(self.settings.database):
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.conn.rollback()

    @contextmanager
    def write(self) -> Iterator[Database]:
        """The process's writer in one transaction: all of the block is kept, or nothing; a block inside a block joins it.

        Raises:
            StoreDown: the disk is full, or another program holds the file.
        """
        with self._writing:
            if self._writer.conn.in_transaction:
                yield self._writer
                return
            with in_words(self.settings.database), transaction(self._writer):
                yield self._writer

    def submit(self, request: Request, key: str) -> dict[str, Any]:
        """Ask the keeper, once for a key, and wait for what it made of it.

        Raises:
            Refused: the keeper cannot do that in the present state; its words.
            EngineDown: no answer in time; the request stays and is applied when the keeper is back.
        """
        return self.submit_all([(request, key)])[0]

    def submit_all(self, asked: Sequence[tuple[Request, str]]) -> list[dict[str, Any]]:
        """Ask the keeper for all of it, each with its key, or for nothing; wait for what it made of each.

        Raises:
            Refused: the keeper cannot do one of them in the present state; its words. The others are done.
            EngineDown: no answer in time; the requests stay and are applied when the keeper is back.
        """
        now = time.time()
        with self.write() as db:
            for request, key in asked:
                drawer.put_request(db, request, key=key, now=now)
        end = time.monotonic() + self.patience
        answers = [self._answer(key, end) for _, key in asked]
        if refused := [answer.error for answer in answers if answer.error is not None]:
            raise errors.Refused("; ".join(refused))
        return [answer.result for answer in answers]

    def _answer(self, key: str, end: float) -> drawer.Answer:
        while (answer := drawer.answer_of(self.read(), key)) is None:
            if time.monotonic() >= end:
                raise errors.EngineDown(
                    "the keeper does not answer: start it with `redrive up`; the request is kept and will be applied then"
                )
            time.sleep(GLANCE)
        return answer

    def close(self) -> None:
        """Close every connection; the rooms are of no use after it."""
        with self._writing:
            self._writer.close()
        while self._all:
            self._all.pop().close()
        self._idle.clear()


class Room:
    """A part of the engine's door; each room is a view of the same house."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.settings = house.settings

    def read(self) -> Database:
        """This thread's read-only connection."""
        return self._house.read()

    def snapshot(self) -> AbstractContextManager[Database]:
        """A context manager: this thread's read-only connection, with every query seeing the same moment."""
        return self._house.snapshot()

    def write(self) -> AbstractContextManager[Database]:
        """A context manager: the process's writer in one transaction."""
        return self._house.write()

    def submit(self, request: Request, key: str) -> dict[str, Any]:
        """Ask the keeper, once for a key, and wait for its result; raises Refused or EngineDown."""
        return self._house.submit(request, key)

    def submit_all(self, asked: Sequence[tuple[Request, str]]) -> list[dict[str, Any]]:
        """Ask the keeper for all of it, each with its key, or for nothing, and wait; raises Refused or EngineDown."""
        return self._house.submit_all(asked)
