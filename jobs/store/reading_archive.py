"""What is archived now, and what of the home depends on it.

A home has few runs and may have a million letters: of all runs those archived are left out when they are asked for, and letters
carry it (``dead_letters.latest``), so that no list and no count of open work looks for their runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlite_utils import Database

from jobs.values import Thing

#: the numbers of archived runs
RUNS = "SELECT CAST(name AS INTEGER) FROM archivings WHERE kind = 'run' AND restored_at IS NULL"


def since(kind: str, name: str) -> str:
    """A column: since when the thing whose name that expression gives is archived; NULL where it is not."""
    return f"(SELECT archived_at FROM archivings WHERE kind = '{kind}' AND name = CAST({name} AS TEXT) AND restored_at IS NULL)"


def among(archived: bool | None) -> str:
    """The condition on ``runs r`` that leaves those in sight, those archived, or with None all."""
    return {None: "1", True: f"r.id IN ({RUNS})", False: f"r.id NOT IN ({RUNS})"}[archived]


def current(db: Database, kind: str) -> dict[str, float]:
    """Everything of a kind that is archived, and since when."""
    found = db.execute("SELECT name, archived_at FROM archivings WHERE kind = ? AND restored_at IS NULL", [kind])
    return dict(found.fetchall())


def everything(db: Database) -> dict[Thing, float]:
    """All that is archived, what was archived last first."""
    found = db.execute(
        "SELECT kind, name, archived_at FROM archivings WHERE restored_at IS NULL ORDER BY archived_at DESC, id"
    )
    return {Thing(kind=kind, name=name): at for kind, name, at in found.fetchall()}


def replays(db: Database, runs: Sequence[int]) -> list[int]:
    """The replays of these runs and of their replays."""
    found = db.execute(
        """
        WITH RECURSIVE below (id) AS (
            SELECT value FROM json_each(?)
            UNION SELECT r.id FROM below b JOIN runs p ON p.id = b.id JOIN runs r ON r.root = p.root AND r.parent = p.id
        )
        SELECT id FROM below ORDER BY id
        """,
        [json.dumps(list(runs))],
    )
    return [run for (run,) in found.fetchall() if run not in runs]


def open_letters(db: Database, runs: Sequence[int]) -> dict[int, int]:
    """The open dead letters of these runs that speak for their row, or would if their run were in sight, by run."""
    found = db.execute(
        """
        SELECT run, count(*) FROM dead_letters
        WHERE run IN (SELECT value FROM json_each(?)) AND resolution = 'open' AND latest > 0 GROUP BY run
        """,
        [json.dumps(list(runs))],
    )
    return dict(found.fetchall())


def running_of(db: Database, *, prompts: Sequence[str], datasets: Sequence[str]) -> tuple[int, tuple[int, ...]]:
    """How many runs are of these prompts or datasets, and which of them are running."""
    of = "prompt IN (SELECT value FROM json_each(?)) OR dataset IN (SELECT value FROM json_each(?))"
    values = [json.dumps(list(prompts)), json.dumps(list(datasets))]
    total = db.execute(f"SELECT count(*) FROM runs WHERE {of}", values).fetchone()[0]
    found = db.execute(f"SELECT id FROM runs WHERE ({of}) AND state = 'running' ORDER BY id", values)
    return int(total), tuple(run for (run,) in found.fetchall())


def labels(db: Database, prompts: Sequence[str]) -> dict[str, int]:
    """The labels of these prompts as ``name@label``, and the number that each stands at."""
    found = db.execute(
        """
        SELECT prompt || '@' || label, number FROM labels
        WHERE prompt IN (SELECT value FROM json_each(?)) ORDER BY prompt, label
        """,
        [json.dumps(list(prompts))],
    )
    return dict(found.fetchall())
