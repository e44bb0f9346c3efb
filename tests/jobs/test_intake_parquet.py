"""Parquet: every scalar as text, nested values as JSON, bytes refused."""

import datetime as dt
import decimal
import subprocess
import sys
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs import intake
from jobs.errors import TableError

MOMENT = dt.datetime(2024, 5, 1, 10, 30)


def save(folder: Path, columns: dict[str, pa.Array], **options: object) -> Path:
    path = folder / "t.parquet"
    pq.write_table(pa.table(columns), path, **options)
    return path


def read(path: Path) -> list[tuple[str, ...]]:
    return list(intake.read(path, intake.inspect(path)))


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array(["007", "NA", "", None, " x ", "😀"]), ["007", "NA", "", "", " x ", "😀"]),
        (pa.array(["a", None, "b"]).dictionary_encode(), ["a", "", "b"]),
        (pa.array(["x"], pa.large_string()), ["x"]),
        (pa.array([1, None, -(2**63)]), ["1", "", str(-(2**63))]),
        (pa.array([2**64 - 1], pa.uint64()), [str(2**64 - 1)]),
        (pa.array([1.5, 0.1, 2.0]), ["1.5", "0.1", "2"]),
        (pa.array([0.1], pa.float32()), ["0.1"]),
        (pa.array([True, False, None]), ["true", "false", ""]),
        (pa.array([decimal.Decimal("1.10")]), ["1.10"]),
        (pa.array([dt.date(2024, 5, 1)]), ["2024-05-01"]),
        (pa.array([MOMENT], pa.timestamp("us")), ["2024-05-01T10:30:00"]),
        (pa.array([MOMENT.replace(microsecond=120_000)], pa.timestamp("us")), ["2024-05-01T10:30:00.12"]),
        (pa.array([MOMENT], pa.timestamp("ms", "Europe/Berlin")), ["2024-05-01T10:30:00Z"]),
        (pa.array([dt.time(10, 30)], pa.time64("us")), ["10:30:00"]),
        (pa.array([dt.timedelta(seconds=90)], pa.duration("ms")), ["90000 ms"]),
        (pa.nulls(2), ["", ""]),
        (pa.array([[1, None], [], None]), ["[1,null]", "[]", ""]),
        (pa.array([{"x": "é", "y": [1.5]}]), ['{"x":"é","y":[1.5]}']),
        (pa.array([[float("nan")]]), ["[null]"]),
        (pa.array([[("k", dt.date(2024, 5, 1))]], pa.map_(pa.string(), pa.date32())), ['[["k","2024-05-01"]]']),
        (pa.array([uuid.UUID(int=7).bytes], pa.uuid()), [str(uuid.UUID(int=7))]),
    ],
)
def test_values_become_text(tmp_path, values, texts):
    """A scalar is what Arrow writes for it, a nested value JSON, null empty."""
    assert read(save(tmp_path, {"a": values})) == [(text,) for text in texts]


def test_rows_stream_over_row_groups(tmp_path):
    """Rows come in order over many row groups, and nulls are counted."""
    path = save(
        tmp_path,
        {"n": pa.array(range(5_000)), "t": pa.array(["x", None] * 2_500)},
        row_group_size=700,
    )

    layout = intake.inspect(path)

    assert (layout.columns, layout.rows, layout.encoding) == (("n", "t"), 5_000, None)
    assert [row[0] for row in intake.read(path, layout)] == [str(number) for number in range(5_000)]
    assert [finding.message for finding in layout.findings] == ["null, read as empty: 't' in 2,500 rows"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (pa.array([b"x"]), "column 'a' holds bytes (binary)"),
        (pa.array([[b"x"]]), "column 'a' holds bytes (binary)"),
        (pa.array([{"k": b"x"}]), "column 'a' holds bytes (binary)"),
        (pa.array([b"xy"], pa.binary(2)), "column 'a' holds bytes"),
        (pa.array(["a\0b"]), "row 1, column 'a' holds a NUL"),
        (pa.array(["x", "y" * 1_000_001]), "row 2, column 'a' has 1,000,001 characters"),
        (pa.array([], pa.string()), "no row"),
    ],
)
def test_what_cannot_be_text_is_refused(tmp_path, values, words):
    """A refusal names the column."""
    with pytest.raises(TableError) as refusal:
        intake.inspect(save(tmp_path, {"a": values}))

    assert words in refusal.value.message


def test_text_that_is_no_utf8_is_refused(tmp_path):
    """A writer that put other bytes into a text column is caught."""
    broken = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())

    with pytest.raises(TableError, match="damaged"):
        intake.inspect(save(tmp_path, {"a": broken}))


def test_damaged_file_is_refused(tmp_path):
    """A file that was cut off is named as damaged."""
    path = save(tmp_path, {"a": pa.array(range(1_000))})
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(TableError, match="damaged or cut off"):
        intake.inspect(path)


READ_ALL = """
import resource, sys
from pathlib import Path
from jobs import intake
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
layout = intake.inspect(Path(sys.argv[1]))
rows = sum(1 for _ in intake.read(Path(sys.argv[1]), layout))
print(rows, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
LONG = "z" * 900_000


@pytest.mark.parametrize(
    ("values", "rows_a_group"),
    [
        ([LONG] * 600, 600),
        ([[LONG[:90_000]] * 3] * 600, 600),
        ([str(number) + LONG[:150_000] for number in range(600)], 300),
        (["x"] * 600 + [LONG] * 300, 900),
    ],
    ids=["one text for all rows", "one text in lists", "a long text in each", "short ones first"],
)
def test_memory_does_not_grow_with_long_texts(tmp_path, values, rows_a_group):
    """Rows are decoded so many bytes at a time, also where a tiny file says one long text hundreds of times."""
    path = save(tmp_path, {"a": pa.array(values)}, row_group_size=rows_a_group, compression="zstd")

    done = subprocess.run([sys.executable, "-c", READ_ALL, path], capture_output=True, text=True, check=True)

    rows, megabytes = map(int, done.stdout.split())
    assert rows == len(values)
    assert megabytes < 300


def test_cell_far_beyond_the_limit_is_refused_before_it_is_decoded(tmp_path):
    """A text that no cell may hold is refused by what the file says of it, however often it stands there."""
    path = save(tmp_path, {"a": pa.array(["z" * 20_000_000] * 2)}, compression="zstd")

    with pytest.raises(
        TableError, match=r"column 'a' has a cell of about [12]0,000,0.. bytes; at most 1,000,000 characters"
    ):
        intake.inspect(path)


def test_memory_that_does_not_suffice_is_a_refusal(tmp_path, monkeypatch):
    """What Arrow or Python cannot hold is said in a person's words."""

    def fail(*_: object, **__: object) -> None:
        raise pa.ArrowMemoryError("malloc of size 1 failed")

    path = save(tmp_path, {"a": pa.array(["x"])})
    monkeypatch.setattr(intake.parquet.rowgroups, "rows_at_once", fail)

    with pytest.raises(TableError, match="needs more memory than there is"):
        intake.inspect(path)
