"""A ladder of models: chosen on the launch form, forecast, and where a run's rows were answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import streamlit as st
from pydantic import ValidationError

from jobs import errors, ladder
from jobs.options import Check, Climb, Ladder
from jobs.settings import Connection
from jobs.views.forecast import Forecast
from jobs.views.prompts import Version
from jobs.views.runs import Run, RungTally
from workbench import parts, session, wording
from workbench.screens.running import numbers

#: what the address calls each part of a ladder; several stand on lines of their own
ADDRESS = ("ladder", "routes", "checks", "sure")

_T = TypeVar("_T")


# -- chosen ------------------------------------------------------------------------------------------------------------


def address(chosen: Ladder | None) -> dict[str, str]:
    """A ladder as the address carries it from one screen to another."""
    if chosen is None:
        return {}
    lines = {"ladder": chosen.climbs, "routes": chosen.routes, "checks": chosen.checks}
    told = {name: "\n".join(map(str, some)) for name, some in lines.items() if some}
    return told | ({"sure": f"{chosen.confidence!r}"} if chosen.confidence is not None else {})


def proposed(version: Version) -> Ladder | None:
    """The ladder to begin with: of the address, else of the version's defaults; None where neither names a usable one."""
    try:
        lines = {name: (session.param(name) or "").splitlines() for name in ADDRESS}
        if lines["ladder"]:
            given = {"climbs": lines["ladder"], "routes": lines["routes"], "checks": lines["checks"]}
            sure = float(lines["sure"][0]) if lines["sure"] else None
            return Ladder.model_validate(ladder.said(given | {"confidence": sure}))
        return Ladder.model_validate(version.defaults["ladder"]) if version.defaults.get("ladder") else None
    except (errors.InputError, ValidationError, ValueError):
        return None


def choose(version: Version, *, connection: str, model: str) -> tuple[Ladder | None, list[str]]:
    """Draw the choice of a ladder; what is chosen, and what is wrong with it."""
    first = proposed(version)
    key = version.id
    wrong: list[str] = []
    with st.expander("A ladder of models: ask a cheap one first", expanded=first is not None):
        climbs = st.multiselect(
            "Dearer models, the dearest last",
            list(dict.fromkeys([*(map(str, first.climbs) if first else ()), *known(connection, model)])),
            default=list(map(str, first.climbs)) if first else [],
            accept_new_options=True,
            max_selections=3,
            placeholder="none: the model above answers every row",
            format_func=lambda one: wording.head(str(one), 60),
            key=f"ladder:{key}",
            help="MODEL@CONNECTION. A row goes on to the next one where the answer and its re-ask break the contract, or the answer "
            "is doubted as chosen below. On the last one a row is accepted or dies.",
        )
        if not climbs:
            return None, []
        checks = st.multiselect(
            "Always check",
            list(dict.fromkeys([*(map(str, first.checks) if first else ()), *values(version)])),
            default=list(map(str, first.checks)) if first else [],
            accept_new_options=True,
            placeholder="no value",
            format_func=lambda one: wording.head(str(one), 60),
            key=f"checks:{key}",
            help="FIELD=VALUE. Where the cheap model says this, the next one is asked too, and its answer counts.",
        )
        with st.container(horizontal=True, vertical_alignment="bottom"):
            routes = st.text_area(
                "Straight to the dearest, a rule a line",
                "\n".join(map(str, first.routes)) if first else "",
                placeholder="message longer 800\nlanguage is de\nmessage matches refund|chargeback",
                height=112,
                key=f"routes:{key}",
                help="COLUMN longer CHARACTERS, COLUMN is VALUE, or COLUMN matches REGULAR EXPRESSION",
            )
            sure = numbers.number(
                "Least confidence",
                first.confidence if first else None,
                f"sure:{key}",
                wrong,
                least=0.0,
                most=1.0,
                empty="not asked",
                format="%.9g",
                step=0.01,
                placeholder="not asked",
                width=170,
                help="The probability that the model gave its least sure label, number or yes and no. An answer below it is asked "
                "again of the next model; where an endpoint does not tell, every row goes on.",
            )
        here = next((one for one in session.engine().system.connections() if one.name == connection), None)
        if sure and here is not None and untold(here, model):
            st.caption(
                wording.escaped(f"{model} at {connection} was found not to tell how sure it is: every row would go on.")
            )
    made, troubles = _made(climbs, (routes or "").splitlines(), checks, sure or None)
    return made, troubles + wrong


