"""The ``redrive`` command: the same engine without a browser.

With ``--json`` exactly one JSON value goes to standard output; notices and progress go to standard error. Exit codes: 0 all
accepted, 3 finished with dead letters or cancelled, 4 paused, 5 an evaluation below its bar, 2 wrong input or usage, 1 our
fault, 130 Ctrl-C.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from jobs import errors, settings
from jobs.api import Engine
from jobs.options import RunOptions
from jobs.settings import Settings
from jobs.views import CallFilter, Prompt, Run
from workbench import doctor as doctor_checks
from workbench import reports, steps, up

F = TypeVar("F", bound=Callable[..., Any])
#: a run's number: no larger than SQLite's integers
RUN = click.IntRange(1, 2**62)


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
                click.echo(_safe(line))


def everywhere(command: F) -> F:
    """The options that every command takes."""
    command = click.option("--json", "as_json", is_flag=True, help="Print one JSON value on standard output.")(command)
    return click.option("--home", metavar="DIR", help="The home folder [REDRIVE_HOME, or data/local].")(command)


def prompts_option(command: F) -> F:
    """Where prompts are."""
    return click.option("--prompts", metavar="DIR", help="The prompts folder [REDRIVE_PROMPTS, or prompts].")(command)


def run_options(command: F) -> F:
    """The options of a run."""
    for option in reversed(
        (
            click.option("--model", metavar="M", help="The model, if not the version's or the connection's first."),
            click.option("--connection", metavar="C", help="The connection, if not the first."),
            click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N rows."),
            click.option("--rows-per-call", type=click.IntRange(1), metavar="K", help="Rows in one call: 1 for now."),
            click.option("--strikes", type=click.IntRange(1, 10), metavar="N", help="Strikes to a dead letter [3]."),
            click.option(
                "--in-flight", type=click.IntRange(1, 2000), metavar="N", help="Calls at once, over all lanes."
            ),
            click.option(
                "--workers", type=click.IntRange(1, 64), metavar="N", help="Workers to start, if any are [2]."
            ),
            click.option("--rpm", type=click.IntRange(1), metavar="N", help="Requests a minute at the most."),
            click.option("--tpm", type=click.IntRange(1), metavar="N", help="Tokens a minute at the most."),
            click.option("--budget", type=float, metavar="USD", help="Money that the run may spend."),
            click.option("--timeout", type=float, metavar="S", help="Seconds for one request [60]."),
        )
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="redrive")
def redrive() -> None:
    """Review-and-replay workbench for LLM data enrichment."""


@redrive.command("up")
@everywhere
@prompts_option
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Workers to start.")
@click.option("--port", type=click.IntRange(1, 65535), help="Where the screens are [8501, or the next free one].")
@click.option("--no-web", is_flag=True, help="Without the screens.")
def up_command(
    home: str | None, prompts: str | None, as_json: bool, workers: int, port: int | None, no_web: bool
) -> None:
    """Start everything on this machine and print the address."""
    given = _given(home, prompts, as_json)
    raise SystemExit(
        up.up(
            given.settings, workers=workers, web=not no_web, port=port, say=lambda line: click.echo(line, err=as_json)
        )
    )


@redrive.command("run")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--prompt", required=True, metavar="NAME", help="NAME, NAME@3 or NAME@production.")
@click.option("--id-column", metavar="C", help="The column that holds each row's id.")
@run_options
@prompts_option
@everywhere
def run_command(file: Path, prompt: str, id_column: str | None, **rest: Any) -> None:
    """Push FILE through a prompt from start to end."""
    given = _given(rest["home"], rest["prompts"], rest["as_json"])
    _must_be_file(file)
    _must_be_usable(given, rest)
    with Engine(given.settings) as engine:
        version = engine.prompts.resolve(prompt)
        dataset = engine.datasets.add(file)
        engine.runs.usable(version, dataset, id_column=id_column)
    with steps.engine_up(given.settings, workers=rest["workers"], quiet=given.as_json) as at_work:
        connection = at_work.settings.connection(rest["connection"])
        run = at_work.engine.runs.start(
            version=version,
            dataset=dataset,
            connection=connection,
            model=rest["model"],
            options=_options(rest, in_flight=connection.in_flight, defaults=version.defaults),
            limit=rest["limit"],
            id_column=id_column or dataset.id_column,
            key=uuid.uuid4().hex,
        )
        _see_through(given, at_work, [run])


@redrive.command("replay")
@click.argument("run", type=RUN)
@click.option("--prompt", metavar="NAME@V", help="With this version; without it, the run's own.")
@click.option("--group", metavar="SIGNATURE", help="Only the dead letters of this signature.")
@run_options
@prompts_option
@everywhere
def replay_command(run: int, prompt: str | None, group: str | None, **rest: Any) -> None:
    """Ask the open dead letters of RUN again, as a run of its own."""
    given = _given(rest["home"], rest["prompts"], rest["as_json"])
    _must_be_usable(given, rest)
    with _reading(given) as engine:
        before = engine.runs.get(run)
        version = engine.prompts.resolve(prompt) if prompt else None
        letters = engine.letters.ids(run=run, signature=group)[: rest["limit"]]
        if not letters:
            raise errors.InputError(_nothing_open(engine, run, group))
    with steps.engine_up(given.settings, workers=rest["workers"], quiet=given.as_json) as at_work:
        engine = at_work.engine
        connection = at_work.settings.connection(rest["connection"] or before.connection)
        made = engine.letters.replay(
            letters,
            version=version,
            model=rest["model"],
            connection=connection,
            options=_options(rest, in_flight=before.options.in_flight, defaults=before.options.model_dump()),
            key=uuid.uuid4().hex,
        )
        _see_through(given, at_work, made)


@redrive.command("dead")
@click.argument("run", type=RUN)
@click.option("--group", metavar="SIGNATURE", help="Only those of this signature.")
@everywhere
def dead_command(run: int, group: str | None, home: str | None, as_json: bool) -> None:
    """The dead letters of RUN with their raw replies and problems."""
    given = _given(home, None, as_json)
    with _reading(given) as engine:
        engine.runs.get(run)
        found = list(reports.dead_objects(engine, run, group))
    given.put(found, reports.dead_lines(found))


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
    given = _given(home, None, as_json)
    with _reading(given) as engine:
        rows = engine.runs.export(run, form, out, as_run=as_run, accepted_only=accepted_only)  # type: ignore[arg-type]
    given.put({"run": run, "rows": rows, "file": str(out)}, [f"{rows} rows written to {out}"])


@redrive.command("stats")
@click.argument("run", type=RUN)
@everywhere
def stats_command(run: int, home: str | None, as_json: bool) -> None:
    """Counts, tokens, money and time of RUN."""
    given = _given(home, None, as_json)
    with _reading(given) as engine:
        seen = engine.runs.get(run)
        found = reports.run_object(engine, seen)
        now = engine.runs.resolutions(run)
        stands_still = seen.state == "running" and not engine.system.keeper_alive()
        slices = engine.costs.slices(CallFilter(since=0, until=4e9, run=run), by="run")
    found["dead_now"] = now
    if slices:
        one = slices[0]
        found["latency_seconds"] = {"p50": one.p50, "p95": one.p95, "p99": one.p99, "n": one.latency_n}
        found |= {"strikes": one.strikes, "throttles": one.throttles, "wasted_usd": one.wasted}
    lines = list(reports.run_lines(found))
    if stands_still:
        lines.append(f"  nothing is up for this home, so it stands still: redrive resume {run} --wait goes on")
    if now:
        lines.append("  dead letters now: " + ", ".join(f"{count} {state}" for state, count in sorted(now.items())))
    given.put(found, lines)


def _steering(name: str, text: str) -> None:
    @redrive.command(name, help=text)
    @click.argument("run", type=RUN)
    @everywhere
    def command(run: int, home: str | None, as_json: bool) -> None:
        given = _given(home, None, as_json)
        _must_have_run(given, run)
        with steps.engine_for_requests(given.settings) as engine:
            seen = getattr(engine.runs, name)(run)
            found = reports.run_object(engine, seen)
        given.put(found, reports.run_lines(found))


_steering("pause", "No new calls of RUN until it is resumed.")
_steering("cancel", "No new calls of RUN ever; what is in flight is kept.")


@redrive.command("resume")
@click.argument("run", type=RUN, required=False)
@click.option("--all", "every", is_flag=True, help="Every run that a crash left unfinished; not those a person paused.")
@click.option("--wait", is_flag=True, help="Until it has ended; implied where nothing is up for this home.")
@click.option("--workers", type=click.IntRange(1, 64), help="Workers to start, if any are.")
@everywhere
def resume_command(
    run: int | None, every: bool, wait: bool, workers: int | None, home: str | None, as_json: bool
) -> None:
    """Go on with RUN, or with every unfinished run."""
    given = _given(home, None, as_json)
    if (run is None) == (not every):
        raise click.UsageError("name a run, or say --all")
    if run is not None:
        _must_go_on(given, run)
    if up.running(given.settings) is not None and not wait:
        with steps.engine_for_requests(given.settings) as engine:
            chosen = [run] if run is not None else _unfinished(engine)
            seen = [engine.runs.resume(one) for one in chosen]
            _say_runs(given, engine, seen, as_list=every)
        return
    with steps.engine_up(given.settings, workers=workers, quiet=given.as_json) as at_work:
        engine = at_work.engine
        chosen = [run] if run is not None else _unfinished(engine)
        for one in chosen:
            if engine.runs.get(one).state != "running":
                engine.runs.resume(one)
        seen = steps.wait_for(at_work, chosen, progress=not given.as_json) if chosen else []
        _say_runs(given, engine, seen, as_list=every)
    raise SystemExit(max((reports.exit_code(one) for one in seen), default=0))


@redrive.command("eval")
@click.argument("prompt", metavar="NAME@V")
@click.option(
    "--golden", type=click.Path(path_type=Path), metavar="FILE", help="Another file than the prompt's golden.csv."
)
@click.option("--min", "bar", type=click.FloatRange(0, 1), metavar="X", help="Exit with 5 where agreement is below.")
@run_options
@prompts_option
@everywhere
def eval_command(prompt: str, golden: Path | None, bar: float | None, **rest: Any) -> None:
    """Run a prompt's golden rows and print the agreement per field with its n."""
    given = _given(rest["home"], rest["prompts"], rest["as_json"])
    name = prompt.split("@", 1)[0]
    file = golden or given.settings.prompts / name / "golden.csv"
    _must_be_usable(given, rest)
    with Engine(given.settings) as engine:
        version = engine.prompts.resolve(prompt)
    _must_be_file(file)
    with steps.engine_up(given.settings, workers=rest["workers"], quiet=given.as_json) as at_work:
        engine = at_work.engine
        connection = at_work.settings.connection(rest["connection"])
        run = engine.evaluations.start(
            version,
            file,
            connection=connection,
            model=rest["model"],
            options=_options(rest, in_flight=connection.in_flight, defaults=version.defaults),
            key=uuid.uuid4().hex,
        )
        seen = steps.wait_for(at_work, [run], progress=not given.as_json)[0]
        report = engine.evaluations.report(run)
    report |= {"state": seen.state, "reason": seen.reason, "min": bar}
    given.put(report, reports.evaluation_lines(report))
    if seen.state == "paused":
        raise SystemExit(4)
    if bar is not None and (report["agreement"] is None or report["agreement"] < bar):
        if not given.as_json:
            steps.say(f"below the bar of {bar:.1%}")
        raise SystemExit(5)


