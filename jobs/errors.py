"""What can go wrong, as a tree; a class's docstring is its message where none is given.

RedriveError
├── InputError            the person gave something that cannot be taken (exit code 2)
│   ├── TableError        a data file: says file, line and what to do
│   ├── PromptError       a prompt folder or template
│   │   └── SlowPrompt    a template that takes too long for a row
│   ├── ContractError     a JSON Schema that cannot be held, with the place
│   ├── UnusableConnection a connection that is missing, or cannot be used as it stands
│   └── NotFound          a run, row, prompt or dataset that is not in the store
├── Refused               an action that is not legal in the present state
├── HomeBusy              another keeper owns this home
└── EngineDown            a part that must answer does not
    └── StoreDown         the home's file cannot be used now: a full disk, somebody else's lock
"""

from __future__ import annotations


class RedriveError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())

    @property
    def message(self) -> str:
        """The text for a person."""
        return str(self.args[0])


class InputError(RedriveError):
    """This input cannot be taken."""


class TableError(InputError):
    """This file cannot be read as a table."""

    def __init__(self, message: str, *, file: str = "", line: int | None = None) -> None:
        place = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(f"{place}{message}")
        self.file = file
        self.line = line


class PromptError(InputError):
    """This prompt cannot be used."""

    def __init__(self, message: str, *, file: str = "", line: int | None = None) -> None:
        place = f"{file}:{line}: " if file and line else f"{file}: " if file else f"line {line}: " if line else ""
        super().__init__(f"{place}{message}")
        self.reason = message
        self.file = file
        self.line = line


class SlowPrompt(PromptError):
    """This prompt takes too long to be rendered."""


class ContractError(InputError):
    """This contract cannot be held."""

    def __init__(self, message: str, *, place: str = "#") -> None:
        super().__init__(f"{place}: {message}")
        self.place = place


class UnusableConnection(InputError):
    """This connection cannot be used."""


class NotFound(InputError):
    """There is nothing of that name."""


class Refused(RedriveError):
    """That cannot be done in the present state."""


class HomeBusy(RedriveError):
    """Another keeper owns this home."""


class EngineDown(RedriveError):
    """A part of the engine does not answer."""


class StoreDown(EngineDown):
    """The home's file cannot be used now."""
