import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs import errors, settings
from jobs.settings import Connection, Serving, Settings

NOBODY = 2**22 + 1  # above the highest process id that Linux and macOS give


def make(home: Path, **more: object) -> Settings:
    return Settings.model_validate({"home": home, "prompts": home / "prompts", **more})


def serve(home: Path, *, port: int = 4000, starter: int | None = None, model: str = "smollm2-135m") -> None:
    serving = Serving(
        address=f"http://127.0.0.1:{port}/v1", model=model, pid=1, starter=os.getpid() if starter is None else starter
    )
    (home / "model.json").write_text(serving.model_dump_json())


class TestHomeId:
    def test_stays(self, tmp_path: Path) -> None:
        """A home keeps its id, in a file that only its owner can read."""
        first = make(tmp_path).home_id

        assert first == make(tmp_path).home_id
        assert len(first) == 8
        assert stat.S_IMODE((tmp_path / "home.id").stat().st_mode) == 0o600
        assert [file.name for file in tmp_path.iterdir()] == ["home.id"]

    def test_is_settled_once(self, tmp_path: Path) -> None:
        """Many that ask at once for the id of a new home get the same one."""
        with ThreadPoolExecutor(16) as pool:
            seen = set(pool.map(lambda _: make(tmp_path).home_id, range(64)))

        assert len(seen) == 1

    def test_differs(self, tmp_path: Path) -> None:
        """Two homes have two ids."""
        assert make(tmp_path / "a").home_id != make(tmp_path / "b").home_id


class TestRedis:
    def test_url_wins(self, tmp_path: Path) -> None:
        """REDIS_URL is the address where it is set."""
        assert make(tmp_path, redis_url="redis://there:1/2").redis_address == "redis://there:1/2"

    def test_socket_in_home(self) -> None:
        """A short home holds its own socket."""
        assert make(Path("/short")).redis_address == "unix:///short/kv.sock"

    def test_long_home(self) -> None:
        """A home with a long path has its socket in a folder of its own, always the same one."""
        place = make(Path("/long") / ("x" * 120))
        other = make(Path("/long") / ("y" * 120))

        assert place.redis_socket == place.redis_socket != other.redis_socket
        assert len(os.fsencode(place.redis_socket)) <= 100

    def test_long_home_whose_folder_others_can_enter(self, tmp_path: Path) -> None:
        """A folder that somebody else could have prepared is refused."""
        place = make(tmp_path / ("x" * 120))
        folder = place.redis_socket.parent
        folder.mkdir(mode=0o755)
        try:
            with pytest.raises(errors.EngineDown, match="only you"):
                _ = place.redis_address
        finally:
            folder.rmdir()

    @pytest.mark.parametrize(
        ("url", "label"),
        [
            ("redis://me:hunter22@there:6379/1", "redis://***@there:6379/1"),
            ("rediss://:hunter22@there:6379/0?ssl_cert_reqs=none", "rediss://***@there:6379/0"),
            ("redis://there:6379?password=hunter22", "redis://there:6379"),
            ("redis://there:6379", "redis://there:6379"),
        ],
    )
    def test_label(self, url: str, label: str, tmp_path: Path) -> None:
        """What is shown of an address holds no password."""
        assert make(tmp_path, redis_url=url).redis_label == label


class TestEmbedded:
    def test_appears_when_it_serves(self, tmp_path: Path) -> None:
        """The embedded connection is there when nothing else is and its server is up."""
        assert not settings.load(tmp_path, environ={}).connections

        serve(tmp_path)
        found = settings.load(tmp_path, environ={}).connection()

        assert (found.name, found.base_url, found.models) == ("local", "embedded://smollm2-135m", ("smollm2-135m",))
        assert found.is_embedded
        assert found.in_flight == 2

    def test_gives_way(self, tmp_path: Path) -> None:
        """It is not offered beside a connection that somebody configured."""
        serve(tmp_path)

        found = settings.load(tmp_path, environ={"OPENAI_API_KEY": "sk-abcdef123456"})

        assert list(found.connections) == ["openai"]
        assert not found.wants_embedded

    def test_address_follows_the_server(self, tmp_path: Path) -> None:
        """A server that came back on another port changes the address and nothing that a run froze."""
        serve(tmp_path, port=4000)
        place = settings.load(tmp_path, environ={})
        before = place.connection()
        serve(tmp_path, port=5000)

        assert place.address_of(before) == "http://127.0.0.1:5000/v1"
        assert settings.load(tmp_path, environ={}).connection() == before

    def test_down(self, tmp_path: Path) -> None:
        """Without its server its connection cannot be used, and the message says what to do."""
        embedded = Connection(name="local", base_url="embedded://smollm2-135m")

        with pytest.raises(errors.UnusableConnection, match="redrive up"):
            make(tmp_path).address_of(embedded)

    def test_left_by_a_killed_starter(self, tmp_path: Path) -> None:
        """What a starter that is gone has left is not believed."""
        serve(tmp_path, starter=NOBODY)

        assert not settings.load(tmp_path, environ={}).connections

    def test_a_connection_of_that_name(self, tmp_path: Path) -> None:
        """Somebody's own connection called local is an ordinary one."""
        (tmp_path / "connections.toml").write_text('[local]\nbase_url = "http://127.0.0.1:11434/v1/"\n')

        place = settings.load(tmp_path, environ={})

        assert not place.connection("local").is_embedded
        assert place.address_of(place.connection("local")) == "http://127.0.0.1:11434/v1"


class TestConnections:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("[a\n", "connections.toml: "),
            ("a = 1\n", "must be a table"),
            ('[a]\nkey = "sk-1"\n', "key_env"),
            ("[a]\nrpm = 0\n", r"\[a\] rpm"),
            ("[a]\nspeed = 1\n", r"\[a\] speed"),
        ],
    )
    def test_refusals(self, text: str, said: str, tmp_path: Path) -> None:
        """A file that cannot be held says where and why."""
        (tmp_path / "connections.toml").write_text(text)

        with pytest.raises(errors.InputError, match=said):
            settings.load(tmp_path, environ={})

    def test_key_is_read_at_use(self, tmp_path: Path) -> None:
        """A connection names its key's variable, and a missing key says which."""
        connection = Connection(name="a", key_env="A_KEY")

        assert settings.key_of(connection, {"A_KEY": "secret"}) == "secret"
        with pytest.raises(errors.UnusableConnection, match="A_KEY"):
            settings.key_of(connection, {})


def test_places_of_the_user(tmp_path: Path) -> None:
    """The cache follows XDG_CACHE_HOME and a model file may be named."""
    environ = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "REDRIVE_GGUF": str(tmp_path / "mine.gguf")}

    place = settings.load(tmp_path, environ=environ)

    assert (place.cache, place.gguf) == (tmp_path / "cache" / "redrive", tmp_path / "mine.gguf")


def test_secret_values() -> None:
    """Secrets are found by the variable's name, by its being named, and inside URLs; short ones are left alone."""
    environ = {
        "OPENAI_API_KEY": "key-of-openai",
        "GITHUB_TOKEN": "token-of-github",
        "CLAUDE": "named-by-a-connection",
        "REDIS_URL": "redis://:pass-of-redis@there:1/0",
        "X_KEY": "EMPTY",
        "HOME": "/home/somebody",
    }

    found = settings.secret_values(["CLAUDE"], environ)

    assert set(found) == {"key-of-openai", "token-of-github", "named-by-a-connection", "pass-of-redis"}
