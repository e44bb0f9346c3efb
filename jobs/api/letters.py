"""engine.letters: dead letters by cause, one row with all that is known of it, and what a person does about them.

What is decided here is only asked for: the keeper applies it, once for each key, and refuses what is no longer so. A set of
letters is frozen into ids before anything is asked, so what dies between the look and the click is not taken along.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Any

from jobs import errors, review
from jobs.api.datasets import Datasets
from jobs.api.launch import Launch
from jobs.api.prompts import Prompts
from jobs.api.replays import Changes, LetterId, by_run, must_be_once
from jobs.api.room import House, Room
from jobs.api.runs import Runs
from jobs.requests import Correct, Discard, Start, Undo
from jobs.store import reading_letters, reading_replays, reading_row, reading_system
from jobs.store.fates import QUIET_KINDS
from jobs.store.reading_letters import Filter
from jobs.views.datasets import Dataset
from jobs.views.forecast import Forecast, ReplayForecast
from jobs.views.letters import BeforeAfter, Decision, Group, Inspection, Letter, ReplayOutcome, Standing
from jobs.views.runs import Run

#: runs that a forecast looks at
LOOKED = 20
_DAY = 86_400.0


class Letters(Room):
    """Dead letters and the decisions about them.

    Lists are of letters that speak for their row now, unless a run is named: then they are that run's own. ``resolution``
    None is any.
    """

    def __init__(self, house: House, runs: Runs, prompts: Prompts, datasets: Datasets) -> None:
        super().__init__(house)
        self._runs = runs
        self._prompts = prompts
        self._datasets = datasets

    def groups(
        self,
        *,
        run: int | None = None,
        prompt: str | None = None,
        signature: str | None = None,
        resolution: str | None = "open",
        limit: int = 50,
        offset: int = 0,
    ) -> tuple[list[Group], int]:
        """Letters by signature, the most frequent first, and how many signatures there are; or the one group named."""
        with self.snapshot() as db:
            chosen = Filter(run=run, prompt=prompt, signature=signature, resolution=resolution)
            return reading_letters.groups(db, chosen, limit=limit, offset=offset)

    def list(
        self,
        *,
        signature: str | None = None,
        run: int | None = None,
        prompt: str | None = None,
        resolution: str | None = "open",
        offset: int = 0,
        limit: int = 50,
    ) -> tuple[list[Letter], int]:
        """A page of letters, those of the newest run first and in the file's order, and how many there are."""
        with self.snapshot() as db:
            chosen = Filter(run=run, prompt=prompt, signature=signature, resolution=resolution)
            return reading_letters.letters(db, chosen, limit=limit, offset=offset)

    def standing(self, *, run: int | None = None, prompt: str | None = None) -> Standing:
        """How many letters behind a filter wait, are being replayed, and came and went in the last 24 hours."""
        db, since = self.read(), time.time() - _DAY
        if run is not None or prompt is not None:
            return reading_letters.standing(db, Filter(run=run, prompt=prompt), since=since)
        # of all runs by its own indexes: a home may have a million letters
        found = reading_system.letters(db, since=since)
        return Standing(open=found.open, replaying=found.replaying, new_24h=found.new, resolved_24h=found.resolved)

    def ids(
        self,
        *,
        signature: str | None = None,
        run: int | None = None,
        prompt: str | None = None,
        resolution: str | None = "open",
    ) -> Sequence[LetterId]:
        """Every letter behind a filter as (run, ordinal), in that order: the set that a replay freezes."""
        chosen = Filter(run=run, prompt=prompt, signature=signature, resolution=resolution)
        return reading_letters.ids(self.read(), chosen)

    def inspect(self, run_id: int, ordinal: int) -> Inspection:
        """All that is known of one row of a run, dead or not.

        Raises:
            NotFound: the run has no such row, or not yet.
        """
        with self.snapshot() as db:
            run = self._runs.get(run_id)
            place = reading_row.place(db, run_id, ordinal)
            if place is None:
                raise errors.NotFound(f"run {run_id} has no row {ordinal}; its rows are numbered from 1 as in the file")
            return Inspection(
                run=run,
                ordinal=ordinal,
                row_id=place.row_id,
                state=place.state,
                cells=place.cells,
                original_cells=place.original_cells,
                letter=reading_letters.letter(db, run_id, ordinal),
                attempts=reading_row.attempts(db, run_id, ordinal),
                version=self._prompts.get(place.version),
                result=reading_row.result(db, place),
                decisions=tuple(reading_letters.decisions_about(db, root=place.root, ordinal=ordinal)),
            )

    def neighbours(
        self,
        run_id: int,
        ordinal: int,
        *,
        signature: str | None = None,
        prompt: str | None = None,
        resolution: str | None = "open",
        within_run: bool = False,
    ) -> tuple[LetterId | None, LetterId | None]:
        """The letters before and after this row in the list; the row itself need not be in it any more."""
        with self.snapshot() as db:
            chosen = Filter(
                run=run_id if within_run else None, prompt=prompt, signature=signature, resolution=resolution
            )
            return reading_letters.neighbours(db, chosen, run=run_id, ordinal=ordinal)

    def replay(self, letters: Sequence[LetterId], changes: Changes | None = None, *, key: str) -> Sequence[int]:
        """Ask these letters again, in one replay for each run that they are of; the replays' ids.

        Every replay is checked before the first one is asked for, and all are asked for in one act; the same key again
        starts none twice.

        Args:
            letters: (run, ordinal), frozen.
            changes: what is other than in their runs.
            key: idempotency key of the whole act.

        Raises:
            InputError: no letters, edits that fit none of them, or letters of a try or an evaluation.
            Refused: none of a run's letters is open any more; the replays of other runs have started.
        """
        requests = self.prepared(letters, changes)
        made = self.submit_all([(request, f"{key}:{request.parent}") for request in requests])
        return [int(result["run"]) for result in made]

    def prepared(self, letters: Sequence[LetterId], changes: Changes | None = None) -> Sequence[Start]:
        """The replays as they will be asked of the keeper, checked and frozen; nothing is asked yet.

        Raises:
            InputError: as ``replay``.
        """
        changes = changes or Changes()
        rows = by_run(letters)
        if strange := sorted(set(changes.edits) - set(letters)):
            raise errors.InputError(
                f"row {strange[0][1]} of run {strange[0][0]} is edited but not among those to replay"
            )
        parents = [self.replayable(run) for run in rows]
        must_be_once(parents, rows)
        launches = [self._launch(parent, rows[parent.id], changes) for parent in parents]
        return [self._runs.prepared(launch) for launch in launches]

    def forecast(self, letters: Sequence[LetterId], changes: Changes | None = None) -> ReplayForecast:
        """What ``replay`` of these letters is likely to take; of many runs the first ``LOOKED`` are looked at.

        Raises:
            InputError: no letters.
        """
        rows = by_run(letters)
        found: list[Forecast] = []
        troubles: dict[int, str] = {}
        for run, ordinals in itertools.islice(rows.items(), LOOKED):
            try:
                launch = self._launch(self.replayable(run), ordinals, changes or Changes())
                self._runs.prepared(launch)
                found.append(self._runs.forecast(launch))
            except errors.RedriveError as error:
                troubles[run] = error.message
        return ReplayForecast(
            whole=functools.reduce(Forecast.plus, found) if found else None,
            troubles=troubles,
            runs=len(rows),
            looked=min(len(rows), LOOKED),
        )

    def _launch(self, parent: Run, ordinals: tuple[int, ...], changes: Changes) -> Launch:
        dataset = self._datasets.get(parent.dataset)
        version = changes.version or self._prompts.get(parent.version_id)
        connection = changes.connection or self.settings.with_embedded().connection(parent.connection)
        edits = {
            ordinal: self._edited(dataset, run, ordinal, cells)
            for (run, ordinal), cells in changes.edits.items()
            if run == parent.id
        }
        return Launch(
            version=version,
            dataset=dataset,
            connection=connection,
            model=changes.model_after(parent),
            options=changes.options_after(parent, dataset=dataset, version=version, connection=connection),
            ordinals=ordinals,
            id_column=parent.id_column,
            kind="replay",
            parent=parent.id,
            edits=edits,
            note=changes.note,
        )

    def replayable(self, run_id: int) -> Run:
        """The run, if its dead letters can be replayed.

        Raises:
            InputError: it, or the run that its values would go to, is a try or an evaluation: their values go nowhere.
        """
        run = self._runs.get(run_id)
        root = run if run.root == run.id else self._runs.get(run.root)
        if root.kind in QUIET_KINDS:
            name = f"{'an' if root.kind == 'evaluation' else 'a'} {root.kind}"
            whose = f"run {run.id} is {name}" if run is root else f"run {run.id} goes back to run {root.id}, {name}"
            raise errors.InputError(
                f"{whose} of {root.version}: what dies in {name} is there to be looked at, and cannot be replayed; start a run of "
                "that version and replay its dead letters"
            )
        return run

    def _edited(self, dataset: Dataset, run: int, ordinal: int, cells: Mapping[str, str]) -> dict[str, str]:
        """The whole row: as its run saw it, with these cells instead."""
        if unknown := sorted(set(cells) - set(dataset.columns)):
            raise errors.InputError(
                f"row {ordinal} of run {run}: the dataset has no column {unknown[0]!r}; it has: {', '.join(dataset.columns)}"
            )
        place = reading_row.place(self.read(), run, ordinal)
        if place is None:
            raise errors.NotFound(f"run {run} has no row {ordinal}")
        return place.cells | dict(cells)

    def correct(self, run_id: int, ordinal: int, value: Mapping[str, Any], *, reason: str = "", key: str) -> int:
        """Give a dead letter its value by hand; the decision's id.

        Raises:
            InputError: the value breaks the contract of the run's version, with each problem's path, rule, expected and got; or
                the letter is of a try or an evaluation.
            Refused: the letter has been resolved otherwise.
        """
        run = self._runs.get(run_id)
        kind = self._runs.get(run.root).kind
        if kind in QUIET_KINDS:
            raise errors.InputError(
                f"run {run_id} belongs to a run of kind {kind}, which has no values to be corrected"
            )
        version = self._prompts.get(run.version_id)
        held = review.held(value, version.content.contract)
        result = self.submit(Correct(run=run_id, ordinal=ordinal, value=held, reason=reason), key)
        return int(result["decision"])

    def discard(self, letters: Sequence[LetterId], reason: str, *, key: str) -> Sequence[int]:
        """Say that these letters are not needed; one decision for each run that they are of.

        Raises:
            InputError: no letters, or no reason.
            Refused: none of a run's letters is open any more.
        """
        rows = by_run(letters)
        if not reason.strip():
            raise errors.InputError("say why these rows are not needed: the reason is kept with them")
        return [
            int(self.submit(Discard(run=run, ordinals=ordinals, reason=reason), f"{key}:{run}")["decision"])
            for run, ordinals in rows.items()
        ]

    def undo(self, decision_id: int, *, key: str) -> int:
        """Take a correction, a discard or a replay's results back; how many rows that was."""
        return int(self.submit(Undo(decision=decision_id), key)["undone"])

    def outcome(self, replay_run_id: int) -> ReplayOutcome:
        """What a replay has made of the letters that it took; adds up to its rows."""
        with self.snapshot() as db:
            self._must_be_replay(replay_run_id)
            return reading_replays.outcome(db, replay_run_id)

    def before_after(
        self, replay_run_id: int, *, outcome: str | None = None, offset: int = 0, limit: int = 50
    ) -> tuple[Sequence[BeforeAfter], int]:
        """A page of a replay's rows, how each had failed beside what came now, and how many there are."""
        with self.snapshot() as db:
            self._must_be_replay(replay_run_id)
            return reading_replays.before_after(db, replay_run_id, outcome=outcome, limit=limit, offset=offset)

    def _must_be_replay(self, run_id: int) -> None:
        run = self._runs.get(run_id)
        if run.kind != "replay":
            raise errors.InputError(f"run {run_id} is no replay")

    def decision_of(self, replay_run_id: int) -> Decision | None:
        """The decision that a replay was made by, however many came after it."""
        return reading_letters.decision_of(self.read(), replay_run_id)

    def decisions(
        self,
        *,
        run: int | None = None,
        rows_of: int | None = None,
        prompt: str | None = None,
        limit: int = 50,
    ) -> Sequence[Decision]:
        """What was decided, the newest first.

        Args:
            run: about this run's own letters only.
            rows_of: about rows of this run, in whichever run of its family they had died.
            prompt: about letters of this prompt's runs only.
            limit: at most so many.
        """
        return reading_letters.decisions(self.read(), run=run, rows_of=rows_of, prompt=prompt, limit=limit)
