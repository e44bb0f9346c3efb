import json
import os
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jobs import errors, prompts, templates
from jobs.llm import body
from jobs.options import RunOptions
from jobs.settings import Connection
from jobs.values import OWNED_SETTINGS, Message, VersionContent

SCHEMA = '{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}'
HEAD = "---\ndescription: Sort it\nmodel: m\nsettings:\n  temperature: 0.2\n  stop: [x]\ndefaults:\n  strikes: 2\n---\n"


def folder(
    tmp_path: Path, prompt: str = HEAD + "user:\n{{ a }}\n", schema: str = SCHEMA, name: str = "sort-it"
) -> Path:
    path = tmp_path / name
    path.mkdir(parents=True)
    (path / "prompt.md").write_text(prompt, "utf-8")
    (path / "schema.json").write_text(schema, "utf-8")
    return path


def content(**fields: Any) -> VersionContent:
    return VersionContent(**{"template": "user:\n{{ a }}", "contract": {"type": "object"}, **fields})


def test_a_folder_is_read_whole(tmp_path: Path):
    """Everything that a folder says arrives, and what it does not say has its default."""
    path = folder(tmp_path)
    (path / "golden.csv").write_text("a,expected.a\n")

    found = prompts.load_folder(path)

    assert found == prompts.PromptFolder(
        name="sort-it",
        path=path,
        content=VersionContent(
            template="user:\n{{ a }}",
            contract={"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            model="m",
            response_format="text",
            settings={"temperature": 0.2, "stop": ["x"]},
            max_tokens=512,
        ),
        defaults={"strikes": 2},
        description="Sort it",
        golden=path / "golden.csv",
    )


@pytest.mark.parametrize(
    "prompt", ["{{ a }}", "---\n---\n{{ a }}\n", "\ufeff---\r\n---\r\n\r\n{{ a }}\r\n", "---\n# note\n---\n{{ a }}"]
)
def test_front_matter_may_say_nothing(tmp_path: Path, prompt: str):
    """Without front matter, with an empty one, with a BOM and CRLF: the same content."""
    path = folder(tmp_path)
    (path / "prompt.md").write_bytes(prompt.encode("utf-8"))

    found = prompts.load_folder(path)

    assert found.content == content(contract=found.content.contract, template="{{ a }}")
    assert (found.defaults, found.description, found.golden) == ({}, "", None)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("---\nmodel: m\n{{ a }}", "sort-it/prompt.md:1: the front matter has no end"),
        ("---\nmodle: m\n---\n{{ a }}", "prompt.md:2: unknown key 'modle'; did you mean 'model'?"),
        ("---\n\nfoo: m\n---\n{{ a }}", "prompt.md:3: unknown key 'foo'; known: description"),
        ("---\nmodel: m\nmodel: n\n---\n{{ a }}", "prompt.md:3: 'model' is written twice"),
        ("---\nsettings:\n  seed: 1\n  seed: 2\n---\n{{ a }}", "prompt.md:4: 'settings.seed' is written twice"),
        ("---\nmodel: 5\n---\n{{ a }}", "prompt.md:2: model: input should be a valid string"),
        ("---\nmodel: m\nmax_tokens: many\n---\n{{ a }}", "prompt.md:3: max_tokens: "),
        ("---\nmax_tokens: 0\n---\n{{ a }}", "prompt.md:2: max_tokens: "),
        ("---\nresponse_format: xml\n---\n{{ a }}", "prompt.md:2: response_format: input should be 'text'"),
        ("---\nsettings: 5\n---\n{{ a }}", "prompt.md:2: settings: "),
        (
            "---\nsettings:\n  top_p: 1\n  model: x\n---\n{{ a }}",
            "prompt.md:4: settings may not hold 'model'; write it as",
        ),
        (
            "---\nsettings:\n  temperature: 1e-3\n---\n{{ a }}",
            "prompt.md:3: the setting 'temperature' must be a number",
        ),
        ("---\nsettings:\n  since: 2024-01-01\n---\n{{ a }}", "prompt.md:2: settings must be plain JSON values"),
        ("---\nsettings:\n  x: .nan\n---\n{{ a }}", "prompt.md:2: settings must be plain JSON values"),
        ("---\nsettings:\n  x: &a [1]\n  y: *a\n---\n{{ a }}", "prompt.md:4: this is not YAML: aliases are not taken"),
        ("---\nmodel: [\n---\n{{ a }}", "prompt.md:2: this is not YAML"),
        ("---\n- model\n---\n{{ a }}", "prompt.md:2: the front matter must be lines of key: value"),
        ("---\ndescription: [a]\n---\n{{ a }}", "prompt.md:2: description must be text"),
        (
            "---\nmodel: m\ndefaults:\n  strikes: 3\n  strike: 3\n---\n{{ a }}",
            "prompt.md:5: defaults: unknown key 'strike'; did you",
        ),
        ("---\ndefaults:\n  strikes: 0\n---\n{{ a }}", "prompt.md:3: defaults: 'strikes': input should be greater"),
        (
            "---\ndefaults:\n  strikes: 3\n  echo:\n    order: 7\n---\n{{ a }}",
            "prompt.md:4: defaults: 'echo': order: input should be a valid string",
        ),
        ("---\ndefaults: all\n---\n{{ a }}", "prompt.md:2: defaults must be lines"),
        ("---\nmodel: m\n---\n\n\nuser:\n{{ a }}\n{{ b | uper }}", "prompt.md:8: there is no filter 'uper'"),
        ("user:\n{% if a %}\n", "prompt.md:2: {% if %} is not closed"),
        ("---\nmodel: m\n---\n\n", "prompt.md: the template is empty"),
        (
            "---\nmodel: !!python/object/apply:os.system [ls]\n---\n{{ a }}",
            "not YAML: could not determine a constructor",
        ),
    ],
)
def test_a_doubtful_prompt_file_is_refused_with_its_line(tmp_path: Path, prompt: str, words: str):
    """What the reviewer reads must be what is sent: nothing is guessed, ignored or overruled."""
    with pytest.raises(errors.PromptError) as refusal:
        prompts.load_folder(folder(tmp_path, prompt))

    assert words in refusal.value.message
    assert refusal.value.message.startswith("sort-it/prompt.md:")


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ('{"a":\n1,}', "sort-it/schema.json:2: this is not JSON"),
        ("[]", "sort-it/schema.json:1: a contract is a JSON object"),
        ('{"a": 1, "a": 2}', "'a' is written twice"),
        ('{"a": NaN}', "NaN is not JSON"),
        ("", "this is not JSON"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_a_doubtful_contract_file_is_refused(tmp_path: Path, schema: str, words: str):
    """The contract's text is held to strict JSON before anybody asks what it means."""
    with pytest.raises(errors.PromptError) as refusal:
        prompts.load_folder(folder(tmp_path, schema=schema))

    assert words in refusal.value.message


def test_missing_and_unreadable_files_are_named(tmp_path: Path):
    """A folder without its files, a wrong encoding and a bad name each say so."""
    path = folder(tmp_path)
    (path / "schema.json").unlink()
    with pytest.raises(errors.PromptError, match="sort-it/schema.json: this file is missing"):
        prompts.load_folder(path)
    (path / "prompt.md").write_bytes(b"user:\nGr\xfc\xdfe")
    with pytest.raises(errors.PromptError, match="sort-it/prompt.md:2: is not UTF-8 here"):
        prompts.load_folder(path)
    with pytest.raises(errors.PromptError, match="'Sort it' is no name"):
        prompts.load_folder(tmp_path / "Sort it")


@pytest.mark.parametrize("name", ["prompt.md", "schema.json"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path, name: str):
    """Only regular files are read: a pipe that nobody writes into would be read without end."""
    path = folder(tmp_path)
    (path / name).unlink(missing_ok=True)
    os.mkfifo(path / name)

    with pytest.raises(errors.PromptError, match="is no regular file"):
        prompts.load_folder(path)


def test_a_broken_folder_hides_no_other(tmp_path: Path):
    """The list names every prompt, the broken one with its error, and passes over hidden folders and files."""
    folder(tmp_path, name="good")
    folder(tmp_path, name="broken", schema="{")
    (tmp_path / ".git").mkdir()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "notes.md").write_text("x")

    broken, good = prompts.list_folders(tmp_path)

    assert (broken.name, broken.folder) == ("broken", None)
    assert broken.error is not None and "broken/schema.json:1" in broken.error
    assert good.folder is not None and (good.name, good.error) == ("good", None)
    assert prompts.list_folders(tmp_path / "none") == []


NUMBERS = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)  # fmt: skip
KEYS = TEXTS.filter(lambda key: key not in OWNED_SETTINGS and key not in prompts.NUMBERS)
CONTENTS = st.builds(
    VersionContent,
    template=TEXTS.map(lambda text: text.replace("{", "(") + "\nuser:\nEnd {{ a }} \n---\nx"),
    contract=st.dictionaries(TEXTS, JSON, max_size=4),
    model=st.none() | TEXTS,
    response_format=st.sampled_from(["text", "json_object", "json_schema"]),
    settings=st.dictionaries(KEYS, JSON, max_size=4)
    | st.fixed_dictionaries({"temperature": NUMBERS, "stop": st.lists(TEXTS)}),
    max_tokens=st.integers(1, 10**6),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)
