"""Every screen with something on it, at two widths, in light and in dark: nothing sticks out, nothing is amiss.

With REDRIVE_SCREENSHOTS each is kept as an image in that folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from tests.browser.conftest import seat
from tests.browser.person import Person
from tests.browser.workshop import BROKEN, Workshop

pytestmark = pytest.mark.browser

WIDTHS, HEIGHT = (1280, 1920), 1700
#: name -> (address, heading); the braces are ids of the workshop
SCREENS = {
    "overview": ("", "Overview"),
    "datasets": ("datasets", "Datasets"),
    "dataset": ("dataset?id={dataset}", "reviews.csv"),
    "prompts": ("prompts", "Prompts"),
    "prompt": ("prompt?name=triage&dataset={dataset}", "triage"),
    "prompt-messages": ("prompt?name=triage&dataset={dataset}&template=messages", "triage"),
    "prompt-graded": ("prompt?name=graded&dataset={dataset}", "graded"),
    "prompt-contract": ("prompt?name=triage&dataset={dataset}&view=Contract", "triage"),
    "prompt-model": ("prompt?name=triage&dataset={dataset}&view=Model+and+settings", "triage"),
    "prompt-history": ("prompt?name=triage&view=History", "triage"),
    "runs": ("runs", "Runs"),
    "runs-archived": ("runs?archived=true", "Runs"),
    "run-archived": ("run?id={archived}", "Run {archived}"),
    "evaluation": ("run?id={evaluation}", "Evaluation {evaluation}"),
    "evaluation-beside": ("run?id={evaluation}&beside={beside}", "Evaluation {evaluation}"),
    "run": ("run?id={run}", "Run {run}"),
    "run-export": ("run?id={run}&view=Export", "Run {run}"),
    "run-settings": ("run?id={run}&view=Settings+and+lineage", "Run {run}"),
    "run-hostile": ("run?id={hostile}", "Run {hostile}"),
    "run-ladder": ("run?id={climbing}", "Run {climbing}"),
    "run-ladder-settings": ("run?id={climbing}&view=Settings+and+lineage", "Run {climbing}"),
    "run-batch": ("run?id={overnight}", "Run {overnight}"),
    "letter-climbed": ("letter?run={climbing}&row=1", "Row R-0001"),
    "launch-ladder": ("launch?dataset={dataset}&ladder=dear-model@stub&checks=label=bad&sure=0.9", "Launch a run"),
    "dear-model": (
        "dear-model?prompt=triage@1&dataset={dataset}&connection=stub&dear=dear-model@stub",
        "Which rows need the dear model?",
    ),
    "dear-model-weighed": ("dear-model?runs={rivals}&target=90", "Which rows need the dear model?"),
    "rows-a-call": ("rows-a-call?prompt=triage@1&dataset={dataset}&connection=stub", "How many rows a call?"),
    "rows-a-call-compared": ("rows-a-call?runs={sizes}", "How many rows a call?"),
    "launch": ("launch?dataset={dataset}", "Launch a run"),
    "dead-letters": ("dead-letters", "Dead letters"),
    "dead-letters-group": ("dead-letters?signature={signature}", "reply is not JSON"),
    "letter": ("letter?run={run}&row=5&signature={signature}", "Row R-0005"),
    "letter-corrected": ("letter?run={run}&row=2", "Row R-0002"),
    "letter-contract": ("letter?run={run}&row={shapeless}", "Row R-00"),
    "letter-hostile": ("letter?run={hostile}&row=8", "Row R-0008"),
    "replays": ("replays", "Replays"),
    "replay": ("replay?id={replay}", "Replay {replay}"),
    "costs": ("costs", "Costs and latency"),
    "system": ("system", "System"),
}
#: what sticks out of the page's width, or of the box that it stands in without a way to scroll to it
STICKS_OUT = """
() => {
  const main = document.querySelector('[data-testid="stMain"]'), found = [];
  if (main.scrollWidth > main.clientWidth) found.push(`the page: ${main.scrollWidth} of ${main.clientWidth} pixels`);
  if (document.documentElement.scrollWidth > innerWidth) found.push(`the window: ${document.documentElement.scrollWidth}`);
  for (const one of main.querySelectorAll("h1, h2, button, a, .rd-figure, .rd-panel, .rd-badge, .rd-facts, input, label")) {
    const box = one.getBoundingClientRect();
    if (box.width && box.right > innerWidth + 1) found.push(`${one.tagName} ${one.className}: ${one.textContent.slice(0, 60)}`);
  }
  return found;
}
"""


@pytest.fixture(scope="module")
def person(browser: Browser, workshop: Workshop) -> Iterator[Person]:
    """One who looks at all the screens."""
    seated = seat(browser, workshop.household, height=HEIGHT)
    yield seated
    seated.page.context.close()


@pytest.mark.parametrize("name", SCREENS)
def test_screen(workshop: Workshop, person: Person, name: str) -> None:
    """It has its heading, no exception, and nothing that sticks out, in the theme that it is opened in and in the other."""
    ids = {
        "dataset": workshop.reviews.dataset,
        "run": workshop.reviews.id,
        "hostile": workshop.hostile.id,
        "replay": workshop.replay.id,
        "climbing": workshop.climbing.id,
        "overnight": workshop.overnight.id,
        "archived": workshop.archived.id,
        "evaluation": workshop.evaluation.id,
        "beside": workshop.beside.id,
        "rivals": workshop.rivals,
        "sizes": workshop.sizes,
        "signature": workshop.engine.letters.groups(run=workshop.reviews.id)[0][0].signature,
        "shapeless": BROKEN + 1,
    }
    address, heading = (text.format(**ids) for text in SCREENS[name])
    narrow, wide = WIDTHS
    first: Literal["light", "dark"] = "light" if list(SCREENS).index(name) % 2 else "dark"
    other: Literal["light", "dark"] = "dark" if first == "light" else "light"
    looks: list[tuple[int, Literal["light", "dark"]]] = [(narrow, first), (narrow, other), (wide, other), (wide, first)]
    for step, (width, theme) in enumerate(looks):
        person.page.set_viewport_size(ViewportSize(width=width, height=HEIGHT))
        person.page.emulate_media(color_scheme=theme)
        if step == 0:
            person.visit(address, heading)
        expect(person.page.locator("html")).to_have_css("color-scheme", theme)
        drawn(person)
        keep(person, f"{name}-{width}-{theme}")
        assert person.page.evaluate(STICKS_OUT) == []
        expect(person.page.locator("h1")).to_have_count(1)
        colour = person.page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
        shade = sum(int(part) for part in re.findall(r"\d+", colour)[:3])
        assert (shade < 200) == (theme == "dark")
    person.left()


def drawn(person: Person) -> None:
    """Nothing is still being put up: no placeholder, no chart without its lines."""
    person.rest()
    expect(person.page.get_by_test_id("stSkeleton")).to_have_count(0)
    expect(person.page.locator('[data-testid="stPlotlyChart"]:not(:has(svg.main-svg))')).to_have_count(0)


def keep(person: Person, name: str) -> None:
    """Keep what is seen as an image, where that is asked for."""
    if folder := os.environ.get("REDRIVE_SCREENSHOTS"):
        person.page.screenshot(path=Path(folder) / f"{name}.png", animations="disabled")
