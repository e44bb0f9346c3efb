"""How many rows of a Parquet row group may be decoded together, so that they take some megabytes whatever stands in them.

A few hundred bytes can hold thousands of long texts: a dictionary names each text once, and a row only its place there. So the
metadata, which tells how large the parts of a file are once unpacked, is not enough, and the longest text of each dictionary is
looked up first.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.errors import TableError
from jobs.intake.layout import MAX_FIELD

#: bytes of rows that are decoded together
BYTES = 16_000_000
#: bytes of a text that has more characters than a cell may have, whatever they are
_TOO_LONG = 4 * MAX_FIELD
#: a column of a row group may unpack to so many bytes, or else to so many times its size
_UNPACKED, _TIMES = 256_000_000, 1_000
#: in a row group of more bytes than that rows of very unlike sizes may stand together, so fewer are decoded at once
_LARGE, _FEW = 64_000_000, 64


def rows_at_once(file: pq.ParquetFile, group: int, *, path: Path, most: int, name: str) -> int:
    """The number of rows of this row group to decode together: ``most``, or fewer, but at least one.

    Raises:
        TableError: a cell is too long, or the row group unpacks to too much.
    """
    told = file.metadata.row_group(group)
    rows = max(1, told.num_rows)
    size = 0.0
    for index in range(told.num_columns):
        column = told.column(index)
        title = str(column.path_in_schema).partition(".")[0]
        unpacked, each = column.total_uncompressed_size, max(1, column.num_values)
        if unpacked > 2 * _TOO_LONG * each:
            raise _too_long(title, unpacked // each, name=name)
        if unpacked > _UNPACKED and unpacked > _TIMES * max(1, column.total_compressed_size):
            raise TableError(
                f"column {title!r} unpacks to {unpacked:,} bytes from {column.total_compressed_size:,}; "
                "write the file without compression, or with smaller row groups",
                file=name,
            )
        size += unpacked / rows
        if unpacked > _LARGE:
            most = min(most, _FEW)
        if column.physical_type == "BYTE_ARRAY" and unpacked * each > BYTES:
            longest = _longest(path, group, column)
            if longest > _TOO_LONG:
                raise _too_long(title, longest, name=name)
            size += longest * max(1.0, each / rows)
    return int(min(most, max(1, BYTES // max(1, size))))


def parted(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in parts of about ``BYTES`` at most, since text of Python's takes its place beside it."""
    parts = min(batch.num_rows, 1 + batch.nbytes // BYTES)
    step = -(-batch.num_rows // max(1, parts))
    for start in range(0, batch.num_rows, max(1, step)):
        yield batch.slice(start, step)


def _longest(path: Path, group: int, column: pq.ColumnChunkMetaData) -> int:
    """The bytes of the longest text that many rows may share; what is written once a row counts in the size of the whole."""
    shares = {str(each) for each in column.encodings}
    if "DELTA_BYTE_ARRAY" in shares:  # a text is written as what differs from the one before it
        return int(column.total_uncompressed_size // 8)
    if not shares & {"RLE_DICTIONARY", "PLAIN_DICTIONARY"}:
        return 0
    leaf = str(column.path_in_schema)
    with pq.ParquetFile(path, read_dictionary=[leaf]) as other:
        batch = next(other.iter_batches(batch_size=1, row_groups=[group], columns=[leaf]), None)
    values = batch.column(0) if batch is not None and batch.num_columns else None
    while values is not None and not pa.types.is_dictionary(values.type):
        if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
            values = values.values
        elif pa.types.is_struct(values.type):
            values = values.field(0)
        else:
            values = None
    if values is None or not (pa.types.is_string(values.type.value_type) or pa.types.is_binary(values.type.value_type)):
        return int(column.total_uncompressed_size // 8)
    return int(pc.max(pc.binary_length(values.dictionary)).as_py() or 0)


def _too_long(title: str, size: int, *, name: str) -> TableError:
    return TableError(
        f"column {title!r} has a cell of about {size:,} bytes; at most {MAX_FIELD:,} characters are taken", file=name
    )
