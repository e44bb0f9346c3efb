"""A home with something on every screen, behind a stub of a provider: runs, dead letters of several causes, replays, decisions."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs import settings
from jobs.api import Engine
from jobs.api.launch import Launch
from jobs.api.replays import Changes
from jobs.options import Check, Climb, Ladder, RunOptions
from jobs.settings import Price
from jobs.testing import Act, Ask, StubProvider, marked
from jobs.values import Thing, VersionContent
from jobs.views.prompts import Version
from jobs.views.runs import Run
from tests.browser.household import Household
from tests.house import wait_until

CONTRACT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "label": {"type": "string", "enum": ["good", "bad"], "description": "What the customer means"},
        "score": {"type": "integer", "minimum": 0, "maximum": 10},
        "quote": {"type": "string", "maxLength": 400},
    },
    "required": ["label", "score", "quote"],
    "additionalProperties": False,
}
TEMPLATE = "system:\nAnswer with one JSON object: label, score, quote.\n\nuser:\n{{ text }}\n"
FIRST = VersionContent(template=TEMPLATE, contract=CONTRACT, settings={"temperature": 0}, max_tokens=300)
SECOND = FIRST.model_copy(update={"template": TEMPLATE.replace("one JSON object", "one JSON object and nothing else")})
#: what a browser, a Markdown reader or a terminal would act on
HOSTILE = (
    "<script>window.pwned = 1</script>",
    "<img src=http://evil.example/i.png onerror='window.pwned = 2'> and <b>bold</b>",
    "![image](http://evil.example/p.png) [link](http://evil.example/) **bold** `code` # heading",
    ":red[directive] :material/skull: $x^2$ <a href='javascript:window.pwned=3'>a</a>",
    "left \u202eright to left\u202c \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "{{ 7 * 7 }} {% raw %} </code></pre></textarea> =1+1",
)
#: rows that the stub answers with their own text, which is no JSON
ECHO = "echo: "
BROKEN, SHAPELESS, REFUSED, HEALING, GOOD = 64, 30, 6, 12, 40
DEAR = Price(input=10.0, output=20.0)


def echoed(ask: Ask) -> Act | None:
    """The row's text as the reply, where the row asks for it."""
    return Act(kind="echo", content=ask.user.removeprefix(ECHO)) if ask.user.startswith(ECHO) else None


def of_the_cheap(ask: Ask) -> Act | None:
    """The cheap model breaks the contract where a row is hard, until a dear one is asked."""
    return (
        Act(kind="invalid", content='{"label": "so-so"}') if "hard" in ask.user and ask.model != "dear-model" else None
    )


def sure(row: str, path: str) -> float:
    """How sure the models say to be: less where a row is shaky."""
    return 0.6 if "shaky" in row else 0.99


def answered(messages: Sequence[Mapping[str, Any]], text: str) -> Mapping[str, Any]:
    """A good answer that quotes the row."""
    return {"label": "good" if len(text) % 2 else "bad", "score": len(text) % 11, "quote": text[:300]}


def table(file: Path, texts: Sequence[str]) -> Path:
    """A CSV of these texts, each with an id."""
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([("id", "text"), *((f"R-{n:04}", text) for n, text in enumerate(texts, 1))])
    return file


