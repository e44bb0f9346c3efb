"""What a run is likely to take, before it is launched, and what that is founded on.

Past replies to the same version and model are the best witness, and give a range; where there are too few, the prompt is
rendered for some rows and measured, and the figures are shown as what they are: a guess without a range. Equal rows and
answers that are there already are not asked, so they are counted first: exactly for a small run, by a sample of its
questions for a large one, since a page must not wait for it.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlite_utils import Database

from jobs import errors, plan, templates, views
from jobs.api import probing
from jobs.api.room import House
from jobs.estimates import Back, Estimate, Sample
from jobs.options import RunOptions
from jobs.prices import ceiling, cost, estimate_tokens, price_of
from jobs.settings import Connection, Price
from jobs.store import reading_datasets, reading_forecast
from jobs.store.reading_forecast import EXACT, SAMPLE, Earlier
from jobs.values import Usage

#: replies from which on they are believed, instead of measured prompts
ENOUGH = 20
#: calls a row from which on they are worth a word
MANY_CALLS = 1.25
#: rows that are compared to find equal ones
COMPARED = 50_000
#: rows that are rendered to measure their prompts
MEASURED = 20
#: tokens of a text in an answer, where nothing bounds it, and of any other value
_TEXT_TOKENS, _VALUE_TOKENS = 24, 4


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A run that a person is thinking of."""

    version: views.Version
    dataset: views.Dataset
    connection: Connection
    model: str
    options: RunOptions
    limit: int | None = None
    ordinals: tuple[int, ...] | None = None

    @property
    def rows(self) -> int:
        """How many rows it has."""
        if self.ordinals is not None:
            return len(self.ordinals)
        return min(self.dataset.row_count, self.limit or self.dataset.row_count)

    def spread(self, most: int) -> list[int]:
        """At most so many of its ordinals, evenly spread."""
        step = max(1.0, self.rows / most)
        places = [int(n * step) for n in range(min(most, self.rows))]
        return [self.ordinals[place] if self.ordinals is not None else place + 1 for place in places]


@dataclass(frozen=True, kw_only=True)
class _Measure:
    """Tokens of one call, by its rendered prompt."""

    prompt: float
    completion: float
    #: more prompt tokens than that, as a budget reserves them
    reserved: float


@dataclass(frozen=True, kw_only=True)
class _Figures:
    """What the rows will take, however it was found out."""

    calls: Estimate
    tokens: Estimate
    prompt: float
    completion: float
    cost: Estimate | None
    seconds: Estimate | None = None

    def without_ranges(self) -> _Figures:
        """The same where it comes from rows that were not like these."""
        return replace(
            self,
            calls=self.calls.alone(),
            tokens=self.tokens.alone(),
            cost=None if self.cost is None else self.cost.alone(),
            seconds=None if self.seconds is None else self.seconds.alone(),
        )


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
    warnings += probing.warnings(house, wish.connection, wish.model, wish.version.content, wish.options)
    with house.snapshot() as db:
        asked = _asked(house, wish, columns)
        past, alike = _past(db, wish)
        rows_there = reading_datasets.rows_at(db, wish.dataset.id, wish.spread(MEASURED))
    rows = [dict(zip(wish.dataset.columns, cells, strict=True)) for _, cells in rows_there]
    measure = _measured(wish, template, rows, columns, warnings)
    price = price_of(wish.model, wish.connection) if wish.model else None
    earlier = _from_earlier(wish, asked, past, price)
    if earlier is not None and not alike:
        earlier = earlier.without_ranges()
    return _sums(wish, asked, measure, earlier, price, warnings)


def _past(db: Database, wish: Wish) -> tuple[list[Earlier], bool]:
    """Earlier runs, and whether their rows are like these: rows that are chosen have died before, and only replays tell of such."""
    again = wish.ordinals is not None
    like = functools.partial(
        reading_forecast.earlier,
        db,
        wish.version.id,
        model=wish.model,
        rows_per_call=wish.options.rows_per_call,
        strikes=wish.options.strikes,
    )
    past = like(replays=again)
    if again and sum(call.replied for one in past for call in one.calls) < ENOUGH:
        return like(replays=False), False
    return past, True


