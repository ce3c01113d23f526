"""Growing JSON-line files, read once: each look reads only what was appended since the last."""

from pathlib import Path
from typing import Any

from core.files import read_lines


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
