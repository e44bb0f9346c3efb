"""A store of any size with everything in it that a year of use leaves behind, in the shapes that the keeper writes.

Seven tenths of the rows are in one finished run of the last seven days, a tenth in a run that goes on now, the rest in many
runs of the last thirty. The dead are spread over them by share; some of the first run's are replayed, corrected, discarded.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sqlite_utils import Database

from tests.jobs.ledger import FAULTS, Fault, Ledger
from tests.jobs.ledger_rows import problem

DAY = 86_400.0
#: runs beside the two large ones, and how many dead letters are decided by hand
OTHERS, CORRECTED, DISCARDED = 60, 20, 50
_MODELS: tuple[tuple[str, str, dict[str, float] | None], ...] = (
    ("gpt-4o-mini", "openai", {"input": 0.15, "output": 0.6, "cached": 0.075}),
    ("gpt-4o", "openai", {"input": 2.5, "output": 10.0, "cached": 1.25}),
    ("own-7b", "vllm", None),
)
#: the model that rows of the large run climb to
RUNG = "gpt-4o"
_UPPER = {
    "connection": "openai",
    "base_url": "https://api.openai.com/v1",
    "model": RUNG,
    "price": {"input": 2.5, "output": 10.0, "cached": 1.25},
}
#: causes that only small runs die of
_RARE = tuple(
    Fault(
        f"1:type:$.field_{n}:string",
        f"`field_{n}` is text, not a number",
        problem(f"$.field_{n}", "type", "number", '"many"', 12, 18),
        f'{{"field_{n}": "many", "summary": "Asks for help with number {n} of a longer list of things"}}',
    )
    for n in range(24)
)


@dataclass(frozen=True, kw_only=True)
class Stock:
    """What was made, by what it is good for."""

    now: float
    dataset: str
    finished: int
    running: int
    replay: int
    small: int
    #: a dead letter of the finished run
    letter: int


def fill(db: Database, *, rows: int, dead: int) -> Stock:
    """Write that many rows and about that many dead letters, the last of them now; a store that is filled stays as it is."""
    if db["runs"].count:
        return _known(db)
    now = time.time()
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA cache_size = -1000000")
    ledger = Ledger(db)
    versions = [ledger.version(prompt=prompt, number=number) for prompt in ("triage", "enrich") for number in (1, 2, 3)]
    table = ledger.dataset(rows)
    large, going = rows * 7 // 10, rows // 10
    letters = dead * 7 // 10
    finished = ledger.run(
        table,
        versions[0],
        ordinals=range(1, large + 1),
        began=now - 6.5 * DAY,
        pace=6.4 * DAY / large,
        dead=letters,
        climbed=large // 20,
        upper=_UPPER,
        cached=0.4,
        **_mixed(large),
    )
    _others(ledger, table, versions, first=large + going + 1, last=rows, dead=dead // 5, now=now)
    replay = _reviewed(ledger, finished, versions[1], letters, now=now)
    running = ledger.run(
        table,
        versions[2],
        ordinals=range(large + 1, large + going + 1),
        began=now - 3600,
        pace=3600 / going,
        dead=dead // 10,
        due=going // 5,
        dispatched=min(64, going // 20),
        backing_off=going // 100,
        struck=going // 100,
        not_laid_out=going // 10,
        **_mixed(going),
    )
    assert (finished, replay, running) == (1, OTHERS + 2, OTHERS + 3)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return _known(db)


def _known(db: Database) -> Stock:
    """What is in a store that was filled."""
    last, now = db.execute("SELECT max(id), max(created_at) + 3600 FROM runs").fetchone()
    letter = db.execute(
        "SELECT ordinal FROM dead_letters WHERE run = 1 AND resolution = 'open' ORDER BY ordinal"
    ).fetchone()[0]
    dataset = db.execute("SELECT dataset FROM runs WHERE id = 1").fetchone()[0]
    return Stock(now=now, dataset=dataset, finished=1, running=last, replay=last - 1, small=2, letter=letter)


def _mixed(rows: int) -> dict[str, int]:
    return {"reused": rows // 20, "reasked": rows // 33, "throttled": rows // 50}


def _others(ledger: Ledger, table: str, versions: list[int], *, first: int, last: int, dead: int, now: float) -> None:
    """Sixty runs one after the other over thirty days, each with its own slice of the table."""
    size = (last - first + 1) // OTHERS
    for n in range(OTHERS):
        model, connection, price = _MODELS[n % len(_MODELS)]
        given: dict[str, Any] = {"model": model, "connection": connection, "price": price}
        ledger.run(
            table,
            versions[n % len(versions)],
            ordinals=range(first + n * size, first + (n + 1) * size),
            began=now - 30 * DAY * (OTHERS - n) / OTHERS,
            pace=0.4 * DAY / size,
            dead=dead // OTHERS,
            faults=(*FAULTS, *_RARE),
            **_mixed(size),
            **given,
        )


def _reviewed(ledger: Ledger, run: int, version: int, letters: int, *, now: float) -> int:
    """A quarter of a run's dead letters is replayed, with every end; some of the others are decided by hand."""
    taken = letters // 4
    replay = ledger.replay(
        run,
        version,
        fixed=taken // 2,
        same=taken // 4,
        new=taken - taken // 2 - taken // 4,
        began=now - 3 * 3600,
        pace=3600 / max(taken, 1),
    )
    left = ledger.dead(run)[taken:]
    for ordinal in left[: min(CORRECTED, len(left) // 4)]:
        ledger.correct(run, ordinal, {"sentiment": "neutral", "urgency": 1, "summary": "By hand."})
    ledger.discard(run, left[-min(DISCARDED, len(left) // 4) :])
    return replay
