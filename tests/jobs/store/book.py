"""A store with one run, and a hand that dispatches and records for it: what a test of the books needs and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from jobs import prompts
from jobs.ladder import doubted
from jobs.messages import Ask, Outcome, RowAsk, RowVerdict
from jobs.options import Rung, RunOptions
from jobs.outcomes import Received
from jobs.requests import Start
from jobs.settings import Price
from jobs.store import applying, rows, runs
from jobs.store.database import open_writer
from jobs.store.record import Recorded, Recorder
from jobs.store.runs import transaction
from jobs.values import Failure, FailureKind, Problem, Receipt, Usage, Verdict
from tests.house import CONTENT

GOOD = Verdict(kind="accepted", value={"sentiment": "good", "words": 1}, receipt=Receipt(how="strict"))
BAD = Verdict(
    kind="rejected",
    problems=(Problem(path="$.words", rule="required", expected="words", got="missing"),),
    signature="s1|required|$.words|",
)
#: what a refusal comes with; what breaks off has none
_STATUS = {FailureKind.THROTTLED: 429, FailureKind.TOO_LONG: 413, FailureKind.BLOCKED: 401}
#: what the book's usual reply costs, in US dollars
COST = 1.0
PRICE = Price(input=1.0, output=2.0, cached=0.25)
#: a rung above the book's model, at ten times its price
DEAR = Rung(connection="far", base_url="http://far", model="dear", price=Price(input=10.0, output=20.0, cached=2.5))
#: what is accepted of a reply but not left at that
UNSURE = doubted(GOOD, Problem(path="$.words", rule="doubted", expected="more", got="a probability of 0.5"))


class Book:
    """A run of some rows, each reply of which costs ``COST``."""

    def __init__(
        self,
        folder: Path,
        *,
        n: int = 3,
        price: bool | Price = True,
        file: str = "a.db",
        options: RunOptions | None = None,
        upper: tuple[Rung, ...] = (),
    ) -> None:
        self.db: Database = open_writer(folder / file)
        self.now = 100.0
        with transaction(self.db):
            self.db.conn.execute(
                "INSERT INTO datasets VALUES ('d', 's', 'n', '{}', '[\"text\"]', ?, NULL, NULL, 'ready', 1.0)", [n]
            )
            self.db.conn.executemany(
                "INSERT INTO rows VALUES ('d', ?, ?)", [(one, json.dumps([f"row {one}"])) for one in range(1, n + 1)]
            )
            self.db.conn.execute(
                "INSERT INTO versions (id, prompt, number, hash, content, created_at) VALUES (1, 'p', 1, ?, ?, 1.0)",
                [prompts.content_hash(CONTENT), CONTENT.model_dump_json()],
            )
            start = Start(
                dataset="d",
                version=1,
                connection="c",
                base_url="http://a",
                model="m",
                price=price if isinstance(price, Price) else PRICE if price else None,
                upper=upper,
                columns=("text",),
                options=options or RunOptions(strikes=2),
            )
            self.run = applying.apply(self.db, start, now=self.now)["run"]
            runs.lay_out(self.db, self.record, most=n)

    @property
    def record(self) -> runs.RunRecord:
        found = runs.run(self.db, self.run)
        assert found is not None
        return found

    # -- what happens --------------------------------------------------------------------------------------------------

    def send(self, try_id: str, *ordinals: int, reserved: float = 0.5) -> None:
        ask = Ask(
            run=self.run,
            try_id=try_id,
            rows=tuple(RowAsk(ordinal=ordinal, cells={"text": "x"}) for ordinal in ordinals),
            max_tokens=10,
            dispatched_at=self.now,
        )
        with transaction(self.db):
            rows.mark_dispatched(self.db, self.record, [ask], {try_id: reserved})

    def reply(self, try_id: str, ordinal: int, verdict: Verdict, *, asked: int = 1, lane: str = "l") -> Outcome:
        """The outcome of a call that was replied to."""
        return Outcome(
            run=self.run,
            try_id=try_id,
            lane=lane,
            kind="replied",
            ordinals=(ordinal,),
            verdicts=(RowVerdict(ordinal=ordinal, asked=asked, verdict=verdict),),
            usage=Usage(prompt=1_000_000, completion=0),
            sent_at=self.now,
            seconds=1.0,
            rung=self.row(ordinal)["rung"],
        )

    def reply_about(self, try_id: str, verdicts: dict[int, Verdict], *, own: bool = True) -> Outcome:
        """The outcome of a call about several rows that was replied to; ``own``: a rejection is about the row's own answer."""
        first = next(iter(verdicts))
        told = tuple(
            RowVerdict(ordinal=ordinal, asked=1, verdict=verdict, own=own or verdict.kind == "accepted")
            for ordinal, verdict in verdicts.items()
        )
        one = self.reply(try_id, first, GOOD)
        return one.model_copy(update={"ordinals": tuple(verdicts), "verdicts": told})

    def failure(
        self, try_id: str, ordinal: int, kind: FailureKind, *, sent: bool = True, seconds: float = 1.0
    ) -> Outcome:
        """The outcome of a call that brought no reply, or was refused before it was sent."""
        return Outcome(
            run=self.run,
            try_id=try_id,
            lane="l",
            kind="failed",
            ordinals=(ordinal,),
            failure=Failure(kind=kind, message="why", status=_STATUS.get(kind)),
            sent_at=self.now if sent else 0.0,
            seconds=seconds,
            rung=self.row(ordinal)["rung"],
        )

    def come(self, try_id: str, ordinal: int, verdict: Verdict, *, asked: int = 1) -> None:
        self.take(self.reply(try_id, ordinal, verdict, asked=asked))

    def fail(self, try_id: str, ordinal: int, kind: FailureKind, *, sent: bool = True, seconds: float = 1.0) -> None:
        self.take(self.failure(try_id, ordinal, kind, sent=sent, seconds=seconds))

    def return_(self, try_id: str, *ordinals: int) -> None:
        self.take(Outcome(run=self.run, try_id=try_id, lane="l", kind="returned", ordinals=ordinals))

    def take(self, *outcomes: Outcome) -> Recorded:
        """Record outcomes in one batch."""
        with transaction(self.db):
            recorder = Recorder(self.db, now=self.now, chance=lambda: 0.0)
            recorder.record([Received(place="1", outcome=one, raw=b"{}", request=None) for one in outcomes])
        return recorder.done

    def lose(self, *try_ids: str) -> None:
        """Give calls up whose lane is gone."""
        with transaction(self.db):
            Recorder(self.db, now=self.now, chance=lambda: 0.0).lose(try_ids)

    def miss(self, *try_ids: str) -> None:
        """Give calls back that stand on no stream."""
        with transaction(self.db):
            rows.give_back(self.db, try_ids, now=self.now)

    def reuse(self, *pairs: tuple[int, int]) -> None:
        """Give rows the answers of attempts: (row, attempt)."""
        due = {row.ordinal: row for row in rows.due(self.db, self.record, most=100, now=self.now)}
        with transaction(self.db):
            recorder = Recorder(self.db, now=self.now, chance=lambda: 0.0)
            given = [(due[ordinal], attempt) for ordinal, attempt in pairs]
            recorder.accept_reused(self.record, rows.reuse(self.db, self.record, given, now=self.now))

    # -- what is so then -----------------------------------------------------------------------------------------------

    def row(self, ordinal: int) -> dict[str, Any]:
        return next(self.db.query("SELECT * FROM run_rows WHERE run = ? AND ordinal = ?", [self.run, ordinal]))

    def attempts(self, ordinal: int) -> list[tuple[str, int, int]]:
        query = "SELECT verdict, strike, superseded FROM attempts WHERE run = ? AND ordinal = ? ORDER BY id"
        return self.db.conn.execute(query, [self.run, ordinal]).fetchall()

    def sums(self) -> tuple[int, float, float]:
        """(calls, cost, reserved) of the run."""
        query = "SELECT calls, cost, reserved FROM runs WHERE id = ?"
        calls, cost, reserved = self.db.conn.execute(query, [self.run]).fetchone()
        return calls, cost, reserved

    def rebuilt(self) -> tuple[int, float, float]:
        """The same added up from the calls and the rows."""
        calls, cost, lost = self.db.conn.execute(
            "SELECT count(*), total(cost), total(reserved * (settled = 0)) FROM calls WHERE run = ?", [self.run]
        ).fetchone()
        under_way = self.db.conn.execute(
            "SELECT total(reserved) FROM run_rows WHERE run = ? AND try_id IS NOT NULL", [self.run]
        ).fetchone()[0]
        return calls, cost, lost + under_way

    def everything(self) -> dict[str, list[Any]]:
        """All that is written, to be held against a later look."""
        tables = ("runs", "run_rows", "calls", "attempts", "dead_letters", "results", "reuse", "asking")
        return {name: self.db.conn.execute(f"SELECT * FROM {name}").fetchall() for name in tables}
