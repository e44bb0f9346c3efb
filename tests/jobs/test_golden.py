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
        ('a,expected.year\n\n1,"x"\n', 3, "expected.year: 'x' is not of type integer"),
        ("a,expected.year\n1,19.5\n", 2, "'19.5' is not a whole number"),
        ("a,expected.year\n1,1_9\n", 2, "'1_9' is not of type integer"),
        ("a,expected.score\n1,nan\n", 2, "'nan' is not of type number"),
        ("a,expected.kind\n1,Bank\n", 2, '\'Bank\' is none of "shop", "bank", null'),
        ("a,expected.name\n1,null\n", 2, "the contract allows no null here"),
        ("a,expected.open\n1,yes\n", 2, "'yes' is not of type boolean"),
        ("a,expected.tags\n1,[a]\n", 2, "this is not JSON"),
        ('a,expected.tags\n1,"{""a"": 1}"\n', 2, "is not of type array"),
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
