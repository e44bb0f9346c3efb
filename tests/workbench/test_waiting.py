"""What a run waits for, in words."""

from __future__ import annotations

import pytest

from jobs.options import RunOptions
from jobs.views.runs import Counts, Run
from jobs.views.system import Pool
from workbench.screens.running import waiting


def run(**counts: int) -> Run:
    return Run(
        id=1, kind="run", root=1, parent=None, dataset="d", dataset_name="t.csv", prompt="p", version_id=1, version="p@1",
        connection="c", base_url="http://a/v1", model="m", options=RunOptions(in_flight=8), id_column=None, price_known=True,
        state="running", paused_by=None, reason=None, note="", counts=Counts(rows=100, **counts), calls=0, prompt_tokens=0,
        completion_tokens=0, cached_tokens=0, cost=0.0, reserved=0.0, throttles=0, created_at=0.0, ended_at=None, seconds=1.0,
        rows_a_minute=None,
    )  # fmt: skip


def pool(**rest: object) -> Pool:
    made: dict[str, object] = {"rates": {}, "sources": {}, "cool": 0.0, "short": "", "short_ago": None, **rest}
    return Pool(connection="c", model="m", **made)  # type: ignore[arg-type]


OUT = {"dispatched": 12, "calls_out": 8}
REQUESTS = {"rates": {"requests": 150.0}, "short": "requests", "short_ago": 0.2}


@pytest.mark.parametrize(
    ("counts", "known", "value", "words"),
    [
        ({"waiting": 100}, None, "a worker", "no call has begun"),
        ({"waiting": 100, **OUT}, None, "replies", "8 of 8 calls"),
        ({"waiting": 100, **OUT}, pool(**REQUESTS, sources={"requests": "headers"}), "requests", "150 requests a second, as"),
        ({"waiting": 100, **OUT}, pool(**REQUESTS, sources={"requests": "found"}), "requests", "by what it refused"),
        ({"waiting": 100, **OUT}, pool(**REQUESTS | {"short_ago": 60.0}, sources={"requests": "found"}), "replies", "8 of 8"),
        (
            {"waiting": 100},
            pool(rates={"tokens": 0.5}, sources={"tokens": "settings"}, short="tokens", short_ago=1.0),
            "tokens",
            "30 tokens a minute, as connections.toml says",
        ),
        ({"waiting": 100, **OUT}, pool(cool=12.0, short="cool", short_ago=0.0), "a cool-down", "12.0 s more"),
        ({"waiting": 3, "backing_off": 3}, pool(), "a back-off", "3 rows after a throttle"),
    ],
)  # fmt: skip
def test_a_run_says_what_it_waits_for(counts: dict[str, int], known: Pool | None, value: str, words: str) -> None:
    """One thing, the most telling one, with its figure and who says so."""
    shown = waiting.why(run(**counts), known)

    assert shown.value == value and words in shown.note
