"""Pages of a stream: no more in memory than was asked for, whatever lies there."""

from __future__ import annotations

import os

from redis import Redis

from jobs import streams


def test_small_entries_come_in_growing_pages(redis_address: str) -> None:
    """All of them, in their order, and no page beyond the most."""
    with Redis.from_url(redis_address) as redis:
        key = f"stream-{os.urandom(4).hex()}"
        for number in range(1_500):
            redis.xadd(key, {"n": number})
        pages = list(streams.pages(redis, key))

    assert [int(fields[b"n"]) for page in pages for _, fields in page] == list(range(1_500))
    sizes = [len(page) for page in pages]
    assert sizes[:3] == [8, 16, 32] and max(sizes) == streams.MOST


def test_large_entries_come_a_few_at_a_time(redis_address: str) -> None:
    """After the first page no page holds more than it should."""
    with Redis.from_url(redis_address) as redis:
        key = f"stream-{os.urandom(4).hex()}"
        for _ in range(20):
            redis.xadd(key, {"raw": b"x" * 5_000_000})
        pages = [sum(map(streams.size, page)) for page in streams.pages(redis, key)]
        redis.delete(key)

    assert sum(pages) == 100_000_000 and len(pages) == 5
    assert pages[0] == 8 * 5_000_000 and max(pages[1:]) <= streams.PAGE_BYTES


def test_an_empty_stream_has_no_page(redis_address: str) -> None:
    """Nor has one that is not there."""
    with Redis.from_url(redis_address) as redis:
        assert list(streams.pages(redis, "nowhere")) == []
