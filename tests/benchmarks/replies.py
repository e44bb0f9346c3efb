"""What a lane spends on a row beside waiting for its model: ``python -m tests.benchmarks.replies``.

First usual work, each held against what the plain library takes for it: a template is rendered, a small reply judged, a call's
2,000 answers told apart, the 5,000 lines of a batch read. Then long texts and such as were made to hold a lane up, held against
what ``json.loads`` takes for a usual reply of as many characters. What is measured is time of the processor, in turns, and the best counts,
since other work of the machine is none of its fault.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import jinja2

from jobs import parcel, templates
from jobs.echo import without_echo
from jobs.judge import judge
from jobs.llm import Endpoint, batches, body
from jobs.llm.answers import Events
from jobs.partial import begun
from jobs.redaction import Secrets
from jobs.reply import candidates
from jobs.settings import Connection
from jobs.testing import StubProvider
from jobs.values import Message, Problem
from tests.benchmarks.site import say
from tests.jobs.test_judge import CONTRACT, HOSTILE, OPEN
from tests.jobs.test_partial import LONG
from workbench import parts

Work = Callable[[], object]

#: how often each is measured
TURNS, LONG_TURNS = 7, 2
#: how many times the baseline each may take
RENDERED, JUDGED, UNPACKED, READ = 4, 30, 50, 15
#: the same of the texts, by who reads them
TEXTS = {"judge": 600, "several rows": 800, "streaming": 50, "events": 2, "secrets": 25, "echo": 200, "shown": 1}

SMALL = '{"sentiment": "positive", "score": 5.5, "tags": ["a", "b"], "summary": "short"}'
SOURCE = "system:\nS\nuser:\nA\nassistant:\nB\nuser:\n{{ customer }}:\n{{ message }}"
CELLS = {"customer": "Ann", "message": "hello " * 40, "channel": "mail"}
NAMES = parcel.ids("many", 2_000)
LINES = 5_000


def answer(count: int) -> str:
    """A reply about so many rows."""
    value = {"sentiment": "good", "words": 7, "note": 'a "quoted" } ] {"id": "x", \\ end'}
    return json.dumps({"results": [{"id": name, "value": value} for name in NAMES[:count]]})


def seconds(work: Work, times: int = 1) -> float:
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times


def best(work: Work, plain: Work, times: int = 1, turns: int = TURNS) -> tuple[float, float]:
    """Seconds of the two, measured in turns."""
    took = [(seconds(work, times), seconds(plain, times)) for _ in range(turns)]
    return min(ours for ours, _ in took), min(theirs for _, theirs in took)


def held(words: str, ours: float, plain: float, limit: float) -> int:
    ratio = ours / plain
    return say(
        "replies",
        f"{words}: {1000 * ours:.3f} ms, {ratio:.1f} times {1000 * plain:.3f} ms (limit {limit:g})",
        ok=ratio <= limit,
    )


# -- usual work --------------------------------------------------------------------------------------------------------


def usual() -> Iterator[int]:
    template, bare = templates.parse(SOURCE), jinja2.Template("{{ customer }}:\n{{ message }}")
    took = best(lambda: template.render(CELLS), lambda: bare.render(CELLS), times=500)
    yield held("a row of 250 characters rendered, against Jinja2 without limits", *took, RENDERED)
    took = best(lambda: judge(SMALL, CONTRACT), lambda: json.loads(SMALL), times=500)
    yield held(f"a reply of {len(SMALL)} characters judged, against json.loads", *took, JUDGED)
    many = answer(len(NAMES))
    took = best(lambda: parcel.unpacked(many, NAMES), lambda: json.loads(many))
    yield held(f"a reply about {len(NAMES):,} rows told apart, against json.loads", *took, UNPACKED)
    with StubProvider() as stub:
        file = asyncio.run(_batch(stub))
        took = best(
            lambda: asyncio.run(_lines(stub, file)), partial(_bare_lines, f"{stub.base_url}/files/{file}/content")
        )
    yield held(f"the {LINES:,} lines of a batch fetched and read, against urllib and json.loads", *took, READ)


def _endpoint(stub: StubProvider) -> Endpoint:
    return Endpoint(Connection(name="stub", base_url=stub.base_url), None)


async def _batch(stub: StubProvider) -> str:
    """Where the answers are of a batch that is over."""
    async with _endpoint(stub) as endpoint:
        asked = [
            batches.line(
                f"r{number}",
                body(
                    [Message(role="user", content=f"row {number}")],
                    model="stub-model",
                    connection=Connection(name="stub", base_url=stub.base_url),
                    max_tokens=64,
                ),
            )
            for number in range(LINES)
        ]
        made = await batches.submit(endpoint, "token-of-replies", asked, count=LINES, settle=0.0)
        over = await batches.look(endpoint, made.id)
    assert over.output_file is not None
    return over.output_file


async def _lines(stub: StubProvider, file: str) -> None:
    async with _endpoint(stub) as endpoint:
        found = {line.custom_id async for line in batches.lines(endpoint, file)}
    assert len(found) == LINES


def _bare_lines(address: str) -> None:
    with urllib.request.urlopen(address, timeout=60) as reply:
        found = {json.loads(line)["custom_id"] for line in reply}
    assert len(found) == LINES


# -- texts -------------------------------------------------------------------------------------------------------------


def texts() -> Iterator[tuple[str, Mapping[str, tuple[str, Callable[[str], object]]]]]:
    """By who reads them: names, texts and what is done with each."""
    yield "judge", {name: (text, lambda text: judge(text, OPEN)) for name, text in HOSTILE.items()}
    parts_of = ("{", '[{"id":', '{"value":', '{"id":"x","value":{}', "{]")
    yield (
        "several rows",
        {part: (part * (300_000 // len(part)), lambda text: parcel.unpacked(text, NAMES)) for part in parts_of},
    )
    yield "streaming", {name: (text, begun) for name, (text, _) in LONG.items()}
    yield "events", {"no line break": ("x" * 8_000_000, _fed)}
    secrets = Secrets(["sk-proj/Ab+9_x=Q7w&0123456789"])
    slow = ("a line of JSON \\n with \\u0041 in it\n", "\\", "&#0", "&#x00", "%", "sk-proj")
    yield "secrets", {part: (part * (8_000_000 // len(part)), secrets.hide) for part in slow}
    reply = 'So: {"summary": "' + "{}" * 1_900 + '"}'
    cells = ("{" * 50_000, "}" * 50_000, "{}" * 50_000, "{summary:", *"{}[]sumary:" * 20)
    found = candidates(reply)
    yield "echo", {"brackets": ("".join(cells), lambda _: without_echo(found, cells))}
    place = Problem(path="$.a", rule="type", expected="text", got="a number", start=2_500_000, end=2_500_003)
    yield "shown", {"5 MB in one line": ("x" * 5_000_000, lambda text: parts.excerpt(text, [place]))}


def _fed(text: str) -> None:
    events, raw = Events(), text.encode()
    for start in range(0, len(raw), 400):
        assert list(events.feed(raw[start : start + 400])) == []


def long() -> Iterator[int]:
    usual = answer(len(NAMES))
    for reader, found in texts():
        worst = None
        for name, (text, read) in found.items():
            ours, plain = best(partial(read, text), lambda: json.loads(usual), turns=LONG_TURNS)
            one = (ours / (plain * len(text) / len(usual)), name, ours, plain * len(text) / len(usual))
            worst = max(worst, one) if worst else one
        assert worst is not None
        _, name, ours, plain = worst
        words = f"{reader}, {len(found)} texts, the slowest of them {name!r}, against json.loads of as many characters"
        yield held(words, ours, plain, TEXTS[reader])


def main() -> int:
    return max([*usual(), *long()])


if __name__ == "__main__":
    sys.exit(main())