@given(written=CONTENTS, description=TEXTS)
@example(
    written=content(model="m\x85\u2028", settings={"stop": ["\n", "\x85", "---"]}),
    description="a\u2029\n---\n# b: c" * 20,
)
def test_what_is_written_is_read_back(tmp_path: Path, written: VersionContent, description: str):
    """Whatever text, settings or contract: the folder gives the same content, and writing it again the same bytes."""
    path = tmp_path / "round"
    defaults = {"strikes": 4, "budget": 0.5, "echo": {"order": "Order no: 1", "null": "7"}}

    prompts.write_folder(path, written, description=description, defaults=defaults)
    found = prompts.load_folder(path)

    assert found.content == prompts.canonical(written)
    assert prompts.content_hash(found.content) == prompts.content_hash(written)
    assert (found.description, found.defaults) == (description, defaults)
    before = (path / "prompt.md").read_bytes(), (path / "schema.json").read_bytes()
    prompts.write_folder(path, found.content, description=found.description, defaults=found.defaults)
    assert before == ((path / "prompt.md").read_bytes(), (path / "schema.json").read_bytes())


def test_writing_leaves_everything_else_in_the_folder(tmp_path: Path):
    """golden.csv and other files stay, permissions stay, no draft stays behind."""
    path = folder(tmp_path)
    (path / "golden.csv").write_text("keep")
    (path / "prompt.md").chmod(0o640)

    prompts.write_folder(path, content())

    assert sorted(os.listdir(path)) == ["golden.csv", "prompt.md", "schema.json"]
    assert (path / "golden.csv").read_text() == "keep"
    assert (path / "prompt.md").stat().st_mode & 0o777 == 0o640
    assert (path / "prompt.md").read_text() == "---\nresponse_format: text\nmax_tokens: 512\n---\nuser:\n{{ a }}\n"


