"""What a replay has made of the dead letters that it took: each row's letter of the run before, beside what came now."""

from __future__ import annotations

import json

from sqlite_utils import Database

from jobs.store.raw import head
from jobs.views.letters import BeforeAfter, ReplayOutcome

#: characters of each raw reply
PAIR_HEAD = 4_000

_PAIRS = """
    FROM run_rows rr
    JOIN runs r ON r.id = rr.run
    LEFT JOIN dead_letters b ON b.run = r.parent AND b.ordinal = rr.ordinal
    LEFT JOIN dead_letters d ON d.run = rr.run AND d.ordinal = rr.ordinal
    WHERE rr.run = ?
"""
# The unary plus keeps SQLite from the index of a run's moves, of which there is one a row: it would read all of them for each.
_OUTCOME = """
    CASE rr.state
        WHEN 'accepted' THEN CASE WHEN EXISTS (
            SELECT 1 FROM result_moves m
            WHERE m.root = r.root AND m.ordinal = rr.ordinal AND +m.run = r.id AND m.decision IS NULL AND m.undone_at IS NOT NULL
        ) THEN 'taken_back' ELSE 'fixed' END
        WHEN 'dead' THEN CASE WHEN COALESCE(d.signature, rr.signature) IS b.signature THEN 'same_failure' ELSE 'new_failure' END
        WHEN 'cancelled' THEN 'cancelled'
        ELSE 'waiting'
    END
"""


def outcome(db: Database, replay: int) -> ReplayOutcome:
    """The rows of a replay by what became of them; they add up to its rows that are laid out."""
    counts = dict(db.execute(f"SELECT {_OUTCOME}, COUNT(*) {_PAIRS} GROUP BY 1", [replay]).fetchall())
    return ReplayOutcome(
        fixed=counts.get("fixed", 0),
        same_failure=counts.get("same_failure", 0),
        new_failure=counts.get("new_failure", 0),
        waiting=counts.get("waiting", 0),
        cancelled=counts.get("cancelled", 0),
        taken_back=counts.get("taken_back", 0),
    )


def before_after(
    db: Database, replay: int, *, outcome: str | None, limit: int, offset: int
) -> tuple[list[BeforeAfter], int]:
    """A page of a replay's rows in the file's order, each with how it had failed and what came now, and their number.

    Raw replies are those of the attempts that decided, their first ``PAIR_HEAD`` characters; empty where nothing came.
    """
    narrowed, values = (f" AND {_OUTCOME} = ?", [outcome]) if outcome is not None else ("", [])
    total = db.execute(f"SELECT COUNT(*) {_PAIRS}{narrowed}", [replay, *values]).fetchone()[0]
    found = db.execute(
        f"""
        WITH page AS MATERIALIZED (
            SELECT rr.ordinal, rr.row_id, {_OUTCOME} AS outcome, rr.attempt AS after, b.attempt AS before,
                   b.signature AS was, COALESCE(d.signature, rr.signature) AS now
            {_PAIRS}{narrowed} ORDER BY rr.ordinal LIMIT ? OFFSET ?
        )
        SELECT page.ordinal, page.row_id, page.outcome, COALESCE(s.title, page.was, ''), bc.raw,
               COALESCE(t.title, page.now), ac.raw, aa.value, ds.columns, COALESCE(rr.cells, o.cells), o.cells
        FROM page
        JOIN runs r ON r.id = ? JOIN datasets ds ON ds.id = r.dataset
        JOIN run_rows rr ON rr.run = r.id AND rr.ordinal = page.ordinal
        JOIN rows o ON o.dataset = r.dataset AND o.ordinal = page.ordinal
        LEFT JOIN attempts ba ON ba.id = page.before LEFT JOIN calls bc ON bc.id = ba.call
        LEFT JOIN attempts aa ON aa.id = page.after LEFT JOIN calls ac ON ac.id = aa.call
        LEFT JOIN signatures s ON s.signature = page.was
        LEFT JOIN signatures t ON t.signature = page.now
        ORDER BY page.ordinal
        """,
        [replay, *values, limit, offset, replay],
    )
    return [
        BeforeAfter(
            ordinal=ordinal,
            row_id=row_id,
            outcome=kind,
            before_title=was,
            before_raw=head(before, PAIR_HEAD),
            after_title=now if kind in ("same_failure", "new_failure") else None,
            after_raw=head(after, PAIR_HEAD) if after is not None else None,
            after_value=json.loads(value) if value and kind in ("fixed", "taken_back") else None,
            cells=dict(zip(json.loads(columns), json.loads(seen), strict=True)),
            original_cells=dict(zip(json.loads(columns), json.loads(original), strict=True)),
        )
        for ordinal, row_id, kind, was, before, now, after, value, columns, seen, original in found
    ], int(total)
