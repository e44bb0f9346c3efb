"""Whether an answer in a reply about several rows is its row's own: by a field that repeats a column of the row.

An id can be exchanged for another's, and then both answers are whole, valid and wrong. A field that repeats a column shows it. A
field that bears a column's name is looked at where it says what another row says there; it may mean something else, so a
value of nobody's is let pass. A field that the author names (``echo``) must repeat its column, or the answer is not taken. What
is not taken is asked again with fewer rows and without a strike; alone, a row's answer is its own and needs no such proof.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from jobs import errors
from jobs.contract import words
from jobs.parcel import Entry
from jobs.signature import signature
from jobs.values import Problem, Verdict

#: characters from which on the beginning of a cell stands for the cell: models and contracts cut long texts
CUT_FROM = 24
#: followed references of a field, so that a ring of them ends
_MOST_REFERENCES = 8
_REPEATERS = frozenset(("string", "integer", "number"))


# -- as a person names it ----------------------------------------------------------------------------------------------


def pair(text: str) -> tuple[str, str]:
    """A field and the column that it repeats, of ``FIELD=COLUMN``; raises InputError."""
    field, _, column = (part.strip() for part in text.partition("="))
    if not field or not column:
        raise errors.InputError(
            f"an echo is FIELD=COLUMN, a field of the answer and the column it repeats; not {text!r}"
        )
    return field.removeprefix("$."), column


def written(echo: Mapping[str, str]) -> list[str]:
    """Pairs as ``pair`` reads them."""
    return [f"{field}={column}" for field, column in echo.items()]


def repeaters(contract: Mapping[str, Any]) -> list[str]:
    """The fields of a contract that can repeat a column: texts and numbers."""
    fields = contract.get("properties", {})
    return [name for name, field in fields.items() if _can_repeat(field, contract)]


def must_fit(
    echo: Mapping[str, str], *, contract: Mapping[str, Any], columns: Sequence[str], used: Sequence[str]
) -> None:
    """Refuse an echo that no answer could give: the model cannot repeat what it was not shown.

    Args:
        echo: field -> column.
        contract: what the answer is held to.
        columns: of the table.
        used: those of them that the template uses.

    Raises:
        InputError: which one, and what there is.
    """
    for field, column in echo.items():
        said = f"echo {field}={column}"
        if field not in contract.get("properties", {}):
            raise errors.InputError(
                f"{said}: the contract has no field {field!r}; texts and numbers in it: {_list(repeaters(contract))}"
            )
        if field not in repeaters(contract):
            raise errors.InputError(
                f"{said}: {field!r} is neither a text nor a number, so it cannot repeat a column; such are: "
                f"{_list(repeaters(contract))}"
            )
        if column not in columns:
            raise errors.InputError(f"{said}: there is no column {column!r}; there are: {_list(columns)}")
        if column not in used:
            raise errors.InputError(
                f"{said}: the template does not use column {column!r}, and a model cannot repeat what it is not shown; "
                f"put it into the last message, or name one of: {_list(used)}"
            )


def fitting(echo: Mapping[str, str], *, contract: Mapping[str, Any], used: Sequence[str]) -> dict[str, str]:
    """Those pairs that ``must_fit`` lets pass: what of one version's can be asked of another."""
    able = repeaters(contract)
    return {field: column for field, column in echo.items() if field in able and column in used}


def _can_repeat(field: Any, contract: Mapping[str, Any]) -> bool:
    kinds = _kinds(field, contract, _MOST_REFERENCES)
    return bool(kinds & _REPEATERS) and kinds <= _REPEATERS | {"null"}


def _kinds(field: Any, contract: Mapping[str, Any], deep: int) -> set[str]:
    """The JSON types that a field's value may have; empty where that is not said plainly."""
    if not isinstance(field, Mapping) or not deep:
        return set()
    if "$ref" in field:
        home, _, name = str(field["$ref"]).rpartition("/")
        return _kinds(contract.get(home.removeprefix("#/"), {}).get(name), contract, deep - 1)
    if "type" in field:
        kinds = field["type"]
        return {kinds} if isinstance(kinds, str) else set(kinds)
    for word in ("anyOf", "oneOf"):
        if word in field:
            return {kind for one in field[word] for kind in _kinds(one, contract, deep - 1) or {"unknown"}}
    values = field.get("enum", [field["const"]] if "const" in field else [])
    return {"null" if one is None else "string" if isinstance(one, str) else "unknown" for one in values}


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


# -- in a reply --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stray:
    """Why an answer is not taken for its row's own."""

    field: str
    #: what it says there, in words
    got: str


