"""The provider's own books: what was asked, what was answered and what it would have billed.

They are kept apart from the engine's, so that a test can hold the one against the other.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """One request that is over."""

    #: running number, in the order of arrival from 1
    number: int
    #: epoch seconds of arrival
    at: float
    #: from arrival to the reply's last byte
    seconds: float
    #: the row's text, without the corrections of a re-ask
    user: str
    #: how often that text had been asked before
    seen: int
    #: what was done: ``answer`` or the name of the fault
    kind: str
    #: 0 where no status was sent
    status: int
    #: hash of the request's body
    sha: str
    #: short hash of the key; empty without one
    key: str
    #: whether somebody was there to take the reply
    delivered: bool
    prompt: int
    completion: int
    cached: int
    #: US dollars at the provider's own price
    money: float
    #: the model that was asked for
    model: str = ""
    #: the batch that it was a line of
    batch: str = ""


class Ledger:
    """All requests since the start, or since ``clear``."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forgets all entries; what is in flight stays counted."""
        self.entries: list[Entry] = []
        self.in_flight: int = getattr(self, "in_flight", 0)
        self.max_in_flight = self.in_flight

    def arrive(self) -> None:
        """Counts a request in."""
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def leave(self, entry: Entry) -> None:
        """Counts it out and writes it down."""
        self.in_flight -= 1
        self.entries.append(entry)

    @property
    def calls(self) -> int:
        """Requests that are over."""
        return len(self.entries)

    @property
    def statuses(self) -> Counter[int]:
        """How often each status was given."""
        return Counter(entry.status for entry in self.entries)

    @property
    def kinds(self) -> Counter[str]:
        """How often each thing was done."""
        return Counter(entry.kind for entry in self.entries)

    @property
    def keys(self) -> Counter[str]:
        """Requests by the short hash of their key."""
        return Counter(entry.key for entry in self.entries)

    @property
    def asked(self) -> Counter[str]:
        """How often each row's text was asked."""
        return Counter(entry.user for entry in self.entries)

    @property
    def money(self) -> float:
        """What all of it cost, in US dollars."""
        return sum(entry.money for entry in self.entries)

    def of(self, part: str) -> list[Entry]:
        """The entries whose row's text holds this part, in the order in which they ended."""
        return [entry for entry in self.entries if part in entry.user]

    def summary(self) -> dict[str, Any]:
        """The books in figures; ``cpu_seconds`` is of the whole process."""
        entries = self.entries
        return {
            "calls": len(entries),
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "statuses": {str(status): n for status, n in self.statuses.items()},
            "kinds": dict(self.kinds),
            "keys": dict(self.keys),
            "texts": len({entry.user for entry in entries}),
            "undelivered": sum(not entry.delivered for entry in entries),
            "prompt": sum(entry.prompt for entry in entries),
            "completion": sum(entry.completion for entry in entries),
            "cached": sum(entry.cached for entry in entries),
            "money": self.money,
            "first_at": min((entry.at for entry in entries), default=None),
            "last_at": max((entry.at + entry.seconds for entry in entries), default=None),
            "cpu_seconds": time.process_time(),
        }
