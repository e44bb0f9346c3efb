"""What a run is likely to take, before it is launched, and what that is founded on.

Past replies to the same version and model are the best witness; where there are too few, the prompt is rendered for some rows
and measured. Equal rows and answers that are there already are not asked, so they are counted first: exactly for a small
run, by a sample of its questions for a large one, since a page must not wait for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs import errors, plan, templates, views
from jobs.api.room import House
from jobs.options import RunOptions
from jobs.prices import ceiling, cost, estimate_tokens, price_of
from jobs.settings import Connection
from jobs.store import reading_datasets, reading_forecast
from jobs.store.reading_forecast import Past
from jobs.values import Usage

#: replies from which on they are believed, instead of measured prompts
ENOUGH = 20
#: rows that are looked up one by one, and those that stand for more
EXACT, SAMPLE = 2_000, 1_000
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
    """Tokens of one call."""

    prompt: float
    completion: float
    #: more prompt tokens than that, as a budget reserves them
    reserved: float


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
    with house.snapshot() as db:
        calls = _calls(house, wish, columns)
        past = reading_forecast.past(db, wish.version.id, model=wish.model)
        sample = reading_datasets.rows_at(db, wish.dataset.id, wish.spread(MEASURED))
    rows = [dict(zip(wish.dataset.columns, cells, strict=True)) for _, cells in sample]
    measure = _measured(wish, template, rows, columns, warnings)
    if past.n >= ENOUGH:
        measure = _Measure(prompt=past.prompt_tokens, completion=past.completion_tokens, reserved=measure.reserved)
    return _sums(wish, calls, measure, past, warnings)


def _sums(wish: Wish, calls: int, measure: _Measure, past: Past, warnings: list[str]) -> views.Forecast:
    price = price_of(wish.model, wish.connection) if wish.model else None
    founded = past.n >= ENOUGH
    usage = Usage(prompt=round(measure.prompt * calls), completion=round(measure.completion * calls))
    likely = cost(usage, price)
    most = ceiling(round(measure.reserved * calls), wish.version.content.max_tokens * calls, price=price)
    if not wish.model:
        warnings.append("no model is chosen: neither the version nor the connection names one")
    elif price is None:
        where = f"{wish.model} at connection {wish.connection.name}"
        warnings.append(f"the price of {where} is unknown, so its cost is too; a price can be set in connections.toml")
    _warn_of_budget(
        wish.options.budget, likely=likely, one=None if most is None or not calls else most / calls, out=warnings
    )
    if founded and past.calls_a_row >= 1.1:
        warnings.append(
            f"earlier runs of {wish.version.reference} sent {past.calls_a_row:.1f} calls for each row that was asked about: "
            "re-asks and errors come on top of this forecast"
        )
    return views.Forecast(
        rows=wish.rows,
        calls=calls,
        reused=wish.rows - calls,
        prompt_tokens=usage.prompt,
        completion_tokens=usage.completion,
        cost=likely,
        cost_ceiling=most,
        seconds=_seconds(wish.options, calls, measure, past) if founded else None,
        n=past.n if founded else 0,
        warnings=tuple(warnings),
    )


def _warn_of_budget(budget: float | None, *, likely: float | None, one: float | None, out: list[str]) -> None:
    if budget is None:
        return
    if likely is None or one is None:
        if likely is None:
            out.append(
                "a budget needs a price: set one for the connection in connections.toml, or leave the budget out"
            )
    elif budget < one:
        out.append(f"the budget of ${budget:g} does not cover one call, which reserves up to ${one:.6f}")
    elif budget < likely:
        out.append(
            f"the budget of ${budget:g} is less than the forecast of ${likely:.4f}: the run would pause on the way"
        )


def _calls(house: House, wish: Wish, columns: Sequence[str]) -> int:
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


def _seconds(options: RunOptions, calls: int, measure: _Measure, past: Past) -> float:
    """The slowest of what the calls in flight, the requests a minute and the tokens a minute allow."""
    bounds = [calls * past.seconds / options.in_flight]
    if options.rpm:
        bounds.append(calls / options.rpm * 60)
    if options.tpm:
        bounds.append(calls * (measure.prompt + measure.completion) / options.tpm * 60)
    return max(bounds)


def _nothing(wish: Wish, warnings: tuple[str, ...]) -> views.Forecast:
    return views.Forecast(
        rows=wish.rows,
        calls=wish.rows,
        reused=0,
        prompt_tokens=0,
        completion_tokens=0,
        cost=None,
        cost_ceiling=None,
        seconds=None,
        n=0,
        warnings=warnings,
    )
