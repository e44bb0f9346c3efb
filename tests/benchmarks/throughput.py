"""How near a run comes to what its calls in flight allow: ``python -m tests.benchmarks.throughput``.

The stub answers every call after a fixed time, so that rows x seconds / calls in flight is the least that a run can take. The
run is made by real processes: a Valkey, a keeper, two workers with a lane each, and the stub in a process of its own, all
on this machine. Start-up is shown apart; the loop that people write by hand over the bare SDK is measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from jobs.options import RunOptions
from tests.benchmarks.site import Site, messages, say, site, stub_process

#: shares of the ideal rate, while calls are made and with everything, and CPU seconds per 1,000 rows
CALLING, WHOLE, CPU = 0.95, 0.85, 1.5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--latency", type=float, default=0.3)
    parser.add_argument("--in-flight", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    with stub_process("--latency", str(given.latency)) as stub:
        bare = json.loads(
            subprocess.run(
                [sys.executable, "-m", "tests.benchmarks.bare_sdk", stub, str(given.rows), str(given.in_flight)],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        with site(stub, workers=given.workers) as here:
            return report(here, given, bare)


def report(here: Site, given: argparse.Namespace, bare: dict[str, float]) -> int:
    before = here.uses()
    run = here.start(messages(given.rows), RunOptions(in_flight=given.in_flight, reuse=False))
    done = here.ended(run)
    after = here.uses()
    span = here.span(run)
    ideal = given.rows * given.latency / given.in_flight
    thousands = given.rows / 1000
    cpu = {name: (after[name].cpu - before[name].cpu) / thousands for name in after}
    calling, whole, used = ideal / span.calling, ideal / span.whole, sum(cpu.values())
    ok = done.counts.accepted == given.rows and calling >= CALLING and whole >= WHOLE and used <= CPU
    return say(
        "throughput",
        f"{given.rows} rows, {given.latency * 1000:.0f} ms, {given.in_flight} in flight, {given.workers} workers: "
        f"{calling:.1%} of the ideal rate while calls are made (floor {CALLING:.0%}), {whole:.1%} over the whole run "
        f"(floor {WHOLE:.0%}): {span.before:.2f} + {span.calling:.2f} + {span.after:.2f} s for {ideal:.2f}, a reply after "
        f"{span.latency * 1000:.0f} ms; {done.counts.accepted} accepted; {used:.2f} CPU s per 1,000 rows (limit {CPU}; "
        + ", ".join(f"{name} {seconds:.2f}" for name, seconds in cpu.items())
        + f"), peak {max(use.peak for use in after.values()):.0f} MB in one process, start-up {here.startup:.1f} s apart; "
        f"bare SDK loop: {ideal / bare['seconds']:.1%} at {bare['cpu'] / thousands:.2f} CPU s",
        ok=ok,
    )


if __name__ == "__main__":
    sys.exit(main())