def test_settings_hold_no_field_that_a_request_sets_itself():
    """What would end every row's request is refused when the version is saved, with where it is said instead."""
    own: set[str] = set()
    for field in ("max_tokens", "max_completion_tokens"):
        connection = Connection(name="c", max_tokens_field=field)
        sent = body(
            [Message(role="user", content="x")],
            model="m",
            connection=connection,
            max_tokens=5,
            response_format="json_object",
            stream=True,
        )
        own |= sent.keys()
    assert "stream_options" in own
    for key in own | {"n"}:
        with pytest.raises(errors.PromptError, match=f"settings may not hold {key!r}; .+"):
            prompts.check(content(settings={key: 1}))


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (content(template="{% if %}"), "line 1"),
        (content(template="x\ud800"), "surrogate"),
        (content(template="x", contract={"a": "\ud800"}), "surrogate"),
        (content(settings={"x": float("nan")}), "plain JSON"),
        (content(settings={"x": {1: 2}}), "the key 1 is not text"),
        (content(settings={"n": 2}), "settings may not hold 'n'"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path: Path, bad: VersionContent, words: str):
    """A refused write leaves the old files as they were."""
    path = folder(tmp_path)

    with pytest.raises(errors.PromptError, match=words):
        prompts.write_folder(path, bad)

    assert prompts.load_folder(path).content.model == "m"
    assert sorted(os.listdir(path)) == ["prompt.md", "schema.json"]


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path):
    """A file in the folder's place is an error for the operator, not a crash."""
    (tmp_path / "taken").write_text("x")

    with pytest.raises(errors.PromptError, match="cannot write .*taken"):
        prompts.write_folder(tmp_path / "taken", content())


