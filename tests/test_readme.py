"""The README's command blocks, run as they are written in a fresh copy of the project."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from jobs import settings as settings_module
from workbench.cli import redrive

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
BASH = [text for kind, text in BLOCKS if kind == "bash"]


def block(beginning: str) -> str:
    return next(text for text in BASH if text.startswith(beginning))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files, and nothing that lies about beside them."""
    folder = tmp_path_factory.mktemp("clone")
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in tracked.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def needed(project: Path, extra: str) -> list[metadata.Distribution]:
    """Whatever a project asks for with an extra, and whatever that asks for, as far as it is installed here."""
    told = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    left = [Requirement(line) for line in (*told["dependencies"], *told["optional-dependencies"][extra])]
    seen: set[tuple[str, str]] = set()
    found: dict[str, metadata.Distribution] = {}
    while left:
        asked = left.pop()
        for wanted in {"", *asked.extras}:
            if (asked.name, wanted) in seen or (asked.marker and not asked.marker.evaluate()):
                continue
            seen.add((asked.name, wanted))
            try:
                one = found[asked.name] = metadata.distribution(asked.name)
            except metadata.PackageNotFoundError:
                continue
            for more in map(Requirement, one.requires or ()):
                if more.marker is None or more.marker.evaluate({"extra": wanted}):
                    more.marker = None
                    left.append(more)
    found.pop("pip", None)  # the new environment brings its own
    return list(found.values())


def lay_out(one: metadata.Distribution, site: Path) -> None:
    """Put an installed distribution into another folder of packages, without its commands."""
    for file in one.files or ():
        source, target = Path(str(file.locate())), site / file
        if ".." in file.parts or not source.is_file() or target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:  # another file system
            shutil.copy2(source, target)


@pytest.fixture
def environment() -> dict[str, str]:
    """A person's: no settings of ours, no virtual environment that is active, and this Python."""
    dropped = ("REDRIVE_HOME", "REDIS_URL", "VIRTUAL_ENV", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return kept | {"PATH": f"{sys.base_prefix}/bin{os.pathsep}{kept['PATH']}"}


@pytest.mark.local_model
@pytest.mark.timeout(230)
def test_the_line_that_starts_it_works_as_typed_and_so_do_the_commands(
    clone: Path, environment: dict[str, str]
) -> None:
    """A fresh copy is installed and started with one line, stopped with Ctrl-C, and runs a sample from the command line.

    What it asks for lies there already, and nothing else does: a library that only the tests ask for would be missing.
    """
    site = clone / f".venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    for one in needed(clone, "local"):
        lay_out(one, site)
    process = subprocess.Popen(
        ["bash", "-c", block("python3 -m venv")],
        cwd=clone,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    with process:
        said = []
        while line := process.stdout.readline():
            said.append(line)
            if "Redrive is up" in line:
                break
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stdout.read()
    text = "".join(said)
    assert process.returncode == 0, text

    assert "Redrive is up: http://127.0.0.1:" in text, text
    assert [name for name in ("valkey", "model", "keeper", "workers", "web") if f"\n{name}" not in f"\n{text}"] == []
    assert "stopped" in rest
    assert not (clone / "data/local/kv.sock").exists()

    run, number, stats, dead, export = block(".venv/bin/redrive run").strip().splitlines()
    done = subprocess.run(["bash", "-c", run], cwd=clone, env=environment, capture_output=True, text=True, timeout=200)
    found = json.loads(done.stdout)
    assert done.returncode in (0, 3), done.stderr
    assert number.startswith(f"RUN={found['run']} ")
    environment["RUN"] = str(found["run"])
    assert found["rows"] == 8 == found["accepted"] + found["dead"] + found["waiting"] + found["cancelled"]
    assert done.returncode == (3 if found["dead"] else 0)

    letters = subprocess.run(
        ["bash", "-c", dead], cwd=clone, env=environment, capture_output=True, text=True, timeout=60
    )
    listed = json.loads(letters.stdout)
    assert len(listed) == found["dead"]
    assert all(one["raw"] and one["problems"] for one in listed)
    for command in (stats, export):
        subprocess.run(["bash", "-c", command], cwd=clone, env=environment, check=True, timeout=60)
    assert (clone / "results.csv").read_text("utf-8-sig").count("\n") >= 9


def test_the_test_command_is_the_one_that_ci_runs() -> None:
    """What a person types is what is held green."""
    install, test = block(".venv/bin/pip install").strip().split(" && ")
    ci = (ROOT / ".ci/run").read_text("utf-8")

    assert test in ci
    assert install.removeprefix(".venv/bin/pip install ") in ci


def test_what_goes_wrong_is_held_by_the_tests_that_it_names() -> None:
    """Every row of the table names tests that are there, and every test of a mishap is in the table."""
    section = README.partition("## What goes wrong\n")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]
    named = [re.findall(r"`(test_\w+)`", row[-1]) for row in rows]
    files = {file: re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.MULTILINE) for file in TESTS}
    mishaps = {name for file, names in files.items() if file.stem.startswith("test_mishaps") for name in names}

    assert len(rows) >= 20 and all(len(row) == 4 for row in rows) and all(named)
    assert {name for names in named for name in names} - {name for names in files.values() for name in names} == set()
    assert mishaps - {name for names in named for name in names} == set()


def test_every_command_is_in_the_readme_and_has_a_help_text() -> None:
    """A command that nobody can find does not exist."""
    for name, command in redrive.commands.items():
        assert re.search(rf"`[^`]*\b{name}\b[^`]*`", README), f"`redrive {name}` is not in the README"
        assert command.help and not command.help.startswith("TODO")


def test_the_connections_in_the_readme_and_in_the_template_can_be_read(tmp_path: Path) -> None:
    """Both are taken as they stand; the template once its comment signs are gone."""
    toml = next(text for kind, text in BLOCKS if kind == "toml")
    (tmp_path / "connections.toml").write_text(toml)
    assert list(settings_module.load(tmp_path, tmp_path, {}).connections) == ["openai", "ollama"]

    template = (ROOT / "workbench/connections.toml").read_text("utf-8")
    assert tomllib.loads(template) == {}, "the template must change nothing as it stands"
    opened = re.sub(r"^# (?=\[|\w+ = )", "", template, flags=re.MULTILINE)
    (tmp_path / "connections.toml").write_text(opened)
    assert list(settings_module.load(tmp_path, tmp_path, {}).connections) == ["openai", "anthropic", "ollama", "vllm"]
