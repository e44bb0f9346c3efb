"""What a run that goes on is likely to come to, from what it has done itself so far: its cost, and the time that is left.

The rows that are left are taken to be like those of its newest calls. What it has spent is known; what the rest will take is a
range. A pause counts for nothing, and the figures of a paused run are what it takes once it goes on.
"""

from __future__ import annotations

import time

from jobs import errors
from jobs.api.basis import within_limits
from jobs.api.room import House
from jobs.estimates import Estimate, Sample, is_early
from jobs.store import reading_forecast, reading_runs
from jobs.store.reading_forecast import Ahead
from jobs.views.forecast import Outlook, Stop
from jobs.views.runs import Run


def outlook(house: House, run_id: int) -> Outlook | None:
    """What it will come to; None of a run that has ended or was cancelled.

    Raises:
        NotFound: there is no such run.
    """
    now = time.time()
    with house.snapshot() as db:
        run = reading_runs.run(db, run_id, now=now, ended=house.ended)
        if run is None:
            raise errors.NotFound(f"there is no run {run_id}")
        if run.ended_at is not None or run.state == "cancelled":
            return None
        ahead = reading_forecast.ahead(db, run_id, run.options, waiting=run.counts.waiting)
        calls = reading_forecast.back(db, run_id)
        resumed = reading_forecast.resumed(db, run_id)
    out = run.counts.calls_out
    sample = Sample(calls, out=out)
    if is_early(run.calls, out):
        return Outlook(
            n=sample.n, out=out, asked=ahead.asked, calls=None, tokens=None, cost=None, seconds=None, stop=None
        )
    more_calls = sample.left(lambda call: 1.0, ahead.asked)
    more_tokens = sample.left(lambda call: call.tokens, ahead.asked)
    more_money = sample.left(lambda call: call.money or 0.0, ahead.asked) if run.cost is not None else None
    seconds = sample.seconds_left(
        ahead.asked, places=run.options.in_flight, resumed=resumed, now=now if run.state == "running" else None
    )
    if run.options.batch != "no":
        seconds = None  # its provider takes what time it takes: no pace of the past tells of it
    if more_calls is not None and more_tokens is not None:
        more_calls = more_calls.at_least(Estimate(about=ahead.asked / run.options.rows_per_call))
        connection = house.settings.with_embedded().connections.get(run.connection)
        if seconds is not None:
            seconds = within_limits(seconds, run.options, connection, calls=more_calls, tokens=more_tokens)
    return Outlook(
        n=sample.n,
        out=out,
        asked=ahead.asked,
        calls=_whole(more_calls, run.calls),
        tokens=_whole(more_tokens, run.prompt_tokens + run.completion_tokens),
        cost=_whole(more_money, run.cost or 0.0),
        seconds=seconds,
        stop=_stop(run, ahead, more_money, seconds),
    )


def _whole(more: Estimate | None, so_far: float) -> Estimate | None:
    return None if more is None else more.beside(so_far)


def _stop(run: Run, ahead: Ahead, more: Estimate | None, seconds: Estimate | None) -> Stop | None:
    """Where the budget has no room for one call more, of which it reserves the most that one may cost."""
    if run.options.budget is None or run.cost is None or more is None or more.low is None or more.high is None:
        return None
    one = ahead.reserved / ahead.dispatched if ahead.dispatched else 0.0
    of_unknown_end = max(0.0, run.reserved - ahead.reserved)
    room = max(0.0, run.options.budget - run.cost - of_unknown_end - one)
    if more.high <= room:
        return None
    share = room / more.about if room < more.about else None
    if run.paused_by == "budget":
        share = 0.0
    counts = run.counts
    return Stop(
        sure=more.low > room,
        rows=None if share is None else counts.rows - counts.waiting + int(share * counts.waiting),
        seconds=None if share is None or seconds is None else share * seconds.about,
    )
