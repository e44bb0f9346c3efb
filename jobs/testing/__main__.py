"""The stand-in in a process of its own: ``python -m jobs.testing --port 0 --latency 0.3``.

Prints one line, its base URL, and serves until SIGTERM, Ctrl-C or, with ``--until-eof``, the end of its standard input, so
that it does not outlive who has started it. Its books are at ``/_ledger`` (``?entries=1`` for all of them), and
``/_control`` takes ``{"rpm": 9000, "latency": 0.3, "clear": true}``.

A script file is JSON (``{"mix": {"malformed": 0.02, "seed": 7}, "answer": {"label": "x"}}``) or Python with a function
``script`` (``Ask -> Act | None``) and, if wanted, ``answer``. Marks in the rows work beside either.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import runpy
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from jobs import processes
from jobs.settings import Price
from jobs.testing.provider import StubProvider
from jobs.testing.script import Mix, Script, marked


def main(arguments: list[str] | None = None) -> None:
    """Serves until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m jobs.testing", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    parser.add_argument("--script", type=Path, help="a .json or .py file")
    parser.add_argument("--answer", type=json.loads, help="the good answer, as JSON")
    parser.add_argument("--rpm", type=float, help="requests a minute that are let through")
    parser.add_argument("--burst", type=float, default=1.0, help="seconds whose allowance may be used at once")
    parser.add_argument("--silent", action="store_true", help="say nothing of the limit in headers")
    parser.add_argument("--key", action="append", help="a key that is let in; without any, everybody is")
    parser.add_argument(
        "--confidence", type=_share, metavar="P", help="tell log-probabilities: so sure of every value, from 0 to 1"
    )
    parser.add_argument(
        "--model-price",
        type=_priced,
        action="append",
        default=[],
        metavar="NAME=IN,OUT",
        help="what that model bills, US dollars a million tokens; again for another; 1 and 2 unless told",
    )
    parser.add_argument("--until-eof", action="store_true", help="end with standard input")
    options = parser.parse_args(arguments)
    scripts, answer = scripts_of(options.script)
    stub = StubProvider(
        *scripts,
        answer=options.answer if options.answer is not None else answer,
        latency=options.latency,
        rpm=options.rpm,
        burst=options.burst,
        tells=not options.silent,
        keys=options.key,
        confidence=options.confidence,
        prices=dict(options.model_price),
        models=("stub-model", *(name for name, _ in options.model_price)),
        port=options.port,
    )
    asyncio.run(_serve(stub, until_eof=options.until_eof))


def _share(text: str) -> float:
    found = float(text)
    if not 0 <= found <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return found


def _priced(text: str) -> tuple[str, Price]:
    name, _, figures = text.rpartition("=")
    sent, _, answered = figures.partition(",")
    try:
        found = Price(input=float(sent), output=float(answered))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=IN,OUT, such as dear=10,20") from error
    if not name:
        raise argparse.ArgumentTypeError(f"{text} names no model")
    return name, found


def scripts_of(file: Path | None) -> tuple[tuple[Script, ...], Any]:
    """The scripts and the answer that a file tells."""
    if file is None:
        return (marked,), None
    if file.suffix == ".py":
        names = runpy.run_path(str(file))
        return (marked, names["script"]) if "script" in names else (marked,), names.get("answer")
    told = json.loads(file.read_text("utf-8"))
    return (marked, Mix(**told.get("mix", {}))), told.get("answer")


async def _serve(stub: StubProvider, *, until_eof: bool) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    await stub.start()
    processes.settle()
    sys.stdout.write(f"{stub.base_url}\n")
    sys.stdout.flush()
    if until_eof:

        def watch() -> None:
            sys.stdin.buffer.read()
            loop.call_soon_threadsafe(over.set)

        threading.Thread(target=watch, daemon=True).start()
    await over.wait()
    await stub.stop()


if __name__ == "__main__":
    main()
