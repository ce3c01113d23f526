"""A look at the first rows of a source for the page: columns, a few cells, the layout and whether it fits. No Hub.

It is looked at again only when the source's settings change, or its files' times or sizes.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any

from core.data.conversation import Conversation, Pair, PlainText, RowProblem
from core.data.formats import tree
from core.data.formats.recognise import Reading, reading_of
from core.data.formats.table import PAIRED
from core.data.local_files import LocalFiles, Stamp, local_files
from core.data.readers import json_list, parquet
from core.data.readers.row import RawRow, columns_of, next_batch
from core.data.sources import open_source
from core.data.trees import put_together
from core.errors import DataError
from core.recipe_data import Source
from core.where import Place, local_path, place_of

LOOKED_AT = 50  # rows
READ = 2_000  # rows, where several make a conversation
SHOWN = 5  # rows
LONGEST_CELL = 300  # characters
LONGEST_NAME = 100
TOKEN_BYTES = 3  # more of English, less of German; of Chinese it is a character
COUNTED_BYTES = 20_000_000  # the rows of what is smaller are counted: a moment
WHOLE_BYTES = 50_000_000  # JSON can only be read whole; more would take the page's time and memory
Said = Conversation | PlainText


@dataclass(frozen=True)
class Peek:
    """What the first rows of a source look like.

    `confidence` is the share of them that `layout` reads; `bad_row` says what is wrong with the first that it does not.
    `problem` is the sentence why the source cannot be read; what was found before it stays. It is `hopeless` where
    preparing would end by it: bad rows alone are none, as more rows and good ones may follow. `tokens_per_row` is a guess by
    the length of the first rows, and `tokens_per_pair` of both answers of each, where the layout has two; `bad_pair` says what
    is wrong with the first row that has not both.
    """

    columns: list[str]
    rows: list[dict[str, str]]
    layout: str | None = None
    confidence: float = 0.0
    problem: str | None = None
    bad_row: str | None = None
    hopeless: bool = False
    total: int | None = None
    tokens_per_row: float | None = None
    tokens_per_pair: float | None = None
    bad_pair: str | None = None


def peek(source: Source) -> Peek | None:
    """A look at a file, a folder or the starter; None for what cannot be looked at quickly, as on the Hub. Never raises."""
    place = place_of(source.source)
    if place is Place.STARTER:
        return _look(source.model_dump_json(), ())
    if place is not Place.LOCAL:
        return None
    try:
        found = local_files(local_path(source.source))
        stamp = found.stamp()
        for file in found.files if found.reader is json_list else ():
            json_list.check_size(file)
    except (DataError, OSError) as error:
        return Peek([], [], problem=_sentence(error, source), hopeless=True)
    if found.reader is json_list and sum(size for _, _, size in stamp) > WHOLE_BYTES:
        return None
    return _look(source.model_dump_json(), stamp)


def _sentence(error: DataError | OSError, source: Source) -> str:
    if isinstance(error, DataError):
        return str(error)
    return f"{source.source} cannot be read: {(error.strerror or 'unknown reason').lower()}. Check the path."


@lru_cache(maxsize=64)
def _look(settings: str, stamp: Stamp) -> Peek:
    source = Source.model_validate_json(settings)
    rows: list[RawRow] = []
    problem = total = None
    try:
        found, total = _opened(source, stamp)
        rows.extend(next_batch(islice(found, source.limit)))
    except (DataError, OSError) as error:
        problem = _sentence(error, source)
    # As preparing has it: JSON's first rows may lack a column that later ones have.
    columns, rows = columns_of(rows), rows[:LOOKED_AT]
    shown = [row for row in rows if not row.problem][:SHOWN]
    cells = [{_short(name, LONGEST_NAME): _short(row.values[name]) for name in row.values} for row in shown]
    seen = Peek(
        [_short(name, LONGEST_NAME) for name in columns], cells, problem=problem, hopeless=bool(problem), total=total
    )
    return _judged(seen, source, columns, rows)


def _opened(source: Source, stamp: Stamp) -> tuple[Iterator[RawRow], int | None]:
    """The rows, and how many there are if that is quickly known."""
    if not stamp:
        opened = open_source(source)
        return opened.rows, opened.total
    found = local_files(local_path(source.source))
    total = _counted(found, sum(size for _, _, size in stamp))
    return put_together(source, islice(found.rows(), READ)), min(
        total, source.limit or total
    ) if total is not None else None


def _counted(found: LocalFiles, size_bytes: int) -> int | None:
    """Parquet says it itself; of what is small, and whole, the rows are counted."""
    if found.reader is parquet:
        return found.total()
    try:
        return sum(1 for _ in found.rows()) if size_bytes < COUNTED_BYTES else None
    except DataError:
        return None


def _judged(seen: Peek, source: Source, columns: list[str], rows: list[RawRow]) -> Peek:
    """The look, with the layout and how well it fits."""
    if not rows:
        return seen
    good = [row.values for row in rows if not row.problem]
    try:
        reading = reading_of(source, columns, good) if good else None
    except DataError as error:
        return replace(seen, problem=seen.problem or str(error), hopeless=True)
    bad = next((sentence for row in rows if (sentence := _bad(row, reading and reading.conversation))), None)
    if reading is None:
        return replace(seen, problem=seen.problem or bad)
    share = reading.confidence * len(good) / len(rows)
    # Several messages make a conversation: how many are not known before all are read.
    total = None if reading.layout is tree else seen.total
    tokens = _mean_tokens(good, lambda row: [reading.conversation(row)])
    found = replace(seen, layout=reading.layout.NAME, confidence=share, bad_row=bad, total=total, tokens_per_row=tokens)
    return _with_pairs(found, reading, rows, good) if reading.layout in PAIRED else found


def _with_pairs(found: Peek, reading: Reading, rows: list[RawRow], good: list[dict[str, Any]]) -> Peek:
    """What both answers of each row come to, and the first row that has not both."""
    bad = next((sentence for row in rows if (sentence := _bad(row, reading.pair))), None)
    return replace(found, tokens_per_pair=_mean_tokens(good, lambda row: _both(reading.pair(row))), bad_pair=bad)


def _mean_tokens(rows: list[dict[str, Any]], said: Callable[[dict[str, Any]], Iterable[Said]]) -> float | None:
    """Of rows, by the length of what each says; None where none can be read."""
    found = []
    for row in rows:
        with suppress(RowProblem):
            found.append(sum(map(_length, said(row))) / TOKEN_BYTES)
    return sum(found) / len(found) if found else None


def _both(pair: Pair) -> list[Said]:
    return [pair.chosen, pair.rejected]


def _length(said: Said) -> int:
    """Bytes; of a conversation as JSON, whose braces and names are about as long as what a chat template writes."""
    text = said.text if isinstance(said, PlainText) else _written([said.messages, said.tools or []])
    return len(text.encode("utf-8", errors="replace"))


def _bad(row: RawRow, read: Callable[[dict[str, Any]], Said | Pair] | None) -> str | None:
    """What is wrong with a row, as a sentence."""
    problem = row.problem
    try:
        if read and not problem:
            read(row.values)
    except RowProblem as error:
        problem = str(error)
    return _short(f"{row.where}: {problem}.") if problem else None


def _short(value: Any, longest: int = LONGEST_CELL) -> str:
    """A cell in a few words, which any page can show."""
    text = value if isinstance(value, str) else _written(value)
    cut = text if len(text) <= longest else text[:longest] + "…"
    return cut.encode("utf-8", errors="replace").decode("utf-8")


def _written(value: Any) -> str:
    if value is None:
        return ""
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, TypeError, RecursionError):
        return "(nested too deeply to show)"
