"""Prompts: folders and stored versions as one list, saving and trying, labels, drafts, and the checks before a save.

A version is its content: what decides an answer. Saving the same content again gives the version that there is; its run
defaults and its description, which decide no answer, follow the last save.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jobs import errors, templates
from jobs import prompts as folders
from jobs.api.launch import options_of
from jobs.api.room import Room
from jobs.contract import Contract
from jobs.options import RunOptions
from jobs.store import drawer, reading_archive, reading_prompts
from jobs.values import Message, VersionContent
from jobs.views.prompts import Prompt, Version


class Prompts(Room):
    """The prompts of a home and of the prompts folder."""

    def versions(self, name: str) -> list[Version]:
        """The saved versions of a prompt, the newest first; none of a prompt that is only a folder."""
        return reading_prompts.saved(self.read(), name)

    def get(self, version_id: int) -> Version:
        """The version of that id, saved or only tried; raises NotFound."""
        found = reading_prompts.version(self.read(), version_id)
        if found is None:
            raise errors.NotFound(f"there is no version with the id {version_id}")
        return found

    def resolve(self, reference: str) -> Version:
        """What ``NAME``, ``NAME@3`` or ``NAME@production`` means now; a folder's new content is stored as a version.

        Raises:
            PromptError: the folder of that name cannot be used, or the reference is not well formed.
            NotFound: there is nothing of that name, number or label; says what there is.
        """
        wanted = folders.parse_reference(reference)
        name = wanted.name
        if wanted.number is None and wanted.label is None:
            if (self.settings.prompts / name).is_dir():
                return self._from_folder(name)
            found = reading_prompts.latest(self.read(), name)
        elif wanted.label is not None:
            number = reading_prompts.labels(self.read(), name).get(wanted.label)
            found = None if number is None else reading_prompts.numbered(self.read(), name, number)
        else:
            found = reading_prompts.numbered(self.read(), name, wanted.number or 0)
        if found is None:
            raise errors.NotFound(self._what_there_is(wanted))
        return found

    def _from_folder(self, name: str) -> Version:
        folder = folders.load_folder(self.settings.prompts / name)
        return self.save(
            name,
            folder.content,
            note="as it stands in the folder",
            description=folder.description,
            defaults=folder.defaults,
            source="folder",
        )

    def _what_there_is(self, wanted: folders.Reference) -> str:
        saved = reading_prompts.saved(self.read(), wanted.name)
        is_folder = (self.settings.prompts / wanted.name).is_dir()
        if not saved and not is_folder:
            names = ", ".join(prompt.name for prompt in self.list()) or "none"
            return f"there is no prompt {wanted.name!r}; there are: {names}"
        there = [f"{wanted.name}@{version.number}" for version in saved[:10]]
        there += [f"{wanted.name}@{label}" for label in reading_prompts.labels(self.read(), wanted.name)]
        if is_folder:
            there.insert(0, f"{wanted.name} (the folder's content)")
        return f"there is no {wanted.name}@{wanted.label or wanted.number}; there are: {', '.join(there)}"

    def save(
        self,
        name: str,
        content: VersionContent,
        *,
        note: str,
        description: str = "",
        defaults: dict[str, Any] | None = None,
        source: str = "editor",
    ) -> Version:
        """The version of that content with a number: a new one, or the one that there is.

        Raises:
            PromptError: the name, template or settings cannot be used.
            ContractError: the contract cannot be held, with the place.
        """
        return self._put(name, content, note=note, description=description, defaults=defaults, source=source)

    def tried(self, name: str, content: VersionContent) -> Version:
        """The version of that content, without a number if it was never saved: for trying it before saving it.

        Raises:
            PromptError: the name, template or settings cannot be used.
            ContractError: the contract cannot be held, with the place.
        """
        return self._put(name, content, numbered=False)

    def _put(
        self,
        name: str,
        content: VersionContent,
        *,
        note: str = "",
        description: str = "",
        defaults: dict[str, Any] | None = None,
        source: str = "editor",
        numbered: bool = True,
    ) -> Version:
        folders.check_name(name)
        folders.check(content)
        Contract.from_schema(content.contract)
        if defaults is not None:
            options_of(defaults, of=name)
        saving = drawer.Saving(
            prompt=name,
            hash=folders.content_hash(content),
            content=folders.canonical(content),
            defaults=defaults,
            description=description,
            note=note,
            source=source,
            now=time.time(),
        )
        with self.write() as db:
            version = drawer.put_version(db, saving, numbered=numbered)
        return self.get(version)

    def label(self, name: str, label: str, number: int) -> None:
        """Move a label to a saved version; raises NotFound, or PromptError for a label that no reference could name."""
        if folders.parse_reference(f"{name}@{label}").label is None:
            raise errors.PromptError(f"{label!r} is a number; a label begins with a letter")
        wanted = folders.Reference(name, number=number)
        if reading_prompts.numbered(self.read(), name, number) is None:
            raise errors.NotFound(self._what_there_is(wanted))
        with self.write() as db:
            drawer.put_label(db, name, label, number=number, now=time.time())

    def draft(self, name: str) -> dict[str, Any] | None:
        """What was last kept as the draft of that prompt."""
        return reading_prompts.draft(self.read(), name)

    def put_draft(self, name: str, body: dict[str, Any]) -> None:
        """Keep a draft; it survives a reload and a restart."""
        with self.write() as db:
            drawer.put_draft(db, name, body, now=time.time())

    def drop_draft(self, name: str) -> None:
        """Forget the draft, if there is one."""
        with self.write() as db:
            drawer.drop_draft(db, name)

    def write_back(self, name: str, number: int) -> Path:
        """Write a saved version to the prompts folder; the folder that was written.

        Raises:
            NotFound: there is no such version.
            PromptError: the folder cannot be written.
        """
        version = reading_prompts.numbered(self.read(), name, number)
        if version is None:
            raise errors.NotFound(self._what_there_is(folders.Reference(name, number=number)))
        path = self.settings.prompts / folders.check_name(name)
        folders.write_folder(
            path, version.content, description=version.description, defaults=_without_defaults(version.defaults)
        )
        return path

    def check(self, content: VersionContent, columns: Sequence[str]) -> list[str]:
        """What is wrong with a content for a table of those columns, in plain words; nothing if it can be run."""
        found = []
        try:
            folders.check(content)
        except errors.PromptError as error:
            found.append(f"template, {error.message}" if error.line else error.message)
        try:
            template = templates.parse(content.template)
        except errors.PromptError:
            pass  # told by the check above
        else:
            found += unknown_columns(template, columns)
        try:
            contract = Contract.from_schema(content.contract)
        except errors.ContractError as error:
            found.append(f"contract: {error.message}")
        else:
            if content.response_format == "json_schema" and not contract.strict_schema().usable:
                found.append(
                    "contract: the response format json_schema cannot express it (it allows any value or any keys somewhere); "
                    "use json_object, or say what is allowed there"
                )
        return found

    def render(self, content: VersionContent, cells: dict[str, str]) -> tuple[Message, ...]:
        """The messages that a row would be asked with; raises PromptError with the line."""
        return templates.parse(content.template).render(cells)

    def diff(self, a: VersionContent, b: VersionContent) -> list[tuple[str, str]]:
        """(part, unified diff) for each of template, contract and settings that differs."""
        return [(section.name, section.text) for section in folders.diff(a, b)]

    def list(self, *, archived: bool | None = False) -> list[Prompt]:
        """The prompts in sight, those archived, or with None all, by name, stored or in the folder.

        A folder that cannot be read is listed with its error.
        """
        with self.snapshot() as db:
            stored, put_away = reading_prompts.standings(db), reading_archive.current(db, "prompt")
        listed = {entry.name: entry for entry in folders.list_folders(self.settings.prompts)}
        found = []
        for name in sorted(stored.keys() | listed.keys()):
            if archived not in (None, name in put_away):
                continue
            standing, entry = stored.get(name), listed.get(name)
            folder = entry.folder if entry else None
            folder_hash = folders.content_hash(folder.content) if folder else None
            same = folder_hash is not None and standing is not None and folder_hash == standing.latest_hash
            found.append(
                Prompt(
                    name=name,
                    description=(folder.description if folder else "") or (standing.description if standing else ""),
                    latest=standing.latest if standing else None,
                    labels=standing.labels if standing else {},
                    in_folder=entry is not None,
                    folder_is_latest=same,
                    folder_hash=folder_hash,
                    folder_error=entry.error if entry else None,
                    runs=standing.runs if standing else 0,
                    updated_at=max(standing.updated_at if standing else 0.0, _written(folder)),
                    archived_at=put_away.get(name),
                )
            )
        return found


def unknown_columns(template: templates.Template, columns: Sequence[str]) -> list[str]:
    """The names that a template needs and the columns lack, each in a sentence."""
    return [
        f"template, line {name.line}: there is no column {name.name!r}"
        + (f"; did you mean {name.suggestion}?" if name.suggestion else f"; there are: {', '.join(columns)}")
        for name in template.unknown(columns)
    ]


def _without_defaults(defaults: dict[str, Any]) -> dict[str, Any]:
    """The run defaults that say something: those that differ from what a run has anyway."""
    usual = RunOptions().model_dump()
    return {key: value for key, value in defaults.items() if usual.get(key) != value}


def _written(folder: folders.PromptFolder | None) -> float:
    if folder is None:
        return 0.0
    try:
        return max((folder.path / file).stat().st_mtime for file in (folders.PROMPT, folders.SCHEMA))
    except OSError:
        return 0.0
