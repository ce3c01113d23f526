"""Read the rows of a source, wherever it lies: the starter, a file or folder on this machine, or a data set on the Hub."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from core.data.local_files import LocalFiles, Stamp, local_files
from core.data.readers.row import RawRow
from core.data.starter import generate
from core.data.trees import put_together
from core.errors import DataError
from core.models.progress import Progress, silent
from core.recipe_data import Source
from core.where import Place, local_path, place_of


@dataclass(frozen=True)
class Opened:
    """A source that was found: its exact revision or hash, how many rows it has if that is known, and the rows."""

    source: Source
    fingerprint: str
    total: int | None
    rows: Iterator[RawRow]


def open_source(source: Source, progress: Progress = silent) -> Opened:
    """Find a source and its identity, and fetch it if need be; rows are read lazily. Raises DataError or HubError."""
    readers = {Place.STARTER: _starter, Place.LOCAL: _local, Place.HUB: lambda source: _hub(source, progress)}
    place = place_of(source.source)
    if place is Place.UNKNOWN:
        raise DataError(
            f"{source.source!r} is no data set: give a Hub id such as owner/name, a file or folder, or `starter`."
        )
    opened = readers[place](source)
    return replace(opened, rows=put_together(source, opened.rows))


def _starter(source: Source) -> Opened:
    if source.split not in ("train", "held_out"):
        raise DataError(f"The starter data has the splits train and held_out, not {source.split!r}.")
    rows = generate.rows(source.split)[: source.limit]
    raw = (RawRow(f"starter, row {number}", number, row) for number, row in enumerate(rows, 1))
    return Opened(source, f"sha256:{hashlib.sha256(generate.FACTS.read_bytes()).hexdigest()}", len(rows), raw)


def _local(source: Source) -> Opened:
    found = local_files(local_path(source.source))
    before = found.stamp()
    opened = _of_files(source, found, found.fingerprint())
    return replace(opened, rows=_as_before(opened, found, before))


def _as_before(opened: Opened, found: LocalFiles, before: Stamp) -> Iterator[RawRow]:
    """The rows; raises DataError where they are not those of the fingerprint: they would be kept under its name for good."""
    yield from opened.rows
    # Other programs touch files without changing them.
    if found.stamp() != before and found.fingerprint() != opened.fingerprint:
        raise DataError(f"{found.path} was changed while it was read. Start again once nothing writes to it.")


def _of_files(source: Source, found: LocalFiles, fingerprint: str) -> Opened:
    total = found.total()
    if total is not None and source.limit:
        total = min(total, source.limit)
    return Opened(source, fingerprint, total, islice(found.rows(), source.limit))


def _hub(source: Source, progress: Progress) -> Opened:
    from core.data import hub, hub_file

    if source.file:
        path, commit = hub_file.fetch(source, progress)
        return _of_files(source, local_files(path), commit)
    rows, commit = hub.load(source, progress)
    raw = (RawRow(f"{source.source}, row {number}", number, row) for number, row in enumerate(rows, 1))
    return Opened(source, commit, len(rows), raw)
