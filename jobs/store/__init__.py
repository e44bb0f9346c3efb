"""The ledger: one SQLite file, reached through sqlite-utils, written by its owners and read by everybody.

``migrations`` says what the tables are, ``writer`` holds every write to the state of runs (the keeper alone makes one),
``reader`` holds named queries over a read-only connection. Nothing outside this folder names a table.
"""
