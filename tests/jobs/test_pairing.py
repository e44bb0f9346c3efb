"""Exchanged ids: an answer that is not shown to be its row's own goes to nobody, and no answer is doubted that is."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from jobs import errors, pairing, parcel

CONTRACT = {
    "type": "object",
    "properties": {
        "order": {"type": "string"},
        "number": {"type": ["integer", "null"]},
        "amount": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "kind": {"enum": ["a", "b", None]},
        "town": {"$ref": "#/$defs/town"},
        "sure": {"type": "boolean"},
        "parts": {"type": "array", "items": {"type": "string"}},
        "either": {"type": ["string", "boolean"]},
        "open": {},
        "ring": {"$ref": "#/$defs/ring"},
    },
    "$defs": {"town": {"type": "string"}, "ring": {"$ref": "#/$defs/ring"}},
}


def strays(cells: Mapping[str, str], told: Mapping[str, object], *, named: bool = True) -> dict[str, str]:
    """Rows of one column against answers of one field: which are not taken, and why."""
    rows = {name: {"Order no": cell} for name, cell in cells.items()}
    field = "key" if named else "order_no"
    answers = {name: {field: one} for name, one in told.items()}
    found = pairing.strays(answers, rows, {"key": "Order no"} if named else {})
    assert all(stray.field == field for stray in found.values())
    return {name: stray.got for name, stray in found.items()}


# -- by a name they share ----------------------------------------------------------------------------------------------


def test_exchanged_ids_are_caught_where_a_field_bears_a_columns_name() -> None:
    """Whatever the case, white space or punctuation of the name; a wrong copy that is nobody's is not an exchange."""
    cells = {"a": "A 17", "b": "B 2", "c": "C"}

    assert strays(cells, {"a": "b  2", "b": "A 17", "c": "nobody's"}, named=False).keys() == {"a", "b"}
    contract = {
        "properties": {"order_no": {"type": "string"}, "mood": {"type": "string"}, "count": {"type": "integer"}}
    }
    assert pairing.echoed(contract, ["Order no", "text", "count"]) == ("order_no",)


def test_equal_cells_are_no_exchange() -> None:
    """Two rows that say the same there cannot be told apart by it."""
    for named in (False, True):
        assert strays({"a": "1", "b": "1"}, {"a": "1", "b": "1"}, named=named) == {}


def test_an_answer_of_a_row_that_has_none_itself_is_an_exchange_too() -> None:
    """The reply left out the first row and put another's answer under its id."""
    assert strays({"a": "A 17", "b": "B 2"}, {"a": "B 2"}, named=False).keys() == {"a"}


# -- by a field that the author names ----------------------------------------------------------------------------------


def test_a_named_field_that_repeats_another_row_or_nobody_is_not_taken() -> None:
    """The words tell the two apart."""
    found = strays(
        {"a": "A 17", "b": "B 2", "c": "C 3", "d": "D 4"}, {"a": "b  2", "b": "A 17", "c": "X 9", "d": "d 4"}
    )

    assert found.keys() == {"a", "b", "c"}
    assert "ids were exchanged" in found["a"] and "ids were exchanged" in found["b"]
    assert "no row of the call" in found["c"]


LONG = "The parcel came late and the box was open"


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("A 17", "a  17\n"),
        ("Cafe\u0301", "caf\u00e9"),
        (LONG, LONG[:30]),
        (LONG, LONG[:30] + "..."),
        (LONG, LONG[:29].rstrip() + " …"),
        ("0042", 42),
        (" 42.0 ", 42),
        ("1e3", 1000.0),
        ("0.1", 0.1),
        (" ", None),
        ("", ""),
    ],
)
def test_what_repeats_a_cell(cell: str, told: object) -> None:
    """Case, white space and the form of a number do not count; a long text may be cut; an empty cell is repeated by nothing."""
    assert strays({"a": cell, "b": "something else"}, {"a": told}) == {}


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("0042", "42"),
        ("A 17", "A 1"),
        (LONG, LONG[:20]),
        (LONG, LONG[10:]),
        ("A 17", "A 17 and more"),
        ("1", True),
        ("forty", 40),
        ("NaN", 7),
        ("A 17", None),
        ("", "A 17"),
        ("A 17", ["A 17"]),
    ],
)
def test_what_repeats_no_cell(cell: str, told: object) -> None:
    """A text keeps its zeros, a short one is not cut, and nothing is read into what is neither text nor number."""
    assert strays({"a": cell, "b": "something else"}, {"a": told}).keys() == {"a"}


