"""Evaluating a saved version on the golden rows of its folder, as ``redrive eval`` does."""

from __future__ import annotations

from pathlib import Path

from jobs import errors
from jobs.api.launch import Launch
from jobs.options import RunOptions
from jobs.views.prompts import Version
from workbench import parts, session


def golden(name: str) -> Path | None:
    """The golden rows of a prompt's folder, if it has any."""
    file = session.engine().settings.prompts / name / "golden.csv"
    return file if file.is_file() else None


def dialog(version: Version, file: Path) -> None:
    """Say what is asked of which model, and start the evaluation once; its page shows the agreement."""
    engine, made = session.engine(), list[int]()
    try:
        engine.evaluations.usable(version, file)
        connection = engine.system.connections()[0] if engine.system.connections() else engine.settings.connection()
        model = engine.runs.model_of(
            Launch(version=version, dataset=engine.evaluations.table(version, file), connection=connection)
        )
    except errors.RedriveError as error:
        parts.error(error, title="It cannot be evaluated")
        return
    options = RunOptions.model_validate({"in_flight": connection.in_flight} | version.defaults)

    def work(key: str, reason: str) -> str:
        launch = Launch(
            version=version,
            dataset=engine.evaluations.table(version, file),
            connection=connection,
            model=model,
            options=options,
            kind="evaluation",
        )
        made.append(engine.runs.start(launch, key=key))
        return f"Evaluation {made[0]} is launched"

    parts.confirm(
        f"evaluate:{version.id}",
        work,
        title="Evaluate on golden rows",
        says=[
            f"{version.reference} is asked about every row of {file.parent.name}/{file.name}, by {model} at {connection.name}.",
            "Earlier answers are not used again. Its page shows how far each field agrees, and which rows do not.",
        ],
        button="Evaluate",
        then=lambda: session.go("run", id=made[0]),
    )
