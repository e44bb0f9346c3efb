import json
import logging
import multiprocessing
import os
import stat
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs import logs

KEY = "sk-proj-abcDEF1234567890"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Every test leaves the process's logging as it found it."""
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("", *logs.OURS)}
    handlers, hooks = list(root.handlers), (sys.excepthook, logs.threading.excepthook)
    yield
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
        handler.close()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    sys.excepthook, logs.threading.excepthook = hooks
    logging.captureWarnings(False)


def lines(folder: Path, name: str = "part") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text("ascii").splitlines()]


def test_line(tmp_path: Path) -> None:
    """A record is one JSON object: time in UTC, level, logger, message and what was handed along."""
    logs.configure(tmp_path, "part")

    extra = {"action": "judge", "run": 3, "row": "7\n", "class": "throttled", "seconds": 0.1234567, "lane": None}
    logging.getLogger("jobs.lane").info("row %s is\ndone ☃", 7, extra=extra)

    (line,) = lines(tmp_path)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info", "logger": "jobs.lane", "message": "row 7 is\ndone ☃", "action": "judge",
        "run": 3, "row": "7\n", "class": "throttled", "seconds": 0.123457,
    }  # fmt: skip


def test_files_are_private(tmp_path: Path) -> None:
    """Nobody else can read a log or enter its folder."""
    logs.configure(tmp_path / "logs", "part")
    logging.getLogger("jobs").error("x")

    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "logs" / "part.jsonl").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "secret",
    [KEY, "my own odd key", "pass-of-redis", "Bearer abc.def-ghi=="],
)
def test_no_key_in_a_line(secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are taken out of messages, arguments, extras and traces alike."""
    monkeypatch.setenv("CLAUDE", "my own odd key")
    monkeypatch.setenv("REDIS_URL", "redis://me:pass-of-redis@there:1")
    logs.configure(tmp_path, "part", key_variables=["CLAUDE"])
    log = logging.getLogger("jobs.llm")

    log.info("asked with %s", secret, extra={"action": secret, "headers": {secret: [secret]}})
    try:
        try:
            raise ValueError(f"inner {secret}")
        except ValueError as error:
            raise RuntimeError(f"no luck with {secret}") from error
    except RuntimeError:
        log.exception("asked")

    text = (tmp_path / "part.jsonl").read_text()
    assert secret.removeprefix("Bearer ") not in text
    assert text.count("[redacted]") >= 6
    assert "RuntimeError: no luck with" in lines(tmp_path)[1]["trace"]


def test_password_of_an_address(tmp_path: Path) -> None:
    """A password inside a URL is taken out even if no variable holds it."""
    logs.configure(tmp_path, "part")
    logging.getLogger("jobs").error("cannot reach rediss://me:unheard@there:1/0")

    assert lines(tmp_path)[0]["message"] == "cannot reach rediss://[redacted]@there:1/0"


@pytest.mark.parametrize(
    "spelled", ["with\\/slash-1", "".join(f"\\u{ord(char):04x}" for char in "with/slash-1"), "with%2Fslash-1"]
)
def test_spelled_in_another_way(spelled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that JSON or a URL has written its own way is the same key."""
    monkeypatch.setenv("ODD_KEY_2", "with/slash-1")
    logs.configure(tmp_path, "part")
    logging.getLogger("jobs").error("asked with %s", spelled)

    assert lines(tmp_path)[0]["message"] == "asked with [redacted]"


def test_concealed_later(tmp_path: Path) -> None:
    """What is read after the start is kept out from then on, and so is what stands in the settings."""
    logs.configure(tmp_path, "part", secrets=["in-the-settings"])
    logs.conceal(["read-much-later"])
    logging.getLogger("jobs").error("in-the-settings, read-much-later")

    assert lines(tmp_path)[0]["message"] == "[redacted], [redacted]"


def test_levels(tmp_path: Path) -> None:
    """Our loggers speak from the level given, other libraries' from WARNING up."""
    logs.configure(tmp_path, "part", "DEBUG")
    logging.getLogger("jobs.keeper").debug("ours")
    logging.getLogger("openai").info("theirs, with headers")
    logging.getLogger("openai").warning("theirs")

    assert [line["message"] for line in lines(tmp_path)] == ["ours", "theirs"]


def test_second_call_replaces(tmp_path: Path) -> None:
    """Configured twice, a process writes each line once, to the later file."""
    logs.configure(tmp_path, "one")
    logs.configure(tmp_path, "two")
    logging.getLogger("jobs").error("x")

    assert not (tmp_path / "one.jsonl").exists()
    assert len(lines(tmp_path, "two")) == 1


def test_odd_values(tmp_path: Path) -> None:
    """Values that JSON does not know become text; a record that cannot be made is left out with a word."""
    logs.configure(tmp_path, "part")
    extra = {"seconds": float("nan"), "where": Path("/x"), "raw": b"\xff", "lone": "\ud800"}
    logging.getLogger("jobs").error("x", extra=extra)

    line = lines(tmp_path)[0]
    assert (line["seconds"], line["where"], line["raw"], line["lone"]) == ("nan", "/x", "b'\\xff'", "\ud800")


def test_lost_line_shows_no_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong log call loses its line and does not print what it was given."""
    handler = logs.configure(tmp_path, "part")
    handler.handle(logging.makeLogRecord({"msg": "%d", "args": (KEY,), "name": "jobs"}))

    assert "was lost" in (said := capsys.readouterr().err)
    assert KEY not in said


def test_warnings_are_logged(tmp_path: Path) -> None:
    """A Python warning is a line, not text on standard error."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logs.configure(tmp_path, "part")
        warnings.warn("old ways", UserWarning, stacklevel=1)

    assert lines(tmp_path)[0]["logger"] == "py.warnings"


def write_many(path: Path, who: int) -> None:
    handler = logs.LinesHandler(path, turn_at=20_000, kept=50)
    handler.setFormatter(logs.JsonFormatter(str))
    for number in range(300):
        record = logging.makeLogRecord({"msg": "x" * 50, "name": f"{who}", "row": number})
        handler.emit(record)
    handler.close()


def test_shared_and_turned_over(tmp_path: Path) -> None:
    """Processes that share a file lose no line and tear none, over many turns."""
    path = tmp_path / "part.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(path, who)) for who in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)

    files = [file for file in tmp_path.iterdir() if file.is_file() and not file.name.startswith(".")]
    found = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert len({(line["logger"], line["row"]) for line in found}) == len(found) == 900
    assert len(files) > 3
    # writers that passed the size test together may each add a line before one of them turns the file
    assert all(os.path.getsize(file) < 21_000 for file in files)


def test_old_files_go(tmp_path: Path) -> None:
    """Of the files turned over only the newest are kept."""
    handler = logs.LinesHandler(tmp_path / "part.jsonl", turn_at=100, kept=2)
    handler.setFormatter(logging.Formatter())
    for number in range(20):
        handler.emit(logging.makeLogRecord({"msg": f"{number:060}"}))
    handler.close()

    kept = {file.name for file in tmp_path.iterdir() if not file.name.startswith(".")}
    assert kept == {"part.jsonl", "part.jsonl.1", "part.jsonl.2"}
    assert (tmp_path / "part.jsonl").read_text() == f"{19:060}\n"


def test_crash(tmp_path: Path) -> None:
    """An exception that nobody caught is a line with its trace; standard error has one sentence without the key."""
    program = f"from jobs import logs; import pathlib; logs.configure(pathlib.Path({str(tmp_path)!r}), 'part')\n"
    program += f"raise RuntimeError('refused {KEY}')"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    (line,) = lines(tmp_path)
    assert (line["level"], line["action"], ended.returncode) == ("critical", "crash", 1)
    assert "RuntimeError: refused [redacted]" in line["trace"]
    assert ended.stderr == "RuntimeError: refused [redacted]\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_ends_nobody() -> None:
    """A line that can be written nowhere is lost, and so is the word about it; the program goes on."""
    program = "import logging, pathlib; from jobs import logs; handler = logs.LinesHandler(pathlib.Path('/dev/full'))\n"
    program += "handler.setFormatter(logging.Formatter()); logging.getLogger('jobs').addHandler(handler)\n"
    program += "logging.getLogger('jobs').error('lost'); print('alive', flush=True)"
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=full, text=True, check=False
        )

    assert ended.stdout == "alive\n"
