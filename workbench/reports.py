"""What the command line says of runs, dead letters and evaluations: plain objects for ``--json``, and the same in lines."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from jobs.api import Engine
from jobs.estimates import CONFIDENCE, Estimate
from jobs.views.costs import CallFilter
from jobs.views.forecast import Outlook
from jobs.views.letters import Attempt, Inspection
from jobs.views.prompts import Prompt
from jobs.views.runs import Run, RungTally
from workbench import wording

#: seconds; a clock that was set back hides no call
_DAY = 86_400.0
#: letters that are looked up at once
_PAGE = 200
#: letters of a group, and characters of a raw reply, that are shown to a person
SHOWN, _RAW = 20, 600


def named(run: Run) -> str:
    """A run by its number, with what kind of run it is: ``run 1, a try of triage@2``."""
    return _named(run.id, run.kind, run.version, run.parent)


def _named(number: int, kind: str, version: str, parent: int | None) -> str:
    if kind == "replay":
        return f"run {number}, a replay of run {parent} with {version}"
    if kind == "run":
        return f"run {number} of {version}"
    return f"run {number}, {'an' if kind == 'evaluation' else 'a'} {wording.KINDS.get(kind, kind)} of {version}"


def run_object(engine: Engine, run: Run) -> dict[str, Any]:
    """A run as ``--json`` prints it."""
    counts = run.counts
    found: dict[str, Any] = {
        "run": run.id,
        "kind": run.kind,
        "prompt": run.version,
        "model": run.model,
        "connection": run.connection,
        "rows": counts.rows,
        "accepted": counts.accepted,
        "dead": counts.dead,
        "waiting": counts.waiting,
        "cancelled": counts.cancelled,
        "reused": counts.reused,
        "calls": run.calls,
        "tokens": {
            "prompt": run.prompt_tokens,
            "completion": run.completion_tokens,
            "cached": run.cached_tokens,
        },
        "cost_usd": None if run.cost is None else round(run.cost, 8),
        "set_aside": _set_aside(engine, run),
        "seconds": round(run.seconds, 3),
        "state": run.state,
        "reason": run.reason,
        "archived_at": run.archived_at,
        "forecast": _forecast(engine.runs.outlook(run.id)),
    }
    if run.options.batch != "no":
        found["batches"] = [asdict(one) for one in engine.runs.batches(run.id)]
    if run.upper:
        found["answered_by"] = [_rung(one) for one in engine.runs.rungs(run.id)]
    if run.kind == "replay":
        outcome = engine.letters.outcome(run.id)
        found |= {
            "replay_of": run.parent,
            "fixed": outcome.fixed,
            "taken_back": outcome.taken_back,
            "same_failure": outcome.same_failure,
            "new_failure": outcome.new_failure,
        }
    return found


def _set_aside(engine: Engine, run: Run) -> dict[str, Any] | None:
    """What counts against the budget beside the cost: of calls that are out, and of those of unknown end; None without a price."""
    if not run.price_known:
        return None
    until = time.time() + _DAY
    (total,) = engine.costs.slices(CallFilter(since=0.0, until=until, run=run.id), by="total")
    return {
        "usd": round(run.reserved, 8),
        "unsettled_calls": total.open_calls,
        "unsettled_usd": round(total.set_aside, 8),
    }


def _rung(one: RungTally) -> dict[str, Any]:
    """What a rung of its ladder has done."""
    return {
        "model": one.model,
        "connection": one.connection,
        "rows": one.rows,
        "asked": one.asked,
        "accepted": one.accepted,
        "dead": one.dead,
        "reused": one.reused,
        "climbed": one.climbed,
        "straight": one.straight,
        "calls": one.calls,
        "cost_usd": None if one.cost is None else round(one.cost, 8),
    }


def _forecast(found: Outlook | None) -> dict[str, Any] | None:
    """What a run that goes on is likely to come to; a figure is null where too few replies have come to say."""
    if found is None:
        return None
    return {
        "confidence": CONFIDENCE,
        "n": found.n,
        "calls_out": found.out,
        "calls": _range(found.calls, 0),
        "tokens": _range(found.tokens, 0),
        "cost_usd": _range(found.cost, 8),
        "seconds_left": _range(found.seconds, 1),
        "budget_stop": None
        if found.stop is None
        else {"sure": found.stop.sure, "rows": found.stop.rows, "seconds": found.stop.seconds},
    }


def _range(figure: Estimate | None, digits: int) -> dict[str, float | None] | None:
    if figure is None:
        return None
    ends = {"about": figure.about, "low": figure.low, "high": figure.high}
    return {name: None if end is None else round(end, digits) for name, end in ends.items()}


def _forecast_line(found: dict[str, Any]) -> str:
    told = [
        f"{wording.about(Estimate(**found[name]), words)} {what}"
        for name, words, what in (
            ("cost_usd", wording.money, "in all"),
            ("calls", wording.rounded, "calls in all"),
            ("seconds_left", wording.duration, "left"),
        )
        if found[name] is not None
    ]
    if not told:
        return f"  too few replies to say what it will take: n = {found['n']}, with {found['calls_out']} calls out"
    return f"  to its end: {', '.join(told)}; from n = {wording.count(found['n'], 'reply', 'replies')} of its own"


def _dollars(usd: float) -> str:
    return f"${usd:.6f}" if usd else "$0"


def run_lines(found: dict[str, Any]) -> Iterator[str]:
    """The same for a person."""
    cost = "unknown price" if found["cost_usd"] is None else _dollars(found["cost_usd"])
    tokens = found["tokens"]
    name = _named(found["run"], found["kind"], found["prompt"], found.get("replay_of"))
    yield f"{name} on {found['model']}: {found['state']}"
    if found["reason"]:
        yield f"  why: {found['reason']}"
    yield (
        f"  {wording.count(found['rows'], 'row')} = {found['accepted']} accepted + {found['dead']} dead + {found['cancelled']} cancelled"
        f" + {found['waiting']} waiting"
    )
    yield (
        f"  {wording.count(found['calls'], 'call')}, {tokens['prompt']} + {tokens['completion']} tokens ({tokens['cached']} cached), "
        f"{cost}, {found['seconds']:.1f} s, {wording.count(found['reused'], 'row')} reused"
    )
    if (aside := found["set_aside"]) is not None and (aside["usd"] or aside["unsettled_calls"]):
        calls = wording.count(aside["unsettled_calls"], "call")
        unsettled = (
            f", {_dollars(aside['unsettled_usd'])} of it for {calls} of unknown end" if aside["unsettled_calls"] else ""
        )
        yield f"  set aside: {_dollars(aside['usd'])}{unsettled}"
    if found["forecast"] is not None:
        yield _forecast_line(found["forecast"])
        if (stop := found["forecast"]["budget_stop"]) is not None:
            yield f"  {wording.stopped(stop['rows'], found['rows'], stop['seconds'], sure=stop['sure'])}"
    for one in found.get("answered_by", ()):
        yield f"  {one['model']} at {one['connection']}: {_rung_words(one)}"
    if "replay_of" in found:
        yield (
            f"  of its dead letters: {found['fixed']} fixed, {found['taken_back']} taken back, "
            f"{found['same_failure']} failed the same way, "
            f"{found['new_failure']} failed a new way"
        )


def _rung_words(one: dict[str, Any]) -> str:
    told = [f"{one['accepted']:,} accepted", f"{wording.count(one['calls'], 'call')}"]
    if one["cost_usd"] is not None:
        told.append(_dollars(one["cost_usd"]))
    if one["climbed"]:
        told.append(f"{sum(one['climbed'].values()):,} went on ({wording.climbed(one['climbed'])})")
    if one["straight"]:
        told.append(f"{one['straight']:,} came straight here")
    return ", ".join(told)


def dead_objects(engine: Engine, run_id: int, signature: str | None) -> Iterator[dict[str, Any]]:
    """Every dead letter of a run, whatever became of it."""
    offset = 0
    while True:
        letters, total = engine.letters.list(
            run=run_id, signature=signature, resolution=None, offset=offset, limit=_PAGE
        )
        for letter in letters:
            yield dead_object(engine.letters.inspect(letter.run, letter.ordinal))
        offset += _PAGE
        if offset >= total:
            return


def dead_object(seen: Inspection) -> dict[str, Any]:
    """A dead letter with all its attempts; the last one that was judged comes first in the fields of its own."""
    letter = seen.letter
    decided = next((one for one in reversed(seen.attempts) if one.problems), None)
    return {
        "row": seen.row_id,
        "ordinal": seen.ordinal,
        "signature": letter.signature if letter else None,
        "title": letter.title if letter else None,
        "resolution": letter.resolution if letter else None,
        "problems": [problem.model_dump() for problem in decided.problems] if decided else [],
        "raw": decided.raw if decided else None,
        "finish_reason": decided.finish_reason if decided else None,
        "attempts": [attempt_object(one) for one in seen.attempts],
    }


def attempt_object(attempt: Attempt) -> dict[str, Any]:
    """One attempt of a row."""
    return {
        "attempt": attempt.id,
        "try_id": attempt.try_id,
        "asked": attempt.asked,
        "verdict": attempt.verdict,
        "strike": attempt.strike,
        "superseded": attempt.superseded,
        "problems": [problem.model_dump() for problem in attempt.problems],
        "failure": attempt.failure.model_dump(mode="json") if attempt.failure else None,
        "raw": attempt.raw,
        "finish_reason": attempt.finish_reason,
        "status": attempt.status,
        "model": attempt.model,
        "tokens": {
            "prompt": attempt.prompt_tokens,
            "completion": attempt.completion_tokens,
            "cached": attempt.cached_tokens,
        },
        "cost_usd": attempt.cost,
        "seconds": attempt.seconds,
        "sent_at": attempt.sent_at,
    }


def dead_lines(found: Sequence[dict[str, Any]], *, most: int | None = SHOWN) -> Iterator[str]:
    """Dead letters by group, for a person: of each group the first ones, with their problems and the head of the reply."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        groups.setdefault(str(one["signature"]), []).append(one)
    for signature, members in sorted(groups.items(), key=lambda pair: -len(pair[1])):
        yield f"{len(members)} × {members[0]['title']}"
        yield f"    --group '{signature}'"
        for one in members[:most]:
            yield f"    row {one['row']} ({one['resolution']})"
            yield from _letter_lines(one)
        if most is not None and len(members) > most:
            yield f"    ... and {len(members) - most} more; with --group all of them are shown"


