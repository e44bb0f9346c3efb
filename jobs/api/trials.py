"""engine.trials: how many rows a call should hold, found out on a sample before a run.

Each size is a run of kind try over the same rows, so that what it costs is in the books like anything else. The answers of one row
a call are what the others are held against: how far they agree, field by field, with the n that it is of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from jobs import errors, ladder, thresholds
from jobs.api.launch import Launch
from jobs.api.rivals import Weighed, weigh
from jobs.api.room import House, Room
from jobs.api.runs import Runs
from jobs.contract import words
from jobs.golden import PREFIX, stored_golden
from jobs.lifecycle import ENDS
from jobs.options import Check, RunOptions
from jobs.settings import Connection
from jobs.store import reading_prompts, reading_row, reading_trials
from jobs.views.datasets import Dataset
from jobs.views.prompts import Version
from jobs.views.trials import FieldAgreement, Trial

#: rows that two models are compared on; 98 % agreement takes 183 at least (``thresholds.least``)
COMPARED = 200
#: rows a call that are tried, and rows that they are tried on
SIZES, SAMPLE = (1, 2, 5, 10, 20), 20
#: rows of a table that is looked at for what is expected
MOST_GOLDEN = 2_000
_NOTHING = object()


class Trials(Room):
    """Sizes that are tried."""

    def __init__(self, house: House, runs: Runs) -> None:
        super().__init__(house)
        self._runs = runs

    def start(self, launch: Launch, *, sizes: Sequence[int] = SIZES, sample: int = SAMPLE, key: str) -> list[int]:
        """Try each size on the same rows, spread over those of a launch; the runs, in the order of the sizes that there are rows for.

        Raises:
            InputError: the version cannot be asked about several rows, or not be run as it is.
            Refused: the keeper cannot start one of them.
            EngineDown: the keeper does not answer.
        """
        ordinals = launch.spread(sample)
        if len(ordinals) < 2:
            raise errors.InputError(f"{launch.dataset.name} has too few rows to try several of them in a call")
        one = replace(launch, kind="try", limit=None, ordinals=ordinals)
        return self._start(
            [
                replace(
                    one,
                    options=one.how.model_copy(update={"rows_per_call": size, "budget": None}),
                    note=f"how many rows a call: {size}",
                )
                for size in sizes
                if size <= len(ordinals)
            ],
            key,
        )

    def rivals(
        self,
        *,
        version: Version,
        dataset: Dataset,
        cheap: tuple[Connection, str],
        dear: tuple[Connection, str],
        sample: int = COMPARED,
        key: str,
    ) -> list[int]:
        """Ask two models about the same rows, spread over the table; the runs, the cheap one's first, which tells how sure it is.

        Raises:
            InputError: the version cannot be run as it is.
            Refused: the keeper cannot start one of them.
            EngineDown: the keeper does not answer.
        """
        one = Launch(version=version, dataset=dataset, connection=cheap[0], model=cheap[1], kind="try")
        one = replace(one, ordinals=one.spread(sample))
        return self._start(
            [
                replace(
                    one,
                    connection=connection,
                    model=model,
                    options=RunOptions(
                        in_flight=connection.in_flight,
                        confidence=first,
                        strikes=ladder.STRIKES_BELOW if first else RunOptions().strikes,
                    ),
                    note=f"which rows need {dear[1]}: asked of {model}",
                )
                for first, (connection, model) in ((True, cheap), (False, dear))
            ],
            key,
        )

    def _start(self, launches: Sequence[Launch], key: str) -> list[int]:
        """Every one of them, or none."""
        asked = [self._runs.prepared(launch) for launch in launches]
        made = self.submit_all([(one, f"{key}/{place}") for place, one in enumerate(asked)])
        return [int(one["run"]) for one in made]

    def least(self, target: float) -> int:
        """The fewest rows that can show two models to agree in a share of ``target``, above 0 and below 1."""
        return thresholds.least(target)

    def weigh(
        self,
        runs: Sequence[int],
        *,
        target: float,
        fields: Sequence[str] | None = None,
        checks: Sequence[Check] = (),
    ) -> Weighed:
        """What two such runs have come to so far; ``fields`` must agree, those that decide where None. With ``checks`` rows climb.

        Raises:
            NotFound: there is no such run.
            InputError: these are not two runs of one version about one table.
        """
        found = [self._runs.get(run) for run in runs]
        if len(found) != 2 or len({(one.version_id, one.dataset) for one in found}) != 1:
            raise errors.InputError("two runs of one version about the same table are compared, and nothing else")
        cheap, dear = found
        with self.snapshot() as db:
            version = reading_prompts.version(db, cheap.version_id)
            contract = version.content.contract if version is not None else {}
            said = [
                {ordinal: value for ordinal, state, value in reading_row.answers(db, run.id) if state in ENDS}
                for run in found
            ]
            sure = reading_trials.confidences(db, cheap.id)
            columns, rows = reading_row.table(db, cheap.dataset) if dear.counts.rows <= MOST_GOLDEN else ([], [])
        expected = {}
        if any(column.startswith(PREFIX) for column in columns):
            golden = stored_golden(columns, rows, contract, name=cheap.dataset_name)
            expected = {row.ordinal: row.expected for row in golden if row.expected}
        names = [path.removeprefix("$.") for path in ladder.deciding(contract) or ()] or list(
            contract.get("properties", {})
        )
        return weigh(
            cheap,
            dear,
            said=(said[0], said[1]),
            sure=sure,
            expected=expected,
            fields=tuple(fields or names),
            target=target,
            checks=checks,
        )

    def compare(self, runs: Sequence[int]) -> list[Trial]:
        """What each size has come to so far, by the size; the smallest is what the others are held against.

        Raises:
            NotFound: there is no such run.
        """
        found = sorted((self._runs.get(run) for run in runs), key=lambda run: run.options.rows_per_call)
        with self.snapshot() as db:
            values = [
                {ordinal: value for ordinal, _, value in reading_row.answers(db, run.id) if value is not None}
                for run in found
            ]
            firsts = [reading_trials.at_once(db, run.id) for run in found]
            seconds = [reading_trials.median_seconds(db, run.id) for run in found]
        return [
            Trial(
                run=run,
                answered_at_once=first.answered,
                salvaged=first.salvaged,
                median_seconds=median,
                fields=() if place == 0 else tuple(agreement(values[0], values[place])),
            )
            for place, (run, first, median) in enumerate(zip(found, firsts, seconds, strict=True))
        ]


def agreement(
    singly: Mapping[int, Mapping[str, Any]], together: Mapping[int, Mapping[str, Any]]
) -> Iterable[FieldAgreement]:
    """For each field how often both say the same, of the rows that both have a value for."""
    both = [(singly[ordinal], together[ordinal]) for ordinal in singly.keys() & together.keys()]
    names = dict.fromkeys(name for one, other in both for name in (*one, *other))
    for name in names:
        agree = sum(_same(one.get(name, _NOTHING), other.get(name, _NOTHING)) for one, other in both)
        yield FieldAgreement(path=name, n=len(both), agree=agree)


def _same(one: object, other: object) -> bool:
    if one is _NOTHING or other is _NOTHING:
        return one is other
    return words.same(one, other)
