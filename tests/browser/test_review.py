"""Dead letters as a person works through them, in a browser, behind a stub of a provider."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Sit
from tests.browser.person import PRESS
from tests.browser.workshop import TEMPLATE, Workshop
from tests.house import wait_until

pytestmark = pytest.mark.browser


def test_the_menu_opens_dead_letters_without_a_filter(workshop: Workshop, sit: Sit) -> None:
    """One run's letters are left by the link of the side bar, as by the button that names the run."""
    person = sit(workshop.household)
    run = workshop.reviews.id
    filtered = f"dead-letters?run={run}"
    person.visit(filtered, "Dead letters")
    expect(person.field("Run")).to_have_value(str(run))
    person.menu("Dead letters")
    person.page.wait_for_url("**/dead-letters")
    person.sees("Dead letters")
    expect(person.field("Run")).to_have_value("")
    person.visit(filtered, "Dead letters")
    person.press(f"only run {run} ✕")
    person.page.wait_for_url("**/dead-letters")
    person.steady()
    expect(person.field("Run")).to_have_value("")


def test_the_side_bar_marks_the_room_of_a_page_that_it_does_not_list(workshop: Workshop, sit: Sit) -> None:
    """The run's page belongs to Runs, and is left without a trace."""
    person = sit(workshop.household)
    entry = person.page.get_by_test_id("stSidebar").get_by_role("link", name="Runs", exact=True)
    person.visit(f"run?id={workshop.reviews.id}", f"Run {workshop.reviews.id}")
    expect(entry).not_to_have_css("background-color", "rgba(0, 0, 0, 0)")
    person.menu("Costs and latency")
    person.sees("Costs and latency")
    expect(entry).to_have_css("background-color", "rgba(0, 0, 0, 0)")


def test_one_letter_after_the_other(workshop: Workshop, sit: Sit) -> None:
    """By keys: discard, land on the next open letter, take it back from there; an attempt is chosen, and left with its letter."""
    person = sit(workshop.household)
    run = workshop.run("reviewed.csv", [f"[[always bad]] reviewed {n}" for n in range(3)])
    person.visit(f"letter?run={run.id}&row=1", "Row R-0001")
    person.page.get_by_role("radio", name="Attempt 1", exact=True).click(delay=PRESS)
    person.says("Attempt 1 of 3")
    person.rest()
    assert "attempt" in person.params
    person.type_key("x")
    person.write("Reason", "not ours", within=person.dialog)
    person.press("Discard", within=person.dialog)
    person.sees("Row R-0002")
    person.says("Row R-0001 is discarded.")
    assert "attempt" not in person.params
    assert workshop.engine.runs.resolutions(run.id) == {"open": 2, "discarded": 1}
    person.type_key("z")
    person.sees("Row R-0001")
    assert workshop.engine.runs.resolutions(run.id) == {"open": 3}


def test_the_draft_is_begun_anew_from_an_earlier_version(workshop: Workshop, sit: Sit) -> None:
    """The template comes as that version has it; the dataset, its rows and the dead letters that it is mended for stay."""
    run = workshop.reviews
    kept = {"name": "triage", "dataset": run.dataset, "run": str(run.id), "rows": "2,3", "row": "2"}
    person = sit(workshop.household)
    person.visit(f"prompt?{urlencode(kept)}&view=History", "triage")
    try:
        for changed in (False, True):
            person.select("To", "triage@1")
            person.press("Edit from @1")
            if changed:
                person.press("Replace the draft", within=person.dialog)
            expect(person.field("Template")).to_have_value(TEMPLATE.strip())
            wait_until(lambda: person.params == kept)
            person.types("Template", TEMPLATE.strip() + "!")
            person.choose("History")
        assert str((workshop.engine.prompts.draft("triage") or {})["template"]).endswith("!")
    finally:
        workshop.engine.prompts.drop_draft("triage")
