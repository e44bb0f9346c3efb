"""A ladder of models: which rows go straight to the dear one, and which answers of a cheap one are not left at that.

A run begins a row on its lowest rung, its own model. A row climbs when an answer there breaks the contract once more after its
re-ask, when what it says is always checked, or when the model was not sure of it; a rule over the row's columns sends it
straight to the top. On the top rung nothing is doubted any more: there a row is accepted, or it dies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from math import isfinite
from typing import Any

from pydantic import ValidationError
from pydantic_core import SchemaError, SchemaValidator, core_schema

from jobs import errors
from jobs.contract import words
from jobs.contract.patterns import ascii_classes
from jobs.options import Check, Climb, Ladder, Route
from jobs.signature import signature
from jobs.values import Problem, Verdict

#: the rule of a valid answer that is not left at that
DOUBTED = "doubted"
#: what a doubted answer was expected to be that says what is always checked
CHECKED = "a value that is not always checked"
#: strikes on a rung under the top one after which a row climbs: the answer and its re-ask
STRIKES_BELOW = 2
_ROUTE = re.compile(r"\s*(?P<column>.+?)\s+(?P<rule>longer|is|matches)\s+(?P<value>.+)", re.DOTALL)


# -- as a person writes it ---------------------------------------------------------------------------------------------


def climb(text: str) -> Climb:
    """A rung of ``MODEL`` or ``MODEL@CONNECTION``, and ``MODEL@`` of one with an @ in its name; raises InputError."""
    model, _, connection = text.strip().rpartition("@") if "@" in text else (text.strip(), "", "")
    if not model:
        raise errors.InputError(
            f"a rung is MODEL or MODEL@CONNECTION; {text!r} names no model (one with an @ in its name is MODEL@)"
        )
    return Climb(model=model, connection=connection or None)


def route(text: str) -> Route:
    """A rule of ``COLUMN longer N``, ``COLUMN is VALUE`` or ``COLUMN matches REGEX``.

    Raises:
        InputError: it is none of these, or cannot be used.
    """
    found = _ROUTE.fullmatch(text)
    if found is None:
        raise errors.InputError(
            f"a route is COLUMN longer CHARACTERS, COLUMN is VALUE, or COLUMN matches REGEX; this is none: {text!r}"
        )
    made = Route.model_validate(found.groupdict())
    _test(made)
    return made


def check(text: str) -> Check:
    """What is always checked, of ``FIELD=VALUE``; the value is JSON where it is written so, else a text. Raises InputError."""
    field, equals, value = text.partition("=")
    if not equals or not field.strip():
        raise errors.InputError(f"what is always checked is FIELD=VALUE; {text!r} is not")
    said: str | int | float | bool | None = value.strip()
    with suppress(ValueError):
        read = json.loads(value)
        # NaN and Infinity are no JSON, whatever Python reads: no answer says them.
        known = isinstance(read, str | int | bool) or read is None or (isinstance(read, float) and isfinite(read))
        said = read if known else said
    return Check(field=field.strip().removeprefix("$."), value=said)


def said(given: object) -> object:
    """A ladder of a prompt's run defaults, with rungs, routes and checks that are texts, as on a command line, made what they say.

    Anything else is left as it is, for the options to refuse. Raises InputError.
    """
    if isinstance(given, str):
        given = {"climbs": [given]}
    if not isinstance(given, Mapping):
        return given
    makers: dict[object, Callable[[str], Climb | Route | Check]] = {"climbs": climb, "routes": route, "checks": check}
    found = dict(given)
    for name, make in makers.items():
        if name in found:
            some = [found[name]] if isinstance(found[name], str) else found[name]
            if isinstance(some, list | tuple):
                found[name] = [make(one).model_dump() if isinstance(one, str) else one for one in some]
    return found


def written(ladder: Ladder) -> dict[str, Any]:
    """A ladder as ``said`` takes it, in texts."""
    told: dict[str, Any] = {
        name: [str(one) for one in getattr(ladder, name)] for name in ("climbs", "routes", "checks")
    }
    return {name: some for name, some in (told | {"confidence": ladder.confidence}).items() if some}


def must_fit(ladder: Ladder, *, columns: Sequence[str], contract: Mapping[str, Any]) -> None:
    """Refuse a ladder whose rules are about a column or a field that is not there, or cannot be used.

    Raises:
        InputError: which one, and what there is.
    """
    straight_up(ladder.routes)
    for route in ladder.routes:
        if route.column not in columns:
            raise errors.InputError(
                f"route {str(route)!r}: there is no column {route.column!r}; there are: {_list(columns)}"
            )
    fields = contract.get("properties", {})
    for check in ladder.checks:
        if check.field not in fields:
            raise errors.InputError(
                f"always check {str(check)!r}: the contract has no field {check.field!r}; it has: {_list(fields)}"
            )
        allowed = _allowed(fields[check.field])
        if allowed is not None and not any(_same(one, check.value) for one in allowed):
            text = json.dumps(check.value)
            hint = (
                f"; the text is written {check.field}={json.dumps(text)}, with its quotation marks"
                if text in allowed
                else ""
            )
            raise errors.InputError(
                f"always check {str(check)!r}: {check.field} never says that; it says: "
                f"{_list(json.dumps(one, ensure_ascii=False) for one in allowed)}{hint}"
            )


def fitting(ladder: Ladder, *, contract: Mapping[str, Any]) -> Ladder:
    """The same ladder for another contract, without what is always checked of a field or value that it does not have."""
    fields = contract.get("properties", {})
    kept = [
        check
        for check in ladder.checks
        if check.field in fields
        and any(_same(one, check.value) for one in _allowed(fields[check.field]) or [check.value])
    ]
    return ladder.model_copy(update={"checks": tuple(kept)})


def above(ladder: Ladder, model: str | None, connection: str) -> Ladder | None:
    """What is left of a ladder for a run that begins with that model: the rungs above it; None where there are none."""
    names = [(climb.connection or connection, climb.model) for climb in ladder.climbs]
    if (connection, model) not in names:
        return ladder
    left = ladder.climbs[names.index((connection, str(model))) + 1 :]
    return ladder.model_copy(update={"climbs": left}) if left else None


def _allowed(field: object) -> list[Any] | None:
    """The values that a field may have, where the contract lists them."""
    found = field.get("enum") if isinstance(field, Mapping) else None
    return found if isinstance(found, list) else None


def listed(contract: Mapping[str, Any]) -> list[Check]:
    """What can always be checked of fields whose values the contract lists, and of yes and no."""
    found = []
    for name, field in contract.get("properties", {}).items():
        kinds = field.get("type") if isinstance(field, Mapping) else None
        allowed = _allowed(field) or ([True, False] if kinds == "boolean" else [])
        found += [Check(field=name, value=one) for one in allowed if one is None or isinstance(one, str | int | float)]
    return found


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


# -- routing -----------------------------------------------------------------------------------------------------------


def straight_up(routes: Sequence[Route]) -> Callable[[Mapping[str, str]], bool]:
    """Whether a rule sends a row, given as cells by column, straight to the top.

    Raises:
        InputError: a rule that cannot be used.
    """
    tests = [(one.column, _test(one)) for one in routes]
    return lambda cells: any(test(cells.get(column, "")) for column, test in tests)


def _test(one: Route) -> Callable[[str], bool]:
    match one.rule:
        case "is":
            return lambda cell: cell.strip() == one.value
        case "longer":
            try:
                most = int(one.value)
            except ValueError:
                raise errors.InputError(f"{one}: the length must be a number of characters") from None
            return lambda cell: len(cell) > most
        case "matches":
            # Rust's expressions: no cell can make one run for ever.
            try:
                validator = SchemaValidator(core_schema.str_schema(pattern=ascii_classes(one.value)))
            except SchemaError as error:
                raise errors.InputError(f"{one}: the regular expression cannot be used: {error}") from None

            def matches(cell: str) -> bool:
                try:
                    validator.validate_python(cell)
                except ValidationError:
                    return False
                return True

            return matches


# -- doubting ----------------------------------------------------------------------------------------------------------


def checked(checks: Sequence[Check], value: Mapping[str, Any]) -> Check | None:
    """The first of these that an answer is checked for; None where it says none of them."""
    return next((one for one in checks if one.field in value and _same(value[one.field], one.value)), None)


def doubt(
    ladder: Ladder, value: Mapping[str, Any], least: tuple[str, float] | None, *, place: tuple[int, int] | None = None
) -> Problem | None:
    """Why a valid answer of a lower rung is not left at that; None where nothing speaks against it.

    Args:
        ladder: what is doubted.
        value: the answer.
        least: the field that the model was least sure of, and its probability; None where the endpoint does not tell.
        place: of the answer in the reply.
    """
    start, end = place or (None, None)
    if (one := checked(ladder.checks, value)) is not None:
        return Problem(
            path=f"$.{one.field}",
            rule=DOUBTED,
            expected=CHECKED,
            got=json.dumps(value[one.field], ensure_ascii=False)[:300],
            start=start,
            end=end,
        )
    if ladder.confidence is None or (least is not None and least[1] >= ladder.confidence):
        return None
    path, got = ("$", "no log-probabilities") if least is None else (least[0], f"a probability of {_told(least[1])}")
    expected = f"a probability of {ladder.confidence:.9g} or more"
    return Problem(path=path, rule=DOUBTED, expected=expected, got=got, start=start, end=end)


def _told(probability: float) -> str:
    """In digits that tell it from 1."""
    return f"{probability:.3f}" if probability < 0.999 else f"{probability:.9g}"


def doubted(verdict: Verdict, why: Problem) -> Verdict:
    """The verdict on a valid answer that is not left at that; its value is kept, and accepted is it not."""
    return verdict.model_copy(
        update={"kind": "rejected", "receipt": None, "problems": (why,), "signature": signature([why])}
    )


def deciding(contract: Mapping[str, Any]) -> list[str] | None:
    """The fields whose probability says something: labels, numbers, yes and no. None where there are none, so that all count.

    A free text is never probable, whoever writes it.
    """
    fields = contract.get("properties", {})
    found = [name for name, field in fields.items() if isinstance(field, Mapping) and _decides(field)]
    return [words.json_path([name]) for name in found] or None


def _decides(field: Mapping[str, Any]) -> bool:
    kinds = field.get("type", ())
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return "enum" in field or "const" in field or bool({"integer", "number", "boolean"} & set(kinds))


def _same(one: object, other: object) -> bool:
    """As JSON has it: 2.0 is 2, and neither true nor "2" is a number."""
    return words.same(one, other)
