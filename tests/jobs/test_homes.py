"""How a worker on another machine finds the home that it works for."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from jobs import dispatch, errors, homes
from jobs import settings as settings_module
from jobs.keeper import Keeper
from jobs.keys import Keys
from jobs.settings import Settings
from tests.house import Processes, valkey, wait_until


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


@pytest.fixture
def kept(tmp_path: Path, server: str) -> Iterator[Settings]:
    """A home whose keeper is at work."""
    settings = at(tmp_path / "home", server)
    settings.home.mkdir()
    keeper = Keeper(settings)
    keeper.step()
    yield settings
    keeper.close()


def test_a_copy_of_a_home_is_refused_until_it_has_a_name_of_its_own(
    tmp_path: Path, server: str, redis: Redis, kept: Settings
) -> None:
    """Two keepers of one name would take each other's outcomes; the refusal says who has the home and what to delete."""
    copy = at(tmp_path / "copy", server)
    shutil.copytree(kept.home, copy.home)
    second = Keeper(copy)

    with pytest.raises(errors.HomeBusy) as refused:
        second.run(lambda: False)
    with pytest.raises(errors.HomeBusy) as seen:
        homes.see_free(redis, copy)
    second.close()

    assert f"home {kept.home_id} is kept by the keeper of {kept.home.resolve()} on " in refused.value.message
    assert f"delete {copy.home / 'home.id'} and start again" in refused.value.message
    assert seen.value.message == refused.value.message
    held = redis.hget(Keys(kept.home_id).keeper, "place")
    assert held == os.fsencode(f"{kept.home.resolve()} on {socket.gethostname()}"), "who came first keeps it"

    (copy.home / "home.id").unlink()
    homes.see_free(redis, copy)
    third = Keeper(copy)
    third.step()
    third.close()
    assert copy.home_id != kept.home_id


def test_a_home_that_its_keeper_has_left_may_be_kept_elsewhere_at_once(
    tmp_path: Path, server: str, redis: Redis
) -> None:
    """A folder that was moved is the same home."""
    settings = at(tmp_path / "home", server)
    settings.home.mkdir()
    first = Keeper(settings)
    first.step()
    assert 0 < redis.pttl(Keys(settings.home_id).keeper) <= homes.KEEPER_LEASE * 1000
    first.close()
    settings.home.rename(tmp_path / "moved")

    second = Keeper(at(tmp_path / "moved", server))
    second.step()
    second.close()


def test_a_keeper_that_lost_its_home_to_another_one_ends(
    tmp_path: Path, server: str, redis: Redis, kept: Settings
) -> None:
    """One that stood still for longer than its lease may find another there, and one in a machine that calls itself alike."""
    lease = homes.Lease(redis, kept)
    lease.hold(now=True)
    homes.Lease(redis, kept).hold(now=True)

    with pytest.raises(errors.HomeBusy):
        lease.hold(now=True)
    lease.hold()
    lease.end()

    assert redis.exists(Keys(kept.home_id).keeper), "it ends nobody's lease but its own"


@pytest.mark.crash
def test_a_killed_keeper_is_followed_at_once_in_its_own_folder_and_kept_out_elsewhere(
    tmp_path: Path, server: str, redis: Redis, capfd: pytest.CaptureFixture[str]
) -> None:
    """The lock in the folder guards it there already; the process that is refused ends with one sentence."""
    settings = at(tmp_path / "home", server)
    settings.home.mkdir()
    shutil.copytree(settings.home, tmp_path / "copy")
    (tmp_path / "copy" / "home.id").write_text(settings.home_id)
    token = lambda: redis.hget(Keys(settings.home_id).keeper, "token")  # noqa: E731
    parts = Processes(settings, server, workers=0)
    wait_until(lambda: token() is not None)
    parts.keeper.kill()
    parts.keeper.wait()
    first = token()

    copy = Processes(at(tmp_path / "copy", server), server, workers=0)
    assert copy.keeper.wait(timeout=30) == 1
    parts.keeper = parts.start("keeper")
    wait_until(lambda: token() not in (None, first), patience=homes.KEEPER_LEASE - 2)
    parts.close()

    assert "is kept by the keeper of" in capfd.readouterr().err
    assert token() is None
