"""A row as it was found in a source, before anyone knows what its columns mean."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from core.data.conversation import LONE_SURROGATE
from core.errors import DataError

MOST_COLUMNS = 1_000
BATCH_ROWS = 500
BATCH_CHARACTERS = 10_000_000


@dataclass(frozen=True)
class RawRow:
    """One row, and where it was found: the line of a file, or the number of a row, from 1.

    A row that could not be read has no values, and says what is wrong as the rest of a sentence that begins with `where`.
    """

    where: str
    number: int
    values: dict[str, Any]
    problem: str | None = None


def next_batch(rows: Iterator[RawRow]) -> Iterator[RawRow]:
    """The next rows that are worked on together, fewer where they are large; the first of them decide how all are read."""
    size = 0
    for row in islice(rows, BATCH_ROWS):
        yield row
        # Nested values are not measured: it is the cells of tables and plain text that grow large.
        size += sum(len(value) for value in row.values.values() if isinstance(value, str))
        if size > BATCH_CHARACTERS:
            return


def columns_of(rows: Iterable[RawRow]) -> list[str]:
    """Every column that one of the rows has, in the order of their first use: JSON leaves out what is empty."""
    return list(dict.fromkeys(name for row in rows for name in row.values))


def printable(text: str) -> str:
    """A text from a file as it can stand in a sentence: what cannot be seen is written as its escape, such as `\\x00`."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def name_problem(values: dict[str, Any]) -> str | None:
    """What is wrong with the names of a row's columns: such a one could be written into no report."""
    half = any(LONE_SURROGATE.search(name) for name in values)
    return (
        "a column's name holds half a character (a lone surrogate such as \\ud800); correct the name" if half else None
    )


def check_number(columns: int, where: str) -> None:
    """Raise DataError where there are too many columns."""
    if columns > MOST_COLUMNS:
        raise DataError(
            f"{where}: there are {columns:,} columns, and {MOST_COLUMNS:,} at most are read. Keep only those with text."
        )


def check_columns(names: list[str], where: str) -> None:
    """Raise DataError where there are too many columns, or two of the same name."""
    check_number(len(names), where)
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise DataError(
            f"{where}: the column `{printable(twice[0][:60])}` is there twice. Give each column a name of its own."
        )
