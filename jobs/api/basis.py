"""What rows take of one model, by earlier replies to the same version and model, or by prompts rendered for some of them."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlite_utils import Database

from jobs import errors, plan, templates
from jobs.api.launch import Launch
from jobs.estimates import Back, Estimate, Sample
from jobs.options import RunOptions
from jobs.prices import ceiling, cost, estimate_tokens
from jobs.settings import Connection, Price
from jobs.store import reading_forecast
from jobs.store.reading_forecast import Earlier
from jobs.values import Usage

#: replies from which on they are believed, instead of measured prompts
ENOUGH = 20
#: rows that are rendered to measure their prompts
MEASURED = 20
#: tokens of a text in an answer, where nothing bounds it, and of any other value
_TEXT_TOKENS, _VALUE_TOKENS = 24, 4
#: tokens of what a call about several rows says beside the prompt
_INSTRUCTION_TOKENS = 110


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Tokens of one call, by its rendered prompt."""

    prompt: float
    completion: float
    #: of ``prompt`` what every row's has, so that a call about several rows says it once
    shared: float
    #: more prompt tokens than that, as a budget reserves them
    reserved: float


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What the rows will take, however it was found out."""

    calls: Estimate
    tokens: Estimate
    prompt: float
    completion: float
    cost: Estimate | None
    seconds: Estimate | None = None

    def without_ranges(self) -> Figures:
        """The same where it comes from rows that were not like these."""
        return replace(
            self,
            calls=self.calls.alone(),
            tokens=self.tokens.alone(),
            cost=None if self.cost is None else self.cost.alone(),
            seconds=None if self.seconds is None else self.seconds.alone(),
        )


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What is known of asking one model."""

    launch: Launch
    measure: Measure
    price: Price | None
    past: Sequence[Earlier]
    #: whether the rows of the past are like these
    alike: bool = True

    def earlier(self, rows: int) -> Figures | None:
        """What so many rows take, by earlier replies; None where these say too little."""
        found = from_earlier(self.launch, rows, self.past, self.price)
        return found if found is None or self.alike else found.without_ranges()

    def figures(self, rows: int) -> Figures:
        """What so many rows take."""
        return self.earlier(rows) or self.guess(rows)

    def guess(self, rows: int) -> Figures:
        """The same by rendered prompts."""
        return from_prompts(rows, self.measure, self.price, rows_per_call=self.launch.how.rows_per_call)

    def most(self, rows: int) -> float | None:
        """The most that a first question about each of so many rows may cost."""
        return ceiling(
            round(self.measure.reserved * rows), self.launch.version.content.max_tokens * rows, price=self.price
        )


def past(db: Database, launch: Launch) -> tuple[list[Earlier], bool]:
    """Earlier runs, and whether their rows are like these: rows that are chosen have died before, and only replays tell of such."""
    again = launch.ordinals is not None
    like = functools.partial(
        reading_forecast.earlier,
        db,
        launch.version.id,
        model=launch.asks,
        rows_per_call=launch.how.rows_per_call,
        strikes=launch.how.strikes,
    )
    past = like(replays=again)
    if again and sum(call.replied for one in past for call in one.calls) < ENOUGH:
        return like(replays=False), False
    return past, True


def from_earlier(launch: Launch, asked: int, past: Sequence[Earlier], price: Price | None) -> Figures | None:
    """By what earlier calls took, at the price of now; None where they say too little."""

    def money(call: Back) -> float:
        return cost(Usage(prompt=call.prompt, completion=call.completion, cached=call.cached), price) or 0.0

    sample = Sample([call for one in past for call in one.calls])
    calls, tokens = sample.left(lambda call: 1.0, asked), sample.left(lambda call: call.tokens, asked)
    prompt = sample.left(lambda call: call.prompt, asked)
    if sample.n < ENOUGH or calls is None or tokens is None or prompt is None:
        return None
    calls = calls.at_least(Estimate(about=asked / launch.how.rows_per_call))
    return Figures(
        calls=calls,
        tokens=tokens,
        prompt=prompt.about,
        completion=tokens.about - prompt.about,
        cost=None if price is None else sample.left(money, asked),
        seconds=_seconds(launch, asked, past, calls=calls, tokens=tokens),
    )


def _seconds(
    launch: Launch, asked: int, past: Sequence[Earlier], *, calls: Estimate, tokens: Estimate
) -> Estimate | None:
    """By the pace of the earlier run with the most calls: how many may be in flight now, and what else cost it time then."""
    longest = max(past, key=lambda one: len(one.calls))
    sample = Sample(longest.calls)
    now = sample.seconds_at(asked, places=launch.how.in_flight)
    then = sample.seconds_at(asked, places=longest.in_flight)
    paced = sample.seconds_left(asked, places=longest.in_flight, resumed=longest.resumed)
    if now is None:
        return None
    if then is not None and paced is not None:
        now = now.slowed(then, paced)
    return within_limits(now, launch.how, launch.connection, calls=calls, tokens=tokens)


def from_prompts(asked: int, measure: Measure, price: Price | None, *, rows_per_call: int) -> Figures:
    """By the rendered prompt and the contract: how often rows are asked again, and how long that takes, is not known."""
    calls = math.ceil(asked / rows_per_call)
    prompt, completion = measure.prompt * asked, measure.completion * asked
    if rows_per_call > 1:
        prompt += (measure.shared + _INSTRUCTION_TOKENS) * calls - (measure.shared - plan.ID_TOKENS) * asked
        completion += plan.ID_TOKENS * asked
    usage = Usage(prompt=round(prompt), completion=round(completion))
    likely = cost(usage, price)
    return Figures(
        calls=Estimate(about=calls),
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


def measured(
    launch: Launch,
    template: templates.Template,
    rows: Sequence[Mapping[str, str]],
    columns: Sequence[str],
    warnings: list[str],
) -> Measure:
    """Tokens of a call, by the prompt as it is rendered for these rows; what cannot be rendered is a warning."""
    content = launch.version.content
    reserved = [plan.reserved_tokens(content, {column: row[column] for column in columns}) for row in rows]
    prompt, shared = list[int](), 0
    for row in rows:
        try:
            *common, last = (estimate_tokens(message.content) for message in template.render(row))
            prompt.append(sum(common) + last)
            shared = sum(common)
        except errors.PromptError as error:
            warnings.append(f"the prompt cannot be rendered for every row: {error.message}")
            break
    if content.response_format == "json_schema":
        schema = estimate_tokens(json.dumps(content.contract))
        prompt, shared = [tokens + schema for tokens in prompt], shared + schema
    return Measure(
        prompt=sum(prompt) / len(prompt) if prompt else 0.0,
        shared=shared,
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
