"""Steering, many dead letters, paging, stray clicks and hostile text, in a browser, behind a stub of a provider."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Sit
from tests.browser.person import PRESS, Person, heads
from tests.browser.workshop import BROKEN, HEALING, HOSTILE, REFUSED, SHAPELESS, Workshop
from tests.house import wait_until

pytestmark = pytest.mark.browser

DEAD = BROKEN + SHAPELESS + REFUSED + HEALING
PAGE = 50


@pytest.fixture
def slow(workshop: Workshop) -> Iterator[Workshop]:
    """Answers take their time, so that a run can be steered while it works."""
    before, workshop.stub.latency = workshop.stub.latency, 0.4
    yield workshop
    workshop.stub.latency = before


def test_pause_resume_cancel(slow: Workshop, sit: Sit) -> None:
    """Each does what it says and is safe to press twice, the counts add up all the while, and a reload changes nothing."""
    run = slow.run("steered.csv", [f"steered {n}" for n in range(200)], wait=False, in_flight=4)
    person = sit(slow.household)
    person.visit(f"run?id={run.id}", f"Run {run.id}")
    person.counts()
    person.press("Pause", times=2)
    person.state("paused")
    expect(person.page.locator(".rd-legend").first).not_to_contain_text("in a call")
    paused = person.counts()
    person.reload(f"Run {run.id}")
    person.state("paused")
    assert person.counts() == paused
    assert slow.engine.runs.get(run.id).counts.accepted == paused["accepted"]

    person.press("Resume", times=2)
    person.state("running")
    wait_until(lambda: slow.engine.runs.get(run.id).counts.accepted > paused["accepted"])
    expect(person.page.locator(".rd-bar")).not_to_have_attribute(
        "aria-label", re.compile(f"accepted {paused['accepted']},")
    )
    person.press("Cancel …")
    person.press("Cancel it", within=person.dialog, times=2)
    person.state("cancelled")
    expect(person.page.get_by_role("button", name="Pause", exact=True)).to_be_disabled()
    slow.ended(run.id)
    person.reload(f"Run {run.id}")
    ended = person.counts()
    assert ended["waiting"] == 0
    assert ended["accepted"] + ended["cancelled"] == ended["rows"]
    assert ended["accepted"] > paused["accepted"]


def test_the_values_of_a_run_come_as_its_counts_do(slow: Workshop, sit: Sit) -> None:
    """A page that was opened before the first value shows each without being drawn anew, and an open dialog stays open."""
    slow.stub.latency = 1.5
    run = slow.run("coming.csv", [f"coming {n}" for n in range(24)], wait=False, in_flight=2)
    person = sit(slow.household)
    person.visit(f"run?id={run.id}", f"Run {run.id}")
    person.press("Budget …")
    person.lines("rows of the run").first.wait_for()
    expect(person.page.get_by_text("No row is accepted yet")).to_have_count(0)
    first = person.lines("rows of the run").count()
    wait_until(lambda: person.lines("rows of the run").count() > first)
    expect(person.dialog).to_be_visible()
    person.page.keyboard.press("Escape")
    slow.stub.latency = 0.02
    person.state("finished")
    person.read("rows of the run", rows=24)
    person.shows("Money", re.compile(r"^\$"))


def test_an_impatient_hand(workshop: Workshop, sit: Sit) -> None:
    """However often the button is pressed, there is one run, and the browser is on its page."""
    person = sit(workshop.household)
    for times in (2, 3, 4):
        before = workshop.engine.runs.list(kinds=["run"])[1]
        dataset = workshop.engine.datasets.get(workshop.reviews.dataset)
        person.visit(f"launch?dataset={dataset.id}", "Launch a run")
        person.write("Rows", "2")
        person.press("Launch 2 rows", times=times)
        person.sees(re.compile(r"^Run \d+"))
        person.page.wait_for_url(re.compile(r"/run\?id=\d+$"))
        assert workshop.engine.runs.list(kinds=["run"])[1] == before + 1


def test_many_dead_letters_in_groups(workshop: Workshop, sit: Sit) -> None:
    """Groups that add up; pages whose number outlives a reload; ticked rows that stay ticked; the next letter over a page's end."""
    person = sit(workshop.household)
    run = workshop.reviews.id
    person.visit(f"dead-letters?run={run}&resolution=any", "Dead letters")
    groups = person.read("dead letters by cause")
    assert sum(int(line["Letters"]) for line in groups) == DEAD
    assert sorted(int(line["Letters"]) for line in groups)[-1] == BROKEN + HEALING
    largest = max(groups, key=lambda line: int(line["Letters"]))
    person.open("dead letters by cause", largest["Cause"])
    person.sees(largest["Cause"])
    first = heads(person.read("dead letters", rows=PAGE), "Row")
    person.page.get_by_role("button", name="Page 2", exact=True).click(delay=PRESS)
    rest = heads(person.read("dead letters", rows=BROKEN + HEALING - PAGE), "Row")
    assert not set(first) & set(rest)
    person.reload(largest["Cause"])
    assert heads(person.read("dead letters", rows=len(rest)), "Row") == rest

    person.choose("open")
    opened = BROKEN - 2
    letters = heads(person.read("dead letters", rows=PAGE), "Row")
    for row in letters[:3]:
        person.page.get_by_role("checkbox", name=f"choose {row}").click(delay=PRESS)
    person.says("Replay 3 ticked …")
    person.press("Discard 3 ticked …")
    expect(person.dialog).to_contain_text("3 open dead letters of run")
    person.rest()  # a dialog that is closed while it is still being drawn is opened again by the rest of it
    person.page.keyboard.press("Escape")
    expect(person.dialog).to_have_count(0)
    person.says(re.compile(f"of {opened} dead letters"))

    person.open("dead letters", letters[-1])
    person.sees(f"Row {letters[-1]}")
    person.type_key("j")
    expect(person.page.locator("h1")).not_to_contain_text(letters[-1])
    assert heads_of(person) not in letters
    person.type_key("k")
    person.sees(f"Row {letters[-1]}")
    person.follow("Its group")
    person.sees(largest["Cause"])


