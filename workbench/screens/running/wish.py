"""The form of a run to be launched, and its forecast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from jobs import errors, prompts
from jobs.api.launch import Launch, options_of
from jobs.options import RunOptions
from jobs.settings import Connection
from jobs.values import VersionContent
from jobs.views.datasets import Dataset
from jobs.views.prompts import Prompt, Version
from workbench import fitting, parts, session, wording
from workbench.screens import archiving
from workbench.screens.running import echoing, expectation, laddering, numbers, overnight

NUMBERED = "the row's number"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a person has chosen so far."""

    launch: Launch
    #: the first so many rows, as they were asked for, which may be more than there are; None: all
    limit: int | None
    #: what is wrong with what was typed, a sentence each
    troubles: tuple[str, ...] = ()

    @property
    def asked(self) -> tuple[object, ...]:
        """What makes it another run than the next one."""
        one = self.launch
        place = one.connection.name, one.connection.base_url, one.model
        return one.dataset.id, one.version.id, *place, one.options, self.limit, one.id_column, one.note


def choose(datasets: Sequence[Dataset]) -> Wish | None:
    """Draw the form; what it says now, or None where no version can be had."""
    dataset = _dataset(datasets)
    version = _version(dataset)
    if version is None:
        return None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        connection = _connection()
        asked = session.param("model") if session.param("connection") == connection.name else None
        model = choose_model(connection, version.content.model, key=f"model:{version.id}", first=asked)
    usual = usual_options(version)
    troubles: list[str] = []
    with st.container(horizontal=True, vertical_alignment="bottom"):
        limit = _limit(dataset, troubles)
        in_flight = numbers.whole(
            "Calls in flight",
            usual.in_flight if "in_flight" in version.defaults else connection.in_flight,
            f"in_flight:{version.id}:{connection.name}",
            troubles,
            most=2000,
            help=f"over all workers; connection {wording.escaped(connection.name)} is set to {connection.in_flight:,}",
        )
        strikes = numbers.whole(
            "Strikes",
            usual.strikes,
            f"strikes:{version.id}",
            troubles,
            most=10,
            help="replies that break the contract before a row is a dead letter; throttles and errors never count",
        )
        budget = numbers.money("Budget, $", usual.budget, f"budget:{version.id}", troubles)
    note = st.text_input("Note (optional)", key="note", placeholder="why this run") or ""
    chosen, wrong = laddering.choose(version, connection=connection.name, model=model)
    troubles += wrong
    session.link(
        "Which rows need the dear model? …",
        "dear_model",
        help="asks a cheap and a dear model about the same rows, and says from which confidence on the cheap one will do",
        prompt=version.reference,
        dataset=dataset.id,
        connection=connection.name,
        model=model or None,
        dear=str(chosen.climbs[-1]) if chosen else None,
    )
    with st.expander(
        "More: rows a call, batch, rate, timeout, reuse, row id", expanded=session.int_param("rows_a_call") is not None
    ):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            rows_per_call = numbers.whole(
                "Rows a call",
                session.int_param("rows_a_call") or usual.rows_per_call,
                f"rows_per_call:{version.id}",
                troubles,
                most=50,
                help="Several rows share one request and its fixed part. Each answer carries its row's id and is judged by itself; "
                "what a reply leaves out is asked again with fewer rows, and costs no strike.",
            )
            rpm = _pace("Requests a minute", usual.rpm, "rpm", troubles)
            tpm = _pace("Tokens a minute", usual.tpm, "tpm", troubles)
            batch = overnight.choose(connection, usual.batch, key=f"batch:{version.id}")
            timeout = numbers.number(
                "Timeout, s", usual.timeout, "timeout", troubles, above=0.0, most=3600.0, help="for one request"
            )
        if rows_per_call > 1:
            echo = echoing.choose(version, dataset.columns, key=f"{version.id}:{dataset.id}")
        else:
            echo, _ = echoing.proposed(version, dataset.columns)
        session.link(
            "How many rows a call? …",
            "rows_a_call",
            help="tries several numbers on a sample: what each costs, and how far it agrees with one row a call",
            prompt=version.reference,
            dataset=dataset.id,
            connection=connection.name,
            model=model or None,
            echo=echoing.address(echo),
        )
        reuse = st.toggle(
            "Ask equal rows once, and use earlier answers again",
            usual.reuse,
            key="reuse",
            help="An answer is used again only for the same model, version and cells; its receipt says so.",
        )
        id_column = _id_column(dataset)
        if said := echoing.says(version.content, dataset.columns, echo, rows_per_call=rows_per_call):
            st.caption(wording.escaped(said))
    launch = Launch(
        dataset=dataset,
        version=version,
        connection=connection,
        model=model,
        options=usual.model_copy(
            update={
                "in_flight": in_flight,
                "rows_per_call": rows_per_call,
                "batch": batch,
                "echo": echo,
                "strikes": strikes,
                "budget": budget,
                "rpm": rpm,
                "tpm": tpm,
                "timeout": float(timeout or usual.timeout),
                "reuse": reuse,
                "ladder": chosen,
            }
        ),
        limit=min(limit, dataset.row_count) if limit else None,
        id_column=id_column,
        note=note.strip(),
    )
    return Wish(launch=launch, limit=limit, troubles=tuple(troubles))


