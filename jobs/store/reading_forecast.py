"""What calls have taken, for saying what calls to come will take, and which questions have been answered already."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlite_utils import Database

from jobs.estimates import BACK_TO_OUT, Back
from jobs.options import RunOptions

#: the newest calls that an estimate is founded on, and runs that they are looked for in
MOST_CALLS, MOST_RUNS = 2_000, 20
#: rows of a run whose questions are looked up one by one, and those that stand for more
EXACT, SAMPLE = 2_000, 1_000
#: the newest requests that a run's resumptions are looked for in
MOST_REQUESTS = 500
_CHUNK = 500

#: the newest calls of a run from an index that holds their figures; the rows are looked up for these alone
_BACK = """
    SELECT min(a.ordinal), newest.sent_at, newest.seconds,
           total(r.attempt = a.id AND r.state IN ('accepted', 'dead')), newest.outcome = 'replied',
           coalesce(newest.prompt_tokens, 0), coalesce(newest.completion_tokens, 0), coalesce(newest.cached_tokens, 0),
           newest.cost
    FROM (
        SELECT id, sent_at, outcome, seconds, cost, prompt_tokens, completion_tokens, cached_tokens FROM calls
        WHERE run = :run ORDER BY sent_at DESC LIMIT :most
    ) newest
    CROSS JOIN attempts a ON a.call = newest.id CROSS JOIN run_rows r ON r.run = :run AND r.ordinal = a.ordinal
    GROUP BY newest.id
"""
#: the same of one rung, where a row is at its end too when it has gone on to the next one
_BACK_ON_RUNG = """
    SELECT min(a.ordinal), newest.sent_at, newest.seconds,
           total(
               (r.rung > :rung OR r.state IN ('accepted', 'dead')) AND a.id = (
                   SELECT max(x.id) FROM attempts x JOIN calls y ON y.id = x.call
                   WHERE x.run = :run AND x.ordinal = a.ordinal AND y.rung = :rung AND NOT x.superseded
               )
           ), newest.outcome = 'replied',
           coalesce(newest.prompt_tokens, 0), coalesce(newest.completion_tokens, 0), coalesce(newest.cached_tokens, 0),
           newest.cost
    FROM (
        SELECT id, sent_at, outcome, seconds, cost, prompt_tokens, completion_tokens, cached_tokens FROM calls
        WHERE run = :run AND rung = :rung ORDER BY sent_at DESC LIMIT :most
    ) newest
    CROSS JOIN attempts a ON a.call = newest.id CROSS JOIN run_rows r ON r.run = :run AND r.ordinal = a.ordinal
    GROUP BY newest.id
"""
#: what the lowest rung came to for the rows of its newest calls
_BELOW = """
    SELECT a.ordinal, total(a.strike), max(a.id), a.value, a.confidence, max(a.verdict <> 'failed'), r.rung > 0, r.state
    FROM (SELECT id FROM calls WHERE run = :run AND rung = 0 ORDER BY sent_at DESC LIMIT :most) newest
    CROSS JOIN attempts a ON a.call = newest.id CROSS JOIN run_rows r ON r.run = :run AND r.ordinal = a.ordinal
    WHERE NOT a.superseded GROUP BY a.ordinal
"""


def back(db: Database, run: int, *, most: int = MOST_CALLS, rung: int | None = None) -> list[Back]:
    """The newest calls of a run, or of one rung, that have come back, in no order; their rows are told apart from other runs'."""
    query = _BACK if rung is None else _BACK_ON_RUNG
    found = db.execute(query, {"run": run, "most": most, "rung": rung}).fetchall()
    return [
        Back(
            row=(run, ordinal),
            sent=sent,
            seconds=seconds,
            ended=int(ended),
            replied=bool(replied),
            prompt=prompt,
            completion=completion,
            cached=cached,
            money=cost,
        )
        for ordinal, sent, seconds, ended, replied, prompt, completion, cached, cost in found
    ]


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """What an earlier run tells of one to come."""

    in_flight: int
    calls: list[Back]
    #: when a person has let it go on
    resumed: list[float]


