"""Which dataset and which prompt go together: the rows to begin with, and what keeps a template from being asked about them.

A column that is missing is a matter of both, so it is said of both and counted against neither. The golden rows of an
evaluation become a dataset like any other; among one's own tables they stand last and say what they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from jobs import errors, templates
from jobs.views.datasets import Dataset
from workbench import wording

#: what begins the columns that only golden rows have
EXPECTED = "expected."
GOLDEN = "golden rows"


def is_golden(dataset: Dataset) -> bool:
    """Whether these are the golden rows of an evaluation."""
    return any(column.startswith(EXPECTED) for column in dataset.columns)


def own_first(datasets: Iterable[Dataset]) -> list[Dataset]:
    """In the given order, golden rows after all others."""
    return sorted(datasets, key=is_golden)


def named(dataset: Dataset, most: int) -> str:
    """A dataset in a list to choose from; golden rows, and those that are archived, say that they are."""
    marks = f" · {GOLDEN}" if is_golden(dataset) else ""
    marks += " · archived" if dataset.archived_at is not None else ""
    return wording.head(f"{dataset.name} · {wording.count(dataset.row_count, 'row')}{marks}", most)


def first(datasets: Sequence[Dataset], *, used: Iterable[str], template: str) -> Dataset:
    """The dataset to look at a template with: one that its prompt was ``used`` on, else one that has its columns."""
    own = [dataset for dataset in datasets if not is_golden(dataset)]
    by_id = {dataset.id: dataset for dataset in own}
    known = [by_id[one] for one in used if one in by_id]
    fitting = [dataset for dataset in own if not missing(template, dataset.columns)]
    return [*known, *fitting, *own, *datasets][0]


def missing(template: str, columns: Collection[str]) -> list[str]:
    """The columns that a template needs and a table lacks, each in words; none of a template that cannot be read."""
    try:
        unknown = templates.parse(template).unknown(columns)
    except errors.PromptError:
        return []
    return [
        f"It has no column {name.name!r} (template, line {name.line})"
        + (f"; did you mean {name.suggestion}?" if name.suggestion else ".")
        for name in unknown
    ]


def misfit(template: str, dataset: Dataset) -> tuple[str, list[str]] | None:
    """That a template and a dataset do not go together, as a title, and what is missing; None where they do."""
    lacks = missing(template, dataset.columns)
    return (f"This prompt does not fit {dataset.name}", lacks) if lacks else None


def needed(template: str) -> tuple[str, ...]:
    """The columns that a template needs."""
    try:
        return tuple(name.name for name in templates.parse(template).unknown(()))
    except errors.PromptError:
        return ()