@pytest.mark.parametrize(
    ("cells", "told"),
    [(("0042", "42"), 42), ((LONG, LONG + " twice"), LONG), ((LONG + " a", LONG + " b"), LONG), (("aB", "Ab"), "ab")],
)
def test_what_two_different_cells_could_stand_for_proves_nothing(cells: tuple[str, str], told: object) -> None:
    """Such rows are asked apart."""
    found = strays(dict(zip("ab", cells, strict=True)), {"a": told, "b": told})

    assert found.keys() == {"a", "b"} and all("is not known" in got for got in found.values())


def test_every_named_field_must_repeat_its_column() -> None:
    """And one that is not there repeats nothing."""
    rows = {"a": {"x": "1", "y": "2"}, "b": {"x": "1", "y": "3"}}
    echo = {"one": "x", "two": "y"}

    assert pairing.strays({"a": {"one": "1", "two": "2"}, "b": {"one": "1", "two": "2"}}, rows, echo).keys() == {"b"}
    assert pairing.strays({"a": {"one": "1"}}, rows, echo)["a"].field == "two"


def test_a_named_field_is_held_to_its_own_column_and_not_to_the_one_of_its_name() -> None:
    """The author knows better."""
    rows = {"a": {"x": "1", "y": "2"}, "b": {"x": "2", "y": "1"}}

    assert pairing.strays({"a": {"x": "2"}, "b": {"x": "1"}}, rows, {"x": "y"}) == {}
    assert pairing.strays({"a": {"x": "2"}, "b": {"x": "1"}}, rows, {}).keys() == {"a", "b"}


def test_what_a_broken_answer_says_is_read_as_far_as_it_can_be() -> None:
    """Whose fault it is depends on whose answer it is."""
    assert pairing.said('{"key": "A", "words": "many"}') == {"key": "A", "words": "many"}
    assert pairing.said('{"key": "A",}') == pairing.said("[1]") == pairing.said("[" * 100_000) == {}


# -- 10,000 exchanges --------------------------------------------------------------------------------------------------

Copy = Callable[[random.Random, str], object]


def _exactly(_: random.Random, cell: str) -> object:
    return cell


def _cut(chance: random.Random, cell: str) -> object:
    return cell if len(cell) < 30 else cell[: chance.randrange(24, len(cell))] + chance.choice(["", "...", "…"])


def _in_other_letters(chance: random.Random, cell: str) -> object:
    return "  ".join(cell.split()).swapcase() if chance.random() < 0.5 else cell.upper()


def _as_number(_: random.Random, cell: str) -> object:
    return int(cell) if cell.strip().isdecimal() else cell


KEYS = ("42", "0042", "042", "43", "A 17", "a 17", "A  17", "A-17", "", " ", LONG, LONG + "!", LONG.upper(), LONG[:30])


