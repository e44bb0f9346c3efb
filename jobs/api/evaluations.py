"""engine.evaluations: a version's answers to a golden set, as a run whose report says how far they agree, field by field.

The golden file becomes a dataset like any other, so a report can be read again however the file has changed since. Nothing is
reused: an evaluation asks what the model answers now.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jobs import errors, evals
from jobs.api.datasets import Datasets
from jobs.api.prompts import Prompts
from jobs.api.room import House, Room
from jobs.api.runs import Runs
from jobs.golden import GoldenRow, load_golden, name_of, stored_golden
from jobs.store import reading_row
from jobs.views.datasets import Dataset
from jobs.views.evaluations import Beside
from jobs.views.prompts import Version
from jobs.views.runs import Run

#: evaluations of a prompt that are looked at for others of the same golden rows, and of those that are offered
LOOKED, OFFERED = 500, 50


class Evaluations(Room):
    """Runs of golden sets."""

    def __init__(self, house: House, datasets: Datasets, runs: Runs, prompts: Prompts) -> None:
        super().__init__(house)
        self._datasets = datasets
        self._runs = runs
        self._prompts = prompts

    def table(self, version: Version, golden: Path) -> Dataset:
        """A golden file as the dataset of an evaluation.

        Raises:
            TableError: as ``usable``.
        """
        self.usable(version, golden)
        return self._datasets.add(golden, name=f"{version.prompt}/{golden.name}")

    def usable(self, version: Version, golden: Path) -> None:
        """Refuse a golden file that is none for that version.

        Raises:
            TableError: it cannot be read, has no rows, or expects what the contract can never accept, with the line.
        """
        if not load_golden(golden, version.content.contract):
            raise errors.TableError("has no rows: there is nothing to evaluate", file=name_of(golden))

    def report(self, run_id: int) -> dict[str, Any]:
        """How far the run's answers agree with what was expected, so far.

        ``agreement`` is over all expectations of rows that have an end (n): a row without a value disagrees.
        ``answered_agreement`` is over rows that have a value (``answered_n``). Both are None without an expectation.
        Misses are at most ``evals.MOST_MISSES``; ``missed`` counts all.

        Raises:
            InputError: the run is no evaluation.
        """
        with self.snapshot():
            run = self._evaluation(run_id)
            found = evals.agreement(*self._answered(run))
        return {
            "run": run_id,
            "prompt": run.version,
            "rows": run.counts.rows,
            "answered": found.answered,
            "waiting": run.counts.waiting,
            "fields": [{"path": tally.path, **_figures(tally)} for tally in found.fields],
            **_figures(found.overall),
            "missed": len(found.misses),
            "misses": [
                {
                    "ordinal": miss.ordinal,
                    "path": miss.path,
                    "expected": miss.expected,
                    "got": miss.got,
                    "answered": miss.answered,
                }
                for miss in found.misses[: evals.MOST_MISSES]
            ],
        }

    def others(self, run_id: int) -> list[Run]:
        """The other evaluations of the same golden rows, the newest first: of any version, by any model; at most ``OFFERED``.

        Raises:
            InputError: the run is no evaluation.
        """
        run = self._evaluation(run_id)
        found, _ = self._runs.list(limit=LOOKED, kinds=("evaluation",), prompt=run.prompt)
        return [one for one in found if one.id != run_id and one.dataset == run.dataset][:OFFERED]

    def beside(self, run_id: int, other_id: int) -> Beside:
        """What two evaluations of the same golden rows have come to, over the rows that have an end in both.

        Raises:
            InputError: one of them is no evaluation, or they are of other golden rows.
        """
        with self.snapshot():
            one, other = self._evaluation(run_id), self._evaluation(other_id)
            if one.dataset != other.dataset:
                raise errors.InputError(
                    f"evaluations {run_id} and {other_id} are of different golden rows, which cannot stand beside each other; "
                    "evaluate one of them again"
                )
            return evals.beside(self._answered(one), self._answered(other))

    def _evaluation(self, run_id: int) -> Run:
        run = self._runs.get(run_id)
        if run.kind != "evaluation":
            raise errors.InputError(f"run {run_id} is no evaluation, but a run of kind {run.kind}")
        return run

    def _answered(self, run: Run) -> tuple[Sequence[GoldenRow], dict[int, evals.Answer]]:
        """The golden rows as the contract of the run's version reads them, and what became of each that was asked."""
        db = self.read()
        contract = self._prompts.get(run.version_id).content.contract
        golden = stored_golden(*reading_row.table(db, run.dataset), contract, name=run.dataset_name)
        answers = reading_row.answers(db, run.id)
        return golden, {ordinal: evals.Answer(state=state, value=value) for ordinal, state, value in answers}


def _figures(tally: evals.Tally) -> dict[str, Any]:
    return {
        "n": tally.n,
        "agree": tally.agree,
        "agreement": tally.agreement,
        "answered_n": tally.answered_n,
        "answered_agreement": tally.answered_agreement,
    }
