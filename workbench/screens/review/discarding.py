"""Discarding dead letters: with a reason, and a way back."""

from __future__ import annotations

from collections.abc import Callable

from workbench import parts, session, wording
from workbench.screens.review.chosen import Frozen
from workbench.screens.review.replaying import action_of


def dialog(frozen: Frozen, *, named: str = "", then: Callable[[], None] | None = None) -> None:
    """Open the dialog that discards a frozen set, ``named`` in Markdown; ``then`` leaves for somewhere afterwards."""

    def work(key: str, reason: str) -> str:
        session.engine().letters.discard(frozen.letters, reason, key=key)
        return f"{named or wording.count(len(frozen.letters), 'dead letter')} discarded · Undo is under Decisions"

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
        then=then,
    )