def _id_column(dataset: Dataset) -> str | None:
    """What names the rows: a column by its place, or 0, their number."""
    columns = [None, *dataset.columns]
    place = st.selectbox(
        "Row id",
        range(len(columns)),
        index=columns.index(dataset.id_column) if dataset.id_column in columns else 0,
        format_func=lambda one: wording.head(columns[one] or NUMBERED, 60),
        key=f"launch:id:{dataset.id}",
    )
    return columns[place]


def usual_options(version: Version) -> RunOptions:
    """The run defaults of a version; the general ones where they cannot be used."""
    try:
        return options_of(version.defaults, of=version.reference)
    except errors.PromptError:
        return RunOptions()


def _pace(label: str, value: int | None, key: str, troubles: list[str]) -> int | None:
    """So many a minute, or None."""
    return numbers.number(
        label,
        value,
        key,
        troubles,
        least=1,
        empty="inherited",
        step=1,
        placeholder="inherited",
        help="of this run; the connection's own hold in any case",
    )


def _dataset(datasets: Sequence[Dataset]) -> Dataset:
    by_id = {dataset.id: dataset for dataset in fitting.own_first(datasets)}
    wanted = session.param("dataset")
    proposed = wanted if wanted in by_id else next(iter(by_id))
    identity = st.selectbox(
        "Dataset",
        list(by_id),
        index=list(by_id).index(proposed),
        format_func=lambda one: fitting.named(by_id[one], 80),
        key="launch:dataset",
    )
    if wanted in (None, proposed) or identity != proposed:
        session.put(dataset=identity)
    else:
        _not_found(f"There is no dataset {wanted!r} whose rows are loaded.", by_id[identity].name)
    return by_id[identity]


def _not_found(missing: str, instead: str) -> None:
    """Say that the address names what is not there. It keeps that name until a person has chosen."""
    parts.panel(f"{instead} is chosen instead; look before launching.", title=missing)


def _version(dataset: Dataset) -> Version | None:
    reference = session.param("prompt")
    asked, _, mark = (reference or "").partition("@")
    by_name = {prompt.name: prompt for prompt in archiving.prompts(reference) if prompt.latest or prompt.in_folder}
    wanted = asked if asked in by_name else _fitting(list(by_name.values()), dataset)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "Prompt",
            list(by_name),
            index=list(by_name).index(wanted),
            format_func=lambda one: archiving.marked(one, by_name.values()),
            key="launch:prompt",
        )
        unsaved = by_name[name].latest is None
        versions = _versions(by_name[name])
        if not versions:
            return None
        numbers = [version.number for version in versions]
        labels = by_name[name].labels
        aim = (int(mark) if mark.isdecimal() and len(mark) < 10 else labels.get(mark)) if name == asked else None
        first = next((one for one in (aim, labels.get("production")) if one in numbers), numbers[0])
        by_number = {version.number: version for version in versions}
        chosen = st.selectbox(
            "Version",
            numbers,
            index=numbers.index(first),
            format_func=lambda one: _told(by_number[one]),
            key=f"launch:version:{name}",
        )
    st.caption(wording.escaped(by_name[name].description or "What this prompt does is not written down."))
    if unsaved:
        st.caption(
            wording.escaped(
                f"It was in the prompts folder only; a run needs a version, so it is saved as @{numbers[0]}."
            )
        )
    found = reference is None or (asked in by_name and (not mark or name != asked or aim in numbers))
    if found or (name, chosen) != (wanted, first):
        session.put(prompt=by_number[chosen].reference)
    else:
        what = "version" if asked in by_name else "prompt"
        _not_found(f"There is no {what} {reference if what == 'version' else asked!r}.", by_number[chosen].reference)
    prompt = by_name[name]
    if prompt.folder_hash and prompt.folder_hash not in {version.hash for version in versions}:
        st.caption("The prompts folder holds a content that is no version yet; open the prompt to take it in.")
    return by_number[chosen]


