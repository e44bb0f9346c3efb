"""Which branch of a choice a value was meant for, so that what is wrong with it can be told in the words of that branch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jobs.contract import words
from jobs.contract.nodes import Node


def meant(branches: Sequence[Node], value: object) -> int | None:
    """The index of the branch that a value was meant for, though it may break it; None where that is not clear."""
    found = [index for index, branch in enumerate(branches) if _could_be(branch, value)]
    if len(found) > 1 and isinstance(value, dict):
        found = _nearest(branches, found, value)
    return found[0] if len(found) == 1 else None


def _could_be(branch: Node, value: object) -> bool:
    kinds = branch.kinds()
    return not kinds or words.is_a(value, kinds)


def _nearest(branches: Sequence[Node], found: list[int], value: Mapping[str, object]) -> list[int]:
    """The object branches whose constants fit, then those that share most keys with the value."""

    def score(index: int) -> tuple[int, int]:
        properties = branches[index].properties
        constants = [
            words.same(value[key], below.enum[0])
            for key, below in properties.items()
            if key in value and below.enum is not None and len(below.enum) == 1
        ]
        return (sum(constants) - constants.count(False), len(properties.keys() & value.keys()))

    best = max(score(index) for index in found)
    return [index for index in found if score(index) == best]
