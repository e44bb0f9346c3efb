"""The tokens of the stand-in's replies, with the probabilities that a test has written for their values."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jobs.contract.words import json_path
from jobs.cursor import Stop
from jobs.places import Reader, Spot

#: the probability of every value, or (a row's text, ``$.field``) -> that of one; None: certain, as all between the values
Confidence = float | Callable[[str, str], float | None]

_SIZE = 4
_OPENING = re.compile(r"\{")
#: what an endpoint says instead of the logarithm of 0
_NEVER = -9999.0


def logprobs(text: str, rows: Mapping[str, str], confidence: Confidence) -> list[dict[str, Any]]:
    """The entries of ``logprobs.content``: tokens of at most four characters, which end where a value begins and ends.

    The tokens of a value, its quotation marks aside, have its probability together, and all others are certain.

    Args:
        text: the reply.
        rows: id -> text of the request's rows; the only one's id is empty.
        confidence: what each value of each row's answer is to have.
    """
    chances: dict[int, float] = {}
    cuts = {0, len(text)}
    for row, path, start, end in _values(text, rows):
        chance = confidence(row, path) if callable(confidence) else confidence
        if chance is not None:
            chances[start] = chance
            cuts |= {start, end}
    edges = sorted(cuts)
    starts = [at for low, high in zip(edges, edges[1:], strict=False) for at in range(low, high, _SIZE)]
    return [
        _entry(text[start:end], chances.get(start, 1.0))
        for start, end in zip(starts, [*starts[1:], len(text)], strict=True)
    ]


def share(entries: Sequence[Mapping[str, Any]], start: int, end: int) -> list[Mapping[str, Any]]:
    """Those entries whose token begins in that part of the text."""
    found, at = [], 0
    for entry in entries:
        if start <= at < end:
            found.append(entry)
        at += len(entry["token"])
    return found


def _entry(token: str, chance: float) -> dict[str, Any]:
    return {
        "token": token,
        "logprob": math.log(chance) if chance > 0 else _NEVER,
        "bytes": list(token.encode("utf-8", "surrogatepass")),
        "top_logprobs": [],
    }


def _values(text: str, rows: Mapping[str, str]) -> list[tuple[str, str, int, int]]:
    """(row's text, path, from, to) of each value of each row's answer; none where the reply is no answer."""
    spot = _read(text)
    if spot is None:
        return []
    if "" in rows:
        return _fields(rows[""], spot)
    found = []
    results = (spot.members or {}).get("results")
    for entry in (results[1].items if results else None) or []:
        members = entry.members or {}
        row = rows.get(str(members["id"][1].value)) if "id" in members else None
        if row is not None and "value" in members:
            found += _fields(row, members["value"][1])
    return found


def _fields(row: str, spot: Spot) -> list[tuple[str, str, int, int]]:
    fields = []
    for name, (_, value) in (spot.members or {}).items():
        bare = isinstance(value.value, str) and value.end - value.start > 2
        fields.append((row, json_path((name,)), value.start + bare, value.end - bare))
    return fields


def _read(text: str) -> Spot | None:
    for opening in _OPENING.finditer(text):
        try:
            return Reader(text, opening.start()).read()
        except Stop:
            continue
    return None
