import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs import errors, settings
from jobs.settings import EMBEDDED_URL, Connection, Serving, Settings

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
            ("redis://:hun/ter@22@there:6379/1#hunter22", "redis://***@there:6379/1"),
            ("unix://me:hunter22@/run/kv.sock?db=1", "unix://***@/run/kv.sock"),
            ("unix:///run/a@b.sock", "unix:///run/a@b.sock"),
        ],
    )
    def test_label(self, url: str, label: str, tmp_path: Path) -> None:
        """What is shown of an address holds no password."""
        assert make(tmp_path, redis_url=url).redis_label == label

    @pytest.mark.parametrize(
        "url",
        [
            "redis://:hunter/22@there:1/0",
            "redis://:hunter?22@there:1/0",
            "redis://me:22#hunter@there:1",
            "redis://:hunter[22@there:1",
            "http://me:hunter22@there",
            "hunter22",
        ],
    )
    def test_no_address(self, url: str, tmp_path: Path) -> None:
        """An address that would be read wrongly is refused at once, in words that hold nothing of it."""
        with pytest.raises(errors.InputError, match="REDIS_URL is no redis://") as caught:
            settings.load(tmp_path, environ={"REDIS_URL": url})
        with pytest.raises(errors.InputError, match="--redis is no"):
            settings.with_redis(url)
        assert "hunter" not in caught.value.message

    def test_secrets(self, tmp_path: Path) -> None:
        """The password of an address is known as it is written and as it is sent, and stands in no repr."""
        place = make(tmp_path, redis_url="rediss://me:hunter%2F22@there:1/0?password=other-one")

        assert set(place.secrets) == {"hunter%2F22", "hunter/22", "other-one"}
        assert "hunter" not in repr(place)
        assert place.hide("cannot reach hunter/22 with other-one") == "cannot reach [key] with [key]"

    def test_for_a_child(self) -> None:
        """An address goes on in the environment."""
        environ = settings.with_redis("redis://:hunter22@there:1/0")

        assert environ["REDIS_URL"] == "redis://:hunter22@there:1/0"
        assert environ["PATH"] == os.environ["PATH"]


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
            ('[a]\nkey_env = "sk-abcdefgh"\n', r"\[a\] key_env must be the name"),
            ('[a]\nkey_env = "gsk_abcdefgh"\n', r"\[a\] key_env must be the name"),
            ('[a]\nkey_env = "abcdefgh0123456789abcdef01234567"\n', r"\[a\] key_env must be the name"),
            ('[a]\nbase_url = "https://me:abcdefgh@there/v1"\n', r"\[a\] base_url holds a user or a password"),
            ('[a]\nbase_url = "https://there/v1?key=abcdefgh"\n', r"\[a\] base_url must end with its path"),
            ('[a]\nbase_url = "https://there:abcdefgh/v1"\n', r"\[a\] base_url is no address"),
            ('[a]\nheaders = { X-Key = ["abcdefgh"] }\n', r"\[a\] headers.X-Key"),
            ('[a]\nheaders = { X-Key = "abc\\ndefgh" }\n', r"\[a\] headers: 'X-Key' cannot be sent"),
        ],
    )
    def test_refusals(self, text: str, said: str, tmp_path: Path) -> None:
        """A file that cannot be held says where and why."""
        (tmp_path / "connections.toml").write_text(text)

        with pytest.raises(errors.InputError, match=said) as caught:
            settings.load(tmp_path, environ={})
        assert "defgh" not in caught.value.message

    def test_base_url_of_the_environment(self, tmp_path: Path) -> None:
        """A password in OPENAI_BASE_URL would stand in every run."""
        environ = {"OPENAI_API_KEY": "k" * 20, "OPENAI_BASE_URL": "https://me:hunter22@there/v1"}

        with pytest.raises(errors.InputError, match="OPENAI_BASE_URL holds") as caught:
            settings.load(tmp_path, environ=environ)
        assert "hunter22" not in caught.value.message

    @pytest.mark.parametrize(
        ("headers", "secrets"),
        [
            ({"Authorization": "Bearer abcdefgh12"}, ("abcdefgh12",)),
            ({"X-Api-Key": "abcdefgh12"}, ("abcdefgh12",)),
            ({"Cookie": "a=b; session=abcdefgh12"}, ("session=abcdefgh12", "abcdefgh12")),
            ({"X-Token": "a b c d e f"}, ("a b c d e f",)),
            ({"X-Title": "a table of messages", "X-Token": "none"}, ()),
        ],
    )
    def test_secrets_of_headers(self, headers: dict[str, str], secrets: tuple[str, ...]) -> None:
        """What a header holds is a secret by the header's name, and stands in no repr."""
        connection = Connection(name="a", headers=headers)

        assert connection.secrets == secrets
        assert "abcdefgh12" not in repr(connection)

    def test_key_is_read_at_use(self, tmp_path: Path) -> None:
        """A connection names its key's variable, and a missing key says which."""
        connection = Connection(name="a", key_env="A_KEY")

        assert settings.key_of(connection, {"A_KEY": "secret"}) == "secret"
        with pytest.raises(errors.UnusableConnection, match="A_KEY"):
            settings.key_of(connection, {})
        with pytest.raises(errors.UnusableConnection, match="A_KEY holds characters") as caught:
            settings.key_of(connection, {"A_KEY": "secret\n"})
        assert "secret" not in caught.value.message


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
        "X_KEY_2": "the-second-key",
        "BROKER": "amqp://me:pass/of@rabbit@there:1",
        "HOME": "/home/somebody",
    }

    found = settings.secret_values(["CLAUDE"], environ)

    assert set(found) == {
        "key-of-openai", "token-of-github", "named-by-a-connection", "pass-of-redis", "the-second-key", "pass/of@rabbit"
    }  # fmt: skip


@pytest.mark.parametrize("value", ["inf", "nan", "-inf"])
def test_a_price_that_is_no_number_is_refused_with_its_place(tmp_path: Path, value: str) -> None:
    """TOML can write it, but no sum of money and no request can hold it."""
    (tmp_path / "connections.toml").write_text(
        f'[own]\nbase_url = "http://a/v1"\n[own.prices."*"]\ninput = {value}\noutput = 1.0\n'
    )
    with pytest.raises(errors.InputError, match=r"connections.toml: \[own\] prices.\*.input: "):
        settings.load(tmp_path, environ={})


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("cheap", None),
        ("chep", "chep is none of the models that connection c lists: did you mean cheap?"),
        ("other", "other is none of the models that connection c lists: it lists cheap, dear"),
    ],
)
def test_a_model_that_a_connection_does_not_list_is_told(model: str, words: str | None) -> None:
    """It may be a slip, and an endpoint may answer to any name; without a list nothing is strange."""
    assert Connection(name="c", models=("cheap", "dear")).strange(model) == words
    assert Connection(name="c").strange(model) is None
    assert Connection(name="e", base_url=f"{EMBEDDED_URL}m", models=("cheap", "dear")).strange(model) is None
