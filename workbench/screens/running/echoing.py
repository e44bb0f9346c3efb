"""What catches exchanged ids in calls with several rows: said in words, and chosen where a field is to be named for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from jobs import errors, pairing, templates
from jobs.values import VersionContent
from jobs.views.prompts import Version
from workbench import session, wording

#: choices beside the fields: none, and several as they were given
_NONE, _AS_GIVEN = "", "*"


def proposed(version: Version, columns: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The echo to begin with, of the address or else of the version's defaults; and what of it does not fit, as ``FIELD=COLUMN``."""
    asked = _in_address() or version.defaults.get("echo") or {}
    fits = pairing.fitting(asked, contract=version.content.contract, used=used(version.content, columns))
    return fits, pairing.written({field: column for field, column in asked.items() if field not in fits})


def address(echo: Mapping[str, str]) -> str | None:
    """An echo as the address carries it from one screen to another."""
    return "\n".join(pairing.written(echo)) or None


def _in_address() -> dict[str, str]:
    try:
        return dict(pairing.pair(line) for line in (session.param("echo") or "").splitlines())
    except errors.InputError:
        return {}


def choose(version: Version, columns: Sequence[str], *, key: str) -> dict[str, str]:
    """Draw the choice of a field that must repeat a column; what is chosen, field -> column."""
    fits, misfits = proposed(version, columns)
    shown, able = used(version.content, columns), pairing.repeaters(version.content.contract)
    if misfits:
        st.caption(
            wording.escaped(f"Left out, since it does not fit this version and table: echo {', '.join(misfits)}.")
        )
    if not shown or not able:
        return fits
    fields = [_NONE, *([_AS_GIVEN] if len(fits) > 1 else []), *able]
    first = _AS_GIVEN if len(fits) > 1 else next(iter(fits), _NONE)
    given = ", ".join(pairing.written(fits))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        field = st.selectbox(
            "Echo field",
            fields,
            index=fields.index(first),
            format_func=lambda one: {_NONE: "none named", _AS_GIVEN: wording.head(given, 60)}.get(
                one, wording.head(one, 60)
            ),
            key=f"echo:{key}",
            help="A field of the answer that must repeat a column of the row. Where it does not, in a call with several rows, the "
            "answer is not taken and the row is asked again with fewer, without a strike.",
        )
        if field in (_NONE, _AS_GIVEN):
            return fits if field == _AS_GIVEN else {}
        column = st.selectbox(
            "repeats column",
            shown,
            index=shown.index(fits[field]) if field in fits else _alike(field, shown),
            format_func=lambda one: wording.head(one, 60),
            key=f"echoed:{key}:{field}",
        )
    return {field: column}


def _alike(field: str, columns: Sequence[str]) -> int:
    """The place of the column of the field's name, else of the first."""
    contract = {"properties": {field: {"type": "string"}}}
    return next((place for place, one in enumerate(columns) if pairing.echoed(contract, [one])), 0)


def says(content: VersionContent, columns: Sequence[str], echo: Mapping[str, str], *, rows_per_call: int) -> str:
    """What there is to know of several rows a call, and by what exchanged ids are caught; plain text, empty where nothing is."""
    if not _shares(content):
        return "Rows a call: this version takes one. Several need a template whose last user message alone depends on the row."
    if rows_per_call == 1:
        return ""
    return f"Rows a call: each answer must carry its row's id. {catches(content, columns, echo)}"


def catches(content: VersionContent, columns: Sequence[str], echo: Mapping[str, str]) -> str:
    """By what a model is caught that exchanges ids, or that it is not; plain text."""
    if echo:
        pairs = " and ".join(f"{field!r}, which must repeat {column!r}" for field, column in echo.items())
        return (
            f"A model that exchanges the ids of two rows is caught by {pairs}, unless the two rows say the same there."
        )
    named = pairing.echoed(content.contract, used(content, columns))
    if named:
        names = ", ".join(map(repr, named))
        return (
            "A model that exchanges the ids of two rows is caught only where the answer says what another row's column of that "
            f"name says, in {names}; an echo field would have to repeat its own."
        )
    return (
        "A model that exchanges the ids of two rows is not caught: no field of the answer bears the name of a column that the "
        "template uses, and no echo field is named."
    )


def used(content: VersionContent, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns that a version's template uses; none where it cannot be read."""
    try:
        return templates.parse(content.template).columns(columns)
    except errors.PromptError:
        return ()


def _shares(content: VersionContent) -> bool:
    try:
        return templates.parse(content.template).shares_rows
    except errors.PromptError:
        return False
