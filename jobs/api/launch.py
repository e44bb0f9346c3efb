"""A run as a person asks for it: of what, by which model, how, and about which rows.

It is made once, by a form, the command line, a replay, a try or an evaluation, and handed on whole: to be forecast, to be held
against what a run needs, and to be started. Nothing in it is checked yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pydantic import ValidationError

from jobs import errors, faults
from jobs.options import RunOptions
from jobs.requests import Kind
from jobs.settings import Connection
from jobs.store.fates import QUIET_KINDS
from jobs.views.datasets import Dataset
from jobs.views.prompts import Version


class Unsaid(Enum):
    """Stands for an id column that nobody has chosen, where None numbers the rows: the dataset's own is taken."""

    UNSAID = "unsaid"


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What a person asks for; what they leave out is read from ``asks``, ``how`` and ``named_by``."""

    version: Version
    dataset: Dataset
    connection: Connection
    #: None: the version's own, else the connection's first
    model: str | None = None
    #: None: what the version's runs begin with
    options: RunOptions | None = None
    #: the first so many rows; None: all, or ``ordinals``
    limit: int | None = None
    ordinals: tuple[int, ...] | None = None
    #: None: the rows are named by their numbers
    id_column: str | None | Unsaid = Unsaid.UNSAID
    kind: Kind = "run"
    #: the run whose dead letters are replayed
    parent: int | None = None
    #: whole rows, by column, as a person edited them for this run
    edits: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    note: str = ""

    @property
    def asks(self) -> str:
        """The model that would answer: the one asked for, else the version's, else the connection's first; empty without any."""
        return self.model or self.version.content.model or next(iter(self.connection.models), "")

    @property
    def how(self) -> RunOptions:
        """Its options by its kind: a try or an evaluation uses no earlier answer, and waits for no night.

        Raises:
            InputError: none are given, and what the version's runs begin with cannot be used.
        """
        if self.kind in QUIET_KINDS:
            return (self.options or usual(self.version)).model_copy(update={"reuse": False, "batch": "no"})
        if self.options is not None:
            return self.options
        # what a prompt's runs begin with sends no replay to wait for a night that nobody asked for
        return usual(self.version).model_copy(update={} if self.kind == "run" else {"batch": "no"})

    @property
    def named_by(self) -> str | None:
        """The column that names its rows; None: their numbers do."""
        return self.dataset.id_column if isinstance(self.id_column, Unsaid) else self.id_column

    @property
    def rows(self) -> int:
        """How many rows it has."""
        if self.ordinals is not None:
            return len(self.ordinals)
        return min(self.dataset.row_count, self.limit or self.dataset.row_count)

    def spread(self, most: int) -> tuple[int, ...]:
        """At most so many of its ordinals, evenly spread."""
        step = max(1.0, self.rows / most)
        places = [int(n * step) for n in range(min(most, self.rows))]
        return tuple(self.ordinals[place] if self.ordinals is not None else place + 1 for place in places)


def usual(version: Version) -> RunOptions:
    """What the version's runs begin with.

    Raises:
        PromptError: it cannot be used; says where it is wrong.
    """
    return options_of(version.defaults, of=version.reference)


def options_of(defaults: Mapping[str, Any], *, of: str) -> RunOptions:
    """The options that run defaults say, ``of`` a prompt, a version or a run.

    Raises:
        PromptError: they cannot be used; says which one, and why.
    """
    try:
        return RunOptions.model_validate(defaults)
    except ValidationError as error:
        fault = faults.first(error, RunOptions.model_fields)
        raise errors.PromptError(
            f"the run default {fault.where!r} of {of} cannot be {fault.shown}: {fault.what}"
        ) from error
