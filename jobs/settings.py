"""Where things are and who answers: the only reader of the environment.

A ``Settings`` is made once, at the edge of a process, and handed down. Keys never stay in it: a connection names the variable
that holds its key, and ``key_of`` reads it at the moment of use. The embedded model's connection has a symbolic URL, since its
port may change with each start while a run's frozen connection and its reuse keys must not.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field, ValidationError

from jobs import addresses, errors, faults
from jobs.redaction import Secrets
from jobs.values import Value

OPENAI_URL = "https://api.openai.com/v1"
#: the name of the connection that the environment's key makes, and of the embedded model's
ENVIRONMENT, EMBEDDED = "openai", "local"
#: how the embedded model's symbolic URL begins
EMBEDDED_URL = "embedded://"
#: bytes that a unix socket's path may have, on every system that we run on
SOCKET_PATH = 100
#: variables that hold something to keep out of logs, by their names
_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(_?\d+)?$", re.IGNORECASE)
#: headers that do, by theirs
_SECRET_HEADER = re.compile(r"key|auth|token|secret|pass|cookie|credential|session|signature", re.IGNORECASE)
#: characters from which on a key or a header is a secret; shorter ones ("none", "local") are ordinary words of an answer
SECRET_LENGTH = 8
#: and from which on a password or a variable's value guards anything
_GUARDS = 6
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: what fits a variable's name and is a key by its looks
_NO_VARIABLE = re.compile(r"(?:sk|gsk|hf|xai|r8|tgp)_|AIza|(?=.*\d)[A-Za-z0-9]{24,}$")
#: printable ASCII without space, quotation marks and backslash
_KEY = re.compile(r"[!#-&(-\[\]-~]+")


class Price(Value):
    """US dollars for a million tokens."""

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    cached: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class Connection(Value):
    """A named provider endpoint."""

    name: str
    base_url: str = OPENAI_URL
    #: the environment variable that holds the key; None where the endpoint wants none
    key_env: str | None = None
    #: the models to offer; the first is the default
    models: tuple[str, ...] = ()
    rpm: int | None = Field(default=None, ge=1)
    tpm: int | None = Field(default=None, ge=1)
    in_flight: int = Field(default=8, ge=1)
    prices: dict[str, Price] = Field(default_factory=dict)
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    #: whether calls about several rows are streamed, so that one which breaks off loses only what had not come
    stream: bool = True
    #: what a batch endpoint charges, as a share of the price
    batch_price: float = Field(default=0.5, ge=0, le=1)
    #: calls, and bytes, that go into one batch
    batch_calls: int = Field(default=5_000, ge=1, le=50_000)
    batch_bytes: int = Field(default=20_000_000, ge=1_000, le=100_000_000)
    #: seconds to the first looks at a batch; later ones come more seldom
    batch_poll: float = Field(default=5.0, gt=0, le=60)
    #: whether the files of a batch stay at the provider when its results are here
    keep_files: bool = False
    #: sent with every request; a value that is a secret stands in the file by its owner's wish and goes nowhere else
    headers: dict[str, str] = Field(default_factory=dict, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be repeated of the headers."""
        found: list[str] = []
        for name, value in self.headers.items():
            if _SECRET_HEADER.search(name):
                # "Bearer KEY" and "name=KEY; name=KEY": the part is the secret, and may be repeated without the rest
                words = re.split(r"[\s;,]+", value)
                parts = [
                    part for word in words for part in (word, word.partition("=")[2]) if len(part) >= SECRET_LENGTH
                ]
                found += parts or [value]
        return tuple(dict.fromkeys(part for part in found if len(part) >= SECRET_LENGTH))

    def strange(self, model: str) -> str | None:
        """What there is to say of a model that the connection does not list, which may be a slip; None where there is nothing.

        Nothing of the embedded one either: a run with another model is refused there.
        """
        if not self.models or model in self.models or self.is_embedded:
            return None
        meant = get_close_matches(model, self.models, 1)
        hint = f"did you mean {meant[0]}?" if meant else f"it lists {', '.join(self.models)}"
        return f"{model} is none of the models that connection {self.name} lists: {hint}"

    @property
    def is_embedded(self) -> bool:
        """Whether this is the model that Redrive itself serves."""
        return self.base_url.startswith(EMBEDDED_URL)


class Serving(Value):
    """What the starter says of the model server in ``model.json``."""

    #: the base URL, good for as long as this server runs
    address: str
    model: str
    pid: int
    #: the process that keeps it running
    starter: int


