"""Writes that are put off and made together: one statement for hundreds of rows costs half of hundreds of statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlite_utils import Database


class Batch:
    """Statements with the values that each is to be run with, in the order in which they were put off.

    Different statements may change places, so only such as touch different tables, or different rows, belong into one batch.
    Whoever reads what it may write calls ``write`` first.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: dict[str, list[Sequence[Any]]] = {}

    def add(self, statement: str, values: Sequence[Any]) -> None:
        """Run this statement with these values at the next ``write``."""
        self._waiting.setdefault(statement, []).append(values)

    def write(self) -> None:
        """Run all that was put off."""
        waiting, self._waiting = self._waiting, {}
        for statement, many in waiting.items():
            self._db.conn.executemany(statement, many)
