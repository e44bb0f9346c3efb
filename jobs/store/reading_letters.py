"""Dead letters as a person works through them: groups by cause, pages of letters, the set behind a filter, what a replay made.

Where no run is named, only letters that speak for their row now are shown (``latest``); those of tries and evaluations never
do, since they were asked to see what happens, and those of archived runs are left out. A named run shows its own letters,
whatever came after.
Everywhere the order is the same, newest run first and the file's order in it, so that *next* is the next line of the list.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlite_utils import Database

from jobs.lifecycle import Resolution
from jobs.store.raw import head
from jobs.views.letters import Decision, Group, Letter, Standing

#: characters of a raw reply in a group and in a list; of a row's cells in a list
GROUP_HEAD, LIST_HEAD, CELLS_HEAD = 400, 160, 160
#: versions and runs that a group names, the newest; rows that a decision names, the first
MOST_NAMES, NAMED = 20, 3

_ORDER = "d.run DESC, d.ordinal"
#: in the order of the index, so that a filter without a resolution uses it too
_ANY_RESOLUTION = ", ".join(f"'{resolution}'" for resolution in Resolution)
_RAW_OF_ATTEMPT = "(SELECT c.raw FROM attempts a JOIN calls c ON c.id = a.call WHERE a.id = {attempt})"
_LAST_RAW = """(
    SELECT c.raw FROM attempts a JOIN calls c ON c.id = a.call
    WHERE a.run = d.run AND a.ordinal = d.ordinal AND a.superseded = 0 AND c.raw IS NOT NULL
    ORDER BY a.id DESC LIMIT 1
)"""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which dead letters are meant; None is no condition."""

    run: int | None = None
    prompt: str | None = None
    signature: str | None = None
    resolution: str | None = Resolution.OPEN

    def where(self) -> tuple[str, list[Any]]:
        """The condition on ``dead_letters d`` and its values."""
        parts: list[str] = []
        values: list[Any] = []
        if self.run is not None:
            parts.append("d.run = ?")
            values.append(self.run)
        else:
            parts.append("d.latest = 1")
        if self.resolution is not None:
            parts.append("d.resolution = ?")
            values.append(self.resolution)
        elif self.run is None:
            parts.append(f"d.resolution IN ({_ANY_RESOLUTION})")
        if self.signature is not None:
            parts.append("d.signature = ?")
            values.append(self.signature)
        if self.prompt is not None:
            parts.append("d.run IN (SELECT id FROM runs WHERE prompt = ?)")
            values.append(self.prompt)
        return " AND ".join(parts), values


def groups(db: Database, chosen: Filter, *, limit: int, offset: int = 0) -> tuple[list[Group], int]:
    """The signatures of the letters that pass, the most frequent first, and how many signatures there are.

    A group's example is its newest letter; its resolutions are counted over the same letters without regard to the
    filter's resolution; its cost is its rows' share of the calls about them in the runs that they died in.
    """
    condition, values = chosen.where()
    # With a single MAX, SQLite takes the bare columns from the row that holds it: the newest letter.
    found = db.execute(
        f"""
        SELECT d.signature, COUNT(*) AS n, MAX(d.died_at), d.run, d.ordinal, {_RAW_OF_ATTEMPT.format(attempt="d.attempt")},
               CASE WHEN COUNT(*) = COUNT(d.cost) THEN TOTAL(d.cost) END
        FROM dead_letters d WHERE {condition}
        GROUP BY d.signature ORDER BY n DESC, d.signature LIMIT ? OFFSET ?
        """,
        [*values, limit, offset],
    ).fetchall()
    total = db.execute(f"SELECT COUNT(DISTINCT d.signature) FROM dead_letters d WHERE {condition}", values).fetchone()[
        0
    ]
    signatures = [row[0] for row in found]
    facets = _facets(db, chosen, signatures)
    titles = _titles(db, signatures)
    names = version_names(db, {run for facet in facets.values() for run in facet.runs})
    return [
        Group(
            signature=signature,
            title=titles.get(signature, signature),
            count=count,
            resolutions=facets[signature].resolutions,
            first_at=facets[signature].first_at,
            last_at=last_at,
            versions=tuple(dict.fromkeys(names[run] for run in facets[signature].runs))[:MOST_NAMES],
            runs=facets[signature].runs[:MOST_NAMES],
            example_run=run,
            example_ordinal=ordinal,
            example_raw=head(raw, GROUP_HEAD),
            cost=cost,
        )
        for signature, count, last_at, run, ordinal, raw, cost in found
    ], int(total)


@dataclass(frozen=True)
class _Facet:
    resolutions: dict[str, int]
    runs: tuple[int, ...]
    first_at: float