BASE = {
    "contract": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"minimum": 1}}},
    "settings": {"x": 1, "y": [1, 2]},
}


@pytest.mark.parametrize(
    "other",
    [
        {"contract": {"properties": {"a": {"type": "string"}, "b": {"minimum": 1}}, "type": "object"}},
        {"settings": {"y": [1.0, 2], "x": 1.0}},
        {"contract": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"minimum": 1.0}}}},
        {"template": "\nuser:\r\n{{ a }}\n"},
    ],
)
def test_the_hash_ignores_what_decides_nothing(other: dict[str, Any]):
    """The order of keys, 1 or 1.0, and line ends change no answer."""
    assert prompts.content_hash(content(**{**BASE, **other})) == prompts.content_hash(content(**BASE))


@pytest.mark.parametrize(
    "other",
    [
        {"template": "user:\n{{ a }} "},
        {"template": "user:\n{{ b }}"},
        {"contract": {"type": "object", "properties": {"b": {"minimum": 1}, "a": {"type": "string"}}}},
        {"settings": {"x": 1, "y": [2, 1]}},
        {"settings": {"x": True, "y": [1, 2]}},
        {"settings": {"x": "1", "y": [1, 2]}},
        {"settings": {"x": 1.5, "y": [1, 2]}},
        {"model": "m"},
        {"response_format": "json_object"},
        {"max_tokens": 513},
    ],
)
def test_the_hash_changes_with_all_that_decides(other: dict[str, Any]):
    """Each field counts, and so does the order of properties, in which an endpoint held to a schema answers."""
    assert prompts.content_hash(content(**{**BASE, **other})) != prompts.content_hash(content(**BASE))


def test_the_hash_is_frozen():
    """A stored version keeps its hash: a change of the canonical form needs a new tag, not a new number here."""
    found = prompts.content_hash(content(**BASE, model="é", response_format="json_schema"))

    assert found == "v1:deccc509c7700566b865c697f1f3c4324a830db9c90100df18a4dcad8195b226"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", ("a", None, None)),
        (" company-facts_2 ", ("company-facts_2", None, None)),
        ("a@3", ("a", 3, None)),
        ("a@production", ("a", None, "production")),
    ],
)
def test_references_are_read(text: str, expected: tuple[str, int | None, str | None]):
    """A name alone, a number, a label."""
    assert prompts.parse_reference(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no name for a prompt"),
        ("A", "small letters"),
        ("../a", "no name"),
        ("-a", "no name"),
        ("a b@1", "no name"),
        ("a" * 65, "at most 64"),
        ("a@", "write a, a@3 or a@production"),
        ("a@0", "names no version"),
        ("a@v3", "write a@3"),
        ("a@#3", "write a@3"),
        ("a@03", "write a@3"),
        ("a@-1", "names no version"),
        ("a@Production", "names no version"),
        ("a@1@2", "names no version"),
        ("a@9999999999", "names no version"),
    ],
)
def test_a_bad_reference_says_what_to_write(text: str, words: str):
    """A reference that names nothing is refused with one that would."""
    with pytest.raises(errors.PromptError, match=words.replace("@", "@")):
        prompts.parse_reference(text)


def test_the_diff_names_the_parts_that_changed():
    """Each changed part is one unified diff; the same content has none."""
    before = content(template="user:\nA\n{{ a }}", settings={"b": 1, "a": 2})
    after = content(template="user:\nB\n{{ a }}", settings={"a": 2, "b": 3}, contract={"type": "object", "title": "é"})

    template, contract, changed = prompts.diff(before, after, names=("v1", "draft"))

    assert template == ("template", "--- v1\n+++ draft\n@@ -1,3 +1,3 @@\n user:\n-A\n+B\n {{ a }}")
    assert contract.name == "contract" and '+  "title": "é"' in contract.text.split("\n")
    assert [line for line in changed.text.split("\n")[2:] if line[0] in "+-"] == ["-  b: 1", "+  b: 3"]
    assert prompts.diff(before, before) == []
    assert [section.name for section in prompts.diff(before, before.model_copy(update={"max_tokens": 9}))] == [
        "settings"
    ]


