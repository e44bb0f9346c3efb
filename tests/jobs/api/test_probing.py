"""What was found out of an endpoint is kept, and is said before a run that relies on what it does not do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.api.launch import Launch
from jobs.options import RunOptions
from jobs.testing import StubProvider
from jobs.testing.script import Act, Ask
from tests.house import CONTENT, Home


def deaf(ask: Ask) -> Act:
    return Act(content="The sea is wide and deep, " * 4 if "long sentence" in ask.user else "Hello there.")


@pytest.fixture
def home(tmp_path: Path, redis_address: str) -> Iterator[Home]:
    with StubProvider(deaf) as stub:
        home = Home(tmp_path / "home", redis_address, stub)
        yield home
        home.close()


def test_what_was_found_out_is_kept_and_said_where_a_run_relies_on_it(home: Home) -> None:
    """Nothing is said before anybody has looked; afterwards each thing that this run needs, and nothing else."""
    connection, system = home.settings.connection("stub"), home.engine.system
    dataset, version = home.dataset(["a", "b"]), home.version()
    plain = home.version(CONTENT.model_copy(update={"response_format": "text"}), "plain")

    def said(version: object, **options: object) -> str:
        found = home.engine.runs.forecast(
            Launch(
                version=version,
                dataset=dataset,
                connection=connection,
                model="stub-model",
                options=RunOptions.model_validate(options),
            )
        )
        return "\n".join(warning for warning in found.warnings if "found out" in warning)

    assert system.probed(connection, "stub-model") is None and said(version, budget=1.0) == ""

    findings = system.probe(connection, "stub-model")
    kept = system.probed(connection, "stub-model")

    assert kept is not None and kept[1] == findings
    assert "json_schema" in said(version) and "max_tokens" not in said(version)
    assert "max_tokens" in said(version, budget=1.0) and said(plain) == ""
