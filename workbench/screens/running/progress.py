"""How a run stands, drawn again while it is at work: one bar whose parts add up, its pace, its money, why rows die."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from jobs.views.forecast import Outlook
from jobs.views.letters import Group
from jobs.views.runs import Counts, Run
from workbench import parts, session, wording
from workbench.screens.running import laddering, overnight, waiting

#: seconds between two looks at a run that works, and at one that waits for a person
GLANCE, CALM = 2.0, 5.0
#: causes of death that a run's head shows
CAUSES = 5
OWN = "as this run left them"


def standing(run: Run) -> str:
    """What the buttons and the timer of a run's page depend on."""
    return f"{run.state} {run.paused_by} {run.ended_at is None}"


def watched(run: Run, *, more: Callable[[Run], None] | None = None) -> None:
    """Draw the run's head, and draw it again until the run has ended; ``more`` is drawn under it each time."""

    def look() -> str:
        now = session.engine().runs.get(run.id)
        _head(now)
        laddering.table(now)
        if more is not None:
            more(now)
        return standing(now)

    parts.watch(look, standing=standing(run), every=looks_every(run))


def looks_every(run: Run) -> float | None:
    """Seconds after which a run is looked at again; None of one that has ended."""
    return None if run.ended_at is not None else CALM if run.state == "paused" else GLANCE


def _head(run: Run) -> None:
    if run.state == "paused" and run.paused_by != "person":
        parts.panel(
            run.reason or "no reason was recorded",
            title=f"Paused by the {run.paused_by or 'engine'}",
            hint=_remedy(run),
        )
    now = _since(run)
    parts.counts_bar(run.counts, label=OWN if now else "")
    if now:
        parts.counts_bar(now[0], label=now[1])
    parts.figures(_figures(run, session.engine().runs.outlook(run.id)))


def _since(run: Run) -> tuple[Counts, str] | None:
    """The run's rows as they stand by now and who brought that about; None while nothing was decided since."""
    if run.root != run.id or not run.counts.dead or run.kind in ("try", "evaluation"):
        return None
    runs = session.engine().runs
    told = since_words(runs.resolutions(run.id))
    if not told:
        return None
    _, accepted = runs.results(run.id, offset=0, limit=0, state="accepted")
    more = accepted - run.counts.accepted
    return replace(run.counts, accepted=accepted, dead=run.counts.dead - more), f"now: {told}"


def since_words(resolutions: Mapping[str, int]) -> str:
    """``8 accepted by replays, 1 corrected by hand``; empty while every letter is open."""
    told = (
        ("fixed", "accepted by replays"),
        ("corrected", "corrected by hand"),
        ("discarded", "discarded"),
        ("replaying", "being replayed"),
    )
    return ", ".join(f"{resolutions[name]:,} {words}" for name, words in told if resolutions.get(name))


def _remedy(run: Run) -> str:
    kept = f"{wording.count(run.counts.waiting, 'row')} waiting; nothing is lost meanwhile."
    if run.paused_by == "budget":
        return f"Give it another budget, which resumes it, or cancel it. {kept}"
    return f"These are the words of connection {run.connection} ({run.base_url}). Mend the cause, then resume. {kept}"


def _figures(run: Run, outlook: Outlook | None) -> list[parts.Figure]:
    return [
        _pace(run),
        *([waiting.figure(run)] if run.state == "running" else []),
        _time(run, outlook),
        _money(run),
        *_money_in_all(run, outlook),
        parts.Figure(
            label="Calls",
            value=wording.number(run.calls),
            note=f"{run.throttles:,} throttled" if run.throttles else "none throttled",
            help="requests sent, failed ones too",
        ),
        parts.Figure(
            label="Tokens",
            value=f"{run.prompt_tokens + run.completion_tokens:,}",
            note=wording.tokens(run.prompt_tokens, run.completion_tokens, run.cached_tokens),
        ),
    ]


def _pace(run: Run) -> parts.Figure:
    window = "over the last minute" if run.state == "running" else "over its last minute"
    shown = run.rows_a_minute is not None and run.state in ("running", "finished")
    return parts.Figure(
        label="Pace",
        value=wording.pace(run.rows_a_minute) if shown else wording.NOTHING,
        note=window if shown else wording.state(run.state).word if run.state != "running" else "no row has ended yet",
    )


