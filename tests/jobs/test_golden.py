from pathlib import Path
from typing import Any

import pytest

from jobs import errors, golden

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "kind": {"enum": ["shop", "bank", None]},
        "year": {"type": ["integer", "null"]},
        "score": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "open": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "code": {"type": ["string", "integer"]},
        "home": {"$ref": "#/$defs/place"},
    },
    "$defs": {
        "place": {"type": "object", "properties": {"city": {"type": ["string", "null"]}, "zip": {"type": "string"}}}
    },
}


def load(tmp_path: Path, text: str | bytes) -> list[golden.GoldenRow]:
    path = tmp_path / "p" / "golden.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return golden.load_golden(path, SCHEMA)


def test_rows_have_cells_and_expectations(tmp_path: Path):
    """The row's own columns stay text as they are; an empty expectation is not checked."""
    rows = load(
        tmp_path, '\ufeffid,message,expected.name,expected.year\r\n007,"two\nlines, NA",Ann,1999\r\n\r\n8,,,\r\n'
    )

    assert rows == [
        golden.GoldenRow(1, {"id": "007", "message": "two\nlines, NA"}, {"name": "Ann", "year": 1999}),
        golden.GoldenRow(2, {"id": "8", "message": ""}, {}),
    ]


@pytest.mark.parametrize(
    ("path", "cell", "expected"),
    [
        ("name", "1999", "1999"),
        ("name", " Ann ", " Ann "),
        ("name", '""', ""),
        ("name", '"null"', "null"),
        ("name", '"x"', '"x"'),
        ("kind", "bank", "bank"),
        ("kind", "null", None),
        ("year", "null", None),
        ("year", "1999", 1999),
        ("year", "1999.0", 1999),
        ("year", "-5", -5),
        ("score", "0.5", 0.5),
        ("score", "3", 3),
        ("score", "null", None),
        ("open", "true", True),
        ("open", "FALSE", False),
        ("tags", '["a", "b"]', ["a", "b"]),
        ("tags", "[]", []),
        ("tags.0", "a", "a"),
        ("code", "007", "007"),
        ("code", "7", 7),
        ("home", '{"city": "Bonn"}', {"city": "Bonn"}),
        ("home.city", "Bonn", "Bonn"),
        ("home.city", "null", None),
        ("home.zip", "01234", "01234"),
    ],
)
def test_an_expectation_is_read_by_the_contracts_type(tmp_path: Path, path: str, cell: str, expected: object):
    """Text, numbers, null, lists and objects: the contract says which, also below a reference."""
    quoted = cell.replace('"', '""')

    (row,) = load(tmp_path, f'a,expected.{path}\nx,"{quoted}"\n')

    assert row.expected == {path: expected}
    assert type(row.expected[path]) is type(expected)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "the file is empty"),
        ("a,b\n1,2\n", 1, "nothing is expected; add a column like expected.name"),
        ("a,a,expected.name\n", 1, "'a' has no name of its own"),
        ("a,,expected.name\n", 1, "'' has no name of its own"),
        ("a,expected.nam\n", 1, "no 'nam' there; did you mean 'name'?"),
        ("a,expected.home.street\n", 1, "no 'street' there; it has: city, zip"),
        ("a,expected.name.first\n", 1, "it has: nothing"),
        ("a,expected.name\n1\n", 2, "1 fields where the header has 2"),
        ('a,expected.name\n"x\ny",A\n1,2,3\n', 4, "3 fields"),
        ('a,expected.year\n\n1,"x"\n', 3, 'expected.year: expected a whole number or null, got text: "x"'),
        ("a,expected.year\n1,19.5\n", 2, "expected a whole number or null, got number: 19.5"),
        ("a,expected.year\n1,1_9\n", 2, "expected a whole number or null, got number as text"),
        ("a,expected.score\n1,nan\n", 2, "expected a number or null, got text"),
        ("a,expected.kind\n1,Bank\n", 2, 'expected one of "shop", "bank", null, got other case: "Bank"'),
        ("a,expected.name\n1,null\n", 2, "the contract allows no null here"),
        ("a,expected.open\n1,yes\n", 2, "expected true or false, got boolean as text"),
        ("a,expected.tags\n1,[a]\n", 2, "this is not JSON"),
        ('a,expected.tags\n1,"{""a"": 1}"\n', 2, "expected a list, got object: keys a"),
        ('a,expected.name\n1,"x"y\n', 2, "this is not CSV"),
        ('a,expected.name\n1,"x\n', 2, "this is not CSV"),
        (b"a,expected.name\n1,\xff\n", None, "is not UTF-8"),
    ],
)
def test_a_bad_golden_file_is_refused_with_its_line(tmp_path: Path, text: str | bytes, line: int | None, words: str):
    """An expectation that no answer could meet is an error of the file, not of the model."""
    with pytest.raises(errors.TableError) as refusal:
        load(tmp_path, text)

    assert words in refusal.value.message
    assert (refusal.value.file, refusal.value.line) == ("p/golden.csv", line)


