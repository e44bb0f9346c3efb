"""The commands that archive and bring back, as a person types them, at a home that is down."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from jobs.api import Engine
from jobs.values import Thing
from tests.jobs.ledger import Ledger
from tests.workbench.conftest import CONTENT
from workbench import archive, cli


class Command:
    """``redrive`` at that home."""

    def __init__(self, patch: pytest.MonkeyPatch, said: pytest.CaptureFixture[str], home: Path) -> None:
        self._patch, self._said, self._home = patch, said, home

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """The exit code, and what went to standard output and standard error."""
        self._patch.setattr(sys, "argv", ["redrive", *words, "--home", str(self._home)])
        self._said.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
        return code, *self._said.readouterr()

    def value(self, *words: str) -> Any:
        """What it prints with ``--json``."""
        code, out, err = self(*words, "--json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
def redrive(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], engine: Engine, home: Path) -> Command:
    return Command(monkeypatch, capsys, home)


def test_runs_prompts_and_datasets_are_archived_and_brought_back(redrive: Command, ledger: Ledger) -> None:
    """Each is an object with since when; said twice it is the same; without a name all that is archived is listed."""
    dataset, version = ledger.dataset(20), ledger.version(label="production")
    run = ledger.run(dataset, version, dead=4)
    replay = ledger.replay(run, version, same=1)
    assert redrive.value("archive") == []
    assert redrive("archive") == (0, "nothing is archived\n", "")

    words = ["--run", str(run), "--prompt", "triage", "--dataset", "tickets.csv"]
    first = redrive.value("archive", *words)
    assert [(one["kind"], one["name"], one["title"], one["open_dead_letters"]) for one in first] == [
        ("run", str(run), "triage@1", 3),
        ("prompt", "triage", "triage", None),
        ("dataset", dataset, "tickets.csv", None),
        ("run", str(replay), "triage@1", 1),
    ]
    assert redrive.value("archive", *words) == first == redrive.value("archive")
    assert redrive.value("stats", str(run))["archived_at"] == first[0]["archived_at"]
    assert redrive.value("prompts") == []
    assert redrive.value("prompts", "--archived")[0]["archived_at"] == first[1]["archived_at"]
    assert "triage @1 [production=@1] [archived]" in redrive("prompts", "--archived")[1]

    code, out, _ = redrive("restore", *words)
    assert code == 0 and f"run {run} of triage@1: not archived, 3 open dead letters" in out
    assert all(one["archived_at"] is None for one in redrive.value("restore", *words))
    assert redrive.value("archive") == [] and len(redrive.value("prompts")) == 1


def test_what_hangs_on_them_is_said(redrive: Command, ledger: Ledger) -> None:
    """The letters that leave open work, the replays that go along, the label that stays, and the run that goes on."""
    dataset, version = ledger.dataset(20), ledger.version(label="production")
    run = ledger.run(dataset, version, dead=4)
    replay = ledger.replay(run, version, same=1)
    going = ledger.run(dataset, version, due=1)
    _, out, err = redrive("archive", "--run", str(run), "--prompt", "triage")
    assert f"Replay {replay} goes along." in out and err == ""
    assert "4 open dead letters no longer count as open work" in out
    assert f"Run {going} of it goes on." in out and "triage@production stays at @1" in out
    code, out, err = redrive("archive", "--dataset", dataset, "--json")
    assert code == 0 and json.loads(out)[0]["name"] == dataset
    assert err == (
        f"redrive: 3 runs of it stay in the lists, with letters and costs.\nredrive: Run {going} of it goes on.\n"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["archive", "--run", "99"], "there is no run 99"),
        (["archive", "--prompt", "x"], "there is no prompt 'x'; there are: triage"),
        (["restore", "--dataset", "x"], "there is no dataset 'x'; there are: d-"),
        (["restore"], "name what to bring back"),
        (["archive", "--run", "1"], "run 1 is running: pause or cancel it first"),
    ],
)
def test_what_cannot_be_archived_is_refused(redrive: Command, ledger: Ledger, words: list[str], told: str) -> None:
    """With exit code 2, nothing on standard output, and nothing archived."""
    ledger.run(ledger.dataset(20), ledger.version(), due=2)
    code, out, err = redrive(*words)
    assert (code, out) == (2, "") and told in err
    assert redrive.value("archive") == []


@pytest.mark.usefixtures("keeper")
def test_what_is_archived_can_be_used_by_name_and_says_so(
    engine: Engine, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    """A notice for each, with the way to bring it back; none for what is in sight."""
    dataset = ledger.dataset(20)
    run = ledger.run(dataset, engine.prompts.save("mood", CONTENT, note="").id, dead=1)

    def told() -> list[str]:
        archive.say_used(engine, prompt="mood", dataset=engine.datasets.get(dataset), run=run)
        return capsys.readouterr().err.splitlines()

    assert told() == []
    engine.archive.put([Thing(kind="run", name=str(run)), Thing(kind="dataset", name=dataset)], key="k")
    assert [line.partition(";")[0] for line in told()] == [
        f"redrive: dataset tickets.csv ({dataset}) is archived",
        f"redrive: run {run} of mood@1 is archived",
    ]
    engine.archive.put([Thing(kind="prompt", name="mood")], key="l")
    assert told()[0].endswith("stays archived until `redrive restore --prompt mood`")
