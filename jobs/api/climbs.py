"""What a run with a ladder is likely to take: which rows go straight up, which climb, and what each rung costs.

Which rows a rule sends up is looked up in the table. How many climb is told by what the cheap model has answered before: each of
its answers is held against what this ladder doubts. Where there are too few, nothing is known of it, and the figures reach from
none to all.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlite_utils import Database

from jobs import errors, ladder
from jobs.api.basis import ENOUGH, Basis, Figures, Measure, past
from jobs.api.launch import Launch
from jobs.api.room import House
from jobs.estimates import CONFIDENCE, Estimate
from jobs.options import Ladder
from jobs.prices import price_of
from jobs.settings import Connection
from jobs.store import reading_datasets, reading_forecast
from jobs.store.reading_forecast import SAMPLE, Below
from jobs.thresholds import wilson
from jobs.views.forecast import LadderForecast, RungForecast


@dataclass(frozen=True, kw_only=True)
class Climbing:
    """What such a run takes in all, the most that it may reserve, and how it is climbed."""

    figures: Figures
    most: float | None
    told: LadderForecast


def rungs(house: House, launch: Launch) -> list[Launch]:
    """The launch as each rung would be asked alone, the lowest first; connections that are not there are left out."""
    there = house.settings.with_embedded().connections
    found = [launch]
    for climb in launch.how.ladder.climbs if launch.how.ladder else ():
        at: Connection | None = launch.connection if climb.connection is None else there.get(climb.connection)
        if at is not None:
            found.append(replace(launch, connection=at, model=climb.model))
    return found


def climbing(db: Database, launches: Sequence[Launch], asked: int, measure: Measure) -> Climbing:
    """What it takes to ask about so many rows.

    Args:
        db: at one moment.
        launches: as ``rungs`` gives them, two at least.
        asked: rows that no answer is there for.
        measure: of one rendered prompt.
    """
    launch, chosen = launches[0], launches[0].how.ladder
    assert chosen is not None
    models = [one.asks for one in launches]
    bases = [_basis(db, one, measure, models, place) for place, one in enumerate(launches)]
    straight, looked = _straight(db, launch, chosen)
    below = reading_forecast.below(db, launch.version.id, model=launch.asks, sure=chosen.confidence is not None)
    share = _share(chosen, below)
    up = round(asked * straight)
    rows = _rows(asked - up, up, share, len(launches))
    parts = [_figures(basis, some) for basis, some in zip(bases, rows, strict=True)]
    whole = functools.reduce(_both, parts)
    dear = bases[-1].figures(asked).cost
    most = [basis.most(asked - up if place == 0 else asked) for place, basis in enumerate(bases)]
    told = LadderForecast(
        rungs=tuple(
            RungForecast(model=one.asks, connection=one.connection.name, rows=some, cost=part.cost, n=part.tokens.n)
            for one, some, part in zip(launches, rows, parts, strict=True)
        ),
        straight=straight,
        looked=looked,
        climbs=share,
        dear=dear,
        saving=_saving(whole.cost, dear),
    )
    return Climbing(figures=whole, most=None if None in most else sum(one or 0.0 for one in most), told=told)


def _basis(db: Database, launch: Launch, measure: Measure, models: Sequence[str], place: int) -> Basis:
    """What is known of a rung: from runs with such a ladder, else from runs of its model alone."""
    price = price_of(launch.asks, launch.connection) if launch.asks else None
    before = reading_forecast.on_rung(db, launch.version.id, launch.how, models=models, rung=place)
    if sum(call.replied for one in before for call in one.calls) >= ENOUGH:
        return Basis(launch=launch, measure=measure, price=price, past=before)
    found, alike = past(db, launch)
    return Basis(launch=launch, measure=measure, price=price, past=found, alike=alike)


def _straight(db: Database, launch: Launch, chosen: Ladder) -> tuple[float, int]:
    """The share of rows that a rule sends to the top, and rows that were looked at."""
    if not chosen.routes:
        return 0.0, 0
    try:
        goes_up = ladder.straight_up(chosen.routes)
    except errors.InputError:
        return 0.0, 0
    rows = reading_datasets.rows_at(db, launch.dataset.id, launch.spread(SAMPLE))
    up = sum(goes_up(dict(zip(launch.dataset.columns, cells, strict=True))) for _, cells in rows)
    return (up / len(rows) if rows else 0.0), len(rows)


def _share(chosen: Ladder, answers: Sequence[Below]) -> Estimate | None:
    """The share of rows that leave the lowest rung; None where too few have told."""
    if len(answers) < ENOUGH:
        return None
    climbs = sum(_climbs(chosen, one) for one in answers)
    low, high = wilson(climbs, len(answers), CONFIDENCE)
    return Estimate(about=climbs / len(answers), low=low, high=high, n=len(answers))


def _climbs(chosen: Ladder, one: Below) -> bool:
    if one.value is None or one.strikes >= ladder.STRIKES_BELOW:
        return True
    least = None if one.confidence is None else ("$", one.confidence)
    return ladder.doubt(chosen, one.value, least) is not None


def _rows(below: int, up: int, share: Estimate | None, many: int) -> list[Estimate]:
    """Rows that each rung is asked about. Of what is not known the figure is the most that it can be."""
    found = [_sure(below)]
    for place in range(1, many):
        before = found[-1]
        known = share if place == 1 and share is not None else Estimate(about=1.0, low=0.0, high=1.0)
        on = Estimate(
            about=before.about * known.about,
            low=(before.low or 0.0) * (known.low or 0.0),
            high=(before.high or 0.0) * (known.high or 0.0),
            n=known.n,
        )
        found.append(on.beside(up) if place == many - 1 else on)
    return found


def _sure(count: float) -> Estimate:
    return Estimate(about=count, low=count, high=count)


def _figures(basis: Basis, rows: Estimate) -> Figures:
    """What a rung takes that is asked about that many rows."""
    usual, least, most = (basis.figures(round(one or 0.0)) for one in (rows.about, rows.low, rows.high))

    def spread(about: Estimate, low: Estimate, high: Estimate) -> Estimate:
        ends = low.about if low.low is None else low.low, high.about if high.high is None else high.high
        return Estimate(about=about.about, low=ends[0], high=ends[1], n=about.n)

    def maybe(about: Estimate | None, low: Estimate | None, high: Estimate | None) -> Estimate | None:
        return None if about is None or low is None or high is None else spread(about, low, high)

    return Figures(
        calls=spread(usual.calls, least.calls, most.calls),
        tokens=spread(usual.tokens, least.tokens, most.tokens),
        prompt=usual.prompt,
        completion=usual.completion,
        cost=maybe(usual.cost, least.cost, most.cost),
        seconds=maybe(usual.seconds, least.seconds, most.seconds),
    )


def _both(one: Figures, other: Figures) -> Figures:
    """Two rungs together; they share the calls in flight, so that their times add up."""

    def plus(a: Estimate | None, b: Estimate | None) -> Estimate | None:
        return None if a is None or b is None else a.plus(b)

    return Figures(
        calls=one.calls.plus(other.calls),
        tokens=one.tokens.plus(other.tokens),
        prompt=one.prompt + other.prompt,
        completion=one.completion + other.completion,
        cost=plus(one.cost, other.cost),
        seconds=plus(one.seconds, other.seconds),
    )


def _saving(cost: Estimate | None, dear: Estimate | None) -> Estimate | None:
    """The share of the dear model's cost that is saved."""
    if cost is None or dear is None or dear.about <= 0:
        return None
    low, high = (cost.about if end is None else end for end in (cost.high, cost.low))
    return Estimate(about=1 - cost.about / dear.about, low=1 - low / dear.about, high=1 - high / dear.about, n=cost.n)
