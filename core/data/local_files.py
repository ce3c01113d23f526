"""The files of a source on this machine: one file, or those of a folder, which are read as one, by name.

In a folder the files count that a reader knows, all of one kind; hidden files, folders inside it and whatever else lies
beside them, such as a README.md, do not. Links are followed: it is the person's own machine.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from core.data.readers.row import RawRow
from core.data.readers.table import KINDS, READERS, reader_of
from core.errors import DataError
from core.where import is_there

Stamp = tuple[tuple[str, int, int], ...]  # each file's name, time in ns and bytes


@dataclass(frozen=True)
class LocalFiles:
    """A path as it was given, the files behind it and what reads them."""

    path: Path
    files: tuple[Path, ...]
    reader: ModuleType

    def fingerprint(self) -> str:
        """The file's hash; of a folder, the hash of its files' names and hashes. Raises DataError."""
        hashes = [_hash(file) for file in self.files]
        if self.files == (self.path,):
            return f"sha256:{hashes[0]}"
        named = "".join(f"{file.name}\0{digest}\n" for file, digest in zip(self.files, hashes, strict=True))
        return f"sha256:{hashlib.sha256(named.encode(errors='surrogateescape')).hexdigest()}"

    def stamp(self) -> Stamp:
        """What tells that a file was changed, without reading it; raises DataError."""
        return tuple(_stamp(file) for file in self.files)

    def total(self) -> int | None:
        """How many rows there are, if that is known before they are read."""
        totals = [self.reader.total(file) for file in self.files]
        return None if None in totals else sum(totals)

    def rows(self) -> Iterator[RawRow]:
        """The rows of all files, of which there has to be one; raises DataError."""
        rows = self._numbered() if len(self.files) > 1 else self.reader.rows(self.files[0])
        first = next(rows, None)
        if first is None:
            raise DataError(f"{self.path} is empty: it has no rows. {self.reader.ADVICE}")
        yield first
        yield from rows

    def _numbered(self) -> Iterator[RawRow]:
        """One file after the other; a number stands for one row of the source, so they are counted through."""
        rows = (row for file in self.files for row in self.reader.rows(file))
        return (replace(row, number=number) for number, row in enumerate(rows, 1))


def local_files(path: Path) -> LocalFiles:
    """What a path on this machine holds; no file is opened. Raises DataError."""
    if not (is_there(path) and path.is_dir()):
        return LocalFiles(path, (path,), reader_of(path))
    files = _known(path)
    kinds = sorted({file.suffix.lower() for file in files})
    if not files:
        raise DataError(
            f"The folder {path} has no file that can be read. Put files into it as {KINDS}, all of one kind."
        )
    if len(kinds) > 1:
        raise DataError(
            f"The folder {path} holds files of several kinds ({', '.join(kinds)}). Keep one kind, or choose a single file."
        )
    return LocalFiles(path, files, READERS[kinds[0]])


def changed_at(path: Path) -> float:
    """When what a path holds was last written, put there or taken away (seconds since the epoch); 0 if all of it is gone."""
    try:
        # Not the time of its content, which a copy may bring along. A folder's own tells what it has no more.
        return max(file.stat().st_ctime for file in (path, *local_files(path).files))
    except (DataError, OSError):
        return 0.0


def _known(folder: Path) -> tuple[Path, ...]:
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(
            f"The folder {folder} cannot be read: {(error.strerror or 'unknown reason').lower()}."
        ) from None
    return tuple(
        file for file in found if file.suffix.lower() in READERS and not file.name.startswith(".") and not file.is_dir()
    )


def _stamp(file: Path) -> tuple[str, int, int]:
    with _readable(file):
        stat = file.stat()
    # Not the time of its content: to be allowed to read it is a change too, and a copy may keep the times of another.
    return str(file), stat.st_ctime_ns, stat.st_size


def _hash(path: Path) -> str:
    with _readable(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"The data file {path} cannot be read: {(error.strerror or 'unknown reason').lower()}."
        ) from None
