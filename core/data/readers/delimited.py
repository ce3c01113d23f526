"""CSV and TSV: a header line with the columns' names, then a line for each row; a quoted cell may hold line ends."""

import csv
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from core.data.conversation import LONGEST_TEXT
from core.data.readers.lines import lines
from core.data.readers.row import RawRow, check_columns, check_number, printable
from core.errors import DataError

ADVICE = "Write a header line with the columns' names, then a line for each row."
SAID = re.compile(r'"?sep=([^"\w\s]|\t)"?\s*')  # what Excel takes the separator from, on a line before the header
QUOTED = re.compile(r'"[^"]*"')


def total(path: Path) -> None:
    """Not known before the file is read: a cell may hold line ends."""


def rows(path: Path) -> Iterator[RawRow]:
    """The rows, each with the line on which it begins; one with too many or too few cells is a row with a problem."""
    records = _records(path)
    line, header = next(records, (1, []))
    check_number(len(header), f"{path.name}, line {line}")  # before millions of them get names
    # A header cell without a name is what a data frame writes above its row numbers.
    names = [name.strip() or f"column {number}" for number, name in enumerate(header, 1)]
    check_columns(names, f"{path.name}, line {line}")
    for line, cells in records:
        fits = len(cells) == len(names)
        problem = None if fits else _misfit(len(cells), len(names))
        yield RawRow(f"{path.name}, line {line}", line, dict(zip(names, cells, strict=False)) if fits else {}, problem)


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and cells, without the blank rows that spreadsheets end in.

    Raises DataError where quotation marks cannot be trusted.
    """
    csv.field_size_limit(LONGEST_TEXT)
    text = _text(path)
    begin = _begin(text)
    # Blank lines in place of those before the header: lines are counted on.
    begun = ["\n"] * (len(begin) - 1) + begin[-1:]
    reader = csv.reader(chain(begun, text), delimiter=_delimiter(path, begin), strict=True)
    header = True
    while True:
        begins = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise DataError(_unreadable(f"{path.name}, line {begins}", str(error))) from None
        if cells is None:
            return
        if cells and (header or any(map(str.strip, cells))):
            header = False
            yield begins, cells


def _text(path: Path) -> Iterator[str]:
    for number, line in lines(path):
        if b"\0" in line:
            raise DataError(
                f"{path.name}, line {number}: there is a NUL byte, so this is not text. Save the file as UTF-8."
            )
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{path.name}, line {number}: this is not UTF-8 text. Save the file as UTF-8.") from None


def _begin(text: Iterator[str]) -> list[str]:
    """The lines up to the header's first: blank ones, and what says the separator."""
    found = []
    for line in text:
        found.append(line)
        if line.strip(" \r\n") and not SAID.fullmatch(line):
            break
    return found


def _delimiter(path: Path, begin: list[str]) -> str:
    """A tab in a .tsv file; else what the file says, or what stands most often between the header's names.

    Spreadsheets write a semicolon where the comma is the decimal sign.
    """
    if path.suffix.lower() == ".tsv":
        return "\t"
    if said := next(filter(None, map(SAID.fullmatch, begin)), None):
        return said[1]
    return max(",;", key=QUOTED.sub("", begin[-1] if begin else "").count)


def _misfit(cells: int, columns: int) -> str:
    advice = "put quotation marks around a cell that holds a separator" if cells > columns else "write all of them"
    return f"has {cells:,} cells, and the header has {columns:,}; {advice}"


def _unreadable(where: str, error: str) -> str:
    if "field limit" in error:
        return f"{where}: a cell is longer than {LONGEST_TEXT:,} characters. Close its quotation mark, or shorten the text."
    if "new-line" in error:
        return f"{where}: there are line ends of an old kind (CR only). Save the file with line ends of today."
    return f"{where}: the quotation marks cannot be read ({printable(error)}). Close them, and double one that is meant as text."
