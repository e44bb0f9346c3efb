"""What several screens draw: hostile text stays text, and what is picked is an id."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from jobs import errors
from jobs.values import Message, Problem
from jobs.views.runs import Counts
from workbench import parts, session
from workbench.parts import look

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "**bold** [link](javascript:alert(1)) $x$ :red[y]",
    "\x1b[31mred\x1b[0m",
    "\u202egnp.exe",
    "\x00\x07",
    "\ud800 half",
]


def drawn(page: Callable[[], None]) -> AppTest:
    """A page of this module, to be run."""
    return AppTest.from_string(f"from {page.__module__} import {page.__name__}\n{page.__name__}()", default_timeout=20)


def problem(start: int | None = None, end: int | None = None, *, path: str = "$.a", rule: str = "type") -> Problem:
    return Problem(path=path, rule=rule, expected="text", got="a number", start=start, end=end)


def shown(lines: list[dict[str, Any]]) -> str:
    """What the element shows of the lines, its marks in brackets."""
    told = []
    for line in lines:
        if "gap" in line:
            told.append(f"…{line['gap']}…")
            continue
        pieces = [piece if isinstance(piece, str) else f"[{piece[0]}|{piece[1]}]" for piece in line["p"]]
        told.append(f"{line['n']} " + "".join(pieces))
    return "\n".join(told)


@pytest.mark.parametrize(
    ("text", "problems", "lines"),
    [
        ("", [], ""),
        ("ab\ncd", [], "1 ab\n2 cd"),
        ("ab\n", [], "1 ab\n2 "),
        ('{"a": 7}', [problem(6, 7)], '1 {"a": [7|[1]]}'),
        ("abcdef", [problem(1, 4), problem(2, 6)], "1 a[b|[1]][cd|[1, 2]][ef|[2]]"),
        ("ab\ncd", [problem(1, 4)], "1 a[b|[1]]\n2 [c|[1]]d"),
        ("abc", [problem(1, 1)], "1 a[|[1]]bc"),
        ("abc", [problem(3, 3)], "1 abc[|[1]]"),
        ("abc", [problem(2, 99)], "1 ab[c|[1]]"),
        ("abc", [problem(None, None), problem(0, 1)], "1 [a|[2]]bc"),
        ("", [problem(0, 0)], ""),
    ],
)
def test_places_are_marked_where_they_are(text: str, problems: list[Problem], lines: str) -> None:
    """Each problem's characters carry its number, over line breaks and overlaps; an empty place is a point."""
    made, hidden = parts.excerpt(text, problems)
    assert hidden == 0
    assert shown(made) == lines


@pytest.mark.timeout(60)
def test_a_reply_of_megabytes_is_shown_by_its_head_its_tail_and_its_places() -> None:
    """5 MB on one line send a few kilobytes, with the problem's place among them and what is left out counted."""
    text = "x" * 2_500_000 + "BAD" + "y" * 2_500_000
    made, hidden = parts.excerpt(text, [problem(2_500_000, 2_500_003)])
    told = shown(made)
    assert "[BAD|[1]]" in told
    assert len(told) < 40_000
    kept = sum(len(piece if isinstance(piece, str) else piece[0]) for line in made for piece in line.get("p", []))
    assert kept + hidden == len(text)
    assert sum(line.get("gap", 0) for line in made) == hidden


def test_line_numbers_count_the_lines_that_are_not_shown() -> None:
    """A place after a gap keeps its line number in the whole reply."""
    text = "\n".join(str(number) for number in range(1, 100_001))
    made, _ = parts.excerpt(text, [problem(text.index("50000"), text.index("50000") + 5)])
    (line,) = [line for line in made if any(piece == ["50000", [1]] for piece in line.get("p", []))]
    assert line["n"] == 50_000


