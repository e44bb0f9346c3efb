"""The tables that a home began with. Times are seconds since the epoch, money is US dollars, JSON is text.

A table's one writing side is named beside it.
"""

from __future__ import annotations

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

MIGRATIONS = Migrations("redrive")


def run_all(db: Database, statements: str) -> None:
    """Run statements that end with a semicolon at the end of a line."""
    for statement in statements.split(";\n"):
        if statement.strip():
            db.execute(statement)


@MIGRATIONS()
def m001_datasets(db: Database) -> None:
    """Written by intake, from whichever process the table was given to."""
    run_all(
        db,
        """
        CREATE TABLE datasets (
            id TEXT PRIMARY KEY,                -- 'd-' and the head of the content hash
            sha256 TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            layout TEXT NOT NULL,               -- JSON: format, encoding, delimiter, columns, findings
            columns TEXT NOT NULL,              -- JSON list
            row_count INTEGER NOT NULL DEFAULT 0,
            facts TEXT,                         -- JSON: per column filled, distinct, longest; duplicates
            id_column TEXT,
            state TEXT NOT NULL CHECK (state IN ('loading', 'ready')),
            created_at REAL NOT NULL
        );
        CREATE TABLE rows (
            dataset TEXT NOT NULL,
            ordinal INTEGER NOT NULL,           -- 1 is the first row of the file
            cells TEXT NOT NULL,                -- JSON list, in the order of the dataset's columns
            PRIMARY KEY (dataset, ordinal)
        ) WITHOUT ROWID;
        """,
    )


@MIGRATIONS()
def m002_prompts(db: Database) -> None:
    """Written by the browser and the command line; no run's state depends on labels or drafts."""
    run_all(
        db,
        """
        CREATE TABLE versions (
            id INTEGER PRIMARY KEY,
            prompt TEXT NOT NULL,
            number INTEGER,                     -- NULL: tried, but never saved
            hash TEXT NOT NULL,
            content TEXT NOT NULL,              -- JSON of VersionContent
            defaults TEXT NOT NULL DEFAULT '{}',
            description TEXT NOT NULL DEFAULT '',
            note TEXT NOT NULL DEFAULT '',
            source TEXT NOT NULL DEFAULT 'editor',
            created_at REAL NOT NULL,
            UNIQUE (prompt, hash),
            UNIQUE (prompt, number)
        );
        CREATE TABLE labels (
            prompt TEXT NOT NULL,
            label TEXT NOT NULL,
            number INTEGER NOT NULL,
            set_at REAL NOT NULL,
            PRIMARY KEY (prompt, label)
        ) WITHOUT ROWID;
        CREATE TABLE drafts (
            key TEXT PRIMARY KEY,
            body TEXT NOT NULL,
            updated_at REAL NOT NULL
        ) WITHOUT ROWID;
        """,
    )


@MIGRATIONS()
def m003_requests(db: Database) -> None:
    """Inserted by the browser and the command line; the keeper marks each applied in the transaction that applies it."""
    run_all(
        db,
        """
        CREATE TABLE requests (
            id INTEGER PRIMARY KEY,
            key TEXT NOT NULL UNIQUE,           -- idempotency: the same click is one request
            kind TEXT NOT NULL,
            body TEXT NOT NULL,
            created_at REAL NOT NULL,
            applied_at REAL,
            result TEXT,                        -- JSON: what it made, such as {"run": 12}
            error TEXT                          -- why it was refused
        );
        CREATE INDEX requests_open ON requests (id) WHERE applied_at IS NULL;
        """,
    )


