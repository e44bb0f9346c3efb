"""What a run is likely to take, before it is launched, and what that is founded on.

Past replies to the same version and model are the best witness, and give a range; where there are too few, the prompt is
rendered for some rows and measured, and the figures are shown as what they are: a guess without a range. Equal rows and
answers that are there already are not asked, so they are counted first: exactly for a small run, by a sample of its
questions for a large one, since a page must not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jobs import errors, ladder, plan, templates, views
from jobs.api import climbs, probing
from jobs.api.basis import MEASURED, Basis, Figures, Wish, measured, past
from jobs.api.room import House
from jobs.estimates import Estimate
from jobs.prices import at_batch, price_of
from jobs.store import reading_datasets, reading_forecast
from jobs.store.reading_forecast import EXACT, SAMPLE

#: calls a row from which on they are worth a word
MANY_CALLS = 1.25
#: rows that are compared to find equal ones
COMPARED = 50_000


def forecast(house: House, wish: Wish) -> views.Forecast:
    """What such a run is likely to take; never refuses, but warns of what launching would refuse."""
    warnings = list[str]()
    try:
        template = templates.parse(wish.version.content.template)
    except errors.PromptError as error:
        return _nothing(wish, (error.message,))
    columns = template.columns(wish.dataset.columns)
    for name in template.unknown(wish.dataset.columns):
        hint = f"; did you mean {name.suggestion}?" if name.suggestion else ""
        warnings.append(f"the template needs a column {name.name!r}, which {wish.dataset.name} lacks{hint}")
    wishes = climbs.rungs(house, wish)
    for one in wishes:
        warnings += probing.warnings(
            house, one.connection, one.model, wish.version.content, wish.options, top=one is wishes[-1]
        )
    with house.snapshot() as db:
        asked = _asked(house, wish, wishes, columns)
        found, alike = past(db, wish)
        rows_there = reading_datasets.rows_at(db, wish.dataset.id, wish.spread(MEASURED))
    rows = [dict(zip(wish.dataset.columns, cells, strict=True)) for _, cells in rows_there]
    measure = measured(wish, template, rows, columns, warnings)
    for one in wishes:
        _warn_of_price(one, warnings)
    if wish.options.ladder is not None:
        warnings += _misfit(wish, wishes)
        if wish.options.batch != "no":
            warnings.append("the batch endpoint's price is not in this forecast: what goes through it costs less")
        if len(wishes) > 1:
            with house.snapshot() as db:
                whole = climbs.climbing(db, wishes, asked, measure)
            return _sums(wish, asked, whole.figures, whole.most, warnings, ladder=whole.told)
    price = price_of(wish.model, wish.connection) if wish.model else None
    if wish.options.batch != "no":
        price = at_batch(price, wish.connection)
        warnings.append(_overnight(wish))
    basis = Basis(wish=wish, measure=measure, price=price, past=found, alike=alike)
    earlier = basis.earlier(asked)
    figures = earlier or basis.guess(asked)
    each = figures.calls.about * wish.options.rows_per_call / asked if asked else 1.0
    if earlier and each >= MANY_CALLS:
        per = "row that was" if wish.options.rows_per_call == 1 else f"{wish.options.rows_per_call} rows that were"
        warnings.append(
            f"earlier runs of {wish.version.reference} sent {each:.1f} calls for each {per} asked about: "
            "their re-asks and errors are in this forecast"
        )
    return _sums(wish, asked, figures, basis.most(asked), warnings)


def _overnight(wish: Wish) -> str:
    """What a batch endpoint means for the figures."""
    share = f"{wish.connection.batch_price:.0%} of the price"
    again = (
        "" if wish.options.batch == "all" else "; what has to be asked again costs the full price, which is not in this"
    )
    return f"through the batch endpoint, at {share} and within 24 hours{again}: the time here is that of ordinary calls"


def _warn_of_price(wish: Wish, out: list[str]) -> None:
    if not wish.model:
        out.append("no model is chosen: neither the version nor the connection names one")
        return
    if strange := wish.connection.strange(wish.model):
        out.append(strange)
    if price_of(wish.model, wish.connection) is None:
        where = f"{wish.model} at connection {wish.connection.name}"
        out.append(f"the price of {where} is unknown, so its cost is too; a price can be set in connections.toml")


def _misfit(wish: Wish, wishes: Sequence[Wish]) -> Iterator[str]:
    """What launching would refuse of a ladder."""
    chosen = wish.options.ladder
    assert chosen is not None
    if len(wishes) <= len(chosen.climbs):
        yield "a rung of the ladder names a connection that is not there"
    try:
        ladder.must_fit(chosen, columns=wish.dataset.columns, contract=wish.version.content.contract)
    except errors.InputError as error:
        yield error.message


def _sums(
    wish: Wish,
    asked: int,
    found: Figures,
    most: float | None,
    warnings: list[str],
    *,
    ladder: views.LadderForecast | None = None,
) -> views.Forecast:
    one = None if most is None or not asked else most / asked
    _warn_of_budget(wish.options.budget, likely=found.cost, one=one, out=warnings)
    return views.Forecast(
        rows=wish.rows,
        asked=asked,
        reused=wish.rows - asked,
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


def _asked(house: House, wish: Wish, wishes: Sequence[Wish], columns: Sequence[str]) -> int:
    """Questions that nobody has answered yet, on any rung; every row where answers are not used again."""
    if not wish.options.reuse or not wish.rows:
        return wish.rows
    if wish.rows <= EXACT:
        keys = _keys(house, wishes, columns, wish.spread(EXACT))
        return len(keys) - _answered(house, keys)
    looked = min(wish.rows, COMPARED)
    if wish.dataset.id_column in columns:
        different: Sequence[int] = wish.spread(looked)
    elif wish.ordinals is not None:
        different = house.different(wish.dataset, columns, limit=None, ordinals=wish.ordinals[:looked])
    else:
        different = house.different(wish.dataset, columns, limit=looked, ordinals=None)
    # a sample of the questions, not of the rows: one that stands in many rows must not count for more
    step = max(1, len(different) // SAMPLE)
    keys = _keys(house, wishes, columns, different[::step])
    if not keys:
        return wish.rows
    left = 1 - _answered(house, keys) / len(keys)
    return round(len(different) * left * wish.rows / looked)


def _answered(house: House, keys: set[tuple[bytes, ...]]) -> int:
    known = reading_forecast.known(house.read(), list({key for some in keys for key in some}))
    return sum(any(key in known for key in some) for some in keys)


def _keys(
    house: House, wishes: Sequence[Wish], columns: Sequence[str], ordinals: Sequence[int]
) -> set[tuple[bytes, ...]]:
    """What names each question on every rung; an answer of a higher one serves a lower one."""
    wish, top = wishes[0], len(wishes) - 1
    places = [(column, wish.dataset.columns.index(column)) for column in columns]
    doubts = wish.options.ladder.doubts if wish.options.ladder else ""
    return {
        tuple(
            plan.reuse_key(
                base_url=one.connection.base_url,
                model=one.model,
                content=wish.version.content,
                version_hash=wish.version.hash,
                cells={column: cells[place] for column, place in places},
                doubts=doubts if rung < top else "",
            )
            for rung, one in enumerate(wishes)
        )
        for _, cells in reading_datasets.rows_at(house.read(), wish.dataset.id, ordinals)
    }


def _nothing(wish: Wish, warnings: tuple[str, ...]) -> views.Forecast:
    return views.Forecast(
        rows=wish.rows,
        asked=wish.rows,
        reused=0,
        calls=Estimate(about=wish.rows),
        tokens=Estimate(about=0),
        prompt_tokens=0,
        completion_tokens=0,
        cost=None,
        cost_ceiling=None,
        seconds=None,
        n=0,
        warnings=warnings,
    )
