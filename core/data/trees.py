"""Put rows that are single messages together: a conversation follows the best ranked answer from each first message on."""

import math
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from core.data.formats import tree
from core.data.formats.columns import columns_of
from core.data.passages import written
from core.data.readers.row import RawRow
from core.errors import DataError
from core.recipe_data import Source

MOST_MESSAGES = 1_000_000  # all are held until the last is read
RANK, DELETED = "rank", "deleted"  # the columns of OpenAssistant's, where they are


def put_together(source: Source, rows: Iterator[RawRow]) -> Iterator[RawRow]:
    """The rows as they are; those of a tree as conversations, each under the place of its first message. Raises DataError."""
    first = next(rows, None)
    every = chain([first] if first else [], rows)
    columns = columns_of(source, tree)
    own = [columns[name] for name in ("message_id", "role", "text")]
    is_tree = source.layout in ("auto", tree.NAME) and first and all(name in first.values for name in own)
    yield from _conversations(source, every, columns) if is_tree else every


def _conversations(source: Source, rows: Iterator[RawRow], columns: dict[str, str]) -> Iterator[RawRow]:
    begun, known, answers = [], set(), defaultdict(list)
    for row in islice(rows, MOST_MESSAGES):
        own, parent = (_id(row.values.get(columns[name])) for name in ("message_id", "parent_id"))
        known.add(own)
        if not row.problem and parent:
            answers[parent].append(row)
        else:
            begun.append(row)
    if next(rows, None):
        raise DataError(
            f"{source.source} has more than {MOST_MESSAGES:,} messages in rows of their own, which memory may not bear. Set "
            "the data set's `limit`."
        )
    lost = [row for parent in answers.keys() - known for row in answers.pop(parent)]
    yield from (row if row.problem else _conversation(row, answers, columns) for row in begun)
    yield from (_without_parent(row, columns) for row in lost)


def _conversation(row: RawRow, answers: dict[str, list[RawRow]], columns: dict[str, str]) -> RawRow:
    path = [row]
    # Answers are taken out as they are followed, so that ids which stand twice lead round no circle.
    while found := answers.pop(_id(path[-1].values.get(columns["message_id"])), None):
        path.append(min(found, key=_order))
    return RawRow(row.where, row.number, {name: [part.values.get(name) for part in path] for name in columns.values()})


def _id(value: Any) -> str | None:
    """An id as text, for it may be a number; in a column with gaps a whole one is often stored as 3.0."""
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    found = written(whole)
    return found if isinstance(found, str) else None


def _order(row: RawRow) -> tuple[bool, float]:
    """Deleted ones last, then by rank; of those without a rank the first."""
    return row.values.get(DELETED) in (True, "True", "true"), _number(row.values.get(RANK))


def _number(rank: Any) -> float:
    try:
        found = float(rank)
    except (TypeError, ValueError, OverflowError):
        return math.inf
    return math.inf if math.isnan(found) else found


def _without_parent(row: RawRow, columns: dict[str, str]) -> RawRow:
    return RawRow(row.where, row.number, {}, f"answers a message that is not there (`{columns['parent_id']}`)")
