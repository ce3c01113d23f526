"""JSON inside a cell: as text that is parsed, or as objects that a file format has made. Both are checked to any depth."""

import json
import math
from typing import Any

from core.data.conversation import LONE_SURROGATE, LONGEST_TEXT, RowProblem, kind

DEEPEST = 40  # levels; a chat template writes them out by recursion


def json_value(value: Any, what: str) -> Any:
    """A value that can be written as JSON again: parsed if it is text, else a checked copy; raises RowProblem.

    Parquet gives every object of a column the keys of all the others, with null for value. Those are left out; in JSON
    that was text, null is meant.
    """
    if isinstance(value, str):
        return _checked(_parsed(value, what), what, nulls=True)
    return _checked(value, what, nulls=False)


def _parsed(value: str, what: str) -> Any:
    if len(value) > LONGEST_TEXT:
        raise RowProblem(f"{what} is longer than {LONGEST_TEXT:,} characters")
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply or out of range"
        raise RowProblem(f"{what} is text but not JSON ({reason})") from None


def _checked(value: Any, what: str, nulls: bool, depth: int = 0) -> Any:
    if depth > DEEPEST:
        raise RowProblem(f"{what} is nested more than {DEEPEST} levels deep")
    if isinstance(value, dict):
        kept = {_key(name, what): inner for name, inner in value.items() if nulls or inner is not None}
        return {name: _checked(inner, what, nulls, depth + 1) for name, inner in kept.items()}
    if isinstance(value, list):
        return [_checked(inner, what, nulls, depth + 1) for inner in value]
    return _leaf(value, what)


def _key(name: Any, what: str) -> str:
    return _leaf(name if isinstance(name, str) else str(name), what)


def _leaf(value: Any, what: str) -> Any:
    if isinstance(value, str) and (LONE_SURROGATE.search(value) or len(value) > LONGEST_TEXT):
        raise RowProblem(f"{what} holds half a character, or a text of more than {LONGEST_TEXT:,}")
    if isinstance(value, float) and not math.isfinite(value):
        raise RowProblem(f"{what} holds a number that is not finite")
    if value is not None and not isinstance(value, str | int | float):
        raise RowProblem(f"{what} holds {kind(value)}, which JSON does not know")
    return value