@MIGRATIONS()
def m004_runs(db: Database) -> None:
    """Written by the keeper alone."""
    run_all(
        db,
        """
        CREATE TABLE runs (
            id INTEGER PRIMARY KEY,
            kind TEXT NOT NULL CHECK (kind IN ('run', 'replay', 'evaluation', 'try')),
            root INTEGER NOT NULL,              -- the run whose results this one feeds; its own id for a first run
            parent INTEGER,                     -- the run whose dead letters this one replays
            dataset TEXT NOT NULL,
            prompt TEXT NOT NULL,
            version INTEGER NOT NULL REFERENCES versions (id),
            connection TEXT NOT NULL,
            base_url TEXT NOT NULL,
            model TEXT NOT NULL,
            price TEXT,                         -- JSON, a million tokens; NULL: unknown
            options TEXT NOT NULL,              -- JSON of RunOptions
            columns TEXT NOT NULL,              -- JSON: the columns that the template uses
            id_column TEXT,
            row_count INTEGER NOT NULL,
            laid_out INTEGER NOT NULL DEFAULT 0, -- rows that stand in run_rows
            state TEXT NOT NULL CHECK (state IN ('running', 'paused', 'cancelled', 'finished')),
            paused_by TEXT,                     -- 'person', 'provider', 'budget'
            reason TEXT,
            note TEXT NOT NULL DEFAULT '',
            created_at REAL NOT NULL,
            ended_at REAL,                      -- the commit of its last row
            calls INTEGER NOT NULL DEFAULT 0,
            prompt_tokens INTEGER NOT NULL DEFAULT 0,
            completion_tokens INTEGER NOT NULL DEFAULT 0,
            cached_tokens INTEGER NOT NULL DEFAULT 0,
            cost REAL NOT NULL DEFAULT 0,       -- of the calls whose price is known
            reserved REAL NOT NULL DEFAULT 0,   -- money set aside for calls under way or of unknown end
            throttles INTEGER NOT NULL DEFAULT 0
        );
        CREATE INDEX runs_root ON runs (root);
        CREATE INDEX runs_open ON runs (id) WHERE ended_at IS NULL;
        CREATE TABLE run_rows (
            run INTEGER NOT NULL,
            ordinal INTEGER NOT NULL,
            row_id TEXT NOT NULL,
            state TEXT NOT NULL,                -- RowState
            reuse_key BLOB,
            cells TEXT,                         -- JSON list where a person edited the row for this run
            strikes INTEGER NOT NULL DEFAULT 0,
            tries INTEGER NOT NULL DEFAULT 0,   -- requests that brought no reply, since the last one that did
            faults INTEGER NOT NULL DEFAULT 0,  -- errors of ours and lost calls
            waits INTEGER NOT NULL DEFAULT 0,   -- throttles in a row
            trouble_at REAL,                    -- when the present series of such requests began
            due_at REAL NOT NULL DEFAULT 0,
            try_id TEXT,                        -- the call that is under way
            dispatched_at REAL,
            reserved REAL NOT NULL DEFAULT 0,
            max_tokens INTEGER,                 -- raised after a reply that was cut off
            attempt INTEGER,                    -- what decided it; the last one before that
            signature TEXT,
            ended_at REAL,
            PRIMARY KEY (run, ordinal)
        ) WITHOUT ROWID;
        CREATE INDEX run_rows_state ON run_rows (run, state, due_at);
        CREATE INDEX run_rows_try ON run_rows (try_id) WHERE try_id IS NOT NULL;
        CREATE INDEX run_rows_held ON run_rows (reuse_key) WHERE state = 'held';
        CREATE INDEX run_rows_ended ON run_rows (run, ended_at) WHERE ended_at IS NOT NULL;
        CREATE INDEX run_rows_struck ON run_rows (run, state) WHERE strikes > 0;
        """,
    )


