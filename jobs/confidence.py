"""How sure a model was of each field of its answer: the probability that it gave the tokens in which the value is written.

That is the product of the tokens' probabilities, over every token that reaches into the value. A text's quotation marks are no
part of it, unless it is empty; of a list or an object, brackets and keys and all between them are. A token that reaches from
the key into the value counts whole. Nothing else is weighed: of a label, what follows once no other label is possible has a
probability near 1 by itself. So a long text is never probable, and a list less than one of its items: such fields say little
beside labels and numbers, and ``paths`` is there to leave them out.

It is the model's own opinion and no promise: how often a value of such a probability is right is for ``thresholds`` to find out.
A field that cannot be placed in the text, or whose tokens were not told, is unknown and left out; it is never taken for certain.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from typing import Any

from jobs.contract.words import json_path
from jobs.cursor import Stop
from jobs.places import Reader, Spot
from jobs.reply import candidates

#: characters of an answer in which fields are placed
MAX_PLACED = 500_000

Token = tuple[str, float]


class Odds:
    """The tokens of one reply, placed in its text once for all answers in it."""

    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        """Takes a reply's text and its tokens with their log-probabilities; tokens that stand nowhere in it, or in two places, are none."""
        self._text = text
        joined = "".join(token for token, _ in tokens)
        at = text.find(joined) if joined else -1
        if at < 0 or text.find(joined, at + 1) >= 0:
            tokens = ()
        self._edges = list(accumulate((len(token) for token, _ in tokens), initial=max(at, 0)))
        self._logs = [log for _, log in tokens]

    def confidences(
        self,
        *,
        paths: Collection[str] | None = None,
        window: tuple[int, int] | None = None,
        answer: Mapping[str, Any] | None = None,
    ) -> dict[str, float]:
        """``$.field`` -> the probability of its value, for the fields of one answer; see ``confidences``."""
        told = self._told(paths=paths, window=window, answer=answer)
        return {path: probability for path, probability in told.items() if probability is not None}

    def least(
        self,
        *,
        paths: Collection[str] | None = None,
        window: tuple[int, int] | None = None,
        answer: Mapping[str, Any] | None = None,
    ) -> tuple[str, float] | None:
        """The field of one answer that the model was least sure of, with its probability.

        None where that is not known: an endpoint that tells of a part of its tokens tells nothing of the fields in the others.
        """
        told = self._told(paths=paths, window=window, answer=answer)
        known = {path: probability for path, probability in told.items() if probability is not None}
        return least(known) if len(known) == len(told) else None

    def _told(
        self, *, paths: Collection[str] | None, window: tuple[int, int] | None, answer: Mapping[str, Any] | None
    ) -> dict[str, float | None]:
        """The fields that stand in one answer, with the probability of each value; None where not all of its tokens are told."""
        start, end = window or (0, len(self._text))
        spot = _placed(self._text[start:end], answer) if self._logs else None
        members = spot.members or {} if spot is not None else {}
        named = {json_path((name,)): value for name, (_, value) in members.items()}
        wanted = {path: value for path, value in named.items() if paths is None or path in paths}
        return {path: self._of(*_inside(value), by=start) for path, value in wanted.items()}

    def _of(self, start: int, end: int, *, by: int) -> float | None:
        """The probability of what stands there; None where not all of its tokens are told."""
        start, end = start + by, end + by
        if start < self._edges[0] or end > self._edges[-1]:
            return None
        first = bisect_right(self._edges, start) - 1
        return math.exp(math.fsum(self._logs[first : bisect_left(self._edges, end)]))


def confidences(
    text: str,
    tokens: Sequence[Token],
    *,
    paths: Collection[str] | None = None,
    window: tuple[int, int] | None = None,
    answer: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """``$.field`` -> the probability of its value from 0 to 1, for each top-level field of a reply's answer that is known.

    Whoever asks for several answers of one reply makes ``Odds`` once. Raises nothing, whatever the text.

    Args:
        text: the reply.
        tokens: its tokens with their log-probabilities, as ``Reply`` has them.
        paths: the fields to look at; all where None.
        window: from where to where the answer stands in the text, in a reply about several rows.
        answer: the accepted value. Of several objects in the text the last one that says the same is looked at, and none
            where it is not told; a single object is the answer anyway.
    """
    return Odds(text, tokens).confidences(paths=paths, window=window, answer=answer)


def least(found: Mapping[str, float]) -> tuple[str, float] | None:
    """The field that the model was least sure of, the first of equals, with its probability; None where none is known."""
    return min(found.items(), key=lambda item: item[1], default=None)


def _placed(text: str, answer: Mapping[str, Any] | None) -> Spot | None:
    reading = candidates(text)
    objects = [each for each in reading.values if isinstance(each.value, dict) and not each.encoded]
    if len(objects) > 1:
        objects = [each for each in objects if answer is not None and _says(each.value, answer)][-1:]
    if reading.stop is not None or not objects:
        return None
    (found,) = objects
    if found.end - found.start > MAX_PLACED:
        return None
    try:
        return found.spot or Reader(text, found.start).read()
    except Stop:
        return None


def _says(value: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """Whether an object is what the answer was made from; a value may have been converted ("5" to 5)."""
    return all(
        name in value and (value[name] == said or str(value[name]).strip().casefold() == str(said).casefold())
        for name, said in answer.items()
    )


def _inside(spot: Spot) -> tuple[int, int]:
    is_text = isinstance(spot.value, str) and spot.end - spot.start > 2
    return spot.start + is_text, spot.end - is_text
