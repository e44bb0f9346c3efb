"""engine.prompts: folders and versions as one list, references, saving, labels, drafts and checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobs import errors
from jobs import prompts as folders
from jobs.api import Engine
from jobs.settings import Settings
from jobs.values import VersionContent

CONTRACT: dict[str, Any] = {
    "type": "object",
    "properties": {"mood": {"type": "string"}},
    "required": ["mood"],
}


def _content(template: str = "Say the mood of {{ text }}", **changes: Any) -> VersionContent:
    return VersionContent(template=template, contract=changes.pop("contract", CONTRACT), **changes)


@pytest.fixture
def folder(settings: Settings) -> Path:
    path = settings.prompts / "moods"
    folders.write_folder(path, _content(), description="What people feel", defaults={"strikes": 2})
    return path


def test_saving_counts_up_and_the_same_content_is_the_same_version(engine: Engine) -> None:
    """New content gets the next number; content that is there gives its version back, note and number unchanged."""
    one = engine.prompts.save("moods", _content(), note="first")
    two = engine.prompts.save("moods", _content("Mood of {{ text }}?"), note="shorter")
    again = engine.prompts.save("moods", _content(), note="once more", defaults={"strikes": 5})
    assert (one.reference, two.reference) == ("moods@1", "moods@2")
    assert (again.id, again.number, again.note, again.defaults) == (one.id, 1, "first", {"strikes": 5})
    assert [version.number for version in engine.prompts.versions("moods")] == [2, 1]


def test_a_tried_version_has_no_number_until_it_is_saved(engine: Engine) -> None:
    """Trying stores the content under no number and in no list; saving it gives the same version one."""
    tried = engine.prompts.tried("moods", _content())
    assert (tried.number, tried.reference) == (None, "moods (draft)")
    assert engine.prompts.versions("moods") == []
    assert engine.prompts.tried("moods", _content()).id == tried.id
    saved = engine.prompts.save("moods", _content(), note="good")
    assert (saved.id, saved.number, saved.note) == (tried.id, 1, "good")


@pytest.mark.parametrize(
    ("name", "changes", "error", "why"),
    [
        ("Moods!", {}, errors.PromptError, "no name for a prompt"),
        ("moods", {"template": "{% if %}"}, errors.PromptError, "line 1"),
        ("moods", {"settings": {"model": "x"}}, errors.PromptError, "outside settings"),
        ("moods", {"contract": {"type": "object", "properties": {"a": {"typ": "x"}}}}, errors.ContractError, "#/prop"),
    ],
)
def test_what_cannot_be_held_is_not_saved(
    engine: Engine, name: str, changes: dict[str, Any], error: type[errors.InputError], why: str
) -> None:
    """A bad name, template, setting or contract is refused with its place, also for a try, and nothing is stored."""
    for keep in (
        lambda: engine.prompts.save(name, _content(**changes), note=""),
        lambda: engine.prompts.tried(name, _content(**changes)),
    ):
        with pytest.raises(error, match=why):
            keep()
    assert engine.prompts.list() == []


def test_a_name_means_the_folders_content_now(engine: Engine, folder: Path) -> None:
    """It is stored as a version when it is new, with the folder's defaults, and an edit of the folder is the next one."""
    first = engine.prompts.resolve("moods")
    assert (first.number, first.source, first.defaults) == (1, "folder", {"strikes": 2})
    assert first.description == "What people feel"
    assert engine.prompts.resolve("moods") == first
    folders.write_folder(folder, _content("Mood: {{ text }}"))
    assert engine.prompts.resolve("moods").number == 2
    folders.write_folder(folder, _content())
    assert engine.prompts.resolve("moods").number == 1, "the folder counts, not the highest number"
    assert engine.prompts.resolve("moods@2").content.template == "Mood: {{ text }}"


def test_references(engine: Engine) -> None:
    """A name without a folder is its highest number; a number and a label are theirs; a label can move back."""
    for n in range(3):
        engine.prompts.save("moods", _content(f"{n} {{{{ text }}}}"), note="")
    engine.prompts.label("moods", "production", 2)
    assert [engine.prompts.resolve(text).number for text in ("moods", "moods@1", "moods@production")] == [3, 1, 2]
    engine.prompts.label("moods", "production", 1)
    assert engine.prompts.resolve("moods@production").number == 1
    assert engine.prompts.versions("moods")[2].labels == ("production",)


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("mods", "there is no prompt 'mods'; there are: moods"),
        ("moods@7", "there is no moods@7; there are: moods (the folder's content), moods@1, moods@production"),
        (
            "moods@staging",
            "there is no moods@staging; there are: moods (the folder's content), moods@1, moods@production",
        ),
    ],
)
@pytest.mark.usefixtures("folder")
def test_an_unknown_reference_says_what_there_is(engine: Engine, reference: str, why: str) -> None:
    """NotFound lists the prompts, or the versions and labels of the prompt."""
    engine.prompts.resolve("moods")
    engine.prompts.label("moods", "production", 1)
    with pytest.raises(errors.NotFound) as caught:
        engine.prompts.resolve(reference)
    assert caught.value.message == why