@redrive.command("prompts")
@prompts_option
@everywhere
def prompts_command(prompts: str | None, home: str | None, as_json: bool) -> None:
    """The prompts in the folder and in the store."""
    given = _given(home, prompts, as_json)
    with Engine(given.settings) as engine:
        found = engine.prompts.list()
    lines = [_prompt_line(one) for one in found]
    given.put([reports.prompt_object(one) for one in found], lines or [f"no prompts in {given.settings.prompts}"])


@redrive.command("worker")
@click.option("--redis", "redis_url", metavar="URL", help="The Redis that all machines share [REDIS_URL].")
@everywhere
def worker_command(redis_url: str | None, home: str | None, as_json: bool) -> None:
    """Be one more worker of a home, here or on another machine; ends with Ctrl-C."""
    words = [sys.executable, "-P", "-m", "jobs", "worker"]
    words += ["--home", home] if home else []
    if redis_url:
        os.execve(sys.executable, words, settings.with_redis(redis_url))
    os.execv(sys.executable, words)


@redrive.command("doctor")
@prompts_option
@everywhere
def doctor_command(prompts: str | None, home: str | None, as_json: bool) -> None:
    """What is there, what is missing, and what to do."""
    given = _given(home, prompts, as_json)
    checks = doctor_checks.checks(given.settings)
    given.put(doctor_checks.as_rows(checks), doctor_checks.as_lines(checks))
    raise SystemExit(1 if any(check.state == "fail" for check in checks) else 0)


