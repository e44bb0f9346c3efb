"""What has changed in the tables since; a new step goes to the end."""

from __future__ import annotations

from sqlite_utils import Database

from jobs.store import tallies, went_on
from jobs.store.migrations.tables import MIGRATIONS, run_all

__all__ = ["MIGRATIONS"]


@MIGRATIONS()
def m007_troubles(db: Database) -> None:
    """Written by the keeper alone: what counts against a row apart, tries that were missed, failures of what was never sent.

    An attempt has no call where nothing was sent: its answer was reused, or its request was refused before it went out.
    """
    run_all(
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

    What is there already is counted by the last step that changes this table.
    """
    run_all(
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


@MIGRATIONS()
def m009_letter_costs(db: Database) -> None:
    """Written by the keeper alone: what the row of a dead letter has cost, so that no page looks for its calls."""
    run_all(
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


@MIGRATIONS()
def m010_savings(db: Database) -> None:
    """Written by the keeper alone: what the first answer to a question had cost, for each row that reused it."""
    run_all(
        db,
        """
        -- NULL: it was asked for, or nobody knows
        ALTER TABLE attempts ADD COLUMN saved REAL;
        UPDATE attempts SET saved = (
            SELECT c.cost / (SELECT count(*) FROM attempts WHERE call = c.id)
            FROM attempts a JOIN calls c ON c.id = a.call WHERE a.id = json_extract(attempts.receipt, '$.source')
        ) WHERE call IS NULL AND verdict = 'accepted';
        DROP INDEX attempts_reused;
        CREATE INDEX attempts_reused ON attempts (recorded_at, run, saved) WHERE call IS NULL AND verdict = 'accepted';
        ALTER TABLE tallies ADD COLUMN saved REAL NOT NULL DEFAULT 0;
        -- rows whose reused answer had an unknown price
        ALTER TABLE tallies ADD COLUMN unpriced_reused INTEGER NOT NULL DEFAULT 0;
        """,
    )


@MIGRATIONS()
def m011_rows_a_call(db: Database) -> None:
    """Written by the keeper alone: how many rows a call about a row may hold, NULL: as many as the run allows."""
    run_all(db, "ALTER TABLE run_rows ADD COLUMN together INTEGER")


@MIGRATIONS()
def m012_letters_of_tries(db: Database) -> None:
    """Replays of tries and evaluations, which are refused by now, have left letters that ask a person for something."""
    run_all(
        db,
        """
        UPDATE dead_letters SET latest = 0
        WHERE latest = 1 AND root IN (SELECT id FROM runs WHERE kind IN ('try', 'evaluation'));
        """,
    )


@MIGRATIONS()
def m013_pauses(db: Database) -> None:
    """Written by the keeper alone: since when a run is paused, and how long its pauses before that took."""
    run_all(
        db,
        """
        ALTER TABLE runs ADD COLUMN paused_at REAL;
        ALTER TABLE runs ADD COLUMN paused_seconds REAL NOT NULL DEFAULT 0;
        """,
    )


@MIGRATIONS()
def m014_probes(db: Database) -> None:
    """Written by whoever has asked: what an endpoint was found to honour, the last time that it was looked at."""
    run_all(
        db,
        """
        CREATE TABLE probes (
            base_url TEXT NOT NULL,
            model TEXT NOT NULL,
            probed_at REAL NOT NULL,
            findings TEXT NOT NULL,             -- JSON list of Finding
            PRIMARY KEY (base_url, model)
        ) WITHOUT ROWID
        """,
    )


@MIGRATIONS()
def m015_calls_of_unknown_end(db: Database) -> None:
    """Written by the keeper alone: of how many calls nobody knows whether they are charged, and what is set aside for them."""
    run_all(
        db,
        """
        CREATE INDEX calls_open ON calls (run, sent_at, reserved, price, settled) WHERE settled = 0;
        ALTER TABLE tallies ADD COLUMN open_calls INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE tallies ADD COLUMN set_aside REAL NOT NULL DEFAULT 0;
        """,
    )


@MIGRATIONS()
def m016_rungs_and_batches(db: Database) -> None:
    """Written by the keeper alone: the rung that a row stands on, the batch that it is in, and what each call has saved.

    ``rungs`` holds those above a run's own model. ``climbed`` names the questions that a run has given up on at a rung, so that an
    equal row does not ask them again.
    """
    run_all(
        db,
        """
        -- JSON list of Rung
        ALTER TABLE runs ADD COLUMN upper TEXT NOT NULL DEFAULT '[]';
        ALTER TABLE run_rows ADD COLUMN rung INTEGER NOT NULL DEFAULT 0;
        -- the batch that its call is in
        ALTER TABLE run_rows ADD COLUMN batch INTEGER;
        ALTER TABLE calls ADD COLUMN rung INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE calls ADD COLUMN batch INTEGER;
        -- of the field that the model was least sure of
        ALTER TABLE attempts ADD COLUMN confidence REAL;
        CREATE TABLE climbed (
            run INTEGER NOT NULL,
            key BLOB NOT NULL,                  -- the question as it was asked below
            rung INTEGER NOT NULL,              -- where equal rows go now
            upper BLOB NOT NULL,                -- the question as it is asked there
            PRIMARY KEY (run, key)
        ) WITHOUT ROWID;
        CREATE TABLE batches (
            id INTEGER PRIMARY KEY,
            run INTEGER NOT NULL,
            rung INTEGER NOT NULL DEFAULT 0,
            token TEXT NOT NULL UNIQUE,         -- by it a batch that was submitted but not noted is found again
            state TEXT NOT NULL,                -- BatchState of jobs.batches
            remote TEXT,                        -- the provider's name of it
            status TEXT,                        -- the provider's word for its state
            input_file TEXT,
            output_file TEXT,
            error_file TEXT,
            calls INTEGER NOT NULL,
            rows INTEGER NOT NULL,
            answered INTEGER NOT NULL DEFAULT 0, -- calls, by the provider's count
            failed INTEGER NOT NULL DEFAULT 0,
            words TEXT NOT NULL DEFAULT '',     -- what the provider, or we, say of it
            created_at REAL NOT NULL,
            submitted_at REAL,
            checked_at REAL,
            expires_at REAL,
            next_at REAL NOT NULL,              -- when the next step is due
            handed_at REAL,                     -- when a lane was last asked for it
            ended_at REAL
        );
        CREATE INDEX batches_open ON batches (next_at) WHERE ended_at IS NULL;
        CREATE INDEX batches_run ON batches (run);
        CREATE INDEX run_rows_batch ON run_rows (batch) WHERE batch IS NOT NULL;
        """,
    )


@MIGRATIONS()
def m017_ways(db: Database) -> None:
    """Written by the keeper alone: sums by rung; where the money of each call went and what it saved, and their sums.

    What is there already is counted by the last step that changes the tallies.
    """
    run_all(
        db,
        """
        ALTER TABLE calls ADD COLUMN rows INTEGER NOT NULL DEFAULT 1;
        -- rungs of its run over the one that it asked
        ALTER TABLE calls ADD COLUMN above INTEGER NOT NULL DEFAULT 0;
        -- tokens that as many calls about one row each would have taken, estimated; NULL: it was about one
        ALTER TABLE calls ADD COLUMN singly_prompt INTEGER;
        ALTER TABLE calls ADD COLUMN singly_completion INTEGER;
        -- where its money went: first, again, rejected, doubted, failed, superseded, open
        ALTER TABLE calls ADD COLUMN way TEXT NOT NULL DEFAULT '';
        -- US dollars; NULL: nothing of the kind, or unknown
        ALTER TABLE calls ADD COLUMN saved_cache REAL;
        ALTER TABLE calls ADD COLUMN saved_batch REAL;
        ALTER TABLE calls ADD COLUMN saved_rows REAL;
        ALTER TABLE calls ADD COLUMN saved_ladder REAL;
        DROP INDEX calls_run;
        CREATE INDEX calls_run ON calls (
            run, sent_at, outcome, wasted, seconds, cost, prompt_tokens, completion_tokens, cached_tokens, rung, way, batch, rows,
            above, saved_cache, saved_batch, saved_rows, saved_ladder -- no blob is touched
        );
        DROP INDEX calls_open;
        CREATE INDEX calls_open ON calls (run, sent_at, reserved, price, settled, rung) WHERE settled = 0;
        CREATE TABLE ways (
            way TEXT NOT NULL,                  -- a call's, or how something was saved: reuse, cache, batch, rows, ladder
            run INTEGER NOT NULL,
            minute INTEGER NOT NULL,            -- since the epoch
            rung INTEGER NOT NULL,
            money REAL NOT NULL,                -- of those of which it is known
            n INTEGER NOT NULL,                 -- calls; rows of reuse
            unknown INTEGER NOT NULL,           -- of these, how many nobody knows the money of
            PRIMARY KEY (way, run, minute, rung)
        ) WITHOUT ROWID;
        DROP TABLE tallies;
        CREATE TABLE tallies (
            run INTEGER NOT NULL,
            minute INTEGER NOT NULL,            -- since the epoch
            rung INTEGER NOT NULL,
            part INTEGER NOT NULL,              -- a minute of many replies has several records; they add up
            calls INTEGER NOT NULL,
            accepted INTEGER NOT NULL,
            dead INTEGER NOT NULL,
            strikes INTEGER NOT NULL,
            throttles INTEGER NOT NULL,
            transport_failures INTEGER NOT NULL,
            reused INTEGER NOT NULL,
            saved REAL NOT NULL,
            unpriced_reused INTEGER NOT NULL,   -- rows whose reused answer had an unknown price
            cost REAL NOT NULL,                 -- of the calls whose price is known
            unpriced_calls INTEGER NOT NULL,
            open_calls INTEGER NOT NULL,        -- of these, those that have a price and broke off
            set_aside REAL NOT NULL,
            wasted REAL NOT NULL,               -- cost of the calls that brought no value
            wasted_calls INTEGER NOT NULL,
            prompt_tokens INTEGER NOT NULL,
            completion_tokens INTEGER NOT NULL,
            cached_tokens INTEGER NOT NULL,
            latencies BLOB NOT NULL,            -- seconds of replied calls, float64 one after the other
            PRIMARY KEY (run, minute, rung, part)
        ) WITHOUT ROWID;
        """,
    )
    tallies.recount(db)


@MIGRATIONS()
def m018_batches_at_work(db: Database) -> None:
    """Written by the keeper alone: what a batch holds and costs, and whether a lane is asked about it now."""
    run_all(
        db,
        """
        -- JSON of Price, as the endpoint charges; NULL where it is unknown
        ALTER TABLE batches ADD COLUMN price TEXT;
        -- of its file, estimated
        ALTER TABLE batches ADD COLUMN size INTEGER NOT NULL DEFAULT 0;
        -- a lane was asked for its next step and has not reported
        ALTER TABLE batches ADD COLUMN out INTEGER NOT NULL DEFAULT 0;
        """,
    )


@MIGRATIONS()
def m019_rows_above(db: Database) -> None:
    """Rows above the lowest rung of a ladder are few, and are looked up by themselves."""
    run_all(db, "CREATE INDEX run_rows_rung ON run_rows (run, rung, state) WHERE rung > 0")


@MIGRATIONS()
def m020_went_on(db: Database) -> None:
    """Written by the keeper alone: how many rows left each rung of a ladder, and why; counted when it happens."""
    run_all(
        db,
        """
        CREATE TABLE went_on (
            run INTEGER NOT NULL,
            rung INTEGER NOT NULL,              -- that rows left; of straight, that they came to
            why TEXT NOT NULL,                  -- contract, checked, unsure, failed; straight
            rows INTEGER NOT NULL,
            PRIMARY KEY (run, rung, why)
        ) WITHOUT ROWID;
        """,
    )
    went_on.recount(db)


@MIGRATIONS()
def m021_deadly_questions(db: Database) -> None:
    """What rows have died of is looked up before equal ones are asked."""
    run_all(db, "CREATE INDEX run_rows_deadly ON run_rows (run, reuse_key) WHERE state = 'dead'")


@MIGRATIONS()
def m022_looks_in_vain(db: Database) -> None:
    """Written by the keeper alone: looks in a row at a batch that found nothing of what must be there."""
    run_all(db, "ALTER TABLE batches ADD COLUMN vain INTEGER NOT NULL DEFAULT 0")


@MIGRATIONS()
def m023_left_files(db: Database) -> None:
    """Written by the keeper alone: what batches that are over have left at their provider, until it is deleted there."""
    run_all(
        db,
        """
        CREATE TABLE left_files (
            token TEXT PRIMARY KEY,             -- names the uploaded files
            batch INTEGER NOT NULL,
            run INTEGER NOT NULL,
            rung INTEGER NOT NULL,
            remote TEXT,                        -- JSON of Remote, as last told; NULL where it is not known
            tries INTEGER NOT NULL DEFAULT 0,   -- how often a lane was asked
            next_at REAL NOT NULL
        ) WITHOUT ROWID;
        """,
    )


@MIGRATIONS()
def m024_archivings(db: Database) -> None:
    """Written by the keeper alone: what was put out of sight, since when, and until when.

    A dead letter that speaks for its row has ``latest`` 1 while its run is in sight, and 2 while that is archived.
    """
    run_all(
        db,
        """
        CREATE TABLE archivings (
            id INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,                 -- dataset, prompt, run
            name TEXT NOT NULL,                 -- a dataset's id, a prompt's name, a run's number
            archived_at REAL NOT NULL,
            restored_at REAL                    -- NULL: it is archived now
        );
        CREATE UNIQUE INDEX archivings_now ON archivings (kind, name) WHERE restored_at IS NULL;
        """,
    )


@MIGRATIONS()
def m025_calls_of_unknown_cost(db: Database) -> None:
    """A call that broke off at a price of nothing has cost nothing, so not every unsettled call has an unknown cost."""
    run_all(
        db,
        """
        DROP INDEX calls_open;
        CREATE INDEX calls_open ON calls (run, sent_at, reserved, price, settled, rung, cost) WHERE settled = 0;
        """,
    )