def _time(run: Run, outlook: Outlook | None) -> parts.Figure:
    if run.ended_at is not None:
        ended = wording.exact(run.ended_at, session.zone())
        return parts.Figure(
            label="Took",
            value=wording.duration(run.seconds),
            note=f"ended {ended}",
            help="time at work: from its start to its last row, without pauses",
        )
    if run.state == "cancelled":
        out = run.counts.calls_out
        note = f"{wording.count(out, 'call')} in flight {'comes' if out == 1 else 'come'} home"
        return parts.Figure(label="Left", value=wording.NOTHING, note=note)
    worked = f"; at work for {wording.duration(run.seconds)}"
    when = "once it goes on; " if run.state == "paused" else ""
    if (wait := overnight.left(run)) is not None:
        value, why = wait
        return parts.Figure(label="Left", value=value, note=f"{when}{why}{worked}")
    help = "at the pace of its newest calls; the range holds it in 90 of 100 runs"
    if outlook is None or outlook.seconds is None:
        why = f"{'paused; ' if when else ''}{_why_no_time(outlook)}"
        return parts.Figure(label="Left", value=wording.NOTHING, note=f"{why}{worked}", help=help)
    value = wording.about(outlook.seconds, wording.duration)
    return parts.Figure(label="Left", value=value, note=f"{when}{_source(outlook)}{worked}", help=help)


def _why_no_time(outlook: Outlook | None) -> str:
    if outlook is None:
        return "it is at its end"
    if not outlook.n:
        return f"no call answered yet, {wording.count(outlook.out, 'call')} out"
    if outlook.calls is None:
        return f"too few replies to say: n = {outlook.n:,}, {wording.count(outlook.out, 'call')} out"
    return f"too early for a pace: n = {wording.count(outlook.n, 'reply', 'replies')} so far"


def _source(outlook: Outlook) -> str:
    """What the figures of a run's outlook come from."""
    return f"from n = {wording.count(outlook.n, 'reply', 'replies')} so far"


def _money(run: Run) -> parts.Figure:
    budget = run.options.budget
    if not run.price_known:
        note = f"no price is known for {' or '.join(run.models)}"
    elif budget is None:
        note = "no budget"
    else:
        note = f"of a budget of {wording.money(budget)}"
    if run.reserved >= 0.000001:
        what = "reserved" if run.counts.dispatched else "set aside for calls that broke off"
        note += f"; {wording.money(run.reserved)} {what}"
    over = budget is not None and run.cost is not None and run.cost >= 0.9 * budget
    return parts.Figure(
        label="Money" if run.ended_at is not None else "Money so far",
        value=wording.money(run.cost),
        note=note,
        tone="paused" if over else "plain",
    )


def _money_in_all(run: Run, outlook: Outlook | None) -> list[parts.Figure]:
    """What it will have cost, while it goes on and that can be said."""
    if outlook is None or outlook.cost is None:
        return []
    stop = outlook.stop
    note = _source(outlook)
    if stop is not None:
        note = f"{wording.stopped(stop.rows, run.counts.rows, stop.seconds, sure=stop.sure)}; {note}"
    return [
        parts.Figure(
            label="Money at the end",
            value=wording.about(outlook.cost, wording.money),
            note=note,
            tone="plain" if stop is None else "paused",
            help="what all its rows will have cost; the range holds it in 90 of 100 runs",
        )
    ]


def causes(run: Run) -> None:
    """Draw why rows of the run have died, the most frequent causes first; a cause opens its dead letters."""
    if not run.counts.dead:
        return
    groups = session.engine().runs.groups(run.id, limit=CAUSES)
    parts.section("Why rows died", note=now_words(run.counts.dead, session.engine().runs.resolutions(run.id)))
    columns = [
        parts.Column(key="title", label="Cause", kind="strong"),
        parts.Column(key="count", label="Rows", kind="number"),
        parts.Column(key="share", label="Share", kind="number", help="of the run's dead rows"),
        parts.Column(key="now", label="Now"),
        parts.Column(key="raw", label="An example of the raw reply", kind="wide"),
    ]
    rows = [parts.Row(group.signature, _cause(group, run)) for group in groups]
    opened = parts.table(columns, rows, key=f"causes:{run.id}", opens=True, label="causes of death").opened
    if opened:
        session.go("dead_letters", run=run.id, signature=opened, resolution="any")


def _cause(group: Group, run: Run) -> dict[str, str | parts.Cell]:
    return {
        "title": parts.text_cell(wording.cause(group.title)),
        "count": wording.number(group.count),
        "share": wording.percent(group.count, run.counts.dead),
        "now": resolution_words(group.resolutions),
        "raw": parts.text_cell(group.example_raw or "(nothing came back)", 160),
    }


def resolution_words(resolutions: Mapping[str, int]) -> str:
    """``150 fixed, 10 corrected, 40 open``."""
    order = ("fixed", "corrected", "discarded", "replaying", "open")
    told = [f"{resolutions[name]:,} {name}" for name in order if resolutions.get(name)]
    return ", ".join(told)


def now_words(dead: int, resolutions: Mapping[str, int]) -> str:
    """What has become of a run's dead rows: ``dead 200 (now: 150 fixed, 40 open)``."""
    told = resolution_words(resolutions)
    return f"dead {dead:,} (now: {told})" if told else f"dead {dead:,}"
