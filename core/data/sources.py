"""Read the rows of a source, wherever it lies: the starter, a JSONL file on this machine, or a data set on the Hub."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from core.data.starter import generate
from core.errors import DataError
from core.recipe_sections import Source
from core.where import Place, local_path, place_of

LONGEST_LINE_BYTES = 32_000_000


@dataclass(frozen=True)
class RawRow:
    """One row as it was found, and where: the line of a file, or the number of a row, from 1."""

    where: str
    number: int
    values: dict[str, Any]


@dataclass(frozen=True)
class Opened:
    """A source that was found: its exact revision or hash, how many rows it has if that is known, and the rows."""

    source: Source
    fingerprint: str
    total: int | None
    rows: Iterator[RawRow]


def open_source(source: Source) -> Opened:
    """Find a source and its identity; rows are read lazily. Raises DataError."""
    readers = {Place.STARTER: _starter, Place.LOCAL: _jsonl, Place.HUB: _hub}
    place = place_of(source.source)
    if place is Place.UNKNOWN:
        raise DataError(
            f"{source.source!r} is no data set: give a Hub id such as owner/name, a JSONL file, or `starter`."
        )
    return readers[place](source)


def _starter(source: Source) -> Opened:
    if source.split not in ("train", "held_out"):
        raise DataError(f"The starter data has the splits train and held_out, not {source.split!r}.")
    rows = generate.rows(source.split)[: source.limit]
    raw = (RawRow(f"starter, row {number}", number, row) for number, row in enumerate(rows, 1))
    return Opened(source, f"sha256:{hashlib.sha256(generate.FACTS.read_bytes()).hexdigest()}", len(rows), raw)


def _jsonl(source: Source) -> Opened:
    path = local_path(source.source)
    try:
        with path.open("rb") as file:
            fingerprint = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            lines = sum(1 for line in file if line.strip())
    except OSError as error:
        raise DataError(
            f"The data file {path} cannot be read: {(error.strerror or 'unknown reason').lower()}."
        ) from None
    if not lines:
        raise DataError(f"{path} is empty. Write one JSON object per line.")
    return Opened(
        source, f"sha256:{fingerprint}", min(lines, source.limit or lines), islice(_lines(path), source.limit)
    )


def _lines(path: Path) -> Iterator[RawRow]:
    """The objects of a JSONL file; lines end at a newline only, for JSON may hold other separators."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield RawRow(f"{path.name}, line {number}", number, _parsed(line, f"{path.name}, line {number}"))


def _parsed(line: bytes, where: str) -> dict[str, Any]:
    if len(line) > LONGEST_LINE_BYTES:
        raise DataError(
            f"{where}: the line is longer than {LONGEST_LINE_BYTES // 1_000_000} MB. Put one conversation on a line."
        )
    try:
        values = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise DataError(f"{where}: this is not UTF-8 text. Save the file as UTF-8.") from None
    except (ValueError, RecursionError) as error:
        what = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply or out of range"
        raise DataError(f"{where}: this is not JSON ({what}). Write one JSON object per line.") from None
    if not isinstance(values, dict):
        raise DataError(
            f'{where}: this is JSON but not an object. Write one object per line, such as {{"messages": …}}.'
        )
    return values


def _hub(source: Source) -> Opened:
    from core.data.hub import load

    rows, commit = load(source)
    raw = (RawRow(f"{source.source}, row {number}", number, row) for number, row in enumerate(rows, 1))
    return Opened(source, commit, len(rows), raw)
