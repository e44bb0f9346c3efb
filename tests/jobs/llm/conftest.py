"""What tests of batches ask over HTTP."""

from collections.abc import Iterator

import pytest

from jobs.settings import Price
from jobs.testing import StubProvider
from tests.jobs.llm.wires import KEY


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with StubProvider(answer={"label": "a"}, keys=[KEY], price=Price(input=100.0, output=200.0)) as running:
        yield running