def page_of() -> None:
    for place, text in enumerate(HOSTILE):
        parts.header(text, subtitle=text, state="paused")
        parts.section(text, note=text)
        parts.panel(text, title=text, hint=text)
        parts.error(text)
        parts.empty(text, text)
        parts.facts({text: text})
        parts.figures([parts.Figure(label=text, value=text, note=text, help=text)])
        parts.badge("dead", words=text)
        parts.answering(text, ready=True)
        parts.diff([(text, f"+{text}\n-{text}")])
        parts.chat([Message(role="user", content=text.replace("\ud800", ""))])
        parts.plain(text)
        parts.as_json({"a": text})
        told = Problem(path=text, rule=text, expected=text, got=text, start=0, end=3)
        parts.raw_and_problems(text, [told], key=f"raw{place}")
        parts.table(
            [parts.Column(key="a", label=text, help=text)],
            [parts.Row(text, {"a": parts.text_cell(text)})],
            key=f"table{place}",
            label=text,
        )


def test_hostile_text_stays_text() -> None:
    """Nothing of a hostile text becomes mark-up in any part, and half a character does not break a page."""
    app = drawn(page_of).run()
    assert not app.exception
    for element in app.get("html"):
        body = element.proto.body.lower()
        assert "<script" not in body and "<img" not in body and "<svg" not in body
        assert "\x1b" not in body and "\u202e" not in body
    for element in [*app.markdown, *app.caption]:
        assert "alert" not in element.value
    assert len(app.get("bidi_component")) == 2 * len(HOSTILE)


def test_safe_closes_no_attribute() -> None:
    """A name inside an attribute cannot end it."""
    assert look.safe("\"'<>&\x00") == "&quot;&#x27;&lt;&gt;&amp;⟨NUL⟩"


def table_of() -> None:
    columns = [parts.Column(key="a", label="A")]
    rows = [parts.Row(one, {"a": one}) for one in st.session_state.get("ids", ["r1", "r2", "r3"])]
    picked = parts.table(columns, rows, key="t", opens=True, choose=True)
    st.session_state["seen"] = (picked.opened, picked.chosen)


def test_ticks_are_ids_and_only_of_rows_that_are_shown() -> None:
    """Rows that moved keep their tick, and one that is gone is not chosen any more."""
    app = drawn(table_of).run()
    app.session_state["t"] = {"chosen": ["r3", "r1", "other"]}
    app.run()
    assert app.session_state["seen"] == (None, ["r1", "r3"])
    app.session_state["ids"] = ["r3", "r4"]
    app.run()
    assert app.session_state["seen"] == (None, ["r3"])


def paged_of() -> None:
    whole = list(range(1, st.session_state.get("many", 120) + 1))
    asked: list[tuple[int, int]] = []

    def fetch(offset: int, limit: int) -> tuple[list[int], int]:
        asked.append((offset, limit))
        return whole[offset : offset + limit], len(whole)

    rows, total = parts.paged("page", fetch)
    st.session_state["seen"] = (list(rows), total, asked)


@pytest.mark.parametrize(
    ("page", "many", "first", "last"), [("", 120, 1, 50), ("3", 120, 101, 120), ("9", 120, 101, 120), ("x", 3, 1, 3)]
)
def test_a_page_is_fetched_by_the_number_in_the_url(page: str, many: int, first: int, last: int) -> None:
    """Only the page is fetched; a number beyond the last page is the last page."""
    app = drawn(paged_of)
    app.session_state["many"] = many
    if page:
        app.query_params["page"] = page
    app.run()
    assert not app.exception
    rows, total, asked = app.session_state["seen"]
    assert (rows[0], rows[-1], total) == (first, last, many)
    assert all(limit == 50 for _, limit in asked)


def acting() -> None:
    keys = st.session_state.setdefault("keys", [])
    key = session.button("Go", action="go")

    def work() -> bool:
        keys.append(key)
        if st.session_state.get("down"):
            raise errors.EngineDown("no keeper")
        return True

    if key is not None:
        parts.perform("go", work)