def _sums(
    wish: Wish, asked: int, measure: _Measure, earlier: _Figures | None, price: Price | None, warnings: list[str]
) -> views.Forecast:
    found = earlier or _from_prompts(asked, measure, price, rows_per_call=wish.options.rows_per_call)
    most = ceiling(round(measure.reserved * asked), wish.version.content.max_tokens * asked, price=price)
    if not wish.model:
        warnings.append("no model is chosen: neither the version nor the connection names one")
    elif price is None:
        where = f"{wish.model} at connection {wish.connection.name}"
        warnings.append(f"the price of {where} is unknown, so its cost is too; a price can be set in connections.toml")
    one = None if most is None or not asked else most / asked
    _warn_of_budget(wish.options.budget, likely=found.cost, one=one, out=warnings)
    each = found.calls.about * wish.options.rows_per_call / asked if asked else 1.0
    if earlier and each >= MANY_CALLS:
        per = "row that was" if wish.options.rows_per_call == 1 else f"{wish.options.rows_per_call} rows that were"
        warnings.append(
            f"earlier runs of {wish.version.reference} sent {each:.1f} calls for each {per} asked about: "
            "their re-asks and errors are in this forecast"
        )
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
        warnings=tuple(warnings),
    )


def _from_earlier(wish: Wish, asked: int, past: Sequence[Earlier], price: Price | None) -> _Figures | None:
    """By what earlier calls took, at the price of now; None where they say too little."""

    def money(call: Back) -> float:
        return cost(Usage(prompt=call.prompt, completion=call.completion, cached=call.cached), price) or 0.0

    sample = Sample([call for one in past for call in one.calls])
    calls, tokens = sample.left(lambda call: 1.0, asked), sample.left(lambda call: call.tokens, asked)
    prompt = sample.left(lambda call: call.prompt, asked)
    if sample.n < ENOUGH or calls is None or tokens is None or prompt is None:
        return None
    calls = calls.at_least(Estimate(about=asked / wish.options.rows_per_call))
    return _Figures(
        calls=calls,
        tokens=tokens,
        prompt=prompt.about,
        completion=tokens.about - prompt.about,
        cost=None if price is None else sample.left(money, asked),
        seconds=_seconds(wish, asked, past, calls=calls, tokens=tokens),
    )


def _seconds(wish: Wish, asked: int, past: Sequence[Earlier], *, calls: Estimate, tokens: Estimate) -> Estimate | None:
    """By the pace of the earlier run with the most calls: how many may be in flight now, and what else cost it time then."""
    longest = max(past, key=lambda one: len(one.calls))
    sample = Sample(longest.calls)
    now = sample.seconds_at(asked, places=wish.options.in_flight)
    then = sample.seconds_at(asked, places=longest.in_flight)
    paced = sample.seconds_left(asked, places=longest.in_flight, resumed=longest.resumed)
    if now is None:
        return None
    if then is not None and paced is not None:
        now = now.slowed(then, paced)
    return within_limits(now, wish.options, wish.connection, calls=calls, tokens=tokens)


def _from_prompts(asked: int, measure: _Measure, price: Price | None, *, rows_per_call: int) -> _Figures:
    """By the rendered prompt and the contract: how often rows are asked again, and how long that takes, is not known."""
    usage = Usage(prompt=round(measure.prompt * asked), completion=round(measure.completion * asked))
    likely = cost(usage, price)
    return _Figures(
        calls=Estimate(about=math.ceil(asked / rows_per_call)),
        tokens=Estimate(about=usage.prompt + usage.completion),
        prompt=usage.prompt,
        completion=usage.completion,
        cost=None if likely is None else Estimate(about=likely),
    )


