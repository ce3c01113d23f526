"""A row as it was found in a source, before anyone knows what its columns mean."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from core.errors import DataError

MOST_COLUMNS = 1_000


@dataclass(frozen=True)
class RawRow:
    """One row, and where it was found: the line of a file, or the number of a row, from 1.

    A row that could not be read has no values, and says what is wrong as the rest of a sentence that begins with `where`.
    """

    where: str
    number: int
    values: dict[str, Any]
    problem: str | None = None


def check_columns(names: list[str], where: str) -> None:
    """Raise DataError where there are too many columns, or two of the same name."""
    if len(names) > MOST_COLUMNS:
        raise DataError(
            f"{where}: there are {len(names):,} columns, and {MOST_COLUMNS:,} at most are read. Keep only those with text."
        )
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise DataError(f"{where}: the column `{twice[0][:60]}` is there twice. Give each column a name of its own.")
