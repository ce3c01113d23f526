"""Read the rows of a source, wherever it lies: the starter, a file on this machine, or a data set on the Hub."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from core.data.readers.row import RawRow
from core.data.readers.table import reader_of
from core.data.starter import generate
from core.errors import DataError
from core.recipe_sections import Source
from core.where import Place, local_path, place_of


@dataclass(frozen=True)
class Opened:
    """A source that was found: its exact revision or hash, how many rows it has if that is known, and the rows."""

    source: Source
    fingerprint: str
    total: int | None
    rows: Iterator[RawRow]


def open_source(source: Source) -> Opened:
    """Find a source and its identity; rows are read lazily. Raises DataError."""
    readers = {Place.STARTER: _starter, Place.LOCAL: _file, Place.HUB: _hub}
    place = place_of(source.source)
    if place is Place.UNKNOWN:
        raise DataError(f"{source.source!r} is no data set: give a Hub id such as owner/name, a file, or `starter`.")
    return readers[place](source)


def _starter(source: Source) -> Opened:
    if source.split not in ("train", "held_out"):
        raise DataError(f"The starter data has the splits train and held_out, not {source.split!r}.")
    rows = generate.rows(source.split)[: source.limit]
    raw = (RawRow(f"starter, row {number}", number, row) for number, row in enumerate(rows, 1))
    return Opened(source, f"sha256:{hashlib.sha256(generate.FACTS.read_bytes()).hexdigest()}", len(rows), raw)


def _file(source: Source) -> Opened:
    path = local_path(source.source)
    reader = reader_of(path)
    fingerprint = _hash(path)
    total = reader.total(path)
    if total is not None and source.limit:
        total = min(total, source.limit)
    return Opened(source, fingerprint, total, islice(_some(reader.rows(path), path, reader.ADVICE), source.limit))


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        raise DataError(
            f"The data file {path} cannot be read: {(error.strerror or 'unknown reason').lower()}."
        ) from None


def _some(rows: Iterator[RawRow], path: Path, advice: str) -> Iterator[RawRow]:
    """The rows, of which there has to be one."""
    first = next(rows, None)
    if first is None:
        raise DataError(f"{path} is empty: it has no rows. {advice}")
    yield first
    yield from rows


def _hub(source: Source) -> Opened:
    from core.data.hub import load

    rows, commit = load(source)
    raw = (RawRow(f"{source.source}, row {number}", number, row) for number, row in enumerate(rows, 1))
    return Opened(source, commit, len(rows), raw)
