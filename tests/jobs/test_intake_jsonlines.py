"""JSON Lines: literals survive, keys become columns, and a line that is no object is refused."""

from pathlib import Path

import pytest

from jobs import intake
from jobs.errors import TableError


def put(folder: Path, data: bytes) -> Path:
    path = folder / "t.jsonl"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("line", "cell"),
    [
        ('"007"', "007"),
        ('" x "', " x "),
        ('"NA"', "NA"),
        ('"null"', "null"),
        ("null", ""),
        ('""', ""),
        ("true", "true"),
        ("false", "false"),
        ("1.10", "1.10"),
        ("-0", "-0"),
        ("1E400", "1E400"),
        ("12345678901234567890", "12345678901234567890"),
        ("1" * 5_000, "1" * 5_000),
        ('{"x" : 1.10, "y": [1, null, true, "é\\n"]}', '{"x":1.10,"y":[1,null,true,"é\\n"]}'),
        ("[ 12345678901234567890 ]", "[12345678901234567890]"),
        ("[]", "[]"),
        ("{}", "{}"),
        ('"\\ud83d\\ude00"', "😀"),
        ('"a\\r\\n\u2028b"', "a\r\n\u2028b"),
    ],
)
def test_values_become_text_as_they_were_written(tmp_path, line, cell):
    """A number keeps its literal, a nested value is compact JSON, null is empty."""
    path = put(tmp_path, f'{{"a": {line}}}\r\n'.encode())

    layout = intake.inspect(path)

    assert list(intake.read(path, layout)) == [(cell,)]
    assert [type(text) for row in intake.read(path, layout) for text in row] == [str]


def test_columns_are_the_union_of_keys(tmp_path):
    """Keys come in the order of their first sight; a missing key and null are empty, and both are said."""
    path = put(tmp_path, b'\xef\xbb\xbf{"a": 1, "b": null}\n\n{"c": 3, "a": "x"}\n{"a": 2}\n\n')

    layout = intake.inspect(path)

    assert layout.columns == ("a", "b", "c")
    assert layout.rows == 3
    assert list(intake.read(path, layout)) == [("1", "", ""), ("x", "", "3"), ("2", "", "")]
    assert [(finding.kind, finding.message) for finding in layout.findings] == [
        ("bom", "a UTF-8 byte order mark was removed"),
        ("missing_keys", "missing, read as empty: 'b' in 2 lines, 'c' in 2 lines"),
        ("nulls", "null, read as empty: 'b' in 1 line"),
        ("blank_lines", "1 blank line was skipped"),
    ]


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b'{"a": 1}\n[1]\n', 2, "line 2 is an array, not an object"),
        (b'{"a": 1}\n5\n', 2, "line 2 is a number, not an object"),
        (b'{"a": 1}\n"x"\n', 2, "line 2 is a string, not an object"),
        (b'{"a": 1}\nnull\n', 2, "line 2 is null, not an object"),
        (b'{"a": 1}\n\n{"a": \n', 3, "line 3 is not one whole JSON object"),
        (b'{"a": 1} {"a": 2}\n', 1, "line 1 is not one whole JSON object (Extra data at character 10)"),
        (b'{\n  "a": 1\n}\n', 1, "JSON Lines has one object a line"),
        (b"a,b\n1,2\n", 1, "is this CSV?"),
        (b'{"a": 1, "a": 2}\n', 1, "the key 'a' stands twice"),
        (b'{"a": {"b": 1, "b": 2}}\n', 1, "the key 'b' stands twice"),
        (b'{"a": NaN}\n', 1, "NaN is not JSON"),
        (b'{"a": "\\ud83d"}\n', 1, "the value of 'a' holds half a character (the lone surrogate U+D83D)"),
        (b'{"\\ud83d": 1}\n', 1, "holds half a character"),
        (b'{"a": ["\\ud83d"]}\n', 1, "the value of 'a' holds half a character"),
        (b'{"a": "x\\u0000"}\n', 1, "the value of 'a' holds a NUL"),
        (b'{" ": 1}\n', 1, "is blank and cannot name a column"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", 1, "nested too deeply"),
        (b'{"a": "' + b"x" * 1_000_001 + b'"}\n', 1, "has 1,000,001 characters"),
        (b"{}\n{}\n", None, "every object is empty"),
        (b"\n", None, "holds no object"),
        (b'{"a": "\xc3\xa9 \xc3\xa9 \xe9"}\n', 1, "is not UTF-8, though the rest of the file is"),
        (b"\n".join(b'{"k%d": 1}' % number for number in range(2_001)), 2_001, "at most 2,000 are taken"),
    ],
)
def test_what_is_no_json_lines_is_refused_at_its_line(tmp_path, data, line, words):
    """A refusal carries the line and says what stands there."""
    with pytest.raises(TableError) as refusal:
        intake.inspect(put(tmp_path, data))

    assert words in refusal.value.message
    assert (refusal.value.file, refusal.value.line) == ("t.jsonl", line)
