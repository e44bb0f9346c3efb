"""What endpoints were found to honour."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlite_utils import Database

from jobs.probe import Finding


def put(db: Database, *, base_url: str, model: str, at: float, findings: Sequence[Finding]) -> None:
    """Keep what was found out now, in place of what was found before."""
    told = json.dumps([finding.model_dump() for finding in findings], ensure_ascii=False)
    db.conn.execute("INSERT OR REPLACE INTO probes VALUES (?, ?, ?, ?)", [base_url, model, at, told])


def latest(db: Database, *, base_url: str, model: str) -> tuple[float, list[Finding]] | None:
    """When a model at an address was looked at last, and what was found; None where nobody has looked."""
    found = db.execute(
        "SELECT probed_at, findings FROM probes WHERE base_url = ? AND model = ?", [base_url, model]
    ).fetchone()
    return None if found is None else (found[0], [Finding.model_validate(one) for one in json.loads(found[1])])