def _fitting(found: Sequence[Prompt], dataset: Dataset) -> str:
    """The prompt to begin with: the first whose latest version can be asked about these columns."""
    engine = session.engine()
    for prompt in found:
        content = _content(prompt)
        if content is not None and not engine.prompts.check(content, dataset.columns):
            return prompt.name
    return found[0].name


def _content(prompt: Prompt) -> VersionContent | None:
    """What a prompt says now, without making a version of it; None where it cannot be used."""
    engine = session.engine()
    try:
        if prompt.latest is None:
            return prompts.load_folder(engine.settings.prompts / prompt.name).content
        return engine.prompts.versions(prompt.name)[0].content
    except errors.RedriveError:
        return None


def _told(version: Version) -> str:
    labels = f" [{', '.join(version.labels)}]" if version.labels else ""
    return wording.head(f"@{version.number}{labels} {version.note}", 60)


def _versions(prompt: Prompt) -> list[Version]:
    engine = session.engine()
    try:
        if prompt.latest is None:
            engine.prompts.resolve(prompt.name)
        return engine.prompts.versions(prompt.name)
    except errors.RedriveError as error:
        parts.error(error, title=f"{prompt.name} cannot be used")
        return []


def _connection() -> Connection:
    by_name = {connection.name: connection for connection in session.engine().system.connections()}
    wanted = session.param("connection")
    return by_name[
        st.selectbox(
            "Connection",
            list(by_name),
            index=list(by_name).index(wanted) if wanted in by_name else 0,
            format_func=lambda one: wording.head(one, 40),
            key="launch:connection",
        )
    ]


def choose_model(connection: Connection, fixed: str | None, *, key: str, first: str | None = None) -> str:
    """A model of the connection, ``first`` or the one that the version fixes before the others; others can be named."""
    options = list(dict.fromkeys([*([first] if first else []), *([fixed] if fixed else []), *connection.models]))
    chosen = st.selectbox(
        "Model",
        options,
        index=0 if options else None,
        accept_new_options=True,
        format_func=lambda one: wording.head(str(one), 60),
        placeholder="name a model",
        key=f"{key}:{connection.name}",
        help="The version fixes one; another can be asked." if fixed else None,
    )
    return str(chosen or "")


def _limit(dataset: Dataset, troubles: list[str]) -> int | None:
    nothing: int | None = None
    return numbers.number(
        "Rows",
        nothing,
        f"limit:{dataset.id}",
        troubles,
        least=1,
        empty="all",
        step=1,
        placeholder=f"all {dataset.row_count:,}",
        width=130,
        help="The first so many rows; empty, or more than there are: all of them",
    )


def forecast(wish: Wish) -> tuple[list[str], list[str]]:
    """Draw what it is likely to take; why it cannot be launched, and what to know before, a sentence each."""
    engine, launch = session.engine(), wish.launch
    content = launch.version.content
    troubles = list(engine.prompts.check(content, fitting.needed(content.template)))
    if misfit := fitting.misfit(content.template, launch.dataset):
        title, lacks = misfit
        troubles += [f"{title}:", *lacks]
    troubles += wish.troubles
    if not troubles:
        troubles += refused(
            lambda: engine.runs.usable(launch.version, launch.dataset, id_column=launch.named_by, options=launch.how)
        )
    if troubles:
        return troubles, []
    found = engine.runs.forecast(launch)
    troubles += refused(lambda: engine.runs.prepared(launch)) if launch.model else ["No model is chosen: name one."]
    parts.section("Forecast", note=expectation.founded(found))
    parts.figures(expectation.figures(found))
    laddering.forecast(found)
    return troubles, [] if troubles else [*_beyond(wish), *found.warnings]


def refused(look: Callable[[], object]) -> list[str]:
    """Why the engine would not take it, in a sentence; empty where it would."""
    try:
        look()
    except errors.InputError as error:
        return [f"{error.message[:1].upper()}{error.message[1:]}."]
    return []


def _beyond(wish: Wish) -> list[str]:
    """That more rows are asked for than there are."""
    if wish.limit is None or wish.limit <= wish.launch.rows:
        return []
    there = wording.count(wish.launch.rows, "row")
    return [f"{wish.limit:,} rows are asked for and {there} are there: all of them are taken."]
