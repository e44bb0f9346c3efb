import pytest
from playwright.sync_api import expect
from tests.browser.conftest import seat
pytestmark = pytest.mark.browser

def test_one(browser, workshop):
    p = seat(browser, workshop.household)
    page = p.page
    for label, opener, fieldlabel, text, button in (
        ("edit", "e", "text", "edited words", "Replay the edited row"),
        ("discard", "x", "Reason", "why not", "Discard"),
        ("correct", "a", "quote", "by hand", "Accept this value")):
        row = {"edit": 20, "discard": 21, "correct": 22}[label]
        p.visit(f"letter?run={workshop.reviews.id}&row={row}", f"Row R-00{row}")
        p.type_key(opener)
        dialog = page.get_by_role("dialog")
        b = dialog.get_by_role("button", name=button, exact=True)
        b.click(delay=80); page.wait_for_timeout(900)
        print(label, "EMPTY:", dialog.locator(".rd-panel").all_inner_texts() if dialog.count() else "closed")
        if label == "correct" and not dialog.count(): continue
        if label == "correct":
            print(dialog.inner_text()[:300])
            p.select("label", "bad", within=dialog)
            dialog.get_by_label("score").first.fill("3")
        dialog.get_by_label(fieldlabel, exact=True).and_(page.locator("input, textarea")).fill(text)
        box = b.bounding_box(); b.scroll_into_view_if_needed(); box = b.bounding_box()
        page.mouse.move(box["x"]+10, box["y"]+10); page.mouse.down(); page.wait_for_timeout(120); page.mouse.up()
        page.wait_for_timeout(2500)
        print(label, "open dialogs:", dialog.count(), "toast:", page.locator('[data-testid=stToast]').all_inner_texts(), page.url, page.locator("h1").first.inner_text())
