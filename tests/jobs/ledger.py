"""A realistic store, written by SQL as the keeper would write it, small for tests and large for speed checks.

``Ledger(db)`` takes a writer's connection. Every method commits, and returns the id of what it made::

    ledger = Ledger(db)
    dataset = ledger.dataset(rows=200)
    run = ledger.run(dataset, ledger.version(), dead=10, reused=5)
    replay = ledger.replay(run, ledger.version(number=2), fixed=6, same=2, new=1)

Which row meets which fate is shuffled with a fixed seed, so that two ledgers made alike are alike.
"""

from __future__ import annotations

import hashlib
import json
import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlite_utils import Database

from jobs import plan, prompts
from jobs.store import drawer
from jobs.values import VersionContent

#: when the first run begins, epoch seconds
DAWN = 1_700_000_000.0
COLUMNS = ("ticket", "customer", "subject", "message")
TEMPLATE = "system:\nYou sort support messages. Answer with JSON.\n\nuser:\nFrom {{ customer }}:\n{{ message }}"
CONTRACT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "sentiment": {"type": "string", "enum": ["positive", "neutral", "negative"]},
        "urgency": {"type": "integer", "minimum": 1, "maximum": 5},
        "summary": {"type": "string"},
    },
    "required": ["sentiment", "urgency", "summary"],
}
PRICE = {"input": 0.15, "output": 0.6, "cached": 0.075}


@dataclass(frozen=True)
class Fault:
    """One way of dying: its signature, its title, its leading problem and a raw reply that shows it."""

    signature: str
    title: str
    problem: dict[str, Any] | None
    raw: str | None
    finish_reason: str | None = "stop"


def _problem(path: str, rule: str, expected: str, got: str, start: int | None = None, end: int | None = None) -> Any:
    return {"path": path, "rule": rule, "expected": expected, "got": got, "start": start, "end": end}


FAULTS = (
    Fault(
        "1:required:$.sentiment",
        "`sentiment` is missing",
        _problem("$.sentiment", "required", "one of positive, neutral, negative", "nothing", 0, 41),
        '{"urgency": 3, "summary": "Wants refund"}',
    ),
    Fault(
        "1:not_json:prose",
        "reply is not JSON: prose",
        _problem("$", "not_json", "one JSON object", "prose", 0, 38),
        "The customer is unhappy about the fee.",
    ),
    Fault(
        "1:enum:$.sentiment",
        "`sentiment` is not one of the allowed values",
        _problem("$.sentiment", "enum", "one of positive, neutral, negative", '"angry"', 14, 21),
        '{"sentiment": "angry", "urgency": 5, "summary": "Late parcel"}',
    ),
    Fault(
        "1:type:$.urgency:string",
        "`urgency` is text, not a whole number",
        _problem("$.urgency", "type", "integer", '"high"', 37, 43),
        '{"sentiment": "neutral", "urgency": "high", "summary": "Asks for help"}',
    ),
    Fault(
        "1:cut",
        "reply was cut off at max_tokens",
        _problem("$", "cut", "a whole answer", "a reply that ends in the middle", 40, 52),
        '{"sentiment": "negative", "urgency": 4, "summary": "The c',
        "length",
    ),
    Fault("1:unreachable", "the endpoint could not be reached", None, None, None),
)


@dataclass
class _Plan:
    """What is to be written of one run."""

    run: int
    root: int
    version: int
    model: str
    connection: str
    base_url: str
    price: dict[str, float] | None
    began: float
    pace: float
    texts: dict[str, bytes] = field(default_factory=dict)