def heads_of(person: Person) -> str:
    """The row that the heading names."""
    return person.page.locator("h1").inner_text().removeprefix("Row ").partition(":")[0]


def test_hostile_text_stays_text(workshop: Workshop, sit: Sit) -> None:
    """Cells and replies that are markup, links, directives or turned around are shown as the characters that they are."""
    person = sit(workshop.household)
    run = workshop.hostile
    signature = workshop.engine.letters.groups(run=run.id)[0][0].signature
    dead = workshop.engine.letters.ids(run=run.id)
    places = {
        f"dataset?id={run.dataset}": "hostile.csv",
        f"prompt?name=triage&dataset={run.dataset}&row=1": "triage",
        f"run?id={run.id}": f"Run {run.id}",
        f"run?id={run.id}&rows=dead": f"Run {run.id}",
        f"dead-letters?run={run.id}": "Dead letters",
        f"dead-letters?run={run.id}&signature={signature}": "not JSON",
    } | {f"letter?run={run.id}&row={ordinal}": "Row R-" for _, ordinal in dead}
    for path, heading in places.items():
        person.visit(path, heading)
        nothing_came_alive(person)
    person.visit(f"dataset?id={run.dataset}", "hostile.csv")
    shown = heads(person.read("rows of the dataset"), "text")
    assert shown[: len(HOSTILE)] == [
        " ".join(text.split()).replace("\u202e", "⟨U+202E⟩").replace("\u202c", "⟨U+202C⟩") for text in HOSTILE
    ]
    for (_, ordinal), text in zip(dead, HOSTILE, strict=True):
        person.visit(f"letter?run={run.id}&row={ordinal}", "Row R-")
        raw = person.page.get_by_role("region", name="raw reply")
        expect(raw.locator(".line")).to_have_count(1)
        written = raw.locator(".line > span").evaluate_all(
            "all => all.map((one) => [...one.childNodes].filter((n) => n.tagName !== 'SUP').map((n) => n.textContent).join(''))"
        )
        assert "".join(written) == text.replace("\u202e", "⟨U+202E⟩").replace("\u202c", "⟨U+202C⟩")


def nothing_came_alive(person: Person) -> None:
    """No script of a cell ran, and nothing of it became an element."""
    assert person.page.evaluate("window.pwned") is None
    main = person.page.get_by_test_id("stMain")
    for alive in (
        'a[href*="evil"]',
        'img[src*="evil"]',
        'a[href^="javascript"]',
        "script",
        "b:text-is('bold')",
        ".katex",
    ):
        expect(main.locator(alive)).to_have_count(0)
