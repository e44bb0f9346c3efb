"""Writes that a person asked for: each request is applied inside one transaction that its caller holds.

What is not legal in the present state is refused with the reason; pressing a button twice is not.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlite_utils import Database

from jobs import errors
from jobs.lifecycle import MAY, Resolution, RunState
from jobs.requests import Archive, Cancel, Correct, Discard, Pause, Request, Restore, Resume, SetBudget, Start, Undo
from jobs.store import archiving, batches, runs
from jobs.store.fates import QUIET_KINDS
from jobs.store.runs import RunRecord


def apply(db: Database, request: Request, *, now: float) -> dict[str, Any]:
    """Do what a request asks; what it made.

    Raises:
        Refused: it is not legal now.
        NotFound: it names something that is not there.
    """
    match request:
        case Start():
            return _start(db, request, now=now)
        case Pause() | Resume() | Cancel():
            return _steer(db, request, now=now)
        case SetBudget():
            return _set_budget(db, request, now=now)
        case Correct():
            return _correct(db, request, now=now)
        case Discard():
            return _discard(db, request, now=now)
        case Undo():
            return _undo(db, request, now=now)
        case Archive():
            return archiving.archive(db, request.things, now=now)
        case Restore():
            return archiving.restore(db, request.things, now=now)


# -- starting ----------------------------------------------------------------------------------------------------------


def _start(db: Database, start: Start, *, now: float) -> dict[str, Any]:
    found = db.conn.execute("SELECT row_count, state FROM datasets WHERE id = ?", [start.dataset]).fetchone()
    if found is None or found[1] != "ready":
        raise errors.Refused("the dataset is not there, or is still being loaded")
    if db.conn.execute("SELECT 1 FROM versions WHERE id = ?", [start.version]).fetchone() is None:
        raise errors.NotFound("the prompt version is not there")
    skipped: Counter[str] = Counter()
    ordinals = start.ordinals
    if start.run_kind == "replay":
        _must_feed_results(db, start)
        ordinals, skipped = _open_letters(db, start)
    if ordinals is not None:
        ordinals = tuple(dict.fromkeys(one for one in ordinals if 1 <= one <= found[0]))
        if not ordinals:
            raise errors.Refused("none of these rows is in the dataset")
    row_count = len(ordinals) if ordinals is not None else min(found[0], start.limit or found[0])
    run_id = runs.insert_run(db, start, row_count=row_count, now=now)
    record = _must(db, run_id)
    if ordinals is not None:
        runs.lay_out_named(db, record, ordinals, edits=start.edits)
    if start.run_kind == "replay" and ordinals is not None:
        _take_letters(db, record, ordinals, note=start.note, now=now)
    return {"run": run_id, "rows": row_count, "skipped": dict(skipped)}


def _must_feed_results(db: Database, start: Start) -> None:
    found = db.conn.execute(
        "SELECT root.kind FROM runs JOIN runs root ON root.id = runs.root WHERE runs.id = ?", [start.parent]
    ).fetchone()
    if found is not None and found[0] in QUIET_KINDS:
        raise errors.Refused(f"run {start.parent} is no run whose dead letters can be replayed, but of kind {found[0]}")


def _open_letters(db: Database, start: Start) -> tuple[tuple[int, ...], Counter[str]]:
    """Of the letters that a replay names, those that are open; the others by what they are."""
    states = dict(
        db.conn.execute("SELECT ordinal, resolution FROM dead_letters WHERE run = ?", [start.parent]).fetchall()
    )
    wanted = start.ordinals or ()
    skipped = Counter(states.get(one, "not dead") for one in wanted if states.get(one) != Resolution.OPEN)
    chosen = tuple(one for one in wanted if states.get(one) == Resolution.OPEN)
    if not chosen:
        why = ", ".join(f"{count} {state}" for state, count in skipped.items()) or "none was named"
        raise errors.Refused(f"no dead letter of run {start.parent} is open among these: {why}")
    return chosen, skipped


def _take_letters(db: Database, record: RunRecord, ordinals: Sequence[int], *, note: str, now: float) -> None:
    db.conn.executemany(
        """
        UPDATE dead_letters SET resolution = 'replaying', replay = ?
        WHERE root = ? AND ordinal = ? AND resolution = 'open'
        """,
        [(record.id, record.root, one) for one in ordinals],
    )
    db.conn.execute(
        "INSERT INTO decisions (kind, run, replay, ordinals, reason, made_at) VALUES ('replay', ?, ?, ?, ?, ?)",
        [record.parent, record.id, json.dumps(list(ordinals)), note, now],
    )


# -- steering ----------------------------------------------------------------------------------------------------------


def _steer(db: Database, request: Pause | Resume | Cancel, *, now: float) -> dict[str, Any]:
    record = _must(db, request.run)
    after = {"pause": RunState.PAUSED, "resume": RunState.RUNNING, "cancel": RunState.CANCELLED}[request.kind]
    if record.state == after:
        return {"run": record.id, "state": record.state}
    if record.state not in MAY[request.kind]:
        raise errors.Refused(f"run {record.id} is {record.state}: it cannot be {_done(request.kind)}")
    if isinstance(request, Resume):
        archiving.must_be_in_sight(db, record.id)
        _must_be_where_it_was(record, request)
    by_hand = isinstance(request, Pause)
    by, reason = ("person", "paused by hand") if by_hand else (None, None)
    runs.set_state(db, record.id, after, now=now, paused_by=by, reason=reason)
    if by_hand:
        runs.stop_asking(db, record.id, now=now)
    else:
        batches.look_soon(db, record.id, now=now)
    if isinstance(request, Cancel):
        runs.cancel_waiting(db, record.id, now=now)
        _reopen_cancelled(db, record)
    return {"run": record.id, "state": after.value}


def _must_be_where_it_was(record: RunRecord, resume: Resume) -> None:
    """Refuse to go on where a connection of the run has another base URL now."""
    for rung, now in zip(record.rungs, (resume.base_url, *resume.upper), strict=False):
        if now is not None and now != rung.base_url:
            raise errors.Refused(
                f"run {record.id} was started for {rung.base_url}, but connection {rung.connection!r} is {now} now: "
                "put the connection back, or replay with the new one"
            )


def _reopen_cancelled(db: Database, record: RunRecord) -> None:
    db.conn.execute(
        """
        UPDATE dead_letters SET resolution = 'open', replay = NULL
        WHERE root = ? AND replay = ? AND resolution = 'replaying'
          AND ordinal IN (SELECT ordinal FROM run_rows WHERE run = ? AND state = 'cancelled')
        """,
        [record.root, record.id, record.id],
    )


def _set_budget(db: Database, request: SetBudget, *, now: float) -> dict[str, Any]:
    record = _must(db, request.run)
    if record.state not in (RunState.RUNNING, RunState.PAUSED):
        raise errors.Refused(f"run {record.id} is {record.state}: its budget no longer matters")
    if request.budget is not None and not record.has_price:
        unknown = next(rung.model for rung in record.rungs if rung.price is None)
        raise errors.Refused(f"the price of {unknown} is unknown, so no budget can be kept: give it a price")
    if record.paused_by == "budget":
        archiving.must_be_in_sight(db, record.id)
    runs.set_budget(db, record, request.budget)
    if record.paused_by == "budget":
        runs.set_state(db, record.id, RunState.RUNNING, now=now)
    return {"run": record.id, "budget": request.budget}


# -- deciding ----------------------------------------------------------------------------------------------------------


def _correct(db: Database, request: Correct, *, now: float) -> dict[str, Any]:
    record = _must(db, request.run)
    _letter(db, request.run, request.ordinal, may=(Resolution.OPEN, Resolution.CORRECTED))
    decision = _decide(
        db,
        "correct",
        request.run,
        [request.ordinal],
        reason=request.reason,
        now=now,
        value=json.dumps(request.value, ensure_ascii=False),
    )
    db.conn.execute(
        "INSERT INTO result_moves (root, ordinal, run, decision, made_at) VALUES (?, ?, ?, ?, ?)",
        [record.root, request.ordinal, request.run, decision, now],
    )
    _point(db, record.root, request.ordinal)
    _resolve(db, record.root, request.ordinal, Resolution.CORRECTED, decision=decision, now=now)
    return {"decision": decision}


def _discard(db: Database, request: Discard, *, now: float) -> dict[str, Any]:
    record = _must(db, request.run)
    states = dict(
        db.conn.execute("SELECT ordinal, resolution FROM dead_letters WHERE run = ?", [request.run]).fetchall()
    )
    chosen = [one for one in request.ordinals if states.get(one) == Resolution.OPEN]
    if not chosen:
        raise errors.Refused("none of these dead letters is open")
    decision = _decide(db, "discard", request.run, chosen, reason=request.reason, now=now)
    for ordinal in chosen:
        _resolve(db, record.root, ordinal, Resolution.DISCARDED, decision=decision, now=now)
    return {"decision": decision, "discarded": len(chosen), "skipped": len(request.ordinals) - len(chosen)}


def _undo(db: Database, request: Undo, *, now: float) -> dict[str, Any]:
    found = db.conn.execute(
        "SELECT kind, run, replay, ordinals, undone_at FROM decisions WHERE id = ?", [request.decision]
    ).fetchone()
    if found is None:
        raise errors.NotFound(f"there is no decision {request.decision}")
    kind, run_id, replay, ordinals, undone_at = found
    if undone_at is not None:
        return {"undone": 0}
    record = _must(db, replay if kind == "replay" else run_id)
    if kind == "replay" and not _has_ended(db, record.id):
        raise errors.Refused(
            f"replay {replay} is {record.state} with rows under way: when it has ended, or was cancelled and its last calls are "
            "back, its results can be taken back"
        )
    rows = json.loads(ordinals)
    if kind == "replay":
        undone = db.conn.execute(
            "UPDATE result_moves SET undone_at = ? WHERE run = ? AND decision IS NULL AND undone_at IS NULL",
            [now, replay],
        ).rowcount
        mine, number = "replay = ? AND resolution = 'fixed'", replay
    else:
        undone = len(rows)
        db.conn.execute("UPDATE result_moves SET undone_at = ? WHERE decision = ?", [now, request.decision])
        mine, number = "decision = ? AND resolution IN ('corrected', 'discarded')", request.decision
    for ordinal in rows:
        _point(db, record.root, ordinal)
        db.conn.execute(
            f"""
            UPDATE dead_letters SET resolution = 'open', resolved_at = NULL, replay = NULL, decision = NULL
            WHERE root = ? AND ordinal = ? AND {mine}
            """,
            [record.root, ordinal, number],
        )
        _follow_result(db, record.root, ordinal, now=now)
    db.conn.execute("UPDATE decisions SET undone_at = ? WHERE id = ?", [now, request.decision])
    return {"undone": undone}


def _point(db: Database, root: int, ordinal: int) -> None:
    """Let the result be what the newest move that stands says, else what the root run itself came to."""
    move = db.conn.execute(
        """
        SELECT run, attempt, decision FROM result_moves
        WHERE root = ? AND ordinal = ? AND undone_at IS NULL ORDER BY id DESC LIMIT 1
        """,
        [root, ordinal],
    ).fetchone()
    if move is None:
        move = db.conn.execute(
            "SELECT run, attempt, NULL FROM run_rows WHERE run = ? AND ordinal = ? AND state = 'accepted'",
            [root, ordinal],
        ).fetchone()
    if move is None:
        db.conn.execute("DELETE FROM results WHERE root = ? AND ordinal = ?", [root, ordinal])
        return
    db.conn.execute(
        "INSERT OR REPLACE INTO results (root, ordinal, run, attempt, decision) VALUES (?, ?, ?, ?, ?)",
        [root, ordinal, *move],
    )


def _follow_result(db: Database, root: int, ordinal: int, *, now: float) -> None:
    """After an undo an earlier correction, or a replay's value, may stand again: the letters say so."""
    found = db.conn.execute(
        "SELECT run, decision FROM results WHERE root = ? AND ordinal = ?", [root, ordinal]
    ).fetchone()
    if found is None:
        return
    run, decision = found
    if decision is not None:
        _resolve(db, root, ordinal, Resolution.CORRECTED, decision=decision, now=now)
    elif run != root:
        db.conn.execute(
            "UPDATE dead_letters SET resolution = 'fixed', resolved_at = ?, replay = ? WHERE root = ? AND ordinal = ?",
            [now, run, root, ordinal],
        )


