"""The system page: what is up, what is down with what to do about it, and no key or password anywhere."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs import settings
from jobs.api import Engine
from jobs.settings import Connection, Price, Serving, Settings
from jobs.trouble import Trouble
from jobs.views.system import Machinery
from tests.workbench.conftest import Open, tables, texts
from workbench.screens import machinery

UP = Machinery(
    home="/home/x",
    keeper_alive=True,
    redis_alive=True,
    redis_version="9.1.2",
    lanes=({"name": "vm-7", "seconds_left": 6.2, "running": 3},),
    workers=({"name": "w1", "state": "busy", "pid": 7},),
    calls_waiting=5,
    outcomes_waiting=0,
    connections=({"name": "a", "problem": None, "key_env": None},),
)


def rows(app: Any, label: str) -> dict[str, list[str]]:
    """A table's rows by their id."""
    return {row["id"]: [cell["t"] for cell in row["c"]] for row in tables(app)[label]["rows"]}


def plain(tmp_path: Path, **more: Any) -> Settings:
    """Settings of a home with one connection that needs no key."""
    given: dict[str, Any] = {"connections": {"a": Connection(name="a", base_url="http://a/v1")}} | more
    return Settings(home=tmp_path, prompts=tmp_path / "prompts", **given)


def states(found: list[machinery.Part]) -> dict[str, bool | None]:
    return {part.name: part.well for part in found}


def test_a_home_at_rest_says_what_is_down_and_what_to_do(open_screen: Open, home: Path) -> None:
    """Without a keeper and Redis, numbers are unknown and not 0, and one command is named for both."""
    app = open_screen("system")
    said = texts(app)
    found = rows(app, "parts")
    assert found["Keeper"][1] == found["Redis"][1] == "✕ down"
    assert found["Workers"][1] == "○ away"
    assert f"Keeper, Redis: Start it in a terminal: redrive up --home {home}" in said
    assert said.count("unknown</div>") == 5
    assert str(home / "logs") in said and str(home / "redrive.db") in said
    assert "streamlit" in said and "sqlite" in said


def test_all_is_well(tmp_path: Path) -> None:
    """Where everything is there, nothing is to be done."""
    found = machinery.checked(UP, plain(tmp_path))
    assert states(found) == {"Keeper": True, "Redis": True, "Workers": True, "Lanes": True, "Embedded model": None}
    assert not [part.todo for part in found if part.well and part.todo]
    assert "3 calls running" in next(part.words for part in found if part.name == "Lanes")


@pytest.mark.parametrize(
    ("change", "part", "todo"),
    [
        ({"keeper_alive": False}, "Keeper", "redrive up --home /home/x"),
        (
            {"trouble": Trouble(kind="store", words="the disk of /home/x is full", todo="Free some space.", since=1.0)},
            "Keeper",
            "Free some space.",
        ),
        ({"redis_alive": False}, "Redis", "redrive up --home /home/x"),
        ({"workers": ({"name": "a", "state": "idle", "pid": 1, "fits": False},)}, "Workers", "Install this version"),
        ({"workers": (), "lanes": ()}, "Workers", "redrive worker --home /home/x"),
        ({"lanes": ()}, "Lanes", "log"),
        ({"connections": ()}, "Connections", "OPENAI_API_KEY"),
        (
            {"connections": ({"name": "a", "problem": "A_KEY, which is not set", "key_env": "A_KEY"},)},
            "Connection a",
            "Set A_KEY",
        ),
    ],
)
def test_what_is_down_says_what_to_do(tmp_path: Path, change: dict[str, Any], part: str, todo: str) -> None:
    """Each part that must be there and is not names the command or the variable."""
    found = machinery.checked(replace(UP, **change), plain(tmp_path))
    (down,) = [one for one in found if one.well is False]
    assert down.name == part and todo in down.todo


def test_a_redis_of_ones_own_is_not_started_by_us(tmp_path: Path) -> None:
    """With REDIS_URL the way out is another one, and its password is not shown."""
    place = plain(tmp_path, redis_url="redis://me:hunter2@queue.example:6379/0")
    (down,) = [one for one in machinery.checked(replace(UP, redis_alive=False), place) if one.well is False]
    assert "unset REDIS_URL" in down.todo and "queue.example" in down.words
    assert "hunter2" not in down.words + down.todo


