"""The figures of a window in words: tiles, and the table of the breakdown. Money that is partly unknown is a lower bound.

A percentile stands only where raw latencies were there; none is an average of others.
"""

from __future__ import annotations

from collections.abc import Sequence

from jobs.views.costs import Spending
from workbench import parts, wording
from workbench.parts import Cell, Column, Figure, Row
from workbench.screens.spending.window import Window

_PRICED = "calls without a known price, and those that broke off, are in no sum of money: it is at least this much"


def money(usd: float, spending: Spending, *, calls: int | None = None) -> str:
    """A sum of a slice: exact, a lower bound where a price is unknown, or unknown; ``calls``: those that it is of."""
    if not (spending.calls if calls is None else calls):
        return wording.money(0.0)
    if not spending.unpriced_calls:
        return wording.money(usd)
    return f"≥ {wording.money(usd)}" if usd else wording.UNKNOWN


def accepted(spending: Spending) -> int:
    """Rows that were given a value, by a call or by an answer that was there already."""
    return spending.accepted + spending.reused


def per_accepted(spending: Spending) -> str:
    """Money for each accepted row."""
    rows = accepted(spending)
    return money(spending.cost / rows, spending) if rows else wording.NOTHING


def saved(spending: Spending) -> str:
    """What reused answers had cost: exact, a lower bound where a price is unknown, or unknown."""
    if not spending.unpriced_reused:
        return wording.money(spending.saved)
    return f"≥ {wording.money(spending.saved)}" if spending.saved else wording.UNKNOWN


def tiles(total: Spending, window: Window) -> tuple[list[Figure], list[Figure]]:
    """What the window comes to, each figure with its n and window: what was used, and how the calls fared."""
    return [*_spent(total, window.short), *_tokens(total, window.short)], _fared(total, window.short)


def _spent(total: Spending, span: str) -> list[Figure]:
    calls = wording.count(total.calls, "call")
    unpriced = (
        f", {total.unpriced_calls:,} {wording.unknown(total.unpriced_calls, total.open_calls)}"
        if total.unpriced_calls
        else ""
    )
    tone: wording.Tone = "paused" if total.unpriced_calls else "plain"
    return [
        Figure(
            label="Spend (USD)",
            value=money(total.cost, total),
            note=f"n = {calls}{unpriced}, {span}",
            tone=tone,
            help=f"what all calls cost that were sent in the window; {_PRICED}",
        ),
        Figure(
            label="Per accepted row (USD)",
            value=per_accepted(total),
            note=f"n = {wording.count(accepted(total), 'row')}{_reused(total)}, {span}",
            tone=tone,
            help="the whole spend by the accepted rows, of which those that reused an answer cost nothing",
        ),
        Figure(
            label="Failures and retries (USD)",
            value=money(total.wasted, total, calls=total.wasted_calls),
            note=f"{_share(total.wasted, total)}n = {wording.count(total.wasted_calls, 'call')}, {span}",
            tone=tone if total.wasted_calls else "plain",
            help="what those calls cost that brought no accepted value",
        ),
    ]


def _reused(total: Spending) -> str:
    return f", {total.reused:,} reused" if total.reused else ""


def _share(part: float, total: Spending) -> str:
    if total.unpriced_calls or not total.cost:
        return ""
    return f"{wording.percent(part, total.cost)} of the spend, "


def _tokens(total: Spending, span: str) -> list[Figure]:
    replies = f"n = {wording.count(total.latency_n, 'reply', 'replies')}, {span}"
    cached = wording.percent(total.cached_tokens, total.prompt_tokens)
    return [
        Figure(label="Tokens in", value=wording.number(total.prompt_tokens), note=replies),
        Figure(
            label="Tokens in, cached",
            value=wording.number(total.cached_tokens),
            note=f"{cached} of those in, {span}" if total.prompt_tokens else replies,
            help="tokens of the prompt that the provider had cached",
        ),
        Figure(label="Tokens out", value=wording.number(total.completion_tokens), note=replies),
    ]