def _made(
    climbs: Sequence[str], routes: Sequence[str], checks: Sequence[str], sure: float | None
) -> tuple[Ladder | None, list[str]]:
    troubles: list[str] = []

    def read(make: Callable[[str], _T], texts: Sequence[str]) -> tuple[_T, ...]:
        found = []
        for text in texts:
            try:
                found.append(make(text))
            except errors.InputError as error:
                troubles.append(error.message)
        return tuple(found)

    made = (
        read(ladder.climb, climbs),
        read(ladder.route, [one for one in routes if one.strip()]),
        read(ladder.check, checks),
    )
    if troubles or not made[0]:
        return None, troubles
    return Ladder(climbs=made[0], routes=made[1], checks=made[2], confidence=sure), []


def climb(text: str) -> Climb:
    """A rung as a person names it; raises InputError."""
    return ladder.climb(text)


def check(text: str) -> Check:
    """``FIELD=VALUE`` as a person names it; raises InputError."""
    return ladder.check(text)


def made(given: Mapping[str, Sequence[str]], sure: float | None) -> Ladder:
    """A ladder of texts; raises InputError."""
    return Ladder.model_validate(ladder.said({**given, "confidence": sure or None}))


def untold(connection: Connection, model: str) -> bool:
    """Whether the endpoint was found not to tell how sure the model is."""
    seen = session.engine().system.probed(connection, model)
    return seen is not None and any(one.feature == "logprobs" and one.answer in ("no", "refused") for one in seen[1])


def known(connection: str, model: str) -> list[str]:
    """The models of all connections, without the run's own."""
    known = [f"{name}@{one.name}" for one in session.engine().system.connections() for name in one.models]
    return [one for one in known if one != f"{model}@{connection}"]


def values(version: Version) -> list[str]:
    """What the contract lets a field say, ``FIELD=VALUE`` for each."""
    return [str(check) for check in ladder.listed(version.content.contract)]


# -- forecast ----------------------------------------------------------------------------------------------------------


def forecast(found: Forecast) -> None:
    """Draw what each rung will take, how many rows climb, and what that saves; nothing without a ladder."""
    told = found.ladder
    if told is None:
        return
    columns = [
        parts.Column(key="model", label="Model", kind="strong"),
        parts.Column(key="rows", label="Rows", kind="number", help="that it is asked about"),
        parts.Column(key="cost", label="Money", kind="number"),
        parts.Column(key="n", label="From", help="earlier replies that its cost is from"),
    ]
    rows = [
        parts.Row(
            str(place),
            {
                "model": parts.text_cell(f"{one.model} at {one.connection}", 50),
                "rows": _range(one.rows.low, one.rows.high, wording.rounded),
                "cost": wording.UNKNOWN
                if one.cost is None
                else _range(one.cost.low, one.cost.high, wording.money, about=one.cost.about),
                "n": f"n = {one.n:,}" if one.n else "the prompt",
            },
        )
        for place, one in enumerate(told.rungs)
    ]
    parts.table(columns, rows, key="ladder", label="the ladder")
    for sentence in sentences(found):
        st.caption(wording.escaped(sentence))


