"""What the tables are: numbered steps, only ever added to, each applied in one transaction together with its record.

Times are seconds since the epoch, money is US dollars, JSON is text. A table's one writing side is named beside it.
"""

from __future__ import annotations

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from jobs.store import tallies

MIGRATIONS = Migrations("redrive")


def _all(db: Database, statements: str) -> None:
    for statement in statements.split(";\n"):
        if statement.strip():
            db.execute(statement)


@MIGRATIONS()
def m001_datasets(db: Database) -> None:
    """Written by intake, from whichever process the table was given to."""
    _all(
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
    _all(
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
    _all(
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
    _all(
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
    _all(
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
            settled INTEGER NOT NULL DEFAULT 1, -- 0: its end is unknown, so it stays spent at its reservation
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
    _all(
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


@MIGRATIONS()
def m007_troubles(db: Database) -> None:
    """Written by the keeper alone: what counts against a row apart, tries that were missed, failures of what was never sent.

    An attempt has no call where nothing was sent: its answer was reused, or its request was refused before it went out.
    """
    _all(
        db,
        """
        -- calls lost with their lane; faults are errors of ours alone
        ALTER TABLE run_rows ADD COLUMN losses INTEGER NOT NULL DEFAULT 0;
        -- what the tries took, and the waits between them: no time in which nobody tried
        ALTER TABLE run_rows ADD COLUMN trouble_seconds REAL NOT NULL DEFAULT 0;
        ALTER TABLE run_rows DROP COLUMN trouble_at;
        -- JSON of Failure, where there is no call that holds it
        ALTER TABLE attempts ADD COLUMN failure TEXT;
        DROP INDEX attempts_reused;
        CREATE INDEX attempts_reused ON attempts (recorded_at, run) WHERE call IS NULL AND verdict = 'accepted';
        CREATE TABLE missed (
            try_id TEXT NOT NULL,               -- a call that was on no stream, so that its rows were asked again
            ordinal INTEGER NOT NULL,
            run INTEGER NOT NULL,
            missed_at REAL NOT NULL,
            PRIMARY KEY (try_id, ordinal)
        ) WITHOUT ROWID;
        CREATE INDEX missed_age ON missed (missed_at);
        """,
    )


@MIGRATIONS()
def m008_tallies(db: Database) -> None:
    """Written by the keeper alone: the sums of each minute, and which calls brought no value, so that no page adds up calls.

    What is there already is counted once. A later step that changes this table counts again itself.
    """
    _all(
        db,
        """
        CREATE TABLE tallies (
            run INTEGER NOT NULL,
            minute INTEGER NOT NULL,            -- since the epoch
            part INTEGER NOT NULL,              -- a minute of many replies has several records; they add up
            calls INTEGER NOT NULL,
            accepted INTEGER NOT NULL,
            dead INTEGER NOT NULL,
            strikes INTEGER NOT NULL,
            throttles INTEGER NOT NULL,
            transport_failures INTEGER NOT NULL,
            reused INTEGER NOT NULL,
            cost REAL NOT NULL,                 -- of the calls whose price is known
            unpriced_calls INTEGER NOT NULL,
            wasted REAL NOT NULL,               -- cost of the calls that brought no value
            wasted_calls INTEGER NOT NULL,
            prompt_tokens INTEGER NOT NULL,
            completion_tokens INTEGER NOT NULL,
            cached_tokens INTEGER NOT NULL,
            latencies BLOB NOT NULL,            -- seconds of replied calls, float64 one after the other
            PRIMARY KEY (run, minute, part)
        ) WITHOUT ROWID;
        -- 1: it brought no value
        ALTER TABLE calls ADD COLUMN wasted INTEGER NOT NULL DEFAULT 0;
        DROP INDEX calls_sent;
        DROP INDEX calls_run;
        CREATE INDEX calls_run ON calls (
            run, sent_at, outcome, wasted, seconds, cost, prompt_tokens, completion_tokens, cached_tokens -- no blob is touched
        );
        """,
    )
    tallies.recount(db)


@MIGRATIONS()
def m009_letter_costs(db: Database) -> None:
    """Written by the keeper alone: what the row of a dead letter has cost, so that no page looks for its calls."""
    _all(
        db,
        """
        -- its share of the calls about it; NULL: the price of one is unknown
        ALTER TABLE dead_letters ADD COLUMN cost REAL;
        UPDATE dead_letters SET cost = (
            SELECT CASE WHEN count(*) = count(c.cost) THEN total(c.cost / (SELECT count(*) FROM attempts WHERE call = c.id)) END
            FROM attempts a JOIN calls c ON c.id = a.call WHERE a.run = dead_letters.run AND a.ordinal = dead_letters.ordinal
        );
        """,
    )
