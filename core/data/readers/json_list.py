"""JSON: a list of objects, or an object that holds one. Such a file can only be read whole, so its size is limited."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.data.readers.row import RawRow, name_problem, printable
from core.errors import DataError

ADVICE = 'Write a list of objects, such as [{"question": "…", "answer": "…"}].'
DECODER = json.JSONDecoder()
SPACE = re.compile(r"[ \t\n\r]*")
LARGEST_BYTES = 200_000_000


def total(path: Path) -> None:
    """Not known before the file is read."""


def rows(path: Path) -> Iterator[RawRow]:
    """The objects, each with its number; whatever else is in the list is a row with a problem."""
    content = _content(path)
    placed = _with_lines(content) or ((None, values) for values in _list(_parsed(content, path.name), path.name))
    for number, (line, values) in enumerate(placed, 1):
        problem = name_problem(values) if isinstance(values, dict) else "this is JSON but not an object"
        where = f"{path.name}, row {number}" + (f" (line {line})" if line else "")
        yield RawRow(where, number, {} if problem else values, problem)


def _content(path: Path) -> str:
    check_size(path)
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path.name}, line {line}: this is not UTF-8 text. Save the file as UTF-8.") from None


def check_size(path: Path) -> None:
    """Raise DataError where a file is too large to be read whole."""
    if path.stat().st_size > LARGEST_BYTES:
        raise DataError(
            f"{path.name} is larger than {LARGEST_BYTES // 1_000_000} MB, too large to read as one piece. Save it as JSON "
            "Lines, one object per line, and name it .jsonl."
        )


def _with_lines(content: str) -> list[tuple[int, Any]] | None:
    """What is in a list, each with the line on which it begins; None where this is no list, or not JSON to its end."""
    found, line, counted = [], 1, 0
    place = _after_space(content, 0)
    if content[place : place + 1] != "[":
        return None
    try:
        while content[place : place + 1] == ("," if found else "["):
            place = _after_space(content, place + 1)
            line, counted = line + content.count("\n", counted, place), place
            values, place = DECODER.raw_decode(content, place)
            found.append((line, values))
            place = _after_space(content, place)
    except (ValueError, RecursionError):
        return None
    whole = content[place : place + 1] == "]" and _after_space(content, place + 1) == len(content)
    return found if whole else None


def _after_space(content: str, place: int) -> int:
    return SPACE.match(content, place).end()


def _parsed(content: str, name: str) -> Any:
    try:
        return json.loads(content) if content.strip() else []
    except json.JSONDecodeError as error:
        lines = " If it holds one object per line, name it .jsonl." if error.msg == "Extra data" else ""
        raise DataError(
            f"{name}, line {error.lineno}: this is not JSON ({error.msg}). Correct it there.{lines}"
        ) from None
    except (ValueError, RecursionError):
        raise DataError(f"{name}: this JSON is nested too deeply or holds a number out of range. {ADVICE}") from None


def _list(content: Any, name: str) -> list[Any]:
    """The rows: the content itself, or its only list of objects."""
    if isinstance(content, list):
        return content
    inside = content if isinstance(content, dict) else {}
    lists = {key: value for key, value in inside.items() if isinstance(value, list) and value and _is_rows(value)}
    if len(lists) > 1:
        keys = ", ".join(f"`{printable(key[:40])}`" for key in list(lists)[:10])
        raise DataError(
            f"{name} holds more than one list of objects ({keys}). Save the one you mean as a file of its own."
        )
    if not lists:
        raise DataError(f"{name} is JSON but no list of objects. {ADVICE}")
    return next(iter(lists.values()))


def _is_rows(values: list[Any]) -> bool:
    return any(isinstance(value, dict) for value in values)