def sentences(found: Forecast) -> list[str]:
    """How a ladder is likely to be climbed and what it saves, in words."""
    told = found.ladder
    if told is None:
        return []
    said = []
    if told.looked:
        said.append(
            f"Straight to the dearest: {wording.percent(told.straight, 1)} of the rows, of n = {told.looked:,} that were looked up."
        )
    if told.climbs is None:
        said.append("How many rows go on to a dearer model is not known yet: the figures reach from none to all.")
    else:
        share = wording.about(told.climbs, lambda part: wording.percent(part, 1))
        said.append(f"Going on to a dearer model: {share}, from n = {told.climbs.n:,} answers of the cheap one.")
    if told.saving is not None and told.dear is not None:
        ends = _range(told.saving.low, told.saving.high, _percent, about=told.saving.about)
        said.append(
            f"All rows on {told.rungs[-1].model} alone: about {wording.money(told.dear.about)}. The ladder saves {ends} of it."
        )
    return said


def _percent(share: float) -> str:
    return f"-{wording.percent(-share, 1)}" if share < 0 else wording.percent(share, 1)


def _range(low: float | None, high: float | None, words: Callable[[float], str], *, about: float = 0.0) -> str:
    if low is None or high is None:
        return words(about)
    least, most = words(low), words(high)
    return least if least == most else f"{least} to {most}"


# -- a run's page ------------------------------------------------------------------------------------------------------


def facts(run: Run) -> dict[str, str]:
    """The ladder that was frozen with a run; nothing without one."""
    chosen = run.options.ladder
    if chosen is None:
        return {}
    found = {"Dearer models": ", then ".join(f"{one.model} at {one.connection}" for one in run.upper)}
    if chosen.routes:
        found["Straight to the dearest"] = "; ".join(map(str, chosen.routes))
    if chosen.checks:
        found["Always checked"] = ", ".join(map(str, chosen.checks))
    if chosen.confidence is not None:
        found["Least confidence"] = f"{chosen.confidence:.9g}"
    return found


def table(run: Run) -> None:
    """Draw where the run's rows were answered; nothing without a ladder."""
    if not run.upper:
        return
    found = session.engine().runs.rungs(run.id)
    parts.section("Where rows were answered", note="each model with what it was asked, and why rows went on")
    columns = [
        parts.Column(key="model", label="Model", kind="strong"),
        parts.Column(key="connection", label="Connection"),
        parts.Column(key="asked", label="Rows asked", kind="number", help="as far as something has come of it"),
        parts.Column(key="accepted", label="Accepted", kind="number"),
        *(
            [
                parts.Column(
                    key="reused", label="Reused", kind="number", help="of the accepted: the answer was there already"
                )
            ]
            if run.counts.reused
            else []
        ),
        parts.Column(key="dead", label="Dead", kind="number"),
        parts.Column(key="on", label="Went on", kind="number", help="to the next model"),
        parts.Column(key="why", label="Why", kind="wide"),
        parts.Column(key="straight", label="Straight here", kind="number", help="by a rule, or as an equal row had"),
        parts.Column(key="calls", label="Calls", kind="number"),
        parts.Column(key="cost", label="Money", kind="number"),
    ]
    rows = [parts.Row(str(place), _tally(one, run, place)) for place, one in enumerate(found)]
    parts.table(columns, rows, key=f"rungs:{run.id}", label="where rows were answered")


def _tally(one: RungTally, run: Run, place: int) -> dict[str, str | parts.Cell]:
    top, why = place == len(run.upper), wording.climbed(one.climbed)
    return {
        "model": parts.text_cell(one.model, 40),
        "connection": parts.text_cell(one.connection, 24),
        "asked": wording.number(one.asked),
        "accepted": parts.Cell(
            wording.number(one.accepted),
            f"{wording.percent(one.accepted, run.counts.rows)} of {run.counts.rows:,} rows",
        ),
        "reused": wording.number(one.reused),
        "dead": wording.number(one.dead),
        "on": wording.NOTHING if top else wording.number(sum(one.climbed.values())),
        "why": wording.NOTHING if top or not why else parts.Cell(why, why),
        "straight": wording.number(one.straight) if place else wording.NOTHING,
        "calls": wording.number(one.calls),
        "cost": wording.money(one.cost),
    }