def earlier(
    db: Database, version: int, *, model: str, rows_per_call: int, strikes: int, replays: bool
) -> list[Earlier]:
    """The newest runs with that version, model and number of rows a call of which most calls are back, as many as hold ``MOST_CALLS``.

    None with a ladder, whose rows have other ends. Either replays or first runs: a row that has died before takes more than one of
    which nothing is known. An evaluation is one where as many strikes made a dead letter; a try, which asks once, is none.
    """
    first = "(kind = 'run' OR kind = 'evaluation' AND coalesce(json_extract(options, '$.strikes'), :three) = :strikes)"
    runs = db.execute(
        f"""
        SELECT id, options FROM runs WHERE version = :version AND model = :model AND calls > 0
        AND (ended_at IS NOT NULL OR calls >= :back * coalesce(json_extract(options, '$.in_flight'), :usual))
        AND coalesce(json_extract(options, '$.rows_per_call'), 1) = :rows AND upper = '[]'
        AND {"kind = 'replay'" if replays else first} ORDER BY id DESC LIMIT :most
        """,
        {
            "version": version,
            "model": model,
            "rows": rows_per_call,
            "strikes": strikes,
            "three": RunOptions().strikes,
            "back": BACK_TO_OUT,
            "usual": RunOptions().in_flight,
            "most": MOST_RUNS,
        },
    ).fetchall()
    found, room = list[Earlier](), MOST_CALLS
    for run, options in runs:
        in_flight = RunOptions.model_validate_json(options).in_flight
        found.append(Earlier(in_flight=in_flight, calls=back(db, run, most=room), resumed=resumed(db, run)))
        room -= len(found[-1].calls)
        if room <= 0:
            break
    return found


def on_rung(db: Database, version: int, options: RunOptions, *, models: Sequence[str], rung: int) -> list[Earlier]:
    """What the newest runs of that version with such a ladder tell of one of its rungs: the same models and the same doubts."""
    found, room = list[Earlier](), MOST_CALLS
    doubts = options.ladder.doubts if options.ladder else ""
    for run, text, upper in db.execute(
        """
        SELECT id, options, upper FROM runs WHERE version = ? AND model = ? AND upper <> '[]' AND kind IN ('run', 'evaluation')
        AND coalesce(json_extract(options, '$.rows_per_call'), 1) = ? ORDER BY id DESC LIMIT ?
        """,
        [version, models[0], options.rows_per_call, MOST_RUNS],
    ).fetchall():
        before = RunOptions.model_validate_json(text)
        same = before.ladder is not None and before.ladder.doubts == doubts
        if not same or [one["model"] for one in json.loads(upper)] != list(models[1:]) or room <= 0:
            continue
        calls = back(db, run, most=room, rung=rung)
        found.append(Earlier(in_flight=before.in_flight, calls=calls, resumed=resumed(db, run)))
        room -= len(calls)
    return found


@dataclass(frozen=True, kw_only=True)
class Below:
    """What a model has come to about a row."""

    strikes: int
    #: None where the last reply was none, or broke the contract
    value: dict[str, Any] | None
    #: of the field that it was least sure of; None: not told
    confidence: float | None


def below(db: Database, version: int, *, model: str, sure: bool) -> list[Below]:
    """What the model has come to about the rows that it was asked about first in the newest runs of that version.

    Args:
        db: to be read.
        version: its number.
        model: of the lowest rung.
        sure: only of runs in which it was asked how sure it is.
    """
    found = list[Below]()
    runs = db.execute(
        "SELECT id, options FROM runs WHERE version = ? AND model = ? AND calls > 0 AND kind <> 'replay' ORDER BY id DESC LIMIT ?",
        [version, model, MOST_RUNS],
    ).fetchall()
    for run, text in runs:
        options = RunOptions.model_validate_json(text)
        told = options.confidence or (options.ladder is not None and options.ladder.confidence is not None)
        if (sure and not told) or options.rows_per_call > 1 or len(found) >= MOST_CALLS:
            continue
        rows = db.execute(_BELOW, {"run": run, "most": MOST_CALLS - len(found)}).fetchall()
        found += [
            Below(strikes=int(strikes), value=json.loads(value) if value else None, confidence=confidence)
            for _, strikes, _, value, confidence, replied, gone, state in rows
            if replied and (gone or state in ("accepted", "dead"))
        ]
    return found


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """The rows of a run that have no end."""

    #: those that will be asked about: of equal rows one, and none that is answered already
    asked: int
    #: calls that are under way, or wait for a lane
    dispatched: int
    #: money that is set aside for those
    reserved: float = 0.0