# -- shared ------------------------------------------------------------------------------------------------------------


def _given(home: str | None, prompts: str | None, as_json: bool) -> Given:
    if prompts is not None and not Path(prompts).is_dir():
        raise errors.InputError(f"--prompts {prompts}: there is no such folder")
    return Given(settings=settings.load(home, prompts), as_json=as_json)


def _options(rest: dict[str, Any], *, in_flight: int, defaults: dict[str, Any]) -> RunOptions:
    """The run's options: the command line over the version's defaults over the connection's."""
    chosen: dict[str, Any] = {"in_flight": in_flight}
    chosen |= {name: value for name, value in defaults.items() if name in RunOptions.model_fields}
    chosen |= {name: rest[name] for name in RunOptions.model_fields if rest.get(name) is not None}
    if chosen.get("rows_per_call", 1) != 1:
        raise errors.InputError("--rows-per-call: this version asks one row a call")
    try:
        return RunOptions.model_validate(chosen)
    except ValidationError as error:
        first = error.errors()[0]
        flag = "--" + str(first["loc"][0]).replace("_", "-")
        raise errors.InputError(f"{flag} {first['input']}: {first['msg']}") from error


def _must_be_usable(given: Given, rest: dict[str, Any]) -> None:
    """Refuse options and connections that cannot be, before anything is started."""
    _options(rest, in_flight=1, defaults={})
    wanted = rest["connection"]
    if wanted and given.settings.wants_embedded and wanted != settings.EMBEDDED:
        raise errors.InputError(f"no connection is named {wanted!r}; known: {settings.EMBEDDED} (the embedded model)")
    if wanted and not given.settings.wants_embedded:
        given.settings.connection(wanted)


