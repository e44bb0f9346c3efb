"""What a run is likely to take, before it is launched, and what that is founded on.

Past replies to the same version and model are the best witness, and give a range; where there are too few, the prompt is
rendered for some rows and measured, and the figures are shown as what they are: a guess without a range. Equal rows and
answers that are there already are not asked, so they are counted first: exactly for a small run, by a sample of its
questions for a large one, since a page must not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jobs import errors, ladder, plan, templates
from jobs.api import climbs, probing
from jobs.api.basis import MEASURED, Basis, Figures, measured, past
from jobs.api.launch import Launch
from jobs.api.room import House
from jobs.estimates import Estimate
from jobs.prices import at_batch, price_of
from jobs.store import reading_archive, reading_datasets, reading_forecast
from jobs.store.reading_forecast import EXACT, SAMPLE
from jobs.views.forecast import Forecast, LadderForecast

#: calls a row from which on they are worth a word
MANY_CALLS = 1.25
#: rows that are compared to find equal ones
COMPARED = 50_000


def forecast(house: House, launch: Launch) -> Forecast:
    """What such a run is likely to take; never refuses, but warns of what launching would refuse."""
    warnings = list[str]()
    try:
        template = templates.parse(launch.version.content.template)
    except errors.PromptError as error:
        return _nothing(launch, (error.message,))
    columns = template.columns(launch.dataset.columns)
    for name in template.unknown(launch.dataset.columns):
        hint = f"; did you mean {name.suggestion}?" if name.suggestion else ""
        warnings.append(f"the template needs a column {name.name!r}, which {launch.dataset.name} lacks{hint}")
    warnings += _archived(house, launch)
    launches = climbs.rungs(house, launch)
    for one in launches:
        warnings += probing.warnings(
            house, one.connection, one.asks, launch.version.content, launch.how, top=one is launches[-1]
        )
    with house.snapshot() as db:
        asked = _asked(house, launch, launches, columns)
        found, alike = past(db, launch)
        rows_there = reading_datasets.rows_at(db, launch.dataset.id, launch.spread(MEASURED))
    rows = [dict(zip(launch.dataset.columns, cells, strict=True)) for _, cells in rows_there]
    measure = measured(launch, template, rows, columns, warnings)
    for one in launches:
        _warn_of_price(one, warnings)
    if launch.how.ladder is not None:
        warnings += _misfit(launch, launches)
        if launch.how.batch != "no":
            warnings.append("the batch endpoint's price is not in this forecast: what goes through it costs less")
        if len(launches) > 1:
            with house.snapshot() as db:
                whole = climbs.climbing(db, launches, asked, measure)
            return _sums(launch, asked, whole.figures, whole.most, warnings, ladder=whole.told)
    price = price_of(launch.asks, launch.connection) if launch.asks else None
    if launch.how.batch != "no":
        price = at_batch(price, launch.connection)
        warnings.append(_overnight(launch))
    basis = Basis(launch=launch, measure=measure, price=price, past=found, alike=alike)
    earlier = basis.earlier(asked)
    figures = earlier or basis.guess(asked)
    each = figures.calls.about * launch.how.rows_per_call / asked if asked else 1.0
    if earlier and each >= MANY_CALLS:
        per = "row that was" if launch.how.rows_per_call == 1 else f"{launch.how.rows_per_call} rows that were"
        warnings.append(
            f"earlier runs of {launch.version.reference} sent {each:.1f} calls for each {per} asked about: "
            "their re-asks and errors are in this forecast"
        )
    return _sums(launch, asked, figures, basis.most(asked), warnings)


def _overnight(launch: Launch) -> str:
    """What a batch endpoint means for the figures."""
    share = f"{launch.connection.batch_price:.0%} of the price"
    again = (
        "" if launch.how.batch == "all" else "; what has to be asked again costs the full price, which is not in this"
    )
    return f"through the batch endpoint, at {share} and within 24 hours{again}: the time here is that of ordinary calls"


def _archived(house: House, launch: Launch) -> list[str]:
    """That the run is of something archived, which it may be."""
    prompt = launch.version.prompt
    named = [f"the dataset {launch.dataset.name}"] if launch.dataset.archived_at is not None else []
    named += [f"the prompt {prompt}"] if prompt in reading_archive.current(house.read(), "prompt") else []
    return [f"{one} is archived: it can be used, and stays archived until it is brought back" for one in named]


def _warn_of_price(launch: Launch, out: list[str]) -> None:
    if not launch.asks:
        out.append("no model is chosen: neither the version nor the connection names one")
        return
    if strange := launch.connection.strange(launch.asks):
        out.append(strange)
    if price_of(launch.asks, launch.connection) is None:
        where = f"{launch.asks} at connection {launch.connection.name}"
        out.append(f"the price of {where} is unknown, so its cost is too; a price can be set in connections.toml")


def _misfit(launch: Launch, launches: Sequence[Launch]) -> Iterator[str]:
    """What launching would refuse of a ladder."""
    chosen = launch.how.ladder
    assert chosen is not None
    if len(launches) <= len(chosen.climbs):
        yield "a rung of the ladder names a connection that is not there"
    try:
        ladder.must_fit(chosen, columns=launch.dataset.columns, contract=launch.version.content.contract)
    except errors.InputError as error:
        yield error.message


def _sums(
    launch: Launch,
    asked: int,
    found: Figures,
    most: float | None,
    warnings: list[str],
    *,
    ladder: LadderForecast | None = None,
) -> Forecast:
    one = None if most is None or not asked else most / asked
    _warn_of_budget(launch.how.budget, likely=found.cost, one=one, out=warnings)
    return Forecast(
        rows=launch.rows,
        asked=asked,
        reused=launch.rows - asked,
        calls=found.calls,
        tokens=found.tokens,
        prompt_tokens=round(found.prompt),
        completion_tokens=round(found.completion),
        cost=found.cost,
        cost_ceiling=most,
        seconds=found.seconds,
        n=found.tokens.n,
        warnings=tuple(dict.fromkeys(warnings)),
        ladder=ladder,
    )


def _warn_of_budget(budget: float | None, *, likely: Estimate | None, one: float | None, out: list[str]) -> None:
    if budget is None:
        return
    if likely is None or one is None:
        if likely is None:
            out.append(
                "a budget needs a price: set one for the connection in connections.toml, or leave the budget out"
            )
    elif budget < one:
        out.append(f"the budget of ${budget:g} does not cover one call, which reserves up to ${one:.6f}")
    elif budget < likely.about:
        out.append(
            f"the budget of ${budget:g} is less than the forecast of ${likely.about:.4f}: the run would pause on the way"
        )
    elif likely.high is not None and budget < likely.high:
        out.append(
            f"the budget of ${budget:g} may not suffice: the forecast goes up to ${likely.high:.4f}, and the run would pause"
        )


def _asked(house: House, launch: Launch, launches: Sequence[Launch], columns: Sequence[str]) -> int:
    """Questions that nobody has answered yet, on any rung; every row where answers are not used again."""
    if not launch.how.reuse or not launch.rows:
        return launch.rows
    if launch.rows <= EXACT:
        keys = _keys(house, launches, columns, launch.spread(EXACT))
        return len(keys) - _answered(house, keys)
    looked = min(launch.rows, COMPARED)
    if launch.dataset.id_column in columns:
        different: Sequence[int] = launch.spread(looked)
    elif launch.ordinals is not None:
        different = house.different(launch.dataset, columns, limit=None, ordinals=launch.ordinals[:looked])
    else:
        different = house.different(launch.dataset, columns, limit=looked, ordinals=None)
    # a sample of the questions, not of the rows: one that stands in many rows must not count for more
    step = max(1, len(different) // SAMPLE)
    keys = _keys(house, launches, columns, different[::step])
    if not keys:
        return launch.rows
    left = 1 - _answered(house, keys) / len(keys)
    return round(len(different) * left * launch.rows / looked)


def _answered(house: House, keys: set[tuple[bytes, ...]]) -> int:
    known = reading_forecast.known(house.read(), list({key for some in keys for key in some}))
    return sum(any(key in known for key in some) for some in keys)


def _keys(
    house: House, launches: Sequence[Launch], columns: Sequence[str], ordinals: Sequence[int]
) -> set[tuple[bytes, ...]]:
    """What names each question on every rung; an answer of a higher one serves a lower one."""
    launch, top = launches[0], len(launches) - 1
    places = [(column, launch.dataset.columns.index(column)) for column in columns]
    doubts = launch.how.ladder.doubts if launch.how.ladder else ""
    return {
        tuple(
            plan.reuse_key(
                base_url=one.connection.base_url,
                model=one.asks,
                content=launch.version.content,
                version_hash=launch.version.hash,
                cells={column: cells[place] for column, place in places},
                doubts=doubts if rung < top else "",
            )
            for rung, one in enumerate(launches)
        )
        for _, cells in reading_datasets.rows_at(house.read(), launch.dataset.id, ordinals)
    }


def _nothing(launch: Launch, warnings: tuple[str, ...]) -> Forecast:
    return Forecast(
        rows=launch.rows,
        asked=launch.rows,
        reused=0,
        calls=Estimate(about=launch.rows),
        tokens=Estimate(about=0),
        prompt_tokens=0,
        completion_tokens=0,
        cost=None,
        cost_ceiling=None,
        seconds=None,
        n=0,
        warnings=warnings,
    )
