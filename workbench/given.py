"""What commands are given, each option defined once: what it may be, what is made of it, and what is refused at once.

The bounds of a run's options are those of ``RunOptions``, so a figure that cannot be is refused here with the same words as any
other wrong option, before anything is started.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from jobs import errors, faults, ladder, pairing, settings
from jobs.api import Engine
from jobs.api.launch import options_of
from jobs.options import MOST_RUNGS, Ladder, RunOptions
from jobs.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


class Whole(click.IntRange):
    """A whole number within bounds, by that name."""

    name = "whole number"


#: a run's number: no larger than SQLite's integers
RUN = Whole(1, 2**62)
#: processes of one machine
WORKERS = Whole(1, 64)


class Amount(click.FloatRange):
    """A number that can be counted with: neither infinite nor none at all."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, or a refusal by the option's name."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return found


def _bounded(name: str) -> Amount | Whole:
    """The type of an option of a run, with the bounds that it has there."""
    field = RunOptions.model_fields[name]
    ends = {end: getattr(one, end) for one in field.metadata for end in ("ge", "gt", "le") if hasattr(one, end)}
    if "gt" in ends:
        return Amount(ends["gt"], ends.get("le"), min_open=True)
    return Whole(ends.get("ge"), ends.get("le"))


def _echo(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str] | None:
    """Which fields repeat which columns; None where nothing is said."""
    pairs = [pairing.pair(text) for text in given]
    twice = sorted({field for field, _ in pairs if sum(field == other for other, _ in pairs) > 1})
    if twice:
        raise errors.InputError(f"--echo: field {twice[0]!r} can repeat one column only")
    return dict(pairs) or None


