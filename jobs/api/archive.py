"""engine.archive: what is done with is put out of sight, and brought back.

Nothing is deleted: what is archived stands in no list and no choice, and its page, values, costs and exports stay as they are. A
run takes its replays along, both ways, since they are the work on its rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlite_utils import Database

from jobs import errors
from jobs.api.datasets import Datasets
from jobs.api.prompts import Prompts
from jobs.api.room import House, Room
from jobs.api.runs import Runs
from jobs.requests import Archive as PutAway
from jobs.requests import Restore
from jobs.store import reading_archive, reading_letters
from jobs.values import Thing
from jobs.views.archive import Archived, Archiving

#: names that a refusal tells
_TOLD = 10


class Archive(Room):
    """The archive of a home."""

    def __init__(self, house: House, datasets: Datasets, prompts: Prompts, runs: Runs) -> None:
        super().__init__(house)
        self._datasets = datasets
        self._prompts = prompts
        self._runs = runs

    def dataset(self, named: str) -> Thing:
        """The dataset of that id, or the only one of that file name.

        Raises:
            NotFound: there is none, or several have the name; says which there are.
        """
        found = self._datasets.list(archived=None)
        alike = [one for one in found if one.id == named] or [one for one in found if one.name == named]
        if len(alike) == 1:
            return Thing(kind="dataset", name=alike[0].id)
        if alike:
            raise errors.NotFound(
                f"{len(alike)} datasets are named {named!r}: name one by its id, of {_told([one.id for one in alike])}"
            )
        raise errors.NotFound(
            f"there is no dataset {named!r}; there are: {_told([f'{one.id} ({one.name})' for one in found])}"
        )

    def prompt(self, name: str) -> Thing:
        """The prompt of that name; raises NotFound, saying which there are."""
        names = [one.name for one in self._prompts.list(archived=None)]
        if name not in names:
            raise errors.NotFound(f"there is no prompt {name!r}; there are: {_told(names)}")
        return Thing(kind="prompt", name=name)

    def run(self, number: int) -> Thing:
        """The run of that number; raises NotFound."""
        return Thing(kind="run", name=str(self._runs.get(number).id))

    def weigh(self, things: Sequence[Thing]) -> Archiving:
        """What archiving these would do; nothing is done."""
        with self.snapshot() as db:
            put_away = reading_archive.everything(db)
            whole = _with_replays(db, things)
            left = tuple(thing for thing in whole if thing not in put_away)
            runs = [self._runs.get(number) for number in _runs(left)]
            of, going_on = reading_archive.running_of(
                db, prompts=_names(left, "prompt"), datasets=_names(left, "dataset")
            )
            return Archiving(
                things=left,
                along=tuple(_runs([thing for thing in left if thing not in things])),
                running=tuple(run.id for run in runs if run.state == "running"),
                open_letters=sum(reading_archive.open_letters(db, _runs(left)).values()),
                paused=tuple(run.id for run in runs if run.state == "paused"),
                waiting=sum(run.counts.waiting for run in runs if run.state == "paused"),
                runs=of,
                going_on=going_on,
                labels=reading_archive.labels(db, _names(left, "prompt")),
            )

    def put(self, things: Sequence[Thing], *, key: str) -> Sequence[Archived]:
        """Archive these, runs with their replays, all or none; what they are now. The same again changes nothing.

        Raises:
            Refused: one is a run that goes on.
        """
        whole = self._whole(things)
        self.submit(PutAway(things=whole), key)
        return self.look(whole)

    def restore(self, things: Sequence[Thing], *, key: str) -> Sequence[Archived]:
        """Bring these back, runs with their replays; what they are now. The same again changes nothing."""
        whole = self._whole(things)
        self.submit(Restore(things=whole), key)
        return self.look(whole)

    def look(self, things: Sequence[Thing] | None = None) -> Sequence[Archived]:
        """These things, or all that is archived with what was archived last first, and since when each is."""
        with self.snapshot() as db:
            since = reading_archive.everything(db)
            meant = list(since) if things is None else things
            letters = reading_archive.open_letters(db, _runs(meant))
            versions = reading_letters.version_names(db, set(_runs(meant)))
            titles = {Thing(kind="run", name=str(run)): version for run, version in versions.items()}
            titles |= {Thing(kind="dataset", name=one.id): one.name for one in self._datasets.list(archived=None)}
            return [
                Archived(
                    thing=thing,
                    title=titles.get(thing, thing.name),
                    archived_at=since.get(thing),
                    open_letters=letters.get(int(thing.name), 0) if thing.kind == "run" else 0,
                )
                for thing in meant
            ]

    def _whole(self, things: Sequence[Thing]) -> tuple[Thing, ...]:
        if not things:
            raise errors.InputError("nothing is named: name a run, a prompt or a dataset")
        return _with_replays(self.read(), things)


def _with_replays(db: Database, things: Sequence[Thing]) -> tuple[Thing, ...]:
    along = reading_archive.replays(db, _runs(things))
    return tuple(dict.fromkeys([*things, *(Thing(kind="run", name=str(run)) for run in along)]))


def _names(things: Sequence[Thing], kind: str) -> list[str]:
    return [thing.name for thing in things if thing.kind == kind]


def _runs(things: Sequence[Thing]) -> list[int]:
    return [int(name) for name in _names(things, "run")]


def _told(names: Sequence[str]) -> str:
    return ", ".join(names[:_TOLD]) + (f" and {len(names) - _TOLD:,} more" if len(names) > _TOLD else "") or "none"
