"""Stored replies as text: whatever the bytes are, the text can be shown and places in it hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.store.raw import head, shown


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain", "plain"),
        ('{"a": "\ud83d"}', '{"a": "\ufffd"}'),
        ("\ud83d\ude00", "\ufffd\ufffd"),
        ("grinning 😀 face", "grinning 😀 face"),
        ("", ""),
    ],
)
def test_lone_surrogates_become_one_character_each(text: str, wanted: str) -> None:
    """Half a character is shown as one other character, so offsets behind it stay."""
    found = shown(text.encode("utf-8", "surrogatepass"))
    assert found == wanted
    assert len(found) == len(text)


@given(st.text(alphabet=st.characters(exclude_categories=())), st.integers(0, 20))
def test_the_head_is_the_beginning(text: str, characters: int) -> None:
    """A head is the first characters of the whole, wherever the bytes are cut, and can be printed."""
    raw = text.encode("utf-8", "surrogatepass")
    assert head(raw, characters) == shown(raw)[:characters]
    shown(raw).encode()


def test_bytes_that_are_no_text() -> None:
    """Bytes that are not UTF-8 at all are shown as well as can be, never an error."""
    assert shown(b"\xff\xfeabc").endswith("abc")
    assert head(b"\xff\xfeabc", 3)
    assert head(None, 10) == ""
