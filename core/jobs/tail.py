"""Files of a job, read once: each look at a growing one reads what was appended, at a whole one only if it changed."""

from pathlib import Path
from typing import Any

from core.files import read_json, read_lines


class Tail:
    """All rows of one append-only file, kept in memory and brought up to date on demand."""

    def __init__(self, path: Path):
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self.offset = 0
        self.inode = 0

    def refresh(self) -> list[dict[str, Any]]:
        """Read what is new; a file that was replaced or has shrunk is read again from its start."""
        try:
            seen = self.path.stat()
        except FileNotFoundError:
            return self.rows
        if seen.st_ino != self.inode or seen.st_size < self.offset:
            self.rows, self.offset, self.inode = [], 0, seen.st_ino
        if seen.st_size > self.offset:
            fresh, self.offset = read_lines(self.path, self.offset)
            self.rows = self.rows + fresh
        return self.rows


_tails: dict[Path, Tail] = {}


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The finished lines of an append-only file."""
    return _tails.setdefault(path, Tail(path)).refresh()


_objects: dict[Path, tuple[tuple[int, int, int], dict[str, Any] | None]] = {}


def object_of(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, parsed again only if the file is another; None where there is none."""
    try:
        seen = path.stat()
    except OSError:
        return None
    stamp = (seen.st_ino, seen.st_mtime_ns, seen.st_size)
    if _objects.get(path, (None,))[0] != stamp:
        _objects[path] = (stamp, read_json(path))
    return _objects[path][1]