class Ledger:
    """Writes a store."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.now = DAWN
        self._call = self._next("calls")
        self._attempt = self._next("attempts")
        with self.db.atomic():
            self.db.conn.executemany(
                "INSERT OR IGNORE INTO signatures (signature, title) VALUES (?, ?)",
                [(fault.signature, fault.title) for fault in FAULTS],
            )

    def _next(self, table: str) -> int:
        return int(self.db.execute(f"SELECT coalesce(max(id), 0) + 1 FROM {table}").fetchone()[0])

    def dataset(
        self,
        rows: int = 20,
        *,
        name: str = "tickets.csv",
        id_column: str | None = "ticket",
        cells: Sequence[Sequence[str]] | None = None,
        columns: Sequence[str] = COLUMNS,
        state: str = "ready",
        repeats: int = 0,
    ) -> str:
        """A dataset; of its rows the last ``repeats`` have the customer and message of the first ones."""
        given = (
            list(cells)
            if cells is not None
            else [_ticket(n if n <= rows - repeats else n - rows + repeats, n) for n in range(1, rows + 1)]
        )
        sha = hashlib.sha256(json.dumps([name, list(columns), len(given), repeats]).encode()).hexdigest()
        layout = {
            "name": name, "format": "csv", "encoding": "utf-8", "delimiter": ",", "columns": list(columns),
            "rows": len(given), "size_bytes": 120 * len(given), "findings": [],
        }  # fmt: skip
        dataset = f"d-{sha[:12]}"
        with self.db.atomic():
            self.db.execute(
                "INSERT INTO datasets (id, sha256, name, layout, columns, row_count, facts, id_column, state, created_at) "
                "VALUES (?, ?, ?, ?, ?, ?, NULL, ?, ?, ?)",
                (
                    dataset,
                    sha,
                    name,
                    json.dumps(layout),
                    json.dumps(list(columns)),
                    len(given),
                    id_column,
                    state,
                    self.now,
                ),
            )
            self.db.conn.executemany(
                "INSERT INTO rows (dataset, ordinal, cells) VALUES (?, ?, ?)",
                ((dataset, n, drawer.packed(row)) for n, row in enumerate(given, 1)),
            )
        return dataset

    def version(
        self,
        *,
        prompt: str = "triage",
        number: int | None = 1,
        template: str | None = None,
        contract: dict[str, Any] | None = None,
        model: str | None = "gpt-4o-mini",
        label: str | None = None,
    ) -> int:
        """A version; without a template, one that differs from the other numbers."""
        content = VersionContent(
            template=template or TEMPLATE + "\n" * (number != 1) + f"{{# {number} #}}" * (number != 1),
            contract=contract or CONTRACT,
            model=model,
            max_tokens=128,
        )
        with self.db.atomic():
            version = self.db.execute(
                "INSERT INTO versions (prompt, number, hash, content, note, created_at) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    prompt,
                    number,
                    prompts.content_hash(content),
                    content.model_dump_json(),
                    f"number {number}",
                    self.now,
                ),
            ).lastrowid
            if label is not None:
                self.db.execute("INSERT OR REPLACE INTO labels VALUES (?, ?, ?, ?)", (prompt, label, number, self.now))
        return int(version or 0)

    def run(
        self,
        dataset: str,
        version: int,
        *,
        kind: str = "run",
        rows: int | None = None,
        ordinals: Sequence[int] | None = None,
        dead: int = 0,
        reused: int = 0,
        reasked: int = 0,
        cancelled: int = 0,
        due: int = 0,
        dispatched: int = 0,
        backing_off: int = 0,
        struck: int = 0,
        throttled: int = 0,
        not_laid_out: int = 0,
        state: str | None = None,
        paused_by: str | None = None,
        model: str = "gpt-4o-mini",
        connection: str = "openai",
        price: dict[str, float] | None = PRICE,
        options: dict[str, Any] | None = None,
        edits: dict[int, dict[str, str]] | None = None,
        parent: int | None = None,
        began: float | None = None,
        pace: float = 0.05,
        faults: Sequence[Fault] = FAULTS,
        fates: dict[int, str | Fault] | None = None,
    ) -> int:
        """A run with so many rows of each fate; the others are accepted at the first question.

        The dead ones meet each fault in turn; ``struck`` are due rows with one strike, ``throttled`` accepted ones whose
        first request was throttled. The run starts at ``began`` and each row ends ``pace`` seconds after the one before.
        ``fates`` gives the fate of each ordinal, instead of the counts.
        """
        columns, total, id_column = self.db.execute(
            "SELECT columns, row_count, id_column FROM datasets WHERE id = ?", (dataset,)
        ).fetchone()
        chosen = list(ordinals) if ordinals is not None else list(range(1, (rows or total) + 1))
        laid = chosen[: len(chosen) - not_laid_out]
        if fates is None:
            given = ["reused"] * reused + ["reasked"] * reasked + ["cancelled"] * cancelled + ["due"] * due
            given += ["dispatched"] * dispatched + ["backing_off"] * backing_off + ["struck"] * struck
            given += ["throttled"] * throttled
            mixed: list[str | Fault] = [*given, *(faults[n % len(faults)] for n in range(dead))]
            mixed += ["accepted"] * (len(laid) - len(mixed))
            random.Random(7).shuffle(mixed)
            fates = dict(zip(laid, mixed, strict=True))
        waits = any(fate in ("due", "dispatched", "backing_off", "struck") for fate in fates.values()) or not_laid_out
        state = state or ("cancelled" if cancelled else "running" if waits else "finished")
        base_url = "https://api.openai.com/v1" if connection == "openai" else f"https://{connection}.example/v1"
        start = self.now if began is None else began
        prompt = self.db.execute("SELECT prompt FROM versions WHERE id = ?", (version,)).fetchone()[0]
        run = self._next("runs")
        root = run if parent is None else self.db.execute("SELECT root FROM runs WHERE id = ?", (parent,)).fetchone()[0]
        made = _Plan(run, root, version, model, connection, base_url, price, start, pace)
        ended = None if waits else start + pace * len(laid)
        with self.db.atomic():
            self.db.execute(
                "INSERT INTO runs (id, kind, root, parent, dataset, prompt, version, connection, base_url, model, price, options,"
                " columns, id_column, row_count, laid_out, state, paused_by, reason, created_at, ended_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (run, kind, root, parent, dataset, prompt, version, connection, base_url, model,
                 json.dumps(price) if price else None, json.dumps(options or {}), json.dumps(["customer", "message"]),
                 id_column, len(chosen), len(laid), state, paused_by, None, start, ended),
            )  # fmt: skip
            self._rows(made, json.loads(columns), dataset, fates, id_column, edits or {})
            self._sums(run)
        self.now = max(self.now, ended or start + pace * len(laid))
        return run

    def replay(
        self,
        parent: int,
        version: int,
        *,
        fixed: int = 0,
        same: int = 0,
        new: int = 0,
        waiting: int = 0,
        **options: Any,
    ) -> int:
        """A replay of so many open dead letters of a run, with what became of them; those that wait are due."""
        letters = self.db.execute(
            "SELECT ordinal, signature FROM dead_letters WHERE run = ? AND latest = 1 AND resolution = 'open' ORDER BY ordinal",
            (parent,),
        ).fetchall()[: fixed + same + new + waiting]
        by_signature = {fault.signature: fault for fault in FAULTS}
        ends = iter(["fixed"] * fixed + ["same"] * same + ["new"] * new + ["due"] * waiting)
        fates: dict[int, str | Fault] = {}
        for ordinal, signature in letters:
            end = next(ends)
            before = by_signature[signature]
            other = FAULTS[(FAULTS.index(before) + 1) % len(FAULTS)]
            fates[ordinal] = {"fixed": "accepted", "same": before, "new": other, "due": "due"}[end]
        dataset = self.db.execute("SELECT dataset FROM runs WHERE id = ?", (parent,)).fetchone()[0]
        ordinals = [ordinal for ordinal, _ in letters]
        run = self.run(dataset, version, kind="replay", ordinals=ordinals, fates=fates, parent=parent, **options)
        with self.db.atomic():
            decision = self.db.execute(
                "INSERT INTO decisions (kind, run, replay, ordinals, made_at) VALUES ('replay', ?, ?, ?, ?)",
                (parent, run, json.dumps(ordinals), self.now),
            ).lastrowid
            for ordinal, fate in fates.items():
                resolution, at, latest, by = {
                    "accepted": ("fixed", self.now, 1, run),
                    "due": ("replaying", None, 1, run),
                }.get(fate if isinstance(fate, str) else "", ("open", None, 0, None))
                self.db.execute(
                    "UPDATE dead_letters SET resolution = ?, resolved_at = ?, latest = ?, replay = ?, decision = ? "
                    "WHERE run = ? AND ordinal = ?",
                    (resolution, at, latest, by, decision, parent, ordinal),
                )
        return run

    def correct(self, run: int, ordinal: int, value: dict[str, Any], *, reason: str = "") -> int:
        """A correction of one dead letter by hand."""
        root = self.db.execute("SELECT root FROM runs WHERE id = ?", (run,)).fetchone()[0]
        with self.db.atomic():
            decision = int(
                self.db.execute(
                    "INSERT INTO decisions (kind, run, ordinals, value, reason, made_at) VALUES ('correct', ?, ?, ?, ?, ?)",
                    (run, json.dumps([ordinal]), json.dumps(value), reason, self.now),
                ).lastrowid
                or 0
            )
            self._resolve(run, [ordinal], "corrected", decision)
            self.db.execute(
                "INSERT OR REPLACE INTO results (root, ordinal, run, attempt, decision) VALUES (?, ?, ?, NULL, ?)",
                (root, ordinal, run, decision),
            )
            self.db.execute(
                "INSERT INTO result_moves (root, ordinal, run, attempt, decision, made_at) VALUES (?, ?, ?, NULL, ?, ?)",
                (root, ordinal, run, decision, self.now),
            )
        return decision

    def discard(self, run: int, ordinals: Sequence[int], *, reason: str = "not needed") -> int:
        """Dead letters that a person does not need."""
        with self.db.atomic():
            decision = int(
                self.db.execute(
                    "INSERT INTO decisions (kind, run, ordinals, reason, made_at) VALUES ('discard', ?, ?, ?, ?)",
                    (run, json.dumps(list(ordinals)), reason, self.now),
                ).lastrowid
                or 0
            )
            self._resolve(run, ordinals, "discarded", decision)
        return decision

    def dead(self, run: int) -> list[int]:
        """The ordinals of a run's dead letters."""
        found = self.db.execute("SELECT ordinal FROM dead_letters WHERE run = ? ORDER BY ordinal", (run,))
        return [ordinal for (ordinal,) in found.fetchall()]

    def _resolve(self, run: int, ordinals: Sequence[int], resolution: str, decision: int) -> None:
        for ordinal in ordinals:
            self.db.execute(
                "UPDATE dead_letters SET resolution = ?, resolved_at = ?, decision = ? WHERE run = ? AND ordinal = ?",
                (resolution, self.now, decision, run, ordinal),
            )

    def _rows(
        self,
        made: _Plan,
        columns: list[str],
        dataset: str,
        fates: dict[int, str | Fault],
        id_column: str | None,
        edits: dict[int, dict[str, str]],
    ) -> None:
        stored = self.db.execute("SELECT content, hash FROM versions WHERE id = ?", (made.version,)).fetchone()
        content = VersionContent.model_validate_json(stored[0])
        source = self.db.conn.execute("SELECT ordinal, cells FROM rows WHERE dataset = ? ORDER BY ordinal", (dataset,))
        rows = (row for row in source if row[0] in fates)
        place = 0
        while batch := list(islice(rows, 10_000)):
            writing = _Writing()
            for ordinal, text in batch:
                place += 1
                cells = edits.get(ordinal) or dict(zip(columns, json.loads(text), strict=True))
                edited = (
                    json.dumps([cells[column] for column in columns], ensure_ascii=False) if ordinal in edits else None
                )
                key = plan.reuse_key(
                    base_url=made.base_url,
                    model=made.model,
                    content=content,
                    version_hash=stored[1],
                    cells={name: cells.get(name, "") for name in ("customer", "message")},
                )
                row_id = cells[id_column] if id_column else str(ordinal)
                self._row(
                    made, writing, (ordinal, row_id, edited, key), cells, fates[ordinal], made.began + made.pace * place
                )
            writing.put(self.db)

    def _row(
        self,
        made: _Plan,
        writing: _Writing,
        head: tuple[int, str, str | None, bytes],
        cells: dict[str, str],
        fate: str | Fault,
        at: float,
    ) -> None:
        ordinal, row_id, edited, key = head
        dies = isinstance(fate, Fault)
        state = "dead" if isinstance(fate, Fault) else {"cancelled": "cancelled", "dispatched": "dispatched"}.get(
            fate, "due" if fate in ("due", "backing_off", "struck") else "accepted"
        )  # fmt: skip
        last: int | None = None
        signature: str | None = None
        strikes = tries = waits = 0
        if isinstance(fate, Fault):
            signature = fate.signature
            if fate.raw is None:
                tries = 6
                for n in range(6):
                    failure = {
                        "kind": "transient",
                        "message": "connection reset",
                        "status": None,
                        "code": None,
                        "retry_after": None,
                    }
                    call = self._asked(made, writing, cells, at - 6 + n, outcome="transient", failure=failure)
                    last = self._judged(
                        made, writing, call, ordinal, "failed", at - 6 + n,
                        problems=[_problem("$", "unreachable" if n == 5 else "transient", "a reply to judge", "connection reset")],
                        signature=fate.signature if n == 5 else None,
                    )  # fmt: skip
            else:
                strikes = 3
                for n in range(3):
                    call = self._asked(made, writing, cells, at - 3 + n, raw=fate.raw, finish=fate.finish_reason)
                    last = self._judged(
                        made, writing, call, ordinal, "rejected", at - 3 + n, strike=1, asked=n + 1,
                        problems=[fate.problem], signature=fate.signature,
                    )  # fmt: skip
            writing.letters.append((made.run, ordinal, made.root, row_id, fate.signature, last, at))
        elif fate in ("reasked", "struck"):
            strikes = 1
            fault = FAULTS[0]
            signature = fault.signature
            call = self._asked(made, writing, cells, at - 1, raw=fault.raw)
            last = self._judged(
                made,
                writing,
                call,
                ordinal,
                "rejected",
                at - 1,
                strike=1,
                problems=[fault.problem],
                signature=signature,
            )
        elif fate in ("throttled", "backing_off"):
            waits = 1
            failure = {"kind": "throttled", "message": "slow down", "status": 429, "code": None, "retry_after": 1.0}
            call = self._asked(made, writing, cells, at - 1, outcome="throttled", failure=failure, status=429)
            problem = _problem("$", "throttled", "a reply to judge", "slow down")
            self._judged(made, writing, call, ordinal, "failed", at - 1, problems=[problem])
        if state == "accepted":
            asked = 2 if fate == "reasked" else 1
            value = _answer(ordinal)
            call_id = None if fate == "reused" else self._asked(made, writing, cells, at, raw=value)
            receipt = {"how": "reused", "source": 1} if fate == "reused" else {"how": "strict", "asked": asked}
            last = self._judged(
                made, writing, call_id, ordinal, "accepted", at, asked=asked, value=value, receipt=receipt
            )
            writing.results.append((made.root, ordinal, made.run, last))
            if made.run != made.root:
                writing.moves.append((made.root, ordinal, made.run, last, at))
            if fate != "reused":
                writing.reuse.append((key, last))
        ended = at if state in ("accepted", "dead", "cancelled") else None
        due = at + 3600 * 24 * 3650 if fate == "backing_off" else 0.0
        try_id = f"t-{made.run}-{ordinal}" if state == "dispatched" else None
        writing.rows.append(
            (made.run, ordinal, row_id, state, key, edited, strikes, tries if dies else 0, waits, due, try_id,
             at if try_id else None, last, signature if dies else None, ended)
        )  # fmt: skip

    def _asked(
        self,
        made: _Plan,
        writing: _Writing,
        cells: dict[str, str],
        at: float,
        *,
        raw: str | None = None,
        finish: str | None = "stop",
        outcome: str = "replied",
        failure: dict[str, Any] | None = None,
        status: int | None = 200,
    ) -> int:
        call, self._call = self._call, self._call + 1
        replied = outcome == "replied"
        asked_tokens, answered = 80 + len(cells.get("message", "")) // 4, len(raw or "") // 4
        cost = (
            None if made.price is None else (asked_tokens * made.price["input"] + answered * made.price["output"]) / 1e6
        )
        writing.calls.append(
            (call, f"try-{call}", made.run, f"lane-{call % 2}", outcome, at, 0.3 + (call % 97) / 100, 0.01,
             status if replied or status != 200 else None, json.dumps(failure) if failure else None,
             made.model if replied else None, finish if replied else None, f"req-{call}" if replied else None,
             asked_tokens if replied else None, answered if replied else None, 0 if replied else None,
             cost if replied else (0.0 if made.price is not None else None),
             json.dumps(made.price) if made.price else None, self._request(made, cells),
             raw.encode("utf-8", "surrogatepass") if raw is not None else None, at + 0.5)
        )  # fmt: skip
        return call

    def _request(self, made: _Plan, cells: dict[str, str]) -> bytes:
        # packing 100,000 requests takes longer than everything else, so only some of a large run's are its own
        key = cells.get("message", "")
        if key not in made.texts:
            if len(made.texts) >= 2_000:
                return next(iter(made.texts.values()))
            body = {
                "model": made.model,
                "messages": [
                    {"role": "system", "content": "You sort support messages. Answer with JSON."},
                    {"role": "user", "content": f"From {cells.get('customer', '')}:\n{key}"},
                ],
                "max_tokens": 128,
            }
            made.texts[key] = zlib.compress(json.dumps(body).encode(), 1)
        return made.texts[key]

    def _judged(
        self,
        made: _Plan,
        writing: _Writing,
        call: int | None,
        ordinal: int,
        verdict: str,
        at: float,
        *,
        strike: int = 0,
        asked: int = 1,
        value: str | None = None,
        receipt: dict[str, Any] | None = None,
        problems: list[Any] | None = None,
        signature: str | None = None,
    ) -> int:
        attempt, self._attempt = self._attempt, self._attempt + 1
        writing.attempts.append(
            (attempt, call, made.run, ordinal, verdict, strike, asked, value, json.dumps(receipt) if receipt else None,
             json.dumps(problems) if problems else None, signature, at + 0.5)
        )  # fmt: skip
        return attempt

    def _sums(self, run: int) -> None:
        self.db.execute(
            "UPDATE runs SET (calls, prompt_tokens, completion_tokens, cached_tokens, cost, throttles) = (SELECT count(*), "
            "coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0), coalesce(sum(cached_tokens), 0), "
            "coalesce(sum(cost), 0), coalesce(sum(outcome = 'throttled'), 0) FROM calls WHERE run = :run) WHERE id = :run",
            {"run": run},
        )


