"""Calls that have gone astray: those of lanes that are dead, and those that are on no stream."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from sqlite_utils import Database

from jobs.dispatch import Tray
from jobs.limits import LEASE_SECONDS
from jobs.outcomes import Inbox
from jobs.store import rows
from jobs.store.record import Recorder
from jobs.store.runs import transaction

logger = logging.getLogger(__name__)

#: seconds between two looks for calls of dead lanes, and for calls that are on no stream
REAP_SECONDS, RECONCILE_SECONDS = 1.0, 5.0
#: a dispatched call younger than this is not missed yet
MISSED_AFTER = 2.0


class Strays:
    """Finds them now and then, and lets their rows be asked about again."""

    def __init__(
        self, db: Database, tray: Tray, inbox: Inbox, *, now: Callable[[], float], chance: Callable[[], float]
    ) -> None:
        self._db, self._tray, self._inbox = db, tray, inbox
        self._now, self._chance = now, chance
        self._reap_at = self._reconcile_at = 0.0

    def spare_the_lanes(self) -> None:
        """Redis was away or stood still, and leases ran out meanwhile: the lanes get the time of one to say that they live."""
        self._reap_at = self._now() + LEASE_SECONDS

    def reconcile_at_once(self) -> None:
        """Miss every call that is on no stream, however young, since the streams may be others."""
        self._reconcile_at = 0.0

    def set_back(self, by: float) -> None:
        """The clock went back by so many seconds, and the next looks go with it."""
        self._reap_at, self._reconcile_at = self._reap_at - by, self._reconcile_at - by

    def reap(self) -> bool:
        """Calls of lanes whose lease is gone: whether they were answered is unknown, so their rows are asked again; whether any was."""
        if self._now() < self._reap_at:
            return False
        self._reap_at = self._now() + REAP_SECONDS
        orphans = self._tray.orphans()
        if not orphans:
            return False
        # A lane that has handed back since has taken its call off the stream in the same moment.
        still = self._tray.try_ids()
        self.lose([try_id for try_id in orphans.values() if try_id and try_id in still])
        self._tray.drop(orphans)
        logger.warning("%s calls of dead lanes reclaimed", len(orphans), extra={"action": "calls_reclaimed"})
        return True

    def reconcile(self) -> bool:
        """Calls that are neither on the calls stream nor among the outcomes, read in this order, are due again; whether any was."""
        if self._now() < self._reconcile_at:
            return False
        first = self._reconcile_at == 0.0
        self._reconcile_at = self._now() + RECONCILE_SECONDS
        noted = rows.dispatched(self._db, before=self._now() - (0.0 if first else MISSED_AFTER))
        if not noted:
            return False
        missing = noted.keys() - self._tray.try_ids() - self._inbox.try_ids()
        if not missing:
            return False
        with transaction(self._db):
            rows.give_back(self._db, missing, now=self._now())
        logger.warning("%s calls were on no stream", len(missing), extra={"action": "calls_missed"})
        return True

    def lose(self, try_ids: Sequence[str]) -> None:
        """Calls of which nobody will hear: their money stays spent, and their rows are asked about again."""
        with transaction(self._db):
            Recorder(self._db, now=self._now(), chance=self._chance).lose(try_ids)
