"""Taking an action: once, with its error on the screen, and after a count where it cannot be overlooked.

The effect happens in the engine, which takes a token once. A token is spent only after success or a refusal, so that a second
press after "does not answer" asks for the same thing again and not for a second one, and one after a refusal asks anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import streamlit as st

from jobs import errors
from workbench import session, wording
from workbench.parts import page

T = TypeVar("T")
#: above this many items the number must be typed
MANY = 100


def perform(action: str, work: Callable[[], T]) -> T | None:
    """What ``work`` gives, with the action's token spent; None after its error was drawn."""
    try:
        done = work()
    except errors.RedriveError as error:
        if isinstance(error, errors.Refused):
            session.renew(action)
        page.error(error)
        return None
    session.spend(action)
    return done


def confirm(
    action: str,
    work: Callable[[str, str], str],
    *,
    title: str,
    says: Sequence[str],
    button: str,
    count: int = 1,
    noun: str = "row",
    reason: Literal["no", "optional", "required"] = "no",
    then: Callable[[], None] | None = None,
) -> None:
    """Open a dialog that says what will happen, and do it when it is confirmed.

    Args:
        action: the name of its token; one dialog may be open at a time.
        work: of the token and the reason; what it gives is said to the person, if it is anything. Ids that it acts on are frozen in it.
        title: the question.
        says: what will happen, a sentence each; may hold hostile text.
        button: the verb on the button; the count and noun are added when there are several.
        count: how many items it acts on; above 100 the number must be typed.
        noun: what one of them is called.
        reason: whether a reason is asked for.
        then: after success, instead of drawing the screen again.
    """

    @st.dialog(title, width="medium")
    def ask() -> None:
        for sentence in says:
            st.text(wording.visible(sentence))
        with st.form(f"ask:{action}", border=False, enter_to_submit=False):
            given = "" if reason == "no" else _reason(action, required=reason == "required")
            at_reason = st.container()
            sure = count <= MANY or typed(action, count, f"this acts on {wording.count(count, noun)}")
            at_count = st.container()
            label = f"{button} {wording.count(count, noun)}" if count > 1 else button
            key = session.submit(label, action=action, type="primary")
        if key is None:
            return
        lacks = reason == "required" and not given.strip()
        if lacks:
            with at_reason:
                missing("A reason is required: it is kept with the decision.")
        if not sure:
            with at_count:
                missing(f"Type {count} here first.")
        if lacks or not sure:
            return
        told = perform(action, lambda: work(key, given.strip()))
        if told is not None:
            if told:
                session.notify(told)
            if then is not None:
                then()
            st.rerun()

    ask()


def _reason(action: str, *, required: bool) -> str:
    label = "Reason" if required else "Reason (optional)"
    return str(st.text_input(label, key=f"reason:{action}:{session.token(action)}") or "")


def missing(words: str) -> None:
    """Say at a field what it lacks."""
    page.panel(words, tone="dead")


def typed(action: str, count: int, says: str) -> bool:
    """Draw the field that a big act's number is typed into; whether it is that number."""
    text = st.text_input(f"Type {count} to confirm: {says}", key=f"typed:{action}:{session.token(action)}")
    return str(text or "").replace(",", "").strip() == str(count)
