"""Parquet: columns with types, read a few rows at a time. pyarrow is imported when a file is read, not by the app.

A small file can unpack to any size: rows are taken in batches of so many bytes, and what only a bomb does is refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.data.readers.row import RawRow, check_columns, printable
from core.errors import DataError

ADVICE = "Save it again with its rows."
ROWS_AT_ONCE = 256
BATCH_BYTES = 64_000_000
# Text packs to a third or a tenth: this many bytes from a hundredth of them are no text.
LARGEST_UNPACKED_BYTES = 256_000_000
MOST_UNPACKED_TIMES = 100


def total(path: Path) -> int:
    """As the file's own end says."""
    import pyarrow.parquet

    with _readable(path), pyarrow.parquet.ParquetFile(path) as file:
        return file.metadata.num_rows


def rows(path: Path) -> Iterator[RawRow]:
    """The rows, each with its number; raises DataError where the file is damaged."""
    import pyarrow.parquet

    number = 0
    with _readable(path), pyarrow.parquet.ParquetFile(path) as file:
        check_columns(file.schema_arrow.names, path.name)
        for batch in _batches(file, path):
            for values, problem in _values(batch):
                number += 1
                yield RawRow(f"{path.name}, row {number}", number, values, problem)


def _batches(file: Any, path: Path) -> Iterator[Any]:
    """Record batches, each of one row group and about BATCH_BYTES at most."""
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        _refuse_a_bomb(group.total_byte_size, path)
        # pyarrow aborts the process where it is asked for the columns of a damaged index; reading a row raises instead.
        if next(file.iter_batches(1, row_groups=[number]), None) is not None:
            columns = [group.column(index) for index in range(group.num_columns)]
            yield from file.iter_batches(_rows_at_once(columns, group.num_rows), row_groups=[number])


def _refuse_a_bomb(unpacked: int, path: Path) -> None:
    packed = path.stat().st_size
    if unpacked > LARGEST_UNPACKED_BYTES and unpacked > MOST_UNPACKED_TIMES * packed:
        raise DataError(
            f"{path.name} unpacks from {packed / 1e6:,.1f} MB to {unpacked / 1e6:,.0f} MB at once, more than text does and "
            "memory may bear. Save it again without what is repeated, or in smaller row groups."
        )


def _rows_at_once(columns: list[Any], rows: int) -> int:
    """As many rows as fit into BATCH_BYTES, if each of them holds the largest word of the dictionaries."""
    row_bytes = sum(_bytes_per_row(column, max(rows, 1)) for column in columns)
    return int(max(1, min(ROWS_AT_ONCE, BATCH_BYTES // max(row_bytes, 1))))


def _bytes_per_row(column: Any, rows: int) -> float:
    """What is written once in a dictionary may be meant in every row: a word is as large as all of them, at worst."""
    mean = column.total_uncompressed_size / rows
    if not column.has_dictionary_page:
        return mean
    packed = max(0, column.data_page_offset - column.dictionary_page_offset)
    times = column.total_uncompressed_size / max(column.total_compressed_size, 1)
    return max(mean, packed * times * column.num_values / rows)


def _values(batch: Any) -> list[tuple[dict[str, Any], str | None]]:
    """The rows of a batch as Python's values; where one cannot be such, the others can."""
    found = _converted(batch)
    if not isinstance(found, str):
        return [(values, None) for values in found]
    if batch.num_rows == 1:
        return [({}, f"holds a value that cannot be read ({found}); correct it, or leave its column out")]
    return [row for index in range(batch.num_rows) for row in _values(batch.slice(index, 1))]


def _converted(batch: Any) -> list[dict[str, Any]] | str:
    """The rows, or what is wrong: a date before the year 1, a time zone nobody knows, bytes that are no text."""
    import pyarrow

    try:
        return batch.to_pylist()
    except (pyarrow.ArrowException, ValueError, OverflowError, LookupError) as error:
        return _what(error)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        raise DataError(
            f"{path.name} cannot be read as Parquet ({_what(error)}). Save or download it again."
        ) from error


def _what(error: BaseException) -> str:
    return printable(" ".join(str(error).split()))[:200].rstrip(".")
