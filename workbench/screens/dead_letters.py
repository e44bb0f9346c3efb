"""Dead letters by cause; a cause opens its letters, to be replayed, discarded, or looked at one by one."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from jobs.views.letters import Group, Letter
from workbench import parts, session, wording
from workbench.screens.review import chosen, decided, discarding, replaying, tables
from workbench.screens.review.chosen import Filter, Frozen
from workbench.screens.running.progress import resolution_words

#: failing rows that the prompt editor is given
TRIED = 5
NBSP = "\u00a0"


def page() -> None:
    signature = session.param("signature")
    top = st.container()
    filter_ = chosen.filters()
    if filter_.unread:
        _unread(filter_, top)
    elif signature is None:
        with top:
            _head(filter_)
        _groups(filter_)
    else:
        _letters(filter_, top)


def _unread(filter_: Filter, top: st.delta_generator.DeltaGenerator) -> None:
    with top:
        parts.header("Dead letters")
    parts.panel("\n".join(filter_.unread), title="No dead letter is shown", hint="Change the filter, or clear it.")
    st.button(
        "Clear the filter", key="clear", on_click=parts.filters.clear, args=("run", "prompt", "resolution", "signature")
    )


def _head(filter_: Filter) -> None:
    now = session.engine().letters.standing(run=filter_.run, prompt=filter_.prompt)
    subtitle = (
        "Rows that struck out or are hopeless, grouped by cause. Nothing here is lost: replay, correct or discard them."
    )
    parts.header("Dead letters", subtitle=subtitle)
    of = wording.head(filter_.of, 40)
    parts.figures(
        [
            parts.Figure(label="Open", value=wording.number(now.open), note=of, tone="dead" if now.open else "plain"),
            parts.Figure(label="New", value=wording.number(now.new_24h), note=f"last 24 h, {of}"),
            parts.Figure(label="Being replayed", value=wording.number(now.replaying), note=of),
            parts.Figure(label="Resolved", value=wording.number(now.resolved_24h), note=f"last 24 h, {of}"),
        ]
    )


def _groups(filter_: Filter) -> None:
    letters = session.engine().letters
    _, total = letters.list(run=filter_.run, prompt=filter_.prompt, resolution=filter_.resolution, offset=0, limit=0)
    actions = st.container()
    found, _ = parts.paged(
        "page",
        lambda offset, limit: letters.groups(
            run=filter_.run, prompt=filter_.prompt, resolution=filter_.resolution, offset=offset, limit=limit
        ),
        noun="cause",
    )
    if not found:
        _none(filter_)
    else:
        # above the table, whose height follows the filter
        with actions:
            versions = list(dict.fromkeys(version for group in found for version in group.versions))
            frozen_actions(filter_, (), total=total, versions=versions)
        opened = tables.groups(found, total)
        if opened:
            session.go(
                "dead_letters", **(filter_.params() | {"signature": opened, "version": session.param("version")})
            )
    with st.expander("Decisions: what was replayed, corrected and discarded, and the way back"):
        decided.table(run=filter_.run, prompt=filter_.prompt)


def _none(filter_: Filter) -> None:
    if filter_.run is None and filter_.prompt is None and filter_.resolution == "open":
        parts.empty(
            "No dead letter is open",
            "A row whose replies break the contract three times, or that cannot be asked at all, comes to stand here with "
            "its raw replies and their problems. There it is replayed with a better prompt, corrected by hand, or discarded.",
        )
        with st.container(horizontal=True):
            session.link("Look at the runs", "runs")
            session.link("Launch a run", "launch")
    else:
        st.caption("No dead letter is like that.")


def _letters(filter_: Filter, top: st.delta_generator.DeltaGenerator) -> None:
    engine = session.engine().letters
    groups, _ = engine.groups(
        run=filter_.run, prompt=filter_.prompt, signature=filter_.signature, resolution=None, limit=1
    )
    group = groups[0] if groups else None
    with top, st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        _group_head(group, filter_)
        with st.container(horizontal=True, horizontal_alignment="right", width="content"):
            session.hop("All causes", "dead_letters", key="causes", **(filter_.params() | {"signature": None}))
    actions = st.container()
    found, total = parts.paged(
        "page",
        lambda offset, limit: engine.list(
            signature=filter_.signature,
            run=filter_.run,
            prompt=filter_.prompt,
            resolution=filter_.resolution,
            offset=offset,
            limit=limit,
        ),
        noun="dead letter",
    )
    ticked: list[Letter] = []
    if not total:
        st.caption(f"None of them is {filter_.resolution}." if group else "There is no dead letter of that cause.")
    else:
        opened, ticked = tables.letters(found, titles=False)
        if opened is not None:
            _inspect(opened, filter_)
    if group is not None:
        with actions:
            frozen_actions(
                filter_, ticked, total=group.resolutions.get("open", 0), versions=group.versions, group=group
            )


def _inspect(letter: Letter, filter_: Filter) -> None:
    params = filter_.params() | {
        "run": letter.run,
        "row": letter.ordinal,
        "within": 1 if filter_.run is not None else None,
    }
    session.go("letter", **params)


def _group_head(group: Group | None, filter_: Filter) -> None:
    if group is None:
        parts.header("Dead letters", subtitle=f"signature {filter_.signature}")
        return
    versions = ", ".join(group.versions[:4]) + (" …" if len(group.versions) > 4 else "")
    now = time.time()
    with st.container():
        parts.header(
            wording.cause(group.title),
            subtitle=" · ".join(
                [
                    f"{wording.count(group.count, 'dead letter')} ({resolution_words(group.resolutions)})",
                    versions,
                    f"first seen {wording.ago(group.first_at, now)}, last {wording.ago(group.last_at, now)}",
                    # its words stay together, where the line breaks before them
                    f"cost {wording.money(group.cost)} until they died".replace(" ", NBSP),
                ]
            ),
        )


def frozen_actions(
    filter_: Filter, ticked: Sequence[Letter], *, total: int, versions: Sequence[str], group: Group | None = None
) -> None:
    """Draw what can be done with the ticked letters, or with every open one behind the filter; ``versions`` failed there."""
    version = session.param("version")
    many = sum(letter.resolution == "open" for letter in ticked) if ticked else total
    which = "ticked" if ticked else "open"
    if not ticked and group is None and filter_.resolution != "open":
        return

    def frozen() -> Frozen:
        return chosen.freeze_letters(ticked) if ticked else chosen.freeze(filter_)

    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(f"Replay {many:,} {which} …", type="primary", disabled=not many, key="replay", help=_whole(which)):
            replaying.dialog(frozen(), version=version)
        if group is not None:
            _tweak(group, filter_, ticked)
        if st.button(f"Discard {many:,} {which} …", disabled=not many, key="discard", help=_whole(which)):
            discarding.dialog(frozen())
    # below the buttons: which letters are meant may change under a press
    if version and many:
        parts.panel(f"Replay these dead letters with {version}.", title=f"{version} is ready", tone="accepted")
    elif many:
        _newer(versions)


def _newer(versions: Sequence[str]) -> None:
    """Say that there is a newer version than these, where they are of one prompt."""
    newest = replaying.newer({name.partition("@")[0].removesuffix(" (draft)") for name in versions}, versions)
    if newest is not None:
        parts.panel(
            "Replay takes it, unless another is chosen there.",
            title=replaying.says_newer(newest, versions),
            tone="running",
        )


def _whole(which: str) -> str:
    return (
        "The rows that are ticked on this page" if which == "ticked" else "All behind this filter, not only this page"
    )


def _tweak(group: Group, filter_: Filter, ticked: Sequence[Letter]) -> None:
    """The link to the editor, with rows of one run that are still failing as its test rows."""
    engine = session.engine()
    still = [letter for letter in ticked if letter.resolution == "open"]
    if not ticked:
        still = _open(group, filter_.run, filter_.prompt)
    run = engine.runs.get(still[0].run if still else group.example_run)
    ordinals = [letter.ordinal for letter in still if letter.run == run.id]
    session.link(
        "Tweak the prompt",
        "prompt",
        help="Opens the editor with the rows that are still failing as its test rows",
        name=run.prompt,
        dataset=run.dataset,
        run=run.id if filter_.run is not None else None,
        signature=group.signature,
        rows=",".join(str(ordinal) for ordinal in ordinals[:TRIED]),
    )


def _open(group: Group, run: int | None, prompt: str | None) -> list[Letter]:
    """Open letters of the group's example run, or of another one if none is open there."""
    for one in (run or group.example_run, run):
        found, _ = session.engine().letters.list(
            signature=group.signature, run=one, prompt=prompt, resolution="open", offset=0, limit=TRIED
        )
        if found:
            return list(found)
    return []


page()