class Settings(Value):
    """Where the home is, which Redis to use and which connections there are."""

    home: Path
    prompts: Path
    redis_url: str | None = Field(default=None, repr=False)
    connections: dict[str, Connection] = Field(default_factory=dict)
    #: what is fetched once for all homes of this user
    cache: Path = Field(default_factory=lambda: Path.home() / ".cache" / "redrive")
    #: a model file of the person's own, in place of the one that is fetched
    gguf: Path | None = None

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.home / "redrive.db"

    @property
    def logs(self) -> Path:
        """The folder of the JSON-lines logs."""
        return self.home / "logs"

    @property
    def home_id(self) -> str:
        """A short name of the home that stays with it; made at the first call. It is part of every name in Redis."""
        file = self.home / "home.id"
        if not file.exists():
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            new = self.home / f"home.id.{secrets.token_hex(4)}"
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as out:
                out.write(secrets.token_hex(4))
            try:
                os.link(new, file)  # the first of several processes settles the name, and nobody reads half of it
            except FileExistsError:
                pass
            finally:
                new.unlink()
        return file.read_text("ascii").strip()

    @property
    def redis_socket(self) -> Path:
        """Where the embedded server's socket is: in the home, or in a folder of its own where that path is too long.

        Raises:
            EngineDown: that folder belongs to somebody else, who could pose as the server.
        """
        socket = self.home / "kv.sock"
        if len(os.fsencode(socket)) <= SOCKET_PATH:
            return socket
        name = f"redrive-{os.getuid()}-{hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]}"
        folder = Path(tempfile.gettempdir()) / name
        if len(os.fsencode(folder / "kv.sock")) > SOCKET_PATH:
            folder = Path("/tmp") / name
        try:
            found = folder.lstat()
        except FileNotFoundError:
            return folder / "kv.sock"
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise errors.EngineDown(
                f"{folder} must be a folder that only you can enter: remove it, or use a shorter home"
            )
        return folder / "kv.sock"

    @property
    def redis_address(self) -> str:
        """The Redis to use: ``REDIS_URL``, or the socket of the embedded one."""
        return self.redis_url or f"unix://{quote(str(self.redis_socket))}"

    @property
    def redis_label(self) -> str:
        """The same without a password, to show."""
        return addresses.shown(self.redis_address)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What stands in these settings and nowhere else: passwords of the Redis URL, headers' secrets."""
        found = [one for connection in self.connections.values() for one in connection.secrets]
        found += [password for password in addresses.passwords(self.redis_url or "") if len(password) >= _GUARDS]
        return tuple(dict.fromkeys(found))

    def hide(self, text: str) -> str:
        """A library's words about Redis or an endpoint, without these secrets and the connections' keys."""
        return Secrets([*self.secrets, *secret_values(self.key_variables)]).hide(text, pieces=True)

    @property
    def wants_embedded(self) -> bool:
        """Whether nothing else is configured, so that the embedded model answers."""
        return all(connection.is_embedded for connection in self.connections.values())

    @property
    def key_variables(self) -> tuple[str, ...]:
        """The variables that hold the connections' keys."""
        return tuple(c.key_env for c in self.connections.values() if c.key_env)

    def connection(self, name: str | None = None) -> Connection:
        """The connection of that name, or the default one.

        Raises:
            UnusableConnection: no such connection, or none at all.
        """
        if name is None:
            if not self.connections:
                raise errors.UnusableConnection(
                    "no connection is configured: set OPENAI_API_KEY, write connections.toml in "
                    f"{self.home}, or install the extra [local] for the embedded model"
                )
            return next(iter(self.connections.values()))
        if name not in self.connections:
            known = ", ".join(self.connections) or "none"
            raise errors.UnusableConnection(f"no connection is named {name!r}; known: {known}")
        return self.connections[name]

    def address_of(self, connection: Connection) -> str:
        """The URL to send a connection's requests to, now.

        Raises:
            UnusableConnection: it is the embedded model, which is not up in this home.
        """
        if not connection.is_embedded:
            return connection.base_url
        serving = self.serving()
        if serving is None:
            raise errors.UnusableConnection(
                f"the embedded model is not up in {self.home}: start it with `redrive up`, or set OPENAI_API_KEY"
            )
        return serving.address

    def serving(self) -> Serving | None:
        """The model server of this home, while its starter lives; a restart of the server itself changes nothing."""
        try:
            serving = Serving.model_validate_json((self.home / "model.json").read_bytes())
            os.kill(serving.starter, 0)
        except PermissionError:
            return None  # the number went to somebody else's process
        except (OSError, ValidationError):
            return None
        return serving

    def with_embedded(self) -> Settings:
        """The same with the connections as they are now that the model server is up, or not."""
        if not self.wants_embedded:
            return self
        serving = self.serving()
        return self.model_copy(update={"connections": {EMBEDDED: _embedded(serving)} if serving else {}})


def key_of(connection: Connection, environ: Mapping[str, str] | None = None) -> str | None:
    """The connection's key, read now.

    Raises:
        UnusableConnection: the variable that should hold it is empty, or holds what cannot be sent.
    """
    if connection.key_env is None:
        return None
    key = (os.environ if environ is None else environ).get(connection.key_env, "")
    if not key:
        raise errors.UnusableConnection(
            f"connection {connection.name!r} takes its key from {connection.key_env}, which is not set"
        )
    return sendable(connection, key)


