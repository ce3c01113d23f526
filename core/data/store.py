"""The prepared set on disk: one Arrow file of tokens and labels, written in batches, read memory-mapped."""

import random
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from core.data.tokens import Encoded

SCHEMA = pa.schema(
    [
        ("input_ids", pa.list_(pa.int32())),
        ("labels", pa.list_(pa.int32())),
        ("source", pa.int32()),
        ("row", pa.int64()),
    ]
)


class RowWriter:
    """Append encoded rows to an Arrow stream file; use as a context manager."""

    def __init__(self, path: Path):
        self.file = pa.OSFile(str(path), "wb")
        self.stream = pa.ipc.new_stream(self.file, SCHEMA)

    def write(self, rows: list[Encoded], source: int, numbers: list[int]) -> None:
        """Append rows of one source with their row numbers in it."""
        columns = {
            "input_ids": [row.input_ids for row in rows],
            "labels": [row.labels for row in rows],
            "source": [source] * len(rows),
            "row": numbers,
        }
        self.stream.write_batch(pa.RecordBatch.from_pydict(columns, SCHEMA))

    def __enter__(self) -> "RowWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stream.close()
        self.file.close()


def held_out_rows(rows: int, fraction: float, seed: int) -> list[int]:
    """Which rows are kept aside, in order: at least one if any are asked for, and never all."""
    wanted = min(max(1, round(rows * fraction)), rows - 1) if fraction and rows > 1 else 0
    return sorted(random.Random(seed).sample(range(rows), wanted))
