"""A page that hears late of what the server has drawn hands over once more what stood in fields that are gone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import seat
from tests.browser.person import PRESS, Person
from tests.browser.wire import Wire
from tests.browser.workshop import TEMPLATE, Workshop

pytestmark = pytest.mark.browser

Late = tuple[Person, Wire]


@pytest.fixture
def late(browser: Browser, workshop: Workshop) -> Iterator[Late]:
    """A person at the editor of a prompt, message by message, and the wire to it."""
    person = seat(browser, workshop.household)
    wire = Wire(person.page)
    person.visit(f"prompt?name=triage&dataset={workshop.reviews.dataset}", "triage")
    person.choose("Message by message")
    yield person, wire
    person.page.context.close()
    workshop.engine.prompts.drop_draft("triage")
    person.left()


def draft(workshop: Workshop) -> str:
    """The template of the draft as it is kept."""
    return str((workshop.engine.prompts.draft("triage") or {})["template"])


def test_a_field_that_was_chosen_in_stays_the_same_field(late: Late) -> None:
    """Another view is drawn, and a choice is made in it before the browser knows that it is whole."""
    person, wire = late
    wire.be_late()
    person.page.get_by_role("radio", name="Model and settings", exact=True).click(delay=PRESS)
    wire.ended()
    chosen = person.page.get_by_role("combobox", name="Response format", exact=True)
    drawn = chosen.element_handle()
    chosen.click(delay=PRESS)
    person.page.get_by_role("option", name=re.compile("^json_schema")).click(delay=PRESS)
    person.says(re.compile("a draft with changes"))
    person.rest()
    expect(chosen).to_have_value(re.compile("^json_schema"))
    assert drawn.evaluate("one => one.isConnected")


def test_a_message_that_was_removed_stays_removed(late: Late, workshop: Workshop) -> None:
    """Another row is looked at before the browser knows that the message is gone; no message takes another's place."""
    person, wire = late
    person.press("Add an example from this row")
    person.steady()
    system, _, answer, last = draft(workshop).split("\n\n")
    wire.be_late()
    person.button("Remove").nth(1).click(delay=PRESS)
    wire.ended()
    row = person.page.get_by_label("Row", exact=True).first
    row.fill("2")
    row.press("Enter")
    person.page.wait_for_url(re.compile("row=2"))
    person.rest()
    assert draft(workshop).split("\n\n") == [system, answer, last]
    assert last == TEMPLATE.split("\n\n")[-1].strip()
