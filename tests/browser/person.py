"""Somebody at a browser: what they can do, and what must hold whatever they do.

A press lasts 80 ms, as a hand's does; ``tap`` and ``hold`` are as short and as long as a press can be. Nothing sleeps: what a
person waits to see is waited for. ``left`` holds what no step may break: nothing asked of another machine, a
console without errors; ``rest``, that no screen shows an exception.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from playwright.sync_api import ConsoleMessage, Locator, Page, Response, expect

#: milliseconds: of a press, until what was asked for must stand there, and for a screen's first paint on a busy machine
PRESS, PATIENCE, FIRST = 80, 20_000, 45_000
#: Streamlit's page asks below its own address first, and takes the 404 for "look one level up"
PROBE = re.compile(r"/[a-z-]+/_stcore/(health|host-config)$")
expect.set_options(timeout=PATIENCE)
#: resolves when the number of elements and their height have stayed the same for 300 ms while the script was at rest
STEADY = """
() => new Promise((done) => {
  let last = "", since = 0;
  const look = (now) => {
    const shown = [...document.querySelectorAll('[data-testid="stMain"], [role="dialog"]')];
    const rests = document.querySelector('[data-testid="stApp"]').dataset.testScriptState === "notRunning";
    const seen = [rests, ...shown.map((one) => [one.scrollHeight, one.querySelectorAll("*").length])].join();
    if (seen !== last || !rests) { last = seen; since = now; }
    if (now - since > 300) done(true); else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})
"""
AT_REST = '[data-testid="stApp"][data-test-script-state="notRunning"]'


class Person:
    """One page of a browser that looks at a workbench."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        #: addresses on other machines that were asked for, and what the console complained about
        self.strays: list[str] = []
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.set_default_navigation_timeout(FIRST)
        page.on("request", lambda request: self._asked(request.url))
        page.on("websocket", lambda socket: self._asked(socket.url))
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("response", self._answered)

    def _asked(self, url: str) -> None:
        if not url.startswith(("data:", "blob:", "about:")) and urlsplit(url).hostname != "127.0.0.1":
            self.strays.append(url)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not PROBE.search(message.location["url"]):
            self.complaints.append(f"{message.text} ({message.location['url']})")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and not PROBE.search(response.url):
            self.complaints.append(f"{response.status} {response.url}")

    def left(self) -> None:
        """Look back on it all."""
        assert self.strays == []
        assert self.complaints == []

    # -- places ------------------------------------------------------------------------------------------------------------

    @property
    def params(self) -> dict[str, str]:
        """What the URL says after its question mark."""
        return dict(parse_qsl(urlsplit(self.page.url).query))

    def visit(self, path: str, heading: str | re.Pattern[str]) -> None:
        """Open an address, and see that screen."""
        self.page.goto(f"{self.address}/{path}")
        self.sees(heading)

    def reload(self, heading: str | re.Pattern[str]) -> None:
        """Reload the page: a new session of the server, that knows nothing but the URL and the store."""
        self.page.reload()
        self.sees(heading)

    def menu(self, label: str) -> None:
        """Go to a screen by the side bar."""
        self.page.get_by_test_id("stSidebarNav").get_by_role("link", name=label, exact=True).click(delay=PRESS)
        self.sees(label)

    def sees(self, heading: str | re.Pattern[str]) -> None:
        """That screen stands there, drawn to its end."""
        expect(self.page.locator("h1").filter(has_text=heading)).to_be_visible(timeout=FIRST)
        self.rest()

    def rest(self) -> None:
        """The script has nothing to do, and drew no exception."""
        self.page.locator(AT_REST).wait_for(state="attached", timeout=FIRST)
        expect(self.page.get_by_test_id("stException")).to_have_count(0)

    def steady(self) -> None:
        """The script is at rest and nothing moves any more: a press cannot end elsewhere than it began."""
        self.rest()
        self.page.evaluate(STEADY)
        self.rest()

    # -- hands -------------------------------------------------------------------------------------------------------------

    def button(self, label: str | re.Pattern[str], *, within: Locator | None = None) -> Locator:
        """The button of that name."""
        return (within or self.page).get_by_role("button", name=label, exact=True)

    def field(self, label: str, *, within: Locator | None = None) -> Locator:
        """The field of that name that takes a text."""
        return (within or self.page).get_by_label(label, exact=True).and_(self.page.locator("input, textarea"))

    def press(self, label: str, *, within: Locator | None = None, times: int = 1) -> None:
        """Press the button of that name."""
        button = self.button(label, within=within)
        expect(button).to_be_enabled(timeout=PATIENCE)
        button.click(delay=PRESS, click_count=times)

    def tap(self, what: Locator) -> None:
        """Press where something stands now, and let go at once, as a touch pad does."""
        what.hover()
        self.page.mouse.down()
        self.page.mouse.up()

    def hold(self, what: Locator, *, then: tuple[int, int] | None = None) -> None:
        """Press, and let go only when all that this set off is drawn; ``then`` moves there before."""
        what.hover()
        self.page.mouse.down()
        self.steady()
        if then is not None:
            self.page.mouse.move(*then)
        self.page.mouse.up()

    def follow(self, label: str) -> None:
        """Follow a link of the screen."""
        self.page.get_by_test_id("stMain").get_by_role("link", name=label, exact=True).first.click(delay=PRESS)

    def choose(self, option: str) -> None:
        """Press one of a row of buttons, and see it chosen."""
        self.page.get_by_role("radio", name=option, exact=True).click(delay=PRESS)
        # a press may wait for the run before it, and the script is at rest in between
        expect(self.page.get_by_role("radio", name=option, exact=True, checked=True)).to_have_count(1)
        self.steady()

    def select(self, label: str, option: str, *, within: Locator | None = None) -> None:
        """Open a list and take the first option that begins so; while a page is drawn anew, a field may stand there twice."""
        self.rest()
        field = (within or self.page).get_by_role("combobox", name=label, exact=True)
        field.click(delay=PRESS)
        self.page.get_by_role("option", name=re.compile(f"^{re.escape(option)}")).first.click(delay=PRESS)
        expect(field).to_have_value(re.compile(f"^{re.escape(option)}"))
        self.rest()

    def types(self, label: str, text: str, *, within: Locator | None = None) -> None:
        """Write into a field, and stay in it."""
        self.field(label, within=within).fill(text)

    def write(self, label: str, text: str, *, within: Locator | None = None) -> None:
        """Write into a field, and leave it."""
        field = self.field(label, within=within)
        field.fill(text)
        field.press("Control+Enter" if field.evaluate("one => one.tagName") == "TEXTAREA" else "Tab")
        self.rest()

    def type_key(self, key: str) -> None:
        """Press a key of the keyboard while no field has it."""
        self.page.locator("h1").first.click(delay=PRESS)
        self.page.keyboard.press(key)

    def upload(self, file: Path) -> None:
        """Give a file to the upload field."""
        self.page.locator('[data-testid="stFileUploader"] input[type=file]').set_input_files(file)

    # -- eyes --------------------------------------------------------------------------------------------------------------

    @property
    def dialog(self) -> Locator:
        """The dialog that is open."""
        return self.page.get_by_role("dialog")

    def says(self, text: str | re.Pattern[str], *, patience: float = PATIENCE) -> None:
        """That text stands somewhere on the screen."""
        expect(self.page.get_by_text(text).first).to_be_visible(timeout=patience)

    def lines(self, table: str) -> Locator:
        """The rows of a table by its label."""
        return self.page.locator(f'table[aria-label="{table}"] tbody tr')

    def read(self, table: str, *, rows: int | None = None) -> list[dict[str, str]]:
        """What a table says, by its columns' heads; ``rows`` waits until it has so many."""
        if rows is not None:
            expect(self.lines(table)).to_have_count(rows)
        self.lines(table).first.wait_for()
        heads, cells = self.page.locator(f'table[aria-label="{table}"]').evaluate(
            "one => [[...one.tHead.rows[0].cells].map((cell) => cell.textContent),"
            " [...one.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.textContent))]"
        )
        return [dict(zip(heads, line, strict=True)) for line in cells]

    def open(self, table: str, text: str | re.Pattern[str] | None = None) -> None:
        """Open the first row of a table, or the first that holds that text."""
        lines = self.lines(table)
        (lines.filter(has_text=text) if text else lines).first.click(delay=PRESS)

    def counts(self) -> dict[str, int]:
        """The counts of a run as its bar tells them; they add up, at whatever moment they are read."""
        told = self.page.locator(".rd-bar").first.get_attribute("aria-label") or ""
        found = {name: int(n.replace(",", "")) for name, n in re.findall(r"([a-z]+) ([\d,]+)", told)}
        rows = int(re.findall(r"of ([\d,]+) rows", told)[0].replace(",", ""))
        found.pop("of", None)
        assert sum(found.values()) == rows, told
        return found | {"rows": rows}

    def _figure(self, label: str) -> Locator:
        name = self.page.locator(".label", has_text=re.compile(f"^{re.escape(label)}$"))
        return self.page.locator(".rd-figure").filter(has=name).locator(".value").first

    def figure(self, label: str) -> str:
        """The value of a figure by its label."""
        return self._figure(label).inner_text()

    def shows(self, label: str, value: str | re.Pattern[str]) -> None:
        """A figure comes to say that."""
        expect(self._figure(label)).to_have_text(value)

    def state(self, word: str, *, patience: float = PATIENCE) -> None:
        """The badge beside the heading says that."""
        expect(self.page.locator("h1 .rd-badge").first).to_contain_text(word, timeout=patience)

    def marked(self) -> str:
        """The part of the raw reply that the chosen problem points at."""
        return self.page.locator(".text mark.on").first.inner_text()


def heads(lines: Sequence[Mapping[str, str]], column: str) -> list[str]:
    """One column of a table that was read."""
    return [line[column] for line in lines]