NARROW: dict[str, Any] = {
    "type": "object",
    "properties": {
        "n": {"type": "integer", "minimum": 0},
        "price": {"type": "number", "multipleOf": 0.01},
        "word": {"enum": ["a", "b"]},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2, "uniqueItems": True},
        "counts": {"type": "array", "items": {"type": "integer"}},
        "d": {"type": ["string", "null"], "format": "date"},
        "home": {
            "type": "object",
            "properties": {"city": {"type": "string", "minLength": 2}},
            "required": ["city"],
            "additionalProperties": {"type": "boolean"},
        },
        "either": {
            "oneOf": [
                {"type": "object", "properties": {"of": {"const": "x"}, "at": {"type": "integer"}}, "required": ["of"]},
                {"type": "object", "properties": {"of": {"const": "y"}, "at": {"enum": ["now"]}}, "required": ["of"]},
            ]
        },
        "free": {},
    },
}


def narrow(tmp_path: Path, path: str, cell: str) -> object:
    quoted = cell.replace('"', '""')
    file = tmp_path / "golden.csv"
    file.write_text(f'a,expected.{path}\nx,"{quoted}"\n')
    (row,) = golden.load_golden(file, NARROW)
    return row.expected[path]


@pytest.mark.parametrize(
    ("path", "cell", "words"),
    [
        ("n", "-5", "expected at least 0, got number: -5"),
        ("n", "2.00000000000000001", "expected a whole number, got number: 2.00000000000000001"),
        ("price", "1.005", "expected a multiple of 0.01"),
        ("price", "1e999", "expected a number, got number as text"),
        ("word", "c", 'expected one of "a", "b", got text: "c"'),
        ("tags", '["a", "zzz"]', 'at [1]: expected one of "a", "b", got text: "zzz"'),
        ("tags", '["a", "a"]', "expected no item twice"),
        ("tags.0", "zzz", 'expected one of "a", "b"'),
        ("tags.2", "a", "the contract has no '2' there"),
        ("counts", "[1, 2.00000000000000001]", "at [1]: expected a whole number, got number: 2.00000000000000001"),
        ("counts", "[NaN]", "this is not JSON"),
        ("d", "never", "expected a text of the format date"),
        ("d", "2026-02-30", "expected a text of the format date"),
        ("home", "{}", "at .city: expected text, got nothing"),
        ("home", '{"city": "Bonn", "big": 1}', "at .big: expected true or false"),
        ("home.city", "X", "expected at least 2 characters"),
        ("either.at", "later", "expected a whole number, got text"),
        ("either.by", "1", "the contract has no 'by' there; it has: of, at"),
    ],
)
def test_what_the_contract_can_never_accept_is_no_expectation(tmp_path: Path, path: str, cell: str, words: str):
    """Ranges, allowed values, formats and lengths hold for golden rows as for answers, inside lists and objects as well."""
    with pytest.raises(errors.TableError, match="golden.csv:[12]: ") as refusal:
        narrow(tmp_path, path, cell)

    assert words in refusal.value.message


@pytest.mark.parametrize(
    ("path", "cell", "expected"),
    [
        ("n", "5e0", 5),
        ("n", "12345678901234567890", 12345678901234567890),
        ("price", "0.07", 0.07),
        ("word", " a ", "a"),
        ("tags", '["b", "a"]', ["b", "a"]),
        ("counts.7", "3", 3),
        ("d", "2026-02-28", "2026-02-28"),
        ("d", "null", None),
        ("home.big", "true", True),
        ("either.at", "7", 7),
        ("either.at", "now", "now"),
        ("free", "7", 7),
        ("free", '{"x": [1]}', {"x": [1]}),
        ("free.x.0", "word", "word"),
    ],
)
def test_what_some_answer_can_hold_is_an_expectation(tmp_path: Path, path: str, cell: str, expected: object):
    """In whichever form of the answer, under a key of any name where those are allowed, and without white space around."""
    found = narrow(tmp_path, path, cell)

    assert found == expected and type(found) is type(expected)


def test_a_missing_file_is_named(tmp_path: Path):
    """There is no golden file: said in words."""
    with pytest.raises(errors.TableError, match="golden.csv: cannot be read: No such file"):
        golden.load_golden(tmp_path / "golden.csv", SCHEMA)


@pytest.mark.parametrize(
    ("wanted", "got", "same"),
    [
        ("Ann", "Ann", True),
        ("Ann ", "\nAnn", True),
        ("Ann", "ann", False),
        ("1", 1, False),
        (1, 1.0, True),
        (0.3, 0.1 + 0.2, True),
        (1, 2, False),
        (10**400, 1, False),
        (10**400, 1.5, False),
        (10**400, 10**400 + 1, False),
        (10**400, 10**400, True),
        (1, True, False),
        (True, True, True),
        (0, False, False),
        (None, None, True),
        (None, "", False),
        (None, 0, False),
        (["a", "b"], ["a", "b"], True),
        (["a", "b"], ["b", "a"], False),
        (["a"], ["a", "b"], False),
        ([1], [1.0], True),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({}, [], False),
    ],
)
def test_values_are_the_same_by_meaning(wanted: object, got: object, same: bool):
    """Numbers by value, text but for white space around it, and no value for another of a different kind."""
    assert golden.compare({"x": wanted}, {"x": got}) == {"x": same}


def test_paths_reach_into_an_answer():
    """Each expectation is judged by itself; a path that is not there differs from everything, even from null."""
    value = {"home": {"city": "Bonn", "zip": None}, "tags": ["a"]}
    expected = {
        "home.city": "Bonn",
        "home.zip": None,
        "home.street": None,
        "tags.0": "a",
        "tags.1": "a",
        "home.city.x": 1,
    }

    assert list(golden.compare(expected, value).values()) == [True, True, False, True, False, False]
    assert golden.compare({"a": None, "b": 1}, None) == {"a": False, "b": False}
