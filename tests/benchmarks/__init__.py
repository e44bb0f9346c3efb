"""Benchmarks: ``python -m tests.benchmarks.NAME``. Each prints a ratio against a limit or a baseline of the same run."""
