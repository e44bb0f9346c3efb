"""What the calls of each run come to, minute by minute: kept in the very transactions that record them.

A page adds up minutes and not calls, so a million calls cost it no more than some thousand minutes. A call belongs to the
minute in which it was sent, and what became of its rows goes with it; a row that ended without a call belongs to the minute
in which that was recorded. Latencies are kept one by one, as they were measured, so that percentiles stay exact.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlite_utils import Database

from jobs.store.sums import FIGURES, Sum

#: seconds of a tally
MINUTE = 60
#: latencies in one record at most: it is written again with every batch until it is full, and has to stay within its page
MOST_LATENCIES = 96


#: what of a call is counted, beside what it has brought
COLUMNS = (
    "run", "sent_at", "outcome", "cost", "prompt_tokens", "completion_tokens", "cached_tokens", "seconds", "settled", "price",
    "reserved",
)  # fmt: skip


class Call(NamedTuple):
    """What a call adds to its minute: ``COLUMNS`` as they are stored, and what it has brought."""

    run: int
    sent_at: float
    outcome: str
    #: None where it is unknown
    cost: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    #: None where nobody knows
    seconds: float | None
    #: 0 where nobody knows whether it is charged
    settled: int
    #: None where no price is known
    price: str | None
    reserved: float
    #: rows that got their value of it, strikes, rows that died of it
    accepted: int
    strikes: int
    dead: int


class Tally:
    """Keeps calls while a batch goes on; ``write`` adds them up and brings the sums into the file."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._taken_back: list[Call] = []
        self._unsent: list[tuple[int, float, Sum]] = []

    def add(self, call: Call) -> None:
        """Count a call in."""
        self._calls.append(call)

    def take_back(self, call: Call) -> None:
        """Count a call without a known end out again: it is about to become another one."""
        self._taken_back.append(call)

    def dead(self, run: int, at: float, rows: int) -> None:
        """Count rows in that died before a call was sent."""
        self._unsent.append((run, at, Sum(dead=rows)))

    def reused(self, run: int, at: float, saved: Sequence[float | None]) -> None:
        """Count rows in that reused an answer: what each had cost, None where it is unknown."""
        sums = Sum(reused=len(saved), saved=sum(filter(None, saved)), unpriced_reused=saved.count(None))
        self._unsent.append((run, at, sums))

    def write(self, db: Database) -> None:
        """Add everything to the file."""
        minutes: dict[tuple[int, int], Minute] = {}
        for key, calls in _by_minute(self._calls).items():
            minutes[key] = Minute(_added_up(calls), _latencies(calls))
        for key, calls in _by_minute(self._taken_back).items():
            minutes.setdefault(key, Minute()).sum.add(_added_up(calls), times=-1)
        for run, at, sums in self._unsent:
            minutes.setdefault((run, int(at // MINUTE)), Minute()).sum.add(sums)
        for (run, minute), one in minutes.items():
            _write(db, run, minute, one)
        self._calls, self._taken_back, self._unsent = [], [], []


@dataclass(slots=True)
class Minute:
    """What a batch adds to a minute of a run."""

    sum: Sum = field(default_factory=Sum)
    latencies: array[float] = field(default_factory=lambda: array("d"))


def _by_minute(calls: Iterable[Call]) -> dict[tuple[int, int], list[Call]]:
    found: dict[tuple[int, int], list[Call]] = {}
    for call in calls:
        found.setdefault((call[0], int(call[1] // MINUTE)), []).append(call)
    return found


def _added_up(calls: Sequence[Call]) -> Sum:
    """The sum of some calls; column by column, since the keeper does it for every call there is."""
    _, _, outcomes, costs, prompt, completion, cached, _, settled, _, _, accepted, strikes, dead = zip(
        *calls, strict=True
    )
    throttles, replies = outcomes.count("throttled"), outcomes.count("replied")
    without = [call.cost for call in calls if not call.accepted]
    aside = () if all(settled) else [call.reserved for call in calls if not call.settled and call.price is not None]
    return Sum(
        calls=len(calls),
        accepted=sum(accepted),
        dead=sum(dead),
        strikes=sum(strikes),
        throttles=throttles,
        transport_failures=len(calls) - replies - throttles,
        cost=sum(filter(None, costs)),
        unpriced_calls=costs.count(None),
        open_calls=len(aside),
        set_aside=sum(aside),
        wasted=sum(filter(None, without)),
        wasted_calls=len(without),
        prompt_tokens=sum(filter(None, prompt)),
        completion_tokens=sum(filter(None, completion)),
        cached_tokens=sum(filter(None, cached)),
    )


def _latencies(calls: Iterable[Call]) -> array[float]:
    return array("d", [call[7] for call in calls if call[2] == "replied" and call[7] is not None])


_LAST = "SELECT part, length(latencies) FROM tallies WHERE run = ? AND minute = ? ORDER BY part DESC LIMIT 1"
_MORE = f"""
    UPDATE tallies SET {", ".join(f"{name} = {name} + ?" for name in FIGURES)}, latencies = CAST(latencies || ? AS BLOB)
    WHERE run = ? AND minute = ? AND part = ?
"""
_NEW = f"""
    INSERT INTO tallies ({", ".join(FIGURES)}, latencies, run, minute, part) VALUES (?{", ?" * (len(FIGURES) + 3)})
"""


def _write(db: Database, run: int, minute: int, one: Minute) -> None:
    """Fill the minute's last record, and begin new ones where that is full."""
    last = db.conn.execute(_LAST, [run, minute]).fetchone()
    part, left = (0, 0) if last is None else (last[0], MOST_LATENCIES - last[1] // one.latencies.itemsize)
    statement, figures, rest = _MORE, [getattr(one.sum, name) for name in FIGURES], one.latencies
    if last is None:
        statement, left = _NEW, MOST_LATENCIES
    while True:
        db.conn.execute(statement, [*figures, rest[:left].tobytes(), run, minute, part])
        rest = rest[left:]
        if not rest:
            return
        statement, figures, left, part = _NEW, [0] * len(FIGURES), MOST_LATENCIES, part + 1


# -- from the ledger ---------------------------------------------------------------------------------------------------

_CALL = f"""
    SELECT {", ".join(f"c.{name}" for name in COLUMNS)},
           (SELECT count(*) FROM attempts a WHERE a.call = c.id AND a.verdict = 'accepted' AND a.superseded = 0),
           (SELECT coalesce(sum(a.strike), 0) FROM attempts a WHERE a.call = c.id),
           (SELECT count(*) FROM attempts a JOIN dead_letters d ON d.run = a.run AND d.ordinal = a.ordinal AND d.attempt = a.id
            WHERE a.call = c.id)
    FROM calls c
"""
#: of attempts that nothing was sent for: reused answers, and what a row died of before its request went out
_UNSENT = """
    SELECT a.recorded_at, a.verdict = 'accepted', a.saved,
           EXISTS (SELECT 1 FROM dead_letters d WHERE d.run = a.run AND d.ordinal = a.ordinal AND d.attempt = a.id)
    FROM attempts a WHERE a.run = ? AND a.call IS NULL
"""
_MARK = """
    UPDATE calls SET wasted = 1 - wasted
    WHERE run = ? AND wasted = EXISTS (
        SELECT 1 FROM attempts a WHERE a.call = calls.id AND a.verdict = 'accepted' AND a.superseded = 0
    )
"""


def of_call(db: Database, call: int) -> Call:
    """What a call adds to its minute as it stands in the ledger."""
    return Call(*db.conn.execute(f"{_CALL} WHERE c.id = ?", [call]).fetchone())


def recount(db: Database, runs: Iterable[int] | None = None) -> None:
    """Make the tallies of some runs, or of all, anew from the ledger, and say again which calls brought no value."""
    for run in list(runs) if runs is not None else [run for (run,) in db.execute("SELECT id FROM runs").fetchall()]:
        db.execute("DELETE FROM tallies WHERE run = ?", [run])
        tally = Tally()
        for call in db.execute(f"{_CALL} WHERE c.run = ? ORDER BY c.sent_at", [run]):
            tally.add(Call(*call))
        for at, reused, saved, dead in db.execute(_UNSENT, [run]):
            if reused:
                tally.reused(run, at, [saved])
            else:
                tally.dead(run, at, dead)
        tally.write(db)
        db.execute(_MARK, [run])