def echoed(contract: Mapping[str, Any], columns: Iterable[str]) -> tuple[str, ...]:
    """The text fields of a contract that bear the name of a column of the row: by them exchanged ids are caught."""
    known = {_plain(column) for column in columns}
    fields = contract.get("properties", {})
    return tuple(
        name
        for name in repeaters(contract)
        if _plain(name) in known and "string" in _kinds(fields[name], contract, _MOST_REFERENCES)
    )


def said(text: str) -> Mapping[str, Any]:
    """What an answer that broke its contract says, as far as it can be read: whose fault that is hangs on whose answer it is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def strays(
    answers: Mapping[str, Mapping[str, Any]], rows: Mapping[str, Mapping[str, str]], echo: Mapping[str, str]
) -> dict[str, Stray]:
    """The answers that are not taken for their rows', by their ids.

    A named field repeats its cell if it is the same text but for case and white space; if it is the beginning of it, from
    ``CUT_FROM`` characters on, since long texts are cut; or if it is a number and the cell is the same one, however
    written (42 for ``0042``; a text must keep the zeros). No value or null repeats an empty cell. What would be so of another row's
    cell as well, which is written otherwise, proves nothing. So an exchange goes unseen only between rows whose cells are
    equal but for white space, and where a model changes what it copies into the other's.

    Args:
        answers: id -> the value that stands under it.
        rows: id -> the cells of its row, of all rows of the call.
        echo: field -> the column that it must repeat.
    """
    plain = {name: {_plain(column): _bare(text) for column, text in cells.items()} for name, cells in rows.items()}
    named = {
        field: {name: _cell(cells.get(column, "")) for name, cells in rows.items()} for field, column in echo.items()
    }
    found: dict[str, Stray] = {}
    for name, value in answers.items():
        stray = _by_echo(name, value, named) or _by_name(name, value, plain, but=echo)
        if stray is not None:
            found[name] = stray
    return found


def taken_back(entry: Entry, stray: Stray) -> Verdict:
    """What is said of a row whose answer is not known to be its own: no fault of it."""
    problem = Problem(
        path=words.json_path([stray.field]),
        rule="unanswered",
        expected="what the row itself says there",
        got=stray.got,
        start=entry.value_start,
        end=entry.value_end,
    )
    return Verdict(kind="rejected", problems=(problem,), signature=signature([problem]))


_EXCHANGED = "what another row of the call says: their ids were exchanged"
_NOBODYS = "what no row of the call says: whose answer it is is not known"
_ANYBODYS = "what another row of the call may be said to say as well: whose answer it is is not known"


@dataclass(frozen=True, slots=True)
class _Cell:
    spelled: str
    bare: str
    number: Decimal | None


def _cell(text: str) -> _Cell:
    spelled = _spelled(text)
    try:
        number = Decimal(spelled)
    except InvalidOperation:
        number = None
    return _Cell(spelled, spelled.casefold(), number if number is not None and number.is_finite() else None)


def _by_echo(name: str, value: Mapping[str, Any], named: Mapping[str, Mapping[str, _Cell]]) -> Stray | None:
    for field, cells in named.items():
        repeats, own = _repeating(value.get(field)), cells[name]
        rivals = any(cell.spelled != own.spelled and repeats(cell) for cell in cells.values())
        if not repeats(own):
            return Stray(field, _EXCHANGED if rivals else _NOBODYS)
        if rivals:
            return Stray(field, _ANYBODYS)
    return None


def _repeating(told: object) -> Callable[[_Cell], bool]:
    """Whether a cell is repeated by what a named field says."""
    if told is None:
        return lambda cell: not cell.bare
    if isinstance(told, str):
        bare = _bare(told)
        cut = bare.removesuffix("...").removesuffix("…").rstrip()
        return lambda cell: cell.bare == bare or (len(cut) >= CUT_FROM and cell.bare.startswith(cut))
    if isinstance(told, bool) or not isinstance(told, int | float):
        return lambda cell: False
    number = Decimal(told) if isinstance(told, int) else Decimal(repr(told))
    return lambda cell: cell.number is not None and cell.number == number


def _by_name(
    name: str, value: Mapping[str, Any], rows: Mapping[str, Mapping[str, str]], *, but: Iterable[str]
) -> Stray | None:
    for field, told in value.items():
        column = _plain(field)
        own = rows[name].get(column)
        if field in but or own is None or not isinstance(told, str) or _bare(told) in ("", own):
            continue
        if any(other != name and rows[other].get(column) == _bare(told) for other in rows):
            return Stray(field, _EXCHANGED)
    return None


def _plain(name: str) -> str:
    return "".join(char for char in name if char.isalnum()).casefold()


def _spelled(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.split()))


def _bare(text: str) -> str:
    return _spelled(text).casefold()
