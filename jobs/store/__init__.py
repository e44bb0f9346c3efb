"""The ledger: one SQLite file, reached through sqlite-utils, written by its owners and read by everybody.

``migrations`` says what the tables are. ``reading_*`` hold named queries over a read-only connection, ``drawer`` the writes of
the workbench, and all else the writes to the state of runs, which the keeper alone makes. Nothing outside this folder names a
table.
"""