def _fared(total: Spending, span: str) -> list[Figure]:
    calls = wording.count(total.calls, "call")
    ends = accepted(total)
    rate = wording.percent(total.strikes, total.judged) if total.judged else wording.NOTHING
    return [
        Figure(
            label="Latency p50 / p95 / p99",
            value=" / ".join(wording.duration(one) if one is not None else wording.NOTHING for one in percentiles(total)),
            note=f"n = {wording.count(total.latency_n, 'reply', 'replies')}, {span}",
            help="nearest-rank percentiles of the raw seconds from sending to the end of the reply",
        ),
        Figure(
            label="Validation errors",
            value=rate,
            note=f"{total.strikes:,} of n = {wording.count(total.judged, 'verdict')}, {span}",
            help="strikes by all verdicts that were about a row: values and strikes",
        ),
        Figure(
            label="Throttles",
            value=wording.number(total.throttles),
            note=f"{wording.percent(total.throttles, total.calls)} of n = {calls}, {span}",
            help="calls that the provider put off; the row waits and has no strike",
        ),
        Figure(
            label="No reply",
            value=wording.number(total.transport_failures),
            note=f"{wording.percent(total.transport_failures, total.calls)} of n = {calls}, {span}",
            help="calls that brought no reply to judge: timeouts, resets, errors of the provider, lost workers",
        ),
        Figure(
            label="Saved by reuse (USD)",
            value=saved(total),
            note=f"{wording.percent(total.reused, ends)} of n = {wording.count(ends, 'accepted row')}, {span}",
            help=f"{wording.count(total.reused, 'row')} got the answer of an equal row without a call: what that call had cost",
        ),
    ]  # fmt: skip


def percentiles(spending: Spending) -> tuple[float | None, float | None, float | None]:
    """The three that are shown."""
    return spending.p50, spending.p95, spending.p99


COLUMNS = (
    Column(key="calls", label="Calls", kind="number", help="requests sent"),
    Column(key="spend", label="Spend", kind="number", help="US dollars"),
    Column(key="each", label="Per row", kind="number", help="US dollars for an accepted row"),
    Column(key="wasted", label="Failures", kind="number", help="US dollars spent on calls that brought no value"),
    Column(key="accepted", label="Accepted", kind="number", help="rows that were given a value, reused ones too"),
    Column(key="errors", label="Errors", kind="number", help="validation errors: strikes by verdicts about a row"),
    Column(key="throttles", label="Throttles", kind="number", help="calls that the provider put off"),
    Column(
        key="reused", label="Reused", kind="number", help="of the accepted: rows that got the answer of an equal row"
    ),
    Column(key="in", label="Tokens in", kind="number"),
    Column(key="out", label="Out", kind="number", help="tokens of the replies"),
    Column(key="p50", label="p50", kind="number", help="half of the replies took no longer"),
    Column(key="p95", label="p95", kind="number", help="95 of 100 replies took no longer"),
    Column(key="p99", label="p99", kind="number", help="99 of 100 replies took no longer"),
)


def row(spending: Spending) -> Row:
    """A slice as a row of the breakdown."""
    unpriced = (
        f"{wording.count(spending.unpriced_calls, 'call')} of {spending.calls:,} "
        f"{wording.unknown(spending.unpriced_calls, spending.open_calls)}"
        if spending.unpriced_calls
        else f"n = {wording.count(spending.calls, 'call')}"
    )
    tone: wording.Tone | None = "paused" if spending.unpriced_calls else None
    replies = f"n = {wording.count(spending.latency_n, 'reply', 'replies')}"
    p50, p95, p99 = (
        Cell(wording.duration(one) if one is not None else wording.NOTHING, replies) for one in percentiles(spending)
    )
    return Row(
        spending.key,
        {
            "slice": Cell(wording.head(spending.label, 24), spending.label),
            "calls": wording.number(spending.calls),
            "spend": Cell(money(spending.cost, spending), unpriced, tone),
            "each": Cell(
                per_accepted(spending), f"n = {wording.count(accepted(spending), 'row')}{_reused(spending)}", tone
            ),
            "wasted": Cell(
                money(spending.wasted, spending, calls=spending.wasted_calls),
                f"n = {wording.count(spending.wasted_calls, 'call')}",
                tone,
            ),
            "accepted": Cell(wording.number(accepted(spending)), f"{wording.count(spending.dead, 'row')} died"),
            "errors": Cell(
                wording.percent(spending.strikes, spending.judged),
                f"{spending.strikes:,} of n = {wording.count(spending.judged, 'verdict')}",
            ),
            "throttles": wording.number(spending.throttles),
            "reused": Cell(wording.number(spending.reused), f"{saved(spending)} saved"),
            "in": Cell(wording.number(spending.prompt_tokens), f"{spending.cached_tokens:,} of them cached"),
            "out": wording.number(spending.completion_tokens),
            "p50": p50,
            "p95": p95,
            "p99": p99,
        },
    )  # fmt: skip


def breakdown(found: Sequence[Spending], *, label: str, key: str, opens: bool) -> str | None:
    """Draw the slices; the key of the one that was opened."""
    first = Column(key="slice", label=label.capitalize(), kind="strong")
    return parts.table(
        [first, *COLUMNS], [row(one) for one in found], key=key, opens=opens, height=420, label="breakdown"
    ).opened