def within_limits(
    seconds: Estimate, options: RunOptions, connection: Connection | None, *, calls: Estimate, tokens: Estimate
) -> Estimate:
    """No faster than the requests and the tokens a minute that the run and its connection are held to."""
    for limits in (options, connection):
        if limits is not None and limits.rpm:
            seconds = seconds.at_least(calls.times(60 / limits.rpm))
        if limits is not None and limits.tpm:
            seconds = seconds.at_least(tokens.times(60 / limits.tpm))
    return seconds


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


def _asked(house: House, wish: Wish, columns: Sequence[str]) -> int:
    """Questions that nobody has answered yet; every row where answers are not used again."""
    if not wish.options.reuse or not wish.rows:
        return wish.rows
    if wish.rows <= EXACT:
        keys = _keys(house, wish, columns, wish.spread(EXACT))
        return len(keys) - reading_forecast.answered(house.read(), list(keys))
    looked = min(wish.rows, COMPARED)
    if wish.dataset.id_column in columns:
        different: Sequence[int] = wish.spread(looked)
    elif wish.ordinals is not None:
        different = house.different(wish.dataset, columns, limit=None, ordinals=wish.ordinals[:looked])
    else:
        different = house.different(wish.dataset, columns, limit=looked, ordinals=None)
    # a sample of the questions, not of the rows: one that stands in many rows must not count for more
    step = max(1, len(different) // SAMPLE)
    keys = _keys(house, wish, columns, different[::step])
    if not keys:
        return wish.rows
    left = 1 - reading_forecast.answered(house.read(), list(keys)) / len(keys)
    return round(len(different) * left * wish.rows / looked)


def _keys(house: House, wish: Wish, columns: Sequence[str], ordinals: Sequence[int]) -> set[bytes]:
    places = [(column, wish.dataset.columns.index(column)) for column in columns]
    return {
        plan.reuse_key(
            base_url=wish.connection.base_url,
            model=wish.model,
            content=wish.version.content,
            version_hash=wish.version.hash,
            cells={column: cells[place] for column, place in places},
        )
        for _, cells in reading_datasets.rows_at(house.read(), wish.dataset.id, ordinals)
    }


def _measured(
    wish: Wish,
    template: templates.Template,
    rows: Sequence[Mapping[str, str]],
    columns: Sequence[str],
    warnings: list[str],
) -> _Measure:
    content = wish.version.content
    reserved = [plan.reserved_tokens(content, {column: row[column] for column in columns}) for row in rows]
    prompt = list[int]()
    for row in rows:
        try:
            prompt.append(sum(estimate_tokens(message.content) for message in template.render(row)))
        except errors.PromptError as error:
            warnings.append(f"the prompt cannot be rendered for every row: {error.message}")
            break
    if content.response_format == "json_schema":
        schema = estimate_tokens(json.dumps(content.contract))
        prompt = [tokens + schema for tokens in prompt]
    return _Measure(
        prompt=sum(prompt) / len(prompt) if prompt else 0.0,
        completion=min(content.max_tokens, _answer_tokens(content.contract)),
        reserved=sum(reserved) / len(reserved) if reserved else 0.0,
    )


def _answer_tokens(schema: Mapping[str, Any], depth: int = 0) -> int:
    """About how long an answer to this contract is."""
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and depth < 8:
        return 4 + sum(
            3 + estimate_tokens(str(name)) + (_answer_tokens(below, depth + 1) if isinstance(below, Mapping) else 0)
            for name, below in properties.items()
        )
    items = schema.get("items")
    if isinstance(items, Mapping) and depth < 8:
        return 2 + 3 * _answer_tokens(items, depth + 1)
    is_free_text = "enum" not in schema and "const" not in schema and "string" in str(schema.get("type", "string"))
    return _TEXT_TOKENS if is_free_text else _VALUE_TOKENS


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
