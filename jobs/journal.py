"""What the keeper has recorded, as lines of its log."""

from __future__ import annotations

import logging

from jobs.store.record import Recorded

logger = logging.getLogger(__name__)


def recorded(done: Recorded, outcomes: int, *, seconds: float) -> None:
    """What a batch of outcomes did."""
    for one in done.mishaps:
        about = {"action": one.action, "run": one.run, "row": one.row, "class": one.kind, "seconds": one.seconds}
        logger.info("run %s, row %s: %s", one.run, one.row, one.kind, extra=about)
    for run, try_id in done.strangers:
        about = {"action": "outcome_strange", "run": run, "try_id": try_id}
        logger.warning("an outcome that answers nothing that was asked was dropped", extra=about)
    for run, reason in done.paused:
        logger.error("run paused: %s", reason, extra={"action": "run_paused", "run": run})
    logger.info(
        "recorded %s outcomes",
        outcomes,
        extra={
            "action": "recorded",
            "seconds": round(seconds, 4),
            "accepted": done.accepted,
            "dead": done.dead,
            "strikes": done.strikes,
            "throttled": done.throttled,
        },
    )
