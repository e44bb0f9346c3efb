"""Texts that are shown as they are: a diff, the messages of a prompt, a value as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import streamlit as st

from jobs.values import Message
from workbench import wording
from workbench.parts import look

#: characters of one text that are sent to the browser
MOST = 60_000


def diff(pieces: Sequence[tuple[str, str]], *, same: str = "No difference.") -> None:
    """Draw ``engine.prompts.diff``'s pieces: a name and a unified diff each; ``same`` when there is none."""
    changed = [(name, text) for name, text in pieces if text.strip()]
    if not changed:
        st.caption(same)
    for name, text in changed:
        st.html(f'<div class="rd-sub">{look.safe(name)}</div><pre class="rd-diff">{_lines(text)}</pre>')


def chat(messages: Sequence[Message]) -> None:
    """Draw the messages of a prompt as they are sent."""
    for message in messages:
        st.caption(f"{message.role} · {wording.count(len(message.content), 'character')}")
        st.code(_shown(message.content), language=None, wrap_lines=True)


def as_json(value: Any) -> None:
    """Draw a value as indented JSON."""
    st.code(_shown(json.dumps(value, ensure_ascii=False, indent=2, default=str)), language="json", wrap_lines=True)


def plain(text: str) -> None:
    """Draw a hostile text, monospaced."""
    st.code(_shown(text), language=None, wrap_lines=True)


def _lines(text: str) -> str:
    cut = text if len(text) <= MOST else f"{text[:MOST]}\n… {len(text) - MOST:,} characters not shown"
    kinds = {"+": "new", "-": "old", "@": "at"}
    lines = [line for line in cut.split("\n") if not line.startswith(("--- ", "+++ "))]
    return "".join(f'<span class="{kinds.get(line[:1], "same")}">{look.safe(line)}\n</span>' for line in lines)


def _shown(text: str) -> str:
    if len(text) <= MOST:
        return wording.visible(text)
    return f"{wording.visible(text[:MOST])}\n… {len(text) - MOST:,} characters not shown"
