"""Dead letters as a person works through them, in a browser, behind a stub of a provider."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Sit
from tests.browser.workshop import Workshop

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