@pytest.mark.parametrize("lanes_needed", [0, 9])
def test_lanes_are_missed_only_when_calls_wait(tmp_path: Path, lanes_needed: int) -> None:
    """Without a call to take, no lane is no trouble."""
    found = machinery.checked(replace(UP, lanes=(), calls_waiting=lanes_needed), plain(tmp_path))
    assert states(found)["Lanes"] is (False if lanes_needed else None)


def test_the_embedded_model_is_running_or_not(tmp_path: Path) -> None:
    """Running it says where; needed and absent it says how to get it; not needed it is no trouble."""
    alone = plain(tmp_path, connections={})
    model = next(part for part in machinery.checked(UP, alone) if part.name == "Embedded model")
    assert model.well is False and "redrive up" in model.todo
    serving = Serving(address="http://127.0.0.1:5/v1", model="smollm2-135m", pid=42, starter=os.getpid())
    (tmp_path / "model.json").write_text(serving.model_dump_json())
    model = next(part for part in machinery.checked(UP, alone) if part.name == "Embedded model")
    assert model.well is True and "smollm2-135m at http://127.0.0.1:5/v1, process 42" in model.words
    other = plain(tmp_path / "elsewhere")
    assert next(part for part in machinery.checked(UP, other) if part.name == "Embedded model").well is None


def test_connections_show_names_limits_and_prices_but_no_key(
    open_screen: Open, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable is named, set or not; its value, and a header's, are nowhere on the machinery."""
    monkeypatch.setenv("SET_KEY", "sk-very-secret-value")
    (home / "connections.toml").write_text(
        '[a]\nkey_env = "SET_KEY"\nmodels = ["gpt-4o-mini"]\nrpm = 500\nheaders = { X-Token = "hunter2" }\n'
        '[b]\nkey_env = "UNSET_KEY"\nbase_url = "https://b.example/v1"\nmodels = ["own-7b"]\nin_flight = 3\n'
        '[c]\nbase_url = "http://c.example/v1"\nmodels = ["x"]\n[c.prices."*"]\ninput = 1.0\noutput = 2.0\n'
    )
    app = open_screen("system")
    found = rows(app, "connections")
    assert found["a"][2] == "✓ SET_KEY is set" and found["a"][5] == "500 calls"
    assert found["a"][6].startswith("$0.150 in, $0.600 out")
    assert found["b"] == [
        "b",
        "https://b.example/v1",
        "✕ UNSET_KEY is not set",
        "own-7b",
        "3",
        "no limit",
        "unknown",
    ]
    assert found["c"][6] == "$1.00 in, $2.00 out"
    said = texts(app)
    assert "Connection b: Set UNSET_KEY" in said
    assert "sk-very-secret" not in said and "hunter2" not in said


@pytest.mark.parametrize(
    ("prices", "own", "text"),
    [
        ({}, [], "unknown"),
        ({}, ["*"], "own: *"),
        ({"a": None}, [], "unknown"),
        ({"a": Price(input=0, output=0)}, [], "free"),
        ({"a": Price(input=1, output=2, cached=0.5)}, [], "$1.00 in, $2.00 out, $0.500 cached"),
        ({"a": Price(input=1, output=2), "b": None}, [], "1 of 2 known"),
        ({"a": Price(input=1, output=2), "b": Price(input=1, output=2)}, [], "all 2 known"),
    ],
)
def test_prices_are_known_free_or_unknown(prices: dict[str, Price | None], own: list[str], text: str) -> None:
    """A price that nobody knows is not free."""
    assert machinery.prices({"prices": prices, "own_prices": own}).text == text


def test_the_newest_logs_are_named(open_screen: Open, home: Path) -> None:
    """The files that were written last stand first, with their size."""
    folder = home / "logs"
    folder.mkdir()
    for number in range(12):
        file = folder / f"worker-{number}.jsonl"
        file.write_text("x" * number)
        os.utime(file, (1_700_000_000 + number, 1_700_000_000 + number))
    found = rows(open_screen("system"), "logs")
    assert list(found) == [f"worker-{number}.jsonl" for number in range(11, 3, -1)]
    assert found["worker-11.jsonl"][1] == "11 B"


def test_the_engine_gives_what_the_page_reads(engine: Engine) -> None:
    """The page's own settings and the engine's view are of the same home."""
    look = engine.system.look()
    assert look.home == str(settings.load().home)
    assert {
        "name",
        "base_url",
        "models",
        "key_env",
        "problem",
        "rpm",
        "tpm",
        "in_flight",
        "own_prices",
        "prices",
    } <= set(look.connections[0])
