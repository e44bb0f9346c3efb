"""What the tables are: numbered steps, only ever added to, each applied in one transaction together with its record."""

from __future__ import annotations

from jobs.store.migrations.changes import MIGRATIONS

__all__ = ["MIGRATIONS"]
