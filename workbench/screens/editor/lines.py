"""The lines that a problem names, under the text that is edited: the editor itself shows no numbers to count by."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from workbench import parts, wording

#: lines shown before and after each, lines that are shown of many, and characters of one
AROUND, MOST, WIDE = 1, 5, 400


def show(text: str, wanted: Iterable[int], *, of: str) -> None:
    """Draw these lines of a text with their numbers and what stands around them; a number beyond the text is left out."""
    there = text.split("\n")
    marked = [number for number in sorted(set(wanted)) if 0 < number <= len(there)][:MOST]
    if not marked:
        return
    near = {number + step for number in marked for step in range(-AROUND, AROUND + 1)}
    numbers = [number for number in sorted(near) if 0 < number <= len(there)]
    digits = len(str(numbers[-1]))
    told = "".join(_line(number, there[number - 1], number in marked, digits) for number in numbers)
    label = f"{of}, line{'s' if len(marked) > 1 else ''} {', '.join(f'{number:,}' for number in marked)}"
    st.html(f'<div class="rd-sub">{parts.safe(label)}</div><pre class="rd-diff">{told}</pre>')


def _line(number: int, text: str, marked: bool, digits: int) -> str:
    shown = wording.visible(text if len(text) <= WIDE else text[:WIDE] + "…")
    kind, sign = ("old", "▸") if marked else ("at", " ")
    return f'<span class="{kind}">{sign} {number:>{digits}}  {parts.safe(shown)}\n</span>'