def _named(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    """The model; an empty name, as of a variable that is not set, would ask another one than was meant."""
    if given is not None and not given.strip():
        raise errors.InputError("--model is empty: name a model, or leave it out")
    return given


# -- options -----------------------------------------------------------------------------------------------------------


def everywhere(command: F) -> F:
    """The options that every command takes."""
    command = click.option("--json", "as_json", is_flag=True, help="Print one JSON value on standard output.")(command)
    return click.option("--home", metavar="DIR", help="The home folder [REDRIVE_HOME, or data/local].")(command)


def prompts_option(command: F) -> F:
    """Where prompts are."""
    return click.option("--prompts", metavar="DIR", help="The prompts folder [REDRIVE_PROMPTS, or prompts].")(command)


def workers_option(command: F) -> F:
    """How many workers are started where nothing is up for the home."""
    return click.option("--workers", type=WORKERS, metavar="N", help="Workers to start, if any are [2].")(command)


#: a ladder, by the options that say its parts
_LADDER = {"ladder": "climbs", "route": "routes", "always_check": "checks", "climb_below": "confidence"}


def ladder_options(command: F) -> F:
    """What the command line says of a ladder of models."""
    for option in reversed(
        (
            click.option(
                "--ladder",
                multiple=True,
                metavar="MODEL[@CONNECTION]",
                help="A dearer model, for rows that the run's own cannot be left with; again for one more, the dearest last.",
            ),
            click.option(
                "--route",
                multiple=True,
                metavar="RULE",
                help="Rows that go straight to the dearest: 'COLUMN longer N', 'COLUMN is VALUE' or 'COLUMN matches REGEX'.",
            ),
            click.option(
                "--always-check",
                multiple=True,
                metavar="FIELD=VALUE",
                help="Answers that say this are asked again of the next dearer model.",
            ),
            click.option(
                "--climb-below",
                type=Amount(0, 1, min_open=True),
                metavar="P",
                help="Answers that the model gives a probability below P go up too.",
            ),
            click.option("--no-ladder", is_flag=True, help="Ask the run's own model alone, whatever the defaults say."),
        )
    ):
        command = option(command)
    return command


def batch_option(command: F) -> F:
    """Whether calls go through the provider's batch endpoint."""
    return click.option(
        "--batch",
        type=click.Choice(["no", "first", "all"]),
        help="Through the provider's batch endpoint, at its price and within 24 hours: each row's first question, or all.",
    )(command)


def run_options(command: F) -> F:
    """The options of every command that makes a run."""
    for option in reversed(
        (
            click.option(
                "--model",
                metavar="M",
                callback=_named,
                help="The model, if not the version's or the connection's first.",
            ),
            click.option("--connection", metavar="C", help="The connection, if not the first."),
            click.option("--limit", type=Whole(1), metavar="N", help="Only the first N rows."),
            click.option(
                "--rows-per-call",
                type=_bounded("rows_per_call"),
                metavar="K",
                help="Rows in one call, 1 to 50; each is judged alone.",
            ),
            click.option(
                "--echo",
                multiple=True,
                callback=_echo,
                metavar="FIELD=COLUMN",
                help="In such calls a field that must repeat a column: exchanged ids are caught by it.",
            ),
            click.option("--strikes", type=_bounded("strikes"), metavar="N", help="Strikes to a dead letter [3]."),
            click.option("--in-flight", type=_bounded("in_flight"), metavar="N", help="Calls at once, over all lanes."),
            ladder_options,
            workers_option,
            click.option("--rpm", type=Whole(1), metavar="N", help="Requests a minute at the most."),
            click.option("--tpm", type=Whole(1), metavar="N", help="Tokens a minute at the most."),
            click.option("--budget", type=_bounded("budget"), metavar="USD", help="Money that the run may spend."),
            click.option("--timeout", type=_bounded("timeout"), metavar="S", help="Seconds for one request [60]."),
            prompts_option,
            everywhere,
        )
    ):
        command = option(command)
    return command


# -- what is made of them ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Given:
    """What every command is given."""

    settings: Settings
    as_json: bool

    def put(self, value: Any, lines: Iterable[str]) -> None:
        """The one value, or its lines."""
        if self.as_json:
            click.echo(json.dumps(value, ensure_ascii=True))
        else:
            for line in lines:
                click.echo(safe(line))

    def reading(self) -> Engine:
        """The engine of a home that is there.

        Raises:
            InputError: there is none.
        """
        if not self.settings.database.exists():
            raise errors.InputError(
                f"there is no home in {self.settings.home}: name another with --home, or begin with `redrive run`"
            )
        return Engine(self.settings)


def given(home: str | None, prompts: str | None, as_json: bool, *, as_it_is: bool = False) -> Given:
    """What a command is given; ``as_it_is`` takes any home, to look at it.

    Raises:
        InputError: a folder is none, or cannot be written to.
    """
    if prompts is not None and not Path(prompts).is_dir():
        raise errors.InputError(f"--prompts {prompts}: there is no such folder")
    found = settings.load(home, prompts)
    if not as_it_is:
        must_be_home(found.home)
    return Given(settings=found, as_json=as_json)


def must_be_home(home: Path) -> None:
    """Refuse a home that can be neither written to nor made.

    Raises:
        InputError: why not.
    """
    there = next(place for place in (home, *home.parents) if place.exists())
    what = "it" if there == home else there
    if not there.is_dir():
        raise errors.InputError(f"{home} cannot be a home: {what} is not a folder; name another one with --home")
    if not os.access(there, os.W_OK | os.X_OK):
        raise errors.InputError(f"{home} cannot be a home: {what} cannot be written to; name another one with --home")


def must_be_file(file: Path) -> None:
    """Refuse what cannot be read as a file; raises InputError."""
    if not file.exists():
        raise errors.InputError(f"{file}: there is no such file")
    if not file.is_file():
        raise errors.InputError(f"{file}: this is not a file")


def chosen(rest: dict[str, Any], *, in_flight: int, defaults: dict[str, Any], of: str) -> RunOptions:
    """The options of a run: the command line over the defaults ``of`` a version or run over the connection's.

    Raises:
        InputError: a default that cannot be, or options that make no ladder.
    """
    said = {name: rest[name] for name in RunOptions.model_fields if name not in _LADDER and rest.get(name) is not None}
    known = {name: value for name, value in defaults.items() if name in RunOptions.model_fields}
    said |= _ladder(rest, known.get("ladder"))
    return options_of({"in_flight": in_flight} | known | said, of=of)


def _ladder(rest: dict[str, Any], usual: dict[str, Any] | None) -> dict[str, Ladder | None]:
    """The ladder that the command line says: each part over the usual one's; empty where it says nothing.

    Raises:
        InputError: a part cannot be, or there is no dearer model to go to.
    """
    given = {option: rest[option] for option in _LADDER if rest.get(option)}
    if rest.get("no_ladder"):
        if given:
            raise errors.InputError(f"--no-ladder and --{next(iter(given)).replace('_', '-')}: say one of them")
        return {"ladder": None}
    if not given:
        return {}
    parts = (usual or {}) | {_LADDER[option]: value for option, value in given.items()}
    if not parts.get("climbs"):
        raise errors.InputError(
            f"--{next(iter(given)).replace('_', '-')} needs a dearer model to go to: name it with --ladder MODEL[@CONNECTION]"
        )
    if len(parts["climbs"]) >= MOST_RUNGS:
        raise errors.InputError(
            f"a ladder has {MOST_RUNGS} models at the most, the run's own among them; --ladder names {len(parts['climbs'])}"
        )
    try:
        return {"ladder": Ladder.model_validate(ladder.said(parts))}
    except ValidationError as error:
        raise errors.InputError(f"this ladder cannot be: {faults.first(error)}") from error


def safe(line: str) -> str:
    """Text that a terminal cannot take for commands."""
    return "".join(
        char if char.isprintable() or char in "\t" else char.encode("unicode_escape").decode() for char in line
    )
