"""Plain text: paragraphs with blank lines between them, each a row `{"text": …}`."""

from collections.abc import Iterator
from pathlib import Path

from core.data.readers import lines
from core.data.readers.row import RawRow
from core.errors import DataError

ADVICE = "Write paragraphs with a blank line between them."


def total(path: Path) -> int:
    """How many paragraphs there are."""
    return sum(1 for _ in _paragraphs(path))


def rows(path: Path) -> Iterator[RawRow]:
    """The paragraphs, each with the line on which it begins; raises DataError where this is not text."""
    for number, paragraph in _paragraphs(path):
        text = _decoded(paragraph, number, path)
        yield RawRow(f"{path.name}, line {number}", number, {"text": text.replace("\r\n", "\n").strip()})


def _paragraphs(path: Path) -> Iterator[tuple[int, bytes]]:
    """The line on which each begins, and its lines; none is larger than a line may be."""
    begins, found = 1, bytearray()
    for number, line in lines.lines(path):
        if not line.strip():
            if found:
                yield begins, bytes(found)
                found.clear()
            continue
        begins = begins if found else number
        found += line
        if len(found) > lines.LONGEST_LINE_BYTES:
            most = lines.LONGEST_LINE_BYTES // 1_000_000
            raise DataError(f"{path.name}, line {begins}: the paragraph is longer than {most} MB. {ADVICE}")
    if found:
        yield begins, bytes(found)


def _decoded(paragraph: bytes, begins: int, path: Path) -> str:
    try:
        text = paragraph.decode("utf-8-sig" if begins == 1 else "utf-8")
    except UnicodeDecodeError as error:
        line = begins + paragraph.count(b"\n", 0, error.start)
        raise DataError(f"{path.name}, line {line}: this is not UTF-8 text. Save the file as UTF-8.") from None
    if "\0" in text:
        line = begins + text.count("\n", 0, text.index("\0"))
        raise DataError(f"{path.name}, line {line}: there is a NUL byte, so this is not text. Save the file as UTF-8.")
    return text
