"""Giving a dead letter its value by hand: a form by the contract's fields, or JSON; held to the contract, field by field."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import streamlit as st

from jobs import errors, reply
from jobs.contract import Contract, Finding, FlatField
from jobs.views.letters import Inspection
from workbench import parts, session, wording
from workbench.screens.review import replaying

_ABSENT = "leave it out"
#: the value that the fields make, or None after what is amiss was drawn at them
Read = Callable[[], dict[str, Any] | None]


@st.dialog("Correct the value by hand", width="large")
def dialog(seen: Inspection, then: Callable[[int], None]) -> None:
    """Draw the form; what the contract refuses cannot be accepted, and ``then`` takes the decision when it is made."""
    action = replaying.action_of("correct", [(seen.run.id, seen.ordinal)])
    contract = Contract.from_schema(seen.version.content.contract)
    begun = begin_with(seen)
    fields = contract.fields()
    flat = len(fields) == len(contract.names) and bool(fields)
    st.text(
        f"Row {wording.head(seen.row_id, 80)}: the value is held to the contract of {seen.version.reference} and is kept with the receipt "
        "“corrected by hand”. The replies stay as they are; the decision can be undone."
    )
    left, right = st.columns(2, gap="medium")
    with right:
        st.caption("The row")
        parts.cells(seen.cells)
        last = next((one for one in reversed(seen.attempts) if one.raw is not None), None)
        if last is not None:
            st.caption("The last raw reply")
            parts.plain(last.raw or "")
    # a form: one press commits every field and judges them, and what is amiss is said only then
    with left, st.form(f"value:{action}", border=False, enter_to_submit=False):
        read = _form(fields, begun, contract, action) if flat else _json(begun, contract, action)
        reason = st.text_input("Reason (optional)", key=f"reason:{action}") or ""
        key = session.submit("Accept this value", action=action, type="primary")
    if key is None:
        return
    value = read()
    if value is None:
        return
    decided = parts.perform(
        action,
        lambda: session.engine().letters.correct(seen.run.id, seen.ordinal, value, reason=reason.strip(), key=key),
    )
    if decided is not None:
        then(decided)
        st.rerun()


def begin_with(seen: Inspection) -> dict[str, Any]:
    """What the form begins with: the value that stands, else what the last readable reply meant to say."""
    if seen.result is not None and seen.result.value is not None:
        return seen.result.value
    for attempt in reversed(seen.attempts):
        if attempt.value is not None:
            return attempt.value
        for found in reversed(reply.candidates(attempt.raw or "").values):
            if isinstance(found.value, dict):
                return found.value
    return {}


def _form(fields: list[FlatField], begun: dict[str, Any], contract: Contract, action: str) -> Read:
    value: dict[str, Any] = {}
    places = {}
    for field in fields:
        made, given = _field(field, begun, f"{action}:{field.name}")
        places[field.name] = st.container()
        if given:
            value[field.name] = made
    elsewhere = st.container()
    if extra := [name for name in begun if name not in contract.names]:
        st.caption(f"Not in the contract, so left out: {wording.escaped(', '.join(extra[:8]))}")

    def read() -> dict[str, Any] | None:
        found = contract.problems(contract.read(value)[0])
        for problem in found:
            with places.get(str(problem.path[0]) if problem.path else "", elsewhere):
                _problem(problem)
        return None if found else value

    return read


def _field(field: FlatField, begun: dict[str, Any], key: str) -> tuple[Any, bool]:
    """The value of one field, and whether it is given at all."""
    label = wording.escaped(field.name) + ("" if field.required else " (optional)")
    help_ = wording.escaped(field.description) if field.description else None
    now = begun.get(field.name)
    if field.enum or field.type == "boolean":
        options: list[Any] = [*(field.enum or (True, False)), *([None] if field.nullable else [])]
        at = next((place for place, one in enumerate(options) if one == now and type(one) is type(now)), None)
        place = st.selectbox(
            label,
            range(len(options)),
            index=at if field.name in begun else None,
            format_func=lambda one: wording.head(_told(options[one]), 80),
            placeholder="choose" if field.required else _ABSENT,
            key=f"field:{key}",
            help=help_,
        )
        return (options[place], True) if place is not None else (None, False)
    shown = "" if now is None else now if isinstance(now, str) else json.dumps(now, ensure_ascii=False)
    if field.type == "string":
        text = st.text_area(label, shown, height="content", key=f"field:{key}", help=help_) or ""
        if not text and (field.nullable or not field.required):
            return None, field.nullable and field.name in begun and now is None
        return text, True
    text = st.text_input(label, shown, key=f"field:{key}", help=help_, placeholder=field.type) or ""
    if not text.strip():
        return None, field.nullable
    try:
        return reply.strict(text.strip()), True
    except ValueError:
        return text, True


def _told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _json(begun: dict[str, Any], contract: Contract, action: str) -> Read:
    text = st.text_area(
        "The value, as JSON",
        json.dumps(begun, ensure_ascii=False, indent=2),
        height=320,
        key=f"json:{action}",
    )
    place = st.container()

    def read() -> dict[str, Any] | None:
        with place:
            return _read(text or "", contract)

    return read


def _read(text: str, contract: Contract) -> dict[str, Any] | None:
    try:
        value = reply.strict(text)
    except ValueError as error:
        parts.panel(str(error), title="Not JSON yet", tone="dead")
        return None
    if not isinstance(value, dict):
        parts.panel("The value is one JSON object.", tone="dead")
        return None
    try:
        found = contract.problems(contract.read(value)[0])
    except errors.RedriveError as error:
        parts.error(error)
        return None
    for problem in found:
        _problem(problem)
    return None if found else value


def _problem(problem: Finding) -> None:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem.path[1:])
    head = f"{problem.path[0] if problem.path else 'the value'}{path} {wording.rule(problem.rule)}"
    parts.panel(f"expected {problem.expected}, got {problem.got}", title=head, tone="dead")
