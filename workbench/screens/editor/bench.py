"""What the draft is looked at with: a dataset, one of its rows, and the prompt rendered for it."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from jobs import errors
from jobs.views.datasets import Dataset
from workbench import fitting, parts, session
from workbench.screens import archiving
from workbench.screens.editor import desk, lines
from workbench.screens.editor.draft import Draft

TRIED = 5
#: runs of a prompt that are looked through for a dataset
USED = 20


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The chosen dataset and row, and the rows to try; the failing ones where they were handed over."""

    dataset: Dataset | None
    ordinal: int
    cells: dict[str, str] | None
    ordinals: tuple[int, ...]
    handed_over: bool


def ready() -> list[Dataset]:
    """The datasets that can be looked at, golden rows last; of those archived the one that the address or the desk names."""
    named = st.session_state.get("bench:dataset"), session.param("dataset"), _dataset_of_run()
    return fitting.own_first(archiving.datasets(*named))


def columns() -> tuple[str, ...]:
    """The columns that a new prompt is begun with: those of the chosen dataset, or of the newest."""
    wanted = st.session_state.get("bench:dataset") or session.param("dataset")
    found = ready()
    return next((one.columns for one in [*(one for one in found if one.id == wanted), *found]), ())


def choose(name: str, draft: Draft) -> Bench:
    """Draw the choice of dataset and row; both live in the URL."""
    engine = session.engine()
    datasets = ready()
    handed = session.ints_param("rows")
    wanted = session.param("dataset") or _dataset_of_run()
    if not datasets:
        st.caption("Upload a dataset to see the prompt with a row of it, and to try it.")
        session.link("Upload a dataset", "datasets")
        return Bench(dataset=None, ordinal=0, cells=None, ordinals=(), handed_over=False)
    by_id = {dataset.id: dataset for dataset in datasets}
    if wanted not in by_id:
        wanted = fitting.first(datasets, used=_used(name), template=draft.template).id
    with st.container(horizontal=True, vertical_alignment="bottom"):
        identity = st.selectbox(
            "Dataset",
            list(by_id),
            index=list(by_id).index(wanted),
            format_func=lambda one: fitting.named(by_id[one], 60),
            key="bench:dataset",
        )
        dataset = by_id[identity]
        if handed and identity != wanted:
            handed = []
            session.put(rows=None)
        first = session.int_param("row") or (handed[0] if handed else 1)
        ordinal = int(
            st.number_input(
                "Row",
                min_value=1,
                max_value=max(1, dataset.row_count),
                value=min(max(1, first), max(1, dataset.row_count)),
                key=f"bench:row:{identity}",
                width=130,
            )
            or 1
        )
    session.put(dataset=identity, row=ordinal)
    rows = handed[:TRIED] or range(ordinal, min(dataset.row_count, ordinal + TRIED - 1) + 1)
    return Bench(
        dataset=dataset,
        ordinal=ordinal,
        cells=engine.datasets.row(identity, ordinal),
        ordinals=tuple(rows),
        handed_over=bool(handed),
    )


def _used(name: str) -> list[str]:
    """The datasets that this prompt was last run or tried on, the latest first."""
    runs, _ = session.engine().runs.list(limit=USED, kinds=("run", "try", "replay"), prompt=name, archived=None)
    return list(dict.fromkeys(run.dataset for run in runs))


def _dataset_of_run() -> str | None:
    run = session.int_param("run")
    return session.engine().runs.get(run).dataset if run is not None else None


def rendered(draft: Draft, bench: Bench, *, told: bool) -> None:
    """Draw the prompt for the chosen row, or why it cannot be rendered; ``told``: what is amiss is said already."""
    if bench.cells is None:
        return
    content, _ = desk.content_of(draft)
    if content is None or told:
        st.caption("What a row is asked with is shown here as soon as that is mended.")
        return
    try:
        messages = session.engine().prompts.render(content, bench.cells)
    except errors.PromptError as error:
        place = "template, " if error.line else ""
        parts.error(f"{place}{error.message}", title=f"Row {bench.ordinal} cannot be rendered")
        lines.show(draft.template, [error.line or 0], of="template")
        return
    parts.chat(messages)


def problems(draft: Draft) -> list[str]:
    """What is wrong with the draft, whatever the dataset, in plain words."""
    content, trouble = desk.content_of(draft)
    if content is None:
        return [trouble or "not a version yet"]
    return session.engine().prompts.check(content, fitting.needed(content.template))