def _facets(db: Database, chosen: Filter, signatures: Sequence[str]) -> dict[str, _Facet]:
    condition, values = replace(chosen, resolution=None).where()
    found = db.execute(
        f"""
        SELECT d.signature, d.resolution, d.run, COUNT(*), MIN(d.died_at) FROM dead_letters d
        WHERE {condition} AND d.signature IN (SELECT value FROM json_each(?)) GROUP BY 1, 2, 3
        """,
        [*values, json.dumps(list(signatures))],
    ).fetchall()
    facets: dict[str, _Facet] = {}
    for signature in signatures:
        mine = [row[1:] for row in found if row[0] == signature]
        passed = [row for row in mine if chosen.resolution in (None, row[0])]
        resolutions: dict[str, int] = {}
        for resolution, _, count, _ in mine:
            resolutions[resolution] = resolutions.get(resolution, 0) + count
        facets[signature] = _Facet(
            resolutions,
            tuple(sorted({run for _, run, _, _ in passed}, reverse=True)),
            min((first for _, _, _, first in passed), default=0.0),
        )
    return facets


def _titles(db: Database, signatures: Sequence[str]) -> dict[str, str]:
    found = db.execute(
        "SELECT signature, title FROM signatures WHERE signature IN (SELECT value FROM json_each(?))",
        [json.dumps(list(signatures))],
    )
    return dict(found.fetchall())


def version_names(db: Database, runs: set[int]) -> dict[int, str]:
    """The version that each of these runs is of, by name."""
    found = db.execute(
        """
        SELECT r.id, v.prompt, v.number FROM runs r JOIN versions v ON v.id = r.version
        WHERE r.id IN (SELECT value FROM json_each(?))
        """,
        [json.dumps(sorted(runs))],
    )
    return {run: reference(prompt, number) for run, prompt, number in found}


def reference(prompt: str, number: int | None) -> str:
    """A version's name: ``name@3``, or ``name (draft)`` for one that was never saved."""
    return f"{prompt}@{number}" if number is not None else f"{prompt} (draft)"


def letters(db: Database, chosen: Filter, *, limit: int, offset: int = 0) -> tuple[list[Letter], int]:
    """A page of the letters that pass, and how many there are."""
    condition, values = chosen.where()
    total = db.execute(f"SELECT COUNT(*) FROM dead_letters d WHERE {condition}", values).fetchone()[0]
    page = f"SELECT d.run, d.ordinal FROM dead_letters d WHERE {condition} ORDER BY {_ORDER} LIMIT ? OFFSET ?"
    return _letters(db, page, [*values, limit, offset]), int(total)


def letter(db: Database, run: int, ordinal: int) -> Letter | None:
    """The dead letter of that row of that run, if it is one."""
    found = _letters(db, "SELECT ? AS run, ? AS ordinal", [run, ordinal])
    return found[0] if found else None


def _letters(db: Database, page: str, values: Sequence[Any]) -> list[Letter]:
    # The page is found first and alone: sorting whole rows would carry every raw reply through the sorter.
    found = db.execute(
        f"""
        WITH page AS MATERIALIZED ({page})
        SELECT d.run, d.ordinal, d.root, d.row_id, d.signature, COALESCE(s.title, d.signature), v.prompt, v.number,
               d.died_at, d.resolution, d.resolved_at, d.replay, COALESCE(rr.cells, r.cells), {_LAST_RAW}
        FROM page
        JOIN dead_letters d ON d.run = page.run AND d.ordinal = page.ordinal
        JOIN runs ON runs.id = d.run
        JOIN versions v ON v.id = runs.version
        JOIN run_rows rr ON rr.run = d.run AND rr.ordinal = d.ordinal
        LEFT JOIN rows r ON r.dataset = runs.dataset AND r.ordinal = d.ordinal
        LEFT JOIN signatures s ON s.signature = d.signature
        ORDER BY {_ORDER}
        """,
        values,
    )
    return [
        Letter(
            run=run,
            ordinal=ordinal,
            root=root,
            row_id=row_id,
            signature=signature,
            title=title,
            version=reference(prompt, number),
            died_at=died_at,
            resolution=resolution,
            resolved_at=resolved_at,
            replay=replay,
            cells_head=" · ".join(cell for cell in json.loads(cells or "[]") if cell)[:CELLS_HEAD],
            raw_head=head(raw, LIST_HEAD),
        )
        for (
            run, ordinal, root, row_id, signature, title, prompt, number,
            died_at, resolution, resolved_at, replay, cells, raw,
        ) in found
    ]  # fmt: skip


def ids(db: Database, chosen: Filter) -> list[tuple[int, int]]:
    """(run, ordinal) of every letter that passes, by run and then in the file's order."""
    condition, values = chosen.where()
    found = db.execute(f"SELECT d.run, d.ordinal FROM dead_letters d WHERE {condition} ORDER BY 1, 2", values)
    return [(run, ordinal) for run, ordinal in found]


