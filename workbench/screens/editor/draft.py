"""What is being edited: texts as they were typed, which may not be a version yet.

A draft must survive while it is wrong, so it holds the contract and the settings as text, and ``content`` says with its
place what keeps it from being a version. It is kept in the store as plain JSON; a body of another shape is no draft.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, NoReturn, cast

from jobs import errors, templates
from jobs.values import VersionContent

Format = Literal["text", "json_object", "json_schema"]
FORMATS: tuple[Format, ...] = ("text", "json_object", "json_schema")
#: settings that have a field of their own
NUMBERS = ("temperature", "top_p", "seed")

#: columns that a new template begins with
FIRST = 8


def starter(columns: Sequence[str]) -> VersionContent:
    """What a new prompt begins with: a small answer, asked about the first of these columns."""
    asked = [f"{_told(column)}: {templates.placeholder(column)}" for column in columns[:FIRST]]
    return VersionContent(
        template="system:\nAnswer with one JSON object and nothing else. Its key label says what the row is, in one word.\n\n"
        "user:\n" + ("\n".join(asked) or "{{ text }}") + "\n",
        contract={
            "type": "object",
            "properties": {"label": {"type": "string", "description": "what it is, in one word"}},
            "required": ["label"],
            "additionalProperties": False,
        },
        settings={"temperature": 0},
    )


def _told(column: str) -> str:
    """A column's name where a template has text: nothing of it is run."""
    return " ".join(column.replace("{", "(").replace("}", ")").split()) or "-"


class TornJson(errors.InputError):
    """A text is no JSON; ``line`` is where it stops being so."""

    def __init__(self, message: str, *, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The editor's fields; ``base`` is the number of the version that it began from."""

    template: str
    contract: str
    model: str
    response_format: str
    max_tokens: int
    temperature: float | None
    top_p: float | None
    seed: int | None
    #: the other settings, as JSON
    more: str
    base: int | None = None

    def content(self) -> VersionContent:
        """The version that this draft would be.

        Raises:
            InputError: a text is no JSON object, with the place; a field of the contract has no name yet.
        """
        settings: dict[str, Any] = {name: value for name in NUMBERS if (value := getattr(self, name)) is not None}
        settings |= read_object(self.more, what="the other settings") if self.more.strip() else {}
        return VersionContent(
            template=self.template,
            contract=_named(read_object(self.contract, what="the contract")),
            model=self.model.strip() or None,
            response_format=cast(Format, self.response_format),
            settings=settings,
            max_tokens=self.max_tokens,
        )

    def same_as(self, other: Draft) -> bool:
        """Whether it says the same, whatever it began from."""
        return replace(self, base=None) == replace(other, base=None)

    def body(self) -> dict[str, Any]:
        """What the store keeps."""
        return asdict(self)


def of(content: VersionContent, *, base: int | None) -> Draft:
    """The draft that is a version as it stands."""
    more = {name: value for name, value in content.settings.items() if name not in NUMBERS}
    return Draft(
        template=content.template,
        contract=pretty(content.contract),
        model=content.model or "",
        response_format=content.response_format,
        max_tokens=content.max_tokens,
        temperature=content.settings.get("temperature"),
        top_p=content.settings.get("top_p"),
        seed=content.settings.get("seed"),
        more=pretty(more) if more else "",
        base=base,
    )


def from_body(body: Mapping[str, Any]) -> Draft | None:
    """The draft that the store kept, or None if that is not one."""
    names = {field.name for field in fields(Draft)}
    texts = ("template", "contract", "model", "more")
    if set(body) != names or not all(isinstance(body[name], str) for name in texts):
        return None
    if body["response_format"] not in FORMATS or not isinstance(body["max_tokens"], int):
        return None
    return Draft(**{name: body[name] for name in names})


def _named(contract: dict[str, Any]) -> dict[str, Any]:
    """The contract itself. A row of the field table that has no name yet is kept in the draft under the empty one."""
    properties = contract.get("properties")
    if isinstance(properties, dict) and "" in properties:
        raise errors.InputError(
            "the contract: a field has no name; name it in the field table, or take its row out there"
        )
    return contract


def pretty(value: Mapping[str, Any]) -> str:
    """A JSON object as it is edited."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def read_object(text: str, *, what: str) -> dict[str, Any]:
    """The JSON object that a text is.

    Raises:
        TornJson: it is none, with line and column.
        InputError: it is another value, or too deep; a key stands twice; a number is not finite.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                raise errors.InputError(f"{what}: the key {name!r} stands twice; leave one of them out")
            found[name] = value
        return found

    def refuse(constant: str) -> NoReturn:
        raise errors.InputError(f"{what}: {constant} is no JSON number")

    try:
        value = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise TornJson(
            f"{what}: line {error.lineno}, column {error.colno}: {error.msg}; mend the JSON there", line=error.lineno
        ) from error
    except RecursionError as error:
        raise errors.InputError(f"{what} is too deeply nested") from error
    if not isinstance(value, dict):
        raise errors.InputError(f"{what} must be a JSON object: {{ ... }}")
    return value
