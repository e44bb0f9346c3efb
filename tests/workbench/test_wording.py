"""Numbers, money, times and states in words."""

from __future__ import annotations

import datetime as dt
import re

import pytest

from jobs.estimates import Estimate
from jobs.lifecycle import Resolution, RowState, RunState
from workbench import wording


@pytest.mark.parametrize(
    ("usd", "words"),
    [
        (None, "unknown"),
        (0, "$0"),
        (0.0000004, "<$0.000001"),
        (0.000055, "$0.000055"),
        (0.0123, "$0.0123"),
        (0.5, "$0.500"),
        (1234.5, "$1,234.50"),
        (-2, "-$2.00"),
    ],
)
def test_money(usd: float | None, words: str) -> None:
    """Money has as many digits as tell something, and what is unknown is never 0."""
    assert wording.money(usd) == words


def test_spent_names_the_calls_without_a_price() -> None:
    """A sum says how many calls it does not hold."""
    assert wording.spent(0.5, 0) == "$0.500"
    assert wording.spent(0.5, 3) == "$0.500 + 3 calls without a price"
    assert wording.spent(0, 1) == "unknown (1 call without a price)"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "unknown"),
        (0, "0 ms"),
        (0.34, "340 ms"),
        (0.9999, "1000 ms"),
        (1.24, "1.2 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (61, "1 min 1 s"),
        (3599.9, "1 h"),
        (3700, "1 h 1 min"),
        (90_000, "1 d 1 h"),
        (-5, "-5.0 s"),
    ],
)
def test_duration(seconds: float | None, words: str) -> None:
    """A span is told in its two largest units, and never as 60 of the smaller one."""
    assert wording.duration(seconds) == words


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (Estimate(about=1.2034, low=1.0491, high=1.4012, n=230), "about $1.20 ($1.05 to $1.40)"),
        (Estimate(about=1.2034), "about $1.20"),
        (Estimate(about=1.2034, low=1.2011, high=1.2049), "about $1.20"),
        (Estimate(about=0.0, low=0.0, high=0.0), "about $0"),
    ],
)
def test_about(figure: Estimate, words: str) -> None:
    """An estimate is told with its range, where there is one that tells something."""
    assert wording.about(figure, wording.money) == words


@pytest.mark.parametrize(
    ("value", "words"), [(0.4, "0"), (7.6, "8"), (999, "999"), (12_345, "12,300"), (999_950, "1,000,000")]
)
def test_rounded(value: float, words: str) -> None:
    """An estimated number has three digits that tell something."""
    assert wording.rounded(value) == words


@pytest.mark.parametrize(
    ("rows", "seconds", "sure", "words"),
    [
        (1134, 207.0, True, "the budget stops it after about 1,130 of 3,000 rows, in about 3 min 27 s"),
        (1134, None, False, "the budget may stop it after about 1,130 of 3,000 rows"),
        (None, None, False, "the budget may stop it near its end"),
        (1134, 0.0, True, "the budget has stopped it after 1,134 of 3,000 rows"),
    ],
)
def test_stopped(rows: int | None, seconds: float | None, sure: bool, words: str) -> None:
    """Where a budget stops a run, as far as that can be said."""
    assert wording.stopped(rows, 3000, seconds, sure=sure) == words


@pytest.mark.parametrize(
    ("moment", "words"),
    [(None, "–"), (1000, "just now"), (988, "12 s ago"), (400, "10 min ago"), (-7000, "2 h ago"), (1090, "in 1 min")],
)
def test_ago(moment: float | None, words: str) -> None:
    """A moment is told by how far it is from now."""
    assert wording.ago(moment, 1000) == words


