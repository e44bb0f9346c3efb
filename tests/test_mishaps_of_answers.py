"""What goes wrong with answers, and what is kept: providers that lie or misbehave, replies of megabytes, templates that explode.

The README's table "What goes wrong" names these tests.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from jobs import errors, plan
from jobs.options import RunOptions
from jobs.testing import StubProvider, marked
from jobs.testing.script import Act, Ask
from tests.house import CONTENT, Home, Place, lanes_of
from tests.workbench.conftest import APP, texts
from workbench import session

pytestmark = pytest.mark.timeout(120)

GOOD = {"sentiment": "good", "words": 2}
TEXT = json.dumps(GOOD)


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with StubProvider(marked, answer=GOOD, latency=0.02) as stub:
        yield stub


@pytest.fixture
def home(tmp_path: Path, redis_address: str, stub: StubProvider) -> Iterator[Home]:
    home = Home(tmp_path / "home", redis_address, stub, chance=lambda: 0.0)
    yield home
    home.close()


def strikes(home: Home, run: int) -> dict[int, int]:
    """Row -> how often its replies were struck, where they were."""
    query = "SELECT ordinal, count(*) FROM attempts WHERE run = ? AND strike = 1 GROUP BY 1"
    return dict(home.engine._house.read().execute(query, [run]).fetchall())


# -- providers ---------------------------------------------------------------------------------------------------------


def test_whatever_a_provider_answers(home: Home) -> None:
    """Pages with status 200, broken bodies and calls of tools: only a reply is a strike, the rest is asked again, all rows end."""
    marks = ["html", "tool", "null", "reset", "truncated", "no choices", "500", "wrong usage"]
    run = home.went([f"row {number} [[{mark}]]" for number, mark in enumerate(marks)])

    assert (run.counts.accepted, run.counts.dead) == (8, 0)
    assert strikes(home, run.id) == {1: 1, 2: 1, 3: 1}


def test_replies_longer_than_asked_for_are_paid_for_as_they_are(home: Home) -> None:
    """A provider that ignores max_tokens settles the reservation by what it took, and the budget pauses the run all the same."""
    usage = {"prompt_tokens": 20, "completion_tokens": 2_000}
    home.stub.scripts = (lambda ask: Act(content=TEXT + " " * 8_000, usage=usage),)
    dear = (20 * 1.0 + 2_000 * 2.0) / 1_000_000
    run = home.start([f"row {number}" for number in range(100)], options=RunOptions(in_flight=2, budget=30.5 * dear))
    paused = home.until(run, lambda seen: seen.state == "paused" and not seen.counts.in_flight)

    # twenty times what max_tokens allows: it is set aside for each call as soon as the first replies have come
    assert paused.paused_by == "budget" and paused.calls == paused.counts.accepted == 30
    assert paused.cost == pytest.approx(30 * dear) and paused.reserved == pytest.approx(0.0)


def test_a_budget_that_is_passed_by_the_first_replies(home: Home) -> None:
    """What is under way had room in it as far as anybody knew; the run is paused at once, and says why."""
    home.stub.scripts = (lambda ask: Act(content=TEXT, usage={"prompt_tokens": 20, "completion_tokens": 200_000}),)
    run = home.start([f"row {number}" for number in range(100)], options=RunOptions(in_flight=2, budget=0.5))
    paused = home.until(run, lambda seen: seen.state == "paused" and not seen.counts.in_flight)

    assert paused.paused_by == "budget" and "is passed, by replies longer than max_tokens" in (paused.reason or "")
    assert paused.calls <= plan.window(2, None) and paused.counts.waiting == 100 - paused.calls


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": "many", "completion_tokens": "few"},
        {"prompt_tokens": -5, "completion_tokens": -1},
        {"prompt_tokens": 10**12, "completion_tokens": 10**12},
        {"prompt_tokens": 9e7, "completion_tokens": 9e7},
        "none",
    ],
)
def test_usage_that_cannot_be(home: Home, usage: Any) -> None:
    """Figures that no text can have are estimated from what was sent and came, and are marked as estimates."""
    home.stub.scripts = (lambda ask: Act(content=TEXT, usage=usage),)
    run = home.went(["a", "b", "c"], options=RunOptions(budget=1.0))
    attempt = home.engine.letters.inspect(run.id, 1).attempts[0]

    assert run.counts.accepted == 3 and attempt.estimated
    assert run.cost is not None and 0 < run.cost < 0.01


def test_garbage_that_streams_in(home: Home) -> None:
    """A try whose stream is no stream of events is asked again, shows nobody rubbish, and dies as unreachable at last."""
    garbage = b"\x00\xff" * 3_000 + b"\ndata: {]\n\ndata: \xff\xfe\n"

    def script(ask: Ask) -> Act | None:
        if "never" in ask.user or ask.seen == 0:
            return Act(kind="garbage", body=garbage, content_type="text/event-stream")
        return None

    home.stub.scripts = (script,)
    run = home.went(["once", "never"], kind="try", options=RunOptions(reuse=False))
    live = {one.ordinal: one.text for one in home.engine.system.live(run.id)}
    dead = home.engine.letters.inspect(run.id, 2)

    assert (run.counts.accepted, run.counts.dead) == (1, 1)
    assert live == {1: json.dumps(GOOD, separators=(",", ":")), 2: ""}
    assert dead.letter is not None and "could not be reached" in dead.letter.title


LIES: list[dict[str, str]] = [
    {"limit": "6000", "remaining": "0", "reset": "1s"},
    {"limit": "6000", "remaining": "0", "reset": "1970-01-01T00:00:00Z"},
    {"limit": "6000", "remaining": "-7", "reset": "0"},
    {"limit": "-5", "remaining": "none", "reset": "soon"},
    {"limit": "1e300", "remaining": "1e300", "reset": "nan"},
    {"limit": "0", "remaining": "0", "reset": "-1"},
]


def test_headers_that_lie_about_limits(home: Home) -> None:
    """Nothing remains for ever, limits come back in 1970, figures are none: the run moves on, and says what it waits for."""
    lies = itertools.cycle(LIES)

    def script(ask: Ask) -> Act:
        told = next(lies).items()
        return Act(
            content=TEXT,
            headers=(*((f"x-ratelimit-{name}-requests", said) for name, said in told), ("retry-after", "9999")),
        )

    home.stub.scripts = (script,)
    run = home.went([f"row {number}" for number in range(120)])
    pool = home.engine.system.pool("stub", "stub-model")

    assert (run.counts.accepted, run.calls) == (120, 120)
    assert pool is not None and pool.rates == {"requests": 100.0} and pool.sources == {"requests": "headers"}


# -- replies of megabytes ----------------------------------------------------------------------------------------------


@pytest.mark.crash
def test_replies_of_megabytes(tmp_path: Path, stub: StubProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """50 MB are kept up to 8 and judged as cut, 5 MB are kept whole; nobody's memory runs away, and the letter opens."""

    def script(ask: Ask) -> Act | None:
        if "MB" not in ask.user:
            return None
        size = int(ask.user.split()[0]) * 1_000_000
        return Act(content=f"reply {ask.seen} and so on; "[:20].ljust(20) * (size // 20))

    stub.scripts = (script,)
    place = Place(tmp_path, stub)
    place.serve()
    place.work()
    try:
        rows = ["50 MB", "50 MB a", "5 MB", *(f"plain {number}" for number in range(40))]
        run = place.ended(place.start(rows, options=RunOptions(in_flight=8, strikes=2)))
        most = {part.pid: peak(part.pid) for part in (place.parts.keeper, *place.parts.workers)}
        letters = {row: place.engine.letters.inspect(run.id, row) for row in (1, 3)}
        monkeypatch.setenv("REDRIVE_HOME", str(place.settings.home))
        app = AppTest.from_file(str(APP), default_timeout=30)
        app.switch_page("screens/letter.py")
        app.query_params["run"], app.query_params["row"] = str(run.id), "1"
        app.run()
        shown = texts(app)
    finally:
        session.forget_engines()
        place.close()

    assert (run.counts.accepted, run.counts.dead) == (40, 3)
    assert [letters[row].letter.title for row in (1, 3)] == [  # type: ignore[union-attr]
        "reply is too long to be read whole",
        "reply is not JSON: prose",
    ]
    assert [len(attempt.raw or "") for row in (1, 3) for attempt in letters[row].attempts] == [8_000_000] * 2 + [
        5_000_000
    ] * 2
    assert max(most.values()) < 500, f"megabytes: {most}"
    assert "reply is too long to be read whole" in shown and len(shown) < 1_000_000


def peak(process: int) -> float:
    """The most memory that a process or one of its children has had at once, megabytes."""
    family = [process, *lanes_of(process)]
    files = [Path(f"/proc/{pid}/status") for pid in family]
    found = [re.search(r"VmHWM:\s+(\d+) kB", file.read_text()) for file in files if file.exists()]
    return max((int(one[1]) / 1000 for one in found if one), default=0.0)


# -- templates ---------------------------------------------------------------------------------------------------------

LOOPS = "{% set long = text * 100000 %}{% for a in range(9999) %}{% if 'zq' in long %}{% endif %}{% endfor %}{{ text }}"


def test_a_template_that_takes_for_ever(home: Home) -> None:
    """Its rows die with the reason, each after its seconds; the rows of another run on the same lane go on meanwhile."""
    slow = home.version(CONTENT.model_copy(update={"template": LOOPS}), "slow")
    first = home.start(["some twenty letters"], version=slow)
    home.until(first, lambda seen: seen.counts.in_flight == 1)
    home.stub.ledger.clear()
    second = home.went([f"row {number}" for number in range(20)])
    under_way = home.engine.runs.get(first).counts.waiting
    gaps = [after.at - before.at for before, after in itertools.pairwise(home.stub.ledger.entries)]
    done = home.ended(first)
    dead = home.engine.letters.inspect(first, 1)

    assert (second.counts.accepted, second.calls) == (20, 20) and under_way == 1
    assert max(gaps) < 1.0, "the others stood still"
    assert (done.counts.dead, done.calls) == (1, 0)
    assert dead.attempts[-1].failure is not None and "took longer than 2 s" in dead.attempts[-1].failure.message


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{% for a in range(10**9) %}{% endfor %}{{ text }}", "range() is longer than 10,000"),
        ("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}{{ text }}", "builds too much"),
        ("{{ text * 10**9 }}", "builds too much"),
    ],
)
def test_a_template_that_explodes(home: Home, template: str, words: str) -> None:
    """A row whose prompt would be too much is dead as internal, with what to change, and was never sent."""
    run = home.went(["a b c"], version=home.version(CONTENT.model_copy(update={"template": template})))
    dead = home.engine.letters.inspect(run.id, 1)

    assert (run.counts.dead, run.calls) == (1, 0)
    assert dead.letter is not None and dead.letter.signature.split("|")[1] == "internal"
    assert dead.attempts[-1].failure is not None and words in dead.attempts[-1].failure.message


def test_a_template_that_calls_itself(home: Home) -> None:
    """Macros do not exist, so that none can: the version is refused with its line, and nothing is saved."""
    template = "user:\n{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}{{ text }}"
    with pytest.raises(errors.PromptError, match="line 2: macro is not available"):
        home.version(CONTENT.model_copy(update={"template": template}), "macros")
    assert [prompt.name for prompt in home.engine.prompts.list()] == []
