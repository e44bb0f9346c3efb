"""However a secret is spelled, it goes, and nothing else does."""

from __future__ import annotations

import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.redaction import MARK, Secrets

KEY = "sk-proj/Ab+9_x=Q7w&0123456789"
SECRETS = Secrets([KEY])

SPELLINGS = {
    "plain": KEY,
    "slashes": KEY.replace("/", "\\/"),
    "inside JSON inside JSON": KEY.replace("/", "\\\\\\/"),
    "every character": "".join(f"\\u{ord(char):04x}" for char in KEY),
    "every character, upper": "".join(f"\\u{ord(char):04X}" for char in KEY),
    "every character, twice": "".join(f"\\\\u{ord(char):04x}" for char in KEY),
    "as Go does": KEY.replace("&", "\\u0026"),
    "as Gson does": KEY.replace("=", "\\u003d").replace("&", "\\u0026"),
    "HTML": html.escape(KEY),
    "HTML numbers": "".join(f"&#{ord(char)};" for char in KEY),
    "HTML hexadecimal": "".join(f"&#x{ord(char):x};" for char in KEY),
    "a URL": quote(KEY, safe=""),
    "a URL, all of it": "".join(f"%{ord(char):02X}" for char in KEY),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_goes(name: str) -> None:
    """The mark stands where the key stood; what stands around it is as it was."""
    spelled = SPELLINGS[name]

    assert SECRETS.hide(f"é {{\\n {spelled}\\n}} & 50 % {spelled}") == f"é {{\\n {MARK}\\n}} & 50 % {MARK}"
    assert SECRETS.hide_bytes(b"\xff" + spelled.encode() + b"\xfe\\") == b"\xff" + MARK.encode() + b"\xfe\\"


def test_what_was_json_stays_json() -> None:
    """A body can be read after its key has gone."""
    body = json.dumps({"a": f'"{KEY}"', "b": [f"\\{KEY}"], "c": json.dumps({"d": f"x/{KEY}/y"})})

    read = json.loads(SECRETS.hide(body))

    assert read == {"a": f'"{MARK}"', "b": [f"\\{MARK}"], "c": json.dumps({"d": f"x/{MARK}/y"})}


@given(st.text(alphabet='ab\\u0061"/&#;%6\né\ud800', max_size=60))
def test_a_text_without_the_key_is_the_same_text(text: str) -> None:
    """Byte for byte, whatever escapes it holds."""
    assert SECRETS.hide(text) == text
    body = text.encode("utf-8", "surrogatepass")
    assert SECRETS.hide_bytes(body, pieces=True) == body


@given(st.text(max_size=20), st.sampled_from(sorted(SPELLINGS)), st.text(max_size=20))
def test_the_key_goes_from_the_middle_of_anything(before: str, name: str, after: str) -> None:
    """What is around a key may change what it looks like, and never saves it."""
    hidden = SECRETS.hide(f"{before}{SPELLINGS[name]}{after}")

    assert KEY not in hidden and SPELLINGS[name] not in hidden and MARK in hidden


@pytest.mark.parametrize("cut", range(8, len(KEY)))
def test_a_piece_of_a_key_goes_where_a_text_may_have_been_cut(cut: int) -> None:
    """Its first or last eight characters are enough; fewer are nobody's key."""
    for piece in (KEY[:cut], KEY[-cut:]):
        assert SECRETS.hide(f"say {piece}", pieces=True) == f"say {MARK}"
        assert SECRETS.hide(f"say {piece}") == f"say {piece}"
    assert SECRETS.hide(f"say {KEY[:7]}", pieces=True) == f"say {KEY[:7]}"


def test_of_two_secrets_the_longer_is_hidden_whole() -> None:
    """One that is part of another leaves nothing of it."""
    assert Secrets(["abcdefgh", "abcdefghij"]).hide("xabcdefghijx") == f"x{MARK}x"


def test_no_secrets_hide_nothing() -> None:
    """An empty one is none."""
    assert Secrets(["", ""]).hide("abc", pieces=True) == "abc"
    assert not Secrets([""])


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("size", [1, 3, 7])
def test_a_text_in_pieces_shows_no_part_of_the_key(name: str, size: int) -> None:
    """What may be its beginning waits; in the end the same has been shown as of the whole text."""
    text = f"sk-pro and \\ {SPELLINGS[name]} & sk-proj"
    shown, held = "", ""
    for at in range(0, len(text), size):
        held += text[at : at + size]
        until = SECRETS.safe_until(held)
        shown, held = shown + SECRETS.hide(held[:until]), held[until:]
        assert "proj" not in shown.removeprefix("sk-pro")
    shown += SECRETS.hide(held)

    assert shown == SECRETS.hide(text) == f"sk-pro and \\ {MARK} & sk-proj"


def test_ordinary_text_is_shown_at_once() -> None:
    """Nothing waits that cannot become the key."""
    for text in ("", "hello", '{"a": 1}', "50 % of it & more"):
        assert SECRETS.safe_until(text) == len(text)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("part", ["a line of JSON \\n with \\u0041 in it\n", "\\", "&#0", "&#x00", "%", "sk-proj"])
def test_a_long_text_is_read_once(part: str) -> None:
    """Eight megabytes of whatever would have a search begin anew at each place are as they were."""
    text = part * (8_000_000 // len(part))
    assert Secrets([KEY]).hide(text) is text
    assert Secrets([KEY]).safe_until(text[-100_000:]) > 0


def test_its_own_words_hold_no_secret() -> None:
    """It may stand in a trace."""
    assert KEY not in repr(SECRETS)