def test_exact_names_its_zone() -> None:
    """The exact time says which zone it is in."""
    assert wording.exact(0) == "1970-01-01 00:00:00 UTC"
    assert wording.exact(0, dt.timezone(dt.timedelta(hours=2), "EET")) == "1970-01-01 02:00:00 EET"


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (0, 0, "–"),
        (0, 5, "0 %"),
        (5, 5, "100 %"),
        (1, 5000, "<0.1 %"),
        (4999, 5000, ">99.9 %"),
        (1, 30, "3.3 %"),
        (299, 300, "99.7 %"),
        (199, 200, "99.5 %"),
        (198, 200, "99 %"),
        (999, 1000, "99.9 %"),
    ],
)
def test_percent_is_never_rounded_to_none_or_all(part: int, whole: int, words: str) -> None:
    """One failure in 5,000 is not 0 %, and 4,999 of 5,000 are not all."""
    assert wording.percent(part, whole) == words


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (20_480, "20 kB"), (104_857_600, "105 MB")]
)
def test_size(size: int, words: str) -> None:
    """Sizes are decimal, with their unit."""
    assert wording.size(size) == words


@pytest.mark.parametrize(("value", "words"), [(1, "1 row"), (0, "0 rows"), (1204, "1,204 rows")])
def test_count(value: int, words: str) -> None:
    """A number stands with its noun."""
    assert wording.count(value, "row") == words


@pytest.mark.parametrize("name", [*RowState, *RunState, *Resolution])
def test_every_state_has_a_word_and_a_sign(name: str) -> None:
    """Colour is never the only sign of a state, and none is shown by its bare name."""
    shown = wording.state(name)
    assert name in wording.STATES
    assert shown.word and shown.sign and shown.help


def test_a_state_that_is_not_known_is_shown_by_its_name() -> None:
    """A newer engine's state does not break an older screen."""
    assert wording.state("half_done").word == "half done"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("\x00", "⟨NUL⟩"),
        ("\x1b[31mred", "⟨ESC⟩[31mred"),
        ("a\r\n", "a⟨CR⟩\n"),
        ("\u202eevil", "⟨U+202E⟩evil"),
        ("\u200b", "⟨U+200B⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("שלום 😀", "שלום 😀"),
    ],
)
def test_what_hides_or_turns_text_is_made_visible(text: str, shown: str) -> None:
    """Control and direction characters and halves of characters are shown by name; scripts and emoji stay."""
    assert wording.visible(text) == shown
    wording.visible(text).encode()


def test_head_is_one_line() -> None:
    """The beginning of a long text stays on one line and says that there is more."""
    assert wording.head("a\n b  c") == "a b c"
    assert wording.head("x" * 500, 10) == "x" * 10 + "…"


@pytest.mark.parametrize("text", ["**b**", "[x](http://a)", "$a$", "`c`", ":red[x]", ":material/delete:", "<b>", "# h"])
def test_escaped_leaves_nothing_for_markdown(text: str) -> None:
    """A label made of a hostile name has no mark-up, link, formula, directive or icon in it."""
    made = wording.escaped(text)
    assert all(made[at - 1] == "\\" for at, char in enumerate(made) if char in "*[]($`<#")
    assert not re.search(r":\S", made)


@pytest.mark.parametrize("text", ["write to a.b@mail.example", "see www.evil.example/x", "WWW.evil.example"])
def test_escaped_makes_no_address_a_link(text: str) -> None:
    """Markdown makes links of bare addresses; a joiner that nobody sees parts what it knows them by. A version stays whole."""
    made = wording.escaped(text).replace("\\", "")

    assert not re.search(r"@[\w-]+\.|www\.", made, re.IGNORECASE) and made.replace("\u2060", "") == text
    assert wording.escaped("triage@3") == "triage@3"


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("`summary` is too long", "summary is too long"),
        ('`["a`b"][*]` is null, must be text', '["a`b"][*] is null, must be text'),
        ("reply is not JSON: prose", "reply is not JSON: prose"),
        ("`cut", "`cut"),
    ],
)
def test_a_cause_on_a_screen_has_no_signs_around_its_name(title: str, words: str) -> None:
    """Nothing else of the title is changed, be there such a sign in the name itself."""
    assert wording.cause(title) == words
