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
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from sqlite_utils import Database

from jobs import plan, prompts
from jobs.store import drawer, tallies, went_on
from jobs.store.fates import SPENT
from jobs.values import VersionContent
from tests.jobs.ledger_rows import FAULTS, Fault, Head, RunWriter, ticket

__all__ = ["COLUMNS", "CONTRACT", "DAWN", "FAULTS", "PRICE", "TEMPLATE", "USED", "Fault", "Ledger"]

#: when the first run begins, epoch seconds
DAWN = 1_700_000_000.0
COLUMNS = ("ticket", "customer", "subject", "message")
#: those that the usual template uses
USED = ("customer", "message")
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
            else [ticket(n if n <= rows - repeats else n - rows + repeats, n) for n in range(1, rows + 1)]
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
        climbed: int = 0,
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
        upper: dict[str, Any] | None = None,
        cached: float = 0.0,
    ) -> int:
        """A run with so many rows of each fate; the others are accepted at the first question.

        The dead ones meet each fault in turn; ``struck`` are due rows with one strike, ``throttled`` accepted ones whose
        first request was throttled. The run starts at ``began`` and each row ends ``pace`` seconds after the one before.
        ``fates`` gives the fate of each ordinal, instead of the counts. ``upper`` is a Rung above its own model, to which the ``climbed``
        rows go; ``cached`` the share of prompt tokens that calls find cached.
        """
        columns, total, id_column = self.db.execute(
            "SELECT columns, row_count, id_column FROM datasets WHERE id = ?", (dataset,)
        ).fetchone()
        chosen = list(ordinals) if ordinals is not None else list(range(1, (rows or total) + 1))
        laid = chosen[: len(chosen) - not_laid_out]
        if fates is None:
            given = ["reused"] * reused + ["reasked"] * reasked + ["cancelled"] * cancelled + ["due"] * due
            given += ["dispatched"] * dispatched + ["backing_off"] * backing_off + ["struck"] * struck
            given += ["throttled"] * throttled + ["climbed"] * climbed
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
        ended = None if waits else start + pace * len(laid)
        with self.db.atomic():
            self.db.execute(
                "INSERT INTO runs (id, kind, root, parent, dataset, prompt, version, connection, base_url, model, price, options,"
                " columns, id_column, row_count, laid_out, state, paused_by, reason, created_at, ended_at, upper)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (run, kind, root, parent, dataset, prompt, version, connection, base_url, model,
                 json.dumps(price) if price else None, json.dumps(options or {}), json.dumps(USED),
                 id_column, len(chosen), len(laid), state, paused_by, None, start, ended,
                 json.dumps([upper] if upper else [])),
            )  # fmt: skip
            self._rows(
                RunWriter(
                    run=run,
                    root=root,
                    model=model,
                    price=price,
                    next_call=self._call,
                    next_attempt=self._attempt,
                    upper=upper["price"] if upper else None,
                    cached=cached,
                ),  # fmt: skip
                self.db.conn.execute(
                    "SELECT ordinal, cells FROM rows WHERE dataset = ? AND ordinal BETWEEN ? AND ? ORDER BY ordinal",
                    (dataset, min(laid, default=0), max(laid, default=0)),
                ),
                self._key_of(version, model=model, base_url=base_url),
                columns=json.loads(columns),
                fates=fates,
                id_column=id_column,
                edits=edits or {},
                times=(start, pace),
            )
            self._sums(run)
            tallies.recount(self.db, [run])
            went_on.recount(self.db, [run])
            self.db.execute(f"{SPENT} WHERE run = ?", [run])
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
            became: dict[str, str | Fault] = {"fixed": "accepted", "same": before, "new": other, "due": "due"}
            fates[ordinal] = became[end]
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
        writer: RunWriter,
        source: sqlite3.Cursor,
        key_of: Callable[[dict[str, str]], bytes],
        *,
        columns: Sequence[str],
        fates: dict[int, str | Fault],
        id_column: str | None,
        edits: dict[int, dict[str, str]],
        times: tuple[float, float],
    ) -> None:
        began, pace = times
        for place, (ordinal, text) in enumerate((row for row in source if row[0] in fates), 1):
            cells = edits.get(ordinal) or dict(zip(columns, json.loads(text), strict=True))
            head = Head(
                ordinal=ordinal,
                row_id=cells[id_column] if id_column else str(ordinal),
                edited=drawer.packed([cells[column] for column in columns]) if ordinal in edits else None,
                key=key_of(cells),
                cells=cells,
                at=began + pace * place,
            )
            writer.row(head, fates[ordinal])
            if place % 10_000 == 0:
                writer.put(self.db)
        writer.put(self.db)
        self._call, self._attempt = writer.next_call, writer.next_attempt

    def _key_of(self, version: int, *, model: str, base_url: str) -> Callable[[dict[str, str]], bytes]:
        text, hash_ = self.db.execute("SELECT content, hash FROM versions WHERE id = ?", (version,)).fetchone()
        content = VersionContent.model_validate_json(text)

        def key_of(cells: dict[str, str]) -> bytes:
            used = {name: cells.get(name, "") for name in USED}
            return plan.reuse_key(base_url=base_url, model=model, content=content, version_hash=hash_, cells=used)

        return key_of

    def _sums(self, run: int) -> None:
        self.db.execute(
            "UPDATE runs SET (calls, prompt_tokens, completion_tokens, cached_tokens, cost, throttles) = (SELECT count(*), "
            "coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0), coalesce(sum(cached_tokens), 0), "
            "coalesce(sum(cost), 0), coalesce(sum(outcome = 'throttled'), 0) FROM calls WHERE run = :run) WHERE id = :run",
            {"run": run},
        )