def test_a_token_is_spent_by_success_and_kept_by_failure() -> None:
    """A press after a failure asks for the same thing again; a press after success asks for another."""
    app = drawn(acting)
    app.session_state["down"] = True
    app.run()
    app.button[0].click().run()
    app.button[0].click().run()
    assert "no keeper" in app.get("html")[0].proto.body
    app.session_state["down"] = False
    app.button[0].click().run()
    app.run()
    app.button[0].click().run()
    one, two, three, four = app.session_state["keys"]
    assert one == two == three != four


def filling_in() -> None:
    key = session.button("Go", action="go", form=("rows", st.session_state.get("rows", 1)))

    def work() -> bool:
        st.session_state.setdefault("keys", []).append(key)
        raise errors.EngineDown("no keeper")

    if key is not None:
        parts.perform("go", work)


def test_a_changed_form_asks_for_something_else() -> None:
    """While no press has an answer, the next one asks for the same only if the form says the same."""
    app = drawn(filling_in).run()
    for rows in (1, 1, 2, 1):
        app.session_state["rows"] = rows
        app.button[0].click().run()
    one, two, three, four = app.session_state["keys"]
    assert one == two == four != three


def confirming() -> None:
    def work(key: str, reason: str) -> str:
        st.session_state["done"] = (key, reason)
        return "done"

    if "done" not in st.session_state:
        parts.confirm(
            "discard",
            work,
            title="Discard?",
            says=["**All** of them."],
            button="Discard",
            count=312,
            noun="dead letter",
            reason="required",
        )


def test_many_items_need_their_number_and_a_reason() -> None:
    """The button of a big act says what is missing, and does nothing, until the number is typed and a reason is given."""
    app = drawn(confirming).run()

    def act() -> Any:
        return next(button for button in app.button if button.label == "Discard 312 dead letters")

    def said() -> list[bool]:
        told = " ".join(element.proto.body for element in app.get("html"))
        return ["A reason is required" in told, "Type 312 here" in told, "done" in app.session_state]

    assert said() == [False, False, False]
    act().click().run()
    assert said() == [True, True, False]
    app.text_input[0].input("duplicates")
    act().click().run()
    assert said() == [False, True, False]
    app.text_input[1].input("312")
    act().click().run()
    assert app.session_state["done"][1] == "duplicates"


@pytest.mark.parametrize(
    "counts",
    [Counts(rows=0), Counts(rows=10, accepted=4, dead=1, cancelled=2, waiting=3, in_flight=2, struck=1, reused=1)],
)
def test_counts_are_told_in_words_too(counts: Counts) -> None:
    """The bar says its numbers to those who do not see it, and they add up."""
    made = parts.counts_html(counts)
    label = made.split('aria-label="')[1].split('"')[0]
    told = [int(word.strip(",")) for word in label.split() if word.strip(",").isdigit()]
    assert sum(told[:-1]) == told[-1] == counts.rows


def two_problems() -> None:
    one = Problem(path="$.a", rule="required", expected="text", got="nothing", start=0, end=2)
    other = Problem(path="$", rule="not_json", expected="JSON", got="prose")
    parts.raw_and_problems("{}", [one, other], key="r")


def test_problems_are_told_in_words() -> None:
    """The element gets the rule in words, what was expected and got, and the place."""
    app = drawn(two_problems).run()
    data = json.loads(app.get("bidi_component")[0].proto.json)
    assert [(told["rule"], told["place"]) for told in data["problems"]] == [
        ("is missing", "characters 0–2"),
        ("the reply is not JSON", ""),
    ]


def watching() -> None:
    st.session_state["drawn"] = st.session_state.get("drawn", 0) + 1
    parts.watch(lambda: "finished", standing="running", every=5.0)
    if st.button("Build the file"):
        st.session_state["built"] = True


def test_a_change_while_the_page_is_drawn_takes_no_press_away() -> None:
    """What is watched has come to an end since the page began to be drawn; what was pressed below it is done all the same."""
    app = drawn(watching).run()
    app.button[0].click().run()
    assert "built" in app.session_state
    assert app.session_state["drawn"] == 2