LINES = st.lists(
    st.sampled_from(["user:", "system:", "\\user:", "\\\\assistant:", "", " ", "user: x"])
    | st.text(string.ascii_letters + " \\:é", max_size=8), max_size=6
).map("\n".join)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), LINES), max_size=6))
def test_turns_can_be_edited_one_by_one(messages: list[tuple[str, str]]):
    """Joined and split again, turns keep roles and texts, whatever their lines look like, but for blank lines around."""
    source = prompts.join(messages)

    found = [(turn.role, turn.text) for turn in prompts.turns(source)]

    def trimmed(text: str) -> str:
        lines = text.split("\n")
        while lines and not lines[0].strip():
            lines.pop(0)
        while lines and not lines[-1].strip():
            lines.pop()
        return "\n".join(lines)

    assert found == [(role, trimmed(text)) for role, text in messages]
    assert prompts.join(prompts.turns(source)) == prompts.join(found)


@given(LINES.filter(str.strip), LINES.filter(str.strip))
def test_a_joined_source_makes_the_same_messages(first: str, second: str):
    """What a person sees as turns is what is sent."""
    source = prompts.join([("system", first), ("user", second)])

    assert [m.content for m in templates.parse(source).render({})] == [turn.text for turn in prompts.turns(source)]


def test_turns_know_their_lines():
    """A turn says where its text begins in the source, and an empty one is kept while it is being written."""
    source = "intro\n\nuser:\n\n\nA\nassistant:\nuser:\nB"

    assert prompts.turns(source) == [("user", "intro", 1), ("user", "A", 6), ("assistant", "", 7), ("user", "B", 9)]


@pytest.mark.parametrize("said", ["no", "'no'", "false"])
def test_no_batch_among_the_run_defaults_may_be_said_without_quotation_marks(tmp_path: Path, said: str) -> None:
    """YAML reads a bare no as false; what is written back is the word, and yes is still no way to go."""
    path = folder(tmp_path, f"---\nmodel: m\ndefaults:\n  batch: {said}\n---\n{{{{ a }}}}")
    found = prompts.load_folder(path)
    assert found.defaults == {"batch": "no"}
    prompts.write_folder(path, found.content, defaults=found.defaults)
    assert prompts.load_folder(path).defaults == {"batch": "no"}
    with pytest.raises(
        errors.PromptError, match="prompt.md:4: defaults: 'batch': input should be 'no', 'first' or 'all'"
    ):
        prompts.load_folder(folder(tmp_path, "---\nmodel: m\ndefaults:\n  batch: yes\n---\n{{ a }}", name="other"))


def test_a_ladder_among_the_run_defaults_is_written_as_on_a_command_line(tmp_path: Path) -> None:
    """It is kept in its parts, and written back in a person's words."""
    told = "defaults:\n  ladder:\n    climbs: big@other\n    routes: [text longer 800]\n    checks: [label=urgent]\n    confidence: 0.9\n"
    path = folder(tmp_path, f"---\n{told}---\n{{{{ a }}}}")
    found = prompts.load_folder(path)
    ladder = RunOptions.model_validate(found.defaults).ladder
    prompts.write_folder(path, found.content, defaults=found.defaults)

    assert ladder is not None and str(ladder.climbs[0]) == "big@other" and str(ladder.checks[0]) == "label=urgent"
    assert json.loads(json.dumps(found.defaults)) == found.defaults
    assert "    - text longer 800\n" in (path / "prompt.md").read_text()
    assert prompts.load_folder(path).defaults == found.defaults


@pytest.mark.parametrize(
    ("ladder", "said"),
    [
        ("{climbs: []}", "'ladder': climbs: tuple should have at least 1 item"),
        ("{climbs: [big], routes: [text]}", "'ladder': a route is COLUMN longer CHARACTERS"),
        ("{climbs: [big], confidence: 2}", "'ladder': confidence: input should be less than or equal to 1"),
        ("{climb: [big]}", "'ladder': climb: unknown key 'climb'; did you mean 'climbs'?"),
    ],
)
def test_a_ladder_that_cannot_be_is_refused_with_its_line(tmp_path: Path, ladder: str, said: str) -> None:
    """Like every other run default."""
    path = folder(tmp_path, f"---\nmodel: m\ndefaults:\n  ladder: {ladder}\n---\n{{{{ a }}}}")
    with pytest.raises(errors.PromptError) as refused:
        prompts.load_folder(path)

    assert "prompt.md:4" in refused.value.message and said in refused.value.message
