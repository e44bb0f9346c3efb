"""A Redis stream in pages that fit into memory: an entry may hold a reply of megabytes, and hundreds of them may wait."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from redis import Redis

#: bytes of one page; it holds more only where a single entry does
PAGE_BYTES = 16_000_000
#: entries of the first page, before anything is known of their size, and of any page
FIRST, MOST = 8, 500

Entry = tuple[bytes, dict[bytes, bytes]]


def pages(redis: Redis, key: str) -> Iterator[list[Entry]]:
    """The entries of a stream from the oldest on; each page is asked for when the one before it was used.

    No page is more than twice as long as the one before, or holds more than ``PAGE_BYTES`` if its entries are as large as
    the largest so far: Redis limits the number of what it gives, and not its size.
    """
    start, count, largest = "-", FIRST, 1
    while True:
        entries = cast("list[Entry]", redis.xrange(key, min=start, count=count))
        if entries:
            yield entries
        if len(entries) < count:
            return
        largest = max(largest, *(size(entry) for entry in entries))
        count = max(1, min(2 * count, MOST, PAGE_BYTES // largest))
        start = f"({entries[-1][0].decode()}"


def size(entry: Entry) -> int:
    """The bytes of an entry."""
    return sum(map(len, entry[1].values()))