def sendable(connection: Connection, key: str) -> str:
    """The key, if it is one: what cannot stand in a header fails deep in a library, with the key in its message.

    Raises:
        UnusableConnection: it holds characters that no key has.
    """
    if not _KEY.fullmatch(key):
        raise errors.UnusableConnection(
            f"connection {connection.name!r}: {connection.key_env} holds characters that no key has; look for a "
            "line break, a space or a quotation mark from copying"
        )
    return key


def with_redis(url: str) -> dict[str, str]:
    """The environment of this process with that Redis, for a child: an argument could be read by everybody in ``ps``.

    Raises:
        InputError: it is no address.
    """
    return {**os.environ, "REDIS_URL": addresses.redis(url, "--redis")}


def load(
    home: str | Path | None = None,
    prompts: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from arguments, then the environment, then ``connections.toml`` and the running home.

    Raises:
        InputError: ``connections.toml`` is not well formed, with the place, or an address is none.
    """
    environ = os.environ if environ is None else environ
    place = Path(home or environ.get("REDRIVE_HOME") or "data/local").expanduser().resolve()
    gguf = environ.get("REDRIVE_GGUF")
    return Settings(
        home=place,
        prompts=Path(prompts or environ.get("REDRIVE_PROMPTS") or "prompts").expanduser().resolve(),
        redis_url=addresses.redis(environ["REDIS_URL"], "REDIS_URL") if environ.get("REDIS_URL") else None,
        connections=_connections(place, environ),
        cache=Path(environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().resolve() / "redrive",
        gguf=Path(gguf).expanduser().resolve() if gguf else None,
    ).with_embedded()


def secret_values(variables: Iterable[str] = (), environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """What must never be written down: the values of these variables, of those named like keys, and passwords in URLs.

    Values under six characters are left out: they guard nothing, and their removal would spoil other text.
    """
    environ = os.environ if environ is None else environ
    found = {environ.get(name, "") for name in variables}
    for name, value in environ.items():
        if _SECRET_NAME.search(name):
            found.add(value)
        found.update(addresses.passwords(value))
    return tuple(sorted((value for value in found if len(value) >= _GUARDS), key=lambda value: (-len(value), value)))


def _embedded(serving: Serving) -> Connection:
    return Connection(name=EMBEDDED, base_url=f"{EMBEDDED_URL}{serving.model}", models=(serving.model,), in_flight=2)


def _connections(home: Path, environ: Mapping[str, str]) -> dict[str, Connection]:
    """Named ones first, in the file's order, then the environment's; the embedded one is added when it runs."""
    found: dict[str, Connection] = {}
    file = home / "connections.toml"
    if file.exists():
        found |= _from_file(file)
    if environ.get("OPENAI_API_KEY"):
        url = addresses.base_url(environ.get("OPENAI_BASE_URL") or OPENAI_URL, "OPENAI_BASE_URL")
        model = environ.get("OPENAI_MODEL")
        found.setdefault(
            ENVIRONMENT,
            Connection(
                name=ENVIRONMENT,
                base_url=url,
                key_env="OPENAI_API_KEY",
                models=(model,) if model else (("gpt-4o-mini",) if url == OPENAI_URL else ()),
                max_tokens_field="max_completion_tokens" if url == OPENAI_URL else "max_tokens",
            ),
        )
    return found


def _from_file(file: Path) -> dict[str, Connection]:
    try:
        tables = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise errors.InputError(f"{file}: {error}") from error
    except OSError as error:
        raise errors.InputError(f"{file} cannot be read: {error.strerror}") from error
    found: dict[str, Connection] = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise errors.InputError(f"{file}: {name!r} must be a table: [{name}]")
        found[name] = _one(file, name, table)
    return found


def _one(file: Path, name: str, table: dict[str, Any]) -> Connection:
    for field in ("key", "api_key"):
        if field in table:
            raise errors.InputError(f'{file}: [{name}] holds a key; name its variable instead: key_env = "MY_KEY"')
    try:
        connection = Connection.model_validate({"name": name, **table})
    except ValidationError as error:
        fault = faults.first(error, Connection.model_fields)
        raise errors.InputError(f"{file}: [{name}] {fault}") from error
    for header, value in connection.headers.items():
        if not (header.isascii() and f"{header}{value}".isprintable()):
            raise errors.InputError(f"{file}: [{name}] headers: {header!r} cannot be sent; look for a line break in it")
    if connection.key_env and (not _VARIABLE.fullmatch(connection.key_env) or _NO_VARIABLE.match(connection.key_env)):
        raise errors.InputError(
            f"{file}: [{name}] key_env must be the name of a variable, such as MY_KEY; a key must not stand here"
        )
    return connection.model_copy(
        update={"base_url": addresses.base_url(connection.base_url, f"{file}: [{name}] base_url")}
    )


def reload(settings: Settings) -> Settings:
    """The same home's settings as they are now; a long-lived process sees connections that were added."""
    return load(settings.home, settings.prompts)
