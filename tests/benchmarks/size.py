"""What many rows cost: ``python -m tests.benchmarks.size``.

100,000 rows for real, as fast as the keeper can record them: memory of each process at row 10,000 and at the end, the
keeper's rate, the store's size per attempt, the most that ever stood on the streams. Then what 1,000,000 rows would take by
these figures, on paper. And beside a long run, how long a short one takes that is started behind it.
"""

from __future__ import annotations

import argparse
import sys
import time

from jobs.options import RunOptions
from tests.benchmarks.site import Site, messages, say, site, stub_process

GROWTH, BEHIND = 50.0, 10.0
LATENCY, IN_FLIGHT, SHORT = 0.3, 400, 50


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--long", type=int, default=50_000)
    given = parser.parse_args()
    with stub_process("--latency", str(LATENCY)) as stub:
        with site(stub) as here:
            first = flat(here, given.rows)
        with site(stub) as here:
            second = behind(here, given.long)
    return max(first, second)


def flat(here: Site, rows: int) -> int:
    run = here.start(messages(rows), RunOptions(in_flight=IN_FLIGHT, reuse=False))
    early: dict[str, float] = {}
    window = 0
    while (now := here.engine.runs.get(run)).ended_at is None:
        time.sleep(0.5)
        if not early and now.counts.accepted >= rows // 10:
            early = {name: use.now for name, use in here.uses().items()}
            cpu = {name: use.cpu for name, use in here.uses().items()}
            counted = now.counts.accepted
        look = here.engine.system.look()
        window = max(window, look.calls_waiting + look.outcomes_waiting)
    late = here.uses()
    growth = {name: late[name].now - early[name] for name in early}
    keeper = (late["keeper"].cpu - cpu["keeper"]) / (rows - counted)
    size = sum(file.stat().st_size for file in here.home.glob("redrive.db*"))
    done = here.engine.runs.get(run)
    each = size / rows
    ok = done.counts.accepted == rows and max(growth.values()) <= GROWTH
    return say(
        "size",
        f"{rows} rows in {done.seconds:.0f} s: memory from row {rows // 10} on "
        + ", ".join(f"{name} {early[name]:.0f} to {late[name].now:.0f} MB" for name in growth)
        + f" (limit {GROWTH:.0f} MB more); keeper {keeper * 1e6:.0f} us CPU a row, so {1 / keeper:,.0f} rows a second; store {each:,.0f} "
        f"bytes a row; at most {window:,} calls and outcomes on the streams; on paper 1,000,000 rows: keeper "
        f"{keeper * 1e6 / 60:.0f} min CPU, store {each / 1000:.1f} GB, "
        f"{1_000_000 * LATENCY / IN_FLIGHT / 60:.0f} min of calls at {IN_FLIGHT} in flight and {LATENCY} s",
        ok=ok,
    )


def behind(here: Site, rows: int) -> int:
    options = RunOptions(in_flight=100, reuse=False)
    long = here.start(messages(rows), options, name="long.csv")
    while here.engine.runs.get(long).counts.accepted < 2_000:
        time.sleep(0.1)
    began = time.monotonic()
    short = here.start([f"short {number}" for number in range(SHORT)], options, name="short.csv")
    while not here.engine.runs.get(short).counts.accepted:
        time.sleep(0.05)
    first = time.monotonic() - began
    done = here.ended(short)
    took = time.monotonic() - began
    here.engine.runs.cancel(long)
    ideal = -(-SHORT // 100) * LATENCY
    return say(
        "size",
        f"{SHORT} rows started behind {rows}: first result after {first:.1f} s, {done.counts.accepted} accepted after {took:.1f} s, "
        f"alone at least {ideal:.1f} s (limit {BEHIND:.0f} s more)",
        ok=done.counts.accepted == SHORT and took <= ideal + BEHIND,
    )


if __name__ == "__main__":
    sys.exit(main())