def _has_ended(db: Database, run: int) -> bool:
    return db.conn.execute("SELECT ended_at FROM runs WHERE id = ?", [run]).fetchone()[0] is not None


def _resolve(db: Database, root: int, ordinal: int, resolution: Resolution, *, decision: int, now: float) -> None:
    db.conn.execute(
        "UPDATE dead_letters SET resolution = ?, resolved_at = ?, decision = ?, replay = NULL WHERE root = ? AND ordinal = ?",
        [resolution.value, now, decision, root, ordinal],
    )


def _decide(
    db: Database,
    kind: str,
    run: int,
    ordinals: Sequence[int],
    *,
    reason: str,
    now: float,
    value: str | None = None,
) -> int:
    cursor = db.conn.execute(
        "INSERT INTO decisions (kind, run, ordinals, value, reason, made_at) VALUES (?, ?, ?, ?, ?, ?)",
        [kind, run, json.dumps(list(ordinals)), value, reason, now],
    )
    return int(cursor.lastrowid or 0)


def _letter(db: Database, run: int, ordinal: int, *, may: Sequence[Resolution]) -> None:
    found = db.conn.execute(
        "SELECT resolution FROM dead_letters WHERE run = ? AND ordinal = ?", [run, ordinal]
    ).fetchone()
    if found is None:
        raise errors.NotFound(f"row {ordinal} of run {run} is not a dead letter")
    if found[0] not in may:
        raise errors.Refused(f"row {ordinal} of run {run} is {found[0]}")


def _must(db: Database, run_id: int) -> RunRecord:
    record = runs.run(db, run_id)
    if record is None:
        raise errors.NotFound(f"there is no run {run_id}")
    return record


def _done(kind: str) -> str:
    return {"pause": "paused", "resume": "resumed", "cancel": "cancelled"}[kind]
