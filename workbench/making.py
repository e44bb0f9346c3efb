"""The commands that make a run and wait for it: ``run``, ``replay``, ``eval``.

What can be refused is refused before anything is started, since starting takes seconds. Each starts what it needs where nothing
is up for the home, and leaves with the exit code of what it made.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from jobs import errors, settings
from jobs.api import Engine
from jobs.api.launch import Launch
from jobs.api.replays import Changes
from jobs.options import RunOptions
from jobs.settings import Settings
from jobs.views.datasets import Dataset
from jobs.views.prompts import Version
from jobs.views.runs import Run
from workbench import archive, reports, steps, wording
from workbench.given import RUN, Amount, Given, batch_option, chosen, given, must_be_file, run_options, safe


@click.command("run")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--prompt", required=True, metavar="NAME", help="NAME, NAME@3 or NAME@production.")
@click.option("--id-column", metavar="C", help="The column that holds each row's id.")
@click.option("--note", default="", metavar="TEXT", help="What the run is for; it stands on its page.")
@click.option("--no-reuse", is_flag=True, help="Ask about equal rows and rows that were answered earlier too.")
@batch_option
@run_options
def run_command(file: Path, prompt: str, id_column: str | None, note: str, no_reuse: bool, **rest: Any) -> None:
    """Push FILE through a prompt from start to end."""
    here = given(rest["home"], rest["prompts"], rest["as_json"])
    must_be_file(file)
    _must_be_connection(here, rest["connection"])
    with Engine(here.settings) as engine:
        version = engine.prompts.resolve(prompt)
        options = _options(here, version, rest)
        dataset = engine.datasets.add(file)
        engine.runs.usable(version, dataset, id_column=id_column, options=options)
        archive.say_used(engine, prompt=version.prompt, dataset=dataset)

        def launch(at: Settings) -> Launch:
            asked = _launch(at, version, dataset, rest)
            how = asked.how.model_copy(update={"reuse": False}) if no_reuse else asked.how
            return replace(asked, options=how, id_column=id_column or dataset.id_column, note=note)

        _must_start(here, engine, launch)
    with steps.engine_up(here.settings, workers=rest["workers"], quiet=here.as_json) as at_work:
        asked = launch(at_work.settings)
        _say_strange_models(at_work.settings, asked)
        run = at_work.engine.runs.start(asked, key=uuid.uuid4().hex)
        seen = wait(here, at_work, [run])
        say_runs(here, at_work.engine, seen, as_list=False)
        raise SystemExit(max(reports.exit_code(run) for run in seen))


def _options(here: Given, version: Version, rest: dict[str, Any]) -> RunOptions:
    """The options as far as they are known before a connection is: refused where they cannot be, or a rung is nowhere."""
    options = chosen(rest, in_flight=1, defaults=version.defaults, of=version.reference)
    _must_be_rungs(here, options)
    return options


def _launch(at: Settings, version: Version, dataset: Dataset, rest: dict[str, Any]) -> Launch:
    """What the command line asks for, by the connections as they are."""
    connection = at.connection(rest["connection"])
    return Launch(
        version=version,
        dataset=dataset,
        connection=connection,
        model=rest["model"],
        options=chosen(rest, in_flight=connection.in_flight, defaults=version.defaults, of=version.reference),
        limit=rest["limit"],
    )


def _must_start(here: Given, engine: Engine, launch: Callable[[Settings], Launch]) -> None:
    """Refuse what could not be started; the embedded model is there, and has a name, once it is up."""
    if not here.settings.wants_embedded:
        engine.runs.prepared(launch(here.settings))


def _say_strange_models(here: Settings, launch: Launch) -> None:
    """Say on standard error which models no connection lists: an endpoint may answer to any name, and be right or not."""
    connection, options = launch.connection, launch.how
    asked = [(connection, launch.model)] if launch.model else []
    for climb in options.ladder.climbs if options.ladder else ():
        asked.append((here.connection(climb.connection) if climb.connection else connection, climb.model))
    for at, name in asked:
        if strange := at.strange(name):
            click.echo(safe(f"redrive: {strange}; it is asked all the same"), err=True)


@click.command("replay")
@click.argument("run", type=RUN)
@click.option("--prompt", metavar="NAME@V", help="With this version; without it, the run's own.")
@click.option("--group", metavar="SIGNATURE", help="Only the dead letters of this signature.")
@batch_option
@run_options
def replay_command(run: int, prompt: str | None, group: str | None, **rest: Any) -> None:
    """Ask the open dead letters of RUN again, as a run of its own."""
    here = given(rest["home"], rest["prompts"], rest["as_json"])
    _must_be_connection(here, rest["connection"])
    with here.reading() as engine:
        before = engine.letters.replayable(run)
        version = engine.prompts.resolve(prompt) if prompt is not None else None
        letters = engine.letters.ids(run=run, signature=group)[: rest["limit"]]
        if not letters:
            raise errors.InputError(_nothing_open(engine, run, group))
        usual = before.options
        options = chosen(
            rest, in_flight=usual.in_flight, defaults=usual.model_dump() | {"batch": "no"}, of=f"run {run}"
        )
        _must_be_rungs(here, options)
        # what is the run's own is kept as far as it fits another version
        said = {"echo": rest["echo"] or {}, "ladder": None if options.ladder == usual.ladder else options.ladder}
        asked = version or engine.prompts.get(before.version_id)
        dataset = engine.datasets.get(before.dataset)
        engine.runs.usable(asked, dataset, options=options.model_copy(update=said))
        archive.say_used(engine, prompt=asked.prompt, dataset=dataset, run=run)

        def changes(at: Settings) -> Changes:
            connection = at.connection(rest["connection"] or before.connection)
            return Changes(version=version, model=rest["model"], connection=connection, options=options)

        if not here.settings.wants_embedded:
            engine.letters.prepared(letters, changes(here.settings))
    with steps.engine_up(here.settings, workers=rest["workers"], quiet=here.as_json) as at_work:
        engine = at_work.engine
        made = engine.letters.replay(letters, changes(at_work.settings), key=uuid.uuid4().hex)
        seen = wait(here, at_work, made)
        say_runs(here, engine, seen, as_list=False)
        raise SystemExit(max(reports.exit_code(run) for run in seen))


@click.command("eval")
@click.argument("prompt", metavar="NAME@V")
@click.option(
    "--golden", type=click.Path(path_type=Path), metavar="FILE", help="Another file than the prompt's golden.csv."
)
@click.option("--min", "bar", type=Amount(0, 1), metavar="X", help="Exit with 5 where agreement is below.")
@run_options
def eval_command(prompt: str, golden: Path | None, bar: float | None, **rest: Any) -> None:
    """Run a prompt's golden rows and print the agreement per field with its n."""
    here = given(rest["home"], rest["prompts"], rest["as_json"])
    _must_be_connection(here, rest["connection"])
    with Engine(here.settings) as engine:
        version = engine.prompts.resolve(prompt)
        _options(here, version, rest)
        file = golden or here.settings.prompts / version.prompt / "golden.csv"
        if golden is None and not file.exists():
            raise errors.InputError(f"{file}: there is no such file; write it, or name another with --golden")
        must_be_file(file)
        dataset = engine.evaluations.table(version, file)
        archive.say_used(engine, prompt=version.prompt, dataset=dataset)

        def launch(at: Settings) -> Launch:
            return replace(_launch(at, version, dataset, rest), kind="evaluation")

        _must_start(here, engine, launch)
    with steps.engine_up(here.settings, workers=rest["workers"], quiet=here.as_json) as at_work:
        asked = launch(at_work.settings)
        _say_strange_models(at_work.settings, asked)
        run = at_work.engine.runs.start(asked, key=uuid.uuid4().hex)
        (seen,) = wait(here, at_work, [run])
        report = reports.run_object(at_work.engine, seen) | at_work.engine.evaluations.report(run) | {"min": bar}
    here.put(report, [*reports.evaluation_lines(report), *reports.run_lines(report)])
    raise SystemExit(_evaluated(here, seen, report, bar))


