"""A try whose reply streams in slowly: field by field, marked as not yet valid, until the verdict takes its place."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Sit
from tests.browser.person import Person
from tests.browser.workshop import ECHO, Workshop, table

pytestmark = pytest.mark.browser

SO_FAR = "fields so far, not yet valid"
QUOTE = "<b>bold</b> **and** so on, " * 14


@pytest.fixture
def dripping(workshop: Workshop) -> Iterator[Workshop]:
    """Twelve characters come at a time, so that a reply of 400 needs half a minute; the test lets it go on at once."""
    before, workshop.stub.pace = workshop.stub.pace, 0.9
    yield workshop
    workshop.stub.pace = before


def tried(shop: Workshop, person: Person, name: str, texts: list[str]) -> None:
    """Open the editor on these rows and press the button."""
    dataset = shop.engine.datasets.add(table(shop.folder / name, texts))
    if dataset.id_column is None:
        shop.engine.datasets.set_id_column(dataset.id, "id")
    shop.version()
    rows = ",".join(str(number) for number in range(1, len(texts) + 1))
    person.visit(f"prompt?name=triage&dataset={dataset.id}&rows={rows}", "triage")
    person.press(f"Try on {len(texts)} row{'s' * (len(texts) > 1)}")


def state_of(person: Person, field: str) -> Locator:
    """What is said of a field."""
    line = person.lines(SO_FAR).filter(has=person.page.get_by_role("cell", name=field, exact=True))
    return line.locator("td").last


def test_fields_come_one_by_one_and_are_not_valid_before_the_verdict(dripping: Workshop, sit: Sit) -> None:
    """A whole field, one that is still coming and one that has not begun, as text and not as a value; then the accepted value."""
    person = sit(dripping.household)
    answer = {"label": "good", "quote": QUOTE.strip()[:380], "score": 7}
    tried(dripping, person, "dripping.csv", [ECHO + json.dumps(answer)])
    expect(state_of(person, "label")).to_have_text("○ complete, not yet judged")
    expect(state_of(person, "quote")).to_have_text("▸ still coming")
    expect(state_of(person, "score")).to_have_text("– not begun")
    lines = person.read(SO_FAR)
    assert [line["Field"] for line in lines] == ["label", "score", "quote"]
    assert (lines[0]["So far"], lines[1]["So far"]) == ('"good"', "")
    person.says("Not yet valid: judged when the reply has ended")
    expect(person.page.get_by_role("region", name="raw reply so far")).to_contain_text('"quote": "<b>bold</b> **and**')
    expect(person.page.get_by_text("Accepted value")).to_have_count(0)
    expect(person.page.get_by_test_id("stMain").locator("b:text-is('bold')")).to_have_count(0)

    top = person.page.get_by_role("region", name="raw reply so far").bounding_box()
    before = lines[2]["So far"]
    expect(person.lines(SO_FAR).last.locator("td").nth(1)).not_to_have_text(before)
    assert person.page.get_by_role("region", name="raw reply so far").bounding_box() == top

    dripping.stub.pace = 0.0
    person.says("Accepted value")
    person.rest()
    expect(person.lines(SO_FAR)).to_have_count(0)
    expect(person.page.get_by_text("Not yet valid")).to_have_count(0)
    expect(person.page.get_by_text("accepted (strict)")).to_be_visible()


def test_a_reply_that_was_cut_leaves_no_field_behind(dripping: Workshop, sit: Sit) -> None:
    """What had come whole of it was never a value: the verdict says that it was cut, and shows the raw text."""
    person = sit(dripping.household)
    tried(dripping, person, "cut.csv", ["[[cut always]] " + "a long story " * 30])
    expect(state_of(person, "label")).to_have_text("○ complete, not yet judged")
    dripping.stub.pace = 0.0
    person.says("the reply was cut off")
    person.rest()
    expect(person.lines(SO_FAR)).to_have_count(0)
    expect(person.page.get_by_text("Accepted value")).to_have_count(0)
    expect(person.page.get_by_role("region", name="raw reply", exact=True)).to_contain_text('"label"')