@dataclass
class _Writing:
    """Rows of several tables that are put into the file together."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    attempts: list[tuple[Any, ...]] = field(default_factory=list)
    letters: list[tuple[Any, ...]] = field(default_factory=list)
    results: list[tuple[Any, ...]] = field(default_factory=list)
    moves: list[tuple[Any, ...]] = field(default_factory=list)
    reuse: list[tuple[Any, ...]] = field(default_factory=list)

    def put(self, db: Database) -> None:
        for table, columns, rows, verb in self._tables():
            marks = ", ".join("?" * len(columns.split(",")))
            db.conn.executemany(f"INSERT {verb} INTO {table} ({columns}) VALUES ({marks})", rows)

    def _tables(self) -> Iterator[tuple[str, str, list[tuple[Any, ...]], str]]:
        yield (
            "run_rows",
            "run, ordinal, row_id, state, reuse_key, cells, strikes, tries, waits, due_at, try_id, dispatched_at, attempt, "
            "signature, ended_at",
            self.rows,
            "",
        )
        yield (
            "calls",
            "id, try_id, run, lane, outcome, sent_at, seconds, queue_seconds, status, failure, model, finish_reason, request_id, "
            "prompt_tokens, completion_tokens, cached_tokens, cost, price, request, raw, recorded_at",
            self.calls,
            "",
        )
        yield (
            "attempts",
            "id, call, run, ordinal, verdict, strike, asked, value, receipt, problems, signature, recorded_at",
            self.attempts,
            "",
        )
        yield "dead_letters", "run, ordinal, root, row_id, signature, attempt, died_at", self.letters, ""
        yield "results", "root, ordinal, run, attempt", self.results, "OR REPLACE"
        yield "result_moves", "root, ordinal, run, attempt, made_at", self.moves, ""
        yield "reuse", "key, attempt", self.reuse, "OR IGNORE"


def _ticket(subject: int, ordinal: int) -> tuple[str, ...]:
    words = ("parcel", "invoice", "login", "refund", "cable", "delivery", "password", "colour")
    about = words[subject % len(words)]
    message = (
        f"Hello, this is about my {about}. I wrote to you {subject} days ago and nobody has answered. "
        f"The number on it is {subject * 7919 % 100_003}, and I would like to know what happens next. Thank you."
    )
    return f"T-{ordinal:06d}", f"Customer {subject % 5003}", f"My {about}", message


def _answer(ordinal: int) -> str:
    mood = ("positive", "neutral", "negative")[ordinal % 3]
    return json.dumps({"sentiment": mood, "urgency": 1 + ordinal % 5, "summary": f"Asks about number {ordinal}."})
