"""What the draft is looked at with: a dataset, one of its rows, and the prompt rendered for it."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from jobs import errors, templates
from jobs.views import Dataset
from workbench import parts, session, wording
from workbench.screens.editor import desk
from workbench.screens.editor.draft import Draft

TRIED = 5


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The chosen dataset and row, and the rows to try; the failing ones where they were handed over."""

    dataset: Dataset | None
    ordinal: int
    cells: dict[str, str] | None
    ordinals: tuple[int, ...]
    handed_over: bool


def choose() -> Bench:
    """Draw the choice of dataset and row; both live in the URL."""
    engine = session.engine()
    ready = [dataset for dataset in engine.datasets.list() if dataset.state == "ready"]
    handed = session.ints_param("rows")
    wanted = session.param("dataset") or _dataset_of_run()
    if not ready:
        st.caption("Upload a dataset to see the prompt with a row of it, and to try it.")
        session.link("Upload a dataset", "datasets")
        return Bench(dataset=None, ordinal=0, cells=None, ordinals=(), handed_over=False)
    by_id = {dataset.id: dataset for dataset in ready}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        identity = st.selectbox(
            "Dataset",
            list(by_id),
            index=list(by_id).index(wanted) if wanted in by_id else 0,
            format_func=lambda one: wording.head(
                f"{by_id[one].name} · {wording.count(by_id[one].row_count, 'row')}", 60
            ),
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


def _dataset_of_run() -> str | None:
    run = session.int_param("run")
    return session.engine().runs.get(run).dataset if run is not None else None


def rendered(draft: Draft, bench: Bench) -> None:
    """Draw the prompt for the chosen row, or why it cannot be rendered."""
    if bench.cells is None:
        return
    content, trouble = desk.content_of(draft)
    if content is None:
        parts.error(trouble or "", title="Not a version yet")
        return
    try:
        messages = session.engine().prompts.render(content, bench.cells)
    except errors.PromptError as error:
        place = "template, " if error.line else ""
        parts.error(f"{place}{error.message}", title=f"Row {bench.ordinal} cannot be rendered")
        return
    parts.chat(messages)


def problems(draft: Draft, bench: Bench) -> list[str]:
    """What is wrong with the draft, and with the draft for these columns, in plain words."""
    content, trouble = desk.content_of(draft)
    if content is None:
        return [trouble or "not a version yet"]
    columns = bench.dataset.columns if bench.dataset else _own_names(content.template)
    return session.engine().prompts.check(content, columns)


def _own_names(template: str) -> tuple[str, ...]:
    """The names that a template uses, so that without a dataset none of them is held against it."""
    try:
        return tuple(unknown.name for unknown in templates.parse(template).unknown(()))
    except errors.PromptError:
        return ()
