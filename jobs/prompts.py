"""A prompt on disk: a folder with ``prompt.md``, ``schema.json`` and perhaps ``golden.csv``, read and written back.

Prompts are code: they live in a repository, are reviewed as text and must mean the same everywhere. So reading is
strict (an unknown key, a duplicate one or a doubtful value is refused with its file and line), writing is
deterministic, and what is written reads back as the same content. The content hash covers what decides an answer and
nothing else: the layout of a file, the run defaults and the description change nothing.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn, cast

import yaml
from pydantic import ValidationError

from jobs import errors, faults, frontmatter, ladder, markers, templates
from jobs.options import Ladder, RunOptions
from jobs.values import OWNED_SETTINGS, VersionContent

PROMPT, SCHEMA, GOLDEN = "prompt.md", "schema.json", "golden.csv"

#: keys of the front matter, in the order in which they are written
KEYS = ("description", "model", "response_format", "max_tokens", "settings", "defaults")
#: settings that every endpoint wants as numbers; YAML reads 1e-3 as text and "0.2" stays text
NUMBERS = frozenset({"temperature", "top_p", "seed", "frequency_penalty", "presence_penalty"})
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_LINE_ENDS = re.compile(r"[\x85\u2028\u2029]")
_EXACT = 2**53
_UNFOLDED = 2**31


@dataclass(frozen=True, slots=True)
class PromptFolder:
    """A prompt as its folder has it now."""

    name: str
    path: Path
    content: VersionContent
    #: those ``RunOptions`` that the prompt sets for its runs
    defaults: dict[str, Any]
    description: str
    golden: Path | None


class Listed(NamedTuple):
    """A folder in the prompts folder: what it holds, or why it cannot be read."""

    name: str
    folder: PromptFolder | None
    error: str | None


class Reference(NamedTuple):
    """``name``, ``name@number`` or ``name@label``."""

    name: str
    number: int | None = None
    label: str | None = None


class Section(NamedTuple):
    """One part in which two contents differ, as a unified diff."""

    name: Literal["template", "contract", "settings"]
    text: str


def load_folder(path: Path) -> PromptFolder:
    """The prompt in that folder.

    Raises:
        PromptError: with file and line.
    """
    name = check_name(path.name)
    file = f"{name}/{PROMPT}"
    head, template, offset = frontmatter.parted(_read(path / PROMPT, file), file)
    front = frontmatter.read(head, file, known=KEYS)
    contract = _contract(_read(path / SCHEMA, f"{name}/{SCHEMA}"), f"{name}/{SCHEMA}")
    content = canonical(_content(front, template, contract, file))
    try:
        check(content)
    except errors.PromptError as error:
        named = [f"settings.{key}" for key in content.settings if repr(key) in error.reason]
        line = error.line + offset if error.line else front.line(*named) if named else None
        raise errors.PromptError(error.reason, file=file, line=line) from error
    golden = path / GOLDEN
    description = front.get("description", "")
    if not isinstance(description, str):
        raise errors.PromptError("description must be text", file=file, line=front.line("description"))
    return PromptFolder(name, path, content, _defaults(front, file), description, golden if golden.is_file() else None)


def list_folders(prompts: Path) -> list[Listed]:
    """Every prompt folder there, by name; one that cannot be read carries its error and hides no other."""
    if not prompts.is_dir():
        return []
    found = []
    for path in sorted(prompts.iterdir()):
        if not path.is_dir() or path.name.startswith((".", "_")):
            continue
        try:
            found.append(Listed(path.name, load_folder(path), None))
        except errors.PromptError as error:
            found.append(Listed(path.name, None, error.message))
    return found


def write_folder(
    path: Path, content: VersionContent, *, description: str = "", defaults: Mapping[str, Any] | None = None
) -> None:
    """Write ``prompt.md`` and ``schema.json``, each replaced whole; ``golden.csv`` and other files stay.

    Raises:
        PromptError: the content cannot be read back from a folder, or the folder cannot be written.
    """
    check_name(path.name)
    check(content)
    plain = canonical(content)
    front: dict[str, Any] = {
        "description": description or None,
        "model": plain.model,
        "response_format": plain.response_format,
        "max_tokens": plain.max_tokens,
        "settings": dict(sorted(plain.settings.items())) or None,
        "defaults": _written_options(_checked_options(dict(defaults or {}))) or None,
    }
    head = _yaml({key: value for key, value in front.items() if value is not None})
    try:
        files = {
            SCHEMA: (json.dumps(plain.contract, indent=2, ensure_ascii=False) + "\n").encode("utf-8"),
            PROMPT: f"---\n{head}---\n{plain.template}\n".encode(),
        }
        path.mkdir(parents=True, exist_ok=True)
        # a crash between the two leaves each file whole, but one of them old: the next write-back mends it
        for name, data in files.items():
            _replace(path / name, data)
    except UnicodeEncodeError as error:
        raise errors.PromptError("the prompt holds half of a character (a lone surrogate); remove it") from error
    except OSError as error:
        raise errors.PromptError(f"cannot write {error.filename or path}: {error.strerror}") from error


def check(content: VersionContent) -> None:
    """Refuse a template or settings that cannot be used; the contract is ``contract``'s business.

    Raises:
        PromptError: with the line of the template, where it is the template's fault.
    """
    templates.parse(content.template)
    for key in content.settings:
        if key in OWNED_SETTINGS:
            raise errors.PromptError(f"settings may not hold {key!r}; {OWNED_SETTINGS[key]}")
        value = content.settings[key]
        if key in NUMBERS and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise errors.PromptError(f"the setting {key!r} must be a number, not {value!r}")
    try:
        _canonical_json(content.settings)
        _canonical_json(content.contract)
    except (TypeError, ValueError) as error:
        raise errors.PromptError(f"settings and contract must be plain JSON values ({error})") from error


def canonical(content: VersionContent) -> VersionContent:
    """The same content in the form that folders and the store keep: plain line feeds, none around the template."""
    template = content.template.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    return content.model_copy(update={"template": template})


def content_hash(content: VersionContent) -> str:
    """The tagged hash of all that decides an answer: ``v1:`` and the SHA-256 of its canonical JSON.

    The order of keys does not count, but for a contract's ``properties``: an endpoint that is held to a schema writes
    them in that order, so it decides answers. 1 and 1.0 are the same number. Line ends are those of ``canonical``.
    """
    plain = canonical(content)
    fields = {**plain.model_dump(mode="python"), "contract": _ordered(plain.contract)}
    return "v1:" + hashlib.sha256(_canonical_json(fields).encode("ascii")).hexdigest()


def parse_reference(text: str) -> Reference:
    """What ``NAME``, ``NAME@3`` or ``NAME@production`` refers to.

    Raises:
        PromptError: it is none of these.
    """
    name, at, version = text.strip().partition("@")
    check_name(name)
    if not at:
        return Reference(name)
    if re.fullmatch(r"[1-9][0-9]{0,8}", version):
        return Reference(name, number=int(version))
    if numbered := re.fullmatch(r"[v#]?0*([1-9][0-9]{0,8})", version):
        raise errors.PromptError(f"{text!r} names no version; write {name}@{numbered[1]}")
    if _LABEL.fullmatch(version):
        return Reference(name, label=version)
    raise errors.PromptError(f"{text!r} names no version; write {name}, {name}@3 or {name}@production")


def check_name(name: str) -> str:
    """The name itself; raises PromptError if a prompt cannot be called so."""
    if not _NAME.fullmatch(name):
        raise errors.PromptError(
            f"{name!r} is no name for a prompt; use small letters, digits, - and _, at most 64, a letter or digit first"
        )
    return name


def diff(a: VersionContent, b: VersionContent, *, names: tuple[str, str] = ("before", "after")) -> list[Section]:
    """The parts in which the second content differs from the first, as unified diffs; none if they are the same."""
    found = []
    for name, before, after in zip(("template", "contract", "settings"), _texts(a), _texts(b), strict=True):
        lines = difflib.unified_diff(before.split("\n"), after.split("\n"), *names, lineterm="")
        if text := "\n".join(lines):
            found.append(Section(cast(Literal["template", "contract", "settings"], name), text))
    return found


def turns(source: str) -> list[markers.Turn]:
    """The messages of a source as a person edits them one by one; nothing is checked and no marker is escaped."""
    return list(markers.split(source))


def join(messages: Iterable[tuple[str, str] | markers.Turn]) -> str:
    """The source of these messages; ``turns`` gives them back, without the blank lines around each."""
    return "\n\n".join(f"{role}:\n{markers.escape(text)}" for role, text, *_ in messages)


def _read(path: Path, file: str) -> str:
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for without end
            raise errors.PromptError("is no regular file; only such are read", file=file)
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise errors.PromptError("this file is missing; a prompt needs prompt.md and schema.json", file=file) from error
    except OSError as error:
        raise errors.PromptError(f"cannot be read: {error.strerror}", file=file) from error
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise errors.PromptError("is not UTF-8 here; save the file as UTF-8", file=file, line=line) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _content(front: frontmatter.Front, template: str, contract: dict[str, Any], file: str) -> VersionContent:
    given = {key: front[key] for key in ("model", "response_format", "max_tokens", "settings") if key in front}
    if given.get("settings", 0) is None:
        del given["settings"]
    try:
        content = VersionContent.model_validate({"template": template, "contract": contract, **given}, strict=True)
        _canonical_json(content.settings)
    except ValidationError as error:
        fault = faults.first(error)
        line = front.line(fault.where, fault.way[0])
        raise errors.PromptError(str(fault), file=file, line=line) from error
    except (TypeError, ValueError) as error:
        reason = f"settings must be plain JSON values; put quotes around dates and the like ({error})"
        raise errors.PromptError(reason, file=file, line=front.line("settings")) from error
    return content


def _defaults(front: frontmatter.Front, file: str) -> dict[str, Any]:
    given = front.get("defaults") or {}
    try:
        if not isinstance(given, dict):
            raise errors.PromptError("defaults must be lines of key: value")
        return _checked_options(given)
    except errors.PromptError as error:
        fault = error.reason.partition(";")[0]
        named = [f"defaults.{key}" for key in given if repr(key) in fault] if isinstance(given, dict) else []
        raise errors.PromptError(error.reason, file=file, line=front.line(*named, "defaults")) from error


def _checked_options(given: dict[str, Any]) -> dict[str, Any]:
    for key in given:
        if key not in RunOptions.model_fields:
            raise errors.PromptError(f"defaults: {faults.unknown(str(key), RunOptions.model_fields)}")
    try:
        named = given | ({"ladder": ladder.said(given["ladder"])} if "ladder" in given else {})
        if named.get("batch") is False:  # what YAML makes of a bare no
            named["batch"] = "no"
        options = RunOptions.model_validate(named).model_dump(mode="json")
    except ValidationError as error:
        option, *way = (fault := faults.first(error)).way
        raise errors.PromptError(f"defaults: {option!r}: {fault._replace(way=tuple(way))}") from error
    except errors.InputError as error:
        raise errors.PromptError(f"defaults: 'ladder': {error.message}") from error
    return {key: options[key] for key in options if key in given}


def _written_options(options: dict[str, Any]) -> dict[str, Any]:
    if options.get("ladder") is None:
        return options
    return options | {"ladder": ladder.written(Ladder.model_validate(options["ladder"]))}


def _contract(text: str, file: str) -> dict[str, Any]:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in items:
            if key in found:
                raise errors.PromptError(f"{key!r} is written twice in one object; keep one", file=file)
            found[key] = value
        return found

    def constant(name: str) -> NoReturn:
        raise errors.PromptError(f"{name} is not JSON; write a number", file=file)

    try:
        contract = json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise errors.PromptError(f"this is not JSON: {error.msg}", file=file, line=error.lineno) from error
    except (RecursionError, ValueError) as error:
        raise errors.PromptError(f"this JSON cannot be read: {error}", file=file) from error
    if not isinstance(contract, dict):
        raise errors.PromptError("a contract is a JSON object: the schema of one answer", file=file, line=1)
    return contract


def _ordered(schema: Any) -> Any:
    """The schema with each ``properties`` as a list of pairs, so that sorting keys leaves their order alone."""
    if isinstance(schema, list):
        return [_ordered(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {}
    for key, value in schema.items():
        if key == "properties" and isinstance(value, dict):
            found[key] = [[name, _ordered(item)] for name, item in value.items()]
        else:
            found[key] = _ordered(value)
    return found


def _numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    if isinstance(value, Mapping):
        if odd := next((key for key in value if not isinstance(key, str)), None):
            raise TypeError(f"the key {odd!r} is not text")
        return {key: _numbers(item) for key, item in value.items()}
    return [_numbers(item) for item in value] if isinstance(value, (list, tuple)) else value


def _canonical_json(value: Any) -> str:
    return json.dumps(_numbers(value), sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


class _Dumper(yaml.SafeDumper):
    """Text with one of Unicode's own line ends is escaped: YAML reads it back as a blank otherwise."""


def _as_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if _LINE_ENDS.search(text) else None)


_Dumper.add_representer(str, _as_text)


def _yaml(values: Mapping[str, Any]) -> str:
    return str(yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_UNFOLDED))


def _texts(content: VersionContent) -> tuple[str, str, str]:
    plain = canonical(content)
    settings = {
        "model": plain.model,
        "response_format": plain.response_format,
        "max_tokens": plain.max_tokens,
        "settings": dict(sorted(plain.settings.items())),
    }
    contract = json.dumps(plain.contract, indent=2, ensure_ascii=False)
    return plain.template, contract, _yaml(settings).rstrip("\n")


def _replace(path: Path, data: bytes) -> None:
    """The whole file or the old one, also after a crash."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            draft.chmod(path.stat().st_mode & 0o777)
        draft.replace(path)
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()
