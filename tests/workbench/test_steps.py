"""What commands do on the way."""

from __future__ import annotations

from workbench.steps import AWAY_SECONDS, _Elsewhere


def test_an_engine_that_somebody_else_stopped_is_given_up() -> None:
    """A keeper that is started again is waited for; one that stays away is not, and the words say how to go on."""
    clock, alive = [0.0], [True]
    elsewhere = _Elsewhere(lambda: alive[0], now=lambda: clock[0])

    told = []
    for now, is_alive in [(1.0, False), (19.0, False), (19.5, True), (30.0, False), (39.0, False), (60.0, False)]:
        clock[0], alive[0] = now, is_alive
        told.append(elsewhere.failed())

    assert told[:5] == [None] * 5 and AWAY_SECONDS == 20.0
    assert told[5] is not None and "redrive resume --all --wait" in told[5].message
