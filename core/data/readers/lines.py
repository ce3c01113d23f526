"""The lines of a file as bytes, one at a time, each no longer than memory can bear."""

from collections.abc import Iterator
from pathlib import Path

from core.errors import DataError

LONGEST_LINE_BYTES = 32_000_000


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Line numbers and lines with their ends; they end at a newline only, for text may hold other separators."""
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE_BYTES + 1), b""), 1):
            if len(line) > LONGEST_LINE_BYTES:
                raise DataError(
                    f"{path.name}, line {number}: the line is longer than {LONGEST_LINE_BYTES // 1_000_000} MB. "
                    "Put one conversation on a line."
                )
            yield number, line