def _see_through(given: Given, at_work: steps.AtWork, made: Sequence[int]) -> None:
    """Wait for runs, say what they came to, and leave with their exit code."""
    try:
        seen = steps.wait_for(at_work, made, progress=not given.as_json)
    except KeyboardInterrupt:
        steps.say(f"\nstopped waiting; go on with: redrive resume {made[0]} --wait")
        raise
    _say_runs(given, at_work.engine, seen, as_list=False)
    raise SystemExit(max(reports.exit_code(run) for run in seen))


def _say_runs(given: Given, engine: Engine, seen: list[Run], *, as_list: bool) -> None:
    found = [reports.run_object(engine, run) for run in seen]
    lines = [line for one in found for line in reports.run_lines(one)]
    given.put(found if as_list else found[0], lines or ["nothing is unfinished"])


def _unfinished(engine: Engine) -> list[int]:
    runs, _ = engine.runs.list(state="running", limit=1000)
    return sorted(run.id for run in runs)


def _reading(given: Given) -> Engine:
    _must_have_home(given)
    return Engine(given.settings)


def _must_have_home(given: Given) -> None:
    if not given.settings.database.exists():
        raise errors.InputError(
            f"there is no home in {given.settings.home}: name another with --home, or begin with `redrive run`"
        )


def _must_have_run(given: Given, run: int) -> None:
    with _reading(given) as engine:
        engine.runs.get(run)


def _must_go_on(given: Given, run: int) -> None:
    with _reading(given) as engine:
        seen = engine.runs.get(run)
    if seen.ended_at is not None or seen.state == "cancelled":
        raise errors.InputError(
            f"run {run} is {seen.state}: there is nothing to go on with; `redrive replay {run}` asks again"
        )


def _must_be_file(file: Path) -> None:
    if not file.exists():
        raise errors.InputError(f"{file}: there is no such file")
    if not file.is_file():
        raise errors.InputError(f"{file}: this is not a file")


def _nothing_open(engine: Engine, run: int, group: str | None) -> str:
    now = engine.runs.resolutions(run)
    states = ", ".join(f"{count} {state}" for state, count in sorted(now.items())) or "none at all"
    which = f" of group {group!r}" if group else ""
    return f"run {run} has no open dead letter{which} (its dead letters: {states})"


def _prompt_line(prompt: Prompt) -> str:
    marks = "".join(f" [{label}=@{number}]" for label, number in prompt.labels.items())
    version = f"@{prompt.latest}" if prompt.latest is not None else "(not stored yet)"
    differs = prompt.in_folder and prompt.latest is not None and not prompt.folder_is_latest and not prompt.folder_error
    other = "  (the folder holds another content, and the bare name means the folder)" if differs else ""
    return f"{prompt.name} {version}{marks}  {prompt.folder_error or prompt.description}{other}"


def _safe(line: str) -> str:
    """Text that a terminal cannot take for commands."""
    return "".join(
        char if char.isprintable() or char in "\t" else char.encode("unicode_escape").decode() for char in line
    )


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
        click.echo(f"redrive: {error.message}", err=True)
        sys.exit(2)
    except errors.RedriveError as error:
        click.echo(f"redrive: {error.message}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)


if __name__ == "__main__":
    main()
