"""Discarding dead letters: with a reason, and a way back."""

from __future__ import annotations

from collections.abc import Callable

from workbench import parts, session, wording
from workbench.screens.review.chosen import Frozen
from workbench.screens.review.replaying import action_of


def dialog(frozen: Frozen, *, then: Callable[[int], None] | None = None) -> None:
    """Open the dialog that discards a frozen set; ``then`` takes the first decision and says what was done."""
    made: list[int] = []

    def work(key: str, reason: str) -> str:
        made.extend(session.engine().letters.discard(frozen.letters, reason, key=key))
        told = f"{wording.count(len(frozen.letters), 'dead letter')} discarded · Undo is under Decisions"
        return "" if then is not None else told

    parts.confirm(
        action_of("discard", frozen.letters),
        work,
        title="Discard dead letters",
        says=[
            *frozen.says(),
            "A reason is required. A discarded row has no value. Its replies stay, and the decision can be undone.",
        ],
        button="Discard",
        count=len(frozen.letters),
        noun="dead letter",
        reason="required",
        then=None if then is None else lambda: then(made[0]),
    )
