"""Datasets and their rows. A dataset that is ready never changes, so what was found in one may be kept."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

from sqlite_utils import Database

from jobs.store.reading_archive import since
from jobs.views.datasets import Dataset

#: characters that stand between the cells as they are stored; a search for one of them looks at each cell itself
_STRUCTURE = frozenset('",[]\\')
_DATASET = f"SELECT *, {since('dataset', 'datasets.id')} AS archived_at FROM datasets"


def datasets(db: Database) -> list[Dataset]:
    """Every dataset, archived ones too, the newest first."""
    return [_view(row) for row in db.query(f"{_DATASET} ORDER BY created_at DESC, id")]


def dataset(db: Database, dataset_id: str) -> Dataset | None:
    """The dataset of that id."""
    return next((_view(row) for row in db.query(f"{_DATASET} WHERE id = ?", [dataset_id])), None)


def loading(db: Database) -> list[str]:
    """The content hashes of datasets that are being taken in, or were when their intake broke off."""
    return [sha for (sha,) in db.execute("SELECT sha256 FROM datasets WHERE state = 'loading'").fetchall()]


def by_hash(db: Database, sha256: str) -> Dataset | None:
    """The dataset that was made of those bytes."""
    return next((_view(row) for row in db.query(f"{_DATASET} WHERE sha256 = ?", [sha256])), None)


def _view(row: dict[str, Any]) -> Dataset:
    layout = json.loads(row["layout"])
    return Dataset(
        id=row["id"],
        name=row["name"],
        sha256=row["sha256"],
        format=layout["format"],
        encoding=layout["encoding"],
        delimiter=layout["delimiter"],
        columns=tuple(json.loads(row["columns"])),
        row_count=row["row_count"],
        size_bytes=layout["size_bytes"],
        findings=tuple(layout["findings"]),
        facts=json.loads(row["facts"]) if row["facts"] else None,
        id_column=row["id_column"],
        state=row["state"],
        created_at=row["created_at"],
        archived_at=row["archived_at"],
    )


def rows(db: Database, dataset_id: str, *, after: int, limit: int) -> list[tuple[int, list[str]]]:
    """The next rows after an ordinal."""
    found = db.execute(
        "SELECT ordinal, cells FROM rows WHERE dataset = ? AND ordinal > ? ORDER BY ordinal LIMIT ?",
        [dataset_id, after, limit],
    )
    return [(ordinal, json.loads(cells)) for ordinal, cells in found.fetchall()]


def rows_at(db: Database, dataset_id: str, ordinals: Sequence[int]) -> list[tuple[int, list[str]]]:
    """The rows of those ordinals that there are, in the file's order."""
    found = db.execute(
        "SELECT ordinal, cells FROM rows WHERE dataset = ? AND ordinal IN (SELECT value FROM json_each(?)) ORDER BY ordinal",
        [dataset_id, json.dumps(list(ordinals))],
    )
    return [(ordinal, json.loads(cells)) for ordinal, cells in found.fetchall()]


def column(db: Database, dataset_id: str, place: int) -> Iterator[tuple[int, str]]:
    """Every ordinal with its cell in the column at that place, from 0; streamed."""
    found = db.execute(
        "SELECT ordinal, json_extract(cells, ?) FROM rows WHERE dataset = ? ORDER BY ordinal",
        [f"$[{place}]", dataset_id],
    )
    yield from found


def matching(db: Database, dataset_id: str, search: str) -> list[int]:
    """The ordinals of the rows that have the text in one of their cells, in any case, in the file's order.

    One pass over the dataset: about a microsecond a row. Whoever pages through the answer keeps it.
    """
    spellings = dict.fromkeys(
        [search] if search.isascii() else [search, search.lower(), search.upper(), search.title()]
    )
    patterns = [f"%{_liked(spelling)}%" for spelling in spellings]
    found = db.execute(
        f"SELECT ordinal, cells FROM rows WHERE dataset = ? AND ({' OR '.join(['cells LIKE ? ESCAPE ?'] * len(patterns))}) "
        "ORDER BY ordinal",
        [dataset_id, *(value for pattern in patterns for value in (pattern, "~"))],
    )
    if not _STRUCTURE & set(search):
        return [ordinal for ordinal, _ in found]
    wanted = search.lower()
    return [ordinal for ordinal, cells in found if any(wanted in cell.lower() for cell in json.loads(cells))]


def _liked(text: str) -> str:
    """The text as it stands inside a stored cell, as a literal of LIKE."""
    inside = json.dumps(text, ensure_ascii=False)[1:-1]
    return inside.replace("~", "~~").replace("%", "~%").replace("_", "~_")


def different(
    db: Database, dataset_id: str, places: Sequence[int], *, limit: int | None, ordinals: Sequence[int] | None
) -> array[int]:
    """The rows, among the first ``limit`` or the given ones, that no earlier one equals in the columns at those places.

    Their ordinals, in the file's order. One pass: about four microseconds a row. Rows are told apart by 64-bit hashes.
    """
    chosen, values = "", list[Any]()
    if ordinals is not None:
        chosen, values = "AND ordinal IN (SELECT value FROM json_each(?))", [json.dumps(list(ordinals))]
    elif limit is not None:
        chosen, values = "AND ordinal <= ?", [limit]
    found = db.execute(
        f"SELECT ordinal, cells FROM rows WHERE dataset = ? {chosen} ORDER BY ordinal", [dataset_id, *values]
    )
    pick = itemgetter(*places) if places else len
    seen, first = set[int](), array("q")
    for ordinal, cells in found:
        mark = hash(pick(json.loads(cells)))
        if mark not in seen:
            seen.add(mark)
            first.append(ordinal)
    return first
