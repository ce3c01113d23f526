"""JSON Lines: one object on each line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.data.readers.lines import lines
from core.data.readers.row import RawRow, name_problem

ADVICE = "Write one JSON object per line."


def total(path: Path) -> int:
    """How many lines hold something."""
    return sum(1 for _, line in lines(path) if line.strip())


def rows(path: Path) -> Iterator[RawRow]:
    """The objects, each with its line; a line that is none is a row with a problem."""
    for number, line in lines(path):
        if line.strip():
            found = _parsed(line)
            values, problem = ({}, found) if isinstance(found, str) else (found, None)
            yield RawRow(f"{path.name}, line {number}", number, values, problem)


def _parsed(line: bytes) -> dict[str, Any] | str:
    """The object, or what is wrong."""
    try:
        values = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return "this is not UTF-8 text; save the file as UTF-8"
    except (ValueError, RecursionError) as error:
        what = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply or out of range"
        return f"this is not JSON ({what}); write one JSON object per line"
    if not isinstance(values, dict):
        return 'this is JSON but not an object; write one object per line, such as {"messages": …}'
    return name_problem(values) or values
