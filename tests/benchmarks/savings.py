"""What the same table costs in four ways, and whether it is as right: ``python -m tests.benchmarks.savings``.

5,000 support messages, 30 % of them copies of others, are labelled by a stand-in of two models at two prices. The dear one is right about
98 of 100; the cheap one about all easy messages and half of the hard ones, of which it is less sure but not always. Asked are all
rows singly of the dear model; then with reuse, ten rows a call and a ladder whose threshold is proposed from 1,000 rows that a
person has labelled, as the product proposes it; then the same through the batch endpoint. What the threshold cost is counted in.

The figures are held against the stand-in's own books to a thousandth of a cent, and the labels against the truth.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jobs import thresholds
from jobs.options import Climb, Ladder, RunOptions
from jobs.settings import Price
from jobs.testing import StubProvider
from jobs.testing.script import Act, Ask
from jobs.values import VersionContent
from jobs.views.datasets import Dataset
from jobs.views.runs import Run
from tests.benchmarks.site import say
from tests.house import Home, valkey

ROWS, COPIES, CASES, PACK = 5_000, 0.3, 1_000, 10
#: agreement that is aimed at, while the dear model is taken to be right; and the floor of what has to be saved
TARGET, CHEAPER = 0.985, 0.6
LABELS = ("billing", "delivery", "defect", "account", "praise", "other")
CHEAP, DEAR = Price(input=0.1, output=0.4), Price(input=1.0, output=4.0)
IN_FLIGHT = 64

RULES = "\n".join(
    f"- {label}: choose it where the main wish of the message is about {label}, whatever else it says beside that; a message "
    "that names several things belongs to the one that the customer wants to have settled first."
    for label in LABELS
)
CONTENT = VersionContent(
    template=f"system:\nYou sort messages of customers. Answer with one JSON object.\n{RULES}\n\nuser:\n{{{{ text }}}}\n",
    contract={
        "type": "object",
        "properties": {"label": {"type": "string", "enum": list(LABELS)}, "urgent": {"type": "boolean"}},
        "required": ["label", "urgent"],
        "additionalProperties": False,
    },
    response_format="json_schema",
    max_tokens=100,
)


# -- the two models ----------------------------------------------------------------------------------------------------


def dice(text: str, about: str) -> float:
    """A number from [0, 1) that a text has for good."""
    return int.from_bytes(hashlib.sha256(f"{about}/{text}".encode()).digest()[:6], "big") / 2**48


def truth(text: str) -> str:
    return LABELS[int(dice(text, "label") * len(LABELS))]


def is_hard(text: str) -> bool:
    return dice(text, "hard") < 0.2


def label_of(model: str, text: str) -> str:
    """What a model says: the truth, or the label behind it."""
    right = 0.98 if model == "dear" else 0.5 if is_hard(text) else 0.995
    true = truth(text)
    return true if dice(text, model) < right else LABELS[(LABELS.index(true) + 1) % len(LABELS)]


def confidence(text: str, path: str) -> float:
    """How sure the cheap model is: of easy messages quite, of hard ones less, and a little more where it is right."""
    if path != "$.label":
        return 0.999
    spread = dice(text, "sure")
    if not is_hard(text):
        return 0.9 + 0.099 * math.sqrt(spread)
    return 0.35 + (0.6 if label_of("cheap", text) == truth(text) else 0.55) * spread


def by_model(ask: Ask) -> Act:
    """Every hundredth message breaks the contract of the cheap model at its first try."""

    def answer(text: str, seen: int) -> dict[str, object]:
        if ask.model == "cheap" and not seen and dice(text, "odd") < 0.01:
            return {"label": "something else", "urgent": False}
        return {"label": label_of(ask.model, text), "urgent": False}

    first = ask.records[0]
    if first.id == "":
        return Act(content=json.dumps(answer(first.text, first.seen)))
    return Act(content=json.dumps({"results": [{"id": r.id, "value": answer(r.text, r.seen)} for r in ask.records]}))


# -- the four ways -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Way:
    """What one way came to."""

    run: Run
    #: US dollars by Redrive's books and by the provider's
    ours: float
    theirs: float
    #: rows whose label is the true one
    right: int

    @property
    def agrees(self) -> bool:
        return abs(self.ours - self.theirs) < 1e-5


@contextmanager
def place() -> Iterator[tuple[Home, Dataset]]:
    """A home of its own for each way, so that none has another's answers."""
    with tempfile.TemporaryDirectory() as folder, valkey(Path(folder) / "kv") as redis:
        stub = StubProvider(by_model, confidence=confidence, prices={"cheap": CHEAP, "dear": DEAR})
        with stub:
            prices = "".join(
                f"[stub.prices.{name}]\ninput = {price.input}\noutput = {price.output}\n"
                for name, price in (("cheap", CHEAP), ("dear", DEAR))
            )
            home = Home(Path(folder) / "home", redis, stub, lanes=2, in_flight=IN_FLIGHT, more=prices)
            try:
                yield home, home.dataset(rows())
            finally:
                home.close()


