"""A reply while it streams in, field by field: what is said of each, and that none of it is taken for a value."""

from __future__ import annotations

import html
from typing import Any

import pytest

from jobs.api import Engine
from jobs.partial import begun
from jobs.values import Failure, FailureKind
from tests.jobs.ledger import FAULTS, Ledger
from tests.workbench.conftest import CONTENT, Open, elements, tables, texts
from workbench.parts import Cell, Row
from workbench.screens.editor import coming

NAMES = ("label", "score", "quote")
TABLE = "fields so far, not yet valid"


def told(text: str, *, has_ended: bool = False) -> list[tuple[str, str, str]]:
    def words(cell: str | Cell) -> str:
        return cell if isinstance(cell, str) else cell.text

    def line(row: Row) -> tuple[str, str, str]:
        name, so_far, state = (words(row.cells[key]) for key in ("name", "text", "state"))
        return name, so_far, state

    return [line(row) for row in coming.lines(begun(text), NAMES, has_ended=has_ended)]


def test_every_field_of_the_contract_has_its_line_from_the_first() -> None:
    """In the contract's order, whatever order they come in, so that no line moves."""
    assert told("") == [(name, "", "– not begun") for name in NAMES]
    assert told('{"quote": "as it w') == [
        ("label", "", "– not begun"),
        ("score", "", "– not begun"),
        ("quote", '"as it w…', "▸ still coming"),
    ]
    assert told('{"quote": "as it was", "score": 1') == [
        ("label", "", "– not begun"),
        ("score", "1…", "▸ still coming"),
        ("quote", '"as it was"', "○ complete, not yet judged"),
    ]


def test_a_reply_that_ended_amid_a_field_says_so() -> None:
    """What did not come is not said to be still coming."""
    assert [state for _, _, state in told('{"label": "good", "score": 1', has_ended=True)] == [
        "○ complete, not yet judged",
        "≠ not complete",
        "– did not come",
    ]


def test_fields_that_the_contract_does_not_have_stand_at_the_end() -> None:
    """A few of them, and how many more; a field that is given twice is said to be."""
    strange = ", ".join(f'"x{n}": {n}' for n in range(20))
    lines = told('{"score": 1, "score": 2, ' + strange + "}")
    assert lines[1] == ("score", "2", "≠ given twice")
    assert lines[3] == ("x0", "0", "≠ not in the contract")
    assert lines[-1] == ("12 more fields", "", "≠ not in the contract") and len(lines) == 3 + 8 + 1


def test_long_and_hostile_texts_are_cut_and_stay_texts() -> None:
    """A field's text is one line of a few hundred characters, in which nothing hides."""
    ((_, so_far, _), *_) = told('{"label": "<b>\u202e**bold**</b>\\n' + "x" * 5_000)
    assert so_far.startswith('"<b>⟨U+202E⟩**bold**</b>\\nxxx') and so_far.endswith("x…") and len(so_far) < 320


def test_a_row_that_nothing_has_come_of_shows_what_is_to_come(
    open_screen: Open, engine: Engine, ledger: Ledger
) -> None:
    """The contract's fields stand there before the first character does."""
    version = engine.prompts.save("triage", CONTENT, note="first").id
    run = ledger.run(ledger.dataset(rows=1), version, kind="try", dispatched=1)
    app = open_screen("prompt", name="triage", dataset=engine.runs.get(run).dataset, **{"try": run})
    rows = tables(app)[TABLE]["rows"]
    assert [[cell["t"] for cell in row["c"]] for row in rows] == [
        [name, "", "– not begun"] for name in ("label", "score", "tags")
    ]
    said = texts(app)
    assert "**Not yet valid:** judged when the reply has ended" in said and "waiting for the reply" in said
    assert "Accepted value" not in said


def test_a_row_that_is_asked_again_says_why_and_shows_nothing_of_what_broke_off(
    open_screen: Open, engine: Engine, ledger: Ledger
) -> None:
    """Until the next reply comes there is nothing to be looked at field by field."""
    version = engine.prompts.save("triage", CONTENT, note="first").id
    run = ledger.run(ledger.dataset(rows=1), version, kind="try", backing_off=1)
    app = open_screen("prompt", name="triage", dataset=engine.runs.get(run).dataset, **{"try": run})
    said = texts(app)
    assert "throttled: the row waits, no strike" in said and "The row is asked again." in said
    assert TABLE not in tables(app) and "Not yet valid" not in said


@pytest.fixture
def broken(engine: Engine, ledger: Ledger) -> int:
    """A try whose one row was given up behind half a reply, of an endpoint that said no figures."""
    version = engine.prompts.save("triage", CONTENT, note="first").id
    unreachable = next(fault for fault in FAULTS if fault.raw is None)
    run = ledger.run(ledger.dataset(rows=1), version, kind="try", fates={1: unreachable})
    failure = Failure(kind=FailureKind.TRANSIENT, message="the stream broke off").model_dump_json()
    with ledger.db.atomic():
        ledger.db.execute(
            "UPDATE calls SET raw = ?, failure = ?, prompt_tokens = 40, completion_tokens = 7, estimated = 1 WHERE run = ?",
            [b'{"label": "<b>good</b>", "sco', failure, run],
        )
    return run


def test_what_had_come_of_a_broken_reply_is_no_value(open_screen: Open, engine: Engine, broken: int) -> None:
    """It is shown as it stands, below why it broke off, and nothing is called accepted."""
    app = open_screen("prompt", name="triage", dataset=engine.runs.get(broken).dataset, **{"try": broken})
    said: Any = texts(app)
    assert "the stream broke off" in said and "What had come when it broke off: not judged, and no value" in said
    assert '{"label": "<b>good</b>", "sco' in [one.value for one in app.code]
    assert "Accepted value" not in said and not [data for data in elements(app) if data.get("label") == TABLE]


def test_estimated_figures_are_said_to_be(open_screen: Open, engine: Engine, broken: int) -> None:
    """Where the endpoint sent none: on the try, and at the attempt on the page of the row."""
    app = open_screen("prompt", name="triage", dataset=engine.runs.get(broken).dataset, **{"try": broken})
    assert "40 in, 7 out tokens (estimated: the endpoint sent no figures)" in html.unescape(texts(app))
    letter = open_screen("letter", run=broken, row=1)
    rows = tables(letter)["attempts"]["rows"]
    assert rows and all("≈40 / 7" in [cell["t"] for cell in row["c"]] for row in rows)
