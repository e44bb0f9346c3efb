r"""Regular expressions of a contract, as ECMA-262 and JSON Schema have them, for the engine that runs them.

The engine is Rust's ``regex``, to which a digit is one of any script. In ECMA-262 ``\d``, ``\w`` and ``\b`` are about ASCII;
``\s`` is any white space of Unicode in both.
"""

from __future__ import annotations

import re

_PART = re.compile(r"\\.|\[\^?\]?|\]", re.DOTALL)
_CLASSES = {r"\d": "[0-9]", r"\D": "[^0-9]", r"\w": "[0-9A-Za-z_]", r"\W": "[^0-9A-Za-z_]"}
_BORDERS = {r"\b": r"(?-u:\b)", r"\B": r"(?-u:\B)"}


def ascii_classes(pattern: str) -> str:
    """The pattern with the classes of ECMA-262 spelled out."""
    depth = 0

    def spelled(found: re.Match[str]) -> str:
        nonlocal depth
        part = found[0]
        if part[0] == "[":
            depth += 1
        elif part == "]":
            depth = max(0, depth - 1)
        elif part in _CLASSES:
            return _CLASSES[part]
        elif depth == 0:
            return _BORDERS.get(part, part)
        return part

    return _PART.sub(spelled, pattern)