def rows() -> list[str]:
    """Messages of which the last 30 % are copies of others, mixed among them."""
    own = [
        f"message {n}: please see to number {n * 7919 % 100_003}, it is about my order"
        for n in range(round(ROWS * (1 - COPIES)))
    ]
    copies = [own[int(dice(str(n), "copy") * len(own))] for n in range(ROWS - len(own))]
    return sorted([*own, *copies], key=lambda text: dice(text, "place"))


def went(home: Home, dataset: Dataset, model: str, **rest: object) -> Way:
    before, options = home.stub.ledger.money, {"in_flight": IN_FLIGHT, **rest}
    ordinals = options.pop("ordinals", None)
    id_ = home.start(
        dataset,
        version=home.version(CONTENT),
        model=model,
        kind="run" if ordinals is None else "try",
        ordinals=ordinals,
        options=RunOptions.model_validate(options),
    )
    run = home.ended(id_)
    labels = values(home, id_)
    right = sum(label == truth(text) for text, label in labels)
    return Way(run, run.cost, home.stub.ledger.money - before, right)


def values(home: Home, run: int) -> list[tuple[str, str | None]]:
    """Each row's text with its label."""
    found: list[tuple[str, str | None]] = []
    while True:
        page, total = home.engine.runs.results(run, offset=len(found), limit=1000, as_run=True)
        found += [(row.cells["text"], (row.value or {}).get("label")) for row in page]
        if len(found) >= total:
            return found


def threshold(home: Home, dataset: Dataset) -> tuple[float, float]:
    """The threshold that labelled rows speak for, and what finding it cost."""
    step = dataset.row_count / CASES
    sample = [int(place * step) + 1 for place in range(CASES)]
    cheap = went(home, dataset, "cheap", ordinals=sample, rows_per_call=PACK, confidence=True)
    query = "SELECT ordinal, confidence FROM attempts WHERE run = ? AND verdict = 'accepted'"
    sure = dict(home.engine._house.read().execute(query, [cheap.run.id]).fetchall())
    labelled = zip(sample, values(home, cheap.run.id), strict=True)
    cases = [(sure.get(ordinal), label == truth(text)) for ordinal, (text, label) in labelled]
    proposal = thresholds.propose(cases, TARGET)
    if proposal.threshold is None:
        raise SystemExit(f"no threshold: {proposal.reason}")
    assert cheap.agrees, "the books of the sample differ"
    return proposal.threshold, cheap.ours


def main() -> int:
    with place() as (home, dataset):
        singly = went(home, dataset, "dear", reuse=False)
        least, found = threshold(home, dataset)
    ladder = Ladder(climbs=(Climb(model="dear"),), confidence=least)
    with place() as (home, dataset):
        saving = went(home, dataset, "cheap", rows_per_call=PACK, ladder=ladder)
    with place() as (home, dataset):
        batched = went(home, dataset, "cheap", rows_per_call=PACK, ladder=ladder, batch="all")
    ways = {"dear": singly, "savings": saving, "batch": batched}
    cheaper = 1 - (saving.ours + found) / singly.ours
    half = batched.ours / saving.ours
    lower = [name for name, way in ways.items() if way.right < singly.right]
    ok = cheaper >= CHEAPER and 0.45 <= half <= 0.55 and not lower and all(way.agrees for way in ways.values())
    ok = ok and all(way.run.counts.accepted == ROWS for way in ways.values())
    return say(
        "savings",
        f"{ROWS} rows, {COPIES:.0%} copies: all singly on the dear model ${singly.ours:.4f} in {singly.run.calls} calls, "
        f"{agreement(singly)}; with reuse, {PACK} rows a call and a ladder (threshold {least:g}) ${saving.ours:.4f} in "
        f"{saving.run.calls} calls and ${found:.4f} for finding the threshold on {CASES} rows: {cheaper:.1%} cheaper "
        f"(floor {CHEAPER:.0%}), {agreement(saving)}; through the batch endpoint ${batched.ours:.4f}, {half:.1%} of that, "
        f"{agreement(batched)}; the provider's books say " + ", ".join(f"${way.theirs:.4f}" for way in ways.values()),
        ok=ok,
    )


def agreement(way: Way) -> str:
    low, high = thresholds.wilson(way.right, ROWS)
    return f"{way.right / ROWS:.2%} right (95 % of such tables: {low:.2%} to {high:.2%}, n = {ROWS})"


if __name__ == "__main__":
    sys.exit(main())
