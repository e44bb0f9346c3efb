"""Where things are and who answers: the only reader of the environment.

A ``Settings`` is made once, at the edge of a process, and handed down. Keys never stay in it: a connection names the variable
that holds its key, and ``key_of`` reads it at the moment of use.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from jobs import errors
from jobs.values import Value

OPENAI_URL = "https://api.openai.com/v1"
#: the name of the connection that the environment's key makes, and of the embedded model's
ENVIRONMENT, EMBEDDED = "openai", "local"


class Price(Value):
    """US dollars for a million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached: float | None = Field(default=None, ge=0)


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
    headers: dict[str, str] = Field(default_factory=dict)

    @property
    def is_embedded(self) -> bool:
        """Whether this is the model that Redrive itself serves."""
        return self.name == EMBEDDED


class Settings(Value):
    """Where the home is, which Redis to use and which connections there are."""

    home: Path
    prompts: Path
    redis_url: str | None = None
    connections: dict[str, Connection] = Field(default_factory=dict)

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.home / "redrive.db"

    @property
    def logs(self) -> Path:
        """The folder of the JSON-lines logs."""
        return self.home / "logs"

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


def key_of(connection: Connection, environ: Mapping[str, str] | None = None) -> str | None:
    """The connection's key, read now.

    Raises:
        UnusableConnection: the variable that should hold it is empty.
    """
    if connection.key_env is None:
        return None
    key = (os.environ if environ is None else environ).get(connection.key_env, "")
    if not key:
        raise errors.UnusableConnection(
            f"connection {connection.name!r} takes its key from {connection.key_env}, which is not set"
        )
    return key


def load(
    home: str | Path | None = None,
    prompts: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from arguments, then the environment, then ``connections.toml`` and the running home.

    Raises:
        InputError: ``connections.toml`` is not well formed, with the place.
    """
    environ = os.environ if environ is None else environ
    place = Path(home or environ.get("REDRIVE_HOME") or "data/local").expanduser().resolve()
    return Settings(
        home=place,
        prompts=Path(prompts or environ.get("REDRIVE_PROMPTS") or "prompts").expanduser().resolve(),
        redis_url=environ.get("REDIS_URL") or None,
        connections=_connections(place, environ),
    )


def _connections(home: Path, environ: Mapping[str, str]) -> dict[str, Connection]:
    """Named ones first, in the file's order, then the environment's; the embedded one is added when it runs."""
    found: dict[str, Connection] = {}
    file = home / "connections.toml"
    if file.exists():
        found |= _from_file(file)
    if environ.get("OPENAI_API_KEY"):
        url = (environ.get("OPENAI_BASE_URL") or OPENAI_URL).rstrip("/")
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
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise errors.InputError(f"{file}: [{name}] {where}: {first['msg']}") from error
    return connection.model_copy(update={"base_url": connection.base_url.rstrip("/")})
