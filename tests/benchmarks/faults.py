"""What a bad night costs: ``python -m tests.benchmarks.faults``.

5 % of the rows meet a 429 at their first call, 1 % a 500, 0.5 % a reset, 0.2 % a hang, 2 % an invalid reply; each heals after
one call. All rows must be accepted, in the least number of calls that can do it, in at most the time without faults plus
one call's timeout.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from jobs.options import RunOptions
from jobs.testing.script import Mix
from tests.benchmarks.site import messages, say, site, stub_process

ROWS, LATENCY, IN_FLIGHT, TIMEOUT = 5000, 0.3, 200, 10.0
MIX = {
    "first_try_429": 0.05,
    "error": 0.01,
    "reset": 0.005,
    "hang": 0.002,
    "invalid": 0.02,
    "hang_seconds": 30.0,
    "seed": 7,
}
OPTIONS = RunOptions(in_flight=IN_FLIGHT, reuse=False, timeout=TIMEOUT)


def main() -> int:
    with stub_process("--latency", str(LATENCY)) as stub, site(stub) as here:
        plain = here.span(here.ended(here.start(messages(ROWS), OPTIONS)).id).whole
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "mix.json"
        script.write_text(json.dumps({"mix": MIX}))
        with stub_process("--latency", str(LATENCY), "--script", str(script)) as stub, site(stub) as here:
            run = here.ended(here.start(messages(ROWS), OPTIONS))
            took, kinds = here.span(run.id).whole, here.books()["kinds"]
    mix = Mix(**MIX)  # type: ignore[arg-type]
    faulty = sum(mix.fault_of(text) is not None for text in messages(ROWS))
    ok = run.counts.accepted == ROWS and run.calls == ROWS + faulty and took <= plain + TIMEOUT
    return say(
        "faults",
        f"{run.counts.accepted} of {ROWS} accepted in {run.calls} calls (rows + faulty calls = {ROWS + faulty}), {took:.2f} s; "
        f"without faults {plain:.2f} s, so at most {plain + TIMEOUT:.2f}; what the provider did: "
        + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())),
        ok=ok,
    )


if __name__ == "__main__":
    sys.exit(main())
