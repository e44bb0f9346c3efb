"""The shape of the house, held by walking the imports: one way, one owner a library, one door."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import jobs
from jobs import api
from jobs.api.archive import Archive
from jobs.api.costs import Costs
from jobs.api.datasets import Datasets
from jobs.api.evaluations import Evaluations
from jobs.api.letters import Letters
from jobs.api.prompts import Prompts
from jobs.api.runs import Runs
from jobs.api.system import System
from jobs.api.trials import Trials

ROOT = Path(__file__).parent.parent
FILES = sorted([*ROOT.glob("jobs/**/*.py"), *ROOT.glob("workbench/**/*.py")])

#: leaves first; a module imports only from its own band's earlier bands, or its own package
BANDS = [
    ["jobs.errors", "jobs.faults", "jobs.keys", "jobs.scripts", "jobs.redaction", "jobs.addresses", "jobs.lean"],
    ["jobs.values", "jobs.estimates"],
    ["jobs.settings", "jobs.options", "jobs.processes", "jobs.logs", "jobs.trouble"],
    ["jobs.messages", "jobs.requests", "jobs.views", "jobs.lifecycle", "jobs.batches"],
    [
        "jobs.intake",
        "jobs.frontmatter",
        "jobs.markers",
        "jobs.sandbox",
        "jobs.templates",
        "jobs.contract",
        "jobs.prompts",
        "jobs.golden",
        "jobs.prices",
        "jobs.savings",
        "jobs.numbers",
        "jobs.cursor",
        "jobs.quotes",
        "jobs.places",
        "jobs.reading",
        "jobs.reply",
        "jobs.partial",
        "jobs.echo",
        "jobs.signature",
        "jobs.judge",
        "jobs.parcel",
        "jobs.pairing",
        "jobs.confidence",
        "jobs.thresholds",
        "jobs.ladder",
        "jobs.evals",
        "jobs.review",
        "jobs.plan",
        "jobs.llm",
        "jobs.call",
        "jobs.probe",
    ],
    ["jobs.streams", "jobs.limits", "jobs.outcomes", "jobs.dispatch", "jobs.steps", "jobs.worker"],
    ["jobs.allowance", "jobs.holding", "jobs.outbox", "jobs.errands", "jobs.live", "jobs.homes"],
    ["jobs.store"],
    ["jobs.work", "jobs.lane", "jobs.worker_process"],
    [
        "jobs.owner",
        "jobs.journal",
        "jobs.purse",
        "jobs.asking",
        "jobs.gathering",
        "jobs.shares",
        "jobs.strays",
    ],
    ["jobs.keeper", "jobs.keeper_process"],
    ["jobs.api"],
    ["jobs.testing", "jobs.__main__"],
    ["workbench"],
]

#: a library, and the only places that may import it
OWNERS = {
    "streamlit": ("workbench.",),
    "plotly": ("workbench.",),
    "rq": ("jobs.dispatch", "jobs.worker"),
    "redis": (
        "jobs.streams",
        "jobs.dispatch",
        "jobs.steps",
        "jobs.errands",
        "jobs.gathering",
        "jobs.worker",
        "jobs.outcomes",
        "jobs.limits",
        "jobs.outbox",
        "jobs.live",
        "jobs.homes",
        "jobs.lane",
        "jobs.keeper",
    ),
    "sqlite3": ("jobs.store.",),
    "openai": ("jobs.llm.",),
    "httpx2": ("jobs.llm.",),
    "aiohttp": ("jobs.llm.",),
    "openpyxl": ("jobs.intake.",),
    "pickle": (),
}

#: what the screens may know of the engine beside its door: pure values and words
FACE_MAY = {
    "jobs.api",
    "jobs.contract",
    "jobs.errors",
    "jobs.estimates",
    "jobs.ladder",
    "jobs.lifecycle",
    "jobs.markers",
    "jobs.options",
    "jobs.pairing",
    "jobs.partial",
    "jobs.prompts",
    "jobs.reply",
    "jobs.review",
    "jobs.settings",
    "jobs.signature",
    "jobs.templates",
    "jobs.values",
    "jobs.views",
}


ROOMS = {
    "datasets": Datasets,
    "prompts": Prompts,
    "runs": Runs,
    "letters": Letters,
    "evaluations": Evaluations,
    "trials": Trials,
    "costs": Costs,
    "archive": Archive,
    "system": System,
}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[str, ast.AST, bool]]:
    """(module, node, inside a function) of each import."""
    tree = ast.parse(path.read_text("utf-8"))
    inside = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node, id(node) in inside
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module in ("jobs", "jobs.store", "workbench"):
                for alias in node.names:
                    yield f"{node.module}.{alias.name}", node, id(node) in inside
            else:
                yield node.module, node, id(node) in inside


def band_of(module: str) -> int:
    best = -1
    for place, names in enumerate(BANDS):
        if any(module == name or module.startswith(f"{name}.") for name in names):
            best = place
    return best


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    """A module imports what stands before it on the way of the data, never what comes after."""
    mine = name_of(path)
    if mine == "jobs":
        assert list(imports(path)) == [], "the package's own file runs before every module"
        return
    assert band_of(mine) >= 0, f"{mine} has no place in the order"
    for module, _, _ in imports(path):
        if module.startswith(("jobs", "workbench")) and band_of(module) >= 0:
            assert band_of(module) <= band_of(mine), f"{mine} imports {module}, which comes after it"


def test_the_engines_map_names_modules_that_are_there() -> None:
    """Whoever looks for a stop by its name in the package's own words finds it."""
    stops = (jobs.__doc__ or "").partition("what it does\n")[2].partition("\n\n")[0]
    heads = [re.match(r"    (\w+(?:, \w+)*)", line) for line in stops.splitlines()]
    named = {f"jobs.{name}" for head in heads if head for name in head[1].split(", ")}
    assert len(named) > 20
    assert named <= {name_of(path) for path in FILES}


