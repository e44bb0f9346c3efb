"""What stands on every page: its title, who is answering, what went wrong, and what an empty page is for.

Names, cells and a provider's words are hostile text: everything here is escaped and put into HTML of our own, since
Streamlit reads titles, captions and messages as Markdown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from jobs import errors
from workbench import wording
from workbench.parts import look

_TITLES: dict[type[errors.RedriveError], str] = {
    errors.Refused: "Not possible now",
    errors.EngineDown: "A part of the engine does not answer",
    errors.NotFound: "Not found",
    errors.InputError: "This cannot be taken",
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number with its label, and its unit, window and n as a note."""

    label: str
    value: str
    note: str = ""
    tone: wording.Tone = "plain"
    help: str = ""


def header(title: str, *, subtitle: str = "", state: str | None = None) -> None:
    """The page's heading; ``state`` puts its badge beside it."""
    mark = f" {badge_html(state)}" if state else ""
    below = f'<div class="rd-sub">{look.safe(subtitle)}</div>' if subtitle else ""
    st.html(f'<h1 class="rd-h1">{look.safe(title)}{mark}</h1>{below}')


def section(title: str, *, note: str = "") -> None:
    """A heading inside the page, with what qualifies it."""
    more = f' <span class="rd-sub">{look.safe(note)}</span>' if note else ""
    st.html(f'<h2 class="rd-h2">{look.safe(title)}{more}</h2>')


def badge_html(state: str, *, words: str | None = None) -> str:
    """A state's badge as HTML, for pieces that are HTML themselves."""
    shown = wording.state(state)
    return (
        f'<span class="rd-badge" style="color:{look.tone(shown.tone)}" title="{look.safe(shown.help)}">'
        f"<span>{shown.sign}</span>{look.safe(words or shown.word)}</span>"
    )


def badge(state: str, *, words: str | None = None) -> None:
    """A state: sign, word and colour; ``words`` says it more exactly."""
    st.html(badge_html(state, words=words))


def panel(text: str, *, title: str = "", hint: str = "", tone: wording.Tone = "paused") -> None:
    """Something that a person must read: what it is, and what to do."""
    head = f"<strong>{look.safe(title)}</strong>" if title else ""
    tail = f'\n<span class="hint">{look.safe(hint)}</span>' if hint else ""
    role = "alert" if tone in ("dead", "paused") else "status"
    st.html(f'<div class="rd-panel" role="{role}" style="--tone:{look.tone(tone)}">{head}{look.safe(text)}{tail}</div>')


def error(trouble: errors.RedriveError | str, *, title: str = "") -> None:
    """What could not be done, and why; an error of the tree says itself what to do."""
    text = trouble.message if isinstance(trouble, errors.RedriveError) else trouble
    titles = [words for kind, words in _TITLES.items() if isinstance(trouble, kind)]
    title = title or (titles[0] if titles else "That did not work")
    panel(text, title=title, tone="dead")


def answering(words: str, *, ready: bool) -> None:
    """The line at the head of every page: which model answers, or that none does."""
    sign = wording.state("accepted" if ready else "paused")
    st.html(
        f'<div class="rd-answering"><span style="color:{look.tone(sign.tone)}">{"●" if ready else "▲"}</span>'
        f"<span>{'Model answering:' if ready else ''} <b>{look.safe(words)}</b></span></div>"
    )


def empty(title: str, text: str) -> None:
    """What this page is for and how it gets its first content; draw the next step below it."""
    st.html(f'<div class="rd-empty"><strong>{look.safe(title)}</strong><p>{look.safe(text)}</p></div>')


def figures(items: Sequence[Figure]) -> None:
    """A strip of numbers."""
    st.html(
        '<div class="rd-figures">'
        + "".join(
            f'<div class="rd-figure" title="{look.safe(item.help)}"><div class="label">{look.safe(item.label)}</div>'
            f'<div class="value" style="color:{look.tone(item.tone)}">{look.safe(item.value)}</div>'
            f'<div class="note">{look.safe(item.note)}</div></div>'
            for item in items
        )
        + "</div>"
    )


def facts(pairs: Mapping[str, str]) -> None:
    """Names and what they are, one a line."""
    st.html(
        '<dl class="rd-facts">'
        + "".join(f"<dt>{look.safe(name)}</dt><dd>{look.safe(value)}</dd>" for name, value in pairs.items())
        + "</dl>"
    )
