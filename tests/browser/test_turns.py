"""What turns while a page is open: the theme of the system, and whether anybody serves the page."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser.conftest import seat
from tests.browser.household import KEYS
from tests.browser.person import FIRST
from tests.browser.workshop import Workshop
from tests.house import wait_until
from workbench import ports

pytestmark = pytest.mark.browser


def shade(one: Locator, what: str) -> int:
    """How bright that colour of an element is now, from 0 to 765."""
    colour = one.evaluate(f"one => getComputedStyle(one).{what}")
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3])


def test_a_page_that_turns_dark_is_read_on(browser: Browser, workshop: Workshop) -> None:
    """Tables, figures and an open dialog have light letters on a dark ground at once, and charts are drawn anew."""
    person = seat(browser, workshop.household)
    person.visit(f"prompt?name=triage&dataset={workshop.reviews.dataset}", "triage")
    person.write("Template", "user:\nturned: {{ text }}")
    person.press("Save a new version …")
    expect(person.dialog).to_be_visible()
    person.page.emulate_media(color_scheme="dark")
    expect(person.page.locator("html")).to_have_css("color-scheme", "dark")
    for place in ("[role=dialog] .rd-diff .same", ".rd-h1", ".rd-chips code"):
        assert shade(person.page.locator(place).first, "color") > 500, place
    workshop.engine.prompts.drop_draft("triage")
    person.page.emulate_media(color_scheme="light")
    person.visit("costs?window=all", "Costs and latency")
    axis = person.page.get_by_test_id("stPlotlyChart").first.locator(".xtick text").first
    expect(axis).to_have_css("fill", "rgb(95, 105, 120)")
    person.page.emulate_media(color_scheme="dark")
    expect(axis).to_have_css("fill", "rgb(152, 161, 176)")
    cell, head = (person.page.locator(f"table[aria-label=breakdown] {one}").first for one in ("td", "th"))
    assert shade(cell, "color") > 500 and shade(head, "color") > 400
    assert shade(head, "backgroundColor") < 200
    person.page.context.close()
    person.left()


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def served(home: Path, prompts: Path, port: int) -> Iterator[None]:
    """The web process alone, as ``redrive up`` starts it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench.web", "--home", str(home), "--prompts", str(prompts), "--port", str(port)],
        env={name: value for name, value in os.environ.items() if name not in KEYS},
    )
    try:
        wait_until(lambda: answers(port))
        yield
    finally:
        process.terminate()
        process.wait(20)


def test_a_page_that_nobody_serves_says_how_redrive_is_started(browser: Browser, tmp_path: Path) -> None:
    """It does not ask after the internet; what it says goes away when Redrive is back, without a hand."""
    home, prompts, port = tmp_path / "home", tmp_path / "prompts", ports.free(0)
    home.mkdir(mode=0o700)
    prompts.mkdir()
    context = browser.new_context()
    page = context.new_page()
    gone = page.get_by_role("alert").filter(has_text="Redrive has stopped on this machine")
    with served(home, prompts, port):
        page.goto(f"http://127.0.0.1:{port}/")
        expect(page.locator("h1").first).to_have_text("Overview", timeout=FIRST)
        expect(gone).to_have_count(0)
    expect(gone).to_contain_text(f"redrive up --home {home}")
    dialog = page.locator("[role=dialog]")
    dialog.wait_for(state="attached")
    expect(dialog).to_be_hidden()
    with served(home, prompts, port):
        expect(page.locator(".rd-gone")).to_have_count(0, timeout=FIRST)
        expect(page.locator("h1").first).to_be_visible()
    context.close()
