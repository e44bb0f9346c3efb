"""What every test gets: no key and no home from outside, and, where asked for, one real Valkey for the session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import house

# The same examples every time: a push is not refused for what somebody else's luck found.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


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
