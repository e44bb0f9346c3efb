"""A home with an engine beside the app, and the app itself as Streamlit's AppTest runs it."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import workbench
from jobs import settings
from jobs.api import Engine
from jobs.owner import apply_requests
from jobs.store.database import open_writer
from jobs.values import VersionContent
from tests.jobs.ledger import Ledger
from workbench import session

APP = Path(workbench.__file__).with_name("app.py")
CONTRACT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "label": {"type": "string", "enum": ["good", "bad"]},
        "score": {"type": "integer", "minimum": 0, "maximum": 10},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["label"],
    "additionalProperties": False,
}
CONTENT = VersionContent(
    template="system:\nAnswer in JSON.\n\nuser:\n{{ text }}", contract=CONTRACT, settings={"temperature": 0}
)

Open = Callable[..., AppTest]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home with one connection that nothing listens at, and an empty prompts folder."""
    place = tmp_path / "home"
    place.mkdir(mode=0o700)
    (place / "connections.toml").write_text('[stub]\nbase_url = "http://127.0.0.1:9/v1"\nmodels = ["stub-small"]\n')
    (tmp_path / "prompts").mkdir()
    yield place
    session.forget_engines()
    shutil.rmtree(place)


@pytest.fixture
def engine(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Engine]:
    """An engine of that home, beside the app's own."""
    monkeypatch.setenv("REDRIVE_PROMPTS", str(tmp_path / "prompts"))
    with Engine(settings.load()) as opened:
        yield opened


@pytest.fixture
def ledger(engine: Engine) -> Iterator[Ledger]:
    """Writes runs into that home as the keeper would."""
    db = open_writer(engine.settings.database)
    yield Ledger(db)
    db.close()


@pytest.fixture
def open_screen(engine: Engine) -> Open:
    """Open a screen in a session of its own, as a browser that is given its address does."""

    def opened(screen: str, **params: object) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=20)
        if "_" in screen:  # its address is not its file's name, which AppTest learns by a first run
            app.run()
        app.switch_page(f"screens/{screen}.py")
        for name, value in params.items():
            app.query_params[name] = str(value)
        return app.run()

    return opened


@pytest.fixture
def table(engine: Engine, tmp_path: Path) -> str:
    """A dataset of 120 rows; its id."""
    file = tmp_path / "messages.csv"
    lines = [f"{number},text number {number},{'x' if number % 2 else ''}" for number in range(1, 121)]
    file.write_text("id,text,note\n" + "\n".join(lines) + "\n")
    return engine.datasets.add(file).id


def texts(app: AppTest) -> str:
    """All that the screen says: HTML of ours, elements of ours with their data, and Streamlit's own texts."""
    assert not app.exception, app.exception
    said: list[str] = [element.proto.body for element in app.get("html")]
    said += [json.dumps(data, ensure_ascii=False) for data in elements(app)]
    for kind in ("markdown", "caption", "text", "code"):
        said += [element.value for element in app.get(kind)]
    return "\n".join(said)


def elements(app: AppTest) -> list[dict[str, Any]]:
    """The data of our own elements, in order."""
    return [json.loads(element.proto.json) for element in app.get("bidi_component")]


def tables(app: AppTest) -> dict[str, dict[str, Any]]:
    """The tables on the screen by their label."""
    return {data["label"]: data for data in elements(app) if "columns" in data}


def links(app: AppTest) -> dict[str, str]:
    """The links on the screen: their label, and page with query."""
    return {link.proto.label: f"{link.proto.page}?{link.proto.query_string}" for link in app.get("page_link")}


def confirm(app: AppTest, opener: str, button: str) -> AppTest:
    """Press the button in the dialog that ``opener`` has opened.

    AppTest runs the whole script where a browser runs the dialog alone, so the opener is pressed along.
    """
    inner = [one for one in app.button if one.label == button and (one.key or "").startswith("do:")]
    outer = [one for one in app.button if one.label == opener and one not in inner]
    outer[0].click()
    return inner[0].click().run()


def press(app: AppTest, label: str) -> AppTest:
    """Press the one button of that label."""
    (button,) = [one for one in app.button if one.label == label]
    return button.click().run()


@pytest.fixture
def keeper(engine: Engine) -> Iterator[None]:
    """Applies every request to that home as the keeper does, and does nothing else."""
    stopped = threading.Event()

    def apply() -> None:
        db = open_writer(engine.settings.database)
        while not stopped.wait(0.005):
            apply_requests(db, now=time.time())
        db.close()

    thread = threading.Thread(target=apply)
    thread.start()
    yield
    stopped.set()
    thread.join()


def act(app: AppTest, opener: str, button: str, **given: str) -> AppTest:
    """Open a dialog, fill its fields (text inputs by the beginning of their label), and press its button.

    AppTest runs the whole script where a browser runs the dialog alone, so the opener is pressed along each time.
    """
    press(app, opener)
    for label, text in given.items():
        (field,) = [one for one in app.text_input if one.label.startswith(label)]
        field.input(text)
    return confirm(app, opener, button)
