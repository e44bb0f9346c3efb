"""A replay as a person asks for it: which letters, and what is other than it was in the run that they died in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jobs import errors, ladder, pairing, templates
from jobs.options import RunOptions
from jobs.settings import Connection
from jobs.views.datasets import Dataset
from jobs.views.prompts import Version
from jobs.views.runs import Run

#: (run, ordinal)
LetterId = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is other than in the letters' own run; None is as there."""

    #: a better prompt
    version: Version | None = None
    #: None: the given version's own, else the parent's
    model: str | None = None
    #: where to ask
    connection: Connection | None = None
    #: how; None: as the parent, by ordinary calls. Where they name the parent's echo and the version is another, its own
    #: default or what still fits is meant; of the parent's ladder what still fits
    options: RunOptions | None = None
    #: cells of letters as a person edited them; the rows in the dataset stay as they are
    edits: Mapping[LetterId, Mapping[str, str]] = field(default_factory=dict)
    #: why
    note: str = ""

    def model_after(self, parent: Run) -> str | None:
        """The model that is asked; None lets the version or the connection choose."""
        if self.model:
            return self.model
        if self.version is not None and self.version.content.model is not None:
            return self.version.content.model
        return parent.model if self.connection is None or self.connection.name == parent.connection else None

    def options_after(self, parent: Run, *, dataset: Dataset, version: Version, connection: Connection) -> RunOptions:
        """How it is made: another version's answers have other fields to repeat a column by, and to be checked.

        Of its parent's ladder it keeps what is above the model that it begins with.
        """
        # nobody who repairs letters waits a night for them
        chosen = self.options or parent.options.model_copy(update={"batch": "no"})
        contract = version.content.contract
        is_other = version.id != parent.version_id
        if chosen.ladder is not None and chosen.ladder == parent.options.ladder:
            left = ladder.above(chosen.ladder, self.model_after(parent), connection.name)
            if left is not None and is_other:
                left = ladder.fitting(left, contract=contract)
            chosen = chosen.model_copy(update={"ladder": left})
        if not is_other or chosen.echo != parent.options.echo:
            return chosen
        used = templates.parse(version.content.template).columns(dataset.columns)
        own = version.defaults.get("echo")
        kept = pairing.fitting(chosen.echo, contract=contract, used=used)
        return chosen.model_copy(update={"echo": kept if own is None else own})


def by_run(letters: Sequence[LetterId]) -> dict[int, tuple[int, ...]]:
    """Their rows by run, in the file's order.

    Raises:
        InputError: there are none.
    """
    if not letters:
        raise errors.InputError("no dead letters were chosen")
    found: dict[int, dict[int, None]] = {}
    for run, ordinal in sorted(letters):
        found.setdefault(run, {})[ordinal] = None
    return {run: tuple(ordinals) for run, ordinals in found.items()}


def must_be_once(parents: Sequence[Run], rows: Mapping[int, Sequence[int]]) -> None:
    """Refuse a choice in which one row stands twice: as it died in a run, and as it died in a replay of that."""
    seen: dict[tuple[int, int], int] = {}
    for parent in parents:
        for ordinal in rows[parent.id]:
            before = seen.setdefault((parent.root, ordinal), parent.id)
            if before != parent.id:
                raise errors.InputError(
                    f"row {ordinal} is chosen twice, in run {before} and in run {parent.id}, which replays it: choose one"
                )
