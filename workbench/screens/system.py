"""How the parts of the engine are, and what to do about one that is down; looked at again every two seconds.

No key is ever shown: of a connection only the name of its variable, and whether it is set.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import streamlit as st

from jobs.settings import Settings
from jobs.views.system import Machinery, Pool
from workbench import parts, session, wording
from workbench.parts import Cell, Column, Row
from workbench.screens import machinery
from workbench.screens.machinery import Part
from workbench.screens.running import waiting
from workbench.screens.running.wish import choose_model

#: seconds between two looks
GLANCE = 2
#: log files that are named
LOGS = 8


def page() -> None:
    parts.header("System", subtitle=f"the parts of this home, looked at every {GLANCE} s")
    parts.watch(_body, standing="", every=GLANCE)
    _honours()


_FEATURES = {
    "reply": "replies",
    "usage": "says its tokens",
    "max_tokens": "keeps to max_tokens",
    "json_object": "response_format json_object",
    "json_schema": "response_format json_schema, strict",
    "stream": "streams",
    "stream_usage": "says its tokens at the end of a stream",
    "rate_headers": "tells its limits in headers",
    "logprobs": "log-probabilities",
    "seed": "seed",
    "batch": "batch endpoint",
}
_ANSWERS = {
    "yes": Cell("✓ yes", "", "accepted"),
    "no": Cell("✕ no", "", "dead"),
    "refused": Cell("✕ refused", "", "dead"),
    "unclear": Cell("○ unclear", "", "waiting"),
}


def _honours() -> None:
    """What an endpoint really does with the fields that it takes, found out on purpose."""
    parts.section(
        "What an endpoint honours",
        note="compatible servers leave fields out of account and say nothing; found out by asking",
    )
    engine = session.engine()
    by_name = {connection.name: connection for connection in engine.system.connections()}
    if not by_name:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "Connection", list(by_name), format_func=lambda one: wording.head(one, 40), key="probe:name", width=260
        )
        connection = by_name[name]
        model = choose_model(connection, None, key="probe:model")
        key = session.button(
            "Find out",
            action=f"probe:{name}",
            help="about a dozen calls of a few tokens each, which the provider charges",
        )
    if key is not None and model:
        with st.spinner("Asking …"):
            parts.perform(f"probe:{name}", lambda: engine.system.probe(connection, model))
    seen = engine.system.probed(connection, model) if model else None
    if seen is None:
        st.caption("Nobody has looked at this model yet.")
        return
    at, findings = seen
    st.caption(f"looked at {wording.ago(at, time.time())}")
    columns = [
        Column(key="feature", label="What", kind="strong"),
        Column(key="answer", label="Honoured"),
        Column(key="words", label="What was seen", kind="wide"),
    ]
    rows = [
        Row(
            one.feature,
            {
                "feature": _FEATURES.get(one.feature, one.feature),
                "answer": _ANSWERS[one.answer],
                "words": parts.text_cell(one.words, 160),
            },
        )
        for one in findings
    ]
    parts.table(columns, rows, key="honours", label="what the endpoint honours")


def _body() -> str:
    engine, now = session.engine(), time.time()
    system, settings = engine.system.look(), engine.settings.with_embedded()
    parts.figures(_figures(system))
    found = machinery.checked(system, settings)
    parts.section("Parts")
    parts.table(_PARTS, [_part(one) for one in found], key="parts", label="parts")
    _todo(found)
    left, right = st.columns(2, gap="medium")
    with left:
        parts.section("Workers", note="RQ workers; one that runs a lane waits for calls, or has some on their way")
        _workers_table(system)
    with right:
        parts.section("Lanes", note="take calls of any run; a lease is renewed while its lane lives")
        _lanes_table(system)
    parts.section(
        "Connections", note="limits are calls and tokens a minute; prices are US dollars for a million tokens"
    )
    _connections(system)
    _pools(system)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        parts.section("Places")
        parts.facts(_places(system, settings))
        _logs(settings.logs, now)
    with right:
        parts.section("Versions")
        _versions(system.versions)
    return ""


def _figures(system: Machinery) -> list[parts.Figure]:
    running = sum(int(lane["running"]) for lane in system.lanes)
    now = "now" if system.redis_alive else "Redis does not answer"
    known = system.redis_alive

    def figure(label: str, value: int, note: str) -> parts.Figure:
        return parts.Figure(
            label=label, value=wording.number(value if known else None), note=note if known else now, tone="plain"
        )

    return [
        figure("Workers", len(system.workers), now),
        figure("Lanes", len(system.lanes), "with a lease, now"),
        figure("Calls running", running, f"n = {wording.count(len(system.lanes), 'lane')}, now"),
        figure("Calls waiting", system.calls_waiting, "in the stream, those running among them, now"),
        figure("Outcomes waiting", system.outcomes_waiting, "for the keeper to record, now"),
        parts.Figure(label="Store", value=wording.size(system.database_bytes), note="SQLite file, now"),
    ]


_PARTS = (
    Column(key="name", label="Part", kind="strong"),
    Column(key="state", label="State"),
    Column(key="words", label="How it is", kind="wide"),
)


def _part(part: Part) -> Row:
    states = {
        True: Cell("✓ well", "", "accepted"),
        False: Cell(f"✕ {part.ill}", "", "dead"),
        None: Cell("○ away", "", "waiting"),
    }
    return Row(
        part.name,
        {
            "name": part.name,
            "state": states[part.well],
            "words": Cell(part.words, part.words),
        },
    )  # fmt: skip


def _todo(found: list[Part]) -> None:
    """What to do about all that is down, in the order of the table, each thing once."""
    names: dict[str, list[str]] = {}
    for part in found:
        if part.well is False and part.todo:
            names.setdefault(part.todo, []).append(part.name)
    if names:
        parts.panel("\n".join(f"{', '.join(of)}: {todo}" for todo, of in names.items()), title="What to do")


def _workers_table(system: Machinery) -> None:
    columns = [Column(key="name", label="Worker", kind="mono"), Column(key="state", label="State")]
    columns.append(Column(key="pid", label="Process", kind="number"))
    rows = [
        Row(
            str(one["name"]),
            {
                "name": str(one["name"]),
                "state": machinery.worker_words(str(one["state"])),
                "pid": str(one["pid"] or "–"),
            },
        )
        for one in system.workers
    ]
    parts.table(columns, rows or [_none("no worker")], key="workers", height=260, label="workers")


def _lanes_table(system: Machinery) -> None:
    columns = [Column(key="name", label="Lane", kind="mono"), Column(key="lease", label="Lease left", kind="number")]
    columns.append(Column(key="running", label="Calls running", kind="number"))
    rows = [
        Row(
            str(one["name"]),
            {
                "name": str(one["name"]),
                "lease": f"{float(one['seconds_left']):.0f} s",
                "running": wording.number(int(one["running"])),
            },
        )
        for one in system.lanes
    ]
    parts.table(columns, rows or [_none("no lane")], key="lanes", height=260, label="lanes")


def _none(words: str) -> Row:
    return Row("none", {"name": Cell(words, "", "waiting")})


def _versions(found: dict[str, str]) -> None:
    """In two columns."""
    pairs = sorted(found.items())
    half = -(-len(pairs) // 2)
    for column, some in zip(st.columns(2, gap="small"), (pairs[:half], pairs[half:]), strict=True):
        with column:
            parts.facts(dict(some))


def _connections(system: Machinery) -> None:
    columns = [
        Column(key="name", label="Connection", kind="strong"),
        Column(key="url", label="Base URL", kind="mono"),
        Column(key="key", label="Key"),
        Column(key="models", label="Models"),
        Column(key="in_flight", label="In flight", kind="number", help="calls at once over all lanes"),
        Column(key="limits", label="A minute", kind="number", help="calls and tokens, the limits of connections.toml"),
        Column(key="prices", label="Prices", help="US dollars for a million tokens, in and out"),
    ]
    rows = [_connection(one) for one in system.connections]
    if rows:
        parts.table(columns, rows, key="connections", label="connections")


def _pools(system: Machinery) -> None:
    """What the models of the runs that have not ended allow now."""
    columns = [
        Column(key="name", label="Connection and model", kind="strong"),
        Column(key="rates", label="Allowed now", help="over all runs and workers"),
        Column(key="short", label="Calls waited for last"),
        Column(
            key="cool",
            label="Cool-down",
            kind="number",
            help="nobody asks for so long, since the provider says that nothing remains",
        ),
    ]
    rows = [
        Row(
            f"{pool.connection} {pool.model}",
            {
                "name": parts.text_cell(f"{pool.connection}, {pool.model}", 48),
                "rates": _allowed(pool),
                "short": _short(pool),
                "cool": wording.duration(pool.cool) if pool.cool else wording.NOTHING,
            },
        )
        for pool in system.pools
    ]
    if rows:
        parts.section("What providers allow", note="of the runs that have not ended")
        parts.table(columns, rows, key="pools", label="what providers allow")


def _allowed(pool: Pool) -> Cell:
    told = [f"{waiting.rate(name, rate)}, {waiting.said(pool.sources[name])}" for name, rate in pool.rates.items()]
    return Cell("; ".join(told)) if told else Cell("no limit is known", "", "waiting")


def _short(pool: Pool) -> str:
    if not pool.short or pool.short_ago is None:
        return "nothing"
    return f"{'a cool-down' if pool.short == 'cool' else pool.short}, {wording.duration(pool.short_ago)} ago"


def _connection(one: dict[str, Any]) -> Row:
    models = ", ".join(one["models"])
    return Row(
        str(one["name"]),
        {
            "name": str(one["name"]),
            "url": parts.text_cell(machinery.without_password(str(one["base_url"])), 36),
            "key": _key(one),
            "models": Cell(wording.head(models, 26), models) if models else Cell("chosen with a run", "", "waiting"),
            "in_flight": wording.number(int(one["in_flight"])),
            "limits": _limits(one["rpm"], one["tpm"]),
            "prices": machinery.prices(one),
        },
    )


def _limits(calls: int | None, tokens: int | None) -> Cell:
    told = [wording.count(calls, "call")] if calls is not None else []
    told += [wording.count(tokens, "token")] if tokens is not None else []
    return Cell(", ".join(told)) if told else Cell("no limit", "", "waiting")


def _key(one: dict[str, Any]) -> Cell:
    if one["key_env"] is None:
        return Cell("none needed", "", "waiting")
    name = str(one["key_env"])
    return Cell(f"✕ {name} is not set", "", "dead") if one["problem"] else Cell(f"✓ {name} is set", "", "accepted")


def _places(system: Machinery, settings: Settings) -> dict[str, str]:
    return {
        "Home": system.home,
        "Store": f"{settings.database} ({wording.size(system.database_bytes)})",
        "Connections": str(settings.home / "connections.toml"),
        "Prompts": str(settings.prompts),
        "Logs": f"{settings.logs} (JSON lines, one file a process)",
    }


def _logs(folder: Path, now: float) -> None:
    """The files that were written last."""
    try:
        found = sorted(((file.stat(), file.name) for file in folder.iterdir()), key=lambda one: -one[0].st_mtime)
    except OSError:  # no folder yet, or a file went away between the two looks
        return
    rows = [
        Row(name, {"name": name, "size": wording.size(stat.st_size), "when": parts.time_cell(stat.st_mtime, now)})
        for stat, name in found[:LOGS]
    ]
    if rows:
        columns = [Column(key="name", label="Log", kind="mono"), Column(key="size", label="Size", kind="number")]
        columns.append(Column(key="when", label="Written"))
        parts.table(columns, rows, key="logs", label="logs")


page()