def _evaluated(here: Given, seen: Run, report: dict[str, Any], bar: float | None) -> int:
    """The exit code of an evaluation: where a bar is set, it alone decides about a run that has ended."""
    if bar is None or seen.state in ("paused", "cancelled"):
        return reports.exit_code(seen)
    if report["agreement"] is not None and report["agreement"] >= bar:
        return 0
    if not here.as_json:
        steps.say(f"below the bar of {bar:.1%}")
    return 5


def say_runs(here: Given, engine: Engine, seen: Sequence[Run], *, as_list: bool) -> None:
    """What runs have come to."""
    found = [reports.run_object(engine, run) for run in seen]
    lines = [line for one in found for line in reports.run_lines(one)]
    here.put(found if as_list else found[0], lines or ["nothing is unfinished"])


def wait(here: Given, at_work: steps.AtWork, made: Sequence[int]) -> list[Run]:
    """Say which runs these are and wait until they have ended; whoever stops waiting is told what becomes of them."""
    for one in map(at_work.engine.runs.get, made):
        steps.say(f"{reports.named(one)} on {one.model}: {wording.count(one.counts.rows, 'row')}")
    try:
        return steps.wait_for(at_work, made, plain=here.as_json)
    except KeyboardInterrupt:
        steps.say(f"\n{steps.left(at_work, made)}")
        raise


def _must_be_connection(here: Given, wanted: str | None) -> None:
    """Refuse a connection that is not there; the embedded one is there once it is up."""
    if wanted is None or (here.settings.wants_embedded and wanted == settings.EMBEDDED):
        return
    if here.settings.wants_embedded:
        raise errors.InputError(f"no connection is named {wanted!r}; known: {settings.EMBEDDED} (the embedded model)")
    here.settings.connection(wanted)


def _must_be_rungs(here: Given, options: RunOptions) -> None:
    """Refuse a ladder that leads to a connection which is not there."""
    for climb in options.ladder.climbs if options.ladder is not None else ():
        try:
            _must_be_connection(here, climb.connection)
        except errors.InputError as error:
            raise errors.InputError(f"rung {climb}: {error.message}") from error


def _nothing_open(engine: Engine, run: int, group: str | None) -> str:
    now = engine.runs.resolutions(run)
    states = ", ".join(f"{count} {state}" for state, count in sorted(now.items())) or "none at all"
    which = f" of group {group!r}" if group is not None else ""
    return f"run {run} has no open dead letter{which} (its dead letters: {states}){other_groups(engine, run, group)}"


def other_groups(engine: Engine, run: int, group: str | None) -> str:
    """Which groups there are instead of one that was asked for."""
    if group is None:
        return ""
    found, total = engine.letters.groups(run=run, resolution=None, limit=5)
    names = ", ".join(repr(one.signature) for one in found)
    return f"; its groups: {names}{', ...' if total > len(found) else ''}" if found else ""