@MIGRATIONS()
def m005_ledger(db: Database) -> None:
    """Calls and attempts, append-only, written by the keeper alone."""
    run_all(
        db,
        """
        CREATE TABLE calls (
            id INTEGER PRIMARY KEY,
            try_id TEXT NOT NULL UNIQUE,
            run INTEGER NOT NULL,
            lane TEXT NOT NULL,
            outcome TEXT NOT NULL,              -- 'replied', or the FailureKind
            sent_at REAL NOT NULL,
            seconds REAL,                       -- NULL where nobody knows
            queue_seconds REAL,
            status INTEGER,
            failure TEXT,                       -- JSON of Failure
            model TEXT,                         -- that the endpoint says has answered
            finish_reason TEXT,
            request_id TEXT,
            prompt_tokens INTEGER,
            completion_tokens INTEGER,
            cached_tokens INTEGER,
            estimated INTEGER NOT NULL DEFAULT 0,
            cost REAL,                          -- NULL: unknown
            price TEXT,                         -- JSON, as it was then
            reserved REAL NOT NULL DEFAULT 0,
            settled INTEGER NOT NULL DEFAULT 1, -- 0: nobody knows whether it is charged, so it stays spent at its reservation
            request BLOB,                       -- zlib of the exact JSON that was sent
            raw BLOB,                           -- the reply byte for byte
            recorded_at REAL NOT NULL
        );
        CREATE INDEX calls_run ON calls (
            run, sent_at, outcome, seconds, cost, prompt_tokens, completion_tokens, cached_tokens -- sums touch no blob
        );
        CREATE INDEX calls_sent ON calls (sent_at);
        CREATE TABLE attempts (
            id INTEGER PRIMARY KEY,
            call INTEGER,                       -- NULL: reused, nothing was sent
            run INTEGER NOT NULL,
            ordinal INTEGER NOT NULL,
            verdict TEXT NOT NULL,              -- accepted, rejected, failed
            strike INTEGER NOT NULL DEFAULT 0,
            asked INTEGER NOT NULL,             -- 1 for the first question, 2 after one strike ...
            value TEXT,                         -- JSON
            receipt TEXT,                       -- JSON of Receipt
            problems TEXT,                      -- JSON list of Problem
            signature TEXT,
            superseded INTEGER NOT NULL DEFAULT 0, -- paid for, but another had decided the row
            recorded_at REAL NOT NULL,
            UNIQUE (call, ordinal)
        );
        CREATE INDEX attempts_row ON attempts (run, ordinal);
        CREATE INDEX attempts_call ON attempts (call, verdict, superseded, strike);
        CREATE INDEX attempts_reused ON attempts (recorded_at, run) WHERE call IS NULL;
        CREATE INDEX attempts_unasked ON attempts (run, verdict) WHERE call IS NULL;
        CREATE TABLE reuse (
            key BLOB PRIMARY KEY,
            attempt INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE asking (
            key BLOB PRIMARY KEY,               -- the row that is being asked; those with the same key are held
            run INTEGER NOT NULL,
            ordinal INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX asking_row ON asking (run, ordinal);
        """,
    )


@MIGRATIONS()
def m006_review(db: Database) -> None:
    """Dead letters, results and decisions, written by the keeper alone."""
    run_all(
        db,
        """
        CREATE TABLE signatures (
            signature TEXT PRIMARY KEY,
            title TEXT NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE dead_letters (
            run INTEGER NOT NULL,
            ordinal INTEGER NOT NULL,
            root INTEGER NOT NULL,
            row_id TEXT NOT NULL,
            signature TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            died_at REAL NOT NULL,
            latest INTEGER NOT NULL DEFAULT 1,  -- 0: a replay of the row died after it, and speaks for it now
            resolution TEXT NOT NULL DEFAULT 'open',
            resolved_at REAL,
            replay INTEGER,                     -- the run that replays it, or has fixed it
            decision INTEGER,
            PRIMARY KEY (run, ordinal)
        ) WITHOUT ROWID;
        CREATE INDEX dead_letters_group ON dead_letters (latest, resolution, signature);
        CREATE INDEX dead_letters_run ON dead_letters (run, resolution, signature);
        CREATE INDEX dead_letters_root ON dead_letters (root, ordinal);
        CREATE INDEX dead_letters_died ON dead_letters (died_at);
        CREATE INDEX dead_letters_resolved ON dead_letters (resolved_at) WHERE resolved_at IS NOT NULL;
        CREATE TABLE results (
            root INTEGER NOT NULL,
            ordinal INTEGER NOT NULL,
            run INTEGER NOT NULL,               -- the run, or replay, that the value came from
            attempt INTEGER,
            decision INTEGER,                   -- a correction by hand
            PRIMARY KEY (root, ordinal)
        ) WITHOUT ROWID;
        CREATE TABLE result_moves (
            id INTEGER PRIMARY KEY,
            root INTEGER NOT NULL,
            ordinal INTEGER NOT NULL,
            run INTEGER NOT NULL,
            attempt INTEGER,
            decision INTEGER,
            made_at REAL NOT NULL,
            undone_at REAL
        );
        CREATE INDEX result_moves_row ON result_moves (root, ordinal);
        CREATE INDEX result_moves_run ON result_moves (run);
        CREATE TABLE decisions (
            id INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,                 -- correct, discard, replay
            run INTEGER NOT NULL,               -- whose dead letters it is about
            replay INTEGER,                     -- the run that a replay made
            ordinals TEXT NOT NULL,             -- JSON list
            value TEXT,                         -- JSON of a corrected value
            reason TEXT NOT NULL DEFAULT '',
            made_at REAL NOT NULL,
            undone_at REAL
        );
        CREATE INDEX decisions_run ON decisions (run);
        """,
    )
