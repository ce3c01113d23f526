"""Files of a job, read once: each look at a growing one reads what was appended, at a whole one only if it changed."""

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from core.files import read_json

Row = dict[str, Any]


class GrowingFile:
    """Where the reading of one append-only file has come to."""

    def __init__(self, path: Path):
        self.path = path
        self.offset = self.inode = 0

    def look(self) -> tuple[bool, Iterator[Row]]:
        """Whether it was replaced or has shrunk, so that all of it is read again; and the rows since the last look."""
        try:
            seen = self.path.stat()
        except FileNotFoundError:
            return False, iter(())
        another = seen.st_ino != self.inode or seen.st_size < self.offset
        if another:
            self.offset, self.inode = 0, seen.st_ino
        return another, self._rows() if seen.st_size > self.offset else iter(())

    def _rows(self) -> Iterator[Row]:
        # Line by line: a million rows in memory at once would take a gigabyte.
        with suppress(FileNotFoundError), self.path.open("rb") as file:
            file.seek(self.offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # somebody is writing it
                self.offset += len(line)
                if (row := _object(line)) is not None:
                    yield row


def _object(line: bytes) -> Row | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


class Tail:
    """All rows of one append-only file, kept in memory and brought up to date on demand, by one thread at a time."""

    def __init__(self, path: Path):
        self.file = GrowingFile(path)
        self.lock = Lock()
        self._forget()

    def _forget(self) -> None:
        # Another list: somebody may be going through the one there was.
        self.rows: list[Row] = []

    def _add(self, row: Row) -> None:
        self.rows.append(row)

    def refresh(self) -> list[Row]:
        """The rows as of now; the same list grows as long as the file is the same."""
        with self.lock:
            another, fresh = self.file.look()
            if another:
                self._forget()
            for row in fresh:
                self._add(row)
            return self.rows


class Events(Tail):
    """The events of a job, and where the newest of each name stands among them."""

    def _forget(self) -> None:
        super()._forget()
        self.newest: dict[str, int] = {}

    def _add(self, row: Row) -> None:
        if isinstance(row.get("event"), str) and math.isfinite(number(row.get("time"))):
            self.newest[row["event"]] = len(self.rows)
            super()._add(row)

    def latest(self, *names: str) -> Row | None:
        """The newest row that has one of these names."""
        with self.lock:
            found = [self.newest[name] for name in names if name in self.newest]
            return self.rows[max(found)] if found else None


_tails: dict[Path, Tail] = {}
_events: dict[Path, Events] = {}


def lines_of(path: Path) -> list[Row]:
    """The finished lines of an append-only file."""
    if path not in _tails:
        _tails.setdefault(path, Tail(path))
    return _tails[path].refresh()


def events_of(path: Path) -> list[Row]:
    """The events in an append-only file, oldest first; rows without a name and a time (epoch seconds) are none."""
    return _looked_at(path).rows


def latest_of(path: Path, *events: str) -> Row | None:
    """The newest event that has one of these names, found without going through the others."""
    return _looked_at(path).latest(*events)


def _looked_at(path: Path) -> Events:
    if path not in _events:
        _events.setdefault(path, Events(path))
    _events[path].refresh()
    return _events[path]


_objects: dict[Path, tuple[tuple[int, int, int], Row | None]] = {}


def object_of(path: Path) -> Row | None:
    """The object in a JSON file, parsed again only if the file is another; None where there is none."""
    try:
        seen = path.stat()
    except OSError:
        return None
    stamp = (seen.st_ino, seen.st_mtime_ns, seen.st_size)
    if _objects.get(path, (None,))[0] != stamp:
        _objects[path] = (stamp, read_json(path))
    return _objects[path][1]


def number(value: object) -> float:
    """A value of a row as a float; NaN where it is no number, or not a finite one."""
    if type(value) not in (float, int):  # not isinstance: to Python, True is an int
        return math.nan
    try:
        found = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return math.nan
    return found if math.isfinite(found) else math.nan
