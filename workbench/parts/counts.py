"""The counts of a run as one bar whose parts always add up to its rows."""

from __future__ import annotations

import streamlit as st

from jobs.views.runs import Counts
from workbench import wording
from workbench.parts import look


def counts_bar(counts: Counts, *, label: str = "") -> None:
    """A run's rows by state, as a bar and in numbers."""
    st.html(counts_html(counts, label=label))


def counts_html(counts: Counts, *, label: str = "") -> str:
    """The bar as HTML, for pieces that are HTML themselves."""
    parts = (
        ("accepted", counts.accepted, f"{counts.reused:,} reused" if counts.reused else ""),
        ("dead", counts.dead, ""),
        ("cancelled", counts.cancelled, ""),
        ("waiting", counts.waiting, _waiting(counts)),
    )
    whole = max(counts.rows, 1)
    bar = "".join(
        f'<i style="width:{100 * n / whole:.3f}%;background:{look.tone(wording.state(name).tone)}"></i>'
        for name, n, _ in parts
        if n and name != "waiting"  # what waits is the empty track: a full one would look done
    )
    legend = "".join(
        f'<span title="{look.safe(wording.state(name).help)}"><span style="color:{look.tone(wording.state(name).tone)}">'
        f"{wording.state(name).sign} {wording.state(name).word}</span> <b>{n:,}</b>"
        f"{f' <span class=rd-sub>({note})</span>' if note else ''}</span>"
        for name, n, note in parts
        if n or name != "cancelled"
    )
    words = f'<span class="rd-sub">{look.safe(label)}</span>' if label else ""
    told = ", ".join(f"{name} {n:,}" for name, n, _ in parts)
    return (
        f'<div><div class="rd-bar" role="img" aria-label="{told} of {counts.rows:,} rows">{bar}</div>'
        f'<div class="rd-legend">{legend}<span class="rd-sub">of {wording.count(counts.rows, "row")}</span>{words}</div></div>'
    )


def _waiting(counts: Counts) -> str:
    told = (
        (counts.in_flight, "in a call"),
        (counts.in_batches, "in a batch"),
        (counts.backing_off, "backing off"),
        (counts.struck, "with a strike"),
    )
    return ", ".join(f"{n:,} {words}" for n, words in told if n)
