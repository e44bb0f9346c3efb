"""How a worker on another machine finds the home that it works for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from jobs import dispatch, errors, homes
from jobs import settings as settings_module
from jobs.settings import Settings
from tests.house import valkey


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A server of the test's own: homes are listed for a whole server."""
    (tmp_path / "kv").mkdir()
    with valkey(tmp_path / "kv") as address:
        yield address


@pytest.fixture
def redis(server: str) -> Iterator[Redis]:
    with dispatch.connect(server) as redis:
        yield redis


def at(folder: Path, server: str) -> Settings:
    return settings_module.load(folder, folder / "prompts", {"REDIS_URL": server})


def test_an_empty_folder_takes_the_name_of_the_only_home(tmp_path: Path, server: str, redis: Redis) -> None:
    """And keeps it, also when another home comes later."""
    homes.announce(redis, "abc123", Path("/srv/home"))
    worker = at(tmp_path / "worker", server)

    first = homes.join(worker)
    homes.announce(redis, "def456", Path("/srv/other"))

    assert first == homes.join(worker) == worker.home_id == "abc123"


def test_a_server_without_a_home_is_refused_with_what_to_do(tmp_path: Path, server: str) -> None:
    """Nothing is made in the folder."""
    with pytest.raises(errors.InputError, match="no home is kept at unix:.*start `redrive up` first"):
        homes.join(at(tmp_path / "worker", server), patience=0.0)

    assert not (tmp_path / "worker" / "home.id").exists()


def test_a_worker_waits_for_its_keeper(tmp_path: Path, server: str, redis: Redis) -> None:
    """It may be started first."""
    timer = threading.Timer(0.3, lambda: homes.announce(redis, "abc123", Path("/srv/home")))
    timer.start()

    assert homes.join(at(tmp_path / "worker", server)) == "abc123"


def test_the_folder_of_a_store_is_its_own_home(tmp_path: Path, server: str, redis: Redis) -> None:
    """A worker beside the keeper does not take another home's name, whichever of the two is up first."""
    homes.announce(redis, "abc123", Path("/srv/home"))
    beside = at(tmp_path / "worker", server)
    beside.home.mkdir()
    beside.database.touch()

    assert homes.join(beside) == beside.home_id != "abc123"


def test_of_several_homes_one_must_be_named(tmp_path: Path, server: str, redis: Redis) -> None:
    """The refusal lists them with their places."""
    homes.announce(redis, "abc123", Path("/srv/first"))
    homes.announce(redis, "def456", Path("/srv/second"))

    with pytest.raises(errors.InputError, match=r"--home-id: abc123 \(.*:first\), def456 \(.*:second\)"):
        homes.join(at(tmp_path / "worker", server))

    assert homes.join(at(tmp_path / "worker", server), "def456") == "def456"


def test_a_folder_does_not_change_its_home(tmp_path: Path, server: str) -> None:
    """Its connections and logs belong to the one that it has."""
    worker = at(tmp_path / "worker", server)
    homes.join(worker, "abc123")

    with pytest.raises(errors.InputError, match="belongs to home abc123, not def456"):
        homes.join(worker, "def456")


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    """The address is what a person has mistyped."""
    worker = at(tmp_path / "worker", "redis://:a-password@127.0.0.1:1/0")

    with pytest.raises(errors.EngineDown, match="127.0.0.1:1") as refused:
        homes.join(worker)

    assert "a-password" not in refused.value.message


def test_what_somebody_else_wrote_into_the_list_is_passed_over(redis: Redis) -> None:
    """A worker is not stopped by it."""
    redis.hset(homes.HOMES, mapping={"abc": "no json", b"\xff": '{"place": "x"}', "def": '{"place": "here"}'})

    assert [one.home for one in homes.announced(redis)] == ["def"]
