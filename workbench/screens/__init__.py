"""One file a page; each reads through ``jobs.api``, draws, and submits."""
