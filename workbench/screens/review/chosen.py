"""Which dead letters are meant: the filter as it stands in the URL, and sets of letters frozen by their ids.

A set is frozen when a dialog opens, into (run, ordinal) pairs, and the dialog acts on exactly these: what dies or is resolved
between the look and the click neither joins it nor is acted on blindly, since the keeper skips what is no longer open.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from jobs.views.letters import Letter
from workbench import parts, session, wording
from workbench.screens import archiving

RESOLUTIONS = ("open", "replaying", "fixed", "corrected", "discarded", "any")
EVERY = "every prompt"

#: (run, ordinal)
LetterId = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which letters a list shows; None is no condition."""

    run: int | None
    prompt: str | None
    signature: str | None
    resolution: str | None
    #: what the address says and cannot be read, a sentence each: then no letter is meant
    unread: tuple[str, ...] = ()

    @property
    def of(self) -> str:
        """``of run 5, prompt triage``; ``of all runs`` where neither is chosen."""
        told = [f"run {self.run}"] if self.run is not None else []
        told += [f"prompt {self.prompt}"] if self.prompt is not None else []
        return f"of {', '.join(told) or 'all runs'}"

    def params(self) -> dict[str, Any]:
        """The same as a URL says it."""
        return {
            "run": self.run,
            "prompt": self.prompt,
            "signature": self.signature,
            "resolution": None if self.resolution == "open" else self.resolution or "any",
        }


def filters() -> Filter:
    """Draw the filter; its widgets and the URL are one."""
    names = [EVERY, *(prompt.name for prompt in archiving.prompts(session.param("prompt")))]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        resolution = parts.filters.segments("resolution", RESOLUTIONS, default="open")
        prompt = parts.filters.select("prompt", names, default=EVERY, label="Prompt", width=200)
        number = parts.filters.text(
            "run",
            label="Run",
            placeholder="any: its number",
            width=130,
            help="Letters of one run, its own history; empty: letters that speak for their row now, of all runs",
        )
        unread = _unread(names, number)
        # the last of the line, so that it moves nothing
        if number:
            st.button(
                f"only run {wording.escaped(number[:12])} ✕",
                key="every_run",
                help="Show all runs",
                on_click=parts.filters.clear,
                args=("run",),
            )
    return Filter(
        run=int(number) if _is_number(number) else None,
        prompt=None if prompt == EVERY else prompt,
        signature=session.param("signature"),
        resolution=None if resolution == "any" else resolution,
        unread=unread,
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16


def _unread(names: Sequence[str], number: str) -> tuple[str, ...]:
    resolution, prompt = session.param("resolution"), session.param("prompt")
    told = []
    if number and not _is_number(number):
        told.append(f"A run is named by its number, not by {wording.head(number, 40)!r}.")
    if prompt is not None and prompt not in names:
        told.append(f"There is no prompt {wording.head(prompt, 40)!r}.")
    if resolution is not None and resolution not in RESOLUTIONS:
        told.append(f"There is no resolution {wording.head(resolution, 40)!r}.")
    return tuple(told)


def of_url() -> Filter:
    """The filter that the URL of an inspector carries along, for next and previous."""
    resolution = session.param("resolution") or "open"
    return Filter(
        run=session.int_param("run") if session.param("within") else None,
        prompt=session.param("prompt"),
        signature=session.param("signature"),
        resolution=None if resolution == "any" else resolution,
    )


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """A set of dead letters to act on, as it was at one moment."""

    letters: tuple[LetterId, ...]
    #: what was chosen and cannot be acted on, by resolution
    skipped: dict[str, int] = field(default_factory=dict)
    #: epoch seconds
    at: float

    @property
    def runs(self) -> list[int]:
        """The runs that they are of."""
        return sorted({run for run, _ in self.letters})

    def says(self) -> list[str]:
        """What the set is, a sentence each."""
        runs = ", ".join(str(run) for run in self.runs[:8]) + (" …" if len(self.runs) > 8 else "")
        noun = "run" if len(self.runs) == 1 else "runs"
        were = "it was" if len(self.letters) == 1 else "they were"
        told = [
            f"{wording.count(len(self.letters), 'open dead letter')} of {noun} {runs}, as {were} at "
            f"{wording.exact(self.at, session.zone())}. What dies later is not taken along."
        ]
        if self.skipped:
            why = ", ".join(f"{count:,} {name}" for name, count in self.skipped.items())
            told.append(f"Skipped, because they are not open: {why}.")
        return told


def freeze_letters(letters: Sequence[Letter]) -> Frozen:
    """Freeze these letters; those that are not open are counted as skipped."""
    skipped: dict[str, int] = {}
    for letter in letters:
        if letter.resolution != "open":
            skipped[letter.resolution] = skipped.get(letter.resolution, 0) + 1
    chosen = tuple((letter.run, letter.ordinal) for letter in letters if letter.resolution == "open")
    return Frozen(letters=chosen, skipped=skipped, at=time.time())


def freeze(chosen: Filter) -> Frozen:
    """Freeze every open letter behind a filter, not only those of the page."""
    found = session.engine().letters.ids(
        signature=chosen.signature, run=chosen.run, prompt=chosen.prompt, resolution="open"
    )
    return Frozen(letters=tuple(found), at=time.time())