def test_a_label_needs_a_version_and_a_name(engine: Engine) -> None:
    """It cannot point at what is not there, nor be taken for a number."""
    engine.prompts.save("moods", _content(), note="")
    with pytest.raises(errors.NotFound, match="moods@2"):
        engine.prompts.label("moods", "production", 2)
    for label in ("3", "v3", "Über"):
        with pytest.raises(errors.PromptError):
            engine.prompts.label("moods", label, 1)


def test_the_list_joins_folders_and_versions(engine: Engine, settings: Settings, folder: Path) -> None:
    """Each prompt once: only a folder, only stored, both, and a folder that cannot be read with its reason."""
    engine.prompts.save("stored", _content(), note="", description="Only here")
    broken = settings.prompts / "broken"
    broken.mkdir()
    (broken / "prompt.md").write_text("---\nnonsense: 1\n---\nhello", "utf-8")
    listed = {prompt.name: prompt for prompt in engine.prompts.list()}
    assert list(listed) == ["broken", "moods", "stored"]
    assert listed["broken"].folder_error is not None and "broken/prompt.md" in listed["broken"].folder_error
    assert (listed["moods"].in_folder, listed["moods"].latest, listed["moods"].folder_is_latest) == (True, None, False)
    assert (listed["stored"].in_folder, listed["stored"].latest, listed["stored"].description) == (
        False,
        1,
        "Only here",
    )
    with pytest.raises(errors.PromptError, match="broken/prompt.md"):
        engine.prompts.resolve("broken")
    engine.prompts.resolve("moods")
    assert {prompt.name: prompt.folder_is_latest for prompt in engine.prompts.list()}["moods"]
    engine.prompts.save("moods", _content("newer {{ text }}"), note="")
    assert not {prompt.name: prompt.folder_is_latest for prompt in engine.prompts.list()}["moods"]


def test_write_back_reads_back_as_the_same_version(engine: Engine, settings: Settings) -> None:
    """What was saved in the browser is in the folder, and the folder is that version."""
    content = _content(settings={"temperature": 0.2}, response_format="json_object")
    saved = engine.prompts.save("moods", content, note="", description="Feelings", defaults={"strikes": 4, "rpm": None})
    path = engine.prompts.write_back("moods", 1)
    assert path == settings.prompts / "moods"
    assert engine.prompts.resolve("moods").id == saved.id
    assert folders.load_folder(path).defaults == {"strikes": 4}
    with pytest.raises(errors.NotFound):
        engine.prompts.write_back("moods", 9)


def test_drafts_are_kept_until_dropped(engine: Engine, settings: Settings) -> None:
    """The last one put there is read back, also by another engine on the home."""
    engine.prompts.put_draft("moods", {"template": "a"})
    engine.prompts.put_draft("moods", {"template": "b ☂", "n": [1, None]})
    with Engine(settings) as other:
        assert other.prompts.draft("moods") == {"template": "b ☂", "n": [1, None]}
    engine.prompts.drop_draft("moods")
    assert engine.prompts.draft("moods") is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"template": "{{ txt }}"}, ["template, line 1: there is no column 'txt'; did you mean text?"]),
        ({"template": "{{ zzz }}"}, ["template, line 1: there is no column 'zzz'; there are: text, Order no"]),
        ({"template": "{{ text"}, ["line 1:"]),
        ({"settings": {"temperature": "hot"}}, ["the setting 'temperature' must be a number"]),
        ({"template": "{{ txt }}", "contract": {"type": "array"}}, ["did you mean text?", "contract: #"]),
        (
            {
                "response_format": "json_schema",
                "contract": {**CONTRACT, "additionalProperties": True},
            },
            ["json_schema cannot express it"],
        ),
    ],
)
def test_check_says_everything_that_is_wrong(engine: Engine, changes: dict[str, Any], said: list[str]) -> None:
    """Template, settings and contract are each told of, in one list; nothing is raised."""
    found = engine.prompts.check(_content(**changes), ["text", "Order no"])
    assert len(found) == len(said)
    assert all(part in whole for part, whole in zip(said, found, strict=True)), found


def test_render_and_diff(engine: Engine) -> None:
    """A row's messages, and what differs between two contents by part."""
    (message,) = engine.prompts.render(_content(), {"text": "{{ 7*7 }}"})
    assert message.content == "Say the mood of {{ 7*7 }}"
    parts = engine.prompts.diff(_content(), _content("Other {{ text }}", max_tokens=9))
    assert [name for name, _ in parts] == ["template", "settings"]
    assert "+Other {{ text }}" in parts[0][1]
