"""How a run keeps to what a provider allows: ``python -m tests.benchmarks.limits``.

150 calls a second are allowed, in a bucket one second deep. A line each: the limit stands in connections.toml; the provider's
headers tell it; nobody tells it and no refusal says how long to wait; it is halved in the middle of a run.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import closing

from jobs.options import RunOptions
from tests.benchmarks.site import Site, messages, say, site, stub_process
from tests.house import wait_until

RATE = 150
#: shares of what is allowed, and of calls that are refused
USED, REFUSED = 0.97, 0.005
#: with the limit unknown: the share, and the seconds after which it must be reached
FOUND, WITHIN = 0.95, 120
OPTIONS = RunOptions(in_flight=200, reuse=False)


def main() -> int:
    return max(
        known("the limit in connections.toml", limits=f"rpm = {RATE * 60}"),
        known("the limit told by headers", limits=""),
        unknown(),
        halved(),
    )


def known(name: str, *, limits: str, rows: int = 5000) -> int:
    with stub_process("--latency", "0.3", "--rpm", str(RATE * 60)) as stub, site(stub, limits=limits) as here:
        run = here.start(messages(rows), OPTIONS)
        done = here.ended(run)
        span, refused = here.span(run), here.books()["statuses"].get("429", 0)
    share, rate = refused / done.calls, rows / span.calling
    ok = done.counts.accepted == rows and rate >= USED * RATE and share < REFUSED
    return say(
        "limits",
        f"{name}: {rate:.1f} calls a second of {RATE} = {rate / RATE:.1%} (floor {USED:.0%}), {refused} of {done.calls} calls "
        f"refused = {share:.2%} (limit {REFUSED:.1%}), {done.counts.accepted} of {rows} accepted",
        ok=ok,
    )


def unknown(rows: int = 9000) -> int:
    with stub_process("--latency", "0.3", "--rpm", str(RATE * 60), "--silent") as stub, site(stub) as here:
        run = here.start(messages(rows), OPTIONS)
        done = here.ended(run)
        rates = by_second(here, run)
        refused = here.books()["statuses"].get("429", 0)
    reached = next(
        (second for second in range(len(rates) - 10) if sum(rates[second : second + 10]) / 10 >= FOUND * RATE), None
    )
    later = rates[(reached or 0) + 1 : -2]
    ok = (
        done.counts.accepted == rows
        and reached is not None
        and reached <= WITHIN
        and sum(later) / len(later) >= FOUND * RATE
    )
    return say(
        "limits",
        f"nobody tells: {FOUND:.0%} of {RATE} a second reached after {reached} s (limit {WITHIN}), then "
        f"{sum(later) / len(later):.1f} a second; {refused} refusals over {done.calls} calls, {done.counts.dead} dead",
        ok=ok,
    )


def halved(rows: int = 6000) -> int:
    with (
        stub_process("--latency", "0.3", "--rpm", str(RATE * 60), "--silent") as stub,
        site(stub, limits=f"rpm = {RATE * 60}") as here,
    ):
        run = here.start(messages(rows), OPTIONS)
        wait_until(lambda: here.engine.runs.get(run).counts.accepted >= rows // 3 or time.sleep(0.1) is not None)
        here.tell_stub(rpm=RATE * 30)
        changed = time.time()
        done = here.ended(run)
        rates = by_second(here, run, since=changed + 5)[:-2]
        refused = here.books()["statuses"].get("429", 0)
    rate = sum(rates) / len(rates)
    ok = done.counts.dead == 0 and done.counts.accepted == rows and rate >= 0.9 * RATE / 2
    return say(
        "limits",
        f"halved in mid-run: {done.counts.dead} dead letters, {done.counts.accepted} of {rows} accepted, {rate:.1f} a second of "
        f"{RATE / 2:.0f} from 5 s later on, {refused} of {done.calls} calls refused",
        ok=ok,
    )


def by_second(here: Site, run: int, *, since: float = 0.0) -> list[int]:
    """Calls that were let through in each second of a run."""
    with closing(sqlite3.connect(here.settings.database)) as db:
        times = [
            at
            for (at,) in db.execute(
                "SELECT sent_at FROM calls WHERE run = ? AND outcome = 'replied' AND sent_at >= ? ORDER BY sent_at",
                [run, since],
            )
        ]
    counts = [0] * (int(times[-1] - times[0]) + 1)
    for at in times:
        counts[int(at - times[0])] += 1
    return counts


if __name__ == "__main__":
    sys.exit(main())
