"""What the calls of each run come to, minute by minute: kept in the very transactions that record them.

A page adds up minutes and not calls, so a million calls cost it no more than some thousand minutes. A call belongs to the
minute in which it was sent, and what became of its rows goes with it; a row that ended without a call belongs to the minute
in which that was recorded. What ran on different rungs of a ladder is kept apart, since it went to different models. Latencies are
kept one by one, as they were measured, so that percentiles stay exact.

``ways`` holds by the minute where the money went and what was saved. A minute has few of them, so each is a record.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlite_utils import Database

from jobs.store import ways
from jobs.store.sums import FIGURES, Sum
from jobs.views.costs import OPEN

#: seconds of a tally
MINUTE = 60
#: latencies in one record at most: it is written again with every batch until it is full, and has to stay within its page
MOST_LATENCIES = 96


#: what of a call is counted, beside what it has brought
COLUMNS = (
    "run", "rung", "sent_at", "outcome", "cost", "prompt_tokens", "completion_tokens", "cached_tokens", "seconds", "settled",
    "price", "reserved", "way", "batch", "rows", "above", "saved_cache", "saved_batch", "saved_rows", "saved_ladder",
)  # fmt: skip


class Call(NamedTuple):
    """What a call adds to its minute: ``COLUMNS`` as they are stored, and what it has brought."""

    run: int
    rung: int
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
    #: as ``ways`` says
    way: str
    batch: int | None
    rows: int
    #: rungs of its run over the one that it asked
    above: int
    saved_cache: float | None
    saved_batch: float | None
    saved_rows: float | None
    saved_ladder: float | None
    #: rows that got their value of it, strikes, rows that died of it
    accepted: int
    strikes: int
    dead: int


#: what a call may have saved: the way, whether it is of that kind, and how much (None: unknown)
_SAVINGS: tuple[tuple[str, Callable[[Call], bool], Callable[[Call], float | None]], ...] = (
    ("cache", lambda call: bool(call.cached_tokens), lambda call: call.saved_cache),
    ("batch", lambda call: call.batch is not None and call.prompt_tokens is not None, lambda call: call.saved_batch),
    ("rows", lambda call: call.rows > 1 and call.prompt_tokens is not None, lambda call: call.saved_rows),
    ("ladder", lambda call: call.above > 0 and call.prompt_tokens is not None, lambda call: call.saved_ladder),
)
#: (run, minute, rung)
_Key = tuple[int, int, int]


class Tally:
    """Keeps calls while a batch goes on; ``write`` adds them up and brings the sums into the file."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._taken_back: list[Call] = []
        self._unsent: list[tuple[_Key, Sum]] = []

    def add(self, call: Call) -> None:
        """Count a call in."""
        self._calls.append(call)

    def take_back(self, call: Call) -> None:
        """Count a call without a known end out again: it is about to become another one."""
        self._taken_back.append(call)

    def dead(self, run: int, rung: int, at: float, rows: int) -> None:
        """Count rows in that died before a call was sent."""
        self._unsent.append(((run, int(at // MINUTE), rung), Sum(dead=rows)))

    def reused(self, run: int, rung: int, at: float, saved: float | None) -> None:
        """Count a row in that reused an answer: what that had cost, None where it is unknown."""
        one = Sum(reused=1, saved=saved or 0.0, unpriced_reused=int(saved is None))
        self._unsent.append(((run, int(at // MINUTE), rung), one))

    def write(self, db: Database) -> None:
        """Add everything to the file."""
        minutes: dict[_Key, Minute] = defaultdict(Minute)
        for key, calls in _by_minute(self._calls).items():
            minutes[key].sum, minutes[key].latencies = _added_up(calls), _latencies(calls)
            minutes[key].count(calls)
        for key, calls in _by_minute(self._taken_back).items():
            minutes[key].sum.add(_added_up(calls), times=-1)
            minutes[key].count(calls, times=-1)
        for key, one in self._unsent:
            minutes[key].sum.add(one)
            if one.reused:
                minutes[key].ways["reuse"].add(one.saved, one.reused, one.unpriced_reused)
        for key, minute in minutes.items():
            _write(db, key, minute)
        self._calls, self._taken_back, self._unsent = [], [], []


@dataclass(slots=True)
class Way:
    """What went, or was saved, in one way."""

    money: float = 0.0
    #: calls, or rows that reused an answer; and those among them of which nobody knows how much
    n: int = 0
    unknown: int = 0

    def add(self, money: float, n: int, unknown: int) -> None:
        """Take more of it in."""
        self.money, self.n, self.unknown = self.money + money, self.n + n, self.unknown + unknown


@dataclass(slots=True)
class Minute:
    """What a batch adds to a minute of a run."""

    sum: Sum = field(default_factory=Sum)
    latencies: array[float] = field(default_factory=lambda: array("d"))
    ways: dict[str, Way] = field(default_factory=lambda: defaultdict(Way))

    def count(self, calls: Iterable[Call], *, times: int = 1) -> None:
        """Count in where the money of these calls went and what they saved; with ``times=-1`` out."""
        for call in calls:
            money = call.reserved if call.way == OPEN else call.cost
            self.ways[call.way].add(times * (money or 0.0), times, times * (money is None))
            if call.cached_tokens or call.batch is not None or call.rows > 1 or call.above:
                for way, applies, saved in _SAVINGS:
                    if applies(call):
                        found = saved(call)
                        self.ways[way].add(times * (found or 0.0), times, times * (found is None))


def _by_minute(calls: Iterable[Call]) -> dict[_Key, list[Call]]:
    found: dict[_Key, list[Call]] = {}
    for call in calls:
        found.setdefault((call[0], int(call[2] // MINUTE), call[1]), []).append(call)
    return found


def _added_up(calls: Sequence[Call]) -> Sum:
    """The sum of some calls; column by column, since the keeper does it for every call there is."""
    _, _, _, outcomes, costs, prompt, completion, cached, _, settled, *_, accepted, strikes, dead = zip(
        *calls, strict=True
    )
    throttles, replies = outcomes.count("throttled"), outcomes.count("replied")
    without = [call.cost for call in calls if not call.accepted]
    aside = () if all(settled) else [call.reserved for call in calls if _is_open(call)]
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


def _is_open(call: Call) -> bool:
    return not call.settled and call.price is not None and call.cost is None


def _latencies(calls: Iterable[Call]) -> array[float]:
    return array("d", [call.seconds for call in calls if call.outcome == "replied" and call.seconds is not None])


_HERE = "run = ? AND minute = ? AND rung = ?"
_LAST = f"SELECT part, length(latencies) FROM tallies WHERE {_HERE} ORDER BY part DESC LIMIT 1"
_MORE = f"""
    UPDATE tallies SET {", ".join(f"{name} = {name} + ?" for name in FIGURES)}, latencies = CAST(latencies || ? AS BLOB)
    WHERE {_HERE} AND part = ?
"""
_NEW = f"""
    INSERT INTO tallies ({", ".join(FIGURES)}, latencies, run, minute, rung, part) VALUES (?{", ?" * (len(FIGURES) + 4)})
"""
_WAY = """
    INSERT INTO ways (run, minute, rung, way, money, n, unknown) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (run, minute, rung, way) DO UPDATE
    SET money = money + excluded.money, n = n + excluded.n, unknown = unknown + excluded.unknown
"""


def _write(db: Database, key: _Key, one: Minute) -> None:
    """Fill the minute's last record, and begin new ones where that is full."""
    db.conn.executemany(_WAY, [(*key, way, each.money, each.n, each.unknown) for way, each in one.ways.items()])
    last = db.conn.execute(_LAST, key).fetchone()
    part, left = (0, 0) if last is None else (last[0], MOST_LATENCIES - last[1] // one.latencies.itemsize)
    statement, figures, rest = _MORE, [getattr(one.sum, name) for name in FIGURES], one.latencies
    if last is None:
        statement, left = _NEW, MOST_LATENCIES
    while True:
        db.conn.execute(statement, [*figures, rest[:left].tobytes(), *key, part])
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
           EXISTS (SELECT 1 FROM dead_letters d WHERE d.run = a.run AND d.ordinal = a.ordinal AND d.attempt = a.id),
           coalesce((SELECT rung FROM run_rows r WHERE r.run = a.run AND r.ordinal = a.ordinal), 0)
    FROM attempts a WHERE a.run = ? AND a.call IS NULL
"""


def of_call(db: Database, call: int) -> Call:
    """What a call adds to its minute as it stands in the ledger."""
    return Call(*db.conn.execute(f"{_CALL} WHERE c.id = ?", [call]).fetchone())


def recount(db: Database, runs: Iterable[int] | None = None) -> None:
    """Make the tallies of some runs, or of all, anew from the ledger, and say again what follows from each call."""
    for run in list(runs) if runs is not None else [run for (run,) in db.execute("SELECT id FROM runs").fetchall()]:
        for table in ("tallies", "ways"):
            db.execute(f"DELETE FROM {table} WHERE run = ?", [run])
        ways.derive_run(db, run)
        tally = Tally()
        for call in db.execute(f"{_CALL} WHERE c.run = ? ORDER BY c.sent_at", [run]):
            tally.add(Call(*call))
        for at, reused, saved, dead, rung in db.execute(_UNSENT, [run]):
            if reused:
                tally.reused(run, rung, at, saved)
            else:
                tally.dead(run, rung, at, dead)
        tally.write(db)
