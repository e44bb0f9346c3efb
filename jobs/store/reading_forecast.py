"""What past calls say about calls to come, and which questions have been answered already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlite_utils import Database

#: the newest replies that an estimate is founded on, and runs that they are looked for in
MOST_REPLIES, MOST_RUNS = 1_000, 20
_CHUNK = 500


@dataclass(frozen=True, kw_only=True)
class Past:
    """Means over the newest replies to a version; tokens and seconds of one reply."""

    n: int
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0
    seconds: float = 0.0
    #: requests for each row that was asked about and has an end, in the runs that the replies come from
    calls_a_row: float = 1.0


def past(db: Database, version: int, *, model: str) -> Past:
    """What is known of that version with that model."""
    runs = db.execute(
        """
        SELECT id, calls, ended_at IS NOT NULL FROM runs WHERE version = ? AND model = ? AND calls > 0
        ORDER BY id DESC LIMIT ?
        """,
        [version, model, MOST_RUNS],
    ).fetchall()
    replies: list[tuple[int, int, float]] = []
    calls = rows = 0
    for run, sent, ended in runs:
        replies += db.execute(
            """
            SELECT prompt_tokens, completion_tokens, seconds FROM calls
            WHERE run = ? AND outcome = 'replied' AND prompt_tokens IS NOT NULL AND seconds IS NOT NULL
            ORDER BY sent_at DESC LIMIT ?
            """,
            [run, MOST_REPLIES - len(replies)],
        ).fetchall()
        if ended:
            calls += sent
            rows += _asked_rows(db, run)
        if len(replies) >= MOST_REPLIES:
            break
    n = len(replies)
    if n == 0:
        return Past(n=0)
    prompt, completion, seconds = (sum(column) / n for column in zip(*replies, strict=True))
    return Past(
        n=n,
        prompt_tokens=prompt,
        completion_tokens=completion,
        seconds=seconds,
        calls_a_row=calls / rows if rows else 1.0,
    )


def _asked_rows(db: Database, run: int) -> int:
    ended, reused = db.execute(
        """
        SELECT (SELECT count(*) FROM run_rows WHERE run = :run AND state IN ('accepted', 'dead')),
               (SELECT count(*) FROM attempts WHERE run = :run AND verdict = 'accepted' AND call IS NULL)
        """,
        {"run": run},
    ).fetchone()
    return int(ended - reused)


def answered(db: Database, keys: Sequence[bytes]) -> int:
    """How many of these different questions have an answer that may be used again."""
    found = 0
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        marks = ", ".join("?" * len(chunk))
        found += db.execute(f"SELECT count(*) FROM reuse WHERE key IN ({marks})", chunk).fetchone()[0]
    return found
