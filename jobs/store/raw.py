"""Stored replies as text that a person can be shown, with every place in them where it was.

A reply is kept byte for byte, lone surrogates and all, but such text can be neither sent to a browser nor printed. Each
lone surrogate is shown as one U+FFFD: an escape would be longer, and would shift the places that problems point to.
"""

from __future__ import annotations

import re

_SURROGATE = re.compile("[\ud800-\udfff]")
#: bytes that one character takes at most
_WIDEST = 4


def shown(raw: bytes) -> str:
    """The whole reply; one character for each of the stored text, so offsets hold."""
    try:
        text = raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        text = raw.decode("utf-8", "replace")
    return safe(text)


def safe(text: str) -> str:
    """The text with one U+FFFD for each lone surrogate."""
    return _SURROGATE.sub("\ufffd", text)


def head(raw: bytes | None, characters: int) -> str:
    """The beginning of a reply, empty where nothing came."""
    if raw is None:
        return ""
    cut = raw[: (characters + 1) * _WIDEST]
    if len(cut) < len(raw):
        while cut and cut[-1] & 0xC0 == 0x80:
            cut = cut[:-1]
        cut = cut[:-1]
    return shown(cut)[:characters]
