"""Parquet: columns with types, read a few rows at a time. pyarrow is imported when a file is read, not by the app."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.data.readers.row import RawRow, check_columns
from core.errors import DataError

ADVICE = "Save it again with its rows."
ROWS_AT_ONCE = 256


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
        for batch in file.iter_batches(ROWS_AT_ONCE):
            for values in batch.to_pylist():
                number += 1
                yield RawRow(f"{path.name}, row {number}", number, values)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        what = " ".join(str(error).split())[:200]
        raise DataError(f"{path.name} cannot be read as Parquet ({what}). Save or download it again.") from error