def standing(db: Database, chosen: Filter, *, since: float) -> Standing:
    """The letters that pass, whatever their resolution, by what has become of them; the new and the resolved since a time."""
    condition, values = replace(chosen, resolution=None).where()
    found = db.execute(
        f"""
        SELECT TOTAL(d.resolution = 'open'), TOTAL(d.resolution = 'replaying'), TOTAL(d.died_at >= ?),
               TOTAL(d.resolved_at >= ? AND d.resolution IN ('fixed', 'corrected', 'discarded'))
        FROM dead_letters d WHERE {condition}
        """,
        [since, since, *values],
    ).fetchone()
    waiting, replaying, new, resolved = (int(each) for each in found)
    return Standing(open=waiting, replaying=replaying, new_24h=new, resolved_24h=resolved)


def neighbours(
    db: Database, chosen: Filter, *, run: int, ordinal: int
) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """The letters that stand before and after that place in the list; it need not pass the filter itself."""
    condition, values = chosen.where()

    def first(place: str, order: str) -> tuple[int, int] | None:
        found = db.execute(
            f"SELECT d.run, d.ordinal FROM dead_letters d WHERE {condition} AND {place} ORDER BY {order} LIMIT 1",
            [*values, run, run, ordinal],
        ).fetchone()
        return (found[0], found[1]) if found else None

    return (
        first("(d.run > ? OR (d.run = ? AND d.ordinal < ?))", "d.run, d.ordinal DESC"),
        first("(d.run < ? OR (d.run = ? AND d.ordinal > ?))", _ORDER),
    )


def decisions(
    db: Database,
    *,
    run: int | None = None,
    rows_of: int | None = None,
    prompt: str | None = None,
    limit: int = 50,
) -> list[Decision]:
    """The newest decisions: about one run's own letters, about rows of one run wherever they died, about one prompt's."""
    parts: list[str] = []
    values: list[Any] = []
    if run is not None:
        parts.append("run = ?")
        values.append(run)
    if rows_of is not None:
        parts.append(
            """run IN (SELECT id FROM runs WHERE root = (SELECT root FROM runs WHERE id = ?))
            AND EXISTS (
                SELECT 1 FROM json_each(decisions.ordinals) o JOIN run_rows rr ON rr.run = ? AND rr.ordinal = o.value
            )"""
        )
        values += [rows_of, rows_of]
    if prompt is not None:
        parts.append("run IN (SELECT id FROM runs WHERE prompt = ?)")
        values.append(prompt)
    condition = f"WHERE {' AND '.join(parts)}" if parts else ""
    return _decisions(db, f"{condition} ORDER BY id DESC LIMIT ?", [*values, limit])


def decision_of(db: Database, replay: int) -> Decision | None:
    """The decision that a replay was made by."""
    made_by = "WHERE run = (SELECT parent FROM runs WHERE id = ?) AND replay = ? ORDER BY id LIMIT 1"
    return next(iter(_decisions(db, made_by, [replay, replay])), None)


def decisions_about(db: Database, *, root: int, ordinal: int) -> list[Decision]:
    """Every decision about one row, in its root run and all replays of it, the oldest first."""
    condition = """
        WHERE run IN (SELECT id FROM runs WHERE root = ?)
          AND EXISTS (SELECT 1 FROM json_each(decisions.ordinals) WHERE value = ?) ORDER BY id
    """
    return _decisions(db, condition, [root, ordinal])


def _decisions(db: Database, rest: str, values: Sequence[Any]) -> list[Decision]:
    found = db.execute(
        f"""
        SELECT id, kind, run, replay, ordinals, value, reason, made_at, undone_at,
               (SELECT COUNT(*) FROM run_rows e WHERE e.run = decisions.replay AND e.cells IS NOT NULL),
               (SELECT json_group_array(row_id) FROM (
                    SELECT n.row_id FROM json_each(decisions.ordinals) o
                    CROSS JOIN run_rows n ON n.run = decisions.run AND n.ordinal = o.value LIMIT {NAMED}
               ))
        FROM decisions {rest}
        """,
        values,
    ).fetchall()
    versions = version_names(db, {row[3] for row in found if row[3] is not None})
    return [
        Decision(
            id=id_,
            kind=kind,
            run=run,
            replay=replay,
            ordinals=tuple(json.loads(ordinals)),
            value=json.loads(value) if value else None,
            reason=reason,
            made_at=made_at,
            undone_at=undone_at,
            version=versions.get(replay),
            edited=edited,
            row_ids=tuple(json.loads(row_ids)),
        )
        for id_, kind, run, replay, ordinals, value, reason, made_at, undone_at, edited, row_ids in found
    ]
