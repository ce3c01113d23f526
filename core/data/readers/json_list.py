"""JSON: a list of objects, or an object that holds one. Such a file can only be read whole, so its size is limited."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.data.readers.row import RawRow, name_problem, printable
from core.errors import DataError

ADVICE = 'Write a list of objects, such as [{"question": "…", "answer": "…"}].'
LARGEST_BYTES = 200_000_000


def total(path: Path) -> None:
    """Not known before the file is read."""


def rows(path: Path) -> Iterator[RawRow]:
    """The objects, each with its number; whatever else is in the list is a row with a problem."""
    for number, values in enumerate(_list(_parsed(path), path.name), 1):
        problem = name_problem(values) if isinstance(values, dict) else "this is JSON but not an object"
        yield RawRow(f"{path.name}, row {number}", number, {} if problem else values, problem)


def _parsed(path: Path) -> Any:
    if path.stat().st_size > LARGEST_BYTES:
        raise DataError(
            f"{path.name} is larger than {LARGEST_BYTES // 1_000_000} MB, too large to read as one piece. Save it as JSON "
            "Lines, one object per line, and name it .jsonl."
        )
    content = path.read_bytes()
    try:
        return json.loads(content.decode("utf-8-sig")) if content.strip() else []
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path.name}, line {line}: this is not UTF-8 text. Save the file as UTF-8.") from None
    except json.JSONDecodeError as error:
        lines = " If it holds one object per line, name it .jsonl." if error.msg == "Extra data" else ""
        raise DataError(
            f"{path.name}, line {error.lineno}: this is not JSON ({error.msg}). Correct it there.{lines}"
        ) from None
    except (ValueError, RecursionError):
        raise DataError(
            f"{path.name}: this JSON is nested too deeply or holds a number out of range. {ADVICE}"
        ) from None


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
