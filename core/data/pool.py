"""The rows of all data sets of a recipe, counted through, as columns of numbers and tokens that stay on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from core.data.store import EncodedRows


@dataclass(frozen=True)
class Pool:
    """Positions are counted over all data sets, in the recipe's order, from 0."""

    sources: Sequence[EncodedRows]

    def __len__(self) -> int:
        return int(self.starts[-1])

    @cached_property
    def starts(self) -> np.ndarray:
        """The first position of each data set, and the end, shape (sources + 1,)."""
        return np.cumsum([0, *(len(rows) for rows in self.sources)])

    def column(self, name: str) -> np.ndarray:
        """A column of numbers of all rows, shape (rows,)."""
        return np.concatenate([rows.numbers(name) for rows in self.sources])

    @cached_property
    def source(self) -> np.ndarray:
        """The data set of each row, by its number, shape (rows,)."""
        return np.repeat(np.arange(len(self.sources), dtype=np.int32), np.diff(self.starts))

    def of_source(self, number: int) -> np.ndarray:
        """The positions of one data set."""
        return np.arange(self.starts[number], self.starts[number + 1])

    def place(self, position: int) -> tuple[int, int]:
        """The data set of a row, and its number there, from 0."""
        source = int(np.searchsorted(self.starts, position, side="right")) - 1
        return source, int(position - self.starts[source])

    def body(self, position: int) -> np.ndarray:
        """The ids of a row, of a pair those of its chosen conversation, from its first turn on that is not the system's."""
        return self._ids(position)[int(self.bodies[position]) : int(self.seconds[position]) or None]

    def rejected(self, position: int) -> np.ndarray | None:
        """The same of the rejected conversation, which begins with the very turns; None where the row is no pair."""
        second = int(self.seconds[position])
        return self._ids(position)[second + int(self.bodies[position]) :] if second else None

    def shorter_answer(self, position: int) -> int:
        """Of a pair, the trained tokens of the answer that has fewer."""
        trained, second = self._trained(position), int(self.seconds[position])
        return int(min(trained[:second].sum(), trained[second:].sum()))

    def learned(self, position: int) -> bytes:
        """The same for rows in which the same tokens are trained, by their places."""
        return np.packbits(self._trained(position)).tobytes()

    def _trained(self, position: int) -> np.ndarray:
        source, number = self.place(position)
        return self.sources[source].tokens(number, "labels") >= 0

    def _ids(self, position: int) -> np.ndarray:
        source, number = self.place(position)
        return self.sources[source].tokens(number)

    @cached_property
    def bodies(self) -> np.ndarray:
        return self.column("body")

    @cached_property
    def seconds(self) -> np.ndarray:
        return self.column("second")
