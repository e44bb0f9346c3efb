"""The ``redrive`` command: the same engine without a browser.

With ``--json`` exactly one JSON value goes to standard output; notices and progress go to standard error. Exit codes: 0 all
accepted, 3 finished with dead letters or cancelled, 4 paused, 5 an evaluation below its bar, 2 wrong input or usage, 1 our
fault, 130 Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

import jobs.lean  # noqa: F401
from jobs import errors, settings
from jobs.api import Engine
from jobs.views.costs import CallFilter
from jobs.views.prompts import Prompt
from workbench import archive, making, reports, steps, up, ways, wording
from workbench import doctor as doctor_checks
from workbench.given import (
    RUN,
    WORKERS,
    Given,
    Whole,
    everywhere,
    given,
    must_be_home,
    prompts_option,
    safe,
    workers_option,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="redrive")
def redrive() -> None:
    """Review-and-replay workbench for LLM data enrichment."""


for _command in (
    making.run_command,
    making.replay_command,
    making.eval_command,
    archive.archive_command,
    archive.restore_command,
):
    redrive.add_command(_command)


@redrive.command("up")
@everywhere
@prompts_option
@click.option("--workers", type=WORKERS, default=2, show_default=True, help="Workers to start.")
@click.option("--port", type=Whole(1, 65535), help="Where the screens are [8501, or the next free one].")
@click.option("--no-web", is_flag=True, help="Without the screens.")
def up_command(
    home: str | None, prompts: str | None, as_json: bool, workers: int, port: int | None, no_web: bool
) -> None:
    """Start everything on this machine and print the address."""
    here = given(home, prompts, as_json)
    raise SystemExit(
        up.up(here.settings, workers=workers, web=not no_web, port=port, say=lambda line: click.echo(line, err=as_json))
    )


@redrive.command("dead")
@click.argument("run", type=RUN)
@click.option("--group", metavar="SIGNATURE", help="Only those of this signature.")
@everywhere
def dead_command(run: int, group: str | None, home: str | None, as_json: bool) -> None:
    """The dead letters of RUN with their raw replies and problems."""
    here = given(home, None, as_json)
    with here.reading() as engine:
        name = reports.named(engine.runs.get(run))
        found = list(reports.dead_objects(engine, run, group))
        if group is not None and not found:
            raise errors.InputError(
                f"run {run} has no dead letter of group {group!r}{making.other_groups(engine, run, group)}"
            )
    here.put(
        found,
        [
            f"{name}: {wording.count(len(found), 'dead letter')}",
            *reports.dead_lines(found, most=None if group is not None else reports.SHOWN),
        ],
    )


@redrive.command("export")
@click.argument("run", type=RUN)
@click.option("--format", "form", type=click.Choice(["csv", "jsonl", "parquet"]), required=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE")
@click.option("--as-run", is_flag=True, help="The run's own values, without replays and corrections.")
@click.option("--accepted-only", is_flag=True, help="Leave out rows that have no value.")
@everywhere
def export_command(
    run: int, form: str, out: Path, as_run: bool, accepted_only: bool, home: str | None, as_json: bool
) -> None:
    """Write the current results of RUN to a file."""
    here = given(home, None, as_json)
    if str(out) == "-":
        raise errors.InputError("--out -: results go to a file, not to standard output; name one such as results.csv")
    with here.reading() as engine:
        seen = engine.runs.get(run)
        rows = engine.runs.export(run, form, out, as_run=as_run, accepted_only=accepted_only)  # type: ignore[arg-type]
    told = f"{reports.named(seen)}: {wording.count(rows, 'row')} written to {out}"
    here.put({"run": run, "kind": seen.kind, "rows": rows, "file": str(out)}, [told])


@redrive.command("stats")
@click.argument("run", type=RUN)
@everywhere
def stats_command(run: int, home: str | None, as_json: bool) -> None:
    """Counts, tokens, money and time of RUN."""
    here = given(home, None, as_json)
    with here.reading() as engine:
        seen = engine.runs.get(run)
        found = reports.run_object(engine, seen)
        now = engine.runs.resolutions(run)
        stands_still = seen.state == "running" and not engine.system.keeper_alive()
        its_calls = CallFilter(since=0, until=4e9, run=run)
        slices, where = engine.costs.slices(its_calls, by="run"), engine.costs.ways(its_calls)
    found["dead_now"] = now
    found |= ways.objects(where)
    if slices:
        one = slices[0]
        found["latency_seconds"] = {"p50": one.p50, "p95": one.p95, "p99": one.p99, "n": one.latency_n}
        found |= {"strikes": one.strikes, "throttles": one.throttles, "wasted_usd": one.wasted}
    lines = [*reports.run_lines(found), *ways.lines(where)]
    if stands_still:
        lines.append(f"  nothing is up for this home, so it stands still: redrive resume {run} --wait goes on")
    if now:
        lines.append("  dead letters now: " + ", ".join(f"{count} {state}" for state, count in sorted(now.items())))
    here.put(found, lines)


def _steering(name: str, text: str) -> None:
    @redrive.command(name, help=text)
    @click.argument("run", type=RUN)
    @everywhere
    def command(run: int, home: str | None, as_json: bool) -> None:
        here = given(home, None, as_json)
        with here.reading() as engine:
            engine.runs.get(run)
        with steps.engine_for_requests(here.settings) as engine:
            seen = getattr(engine.runs, name)(run)
            found = reports.run_object(engine, seen)
        here.put(found, reports.run_lines(found))


_steering("pause", "No new calls of RUN until it is resumed.")
_steering("cancel", "No new calls of RUN ever; what is in flight is kept.")


@redrive.command("resume")
@click.argument("run", type=RUN, required=False)
@click.option("--all", "every", is_flag=True, help="Every run that a crash left unfinished; not those a person paused.")
@click.option("--wait", is_flag=True, help="Until it has ended; implied where nothing is up for this home.")
@workers_option
@everywhere
def resume_command(
    run: int | None, every: bool, wait: bool, workers: int | None, home: str | None, as_json: bool
) -> None:
    """Go on with RUN, or with every unfinished run."""
    here = given(home, None, as_json)
    if (run is None) == (not every):
        raise click.UsageError("name a run, or say --all, and not both")
    if run is not None:
        _must_go_on(here, run)
    if up.running(here.settings) is not None and not wait:
        with steps.engine_for_requests(here.settings) as engine:
            chosen = [run] if run is not None else _unfinished(engine)
            seen = [engine.runs.resume(one) for one in chosen]
            making.say_runs(here, engine, seen, as_list=every)
        return
    with steps.engine_up(here.settings, workers=workers, quiet=here.as_json) as at_work:
        engine = at_work.engine
        chosen = [run] if run is not None else _unfinished(engine)
        for one in chosen:
            if engine.runs.get(one).state != "running":
                engine.runs.resume(one)
        seen = making.wait(here, at_work, chosen) if chosen else []
        making.say_runs(here, engine, seen, as_list=every)
    raise SystemExit(max((reports.exit_code(one) for one in seen), default=0))


@redrive.command("prompts")
@click.option("--archived", is_flag=True, help="Those that are archived too.")
@prompts_option
@everywhere
def prompts_command(archived: bool, prompts: str | None, home: str | None, as_json: bool) -> None:
    """The prompts in the folder and in the store."""
    here = given(home, prompts, as_json)
    with Engine(here.settings) as engine:
        found = engine.prompts.list(archived=None if archived else False)
    lines = [_prompt_line(one) for one in found]
    here.put([reports.prompt_object(one) for one in found], lines or [f"no prompts in {here.settings.prompts}"])


@redrive.command("worker")
@click.option("--redis", "redis_url", metavar="URL", help="The Redis that all machines share [REDIS_URL].")
@click.option("--home-id", metavar="ID", help="The home to work for, where several share that Redis.")
@everywhere
def worker_command(redis_url: str | None, home_id: str | None, home: str | None, as_json: bool) -> None:
    """Be one more worker of a home, here or on another machine; ends with Ctrl-C."""
    must_be_home(settings.load(home).home)
    words = [sys.executable, "-P", "-m", "jobs", "worker"]
    words += ["--home", home] if home else []
    words += ["--home-id", home_id] if home_id else []
    if redis_url:
        os.execve(sys.executable, words, settings.with_redis(redis_url))
    os.execv(sys.executable, words)


@redrive.command("doctor")
@click.option(
    "--connection", metavar="C", help="Find out what this endpoint honours, by a dozen tiny calls that are paid for."
)
@click.option("--model", metavar="M", help="Of that connection; its first where none is named.")
@prompts_option
@everywhere
def doctor_command(
    connection: str | None, model: str | None, prompts: str | None, home: str | None, as_json: bool
) -> None:
    """What is there, what is missing, and what to do."""
    if model and not connection:
        raise errors.InputError("--model needs --connection: it names a model of it")
    if connection:
        _probe(given(home, prompts, as_json), connection, model)
    here = given(home, prompts, as_json, as_it_is=True)
    checks = doctor_checks.checks(here.settings)
    here.put(doctor_checks.as_rows(checks), doctor_checks.as_lines(checks))
    raise SystemExit(1 if any(check.state == "fail" for check in checks) else 0)


def _probe(here: Given, name: str, model: str | None) -> NoReturn:
    """Say what an endpoint honours."""
    connection = here.settings.with_embedded().connection(name)
    asked = model or next(iter(connection.models), None)
    if asked is None:
        raise errors.InputError(f"connection {name!r} names no model: name one with --model")
    with Engine(here.settings) as engine:
        findings = engine.system.probe(connection, asked)
    here.put(
        [{"connection": name, "model": asked, **finding.model_dump()} for finding in findings],
        [f"{finding.feature:13} {finding.answer:8} {finding.words}" for finding in findings],
    )
    raise SystemExit(0 if findings[0].answer == "yes" else 1)


def _unfinished(engine: Engine) -> list[int]:
    runs, _ = engine.runs.list(state="running", limit=1000)
    return sorted(run.id for run in runs)


def _must_go_on(here: Given, run: int) -> None:
    with here.reading() as engine:
        seen = engine.runs.get(run)
    if seen.ended_at is not None or seen.state == "cancelled":
        raise errors.InputError(
            f"run {run} is {seen.state}: there is nothing to go on with; `redrive replay {run}` asks again"
        )


def _prompt_line(prompt: Prompt) -> str:
    marks = "".join(f" [{label}=@{number}]" for label, number in prompt.labels.items())
    version = f"@{prompt.latest}" if prompt.latest is not None else "(not stored yet)"
    differs = prompt.in_folder and prompt.latest is not None and not prompt.folder_is_latest and not prompt.folder_error
    other = "  (the folder holds another content, and the bare name means the folder)" if differs else ""
    marks += " [archived]" if prompt.archived_at is not None else ""
    return f"{prompt.name} {version}{marks}  {prompt.folder_error or prompt.description}{other}"


def _say(message: str) -> None:
    """What went wrong, which may name a column or a file by what somebody else wrote."""
    click.echo("\n".join(safe(line) for line in f"redrive: {message}".splitlines()), err=True)


def main() -> None:
    """Run a command and leave with its documented exit code."""
    try:
        redrive.main(standalone_mode=False)
    except click.exceptions.Exit as left:
        sys.exit(left.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except (errors.InputError, errors.Refused) as error:
        _say(error.message)
        sys.exit(2)
    except errors.RedriveError as error:
        _say(error.message)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:  # a full disk, a file that may not be written
        _say(f"{error.filename or 'a file'}: {error.strerror or error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
