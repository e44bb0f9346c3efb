"""Keeps pandas out of a process that does not use it; imported before the store by whatever opens it and is started often.

sqlite-utils loads pandas wherever it is installed, for column types that the store has none of. That would be a third of the
time in which a keeper or a command starts.
"""

import sys

if "pandas" not in sys.modules:
    sys.modules["pandas"] = None  # type: ignore[assignment]  # to an import it is not installed
    try:
        import sqlite_utils  # noqa: F401
    finally:
        del sys.modules["pandas"]
