"""A value that a person made is held to the same contract as a model's reply, before it is asked for as a correction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jobs import errors
from jobs.contract import Contract
from jobs.contract.words import json_path


def held(value: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The value as it will be stored, with the conversions that the contract allows by name.

    Raises:
        InputError: it cannot be written as JSON, or breaks the contract; each problem with its path, rule, expected and got.
        ContractError: the contract itself cannot be held.
    """
    _check_json(value)
    contract = Contract.from_schema(schema)
    made, _ = contract.read(dict(value))
    problems = contract.problems(made)
    if problems:
        count = "1 place" if len(problems) == 1 else f"{len(problems)} places"
        lines = (
            f"{json_path(problem.path)}: {problem.rule}: expected {problem.expected}, got {problem.got}"
            for problem in problems
        )
        raise errors.InputError("\n".join((f"the value breaks its contract in {count}; nothing was stored", *lines)))
    return made


def _check_json(value: Mapping[str, Any]) -> None:
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise errors.InputError("the value holds half a character (a lone surrogate); remove it") from error
    except (TypeError, ValueError) as error:
        raise errors.InputError(f"the value cannot be written as JSON: {error}") from error
