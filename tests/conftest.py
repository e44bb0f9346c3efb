"""What every test gets: no key and no home from outside, and, where asked for, one real Valkey for the session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests import house

# The same examples every time: a push is not refused for what somebody else's luck found.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


#: what is handed to one process as if it were one file: one model at a time, and one browser with one home behind it
TOGETHER = {
    "the model": ("tests/browser/test_journey.py", "tests/test_readme.py"),
    "the browser": ("tests/browser/",),
}


class _Handing(LoadFileScheduling):
    """Hands out tests by file."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return next((name for name, files in TOGETHER.items() if file.startswith(files)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """Keep the browser's files in one process, since on few cores several browsers lose what a person does in each."""
    return _Handing(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the browser and then with the files whose tests may take longest, as they say themselves by their timeout."""
    limits: dict[Path, float] = {}
    for item in items:
        limit = item.get_closest_marker("timeout")
        limits[item.path] = max(limits.get(item.path, 0.0), limit.args[0] if limit else 0.0)
    items.sort(key=lambda item: (item.get_closest_marker("browser") is None, -limits[item.path]))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reaches a real provider or a person's own home."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "REDIS_URL", "REDRIVE_PROMPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REDRIVE_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def redis_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Valkey; homes keep apart by their ids."""
    with house.valkey(tmp_path_factory.mktemp("kv")) as address:
        yield address
