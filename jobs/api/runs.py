"""Runs: what one would take, starting it, watching it, steering it, and what came of it.

Nothing here changes a run: the keeper does, when it is asked. All that could change between the click and the keeper's act is
frozen here: the columns that the template uses, the model, the price, the connection's base URL.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jobs import errors, pairing, templates
from jobs import ladder as ladders
from jobs.api import exports
from jobs.api.datasets import check_id_column
from jobs.api.forecast import forecast
from jobs.api.launch import Launch
from jobs.api.outlook import outlook
from jobs.api.prompts import unknown_columns
from jobs.api.room import Room
from jobs.options import Climb, Rung, RunOptions
from jobs.prices import price_of
from jobs.requests import Cancel, Pause, Resume, SetBudget, Start
from jobs.settings import Connection, Price
from jobs.store import reading_batches, reading_results, reading_rungs, reading_runs
from jobs.store.reading_results import Scope
from jobs.views.datasets import Dataset
from jobs.views.forecast import Forecast, Outlook
from jobs.views.letters import Group
from jobs.views.prompts import Version
from jobs.views.runs import Batch, ResultRow, Run, RungTally


class Runs(Room):
    """The runs of a home."""

    def forecast(self, launch: Launch) -> Forecast:
        """What such a run is likely to take, what that is founded on, and what there is to say before it is launched."""
        return forecast(self._house, launch)

    def outlook(self, run_id: int) -> Outlook | None:
        """What a run that goes on is likely to come to, from its own calls so far; None once it has ended. Raises NotFound."""
        return outlook(self._house, run_id)

    def start(self, launch: Launch, *, key: str) -> int:
        """The id of the run that the keeper has made; the same ``key`` twice is the same run.

        Raises:
            InputError: it cannot be run as it is; says what to change.
            Refused: the keeper cannot start it in the present state.
            EngineDown: the keeper does not answer.
        """
        return int(self.submit(self.prepared(launch), key)["run"])

    def prepared(self, launch: Launch) -> Start:
        """A run as it will be asked of the keeper, checked and frozen; nothing is asked yet.

        Raises:
            InputError: it cannot be run as it is; says what to change.
        """
        version, dataset, connection, options = launch.version, launch.dataset, launch.connection, launch.how
        columns = self.usable(version, dataset, id_column=launch.named_by, options=options)
        _must_have_rows(launch)
        if options.batch != "no" and connection.is_embedded:
            raise errors.InputError("the model that Redrive serves itself has no batch endpoint; say batch: no")
        if options.rows_per_call > 1 and not templates.parse(version.content.template).shares_rows:
            raise errors.InputError(
                f"{version.reference} cannot be asked about {options.rows_per_call} rows a call: a message before the last one "
                "depends on the row; put every column into the last user message, or ask about one row a call"
            )
        model = self.model_of(launch)
        return Start(
            run_kind=launch.kind,
            dataset=dataset.id,
            version=version.id,
            connection=connection.name,
            base_url=connection.base_url,
            model=model,
            price=self._price(model, connection, options, rung=None),
            upper=self._upper(launch, model),
            options=options,
            columns=columns,
            id_column=launch.named_by,
            limit=launch.limit,
            ordinals=launch.ordinals,
            parent=launch.parent,
            edits={ordinal: dict(cells) for ordinal, cells in launch.edits.items()},
            note=launch.note,
        )

    def model_of(self, launch: Launch) -> str:
        """The model that would answer, as ``launch.asks`` says.

        Raises:
            InputError: nobody names one, or the embedded server would answer in another's name.
        """
        chosen, connection = launch.asks, launch.connection
        if not chosen:
            raise errors.InputError(
                f"no model: name one, write it into the prompt {launch.version.prompt}, or give connection {connection.name!r} a list "
                "of models in connections.toml"
            )
        if connection.is_embedded and chosen not in connection.models:
            raise errors.InputError(
                f"the embedded model is {', '.join(connection.models)}, and it answers to any name: {chosen!r} would be "
                "booked without having been asked"
            )
        return chosen

    def _price(self, model: str, connection: Connection, options: RunOptions, *, rung: Climb | None) -> Price | None:
        """What a run would be charged by; None where nobody knows, which a budget does not allow.

        Raises:
            InputError: there is a budget and no price.
        """
        price = price_of(model, connection)
        if options.budget is not None and price is None:
            raise errors.InputError(
                f"{f'rung {rung}: ' if rung else ''}a budget needs a price, and that of {model} at connection "
                f"{connection.name!r} is unknown: set it in {self.settings.home / 'connections.toml'} under "
                f'[{connection.name}.prices."{model}"], or leave the budget{" or the rung" if rung else ""} out'
            )
        return price

    def _upper(self, launch: Launch, model: str) -> tuple[Rung, ...]:
        """The rungs above a run's own model, with what they charge.

        Raises:
            InputError: a connection is not there, a model stands on two rungs, or there is a budget and a rung without a price.
        """
        connection, options = launch.connection, launch.how
        if options.ladder is None:
            return ()
        there = self.settings.with_embedded().connections
        rungs: list[Rung] = []
        taken = {(connection.base_url, model)}
        for climb in options.ladder.climbs:
            at = connection if climb.connection is None else there.get(climb.connection)
            if at is None:
                known = ", ".join(sorted(there)) or "none"
                raise errors.InputError(
                    f"rung {climb}: there is no connection {climb.connection!r}; there are: {known}"
                )
            above = self.model_of(replace(launch, connection=at, model=climb.model))
            if (at.base_url, above) in taken:
                raise errors.InputError(
                    f"rung {climb}: {above} stands on a lower rung already, and would check itself; leave it out"
                )
            taken.add((at.base_url, above))
            price = self._price(above, at, options, rung=climb)
            rungs.append(Rung(connection=at.name, base_url=at.base_url, model=above, price=price))
        return tuple(rungs)

    def usable(
        self,
        version: Version,
        dataset: Dataset,
        *,
        id_column: str | None = None,
        options: RunOptions | None = None,
    ) -> tuple[str, ...]:
        """The columns that the template uses, if it can be asked about this table, and what options name of them is there.

        Raises:
            InputError: why not.
        """
        if dataset.state != "ready":
            raise errors.InputError(
                f"{dataset.name} is still being loaded; wait until it is ready, or give the file again"
            )
        template = templates.parse(version.content.template)
        if unknown := unknown_columns(template, dataset.columns):
            raise errors.InputError(f"{version.reference} does not fit {dataset.name}: {'; '.join(unknown)}")
        options = options or RunOptions()
        if options.ladder is not None:
            ladders.must_fit(options.ladder, columns=dataset.columns, contract=version.content.contract)
        if id_column is not None and id_column != dataset.id_column:
            check_id_column(self.read(), dataset, id_column)
        used = template.columns(dataset.columns)
        pairing.must_fit(options.echo, contract=version.content.contract, columns=dataset.columns, used=used)
        return used

    def get(self, run_id: int) -> Run:
        """The run of that number, as it is now; raises NotFound."""
        with self.snapshot() as db:
            found = reading_runs.run(db, run_id, now=time.time(), ended=self._house.ended)
        if found is None:
            raise errors.NotFound(f"there is no run {run_id}")
        return found

    def results(
        self,
        run_id: int,
        *,
        offset: int,
        limit: int,
        state: str | None = None,
        as_run: bool = False,
        search: str = "",
    ) -> tuple[list[ResultRow], int]:
        """A page of rows with their values, and how many pass; raises NotFound.

        Those of the root run with what is current, or the run's own with ``as_run``. ``state``: accepted, dead, cancelled,
        waiting, or one of the states that waiting is made of. ``search``: rows that hold the text in one of their cells.
        """
        with self.snapshot() as db:
            scope = self._scope(run_id, as_run=as_run)
            among = self._house.matching(scope.dataset, search) if search.strip() else None
            return reading_results.page(db, scope, offset=offset, limit=limit, state=state, among=among)

    def _scope(self, run_id: int, *, as_run: bool) -> Scope:
        scope = reading_results.scope(self.read(), run_id, as_run=as_run)
        if scope is None:
            raise errors.NotFound(f"there is no run {run_id}")
        return scope

    def rungs(self, run_id: int) -> list[RungTally]:
        """What each rung of the run's ladder has done so far, the lowest first; one without a ladder has one. Raises NotFound."""
        with self.snapshot() as db:
            return reading_rungs.rungs(db, self.get(run_id))

    def groups(self, run_id: int, *, limit: int = 5) -> list[Group]:
        """The most frequent causes of death among the run's rows so far."""
        with self.snapshot() as db:
            return reading_runs.top_groups(db, run_id, limit=limit)

    def batches(self, run_id: int) -> Sequence[Batch]:
        """The run's batches at its provider, the oldest first; empty where it makes ordinary calls alone."""
        return reading_batches.of_run(self.read(), run_id)

    def resolutions(self, run_id: int) -> dict[str, int]:
        """How many dead letters of the run have each resolution now."""
        return reading_runs.resolutions(self.read(), run_id)

    def export(
        self,
        run_id: int,
        fmt: exports.Format,
        out: Path,
        *,
        as_run: bool = False,
        accepted_only: bool = False,
    ) -> int:
        """Write the rows to a file, as they are at this moment; how many rows.

        Raises:
            NotFound: there is no such run.
            InputError: the file cannot be written.
        """
        with self.snapshot() as db:
            scope = self._scope(run_id, as_run=as_run)
            return exports.export(db, scope, fmt=fmt, out=out, accepted_only=accepted_only)

    def pause(self, run_id: int, *, key: str | None = None) -> Run:
        """No new calls until resumed; a paused run stays as it is. Raises Refused."""
        return self._steer(Pause(run=run_id), key)

    def resume(self, run_id: int, *, key: str | None = None) -> Run:
        """Go on; a running run stays as it is. Raises Refused, also where a connection of it has another base URL now."""
        run, there = self.get(run_id), self.settings.with_embedded().connections
        names = [run.connection, *(rung.connection for rung in run.upper)]
        base_url, *upper = [there[name].base_url if name in there else None for name in names]
        return self._steer(Resume(run=run_id, base_url=base_url, upper=tuple(upper)), key)

    def cancel(self, run_id: int, *, key: str | None = None) -> Run:
        """No new calls ever; what is in flight is kept. Raises Refused."""
        return self._steer(Cancel(run=run_id), key)

    def set_budget(self, run_id: int, budget: float | None, *, key: str | None = None) -> Run:
        """Another budget in US dollars, or none. Raises Refused, or InputError for one that is not above 0."""
        if budget is not None and not budget > 0:
            raise errors.InputError(f"a budget is above $0, or there is none; this one is ${budget:g}")
        return self._steer(SetBudget(run=run_id, budget=budget), key)

    def _steer(self, request: Pause | Resume | Cancel | SetBudget, key: str | None) -> Run:
        self.get(request.run)
        self.submit(request, key or f"{request.kind}-{request.run}-{uuid.uuid4().hex}")
        return self.get(request.run)

    def list(
        self,
        *,
        offset: int = 0,
        limit: int = 50,
        kinds: Sequence[str] | None = None,
        prompt: str | None = None,
        state: str | None = None,
        archived: bool | None = False,
    ) -> tuple[list[Run], int]:
        """A page of the runs that pass, the newest first, and how many there are; ``archived`` None is any."""
        with self.snapshot() as db:
            return reading_runs.runs(
                db,
                now=time.time(),
                ended=self._house.ended,
                offset=offset,
                limit=limit,
                kinds=kinds,
                prompt=prompt,
                state=state,
                archived=archived,
            )


def _must_have_rows(launch: Launch) -> None:
    """Refuse a run without rows, about rows that are not there, or about rows that were edited out of shape."""
    dataset = launch.dataset
    if launch.limit is not None and launch.limit < 1:
        raise errors.InputError(f"a run needs at least one row; the limit is {launch.limit}")
    if launch.ordinals is not None and not launch.ordinals:
        raise errors.InputError("a run needs at least one row; none is chosen")
    if outside := [ordinal for ordinal in launch.ordinals or () if not 1 <= ordinal <= dataset.row_count]:
        raise errors.InputError(f"{dataset.name} has {dataset.row_count:,} rows and no row {outside[0]:,}")
    for ordinal, cells in launch.edits.items():
        if set(cells) != set(dataset.columns):
            wrong = ", ".join(sorted(set(cells) ^ set(dataset.columns)))
            raise errors.InputError(
                f"the edit of row {ordinal:,} must have the columns of {dataset.name}; see: {wrong}"
            )