class Workshop:
    """The home, its household, the stub behind it, and an engine beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        home, prompts = folder / "home", folder / "prompts"
        home.mkdir(mode=0o700)
        prompts.mkdir()
        self.stub = StubProvider(
            echoed, of_the_cheap, marked, answer=answered, latency=0.02, prices={"dear-model": DEAR}, confidence=sure
        )
        self.stub.__enter__()
        (home / "connections.toml").write_text(
            f'[stub]\nbase_url = "{self.stub.base_url}"\nmodels = ["stub-model", "dear-model"]\nin_flight = 40\nbatch_poll = 0.5\n'
            '[stub.prices."*"]\ninput = 1.0\noutput = 2.0\n[stub.prices.dear-model]\ninput = 10.0\noutput = 20.0\n'
            f'[unpriced]\nbase_url = "{self.stub.base_url}"\nmodels = ["bare-model"]\n'
        )
        self.household = Household(home, prompts)
        self.engine = Engine(settings.load(home, prompts, {}))

    def close(self) -> None:
        """Stop all of it."""
        self.engine.close()
        try:
            self.household.close()
        finally:
            self.stub.__exit__(None, None, None)

    def version(self, content: VersionContent = FIRST, *, note: str = "as it began") -> Version:
        """A saved version of the prompt ``triage``."""
        return self.engine.prompts.save("triage", content, note=note)

    def run(self, name: str, texts: Sequence[str], *, wait: bool = True, **options: Any) -> Run:
        """A run over these texts as a dataset of that name."""
        dataset = self.engine.datasets.add(table(self.folder / name, texts))
        if dataset.id_column is None:
            self.engine.datasets.set_id_column(dataset.id, "id")
        run = self.engine.runs.start(
            Launch(
                version=self.version(),
                dataset=self.engine.datasets.get(dataset.id),
                connection=self.engine.settings.connection("stub"),
                options=RunOptions(**({"in_flight": 20} | options)),
                id_column="id",
            ),
            key=f"{name}:{time.time_ns()}",
        )
        return self.ended(run) if wait else self.engine.runs.get(run)

    def ended(self, run: int) -> Run:
        """That run when it has ended."""
        wait_until(lambda: self.engine.runs.get(run).ended_at is not None)
        return self.engine.runs.get(run)

    def furnish(self) -> None:
        """Something for every screen."""
        assert self.household.address
        reviews = [f"[[always bad]] review {n}: it stops at the second page" for n in range(BROKEN)]
        reviews += [f"[[invalid always]] review {n}: they charged me twice" for n in range(SHAPELESS)]
        reviews += [f"[[refuse always]] review {n}" for n in range(REFUSED)]
        reviews += [f"[[malformed 3 times]] review {n}: how do I add a user?" for n in range(HEALING)]
        reviews += [f"review {n}: all is well, thank you" for n in range(GOOD)]
        run = self.run("reviews.csv", reviews)
        assert (run.counts.dead, run.counts.accepted) == (BROKEN + SHAPELESS + REFUSED + HEALING, GOOD)
        self.hostile = self.run("hostile.csv", [*HOSTILE, *(ECHO + text for text in HOSTILE)])
        self.reviews = run
        second = self.version(SECOND, note="says what not to write")
        healing = [(run.id, BROKEN + SHAPELESS + REFUSED + n) for n in range(1, HEALING + 1)]
        letters = self.engine.letters
        (replay,) = letters.replay(
            [*healing, (run.id, 1)], Changes(version=second, note="with the second"), key="furnish:replay"
        )
        self.replay = self.ended(replay)
        letters.correct(
            run.id, 2, {"label": "bad", "score": 1, "quote": "by hand"}, reason="it is clear", key="furnish:correct"
        )
        letters.discard([(run.id, 3)], "an advertisement", key="furnish:discard")
        self._save()
        self._grade()

    def _save(self) -> None:
        """What is made to save money: a ladder, a batch, and the tries by which they are chosen."""
        texts = [f"{('hard', 'shaky', 'easy', 'easy', 'easy')[n % 5]} review {n}, as it came in" for n in range(40)]
        chosen = Ladder(
            climbs=(Climb(model="dear-model"),), checks=(Check(field="label", value="bad"),), confidence=0.9
        )
        self.climbing = self.run("climbing.csv", texts, ladder=chosen)
        self.overnight = self.run("overnight.csv", [f"night review {n}" for n in range(40)], batch="first")
        trials, here = self.engine.trials, self.engine.settings.connection("stub")
        table = {"version": self.version(), "dataset": self.engine.datasets.get(self.climbing.dataset)}
        rivals = trials.rivals(
            **table, cheap=(here, "stub-model"), dear=(here, "dear-model"), sample=40, key="furnish:rivals"
        )
        sizes = trials.start(Launch(**table, connection=here, options=RunOptions()), key="furnish:sizes")
        for one in (*rivals, *sizes):
            self.ended(one)
        self.rivals, self.sizes = (",".join(map(str, some)) for some in (rivals, sizes))

    def _grade(self) -> None:
        """Golden rows that two models were asked about, and a run that is archived."""
        self.engine.prompts.save("graded", FIRST, note="as it began")
        self.engine.prompts.write_back("graded", 1)
        golden = self.engine.settings.prompts / "graded" / "golden.csv"
        lines = [(f"graded review {n}", ("good", "bad")[n % 2], n) for n in range(8)]
        with golden.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([("text", "expected.label", "expected.score"), *lines])
        version = self.engine.prompts.versions("graded")[0]
        asked = Launch(
            version=version,
            dataset=self.engine.evaluations.table(version, golden),
            connection=self.engine.settings.connection("stub"),
            kind="evaluation",
        )
        self.evaluation, self.beside = (
            self.ended(self.engine.runs.start(replace(asked, model=model), key=f"furnish:{model}"))
            for model in ("stub-model", "dear-model")
        )
        self.archived = self.run("archived.csv", ["a review that is done with"])
        self.engine.archive.put([Thing(kind="run", name=str(self.archived.id))], key="furnish:archive")
