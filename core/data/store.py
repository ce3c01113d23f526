"""Encoded rows on disk: tokens and labels in an Arrow stream that is read memory-mapped, texts in a compressed file beside it."""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count, pairwise
from types import TracebackType

import numpy as np
import pyarrow as pa

from core import home

# Tokens beyond the limit are cut off; `length` counts them, `lost` those among them that carry a label.
ROWS = pa.schema(
    [
        ("input_ids", pa.list_(pa.int32())),
        ("labels", pa.list_(pa.int32())),
        ("row", pa.int64()),
        ("length", pa.int32()),
        ("supervised", pa.int32()),
        ("lost", pa.int32()),
        ("body", pa.int32()),
        ("digest", pa.int64()),
        ("broken", pa.bool_()),
        ("first", pa.int32()),
        ("second", pa.int32()),
    ]
)
# A look at one row maps a hundred kilobytes around it, which then count as this process's memory.
LOOKS_UNTIL_GIVEN_BACK = 500
TEXTS = pa.schema([("text", pa.large_string()), ("ends", pa.list_(pa.int32()))])


@dataclass(frozen=True)
class EncodedRow:
    """One row, cut to the limit: a conversation, or a chosen and a rejected one, each cut for itself, one after the other.

    `row` is its number in the source; `body` the token at which its first turn begins that is not the system's; `digest`
    is the same for the same conversation; `ends` are the characters at which its tokens end; `broken` are its turns where
    they are out of order. Of a pair, `first` are the tokens of the chosen one before the cut, and `second` is
    the token at which the rejected one begins after it; 0 where the row is none.
    """

    input_ids: list[int]
    labels: list[int]
    row: int
    length: int
    supervised: int
    lost: int
    body: int
    digest: int
    text: str
    ends: list[int]
    broken: bool = False
    first: int = 0
    second: int = 0


def batches_of(rows: list[EncodedRow]) -> list[pa.RecordBatch]:
    """The rows as a batch for each of the two files."""
    schemas = (ROWS, TEXTS)
    columns = [{name: [getattr(row, name) for row in rows] for name in schema.names} for schema in schemas]
    return [pa.RecordBatch.from_pydict(values, schema) for values, schema in zip(columns, schemas, strict=True)]


class RowWriter:
    """Append encoded rows to the two files; use as a context manager."""

    def __init__(self, files: home.EncodedFiles):
        self.files = [pa.OSFile(str(path), "wb") for path in (files.rows, files.texts)]
        compressed = pa.ipc.IpcWriteOptions(compression="zstd")
        self.streams = [
            pa.ipc.new_stream(self.files[0], ROWS),
            pa.ipc.new_file(self.files[1], TEXTS, options=compressed),
        ]

    def write(self, batches: list[pa.RecordBatch]) -> None:
        """What `batches_of` has made of some rows; nothing of none."""
        for stream, batch in zip(self.streams, batches, strict=False):
            stream.write_batch(batch)

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream, file in zip(self.streams, self.files, strict=True):
            stream.close()
            file.close()


@dataclass(frozen=True)
class EncodedRows:
    """The rows of one encoded data set, read where they lie on disk."""

    files: home.EncodedFiles

    @cached_property
    def _mapped(self) -> mmap.mmap:
        with self.files.rows.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    @cached_property
    def table(self) -> pa.Table:
        return pa.ipc.open_stream(pa.py_buffer(self._mapped)).read_all()

    @cached_property
    def _looks(self) -> Iterator[int]:
        return count(1)

    def _give_back(self) -> None:
        """Unmap what was read; the next look maps what it needs again, out of the system's cache."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._mapped.madvise(mmap.MADV_DONTNEED)

    def __len__(self) -> int:
        return self.table.num_rows

    def numbers(self, column: str) -> np.ndarray:
        """One of the columns of numbers, all rows, shape (rows,); 0 where the rows were made before it was there."""
        if column not in self.table.column_names:
            return np.zeros(len(self), np.int32)
        found = np.array(self.table.column(column))
        self._give_back()
        return found

    @cached_property
    def _starts(self) -> np.ndarray:
        """The first row of each batch, and the end."""
        return np.cumsum([0, *(len(chunk) for chunk in self.table.column("input_ids").chunks)])

    def tokens(self, number: int, column: str = "input_ids") -> np.ndarray:
        """The ids or labels of one row, shape (tokens,)."""
        if next(self._looks) % LOOKS_UNTIL_GIVEN_BACK == 0:
            self._give_back()
        batch, place = self._place(number)
        return self.table.column(column).chunk(batch)[place].values.to_numpy()

    def tokens_of_batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each batch in turn: ids of all its rows, shape (tokens,), and where each row begins and ends, (rows + 1,).

        Read, not mapped: mapped pages of a whole file would stay in memory until someone else needs it.
        """
        with pa.OSFile(str(self.files.rows)) as file:
            for batch in pa.ipc.open_stream(file):
                found = batch["input_ids"]
                yield found.values.to_numpy(), found.offsets.to_numpy()

    def text(self, number: int) -> tuple[str, list[int]]:
        """One row as the model reads it, and the character at which each of its tokens ends, never before the last one's.

        The bytes of one character may be several tokens: the first of them shows it.
        """
        batch, place = self._place(number)
        found = self._texts.get_batch(batch)
        ends = np.maximum.accumulate(found["ends"][place].values.to_numpy())
        return found["text"][place].as_py(), ends.tolist()

    def texts_of_batches(self) -> Iterator[tuple[int, pa.Array]]:
        """For each batch in turn: the number of its first row, and its texts as an Arrow array."""
        for batch, (start, _) in enumerate(pairwise(self._starts)):
            yield int(start), self._texts.get_batch(batch)["text"]

    @property
    def _texts(self) -> pa.ipc.RecordBatchFileReader:
        return pa.ipc.open_file(pa.memory_map(str(self.files.texts)))

    def _place(self, number: int) -> tuple[int, int]:
        batch = int(np.searchsorted(self._starts, number, side="right")) - 1
        return batch, number - int(self._starts[batch])
