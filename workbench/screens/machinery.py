"""The parts of a home: whether each is well, how it is, and what to do about one that is not.

Pure, so that every way of being down can be tested. No key passes here, and no password that stands in a URL.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlsplit

from jobs.settings import Price, Settings
from jobs.views.system import Machinery
from workbench import wording
from workbench.parts import Cell


class Part(NamedTuple):
    """A part of the engine: whether it is well (None: it need not be there), how it is, and what to do."""

    name: str
    well: bool | None
    words: str
    todo: str = ""
    #: what it is if it is not well
    ill: str = "down"


def checked(system: Machinery, settings: Settings) -> list[Part]:
    """Every part, and what to do about each that is not well."""
    up = f"Start it in a terminal: redrive up --home {system.home}"
    return [
        _keeper(system, up),
        _redis(system, settings, up),
        *_workers(system),
        _model(settings),
        *_keys(system, settings),
    ]


def _keeper(system: Machinery, up: str) -> Part:
    if not system.keeper_alive:
        words = "not running: nothing is asked or recorded, and requests are kept until it is back"
        return Part("Keeper", False, words, up)
    if system.trouble is not None:
        return Part("Keeper", False, f"{system.trouble.words}; nothing is lost meanwhile", system.trouble.todo, "waits")
    return Part("Keeper", True, "running; it alone writes the state of runs")


def _redis(system: Machinery, settings: Settings, up: str) -> Part:
    if system.redis_alive:
        return Part("Redis", True, f"version {system.redis_version or wording.UNKNOWN} at {settings.redis_label}")
    words = f"does not answer at {settings.redis_label}: calls reach no worker, and rows wait"
    if settings.redis_url:
        return Part(
            "Redis", False, words, "Start that server, or unset REDIS_URL and restart redrive up for the embedded one."
        )
    return Part("Redis", False, words, up)  # fmt: skip


def _workers(system: Machinery) -> list[Part]:
    if not system.redis_alive:
        return [Part("Workers", None, "unknown while Redis does not answer")]
    if not system.workers:
        words = "none is registered: calls wait"
        todo = f"redrive up starts two; more from any machine that reaches Redis: redrive worker --home {system.home}"
        return [Part("Workers", False, words, todo)]
    strange = [str(one["name"]) for one in system.workers if not one.get("fits", True)]
    found = [Part("Workers", True, wording.count(len(system.workers), "worker"))]
    if strange:
        words = f"of another version of Redrive, so it leaves all calls to the others: {', '.join(strange)}"
        todo = "Install this version there and start it again: redrive worker."
        found.append(Part("Workers", False, words, todo, "another version"))
    if system.lanes:
        running = sum(int(lane["running"]) for lane in system.lanes)
        found.append(
            Part("Lanes", True, f"{wording.count(len(system.lanes), 'lane')}, {wording.count(running, 'call')} running")
        )
    elif system.calls_waiting:
        words = f"none holds a lease, and {wording.count(system.calls_waiting, 'call')} wait"
        found.append(
            Part("Lanes", False, words, "Look at the newest worker log below; restart redrive up if it says nothing.")
        )
    else:
        found.append(Part("Lanes", None, "none holds a lease; none is needed while no call waits"))
    return found


def _model(settings: Settings) -> Part:
    serving = settings.serving()
    if serving is not None:
        return Part("Embedded model", True, f"{serving.model} at {serving.address}, process {serving.pid}")
    if not settings.wants_embedded:
        return Part("Embedded model", None, "not running, and not needed: a connection is configured")
    return Part(
        "Embedded model",
        False,
        "not running, and no other connection is configured",
        f"redrive up --home {settings.home} starts it (extra [local]), or set OPENAI_API_KEY; redrive doctor says what is missing.",
    )


def _keys(system: Machinery, settings: Settings) -> list[Part]:
    """The connections that cannot be used as they stand."""
    if not system.connections:
        file = settings.home / "connections.toml"
        return [Part("Connections", False, "none: no model can be asked", f"Set OPENAI_API_KEY, or write {file}.")]
    found = []
    for connection in system.connections:
        if connection["problem"]:
            todo = f"Set {connection['key_env']} where redrive up and the workers are started, and restart them."
            found.append(Part(f"Connection {connection['name']}", False, str(connection["problem"]), todo, "no key"))
    return found


def worker_words(state: str) -> str:
    """What a worker does; RQ calls one busy as long as it has a job, and a lane is a job that also waits for calls."""
    return {"busy": "running a lane", "idle": "no lane"}.get(state, state)


def prices(one: dict[str, Any]) -> Cell:
    """What a connection's models cost, where that is known."""
    listed: dict[str, Price | None] = one["prices"]
    if not listed:
        own = ", ".join(one["own_prices"])
        return Cell(f"own: {own}" if own else wording.UNKNOWN, "", None if own else "paused")
    told = "\n".join(f"{model}: {_price(price)}" for model, price in listed.items())
    known = [price for price in listed.values() if price is not None]
    if len(known) < len(listed):
        return Cell(f"{len(known)} of {len(listed)} known" if known else wording.UNKNOWN, told, "paused")
    return Cell(_price(known[0]) if len(known) == 1 else f"all {len(known)} known", told)


def _price(price: Price | None) -> str:
    if price is None:
        return wording.UNKNOWN
    if not price.input and not price.output:
        return "free"
    cached = f", {wording.money(price.cached)} cached" if price.cached is not None else ""
    return f"{wording.money(price.input)} in, {wording.money(price.output)} out{cached}"


def without_password(url: str) -> str:
    """A URL without the user and password that may stand in it."""
    found = urlsplit(url)
    return found._replace(netloc="***@" + found.netloc.rpartition("@")[2]).geturl() if "@" in found.netloc else url
