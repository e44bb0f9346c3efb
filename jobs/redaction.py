r"""Takes secrets out of texts, however JSON, HTML or a URL has spelled them there.

What a provider, a proxy or an exception repeats of a key is not always the key letter by letter: a slash may come as ``\/``,
any character as ``\u0041``, ``&#x41;`` or ``%41``, and a text that was cut may end inside it. A secret that somebody has
encoded as a whole (base64, a hash) is not found.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

#: what stands in place of a secret
MARK = "[key]"
#: characters in a row of a secret that count as the secret where a text may have been cut inside it
PIECE = 8
#: characters at the end of a text in which such pieces are looked for: what was cut was cut at its end, or is short
_REACH = 65_536

#: printable ASCII, as JSON (also inside JSON), HTML and URLs may write it;
#: bounded throughout: a reply may hold a million backslashes in a row
_SPELLED = re.compile(
    r"[\\&%](?:"  # one class first: so the engine skips quickly to where one could begin
    r"(?<=\\)\\{0,15}+(?:u00([2-7][0-9a-fA-F])|([\"'/]))"
    r"|(?<=&)(?:#[xX]0{0,6}+([2-7][0-9a-fA-F])|#0{0,6}+(\d{2,3})|(amp|lt|gt|quot|apos));"
    r"|(?<=%)([2-7][0-9a-fA-F]))"
)
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
#: the beginning of such a spelling at the end of a text
_BEGUN = re.compile(r"(?:\\{1,16}(?:u[0-9a-fA-F]{0,3})?|&[#\w]{0,10}|%[0-9a-fA-F]?)\Z")
_LONGEST = 24

#: the shapes of keys, masked or not, and of a password in a URL
_SHAPES = re.compile(
    r"\b(?:sk|gsk|xai|pk|rk)-[A-Za-z0-9_*.\-]{6,}|\b(?:gsk|hf|r8|tgp_v1)_[A-Za-z0-9*]{16,}|\bAIza[\w*\-]{10,}"
    r"|(?<=Bearer )[^\s\"',;]{6,}|(?<=://)[^/@\s:]*:[^/@\s]+(?=@)"
)

Span = tuple[int, int]


def hide_shapes(text: str, *, mark: str = MARK) -> str:
    """The text without anything that looks like a key, whosever it is; for words that no promise keeps as they came."""
    return _SHAPES.sub(mark, text)


class Secrets:
    """Some secrets, and how to take them out of a text."""

    def __init__(self, secrets: Iterable[str] = (), *, mark: str = MARK) -> None:
        self._secrets = sorted({secret for secret in secrets if secret}, key=lambda one: (-len(one), one))
        self._mark = mark
        self._pieces = sorted(
            {one[at : at + PIECE] for one in self._secrets for at in range(len(one) - PIECE + 1)},
        )

    def __repr__(self) -> str:
        return f"Secrets({len(self._secrets)})"

    def __bool__(self) -> bool:
        return bool(self._secrets)

    def hide(self, text: str, *, pieces: bool = False) -> str:
        """The text with a mark in place of each secret; with ``pieces`` also of eight characters in a row of one."""
        shown, end = [], 0
        for start, stop in self._spans(text, pieces=pieces):
            shown += [text[end:start], self._mark]
            end = stop
        return "".join([*shown, text[end:]]) if end else text

    def hide_bytes(self, body: bytes, *, pieces: bool = False) -> bytes:
        """The same for bytes of any encoding that spells ASCII as ASCII; the others come back as they were."""
        text = body.decode("latin-1")
        hidden = self.hide(text, pieces=pieces)
        return body if hidden is text else hidden.encode("latin-1")

    def safe_until(self, text: str) -> int:
        """How much of a text that goes on can be shown: what may be the beginning of a secret waits for what follows."""
        begun = _BEGUN.search(text, max(0, len(text) - _LONGEST))
        end = begun.start() if begun else len(text)
        view = _View(text[:end])
        waits = max((_overlap(view.text, secret) for secret in self._secrets), default=0)
        return view.place(len(view.text) - waits) if waits else end

    def _spans(self, text: str, *, pieces: bool) -> list[Span]:
        """The places to hide, in order and apart from each other."""
        if not self._secrets:
            return []
        found = list(self._found(text, pieces=pieces))
        if _SPELLED.search(text):
            view = _View(text)
            found += [(view.place(start), view.place(stop)) for start, stop in self._found(view.text, pieces=pieces)]
        merged: list[Span] = []
        for start, stop in sorted(found):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
            else:
                merged.append((start, stop))
        return merged

    def _found(self, text: str, *, pieces: bool) -> Iterator[Span]:
        for secret in self._secrets:
            yield from _places(text, secret, begin=0)
        if pieces:
            for piece in self._pieces:
                yield from _places(text, piece, begin=max(0, len(text) - _REACH))


class Veil:
    """Shows a text that comes in pieces, without a secret that comes in pieces too."""

    def __init__(self, secrets: Secrets, show: Callable[[str], None]) -> None:
        self._secrets, self._show = secrets, show
        self._held = ""

    def show(self, piece: str) -> None:
        """Take the next piece; what may be the beginning of a secret waits for what follows."""
        self._held += piece
        until = self._secrets.safe_until(self._held)
        self._pass(self._secrets.hide(self._held[:until]))
        self._held = self._held[until:]

    def end(self) -> None:
        """Nothing follows: show what has waited."""
        self._pass(self._secrets.hide(self._held, pieces=True))
        self._held = ""

    def _pass(self, text: str) -> None:
        if text:
            self._show(text)


class _View:
    """A text with its spellings read, and the way back from a place in it."""

    def __init__(self, text: str) -> None:
        self._spelled = text
        self.text = _SPELLED.sub(_read, text)

    def place(self, at: int) -> int:
        """Where in the text a place of the view is: before the character's spelling."""
        starts, further = self._way
        return at + further[bisect_right(starts, at) - 1]

    @cached_property
    def _way(self) -> tuple[list[int], list[int]]:
        """Places in the view, and how much further the text is from each of them on."""
        starts, further = [0], [0]
        for match in _SPELLED.finditer(self._spelled):
            further.append(further[-1] + len(match[0]) - 1)
            starts.append(match.end() - further[-1])
        return starts, further


def _read(match: re.Match[str]) -> str:
    code, plain, hexadecimal, decimal, name, percent = match.groups()
    number = code or hexadecimal or percent
    return chr(int(number, 16)) if number else plain or _NAMED.get(name) or chr(int(decimal))


def _places(text: str, secret: str, *, begin: int) -> Iterator[Span]:
    at = text.find(secret, begin)
    while at >= 0:
        yield at, at + len(secret)
        at = text.find(secret, at + 1)


def _overlap(text: str, secret: str) -> int:
    """How many characters at the text's end are the beginning of the secret, but not all of it."""
    return next((size for size in range(min(len(secret) - 1, len(text)), 0, -1) if text.endswith(secret[:size])), 0)
