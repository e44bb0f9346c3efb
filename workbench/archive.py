"""The commands that put things out of sight and bring them back, and what is said where an archived one is used all the same."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import click

from jobs.api import Engine
from jobs.values import Thing
from jobs.views.archive import Archived
from jobs.views.datasets import Dataset
from workbench import sight, steps, wording
from workbench.given import RUN, F, everywhere, given, prompts_option, safe


def _things(command: F) -> F:
    """What is meant; each can be said several times."""
    for option in reversed(
        (
            click.option("--run", "runs", type=RUN, multiple=True, help="A run, with its replays; again for more."),
            click.option("--prompt", "named", metavar="NAME", multiple=True, help="A prompt; again for more."),
            click.option(
                "--dataset", "datasets", metavar="D", multiple=True, help="A dataset, by its id or file name."
            ),
            prompts_option,
            everywhere,
        )
    ):
        command = option(command)
    return command


@click.command("archive")
@_things
def archive_command(
    runs: tuple[int, ...],
    named: tuple[str, ...],
    datasets: tuple[str, ...],
    prompts: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Put runs, prompts and datasets out of sight, all or none; without any, what is archived now."""
    here = given(home, prompts, as_json)
    with here.reading() as engine:
        things = _found(engine, runs, named, datasets)
        if not things:
            found = engine.archive.look()
            here.put(_objects(found), [*_lines(found)] or ["nothing is archived"])
            return
        weighed = engine.archive.weigh(things)
    with steps.engine_for_requests(here.settings) as engine:
        found = engine.archive.put(things, key=uuid.uuid4().hex)
    here.put(_objects(found), [*_lines(found), *sight.says(weighed)])
    if as_json:
        for sentence in sight.says(weighed):
            steps.say(safe(f"redrive: {sentence}"))


@click.command("restore")
@_things
def restore_command(
    runs: tuple[int, ...],
    named: tuple[str, ...],
    datasets: tuple[str, ...],
    prompts: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Bring archived runs, prompts and datasets back into the lists."""
    here = given(home, prompts, as_json)
    with here.reading() as engine:
        things = _found(engine, runs, named, datasets)
    if not things:
        raise click.UsageError("name what to bring back: --run, --prompt or --dataset")
    with steps.engine_for_requests(here.settings) as engine:
        found = engine.archive.restore(things, key=uuid.uuid4().hex)
    here.put(_objects(found), _lines(found))


def say_used(engine: Engine, *, prompt: str, dataset: Dataset | None = None, run: int | None = None) -> None:
    """Say on standard error which of these are archived, and that they are used all the same."""
    things = [Thing(kind="prompt", name=prompt)]
    things += [Thing(kind="dataset", name=dataset.id)] if dataset is not None else []
    things += [Thing(kind="run", name=str(run))] if run is not None else []
    for one in engine.archive.look(things):
        if one.archived_at is not None:
            steps.say(
                safe(
                    f"redrive: {_name(one)} is archived; it is used all the same, and stays archived until "
                    f"`redrive restore --{one.thing.kind} {one.thing.name}`"
                )
            )


def _found(engine: Engine, runs: Sequence[int], prompts: Sequence[str], datasets: Sequence[str]) -> list[Thing]:
    there = engine.archive
    found = [there.run(one) for one in runs]
    found += [there.prompt(one) for one in prompts]
    found += [there.dataset(one) for one in datasets]
    return list(dict.fromkeys(found))


def _objects(found: Sequence[Archived]) -> list[dict[str, Any]]:
    return [
        {
            "kind": one.thing.kind,
            "name": one.thing.name,
            "title": one.title,
            "archived_at": one.archived_at,
            "open_dead_letters": one.open_letters if one.thing.kind == "run" else None,
        }
        for one in found
    ]


def _lines(found: Sequence[Archived]) -> Iterator[str]:
    now = time.time()
    for one in found:
        when = "not archived" if one.archived_at is None else f"archived {wording.ago(one.archived_at, now)}"
        letters = f", {wording.count(one.open_letters, 'open dead letter')}" if one.open_letters else ""
        yield f"{_name(one)}: {when}{letters}"


def _name(one: Archived) -> str:
    if one.thing.kind == "prompt":
        return f"prompt {one.thing.name}"
    return (
        f"run {one.thing.name} of {one.title}" if one.thing.kind == "run" else f"dataset {one.title} ({one.thing.name})"
    )