def ahead(db: Database, run: int, options: RunOptions, *, waiting: int) -> Ahead:
    """What of a run's rows without an end will be asked: exactly for few rows, by a sample of them for many.

    The sample tells which are answered already. Of rows that equal each other and are both far ahead it sees few, so
    that a large table with many of them counts for more than it will take.
    """
    dispatched, reserved = db.execute(
        "SELECT count(*), total(reserved) FROM run_rows WHERE run = ? AND state = 'dispatched'", [run]
    ).fetchone()
    if not options.reuse or not waiting:
        return Ahead(asked=waiting, dispatched=dispatched, reserved=reserved)
    if waiting <= EXACT:
        found = db.execute(
            "SELECT reuse_key FROM run_rows WHERE run = ? AND state IN ('due', 'held', 'dispatched')", [run]
        ).fetchall()
        keys = {key for (key,) in found if key is not None}
        asked = len(keys) - answered(db, list(keys))
        return Ahead(asked=asked + waiting - len(found), dispatched=dispatched, reserved=reserved)
    held = db.execute("SELECT count(*) FROM run_rows WHERE run = ? AND state = 'held'", [run]).fetchone()[0]
    due = max(0, waiting - held - dispatched)
    return Ahead(asked=dispatched + round(due * _fresh(db, run)), dispatched=dispatched, reserved=reserved)


def _fresh(db: Database, run: int) -> float:
    """The share of the rows to be asked for the first time that nothing answers yet."""
    due = "run = :run AND state = 'due' AND due_at = 0"
    first, last = db.execute(
        f"""
        SELECT (SELECT ordinal FROM run_rows WHERE {due} ORDER BY ordinal LIMIT 1),
               (SELECT ordinal FROM run_rows WHERE {due} ORDER BY ordinal DESC LIMIT 1)
        """,
        {"run": run},
    ).fetchone()
    if first is None:
        return 1.0
    step = max(1, (last - first) // SAMPLE)
    found = db.execute(
        """
        SELECT reuse_key FROM run_rows WHERE run = ? AND ordinal IN (SELECT value FROM json_each(?))
        AND +state = 'due' AND reuse_key IS NOT NULL
        """,
        [run, json.dumps(list(range(first, last + 1, step)))],
    ).fetchall()
    keys = {key for (key,) in found}
    return (len(keys) - answered(db, list(keys))) / len(found) if found else 1.0


def resumed(db: Database, run: int) -> list[float]:
    """When a person has let the run go on, among the newest requests."""
    found = db.execute(
        """
        SELECT applied_at FROM requests WHERE id > (SELECT coalesce(max(id), 0) FROM requests) - ?
        AND kind IN ('resume', 'set_budget') AND applied_at IS NOT NULL AND json_extract(body, '$.run') = ?
        """,
        [MOST_REQUESTS, run],
    ).fetchall()
    return [when for (when,) in found]


def answered(db: Database, keys: Sequence[bytes]) -> int:
    """How many of these different questions have an answer that may be used again."""
    return len(known(db, keys))


def known(db: Database, keys: Sequence[bytes]) -> set[bytes]:
    """Those of these questions that have an answer which may be used again."""
    found = set[bytes]()
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        marks = ", ".join("?" * len(chunk))
        found |= {key for (key,) in db.execute(f"SELECT key FROM reuse WHERE key IN ({marks})", chunk)}
    return found