def _letter_lines(one: dict[str, Any]) -> Iterator[str]:
    for problem in one["problems"]:
        told = [f"{name} {problem[name]}" for name in ("expected", "got") if problem[name]]
        yield f"        {wording.broken(problem['path'], problem['rule'])}{': ' if told else ''}{', '.join(told)}"
    failures = [attempt["failure"]["message"] for attempt in one["attempts"] if attempt["failure"]]
    if failures and not one["problems"]:
        yield f"        {failures[-1]}"
    raw = one["raw"]
    if raw is None:
        yield "        nothing came back"
    else:
        yield f"        reply: {raw[:_RAW]!r}{f' and {len(raw) - _RAW:,} characters more' if len(raw) > _RAW else ''}"


def prompt_object(prompt: Prompt) -> dict[str, Any]:
    """A prompt as ``--json`` prints it."""
    return {
        "prompt": prompt.name,
        "description": prompt.description,
        "latest": prompt.latest,
        "labels": prompt.labels,
        "in_folder": prompt.in_folder,
        "folder_is_latest": prompt.folder_is_latest,
        "error": prompt.folder_error,
        "runs": prompt.runs,
        "archived_at": prompt.archived_at,
    }


def evaluation_lines(report: dict[str, Any]) -> Iterator[str]:
    """An evaluation for a person: agreement per field, each with its n."""
    who, rows = f"{report['model']} at {report['connection']}", wording.count(report["rows"], "golden row")
    yield f"{report['prompt']} by {who}: {report['answered']} of {rows} answered"
    for field in report["fields"]:
        agreement = field["agreement"]
        figure = "no n" if agreement is None else f"{agreement:6.1%}"
        yield f"  {field['path']:<24} {figure}  ({field['agree']} of {field['n']})"
    overall = report["agreement"]
    yield f"  {'all fields':<24} {'no n' if overall is None else f'{overall:6.1%}'}  (n = {report['n']})"
    if any(field["n"] < report["rows"] - report["waiting"] for field in report["fields"]):
        yield "  n is smaller where a golden row leaves the expectation empty: there the field is not checked"


def exit_code(run: Run) -> int:
    """0 all accepted, 3 dead letters or cancelled, 4 paused."""
    if run.state == "paused":
        return 4
    return 3 if run.counts.dead or run.counts.cancelled or run.state == "cancelled" else 0
