"""Which rows need the dear model: two models asked about the same rows, and the confidence from which on the cheap one will do."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from jobs import errors
from jobs.api.launch import Launch
from jobs.api.rivals import Weighed
from jobs.api.trials import COMPARED
from jobs.options import Ladder, RunOptions
from jobs.settings import Connection
from jobs.views.datasets import Dataset
from jobs.views.prompts import Version
from jobs.views.runs import Run
from workbench import parts, session, wording
from workbench.screens.running import laddering, numbers

#: seconds between two looks while a model is at work
GLANCE = 2.0
#: disputed values that are shown
DISPUTED = 10
#: agreement that is wanted unless set, %
TARGET = 98.0
#: rows that can be asked for
FEWEST, MOST = 20, 5_000
#: the least confidence of a ladder under which only what is not told climbs
LEAST = 1e-6
SAMPLE, GOLDEN = "rows of the table", "golden rows of the prompt"


def page() -> None:
    parts.header(
        "Which rows need the dear model?",
        subtitle="a cheap and a dear model answer the same rows; where they agree, the cheap one will do",
    )
    runs = session.ints_param("runs")
    if runs:
        _weighed(runs)
        return
    reference, identity, name = session.param("prompt"), session.param("dataset"), session.param("connection")
    if reference is None or identity is None or name is None:
        parts.empty(
            "Nothing to compare", "Choose a dataset, a prompt and a model for a run, and open this page from there."
        )
        session.link("Launch a run", "launch")
        return
    engine = session.engine()
    _before(engine.prompts.resolve(reference), engine.datasets.get(identity), _connection(name), session.param("model"))


def _connection(name: str) -> Connection:
    found = next((one for one in session.engine().system.connections() if one.name == name), None)
    if found is None:
        raise errors.InputError(f"there is no connection {name!r}")
    return found


# -- before ------------------------------------------------------------------------------------------------------------


def _before(version: Version, dataset: Dataset, connection: Connection, model: str | None) -> None:
    """Which models and rows, what it will take, and the button."""
    engine = session.engine()
    cheap = engine.runs.model_of(Launch(version=version, dataset=dataset, connection=connection, model=model))
    wrong: list[str] = []
    with st.container(horizontal=True, vertical_alignment="bottom"):
        dear = _dear(connection, cheap)
        whose = _whose(version)
        first = min(max(session.int_param("rows") or COMPARED, FEWEST), MOST)
        asked = numbers.number("Rows", first, "rivals:rows", wrong, least=FEWEST, most=MOST, step=1, width=130)
        rows = first if asked is None else asked
        target = _target(wrong)
    if whose == GOLDEN:
        dataset = engine.evaluations.table(version, engine.settings.prompts / version.prompt / "golden.csv")
    if dear is None:
        st.caption("Choose the dear model.")
        return
    at, named = dear
    rows = min(rows, dataset.row_count)
    costs = [
        engine.runs.forecast(
            Launch(
                version=version,
                dataset=dataset,
                connection=one,
                model=name,
                options=RunOptions(),
                limit=rows,
                kind="try",
            )
        ).cost_ceiling
        for one, name in ((connection, cheap), (at, named))
    ]
    parts.facts(
        {
            "Prompt": version.reference,
            "Rows": f"{rows:,} of {dataset.name}, spread over it",
            "Cheap model": f"{cheap} at {connection.name}",
            "Dear model": f"{named} at {at.name}",
            "Cost": "unknown, since a price is"
            if None in costs
            else f"first answers at most {wording.money(sum(one or 0.0 for one in costs))}",
        }
    )
    if laddering.untold(connection, cheap):
        parts.panel(
            f"{cheap} at {connection.name} does not tell log-probabilities, as was found out. Nobody can say how sure it is of an "
            "answer: what remains are values that are always checked, and answers that break the contract.",
            title="No confidence to go by",
        )
    needed = engine.trials.least(target / 100)
    st.caption(
        f"Both are tries: in the ledger and in the costs, and nothing is reused. {target:g} % agreement takes at least {needed:,} rows, "
        "if every answer of the cheap model that is kept agrees, and more where a few do not."
    )
    action = f"rivals:{version.id}:{dataset.id}:{named}:{at.name}"
    key = session.button(f"Ask both about {wording.count(rows, 'row')}", action=action, type="primary")
    if wrong:
        parts.panel("\n".join(wrong), title="They cannot be asked like this", tone="dead")
    elif rows < needed:
        # below the button, which must not move under a press that also hands over what was typed
        parts.panel(
            f"{target:g} % agreement takes at least {needed:,} rows, if every answer that is kept agrees: {rows:,} cannot show it. "
            + ("Ask about more rows, or want less." if rows < dataset.row_count else "There are no more: want less."),
            title="Too few rows for the agreement that is wanted",
        )
    if key is None or wrong:
        return
    made = parts.perform(
        action,
        lambda: engine.trials.rivals(
            version=version, dataset=dataset, cheap=(connection, cheap), dear=(at, named), sample=rows, key=key
        ),
    )
    if made is not None:
        session.put(runs=",".join(map(str, made)), target=f"{target:g}")
        st.rerun()


def _dear(connection: Connection, cheap: str) -> tuple[Connection, str] | None:
    options = laddering.known(connection.name, cheap)
    wanted = session.param("dear")
    options = list(dict.fromkeys([*([wanted] if wanted else []), *options]))
    chosen = st.selectbox(
        "Dear model",
        options,
        index=0 if options else None,
        accept_new_options=True,
        placeholder="MODEL@CONNECTION",
        format_func=lambda one: wording.head(str(one), 60),
        key="rivals:dear",
    )
    if not chosen:
        return None
    climb = laddering.climb(str(chosen))
    return (connection if climb.connection is None else _connection(climb.connection)), climb.model


def _whose(version: Version) -> str:
    """Golden rows where the prompt has some and a person wants them."""
    file = session.engine().settings.prompts / version.prompt / "golden.csv"
    options = [SAMPLE, GOLDEN] if file.is_file() else [SAMPLE]
    return str(st.selectbox("Which rows", options, key="rivals:whose"))


def _target(troubles: list[str]) -> float:
    """The agreement that is wanted, in percent; it begins with what the address says."""
    try:
        first = float(session.param("target") or TARGET)
    except ValueError:
        first = TARGET
    chosen = numbers.number(
        "Agreement that the finished table must reach, %",
        first if 50.0 <= first <= 99.9 else TARGET,
        "rivals:target",
        troubles,
        least=50.0,
        most=99.9,
        step=0.5,
        format="%.1f",
        width=330,
        help="with the dear model; with the golden rows where these are known",
    )
    return float(chosen or TARGET)


# -- after -------------------------------------------------------------------------------------------------------------


def _weighed(runs: Sequence[int]) -> None:
    def look() -> str:
        made = [session.engine().runs.get(run) for run in runs]
        _states(made)
        return str(_at_work(made))

    now = [session.engine().runs.get(run) for run in runs]
    parts.watch(look, standing=str(_at_work(now)), every=GLANCE if _at_work(now) else None)
    if _at_work(now):
        return
    # chosen further down, counted from the top on
    checks: list[str] = st.session_state.get("rivals:checks") or []
    wrong: list[str] = []
    found = session.engine().trials.weigh(
        runs, target=_target(wrong) / 100, checks=[laddering.check(one) for one in checks]
    )
    if wrong:
        parts.panel("\n".join(wrong), title=f"Weighed for {found.proposal.target * 100:g} %", tone="dead")
    _proposal(found, checks)
    _more_rows(found)
    _take_over(found, _disputed(found))
    _agreement(found)


def _at_work(runs: Sequence[Run]) -> bool:
    return any(run.ended_at is None and run.state != "paused" for run in runs)


def _states(runs: Sequence[Run]) -> None:
    columns = [
        parts.Column(key="model", label="Model", kind="strong"),
        parts.Column(key="state", label="State"),
        parts.Column(key="accepted", label="Accepted", kind="number"),
        parts.Column(key="dead", label="Broke the contract", kind="number"),
        parts.Column(key="cost", label="Money", kind="number"),
        parts.Column(key="each", label="A row", kind="number", help="US dollars for each row with an end"),
    ]
    rows = []
    for run in runs:
        ended = run.counts.accepted + run.counts.dead
        rows.append(
            parts.Row(
                str(run.id),
                {
                    "model": parts.text_cell(f"{run.model} at {run.connection}", 60),
                    "state": parts.state_cell(run.state),
                    "accepted": parts.Cell(f"{run.counts.accepted:,} of {run.counts.rows:,}"),
                    "dead": wording.number(run.counts.dead),
                    "cost": wording.money(run.cost),
                    "each": wording.NOTHING
                    if not ended
                    else wording.money(None if run.cost is None else run.cost / ended),
                },
            )
        )
    opened = parts.table(columns, rows, key="rivals", opens=True, label="two models").opened
    if opened:
        session.go("run", id=opened)


def _proposal(found: Weighed, checks: Sequence[str]) -> None:
    """What is proposed, or why nothing is."""
    proposal, target = found.proposal, f"{found.proposal.target * 100:g} %"
    parts.section(
        "Proposal",
        note=f"for {target} agreement, from n = {wording.count(found.n, 'row')} that the dear model answered",
    )
    truth = "the golden rows" if found.right else found.dear.model
    if proposal.threshold is not None and proposal.chosen is not None:
        table = proposal.chosen.table
        none = "Any confidence will do, rows without one climb" if found.untold else "No least confidence is needed"
        sure = f"Least confidence {proposal.threshold:g}" if proposal.threshold else none
        parts.panel(
            f"{sure}: the finished table agrees with {truth} in {_share(table.about)} of the rows "
            f"({_share(table.low)} to {_share(table.high)}, 95 % range, n = {proposal.n:,}).",
            title="The cheap model will do from here on" if proposal.threshold else "The cheap model will do",
            tone="running",
        )
    else:
        parts.panel(_why(found), title="No least confidence is proposed")
    if checks:
        st.caption(
            wording.escaped(
                f"All figures are with {wording.head(', '.join(checks), 200)} always checked. Values that were chosen by these very "
                "rows make them look a little better than other rows will."
            )
        )
    if found.saving is None:
        return
    saving, per, alone = found.saving, 1_000, wording.head(found.dear.model, 30)
    parts.figures(
        [
            parts.Figure(
                label="Rows that climb",
                value=_share(saving.climbs.about),
                note=_ends(saving.climbs.low, saving.climbs.high, saving.climbs.n),
            ),
            parts.Figure(
                label="Agreement",
                value=_share(saving.table.about),
                note=_ends(saving.table.low, saving.table.high, saving.table.n),
                help=f"of the finished table with {truth}",
            ),
            parts.Figure(
                label="Saved per 1,000 rows",
                value=wording.UNKNOWN
                if saving.cost is None or found.dear_cost is None
                else wording.money(per * (found.dear_cost - saving.cost.about)),
                note="a price is unknown"
                if saving.saving is None or found.dear_cost is None
                else f"{_share(saving.saving.about)} of {wording.money(per * found.dear_cost)} on {alone} alone",
            ),
            parts.Figure(
                label="Broke the contract",
                value=wording.number(found.broken),
                note=f"of n = {found.n:,}; these climb anyway",
            ),
        ]
    )


def _why(found: Weighed) -> str:
    proposal = found.proposal
    told = f"{proposal.reason}, n = {proposal.n:,}".capitalize()
    if proposal.needed is not None:
        told += f"; with answers like these it would take about {wording.rounded(proposal.needed)} rows"
    if found.untold and found.untold == found.n - found.broken:
        told += (
            f". {found.cheap.model} at {found.cheap.connection} tells no log-probabilities: values that are always checked and "
            "broken contracts can make rows climb, a least confidence cannot"
        )
    return f"{told}."


def _disputed(found: Weighed) -> list[str]:
    """Draw the values that the two disagree on most; those that a person wants to be always checked."""
    if not found.disputed:
        return []
    parts.section(
        "Values to be always checked", note="what the cheap model said where the dear one said something else"
    )
    shown = found.disputed[:DISPUTED]
    columns = [
        parts.Column(key="check", label="The cheap model says", kind="strong"),
        parts.Column(key="disagree", label="Disagree", kind="number"),
        parts.Column(key="n", label="Rows", kind="number", help="on which it says this"),
    ]
    rows = [
        parts.Row(
            str(place),
            {
                "check": parts.text_cell(str(one.check), 60),
                "disagree": f"{one.disagree:,}, {wording.percent(one.disagree, one.n)}",
                "n": f"n = {one.n:,}",
            },
        )
        for place, one in enumerate(shown)
    ]
    parts.table(columns, rows, key="disputed", label="disputed values")
    return st.multiselect(
        "Always check",
        [str(one.check) for one in shown],
        format_func=lambda one: wording.head(one, 60),
        placeholder="no value",
        key="rivals:checks",
    )


def _more_rows(found: Weighed) -> None:
    """The way to as many rows as it would take, where the table has them."""
    needed, run = found.proposal.needed, found.cheap
    there = session.engine().datasets.get(run.dataset).row_count
    if needed is None or not found.n < needed <= min(there, MOST):
        return
    session.hop(
        f"Ask about {needed:,} rows …",
        "dear_model",
        key="rivals:more",
        prompt=run.version,
        dataset=run.dataset,
        connection=run.connection,
        model=run.model,
        dear=f"{found.dear.model}@{found.dear.connection}",
        rows=needed,
        target=f"{found.proposal.target * 100:g}",
    )


def _take_over(found: Weighed, checks: Sequence[str]) -> None:
    given = {"climbs": [f"{found.dear.model}@{found.dear.connection}"], "checks": list(checks)}
    least = found.proposal.threshold
    if least == 0 and found.untold:
        # From 0 on all is kept but what is not told: that climbs, as it does in what the proposal says.
        least = LEAST
    chosen: Ladder = laddering.made(given, least)
    if st.button("Take this over into a run", type="primary", key="rivals:take"):
        session.go(
            "launch",
            prompt=found.cheap.version,
            dataset=session.param("dataset") or found.cheap.dataset,
            connection=found.cheap.connection,
            model=found.cheap.model,
            **laddering.address(chosen),
        )


def _agreement(found: Weighed) -> None:
    """Agreement by field, and by the least confidence."""
    parts.section(
        "Agreement by field",
        note=f"of the rows that both gave a value; those that decide: {wording.head(', '.join(found.fields), 200)}",
    )
    right = {one.path: (one, other) for one, other in found.right}
    columns = [
        parts.Column(key="field", label="Field", kind="strong"),
        parts.Column(key="agree", label="Cheap with dear", kind="number"),
        *(
            [
                parts.Column(key="cheap", label="Cheap is right", kind="number"),
                parts.Column(key="dear", label="Dear is right", kind="number"),
            ]
            if right
            else []
        ),
    ]
    agree = {one.path: one for one in found.agreement}
    rows = []
    for path in dict.fromkeys([*agree, *right]):
        cells: dict[str, str | parts.Cell] = {"field": parts.text_cell(path, 60), "agree": wording.NOTHING}
        if path in agree:
            cells["agree"] = _of(agree[path].agree, agree[path].n)
        if path in right:
            cells["cheap"], cells["dear"] = (_of(one.agree, one.n) for one in right[path])
        rows.append(parts.Row(path, cells))
    parts.table(columns, rows, key="fields", label="agreement by field")
    if not any(one.kept for one in found.proposal.candidates):
        return
    parts.section("Agreement by least confidence", note="95 % ranges, each for itself")
    columns = [
        parts.Column(key="from", label="Least confidence", kind="number"),
        parts.Column(key="kept", label="Rows kept", kind="number"),
        parts.Column(key="agreement", label="Agree, of the kept", kind="number"),
        parts.Column(
            key="table", label="Finished table", kind="number", help="kept rows that agree, and rows that climbed"
        ),
    ]
    rows = [
        parts.Row(
            f"{one.threshold:g}",
            {
                "from": f"{one.threshold:g}",
                "kept": f"{one.kept:,}, {_share(one.share.about)}",
                "agreement": wording.NOTHING
                if one.agreement is None
                else f"{_share(one.agreement.about)} ({_share(one.agreement.low)} to {_share(one.agreement.high)})",
                "table": f"{_share(one.table.about)} ({_share(one.table.low)} to {_share(one.table.high)})",
            },
        )
        for one in found.proposal.candidates
    ]
    parts.table(columns, rows, key="candidates", label="agreement by least confidence", height=420)


def _of(agree: int, n: int) -> str:
    return f"{wording.percent(agree, n)} of n = {n:,}"


def _share(part: float | None) -> str:
    if part is None:
        return wording.UNKNOWN
    return f"-{wording.percent(-part, 1)}" if part < 0 else wording.percent(part, 1)


def _ends(low: float | None, high: float | None, n: int) -> str:
    return f"{_share(low)} to {_share(high)}, n = {n:,}"


page()
