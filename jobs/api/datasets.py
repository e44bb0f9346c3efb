"""Tables that were uploaded: taken in once, never changed, paged and searched.

A table is named by its bytes, so the same file given twice is one dataset, under the name it was first given. A row is only
there when its whole table is: until the last one is stored the dataset is ``loading``, and an intake that fails leaves
nothing behind. One that was killed leaves a remnant, which the next intake of the same bytes clears away.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from sqlite_utils import Database

from jobs import errors, intake
from jobs.api.room import Room
from jobs.store import drawer, reading_datasets
from jobs.views.datasets import Dataset

#: rows of one transaction: other writers wait no longer than that
BATCH = 2_000
#: characters of cells in one transaction
BATCH_CHARACTERS = 8_000_000

Progress = Callable[[int, int], None]


class Datasets(Room):
    """The datasets of a home."""

    def add(self, path: Path, *, name: str | None = None, progress: Progress | None = None) -> Dataset:
        """The dataset of a file's rows, stored if these bytes are new; ``progress`` hears (rows stored, rows in all).

        Raises:
            TableError: the file is no table that can be taken, with the line; nothing of it is kept.
            StoreDown: the disk is full, or another program holds the home's file; nothing of it is kept.
        """
        if not path.is_file():
            intake.inspect(path, name=name)
        try:
            sha = intake.content_hash(path)
        except OSError as error:
            raise errors.TableError(f"the file cannot be read: {error.strerror}", file=name or path.name) from error
        self._sweep(sha)
        with self._alone(sha):
            known = reading_datasets.by_hash(self.read(), sha)
            if known is not None and known.state == "ready":
                return known
            if known is not None:
                self._drop(known.id)
            layout = intake.inspect(path, name=name)
            dataset = f"d-{sha[:12]}"
            with self.write() as db:
                drawer.begin_dataset(
                    db,
                    dataset,
                    sha256=sha,
                    name=layout.name,
                    layout=layout.model_dump_json(),
                    columns=layout.columns,
                    now=time.time(),
                )
            try:
                self._load(dataset, path, layout, progress)
            except errors.StoreDown as error:
                # Where nothing can be written nothing can be taken away either: then the next intake does it.
                with suppress(errors.StoreDown):
                    self._drop(dataset)
                raise errors.StoreDown(f"{layout.name} is not taken in: {error.message} Then give it again.") from error
            except BaseException:
                self._drop(dataset)
                raise
        return self.get(dataset)

    def _sweep(self, but: str) -> None:
        """Take away what intakes have left that could not clean up after themselves."""
        for sha in reading_datasets.loading(self.read()):
            if sha != but:
                with suppress(BlockingIOError), self._alone(sha, wait=False):
                    left = reading_datasets.by_hash(self.read(), sha)
                    if left is not None and left.state == "loading":
                        self._drop(left.id)

    def _load(self, dataset: str, path: Path, layout: intake.Layout, progress: Progress | None) -> None:
        facts, stored = intake.Facts(layout.columns), 0
        for batch in _batches(intake.read(path, layout)):
            for row in batch:
                facts.add(row)
            with self.write() as db:
                drawer.add_rows(db, dataset, batch, first=stored + 1)
            stored += len(batch)
            if progress is not None:
                progress(stored, layout.rows)
        summary = json.dumps(facts.summary().model_dump(mode="json"), ensure_ascii=False)
        with self.write() as db:
            drawer.finish_dataset(db, dataset, row_count=stored, facts=summary)

    def _drop(self, dataset: str) -> None:
        gone = False
        while not gone:
            with self.write() as db:
                gone = drawer.drop_some(db, dataset, most=BATCH)

    @contextmanager
    def _alone(self, sha: str, *, wait: bool = True) -> Iterator[None]:
        """Nobody else takes these bytes in meanwhile; the lock goes with its process, so a ``loading`` seen here is a remnant.

        Raises:
            BlockingIOError: somebody does, and is not waited for.
        """
        file = self.settings.home / f"intake-{sha[:12]}.lock"
        while True:
            with file.open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
                try:
                    # whoever had it may have taken the file away, and a third may hold a new one
                    if os.fstat(lock.fileno()).st_ino != file.stat().st_ino:
                        continue
                except FileNotFoundError:
                    continue
                try:
                    yield
                finally:
                    with suppress(FileNotFoundError):
                        file.unlink()
                return

    def get(self, dataset_id: str) -> Dataset:
        """The dataset of that id; raises NotFound."""
        found = reading_datasets.dataset(self.read(), dataset_id)
        if found is None:
            raise errors.NotFound(f"there is no dataset {dataset_id!r}")
        return found

    def page(
        self, dataset_id: str, *, offset: int, limit: int, search: str = ""
    ) -> tuple[list[tuple[int, dict[str, str]]], int]:
        """(ordinal, cells) of a page of the rows, and how many there are; ``search``: those that hold the text in a cell."""
        dataset = self.get(dataset_id)
        if search.strip() and dataset.state == "ready":
            found = self._house.matching(dataset_id, search)
            total, rows = len(found), reading_datasets.rows_at(self.read(), dataset_id, found[offset : offset + limit])
        else:
            total, rows = dataset.row_count, reading_datasets.rows(self.read(), dataset_id, after=offset, limit=limit)
        return [(ordinal, dict(zip(dataset.columns, cells, strict=True))) for ordinal, cells in rows], total

    def row(self, dataset_id: str, ordinal: int) -> dict[str, str]:
        """The cells of one row; raises NotFound."""
        dataset = self.get(dataset_id)
        rows = reading_datasets.rows_at(self.read(), dataset_id, [ordinal])
        if not rows:
            raise errors.NotFound(f"{dataset.name} has no row {ordinal:,}; it has {dataset.row_count:,}")
        return dict(zip(dataset.columns, rows[0][1], strict=True))

    def set_id_column(self, dataset_id: str, column: str | None) -> None:
        """Name the rows of later runs by a column, or by their number again with None.

        Raises:
            InputError: there is no such column, or a row has no id in it, or two have the same; with the rows.
        """
        dataset = self.get(dataset_id)
        if column is not None:
            check_id_column(self.read(), dataset, column)
        with self.write() as db:
            drawer.set_id_column(db, dataset_id, column)

    def list(self, *, archived: bool | None = False) -> list[Dataset]:
        """The datasets in sight, those archived, or with None all, the newest first."""
        found = reading_datasets.datasets(self.read())
        return [one for one in found if archived in (None, one.archived_at is not None)]


def check_id_column(db: Database, dataset: Dataset, column: str) -> None:
    """Refuse a column that cannot name the rows of a dataset; see ``Datasets.set_id_column``."""
    if column not in dataset.columns:
        raise errors.InputError(f"{dataset.name} has no column {column!r}; it has: {', '.join(dataset.columns)}")
    cells = reading_datasets.column(db, dataset.id, dataset.columns.index(column))
    problems = intake.id_problems(cell for _, cell in cells)
    if problems:
        why = "; ".join(problem.message for problem in problems)
        raise errors.InputError(
            f"the column {column!r} of {dataset.name} cannot name its rows: {why}; choose another, or number the rows"
        )


def _batches(rows: Iterator[tuple[str, ...]]) -> Iterator[list[tuple[str, ...]]]:
    """At most so many rows, and about so many characters, at a time."""
    while batch := list(islice(rows, 1)):
        size = 0
        for row in islice(rows, BATCH - 1):
            batch.append(row)
            size += sum(map(len, row))
            if size > BATCH_CHARACTERS:
                break
        yield batch