@pytest.mark.parametrize("copy", [_exactly, _cut, _in_other_letters, _as_number])
def test_no_exchange_pairs_wrongly_where_the_cells_differ(copy: Copy) -> None:
    """10,000 replies in all with ids exchanged among rows with hard keys, some cut or repeated: what is taken is an equal row's."""
    chance = random.Random(copy.__name__)
    taken = 0
    for _ in range(2_500):
        names = parcel.ids(str(chance.random()), chance.randrange(2, 9))
        cells = [chance.choice(KEYS) if chance.random() < 0.8 else f"key {chance.random()}" for _ in names]
        entries = [{"id": name, "value": {"key": copy(chance, cell)}} for name, cell in zip(names, cells, strict=True)]
        among = chance.sample(range(len(names)), chance.randrange(len(names) + 1))
        whose = dict(zip(among, chance.sample(among, len(among)), strict=True))
        text = _mangled(
            chance, [{"id": names[row], "value": entries[whose.get(row, row)]["value"]} for row in range(len(names))]
        )
        found = parcel.unpacked(text, names).entries
        answers = {name: json.loads(text[one.value_start : one.value_end]) for name, one in found.items()}
        rows = {name: {"cell": cell} for name, cell in zip(names, cells, strict=True)}
        not_taken = pairing.strays(answers, rows, {"key": "cell"})
        for row, name in enumerate(names):
            if name in found and name not in not_taken:
                taken += 1
                assert cells[whose.get(row, row)].split() == cells[row].split(), text
    assert taken > 2_500


def _mangled(chance: random.Random, entries: list[dict[str, Any]]) -> str:
    text = json.dumps({"results": chance.sample(entries, len(entries))}, ensure_ascii=False)
    match chance.randrange(4):
        case 0:
            return text[: chance.randrange(len(text))]
        case 1:
            return f"Here:\n```json\n{json.dumps([*entries, chance.choice(entries)])}\n```"
        case _:
            return text


def test_rows_with_keys_of_their_own_are_never_doubted() -> None:
    """Whatever the model does to their case, their ends or their zeros, as long as no two rows could be meant."""
    chance = random.Random("own")
    for _ in range(1_000):
        cells = {str(row): f"{row} of the orders that came today {chance.random()}" for row in range(8)}
        copy = chance.choice([_exactly, _cut, _in_other_letters])
        assert strays(cells, {row: copy(chance, cell) for row, cell in cells.items()}) == {}
        numbers = {str(row): f"{row:05d}" for row in range(8)}
        assert strays(numbers, {row: int(cell) for row, cell in numbers.items()}) == {}


# -- what can be named -------------------------------------------------------------------------------------------------


def test_texts_and_numbers_can_repeat_a_column() -> None:
    """Also where they may be null; nothing else, and nothing that may be something else."""
    assert pairing.repeaters(CONTRACT) == ["order", "number", "amount", "kind", "town"]


@pytest.mark.parametrize(
    ("echo", "words"),
    [
        ({"oder": "no"}, "the contract has no field 'oder'"),
        ({"sure": "no"}, "'sure' is neither a text nor a number"),
        ({"open": "no"}, "'open' is neither a text nor a number"),
        ({"order": "nr"}, "there is no column 'nr'; there are: no, text, more"),
        ({"order": "more"}, "cannot repeat what it is not shown"),
    ],
)
def test_an_echo_that_no_answer_could_give_is_refused(echo: dict[str, str], words: str) -> None:
    """With what there is instead."""
    given: dict[str, Any] = {"contract": CONTRACT, "columns": ["no", "text", "more"], "used": ["no", "text"]}

    with pytest.raises(errors.InputError, match=words):
        pairing.must_fit(echo, **given)
    pairing.must_fit({"order": "no", "number": "text"}, **given)
    assert pairing.fitting({**echo, "town": "no"}, contract=CONTRACT, used=["no", "text"]) == {"town": "no"}


def test_a_pair_is_read_as_it_is_written() -> None:
    """The column may hold anything; a half is refused."""
    assert pairing.pair(" $.order = Order no = 1 ") == ("order", "Order no = 1")
    assert dict(map(pairing.pair, pairing.written({"a": "b", "c": "d e"}))) == {"a": "b", "c": "d e"}
    for half in ("order", "=no", "order="):
        with pytest.raises(errors.InputError, match="FIELD=COLUMN"):
            pairing.pair(half)
