"""Why a run that is at work does not go faster: the one thing that its calls wait for now."""

from __future__ import annotations

from jobs.views.runs import Run
from jobs.views.system import Pool
from workbench import parts, session, wording

#: seconds for which what was short last still counts as what is waited for
RECENT = 5.0
_SAID = {
    "settings": "as connections.toml says",
    "headers": "as the provider's headers say",
    "found": "found out by what it refused",
}
_HELP = "what calls that could begin are waiting for"


def figure(run: Run) -> parts.Figure:
    """What a run that is at work waits for."""
    system = session.engine().system
    if not system.keeper_alive():
        return _made("the keeper", "it is not running: see System", tone="paused")
    if (trouble := system.trouble()) is not None:
        return _made("the keeper", trouble.words, tone="paused")
    return why(run, system.pool(run.connection, run.model))


def why(run: Run, pool: Pool | None) -> parts.Figure:
    """The same from what is known."""
    counts = run.counts
    if pool is not None and pool.cool > 0:
        return _made(
            "a cool-down", f"{wording.duration(pool.cool)} more: the provider says that nothing remains", tone="paused"
        )
    short = pool.short if pool is not None and pool.short_ago is not None and pool.short_ago <= RECENT else ""
    if pool is not None and short in pool.rates:
        return _made(short, f"{rate(short, pool.rates[short])}, {_SAID[pool.sources[short]]}")
    if counts.calls_out:
        own = f"{counts.calls_out:,} of {run.options.in_flight:,} calls that may be in flight"
        return _made("replies", own)
    if counts.backing_off and counts.backing_off >= counts.waiting - counts.dispatched:
        return _made("a back-off", f"{wording.count(counts.backing_off, 'row')} after a throttle or an error")
    return _made("a worker", "no call has begun: is a worker up? See System", tone="paused")


def rate(what: str, per_second: float) -> str:
    """``150 requests a second``; slow ones a minute."""
    noun = {"requests": "request", "input": "input token", "output": "output token"}.get(what, "token")
    if per_second >= 1:
        return f"{wording.count(round(per_second), noun)} a second"
    return f"{wording.count(round(per_second * 60), noun)} a minute"


def said(source: str) -> str:
    """Who says what a limit is."""
    return _SAID[source]


def _made(value: str, note: str, *, tone: wording.Tone = "plain") -> parts.Figure:
    return parts.Figure(label="Waits for", value=value, note=note, tone=tone, help=_HELP)