def test_the_doors_map_names_what_each_room_offers() -> None:
    """All that a screen may call, and nothing that is not there."""
    told = re.findall(r"    engine\.(\w+) +((?:[\w, ]|(?<=,)\n)+)", api.__doc__ or "")
    with_names = {room: set(re.findall(r"\w+", names)) for room, names in told}
    for room, names in with_names.items():
        offered = {name for name in vars(ROOMS[room]) if not name.startswith("_")}
        assert names == offered, room
    assert with_names.keys() == ROOMS.keys()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_module_imports_its_own_project_inside_a_function(path: Path) -> None:
    """That would hide a knot."""
    hidden = [module for module, _, inside in imports(path) if inside and module.startswith(("jobs", "workbench"))]
    assert hidden == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_each_library_has_one_owner(path: Path) -> None:
    """A library is used in one place, so that it can be replaced or upgraded there."""
    mine = name_of(path)
    for module, _, _ in imports(path):
        library = module.split(".")[0]
        owners = OWNERS.get(library)
        if owners is None or mine.startswith("jobs.testing"):
            continue
        assert any(f"{mine}.".startswith(owner) or mine == owner for owner in owners), f"{mine} imports {library}"


@pytest.mark.parametrize("path", [path for path in FILES if name_of(path) != "jobs.settings"], ids=name_of)
def test_only_settings_read_the_environment(path: Path) -> None:
    """Everything else is handed its settings."""
    tree = ast.parse(path.read_text("utf-8"))
    found = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    ]
    assert found == []


@pytest.mark.parametrize(
    "path", [path for path in FILES if "screens" in path.parts or "parts" in path.parts], ids=name_of
)
def test_screens_reach_the_engine_through_its_door(path: Path) -> None:
    """A screen knows ``jobs.api`` and pure values, and nothing of the store, Redis or the keeper."""
    for module, _, _ in imports(path):
        if module.startswith("jobs"):
            assert any(module == may or module.startswith(f"{may}.") for may in FACE_MAY), module


@pytest.mark.parametrize(
    ("module", "unused"),
    [
        ("jobs.keeper_process", {"openai", "aiohttp", "pandas", "plotly", "streamlit"}),
        ("jobs.worker_process", {"openai", "sqlite_utils", "numpy", "pandas", "plotly", "streamlit"}),
        ("workbench.cli", {"openai", "pandas", "plotly", "streamlit"}),
    ],
)
def test_what_is_started_often_loads_no_library_that_it_may_never_use(module: str, unused: set[str]) -> None:
    """Each of these takes about as long to load as all the rest, in every process and for every command."""
    said = subprocess.run(
        [sys.executable, "-c", f"import {module}, sys; print(*sys.modules)"], capture_output=True, text=True
    )
    loaded = set(said.stdout.split())
    assert module in loaded and loaded & unused == set()


def test_every_package_is_installed() -> None:
    """A folder that is missing from the package list would be missing from an install."""
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"])
    there = {name_of(path) for path in FILES if path.name == "__init__.py"}

    assert listed == there


def test_the_top_level_is_the_fixed_one() -> None:
    """Nothing lies beside the agreed layout."""
    may = {
        "pyproject.toml",
        "README.md",
        "workbench",
        "jobs",
        "prompts",
        "tests",
        "data",
        ".streamlit",
        ".ci",
        "constraints.txt",
        ".gitignore",
        "LICENSE",
        "CHANGELOG.md",
    }
    passing = {
        ".git",
        ".venv",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".hypothesis",
        "redrive.egg-info",
        "build",
    }

    assert {path.name for path in ROOT.iterdir()} - may - passing == set()
